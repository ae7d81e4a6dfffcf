//! What the prompts of a stream share: system prompts, and sessions whose turns grow.
//!
//! A prompt's shared beginning is a list of blocks, each with a hash and the prompt tokens up to its end, as
//! long as the text that is shared at a time: a system prompt, a turn's question, a turn's answer. (SGLang's
//! radix tree keeps prefixes in such nodes: Zheng et al., arXiv 2312.07104, section 3.)

use std::collections::BTreeMap;
use std::sync::Arc;

use super::closed::Think;
use super::error::{Problem, TrafficError};
use super::lengths::{Bounded, Length, LengthSampler, MAX_TOKENS};
use super::stream::Stream;
use super::{Arrival, BlockHashes, Source, StreamConfig};
use crate::sim::{RandomStream, Seed};
use crate::units::{Duration, Instant};

/// Requests whose prompts begin alike.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixedConfig {
    /// Where the requests come from; with sessions, where their first turns do.
    pub source: Box<Source>,
    /// What prompts begin with, whoever asks.
    pub shared: Option<SharedPrompt>,
    /// Requests that belong together.
    pub sessions: Option<Sessions>,
}

/// System prompts: some texts, one of which each prompt begins with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedPrompt {
    /// How much of a prompt is shared.
    pub part: SharedPart,
    /// How many different texts; 1 to a million.
    pub variants: u32,
    /// Text k is drawn in proportion to k^-zipf; 0 is evenly.
    pub zipf: f64,
}

/// How much of a prompt is shared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SharedPart {
    /// So many tokens stand before each prompt.
    Tokens(u32),
    /// This share of each prompt's own tokens, 0 to 1, from its beginning: what a cache without bound reuses
    /// once it has seen the texts. For a reuse rate that was measured.
    Reuse(f64),
}

/// Sessions: each turn's prompt is the whole session so far, and what it adds.
#[derive(Debug, Clone, PartialEq)]
pub enum Sessions {
    /// Each arrival of an open stream begins a session; each turn's lengths are what it adds.
    Begun {
        /// Turns of a session, at least 1.
        turns: Length,
        /// Between an answer and the next turn.
        think: Think,
        /// A session ends before the turn that would be longer than this, prompt and output together.
        max_context: Option<u32>,
        /// Tools that are called within a turn.
        tools: Option<Tools>,
    },
    /// Each user of a closed loop has one session after another; the loop's think time lies between turns.
    OfUsers {
        /// Turns of a session, at least 1.
        turns: Length,
        /// As above.
        max_context: Option<u32>,
    },
    /// The sessions of a trace; its prompts are whole already.
    OfTrace,
}

/// Structured pauses: answers that call a tool, after which the session comes back with its result.
#[derive(Debug, Clone, PartialEq)]
pub struct Tools {
    /// Calls of a turn, one after another, before its last answer.
    pub calls: Length,
    /// From the answer that calls one to its result.
    pub pause: Think,
    /// Tokens of the result, which the next prompt adds.
    pub result: Length,
}

/// Tokens of a block of a shared text whose length varies from prompt to prompt.
const TEXT_BLOCK: u32 = 64;

/// Sessions of a trace that are remembered at most; the one begun first is forgotten first.
const REMEMBERED: usize = 1 << 20;

