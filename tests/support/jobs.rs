//! Jobs on one pool of nodes, made by code.

use std::sync::Arc;

use fleetsim::fleet::PoolId;
use fleetsim::jobs::{JobList, JobTerms};
use fleetsim::metrics::results::RunResults;
use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::QueueOrder;
use fleetsim::sim::Seed;
use fleetsim::units::{Duration, Instant};
use fleetsim::world::{RunOptions, WorldConfig, run};

use super::pool;

/// A job in whole seconds.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    pub submit: u64,
    pub cards: u32,
    pub duration: u64,
    /// Beyond the duration.
    pub padding: u64,
    pub user: u32,
}

/// Jobs named `job0` and so on; their users `user0` and so on are their queues too.
pub fn list(jobs: &[Job]) -> JobList {
    let mut list = JobList::default();
    for (number, job) in jobs.iter().enumerate() {
        let user = format!("user{}", job.user);
        let terms = JobTerms {
            priority: (job.duration % 3) as i32,
            estimate: Some(Duration::from_secs(job.duration + job.padding)),
            deadline: Some(Instant::ZERO + Duration::from_secs(job.submit + 2 * job.duration)),
        };
        list.push(
            (&format!("job{number}"), &user, &user),
            Instant::ZERO + Duration::from_secs(job.submit),
            (job.cards, Duration::from_secs(job.duration)),
            &[PoolId(0)],
            terms,
        );
    }
    list
}

/// A run of these jobs alone, long enough for them one after the other.
pub fn world(
    list: Arc<JobList>,
    nodes: u32,
    cards: u32,
    order: QueueOrder,
    placement: PlacementKind,
) -> WorldConfig {
    let mut pool = pool(nodes);
    pool.fleet.cards_per_node = cards;
    let facts = list.all_facts();
    let last = facts.iter().map(|facts| facts.submit).max().unwrap_or(Instant::ZERO);
    // Everybody, one after the other, would be done by then.
    let work = facts.iter().fold(Duration::ZERO, |sum, facts| sum + facts.duration);
    WorldConfig {
        tenants: Vec::new(),
        apis: Vec::new(),
        name: "jobs".to_owned(),
        seed: Seed(1),
        duration: last.since(Instant::ZERO) + work + Duration::from_secs(1),
        warmup: Duration::ZERO,
        streams: Vec::new(),
        pools: vec![pool],
        deployments: Vec::new(),
        jobs: Vec::new(),
        node_scaler: None,
        hosts: Vec::new(),
        scalers: Vec::new(),
        job_trace: Some(list),
        job_rules: Default::default(),
        queue_order: order,
        placement,
        assumptions: Vec::new(),
        defaults: Vec::new(),
    }
}

/// Runs it.
pub fn simulate(config: &WorldConfig) -> RunResults {
    run(config, RunOptions::default()).expect("the scenario is right and its books balance")
}

/// One that says how long it takes.
pub fn of(submit: u64, cards: u32, duration: u64) -> Job {
    Job { submit, cards, duration, padding: 0, user: 0 }
}
