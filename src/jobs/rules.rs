//! What holds for all jobs of a run.

use super::developers::Developers;
use crate::fleet::PoolId;
use crate::units::Instant;

/// What holds for all jobs of a run, beside the order of the queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobRules {
    /// Nodes that are held for some from one time to another.
    pub calendar: Vec<Hold>,
    /// People whose sessions come beside the jobs.
    pub developers: Vec<Developers>,
    /// Rows of the trace that were left out.
    pub rows_left_out: u64,
}

/// An entry of the calendar: nodes of a pool, those with the highest numbers, that only some may use from one time
/// to another. Others do not start on them when their estimate reaches into that time; those for whom they are
/// held start there in order of submission, whatever the order of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its name in the scenario.
    pub name: String,
    /// The pool.
    pub pool: PoolId,
    /// How many nodes.
    pub nodes: u32,
    /// From when.
    pub from: Instant,
    /// Until when; later than `from`.
    pub to: Instant,
    /// For whose jobs.
    pub users: Vec<String>,
    /// For the jobs of which queues.
    pub queues: Vec<String>,
}

impl Hold {
    /// Whether it is for a job of this user in this queue.
    pub fn is_for(&self, user: &str, queue: &str) -> bool {
        self.users.iter().any(|other| other == user) || self.queues.iter().any(|other| other == queue)
    }

    /// Whether what runs from one time to another is in its way.
    pub fn meets(&self, from: Instant, to: Instant) -> bool {
        from < self.to && to > self.from
    }
}
