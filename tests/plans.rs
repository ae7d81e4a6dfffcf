//! Parallelism plans from the scenario: what is chosen and why, what is refused, what crosses nodes.

use std::path::Path;

use fleetsim::scenario::{Loaded, load_text};
use fleetsim::world::{RunOptions, run};

fn load(deployment: &str, pool: &str, slo: &str) -> Result<Loaded, String> {
    let text = format!(
        r#"
duration = "60s"
[[streams]]
name = "chat"
model = "MODEL"
rate = "0.5/s"
prompt_tokens = 1000
output_tokens = 50
slo = {{ {slo} }}
[[pools]]
name = "base"
{pool}
[[deployments]]
name = "served"
pools = ["base"]
{deployment}
"#
    );
    let line = deployment.lines().find(|line| line.starts_with("model")).expect("a model");
    let text = text.replace("model = \"MODEL\"", line);
    load_text(&text, Path::new("plans.toml"), &[], None).map_err(|wrong| wrong.to_string())
}

/// A promise that every plan keeps.
const SLO: &str = "e2e = \"10m\"";
const H100: &str = "offer = \"aws/p5.48xlarge\"\nnodes = 4";
const LLAMA_70B: &str = "model = \"llama-3.1-70b\"\nprecision = \"fp8\"";
const LLAMA_405B: &str = "model = \"llama-3.1-405b\"";

fn label(loaded: &Loaded) -> &str {
    &loaded.config.deployments[0].options[0].label
}

fn mean_tpot(deployment: &str) -> f64 {
    let loaded = load(deployment, H100, SLO).expect("sound");
    let results = run(&loaded.config, RunOptions::default()).expect("it runs");
    results.summary.latency.tpot_s.mean.expect("there are requests")
}

/// The 405B model in 16 bits takes two nodes of eight H100, as stages.
#[test]
fn auto_takes_several_nodes_where_it_must() {
    let loaded = load(LLAMA_405B, H100, SLO).expect("sound");
    assert_eq!(label(&loaded), "bf16, TP=8 PP=2 on base (16 H100-SXM5 cards)");
    let results = run(&loaded.config, RunOptions::default()).expect("it runs");
    assert!(results.summary.requests.completed > 10);
    // Both nodes are held whole: half of the four.
    assert!((results.summary.utilization.allocated.expect("there are cards") - 0.5).abs() < 1e-9);
    let resolved = &loaded.resolved_toml;
    assert!(resolved.contains("tp = 8, pp = 2"), "{resolved}");
}

/// The 61 layers of a mixture of experts make no equal stages over two nodes, whose cards share the experts instead.
#[test]
fn auto_divides_experts_where_layers_do_not_divide() {
    let loaded = load("model = \"deepseek-v3\"\nprecision = \"fp8\"", H100, SLO).expect("sound");
    assert_eq!(label(&loaded), "fp8, TP=1 DP=16 EP=16 on base (16 H100-SXM5 cards)");
    let results = run(&loaded.config, RunOptions::default()).expect("it runs");
    assert!(results.summary.requests.completed > 10);
}

#[test]
fn auto_says_what_it_rejected_and_why() {
    let choices = [
        load(LLAMA_405B, H100, SLO),
        load("model = \"llama-3.1-8b\"", H100, "ttft = \"60ms\", tpot = \"5ms\""),
        load("model = \"llama-3.1-8b\"", H100, "tpot = \"100us\""),
    ];
    let mut text = String::new();
    for loaded in choices {
        let loaded = loaded.expect("sound");
        text += &loaded.choices.join("\n");
        text += "\n";
        text += &loaded.warnings.to_string();
        text += "\n";
    }
    insta::assert_snapshot!(text);
}

#[test]
fn plans_that_cannot_be() {
    let refused = |deployment: &str, plan: &str| {
        let deployment = format!("{deployment}\nparallelism = {plan}");
        load(&deployment, H100, SLO).map(|loaded| loaded.resolved_toml).expect_err("refused")
    };
    let deepseek = "model = \"deepseek-v3\"\nprecision = \"fp8\"";
    let texts = [
        refused(LLAMA_70B, "{ tp = 12 }"),
        refused(LLAMA_70B, "{ tp = 4, pp = 3 }"),
        refused(LLAMA_70B, "{ tp = 8, pp = 100 }"),
        refused(LLAMA_70B, "{ tp = 8, dp = 2 }"),
        refused(deepseek, "{ tp = 8, dp = 2, ep = 5 }"),
        refused(LLAMA_70B, "{ pp = 2 }"),
        refused(LLAMA_70B, "{ tp = 8, pp = 5 }"),
        load(&format!("{LLAMA_70B}\nsparsity = \"2:4\""), "offer = \"aws/p3.16xlarge\"\nnodes = 1", SLO)
            .map(|loaded| loaded.resolved_toml)
            .expect_err("refused"),
        refused(
            &format!("{LLAMA_70B}\npruning = 1.0\ndistillation = 0.0\nweight_streaming = 2"),
            "{ tp = 8 }",
        ),
    ];
    insta::assert_snapshot!(texts.join("\n----\n"));
}

