//! `fleetsim validate`: the simulator against published measurements.

pub(super) mod document;

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};

use super::{Failure, print};
use crate::perf::constants::Constants;
use crate::validate::{Compared, Report, compare};

/// Compare the simulator with measurements: errors by source, accelerator, model and metric.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A table of measurements (CSV, recognised by its header), a log of single requests (RUN.jsonl beside
    /// RUN.meta.json), or a folder of them. Can be given several times; the project's own small table when absent.
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Print the errors as JSON, as fractions.
    #[arg(long)]
    json: bool,
    /// Write every row that was predicted to this CSV file.
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// Write the error tables and plots of predicted against measured values to this folder.
    #[arg(long, value_name = "DIR")]
    document: Option<PathBuf>,
    /// Write the errors by source and metric into this Markdown file, between the lines `<!-- errors -->` and
    /// `<!-- end -->`.
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Compare with another value of one of the model's constants; can be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    constant: Vec<String>,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), Failure> {
    let constants = constants(&args.constant)?;
    let (report, rows) =
        compare(&args.data, &constants).map_err(|error| Failure::BadInput(format!("error: {error}")))?;
    if let Some(path) = &args.rows {
        write_rows(path, &rows)
            .map_err(|error| Failure::Failed(format!("error: {}: {error}", path.display())))?;
    }
    if let Some(folder) = &args.document {
        document::write(folder, &report, &rows).map_err(|why| Failure::Failed(format!("error: {why}")))?;
    }
    if let Some(path) = &args.into {
        document::replace(path, "errors", &document::by_source(&rows))
            .map_err(|why| Failure::Failed(format!("error: {why}")))?;
    }
    if args.json {
        let json =
            serde_json::to_string_pretty(&report).map_err(|error| Failure::Failed(error.to_string()))?;
        return print(&format!("{json}\n"));
    }
    print(&text(&report))
}

/// The published constants, some of them set by `NAME=VALUE`.
fn constants(settings: &[String]) -> Result<Constants, Failure> {
    let mut constants = Constants::PUBLISHED;
    for setting in settings {
        let bad = |why: String| Failure::BadInput(format!("error: --constant {setting}: {why}"));
        let (name, value) = setting.split_once('=').ok_or_else(|| bad("write NAME=VALUE".to_owned()))?;
        let value: f64 = value.parse().map_err(|_| bad(format!("`{value}` is not a number")))?;
        constants.set_checked(name, value).map_err(bad)?;
    }
    Ok(constants)
}

fn write_rows(path: &std::path::Path, rows: &[Compared]) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_path(path)?;
    for row in rows {
        writer.serialize(row)?;
    }
    writer.flush()?;
    Ok(())
}

fn text(report: &Report) -> String {
    let mut groups = table(&["source", "accelerator", "model", "metric", "rows", "median", "p90", "signed"]);
    for group in &report.groups {
        groups.add_row([
            short(&group.source),
            group.accelerator.clone(),
            group.model.clone(),
            group.metric.clone(),
            group.rows.to_string(),
            percent(group.median_ape),
            percent(group.p90_ape),
            signed(group.median_signed),
        ]);
    }
    let mut overall = table(&["metric", "groups", "rows", "median of medians", "p90 of medians"]);
    for metric in &report.overall {
        overall.add_row([
            metric.metric.clone(),
            metric.groups.to_string(),
            metric.rows.to_string(),
            percent(metric.median_ape),
            percent(metric.p90_ape),
        ]);
    }
    for (table, numbers) in [(&mut groups, 4..8), (&mut overall, 1..5)] {
        for index in numbers {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut text = format!("{groups}\n\nOver all groups\n{overall}\n");
    let rows: usize = report.skipped.iter().map(|skipped| skipped.rows).sum();
    if rows > 0 {
        text += &format!("\nNot predicted: {rows} rows\n");
        for skipped in &report.skipped {
            text += &format!("  {} rows: {}\n", skipped.rows, skipped.reason);
            for example in &skipped.examples {
                text += &format!("    {example}\n");
            }
        }
    }
    text
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    table
}

/// A source in at most 60 characters.
fn short(source: &str) -> String {
    if source.chars().count() <= 60 {
        return source.to_owned();
    }
    let kept: String = source.chars().take(59).collect();
    format!("{kept}…")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn signed(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}
