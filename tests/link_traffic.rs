//! What a run says of its links is what its tokens and steps send over them.

use std::path::Path;

use fleetsim::metrics::results::{LinkTraffic, RunResults};
use fleetsim::scenario;
use fleetsim::world::{RunOptions, run};

fn results(text: &str, plain: bool) -> RunResults {
    let loaded = scenario::load_text(text, Path::new("small.toml"), &[], None);
    let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
    let options = RunOptions { plain, ..RunOptions::default() };
    run(&loaded.config, options).unwrap_or_else(|error| panic!("{error}"))
}

fn link<'a>(results: &'a RunResults, holder: &str, kind: &str) -> &'a LinkTraffic {
    let found = results.summary.links.iter().find(|link| link.holder == holder && link.kind == kind);
    found.unwrap_or_else(|| panic!("{:?}", results.summary.links))
}

/// A request passes its prompt and each of its outputs but the last through the model; each token is summed 161 times
/// over two cards, as 8,192 values of 16 bits.
#[test]
fn tensor_parallelism_sends_what_its_tokens_need() {
    let text = r#"
        duration = "10m"
        [[streams]]
        name = "chat"
        model = "llama-3.1-70b"
        rate = "0.5/s"
        arrivals = { process = "deterministic" }
        prompt_tokens = 300
        output_tokens = 40
        [[pools]]
        name = "base"
        offer = "aws/p5.48xlarge"
        nodes = 1
        [[deployments]]
        name = "chat-70b"
        model = "llama-3.1-70b"
        precision = "fp8"
        pools = ["base"]
        parallelism = { tp = 2 }
        replicas = 2
    "#;
    let told = results(text, false);
    let requests = &told.summary.requests;
    let link = link(&told, "chat-70b", "card to card");
    let a_request = (300.0 + 40.0 - 1.0) * 161.0 * 16_384.0;
    // Over four cards, a replica's two at a time; those in flight have sent a part.
    let over_all = 2.0 * a_request * requests.completed as f64;
    let most = over_all + 2.0 * a_request * requests.in_flight as f64;
    assert!(requests.completed > 250 && link.links == 4, "{requests:?} {link:?}");
    assert!(
        link.bytes >= over_all * 0.999_999 && link.bytes <= most * 1.000_001,
        "{link:?} {over_all} {most}"
    );
    assert!(link.computing_share.is_some_and(|share| share > link.share && share < 1.0), "{link:?}");
    assert_eq!(told.summary.links, results(text, true).summary.links, "step by step");
}

/// Over four nodes the network carries the gradients; what a half of the job sends is a half.
#[test]
fn a_training_job_over_nodes_fills_their_network() {
    let text = |submit: &str| {
        format!(
            r#"
        duration = "2h"
        [[pools]]
        name = "train"
        offer = "aws/p5.48xlarge"
        nodes = 4
        [[jobs]]
        name = "pretrain"
        model = "llama-3.1-70b"
        tokens = 1e12
        accelerators = 32
        submit = "{submit}"
        "#
        )
    };
    let (whole, half) = (results(&text("0s"), false), results(&text("1h"), false));
    let network = link(&whole, "pretrain", "node to node");
    assert_eq!(network.links, 4);
    let later = link(&half, "pretrain", "node to node");
    assert!((network.bytes / later.bytes - 2.0).abs() < 1e-6, "{network:?} {later:?}");
    assert!((network.share / later.share - 2.0).abs() < 1e-6, "{network:?} {later:?}");
    assert_eq!(network.computing_share, later.computing_share);
    assert!(network.computing_share.is_some_and(|share| share < 1.0), "{network:?}");
}

/// One card, or a step time without a model: there is nothing to tell.
#[test]
fn a_card_alone_sends_nothing() {
    let text = r#"
        duration = "5m"
        [[streams]]
        name = "chat"
        model = "llama-3.1-8b"
        rate = "1/s"
        prompt_tokens = 100
        output_tokens = 10
        [[pools]]
        name = "base"
        offer = "aws/p5.48xlarge"
        nodes = 1
        [[deployments]]
        name = "small"
        model = "llama-3.1-8b"
        precision = "fp8"
        pools = ["base"]
        parallelism = { tp = 1 }
        replicas = 1
    "#;
    let told = results(text, false);
    assert!(told.summary.links.is_empty());
    let json = serde_json::to_string(&told.summary).expect("JSON");
    assert!(!json.contains("\"links\""), "{json}");
}
