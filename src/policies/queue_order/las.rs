//! Least attained service in levels, after Tiresias (Gu et al., NSDI 2019, section 4.2, discretized 2D-LAS):
//! attained service is cards times time. A job begins in level 0 and sinks a level at each threshold; lower
//! levels go first, and within a level the order is submission, then number. A waiting job takes the cards of
//! running jobs of deeper levels, the deepest and latest first, never of its own level. A stopped job that
//! has waited `starvation` times as long as it has run goes back to level 0 with its service counted anew.

use std::collections::BTreeSet;

use super::{Cluster, JobFacts, Order, Step};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// The settings.
#[derive(Debug, Clone, PartialEq)]
pub struct LasConfig {
    /// Card-time at which a job sinks a level; ascending.
    pub thresholds: Vec<Duration>,
    /// A stopped job that has waited so many times as long as it ran is promoted; never when absent.
    pub starvation: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Job {
    level: u32,
    submit: Instant,
    cards: u32,
    /// Card-nanoseconds since it began or was promoted, up to `since`.
    attained: u128,
    ran: Duration,
    /// Since when it runs or waits.
    since: Instant,
    running: bool,
}

#[derive(Debug)]
pub(super) struct Las {
    config: LasConfig,
    /// The place of each level in the queue, when that is not its depth.
    ranks: Vec<u32>,
    jobs: Vec<Job>,
    waiting: BTreeSet<(u32, Instant, u32)>,
    running: BTreeSet<(u32, Instant, u32)>,
    /// When running jobs sink, and when waiting ones are promoted.
    sinks: BTreeSet<(Instant, u32)>,
    promotions: BTreeSet<(Instant, u32)>,
    blocked: Option<(u32, bool)>,
}

impl Las {
    pub(super) fn new(config: LasConfig) -> Self {
        Self {
            config,
            ranks: Vec::new(),
            jobs: Vec::new(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            sinks: BTreeSet::new(),
            promotions: BTreeSet::new(),
            blocked: None,
        }
    }

    /// The same with another order of the levels.
    pub(super) fn ranked(config: LasConfig, ranks: Vec<u32>) -> Self {
        Self { ranks, ..Self::new(config) }
    }

    fn key(&self, job: u32) -> (u32, Instant, u32) {
        let state = &self.jobs[job as usize];
        (self.ranks.get(state.level as usize).copied().unwrap_or(state.level), state.submit, job)
    }

    /// When a running job reaches the end of its level.
    fn sinks_at(&self, job: u32) -> Option<Instant> {
        let state = &self.jobs[job as usize];
        let threshold = self.config.thresholds.get(state.level as usize)?;
        let left = u128::from(threshold.as_nanos()).saturating_sub(state.attained);
        let wait = left.div_ceil(u128::from(state.cards.max(1)));
        Some(state.since.saturating_add(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))))
    }

    fn promoted_at(&self, job: u32) -> Option<Instant> {
        let state = &self.jobs[job as usize];
        let wait = Duration::from_secs_f64(state.ran.as_secs_f64() * self.config.starvation?);
        (state.level > 0).then(|| state.since.saturating_add(wait))
    }

    /// Adds what a running job has attained since it was last looked at.
    fn settle(&mut self, now: Instant, job: u32) {
        let state = &mut self.jobs[job as usize];
        let ran = now.since(state.since);
        state.attained += u128::from(ran.as_nanos()) * u128::from(state.cards);
        state.ran += ran;
        state.since = now;
    }

    fn leave(&mut self, job: u32) {
        let key = self.key(job);
        self.running.remove(&key);
        if let Some(at) = self.sinks_at(job) {
            self.sinks.remove(&(at, job));
        }
    }

    /// Levels as they are at `now`.
    fn update(&mut self, now: Instant) {
        while let Some((at, job)) = self.sinks.first().copied().filter(|(at, _)| *at <= now) {
            self.leave(job);
            self.settle(at, job);
            self.jobs[job as usize].level += 1;
            let key = self.key(job);
            self.running.insert(key);
            self.sinks.extend(self.sinks_at(job).map(|at| (at, job)));
            // There may be someone to stop now.
            self.blocked = None;
        }
        while let Some((_, job)) = self.promotions.first().copied().filter(|(at, _)| *at <= now) {
            self.promotions.pop_first();
            let key = self.key(job);
            self.waiting.remove(&key);
            let state = &mut self.jobs[job as usize];
            (state.level, state.attained, state.ran) = (0, 0, Duration::ZERO);
            let key = self.key(job);
            self.waiting.insert(key);
        }
    }
}

