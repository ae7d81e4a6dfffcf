//! Latency: distributions, over time, by stream, and where the time went.

use super::plot;
use super::sheet::{Cell, PageError, Section, Table, figures, heading, paragraph};
use crate::metrics::results::RunResults;
use crate::report::format::{count, percent, plural, seconds, si, span};

pub(super) fn section(results: &RunResults) -> Result<Section, PageError> {
    let summary = &results.summary;
    if summary.streams.is_empty() {
        let html = paragraph("Nobody sends requests in this scenario.");
        return Ok(Section { id: "latency", title: "Latency", html });
    }
    let mut html = paragraph(&format!(
        "Latencies are of the requests that arrived after the warm-up ({}) and completed. The limits are met \
         together or not at all; requests that were lost count as misses.",
        span(summary.scenario.warmup_s)
    ));
    html += &figures(&[
        (plot(results, "latency")?, true),
        (plot(results, "latency_over_time")?, false),
        (plot(results, "rate")?, false),
        (plot(results, "queue")?, false),
    ]);
    html += &where_the_time_went(results)?;
    html += &deployments(results);
    Ok(Section { id: "latency", title: "Latency", html })
}

fn where_the_time_went(results: &RunResults) -> Result<String, PageError> {
    let mut html = heading("Where the time went");
    html += &paragraph(
        "Each nanosecond between a request's arrival and its last token has one cause, so the causes add up to E2E; \
         every run checks that. Waiting for capacity that was starting: no replica was ready, or the batch had no \
         room while more replicas were on the way. Waiting for a batch slot: the batch or its token budget was full, \
         or its iteration not over yet. Waiting for KV memory: the blocks that it needed were not free. What a \
         preemption made be done again counts as prefill.",
    );
    if !results.summary.stability.stable {
        html += &paragraph(
            "A queue grows without end here: these means are of the requests that got through, and a longer run \
             would wait longer.",
        );
    }
    let parts = results.time.first().map(|first| first.time.parts().map(|part| part.0)).unwrap_or_default();
    let happened = |cause: usize| results.time.iter().any(|stream| stream.time.parts()[cause].1 > 0.0);
    let shown: Vec<usize> = (0..parts.len()).filter(|cause| *cause < 6 || happened(*cause)).collect();
    let columns: Vec<String> = std::iter::once("stream".to_owned())
        .chain(shown.iter().map(|cause| format!("#{}", parts[*cause])))
        .chain(["#E2E, mean".to_owned()])
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("Where the time went, mean seconds a request", &columns);
    for stream in &results.time {
        let parts = stream.time.parts();
        let total: f64 = parts.iter().map(|part| part.1).sum();
        let mut row = vec![Cell::text(&stream.stream)];
        for cause in &shown {
            let value = parts[*cause].1;
            let text = match total > 0.0 && value > 0.0 {
                true => format!("{} ({})", seconds(value), percent(value / total)),
                false => seconds(value),
            };
            row.push(Cell::number(value, text));
        }
        row.push(Cell::number(total, seconds(total)));
        table.row(row);
    }
    if !results.time.is_empty() {
        html +=
            &figures(&[(plot(results, "time_by_cause")?, false), (plot(results, "time_over_time")?, false)]);
    }
    Ok(html + &table.html("No request completed after the warm-up."))
}

fn deployments(results: &RunResults) -> String {
    let mut table = Table::new(
        "Deployments",
        &[
            "deployment",
            "model",
            "plan",
            "#replicas at the end",
            "#requests in a batch, mean",
            "#iterations",
            "#preemptions",
            "#output tokens",
        ],
    );
    for deployment in &results.summary.deployments {
        table.row(vec![
            Cell::text(&deployment.name),
            Cell::text(&deployment.model),
            Cell::text(deployment.plan.join("; ")).class("long"),
            Cell::number(f64::from(deployment.replicas), count(u64::from(deployment.replicas))),
            Cell::maybe(deployment.mean_batch, si),
            Cell::number(deployment.iterations as f64, count(deployment.iterations)),
            Cell::number(deployment.preemptions as f64, count(deployment.preemptions)),
            Cell::number(deployment.tokens.output as f64, si(deployment.tokens.output as f64)),
        ]);
    }
    let tenants = tenants(results);
    [heading("Deployments"), table.html("The scenario has no deployments."), tenants].concat()
}

/// Latency by tier: a tenant's requests over all of its streams.
fn tenants(results: &RunResults) -> String {
    let tenants = &results.summary.tenants;
    if tenants.is_empty() {
        return String::new();
    }
    let columns = [
        "tenant",
        "#weight",
        "#arrived",
        "#completed",
        "#rate-limited",
        "#TTFT p50",
        "#TTFT p99",
        "#TPOT p50",
        "#TPOT p99",
        "#E2E p50",
        "#E2E p99",
    ];
    let mut table = Table::new("Latency of each tier", &columns);
    for tenant in tenants {
        let counted = |number: u64| Cell::number(number as f64, count(number));
        let mut row = vec![
            Cell::text(&tenant.name),
            Cell::number(tenant.weight, si(tenant.weight)),
            counted(tenant.requests.arrived),
            counted(tenant.requests.completed),
            counted(tenant.rate_limited),
        ];
        let latency = &tenant.latency;
        for quantiles in [&latency.ttft_s, &latency.tpot_s, &latency.e2e_s] {
            row.extend([quantiles.p50, quantiles.p99].map(|value| Cell::maybe(value, seconds)));
        }
        table.row(row);
    }
    heading(&format!("By tier: {}", plural(tenants.len() as u64, "tenant"))) + &table.html("")
}
