//! A million jobs over 10,000 nodes of 8 cards, by queue order, in CPU time:
//! `cargo bench --bench jobs` (`-- JOBS NODES ORDER...` for other sizes; `-- growth ORDER...` fits how the cost
//! grows with jobs and with nodes; `-- trace FILE JOBS NODES` writes the jobs as a trace instead, which
//! `scenarios/bench/jobs.toml` replays).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures time and prints it"
)]

mod support;

use std::sync::Arc;

use fleetsim::billing::{Purchase, Tariff};
use fleetsim::fleet::{Host, PoolConfig, PoolId};
use fleetsim::jobs::{JobList, JobTerms};
use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::{Durations, QueueOrder};
use fleetsim::sim::Seed;
use fleetsim::units::{Duration, Instant, UsdPerHour};
use fleetsim::world::{PoolPlan, RunOptions, WorldConfig, run};
use support::cpu_seconds;

/// Offered load as a share of the cards: the queue grows to a sixth of all jobs before it drains.
const LOAD: f64 = 1.2;

/// Jobs as on Philly and Helios: most want one card, few want many; durations are lognormal with a median of
/// ten minutes; users say up to five times as long.
fn jobs(count: u32, cards: u32) -> JobList {
    let mut draws = Seed(7).stream("bench/jobs");
    let sizes = [1, 1, 1, 1, 1, 2, 2, 4, 8, 8, 16, 64];
    let mean_cards = sizes.iter().sum::<u32>() as f64 / sizes.len() as f64;
    let sigma: f64 = 1.5;
    let median = 600.0;
    let mean_s = median * libm::exp(sigma * sigma / 2.0);
    let gap_s = mean_cards * mean_s / (LOAD * f64::from(cards));
    let mut list = JobList::default();
    let mut now = 0.0;
    for _ in 0..count {
        now += gap_s * draws.exponential();
        let wanted = sizes[draws.below(sizes.len() as u64) as usize].min(cards);
        let seconds = (median * libm::exp(sigma * draws.normal())).clamp(1.0, 7.0 * 86_400.0);
        let estimate = Duration::from_secs_f64(seconds * (1.0 + 4.0 * draws.uniform()));
        let terms = JobTerms { estimate: Some(estimate), ..JobTerms::default() };
        list.push(
            ("", "", ""),
            Instant::from_secs_f64(now),
            (wanted, Duration::from_secs_f64(seconds)),
            &[PoolId(0)],
            terms,
        );
    }
    list
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [word, file, ..] = arguments.as_slice()
        && word == "trace"
    {
        let number = |place: usize| arguments.get(place).and_then(|n| n.parse().ok());
        return write_trace(file, &jobs(number(2).unwrap_or(20_000), number(3).unwrap_or(200) * 8));
    }
    if arguments.first().is_some_and(|word| word == "growth") {
        return growth(&arguments[1..]);
    }
    let number =
        |place: usize, default: u32| arguments.get(place).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (count, nodes) = (number(0, 1_000_000), number(1, 10_000));
    let list = Arc::new(jobs(count, nodes * 8));
    for (name, order) in orders(arguments.get(2..).unwrap_or_default()) {
        measure(name, order, &list, nodes);
    }
}

/// The orders that are asked for, all when none is.
fn orders(named: &[String]) -> Vec<(&'static str, QueueOrder)> {
    let orders = [
        ("fifo", QueueOrder::Fifo),
        ("sjf", QueueOrder::Sjf(Durations::True)),
        ("srtf", QueueOrder::Srtf(Durations::True)),
        ("easy-backfill", QueueOrder::Easy),
    ];
    let wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    orders.into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// How the cost grows: the slope of its logarithm, by least squares, against jobs (on 10,000 nodes) and against
/// nodes (for 250,000 jobs, which come as fast as keeps all nodes at the same load).
fn growth(named: &[String]) {
    for (name, order) in orders(named) {
        let by_jobs = [125_000, 250_000, 500_000, 1_000_000].map(|count| (count, 10_000, count));
        let by_nodes = [1_250, 2_500, 5_000, 10_000].map(|nodes| (250_000, nodes, nodes));
        for (what, points) in [("jobs", by_jobs), ("nodes", by_nodes)] {
            let logs = points.map(|(count, nodes, size)| {
                let list = Arc::new(jobs(count, nodes * 8));
                let seconds = measure(name, order.clone(), &list, nodes);
                (libm::log(f64::from(size)), libm::log(seconds))
            });
            println!("{name}: the cost grows with {what} to the power of {:.3}", slope(&logs));
        }
    }
}

/// The slope of the line of least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    over / points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum::<f64>()
}

/// Runs jobs under an order, prints what it cost, and says the CPU seconds.
fn measure(name: &str, order: QueueOrder, list: &Arc<JobList>, nodes: u32) -> f64 {
    let count = list.len() as u32;
    let last = list.facts(count - 1).submit;
    let config = WorldConfig {
        name: name.to_owned(),
        seed: Seed(1),
        duration: last.since(Instant::ZERO) + Duration::from_secs(60 * 86_400),
        warmup: Duration::ZERO,
        tenants: Vec::new(),
        streams: Vec::new(),
        pools: vec![PoolPlan {
            fleet: PoolConfig {
                name: "pool".to_owned(),
                provider: "nobody".to_owned(),
                offer: "nobody/node".to_owned(),
                accelerator: "card".to_owned(),
                nodes,
                cards_per_node: 8,
                fabric: None,
                supply: None,
                host: Host::default(),
            },
            tariff: Tariff {
                purchase: Purchase::OnDemand,
                price: UsdPerHour::from_f64(1.0),
                granularity: Duration::ZERO,
                minimum: Duration::ZERO,
                commitment: None,
            },
            price_path: Vec::new(),
            block: None,
            power: None,
            egress: None,
            peak: None,
        }],
        node_scaler: None,
        deployments: Vec::new(),
        apis: Vec::new(),
        hosts: Vec::new(),
        scalers: Vec::new(),
        jobs: Vec::new(),
        job_trace: Some(Arc::clone(list)),
        job_rules: Default::default(),
        queue_order: order,
        placement: PlacementKind::BestFit,
        assumptions: Vec::new(),
        defaults: Vec::new(),
    };
    let before = cpu_seconds();
    let results = run(&config, RunOptions::default()).expect("the books balance");
    let seconds = cpu_seconds() - before;
    let jobs = &results.summary.jobs;
    let preemptions: u64 = results.jobs.iter().map(|job| u64::from(job.preemptions)).sum();
    println!(
        "{name}: {count} jobs, {nodes} nodes: {seconds:.2} CPU s, {:.0} jobs/s; completed {}, mean wait {:.0} s, \
         {preemptions} preemptions; peak memory {}",
        f64::from(count) / seconds,
        jobs.completed,
        jobs.wait_s.mean.unwrap_or(0.0),
        peak_memory()
    );
    seconds
}

/// Writes jobs as a generic trace.
fn write_trace(file: &str, list: &JobList) {
    let mut text = "id,submit_s,duration_s,accelerators,estimate_s\n".to_owned();
    for job in 0..list.len() as u32 {
        let facts = list.facts(job);
        let estimate = facts.estimate.as_secs_f64();
        let (submit, cards) = (facts.submit.as_secs_f64(), facts.cards);
        let duration = list.duration(job, 0).as_secs_f64();
        text += &format!("{job},{submit:.0},{duration:.0},{cards},{estimate:.0}\n");
    }
    std::fs::write(file, text).expect("the file can be written");
}

/// The most memory that this process has had so far, where the system says.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |text| text.trim().to_owned())
}
