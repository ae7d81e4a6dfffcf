//! Hosted APIs, paid by the token: when requests go there, how long they take, what they cost.

use std::path::Path;

use fleetsim::metrics::results::RunResults;
use fleetsim::scenario::{Loaded, load_text};
use fleetsim::serving::Outcome;
use fleetsim::units::Instant;
use fleetsim::world::{RequestRow, RunOptions, run};

/// A request a second for a replica that takes 11 s for each, alone; what it has no room for goes to an API.
const OVERFLOWS: &str = r#"
duration = "1000s"

[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "1/s"
arrivals = { process = "deterministic" }
prompt_tokens = 100
output_tokens = 11
spill_over = 1
overflow = "far"

[[apis]]
name = "far"
provider = "somebody"
input_price = 2.0
output_price = 10.0
latency = "100ms"
ttft = "400ms"
tpot = "50ms"

[[pools]]
name = "own"
offer = "aws/g6e.xlarge"
nodes = 1

[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["own"]
parallelism = { tp = 1 }
step_time = { base = "1s" }
batching = { max_batch_requests = 1 }
replicas = 1
"#;

fn loaded(text: &str, sets: &[&str]) -> Loaded {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    load_text(text, Path::new("api.toml"), &sets, None).unwrap_or_else(|errors| panic!("{errors}"))
}

fn done(text: &str, sets: &[&str]) -> RunResults {
    run(&loaded(text, sets).config, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_the_own_replica_has_no_room_for_goes_to_the_api() {
    let config = loaded(OVERFLOWS, &[]).config;
    let mut rows: Vec<(String, f64, f64, Outcome)> = Vec::new();
    let mut sink = |row: &RequestRow<'_>| {
        let seconds =
            |at: Option<Instant>| at.map_or(f64::NAN, |at| at.since(row.departure().arrival).as_secs_f64());
        let times = (seconds(row.departure().first_token), seconds(row.end()));
        rows.push((row.deployment.to_owned(), times.0, times.1, row.departure().outcome));
        Ok(())
    };
    let options = RunOptions { requests: Some(&mut sink), ..RunOptions::default() };
    let results = run(&config, options).unwrap();
    let api = &results.summary.apis[0];
    let (own, far): (Vec<_>, Vec<_>) = rows.iter().partition(|(deployment, ..)| deployment == "chat");
    assert_eq!(rows.len() as u64, results.summary.requests.arrived);
    assert!((80..=100).contains(&own.len()), "{}", own.len());
    // 0.1 s of way, 0.4 s to the first of 11 tokens, 0.05 s for each other; nobody waits.
    for (_, ttft, end, outcome) in far.iter().filter(|row| row.3 == Outcome::Completed) {
        assert!((ttft - 0.5).abs() < 1e-6 && (end - 1.0).abs() < 1e-6, "{ttft} {end} {outcome:?}");
    }
    assert_eq!(api.requests.arrived, far.len() as u64);
    assert_eq!((api.provider.as_str(), api.refused), ("somebody", 0));
    // Paid when they are asked: 100 tokens at 2 $ and 11 at 10 $ a million.
    let usd = far.len() as f64 * (100.0 * 2.0 + 11.0 * 10.0) / 1e6;
    assert!((api.spend_usd - usd).abs() < 1e-6, "{} {usd}", api.spend_usd);
    assert_eq!((api.tokens.prompt, api.tokens.output), (100 * far.len() as u64, 11 * far.len() as u64));
    // The ledger says so too, line by line and in the total.
    let lines: Vec<_> = results.ledger.iter().filter(|line| line.pool == "far").collect();
    assert!(lines.iter().all(|line| line.cause == "hosted-tokens" && line.purchase == "per-token"));
    let billed: f64 = lines.iter().map(|line| line.amount.as_f64()).sum();
    assert!((billed - usd).abs() < 1e-6);
    let pools: f64 = results.summary.pools.iter().map(|pool| pool.spend.total_usd).sum();
    assert!((results.summary.spend.total_usd - pools - usd).abs() < 1e-6);
    let by_cause = &results.summary.spend.by_cause;
    assert!(by_cause.iter().any(|(cause, amount)| cause == "hosted-tokens" && (amount - usd).abs() < 1e-6));
}

#[test]
fn the_paths_agree() {
    let sets: [&[&str]; 3] = [
        &[],
        &["streams.chat.timeout=3s", "streams.chat.rate=3/s"],
        &[
            "apis.far.request_rate=0.5/s",
            "apis.far.concurrency=1",
            "deployments.chat.queue={ max_requests = 2 }",
        ],
    ];
    for sets in sets {
        let config = loaded(OVERFLOWS, sets).config;
        let plain = |plain| {
            let results = run(&config, RunOptions { plain, ..RunOptions::default() }).unwrap();
            serde_json::to_string(&results.summary).unwrap()
        };
        assert_eq!(plain(false), plain(true), "{sets:?}");
    }
}

#[test]
fn limits_of_the_api() {
    // Every other request may go there; what is refused waits for the own replica.
    let summary = done(OVERFLOWS, &["apis.far.request_rate=0.5/s"]).summary;
    let api = &summary.apis[0];
    assert!((480..=510).contains(&api.requests.arrived), "{:?}", api.requests);
    assert!((450..=510).contains(&api.refused), "{}", api.refused);
    assert!(summary.requests.in_flight > 300, "{:?}", summary.requests);
    // One second each, one at a time: who comes at the very instant of an answer is a moment too early, so the next
    // of four a second goes: one in 1.25 s.
    let one = done(OVERFLOWS, &["apis.far.concurrency=1", "streams.chat.rate=4/s"]).summary;
    assert!((798..=801).contains(&one.apis[0].requests.arrived), "{:?}", one.apis[0].requests);
    // Ten tokens too few each minute: no request of 111 tokens ever passes.
    let none = done(OVERFLOWS, &["apis.far.token_rate=1000/m", "apis.far.token_burst=110"]).summary;
    assert_eq!(none.apis[0].requests.arrived, 0);
}

#[test]
fn a_queue_that_is_full() {
    // Without `spill_over`: only what a bounded queue turns away.
    let text = OVERFLOWS.replace("spill_over = 1\n", "");
    let unbounded = done(&text, &[]).summary;
    assert_eq!(unbounded.apis[0].requests.arrived, 0);
    let bounded = done(&text, &["deployments.chat.queue={ max_requests = 3 }"]).summary;
    assert_eq!(bounded.requests.rejected, 0);
    assert!((850..=910).contains(&bounded.apis[0].requests.arrived), "{:?}", bounded.apis[0].requests);
}

#[test]
fn a_client_that_gives_up_has_paid() {
    let summary = done(OVERFLOWS, &["streams.chat.timeout=700ms", "streams.chat.rate=4/s"]).summary;
    let api = &summary.apis[0];
    assert!(api.requests.timed_out > 900 && api.requests.completed == 0, "{:?}", api.requests);
    assert!(api.spend_usd > 0.0);
}

#[test]
fn what_is_refused() {
    let mut said = String::new();
    let mut refused = |text: &str| match load_text(text, Path::new("api.toml"), &[], None) {
        Ok(_) => panic!("accepted: {text}"),
        Err(errors) => said += &format!("{errors}\n"),
    };
    refused(&OVERFLOWS.replace("overflow = \"far\"", "overflow = \"fra\""));
    refused(&OVERFLOWS.replace("input_price = 2.0\n", ""));
    refused(&OVERFLOWS.replace("ttft = \"400ms\"\n", "ttft = \"-1s\"\n"));
    refused(&OVERFLOWS.replace(
        "provider = \"somebody\"\ninput_price = 2.0\noutput_price = 10.0",
        "hosted = \"openai/gpt-5.4-min\"",
    ));
    refused(&OVERFLOWS.replace("provider = \"somebody\"", "hosted = \"openai/davinci\""));
    refused(&OVERFLOWS.replace("spill_over = 1", "response_cache = { hit_rate = 0.5, latency = \"1ms\" }"));
    insta::assert_snapshot!(said);
}
