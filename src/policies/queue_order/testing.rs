//! A cluster in which any free card is as good as any other, to test orders by hand-made schedules.

use std::collections::BTreeMap;

use super::{Cluster, FleetFacts, JobFacts, QueueOrder, Shadow, Step};
use crate::units::{Duration, Instant};

/// A job in whole seconds; its estimate is its duration unless set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) submit: u64,
    pub(super) cards: u32,
    pub(super) duration: u64,
    pub(super) estimate: u64,
    pub(super) deadline: u64,
    pub(super) priority: i32,
    pub(super) user: u32,
    pub(super) queue: u32,
    pub(super) pool: u32,
}

impl Job {
    pub(super) fn new(submit: u64, cards: u32, duration: u64) -> Self {
        let deadline = 1_000_000;
        Self {
            submit,
            cards,
            duration,
            estimate: duration,
            deadline,
            priority: 0,
            user: 0,
            queue: 0,
            pool: 0,
        }
    }
}

/// When each job first started and when it ended, and how often any was stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) starts: Vec<u64>,
    pub(super) ends: Vec<u64>,
    pub(super) stops: u32,
}

/// Free cards by pool, what runs with (end, pool, cards), and what is held for somebody.
struct Cards {
    free: Vec<u32>,
    running: BTreeMap<u32, (u64, usize, u32)>,
    facts: Vec<JobFacts>,
    held: Option<(usize, u32)>,
}

impl Cluster for Cards {
    fn free(&self, pool: u16) -> u32 {
        self.free[usize::from(pool)]
    }

    fn reserve(&mut self, job: u32, releases: &mut dyn Iterator<Item = (Instant, u32)>) -> Option<Shadow> {
        let JobFacts { cards, places: pool, .. } = self.facts[job as usize];
        let mut free = self.free[pool as usize];
        let mut at = None;
        for (end, other) in releases {
            if free >= cards && at.is_some_and(|at| end > at) {
                break;
            }
            let (_, there, cards) = self.running[&other];
            if there == pool as usize {
                free += cards;
                at = Some(end);
            }
        }
        let spare = free.checked_sub(cards)?;
        self.held = Some((pool as usize, self.free[pool as usize].saturating_sub(spare)));
        Some(Shadow { at: at?, pool: pool as u16 })
    }

    fn victims(
        &mut self,
        job: u32,
        _beyond: Instant,
        candidates: &mut dyn Iterator<Item = u32>,
    ) -> Option<Vec<u32>> {
        let JobFacts { cards, places: pool, .. } = self.facts[job as usize];
        let mut free = self.free[pool as usize];
        let mut victims = Vec::new();
        while free < cards {
            let victim = candidates.next()?;
            free += self.facts[victim as usize].cards;
            victims.push(victim);
        }
        victims.retain(|victim| {
            let cards_of = self.facts[*victim as usize].cards;
            let needed = free - cards_of < cards;
            free -= if needed { 0 } else { cards_of };
            needed
        });
        Some(victims)
    }
}

pub(super) fn schedule(order: &QueueOrder, cards: u32, jobs: &[Job]) -> Schedule {
    schedule_on(order, &[cards], jobs)
}

/// Runs an order second by second; what ends at a second gives its cards back before anybody is submitted.
pub(super) fn schedule_on(order: &QueueOrder, pools: &[u32], jobs: &[Job]) -> Schedule {
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let facts: Vec<JobFacts> = jobs
        .iter()
        .map(|job| JobFacts {
            submit: at(job.submit),
            duration: Duration::from_secs(job.duration),
            estimate: Duration::from_secs(job.estimate),
            deadline: at(job.deadline),
            cards: job.cards,
            needs: 0,
            places: job.pool,
            user: job.user,
            queue: job.queue,
            priority: job.priority,
        })
        .collect();
    let fleet = FleetFacts {
        cards: pools.to_vec(),
        types: (0..pools.len() as u32).collect(),
        places: (0..pools.len() as u16).map(|pool| vec![pool]).collect(),
        ..FleetFacts::default()
    };
    let mut order = order.start(&facts, &fleet);
    let mut cluster =
        Cards { free: pools.to_vec(), running: BTreeMap::new(), facts: facts.clone(), held: None };
    let mut left: Vec<u64> = jobs.iter().map(|job| job.duration).collect();
    let mut result =
        Schedule { starts: vec![u64::MAX; jobs.len()], ends: vec![u64::MAX; jobs.len()], stops: 0 };
    for second in 0..1000 {
        let now = at(second);
        let ended: Vec<u32> =
            cluster.running.iter().filter(|(_, (end, ..))| *end == second).map(|(job, _)| *job).collect();
        for job in ended {
            let (_, pool, cards) = cluster.running.remove(&job).expect("it runs");
            cluster.free[pool] += cards;
            result.ends[job as usize] = second;
            order.finished(now, job, &facts[job as usize]);
        }
        for (job, facts) in (0u32..).zip(&facts).filter(|(_, facts)| facts.submit == now) {
            order.submitted(now, job, facts);
        }
        loop {
            match order.next(now, &facts, &mut cluster).0 {
                Step::Wait => break,
                step @ (Step::Start(job) | Step::StartBeside(job) | Step::StartOn(job, _)) => {
                    let of = &facts[job as usize];
                    let pool = of.places as usize;
                    let beside = matches!(step, Step::StartBeside(_));
                    let held =
                        cluster.held.filter(|(there, _)| beside && *there == pool).map_or(0, |held| held.1);
                    if cluster.free[pool].saturating_sub(held) < of.cards {
                        order.refused(now, job);
                        continue;
                    }
                    cluster.free[pool] -= of.cards;
                    let end = second + left[job as usize];
                    cluster.running.insert(job, (end, pool, of.cards));
                    let start = &mut result.starts[job as usize];
                    *start = (*start).min(second);
                    order.started(now, job, of, at(end));
                }
                Step::Stop(victims) => {
                    for job in victims {
                        let (end, pool, cards) =
                            cluster.running.remove(&job).expect("only who runs is stopped");
                        cluster.free[pool] += cards;
                        left[job as usize] = end - second;
                        result.stops += 1;
                        order.stopped(now, job, &facts[job as usize], Duration::from_secs(end - second));
                    }
                }
            }
        }
    }
    result
}
