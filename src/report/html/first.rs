//! The first screen: did the promise hold, what does it cost, what limits it; streams and pools.

use super::pools::grouped;
use super::sheet::{Cell, Fact, Section, Table, escape, heading, list};
use crate::metrics::results::{PoolSummary, RunResults, StreamSummary};
use crate::report::format::{count, hours, money, or_nothing, percent, plural, seconds, si, span};
use crate::report::terminal::{latencies, limits_in_words};
use crate::report::verdict::{self, Held, held};

/// Hours in a month, as clouds count them: 8,760 ÷ 12.
const HOURS_PER_MONTH: f64 = 730.0;
/// Doubts that are told at once.
const MOST_DOUBTS: usize = 4;

/// What a month costs at the rate of the run, with its interval where several replications give one.
fn month(results: &RunResults) -> Option<(f64, Option<[f64; 2]>, u64)> {
    let summary = &results.summary;
    let months = summary.scenario.duration_s / 3600.0 / HOURS_PER_MONTH;
    let usable = |usd: &f64| usd.is_finite() && months > 0.0;
    let spend = Some(summary.spend.total_usd).filter(usable)?;
    let Some(replications) = &summary.replications else { return Some((spend / months, None, 1)) };
    let metric = replications.metrics.iter().find(|metric| metric.name == "spend.total_usd");
    let mean = metric.and_then(|metric| metric.mean).unwrap_or(spend);
    let interval = metric.and_then(|metric| metric.ci95).map(|ends| ends.map(|end| end / months));
    Some((mean / months, interval, replications.n))
}

/// The sentences under the headline.
pub(super) fn verdicts(results: &RunResults) -> Vec<String> {
    let mut said = Vec::new();
    if let Some((usd, interval, n)) = month(results) {
        let how_sure = match interval {
            Some([low, high]) => format!(
                "between {} and {} with 95 % confidence, from {n} replications",
                money(low),
                money(high)
            ),
            None if n > 1 => format!("{n} replications, which do not all tell a spend"),
            None => "one replication, so without an interval: --replications 10 gives one".to_owned(),
        };
        let each = span(results.summary.scenario.duration_s);
        said.push(format!("A month of {each} like this costs {} ({how_sure}).", money(usd)));
    }
    if let Some(first) = verdict::limits(results).into_iter().next() {
        said.push(format!("What limits it: {first}"));
    }
    said
}

/// The numbers of the first screen.
pub(super) fn facts(results: &RunResults) -> Vec<Fact> {
    let summary = &results.summary;
    let requests = &summary.requests;
    let card_hours: f64 = summary.pools.iter().map(|pool| pool.card_hours).sum();
    let cards: u64 = summary.pools.iter().map(|pool| u64::from(pool.cards)).sum();
    let fact = |what, value, remark| Fact { what, value, remark };
    let mut facts = vec![
        fact(
            "A month at this rate",
            month(results).map_or_else(|| money(f64::NAN), |(usd, ..)| money(usd)),
            match month(results) {
                Some((_, Some([low, high]), _)) => format!("95 %: {} – {}", money(low), money(high)),
                Some((_, None, 1)) => "one replication".to_owned(),
                _ => String::new(),
            },
        ),
        fact(
            "Total spend",
            money(summary.spend.total_usd),
            format!("for {}", span(summary.scenario.duration_s)),
        ),
        fact(
            "Per 1M output tokens",
            or_nothing(summary.spend.usd_per_1m_output_tokens, money),
            format!("{} output tokens", si(summary.tokens.output as f64)),
        ),
        fact("Card-hours", hours(card_hours), format!("{} at the end", plural(cards, "card"))),
        fact(
            "Busy",
            or_nothing(summary.utilization.busy, percent),
            verdict::busiest_pool(results)
                .map(|(pool, busy)| format!("busiest: {pool}, {}", percent(busy)))
                .unwrap_or_default(),
        ),
        fact(
            "Allocated",
            or_nothing(summary.utilization.allocated, percent),
            "of the cards provisioned".to_string(),
        ),
    ];
    if requests.arrived > 0 {
        let lost = requests.rejected + requests.timed_out + requests.failed;
        let remark = format!("{} completed, {} lost", si(requests.completed as f64), si(lost as f64));
        facts.push(fact("Requests", si(requests.arrived as f64), remark));
    }
    if summary.jobs.submitted > 0 {
        let jobs = &summary.jobs;
        let mut remark = format!("{} completed, {} waiting", count(jobs.completed), count(jobs.queued));
        if jobs.rows_left_out > 0 {
            remark += &format!("; {}", verdict::left_out(jobs.rows_left_out));
        }
        facts.push(fact("Jobs", count(jobs.submitted), remark));
    }
    facts
}

/// What stands beside the picture: what limits, and what is unsure.
pub(super) fn beside(results: &RunResults) -> String {
    let limits = verdict::limits(results);
    let mut html = heading("What limits");
    html += &if limits.is_empty() { list(&["Nothing stands out.".to_owned()]) } else { list(&limits) };
    let doubts: Vec<_> = results.assumptions.iter().filter(|item| !item.doubt.is_empty()).collect();
    if !doubts.is_empty() {
        html += &heading("What is unsure");
        html += &format!(
            "<p>These results rest on <a href=\"#assumptions\">{}</a>; {} of them {} unsure:</p>\n",
            plural(results.assumptions.len() as u64, "figure"),
            doubts.len(),
            if doubts.len() == 1 { "is" } else { "are" }
        );
        let told = doubts.iter().take(MOST_DOUBTS);
        html += "<ul>\n";
        for doubt in told {
            let text = format!("{}, {} {}: {}", doubt.about, doubt.figure, doubt.value, doubt.doubt);
            html += &format!("<li>{}</li>\n", escape(&text));
        }
        if doubts.len() > MOST_DOUBTS {
            html +=
                &format!("<li><a href=\"#assumptions\">and {} more</a></li>\n", doubts.len() - MOST_DOUBTS);
        }
        html += "</ul>\n";
    }
    html
}

