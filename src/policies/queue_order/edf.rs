//! Earliest deadline first; ties by submission, then number; jobs without a deadline last. Nobody overtakes
//! the first, nobody is stopped.

use super::JobFacts;
use crate::policies::Reason;
use crate::units::Duration;

pub(super) const REASON: Reason = Reason("earliest deadline");

/// Earliest first.
pub(super) fn key(facts: &JobFacts, _expected: Duration) -> u64 {
    facts.deadline.as_nanos()
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    /// The longer job has the nearer deadline: shortest first would miss it.
    #[test]
    fn the_nearest_deadline_is_first() {
        let mut jobs = [Job::new(0, 1, 10), Job::new(1, 1, 8), Job::new(2, 1, 3), Job::new(3, 1, 1)];
        (jobs[1].deadline, jobs[2].deadline) = (18, 40);
        assert_eq!(schedule(&QueueOrder::Edf, 1, &jobs).starts, [0, 10, 18, 21]);
        assert_eq!(
            schedule(&QueueOrder::Sjf(crate::policies::queue_order::Durations::True), 1, &jobs).starts,
            [0, 14, 11, 10]
        );
    }
}
