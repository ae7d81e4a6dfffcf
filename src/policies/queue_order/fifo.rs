//! First in, first out: by time of submission, then by number in the input. Nobody overtakes the first.

use super::JobFacts;
use crate::policies::Reason;
use crate::units::Duration;

pub(super) const REASON: Reason = Reason("first in the queue");

/// All alike: submission decides.
pub(super) fn key(_: &JobFacts, _expected: Duration) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    /// The job of one card would fit at once, but it does not overtake the one that waits for two.
    #[test]
    fn nobody_overtakes() {
        let jobs = [Job::new(0, 1, 10), Job::new(1, 2, 5), Job::new(2, 1, 3)];
        assert_eq!(schedule(&QueueOrder::Fifo, 2, &jobs).starts, [0, 10, 15]);
    }
}
