//! Queue orders: which waiting job starts next, and which running one gives way.
//!
//! One rule a file, each with its tie rule. A rule is told what happens to jobs, keeps its own ordered
//! indices, and answers with one [`Step`] at a time; it never starts or stops anything. No rule looks at
//! every waiting job or every node for one decision.

mod classes;
mod conservative;
mod drf;
mod easy;
mod edf;
mod expect;
mod fair_share;
mod fifo;
mod gittins;
mod las;
mod priority;
mod profile;
mod quota;
mod rounds;
mod sjf;
mod srtf;
mod strict;
#[cfg(test)]
mod testing;

pub use drf::DrfConfig;
pub use expect::Durations;
pub use fair_share::FairShareConfig;
pub use las::LasConfig;
pub use quota::{Quota, QuotaConfig};
pub use rounds::{Objective, RoundsConfig};

use super::Reason;
use crate::sim::Seed;
use crate::units::{Duration, Instant, UsdPerHour};
use std::collections::BTreeMap;

/// The queue orders that a scenario can name, with their settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum QueueOrder {
    /// In order of submission; nobody overtakes the first, even when it waits for cards that others would
    /// not need.
    #[default]
    Fifo,
    /// The highest priority first; nobody overtakes the first.
    Priority,
    /// The shortest job first; nobody overtakes the first.
    Sjf(Durations),
    /// The shortest remaining time first, with preemption.
    Srtf(Durations),
    /// The earliest deadline first; nobody overtakes the first.
    Edf,
    /// In order of submission with a reservation for the first; others may overtake that do not delay it.
    Easy,
    /// In order of submission with a reservation for everybody.
    Conservative,
    /// Least attained service in levels, with preemption.
    Las(LasConfig),
    /// The highest Gittins index first, in levels, with preemption.
    Gittins(LasConfig),
    /// The user who used least of late, by share.
    FairShare(FairShareConfig),
    /// The user with the least dominant share.
    Drf(DrfConfig),
    /// Quotas by queue, with borrowing and reclaim.
    Quota(QuotaConfig),
    /// Rounds by an allocation of every pool's time.
    Rounds(RoundsConfig),
    /// One of the orders that let nobody overtake the first, with running jobs that give way after a quantum.
    Turns(Box<QueueOrder>, Duration),
}

/// What a queue order knows of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobFacts {
    /// When it is submitted.
    pub submit: Instant,
    /// How long it really takes, on its first pool.
    pub duration: Duration,
    /// How long its user says that it takes; backfilling goes by this.
    pub estimate: Duration,
    /// When it should be done; [`Instant::MAX`] when nobody said.
    pub deadline: Instant,
    /// Cards wanted.
    pub cards: u32,
    /// Which kind of needs beside whole cards it has, by number; 0 for none.
    pub needs: u32,
    /// Which list of pools it may run on; jobs with the same number have the same list.
    pub places: u32,
    /// Who submitted it, by number.
    pub user: u32,
    /// The queue, by number.
    pub queue: u32,
    /// Higher goes first where the order asks for it.
    pub priority: i32,
}

/// What a queue order knows of the fleet before the first event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetFacts {
    /// Cards of each pool.
    pub cards: Vec<u32>,
    /// The accelerator type of each pool, by number.
    pub types: Vec<u32>,
    /// The pools of each list of pools, in order of preference.
    pub places: Vec<Vec<u16>>,
    /// What an hour of one card of each pool costs.
    pub prices: Vec<UsdPerHour>,
    /// How long jobs take on each of their pools, of those that do not take the same everywhere.
    pub durations: BTreeMap<u32, Vec<Duration>>,
    /// What an order draws at random derives from this.
    pub seed: Seed,
}

impl FleetFacts {
    /// How long a job takes on one of its pools.
    pub fn duration(&self, job: u32, facts: &JobFacts, option: usize) -> Duration {
        let own = self.durations.get(&job).and_then(|durations| durations.get(option));
        own.copied().unwrap_or(facts.duration)
    }
}

/// A time from which a job fits, as far as estimates tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow {
    /// The time.
    pub at: Instant,
    /// The pool.
    pub pool: u16,
}

/// What keeps a waiting job, as far as its queue order knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Fewer cards are free than it wants.
    TooFew,
    /// What its last refusal, or its group's, was for.
    AsRefused,
    /// Free cards are reserved for jobs before it.
    Backfill,
    /// Its queue may use no more cards.
    Quota,
    /// Cards are given out at the next round.
    Round,
    /// Others go before it.
    Others,
}

/// Whom a [`Blame`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// One waiting job.
    Job(u32),
    /// All waiting jobs of a group, but for those that have a cause of their own.
    Group(u32),
}

/// What a queue order may ask about the fleet when it decides.
pub trait Cluster {
    /// Cards of a pool of which something is free.
    fn free(&self, pool: u16) -> u32;

    /// When a job would fit, if running jobs gave their cards back at the times given (ascending); the cards
    /// it would then get are held for it until the next call. `None` when it would not fit even then.
    fn reserve(&mut self, job: u32, releases: &mut dyn Iterator<Item = (Instant, u32)>) -> Option<Shadow>;

