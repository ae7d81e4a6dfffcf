//! Scheduling in rounds after Gavel (Narayanan et al., OSDI 2020, sections 3 to 5). An allocation says which
//! share of its time every job should spend on each pool (`allocation.rs`). Time goes in rounds: at the
//! beginning of each, a job's priority on a pool is its allocation there over the share of the pool's time
//! that it has had since the allocation was made, and pool by pool the jobs with the highest priority get the
//! cards of the coming round. A job that is chosen for the pool where it runs keeps its cards (Gavel extends
//! its lease); the others are stopped. Cards that come free within a round stay free until the next; a round
//! ends early when all its jobs have ended.
//!
//! Ties by what earlier allocations owe a job (time that it should have had less time that it had), then the
//! allocation, then submission, then number. Jobs without an allocation run on what is left over, but for
//! `fifo`. A new allocation is made at the first round after a job came or went, `reallocate` after the last
//! at the earliest. A gang that its pool cannot take as its cards lie waits for the next round.

mod allocation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Blame, Cluster, FleetFacts, JobFacts, Order, Step, Whom};
use crate::policies::Reason;
use crate::sim::RandomStream;
use crate::units::{Duration, Instant};
use allocation::{Allocation, Claimant, Pools, allocate};

/// What an allocation is to achieve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// In order of submission, one pool for each: anew the fastest that is left, or for good one at random.
    Fifo {
        /// Whether the fastest.
        fastest: bool,
    },
    /// The smallest throughput is as large as can be, against an equal share of every pool and by card.
    MaxMin {
        /// Whether it counts how fast jobs are on the pools; otherwise time is shared (Gavel's LAS).
        aware: bool,
    },
    /// The largest ratio of finish times, shared against alone, is as small as can be.
    FinishTime,
    /// All that is there now is done as early as can be.
    Makespan,
    /// Most work for a dollar, while deadlines are met.
    Cost,
}

/// The settings.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundsConfig {
    /// What for.
    pub objective: Objective,
    /// How long a round lasts; above zero.
    pub round: Duration,
    /// The shortest time between two allocations.
    pub reallocate: Duration,
    /// Shares by the number of the user; 1 for the others.
    pub weights: BTreeMap<u32, f64>,
}

impl RoundsConfig {
    /// Gavel's rounds of six minutes, and at most one allocation in 32 minutes (the artifact's default).
    pub fn new(objective: Objective) -> Self {
        let (round, reallocate) = (Duration::from_secs(360), Duration::from_secs(1920));
        Self { objective, round, reallocate, weights: BTreeMap::new() }
    }
}

/// A job that is there.
#[derive(Debug)]
struct Job {
    cards: u32,
    weight: f64,
    submit: Instant,
    deadline: Instant,
    /// The share of it done in a second, by pool.
    rates: Vec<f64>,
    /// The option that each pool is for it.
    options: Vec<u16>,
    /// The share that is left while it waits.
    left: f64,
    /// Pool, since when (at most the beginning of the present account), and when it would end.
    running: Option<(usize, Instant, Instant)>,
    /// Seconds on each pool since the last allocation.
    had: Vec<f64>,
    /// Its part of the last allocation; `None` when it came later.
    allocation: Option<Vec<f64>>,
    owed: Vec<f64>,
}

#[derive(Debug)]
pub(super) struct Rounds {
    config: RoundsConfig,
    fleet: FleetFacts,
    draws: RandomStream,
    jobs: BTreeMap<(Instant, u32), Job>,
    submits: BTreeMap<u32, Instant>,
    /// Seconds of jobs on each pool since the last allocation.
    had: Vec<f64>,
    allocated: Option<Instant>,
    /// Who has which pool for good, under `fifo` by chance; with those that have ended since.
    kept: BTreeMap<(Instant, u32), usize>,
    /// A job has come or gone since.
    changed: bool,
    /// The end of the present round.
    ends: Option<Instant>,
    /// Who is to start in this round, by number and pool; and who may where cards are left.
    starts: VecDeque<(u32, usize)>,
    fill: VecDeque<(u32, usize)>,
    stopping: BTreeSet<u32>,
    /// Whoever runs until the end of the round.
    present: BTreeSet<u32>,
    /// The pool that the last step was about.
    asked: usize,
    /// A round has begun, who was refused in it, and who came since the last: to say what they wait for.
    planned: bool,
    turned_away: BTreeSet<u32>,
    newcomers: Vec<u32>,
}

