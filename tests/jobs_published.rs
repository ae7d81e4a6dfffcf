//! Published results of other schedulers on real traces, against ours: one table.

mod published_support;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetsim::fleet::PoolId;
use fleetsim::jobs::{
    JobConfig, JobExtra, JobList, JobOption, JobTerms, JobTrace, JobTraceConfig, JobTraceFormat, TracePool,
};
use fleetsim::metrics::results::RunResults;
use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::{Durations, Objective, QueueOrder, RoundsConfig};
use fleetsim::sim::Seed;
use fleetsim::units::{Duration, Flop, Instant};
use fleetsim::world::{RunOptions, WorldConfig, run};
use published_support::{Row, data, openb};
use support::pool;

fn world(
    list: Arc<JobList>,
    nodes: &[(u32, u32)],
    order: QueueOrder,
    placement: PlacementKind,
) -> WorldConfig {
    let pools = nodes.iter().enumerate().map(|(number, (nodes, cards))| {
        let mut pool = pool(*nodes);
        pool.fleet.name = format!("pool{number}");
        pool.fleet.cards_per_node = *cards;
        pool
    });
    let last = list.all_facts().iter().map(|facts| facts.submit).max().unwrap_or(Instant::ZERO);
    let work = list.all_facts().iter().fold(Duration::ZERO, |sum, facts| sum + facts.duration);
    WorldConfig {
        name: "jobs".to_owned(),
        seed: Seed(1),
        duration: last.since(Instant::ZERO) + work + Duration::from_secs(1),
        warmup: Duration::ZERO,
        streams: Vec::new(),
        pools: pools.collect(),
        deployments: Vec::new(),
        jobs: Vec::new(),
        job_trace: Some(list),
        job_rules: Default::default(),
        queue_order: order,
        placement,
        hosts: Vec::new(),
        scalers: Vec::new(),
        node_scaler: None,
        tenants: Vec::new(),
        apis: Vec::new(),
        assumptions: Vec::new(),
        defaults: Vec::new(),
    }
}

fn simulate(config: &WorldConfig) -> RunResults {
    run(config, RunOptions::default()).expect("the scenario is right and its books balance")
}

/// Helios' simulator with consolidating placement and strict head-of-line (Hu et al., SC 2021, artifact): every
/// start on two of Philly's virtual clusters, and the means.
fn helios(rows: &mut Vec<Row>) {
    let Some(file) = data("helios/philly_sub_5497_trace.csv") else { return };
    let published = [
        ("103959", 3, "fifo", QueueOrder::Fifo, 47347.758, 22912.118),
        ("103959", 3, "sjf", QueueOrder::Sjf(Durations::True), 33486.588, 9050.948),
        ("0e4a51", 4, "fifo", QueueOrder::Fifo, 240972.035, 187188.551),
        ("0e4a51", 4, "sjf", QueueOrder::Sjf(Durations::True), 134384.739, 80601.255),
    ];
    for (cluster, nodes, name, order, jct, wait) in published {
        let trace = JobTrace::read(&JobTraceConfig {
            file: file.clone(),
            format: JobTraceFormat::Helios,
            queues: vec![cluster.to_owned()],
            throughputs: None,
            pools: vec![TracePool::of_cards(PoolId(0), nodes * 8)],
            skip_bad_rows: false,
        });
        let jobs = Arc::new(trace.expect("the trace is right").jobs);
        let results = simulate(&world(jobs, &[(nodes, 8)], order, PlacementKind::Consolidate));
        let Some(log) = data(&format!("helios/{name}_consolidate_{cluster}_log.csv")) else { return };
        let mut log = csv::Reader::from_path(log).expect("the log can be read");
        let header = log.headers().expect("it has a header").clone();
        let place =
            |name: &str| header.iter().position(|column| column == name).expect("the column is there");
        let columns = ["submit_time", "duration", "gpu_num", "start_time"].map(place);
        let mut theirs: Vec<[u64; 4]> = log
            .records()
            .map(|row| {
                let row = row.expect("a row");
                columns.map(|column| row[column].parse::<f64>().expect("a number") as u64)
            })
            .collect();
        let seconds = |at: Instant| at.as_nanos() / 1_000_000_000;
        let mut ours: Vec<[u64; 4]> = results
            .jobs
            .iter()
            .map(|row| {
                let start = row.start.expect("it started");
                let took = row.end.expect("it is done").since(start).as_nanos() / 1_000_000_000;
                [seconds(row.submit), took, u64::from(row.accelerators), seconds(start)]
            })
            .collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        let same = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours == theirs).count();
        let summary = results.summary.jobs;
        let (our_jct, our_wait) = (summary.jct_s.mean.expect("done"), summary.wait_s.mean.expect("started"));
        for (figure, published, ours, within) in [
            ("starts met to the second", theirs.len() as f64, same as f64, 0.0),
            ("mean JCT, s", jct, our_jct, 1e-3),
            ("mean wait, s", wait, our_wait, 1e-3),
        ] {
            let figure = format!("{cluster} {name}, {figure}");
            rows.push(Row { source: "Helios", figure, published, ours, within: Some(within) });
        }
    }
}

