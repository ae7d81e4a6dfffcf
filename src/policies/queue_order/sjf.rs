//! Shortest job first, by the expected duration (`expect.rs`: the true one unless the scenario says otherwise);
//! ties by submission, then number. Nobody overtakes the first, and a running job is never stopped.

use super::JobFacts;
use crate::policies::Reason;
use crate::units::Duration;

pub(super) const REASON: Reason = Reason("shortest job");

/// Shortest first.
pub(super) fn key(_facts: &JobFacts, expected: Duration) -> u64 {
    expected.as_nanos()
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::testing::{Job, schedule};
    use crate::policies::queue_order::{Durations, QueueOrder};

    /// The textbook example: bursts of 6, 8, 7 and 3 that are all there at the beginning wait 3, 16, 9 and 0,
    /// on average 7; first come, first served 10.25.
    #[test]
    fn the_textbook_example() {
        let jobs = [Job::new(0, 1, 6), Job::new(0, 1, 8), Job::new(0, 1, 7), Job::new(0, 1, 3)];
        assert_eq!(schedule(&QueueOrder::Sjf(Durations::True), 1, &jobs).starts, [3, 16, 9, 0]);
        assert_eq!(schedule(&QueueOrder::Fifo, 1, &jobs).starts, [0, 6, 14, 21]);
    }

    /// The user says 9 of the job of 2: it goes behind the job of 5.
    #[test]
    fn estimates_decide_when_asked() {
        let mut jobs = [Job::new(0, 1, 1), Job::new(0, 1, 5), Job::new(0, 1, 2)];
        jobs[2].estimate = 9;
        assert_eq!(schedule(&QueueOrder::Sjf(Durations::True), 1, &jobs).starts, [0, 3, 1]);
        assert_eq!(schedule(&QueueOrder::Sjf(Durations::Estimates), 1, &jobs).starts, [0, 1, 6]);
    }

    /// User 1's jobs took 8 and 2 when its third comes: 5 are expected of it. User 2's took 4, and so it goes
    /// first, though it is the longer one.
    #[test]
    fn the_last_two_jobs_predict_the_next() {
        let of = |submit, duration, user| Job { user, ..Job::new(submit, 1, duration) };
        let jobs = [of(0, 8, 1), of(0, 2, 1), of(0, 4, 2), of(13, 9, 3), of(20, 3, 1), of(21, 6, 2)];
        let sjf = |durations| schedule(&QueueOrder::Sjf(durations), 1, &jobs).starts;
        assert_eq!(sjf(Durations::True)[4..], [23, 26]);
        assert_eq!(sjf(Durations::Predicted)[4..], [29, 23]);
    }

    /// Without noise the truth; with much of it another order, and the same for the same seed.
    #[test]
    fn noise_is_drawn_once() {
        let jobs: Vec<Job> = (0..10).map(|number| Job::new(0, 1, 10 + number)).collect();
        let noisy = |sigma| schedule(&QueueOrder::Sjf(Durations::Noisy { sigma }), 1, &jobs).starts;
        let exact = schedule(&QueueOrder::Sjf(Durations::True), 1, &jobs).starts;
        assert_eq!(noisy(0.0), exact);
        assert_eq!(noisy(2.0), noisy(2.0));
        assert_ne!(noisy(2.0), exact);
    }
}
