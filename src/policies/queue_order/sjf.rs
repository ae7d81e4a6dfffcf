//! Shortest job first, by true duration; ties by submission, then number. Nobody overtakes the first, and a
//! running job is never stopped.

use super::JobFacts;
use crate::policies::Reason;

pub(super) const REASON: Reason = Reason("shortest job");

/// Shortest first.
pub(super) fn key(facts: &JobFacts) -> u64 {
    facts.duration.as_nanos()
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    /// The textbook example: bursts of 6, 8, 7 and 3 that are all there at the beginning wait 3, 16, 9 and 0,
    /// on average 7; first come, first served 10.25.
    #[test]
    fn the_textbook_example() {
        let jobs = [Job::new(0, 1, 6), Job::new(0, 1, 8), Job::new(0, 1, 7), Job::new(0, 1, 3)];
        assert_eq!(schedule(&QueueOrder::Sjf, 1, &jobs).starts, [3, 16, 9, 0]);
        assert_eq!(schedule(&QueueOrder::Fifo, 1, &jobs).starts, [0, 6, 14, 21]);
    }
}
