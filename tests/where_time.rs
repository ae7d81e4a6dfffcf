//! Where the time of requests goes: of each completed request the causes add up to its time, exactly, and what a
//! scenario is about shows in them.

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use std::path::Path;
use std::process::Command;

use fleetsim::metrics::TimeSpent;
use fleetsim::metrics::results::{RunResults, Subject, TimeByCause, metric};
use fleetsim::scenario;
use fleetsim::units::Duration;
use fleetsim::world::{RequestRow, RunOptions, run};

fn path(name: &str) -> String {
    format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a scenario; its results, and of each completed request its queue wait, E2E and causes.
fn rows(name: &str, sets: &[&str]) -> (RunResults, Vec<(Duration, Duration, TimeSpent)>) {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded =
        scenario::load(Path::new(&path(name)), &sets, None).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut rows = Vec::new();
    let mut sink = |row: &RequestRow<'_>| {
        if row.outcome() == "completed" {
            let departure = row.departure();
            let first = departure.first_scheduled.unwrap();
            let wait = first.since(departure.arrival);
            rows.push((wait, departure.end.since(departure.arrival), row.time_spent()));
        }
        Ok(())
    };
    let options = RunOptions { requests: Some(&mut sink), ..RunOptions::default() };
    let results = run(&loaded.config, options).unwrap_or_else(|error| panic!("{error}"));
    (results, rows)
}

fn nanos(parts: &[Duration]) -> u64 {
    parts.iter().map(|part| part.as_nanos()).sum()
}

fn checked(name: &str, sets: &[&str]) -> (RunResults, TimeByCause) {
    let (results, rows) = rows(name, sets);
    assert!(rows.len() > 50, "{name}: {} requests", rows.len());
    for (wait, e2e, spent) in &rows {
        assert_eq!(nanos(&spent.in_all), e2e.as_nanos(), "{name}: {spent:?}");
        assert_eq!(nanos(&spent.at_first), wait.as_nanos(), "{name}: {spent:?}");
        assert!(spent.at_first.iter().zip(&spent.in_all).all(|(first, all)| first <= all), "{spent:?}");
    }
    let time = results.time[0].time;
    (results, time)
}

#[test]
fn a_cold_start_is_a_wait_for_capacity() {
    let (results, time) = checked("scale-to-zero", &[]);
    assert!(time.starting_s > 10.0 * time.batch_slot_s && time.starting_s > 1.0, "{time:?}");
    // What the summary says is the sum, too.
    let summary = &results.summary;
    let of = summary.time_by_cause_s.unwrap();
    let total: f64 = of.parts().iter().map(|part| part.1).sum();
    let mean = summary.latency.e2e_s.mean.unwrap();
    assert!((total - mean).abs() < 1e-9 * mean, "{total} {mean}");
    let wait = summary.wait_by_cause_s.unwrap();
    let (total, mean) =
        (wait.starting_s + wait.batch_slot_s + wait.kv_memory_s, summary.latency.queue_wait_s.mean.unwrap());
    assert!((total - mean).abs() < 1e-9 * mean, "{total} {mean}");
}

/// What the plot over time shows is the same time: each bucket's means, times its requests, add up to all.
#[test]
fn the_causes_over_time_add_up_to_the_totals() {
    let (results, rows) = rows("scale-to-zero", &["warmup=0s"]);
    let timeseries = &results.timeseries;
    let stream = Subject::Stream(results.summary.streams[0].name.clone());
    let completed = timeseries.values(&stream, metric::COMPLETED_RPS).unwrap();
    let mut over_time = 0.0;
    for cause in metric::TIME_BY_CAUSE_S {
        for (bucket, mean) in timeseries.values(&stream, cause).unwrap_or_default().iter().enumerate() {
            let (from, to) = timeseries.bucket_edges(bucket);
            let requests = completed[bucket].unwrap() * to.since(from).as_secs_f64();
            over_time += mean.unwrap_or(0.0) * requests;
        }
    }
    let total: f64 = rows.iter().map(|(_, e2e, _)| e2e.as_secs_f64()).sum();
    assert!(rows.len() > 50 && (over_time / total - 1.0).abs() < 1e-9, "{over_time} {total}");
    // Waiting for a node that boots is there at some time, and not at others.
    let starting = timeseries.values(&stream, metric::TIME_BY_CAUSE_S[0]).unwrap();
    assert!(starting.iter().flatten().any(|mean| *mean > 10.0));
    assert!(starting.iter().flatten().any(|mean| *mean == 0.0));
}

#[test]
fn a_hand_over_is_a_transfer() {
    let (_, time) = checked("disaggregated", &["duration=20m"]);
    assert!(time.transfer_s > 0.0 && time.starting_s == 0.0, "{time:?}");
    let (_, time) = checked("aggregated", &["duration=20m"]);
    assert!(time.transfer_s == 0.0, "{time:?}");
}

#[test]
fn a_full_batch_and_a_full_cache_are_told_apart() {
    let hour = ["duration=1h", "warmup=1m", "streams.chat.rate=16/s", "streams.chat.timeout=1h"];
    let few = [&hour[..], &["deployments.chat-70b.batching.max_batch_requests=2"]].concat();
    let (_, time) = checked("quickstart", &few);
    assert!(time.batch_slot_s > 1.0 && time.kv_memory_s == 0.0 && time.starting_s == 0.0, "{time:?}");
    let little = [&hour[..], &["deployments.chat-70b.kv_blocks=500"]].concat();
    let (_, time) = checked("quickstart", &little);
    assert!(time.kv_memory_s > 10.0, "{time:?}");
}

#[test]
fn the_table_of_waits_adds_up_to_that_of_requests() {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fleetsim"))
        .args([
            "run",
            &path("scale-to-zero"),
            "--records",
            "requests,waits",
            "--no-report",
            "--plots",
            "none",
            "--out",
        ])
        .arg(out.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cells = |name: &str| -> Vec<csv::StringRecord> {
        csv::Reader::from_path(out.path().join(name)).unwrap().records().map(Result::unwrap).collect()
    };
    let header = "id,wait_starting_s,wait_batch_slot_s,wait_kv_memory_s,starting_s,batch_slot_s,kv_memory_s,\
                  prefill_s,decode_s,transfer_s,response_cache_s";
    let text = std::fs::read_to_string(out.path().join("waits.csv")).unwrap();
    assert_eq!(text.lines().next(), Some(header));
    // Nanoseconds, so that sums are exact.
    let nanos = |cell: &str| (cell.parse::<f64>().unwrap() * 1e9).round() as i64;
    let sum = |row: &csv::StringRecord, from: usize, to: usize| {
        (from..to).map(|place| nanos(&row[place])).sum::<i64>()
    };
    let (requests, waits) = (cells("requests.csv"), cells("waits.csv"));
    let completed: Vec<_> = requests.iter().filter(|row| &row[11] == "completed").collect();
    assert!(completed.len() > 10 && completed.len() == waits.len(), "{}", completed.len());
    for (request, waited) in completed.into_iter().zip(&waits) {
        assert_eq!(request[0], waited[0]);
        assert_eq!(sum(waited, 1, 4), nanos(&request[7]), "{waited:?}");
        assert_eq!(sum(waited, 4, 11), nanos(&request[10]), "{waited:?}");
    }
}
