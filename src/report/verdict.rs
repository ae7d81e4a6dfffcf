//! What a run says in sentences: whether the promise held, what it cost, what is in the way. The terminal and
//! the page say the same.

use super::format::{NOTHING, clock, count, money, or_nothing, percent, plural, seconds, si};
use crate::metrics::results::{RunResults, StabilitySummary, StreamSummary, metric};

/// Whether a stream kept its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// As many requests as asked for met all their limits.
    Yes,
    /// Fewer did.
    No,
    /// There are limits, but no share to compare with.
    NoTarget,
    /// No limits, or no request to judge.
    Unknown,
}

/// More streams than this are not explained one by one.
const MOST_STREAMS: usize = 3;

/// Judges one stream.
pub(super) fn held(stream: &StreamSummary) -> Held {
    match (stream.slo.attainment, stream.slo_target) {
        (Some(attainment), Some(target)) if attainment >= target => Held::Yes,
        (Some(_), Some(_)) => Held::No,
        (Some(_), None) => Held::NoTarget,
        (None, _) => Held::Unknown,
    }
}

impl Held {
    /// One word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Yes => "held",
            Self::No => "missed",
            Self::NoTarget => "no target",
            Self::Unknown => NOTHING,
        }
    }
}

/// The answer in one sentence, and whether it is good news (none when there is nothing to promise).
pub(super) fn headline(results: &RunResults) -> (String, Option<bool>) {
    let streams = &results.summary.streams;
    if let Some(unstable) = unstable(results) {
        return (unstable, Some(false));
    }
    let missed: Vec<&StreamSummary> = streams.iter().filter(|stream| held(stream) == Held::No).collect();
    if let [first, others @ ..] = missed.as_slice() {
        let who = match others.len() {
            0 => String::new(),
            n => format!(" by {} of {}", n + 1, plural(streams.len() as u64, "stream")),
        };
        let text = format!(
            "SLO missed{who}: {} of the requests of {} met their limits, the target is {}.",
            or_nothing(first.slo.attainment, percent),
            first.name,
            or_nothing(first.slo_target, percent),
        );
        return (text, Some(false));
    }
    let kept: Vec<&StreamSummary> = streams.iter().filter(|stream| held(stream) == Held::Yes).collect();
    match kept.as_slice() {
        [] if results.summary.requests.arrived == 0 && results.summary.jobs.submitted > 0 => {
            let jobs = &results.summary.jobs;
            (format!("{} of {} completed.", count(jobs.completed), plural(jobs.submitted, "job")), None)
        }
        [] if results.summary.requests.arrived == 0 => ("No requests arrived.".to_string(), None),
        [] => (
            "No stream asks for a share of requests within limits, so there is no SLO to hold.".to_string(),
            None,
        ),
        [one] => {
            let attainment = or_nothing(one.slo.attainment, percent);
            (format!("SLO held: {attainment} of the requests of {} met their limits.", one.name), Some(true))
        }
        all => (format!("SLO held for all {} streams that have one.", all.len()), Some(true)),
    }
}

/// What is said instead of waits when demand exceeds capacity.
pub(super) fn unstable(results: &RunResults) -> Option<String> {
    let stability = &results.summary.stability;
    if stability.stable {
        return None;
    }
    Some(overload_in_words(stability))
}

/// `Demand exceeds capacity: the queue grows by N requests per hour; no steady-state wait exists.`
pub(super) fn overload_in_words(stability: &StabilitySummary) -> String {
    match stability.growth_per_hour.filter(|growth| growth.is_finite()) {
        Some(growth) => format!(
            "Demand exceeds capacity: the queue grows by {} requests per hour; no steady-state wait exists.",
            if growth >= 10_000.0 { si(growth) } else { count(growth.round().max(0.0) as u64) }
        ),
        None => "Demand exceeds capacity: the queue grows; no steady-state wait exists.".to_string(),
    }
}

/// What stands in the way, as observed, the most telling first. Observations, not proofs of a cause.
pub(super) fn limits(results: &RunResults) -> Vec<String> {
    let summary = &results.summary;
    let mut said = Vec::new();
    if !summary.stability.stable && !summary.stability.why.is_empty() {
        said.push(sentence(&summary.stability.why));
    }
    said.extend(summary.streams.iter().filter_map(slow_part).take(MOST_STREAMS));
    let lost = summary.requests.rejected + summary.requests.timed_out + summary.requests.failed;
    if lost > 0 {
        let parts = [
            (summary.requests.rejected, "turned away"),
            (summary.requests.timed_out, "gave up"),
            (summary.requests.failed, "failed"),
        ];
        said.push(format!(
            "{} of the requests were lost: {}.",
            percent(lost as f64 / summary.requests.arrived.max(1) as f64),
            in_words(&parts),
        ));
    }
    said.extend(too_long(results));
    said.extend(longest_queue(results));
    for deployment in summary.deployments.iter().filter(|deployment| deployment.preemptions > 0) {
        said.push(format!(
            "The KV cache of {} ran full: {} taken off and started again.",
            deployment.name,
            if deployment.preemptions == 1 {
                "1 request was".to_string()
            } else {
                format!("{} requests were", count(deployment.preemptions))
            }
        ));
    }
    said.extend(rows_left_out(results).map(|text| sentence(&text)));
    said.extend(waiting_jobs(results));
    said.extend(unused_money(results));
    said
}

