//! What a job is made of.

use crate::fleet::PoolId;
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
}
