//! What a job is made of.

use crate::fleet::PoolId;
use crate::perf::{LinkLoad, OnLinks};
use crate::policies::placement::Needs;
use crate::units::{Duration, Flop, Instant};

/// A gang of cards that works for a time.
#[derive(Debug, Clone, PartialEq)]
pub struct JobConfig {
    /// Its name in the scenario.
    pub name: String,
    /// Who submitted it; empty when the scenario does not say.
    pub user: String,
    /// The queue; empty when the scenario does not say.
    pub queue: String,
    /// When it is submitted.
    pub submit: Instant,
    /// Cards wanted, all at once and all in one pool.
    pub cards: u32,
    /// Where it may run, in order of preference; at least one.
    pub options: Vec<JobOption>,
    /// What its user says about it, for the orders that ask.
    pub terms: JobTerms,
    /// What most jobs have not.
    pub extra: JobExtra,
    /// What it needs beside whole cards.
    pub needs: Needs,
}

/// What most jobs have not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobExtra {
    /// How it saves its state. Without, it keeps what it has done when it is stopped, at no cost, and loses
    /// all of it with its cards.
    pub checkpoint: Option<Checkpoint>,
    /// It is ended when it has held its cards for so long.
    pub limit: Option<Duration>,
    /// It gives its cards up within this time when serving lacks them; never when absent.
    pub yields_within: Option<Duration>,
    /// Jobs, by number, that must have ended, however, before it may start.
    pub after: Vec<u32>,
}

/// How a job saves its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// How long it takes to write a checkpoint, on the cards: when it is stopped, and in between.
    pub write: Duration,
    /// How long it takes to read one, when it starts again.
    pub restore: Duration,
    /// Work between two checkpoints; none in between when absent.
    pub every: Option<Duration>,
}

impl Checkpoint {
    /// The work between two checkpoints that costs least under exponential failures, after Daly (Future
    /// Generation Computer Systems 22, 2006, equation 37), for a mean time between failures of the job.
    pub fn daly(write: Duration, mtbf: Duration) -> Duration {
        let (write, mtbf) = (write.as_secs_f64(), mtbf.as_secs_f64());
        if write >= 2.0 * mtbf {
            return Duration::from_secs_f64(mtbf);
        }
        let half = write / (2.0 * mtbf);
        let work = (2.0 * write * mtbf).sqrt() * (1.0 + half.sqrt() / 3.0 + half / 9.0) - write;
        Duration::from_secs_f64(work).max(Duration::from_nanos(1))
    }

    /// The same to first order, after Young (Communications of the ACM 17, 1974).
    pub fn young(write: Duration, mtbf: Duration) -> Duration {
        let work = (2.0 * write.as_secs_f64() * mtbf.as_secs_f64()).sqrt();
        Duration::from_secs_f64(work).max(Duration::from_nanos(1))
    }
}

/// What a user says about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobTerms {
    /// Higher goes first under `priority`.
    pub priority: i32,
    /// How long the user says that it takes; the true duration when absent.
    pub estimate: Option<Duration>,
    /// When it should be done.
    pub deadline: Option<Instant>,
}

/// One pool on which a job may run.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOption {
    /// The pool.
    pub pool: PoolId,
    /// How long it takes there.
    pub duration: Duration,
    /// FLOP that it does in that time.
    pub flop: Flop,
    /// How the duration came about, in words.
    pub label: String,
    /// What a step sends over links; empty where that is not known, or nothing.
    pub loads: Vec<LinkLoad>,
    /// Steps in its duration; 0 where they are not known.
    pub steps: f64,
    /// How long it takes with a share of its nodes' network, where it lies over several nodes and their links may be
    /// shared.
    pub on_links: Option<OnLinks<Duration>>,
}
