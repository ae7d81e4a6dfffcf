//! `[scheduler]` and `[job_trace]`.

use crate::jobs::JobTraceFormat;
use crate::policies::placement::PlacementKind;
use crate::policies::queue_order::Objective;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::raw::Surroundings;
use crate::scenario::raw::developers::{RawHold, hold};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::units::Duration;

/// Which waiting job is next, and where it goes.
#[derive(Debug, Default)]
pub struct RawScheduler {
    pub order: RawOrder,
    pub placement: PlacementKind,
    pub reservations: Vec<RawHold>,
}

/// A queue order with its settings; users and queues by name.
#[derive(Debug, Default)]
pub enum RawOrder {
    #[default]
    Fifo,
    Priority,
    Sjf(RawDurations),
    Srtf(RawDurations),
    Edf,
    Easy,
    Conservative,
    Las {
        thresholds: Vec<Duration>,
        starvation: Option<f64>,
    },
    FairShare {
        half_life: Option<Duration>,
        shares: Vec<(Sited<String>, f64)>,
    },
    Drf {
        shares: Vec<(Sited<String>, f64)>,
    },
    Quota(Vec<(Sited<String>, u64, Option<u64>)>),
    Gittins {
        thresholds: Vec<Duration>,
        starvation: Option<f64>,
    },
    Rounds {
        objective: Objective,
        round: Duration,
        reallocate: Duration,
        shares: Vec<(Sited<String>, f64)>,
    },
    /// In turns of so long.
    Turns(Box<RawOrder>, Duration),
}

/// What `sjf` and `srtf` know of durations.
#[derive(Debug, Clone, Copy)]
pub enum RawDurations {
    True,
    Estimates,
    /// With the standard deviation of the logarithm of the error.
    Noisy(f64),
    Predicted,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain(fn() -> RawOrder),
    Fifo,
    Shortest(fn(RawDurations) -> RawOrder),
    Las,
    Gittins,
    FairShare,
    Drf,
    Quota,
    Rounds(Objective),
}

const KINDS: [(&str, Kind); 16] = [
    ("fifo", Kind::Fifo),
    ("priority", Kind::Plain(|| RawOrder::Priority)),
    ("sjf", Kind::Shortest(RawOrder::Sjf)),
    ("srtf", Kind::Shortest(RawOrder::Srtf)),
    ("edf", Kind::Plain(|| RawOrder::Edf)),
    ("easy-backfill", Kind::Plain(|| RawOrder::Easy)),
    ("conservative-backfill", Kind::Plain(|| RawOrder::Conservative)),
    ("las", Kind::Las),
    ("gittins", Kind::Gittins),
    ("fair-share", Kind::FairShare),
    ("drf", Kind::Drf),
    ("quota", Kind::Quota),
    ("max-min", Kind::Rounds(Objective::MaxMin { aware: true })),
    ("finish-time-fairness", Kind::Rounds(Objective::FinishTime)),
    ("min-makespan", Kind::Rounds(Objective::Makespan)),
    ("cost", Kind::Rounds(Objective::Cost)),
];

/// Reads `[scheduler]`.
pub fn read(t: &mut TableReader<'_>) -> Option<RawScheduler> {
    let kind = t.choice("policy", &KINDS, &[], Some("fifo"), "The order of the queue.");
    let doc =
        "Which node of a pool a claim gets; under `cheapest` and `fastest` also which of a job's pools.";
    let placement = t.choice("placement", &PlacementKind::ALL, &[], Some("first-fit"), doc);
    if t.is_describing() {
        let shortest = Kind::Shortest(RawOrder::Sjf);
        let max_min = Kind::Rounds(Objective::MaxMin { aware: true });
        for kind in [Kind::Fifo, shortest, Kind::Las, Kind::FairShare, Kind::Quota, max_min] {
            settings(t, kind);
        }
        turns(t);
        reservations(t);
        return None;
    }
    let kind = *kind?;
    let mut order = settings(t, kind)?;
    let strict = matches!(order, RawOrder::Fifo | RawOrder::Priority | RawOrder::Sjf(_) | RawOrder::Edf);
    if let Some(quantum) = strict.then(|| turns(t)).flatten() {
        order = RawOrder::Turns(Box::new(order), quantum);
    }
    let reservations = reservations(t);
    Some(RawScheduler { order, placement: *placement?, reservations })
}

