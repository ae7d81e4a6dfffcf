//! Quotas by queue with borrowing and reclaim, after Kueue's ClusterQueues of one cohort (kueue.sigs.k8s.io,
//! concepts, preemption `reclaimWithinCohort: Any`): a queue is entitled to its quota of cards, and may borrow
//! what other queues leave unused, up to its limit. Of the queues' first jobs those within their own quota go
//! first; ties by submission, then number. A job within its quota that does not fit takes cards back from
//! queues above theirs, from the job that started last. The first of a queue is never overtaken within it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blame, Cluster, JobFacts, Order, Step, Whom};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// What a queue is entitled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Cards.
    pub cards: u64,
    /// Cards that it may use beyond; no limit when absent.
    pub borrow: Option<u64>,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaConfig {
    /// By the number of the queue; a queue that is not here has none and never borrows.
    pub quotas: BTreeMap<u32, Quota>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<(Instant, u32)>,
    used: u64,
    /// Refused since something changed; and whether taking back was tried.
    refused: Option<(u32, bool)>,
}

#[derive(Debug)]
pub(super) struct ByQuota {
    config: QuotaConfig,
    queues: BTreeMap<u32, Queue>,
    /// Running jobs by start, with their queue and cards.
    running: BTreeMap<(Instant, u32), (u32, u64)>,
    since: BTreeMap<u32, Instant>,
    used: u64,
    total: u64,
    last: u32,
    /// The place of each queue that has a quota.
    groups: BTreeMap<u32, u32>,
}

impl ByQuota {
    pub(super) fn new(config: QuotaConfig) -> Self {
        let total = config.quotas.values().map(|quota| quota.cards).sum();
        Self {
            groups: (0u32..).zip(config.quotas.keys()).map(|(place, queue)| (*queue, place)).collect(),
            config,
            queues: BTreeMap::new(),
            running: BTreeMap::new(),
            since: BTreeMap::new(),
            used: 0,
            total,
            last: 0,
        }
    }

    fn quota(&self, queue: u32) -> Quota {
        self.config.quotas.get(&queue).copied().unwrap_or(Quota { cards: 0, borrow: Some(0) })
    }

    /// Whether its queue may use as many cards more as a job wants.
    fn has_quota(&self, facts: &JobFacts) -> bool {
        let cards = u64::from(facts.cards);
        let after = self.queues.get(&facts.queue).map_or(0, |queue| queue.used) + cards;
        let quota = self.quota(facts.queue);
        let may = quota.borrow.is_none_or(|borrow| after <= quota.cards + borrow);
        may && (after <= quota.cards || self.used + cards <= self.total)
    }

    /// Jobs that started last, of queues above their quota, as long as they are above it.
    fn borrowers(&self) -> Vec<u32> {
        let mut used: BTreeMap<u32, u64> = self.queues.iter().map(|(n, queue)| (*n, queue.used)).collect();
        let mut borrowers = Vec::new();
        let mut above = used.iter().filter(|(queue, used)| **used > self.quota(**queue).cards).count();
        for ((_, job), (queue, cards)) in self.running.iter().rev() {
            if above == 0 {
                break;
            }
            let used = used.entry(*queue).or_default();
            if *used > self.quota(*queue).cards {
                *used -= cards;
                above -= usize::from(*used <= self.quota(*queue).cards);
                borrowers.push(*job);
            }
        }
        borrowers
    }
}

