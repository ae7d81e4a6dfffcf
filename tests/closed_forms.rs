//! The serving path against queueing theory.
//!
//! A replica with `max_batch_requests = c` and a step time that does not depend on the batch is a queue with
//! c servers; geometric output lengths make its service exponential, constant ones deterministic. The mean
//! service is one second of 20,000 iterations, so that joining at iteration boundaries moves a wait by no
//! more than 25 µs on average.
//!
//! The numbers of customers are what the asymptotic variance of each mean asks for, with a tenth to spare.
//! Every point has random streams of its own, with seeds 1 to 16, fixed beforehand. The interval is Student's
//! at 95 % over the sixteen; its half-width must be at most 1 % of the value (3 % for a p99), and the value of
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
const CONFIDENCE: f64 = 0.95;
const REPLICATIONS: u64 = 64;

/// Mean and half-width of the confidence interval.
fn interval(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0);
    let student = StudentsT::new(0.0, 1.0, n - 1.0).expect("more than one replication");
    (mean, student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * (variance / n).sqrt())
}

fn replicate(name: &str, config: &WorldConfig) -> Vec<Summary> {
    let mut config = config.clone();
    config.streams[0].traffic.name = name.to_owned();
    (1..=REPLICATIONS)
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
    eprintln!("{line}");
    assert!(half <= tolerance * exact, "{line}: the interval is wider than {tolerance} of the value");
    assert!((mean - exact).abs() <= half, "{line}: the value lies outside the interval");
}

/// c servers with mean service 1 s and `customers` arrivals over all replications.
fn servers(
    name: &str,
    servers: u32,
    rate: f64,
    arrivals: ArrivalProcess,
    output: LengthDist,
    customers: f64,
) -> Vec<Summary> {
    let step = step(1.0 / f64::from(ITERATIONS), 0.0);
    let deployment = deployment(1, servers, step, RouterKind::RoundRobin);
    let seconds = customers / REPLICATIONS as f64 / rate;
    let stream = stream(rate, arrivals, outputs(output));
    replicate(name, &world(stream, deployment, seconds, 0.05 * seconds))
}

fn waits(summaries: &[Summary]) -> Vec<f64> {
    summaries.iter().filter_map(|summary| summary.latency.queue_wait_s.mean).collect()
}

fn exponential() -> LengthDist {
    LengthDist::Geometric { mean: f64::from(ITERATIONS) }
}

#[test]
fn mm1() {
    let runs = servers("M/M/1", 1, 0.8, ArrivalProcess::Poisson, exponential(), 6.6e6);
    holds("M/M/1, ρ = .8: Wq", &waits(&runs), 4.0, 0.01);
}

#[test]
fn mm8() {
    let runs = servers("M/M/8", 8, 7.2, ArrivalProcess::Poisson, exponential(), 36e6);
    holds("M/M/8, a = 7.2: Wq", &waits(&runs), 0.876916, 0.01);
    let p99: Vec<f64> = runs.iter().filter_map(|summary| summary.latency.queue_wait_s.p99).collect();
    holds("M/M/8, a = 7.2: p99 of Wq", &p99, 5.31335, 0.03);
}

#[test]
fn mm64() {
    let runs = servers("M/M/64", 64, 57.6, ArrivalProcess::Poisson, exponential(), 150e6);
    holds("M/M/64, a = 57.6: Wq", &waits(&runs), 0.048541, 0.01);
}

#[test]
fn md1() {
    let runs = servers("M/D/1", 1, 0.8, ArrivalProcess::Poisson, LengthDist::Constant(ITERATIONS), 7e6);
    holds("M/D/1, ρ = .8: Wq", &waits(&runs), 2.0, 0.01);
}

#[test]
fn md8() {
    let runs = servers("M/D/8", 8, 7.2, ArrivalProcess::Poisson, LengthDist::Constant(ITERATIONS), 20e6);
    holds("M/D/8, ρ = .9: Wq", &waits(&runs), 0.44997, 0.01);
}

#[test]
fn gamma_m1() {
    let runs = servers("Gamma/M/1, CV 2", 1, 0.8, ArrivalProcess::Gamma { cv: Cv(2.0) }, exponential(), 14e6);
    holds("Gamma/M/1, CV 2: Wq", &waits(&runs), 10.95523, 0.01);
    let bursty = ArrivalProcess::Gamma { cv: Cv::from_burstiness(0.1) };
    let runs = servers("Gamma/M/1, CV 3.16", 1, 0.8, bursty, exponential(), 42e6);
    holds("Gamma/M/1, CV 3.16: Wq", &waits(&runs), 24.87864, 0.01);
}

/// Row 10: continuous batching as a birth-death chain. The lengths are a thousand times the row's and the
/// steps a thousandth, which leaves the chain as it is and makes joining at a boundary take no time.
#[test]
fn continuous_batching() {
    const FINER: f64 = 1000.0;
    let step = step(0.008 / FINER, 0.000_15 / FINER);
    let tokens = LengthDist::Geometric { mean: 200.0 * FINER };
    // At 0.8 hardly anybody waits: to know that wait to 1 % would take two thousand million requests, so it is
    // held to 5 %; the sojourn is held to 1 %.
    let points = [
        (0.5, 2.24125, None, 6e6),
        (0.8, 2.89471, Some((0.003_444, 0.05)), 52e6),
        (0.95, 3.86414, Some((0.50999, 0.01)), 285e6),
    ];
    for (load, sojourn, wait, customers) in points {
        let rate = load * 18.181_818;
        let deployment = deployment(1, 64, step.clone(), RouterKind::RoundRobin);
        let stream = stream(rate, ArrivalProcess::Poisson, outputs(tokens.clone()));
        let seconds = customers / REPLICATIONS as f64 / rate;
        let runs =
            replicate(&format!("batching {load}"), &world(stream, deployment, seconds, 0.05 * seconds));
        let sojourns: Vec<f64> = runs.iter().filter_map(|summary| summary.latency.e2e_s.mean).collect();
        holds(&format!("continuous batching at {load}: E[T]"), &sojourns, sojourn, 0.01);
        if let Some((wait, tolerance)) = wait {
            holds(&format!("continuous batching at {load}: Wq"), &waits(&runs), wait, tolerance);
        }
    }
}

/// Row 13: eight servers behind one queue, and eight with a queue each: random splitting is eight times
/// M/M/1, and every router lies between.
#[test]
fn pooling() {
    let (pooled, split) = (1.87692, 10.0);
    let sojourns = |router, customers: f64| -> Vec<f64> {
        let deployment = deployment(8, 1, step(1.0 / f64::from(ITERATIONS), 0.0), router);
        let stream = stream(7.2, ArrivalProcess::Poisson, outputs(exponential()));
        let seconds = customers / REPLICATIONS as f64 / 7.2;
        let runs = replicate("pooling", &world(stream, deployment, seconds, 0.05 * seconds));
        runs.iter().filter_map(|summary| summary.latency.e2e_s.mean).collect()
    };
    holds("8 × M/M/1, random: T", &sojourns(RouterKind::Random, 19e6), split, 0.01);
    for (name, router) in RouterKind::ALL.into_iter().filter(|(_, router)| *router != RouterKind::Random) {
        let (mean, half) = interval(&sojourns(router, 6.4e6));
        eprintln!("8 servers, {name}: T {mean:.5} ± {half:.5}, between {pooled} and {split}");
        assert!(pooled < mean - half && mean + half < split, "{name}: {mean} ± {half}");
    }
}
