//! A trace's description as text and as JSON.

use std::io::{ErrorKind, Write};
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::cli::Failure;
use crate::traffic::describe::{Burstiness, Description, Distribution};

/// Writes `text` to stdout; a reader that has gone away is no failure.
pub(super) fn out(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("error: cannot write to the standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    file: String,
    format: &'a str,
    requests: u64,
    failed: u64,
    span_s: f64,
    rate_rps: Option<f64>,
    interarrival_cv: Option<f64>,
    windows: Vec<JsonWindow>,
    prompt_tokens: JsonTokens,
    output_tokens: JsonTokens,
    blocks: Option<JsonBlocks>,
}

#[derive(Serialize)]
struct JsonWindow {
    window_s: f64,
    windows: u64,
    index_of_dispersion: Option<f64>,
    peak_to_mean: Option<f64>,
}

#[derive(Serialize)]
struct JsonTokens {
    mean: f64,
    p50: u32,
    p90: u32,
    p99: u32,
    max: u32,
}

#[derive(Serialize)]
struct JsonBlocks {
    blocks: u64,
    seen_before: u64,
    reuse: f64,
}

pub(super) fn json(file: &Path, description: &Description) -> String {
    let tokens = |tokens: &Distribution| JsonTokens {
        mean: tokens.mean(),
        p50: tokens.quantile(0.5),
        p90: tokens.quantile(0.9),
        p99: tokens.quantile(0.99),
        max: tokens.max(),
    };
    let json = Json {
        file: file.display().to_string(),
        format: description.format.name(),
        requests: description.requests,
        failed: description.failed,
        span_s: description.span.as_secs_f64(),
        rate_rps: description.rate.map(|rate| rate.as_per_second()),
        interarrival_cv: description.interval_cv,
        windows: description
            .windows
            .iter()
            .map(|window| JsonWindow {
                window_s: window.window.as_secs_f64(),
                windows: window.count,
                index_of_dispersion: window.index_of_dispersion,
                peak_to_mean: window.peak_to_mean,
            })
            .collect(),
        prompt_tokens: tokens(&description.prompt_tokens),
        output_tokens: tokens(&description.output_tokens),
        blocks: description.blocks.map(|blocks| JsonBlocks {
            blocks: blocks.blocks,
            seen_before: blocks.seen_before,
            reuse: blocks.share(),
        }),
    };
    // Plain data: numbers that are not finite have been left out.
    let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
    text.push('\n');
    text
}

pub(super) fn text(name: &str, description: &Description) -> String {
    let mut text = format!("{name} ({})\n\n", description.format);
    let mut summary = table();
    let mut line = |what: &str, value: String| {
        summary.add_row([what.to_owned(), value]);
    };
    line("requests", description.requests.to_string());
    if description.failed > 0 {
        line("failed, left out", description.failed.to_string());
    }
    line("span", format!("{} s", digits(description.span.as_secs_f64())));
    line("rate", shown(description.rate.map(|rate| rate.as_per_second()), "/s"));
    line("CV of inter-arrival times", shown(description.interval_cv, ""));
    if let Some(blocks) = description.blocks {
        line("prompt blocks", blocks.blocks.to_string());
        line("  seen before", format!("{:.1} %", blocks.share() * 100.0));
    }
    text += &format!("{}\n\n", numbers_right(summary));

    let mut windows = table();
    windows.set_header(["window", "index of dispersion", "peak to mean"]);
    for Burstiness { window, index_of_dispersion, peak_to_mean, .. } in &description.windows {
        windows.add_row([
            format!("{} s", window.as_secs_f64()),
            shown(*index_of_dispersion, ""),
            shown(*peak_to_mean, ""),
        ]);
    }
    text += &format!("{}\n\n", numbers_right(windows));

    let mut tokens = table();
    tokens.set_header(["tokens", "mean", "p50", "p90", "p99", "max"]);
    for (what, of) in [("prompt", &description.prompt_tokens), ("output", &description.output_tokens)] {
        tokens.add_row([
            what.to_owned(),
            digits(of.mean()),
            of.quantile(0.5).to_string(),
            of.quantile(0.9).to_string(),
            of.quantile(0.99).to_string(),
            of.max().to_string(),
        ]);
    }
    text += &format!("{}\n", numbers_right(tokens));
    // The table's lines are padded to its width.
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_width(80);
    table
}

fn numbers_right(mut table: Table) -> Table {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn shown(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "too short to say".to_owned(), |value| format!("{}{unit}", digits(value)))
}

/// Three significant digits, whole numbers in full.
pub(super) fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 || v == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v if v >= 0.1 => format!("{v:.3}"),
        v if v >= 0.001 => format!("{v:.5}"),
        v => format!("{v:.2e}"),
    }
}
