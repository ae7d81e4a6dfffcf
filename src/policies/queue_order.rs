//! Queue orders: which waiting job is next.

use std::collections::VecDeque;

use super::{Policy, Reason};
use crate::units::Instant;

/// The queue orders that a scenario can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueOrder {
    /// In order of submission; nobody overtakes the first, even when it waits for cards that others would
    /// not need.
    #[default]
    Fifo,
}

impl QueueOrder {
    /// All queue orders, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 1] = [("fifo", Self::Fifo)];
}

impl Policy for QueueOrder {
    /// Waiting jobs, in order of submission.
    type Observation<'a> = &'a VecDeque<u32>;
    /// The place in the queue of the job that is to start next.
    type Decision = Option<usize>;

    fn decide(&mut self, _now: Instant, queue: &&VecDeque<u32>) -> (Option<usize>, Reason) {
        match self {
            Self::Fifo => ((!queue.is_empty()).then_some(0), Reason("first in the queue")),
        }
    }
}
