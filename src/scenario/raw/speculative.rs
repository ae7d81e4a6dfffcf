//! `speculative` of a deployment, and `response_cache` of a stream: what shortens the way to an answer.

use super::deployment::coefficients;
use crate::perf::AffineStep;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::serving::{CacheHits, ResponseCache, Speculation};
use crate::units::Duration;

/// Who proposes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    DraftModel,
    Eagle,
    Medusa,
    Ngram,
}

const METHODS: [(&str, Method); 4] = [
    ("draft-model", Method::DraftModel),
    ("eagle", Method::Eagle),
    ("medusa", Method::Medusa),
    ("ngram", Method::Ngram),
];

/// `speculative`.
#[derive(Debug, Clone)]
pub struct RawSpeculative {
    pub method: Method,
    /// The draft model.
    pub model: Option<Sited<String>>,
    pub speculation: Speculation,
    pub tokens: Sited<u32>,
    /// How long a pass of the draft takes, where that was measured.
    pub step_time: Option<AffineStep>,
}

/// Reads `speculative`.
pub fn speculative(t: &mut TableReader<'_>) -> Option<RawSpeculative> {
    let doc = "Who proposes tokens: a smaller model (\"draft-model\", one pass a token), one layer of the model's own \
               width (\"eagle\", one pass a token), heads side by side (\"medusa\", one pass in all), or a look-up in \
               the prompt that costs nothing (\"ngram\").";
    let method = t.choice("method", &METHODS, &[], None, doc);
    let doc = "The draft model, which runs on the cards of the replica with its plan.";
    let model = t.optional("model", &kinds::REFERENCE, doc);
    let doc = "Tokens proposed in each iteration (vLLM's num_speculative_tokens).";
    let tokens = t.required("tokens", &DRAFT_TOKENS, doc);
    let doc = "The probability that a proposed token is kept when those before it were; measured, for this model, \
               draft and traffic.";
    let acceptance = t.required("acceptance", &kinds::SHARE, doc);
    let doc = "Each request has an acceptance of its own, drawn evenly within so much of the mean.";
    let spread = t.or("acceptance_spread", &kinds::SHARE, "0.0", doc);
    let doc = "Measured coefficients of a pass of the draft, instead of the performance model.";
    let step_time = t.table("step_time", doc, coefficients);
    let (method, tokens, acceptance) = (*method?, tokens?, acceptance?);
    match (method == Method::DraftModel, &model) {
        (true, None) if !t.has("model") => {
            t.missing("model", "the draft model, as in model = \"llama-3.2-1b\"", "");
        }
        (false, Some(model)) => {
            let message =
                format!("{} has a draft `model`, but another method than \"draft-model\"", t.noun());
            t.problem(Problem::error(model.place, message).help("take out `model`"));
        }
        _ => {}
    }
    let speculation = Speculation {
        tokens: *tokens,
        acceptance: *acceptance,
        spread: spread.map_or(0.0, |spread| *spread),
    };
    Some(RawSpeculative { method, model, speculation, tokens, step_time })
}

/// Proposed tokens: more than a few dozen are never kept.
const DRAFT_TOKENS: Kind<u32> = Kind {
    what: "a whole number from 1 to 64",
    read: |value| match (kinds::COUNT.read)(value)? {
        tokens if tokens <= 64 => Ok(tokens),
        tokens => Err(Unfit::Value(format!("it is {tokens}; at most 64 are proposed"))),
    },
};

/// Reads `response_cache`.
pub fn response_cache(t: &mut TableReader<'_>) -> Option<ResponseCache> {
    let doc =
        "The share of requests that it answers, drawn for each; or else say what is asked, and what is kept.";
    let hit_rate = t.optional("hit_rate", &kinds::SHARE, doc);
    let questions = t.optional("questions", &QUESTIONS, "How many different questions are asked.");
    let doc = "How unequally: question k is asked in proportion to k^-zipf; 0 is evenly.";
    let zipf = t.optional("zipf", &ZIPF, doc);
    let doc = "Responses that it keeps; the one used longest ago goes first.";
    let size = t.optional("size", &kinds::COUNT, doc);
    let doc = "How long a response is kept after it was made; for ever when absent.";
    let expiry = t.optional("expiry", &kinds::POSITIVE_TIME, doc);
    let latency = t.or("latency", &kinds::TIME, "\"0s\"", "How long an answer from it takes.");
    let hits = match (hit_rate, questions, size) {
        (Some(share), None, None) if zipf.is_none() && expiry.is_none() => CacheHits::Share(*share),
        (None, Some(questions), Some(size)) => CacheHits::Popularity {
            questions: *questions,
            zipf: zipf.map_or(0.0, |zipf| *zipf),
            size: *size,
            expiry: expiry.map(|expiry| *expiry),
        },
        _ => {
            if !t.is_describing() {
                let message = format!("{} needs either `hit_rate`, or `questions` and `size`", t.noun());
                let help = "as in response_cache = { hit_rate = 0.3 }, or { questions = 100000, zipf = 0.9, size = 5000 }";
                t.problem(Problem::error(t.place, message).help(help));
            }
            return None;
        }
    };
    Some(ResponseCache { hits, latency: latency.map_or(Duration::ZERO, |latency| *latency) })
}

/// Different questions: each has its weight in memory.
const QUESTIONS: Kind<u32> = Kind { what: "a whole number from 1 to 1,000,000", read: kinds::COUNT.read };

/// An exponent of Zipf's law.
const ZIPF: Kind<f64> = Kind {
    what: "a number from 0 to 10",
    read: |value| match (kinds::NOT_NEGATIVE.read)(value)? {
        zipf if zipf <= 10.0 => Ok(zipf),
        zipf => Err(Unfit::Value(format!("it is {zipf}; it is at most 10"))),
    },
};
