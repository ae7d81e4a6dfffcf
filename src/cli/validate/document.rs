//! The error tables and the scatter plots of `docs/VALIDATION.md`, as files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::report::plots::scatter::{Group, scatter};
use crate::validate::{Compared, Report};

/// Which rows a picture has: its file, its title, its unit, and the beginnings of the metrics' names.
const PICTURES: [(&str, &str, &str, &[&str]); 5] = [
    ("served", "Time per output token and end to end", "s", &["tpot_", "e2e_"]),
    ("first-token", "Time to first token", "s", &["ttft_"]),
    ("throughput", "Throughput", "tokens/s or requests/s", &["output_tok", "total_tok", "req_s"]),
    ("training", "Training", "tokens/s per card", &["tokens_per_s_per_gpu"]),
    ("collectives", "Collectives from 1 MiB", "s", &["time_from_1mib"]),
];

/// Writes `tables.md` and a picture for each kind of metric.
pub(super) fn write(folder: &Path, report: &Report, rows: &[Compared]) -> Result<(), String> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let save = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, &error))
    };
    save("tables.md", &tables(report, rows))?;
    for (name, title, unit, metrics) in PICTURES {
        let shown = |row: &&Compared| {
            metrics.iter().any(|start| row.metric.starts_with(start)) && !row.metric.ends_with("_past_knee")
        };
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for row in rows.iter().filter(shown) {
            let group = groups
                .entry(family(&row.accelerator))
                .or_insert_with_key(|name| ((*name).to_owned(), Vec::new()));
            group.1.push((row.measured, row.predicted));
        }
        if groups.is_empty() {
            continue;
        }
        let groups: Vec<Group> = groups.into_values().collect();
        save(&format!("{name}.svg"), &scatter(title, unit, &groups)?)?;
    }
    Ok(())
}

/// Cards of one colour.
fn family(card: &str) -> &str {
    card.split(['-', ' ']).next().unwrap_or(card)
}

fn tables(report: &Report, rows: &[Compared]) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut text = String::from(
        "# Errors by metric and group\n\nWritten by `docs/remake.sh`. A group is a source, an accelerator and a model; \
         errors are |predicted ÷ measured − 1|.\n\n## Over all groups\n\n\
         | metric | groups | rows | median of medians | p90 of medians |\n|---|---:|---:|---:|---:|\n",
    );
    for metric in &report.overall {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            metric.metric,
            metric.groups,
            metric.rows,
            percent(metric.median_ape),
            percent(metric.p90_ape)
        );
    }
    text += "\n## The groups\n\n| source | accelerator | model | metric | rows | median | p90 | signed |\n\
             |---|---|---|---|---:|---:|---:|---:|\n";
    for group in &report.groups {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {:+.1} % |",
            super::short(&group.source).replace('|', "/"),
            group.accelerator,
            group.model,
            group.metric,
            group.rows,
            percent(group.median_ape),
            percent(group.p90_ape),
            group.median_signed * 100.0
        );
    }
    text += "\n## The worst rows\n\n| source | accelerator | model | metric | measured | predicted |\n\
             |---|---|---|---|---:|---:|\n";
    let mut worst: Vec<&Compared> = rows
        .iter()
        .filter(|row| !row.metric.ends_with("_past_knee") && !row.metric.contains("_p9"))
        .collect();
    let off = |row: &Compared| (row.predicted / row.measured).max(row.measured / row.predicted);
    worst.sort_by(|a, b| off(b).total_cmp(&off(a)));
    for row in worst.iter().take(30) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.4} | {:.4} |",
            super::short(&row.source).replace('|', "/"),
            row.accelerator,
            row.model,
            row.metric,
            row.measured,
            row.predicted
        );
    }
    let skipped: usize = report.skipped.iter().map(|skipped| skipped.rows).sum();
    let _ = writeln!(text, "\n## Not predicted: {skipped} rows\n");
    for skipped in &report.skipped {
        let _ = writeln!(text, "- {} rows: {}", skipped.rows, skipped.reason);
    }
    text
}

/// Errors by source and metric as a table: tails and what was measured past the knee are left to the long tables.
pub(super) fn by_source(rows: &[Compared]) -> String {
    let name = |row: &Compared| match row.source.strip_prefix("aiconfigurator") {
        Some(rest) if rest.ends_with("disaggregated") => "aiconfigurator, disaggregated".to_owned(),
        Some(_) => "aiconfigurator".to_owned(),
        None => row.origin.clone(),
    };
    let told = |row: &&Compared| !row.metric.ends_with("_past_knee") && !row.metric.contains("_p9");
    let mut kinds: BTreeMap<(String, &str), Vec<Compared>> = BTreeMap::new();
    for row in rows.iter().filter(told) {
        kinds.entry((name(row), &row.metric)).or_default().push(row.clone());
    }
    let mut text = String::from(
        "| source | metric | groups | rows | median of medians | p90 of medians | signed |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for ((source, metric), rows) in &kinds {
        let report = Report::compared(rows);
        let Some(overall) = report.overall.first() else { continue };
        let mut signed: Vec<f64> = report.groups.iter().map(|group| group.median_signed).collect();
        signed.sort_by(f64::total_cmp);
        let middle = signed.get(signed.len() / 2).copied().unwrap_or(0.0);
        let _ = writeln!(
            text,
            "| {source} | {metric} | {} | {} | {:.1} % | {:.1} % | {:+.1} % |",
            overall.groups,
            overall.rows,
            overall.median_ape * 100.0,
            overall.p90_ape * 100.0,
            middle * 100.0
        );
    }
    text
}

/// Writes `text` into a Markdown file between the lines `<!-- name -->` and `<!-- end -->`.
///
/// # Errors
/// In words: the file cannot be read or written, or has no such lines.
pub(in crate::cli) fn replace(path: &Path, name: &str, text: &str) -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let old = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let begin = format!("<!-- {name} -->\n");
    let missing = || failed(&format!("no line `<!-- {name} -->` with a line `<!-- end -->` behind it"));
    let (head, rest) = old.split_once(&begin).ok_or_else(missing)?;
    let (_, tail) = rest.split_once("<!-- end -->").ok_or_else(missing)?;
    let new = format!("{head}{begin}\n{}\n\n<!-- end -->{tail}", text.trim());
    std::fs::write(path, new).map_err(|error| failed(&error))
}
