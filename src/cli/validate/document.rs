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
