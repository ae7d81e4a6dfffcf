//! Autoscalers inside a run: each law meets the launch, from its name and from its own file; what cannot be is
//! refused with its place; the scenarios about scaling show what they say.

use std::path::{Path, PathBuf};

use fleetsim::metrics::results::{RunResults, Subject};
use fleetsim::scenario::{self, Loaded};
use fleetsim::world::{RunOptions, run};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn load(name: &str, sets: &[&str]) -> Loaded {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    scenario::load(&folder().join(name), &sets, None).unwrap_or_else(|errors| panic!("{errors}"))
}

fn simulate(name: &str, sets: &[&str]) -> RunResults {
    run(&load(name, sets).config, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// A series of a deployment, without its gaps.
fn series(results: &RunResults, metric: &str) -> Vec<f64> {
    let found = results
        .timeseries
        .series
        .iter()
        .find(|series| series.metric == metric && matches!(series.subject, Subject::Deployment(_)));
    found.map_or_else(Vec::new, |series| series.values.iter().flatten().copied().collect())
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// A launch that is small enough for a test.
const SMALL: [&str; 3] = ["duration=100m", "streams.chat.rate=0.8/s", "streams.chat.shape[0].hold=20m"];

fn meets_the_launch(autoscaler: &str) {
    let set = format!("deployments.chat.autoscaler={autoscaler}");
    let results = simulate("launch-autoscaled.toml", &[&SMALL[..], &[set.as_str()]].concat());
    let ready = series(&results, "ready_replicas");
    assert!(highest(&ready) > 3.0, "{autoscaler}: never more than {} ready", highest(&ready));
    let ups = results.decisions.iter().filter(|row| row.target == "chat" && row.done > row.current).count();
    assert!(ups > 0, "{autoscaler}: {:?}", results.decisions);
    let starting = series(&results, "starting_replicas");
    assert!(highest(&starting) > 0.0, "{autoscaler}: replicas were ready at once");
    let counts = results.summary.requests;
    assert!(counts.completed > counts.arrived / 2, "{autoscaler}: {counts:?}");
}

#[test]
fn each_law_meets_the_launch() {
    for autoscaler in [
        r#"{ policy = "hpa", metric = "concurrency", target = 4 }"#,
        r#"{ policy = "hpa", metric = "ttft_p95", target = 0.05, window = "1m" }"#,
        r#"{ policy = "knative", target = 6 }"#,
        r#"{ policy = "keda", metric = "concurrency", target = 4, lag = "30s" }"#,
        r#"{ policy = "ray-serve", target = 4, interval = "1s" }"#,
        r#"{ policy = "skyserve", target = 0.8, up_delay = "1m" }"#,
        r#"{ policy = "predictive", model = "ar", target = 0.8, horizon = "5m" }"#,
        r#"{ policy = "predictive", model = "seasonal-naive", target = 0.8, season = "30m" }"#,
        r#"{ policy = "slo", ttft = "200ms", tpot = "25ms" }"#,
    ] {
        meets_the_launch(autoscaler);
    }
}

#[test]
fn forecasts_stand_beside_what_came() {
    let set =
        r#"deployments.chat.autoscaler={ policy = "predictive", model = "holt-winters", target = 0.8 }"#;
    let results = simulate("launch-autoscaled.toml", &[&SMALL[..], &[set]].concat());
    let (observed, forecast) = (series(&results, "observed_demand"), series(&results, "forecast_demand"));
    assert!(highest(&observed) > 4.0 && highest(&forecast) > 4.0, "{observed:?} {forecast:?}");
}

#[test]
fn files_of_the_projects_themselves() {
    let own = tempfile::tempdir().expect("a temporary folder can be made");
    let files = [
        (
            "hpa",
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: chat}\nspec:\n  \
             scaleTargetRef: {kind: Deployment, name: chat}\n  minReplicas: 2\n  maxReplicas: 20\n  metrics:\n  \
             - type: Pods\n    pods:\n      metric: {name: \"vllm:num_requests_running\"}\n      target: {type: AverageValue, \
             averageValue: 4}\n  behavior: {}\n",
        ),
        (
            "keda",
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: chat}\nspec:\n  scaleTargetRef: {name: \
             chat}\n  minReplicaCount: 2\n  maxReplicaCount: 20\n  triggers:\n  - type: prometheus\n    \
             name: ongoing_requests\n    metadata: {serverAddress: x, query: y, threshold: '4'}\n",
        ),
        (
            "knative",
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: chat}\nspec:\n  template:\n    \
             metadata:\n      annotations:\n        autoscaling.knative.dev/target: '4'\n        \
             autoscaling.knative.dev/min-scale: '2'\n        autoscaling.knative.dev/max-scale: '20'\n",
        ),
        ("ray", "autoscaling_config: {min_replicas: 2, max_replicas: 20, target_ongoing_requests: 4}\n"),
        (
            "skyserve",
            "service:\n  replica_policy: {min_replicas: 2, max_replicas: 20, target_qps_per_replica: 0.8, \
             upscale_delay_seconds: 60}\n",
        ),
    ];
    for (key, text) in files {
        let path = own.path().join(format!("{key}.yaml"));
        std::fs::write(&path, text).expect("the folder is there");
        meets_the_launch(&format!("{{ {key} = {path:?} }}"));
    }
}

/// What is said of an autoscaler that cannot be.
fn said(autoscaler: &str) -> String {
    let sets = [format!("deployments.chat.autoscaler={autoscaler}")];
    match scenario::load(&folder().join("launch-autoscaled.toml"), &sets, None) {
        Ok(_) => panic!("{autoscaler} was taken"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn what_is_refused() {
    let own = tempfile::tempdir().expect("a temporary folder can be made");
    let path = own.path().join("hpa.yaml");
    let bad = "apiVersion: VERSION\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: \
               {kind: Deployment, name: x}\n  minReplicas: 5\n  maxReplicas: 2\n";
    for (version, parts) in [
        ("autoscaling/v2beta2", ["hpa.yaml:1: apiVersion", "no matches for kind"]),
        ("autoscaling/v2", ["hpa.yaml:6: spec.maxReplicas", "`minReplicas` (5)"]),
    ] {
        std::fs::write(&path, bad.replace("VERSION", version)).expect("the folder is there");
        let text = said(&format!("{{ hpa = {path:?} }}"));
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?}: {text}");
    }
    for (autoscaler, parts) in [
        (r#"{ policy = "hpa", metric = "concurrency", target = 0 }"#, vec!["must be above zero"]),
        (r#"{ policy = "hpa", target = 3, window = "5s" }"#, vec!["a window of 5s holds no scrape"]),
        (r#"{ policy = "hpa", metric = "happiness", target = 3 }"#, vec!["there is no `happiness`"]),
        (r#"{ policy = "hpa", targt = 3 }"#, vec!["target"]),
        (r#"{ policy = "hap", target = 3 }"#, vec!["did you mean `hpa`?"]),
        (r#"{ policy = "slo" }"#, vec!["no limit to hold"]),
        (r#"{ policy = "knative", target = 3, stable_window = "2s" }"#, vec!["not from 6s to 1h"]),
        (r#"{ policy = "predictive", target = 3, horizon = "1s" }"#, vec!["shorter than its tick"]),
        (r#"{ hpa = "nowhere.yaml" }"#, vec!["nowhere.yaml cannot be read"]),
    ] {
        let text = said(autoscaler);
        assert!(parts.iter().all(|part| text.contains(part)), "{autoscaler}: {text}");
    }
    let cpu = own.path().join("cpu.yaml");
    let good = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {kind: Deployment, \
                name: x}\n  maxReplicas: 4\n";
    std::fs::write(&cpu, good).expect("the folder is there");
    assert!(said(&format!("{{ hpa = {cpu:?} }}")).contains("utilization of `cpu`"), "cpu is not simulated");
}

#[test]
fn zero_replicas_while_nobody_asks() {
    let results = simulate("scale-to-zero.toml", &[]);
    let ready = series(&results, "ready_replicas");
    assert!(ready.contains(&0.0) && highest(&ready) >= 1.0, "{ready:?}");
    let counts = results.summary.requests;
    assert_eq!(counts.arrived, counts.completed + counts.in_flight, "{counts:?}");
    // The first of a burst waits for the weights.
    assert!(results.summary.latency.ttft_s.max.is_some_and(|worst| worst > 20.0));
}

#[test]
fn growth_ends_at_the_stock() {
    let results = simulate("growth-to-stock.toml", &["duration=3d", "streams.chat.shape[1].per_week=20"]);
    let (desired, ready) = (series(&results, "desired_replicas"), series(&results, "ready_replicas"));
    assert!(highest(&ready) <= 3.0 && highest(&desired) > 3.0, "{} {}", highest(&ready), highest(&desired));
    assert!(highest(&series(&results, "pending_replicas")) > 0.0);
}

#[test]
fn a_short_queue_serves_more_within_limits() {
    let met = |queue: &str| {
        let set = format!("deployments.chat.queue.max_requests={queue}");
        let results = simulate("scarcity.toml", &["duration=20m", &set]);
        assert!(results.summary.requests.rejected > 0 || queue != "20");
        results.summary.slo.attainment.unwrap_or(0.0)
    };
    let (short, long) = (met("20"), met("2000"));
    assert!(short > long, "{short} {long}");
}

#[test]
fn spot_nodes_come_and_go_in_measured_zones() {
    let sets = ["duration=12h", "streams.chat.rate=3/s", "deployments.chat.autoscaler.target=8"];
    let results = simulate("spot-heavy.toml", &sets);
    let counts = results.summary.requests;
    assert_eq!(counts.arrived, counts.completed + counts.timed_out + counts.failed + counts.in_flight);
    let spot = results.summary.pools[0].supply.expect("spot nodes come and go");
    assert!(spot.preempted > 0 && spot.share_without_stock.is_some(), "{spot:?}");
    // What a zone that took a node back gave next, another gave: most requests are answered all the same.
    assert!(counts.completed as f64 > 0.99 * counts.arrived as f64, "{counts:?}");
}

#[test]
fn the_api_takes_what_the_cards_cannot() {
    let spend = |replicas: u32| {
        let set = format!("deployments.chat.replicas={replicas}");
        let results = simulate("overflow-to-api.toml", &["duration=4h", "streams.chat.rate=16/s", &set]);
        let api = results.summary.apis[0].clone();
        assert!(results.summary.pools[0].nodes == replicas, "nodes follow replicas");
        (api.requests.arrived, api.spend_usd, results.summary.spend.total_usd)
    };
    let (one, two) = (spend(1), spend(2));
    assert!(one.0 > 4 * two.0.max(1) && one.1 > two.1, "{one:?} {two:?}");
    assert!(one.2 > 0.0 && two.2 > one.2 - one.1, "the cards of two cost more than those of one");
}

#[test]
fn the_cloud_takes_the_burst() {
    let results = simulate(
        "own-with-burst.toml",
        &["duration=16h", "streams.chat.rate=2/s", "deployments.chat.autoscaler.target=3"],
    );
    let pools = &results.summary.pools;
    let cloud = pools.iter().find(|pool| pool.name == "cloud").map_or(0.0, |pool| pool.card_hours);
    assert!(cloud > 0.0 && cloud < 16.0 * 16.0, "{cloud} card-hours in the cloud");
}
