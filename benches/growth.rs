//! How the cost of a request grows with the number of requests, of replicas, of requests in a batch and of pools:
//! `cargo bench --bench growth`.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

mod support;

use std::fmt::Write as _;
use std::path::Path;

use fleetsim::scenario;
use fleetsim::world::{RunOptions, run};
use support::cpu_seconds;

/// A service of `scenarios/bench/serving-1m.toml`'s kind, made larger in one way.
struct Service {
    /// Simulated seconds, 50 requests each for eight replicas.
    seconds: u32,
    replicas: u32,
    /// Share of the rate of `serving-1m` that each replica gets.
    load: f64,
    pools: u32,
}

const BASE: Service = Service { seconds: 4000, replicas: 8, load: 1.0, pools: 1 };

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    println!("{:<24} {:>10} {:>8} {:>12} {:>6}", "", "requests", "batch", "us a request", "ratio");
    let grown: [(&str, Vec<Service>); 4] = [
        ("seconds", [4000, 16_000, 64_000].map(|seconds| Service { seconds, ..BASE }).into()),
        (
            "replicas",
            [8, 80, 800].map(|replicas| Service { replicas, seconds: 32_000 / replicas, ..BASE }).into(),
        ),
        ("load", [0.1, 0.5, 1.0, 1.3].map(|load| Service { load, seconds: 16_000, ..BASE }).into()),
        ("pools", [1, 10, 100].map(|pools| Service { pools, replicas: 400, seconds: 320, ..BASE }).into()),
    ];
    for (what, services) in grown {
        let mut first = None;
        for service in services {
            let (requests, batch, seconds) = measure(&service, folder.path());
            let each = seconds * 1e6 / requests;
            let ratio = each / *first.get_or_insert(each);
            let size = match what {
                "replicas" => service.replicas.to_string(),
                "load" => service.load.to_string(),
                "pools" => service.pools.to_string(),
                _ => service.seconds.to_string(),
            };
            println!(
                "{:<24} {requests:>10} {batch:>8.1} {each:>12.3} {ratio:>6.2}",
                format!("{what} {size}")
            );
        }
    }
}

/// Requests, the mean number of them in a batch, and CPU seconds.
fn measure(service: &Service, folder: &Path) -> (f64, f64, f64) {
    let file = folder.join("service.toml");
    std::fs::write(&file, text(service)).expect("the folder is there");
    let loaded = scenario::load(&file, &[], None).unwrap_or_else(|errors| panic!("{errors}"));
    let before = cpu_seconds();
    let results = run(&loaded.config, RunOptions::default()).expect("it runs");
    let seconds = cpu_seconds() - before;
    let batch = results.summary.deployments.iter().filter_map(|deployment| deployment.mean_batch);
    (results.summary.requests.arrived as f64, batch.sum::<f64>(), seconds)
}

fn text(service: &Service) -> String {
    let rate = 50.0 / 8.0 * f64::from(service.replicas) * service.load;
    let names: Vec<String> = (0..service.pools).map(|pool| format!("cards-{pool}")).collect();
    let nodes = service.replicas.div_ceil(4 * service.pools);
    let mut text = format!(
        r#"name = "growth"
duration = "{}s"

[[streams]]
name = "conversation"
model = "llama-3.1-70b"
rate = "{rate}/s"
prompt_tokens = {{ dist = "lognormal", mean = 1155, cv = 0.66 }}
output_tokens = {{ dist = "lognormal", mean = 211, cv = 0.74 }}

[[deployments]]
name = "chat"
model = "llama-3.1-70b"
precision = "fp8"
pools = {names:?}
parallelism = {{ tp = 2 }}
batching = {{ max_batch_requests = 256, max_batch_tokens = 8192 }}
replicas = {}
step_time = {{ base = "16ms", per_request = "60us", per_prefill_token = "50us", per_context_token = "60ns" }}
"#,
        service.seconds, service.replicas
    );
    for name in names {
        writeln!(
            text,
            "\n[[pools]]\nname = \"{name}\"\noffer = \"aws/p5.48xlarge\"\npurchase = \"on-demand\"\nnodes = {nodes}"
        )
        .expect("writing to a string");
    }
    text
}
