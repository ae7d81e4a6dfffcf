//! The nodes, how models lie on their cards, and what went over the links between them.

use super::plot;
use super::sheet::{Cell, PageError, Section, Table, figures, heading, paragraph};
use crate::metrics::results::RunResults;
use crate::report::format::{count, or_nothing, percent, si, span};
use crate::report::verdict;

/// The nodes and who holds their cards, and what went between them.
pub(super) fn section(results: &RunResults) -> Result<Section, PageError> {
    let section = |html| Ok(Section { id: "topology", title: "Topology and partition", html });
    if results.summary.pools.is_empty() {
        return section(String::new());
    }
    let mut html = paragraph("The node of each pool at its busiest moment: who holds which card.");
    if let Some(busiest) = verdict::busiest_link(results) {
        html += &paragraph(&busiest);
    }
    html += &figures(&[(plot(results, "nodes")?, false)]);
    html += &heading("How models are split");
    let mut plans = Table::new("How models are split", &["deployment", "model", "plan of a replica"]);
    for deployment in &results.summary.deployments {
        for plan in &deployment.plan {
            plans.row(vec![
                Cell::text(&deployment.name),
                Cell::text(&deployment.model),
                Cell::text(plan).class("long"),
            ]);
        }
    }
    html += &plans.html("The scenario has no deployments.");
    html += &links(results);
    html += &switches(results);
    let mut sent = Table::new(
        "KV caches handed over",
        &[
            "deployment",
            "#handed over",
            "#processed where decoded",
            "#sent",
            "#mean rate",
            "#mean time on the way",
        ],
    );
    for deployment in &results.summary.deployments {
        if let Some(handover) = &deployment.handover {
            let rate = handover.bytes_sent / results.summary.scenario.duration_s.max(1e-9);
            sent.row(vec![
                Cell::text(&deployment.name),
                Cell::number(handover.handed_over as f64, count(handover.handed_over)),
                Cell::number(handover.local as f64, count(handover.local)),
                Cell::number(handover.bytes_sent, format!("{}B", si(handover.bytes_sent))),
                Cell::number(rate, format!("{}B/s", si(rate))),
                Cell::maybe(handover.mean_s, crate::report::format::seconds),
            ]);
        }
    }
    if !sent.rows.is_empty() {
        html += &heading("Between replicas");
        html += &sent.html("");
    }
    let mut supply = Table::new(
        "Nodes that come and go",
        &[
            "pool",
            "#ordered",
            "#refused",
            "#became ready",
            "#taken back",
            "#broke",
            "#given back",
            "#time without stock",
        ],
    );
    let end = results.summary.scenario.duration_s;
    for pool in &results.summary.pools {
        if let Some(of) = &pool.supply {
            let number = |value: u64| Cell::number(value as f64, count(value));
            let dry = of.share_without_stock.map(|share| share * end);
            supply.row(vec![
                Cell::text(&pool.name),
                number(of.ordered),
                number(of.refused),
                number(of.ready),
                number(of.preempted),
                number(of.broken),
                number(of.given_back),
                Cell::maybe(dry, span),
            ]);
        }
    }
    if !supply.rows.is_empty() {
        html += &heading("Nodes that come and go");
        html += &supply.html("");
    }
    section(html)
}

/// What went over the links inside of replicas and jobs, the fullest first.
fn links(results: &RunResults) -> String {
    let mut table = Table::new(
        "What went over the links",
        &[
            "holder",
            "pool",
            "link",
            "#links",
            "#one carries",
            "#sent over all",
            "#over the fullest, while it computes",
            "#of what it carries",
            "#over the whole run",
        ],
    );
    for link in &results.summary.links {
        table.row(vec![
            Cell::text(&link.holder),
            Cell::text(&link.pool),
            Cell::text(format!("{} ({})", link.kind, link.name)),
            Cell::number(link.links as f64, count(link.links)),
            Cell::number(link.capacity_bytes_per_s, format!("{}B/s", si(link.capacity_bytes_per_s))),
            Cell::number(link.bytes, format!("{}B", si(link.bytes))),
            Cell::maybe(link.computing_bytes_per_s, |rate| {
                or_nothing(Some(rate), |rate| format!("{}B/s", si(rate)))
            }),
            Cell::maybe(link.computing_share, percent),
            Cell::number(link.share, percent(link.share)),
        ]);
    }
    let nothing = "No plan sends anything over a link: each replica and job computes on one card, or its step time was \
                   given without a model.";
    heading("What went over the links")
        + &table.html(nothing)
        + &paragraph(
            "Activations, tokens to experts, stages, gradients and streamed weights, as their plans send them, in one \
             direction; without the loading of weights, checkpoints and KV caches that are handed over. A link that is \
             idle for most of an iteration can still make it slow: collectives and computing take turns.",
        )
}

/// What gangs asked of the links between switches, where they wait for each other.
fn switches(results: &RunResults) -> String {
    let mut table = Table::new(
        "Links between switches",
        &[
            "pool",
            "link",
            "#carries",
            "#allocated, mean",
            "#asked for at most",
            "#time with more asked than it carries",
        ],
    );
    for pool in &results.summary.pools {
        for link in &pool.links {
            let carries = link.carries_gb_s * 1e9;
            table.row(vec![
                Cell::text(&pool.name),
                Cell::text(&link.link),
                Cell::number(carries, format!("{}B/s", si(carries))),
                Cell::number(link.allocated, percent(link.allocated)),
                Cell::number(link.most, percent(link.most)),
                Cell::number(link.crowded, percent(link.crowded)),
            ]);
        }
    }
    if table.rows.is_empty() {
        return String::new();
    }
    heading("Between switches, the busiest links")
        + &table.html("")
        + &paragraph(
            "What gangs that hold their cards could send over a link: allocated, not sent. Where more is asked than it \
             carries, they wait for each other.",
        )
}