impl Order for ByQuota {
    fn submitted(&mut self, _now: Instant, job: u32, facts: &JobFacts) {
        self.queues.entry(facts.queue).or_default().waiting.insert((facts.submit, job));
    }

    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        let queue = self.queues.entry(facts.queue).or_default();
        let cards = u64::from(facts.cards);
        queue.waiting.remove(&(facts.submit, job));
        queue.used += cards;
        self.used += cards;
        self.running.insert((now, job), (facts.queue, cards));
        self.since.insert(job, now);
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        self.finished(now, job, facts);
        self.submitted(now, job, facts);
    }

    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        let cards = u64::from(facts.cards);
        self.queues.entry(facts.queue).or_default().used -= cards;
        self.used -= cards;
        if let Some(since) = self.since.remove(&job) {
            self.running.remove(&(since, job));
        }
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        for queue in self.queues.values_mut() {
            queue.refused = None;
        }
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        if let Some(queue) = self.queues.get_mut(&self.last) {
            queue.refused = Some((job, false));
        }
    }

    fn why(&self, _job: u32, facts: &JobFacts, _cluster: &dyn Cluster) -> Option<&'static str> {
        (!self.has_quota(facts)).then_some("quota: its queue may use no more cards now")
    }

    fn group(&self, _job: u32, facts: &JobFacts) -> Option<u32> {
        Some(self.groups.get(&facts.queue).copied().unwrap_or(self.groups.len() as u32))
    }

    fn has_one_turn(&self) -> bool {
        false
    }

    /// All of a queue wait for its quota while its first does; else the first waits for cards, and the others for
    /// the first.
    fn blame(&mut self, facts: &[JobFacts], _cluster: &dyn Cluster, tell: &mut dyn FnMut(Whom, Blame)) {
        for (number, queue) in &self.queues {
            let Some((_, first)) = queue.waiting.first() else { continue };
            let has_quota = self.has_quota(&facts[*first as usize]);
            let group = self.groups.get(number).copied().unwrap_or(self.groups.len() as u32);
            let blame = if has_quota { Blame::Others } else { Blame::Quota };
            tell(Whom::Group(group), blame);
            tell(Whom::Job(*first), if has_quota { Blame::AsRefused } else { Blame::Quota });
        }
    }

    fn next(&mut self, now: Instant, facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason) {
        let mut best: Option<(bool, Instant, u32, u32)> = None;
        for (number, queue) in &self.queues {
            let Some((submit, job)) = queue.waiting.first().copied() else { continue };
            let (quota, cards) = (self.quota(*number), u64::from(facts[job as usize].cards));
            let after = queue.used + cards;
            let within = after <= quota.cards;
            let may = quota.borrow.is_none_or(|borrow| after <= quota.cards + borrow);
            let tried = queue.refused.filter(|(refused, _)| *refused == job);
            // Within its quota a job may also take back what others have borrowed.
            let admitted = if within {
                tried.is_none_or(|(_, taken_back)| !taken_back)
            } else {
                may && tried.is_none() && self.used + cards <= self.total
            };
            if admitted {
                let claim = (!within, submit, job, *number);
                best = Some(best.map_or(claim, |best| best.min(claim)));
            }
        }
        let Some((borrows, _, job, number)) = best else {
            return (Step::Wait, Reason("nobody is within quota and fits"));
        };
        self.last = number;
        let refused = self.queues.get(&number).and_then(|queue| queue.refused);
        let over = self.used + u64::from(facts[job as usize].cards) > self.total;
        if !over && refused.is_none_or(|(refused, _)| refused != job) {
            let why =
                if borrows { "first of a queue, borrowing" } else { "first of a queue, within its quota" };
            return (Step::Start(job), Reason(why));
        }
        if let Some(queue) = self.queues.get_mut(&number) {
            queue.refused = Some((job, true));
        }
        let borrowers = self.borrowers();
        if over {
            // Quotas are used up by those who borrow: as many cards come back as the job wants.
            let mut missing = (self.used + u64::from(facts[job as usize].cards)).saturating_sub(self.total);
            let mut victims = Vec::new();
            for victim in borrowers {
                if missing == 0 {
                    break;
                }
                missing = missing.saturating_sub(u64::from(facts[victim as usize].cards));
                victims.push(victim);
            }
            if missing == 0 && !victims.is_empty() {
                return (Step::Stop(victims), Reason("runs on borrowed quota"));
            }
        } else if let Some(victims) = cluster.victims(job, now, &mut borrowers.into_iter())
            && !victims.is_empty()
        {
            return (Step::Stop(victims), Reason("runs on borrowed quota"));
        }
        // Somebody else may still be admitted.
        self.next(now, facts, cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    fn order(quotas: [(u64, Option<u64>); 2]) -> QueueOrder {
        let quotas = (0..).zip(quotas.map(|(cards, borrow)| Quota { cards, borrow }));
        QueueOrder::Quota(QuotaConfig { quotas: quotas.collect() })
    }

    fn of(submit: u64, duration: u64, queue: u32) -> Job {
        Job { queue, ..Job::new(submit, 1, duration) }
    }

    /// Queue 0 borrows both cards of queue 1 and gives them back when queue 1 asks: the last to start first.
    #[test]
    fn what_is_borrowed_is_taken_back() {
        let jobs = [of(0, 10, 0), of(1, 10, 0), of(2, 10, 0), of(3, 10, 0), of(5, 4, 1)];
        let quota = schedule(&order([(2, None), (2, None)]), 4, &jobs);
        assert_eq!((quota.ends, quota.stops), (vec![10, 11, 12, 17, 9], 1));
        assert_eq!(schedule(&QueueOrder::Fifo, 4, &jobs).starts[4], 10);
    }

    /// With a limit of one borrowed card the fourth job waits although a card is idle.
    #[test]
    fn borrowing_is_limited() {
        let jobs = [of(0, 10, 0), of(1, 10, 0), of(2, 10, 0), of(3, 10, 0), of(5, 4, 1)];
        let quota = schedule(&order([(2, Some(1)), (2, None)]), 4, &jobs);
        assert_eq!((quota.starts, quota.stops), (vec![0, 1, 2, 10, 5], 0));
    }

    /// Within its quota a queue goes before an older job that would borrow.
    #[test]
    fn own_quota_goes_before_borrowing() {
        let jobs = [of(0, 10, 0), of(0, 10, 1), of(1, 10, 0), of(2, 10, 1)];
        assert_eq!(schedule(&order([(1, None), (1, None)]), 2, &jobs).starts, [0, 0, 10, 10]);
        let jobs = [of(0, 10, 0), of(0, 12, 1), of(1, 10, 0), of(2, 10, 0), of(3, 10, 1)];
        assert_eq!(schedule(&order([(1, None), (1, None)]), 2, &jobs).starts, [0, 0, 10, 20, 12]);
    }
}
