//! What a scenario can choose between decides differently: cards of several kinds, orders beside deadlines, beams,
//! users who leave.

use std::path::Path;

use fleetsim::metrics::results::Summary;
use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, WorldConfig, run};

fn load(text: &str) -> WorldConfig {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    loaded.map(|loaded| loaded.config).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn summary(text: &str) -> Summary {
    run(&load(text), RunOptions::default()).expect("it runs").summary
}

/// Four kinds of cards, one of which each rule tries first: named first, at the least an hour, with the most tokens a
/// second, with the cheapest tokens.
#[test]
fn each_rule_chooses_other_cards() {
    let pools = [
        ("named", "gcp/a2-ultragpu-1g", 9.0),
        ("cheap", "aws/g5.xlarge", 0.9),
        ("fast", "lambda/gpu_1x_h100_sxm5", 50.0),
        ("thrifty", "aws/g6e.xlarge", 1.0),
    ];
    let mut text = "duration = \"1m\"\n".to_owned();
    for (name, offer, price) in pools {
        text += &format!("[[pools]]\nname = \"{name}\"\noffer = \"{offer}\"\nprice = {price}\nnodes = 1\n");
    }
    text += r#"
[[streams]]
name = "chat"
model = "mistral-7b"
rate = "0.1/s"
prompt_tokens = 100
output_tokens = 10
[[deployments]]
name = "chat"
model = "mistral-7b"
precision = "int4"
pools = ["named", "cheap", "fast", "thrifty"]
choose = "first-fit"
"#;
    let first = |choose: &str| {
        let config = load(&text.replace("first-fit", choose));
        let pool = config.deployments[0].options[0].pool.index();
        // The replica runs there.
        let results = run(&config, RunOptions::default()).expect("it runs").summary;
        let used = results.pools.iter().position(|pool| pool.utilization.allocated == Some(1.0));
        assert_eq!(used, Some(pool), "{choose}");
        pools[pool].0
    };
    let all = ["first-fit", "cheapest", "fastest", "cheapest-per-token"].map(first);
    assert_eq!(all[..3], ["named", "cheap", "fast"]);
    assert!(all[3] != "named" && all[3] != "fast", "{all:?}");
    // A card that makes more for a little more an hour.
    let cheap = text.replace("price = 9", "price = 1.1").replace("first-fit", "cheapest-per-token");
    assert_eq!(load(&cheap).deployments[0].options[0].pool.index(), 0, "an A100 for 1.1 $/h");
    assert_eq!(load(&cheap.replace("-per-token", "")).deployments[0].options[0].pool.index(), 1);
}

/// One place, ten seconds a request: a steady stream of work that is due within an hour, and now and then somebody who
/// is due within a minute.
const BESIDE: &str = r#"
duration = "6h"
[[streams]]
name = "batch"
model = "any"
rate = "0.08/s"
prompt_tokens = 1
output_tokens = 10
deadline = "1h"
slo = { e2e = "1h" }
[[streams]]
name = "people"
model = "any"
rate = "0.01/s"
prompt_tokens = 1
output_tokens = 10
deadline = "1m"
slo = { ttft = "1m" }
[[pools]]
name = "cards"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 1
[[deployments]]
name = "only"
model = "any"
pools = ["cards"]
kv_blocks = 100
step_time = { base = "1s" }
batching = { max_batch_requests = 1, order = "fcfs" }
"#;

/// Work with a far deadline stands back for people, and keeps it all the same.
#[test]
fn deadlines_put_people_before_batch_work() {
    let met = |order: &str| {
        let summary = summary(&BESIDE.replace("fcfs", order));
        [0, 1].map(|stream: usize| summary.streams[stream].slo.attainment.expect("judged"))
    };
    let ([_, fcfs], [batch, people]) = (met("fcfs"), met("edf"));
    assert!(people > 0.99 && people > fcfs + 0.05, "{people} {fcfs}");
    assert!(batch > 0.99, "{batch}");
}

/// Beams cost what as many samples do.
#[test]
fn beams_are_samples() {
    let with = |what: &str| {
        let text = BESIDE.replace("max_batch_requests = 1", "max_batch_requests = 4");
        let summary = summary(&text.replace("rate = \"0.08/s\"", &format!("rate = \"0.02/s\"{what}")));
        (format!("{:?}", summary.latency), summary.tokens.output)
    };
    let (one, beams, samples) = (with(""), with("\nbeam_width = 3"), with("\nsamples = 3"));
    assert_eq!(beams, samples);
    assert!(beams.0 != one.0 && beams.1 > 2 * one.1 - one.1 / 2, "{} {}", beams.1, one.1);
}

/// At twice what one place can do, users who leave after half a minute keep the queue short: those who are answered
/// have waited less than that, and the place is never idle. Without leaving the queue grows without bound.
#[test]
fn users_who_leave_make_room() {
    let text = BESIDE.replace("rate = \"0.08/s\"", "rate = \"0.2/s\"\ntimeout = \"30s\"");
    let leaving = summary(&text);
    let batch = &leaving.streams[0];
    assert!(batch.requests.timed_out > 1000 && leaving.stability.stable, "{:?}", batch.requests);
    assert!(batch.latency.e2e_s.max.expect("answers") <= 30.0);
    assert!(leaving.utilization.busy.expect("known") > 0.97);
    // Who leaves while being served has used the place for nothing: of 6 h at 10 s a request not all are completed.
    let completed = leaving.requests.completed;
    assert!((500..2160).contains(&completed), "{completed}");
    let staying = summary(&text.replace("timeout = \"30s\"", ""));
    assert!(!staying.stability.stable && staying.requests.in_flight > 2000, "{:?}", staying.requests);
}