impl PrefixedConfig {
    pub(super) fn check(&self, name: &str, problems: &mut Vec<Problem>) {
        problems.extend(StreamConfig { name: name.to_owned(), source: (*self.source).clone() }.problems());
        if let Some(shared) = &self.shared {
            let mut problem = |key: &str, what: String, help: &str| {
                problems.push(Problem::new(format!("shared_prompt.{key}"), what, help));
            };
            if !(1..=1_000_000).contains(&shared.variants) {
                problem("variants", format!("there are {} texts", shared.variants), "give 1 to 1000000");
            }
            if !(0.0..=10.0).contains(&shared.zipf) {
                problem("zipf", format!("the exponent is {}", shared.zipf), "give 0 to 10");
            }
            match shared.part {
                SharedPart::Tokens(tokens) if !(1..=MAX_TOKENS).contains(&tokens) => {
                    problem("tokens", format!("{tokens} tokens are shared"), "give 1 to 10000000");
                }
                SharedPart::Reuse(share) if !(0.0..1.0).contains(&share) => {
                    problem("reuse", format!("the reuse rate is {share}"), "give 0 to less than 1");
                }
                _ => {}
            }
        }
        if let Some(Sessions::Begun { turns, .. } | Sessions::OfUsers { turns, .. }) = &self.sessions {
            turns.check("sessions.turns", problems);
        }
        if let Some(Sessions::Begun { max_context, .. } | Sessions::OfUsers { max_context, .. }) =
            &self.sessions
            && let Some(most) = *max_context
        {
            // A prompt token of its own and an answer of one, beside what all share.
            let shared = self.shared.map_or(0, |shared| match shared.part {
                SharedPart::Tokens(tokens) => tokens,
                SharedPart::Reuse(_) => 0,
            });
            if u64::from(most) < u64::from(shared) + 2 {
                let what =
                    format!("sessions end at {most} tokens, before they begin: {shared} are shared already");
                let help = "raise `max_context`, or shorten `shared_prompt`";
                problems.push(Problem::new("sessions.max_context", what, help));
            }
        }
        if let Some(Sessions::Begun { think, tools, .. }) = &self.sessions {
            think.check("sessions.think", problems);
            if let Some(tools) = tools {
                tools.calls.check("sessions.tools.calls", problems);
                tools.pause.check("sessions.tools.pause", problems);
                tools.result.check("sessions.tools.result_tokens", problems);
            }
        }
    }
}

/// A running stream whose prompts begin alike.
#[derive(Debug)]
pub(super) struct Prefixed {
    inner: Stream,
    shared: Option<Texts>,
    sessions: Option<Running>,
}

/// The texts that prompts begin with.
#[derive(Debug)]
struct Texts {
    part: SharedPart,
    /// The cumulative shares of the texts.
    cumulative: Vec<f64>,
    random: RandomStream,
    /// What the texts' hashes are mixed from.
    salt: u64,
}

#[derive(Debug)]
struct Running {
    kind: Sessions,
    turns: Option<Bounded>,
    /// Calls of tools in a turn, and tokens of a result.
    tools: Option<(Bounded, Bounded)>,
    lengths: Option<LengthSampler>,
    name: String,
    seed: Seed,
    salt: u64,
    end: Instant,
    begun: u64,
    /// Of an open stream or of users, by place.
    active: Vec<Option<Session>>,
    free: Vec<u32>,
    /// Of a trace, by its number, with the order of their beginning.
    of_trace: BTreeMap<u64, Session>,
    order: std::collections::VecDeque<u64>,
}

/// A session: what its next turn's prompt begins with.
#[derive(Debug)]
struct Session {
    number: u64,
    random: RandomStream,
    turns_left: u32,
    turn: u64,
    hashes: Vec<u64>,
    ends: Vec<u32>,
    /// Tokens of the session so far, and of them those that are in a KV cache after the last answer.
    context: u32,
    cached: u32,
    /// The hash of the last answer.
    answer: u64,
    /// How many of the hashes are of texts that others share.
    texts: u32,
    /// Tools that this turn still calls after the one under way.
    calls_left: u32,
    /// The tool under way: how long it takes, tokens of its result and of the answer to it.
    call: Option<(Duration, u32, u32)>,
}

impl Prefixed {
    pub(super) fn new(
        config: &PrefixedConfig,
        seed: Seed,
        name: &str,
        window: Duration,
    ) -> Result<Self, TrafficError> {
        let plain = StreamConfig { name: name.to_owned(), source: (*config.source).clone() };
        let inner = Stream::new(&plain, seed, window)?;
        let salt = |what: &str| seed.stream(&format!("{what}/{name}")).bits();
        let shared = config.shared.map(|shared| Texts {
            part: shared.part,
            cumulative: cumulative(shared.variants, shared.zipf),
            random: seed.stream(&format!("prefix/{name}")),
            salt: salt("texts"),
        });
        let sessions = config.sessions.clone().map(|kind| -> Result<Running, TrafficError> {
            let turns = match &kind {
                Sessions::Begun { turns, .. } | Sessions::OfUsers { turns, .. } => Some(Bounded::new(turns)?),
                Sessions::OfTrace => None,
            };
            let tools = match &kind {
                Sessions::Begun { tools: Some(tools), .. } => {
                    Some((Bounded::new(&tools.calls)?, Bounded::new(&tools.result)?))
                }
                _ => None,
            };
            let lengths = match &*config.source {
                Source::Open(open) => Some(LengthSampler::new(&open.lengths)?),
                _ => None,
            };
            Ok(Running {
                kind,
                turns,
                tools,
                lengths,
                name: name.to_owned(),
                seed,
                salt: salt("sessions"),
                end: Instant::ZERO + window,
                begun: 0,
                active: Vec::new(),
                free: Vec::new(),
                of_trace: BTreeMap::new(),
                order: std::collections::VecDeque::new(),
            })
        });
        Ok(Self { inner, shared, sessions: sessions.transpose()? })
    }

