//! What the money paid for.

use std::collections::{BTreeMap, BTreeSet};

use super::plot;
use super::pools::grouped;
use super::sheet::{Cell, PageError, Section, Table, figures, heading, paragraph};
use crate::metrics::results::RunResults;
use crate::report::format::{hours, money, percent, seconds, si};

/// Causes that bought no work.
const UNUSED: [&str; 7] =
    ["idle", "committed-unused", "billing-remainder", "starting", "draining", "lost-work", "upfront"];

pub(super) fn section(results: &RunResults) -> Result<Section, PageError> {
    let spend = &results.summary.spend;
    let mut html = figures(&[(plot(results, "spend_by_cause")?, false), (plot(results, "spend")?, false)]);
    let output = results.summary.tokens.output as f64;
    let all_tokens = output + results.summary.tokens.prompt as f64;
    let per_million = |tokens: f64| (tokens > 0.0).then(|| spend.total_usd / (tokens / 1e6));
    if let (Some(usd), Some(of_all)) = (per_million(output), per_million(all_tokens)) {
        html += &paragraph(&format!(
            "{} in all: {} a million output tokens, {} a million tokens of prompt and output together.",
            money(spend.total_usd),
            money(usd),
            money(of_all)
        ));
    }
    html += &format!(
        "<div class=\"tables\"><div>{}</div><div>{}</div><div>{}</div><div>{}</div>{}</div>\n",
        by_cause(results),
        unused(results),
        by_provider(results),
        by_model(results),
        by_stream_and_tier(results)
    );
    html += &by_api(results);
    html += &by_pool(results);
    Ok(Section { id: "money", title: "Money", html })
}

fn usd(amount: f64) -> Cell {
    Cell::number(amount, money(amount))
}

fn share(part: f64, whole: f64) -> Cell {
    Cell::maybe((whole > 0.0 && part.is_finite()).then(|| part / whole), percent)
}

fn by_cause(results: &RunResults) -> String {
    let spend = &results.summary.spend;
    let mut table = Table::new("Spend by cause", &["cause", "#amount", "#share"]);
    for (cause, amount) in &spend.by_cause {
        table.row(vec![Cell::text(cause), usd(*amount), share(*amount, spend.total_usd)]);
    }
    heading(&format!("By cause: {}", money(spend.total_usd))) + &table.html("Nothing was billed.")
}

/// What an hour of each kind of waste cost, from the ledger.
fn unused(results: &RunResults) -> String {
    let mut sums: BTreeMap<(&str, &str, &str), (f64, f64)> = BTreeMap::new();
    for row in results.ledger.iter().filter(|row| UNUSED.contains(&row.cause)) {
        let sum = sums.entry((&row.pool, row.cause, row.unit)).or_default();
        sum.0 += row.quantity;
        sum.1 += row.amount.as_f64();
    }
    let mut table = Table::new("Spend without work", &["pool", "cause", "#quantity", "#amount", "#for each"]);
    for ((pool, cause, unit), (quantity, amount)) in sums {
        let each = (quantity > 0.0).then(|| amount / quantity);
        table.row(vec![
            Cell::text(pool),
            Cell::text(cause),
            Cell::number(quantity, format!("{} {unit}", hours(quantity))),
            usd(amount),
            Cell::maybe(each, money),
        ]);
    }
    heading("What bought no work") + &table.html("Every hour that was paid for was used.")
}

/// What was bought by the token; nothing without a hosted API.
fn by_api(results: &RunResults) -> String {
    let apis = &results.summary.apis;
    if apis.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        "Hosted APIs",
        &[
            "API",
            "provider",
            "#requests",
            "#refused",
            "#TTFT p99",
            "#prompt tokens",
            "#output tokens",
            "#amount",
        ],
    );
    for api in apis {
        let counted = |number: u64| Cell::number(number as f64, si(number as f64));
        table.row(vec![
            Cell::text(&api.name),
            Cell::text(&api.provider),
            counted(api.requests.arrived),
            counted(api.refused),
            Cell::maybe(api.latency.ttft_s.p99, seconds),
            counted(api.tokens.prompt),
            counted(api.tokens.output),
            usd(api.spend_usd),
        ]);
    }
    heading("By the token") + &table.html("")
}

