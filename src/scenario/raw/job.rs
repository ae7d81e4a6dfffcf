//! `[[jobs]]`.

use super::training::{self, RawTraining};
use crate::jobs::{Checkpoint, JobExtra, JobTerms};
use crate::policies::placement::Needs;
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::units::{Bytes, BytesPerSecond, Duration, Instant};

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
    pub extra: JobExtra,
    /// Names of jobs that must have ended before it starts.
    pub after: Vec<Sited<String>>,
    pub needs: Needs,
    /// So many jobs of this kind.
    pub array: Option<Sited<u32>>,
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
    let doc = "It is ended, as failed, when it has held its cards for so long.";
    let limit = t.optional("time_limit", &kinds::POSITIVE_TIME, doc);
    let doc =
        "Jobs that must have ended, however, before it may start; the name of an array stands for all of it.";
    let after = t.list("after", &kinds::REFERENCE, false, doc);
    let doc = "So many jobs like this one, named `NAME[0]` and so on.";
    let array = t.optional("array", &kinds::COUNT, doc);
    let doc = "How it saves its state. Without, it keeps what it has done when it is stopped, at no cost.";
    let checkpoint = t.table("checkpoint", doc, checkpoint);
    let needs = needs(t);
    let yields_within = yields_within(t);
    let broken = checkpoint.is_none() && t.has("checkpoint");
    t.later(&[("elastic", "elastic jobs are")]);
    if t.is_describing() {
        return None;
    }
    if broken {
        return None;
    }
    let needs = needs?;
    if needs.card_milli > 0 && !matches!((t.has("work"), t.has("model")), (true, false)) {
        let message =
            "a job on a part of a card says how long it takes: how fast a model trains there is not known";
        let place = t.place_of("cards_fraction");
        t.problem(Problem::error(place, message).help("give `work` instead of `model` and `tokens`"));
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
        extra: JobExtra {
            checkpoint,
            limit: limit.map(|limit| *limit),
            yields_within,
            ..JobExtra::default()
        },
        needs,
        after: after?,
        array,
        place: t.place,
    })
}

/// Reads what a job needs beside whole cards.
pub fn needs(t: &mut TableReader<'_>) -> Option<Needs> {
    let doc = "The part of its card that it needs, as in 0.25, when it shares one with others.";
    let fraction = t.optional("cards_fraction", &FRACTION, doc);
    let doc = "CPUs that it needs beside its cards, on all its nodes together; none count when absent.";
    let cpus = t.optional("cpus", &kinds::POSITIVE, doc);
    let doc =
        "Host memory that it needs, on all its nodes together, as in \"64 GiB\"; none counts when absent.";
    let memory = t.optional("memory", &kinds::BYTES, doc);
    Some(Needs {
        card_milli: fraction.map_or(0, |fraction| *fraction),
        cpu_milli: cpus.map_or(0, |cpus| (*cpus * 1000.0).min(MOST_OF_HOST) as u32),
        memory_mib: memory.map_or(0, |memory| (memory.0 as f64 / 1_048_576.0).min(MOST_OF_HOST) as u32),
    })
}

/// Reads within which time a job gives way to serving.
pub fn yields_within(t: &mut TableReader<'_>) -> Option<Duration> {
    let doc = "When a replica lacks cards, this gives its own up within so long, having saved its state if that takes \
               no longer; never when absent.";
    t.optional("yields_within", &kinds::TIME, doc).map(|time| *time)
}

