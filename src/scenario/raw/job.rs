//! `[[jobs]]`.

use super::training::{self, RawTraining};
use crate::jobs::JobTerms;
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::units::{Duration, Instant};

/// A training or batch job.
#[derive(Debug)]
pub struct RawJob {
    pub name: Sited<String>,
    pub work: Work,
    pub accelerators: Sited<u32>,
    pub submit: Instant,
    /// Every pool when empty.
    pub pools: Vec<Sited<String>>,
    pub user: String,
    pub queue: String,
    pub terms: JobTerms,
    pub place: Place,
}

/// What a job has to do.
#[derive(Debug)]
pub enum Work {
    /// Train a model on so many tokens.
    Training {
        model: Sited<String>,
        tokens: Sited<u64>,
        precision: Sited<String>,
        batch_tokens: Option<u64>,
        sequence: Option<u32>,
        plan: Box<RawTraining>,
    },
    /// Hold its cards for a stated time.
    Stated(Duration),
}

/// Reads one job.
pub fn read(t: &mut TableReader<'_>) -> Option<RawJob> {
    let name = t.required("name", &kinds::NAME, "Its name.");
    let model = t.optional("model", &kinds::REFERENCE, "The model that it trains.");
    let tokens = t.optional("tokens", &kinds::LARGE_COUNT, "Tokens to train on, as in 2e9.");
    let doc = "How long it takes, instead of `model` and `tokens`.";
    let work = t.optional("work", &kinds::POSITIVE_TIME, doc);
    let doc = "Cards, all at once and all in one pool.";
    let accelerators = t.required("accelerators", &kinds::COUNT, doc);
    let submit = t.or("submit", &kinds::TIME, "\"0s\"", "When it is submitted, from the run's beginning.");
    let doc = "Where it may run, in order of preference; every pool when absent.";
    let pools = t.list("pools", &kinds::REFERENCE, false, doc);
    let (precision, batch_tokens, sequence) = if t.is_describing() || !t.has("work") {
        let doc = "The format that it computes in.";
        let precision = t.or("precision", &kinds::TEXT, "\"bf16\"", doc);
        let doc = "Tokens of an optimizer step over all cards; 32,768 for each card when absent.";
        let batch_tokens = t.optional("batch_tokens", &kinds::LARGE_COUNT, doc);
        let doc = "Tokens of a sequence; 4,096, or the model's context, when absent.";
        (precision, batch_tokens, t.optional("sequence", &kinds::TOKENS, doc))
    } else {
        (None, None, None)
    };
    let plan = (t.is_describing() || !t.has("work")).then(|| training::read(t));
    let user = t.or("user", &OPTIONAL_TEXT, "\"\"", "Who submitted it.");
    let queue = t.or("queue", &OPTIONAL_TEXT, "\"\"", "The queue that it waits in.");
    let priority = t.or("priority", &PRIORITY, "0", "Higher goes first, under `priority`.");
    let doc = "How long its user says that it takes, for backfilling; the true time when absent.";
    let estimate = t.optional("estimate", &kinds::POSITIVE_TIME, doc);
    let doc = "When it should be done, from the run's beginning, for `edf`.";
    let deadline = t.optional("deadline", &kinds::POSITIVE_TIME, doc);
    t.later(&[
        ("checkpoint", "checkpoints are"),
        ("preemptible", "preemption is"),
        ("elastic", "elastic jobs are"),
    ]);
    if t.is_describing() {
        return None;
    }
    let work = match (t.has("work"), t.has("model"), t.has("tokens")) {
        (true, false, false) => Work::Stated(*work?),
        (false, true, true) => Work::Training {
            model: model?,
            tokens: tokens?,
            precision: precision?,
            batch_tokens: batch_tokens.map(|tokens| *tokens),
            sequence: sequence.map(|tokens| *tokens),
            plan: Box::new(plan?),
        },
        _ => {
            let problem =
                Problem::error(t.place, format!("{} needs either `model` and `tokens`, or `work`", t.noun()));
            t.problem(problem.help("model = \"llama-3.1-8b\" with tokens = 2e9, or work = \"6h\""));
            return None;
        }
    };
    Some(RawJob {
        name: name?,
        work,
        accelerators: accelerators?,
        submit: Instant::ZERO + *submit?,
        pools: pools?,
        user: user?.value,
        queue: queue?.value,
        terms: JobTerms {
            priority: *priority?,
            estimate: estimate.map(|estimate| *estimate),
            deadline: deadline.map(|deadline| Instant::ZERO + *deadline),
        },
        place: t.place,
    })
}

const PRIORITY: Kind<i32> = Kind {
    what: "a whole number",
    read: |value| match value {
        Value::Integer(number) => i32::try_from(*number)
            .map_err(|_| Unfit::Value(format!("`{number}` is too large for a priority"))),
        _ => Err(Unfit::Type),
    },
};

const OPTIONAL_TEXT: Kind<String> = Kind {
    what: "a text",
    read: |value| match value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(Unfit::Type),
    },
};
