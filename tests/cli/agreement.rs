//! The files of a run against each other: what the summary says is counted again from the tables.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use serde_json::Value;

use super::program::{Run, Table, micro_dollars, nanos, number};

/// Quantiles come from buckets of this relative width, or a microsecond.
const QUANTILE_ERROR: f64 = 0.001;

fn close(said: &Value, counted: f64, what: &str) {
    let said = number(said);
    let error = (said - counted).abs();
    assert!(error <= 1e-9 * counted.abs().max(1e-3), "{what}: said {said}, counted {counted}");
}

/// Everything at once; the run must have been made with `--records all`.
pub fn assert_agrees(run: &Run) {
    let summary = run.summary();
    requests(run, &summary);
    ledger(run, &summary);
    timeseries(run, &summary);
    jobs(run, &summary);
}

struct Requests<'a> {
    table: &'a Table,
    rows: Vec<&'a Vec<String>>,
    warmup: u64,
}

impl Requests<'_> {
    fn count(&self, outcome: &str) -> u64 {
        let column = self.table.column("outcome");
        self.rows.iter().filter(|row| row[column] == outcome).count() as u64
    }

    /// The values of a column, of completed requests that arrived after the warm-up.
    fn latencies(&self, column: &str) -> Vec<u64> {
        let (outcome, arrival) = (self.table.column("outcome"), self.table.column("arrival_s"));
        let column = self.table.column(column);
        let counted =
            |row: &&&Vec<String>| row[outcome] == "completed" && nanos(&row[arrival]).unwrap() >= self.warmup;
        let mut found: Vec<u64> =
            self.rows.iter().filter(counted).filter_map(|row| nanos(&row[column])).collect();
        found.sort_unstable();
        found
    }

    fn tokens(&self, column: &str) -> u64 {
        let (outcome, column) = (self.table.column("outcome"), self.table.column(column));
        let completed = self.rows.iter().filter(|row| row[outcome] == "completed");
        completed.map(|row| row[column].parse::<u64>().unwrap()).sum()
    }
}

fn requests(run: &Run, summary: &Value) {
    let table = run.table("requests.csv");
    let warmup = (number(&summary["scenario"]["warmup_s"]) * 1e9).round() as u64;
    let duration = (number(&summary["scenario"]["duration_s"]) * 1e9).round() as u64;
    let (stream, deployment) = (table.column("stream"), table.column("deployment"));

    let mut ids: Vec<u64> = table.cells("id").iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert!(ids.iter().enumerate().all(|(place, id)| place as u64 == *id), "ids are not 0, 1, 2, ...");

    let all = Requests { table: &table, rows: table.rows.iter().collect(), warmup };
    counts_and_latency(&all, summary, "all");
    assert_eq!(all.rows.len() as u64, summary["requests"]["arrived"].as_u64().unwrap());
    for item in summary["streams"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap();
        let rows = table.rows.iter().filter(|row| row[stream] == name).collect();
        let mine = Requests { table: &table, rows, warmup };
        counts_and_latency(&mine, item, name);
        slo(&mine, item, name);
    }
    for item in summary["deployments"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap();
        let rows = table.rows.iter().filter(|row| row[deployment] == name).collect();
        counts_and_latency(&Requests { table: &table, rows, warmup }, item, name);
    }
    each_row(&table, duration);
}

/// What must hold in every row by itself.
fn each_row(table: &Table, duration: u64) {
    let column = |name| table.column(name);
    let (outcome, arrival) = (column("outcome"), column("arrival_s"));
    let (wait, ttft, tpot, e2e) =
        (column("queue_wait_s"), column("ttft_s"), column("tpot_s"), column("e2e_s"));
    let output = column("output_tokens");
    for row in &table.rows {
        assert!(nanos(&row[arrival]).unwrap() < duration, "{row:?}");
        let [wait, ttft, tpot, e2e] = [wait, ttft, tpot, e2e].map(|column| nanos(&row[column]));
        if row[outcome] != "completed" {
            assert!(e2e.is_none() && tpot.is_none(), "{row:?}");
            continue;
        }
        let (wait, ttft, e2e) = (wait.unwrap(), ttft.unwrap(), e2e.unwrap());
        assert!(wait < ttft && ttft <= e2e, "{row:?}");
        let output: u64 = row[output].parse().unwrap();
        assert_eq!(tpot, (output > 1).then(|| (e2e - ttft) / (output - 1)), "{row:?}");
    }
}

