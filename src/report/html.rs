//! `report.html`: one page that opens offline, everything in one file, complete without its script. The parts of
//! pages are here for the other verbs' pages too.

mod basis;
mod first;
mod jobs;
mod latency;
mod money;
mod pools;
mod scaling;
mod sheet;
mod topology;
mod utilization;

pub use sheet::{
    Cell, Fact, Mood, PageError, Section, Sheet, Table, escape, figures, heading, list, paragraph, themed,
};

use super::format::span;
use super::plots::{self, PlotError};
use super::verdict;
use crate::metrics::results::RunResults;

/// The whole page of a run.
///
/// # Errors
/// When a plot cannot be drawn or the template not be filled: both would be defects.
pub(super) fn page(results: &RunResults) -> Result<String, PageError> {
    let scenario = &results.summary.scenario;
    let (headline, good) = verdict::headline(results);
    let sections = [
        first::section(results),
        latency::section(results)?,
        utilization::section(results)?,
        money::section(results)?,
        scaling::section(results)?,
        jobs::section(results)?,
        topology::section(results)?,
        basis::energy(results),
        basis::assumptions(results),
        basis::repeat(results),
    ];
    let sheet = Sheet {
        title: scenario.name.clone(),
        about: format!(
            "{} simulated, seed {}, fleetsim {}",
            span(scenario.duration_s),
            scenario.seed,
            env!("CARGO_PKG_VERSION")
        ),
        mood: match good {
            Some(true) => Mood::Good,
            Some(false) => Mood::Bad,
            None => Mood::Neutral,
        },
        headline,
        verdicts: first::verdicts(results),
        facts: first::facts(results),
        beside: first::beside(results),
        picture: plot(results, "overview")?,
        sections: sections.into_iter().filter(|section| !section.html.is_empty()).collect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    sheet.html()
}

/// A plot for the page, by name.
fn plot(results: &RunResults, name: &str) -> Result<String, PlotError> {
    plots::find(name).map_or(Ok(String::new()), |plot| plot.svg(results).map(themed))
}
