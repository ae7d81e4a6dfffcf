//! The orders that go by a fixed key and let nobody overtake the first.
//!
//! With a quantum, gangs take turns (Ousterhout, ICDCS 1982; round robin where the key is the same for all): while
//! the first does not fit, running jobs that have had their cards for a quantum and whose key is not before the
//! first's give way, the one that started first of all first, as many as it needs; they wait again behind all of
//! their key, with what they have done.

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
    quantum: Option<Duration>,
    /// The key of each job that waits or runs.
    keys: BTreeMap<u32, u64>,
    waiting: BTreeSet<(u64, Instant, u32)>,
    /// With a quantum: running jobs by their start, and since when each job waits or runs.
    running: BTreeSet<(Instant, u32)>,
    since: BTreeMap<u32, Instant>,
    /// The first job, when it was refused and nothing has come free since; and until when its refusal holds for
    /// those who may give way.
    blocked: Option<(u32, Option<Instant>)>,
}

impl Strict {
    pub(super) fn new(key: fn(&JobFacts, Duration) -> u64, reason: Reason, expect: Expect) -> Self {
        Self {
            key,
            reason,
            expect,
            quantum: None,
            keys: BTreeMap::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            since: BTreeMap::new(),
            blocked: None,
        }
    }

    /// The same, in turns of so long.
    pub(super) fn in_turns(self, quantum: Duration) -> Self {
        Self { quantum: Some(quantum), ..self }
    }

    /// Since when a job waits or runs, where that matters.
    fn since(&self, job: u32, facts: &JobFacts) -> Instant {
        self.since.get(&job).copied().unwrap_or(facts.submit)
    }

    /// When the next of the running has had its turn, after `now`.
    fn next_turn(&self, now: Instant) -> Option<Instant> {
        let quantum = self.quantum?;
        let ends = self.running.iter().map(|(start, _)| start.saturating_add(quantum));
        ends.into_iter().find(|end| *end > now)
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

    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        self.waiting.remove(&(self.key(job), self.since(job, facts), job));
        if self.quantum.is_some() {
            self.running.insert((now, job));
            self.since.insert(job, now);
        }
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        if self.quantum.is_some() {
            self.running.remove(&(self.since(job, facts), job));
            self.since.insert(job, now);
        }
        self.waiting.insert((self.key(job), self.since(job, facts), job));
        self.freed(now);
    }

    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.running.remove(&(self.since(job, facts), job));
        self.since.remove(&job);
        self.keys.remove(&job);
        self.expect.ended(facts);
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.blocked = None;
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        self.blocked = Some((job, self.quantum.map(|_| Instant::ZERO)));
    }

    fn next(&mut self, now: Instant, _facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason) {
        let Some((key, _, job)) = self.waiting.first().copied() else {
            return (Step::Wait, Reason("nothing waits"));
        };
        let Some((_, until)) = self.blocked.filter(|(blocked, _)| *blocked == job) else {
            return (Step::Start(job), self.reason);
        };
        if let (Some(quantum), Some(until)) = (self.quantum, until)
            && until <= now
        {
            self.blocked = Some((job, Some(self.next_turn(now).unwrap_or(Instant::MAX))));
            let turns = self.running.iter().take_while(|(start, _)| start.saturating_add(quantum) <= now);
            let mut over = turns.map(|(_, job)| *job).filter(|other| self.key(*other) >= key);
            if let Some(victims) = cluster.victims(job, now, &mut over).filter(|victims| !victims.is_empty())
            {
                return (Step::Stop(victims), Reason("has had its turn"));
            }
        }
        (Step::Wait, Reason("the first does not fit"))
    }

    fn wake(&self) -> Option<Instant> {
        let (_, until) = self.blocked?;
        self.waiting.first().and(until).filter(|until| *until < Instant::MAX)
    }
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};
    use crate::units::Duration;

    fn turns(order: QueueOrder, seconds: u64) -> QueueOrder {
        QueueOrder::Turns(Box::new(order), Duration::from_secs(seconds))
    }

    /// The textbook's round robin: bursts of 24, 3 and 3 in quanta of 4 end at 30, 7 and 10; first come, first
    /// served 24, 27 and 30.
    #[test]
    fn the_textbook_round_robin() {
        let jobs = [Job::new(0, 1, 24), Job::new(0, 1, 3), Job::new(0, 1, 3)];
        let robin = schedule(&turns(QueueOrder::Fifo, 4), 1, &jobs);
        assert_eq!((robin.ends, robin.stops), (vec![30, 7, 10], 1));
        assert_eq!(schedule(&QueueOrder::Fifo, 1, &jobs).ends, [24, 27, 30]);
    }

    /// A gang of two takes the turns of both others at once; they come back together.
    #[test]
    fn gangs_take_turns_whole() {
        let jobs = [Job::new(0, 1, 10), Job::new(0, 1, 10), Job::new(1, 2, 10)];
        let robin = schedule(&turns(QueueOrder::Fifo, 5), 2, &jobs);
        assert_eq!((robin.starts, robin.ends, robin.stops), (vec![0, 0, 5], vec![15, 15, 20], 3));
    }

    /// A turn never ends for a job of lower priority, and for one of higher priority after the quantum only.
    #[test]
    fn turns_respect_priorities() {
        let mut jobs = [Job::new(0, 1, 10), Job::new(1, 1, 4)];
        jobs[0].priority = 1;
        assert_eq!(schedule(&turns(QueueOrder::Priority, 2), 1, &jobs).ends, [10, 14]);
        (jobs[0].priority, jobs[1].priority) = (0, 1);
        assert_eq!(schedule(&turns(QueueOrder::Priority, 5), 1, &jobs).ends, [14, 9]);
    }
}
