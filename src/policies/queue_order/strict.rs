//! The orders that go by a fixed key and let nobody overtake the first.

use std::collections::BTreeSet;

use super::{Cluster, JobFacts, Order, Step};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// Waiting jobs by (key, submission, number); the first is tried, and while it does not fit all wait.
#[derive(Debug)]
pub(super) struct Strict {
    key: fn(&JobFacts) -> u64,
    reason: Reason,
    waiting: BTreeSet<(u64, Instant, u32)>,
    /// The first job, when it was refused and nothing has come free since.
    blocked: Option<u32>,
}

impl Strict {
    pub(super) fn new(key: fn(&JobFacts) -> u64, reason: Reason) -> Self {
        Self { key, reason, waiting: BTreeSet::new(), blocked: None }
    }
}

impl Order for Strict {
    fn submitted(&mut self, _now: Instant, job: u32, facts: &JobFacts) {
        self.waiting.insert(((self.key)(facts), facts.submit, job));
    }

    fn started(&mut self, _now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        self.waiting.remove(&((self.key)(facts), facts.submit, job));
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        self.submitted(now, job, facts);
        self.freed(now);
    }

    fn finished(&mut self, now: Instant, _job: u32, _facts: &JobFacts) {
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.blocked = None;
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        self.blocked = Some(job);
    }

    fn next(&mut self, _now: Instant, _facts: &[JobFacts], _cluster: &mut dyn Cluster) -> (Step, Reason) {
        match self.waiting.first() {
            None => (Step::Wait, Reason("nothing waits")),
            Some((_, _, job)) if self.blocked == Some(*job) => (Step::Wait, Reason("the first does not fit")),
            Some((_, _, job)) => (Step::Start(*job), self.reason),
        }
    }
}