fn turns(t: &mut TableReader<'_>) -> Option<Duration> {
    let doc = "Under `fifo`, `priority`, `sjf` and `edf`: while the first does not fit, jobs that have had their cards \
               for so long give way and wait again behind those of their rank; they keep their cards when absent.";
    t.optional("quantum", &kinds::POSITIVE_TIME, doc).map(|quantum| *quantum)
}

fn reservations(t: &mut TableReader<'_>) -> Vec<RawHold> {
    let doc = "The calendar: nodes that are held for some users or queues from one time to another. Others do not \
               start on them when their estimate reaches into that time.";
    t.tables("reservations", "reservation", doc, hold)
}

fn settings(t: &mut TableReader<'_>, kind: Kind) -> Option<RawOrder> {
    Some(match kind {
        Kind::Plain(order) => order(),
        Kind::Fifo => {
            let choices = [("preferred", false), ("fastest", true)];
            let doc = "Under `fifo`: which of its pools a job gets: the first in its order of preference that has \
                       room, for good; or the fastest that has room, chosen anew in rounds, as Gavel does.";
            let fastest = t.choice("accelerators", &choices, &[], Some("preferred"), doc);
            if !*fastest? {
                return Some(RawOrder::Fifo);
            }
            rounds(t, Objective::Fifo { fastest: true })?
        }
        Kind::Shortest(order) => {
            let choices = [("true", 0), ("estimates", 1), ("noisy", 2), ("predicted", 3)];
            let doc = "Under `sjf` and `srtf`: the durations that they go by: true; the users' `estimate`; true ones \
                       times a random factor; or predicted from the user's last two jobs.";
            let which = t.choice("durations", &choices, &[], Some("true"), doc);
            let sigma = if t.is_describing() || which.as_ref().is_some_and(|which| **which == 2) {
                let doc = "With `durations = \"noisy\"`: the standard deviation of the factor's logarithm.";
                t.or("noise", &kinds::POSITIVE, "0.5", doc).map(|sigma| *sigma)
            } else {
                None
            };
            let durations = match *which? {
                0 => RawDurations::True,
                1 => RawDurations::Estimates,
                2 => RawDurations::Noisy(sigma?),
                _ => RawDurations::Predicted,
            };
            order(durations)
        }
        Kind::Las => {
            let (thresholds, starvation) = levels(t, true)?;
            RawOrder::Las { thresholds, starvation }
        }
        Kind::Gittins => {
            let (thresholds, starvation) = levels(t, false)?;
            RawOrder::Gittins { thresholds, starvation }
        }
        Kind::Rounds(objective) => rounds(t, objective)?,
        Kind::FairShare => {
            let doc = "Under `fair-share`: time after which use counts half; it never fades when absent.";
            let half_life = t.optional("half_life", &kinds::POSITIVE_TIME, doc);
            RawOrder::FairShare { half_life: half_life.map(|time| *time), shares: shares(t) }
        }
        Kind::Drf => RawOrder::Drf { shares: shares(t) },
        Kind::Quota => {
            let quotas = t.tables("quotas", "quota", "Under `quota`: what each queue is entitled to.", |t| {
                let queue = t.required("queue", &kinds::REFERENCE, "The queue.");
                let cards = t.required("cards", &kinds::COUNT, "Cards that it is entitled to.");
                let doc = "Cards that it may use beyond; no limit when absent.";
                let borrow = t.optional("borrow", &kinds::NOT_NEGATIVE, doc);
                Some((queue?, u64::from(*cards?), borrow.map(|cards| *cards as u64)))
            });
            if quotas.is_empty() && !t.has("quotas") && !t.is_describing() {
                let problem = Problem::error(t.place_of("policy"), "`quota` needs the quotas of the queues");
                t.problem(problem.help("add [[scheduler.quotas]] with queue = \"research\" and cards = 64"));
                return None;
            }
            RawOrder::Quota(quotas)
        }
    })
}