impl Rounds {
    pub(super) fn new(config: RoundsConfig, fleet: &FleetFacts) -> Self {
        let draws = fleet.seed.stream("scheduler/rounds");
        Self {
            config,
            draws,
            jobs: BTreeMap::new(),
            submits: BTreeMap::new(),
            had: vec![0.0; fleet.cards.len()],
            fleet: fleet.clone(),
            allocated: None,
            kept: BTreeMap::new(),
            changed: false,
            ends: None,
            starts: VecDeque::new(),
            fill: VecDeque::new(),
            stopping: BTreeSet::new(),
            present: BTreeSet::new(),
            asked: 0,
            planned: false,
            turned_away: BTreeSet::new(),
            newcomers: Vec::new(),
        }
    }

    fn job(&mut self, job: u32) -> Option<&mut Job> {
        let submit = *self.submits.get(&job)?;
        self.jobs.get_mut(&(submit, job))
    }

    /// Half a round, which everybody counts as having had, so that priorities begin at the allocation.
    fn head_start(&self) -> f64 {
        self.config.round.as_secs_f64() / 2.0
    }

    /// Books the time that a job has run.
    fn settle(&mut self, now: Instant, job: u32) {
        let Some(of) = self.job(job) else { return };
        if let Some((pool, since, _)) = &mut of.running {
            let (pool, ran) = (*pool, now.since(*since).as_secs_f64());
            *since = now;
            of.had[pool] += ran;
            self.had[pool] += ran;
        }
    }

    fn plan(&mut self, now: Instant, facts: &[JobFacts], cluster: &dyn Cluster) {
        let running: Vec<u32> = self.present.iter().copied().collect();
        running.iter().for_each(|job| self.settle(now, *job));
        // What serving or others hold is not there for jobs.
        let mut cards: Vec<u32> = (0..self.fleet.cards.len() as u16).map(|pool| cluster.free(pool)).collect();
        for job in self.jobs.values() {
            if let Some((pool, ..)) = job.running {
                cards[pool] += job.cards;
            }
        }
        let due = self.allocated.is_none_or(|at| now.since(at) >= self.config.reallocate);
        if self.changed && due {
            self.reallocate(now, &cards);
        }
        let order = self.priorities();
        let mut left = cards;
        let mut chosen: BTreeMap<u32, usize> = BTreeMap::new();
        for (job, pool) in &order {
            let wanted = facts[*job as usize].cards;
            if left[*pool] >= wanted && !chosen.contains_key(job) {
                left[*pool] -= wanted;
                chosen.insert(*job, *pool);
            }
        }
        self.stopping.clear();
        for job in &running {
            let here = self.job(*job).and_then(|of| of.running).map(|(pool, ..)| pool);
            if chosen.get(job).copied() != here {
                self.stopping.insert(*job);
            } else {
                chosen.remove(job);
            }
        }
        self.starts = order.iter().filter(|(job, pool)| chosen.get(job) == Some(pool)).copied().collect();
        self.fill = order.into();
        self.ends = Some(now.saturating_add(self.config.round));
    }

    fn reallocate(&mut self, now: Instant, cards: &[u32]) {
        let head_start = self.head_start();
        let elapsed = self.allocated.map_or(0.0, |at| now.since(at).as_secs_f64());
        let claimant = |job: &Job| {
            let left =
                job.running.map_or(job.left, |(pool, _, end)| end.since(now).as_secs_f64() * job.rates[pool]);
            Claimant {
                cards: f64::from(job.cards),
                weight: job.weight,
                rates: job.rates.clone(),
                left: left.max(1e-12),
                age: now.since(job.submit).as_secs_f64(),
                due: if job.deadline == Instant::MAX {
                    f64::INFINITY
                } else {
                    job.deadline.since(now).as_secs_f64()
                },
            }
        };
        let claimants: Vec<Claimant> = self.jobs.values().map(claimant).collect();
        let cards: Vec<f64> = cards.iter().map(|cards| f64::from(*cards)).collect();
        let prices: Vec<f64> = self.fleet.prices.iter().map(|price| price.as_f64()).collect();
        let pools = Pools { cards: &cards, prices: &prices };
        let place: BTreeMap<(Instant, u32), usize> =
            self.jobs.keys().enumerate().map(|(place, key)| (*key, place)).collect();
        let kept: Vec<(Option<usize>, usize)> =
            self.kept.iter().map(|(job, pool)| (place.get(job).copied(), *pool)).collect();
        let allocation: Allocation =
            allocate(self.config.objective, &claimants, &pools, &kept, &mut self.draws);
        if matches!(self.config.objective, Objective::Fifo { fastest: false }) {
            let pool = |row: &Vec<f64>| row.iter().position(|share| *share > 0.0);
            let held = self.jobs.keys().zip(&allocation).filter_map(|(key, row)| Some((*key, pool(row)?)));
            self.kept = held.collect();
        }
        self.had.fill(self.jobs.len() as f64 * head_start);
        for (job, row) in self.jobs.values_mut().zip(allocation) {
            for (pool, had) in job.had.iter_mut().enumerate() {
                let due = job.allocation.as_ref().map_or(0.0, |shares| shares[pool] * elapsed);
                job.owed[pool] += due - (*had - head_start);
                *had = head_start;
            }
            job.allocation = Some(row);
        }
        self.allocated = Some(now);
        self.changed = false;
    }

