//! What prompts of a stream share: `sessions` and `shared_prompt`.

use super::Surroundings;
use super::lengths;
use super::traffic::{pause, think};
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::serving::PausedKv;
use crate::traffic::{Length, PrefixedConfig, Sessions, SharedPart, SharedPrompt, Source, Tools};

/// What the file says of sessions.
#[derive(Debug)]
pub struct RawSessions {
    turns: Option<Length>,
    think: Option<crate::traffic::Think>,
    max_context: Option<u32>,
    tools: Option<(Tools, PausedKv)>,
}

/// `sessions.tools`.
fn tools(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<(Tools, PausedKv)> {
    let doc = "Tools that are called within a turn: the session thinks, waits for the result, and comes back with it \
               behind all that was said.";
    t.table("tools", doc, |t| {
        let doc = "Calls of a turn, one after another, before its last answer: a number, or a distribution.";
        let calls = lengths::length(t, "calls", doc, around);
        let pause = pause(t, "pause", "From the answer that calls a tool to its result.");
        let doc = "Tokens of a result: a number, or a distribution.";
        let result = lengths::length(t, "result_tokens", doc, around);
        let doc = "What becomes of the session's KV cache meanwhile: it stays while nobody needs its room (\"cache\"); \
                   it is the last to go (\"keep\"); it goes to host memory and comes back (\"swap\", with kv_tiers.host); \
                   it is computed again (\"drop\").";
        let kv = t.choice("kv", &PausedKv::ALL, &[], Some("cache"), doc);
        for (key, there, what) in [
            ("calls", calls.is_some(), "how many tools a turn calls, as in calls = 3"),
            ("pause", pause.is_some(), "how long a tool takes, as in pause = \"5s\""),
            ("result_tokens", result.is_some(), "how many tokens a result has, as in result_tokens = 400"),
        ] {
            if !there && !t.has(key) {
                t.missing(key, what, "");
            }
        }
        Some((Tools { calls: calls?, pause: pause?, result: result? }, kv.map_or(PausedKv::Cache, |kv| *kv)))
    })
}

/// `sessions`.
pub fn sessions(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawSessions> {
    let doc = "Requests that belong together: a turn's prompt is all that was said before in its session, and \
               prompt_tokens more. Each arrival begins a session; its next turn comes a think time after the \
               answer. With a `trace` its own sessions, as in sessions = {}.";
    t.table("sessions", doc, |t| {
        let doc = "Turns of a session: a number, or a distribution as for tokens.";
        let turns = lengths::length(t, "turns", doc, around);
        let think = think(t, "Between an answer and the next turn; as for closed loops.");
        let doc =
            "A session ends before the turn that would be longer than this, prompt and output together.";
        let max_context = t.optional("max_context", &kinds::TOKENS, doc);
        let tools = tools(t, around);
        Some(RawSessions { turns, think, max_context: max_context.map(|tokens| *tokens), tools })
    })
}

impl RawSessions {
    /// What becomes of KV caches while tools are called.
    pub fn paused_kv(&self) -> PausedKv {
        self.tools.as_ref().map_or(PausedKv::Cache, |(_, kv)| *kv)
    }
}

/// `shared_prompt`.
pub fn shared_prompt(t: &mut TableReader<'_>) -> Option<SharedPrompt> {
    let doc = "A text that prompts begin with: a system prompt, a set of examples.";
    t.table("shared_prompt", doc, |t| {
        let tokens = t.optional("tokens", &kinds::TOKENS, "Its tokens, which stand before those of prompt_tokens.");
        let doc = "Instead, the share of each prompt's own tokens that a cache without bound has once it has seen \
                   the texts: a reuse rate that was measured.";
        let reuse = t.optional("reuse", &kinds::SHARE, doc);
        let variants = t.or("variants", &kinds::COUNT, "1", "How many different texts.");
        let doc = "Text k is used in proportion to k^-zipf; 0 is evenly.";
        let zipf = t.or("zipf", &kinds::NOT_NEGATIVE, "0.0", doc);
        let part = match (t.has("tokens"), t.has("reuse")) {
            (true, false) => SharedPart::Tokens(*tokens?),
            (false, true) => SharedPart::Reuse(*reuse?),
            _ => {
                if !t.is_describing() {
                    let message = format!("{} needs either `tokens` or `reuse`", t.noun());
                    t.problem(Problem::error(t.place, message).help("as in shared_prompt = { tokens = 1200 }"));
                }
                return None;
            }
        };
        Some(SharedPrompt { part, variants: *variants?, zipf: *zipf? })
    })
}

/// The source with what its prompts share.
pub fn prefixed(
    t: &mut TableReader<'_>,
    source: Source,
    shared: Option<SharedPrompt>,
    sessions: Option<RawSessions>,
) -> Source {
    if shared.is_none() && sessions.is_none() {
        return source;
    }
    let mut forbid = |what: bool, key: &str, why: &str| {
        if what {
            let place = t.place_at(&format!("sessions.{key}"));
            let message = format!("{} has `sessions.{key}`, but {why}", t.noun());
            t.problem(Problem::error(place, message).help(format!("take out `{key}`")));
        }
    };
    let stand_in = || Length::constant(1);
    let sessions = sessions.map(|raw| match &source {
        Source::Trace(_) => {
            let why = "the trace says which requests belong together, and when they come";
            forbid(raw.turns.is_some(), "turns", why);
            forbid(raw.think.is_some(), "think", why);
            forbid(raw.max_context.is_some(), "max_context", why);
            forbid(raw.tools.is_some(), "tools", why);
            Sessions::OfTrace
        }
        Source::Closed(_) => {
            forbid(raw.think.is_some(), "think", "users of a closed loop have the think time of `arrivals`");
            forbid(
                raw.tools.is_some(),
                "tools",
                "users of a closed loop ask again after the think time of `arrivals`",
            );
            Sessions::OfUsers { turns: raw.turns.unwrap_or_else(stand_in), max_context: raw.max_context }
        }
        _ => Sessions::Begun {
            turns: raw.turns.unwrap_or_else(stand_in),
            think: raw.think.unwrap_or(crate::traffic::Think::None),
            max_context: raw.max_context,
            tools: raw.tools.map(|(tools, _)| tools),
        },
    });
    if matches!(sessions, Some(Sessions::Begun { .. } | Sessions::OfUsers { .. }))
        && t.place_at("sessions.turns") == t.place_at("sessions")
    {
        let problem =
            Problem::error(t.place_of("sessions"), format!("{}: `sessions` has no `turns`", t.noun()));
        t.problem(
            problem.help("say how many turns a session has, as in sessions = { turns = 5, think = \"30s\" }"),
        );
    }
    Source::Prefixed(PrefixedConfig { source: Box::new(source), shared, sessions })
}
