//! Memory does not grow with the number of requests, and the steady state allocates nothing.
//!
//! A file of its own with a single test: the counting allocator counts the whole process.

mod support;

use std::alloc::System;

use fleetsim::policies::router::RouterKind;
use fleetsim::traffic::{ArrivalProcess, LengthDist, LogNormal};
use fleetsim::units::Duration;
use fleetsim::world::{RunOptions, WorldConfig, run};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{deployment, outputs, step, stream, world};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests, allocations and bytes allocated in a run of so many seconds.
fn cost(config: &WorldConfig, seconds: f64) -> (u64, usize, usize) {
    let config = WorldConfig { duration: Duration::from_secs_f64(seconds), ..config.clone() };
    let region = Region::new(ALLOCATOR);
    let results = run(&config, RunOptions::default()).expect("the world is right");
    let change = region.change();
    (results.summary.requests.arrived, change.allocations + change.reallocations, change.bytes_allocated)
}

#[test]
fn the_steady_state_allocates_nothing() {
    let lengths = outputs(LengthDist::LogNormal(LogNormal::MedianP99 { median: 129.0, p99: 601.0 }));
    let mut traffic = stream(100.0, ArrivalProcess::Poisson, lengths);
    traffic.timeout = Some(Duration::from_secs(60));
    let served = deployment(8, 64, step(0.016, 0.000_06), RouterKind::LeastOutstandingRequests);
    let config = world(traffic, served, 1.0, 0.0);
    // Both have 300 buckets and a bill each hour; what the second allocates more is not per request.
    let (few, allocations, bytes) = cost(&config, 3_000.0);
    let (many, more_allocations, more_bytes) = cost(&config, 6_000.0);
    eprintln!("{few} requests: {allocations} allocations, {bytes} bytes");
    eprintln!("{many} requests: {more_allocations} allocations, {more_bytes} bytes");
    assert!(many > few + 250_000);
    // A queue that grows to a new length, a heap that does: a few allocations, whatever the traffic.
    assert!(more_allocations < allocations + 300, "{allocations} allocations became {more_allocations}");
    assert!(more_bytes < bytes + 1_000_000, "{bytes} bytes became {more_bytes}");
}
