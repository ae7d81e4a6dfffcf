//! `parallelism = "auto"` keeps the SLO under the scenario's load, and says what it rejected and why.

use std::path::Path;

use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, run};

fn scenario(rate: f64, replicas: u32, more: &str) -> String {
    format!(
        "duration = \"20m\"\nwarmup = \"2m\"\n[[pools]]\nname = \"base\"\noffer = \"aws/p5.48xlarge\"\nnodes = 4\n\
         [[streams]]\nname = \"chat\"\nmodel = \"llama-3.1-8b\"\nrate = \"{rate}/s\"\nprompt_tokens = 1000\noutput_tokens = 200\n\
         slo = {{ tpot = \"12ms\", ttft = \"500ms\" }}\n[[deployments]]\nname = \"served\"\nmodel = \"llama-3.1-8b\"\n\
         precision = \"bf16\"\npools = [\"base\"]\nreplicas = {replicas}\n{more}"
    )
}

/// The plan taken, in words, and the middle of TPOT under it.
fn chosen(text: &str) -> (String, f64) {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None)
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let choice = loaded.choices.iter().find(|line| line.contains("parallelism")).cloned().unwrap_or_default();
    let results = run(&loaded.config, RunOptions::default()).expect("its books balance");
    (choice, results.summary.streams[0].latency.tpot_s.p50.expect("served"))
}

/// One card keeps 12 ms a token with hardly any load; under more it takes more cards, and the run keeps the SLO, which
/// it does not with one card.
#[test]
fn more_load_takes_more_cards() {
    let (calm, tpot) = chosen(&scenario(0.5, 1, ""));
    assert!(calm.contains("is tp = 1, pp = 1"), "{calm}");
    assert!(tpot < 0.012, "{tpot}");
    let busy = scenario(24.0, 1, "");
    let (choice, tpot) = chosen(&busy);
    assert!(!choice.contains("is tp = 1,"), "{choice}");
    assert!(choice.contains("tp = 1, pp = 1: ") && choice.contains("in the expected batch of"), "{choice}");
    assert!(tpot < 0.012, "{tpot}");
    let (_, alone) = chosen(&scenario(24.0, 1, "parallelism = { tp = 1 }\n"));
    assert!(alone > 0.012, "{alone}");
    // Over as many replicas as there are cards, each has little load; and no plan of more cards would have room.
    let (spread, _) = chosen(&scenario(24.0, 32, ""));
    assert!(spread.contains("is tp = 1, pp = 1"), "{spread}");
}

/// Where no plan keeps up, the smallest that would for a request alone is taken, and that is said.
#[test]
fn more_than_any_plan_serves() {
    let text = scenario(4000.0, 1, "");
    let loaded = load_text(&text, Path::new("scenario.toml"), &[], None)
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    assert!(loaded.choices.iter().any(|line| line.contains("requests/s come to it, and it serves")));
}