    pub(super) fn next(&mut self) -> Result<Option<Arrival>, TrafficError> {
        let Some(arrival) = self.inner.next_arrival()? else { return Ok(None) };
        Ok(Some(self.begin(arrival)))
    }

    /// The next turn of a session, or the next request of a user; the last one has ended at `now`.
    pub(super) fn completed(&mut self, now: Instant, session: u64) -> Option<Arrival> {
        if self.inner.is_closed_loop() {
            let arrival = self.inner.completed(now, session)?;
            return Some(self.begin(arrival));
        }
        self.sessions.as_mut()?.next_turn(now, session)
    }

    /// The request of a session failed: there is no next turn that builds on it.
    pub(super) fn given_up(&mut self, session: u64) {
        if let Some(sessions) = &mut self.sessions {
            sessions.forget(session);
        }
    }

    pub(super) fn inner(&self) -> &Stream {
        &self.inner
    }

    /// True when it wants to hear of completions.
    pub(super) fn is_closed_loop(&self) -> bool {
        let begun = |running: &Running| matches!(running.kind, Sessions::Begun { .. });
        self.inner.is_closed_loop() || self.sessions.as_ref().is_some_and(begun)
    }

    /// Gives an arrival of the stream within the beginning that it shares.
    fn begin(&mut self, mut arrival: Arrival) -> Arrival {
        let (mut hashes, mut ends) = (Vec::new(), Vec::new());
        let known = self.sessions.as_ref().and_then(|sessions| sessions.find(&arrival)).is_some();
        if let Some(texts) = self.shared.as_mut().filter(|_| !known) {
            texts.begin(&mut arrival, &mut hashes, &mut ends);
        }
        match &mut self.sessions {
            Some(sessions) => sessions.turn(&mut arrival, hashes, ends),
            None => set(&mut arrival, &hashes, &ends),
        }
        arrival
    }
}

impl Texts {
    /// The text of a prompt: a user's is always the same.
    fn begin(&mut self, arrival: &mut Arrival, hashes: &mut Vec<u64>, ends: &mut Vec<u32>) {
        let drawn = match arrival.session {
            Some(user) => (mix(self.salt, user, 0) >> 11) as f64 / (1u64 << 53) as f64,
            None => self.random.uniform(),
        };
        let text = self.cumulative.partition_point(|share| *share <= drawn) as u64;
        match self.part {
            SharedPart::Tokens(tokens) => {
                arrival.prompt_tokens = arrival.prompt_tokens.saturating_add(tokens);
                hashes.push(mix(self.salt, text, 1));
                ends.push(tokens);
            }
            SharedPart::Reuse(share) => {
                // Rounded up or down to blocks at random, so that the mean is right.
                let blocks = share * f64::from(arrival.prompt_tokens) / f64::from(TEXT_BLOCK);
                let whole = (blocks + self.random.uniform()) as u32;
                let whole = whole.min((arrival.prompt_tokens - 1) / TEXT_BLOCK);
                hashes.extend((1..=whole).map(|block| mix(self.salt, text, u64::from(block))));
                ends.extend((1..=whole).map(|block| block * TEXT_BLOCK));
            }
        }
    }
}