/// Streams and pools.
pub(super) fn section(results: &RunResults) -> Section {
    let summary = &results.summary;
    let mut streams = Table::new(
        "Streams",
        &[
            "stream",
            "SLO",
            "#met",
            "#target",
            "limits",
            "#TTFT p50",
            "#TTFT p99",
            "#TPOT p50",
            "#TPOT p99",
            "#E2E p50",
            "#E2E p99",
            "#arrived",
            "#lost",
            "model",
        ],
    );
    summary.streams.iter().for_each(|stream| streams.row(stream_row(stream)));
    let mut pools = Table::new(
        "Pools",
        &[
            "pool",
            "provider",
            "offer",
            "purchase",
            "accelerator",
            "#cards",
            "#card-hours",
            "#allocated",
            "#busy",
            "#MFU",
            "#spend",
            "#a month",
        ],
    );
    let months = summary.scenario.duration_s / 3600.0 / HOURS_PER_MONTH;
    grouped(&summary.pools).iter().for_each(|pool| pools.row(pool_row(pool, months)));
    Section {
        id: "fleet",
        title: "Streams and pools",
        html: [
            streams.html("The scenario has no streams."),
            heading("Pools"),
            pools.html("It has no pools."),
            apis(results),
            swaps(results),
        ]
        .concat(),
    }
}

fn stream_row(stream: &StreamSummary) -> Vec<Cell> {
    let requests = &stream.requests;
    let lost = (requests.rejected + requests.timed_out + requests.failed) as f64;
    let lost = (requests.arrived > 0).then(|| lost / requests.arrived as f64);
    let held = held(stream);
    let class = match held {
        Held::Yes => "good",
        Held::No => "bad",
        Held::NoTarget | Held::Unknown => "",
    };
    let mut row = vec![
        Cell::text(&stream.name),
        Cell::text(held.word()).class(class),
        Cell::maybe(stream.slo.attainment, percent),
        Cell::maybe(stream.slo_target, percent),
        Cell::text(limits_in_words(stream)),
    ];
    for (_, quantiles) in latencies(stream) {
        row.extend([quantiles.p50, quantiles.p99].map(|value| Cell::maybe(value, seconds)));
    }
    row.push(Cell::number(requests.arrived as f64, count(requests.arrived)));
    row.push(Cell::maybe(lost, percent));
    row.push(Cell::text(&stream.model));
    row
}

fn pool_row(pool: &PoolSummary, months: f64) -> Vec<Cell> {
    let month = (months > 0.0).then(|| pool.spend.total_usd / months);
    vec![
        Cell::text(&pool.name),
        Cell::text(&pool.provider),
        Cell::text(&pool.offer),
        Cell::text(&pool.purchase),
        Cell::text(&pool.accelerator),
        Cell::number(f64::from(pool.cards), count(u64::from(pool.cards))),
        Cell::number(pool.card_hours, hours(pool.card_hours)),
        Cell::maybe(pool.utilization.allocated, percent),
        Cell::maybe(pool.utilization.busy, percent),
        Cell::maybe(pool.utilization.mfu, percent),
        Cell::number(pool.spend.total_usd, money(pool.spend.total_usd)),
        Cell::maybe(month, money),
    ]
}

/// Hosted APIs beside the pools, where there are any.
fn apis(results: &RunResults) -> String {
    let apis = &results.summary.apis;
    if apis.is_empty() {
        return String::new();
    }
    let columns = ["API", "provider", "#answered", "#refused", "#TTFT p50", "#TTFT p99", "#tokens", "#spend"];
    let mut table = Table::new("Hosted APIs", &columns);
    for api in apis {
        let tokens = (api.tokens.prompt + api.tokens.output) as f64;
        table.row(vec![
            Cell::text(&api.name),
            Cell::text(&api.provider),
            Cell::number(api.requests.completed as f64, count(api.requests.completed)),
            Cell::number(api.refused as f64, count(api.refused)),
            Cell::maybe(api.latency.ttft_s.p50, seconds),
            Cell::maybe(api.latency.ttft_s.p99, seconds),
            Cell::number(tokens, si(tokens)),
            Cell::number(api.spend_usd, money(api.spend_usd)),
        ]);
    }
    heading("Hosted APIs") + &table.html("")
}

/// Models that came and went on cards that they share, where there are any.
fn swaps(results: &RunResults) -> String {
    let columns =
        ["deployment", "#loads", "#evictions", "#loaded", "#time", "#nothing else computed", "#its cost"];
    let mut table = Table::new("Models on shared cards", &columns);
    for deployment in &results.summary.deployments {
        let Some(swaps) = deployment.engine.swaps else { continue };
        table.row(vec![
            Cell::text(&deployment.name),
            Cell::number(swaps.loads as f64, count(swaps.loads)),
            Cell::number(swaps.evictions as f64, count(swaps.evictions)),
            Cell::number(swaps.bytes, format!("{}B", si(swaps.bytes))),
            Cell::number(swaps.load_s, seconds(swaps.load_s)),
            Cell::number(swaps.stalled_s, seconds(swaps.stalled_s)),
            Cell::number(swaps.stalled_usd, money(swaps.stalled_usd)),
        ]);
    }
    if table.rows.is_empty() { String::new() } else { heading("Models on shared cards") + &table.html("") }
}
