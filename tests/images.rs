//! Images: batches against closed forms, what leaves the cloud against its price list, and what is refused.

mod support;

use std::path::Path;

use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, WorldConfig, run};

const SOUND: &str = r#"
duration = "20h"
[[streams]]
name = "pictures"
kind = "image"
model = "stable-diffusion-xl"
rate = "0.5/s"
image = { steps = 20, width = 1024, height = 1024, bytes = "2 MB" }
[[pools]]
name = "cards"
offer = "aws/p5.48xlarge"
nodes = 1
[[deployments]]
name = "sdxl"
model = "sdxl"
pools = ["cards"]
batching = { scheduler = "static", max_batch_requests = 1 }
step_time = { base = "40ms", per_request = "10ms" }
"#;

fn load(text: &str) -> Result<WorldConfig, String> {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    loaded.map(|loaded| loaded.config).map_err(|wrong| wrong.to_string())
}

fn sound(text: &str) -> WorldConfig {
    load(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn with(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    SOUND.replace(from, to)
}

/// One at a time, each of 20 steps of 50 ms: an M/D/1 queue at half load, whose mean wait is ρ·s/(2·(1 − ρ))
/// (Pollaczek, Khinchine).
#[test]
fn single_images_wait_as_in_a_queue_of_constant_service() {
    let summary = run(&sound(SOUND), RunOptions::default()).expect("it runs").summary;
    let (wait, ttft) = (summary.latency.queue_wait_s.mean.expect("images"), summary.latency.ttft_s.mean);
    let closed = 0.5 * 1.0 / (2.0 * 0.5);
    assert!((wait / closed - 1.0).abs() < 0.03, "{wait}");
    assert!(
        (ttft.expect("images") - wait - 1.0).abs() < 1e-6,
        "an image is there all at once, after its last step"
    );
    assert_eq!(summary.latency.tpot_s.mean, None);
    assert_eq!((summary.tokens.prompt, summary.tokens.output), (0, 0));
}

/// Every half second one comes. A batch that may wait a second begins with three, the third of which waits for nothing;
/// full ones of two begin with the second.
#[test]
fn batches_begin_when_full_or_after_the_longest_wait() {
    let regular = with("rate = \"0.5/s\"", "rate = \"2/s\"\narrivals = { process = \"deterministic\" }");
    let waits = |batching: &str| {
        let text = regular.replace("max_batch_requests = 1 }", batching).replace("40ms", "0ms");
        let summary = run(&sound(&text), RunOptions::default()).expect("it runs").summary;
        summary.latency.queue_wait_s.mean.expect("images")
    };
    let after_a_second = waits("max_batch_requests = 9, max_wait = \"1s\" }");
    assert!((after_a_second - 0.5).abs() < 0.01, "{after_a_second}");
    let in_pairs = waits("max_batch_requests = 2, max_wait = \"10s\" }");
    assert!((in_pairs - 0.25).abs() < 0.01, "{in_pairs}");
}

/// Images of two sizes are never in one batch: with places for eight, waiting long, no batch is of more than one kind.
#[test]
fn a_batch_is_of_one_size() {
    let text = with("max_batch_requests = 1 }", "max_batch_requests = 8, max_wait = \"3s\" }");
    let second = text.replace(
        "[[pools]]",
        "[[streams]]\nname = \"small\"\nkind = \"image\"\nmodel = \"sdxl\"\n\
         rate = \"0.5/s\"\nimage = { steps = 20, width = 512, height = 512, bytes = \"2 MB\" }\n[[pools]]",
    );
    let mean = |text: &str| {
        run(&sound(text), RunOptions::default()).expect("it runs").summary.deployments[0]
            .mean_batch
            .expect("it ran")
    };
    let alike = mean(&second.replace("width = 512, height = 512", "width = 1024, height = 1024"));
    let mixed = mean(&second);
    assert!(mixed < 0.75 * alike, "{mixed} {alike}");
}

/// 0.5 images a second of 1 GB each for 20 h are some 36 TB: 10 TB at 9 cents a GB, 26 at 8.5. They stand under a cause
/// of their own, and cost nothing where the provider takes nothing.
#[test]
fn egress_is_paid_by_the_list() {
    let text = with("\"2 MB\"", "\"1 GB\"");
    let results = run(&sound(&text), RunOptions::default()).expect("it runs");
    let images = results.summary.deployments[0].engine.images.expect("images");
    let gb = images.egress_gb;
    assert_eq!(gb, images.made as f64);
    let due = 10_000.0 * 0.09 + (gb - 10_000.0) * 0.085;
    let of = |summary: &fleetsim::metrics::results::Summary| {
        summary.spend.by_cause.iter().find(|(cause, _)| cause == "egress").map_or(0.0, |(_, usd)| *usd)
    };
    assert!((of(&results.summary) - due).abs() < 1e-3, "{} {due}", of(&results.summary));
    let total: f64 = results.summary.spend.by_cause.iter().map(|(_, usd)| usd).sum();
    assert!((results.summary.spend.total_usd - total).abs() < 1e-6);
    assert_eq!(
        results.summary.spend.usd_per_image,
        Some(results.summary.spend.total_usd / images.made as f64)
    );
    let own =
        run(&sound(&text.replace("nodes = 1", "nodes = 1\negress_price = 0.02")), RunOptions::default());
    assert!((of(&own.expect("it runs").summary) - 0.02 * gb).abs() < 1e-3);
    let coreweave = text.replace("aws/p5.48xlarge", "coreweave/gd-8xh100ib-i128");
    if let Ok(config) = load(&coreweave) {
        assert_eq!(of(&run(&config, RunOptions::default()).expect("it runs").summary), 0.0);
    }
}

/// Two SDXL images a batch on an H100 take as long as the step model says, and the fast path is the plain one.
#[test]
fn both_ways_agree() {
    let text = with("step_time = { base = \"40ms\", per_request = \"10ms\" }", "").replace("20h", "1h");
    let text = text.replace("max_batch_requests = 1 }", "max_batch_requests = 4, max_wait = \"2s\" }");
    let config = sound(&text);
    let fast = run(&config, RunOptions::default()).expect("it runs");
    let plain = run(&config, RunOptions { plain: true, ..RunOptions::default() }).expect("it runs");
    assert_eq!(format!("{:?}", fast.summary), format!("{:?}", plain.summary));
    // 2 x 6.76 TFLOP a step at half of 989.5 TFLOP/s, 10 ms beside it, and 10.5 TFLOP of decoding.
    let alone = 20.0 * (13.52 / 494.7 + 0.01) + 10.47 / 494.7;
    let least = fast.summary.latency.e2e_s.p50.expect("images");
    assert!(least > alone && least < 2.0 + 4.0 * alone, "{least} {alone}");
}

const OWN: &str = r#"
[[offers]]
name = "own/h100"
accelerator = "H100-SXM5"
accelerators_per_node = 8
region = "here"
"#;

#[test]
fn what_is_refused() {
    let errors = |from: &str, to: &str| {
        load(&with(from, to)).map(|_| format!("accepted: {to}\n")).unwrap_or_else(|errors| errors)
    };
    let image = "image = { steps = 20, width = 1024, height = 1024, bytes = \"2 MB\" }";
    let all = [
        errors("kind = \"image\"\n", ""),
        errors(image, ""),
        errors(image, "image = { steps = 0, width = 8, height = 1024 }"),
        errors("rate = \"0.5/s\"", "rate = \"0.5/s\"\nprompt_tokens = 9\nslo = { tpot = \"1s\" }"),
        errors("scheduler = \"static\"", "scheduler = \"sarathi\""),
        errors("pools = [\"cards\"]", "pools = [\"cards\"]\nparallelism = { tp = 2 }\nkv_blocks = 9"),
        errors(
            "pools = [\"cards\"]",
            "pools = [\"cards\"]\nspeculative = { method = \"ngram\", tokens = 2, acceptance = 0.5 }",
        ),
        load(
            &SOUND
                .replace("\"sdxl\"\npools", "\"llama-3.1-8b\"\npools")
                .replace("\"stable-diffusion-xl\"", "\"llama-3.1-8b\""),
        )
        .map(|_| "accepted\n".to_owned())
        .unwrap_or_else(|errors| errors),
        errors("nodes = 1", "nodes = 1\negress_price = -1"),
        load(
            &(with("aws/p5.48xlarge", "own/h100")
                .replace("nodes = 1", "nodes = 1\nprice = 20.0\ngranularity = \"1s\"\nminimum = \"1s\"")
                + OWN),
        )
        .map(|_| "accepted\n".to_owned())
        .unwrap_or_else(|errors| errors),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