impl Running {
    /// The session that an arrival goes on with.
    fn find(&self, arrival: &Arrival) -> Option<&Session> {
        match self.kind {
            Sessions::Begun { .. } => None,
            Sessions::OfUsers { max_context, .. } => {
                let session = self.active.get(arrival.session? as usize)?.as_ref()?;
                let total = total(session, arrival.prompt_tokens, arrival.output_tokens);
                let fits = max_context.is_none_or(|most| total <= u64::from(most));
                (session.turns_left > 0 && fits).then_some(session)
            }
            Sessions::OfTrace => {
                let session = self.of_trace.get(&arrival.session?)?;
                (arrival.prompt_tokens > session.context).then_some(session)
            }
        }
    }

    /// An arrival of the stream within becomes a turn; its prompt begins with `hashes` if it is a first one.
    fn turn(&mut self, arrival: &mut Arrival, hashes: Vec<u64>, ends: Vec<u32>) {
        if matches!(self.kind, Sessions::OfTrace) && (arrival.session.is_none() || arrival.blocks.is_some()) {
            // Nothing is known of it, or the trace itself says what it shares.
            return set(arrival, &hashes, &ends);
        }
        let goes_on = self.find(arrival).is_some();
        let key = arrival.session;
        if !goes_on {
            let number = self.begun;
            self.begun += 1;
            let mut random = self.seed.stream(&format!("session/{}/{number}", self.name));
            let turns = self.turns.as_ref().map_or(u32::MAX, |turns| turns.sample(&mut random));
            let fresh = Session {
                number,
                random,
                turns_left: turns,
                turn: 0,
                texts: hashes.len() as u32,
                hashes,
                ends,
                context: 0,
                cached: 0,
                answer: 0,
                calls_left: 0,
                call: None,
            };
            match (&self.kind, key) {
                (Sessions::OfTrace, Some(key)) => {
                    if self.of_trace.insert(key, fresh).is_none() {
                        self.order.push_back(key);
                    }
                    if self.order.len() > REMEMBERED
                        && let Some(first) = self.order.pop_front()
                    {
                        self.of_trace.remove(&first);
                    }
                }
                (Sessions::OfUsers { .. }, Some(user)) => {
                    let place = user as usize;
                    if self.active.len() <= place {
                        self.active.resize_with(place + 1, || None);
                    }
                    self.active[place] = Some(fresh);
                }
                _ => {
                    let place = self.free.pop().unwrap_or(self.active.len() as u32);
                    if place as usize == self.active.len() {
                        self.active.push(None);
                    }
                    self.active[place as usize] = Some(fresh);
                    arrival.session = Some(number << 32 | u64::from(place));
                }
            }
        }
        let whole = matches!(self.kind, Sessions::OfTrace) || !goes_on;
        let salt = self.salt;
        let session = match (&self.kind, arrival.session) {
            (Sessions::OfTrace, Some(key)) => self.of_trace.get_mut(&key),
            (_, Some(key)) => self.active.get_mut(key as u32 as usize).and_then(Option::as_mut),
            _ => None,
        };
        if let Some(session) = session {
            if !whole {
                arrival.prompt_tokens = arrival.prompt_tokens.saturating_add(session.context);
            }
            session.ask(salt, arrival);
            if let (Sessions::Begun { max_context, tools: Some(tools), .. }, Some(samplers), Some(lengths)) =
                (&self.kind, &self.tools, &self.lengths)
            {
                session.calls_left = samplers.0.sample(&mut session.random);
                session.call_tool(tools.pause, &samplers.1, lengths, *max_context, arrival);
            }
        }
    }

    fn next_turn(&mut self, now: Instant, key: u64) -> Option<Arrival> {
        let Sessions::Begun { think, max_context, ref tools, .. } = self.kind else { return None };
        let place = key as u32 as usize;
        let session = self.active.get_mut(place)?.as_mut().filter(|session| session.number == key >> 32)?;
        let back = session.call.take();
        let next = (session.turns_left > 0 || back.is_some())
            .then(|| {
                let (wait, prompt, output) = match back {
                    Some(call) => call,
                    None => {
                        let wait = think.sample(&mut session.random);
                        let (prompt, output) = self.lengths.as_ref()?.sample(&mut session.random);
                        (wait, prompt, output)
                    }
                };
                let at = now.saturating_add(wait);
                let total = total(session, prompt, output);
                let fits = max_context.is_none_or(|most| total <= u64::from(most));
                (fits && total <= u64::from(u32::MAX) && at < self.end).then_some((at, prompt, output))
            })
            .flatten();
        let Some((at, prompt, output)) = next else {
            self.forget(key);
            return None;
        };
        let mut arrival = Arrival {
            prompt_tokens: session.context + prompt,
            session: Some(key),
            ..Arrival::plain(at, prompt, output)
        };
        // A result is a part of its turn.
        session.turns_left += u32::from(back.is_some());
        session.ask(self.salt, &mut arrival);
        if let (Some(tools), Some(samplers), Some(lengths)) = (tools, &self.tools, &self.lengths) {
            if back.is_none() {
                session.calls_left = samplers.0.sample(&mut session.random);
            }
            session.call_tool(tools.pause, &samplers.1, lengths, max_context, &mut arrival);
        }
        Some(arrival)
    }

