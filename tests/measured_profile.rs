//! Measured profiles: a table of iteration times in place of the formula.

use std::path::Path;

use fleetsim::scenario::{Loaded, load};
use fleetsim::world::{RunOptions, run};

const TABLE: &str = "kind,decode_requests,prefill_tokens,context_tokens,iteration_s
decode,1,0,100,0.010
decode,1,0,110,0.020
decode,1,0,8192,0.020
prefill,0,100,0,0.050
prefill,0,2048,0,1.000
prefill,0,2048,8000,1.500
";

fn scenario(folder: &Path, table: &str, change: impl Fn(String) -> String) -> Result<Loaded, String> {
    let file = folder.join("alone.toml");
    let text = r#"
duration = "100s"
[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "0.1/s"
arrivals = { process = "deterministic" }
prompt_tokens = 100
output_tokens = 21
[[pools]]
name = "base"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 1
[[deployments]]
name = "chat-8b"
model = "llama-3.1-8b"
pools = ["base"]
max_context = 8192
batching = { max_batch_requests = 1, max_batch_tokens = 2048 }
step_time = { profile = "times.csv", beyond = "extend" }
"#;
    std::fs::write(folder.join("times.csv"), table).expect("the folder is there");
    std::fs::write(&file, change(text.to_owned())).expect("the folder is there");
    load(&file, &[], None).map_err(|wrong| wrong.to_string().replace(&folder.display().to_string(), "FOLDER"))
}

/// The prompt's 50 ms, then ten iterations at contexts 101 to 110 on the first piece and ten at 20 ms.
#[test]
fn a_request_alone_takes_what_the_table_says() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let loaded = scenario(folder.path(), TABLE, |text| text).expect("sound");
    assert!(loaded.config.deployments[0].options[0].label.contains("measured profile"));
    let wanted: f64 = 0.050 + (1..=10).map(|k| 0.010 + 0.001 * f64::from(k)).sum::<f64>() + 10.0 * 0.020;
    for plain in [false, true] {
        let results = run(&loaded.config, RunOptions { plain, ..RunOptions::default() }).expect("it runs");
        let latency = &results.summary.latency;
        let near = |found: Option<f64>, wanted: f64| {
            let found = found.expect("there are requests");
            assert!((found / wanted - 1.0).abs() < 2e-3, "{found} is not {wanted}");
        };
        near(latency.ttft_s.mean, 0.050);
        near(latency.e2e_s.mean, wanted);
    }
    // The resolved scenario names the table by a path that leads there from anywhere.
    let resolved = loaded.resolved_toml;
    assert!(resolved.contains(&folder.path().join("times.csv").display().to_string()), "{resolved}");
    let elsewhere = tempfile::tempdir().expect("a temporary folder can be made");
    let file = elsewhere.path().join("resolved.toml");
    std::fs::write(&file, resolved).expect("the folder is there");
    let again = load(&file, &[], None).map_err(|wrong| wrong.to_string()).expect("the resolved file loads");
    assert_eq!(again.config.deployments, loaded.config.deployments);
}

const OTHER_POOL: &str = "[[pools]]
name = \"other\"
offer = \"lambda/gpu_1x_a100_sxm4\"
nodes = 1
[[deployments]]
pools = [\"base\", \"other\"]";

#[test]
fn what_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let refused = |table: &str, from: &str, to: &str| {
        let change = |text: String| {
            assert!(text.contains(from), "{from}");
            let text = text.replace(from, to);
            if to == OTHER_POOL { text.replace("pools = [\"base\"]\n", "") } else { text }
        };
        scenario(folder.path(), table, change).map(|loaded| loaded.resolved_toml).expect_err("refused")
    };
    let both = "step_time = { base = \"1ms\", ";
    let texts = [
        refused(TABLE, ", beyond = \"extend\"", ""),
        refused(&TABLE.replace("1.500", "fast"), "chat-8b", "chat-8b"),
        refused(TABLE, "times.csv", "time.csv"),
        refused(TABLE, "step_time = { ", both),
        refused(TABLE, "step_time = { profile = \"times.csv\", ", "step_time = { base = \"1ms\", "),
        refused(TABLE, "extend", "extent"),
        refused(TABLE, "[[deployments]]", OTHER_POOL),
    ];
    insta::assert_snapshot!(texts.join("\n----\n"));
}