fn counts_and_latency(requests: &Requests<'_>, item: &Value, name: &str) {
    let said = &item["requests"];
    let mut sum = 0;
    for outcome in ["completed", "rejected", "timed_out", "failed", "in_flight"] {
        assert_eq!(said[outcome], requests.count(outcome), "{name}: {outcome}");
        sum += requests.count(outcome);
    }
    assert_eq!(said["arrived"], sum, "{name}");
    assert_eq!(item["tokens"]["prompt"], requests.tokens("prompt_tokens"), "{name}");
    assert_eq!(item["tokens"]["output"], requests.tokens("output_tokens"), "{name}");
    for metric in ["ttft_s", "tpot_s", "e2e_s", "queue_wait_s"] {
        let said = &item["latency"][metric];
        let found = requests.latencies(metric);
        let what = format!("{name}: {metric}");
        let Some(max) = found.last() else {
            assert!(said["mean"].is_null() && said["p99"].is_null(), "{what}");
            continue;
        };
        let sum: u128 = found.iter().map(|nanos| u128::from(*nanos)).sum();
        close(&said["mean"], sum as f64 / found.len() as f64 / 1e9, &what);
        close(&said["max"], *max as f64 / 1e9, &what);
        for (key, q) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
            let rank = (q * found.len() as f64).ceil().max(1.0) as usize - 1;
            let exact = found[rank] as f64 / 1e9;
            let error = (number(&said[key]) - exact).abs();
            assert!(error <= (QUANTILE_ERROR * exact).max(2e-6), "{what}: {key} is {exact}, said {said}");
        }
    }
}

/// The share of requests within their limits, counted by hand. In-flight requests count only as misses,
/// once they are past a limit.
fn slo(requests: &Requests<'_>, item: &Value, name: &str) {
    let limit = |key: &str| item["slo_limits"][key].as_f64();
    let (ttft_limit, tpot_limit, e2e_limit) = (limit("ttft_s"), limit("tpot_s"), limit("e2e_s"));
    let table = requests.table;
    let column = |name| table.column(name);
    let (outcome, arrival) = (column("outcome"), column("arrival_s"));
    let (ttft, tpot, e2e) = (column("ttft_s"), column("tpot_s"), column("e2e_s"));
    let within = |cell: &str, limit: Option<f64>| match (limit, nanos(cell)) {
        (Some(limit), Some(value)) => value as f64 <= limit * 1e9,
        _ => true,
    };
    let (mut judged, mut met, mut open) = (0u64, 0u64, 0u64);
    for row in requests.rows.iter().filter(|row| nanos(&row[arrival]).unwrap() >= requests.warmup) {
        match row[outcome].as_str() {
            "in_flight" => open += 1,
            "completed" => {
                judged += 1;
                met += u64::from(
                    within(&row[ttft], ttft_limit)
                        && within(&row[tpot], tpot_limit)
                        && within(&row[e2e], e2e_limit),
                );
            }
            _ => judged += 1,
        }
    }
    if ttft_limit.or(tpot_limit).or(e2e_limit).is_none() {
        assert!(item["slo"]["attainment"].is_null(), "{name}");
        return;
    }
    assert_eq!(item["slo"]["met"], met, "{name}");
    let attainment = number(&item["slo"]["attainment"]);
    let (least, most) = (met as f64 / (judged + open) as f64, met as f64 / judged as f64);
    assert!((least..=most).contains(&attainment), "{name}: {attainment} is not within {least}..{most}");
}

