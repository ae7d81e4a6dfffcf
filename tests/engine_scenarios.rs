//! Engines, tenants and kinds of requests as a scenario file says them: what is refused, and what comes out.

use std::path::Path;

use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, run};

/// Everything at once, on the performance model.
const FULL: &str = r#"
duration = "10m"

[[tenants]]
name = "acme"
weight = 3.0
token_rate = "12000/m"

[[tenants]]
name = "free"
request_rate = "30/m"
request_burst = 5

[[streams]]
name = "chat"
model = "llama-3.1-70b"
tenant = "acme"
rate = "1/s"
prompt_tokens = 512
output_tokens = { dist = "geometric", mean = 100 }
response_cache = { questions = 500, zipf = 1.0, size = 100, expiry = "5m", latency = "20ms" }
slo = { ttft = "1s" }

[[streams]]
name = "best-of-five"
model = "llama-3.1-70b"
tenant = "free"
rate = "1/s"
samples = 5
prompt_tokens = 300
output_tokens = 60

[[streams]]
name = "vectors"
model = "llama-3.1-70b"
kind = "embedding"
rate = "2/s"
prompt_tokens = 200

[[pools]]
name = "base"
offer = "aws/p5.48xlarge"
nodes = 1

[[deployments]]
name = "chat-70b"
model = "llama-3.1-70b"
precision = "fp8"
pools = ["base"]
parallelism = { tp = 4 }
replicas = 2
batching = { max_batch_requests = 64, order = "vtc", preemption = "swap", swap_space = "2 GiB" }
speculative = { method = "eagle", tokens = 3, acceptance = 0.7, acceptance_spread = 0.1 }
admission = { max_predicted_ttft = "20s" }
"#;

fn refused(text: &str) -> String {
    match load_text(text, Path::new("scenario.toml"), &[], None) {
        Ok(loaded) => panic!("this loads:\n{}", loaded.resolved_toml),
        Err(errors) => errors.to_string(),
    }
}

fn replaced(pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(FULL.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

#[test]
fn everything_at_once_runs_and_is_told() {
    let loaded = load_text(FULL, Path::new("scenario.toml"), &[], None).unwrap_or_else(|e| panic!("{e}"));
    let again = load_text(&loaded.resolved_toml, Path::new("resolved.toml"), &[], None);
    let again = again.unwrap_or_else(|e| panic!("the resolved file: {e}"));
    let [first, plain, resolved] =
        [(&loaded, false), (&loaded, true), (&again, false)].map(|(loaded, plain)| {
            run(&loaded.config, RunOptions { plain, ..RunOptions::default() })
                .expect("the books balance")
                .summary
        });
    assert_eq!(first, plain, "the paths part");
    assert_eq!(first.deployments, resolved.deployments, "the resolved file means something else");
    let [acme, free] = first.tenants.as_slice() else { panic!("{:?}", first.tenants) };
    assert!(free.rate_limited > 200, "half of 600 requests are beyond 30 a minute: {free:?}");
    assert!(acme.rate_limited > 0, "{acme:?}");
    assert_eq!(free.tokens.output, free.requests.completed * 5 * 60);
    let cache = first.streams[0].response_cache.expect("it has one");
    assert!(cache.hits > 20, "{cache:?}");
    let vectors = &first.streams[2];
    assert_eq!((vectors.tokens.output, vectors.latency.tpot_s.mean), (0, None));
    let drafts = first.deployments[0].engine.speculation.expect("it speculates");
    let exact = 1.0 + 0.7 + 0.49 + 0.343;
    assert!((drafts.tokens_per_iteration / exact - 1.0).abs() < 0.05, "{drafts:?}, exactly {exact}");
}

/// Speculating shortens the time of a token, and the draft's weights leave less room for KV cache.
#[test]
fn a_draft_takes_memory_and_saves_time() {
    let summary = |text: &str| {
        let loaded = load_text(text, Path::new("scenario.toml"), &[], None).unwrap_or_else(|e| panic!("{e}"));
        let blocks = loaded.config.deployments[0].options[0].kv_blocks;
        (run(&loaded.config, RunOptions::default()).expect("the books balance").summary, blocks)
    };
    let eagle = "speculative = { method = \"eagle\", tokens = 3, acceptance = 0.7, acceptance_spread = 0.1 }";
    let (with, less) = summary(FULL);
    let (without, more) = summary(&replaced(&[(eagle, "")]));
    assert!(less < more, "{less} {more}");
    let tpot = |summary: &fleetsim::metrics::results::Summary| summary.streams[0].latency.tpot_s.mean;
    assert!(tpot(&with) < tpot(&without), "{:?} {:?}", tpot(&with), tpot(&without));
}

#[test]
fn what_is_refused() {
    let text = replaced(&[
        ("tenant = \"acme\"", "tenant = \"acne\""),
        ("samples = 5", "samples = 5\nbeam_width = 4"),
        ("kind = \"embedding\"", "kind = \"embedding\"\noutput_tokens = 5"),
        ("request_rate = \"30/m\"\n", ""),
        ("expiry = \"5m\"", "hit_rate = 0.5"),
        ("order = \"vtc\"", "order = \"vtx\", max_wait = \"1s\""),
        ("method = \"eagle\"", "method = \"eagle\", model = \"llama-3.1-8b\""),
    ]);
    insta::assert_snapshot!(refused(&text));
    let draft = |method: &str| replaced(&[("method = \"eagle\"", method)]);
    insta::assert_snapshot!(refused(&draft("method = \"draft-model\"")));
    insta::assert_snapshot!(refused(&draft("method = \"draft-model\", model = \"mistral-7b\"")));
    let few = replaced(&[("max_batch_requests = 64", "max_batch_requests = 1024")]);
    insta::assert_snapshot!(refused(&few));
}