/// Batsim with batsched's EASY backfilling on 801 jobs over 32 hosts: each wait within a second for 99 % of
/// jobs, and the means.
fn batsim(rows: &mut Vec<Row>) {
    let (Some(workload), Some(log)) = (data("batsim/medium_late.json"), data("batsim/easy/out_jobs.csv"))
    else {
        return;
    };
    let text = std::fs::read_to_string(workload).expect("the workload can be read");
    let workload: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let mut jobs = JobList::default();
    for job in workload["jobs"].as_array().expect("a list of jobs") {
        let number = |value: &serde_json::Value| value.as_f64().expect("a number");
        let profile = job["profile"].as_str().expect("a profile");
        let delay = number(&workload["profiles"][profile]["delay"]);
        let terms = JobTerms {
            estimate: Some(Duration::from_secs_f64(number(&job["walltime"]))),
            ..JobTerms::default()
        };
        jobs.push(
            (&job["id"].to_string(), "", ""),
            Instant::from_secs_f64(number(&job["subtime"])),
            (number(&job["res"]) as u32, Duration::from_secs_f64(delay)),
            &[PoolId(0)],
            terms,
        );
    }
    let config = world(Arc::new(jobs), &[(32, 1)], QueueOrder::Easy, PlacementKind::FirstFit);
    let results = simulate(&config);
    let mut ours: BTreeMap<(u64, u32), f64> = BTreeMap::new();
    let (mut slowdown, mut most) = (0.0, 0.0f64);
    for row in &results.jobs {
        let (start, end) = (row.start.expect("it started"), row.end.expect("it is done"));
        let wait = start.since(row.submit).as_secs_f64();
        let ran = end.since(start).as_secs_f64();
        ours.insert(((row.submit.as_secs_f64() * 1e3).round() as u64, row.accelerators), wait);
        slowdown += (wait + ran) / ran / results.jobs.len() as f64;
        most = most.max(wait);
    }
    let mut log = csv::Reader::from_path(log).expect("the log can be read");
    let (mut near, mut count) = (0, 0);
    for row in log.records() {
        let row = row.expect("a row");
        let number = |column: usize| row[column].parse::<f64>().expect("a number");
        let key = ((number(3) * 1e3).round() as u64, number(4) as u32);
        count += 1;
        near += u32::from(ours.get(&key).is_some_and(|wait| (wait - number(10)).abs() <= 1.0));
    }
    let summary = &results.summary.jobs;
    let count = f64::from(count);
    for (figure, published, ours, within) in [
        ("mean wait, s", 9.516326, summary.wait_s.mean.expect("started"), 0.01),
        ("longest wait, s", 316.742718, most, 1.0),
        ("mean slow-down", 1.391621, slowdown, 0.001),
        ("makespan, s", 16088.51, summary.makespan_s.expect("done"), 0.01),
        ("waits met within a second", count, f64::from(near), 0.01 * count),
    ] {
        rows.push(Row {
            source: "Batsim",
            figure: format!("EASY, {figure}"),
            published,
            ours,
            within: Some(within),
        });
    }
}