    fn forget(&mut self, key: u64) {
        if matches!(self.kind, Sessions::OfTrace) {
            return;
        }
        let users = matches!(self.kind, Sessions::OfUsers { .. });
        let place = key as u32;
        let Some(slot) = self.active.get_mut(place as usize) else { return };
        if slot.as_ref().is_some_and(|session| users || session.number == key >> 32) {
            *slot = None;
            if !users {
                self.free.push(place);
            }
        }
    }
}

fn total(session: &Session, prompt: u32, output: u32) -> u64 {
    u64::from(session.context) + u64::from(prompt) + u64::from(output)
}

impl Session {
    /// The arrival is this session's next turn, its prompt whole.
    fn ask(&mut self, salt: u64, arrival: &mut Arrival) {
        if self.turn > 0 {
            self.hashes.push(self.answer);
            self.ends.push(self.cached);
        }
        let hash = |part: u64| mix(salt, self.number, 2 * self.turn + part);
        self.hashes.push(hash(0));
        self.ends.push(arrival.prompt_tokens);
        self.answer = hash(1);
        self.turn += 1;
        self.turns_left = self.turns_left.saturating_sub(1);
        self.context = arrival.prompt_tokens.saturating_add(arrival.output_tokens);
        // The last token of an answer is never fed back.
        self.cached = self.context.saturating_sub(1).max(arrival.prompt_tokens);
        set(arrival, &self.hashes, &self.ends);
        arrival.answer = Some(self.answer);
    }
}

impl Session {
    /// The answer to what was asked last calls a tool, if the turn has calls left and what follows has room: drawn now,
    /// so that whoever holds its KV cache meanwhile knows that it comes back.
    fn call_tool(
        &mut self,
        pause: Think,
        result: &Bounded,
        lengths: &LengthSampler,
        max_context: Option<u32>,
        arrival: &mut Arrival,
    ) {
        if self.calls_left == 0 {
            return;
        }
        self.calls_left -= 1;
        let wait = pause.sample(&mut self.random);
        let (tokens, output) = (result.sample(&mut self.random), lengths.sample(&mut self.random).1);
        if max_context.is_none_or(|most| total(self, tokens, output) <= u64::from(most)) {
            self.call = Some((wait, tokens, output));
            arrival.pause = Some(self.texts);
        }
    }
}

fn set(arrival: &mut Arrival, hashes: &[u64], ends: &[u32]) {
    if !hashes.is_empty() {
        arrival.blocks = Some(BlockHashes(Arc::from(hashes)));
        arrival.ends = Some(Arc::from(ends));
    }
}

/// Cumulative shares of a Zipf law.
fn cumulative(variants: u32, zipf: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=variants).map(|rank| libm::pow(f64::from(rank), -zipf)).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let mut shares: Vec<f64> = weights
        .iter()
        .map(|weight| {
            sum += weight / total;
            sum
        })
        .collect();
    // Rounding must not leave a gap below 1.
    if let Some(last) = shares.last_mut() {
        *last = 1.0;
    }
    shares
}

/// A 64-bit mix of the three (the finisher of SplitMix64).
fn mix(salt: u64, what: u64, part: u64) -> u64 {
    let mut hash = salt ^ what.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for part in [part, 0x6a09_e667_f3bc_c909] {
        hash = (hash ^ (hash >> 30) ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
    }
    hash
}

#[cfg(test)]
mod tests;
