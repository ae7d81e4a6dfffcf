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
