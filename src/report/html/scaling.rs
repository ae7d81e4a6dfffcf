//! What autoscalers decided and why, and what their forecasts were worth.

use super::plot;
use super::sheet::{Cell, PageError, Section, Table, figures, heading, paragraph};
use crate::metrics::results::{DecisionRow, RunResults, metric};
use crate::report::format::{plural, si, span};

/// Longer tables of decisions are left to `decisions.csv`.
const MOST_DECISIONS: usize = 120;

pub(super) fn section(results: &RunResults) -> Result<Section, PageError> {
    let has = |of: &str| results.timeseries.series.iter().any(|series| series.metric == of);
    let changes = |of: &str| {
        let mut series = results.timeseries.series.iter().filter(|series| series.metric == of);
        series.any(|series| series.values.windows(2).any(|pair| pair[0] != pair[1]))
    };
    let scales = changes(metric::DESIRED_REPLICAS) || changes(metric::READY_REPLICAS);
    if results.decisions.is_empty() && !scales {
        let html = paragraph("Nothing scales here: replicas and nodes are what they were at the beginning.");
        return Ok(Section { id: "scaling", title: "Scaling", html });
    }
    let mut html = String::new();
    let mut plots = Vec::new();
    if scales {
        plots.push((plot(results, "scaling")?, false));
    }
    if has(metric::FORECAST_DEMAND) {
        plots.push((plot(results, "forecast")?, false));
    }
    html += &figures(&plots);
    let changed = |decision: &&DecisionRow| decision.done != decision.current;
    let changes: Vec<&DecisionRow> = results.decisions.iter().filter(changed).collect();
    let kept = (results.decisions.len() - changes.len()) as u64;
    html += &heading("Decisions");
    html += &paragraph(&format!(
        "{}, and {} to leave things as they were. All are in decisions.csv.",
        plural(changes.len() as u64, "change"),
        plural(kept, "decision")
    ));
    let mut table = Table::new(
        "Decisions that changed something",
        &["at", "policy", "about", "#from", "#wanted", "#to", "rule", "limits", "why"],
    );
    table.most = MOST_DECISIONS;
    for decision in changes {
        let number = |value: f64| Cell::number(value, si(value));
        let at = decision.time.as_secs_f64();
        table.row(vec![
            Cell::number(at, span(at)),
            Cell::text(&decision.policy),
            Cell::text(&decision.target),
            number(decision.current),
            number(decision.desired),
            number(decision.done),
            Cell::text(&decision.rule),
            Cell::text(&decision.limits).class("wrap"),
            Cell::text(&decision.reason).class("long"),
        ]);
    }
    html += &table.html("No decision changed anything.");
    Ok(Section { id: "scaling", title: "Scaling", html })
}