/// Experts over two nodes: what a token sends to its experts crosses the network.
#[test]
fn experts_over_nodes() {
    let deepseek = "model = \"deepseek-v3\"\nprecision = \"fp8\"";
    let loaded =
        load(&format!("{deepseek}\nparallelism = {{ tp = 1, dp = 16, ep = 16 }}"), H100, SLO).expect("sound");
    assert_eq!(label(&loaded), "fp8, TP=1 DP=16 EP=16 on base (16 H100-SXM5 cards)");
    assert_eq!(loaded.config.deployments[0].options[0].cards, 16);
}

/// Layers cut over two nodes wait for the network in each of them; stages only at their borders.
#[test]
fn what_crosses_nodes_takes_longer() {
    let with = |plan: &str| mean_tpot(&format!("{LLAMA_70B}\nparallelism = {plan}"));
    let (one, layers, stages) = (with("{ tp = 8 }"), with("{ tp = 16 }"), with("{ tp = 8, pp = 2 }"));
    assert!(layers > 1.3 * one, "{layers} {one}");
    assert!(stages < layers && (stages / one - 1.0).abs() < 0.1, "{stages} {layers} {one}");
}

#[test]
fn weights_made_smaller() {
    let plain = format!("{LLAMA_70B}\nparallelism = {{ tp = 8 }}");
    let with = |key: &str| mean_tpot(&format!("{plain}\n{key}"));
    let dense = mean_tpot(&plain);
    // Alone, decoding mostly reads weights: 5 of 8 bits each, seven tenths, half of the layers.
    for (key, least, most) in
        [("sparsity = \"2:4\"", 0.6, 0.95), ("pruning = 0.3", 0.7, 0.95), ("distillation = 0.5", 0.5, 0.62)]
    {
        let share = with(key) / dense;
        assert!(share > least && share < most, "{key}: {share}");
    }
    // Half of 70 GB over eight PCIe links of 31 GB/s or less, each iteration.
    assert!(with("weight_streaming = 0.5") > 0.1);
    let loaded = load(&format!("{plain}\npruning = 0.3\ncompute_precision = \"bf16\""), H100, SLO);
    let loaded = loaded.expect("sound");
    assert_eq!(label(&loaded), "fp8, TP=8 on base (8 H100-SXM5 cards), 30 % pruned, computing in bf16");
}

/// How a training job is cut, and what its cards hold.
#[test]
fn training_plans() {
    let job = |keys: &str| {
        let text = format!(
            "duration = \"1h\"\n[[pools]]\nname = \"base\"\noffer = \"aws/p5.48xlarge\"\nnodes = 8\n\
             [[jobs]]\nname = \"train\"\nmodel = \"llama-3.1-70b\"\ntokens = 1e8\naccelerators = 64\n{keys}\n"
        );
        load_text(&text, Path::new("job.toml"), &[], None)
            .map(|loaded| loaded.config.jobs[0].options[0].label.clone())
            .map_err(|wrong| wrong.to_string())
    };
    let texts = [
        job("parallelism = { tp = 8, pp = 4, interleave = 2, micro_batch = 1 }"),
        job("parallelism = { tp = 8, pp = 2, cp = 2, dp = 2, micro_batch = 1 }\nrecomputation = \"full\""),
        job("parallelism = { tp = 1, dp = 64, micro_batch = 1 }\nzero = 3"),
        job("parallelism = { tp = 8, micro_batch = 1 }\nzero = 0\noptimizer_state = \"18N\""),
        job("parallelism = { tp = 8, micro_batch = 1 }\nzero = 1\noptimizer_state = \"18N\""),
        job("parallelism = { tp = 8, pp = 3 }"),
        job("parallelism = { tp = 8, pp = 4, interleave = 6 }"),
        job("parallelism = { tp = 8, pp = 4, interleave = 40 }"),
        job("parallelism = { tp = 8, dp = 4 }"),
        job("parallelism = { tp = 16 }"),
        job("zero = 4\noptimizer_state = \"14N\"\nrecomputation = \"some\"\nmemory_utilization = 0"),
    ];
    let texts = texts.map(|text| text.unwrap_or_else(|wrong| wrong));
    insta::assert_snapshot!(texts.join("\n----\n"));
}
