//! The summary on the terminal: what the run says, at most 80 columns wide, without colours.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::format::{self, NOTHING, count, money, or_nothing, percent, plural, seconds, shorten, si, span};
use super::verdict::{self, held, in_words};
use crate::metrics::results::{Quantiles, RunResults, StreamSummary};

const WIDTH: usize = 80;
/// More rows than this in one table are left to the report.
const MOST_ROWS: usize = 12;
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// The run in words and tables for a terminal, each line at most 80 columns.
pub fn terminal_summary(results: &RunResults) -> String {
    let mut text = String::new();
    let scenario = &results.summary.scenario;
    paragraph(
        &mut text,
        &format!("{}: {} simulated, seed {}", scenario.name, span(scenario.duration_s), scenario.seed),
    );
    paragraph(&mut text, &verdict::headline(results).0);
    text.push('\n');
    requests(&mut text, results);
    latency(&mut text, results);
    slo(&mut text, results);
    pools(&mut text, results);
    apis(&mut text, results);
    swaps(&mut text, results);
    causes(&mut text, results);
    jobs(&mut text, results);
    let limits = verdict::limits(results);
    for said in &limits {
        item(&mut text, said);
    }
    text
}

fn requests(text: &mut String, results: &RunResults) {
    let requests = &results.summary.requests;
    if requests.arrived == 0 {
        return;
    }
    let parts = [
        (requests.completed, "completed"),
        (requests.rejected, "rejected"),
        (requests.timed_out, "timed out"),
        (requests.failed, "failed"),
        (requests.in_flight, "in flight at the end"),
    ];
    paragraph(text, &format!("{} arrived: {}", plural(requests.arrived, "request"), in_words(&parts)));
    let tokens = &results.summary.tokens;
    let images = results.summary.deployments.iter().filter_map(|deployment| deployment.engine.images);
    let (made, gb) = images.fold((0, 0.0), |(made, gb), own| (made + own.made, gb + own.egress_gb));
    let mut what =
        format!("{} prompt tokens, {} output tokens", si(tokens.prompt as f64), si(tokens.output as f64));
    if made > 0 {
        let images = format!("{} of {} GB", plural(made, "image"), si(gb));
        what = if tokens.prompt > 0 { format!("{what}, {images}") } else { images };
    }
    paragraph(text, &what);
    text.push('\n');
}

fn latency(text: &mut String, results: &RunResults) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let streams = &results.summary.streams;
    for stream in streams.iter().take(MOST_ROWS) {
        for (index, (name, quantiles)) in latencies(stream).into_iter().enumerate() {
            let stream_name = if index == 0 { stream.name.clone() } else { String::new() };
            let mut row = vec![stream_name, name.to_string()];
            row.extend([quantiles.p50, quantiles.p90, quantiles.p99].map(|value| or_nothing(value, seconds)));
            rows.push(row);
        }
    }
    table(text, &["stream", "latency", "p50", "p90", "p99"], rows, 2);
    left_out(text, streams.len(), "streams");
}