/// Gavel's simulator (Narayanan et al., OSDI 2020, artifact) on 96 jobs over 8 V100, 16 P100 and 24 K80.
fn gavel(rows: &mut Vec<Row>) {
    let Some(file) = data("gavel/max_min_fairness_neutral.csv") else { return };
    let mut table = csv::Reader::from_path(file).expect("the trace can be read");
    let mut jobs = JobList::default();
    for row in table.records() {
        let row = row.expect("a row");
        let number = |column: usize| row[column].parse::<f64>().expect("a number");
        // The columns of durations; a job that cannot run on an accelerator has none.
        let option = |pool: u16| {
            let seconds = row[usize::from(9 + pool)].parse().ok()?;
            let (duration, label) = (Duration::from_secs_f64(seconds), String::new());
            Some(JobOption {
                pool: PoolId(pool),
                duration,
                flop: Flop::ZERO,
                label,
                loads: Vec::new(),
                steps: 0.0,
                on_links: None,
            })
        };
        jobs.push_config(&JobConfig {
            name: row[0].to_owned(),
            user: String::new(),
            queue: String::new(),
            submit: Instant::from_secs_f64(number(2)),
            cards: number(3) as u32,
            options: (0..3).filter_map(option).collect(),
            terms: JobTerms::default(),
            extra: JobExtra::default(),
            needs: Default::default(),
        });
    }
    let jobs = Arc::new(jobs);
    let published = [
        ("FIFO", Objective::Fifo { fastest: false }, 35904.6, 196524.0, 0.349),
        ("LAS", Objective::MaxMin { aware: false }, 19989.3, 77141.0, 0.743),
        ("FIFO-perf", Objective::Fifo { fastest: true }, 19526.9, 72320.0, 0.722),
        ("max-min-perf", Objective::MaxMin { aware: true }, 14622.8, 63945.0, 0.790),
        ("finish-time-fairness-perf", Objective::FinishTime, 15009.7, 64971.0, 0.736),
        ("min-total-duration-perf", Objective::Makespan, 22972.6, 61513.0, 0.826),
    ];
    for (name, objective, jct, makespan, utilization) in published {
        let order = QueueOrder::Rounds(RoundsConfig::new(objective));
        let mut config =
            world(Arc::clone(&jobs), &[(8, 1), (16, 1), (24, 1)], order, PlacementKind::FirstFit);
        config.duration = Duration::from_secs(2_000_000);
        let results = simulate(&config);
        let summary = &results.summary.jobs;
        let end = summary.makespan_s.expect("done");
        let busy: f64 = results
            .cards
            .iter()
            .flat_map(|card| &card.leases)
            .map(|(from, to, _)| to.since(*from).as_secs_f64())
            .sum();
        for (figure, published, ours) in [
            ("mean JCT, s", jct, summary.jct_s.mean.expect("done")),
            ("makespan, s", makespan, end),
            ("utilization", utilization, busy / 48.0 / end),
        ] {
            // Which gangs draw the slow cards decides how busy those are: hundreds of card-hours by one draw.
            let chance = name == "FIFO" && figure == "utilization";
            let within = (!chance).then_some(0.1 * published);
            let figure = format!("{name}, {figure}");
            rows.push(Row { source: "Gavel", figure, published, ours, within });
        }
    }
}

#[test]
fn published_results_are_met() {
    let mut rows = Vec::new();
    helios(&mut rows);
    batsim(&mut rows);
    gavel(&mut rows);
    openb::rows(&mut rows);
    println!(
        "{:8} {:44} {:>12} {:>12} {:>8} {:>8}",
        "source", "figure", "published", "ours", "off", "allowed"
    );
    let mut missed = Vec::new();
    for Row { source, figure, published, ours, within } in rows {
        let percent = |part: f64| format!("{:.2} %", 100.0 * part / published);
        println!(
            "{source:8} {figure:44} {published:>12.3} {ours:>12.3} {:>8} {:>8}",
            percent(ours - published),
            within.map_or("chance".to_owned(), percent)
        );
        if within.is_some_and(|within| (ours - published).abs() > within) {
            missed.push(format!("{source} {figure}: {ours} instead of {published}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
