//! Fitting the model's constants on tables of measurements, and scoring the fit on what it did not see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::report::{Compared, Report, Row, quantile};
use super::{Tables, ValidateError};
use crate::perf::constants::{Constant, Constants};

/// How to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Rows of a group of simulated runs at most; fewer are faster.
    pub rows_per_group: usize,
    /// Rounds over all constants.
    pub rounds: u32,
    /// Only these constants; all when empty.
    pub only: Vec<String>,
    /// Groups to leave out one at a time.
    pub leave_out: Option<LeftOut>,
}

/// What a fit does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// One source at a time.
    Source,
    /// One accelerator at a time.
    Accelerator,
}

/// A fit and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Each constant before and after.
    pub constants: Vec<Fitted>,
    /// The objective before.
    pub before: f64,
    /// And after.
    pub after: f64,
    /// Scores on groups that a fit did not see.
    pub left_out: Vec<Scored>,
}

/// A fitted constant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// Its name.
    pub name: &'static str,
    /// The value in the program.
    pub published: f64,
    /// The value that these tables ask for.
    pub fitted: f64,
}

/// A group that a fit did without.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scored {
    /// The source or the accelerator.
    pub group: String,
    /// Its rows.
    pub rows: usize,
    /// The median of its groups' medians with the constants fitted on all rows.
    pub with: f64,
    /// The same with those fitted on all others.
    pub without: f64,
}

/// Above this the error of a group counts no more: what is not understood must not decide.
const CAP: f64 = 0.6;

/// The first step, as a share of a constant's range.
const FIRST_STEP: f64 = 0.12;

/// Fits the constants: a pattern search that moves one at a time up or down within its range and keeps what
/// lowers the objective; a constant's step shrinks when neither helps. Deterministic.
///
/// The objective is the mean over kinds of metrics (throughput, time per token and end to end, time to first
/// token, training, collectives, logs) of half the median and half the mean of the groups' median errors.
///
/// # Errors
/// When a file cannot be read or is none that is known.
pub fn calibrate(
    paths: &[PathBuf],
    settings: &Settings,
    mut progress: impl FnMut(&str),
) -> Result<Calibration, ValidateError> {
    let tables = Tables::read(paths)?.thinned(settings.rows_per_group);
    let start = Constants::PUBLISHED;
    let before = objective(&tables.rows(&start)?, |_| true);
    let fitted = search(&tables, settings, start, |_| true, &mut progress)?;
    let rows = tables.rows(&fitted)?;
    let after = objective(&rows, |_| true);
    let mut left_out = Vec::new();
    if let Some(what) = settings.leave_out {
        let names: BTreeSet<String> = rows.iter().flatten().map(|row| name(row, what)).collect();
        for group in names {
            progress(&format!("without {group}"));
            let others = |row: &Compared| name(row, what) != group;
            let constants = search(&tables, settings, fitted, others, &mut |_| {})?;
            let of_group = |row: &Compared| name(row, what) == group;
            let (with, count) = score(&rows, of_group);
            let (without, _) = score(&tables.rows(&constants)?, of_group);
            left_out.push(Scored { group, rows: count, with, without });
        }
    }
    let constants = Constants::ALL
        .iter()
        .map(|known| Fitted {
            name: known.name,
            published: known.value,
            fitted: fitted.get(known.name).unwrap_or(known.value),
        })
        .collect();
    Ok(Calibration { constants, before, after, left_out })
}

/// A source without its edition and run, so that parts of one are left out together; or an accelerator.
fn name(row: &Compared, what: LeftOut) -> String {
    match what {
        LeftOut::Accelerator => row.accelerator.clone(),
        LeftOut::Source => {
            let end = row.source.find(['@', ' ']).unwrap_or(row.source.len());
            row.source[..end].to_owned()
        }
    }
}