/// The levels of `las` and `gittins`.
fn levels(t: &mut TableReader<'_>, required: bool) -> Option<(Vec<Duration>, Option<f64>)> {
    let doc = "Under `las` and `gittins`: card-time at which a job sinks a level, ascending, as in [\"1h\", \
               \"10h\"]; the tenths of all jobs' card-time under `gittins` when absent.";
    let required = required && !t.is_describing();
    let thresholds = t.list("thresholds", &kinds::POSITIVE_TIME, required, doc);
    let doc = "Under `las` and `gittins`: a stopped job that has waited so many times as long as it ran goes back \
               to the first level; never when absent.";
    let starvation = t.optional("starvation", &kinds::POSITIVE, doc);
    let thresholds = thresholds?;
    if let Some(wrong) = thresholds.windows(2).find(|pair| *pair[0] >= *pair[1]) {
        let problem = Problem::error(wrong[1].place, "the thresholds do not ascend");
        t.problem(problem.help("each must be longer than the one before"));
        return None;
    }
    let thresholds = thresholds.into_iter().map(|threshold| threshold.value).collect();
    Some((thresholds, starvation.map(|times| *times)))
}

/// The settings of the orders that go by rounds.
fn rounds(t: &mut TableReader<'_>, objective: Objective) -> Option<RawOrder> {
    let doc = "Under `max-min`, `finish-time-fairness`, `min-makespan`, `cost`, and `fifo` on the fastest \
               accelerator: how long a round lasts.";
    let round = t.or("round", &kinds::POSITIVE_TIME, "\"6m\"", doc);
    let doc = "Under the same: the shortest time between two allocations.";
    let reallocate = t.or("reallocate", &kinds::TIME, "\"32m\"", doc);
    let max_min = matches!(objective, Objective::MaxMin { .. });
    let aware = if max_min {
        let choices = [("aware", true), ("agnostic", false)];
        let doc = "Under `max-min`: whether it counts how fast jobs are on each pool, or shares time alone.";
        *t.choice("heterogeneity", &choices, &[], Some("aware"), doc)?
    } else {
        true
    };
    let objective = if max_min { Objective::MaxMin { aware } } else { objective };
    // What describes has told the shares before.
    let shares = if t.is_describing() { Vec::new() } else { shares(t) };
    Some(RawOrder::Rounds { objective, round: *round?, reallocate: *reallocate?, shares })
}

fn shares(t: &mut TableReader<'_>) -> Vec<(Sited<String>, f64)> {
    let doc = "Under `fair-share`, `drf` and in rounds: users with other shares than 1.";
    t.tables("shares", "share", doc, |t| {
        let user = t.required("user", &kinds::REFERENCE, "The user.");
        let weight = t.required("weight", &kinds::POSITIVE, "The share, against 1 of the others.");
        Some((user?, *weight?))
    })
}

/// Recorded jobs.
#[derive(Debug)]
pub struct RawJobTrace {
    pub file: Sited<String>,
    pub path: std::path::PathBuf,
    pub format: JobTraceFormat,
    pub pools: Vec<Sited<String>>,
    pub queues: Vec<String>,
    /// Gavel's table of throughputs.
    pub throughputs: Option<std::path::PathBuf>,
    pub skip_bad_rows: bool,
}

/// Reads `[job_trace]`.
pub fn job_trace(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawJobTrace> {
    t.table("job_trace", "Recorded jobs, beside those of [[jobs]].", |t| {
        let file = t.required("file", &kinds::PATH, "The trace, plain or gzip.");
        let format = t.choice("format", &JobTraceFormat::ALL, &[], Some("csv"), "The form of the file.");
        let doc = "The table of throughputs (JSON) of Gavel's own traces, with `format = \"gavel\"`.";
        let throughputs = t.optional("throughputs", &kinds::PATH, doc);
        let throughputs = throughputs.map(|file| {
            let path = around.path(&file);
            t.file_exists(&file, &path, &[]);
            t.absolute("throughputs", &path);
            path
        });
        let doc = "Where the jobs may run, in order of preference; every pool when absent.";
        let pools = t.list("pools", &kinds::REFERENCE, false, doc);
        let doc = "Only the jobs of these queues (of virtual clusters, in Philly and Helios).";
        let queues = t.list("queues", &kinds::TEXT, false, doc);
        let choices = [("refuse", false), ("skip", true)];
        let doc = "What to do about rows that cannot be used.";
        let bad_rows = t.choice("bad_rows", &choices, &[], Some("refuse"), doc);
        let file = file?;
        let path = around.path(&file);
        t.file_exists(&file, &path, &[]);
        t.absolute("file", &path);
        Some(RawJobTrace {
            path,
            format: *format?,
            pools: pools?,
            queues: queues?.into_iter().map(|queue| queue.value).collect(),
            throughputs,
            skip_bad_rows: *bad_rows?,
            file,
        })
    })
}
