//! `trace describe` and `trace fit` on traces of jobs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::print::{digits, out};
use crate::cli::Failure;
use crate::fleet::PoolId;
use crate::jobs::{
    Fitted, JobDescription, JobTrace, JobTraceConfig, JobTraceError, JobTraceFormat, Refusal, TracePool,
};
use crate::sim::Seed;

impl From<JobTraceError> for Failure {
    fn from(error: JobTraceError) -> Self {
        Self::BadInput(format!("error: {error}"))
    }
}

/// What a trace of jobs is held against.
#[derive(Debug, clap::Args)]
pub(super) struct Cluster {
    /// Of a trace of jobs: hold it against the pools of this scenario
    #[arg(long, value_name = "FILE", conflicts_with = "cards")]
    scenario: Option<PathBuf>,
    /// Of a trace of jobs: hold it against a cluster of so many cards
    #[arg(long, value_name = "N")]
    cards: Option<u32>,
    /// Of Gavel's own traces: the table of throughputs, JSON
    #[arg(long, value_name = "FILE")]
    throughputs: Option<PathBuf>,
}

impl Cluster {
    fn pools(&self) -> Result<Vec<TracePool>, Failure> {
        if let Some(cards) = self.cards {
            return Ok(vec![TracePool::of_cards(PoolId(0), cards)]);
        }
        let Some(scenario) = &self.scenario else { return Ok(Vec::new()) };
        let loaded = crate::cli::run::load(scenario, &[], None, true)?;
        let pools = (0u16..).zip(&loaded.config.pools);
        Ok(pools.map(|(id, plan)| TracePool::from_config(PoolId(id), &plan.fleet)).collect())
    }
}

pub(super) fn describe(
    file: &Path,
    format: JobTraceFormat,
    cluster: &Cluster,
    as_json: bool,
) -> Result<(), Failure> {
    let found = JobDescription::read(file, format, cluster.throughputs.as_deref(), &cluster.pools()?)?;
    out(&if as_json { json(file, &found) } else { text(&super::name_of(file), &found) })
}

pub(super) fn fit(
    file: &Path,
    format: JobTraceFormat,
    (count, seed): (Option<u64>, u64),
    to: Option<&Path>,
) -> Result<(), Failure> {
    let trace = JobTrace::read(&JobTraceConfig {
        file: file.to_owned(),
        format,
        queues: Vec::new(),
        throughputs: None,
        pools: vec![TracePool::of_cards(PoolId(0), u32::MAX)],
        skip_bad_rows: true,
    })?;
    if trace.left_out > 0 {
        eprintln!("{} rows left out: {}", trace.left_out, trace.examples.join("; "));
    }
    let Some(fitted) = Fitted::to(&trace) else {
        let shown = file.display();
        return Err(Failure::BadInput(format!(
            "error: {shown}: all jobs are submitted at once, so nothing is known of when they come"
        )));
    };
    let text = fitted.generate(count.unwrap_or(trace.jobs.len() as u64), Seed(seed));
    let Some(to) = to else { return out(&text) };
    std::fs::write(to, text)
        .map_err(|error| Failure::BadInput(format!("error: {} cannot be written: {error}", to.display())))
}

#[derive(Serialize)]
struct Json<'a> {
    file: String,
    format: &'a str,
    rows: u64,
    jobs: u64,
    left_out: u64,
    problems: Vec<Problem>,
    span_s: f64,
    users: usize,
    queues: usize,
    shared_cards: u64,
    sizes: BTreeMap<u32, u64>,
    duration_s: Durations,
    by_hour: [u64; 24],
    demand: Vec<JsonDemand<'a>>,
    cluster: Option<JsonCluster<'a>>,
}

#[derive(Serialize)]
struct Problem {
    what: String,
    first_line: u64,
    rows: u64,
}

#[derive(Serialize)]
struct Durations {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

#[derive(Serialize)]
struct JsonDemand<'a> {
    accelerator: &'a str,
    jobs: u64,
    card_hours: f64,
    peak_cards: f64,
    cluster_cards: Option<u64>,
}

#[derive(Serialize)]
struct JsonCluster<'a> {
    cards: u64,
    admitted: u64,
    refused: Vec<Problem>,
    load: Option<f64>,
    drains: bool,
    drains_after_s: f64,
    backlog_card_hours: f64,
    by_accelerator: &'a BTreeMap<String, u64>,
}

/// What is wrong with the rows, the unusable ones first.
fn problems(found: &JobDescription) -> Vec<Problem> {
    let mut all: Vec<Problem> = found.unusable.iter().map(problem).collect();
    for (what, (rows, first_line)) in [
        ("submitted before the row above", found.out_of_order),
        ("the name of another job", found.repeated),
        ("lasts no time", found.instant),
        ("takes longer than its user says", found.underestimated),
    ] {
        if rows > 0 {
            all.push(Problem { what: what.to_owned(), first_line, rows });
        }
    }
    all
}

