//! `[scheduler]` and `[job_trace]`.

use crate::jobs::JobTraceFormat;
use crate::policies::placement::PlacementKind;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::raw::Surroundings;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::units::Duration;

/// Which waiting job is next, and where it goes.
#[derive(Debug, Default)]
pub struct RawScheduler {
    pub order: RawOrder,
    pub placement: PlacementKind,
}

/// A queue order with its settings; users and queues by name.
#[derive(Debug, Default)]
pub enum RawOrder {
    #[default]
    Fifo,
    Priority,
    Sjf,
    Srtf,
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
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Plain(fn() -> RawOrder),
    Las,
    FairShare,
    Drf,
    Quota,
}

const KINDS: [(&str, Kind); 11] = [
    ("fifo", Kind::Plain(|| RawOrder::Fifo)),
    ("priority", Kind::Plain(|| RawOrder::Priority)),
    ("sjf", Kind::Plain(|| RawOrder::Sjf)),
    ("srtf", Kind::Plain(|| RawOrder::Srtf)),
    ("edf", Kind::Plain(|| RawOrder::Edf)),
    ("easy-backfill", Kind::Plain(|| RawOrder::Easy)),
    ("conservative-backfill", Kind::Plain(|| RawOrder::Conservative)),
    ("las", Kind::Las),
    ("fair-share", Kind::FairShare),
    ("drf", Kind::Drf),
    ("quota", Kind::Quota),
];

/// Reads `[scheduler]`.
pub fn read(t: &mut TableReader<'_>) -> Option<RawScheduler> {
    let later = ["gittins", "max-min", "finish-time-fairness", "min-makespan", "cost"];
    let kind = t.choice("policy", &KINDS, &later, Some("fifo"), "The order of the queue.");
    let later = ["dot-product", "gpu-clustering", "gpu-packing", "fgd", "topology", "cheapest", "fastest"];
    let doc = "Which node of a pool a claim gets.";
    let placement = t.choice("placement", &PlacementKind::ALL, &later, Some("first-fit"), doc);
    if t.is_describing() {
        for kind in [Kind::Las, Kind::FairShare, Kind::Quota] {
            settings(t, kind);
        }
        return None;
    }
    let order = settings(t, *kind?)?;
    Some(RawScheduler { order, placement: *placement? })
}

fn settings(t: &mut TableReader<'_>, kind: Kind) -> Option<RawOrder> {
    Some(match kind {
        Kind::Plain(order) => order(),
        Kind::Las => {
            let doc =
                "Under `las`: card-time at which a job sinks a level, ascending, as in [\"1h\", \"10h\"].";
            let thresholds = t.list("thresholds", &kinds::POSITIVE_TIME, !t.is_describing(), doc);
            let doc = "Under `las`: a stopped job that has waited so many times as long as it ran goes back to \
                       the first level; never when absent.";
            let starvation = t.optional("starvation", &kinds::POSITIVE, doc);
            let thresholds = thresholds?;
            if let Some(wrong) = thresholds.windows(2).find(|pair| *pair[0] >= *pair[1]) {
                let problem = Problem::error(wrong[1].place, "the thresholds do not ascend");
                t.problem(problem.help("each must be longer than the one before"));
                return None;
            }
            RawOrder::Las {
                thresholds: thresholds.into_iter().map(|threshold| threshold.value).collect(),
                starvation: starvation.map(|times| *times),
            }
        }
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

fn shares(t: &mut TableReader<'_>) -> Vec<(Sited<String>, f64)> {
    let doc = "Under `fair-share` and `drf`: users with other shares than 1.";
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
    pub skip_bad_rows: bool,
}

/// Reads `[job_trace]`.
pub fn job_trace(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawJobTrace> {
    t.table("job_trace", "Recorded jobs, beside those of [[jobs]].", |t| {
        let file = t.required("file", &kinds::PATH, "The trace, plain or gzip.");
        let later = ["openb", "gavel", "slurm", "kubernetes", "alibaba-2020"];
        let format = t.choice("format", &JobTraceFormat::ALL, &later, Some("csv"), "The form of the file.");
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
            skip_bad_rows: *bad_rows?,
            file,
        })
    })
}