/// Reads how a job saves its state: by times, or by size over bandwidth.
fn checkpoint(t: &mut TableReader<'_>) -> Option<Checkpoint> {
    let doc = "Its size, instead of `write` and `restore`.";
    let size = t.optional("size", &SIZE, doc);
    let doc = "Bytes written in a second, with `size`.";
    let bandwidth = t.optional("bandwidth", &BANDWIDTH, doc);
    let doc = "Bytes read in a second, with `size`; as many as are written when absent.";
    let read_bandwidth = t.optional("read_bandwidth", &BANDWIDTH, doc);
    let write = t.optional("write", &kinds::TIME, "How long it takes to write one, on the job's cards.");
    let doc = "How long it takes to read one; as long as to write it when absent.";
    let restore = t.optional("restore", &kinds::TIME, doc);
    let doc = "Work between two checkpoints; only when it is stopped when absent. \"young\" and \"daly\" choose it for \
               `mtbf`.";
    let every = t.optional("every", &EVERY, doc);
    let doc = "The mean time between failures of the job's cards, for `every`.";
    let mtbf = t.optional("mtbf", &kinds::POSITIVE_TIME, doc);
    if t.is_describing() {
        return None;
    }
    let over = |size: f64, bandwidth: f64| Duration::from_secs_f64((size / bandwidth).min(LONGEST_S));
    let (write, restore) = match (size, bandwidth, write) {
        (Some(size), Some(bandwidth), None) if restore.is_none() => {
            let (size, read) = (size.0 as f64, read_bandwidth.map_or(*bandwidth, |read| *read));
            (over(size, bandwidth.as_f64()), over(size, read.as_f64()))
        }
        (None, None, Some(write)) if read_bandwidth.is_none() => {
            (*write, restore.map_or(*write, |time| *time))
        }
        _ => {
            let message = "a checkpoint needs either `size` and `bandwidth`, or `write`";
            let help = "size = \"140GB\" with bandwidth = \"2GB/s\", or write = \"70s\"";
            t.problem(Problem::error(t.place, message).help(help));
            return None;
        }
    };
    let every = match (every.map(|every| *every), mtbf) {
        (None, _) => None,
        (Some(Every::Fixed(every)), _) => Some(every),
        (Some(Every::Young), Some(mtbf)) => Some(Checkpoint::young(write, *mtbf)),
        (Some(Every::Daly), Some(mtbf)) => Some(Checkpoint::daly(write, *mtbf)),
        (Some(_), None) => {
            let problem =
                Problem::error(t.place_of("every"), "the interval depends on `mtbf`, which is missing");
            t.problem(
                problem.help("mtbf = \"30d\" is the mean time between failures of the job's cards together"),
            );
            return None;
        }
    };
    Some(Checkpoint { write, restore, every })
}

/// Longest that a checkpoint may take: beyond, the clock would run over.
const LONGEST_S: f64 = 100.0 * 31_536_000.0;

#[derive(Debug, Clone, Copy)]
enum Every {
    Fixed(Duration),
    Young,
    Daly,
}

const EVERY: Kind<Every> = Kind {
    what: "a time such as \"30m\", \"young\" or \"daly\"",
    read: |value| match value {
        Value::Text(text) if text == "young" => Ok(Every::Young),
        Value::Text(text) if text == "daly" => Ok(Every::Daly),
        other => (kinds::POSITIVE_TIME.read)(other).map(Every::Fixed),
    },
};

/// What any host has less of.
const MOST_OF_HOST: f64 = 4e9;

/// A part of a card, in thousandths; 0 for a whole one.
const FRACTION: Kind<u16> = Kind {
    what: "a part of a card, above 0 and up to 1",
    read: |value| {
        let part = match value {
            Value::Integer(1) => 1.0,
            Value::Float(part) => *part,
            _ => return Err(Unfit::Type),
        };
        match (part * 1000.0).round() {
            milli @ 1.0..1000.0 => Ok(milli as u16),
            1000.0 => Ok(0),
            _ => Err(Unfit::Value(format!("`{part}` is no part of a card; a quarter of one is 0.25"))),
        }
    },
};

const SIZE: Kind<Bytes> = Kind {
    what: "a size such as \"140GB\"",
    read: |value| match value {
        Value::Text(text) => Bytes::parse(text).map_err(|error| Unfit::Value(error.to_string())),
        _ => Err(Unfit::Type),
    },
};

const BANDWIDTH: Kind<BytesPerSecond> = Kind {
    what: "a bandwidth such as \"2GB/s\"",
    read: |value| match value {
        Value::Text(text) => match BytesPerSecond::parse(text) {
            Ok(bandwidth) if bandwidth.as_f64() > 0.0 => Ok(bandwidth),
            Ok(_) => Err(Unfit::Value(format!("`{text}` moves nothing"))),
            Err(error) => Err(Unfit::Value(error.to_string())),
        },
        _ => Err(Unfit::Type),
    },
};

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
