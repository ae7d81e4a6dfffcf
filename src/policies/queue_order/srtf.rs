//! Shortest remaining time first, by expected durations (`expect.rs`: the true ones unless the scenario says
//! otherwise): a waiting job with strictly less left to do than running ones takes their
//! cards, from the one with most left down, as many as it needs; they keep what they have done. Ties among the
//! waiting by submission, then number; equal remaining times preempt nobody. Nobody overtakes the first, so
//! the order keeps every card at work only while jobs of one card wait.

use std::collections::{BTreeMap, BTreeSet};

use super::expect::Expect;
use super::{Cluster, JobFacts, Order, Step};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// The order's indices. What is left of a running job is its end less now, as if it ran on its first pool, so ends
/// order the running.
#[derive(Debug)]
pub(super) struct Srtf {
    expect: Expect,
    /// How long each job that waits or runs was expected to take at its submission, when that is not the truth.
    expected: BTreeMap<u32, Duration>,
    waiting: BTreeSet<(Duration, Instant, u32)>,
    running: BTreeSet<(Instant, u32)>,
    /// What is left of each job that waits, or its end while it runs.
    left: Vec<u64>,
    /// The first, when it was refused and nothing has come free since; and whether preemption was tried too.
    blocked: Option<(u32, bool)>,
}

impl Srtf {
    pub(super) fn new(expect: Expect) -> Self {
        Self {
            expect,
            expected: BTreeMap::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            left: Vec::new(),
            blocked: None,
        }
    }

    fn wait(&mut self, job: u32, facts: &JobFacts, left: Duration) {
        if self.left.len() <= job as usize {
            self.left.resize(job as usize + 1, 0);
        }
        self.left[job as usize] = left.as_nanos();
        self.waiting.insert((left, facts.submit, job));
    }

    /// What should be left of a job of which so much is left; nothing when it takes longer than expected.
    fn expected_left(&self, job: u32, facts: &JobFacts, left: Duration) -> Duration {
        let expected = self.expected.get(&job);
        expected.map_or(left, |expected| expected.saturating_sub(facts.duration.saturating_sub(left)))
    }
}

impl Order for Srtf {
    fn submitted(&mut self, _now: Instant, job: u32, facts: &JobFacts) {
        let expected = self.expect.of(facts);
        if !self.expect.is_true() {
            self.expected.insert(job, expected);
        }
        self.wait(job, facts, expected);
    }

    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        let left = Duration::from_nanos(self.left[job as usize]);
        self.waiting.remove(&(left, facts.submit, job));
        // By what is left on its first pool, as for those that wait: by its own end a job on a slow pool, or one
        // that restores its state first, would be stopped for another and go before it again, without an end.
        let end = now.saturating_add(left);
        self.running.insert((end, job));
        self.left[job as usize] = end.as_nanos();
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, left: Duration) {
        self.running.remove(&(Instant::from_nanos(self.left[job as usize]), job));
        self.freed(now);
        let left = self.expected_left(job, facts, left);
        self.wait(job, facts, left);
    }

    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.running.remove(&(Instant::from_nanos(self.left[job as usize]), job));
        self.expected.remove(&job);
        self.expect.ended(facts);
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.blocked = None;
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        self.blocked = Some((job, false));
    }

    fn keeps_ends(&self) -> bool {
        true
    }

    fn end(&self, job: u32) -> Instant {
        Instant::from_nanos(self.left[job as usize])
    }

    fn next(&mut self, now: Instant, _facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason) {
        let Some((left, _, job)) = self.waiting.first().copied() else {
            return (Step::Wait, Reason("nothing waits"));
        };
        match self.blocked {
            Some((blocked, true)) if blocked == job => (Step::Wait, Reason("the first does not fit")),
            Some((blocked, false)) if blocked == job => {
                self.blocked = Some((job, true));
                let longer = self.running.iter().rev().take_while(|(end, _)| *end > now + left);
                match cluster.victims(job, now + left, &mut longer.map(|(_, job)| *job)) {
                    Some(victims) if !victims.is_empty() => {
                        (Step::Stop(victims), Reason("more left to do than the first in the queue"))
                    }
                    _ => (Step::Wait, Reason("the first does not fit")),
                }
            }
            _ => (Step::Start(job), Reason("least left to do")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::testing::{Job, schedule};
    use crate::policies::queue_order::{Durations, QueueOrder};

    /// The textbook example: arrivals at 0, 1, 2, 3 with bursts 8, 4, 9, 5 end at 17, 5, 26 and 10.
    #[test]
    fn the_textbook_example() {
        let jobs = [Job::new(0, 1, 8), Job::new(1, 1, 4), Job::new(2, 1, 9), Job::new(3, 1, 5)];
        let srtf = schedule(&QueueOrder::Srtf(Durations::True), 1, &jobs);
        assert_eq!((srtf.ends, srtf.stops), (vec![17, 5, 26, 10], 1));
        assert_eq!(schedule(&QueueOrder::Sjf(Durations::True), 1, &jobs).ends, [8, 12, 26, 17]);
    }

    /// A chain: each shorter job stops the one before it, and they resume in the reverse order.
    #[test]
    fn a_chain_of_preemptions() {
        let jobs = [Job::new(0, 1, 20), Job::new(2, 1, 10), Job::new(4, 1, 4), Job::new(5, 1, 1)];
        let srtf = schedule(&QueueOrder::Srtf(Durations::True), 1, &jobs);
        assert_eq!((srtf.ends, srtf.stops), (vec![35, 17, 9, 6], 3));
    }

    /// Only those give way that are needed: a gang of three stops the two that make room, not the third.
    #[test]
    fn as_few_as_needed_are_stopped() {
        let jobs = [Job::new(0, 2, 50), Job::new(0, 1, 40), Job::new(0, 1, 30), Job::new(1, 3, 5)];
        let srtf = schedule(&QueueOrder::Srtf(Durations::True), 4, &jobs);
        assert_eq!((srtf.ends, srtf.stops), (vec![55, 45, 30, 6], 2));
    }

    /// Half of its 20 are left at 10 in truth, but its user said 11: it does not give way to the job of 4.
    #[test]
    fn who_should_be_done_soon_is_left_alone() {
        let mut jobs = [Job::new(0, 1, 20), Job::new(10, 1, 4)];
        jobs[0].estimate = 11;
        assert_eq!(schedule(&QueueOrder::Srtf(Durations::True), 1, &jobs).ends, [24, 14]);
        assert_eq!(schedule(&QueueOrder::Srtf(Durations::Estimates), 1, &jobs).ends, [20, 24]);
    }
}