    /// Jobs and pools, the highest priority of the first pool first.
    fn priorities(&mut self) -> Vec<(u32, usize)> {
        let mut pools: Vec<usize> = (0..self.fleet.cards.len()).collect();
        let blind = matches!(
            self.config.objective,
            Objective::Fifo { fastest: false } | Objective::MaxMin { aware: false }
        );
        if blind {
            for place in (1..pools.len()).rev() {
                pools.swap(place, self.draws.below(place as u64 + 1) as usize);
            }
        }
        let only_allocated = matches!(self.config.objective, Objective::Fifo { .. });
        let mut order = Vec::with_capacity(self.jobs.len() * pools.len());
        for pool in pools {
            let mut here: Vec<([f64; 3], u32)> = Vec::new();
            for ((_, number), job) in &self.jobs {
                let share = job.allocation.as_ref().map_or(0.0, |shares| shares[pool]);
                let had = if self.had[pool] > 0.0 { job.had[pool] / self.had[pool] } else { 0.0 };
                // Whoever has had nothing is far ahead, by its allocation.
                let priority = if had > 0.0 { share / had } else { share * 1e9 };
                if job.rates[pool] > 0.0 && (share > 0.0 || !only_allocated) {
                    here.push(([priority, job.owed[pool], share], *number));
                }
            }
            // Stable: jobs are in order of submission.
            here.sort_by(|(a, _), (b, _)| {
                let compare = a.iter().zip(b).map(|(a, b)| b.total_cmp(a));
                compare.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            });
            order.extend(here.into_iter().map(|(_, job)| (job, pool)));
        }
        order
    }
}

impl Order for Rounds {
    fn submitted(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        let places = &self.fleet.places[facts.places as usize];
        let count = self.fleet.cards.len();
        let (mut rates, mut options) = (vec![0.0; count], vec![0; count]);
        for (option, pool) in places.iter().enumerate().rev() {
            let seconds = self.fleet.duration(job, facts, option).as_secs_f64().max(1e-9);
            rates[usize::from(*pool)] = 1.0 / seconds;
            options[usize::from(*pool)] = option as u16;
        }
        let new = Job {
            cards: facts.cards,
            weight: self.config.weights.get(&facts.user).copied().unwrap_or(1.0),
            submit: facts.submit,
            deadline: facts.deadline,
            rates,
            options,
            left: 1.0,
            running: None,
            had: vec![self.head_start(); count],
            allocation: None,
            owed: vec![0.0; count],
        };
        self.jobs.insert((facts.submit, job), new);
        self.newcomers.push(job);
        self.submits.insert(job, facts.submit);
        self.changed = true;
        if self.present.is_empty() && self.starts.is_empty() {
            // Nobody is at work: why wait for the end of a round?
            self.ends = Some(now);
        }
    }