fn ledger(run: &Run, summary: &Value) {
    let table = run.table("ledger.csv");
    let (pool, cause) = (table.column("pool"), table.column("cause"));
    let (quantity, price) = (table.column("quantity"), table.column("price_usd"));
    let amount = table.column("amount_usd");
    let mut total = 0;
    let mut by_cause: BTreeMap<&str, i64> = BTreeMap::new();
    let mut by_pool: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for row in &table.rows {
        let paid = micro_dollars(&row[amount]);
        total += paid;
        *by_cause.entry(&row[cause]).or_default() += paid;
        *by_pool.entry((&row[pool], &row[cause])).or_default() += paid;
        // Causes are apportioned by largest remainder: each is within one micro-dollar of its own product.
        let product = row[quantity].parse::<f64>().unwrap() * row[price].parse::<f64>().unwrap();
        assert!((product * 1e6 - paid as f64).abs() <= 1.01, "{row:?}");
    }
    let micros = |value: &Value| (number(value) * 1e6).round() as i64;
    assert_eq!(micros(&summary["spend"]["total_usd"]), total);
    let said = |spend: &Value| -> BTreeMap<String, i64> {
        spend["by_cause"].as_object().unwrap().iter().map(|(key, usd)| (key.clone(), micros(usd))).collect()
    };
    let counted: BTreeMap<String, i64> = by_cause
        .into_iter()
        .filter(|(_, paid)| *paid != 0)
        .map(|(key, paid)| (key.to_owned(), paid))
        .collect();
    assert_eq!(said(&summary["spend"]), counted);
    let output = number(&summary["tokens"]["output"]);
    if output > 0.0 {
        close(&summary["spend"]["usd_per_1m_output_tokens"], total as f64 / output, "price of a token");
    }
    for item in summary["pools"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap();
        let mine: BTreeMap<String, i64> = by_pool
            .iter()
            .filter(|((pool, _), paid)| *pool == name && **paid != 0)
            .map(|((_, cause), paid)| ((*cause).to_owned(), *paid))
            .collect();
        assert_eq!(said(&item["spend"]), mine, "{name}");
        assert_eq!(micros(&item["spend"]["total_usd"]), mine.values().sum::<i64>(), "{name}");
    }
}

/// The integral over time of one series: each value times its bucket's length.
struct OverTime {
    /// (kind, subject, metric): (time, value).
    series: BTreeMap<[String; 3], Vec<(f64, f64)>>,
    bucket: f64,
    end: f64,
}

impl OverTime {
    fn new(run: &Run, end: f64) -> Self {
        let table = run.table("timeseries.csv");
        let mut series: BTreeMap<[String; 3], Vec<(f64, f64)>> = BTreeMap::new();
        let mut times = Vec::new();
        for row in &table.rows {
            let [time, kind, subject, metric, value] = <[String; 5]>::try_from(row.clone()).unwrap();
            let time: f64 = time.parse().unwrap();
            if times.last() != Some(&time) {
                times.push(time);
            }
            series.entry([kind, subject, metric]).or_default().push((time, value.parse().unwrap()));
        }
        assert!(times.is_sorted_by(|a, b| a < b), "the rows are not in order of time");
        let bucket = times.get(1).copied().unwrap_or(end);
        Self { series, bucket, end }
    }

    fn integral(&self, kind: &str, subject: &str, metric: &str) -> f64 {
        let length = |time: f64| self.bucket.min(self.end - time);
        self.values(kind, subject, metric).iter().map(|(time, value)| value * length(*time)).sum()
    }

    fn sum(&self, kind: &str, subject: &str, metric: &str) -> f64 {
        self.values(kind, subject, metric).iter().map(|(_, value)| value).sum()
    }

    fn values(&self, kind: &str, subject: &str, metric: &str) -> &[(f64, f64)] {
        let key = [kind, subject, metric].map(str::to_owned);
        self.series.get(&key).unwrap_or_else(|| panic!("no series {key:?}"))
    }
}

fn near(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{what}: {a} is not {b}");
}

