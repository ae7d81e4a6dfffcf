//! A long run on nodes that fail: what it takes against the closed form.

mod support;

use std::sync::Arc;

use fleetsim::fleet::{Delay, Failures, PoolId, Supply};
use fleetsim::jobs::{Checkpoint, JobExtra, JobList, JobTerms};
use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::QueueOrder;
use fleetsim::sim::Seed;
use fleetsim::units::{Duration, Instant};
use fleetsim::world::{RunOptions, WorldConfig, run};
use support::pool;

const WORK_S: f64 = 5e6;
const MTBF_S: f64 = 1000.0;
const WRITE_S: f64 = 10.0;
const RESTORE_S: f64 = 20.0;

/// Seconds that the work takes on one node of two, and its goodput; the spare takes over when one fails.
fn takes(every: Duration) -> (f64, f64) {
    let s = Duration::from_secs_f64;
    let mut list = JobList::default();
    list.push(("long", "", ""), Instant::ZERO, (1, s(WORK_S)), &[PoolId(0)], JobTerms::default());
    let checkpoint = Some(Checkpoint { write: s(WRITE_S), restore: s(RESTORE_S), every: Some(every) });
    list.set_extra(0, JobExtra { checkpoint, ..JobExtra::default() });
    let mut pool = pool(2);
    let life = Delay::Exponential { mean: s(MTBF_S) };
    let failures = Some(Failures::of_nodes(life, Delay::Fixed(Duration::from_nanos(1_000_000))));
    pool.fleet.supply = Some(Supply { failures, ..Supply::new(2, 2) });
    let config = WorldConfig {
        tenants: Vec::new(),
        apis: Vec::new(),
        name: "failures".to_owned(),
        seed: Seed(1),
        duration: s(3.0 * WORK_S),
        warmup: Duration::ZERO,
        streams: Vec::new(),
        pools: vec![pool],
        deployments: Vec::new(),
        jobs: Vec::new(),
        job_trace: Some(Arc::new(list)),
        job_rules: Default::default(),
        queue_order: QueueOrder::Fifo,
        placement: PlacementKind::FirstFit,
        hosts: Vec::new(),
        scalers: Vec::new(),
        node_scaler: None,
        assumptions: Vec::new(),
        defaults: Vec::new(),
    };
    let summary = run(&config, RunOptions::default()).expect("the books balance").summary.jobs;
    assert!(summary.losses > 4000 && summary.preemptions == 0, "{summary:?}");
    (summary.makespan_s.expect("it is done"), summary.goodput.expect("it ran"))
}

/// Daly (Future Generation Computer Systems 22, 2006, equation 20): with exponential failures of mean M, a
/// checkpoint of d after every t of work and a restart of R, the work W takes M e^(R/M) (e^((t+d)/M) - 1) W / t.
fn daly(every: f64) -> f64 {
    let grow = libm::exp((every + WRITE_S) / MTBF_S) - 1.0;
    MTBF_S * libm::exp(RESTORE_S / MTBF_S) * grow * WORK_S / every
}

#[test]
fn a_long_run_takes_as_long_as_dalys_formula_says() {
    let (write, mtbf) = (Duration::from_secs_f64(WRITE_S), Duration::from_secs_f64(MTBF_S));
    let best = Checkpoint::daly(write, mtbf);
    let intervals = [
        ("Daly's", best),
        ("Young's", Checkpoint::young(write, mtbf)),
        ("a quarter", best / 4),
        ("fourfold", best * 4),
    ];
    println!("{:10} {:>8} {:>12} {:>12} {:>8}", "interval", "s", "formula", "ours", "off");
    let mut least = f64::INFINITY;
    for (name, every) in intervals {
        let (took, goodput) = takes(every);
        let expected = daly(every.as_secs_f64());
        let off = took / expected - 1.0;
        println!("{name:10} {:8.1} {expected:12.0} {took:12.0} {:7.2} %", every.as_secs_f64(), 100.0 * off);
        // Six thousand failures: the mean loss is known to half a percent of the whole.
        assert!(off.abs() < 0.006, "{name}: {took} instead of {expected}");
        assert!((goodput * took / WORK_S - 1.0).abs() < 1e-3, "{goodput} of {took}");
        if name == "Daly's" {
            least = expected;
        }
        assert!(expected >= least * (1.0 - 1e-4), "{name} takes less than Daly's");
    }
}
