//! Tables of metrics, and the progress bar over runs, as several verbs show them.

use std::io::IsTerminal as _;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::metrics::results::ReplicationsSummary;
use crate::plan::metrics::{Unit, unit};
use crate::report::format::{NOTHING, money, percent, seconds, si};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table whose first `texts` columns are texts and the others numbers, at most 100 columns wide.
pub fn table(header: &[String], rows: Vec<Vec<String>>, texts: usize) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_width(100).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        if index >= texts {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((if index == 0 { 0 } else { 1 }, 1));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A value of a metric with its unit.
pub fn show(name: &str, value: f64) -> String {
    match unit(name) {
        Unit::Usd => money(value),
        Unit::Seconds => seconds(value),
        Unit::Share => percent(value),
        Unit::Number => si(value),
    }
}

/// The difference between two values of a metric, with its sign; shares differ by percentage points.
pub fn show_difference(name: &str, value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    match unit(name) {
        Unit::Share => format!("{sign}{} pp", si(100.0 * value)),
        _ => format!("{sign}{}", show(name, value)),
    }
}

/// What replications say together.
pub fn replications(summary: &ReplicationsSummary) -> String {
    let known = summary.metrics.iter().filter_map(|metric| metric.mean.map(|mean| (metric, mean)));
    let rows = known.map(|(metric, mean)| {
        let interval = metric.ci95.map(|ends| ends.map(|end| show(&metric.name, end)).join(" … "));
        let interval = interval.unwrap_or_else(|| NOTHING.to_owned());
        vec![metric.name.clone(), show(&metric.name, mean), interval]
    });
    let header = ["metric", "mean", "95 % confidence interval"].map(str::to_owned);
    format!("Over {} replications:\n{}", summary.n, table(&header, rows.collect(), 1))
}

/// A bar over `length` runs, when somebody can see it.
pub fn bar(length: u64, what: &str, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}} of {{len}} {what}, {{eta}} left"));
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
