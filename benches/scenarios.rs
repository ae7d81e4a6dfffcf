//! Whole scenarios, each in a process of its own: requests (or jobs) per CPU-second, peak memory, iterations and batch
//! changes per request, and the same with every iteration as an event of its own.
//!
//! `cargo bench --bench scenarios`; names as arguments choose. CPU time and peak memory are read from /proc,
//! so this needs Linux. The trace of `azure-conversation` is found where the tests find it, or left out.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::path::Path;
use std::process::Command;

use fleetsim::scenario;
use fleetsim::world::{RunOptions, run};
use support::cpu_seconds;

/// Name, file, values set, and whether `--step` is measured too.
const SCENARIOS: [(&str, &str, &[&str], bool); 10] = [
    ("quickstart", "scenarios/quickstart.toml", &[], true),
    (
        "azure-conversation",
        "scenarios/azure-conversation.toml",
        &["streams.conversation.trace.file=../shared/data/traces/azure/AzureLLMInferenceTrace_conv.csv"],
        true,
    ),
    ("serving-1m", "scenarios/bench/serving-1m.toml", &[], true),
    ("serving-1m-two", "scenarios/bench/serving-1m-two.toml", &[], false),
    ("serving-50m", "scenarios/bench/serving-50m.toml", &[], false),
    ("long-decode", "scenarios/bench/long-decode.toml", &[], true),
    ("fleet-800", "scenarios/bench/fleet-800.toml", &[], false),
    ("jobs", "scenarios/bench/jobs.toml", &[], false),
    ("autoscale-week", "scenarios/bench/autoscale-week.toml", &[], false),
    ("static-week", "scenarios/bench/static-week.toml", &[], false),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [child, name, plain] = arguments.as_slice()
        && child == "child"
    {
        return measure(name, plain == "plain");
    }
    println!(
        "{:<20} {:>9} {:>10} {:>12} {:>9} {:>11} {:>9}",
        "scenario", "requests", "CPU s", "requests/s", "peak MB", "iterations", "changes"
    );
    for (name, ..) in SCENARIOS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            in_own_process(name);
        }
    }
}

fn in_own_process(name: &str) {
    let program = std::env::current_exe().expect("a running program has a path");
    let plain = SCENARIOS.iter().any(|(other, _, _, plain)| *other == name && *plain);
    for path in ["fast", "plain"].into_iter().take(1 + usize::from(plain)) {
        let status = Command::new(&program).args(["child", name, path]).status();
        if !status.is_ok_and(|status| status.success()) {
            println!("{name:<20} failed");
        }
    }
}

/// Runs one scenario in this process and prints its line.
fn measure(name: &str, plain: bool) {
    let Some((_, file, sets, _)) = SCENARIOS.iter().find(|(other, ..)| *other == name) else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sets: Vec<String> =
        sets.iter().map(|set| set.replace("=../", &format!("={}/../", root.display()))).collect();
    let loaded = match scenario::load(&root.join(file), &sets, None) {
        Ok(loaded) => loaded,
        Err(diagnostics) => return println!("{name:<20} left out: {}", first_line(&diagnostics.to_string())),
    };
    let before = cpu_seconds();
    let results = run(&loaded.config, RunOptions { plain, ..RunOptions::default() }).expect("it runs");
    let seconds = cpu_seconds() - before;
    let requests = (results.summary.requests.arrived + results.summary.jobs.submitted) as f64;
    let sum = |of: fn(&fleetsim::metrics::results::DeploymentSummary) -> u64| -> f64 {
        results.summary.deployments.iter().map(of).sum::<u64>() as f64 / requests
    };
    println!(
        "{:<20} {:>9} {:>10.3} {:>12.0} {:>9.1} {:>11.2} {:>9.2}",
        if plain { format!("{name} --step") } else { name.to_owned() },
        requests,
        seconds,
        requests / seconds,
        peak_megabytes(),
        sum(|deployment| deployment.iterations),
        sum(|deployment| deployment.batch_changes),
    );
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The most memory this process ever had.
fn peak_megabytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e3
}
