//! `compare`: paired differences on the same random numbers.

mod plan_support;

use std::path::Path;

use fleetsim::plan::compare::{Stop, Variant, compare};
use fleetsim::scenario::load_text;
use fleetsim::sim::Seed;
use plan_support::{SMALL, fits, fleetsim, folder, printed, refused};
use serde_json::Value;

fn variant(name: &str, sets: &[&str], seed: u64) -> Variant {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded = load_text(SMALL, Path::new("small.toml"), &sets, Some(seed));
    Variant { name: name.to_owned(), config: loaded.unwrap_or_else(|wrong| panic!("{wrong}")).config }
}

const THREE: &str = "deployments.chat.replicas=3";
const SLOWER: &str = "deployments.chat.step_time.per_request=\"1100us\"";

/// The same arrivals make a difference visible with a tenth of the replications, at the very least.
#[test]
fn pairing_saves_replications() {
    let metrics = ["latency.e2e_s.mean", "latency.ttft_s.mean"].map(str::to_owned);
    let widths = |seed| {
        let variants = [variant("now", &[], 5), variant("slower", &[SLOWER], seed)];
        let told = compare(&variants, &metrics, Stop::After(12), &|| ()).expect("runs");
        let width = |index: usize| {
            let [lo, hi] = told.metrics[index].variants[0].ci95.expect("an interval");
            hi - lo
        };
        [width(0), width(1)]
    };
    let (paired, independent) = (widths(5), widths(Seed(5).stream("another").bits() >> 1));
    for (paired, independent) in paired.iter().zip(independent) {
        // The replications needed go with the square of the width.
        let ratio = (independent / paired) * (independent / paired);
        assert!(ratio > 10.0, "{ratio}");
    }
}

#[test]
fn threads_do_not_matter() {
    let variants = [variant("two", &[], 5), variant("three", &[THREE], 5), variant("one", &["seed=5"], 5)];
    let metrics = ["spend.total_usd", "latency.ttft_s.p99"].map(str::to_owned);
    let told = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let told = pool.install(|| compare(&variants, &metrics, Stop::After(6), &|| ())).expect("runs");
        serde_json::to_string(&told).expect("JSON")
    };
    assert_eq!(told(1), told(2));
}

#[test]
fn the_terminal() {
    let folder = folder();
    let three = format!("three:{THREE}");
    let random = "random:deployments.chat.routing=random,deployments.chat.replicas=2";
    let arguments =
        ["compare", "small.toml", "--variant", &three, "--variant", random, "--replications", "6"];
    let metrics =
        "spend.total_usd,slo.attainment,latency.ttft_s.p99,streams.chat.latency.e2e_s.p50,jobs.jct_s.mean";
    let text = printed(folder.path(), &[&arguments[..], &["--metrics", metrics]].concat());
    fits(&text, 100);
    insta::assert_snapshot!(text);
    fits(&printed(folder.path(), &arguments), 100);
}

#[test]
fn json_for_scripts() {
    let folder = folder();
    let arguments = ["compare", "small.toml", "--variant", "three:deployments.chat.replicas=3", "--json"];
    let told: Value = serde_json::from_str(&printed(folder.path(), &arguments)).expect("JSON");
    assert_eq!((&told["replications"], &told["baseline"]), (&10.into(), &"small".into()));
    let metrics = told["metrics"].as_array().expect("metrics");
    let metric = metrics.iter().find(|metric| metric["name"] == "latency.ttft_s.p99").expect("a main metric");
    let variant = &metric["variants"][0];
    assert_eq!(variant["name"], "three");
    let number = |value: &Value| value.as_f64().expect("a number");
    let (mean, diff) = (number(&variant["mean"]), number(&variant["diff"]));
    assert!((mean - number(&metric["baseline"]) - diff).abs() < 1e-12);
    assert!(number(&variant["ci95"][0]) < diff && diff < number(&variant["ci95"][1]) && diff < 0.0);
    assert_eq!((&variant["resolved"], &variant["replications_to_resolve"]), (&true.into(), &0.into()));
    let jobs = metrics.iter().find(|metric| metric["name"] == "jobs.jct_s.mean").expect("a main metric");
    assert_eq!((&jobs["baseline"], &jobs["variants"][0]["ci95"]), (&Value::Null, &Value::Null));
}

#[test]
fn until_resolved_or_the_cap() {
    let folder = folder();
    let run = |variant: &str, more: &[&str]| -> Value {
        let arguments = ["compare", "small.toml", "--variant", variant, "--json", "--until-resolved"];
        serde_json::from_str(&printed(folder.path(), &[&arguments, more].concat())).expect("JSON")
    };
    let told = run("three:deployments.chat.replicas=3", &["--replications", "3"]);
    assert_eq!(told["sequential"]["resolved"], true);
    assert!(told["replications"].as_u64().is_some_and(|n| n < 320));
    // One microsecond in twenty milliseconds: the cap comes first.
    let tiny = "tiny:deployments.chat.step_time.per_request=\"1000001ns\"";
    let more = [
        "--replications",
        "3",
        "--max-replications",
        "10",
        "--resolve",
        "requests.in_flight,utilization.busy",
    ];
    let told = run(tiny, &more);
    let looks = &told["sequential"];
    assert_eq!((&looks["looks_planned"], &told["metrics"].as_array().map(Vec::len)), (&3.into(), &Some(27)));
    assert_eq!(looks["error_per_look"], 0.05 / 3.0);
    if looks["resolved"] == false {
        assert_eq!((&looks["looks"], &told["replications"]), (&3.into(), &10.into()));
    }
}

/// Scenarios of other seeds are put under the baseline's.
#[test]
fn two_files_share_their_arrivals() {
    let folder = folder();
    let other = SMALL.replace("seed = 5", "seed = 6");
    std::fs::write(folder.path().join("other.toml"), other).expect("room");
    let arguments = ["compare", "small.toml", "other.toml", "--replications", "3", "--json"];
    let (status, out, err) = fleetsim(folder.path(), &arguments, 2);
    assert_eq!((status, err.as_str()), (0, "note: `other.toml` runs under the seed of `small.toml`, 5\n"));
    let told: Value = serde_json::from_str(&out).expect("JSON");
    for metric in told["metrics"].as_array().expect("metrics") {
        let variant = &metric["variants"][0];
        assert!(variant["diff"].is_null() || variant["diff"] == 0.0, "{variant}");
        assert!(variant["diff"].is_null() || variant["resolved"] == true, "{variant}");
    }
}

#[test]
fn bad_input() {
    let folder = folder();
    let refused = |more: &[&str]| refused(folder.path(), &[&["compare", "small.toml"], more].concat());
    insta::assert_snapshot!(
        [
            refused(&[]),
            refused(&["--variant", "three"]),
            refused(&["--variant", "a:deployments.chat.replicas"]),
            refused(&["--variant", "a:deployments.chat.replics=3"]),
            refused(&["--variant", "small:deployments.chat.replicas=3"]),
            refused(&["--variant", "a:deployments.chat.replicas=3", "--metrics", "latency.ttft.p99"]),
            refused(&[
                "--variant",
                "a:deployments.chat.replicas=3",
                "--until-resolved",
                "--max-replications",
                "4"
            ]),
            refused(&["--variant", "a:deployments.chat.replicas=9"]),
        ]
        .join("\n")
    );
}