fn problem(refusal: &Refusal) -> Problem {
    Problem { what: refusal.why.clone(), first_line: refusal.line, rows: refusal.rows }
}

/// Cards of the cluster that go by this name.
fn cards_of(found: &JobDescription, accelerator: &str) -> Option<u64> {
    let against = found.against.as_ref()?;
    if accelerator.is_empty() {
        return Some(against.cards);
    }
    let known = against.by_type.iter();
    Some(
        known
            .filter(|(name, _)| TracePool::same_accelerator(name, accelerator))
            .map(|(_, cards)| cards)
            .sum(),
    )
}

fn json(file: &Path, found: &JobDescription) -> String {
    let json = Json {
        file: file.display().to_string(),
        format: found.format.name(),
        rows: found.rows,
        jobs: found.jobs,
        left_out: found.rows - found.jobs,
        problems: problems(found),
        span_s: found.span_s,
        users: found.users,
        queues: found.queues,
        shared_cards: found.parts,
        sizes: found.sizes.clone(),
        duration_s: Durations {
            p50: found.duration_quantile(0.5),
            p90: found.duration_quantile(0.9),
            p99: found.duration_quantile(0.99),
            max: found.duration_quantile(1.0),
        },
        by_hour: found.by_hour,
        demand: found
            .demand
            .iter()
            .map(|(accelerator, demand)| JsonDemand {
                accelerator,
                jobs: demand.jobs,
                card_hours: demand.card_seconds / 3600.0,
                peak_cards: demand.peak_cards,
                cluster_cards: cards_of(found, accelerator),
            })
            .collect(),
        cluster: found.against.as_ref().map(|against| JsonCluster {
            cards: against.cards,
            admitted: against.admitted,
            refused: against.refused.iter().map(problem).collect(),
            load: against.load,
            drains: against.load.is_none_or(|load| load <= 1.0),
            drains_after_s: against.drains_after_s,
            backlog_card_hours: against.backlog_card_s / 3600.0,
            by_accelerator: &against.by_type,
        }),
    };
    // Plain data: its numbers are finite.
    let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
    text.push('\n');
    text
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn text(name: &str, found: &JobDescription) -> String {
    let mut text = format!("{name} ({}, jobs)\n\n", found.format.name());
    let mut summary = table();
    let mut line = |what: &str, value: String| {
        summary.add_row([what.to_owned(), value]);
    };
    line("rows", found.rows.to_string());
    line("jobs", found.jobs.to_string());
    line("left out", (found.rows - found.jobs).to_string());
    line("span", format!("{} h", digits(found.span_s / 3600.0)));
    line("users, queues", format!("{}, {}", found.users, found.queues));
    if found.parts > 0 {
        line("share their card", found.parts.to_string());
    }
    let quantile = |share| digits(found.duration_quantile(share));
    line(
        "duration p50, p90, p99, max",
        format!("{}, {}, {}, {} s", quantile(0.5), quantile(0.9), quantile(0.99), quantile(1.0)),
    );
    let mut sizes: Vec<(&u32, &u64)> = found.sizes.iter().collect();
    sizes.sort_by_key(|(cards, jobs)| (std::cmp::Reverse(**jobs), **cards));
    let sizes: Vec<String> = sizes.iter().take(8).map(|(cards, jobs)| format!("{jobs} × {cards}")).collect();
    line("jobs × cards", sizes.join(", "));
    text += &format!("{summary}\n\n");
    let mut demand = table();
    demand.set_header(["accelerator", "jobs", "card-hours", "most at once", "cluster has"]);
    for (accelerator, of) in &found.demand {
        let has = cards_of(found, accelerator).map_or("–".to_owned(), |cards| cards.to_string());
        let name = if accelerator.is_empty() { "any" } else { accelerator };
        let hours = digits(of.card_seconds / 3600.0);
        demand.add_row([name.to_owned(), of.jobs.to_string(), hours, digits(of.peak_cards), has]);
    }
    text += &format!("{demand}\n\n");
    let all = problems(found);
    if !all.is_empty() {
        text += "What is wrong with its rows:\n";
        for Problem { what, first_line, rows } in all {
            text += &format!("  {rows} × {what} (first: line {first_line})\n");
        }
        text.push('\n');
    }
    if let Some(against) = &found.against {
        text += &format!(
            "On {} cards: {} of {} jobs would be admitted.\n",
            against.cards, against.admitted, found.jobs
        );
        for Refusal { why, line, rows } in &against.refused {
            text += &format!("  {rows} × not admitted: {why} (first: line {line})\n");
        }
        let drain = digits(against.drains_after_s / 3600.0);
        text += &match against.load {
            Some(load) if load > 1.0 => format!(
                "The queue can never drain: {} times the cluster's cards are asked for while jobs come. {drain} h \
                 of work are left for all cards when the last has come.\n",
                digits(load)
            ),
            Some(load) => format!(
                "Load {} while jobs come; at best all is done {drain} h after the last has come.\n",
                digits(load)
            ),
            None => format!("All jobs come at once; at best all is done {drain} h later.\n"),
        };
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
