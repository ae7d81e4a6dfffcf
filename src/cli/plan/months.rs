//! The months to come on the page of a plan.

use super::words;
use crate::plan::horizon::Course;
use crate::plan::outcome::Outcome;
use crate::report::format::{money, percent, plural, seconds};
use crate::report::html::{Cell, Section, Table, figures as side_by_side, paragraph};

/// The sections: how far to commit, where it breaks even, what the horizon brings.
pub fn sections(outcome: &Outcome, plots: &[(String, bool)]) -> Vec<Section> {
    let mut sections = Vec::new();
    if !outcome.commitment.is_empty() || !outcome.spot.is_empty() {
        let html = levels(outcome) + &spot(outcome);
        sections.push(Section { id: "commitment", title: "How far to commit", html });
    }
    if !outcome.break_even.is_empty() {
        let html = break_even(outcome);
        sections.push(Section { id: "break-even", title: "Where it breaks even", html });
    }
    if let Some(course) = &outcome.horizon {
        let html = side_by_side(plots) + &horizon(course);
        sections.push(Section { id: "horizon", title: "The months to come", html });
    }
    sections
}

fn usd(amount: f64) -> Cell {
    Cell::number(amount, money(amount))
}

fn levels(outcome: &Outcome) -> String {
    let columns = [
        "pool",
        "as",
        "#commit to",
        "by term",
        "#of",
        "#pays above",
        "#spend",
        "#all on demand",
        "#all committed",
    ];
    let mut table = Table::new("How far to commit", &columns);
    for level in &outcome.commitment {
        let peak = level.peak_nodes[0].max(level.peak_nodes[1]);
        let by_term: Vec<String> = level.commit_nodes_by_term.iter().map(u64::to_string).collect();
        table.row(vec![
            Cell::text(&level.pool),
            Cell::text(&level.purchase),
            Cell::number(level.commit_nodes as f64, plural(level.commit_nodes, "node")),
            Cell::text(by_term.join(", ")),
            Cell::number(peak as f64, peak.to_string()),
            Cell::number(level.break_even_share, percent(level.break_even_share)),
            usd(level.spend_usd),
            usd(level.all_on_demand_usd),
            usd(level.all_committed_usd),
        ]);
    }
    table.html("")
}

fn spot(outcome: &Outcome) -> String {
    if outcome.spot.is_empty() {
        return String::new();
    }
    let columns = ["pool", "#may be spot", "#of", "one more breaks", "#a month", "#a month without"];
    let mut table = Table::new("How much spot", &columns);
    for level in &outcome.spot {
        table.row(vec![
            Cell::text(&level.pool),
            Cell::number(f64::from(level.spot_nodes), plural(u64::from(level.spot_nodes), "node")),
            Cell::number(f64::from(level.of_nodes), level.of_nodes.to_string()),
            Cell::text(level.breaks.as_deref().unwrap_or("nothing")),
            usd(level.spend_usd_month),
            usd(level.without_usd_month),
        ]);
    }
    paragraph("Simulated with the preemptions: the most nodes that may be spot with every promise kept.")
        + &table.html("")
}

fn break_even(outcome: &Outcome) -> String {
    let columns = ["what", "against", "for", "measured in", "#breaks even at", "#is", "pays", "why"];
    let mut table = Table::new("Where it breaks even", &columns);
    for point in &outcome.break_even {
        let value = |value: Option<f64>| {
            Cell::number(value.unwrap_or(f64::NAN), words::break_even_value(point, value))
        };
        let (pays, class) = match point.pays {
            Some(true) => ("yes", "good"),
            Some(false) => ("no", ""),
            None => ("nobody knows", ""),
        };
        table.row(vec![
            Cell::text(&point.of),
            Cell::text(point.against),
            Cell::text(&point.subject),
            Cell::text(point.measure),
            value(point.at),
            value(point.now),
            Cell::text(pays).class(class),
            Cell::text(&point.why).class("long"),
        ]);
    }
    table.html("")
}

fn horizon(course: &Course) -> String {
    let columns = [
        "#month",
        "#stands for",
        "#demand",
        "#spend a month",
        "#TTFT p99",
        "#SLO met",
        "kept",
        "#cheapest then",
        "what that is",
        "#hosted API",
    ];
    let mut table = Table::new("Representative windows", &columns);
    for window in &course.windows {
        let cheapest = window.cheapest.as_ref();
        let what: Vec<String> = cheapest.map_or(Vec::new(), |cheapest| {
            cheapest.set.values().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
        });
        table.row(vec![
            Cell::number(window.month, format!("{:.1}", window.month)),
            Cell::number(window.weight, percent(window.weight)),
            Cell::number(window.demand, format!("{:.2}", window.demand)),
            usd(window.spend_usd_month),
            Cell::maybe(window.ttft_p99_s, seconds),
            Cell::maybe(window.attainment, percent),
            Cell::text(if window.kept { "yes" } else { "no" }).class(if window.kept {
                "good"
            } else {
                "bad"
            }),
            Cell::maybe(cheapest.map(|cheapest| cheapest.spend_usd_month), money),
            Cell::text(what.join(" · ")),
            Cell::maybe(window.hosted_usd_month, money),
        ]);
    }
    let lasts = match course.lasts_months {
        Some(months) => format!("It keeps its promises for {months:.1} months."),
        None => "It keeps its promises to the end.".to_owned(),
    };
    paragraph(&format!(
        "Each window is the scenario's own with the demand and the prices of its month, and stands for a part of the \
         {} months. As it is, the best candidate costs {} over the horizon. {lasts}",
        course.months,
        money(course.spend_usd)
    )) + &table.html("")
        + &paragraph(words::full_run(course).trim())
}