    /// Which of these running jobs to stop, preferring the first, so that a job fits; none that is not
    /// needed. `None` when it would not fit even without all of them. Where the order says when jobs should end
    /// ([`Order::end`]), the candidates are those that end after `beyond`, the last first.
    fn victims(
        &mut self,
        job: u32,
        beyond: Instant,
        candidates: &mut dyn Iterator<Item = u32>,
    ) -> Option<Vec<u32>>;
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start a waiting job if it fits; the order is told whether it did.
    Start(u32),
    /// Start a waiting job if it fits beside what [`Cluster::reserve`] holds.
    StartBeside(u32),
    /// Start a waiting job on one of its pools, by its place in their order of preference, if it fits there.
    StartOn(u32, u16),
    /// Stop running jobs; they wait again.
    Stop(Vec<u32>),
    /// Nothing until something happens.
    Wait,
}

/// A queue order at work.
pub trait Order: std::fmt::Debug {
    /// A job waits: it was just submitted.
    fn submitted(&mut self, now: Instant, job: u32, facts: &JobFacts);
    /// A waiting job runs from now on; `end` is when it would finish if nothing stops it.
    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, end: Instant);
    /// A running job was stopped and waits again, with so much left to do.
    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, left: Duration);
    /// A running job is done.
    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts);
    /// Cards came free, whoever held them: what was refused may be asked for again.
    fn freed(&mut self, now: Instant);
    /// The job of the last step does not fit.
    fn refused(&mut self, now: Instant, job: u32);
    /// What to do next, and why.
    fn next(&mut self, now: Instant, facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason);
    /// Why a waiting job that was not tried waits, in words; nothing when others are simply before it.
    fn why(&self, _job: u32, _facts: &JobFacts, _cluster: &dyn Cluster) -> Option<&'static str> {
        None
    }
    /// The group of jobs that a waiting job waits with, all for the same cause; none where each has its own.
    fn group(&self, _job: u32, _facts: &JobFacts) -> Option<u32> {
        None
    }
    /// True when one job has the turn at a time: whoever is refused has overtaken who was refused before.
    fn has_one_turn(&self) -> bool {
        true
    }
    /// What groups and single jobs wait for, once there is nothing more to do; what is not told stays as it is.
    fn blame(&mut self, _facts: &[JobFacts], _cluster: &dyn Cluster, _tell: &mut dyn FnMut(Whom, Blame)) {}
    /// True when it says when running jobs should end: those that end last then give way first, of several
    /// those of the highest numbers.
    fn keeps_ends(&self) -> bool {
        false
    }
    /// When a running job should end, as far as the order knows.
    fn end(&self, _job: u32) -> Instant {
        Instant::MAX
    }
    /// When to be asked again although nothing happened.
    fn wake(&self) -> Option<Instant> {
        None
    }
}

impl QueueOrder {
    /// The names that scenarios use.
    pub const NAMES: [&'static str; 16] = [
        "fifo",
        "priority",
        "sjf",
        "srtf",
        "edf",
        "easy-backfill",
        "conservative-backfill",
        "las",
        "gittins",
        "fair-share",
        "drf",
        "quota",
        "max-min",
        "finish-time-fairness",
        "min-makespan",
        "cost",
    ];

    /// The orders that let nobody overtake the first; others have no turns, and count as first in, first out.
    fn strict(&self, fleet: &FleetFacts) -> strict::Strict {
        let new = |key, reason, durations| {
            strict::Strict::new(key, reason, expect::Expect::new(durations, fleet.seed))
        };
        match self {
            Self::Priority => new(priority::key, priority::REASON, Durations::True),
            Self::Sjf(durations) => new(sjf::key, sjf::REASON, *durations),
            Self::Edf => new(edf::key, edf::REASON, Durations::True),
            Self::Turns(order, quantum) => order.strict(fleet).in_turns(*quantum),
            _ => new(fifo::key, fifo::REASON, Durations::True),
        }
    }

    /// The order at its beginning, for these jobs on this fleet.
    pub fn start(&self, facts: &[JobFacts], fleet: &FleetFacts) -> Box<dyn Order> {
        let expect = |durations| expect::Expect::new(durations, fleet.seed);
        match self {
            Self::Fifo | Self::Priority | Self::Sjf(_) | Self::Edf | Self::Turns(..) => {
                Box::new(self.strict(fleet))
            }
            Self::Srtf(durations) => Box::new(srtf::Srtf::new(expect(*durations))),
            Self::Easy => Box::new(easy::Easy::new(facts, fleet)),
            Self::Conservative => Box::new(conservative::Conservative::new(facts, fleet)),
            Self::Las(config) => Box::new(las::Las::new(config.clone())),
            Self::Gittins(config) => Box::new(gittins::order(config, facts)),
            Self::FairShare(config) => Box::new(fair_share::FairShare::new(config.clone())),
            Self::Drf(config) => Box::new(drf::Drf::new(config.clone(), fleet)),
            Self::Quota(config) => Box::new(quota::ByQuota::new(config.clone())),
            Self::Rounds(config) => Box::new(rounds::Rounds::new(config.clone(), fleet)),
        }
    }
}
