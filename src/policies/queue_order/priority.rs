//! Priority: the highest first; ties by submission, then number. Nobody overtakes the first, nobody is stopped.

use super::JobFacts;
use crate::policies::Reason;
use crate::units::Duration;

pub(super) const REASON: Reason = Reason("highest priority");

/// Highest first.
pub(super) fn key(facts: &JobFacts, _expected: Duration) -> u64 {
    (i64::from(i32::MAX) - i64::from(facts.priority)) as u64
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    #[test]
    fn the_highest_is_first_among_the_waiting() {
        let mut jobs = [Job::new(0, 1, 10), Job::new(1, 1, 5), Job::new(2, 1, 5), Job::new(3, 1, 5)];
        (jobs[1].priority, jobs[2].priority, jobs[3].priority) = (-1, 7, 7);
        assert_eq!(schedule(&QueueOrder::Priority, 1, &jobs).starts, [0, 20, 10, 15]);
        assert_eq!(schedule(&QueueOrder::Fifo, 1, &jobs).starts, [0, 10, 15, 20]);
    }
}
