//! The serving path against queueing theory.
//!
//! A replica with `max_batch_requests = c` and a step time that does not depend on the batch is a queue with
//! c servers; geometric output lengths make its service exponential, constant ones deterministic. The mean
//! service is one second of 20,000 iterations, so that joining at iteration boundaries moves a wait by no
//! more than 25 µs on average.
//!
//! Every point runs a fixed number of replications with seeds 1, 2, 3, ... fixed beforehand. The interval
//! is Student's at 99 %; its half-width must be at most 1 % of the value (3 % for a p99), and the value of
//! the formula must lie within it.

mod support;

use fleetsim::metrics::results::Summary;
use fleetsim::policies::router::RouterKind;
use fleetsim::sim::Seed;
use fleetsim::traffic::{ArrivalProcess, Cv, LengthDist};
use fleetsim::world::{RunOptions, WorldConfig, run};
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, StudentsT};
use support::{deployment, outputs, step, stream, world};

const ITERATIONS: u32 = 20_000;
const CONFIDENCE: f64 = 0.99;

/// Mean and half-width of the confidence interval.
fn interval(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0);
    let student = StudentsT::new(0.0, 1.0, n - 1.0).expect("more than one replication");
    (mean, student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * (variance / n).sqrt())
}

fn replicate(config: &WorldConfig, replications: u64) -> Vec<Summary> {
    (1..=replications)
        .into_par_iter()
        .map(|seed| {
            let config = WorldConfig { seed: Seed(seed), ..config.clone() };
            run(&config, RunOptions::default()).expect("the world is right").summary
        })
        .collect()
}

fn holds(what: &str, values: &[f64], exact: f64, tolerance: f64) {
    let (mean, half) = interval(values);
    let line = format!("{what}: exact {exact:.6}, simulated {mean:.6} ± {half:.6}");
    println!("{line}");
    assert!(half <= tolerance * exact, "{line}: the interval is wider than {tolerance} of the value");
    assert!((mean - exact).abs() <= half, "{line}: the value lies outside the interval");
}

/// c servers with mean service 1 s and `customers` arrivals in each of 16 replications.
fn servers(
    servers: u32,
    rate: f64,
    arrivals: ArrivalProcess,
    output: LengthDist,
    customers: f64,
) -> Vec<Summary> {
    let step = step(1.0 / f64::from(ITERATIONS), 0.0);
    let deployment = deployment(1, servers, step, RouterKind::RoundRobin);
    let seconds = customers / rate;
    replicate(&world(stream(rate, arrivals, outputs(output)), deployment, seconds, 0.02 * seconds), 16)
}

fn waits(summaries: &[Summary]) -> Vec<f64> {
    summaries.iter().filter_map(|summary| summary.latency.queue_wait_s.mean).collect()
}

fn exponential() -> LengthDist {
    LengthDist::Geometric { mean: f64::from(ITERATIONS) }
}

#[test]
fn mm1() {
    let runs = servers(1, 0.8, ArrivalProcess::Poisson, exponential(), 1e6);
    holds("M/M/1, ρ=.8: Wq", &waits(&runs), 4.0, 0.01);
}

#[test]
fn speed_probe() {
    let runs = servers(8, 7.2, ArrivalProcess::Poisson, exponential(), 1e6);
    holds("M/M/8: Wq", &waits(&runs), 0.876916, 0.01);
    let runs = servers(64, 57.6, ArrivalProcess::Gamma { cv: Cv(1.0) }, exponential(), 1e6);
    holds("M/M/64: Wq", &waits(&runs), 0.048541, 0.01);
}
