//! What the results rest on, and how to get them again; energy and carbon.

use super::pools::grouped;
use super::sheet::{Cell, Section, Table, escape, heading, paragraph};
use crate::metrics::results::RunResults;
use crate::report::format::{NOTHING, si};

/// Defaults told in the page; scenario.toml has all of them.
const MOST_DEFAULTS: usize = 2_000;

pub(super) fn energy(results: &RunResults) -> Section {
    let summary = &results.summary;
    let kwh = |value: f64| format!("{} kWh", si(value));
    let carbon = |value: f64| format!("{} kg CO2e", si(value));
    let mut html = match (summary.energy.kwh, summary.energy.kg_co2e) {
        (Some(drawn), carbon_kg) => paragraph(&format!(
            "The cards drew {}{}, {} a million output tokens.",
            kwh(drawn),
            carbon_kg.map_or(String::new(), |kg| format!(", which emitted {}", carbon(kg))),
            match summary.tokens.output {
                0 => NOTHING.to_owned(),
                tokens => kwh(drawn / (tokens as f64 / 1e6)),
            }
        )),
        _ => paragraph("What the cards of every pool draw is not known, so there is no sum."),
    };
    let mut table = Table::new("Energy and carbon", &["pool", "accelerator", "#energy", "#carbon"]);
    for pool in &grouped(&summary.pools) {
        table.row(vec![
            Cell::text(&pool.name),
            Cell::text(&pool.accelerator),
            Cell::maybe(pool.energy.kwh, kwh),
            Cell::maybe(pool.energy.kg_co2e, carbon),
        ]);
    }
    html += &table.html("There is no pool.");
    html += &paragraph(
        "Between idle and computing power, by the time that cards compute; without the rest of a node, unless the \
         scenario says more.",
    );
    Section { id: "energy", title: "Energy and carbon", html }
}

pub(super) fn assumptions(results: &RunResults) -> Section {
    let mut sorted: Vec<_> = results.assumptions.iter().collect();
    sorted.sort_by_key(|assumption| assumption.doubt.is_empty());
    let mut table = Table::new("Assumptions", &["about", "figure", "value", "doubt", "source", "as of"]);
    table.most = usize::MAX;
    for item in sorted {
        table.row(vec![
            Cell::text(&item.about).class("wrap"),
            Cell::text(&item.figure).class("wrap"),
            Cell::text(&item.value).class("wrap"),
            Cell::text(&item.doubt).class("wrap bad"),
            Cell::text(&item.source).class("source"),
            Cell::text(&item.date),
        ]);
    }
    let html = paragraph(
        "The figures and defaults that these results rest on, the unsure ones first. A figure with a doubt is worth \
         checking before money is spent on it.",
    ) + &table.html("No figure from the catalogue was used.")
        + &defaults(results);
    Section { id: "assumptions", title: "Assumptions", html }
}

/// Every option that the scenario leaves as it is.
fn defaults(results: &RunResults) -> String {
    let mut table = Table::new("Defaults taken", &["option", "value"]);
    table.most = MOST_DEFAULTS;
    for default in &results.defaults {
        table.row(vec![Cell::text(&default.option).class("wrap"), Cell::text(&default.value).class("wrap")]);
    }
    heading(&format!("Defaults taken: {}", results.defaults.len()))
        + &paragraph(
            "Options that stand for their default, because the scenario does not name them or says the same. \
             scenario.toml beside this page has every value, and docs/scenario-file.md says what each option does.",
        )
        + &table.html("No option stands for its default.")
}

pub(super) fn repeat(results: &RunResults) -> Section {
    let seed = results.summary.scenario.seed;
    let version = escape(env!("CARGO_PKG_VERSION"));
    let replications =
        results.summary.replications.as_ref().map_or(String::new(), |of| format!(" --replications {}", of.n));
    let html = format!(
        "<p>The folder of this page holds <code>scenario.toml</code> with every value resolved. In that folder, \
         fleetsim {version} writes the same <code>summary.json</code> byte by byte with</p>\n\
         <pre><code>fleetsim run scenario.toml --seed {seed}{replications} --out again</code></pre>\n{}\
         <p>Seed {seed}; every number of this page is in <code>summary.json</code> or in the tables beside it, every \
         plot in <code>plots/</code>.</p>\n",
        heading("Seed and version")
    );
    Section { id: "repeat", title: "How to repeat it", html }
}