/// How many rows of the trace of jobs are not in these results.
pub(super) fn left_out(rows: u64) -> String {
    let were = if rows == 1 { "was" } else { "were" };
    format!("{} of the job trace cannot be used and {were} left out", plural(rows, "row"))
}

/// Why the first of the jobs that still wait at the end has no cards, and how many wait with it.
fn waiting_jobs(results: &RunResults) -> Option<String> {
    let mut waiting = results.jobs.iter().filter(|job| job.state == "queued");
    let first = waiting.next()?;
    let why = if first.wait_reason.is_empty() { "it has no cards" } else { &first.wait_reason };
    let others = match waiting.count() {
        0 => String::new(),
        more => format!("; {} more wait behind it", count(more as u64)),
    };
    Some(format!("Job {} still waits at the end: {why}{others}.", first.id))
}

/// `12 completed, 3 failed`: what there is some of.
pub(super) fn in_words(parts: &[(u64, &str)]) -> String {
    let some = parts.iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = some.map(|(number, word)| format!("{} {word}", count(*number))).collect();
    words.join(", ")
}

/// Whether waiting or computing makes a stream's first tokens late.
fn slow_part(stream: &StreamSummary) -> Option<String> {
    if held(stream) != Held::No || !stream.stability.stable {
        return None;
    }
    let over = |value: Option<f64>, limit: Option<f64>| {
        Some((value?, limit?)).filter(|(value, limit)| value > limit)
    };
    if let Some((ttft, limit)) = over(stream.latency.ttft_s.p99, stream.slo_limits.ttft_s) {
        let advice = match stream.latency.queue_wait_s.p99 {
            Some(wait) if wait > 0.5 * ttft => {
                format!("the wait in the queue alone reaches {}", seconds(wait))
            }
            Some(wait) => {
                format!("the wait in the queue reaches {}, so computing takes most of it", seconds(wait))
            }
            None => "how long requests waited is unknown".to_string(),
        };
        return Some(format!(
            "{}: the 99th percentile of TTFT is {} against a limit of {}; {advice}.",
            stream.name,
            seconds(ttft),
            seconds(limit)
        ));
    }
    over(stream.latency.tpot_s.p99, stream.slo_limits.tpot_s).map(|(tpot, limit)| {
        format!(
            "{}: the 99th percentile of TPOT is {} against a limit of {}: batches are too large or cards too \
             slow for it.",
            stream.name,
            seconds(tpot),
            seconds(limit)
        )
    })
}

/// Requests that no waiting would have helped.
fn too_long(results: &RunResults) -> Option<String> {
    let worst = results.summary.deployments.iter().max_by_key(|deployment| deployment.too_long)?;
    (worst.too_long > 0).then(|| {
        format!(
            "Too long for {}: {} asked for more tokens, prompt and output together, than its context or a \
             replica's KV cache can ever hold.",
            worst.name,
            plural(worst.too_long, "request"),
        )
    })
}

fn longest_queue(results: &RunResults) -> Option<String> {
    let timeseries = &results.timeseries;
    let mut longest: Option<(f64, usize, &str)> = None;
    for series in timeseries.series.iter().filter(|series| series.metric == metric::QUEUED_REQUESTS_MAX) {
        for (bucket, value) in series.values.iter().enumerate() {
            // One waiting request is how every request begins.
            let Some(value) = value.filter(|value| value.is_finite() && *value >= 2.0) else { continue };
            if longest.is_none_or(|(most, ..)| value > most) {
                longest = Some((value, bucket, series.subject.name()));
            }
        }
    }
    let (most, bucket, deployment) = longest?;
    let at = timeseries.bucket_edges(bucket).0.as_secs_f64();
    Some(format!(
        "The longest queue was {} at {deployment}, {} into the run.",
        plural(most.round() as u64, "request"),
        if at >= 3600.0 { clock(at) } else { seconds(at) },
    ))
}

fn unused_money(results: &RunResults) -> Option<String> {
    let spend = &results.summary.spend;
    let (cause, amount) = spend.by_cause.iter().find(|(cause, _)| cause != "busy")?;
    let share = amount / spend.total_usd;
    (share.is_finite() && share >= 0.1)
        .then(|| format!("{} of the spend ({}) went to “{cause}”.", percent(share), money(*amount)))
}

/// The link that carried the most of what it can, while its replica or job computed.
pub(super) fn busiest_link(results: &RunResults) -> Option<String> {
    let link = results.summary.links.first()?;
    let (rate, share) = (link.computing_bytes_per_s?, link.computing_share?);
    Some(format!(
        "The busiest link is from {} ({}) under {} on {}: {}B/s while it computes, {} of the {}B/s that it carries.",
        link.kind,
        link.name,
        link.holder,
        link.pool,
        si(rate),
        percent(share),
        si(link.capacity_bytes_per_s),
    ))
}

/// Rows of a job trace that the scenario leaves out, where there are any.
pub(super) fn rows_left_out(results: &RunResults) -> Option<String> {
    let told = results.assumptions.iter().find(|item| item.figure == "rows left out")?;
    Some(format!("{}: {} rows left out as unusable ({}).", told.about, told.value, told.doubt))
}

/// The pool whose cards computed the most of their time, with that share.
pub(super) fn busiest_pool(results: &RunResults) -> Option<(&str, f64)> {
    let pools = results.summary.pools.iter();
    let busy = pools.filter_map(|pool| Some((pool.name.as_str(), pool.utilization.busy?)));
    busy.max_by(|a, b| a.1.total_cmp(&b.1))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let capital: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{capital}{}{end}", letters.as_str())
}
