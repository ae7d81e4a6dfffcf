//! `report.html`: one page that opens offline, everything in one file, no script.

use askama::Template;

use super::format::{NOTHING, count, hours, money, or_nothing, percent, plural, seconds, si, span};
use super::plots::{self, PlotError};
use super::terminal::{latencies, limits_in_words, share};
use super::verdict::{self, Held, held};
use crate::metrics::results::{
    Assumption, DeploymentSummary, JobRow, PoolSummary, RunResults, StreamSummary,
};

/// Longer tables of jobs are left to `jobs.csv`.
const MOST_JOBS: usize = 60;

/// Why the page could not be made: both would be defects of the program.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// A plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The template could not be filled.
    #[error("cannot fill the page: {0}")]
    Template(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    name: &'a str,
    headline: String,
    /// `good`, `bad` or `neutral`.
    mood: &'static str,
    facts: Vec<(&'static str, String, String)>,
    limits: Vec<String>,
    doubts: Vec<&'a Assumption>,
    streams: Vec<Vec<String>>,
    verdicts: Vec<(&'static str, &'static str)>,
    pools: Vec<Vec<String>>,
    deployments: Vec<Vec<String>>,
    jobs: Vec<Vec<String>>,
    jobs_left_out: usize,
    causes: Vec<(String, String, String)>,
    total: String,
    energy: Vec<(&'static str, String)>,
    assumptions: Vec<&'a Assumption>,
    seed: u64,
    duration: String,
    warmup: String,
    version: &'static str,
    overview: String,
    latency: Vec<String>,
    utilization: Vec<String>,
    spend: Vec<String>,
}

/// The whole page.
pub(super) fn page(results: &RunResults) -> Result<String, PageError> {
    let summary = &results.summary;
    let (headline, good) = verdict::headline(results);
    let svgs = |names: &[&str]| -> Result<Vec<String>, PlotError> {
        names.iter().filter_map(|name| plots::find(name)).map(|plot| embedded(results, plot)).collect()
    };
    let page = Page {
        name: &summary.scenario.name,
        headline,
        mood: match good {
            Some(true) => "good",
            Some(false) => "bad",
            None => "neutral",
        },
        facts: facts(results),
        limits: verdict::limits(results),
        doubts: results.assumptions.iter().filter(|assumption| !assumption.doubt.is_empty()).collect(),
        streams: summary.streams.iter().map(stream_row).collect(),
        verdicts: summary.streams.iter().map(verdict_cell).collect(),
        pools: summary.pools.iter().map(pool_row).collect(),
        deployments: summary.deployments.iter().map(deployment_row).collect(),
        jobs: results.jobs.iter().take(MOST_JOBS).map(job_row).collect(),
        jobs_left_out: results.jobs.len().saturating_sub(MOST_JOBS),
        causes: summary
            .spend
            .by_cause
            .iter()
            .map(|(cause, usd)| (cause.clone(), money(*usd), share(*usd, summary.spend.total_usd)))
            .collect(),
        total: money(summary.spend.total_usd),
        energy: [
            ("Energy drawn by cards", summary.energy.kwh.map(|kwh| format!("{} kWh", si(kwh)))),
            ("Carbon emitted", summary.energy.kg_co2e.map(|kg| format!("{} kg CO2e", si(kg)))),
        ]
        .into_iter()
        .filter_map(|(what, value)| value.map(|value| (what, value)))
        .collect(),
        assumptions: doubted_first(&results.assumptions),
        seed: summary.scenario.seed,
        duration: span(summary.scenario.duration_s),
        warmup: span(summary.scenario.warmup_s),
        version: env!("CARGO_PKG_VERSION"),
        overview: svgs(&["overview"])?.concat(),
        latency: svgs(&["latency", "latency_over_time", "rate", "queue"])?,
        utilization: svgs(&["utilization", "cards"])?,
        spend: svgs(&["spend", "spend_by_cause"])?,
    };
    Ok(page.render()?)
}

/// A plot for the page: its colours follow the page's light or dark scheme.
fn embedded(results: &RunResults, plot: &plots::Plot) -> Result<String, PlotError> {
    let mut svg = plot.svg(results)?;
    for (color, class) in plots::THEMED_COLORS {
        svg = svg.replace(&format!("fill=\"{color}\""), &format!("class=\"f{class}\""));
        svg = svg.replace(&format!("stroke=\"{color}\""), &format!("class=\"s{class}\""));
    }
    Ok(svg)
}

/// Assumptions with a doubt first, otherwise in their order.
fn doubted_first(assumptions: &[Assumption]) -> Vec<&Assumption> {
    let mut sorted: Vec<&Assumption> = assumptions.iter().collect();
    sorted.sort_by_key(|assumption| assumption.doubt.is_empty());
    sorted
}

/// The numbers of the first screen: what, how much, and a remark.
fn facts(results: &RunResults) -> Vec<(&'static str, String, String)> {
    let summary = &results.summary;
    let requests = &summary.requests;
    let card_hours: f64 = summary.pools.iter().map(|pool| pool.card_hours).sum();
    let cards: u64 = summary.pools.iter().map(|pool| u64::from(pool.cards)).sum();
    let mut facts = vec![
        ("Total spend", money(summary.spend.total_usd), format!("for {}", span(summary.scenario.duration_s))),
        (
            "Per 1M output tokens",
            or_nothing(summary.spend.usd_per_1m_output_tokens, money),
            format!("{} output tokens", si(summary.tokens.output as f64)),
        ),
        ("Card-hours", hours(card_hours), format!("{} at the end", plural(cards, "card"))),
        (
            "Busy",
            or_nothing(summary.utilization.busy, percent),
            verdict::busiest_pool(results)
                .map(|(pool, busy)| format!("busiest: {pool}, {}", percent(busy)))
                .unwrap_or_default(),
        ),
        (
            "Allocated",
            or_nothing(summary.utilization.allocated, percent),
            "of the cards provisioned".to_string(),
        ),
    ];
    if requests.arrived > 0 {
        let lost = requests.rejected + requests.timed_out + requests.failed;
        let remark = format!("{} completed, {} lost", si(requests.completed as f64), si(lost as f64));
        facts.push(("Requests", si(requests.arrived as f64), remark));
    }
    if summary.jobs.submitted > 0 {
        let jobs = &summary.jobs;
        let remark = format!("{} completed, {} waiting", count(jobs.completed), count(jobs.queued));
        facts.push(("Jobs", count(jobs.submitted), remark));
    }
    facts
}

fn stream_row(stream: &StreamSummary) -> Vec<String> {
    let requests = &stream.requests;
    let lost = requests.rejected + requests.timed_out + requests.failed;
    let [(_, ttft), (_, tpot), (_, e2e)] = latencies(stream);
    let mut row = vec![
        stream.name.clone(),
        stream.model.clone(),
        count(requests.arrived),
        share(lost as f64, requests.arrived as f64),
    ];
    for quantiles in [ttft, tpot, e2e] {
        row.extend([quantiles.p50, quantiles.p99].map(|value| or_nothing(value, seconds)));
    }
    row.push(limits_in_words(stream));
    row.push(or_nothing(stream.slo_target, percent));
    row.push(or_nothing(stream.slo.attainment, percent));
    row
}

/// The verdict's word and its class.
fn verdict_cell(stream: &StreamSummary) -> (&'static str, &'static str) {
    let held = held(stream);
    let class = match held {
        Held::Yes => "good",
        Held::No => "bad",
        Held::NoTarget | Held::Unknown => "neutral",
    };
    (held.word(), class)
}

fn pool_row(pool: &PoolSummary) -> Vec<String> {
    vec![
        pool.name.clone(),
        pool.provider.clone(),
        pool.offer.clone(),
        pool.purchase.clone(),
        pool.accelerator.clone(),
        count(u64::from(pool.cards)),
        hours(pool.card_hours),
        or_nothing(pool.utilization.allocated, percent),
        or_nothing(pool.utilization.busy, percent),
        or_nothing(pool.utilization.mfu, percent),
        money(pool.spend.total_usd),
    ]
}

fn deployment_row(deployment: &DeploymentSummary) -> Vec<String> {
    vec![
        deployment.name.clone(),
        deployment.model.clone(),
        deployment.plan.join("; "),
        count(u64::from(deployment.replicas)),
        or_nothing(deployment.mean_batch, si),
        count(deployment.iterations),
        count(deployment.preemptions),
        si(deployment.tokens.output as f64),
    ]
}

fn job_row(job: &JobRow) -> Vec<String> {
    let from_submit = |end: Option<crate::units::Instant>| {
        end.map_or_else(|| NOTHING.to_string(), |end| seconds(end.since(job.submit).as_secs_f64()))
    };
    vec![
        job.id.clone(),
        job.state.to_string(),
        count(u64::from(job.accelerators)),
        job.pool.clone().unwrap_or_else(|| NOTHING.to_string()),
        span(job.submit.as_secs_f64()),
        from_submit(job.start),
        from_submit(job.end),
        count(u64::from(job.preemptions)),
        job.wait_reason.clone(),
    ]
}
