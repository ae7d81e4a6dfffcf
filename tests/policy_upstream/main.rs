//! Cases of the upstream projects' own unit tests, by their figures, replayed as recorded observations: a file a law.

#![allow(clippy::unwrap_used, reason = "an answer of another form fails its case")]

mod cluster_autoscaler;
mod dynamo;
mod hpa;
mod karpenter;
mod keda;
mod kpa;
mod ray;
mod skyserve;
mod wva;

use fleetsim::policies::replay::{Law, replay};
use serde_json::Value;

/// The answers of a law to observations, a line each.
pub fn answers(spec: &str, lines: &[Value]) -> Vec<Value> {
    let mut law = Law::read("spec.yaml", spec).unwrap_or_else(|error| panic!("{error}\n{spec}"));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let out = replay(&mut law, "seen.jsonl", &text).unwrap_or_else(|error| panic!("{error}"));
    out.lines().map(|line| serde_json::from_str(line).expect("an answer is JSON")).collect()
}

/// What a law wants at one tick.
pub fn desired(spec: &str, line: Value) -> Option<u64> {
    answers(spec, &[line])[0]["desired"].as_u64()
}

/// What it wants at each of several ticks.
pub fn all_desired(spec: &str, lines: &[Value]) -> Vec<u64> {
    answers(spec, lines).iter().map(|answer| answer["desired"].as_u64().expect("a decision")).collect()
}
