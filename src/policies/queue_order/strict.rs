//! The orders that go by a fixed key and let nobody overtake the first.

use std::collections::{BTreeMap, BTreeSet};

use super::expect::Expect;
use super::{Cluster, JobFacts, Order, Step};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// Waiting jobs by (key, submission, number); the first is tried, and while it does not fit all wait.
#[derive(Debug)]
pub(super) struct Strict {
    /// From what is known of a job, and from how long it is expected to take.
    key: fn(&JobFacts, Duration) -> u64,
    reason: Reason,
    expect: Expect,
    /// The key of each job that waits or runs.
    keys: BTreeMap<u32, u64>,
    waiting: BTreeSet<(u64, Instant, u32)>,
    /// The first job, when it was refused and nothing has come free since.
    blocked: Option<u32>,
}

impl Strict {
    pub(super) fn new(key: fn(&JobFacts, Duration) -> u64, reason: Reason, expect: Expect) -> Self {
        Self { key, reason, expect, keys: BTreeMap::new(), waiting: BTreeSet::new(), blocked: None }
    }

    fn key(&self, job: u32) -> u64 {
        self.keys.get(&job).copied().unwrap_or(0)
    }
}

impl Order for Strict {
    fn submitted(&mut self, _now: Instant, job: u32, facts: &JobFacts) {
        let key = (self.key)(facts, self.expect.of(facts));
        self.keys.insert(job, key);
        self.waiting.insert((key, facts.submit, job));
    }

    fn started(&mut self, _now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        self.waiting.remove(&(self.key(job), facts.submit, job));
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        self.waiting.insert((self.key(job), facts.submit, job));
        self.freed(now);
    }

    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.keys.remove(&job);
        self.expect.ended(facts);
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
