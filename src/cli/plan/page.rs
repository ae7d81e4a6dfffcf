//! The page of a plan.

use super::super::figures;
use super::months;
use super::plots::short;
use crate::plan::grid::Grid;
use crate::plan::outcome::{Outcome, Row};
use crate::report::format::{NOTHING, count, hours, money, percent, plural, seconds};
use crate::report::html::{
    Cell, Fact, Mood, PageError, Section, Sheet, Table, figures as side_by_side, heading, paragraph, themed,
};

/// Candidates told on the page; all are in `candidates.csv`.
const MOST_CANDIDATES: usize = 300;

/// The page, with the plots that were drawn.
///
/// # Errors
/// When the template cannot be filled.
pub fn page(
    outcome: &Outcome,
    grid: &Grid,
    name: &str,
    plots: Vec<(&'static str, String)>,
) -> Result<String, PageError> {
    let plot = |wanted: &str| -> Option<String> {
        plots.iter().find(|(name, _)| *name == wanted).map(|(_, svg)| themed(svg.clone()))
    };
    let all = |wanted: &[&str]| -> Vec<(String, bool)> {
        wanted.iter().filter_map(|name| plot(name)).map(|svg| (svg, false)).collect()
    };
    let mut sections = vec![
        Section {
            id: "candidates",
            title: "Candidates, and why each lost",
            html: candidates(outcome, grid)
                + &paragraph(&format!(
                    "The best first. All {} are in candidates.csv.",
                    plural(outcome.points, "candidate")
                )),
        },
        Section {
            id: "spend",
            title: "What each spends on",
            html: side_by_side(&all(&["spend_by_candidate", "map_spend", "map_slo"])),
        },
    ];
    if outcome.best.is_some() {
        let html = promises(outcome) + &side_by_side(&all(&["capacity"]));
        sections.insert(0, Section { id: "best", title: "The best candidate", html });
    }
    if let Some(uncertainty) = &outcome.uncertainty {
        let html = paragraph(&format!(
            "{} of the uncertain numbers; each finalist met the same ones.",
            plural(uncertainty.draws, "draw")
        )) + &side_by_side(&all(&["tornado", "regret"]));
        sections.push(Section { id: "uncertainty", title: "Which input decides", html });
    }
    let months = months::sections(outcome, &all(&["horizon"]));
    sections.extend(months);
    if let Some(relaxed) = &outcome.relaxation {
        let html = paragraph(&relaxed.why)
            + &paragraph(&format!("It would then cost {} a month.", money(relaxed.spend_usd_month)));
        sections.insert(0, Section { id: "help", title: "What would help", html });
    }
    sections.push(Section { id: "repeat", title: "How to repeat it", html: repeat(outcome) });
    let sheet = Sheet {
        title: format!("{name}: plan"),
        about: format!(
            "{}, least {}, seed {}, fleetsim {}",
            plural(outcome.points, "candidate"),
            outcome.objective,
            outcome.seed,
            env!("CARGO_PKG_VERSION")
        ),
        mood: if outcome.feasible { Mood::Good } else { Mood::Bad },
        headline: outcome.verdict.clone(),
        verdicts: Vec::new(),
        facts: facts(outcome),
        beside: String::new(),
        picture: plot("frontier").unwrap_or_default(),
        sections,
        version: env!("CARGO_PKG_VERSION"),
    };
    sheet.html()
}

fn facts(outcome: &Outcome) -> Vec<Fact> {
    let fact = |what, value, remark| Fact { what, value, remark };
    let mut facts = Vec::new();
    if let Some(best) = &outcome.best {
        let spend = best.spend_usd_month;
        facts.push(fact(
            "A month of the best",
            money(spend.mean),
            format!("5 % to 95 %: {} – {}", money(spend.p5), money(spend.p95)),
        ));
        facts.push(fact("Card-hours a month", hours(best.gpu_hours), plural(best.cards, "card")));
        facts.push(fact(
            "Promises kept",
            percent(best.slo_met_probability),
            match &outcome.uncertainty {
                Some(of) => format!("of {}", plural(of.draws, "draw")),
                None => format!("of {}", plural(outcome.replications, "replication")),
            },
        ));
    }
    facts.push(fact(
        "No less than",
        outcome.lower_bound_usd_month.map_or(NOTHING.to_owned(), money),
        outcome.gap.map_or(String::new(), |gap| format!("a gap of {}", percent(gap))),
    ));
    facts.push(fact(
        "Simulations",
        count(outcome.simulations),
        format!("{} pruned by bounds", plural(outcome.pruned, "candidate")),
    ));
    facts
}

fn promises(outcome: &Outcome) -> String {
    let Some(best) = &outcome.best else { return String::new() };
    let mut set = Table::new("The best candidate", &["value", "is"]);
    for (path, value) in &best.set {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        set.row(vec![Cell::text(path), Cell::text(value)]);
    }
    let mut held = Table::new("Its promises", &["promise", "#it came to", "limit"]);
    for promise in &best.promises {
        let sign = if promise.at_least { "at least" } else { "at most" };
        let value = promise.value.map_or(NOTHING.to_owned(), |value| figures::show(&promise.name, value));
        held.row(vec![
            Cell::text(&promise.name),
            Cell::number(promise.value.unwrap_or(f64::NAN), value),
            Cell::text(format!("{sign} {}", figures::show(&promise.name, promise.limit))),
        ]);
    }
    let mut causes = Table::new("Its spend by cause", &["cause", "#a month"]);
    for (cause, usd) in &best.spend_by_cause_usd_month {
        causes.row(vec![Cell::text(cause), Cell::number(*usd, money(*usd))]);
    }
    format!(
        "{}<div class=\"tables\"><div>{}{}</div><div>{}{}</div><div>{}{}</div></div>\n",
        paragraph(&format!("What limits it: {}.", best.bottleneck)),
        heading("What it is"),
        set.html(""),
        heading("What it promises"),
        held.html("Nothing is promised."),
        heading("What it spends on"),
        causes.html("Nothing is billed.")
    )
}

fn candidates(outcome: &Outcome, grid: &Grid) -> String {
    let paths: Vec<&str> = grid.axes().iter().map(|axis| axis.path.as_str()).collect();
    let columns: Vec<&str> = ["candidate", "outcome"]
        .into_iter()
        .chain(paths.iter().copied())
        .chain(["#spend a month", "#cards", "#TTFT p99", "#SLO met", "what it broke", "#by", "why"])
        .collect();
    let mut table = Table::new("Candidates", &columns);
    table.most = MOST_CANDIDATES;
    for row in &outcome.candidates {
        table.row(candidate(row, grid));
    }
    table.html("There is no candidate.")
}

fn candidate(row: &Row, grid: &Grid) -> Vec<Cell> {
    let class = match row.status {
        "best" => "good",
        "infeasible" | "pruned" | "barred" | "impossible" => "bad",
        _ => "",
    };
    let values = grid.values(row.point);
    let mut cells = vec![Cell::text(short(&values)), Cell::text(row.status).class(class)];
    for value in &values {
        let text = value.trim_matches('"');
        cells.push(match text.parse::<f64>() {
            Ok(number) => Cell::number(number, text.to_owned()),
            Err(_) => Cell::text(text),
        });
    }
    cells.push(Cell::maybe(row.spend_usd_month, money));
    cells.push(Cell::number(row.cards as f64, count(row.cards)));
    cells.push(Cell::maybe(row.ttft_p99_s, seconds));
    cells.push(Cell::maybe(row.attainment, percent));
    let excuse = row.excuse.as_ref();
    cells.push(Cell::text(excuse.map_or("", |excuse| &excuse.constraint)));
    let by = excuse.and_then(|excuse| Some((excuse.by?, &excuse.constraint)));
    let shown = by.map_or(NOTHING.to_owned(), |(by, name)| match name.as_str() {
        "spend" | "budget_usd_month" => money(by),
        name => figures::show(name, by),
    });
    cells.push(Cell::number(by.map_or(f64::NAN, |by| by.0), shown));
    cells.push(Cell::text(excuse.map_or("", |excuse| &excuse.why)).class("long"));
    cells
}

fn repeat(outcome: &Outcome) -> String {
    paragraph(&format!(
        "fleetsim {} plan with the same scenario file and seed {} gives the same plan.json byte by byte; {} each.",
        env!("CARGO_PKG_VERSION"),
        outcome.seed,
        plural(outcome.replications, "replication")
    ))
}