    fn started(&mut self, now: Instant, job: u32, _facts: &JobFacts, end: Instant) {
        let pool = self.asked;
        if let Some(of) = self.job(job) {
            of.running = Some((pool, now, end));
        }
        self.present.insert(job);
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, left: Duration) {
        self.settle(now, job);
        self.present.remove(&job);
        self.stopping.remove(&job);
        let whole = facts.duration.as_secs_f64().max(1e-9);
        if let Some(of) = self.job(job) {
            of.running = None;
            of.left = (left.as_secs_f64() / whole).min(1.0);
        }
    }

    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.settle(now, job);
        self.present.remove(&job);
        self.stopping.remove(&job);
        self.jobs.remove(&(facts.submit, job));
        self.submits.remove(&job);
        self.changed = true;
        if self.present.is_empty() {
            self.ends = Some(now);
        }
    }

    fn freed(&mut self, _now: Instant) {}

    fn refused(&mut self, _now: Instant, job: u32) {
        self.turned_away.insert(job);
    }

    fn why(&self, _job: u32, _facts: &JobFacts, _cluster: &dyn Cluster) -> Option<&'static str> {
        Some("round: cards are given out anew at the next one")
    }

    fn has_one_turn(&self) -> bool {
        false
    }

    /// Who came since the round began waits for the next; who was there and was not chosen, for others.
    fn blame(&mut self, _facts: &[JobFacts], _cluster: &dyn Cluster, tell: &mut dyn FnMut(Whom, Blame)) {
        if std::mem::take(&mut self.planned) {
            for (_, job) in self.jobs.keys().filter(|(_, job)| !self.present.contains(job)) {
                let refused = self.turned_away.contains(job);
                tell(Whom::Job(*job), if refused { Blame::AsRefused } else { Blame::Others });
            }
            self.turned_away.clear();
        }
        for job in std::mem::take(&mut self.newcomers) {
            if self.submits.contains_key(&job) && !self.present.contains(&job) {
                tell(Whom::Job(job), Blame::Round);
            }
        }
    }

    fn next(&mut self, now: Instant, facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason) {
        if self.jobs.is_empty() {
            self.ends = None;
            return (Step::Wait, Reason("nothing waits"));
        }
        if self.ends.is_none_or(|at| at <= now) {
            self.plan(now, facts, cluster);
            self.planned = true;
            self.newcomers.clear();
            if !self.stopping.is_empty() {
                return (
                    Step::Stop(self.stopping.iter().copied().collect()),
                    Reason("others have had less of their share"),
                );
            }
        }
        if !self.stopping.is_empty() {
            return (Step::Wait, Reason("others give their cards back first"));
        }
        let planned = (&mut self.starts, Reason("had least of its share"));
        let more = (&mut self.fill, Reason("cards are left over"));
        for (queue, why) in [planned, more] {
            while let Some((job, pool)) = queue.pop_front() {
                let wanted = facts[job as usize].cards;
                if self.present.contains(&job) || cluster.free(pool as u16) < wanted {
                    continue;
                }
                let Some(of) = self.submits.get(&job).and_then(|at| self.jobs.get(&(*at, job))) else {
                    continue;
                };
                self.asked = pool;
                return (Step::StartOn(job, of.options[pool]), why);
            }
        }
        (Step::Wait, Reason("the round is under way"))
    }

    fn wake(&self) -> Option<Instant> {
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job as Input, schedule};

    fn rounds(objective: Objective, reallocate: u64) -> QueueOrder {
        let (round, reallocate) = (Duration::from_secs(10), Duration::from_secs(reallocate));
        QueueOrder::Rounds(RoundsConfig { round, reallocate, ..RoundsConfig::new(objective) })
    }

    /// Two jobs of 20 s on a card take turns of 10 s; in order of submission nobody would.
    #[test]
    fn turns_are_taken() {
        let jobs = [Input::new(0, 1, 20), Input::new(0, 1, 20)];
        for objective in [Objective::MaxMin { aware: true }, Objective::FinishTime] {
            let turns = schedule(&rounds(objective, 0), 1, &jobs);
            assert_eq!((turns.ends, turns.stops), (vec![30, 40], 2), "{objective:?}");
        }
        let fifo = schedule(&rounds(Objective::Fifo { fastest: true }, 0), 1, &jobs);
        assert_eq!((fifo.ends, fifo.stops), (vec![20, 40], 0));
    }

    /// Time is divided so that both end together: the job of 30 has three turns for one of the job of 10, and
    /// the first two; equal shares take turns from the beginning.
    #[test]
    fn makespan_gives_time_to_who_has_most_left() {
        let jobs = [Input::new(0, 1, 30), Input::new(0, 1, 10)];
        assert_eq!(schedule(&rounds(Objective::Makespan, 0), 1, &jobs).ends, [40, 30]);
        assert_eq!(schedule(&rounds(Objective::MaxMin { aware: true }, 0), 1, &jobs).ends, [40, 20]);
    }

    /// A newcomer counts from the next allocation, here at 10 or at 30, and both have had nothing since then:
    /// the older goes first, the newcomer a round later. Where a card is left over it starts without.
    #[test]
    fn allocations_are_made_anew_from_time_to_time() {
        let jobs = [Input::new(0, 1, 60), Input::new(5, 1, 20)];
        let starts =
            |reallocate| schedule(&rounds(Objective::MaxMin { aware: true }, reallocate), 1, &jobs).starts;
        assert_eq!(starts(0), [0, 20]);
        assert_eq!(starts(30), [0, 40]);
        assert_eq!(schedule(&rounds(Objective::MaxMin { aware: true }, 30), 2, &jobs).starts, [0, 10]);
    }
}