fn timeseries(run: &Run, summary: &Value) {
    let end = number(&summary["scenario"]["duration_s"]);
    let over_time = OverTime::new(run, end);
    for item in summary["streams"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap();
        for (metric, outcome) in [
            ("offered_rps", "arrived"),
            ("completed_rps", "completed"),
            ("rejected_rps", "rejected"),
            ("timed_out_rps", "timed_out"),
        ] {
            let counted = over_time.integral("stream", name, metric);
            near(counted, number(&item["requests"][outcome]), &format!("{name}: {metric}"));
        }
    }
    let mut of_fleet = [0.0; 3];
    for item in summary["pools"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap();
        let [provisioned, allocated, busy] = ["provisioned_cards", "allocated_cards", "busy_cards"]
            .map(|metric| over_time.integral("pool", name, metric));
        near(provisioned, number(&item["card_hours"]) * 3600.0, name);
        near(allocated / provisioned, number(&item["utilization"]["allocated"]), name);
        near(busy / provisioned, number(&item["utilization"]["busy"]), name);
        near(over_time.sum("pool", name, "spend_usd"), number(&item["spend"]["total_usd"]), name);
        for (sum, part) in of_fleet.iter_mut().zip([provisioned, allocated, busy]) {
            *sum += part;
        }
    }
    let [provisioned, allocated, busy] = of_fleet;
    near(allocated / provisioned, number(&summary["utilization"]["allocated"]), "allocated");
    near(busy / provisioned, number(&summary["utilization"]["busy"]), "busy");
    for (cause, usd) in summary["spend"]["by_cause"].as_object().unwrap() {
        near(over_time.sum("cause", cause, "spend_usd"), number(usd), cause);
    }
    littles_law(run, summary, &over_time);
}

/// Little's law from the files alone: requests queued and running over time add up to the time that the
/// requests of the table spent. Only where nobody gave up, since the table has no end for those who did.
fn littles_law(run: &Run, summary: &Value, over_time: &OverTime) {
    if summary["requests"]["timed_out"] != 0 {
        return;
    }
    let table = run.table("requests.csv");
    let (arrival, e2e) = (table.cells("arrival_s"), table.cells("e2e_s"));
    let mut spent = 0.0;
    for ((arrival, e2e), outcome) in arrival.iter().zip(e2e).zip(table.cells("outcome")) {
        spent += match outcome {
            "completed" => e2e.parse().unwrap(),
            "in_flight" => over_time.end - arrival.parse::<f64>().unwrap(),
            _ => 0.0,
        };
    }
    let deployments = summary["deployments"].as_array().unwrap().iter();
    let seen: f64 = deployments
        .map(|item| item["name"].as_str().unwrap())
        .map(|name| {
            over_time.integral("deployment", name, "queued_requests")
                + over_time.integral("deployment", name, "running_requests")
        })
        .sum();
    near(seen, spent, "Little's law");
}

fn jobs(run: &Run, summary: &Value) {
    let table = run.table("jobs.csv");
    let states = table.cells("state");
    let count = |state: &str| states.iter().filter(|found| **found == state).count() as u64;
    let said = &summary["jobs"];
    for state in ["completed", "failed", "running", "queued"] {
        assert_eq!(said[state], count(state), "jobs {state}");
    }
    assert_eq!(said["submitted"], states.len() as u64 - count("not submitted"));
    let of = |name: &str| -> Vec<Option<u64>> { table.cells(name).into_iter().map(nanos).collect() };
    let (submit, start, end, wait, jct) =
        (of("submit_s"), of("start_s"), of("end_s"), of("wait_s"), of("jct_s"));
    for job in 0..states.len() {
        assert_eq!(wait[job], start[job].map(|start| start - submit[job].unwrap()));
        assert_eq!(jct[job], end[job].map(|end| end - submit[job].unwrap()));
    }
    let mean = |values: &[Option<u64>]| {
        let found: Vec<u64> = values.iter().flatten().copied().collect();
        (!found.is_empty()).then(|| found.iter().sum::<u64>() as f64 / found.len() as f64 / 1e9)
    };
    for (key, values) in [("wait_s", &wait), ("jct_s", &jct)] {
        match mean(values) {
            Some(mean) => close(&said[key]["mean"], mean, key),
            None => assert!(said[key]["mean"].is_null(), "{key}"),
        }
    }
}