fn search(
    tables: &Tables,
    settings: &Settings,
    start: Constants,
    counts: impl Fn(&Compared) -> bool + Copy,
    progress: &mut impl FnMut(&str),
) -> Result<Constants, ValidateError> {
    let wanted = |name: &&str| settings.only.is_empty() || settings.only.iter().any(|only| only == name);
    let moved: Vec<&str> = Constants::ALL.iter().map(|known| known.name).filter(wanted).collect();
    pattern(start, &moved, settings.rounds, |constants| {
        let found = objective(&tables.rows(constants)?, counts);
        progress(&format!("{found:.4}"));
        Ok(found)
    })
}

/// The pattern search: each constant in turn is moved up, then down, by its step; what lowers the error is kept
/// and its step grows, else it shrinks.
pub(super) fn pattern(
    start: Constants,
    moved: &[&str],
    rounds: u32,
    mut error: impl FnMut(&Constants) -> Result<f64, ValidateError>,
) -> Result<Constants, ValidateError> {
    let moved: Vec<&Constant> =
        moved.iter().filter_map(|name| Constants::ALL.iter().find(|known| known.name == *name)).collect();
    let mut steps = vec![FIRST_STEP; moved.len()];
    let (mut best, mut least) = (start, error(&start)?);
    for _ in 0..rounds {
        for (known, step) in moved.iter().zip(&mut steps) {
            let now = best.get(known.name).unwrap_or(known.value);
            let size = *step * (known.high - known.low);
            let mut found = false;
            for tried in [now + size, now - size] {
                let value = tried.clamp(known.low, known.high);
                if value == now {
                    continue;
                }
                let mut constants = best;
                constants.set(known.name, value);
                let error = error(&constants)?;
                if error < least {
                    (best, least, found) = (constants, error, true);
                    break;
                }
            }
            *step *= if found { 1.3 } else { 0.4 };
        }
    }
    Ok(best)
}

/// Kinds of metrics weigh the same, whatever the number of their rows; what is measured past the knee does not
/// count, nor do tails.
fn kind(metric: &str) -> Option<&'static str> {
    if metric.ends_with("_past_knee") || metric.contains("_p9") {
        return None;
    }
    Some(match metric {
        _ if metric.starts_with("request_log_") => "log",
        _ if metric.starts_with("tpot") || metric.starts_with("e2e") => "served",
        _ if metric.starts_with("ttft") => "first token",
        "tokens_per_s_per_gpu" | "model_tflops_per_gpu" | "mfu_pct" | "step_s" | "samples_per_s" => {
            "training"
        }
        "time_from_1mib" | "bus_bandwidth" | "time_below_1mib" => "collectives",
        _ => "throughput",
    })
}

fn objective(rows: &[Row], counts: impl Fn(&Compared) -> bool) -> f64 {
    let mut kinds: BTreeMap<&str, BTreeMap<[&str; 4], Vec<f64>>> = BTreeMap::new();
    for row in rows.iter().flatten().filter(|row| counts(row)) {
        let Some(kind) = kind(&row.metric) else { continue };
        let key = [&*row.source, &*row.accelerator, &*row.model, &*row.metric];
        let error = (row.predicted / row.measured - 1.0).abs();
        kinds.entry(kind).or_default().entry(key).or_default().push(error);
    }
    let number = kinds.len().max(1) as f64;
    let sum: f64 = kinds
        .into_values()
        .map(|groups| {
            let mut medians: Vec<f64> =
                groups.into_values().map(|mut errors| quantile(&mut errors, 0.5).min(CAP)).collect();
            let mean = medians.iter().sum::<f64>() / medians.len() as f64;
            0.5 * quantile(&mut medians, 0.5) + 0.5 * mean
        })
        .sum();
    sum / number
}

/// The median of the groups' medians over some of the rows, and how many these are.
fn score(rows: &[Row], counts: impl Fn(&Compared) -> bool) -> (f64, usize) {
    let chosen: Vec<Row> = rows
        .iter()
        .flatten()
        .filter(|row| counts(row) && kind(&row.metric).is_some())
        .cloned()
        .map(Ok)
        .collect();
    let mut medians: Vec<f64> = Report::of(&chosen).groups.iter().map(|group| group.median_ape).collect();
    (quantile(&mut medians, 0.5), chosen.len())
}