fn by_provider(results: &RunResults) -> String {
    let mut sums: BTreeMap<(&str, &str), (f64, f64)> = BTreeMap::new();
    for pool in &results.summary.pools {
        let sum = sums.entry((&pool.provider, &pool.purchase)).or_default();
        sum.0 += pool.spend.total_usd;
        sum.1 += pool.card_hours;
    }
    let total = results.summary.spend.total_usd;
    let mut table = Table::new(
        "Spend by provider and purchase option",
        &["provider", "purchase", "#amount", "#share", "#a card-hour"],
    );
    for ((provider, purchase), (amount, card_hours)) in sums {
        table.row(vec![
            Cell::text(provider),
            Cell::text(purchase),
            usd(amount),
            share(amount, total),
            Cell::maybe((card_hours > 0.0).then(|| amount / card_hours), money),
        ]);
    }
    heading("By provider and purchase") + &table.html("There is no pool.")
}

/// A split of the whole spend, with the output tokens that it made where they are known.
fn split(
    label: &'static str,
    who: &str,
    parts: &[(String, f64)],
    tokens: impl Fn(&str) -> Option<u64>,
) -> String {
    let total: f64 = parts.iter().map(|part| part.1).sum();
    let mut table = Table::new(label, &[who, "#amount", "#share", "#per 1M output tokens"]);
    for (name, amount) in parts {
        let each = tokens(name).filter(|made| *made > 0).map(|made| amount / (made as f64 / 1e6));
        table.row(vec![Cell::text(name), usd(*amount), share(*amount, total), Cell::maybe(each, money)]);
    }
    table.html("Nothing was billed.")
}

/// By the model that cards were held for.
fn by_model(results: &RunResults) -> String {
    let summary = &results.summary;
    let total = summary.spend.total_usd;
    let models: BTreeSet<&str> = summary.deployments.iter().map(|of| of.model.as_str()).collect();
    // Where there is only one name, all of it is its.
    let only = match models.first() {
        Some(model) => (*model).to_owned(),
        None if summary.jobs.submitted > 0 => "jobs".to_owned(),
        None => "nobody".to_owned(),
    };
    let parts = summary.spend.by_model.clone().unwrap_or_else(|| vec![(only, total)]);
    let tokens = |model: &str| {
        let made =
            summary.streams.iter().filter(|stream| stream.model == model).map(|stream| stream.tokens.output);
        Some(made.sum()).filter(|_| models.contains(model))
    };
    heading("By model") + &split("Spend by model", "cards held for", &parts, tokens)
}

/// By stream and by tier, where there is more than one of them.
fn by_stream_and_tier(results: &RunResults) -> String {
    let summary = &results.summary;
    let mut html = String::new();
    if let Some(parts) = &summary.spend.by_stream {
        let tokens =
            |name: &str| Some(summary.streams.iter().find(|stream| stream.name == name)?.tokens.output);
        let table = split("Spend by stream", "stream", parts, tokens);
        html += &format!("<div>{}{table}</div>", heading("By stream"));
    }
    if let Some(parts) = &summary.spend.by_tier {
        let tokens =
            |name: &str| Some(summary.tenants.iter().find(|tenant| tenant.name == name)?.tokens.output);
        let table = split("Spend by tier", "tier", parts, tokens);
        html += &format!("<div>{}{table}</div>", heading("By tier"));
    }
    html
}

fn by_pool(results: &RunResults) -> String {
    let pools = &grouped(&results.summary.pools);
    let mut causes: Vec<&str> = Vec::new();
    for (cause, _) in pools.iter().flat_map(|pool| &pool.spend.by_cause) {
        if !causes.contains(&cause.as_str()) {
            causes.push(cause);
        }
    }
    let columns: Vec<String> = ["pool", "provider", "purchase", "#spend", "#per 1M output tokens"]
        .map(str::to_owned)
        .into_iter()
        .chain(causes.iter().map(|cause| format!("#{cause}")))
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("Spend of each pool by cause", &columns);
    for pool in pools {
        let mut row = vec![
            Cell::text(&pool.name),
            Cell::text(&pool.provider),
            Cell::text(&pool.purchase),
            usd(pool.spend.total_usd),
            Cell::maybe(pool.spend.usd_per_1m_output_tokens, money),
        ];
        for cause in &causes {
            let amount = pool.spend.by_cause.iter().find(|(name, _)| name == cause).map(|(_, usd)| *usd);
            row.push(Cell::maybe(amount, money));
        }
        table.row(row);
    }
    let tokens = si(results.summary.tokens.output as f64);
    heading(&format!("By pool, {tokens} output tokens in all")) + &table.html("There is no pool.")
}