impl Order for Las {
    fn submitted(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        if self.jobs.len() <= job as usize {
            self.jobs.resize(job as usize + 1, Job::default());
        }
        let (submit, cards) = (facts.submit, facts.cards);
        self.jobs[job as usize] = Job { submit, cards, since: now, ..Job::default() };
        let key = self.key(job);
        self.waiting.insert(key);
    }

    fn started(&mut self, now: Instant, job: u32, _facts: &JobFacts, _end: Instant) {
        let key = self.key(job);
        self.waiting.remove(&key);
        if let Some(at) = self.promoted_at(job) {
            self.promotions.remove(&(at, job));
        }
        self.running.insert(key);
        let state = &mut self.jobs[job as usize];
        (state.since, state.running) = (now, true);
        self.sinks.extend(self.sinks_at(job).map(|at| (at, job)));
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        self.finished(now, job, facts);
        let key = self.key(job);
        self.waiting.insert(key);
        self.promotions.extend(self.promoted_at(job).map(|at| (at, job)));
    }

    fn finished(&mut self, now: Instant, job: u32, _facts: &JobFacts) {
        self.leave(job);
        self.settle(now, job);
        self.jobs[job as usize].running = false;
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.blocked = None;
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        self.blocked = Some((job, false));
    }

    fn next(&mut self, now: Instant, _facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason) {
        self.update(now);
        let Some((level, _, job)) = self.waiting.first().copied() else {
            return (Step::Wait, Reason("nothing waits"));
        };
        match self.blocked {
            Some((blocked, true)) if blocked == job => (Step::Wait, Reason("the first does not fit")),
            Some((blocked, false)) if blocked == job => {
                self.blocked = Some((job, true));
                let deeper = self.running.iter().rev().take_while(|(other, ..)| *other > level);
                match cluster.victims(job, now, &mut deeper.map(|(_, _, job)| *job)) {
                    Some(victims) if !victims.is_empty() => {
                        (Step::Stop(victims), Reason("has attained more service"))
                    }
                    _ => (Step::Wait, Reason("the first does not fit")),
                }
            }
            _ => (Step::Start(job), Reason("least attained service")),
        }
    }

    fn wake(&self) -> Option<Instant> {
        // While nobody waits, levels can be brought up to date later.
        self.waiting.first()?;
        let sink = self.sinks.first().map(|(at, _)| *at);
        let promotion = self.promotions.first().map(|(at, _)| *at);
        sink.into_iter().chain(promotion).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::queue_order::testing::{Job as Input, schedule};
    use crate::policies::queue_order::{Durations, QueueOrder};

    fn las(thresholds: &[u64], starvation: Option<f64>) -> QueueOrder {
        let thresholds = thresholds.iter().map(|s| Duration::from_secs(*s)).collect();
        QueueOrder::Las(LasConfig { thresholds, starvation })
    }

    /// The first sinks at 5 and gives way to the second, which was there at 2; that sinks at 10, and in level 1
    /// the first is first again. Shortest remaining time would have known better and stopped nobody.
    #[test]
    fn who_has_had_most_gives_way() {
        let jobs = [Input::new(0, 1, 12), Input::new(2, 1, 20)];
        let las = schedule(&las(&[5], None), 1, &jobs);
        assert_eq!((las.starts, las.ends, las.stops), (vec![0, 5], vec![32, 25], 1));
        assert_eq!(schedule(&QueueOrder::Srtf(Durations::True), 1, &jobs).ends, [12, 32]);
    }

    /// Service is cards times time: two cards sink in half the time.
    #[test]
    fn service_counts_cards() {
        let jobs = [Input::new(0, 2, 10), Input::new(1, 1, 3)];
        assert_eq!(schedule(&las(&[8], None), 2, &jobs).ends, [13, 7]);
    }

    /// The long job ran for 2 and is kept from its card by ever new ones; having waited 2 x 2 it is promoted at
    /// 6, and is older than who comes next.
    #[test]
    fn the_starving_are_promoted() {
        let jobs = [
            Input::new(0, 1, 10),
            Input::new(1, 1, 2),
            Input::new(2, 1, 2),
            Input::new(3, 1, 2),
            Input::new(4, 1, 2),
        ];
        let never = schedule(&las(&[2], None), 1, &jobs);
        assert_eq!(never.ends, [18, 4, 6, 8, 10]);
        let starving = schedule(&las(&[2], Some(2.0)), 1, &jobs);
        assert_eq!(starving.ends[1..3], [4, 6]);
        assert!(starving.ends[3] > never.ends[3], "{:?}", starving.ends);
    }
}