/// The latencies of a stream; those that depend on a queue that grows do not exist.
pub(super) fn latencies(stream: &StreamSummary) -> [(&'static str, Quantiles); 3] {
    let settled = |quantiles| if stream.stability.stable { quantiles } else { Quantiles::default() };
    [
        ("TTFT", settled(stream.latency.ttft_s)),
        ("TPOT", stream.latency.tpot_s),
        ("E2E", settled(stream.latency.e2e_s)),
    ]
}

/// `TTFT ≤ 1 s, TPOT ≤ 60 ms`; nothing where a stream has no limits.
pub(super) fn limits_in_words(stream: &StreamSummary) -> String {
    let limits = &stream.slo_limits;
    let parts: Vec<String> = [("TTFT", limits.ttft_s), ("TPOT", limits.tpot_s), ("E2E", limits.e2e_s)]
        .into_iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{name} ≤ {}", seconds(limit))))
        .collect();
    if parts.is_empty() { NOTHING.to_string() } else { parts.join(", ") }
}

fn slo(text: &mut String, results: &RunResults) {
    let with_limits = results.summary.streams.iter().filter(|stream| stream.slo.attainment.is_some());
    let rows = with_limits.take(MOST_ROWS).map(|stream| {
        vec![
            stream.name.clone(),
            limits_in_words(stream),
            or_nothing(stream.slo_target, percent),
            or_nothing(stream.slo.attainment, percent),
            or_nothing(stream.slo.goodput_rps, |rate| format!("{}/s", si(rate))),
            held(stream).word().to_string(),
        ]
    });
    table(text, &["stream", "limits", "target", "met", "goodput", "SLO"], rows.collect(), 2);
}

fn pools(text: &mut String, results: &RunResults) {
    let pools = &results.summary.pools;
    let rows = pools.iter().take(MOST_ROWS).map(|pool| {
        vec![
            pool.name.clone(),
            format!("{} {}", pool.offer, pool.purchase),
            count(u64::from(pool.cards)),
            or_nothing(pool.utilization.allocated, percent),
            or_nothing(pool.utilization.busy, percent),
            money(pool.spend.total_usd),
        ]
    });
    table(text, &["pool", "offer", "cards", "allocated", "busy", "spend"], rows.collect(), 2);
    left_out(text, pools.len(), "pools");
    let apis = &results.summary.apis;
    let rows = apis.iter().take(MOST_ROWS).map(|api| {
        vec![
            api.name.clone(),
            count(api.requests.arrived),
            count(api.refused),
            or_nothing(api.latency.ttft_s.p99, seconds),
            format!("{} + {}", si(api.tokens.prompt as f64), si(api.tokens.output as f64)),
            money(api.spend_usd),
        ]
    });
    let header = ["hosted API", "requests", "refused", "TTFT p99", "tokens in + out", "spend"];
    table(text, &header, rows.collect(), 1);
    left_out(text, apis.len(), "APIs");
}

fn apis(text: &mut String, results: &RunResults) {
    let apis = &results.summary.apis;
    let rows = apis.iter().take(MOST_ROWS).map(|api| {
        vec![
            api.name.clone(),
            api.provider.clone(),
            si(api.requests.completed as f64),
            si(api.refused as f64),
            or_nothing(api.latency.ttft_s.p99, seconds),
            money(api.spend_usd),
        ]
    });
    table(text, &["API", "provider", "answered", "refused", "TTFT p99", "spend"], rows.collect(), 2);
    left_out(text, apis.len(), "APIs");
}

/// Models that came and went on cards that they share.
fn swaps(text: &mut String, results: &RunResults) {
    let deployments = results.summary.deployments.iter();
    let swapped: Vec<_> = deployments.filter_map(|of| Some((&of.name, of.engine.swaps?))).collect();
    let rows = swapped.iter().take(MOST_ROWS).map(|(name, swaps)| {
        vec![
            (*name).clone(),
            count(swaps.loads),
            count(swaps.evictions),
            format!("{}B", si(swaps.bytes)),
            seconds(swaps.load_s),
            seconds(swaps.stalled_s),
        ]
    });
    let header = ["model on shared cards", "loads", "evictions", "loaded", "time", "stalled"];
    table(text, &header, rows.collect(), 1);
    left_out(text, swapped.len(), "models on shared cards");
}

fn causes(text: &mut String, results: &RunResults) {
    let spend = &results.summary.spend;
    let rows: Vec<Vec<String>> = spend
        .by_cause
        .iter()
        .map(|(cause, usd)| vec![cause.clone(), money(*usd), share(*usd, spend.total_usd)])
        .collect();
    if rows.is_empty() {
        return;
    }
    table(text, &["spend by cause", "amount", "share"], rows, 1);
    // The table ends with an empty line; the total belongs to it.
    text.pop();
    let tokens = spend.usd_per_1m_output_tokens;
    let per_million =
        tokens.map(|usd| format!(", {} per million output tokens", money(usd))).unwrap_or_default();
    let per_image = spend.usd_per_image.map(|usd| format!(", {} an image", money(usd))).unwrap_or_default();
    let card_hours: f64 = results.summary.pools.iter().map(|pool| pool.card_hours).sum();
    paragraph(
        text,
        &format!(
            "total {}{per_million}{per_image}; {} card-hours",
            money(spend.total_usd),
            format::hours(card_hours)
        ),
    );
    text.push('\n');
}

/// `part` of `whole`; nothing where there is no whole.
pub(super) fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { percent(part / whole) } else { NOTHING.to_string() }
}

