//! `run --replications`: intervals, the same on any number of threads.

mod plan_support;

use std::path::Path;

use fleetsim::plan::metrics::{MAIN, offered, read};
use fleetsim::plan::replicate::Replications;
use fleetsim::scenario::load_text;
use fleetsim::world::{RunOptions, WorldConfig, run};
use plan_support::{SMALL, fits, fleetsim, folder, printed};
use serde_json::Value;

fn config(sets: &[&str]) -> WorldConfig {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded = load_text(SMALL, Path::new("small.toml"), &sets, None);
    loaded.unwrap_or_else(|wrong| panic!("{wrong}")).config
}

fn replications(config: &WorldConfig, n: u64) -> Replications {
    let first = run(config, RunOptions::default()).expect("a run");
    let mut all = Replications::starting(&first, MAIN.map(str::to_owned).to_vec());
    all.extend(config, n, &|| ()).expect("runs");
    all
}

#[test]
fn threads_do_not_matter() {
    let config = config(&[]);
    let told = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let all = pool.install(|| replications(&config, 7));
        (all.csv(), serde_json::to_string(&all.summary()).expect("JSON"))
    };
    let (one, two) = (told(1), told(2));
    assert_eq!(one, two);
    assert_eq!(one.0.lines().count(), 8);
}

/// Each replication is what a run under its seed says, and requests are pooled, not averaged.
#[test]
fn rows_are_runs() {
    let config = config(&[]);
    let all = replications(&config, 4);
    let mut completed = 0;
    for row in &all.rows {
        let mut again = config.clone();
        again.seed = fleetsim::sim::Seed(row.seed);
        let summary = run(&again, RunOptions::default()).expect("a run").summary;
        assert_eq!(row.values, read(&summary, &all.metrics), "{}", row.index);
        completed += summary.requests.completed;
    }
    assert_eq!(all.rows[0].seed, 5);
    assert_eq!(all.pooled.counts.completed, completed);
    let pooled = all.summary().pooled_latency.ttft_s;
    let column = all.metrics.iter().position(|name| name == "latency.ttft_s.p99").expect("a main metric");
    let p99s: Vec<f64> = all.rows.iter().filter_map(|row| row.values[column]).collect();
    let (low, high) =
        p99s.iter().fold((f64::MAX, 0.0f64), |(low, high), p99| (low.min(*p99), high.max(*p99)));
    assert!(pooled.p99.is_some_and(|p99| low <= p99 && p99 <= high));
}

/// A name that is offered leads to a number or null in a real summary, never to nothing.
#[test]
fn offered_metrics_are_in_the_summary() {
    let config = config(&[]);
    let summary = run(&config, RunOptions::default()).expect("a run").summary;
    let tree = serde_json::to_value(&summary).expect("JSON");
    let named = |items: &Value, name: &str| -> Option<Value> {
        items.as_array()?.iter().find(|item| item["name"] == name).cloned()
    };
    let all = offered(&config);
    assert!(MAIN.iter().all(|name| all.iter().any(|other| other == name)));
    for name in &all {
        let mut node = Some(tree.clone());
        let mut steps: Vec<&str> = name.split('.').collect();
        if name.contains("by_cause") {
            // Causes without spend are left out.
            steps.pop();
        }
        for step in &steps {
            node = node.and_then(|node| match &node {
                Value::Array(_) => named(&node, step),
                other => other.get(step).cloned(),
            });
        }
        assert!(node.is_some(), "{name}");
    }
}

#[test]
fn the_files_and_the_terminal() {
    let folder = folder();
    let arguments = ["run", "small.toml", "--replications", "5", "--no-report", "--plots", "none"];
    let text = printed(folder.path(), &arguments);
    let over = text.split("Over 5 replications").nth(1).expect("intervals");
    fits(&text, 80);
    assert!(over.contains("latency.ttft_s.p99") && over.contains(" … "), "{over}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out/small").join(name)).expect(name);
    let rows = read("replications.csv");
    assert_eq!(rows.lines().count(), 6);
    assert!(rows.starts_with("replication,seed,spend.total_usd,"), "{rows}");
    let summary: Value = serde_json::from_str(&read("summary.json")).expect("JSON");
    assert_eq!(summary["replications"]["n"], 5);
    let metric = &summary["replications"]["metrics"][6];
    assert_eq!(metric["name"], "latency.ttft_s.p99");
    let number = |value: &Value| value.as_f64().expect("a number");
    let (mean, ci) = (number(&metric["mean"]), &metric["ci95"]);
    assert!(number(&ci[0]) < mean && mean < number(&ci[1]));

    // Replication 0 is the scenario itself; on one thread everything is the same.
    let (_, alone, _) = fleetsim(folder.path(), &["run", "small.toml", "--json", "--out", "alone"], 1);
    let mut first = summary.clone();
    first.as_object_mut().expect("an object").remove("replications");
    assert_eq!(first, serde_json::from_str::<Value>(&alone).expect("JSON"));
    let again = [&arguments[..], &["--out", "again", "--quiet"]].concat();
    assert_eq!(fleetsim(folder.path(), &again, 1), (0, String::new(), String::new()));
    for name in ["summary.json", "replications.csv"] {
        let other = std::fs::read_to_string(folder.path().join("again").join(name)).expect(name);
        assert_eq!(other, read(name), "{name}");
    }
}

/// A metric that is missing in some replications has no mean over the others.
#[test]
fn no_mean_over_the_lucky_ones() {
    // So few requests that some replications complete none.
    let all = replications(&config(&["streams.chat.rate=0.01/s"]), 12);
    let column = all.metrics.iter().position(|name| name == "latency.ttft_s.mean").expect("a main metric");
    let missing = all.rows.iter().filter(|row| row.values[column].is_none()).count();
    assert!((1..12).contains(&missing), "{missing}");
    let summary = all.summary();
    assert_eq!((summary.metrics[column].mean, summary.metrics[column].ci95), (None, None));
}