fn jobs(text: &mut String, results: &RunResults) {
    let jobs = &results.summary.jobs;
    if jobs.submitted == 0 {
        return;
    }
    let parts = [
        (jobs.completed, "completed"),
        (jobs.running, "running at the end"),
        (jobs.queued, "queued at the end"),
        (jobs.failed, "failed"),
    ];
    paragraph(text, &format!("{}: {}", plural(jobs.submitted, "job"), in_words(&parts)));
    if jobs.wait_s.p50.is_some() || jobs.jct_s.p50.is_some() {
        paragraph(
            text,
            &format!(
                "job wait p50 {}, max {}; completion time p50 {}, max {}",
                or_nothing(jobs.wait_s.p50, seconds),
                or_nothing(jobs.wait_s.max, seconds),
                or_nothing(jobs.jct_s.p50, seconds),
                or_nothing(jobs.jct_s.max, seconds),
            ),
        );
    }
    if jobs.rows_left_out > 0 {
        paragraph(text, &verdict::left_out(jobs.rows_left_out));
    }
    let why = jobs.waits.iter().filter(|share| share.jobs > 0 && jobs.submitted > 1).map(|share| {
        let jobs = plural(share.jobs, "job");
        format!("{} ({jobs}, {:.1} h)", share.cause, share.wait_hours)
    });
    let why: Vec<String> = why.collect();
    if !why.is_empty() {
        paragraph(text, &format!("why jobs waited: {}", why.join(", ")));
    }
    for class in &jobs.classes {
        paragraph(
            text,
            &format!(
                "{} ({}): wait mean {}, p99 {}; one more user costs {}",
                class.name,
                plural(class.users, "user"),
                or_nothing(class.wait_s.mean, seconds),
                or_nothing(class.wait_s.p99, seconds),
                money(class.usd_per_user),
            ),
        );
    }
    text.push('\n');
}

/// Appends a table whose first `texts` columns are texts and the others numbers.
fn table(text: &mut String, header: &[&str], rows: Vec<Vec<String>>, texts: usize) {
    if rows.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(STYLE).set_width(WIDTH as u16).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| shorten(cell, 44)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index >= texts {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((if index == 0 { 0 } else { 1 }, 1));
    }
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
}

fn left_out(text: &mut String, all: usize, what: &str) {
    if all > MOST_ROWS {
        // The note belongs to the table above.
        text.pop();
        paragraph(text, &format!("and {} more {what}: see report.html", all - MOST_ROWS));
        text.push('\n');
    }
}

fn item(text: &mut String, said: &str) {
    wrap(text, said, "- ", "  ");
}

fn paragraph(text: &mut String, said: &str) {
    wrap(text, said, "", "");
}

/// Appends `said`, broken between words so that no line is wider than the terminal; words that are wider are
/// broken within.
fn wrap(text: &mut String, said: &str, first: &str, later: &str) {
    let room = WIDTH - later.chars().count();
    let mut line = first.to_string();
    let mut empty = true;
    for word in said.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(room) {
            let piece: String = piece.iter().collect();
            let needed = line.chars().count() + piece.chars().count() + usize::from(!empty);
            if needed > WIDTH && !empty {
                text.push_str(&line);
                text.push('\n');
                line = later.to_string();
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(&piece);
            empty = false;
        }
    }
    text.push_str(&line);
    text.push('\n');
}
