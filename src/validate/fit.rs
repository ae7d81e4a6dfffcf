//! Fitting constants: a damped Gauss-Newton search on logarithms of predicted over measured, in which far rows count
//! less (iteratively reweighted) and every constant is drawn to its neutral value (a maximum a posteriori estimate;
//! Björck, "Numerical methods for least squares problems", SIAM 1996, sections 4.5 and 9.2). What the measurements do
//! not tell stays where it was.

use std::collections::BTreeMap;

use super::report::{Row, quantile};
use crate::perf::constants::{Constant, Constants};

/// Below this two values are as good as equal: repetitions of one benchmark differ by so much.
const NEAR: f64 = 0.03;

/// Logarithms beyond this count less and less: what is not understood must not decide.
const FAR: f64 = 0.5;

/// The error of a group that is taken for chance: measurements of one kind weigh by it against the neutral values.
const CHANCE: f64 = 0.1;

/// How far from its neutral value a constant may be expected, as a share of its range.
const SPREAD: f64 = 0.3;

/// How far a constant is moved to see what it does, as a share of its range.
const PROBE: f64 = 0.04;

/// A derivative beyond this is a queue that tips over, not a property of the machine.
const STEEPEST: f64 = 12.0;

/// Above this the error of a group counts no more in the objective that is told.
const CAP: f64 = 0.6;

/// What rows gain as constants move: one list a constant, one value a row.
pub(super) type Slopes = Vec<Vec<f64>>;

/// The slopes of rows at `start`. They tell of the model alone, and of nothing that was measured.
pub(super) fn slopes(
    start: &Constants,
    moved: &[&Constant],
    mut rows: impl FnMut(&Constants) -> Vec<Row>,
) -> Slopes {
    let found = residuals(&rows(start));
    moved.iter().map(|known| slope(start, known, &found, &mut rows)).collect()
}

/// Moves these constants from `start` to where the rows that `rows` gives for constants are met best; at most so
/// many rounds. `rows` gives the same rows in the same order for all constants; those that are not to count are
/// errors. The first round takes the slopes at `start`; so do all others (a chord search, which costs a fraction)
/// unless they are to be `fresh`. Deterministic.
pub(super) fn fit(
    start: Constants,
    moved: &[&Constant],
    rounds: u32,
    mut slopes_at_start: Slopes,
    fresh: bool,
    mut rows: impl FnMut(&Constants) -> Vec<Row>,
    progress: &mut impl FnMut(&str),
) -> Constants {
    let first = rows(&start);
    let weights = weights(&first);
    let mut now = (start, residuals(&first));
    if weights.iter().sum::<f64>() <= 0.0 || moved.is_empty() {
        return start;
    }
    let mut least = loss(&now.1, &weights) + pull(&now.0, moved);
    for round in 0..rounds {
        let (constants, found) = &now;
        if fresh && round > 0 {
            slopes_at_start = moved.iter().map(|known| slope(constants, known, found, &mut rows)).collect();
        }
        let step = step(constants, moved, found, &weights, &slopes_at_start);
        let mut better = None;
        for share in [1.0, 0.5, 0.2, 0.05] {
            let mut tried = *constants;
            for (known, change) in moved.iter().zip(&step) {
                let value = get(constants, known) + share * change * (known.high - known.low);
                tried.set(known.name, value.clamp(known.low, known.high));
            }
            let found = residuals(&rows(&tried));
            let loss = loss(&found, &weights) + pull(&tried, moved);
            if loss < least {
                progress(&format!("{loss:.2}, {least:.2} before"));
                better = Some((loss, tried, found));
                break;
            }
        }
        let Some((loss, tried, found)) = better else { break };
        let gain = least - loss;
        (least, now) = (loss, (tried, found));
        if gain < 1e-3 * least {
            break;
        }
    }
    now.0
}

fn get(constants: &Constants, known: &Constant) -> f64 {
    constants.get(known.name).unwrap_or(known.value)
}

/// The logarithm of predicted over measured; `None` for rows that could not be predicted.
fn residuals(rows: &[Row]) -> Vec<Option<f64>> {
    let of = |row: &Row| {
        let row = row.as_ref().ok().filter(|row| kind(&row.metric).is_some())?;
        let ratio = row.predicted / row.measured;
        (ratio > 0.0 && ratio.is_finite()).then(|| libm::log(ratio))
    };
    rows.iter().map(of).collect()
}

/// What a row weighs: kinds of metrics the same, within a kind groups the same, within a group rows the same; all
/// together as much as there are groups.
fn weights(rows: &[Row]) -> Vec<f64> {
    let mut groups: BTreeMap<&str, BTreeMap<[&str; 4], usize>> = BTreeMap::new();
    for row in rows.iter().flatten() {
        if let Some(kind) = kind(&row.metric) {
            *groups.entry(kind).or_default().entry(key(row)).or_default() += 1;
        }
    }
    let all: usize = groups.values().map(BTreeMap::len).sum();
    let kinds = groups.len().max(1);
    let of = |row: &Row| {
        let Ok(row) = row else { return 0.0 };
        let Some(groups) = kind(&row.metric).and_then(|kind| groups.get(kind)) else { return 0.0 };
        let rows = groups.get(&key(row)).copied().unwrap_or(1);
        all as f64 / kinds as f64 / groups.len() as f64 / rows as f64
    };
    rows.iter().map(of).collect()
}

fn key(row: &super::Compared) -> [&str; 4] {
    [&row.source, &row.accelerator, &row.model, &row.metric]
}

/// How much worse it is than no error at all: linear near nothing, ever slower beyond [`FAR`].
fn loss(residuals: &[Option<f64>], weights: &[f64]) -> f64 {
    let one = |residual: f64| FAR * libm::log1p(residual.abs() / FAR);
    // What cannot be predicted any more counts as far off.
    let of = |(residual, weight): (&Option<f64>, &f64)| weight * one(residual.unwrap_or(1.0));
    residuals.iter().zip(weights).map(of).sum::<f64>() / CHANCE
}

/// What being off the neutral values costs.
fn pull(constants: &Constants, moved: &[&Constant]) -> f64 {
    let of = |known: &&Constant| {
        let off = (get(constants, known) - known.neutral) / (known.high - known.low) / SPREAD;
        0.5 * off * off
    };
    moved.iter().map(of).sum()
}

/// What each row's logarithm gains when a constant crosses its whole range at the speed it has here.
fn slope(
    constants: &Constants,
    known: &Constant,
    found: &[Option<f64>],
    rows: &mut impl FnMut(&Constants) -> Vec<Row>,
) -> Vec<f64> {
    let range = known.high - known.low;
    let value = get(constants, known);
    let probe = if value + PROBE * range <= known.high { PROBE } else { -PROBE };
    let mut tried = *constants;
    tried.set(known.name, value + probe * range);
    let other = residuals(&rows(&tried));
    let of = |(other, found): (&Option<f64>, &Option<f64>)| match (other, found) {
        (Some(other), Some(found)) => ((other - found) / probe).clamp(-STEEPEST, STEEPEST),
        _ => 0.0,
    };
    other.iter().zip(found).map(of).collect()
}

/// The step, in shares of the constants' ranges, that minimises the quadratic model within the ranges: what would
/// leave its range goes to the end of it, and the others are solved for again.
fn step(
    constants: &Constants,
    moved: &[&Constant],
    found: &[Option<f64>],
    weights: &[f64],
    slopes: &[Vec<f64>],
) -> Vec<f64> {
    let weight: Vec<f64> = found
        .iter()
        .zip(weights)
        .map(|(residual, weight)| {
            let Some(residual) = residual else { return 0.0 };
            let off = residual.abs();
            weight / (1.0 + off / FAR) / off.max(NEAR) / CHANCE
        })
        .collect();
    let at = |known: &Constant| (get(constants, known) - known.low) / (known.high - known.low);
    let neutral = |known: &Constant| (known.neutral - known.low) / (known.high - known.low);
    let mut fixed: Vec<Option<f64>> = vec![None; moved.len()];
    loop {
        let free: Vec<usize> = (0..moved.len()).filter(|index| fixed[*index].is_none()).collect();
        let mut matrix = vec![vec![0.0; free.len()]; free.len()];
        let mut right = vec![0.0; free.len()];
        for (row, a) in free.iter().enumerate() {
            for (column, b) in free.iter().enumerate().take(row + 1) {
                let products = slopes[*a].iter().zip(&slopes[*b]).zip(&weight);
                let sum: f64 = products.map(|((a, b), weight)| a * b * weight).sum();
                matrix[row][column] = sum;
                matrix[column][row] = sum;
            }
            matrix[row][row] += 1.0 / (SPREAD * SPREAD);
            right[row] -= (at(moved[*a]) - neutral(moved[*a])) / (SPREAD * SPREAD);
            for (index, residual) in found.iter().enumerate() {
                let Some(residual) = residual else { continue };
                let others: f64 = fixed
                    .iter()
                    .enumerate()
                    .filter_map(|(b, step)| Some(step.as_ref()? * slopes[b][index]))
                    .sum();
                right[row] -= slopes[*a][index] * weight[index] * (residual + others);
            }
        }
        let solved = solve(matrix, right);
        let mut all: Vec<f64> = fixed.iter().map(|step| step.unwrap_or(0.0)).collect();
        let mut left = false;
        for (index, step) in free.iter().zip(solved) {
            let at = at(moved[*index]);
            let kept = step.clamp(-at, 1.0 - at);
            if kept != step {
                fixed[*index] = Some(kept);
                left = true;
            }
            all[*index] = kept;
        }
        if !left {
            return all;
        }
    }
}

/// Solves a symmetric positive definite system by elimination without pivots.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        for row in pivot + 1..size {
            let factor = matrix[row][pivot] / matrix[pivot][pivot];
            if factor != 0.0 {
                let (above, below) = matrix.split_at_mut(row);
                for (value, other) in below[0][pivot..].iter_mut().zip(&above[pivot][pivot..]) {
                    *value -= factor * other;
                }
                right[row] -= factor * right[pivot];
            }
        }
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

/// Kinds of metrics weigh the same, whatever the number of their rows; what is measured past the knee does not
/// count, nor do tails.
pub(super) fn kind(metric: &str) -> Option<&'static str> {
    if metric.ends_with(super::inference::PAST_KNEE) || metric.contains("_p9") {
        return None;
    }
    Some(match metric {
        _ if metric.starts_with("request_log_") => "one run",
        _ if metric.starts_with("tpot") || metric.starts_with("e2e") => "TPOT and E2E",
        _ if metric.starts_with("ttft") => "TTFT",
        "tokens_per_s_per_gpu" | "model_tflops_per_gpu" | "mfu_pct" | "step_s" | "samples_per_s" => {
            "training"
        }
        "time_below_1mib" => "collectives below 1 MiB",
        "time_from_1mib" | "bus_bandwidth" => "collectives from 1 MiB",
        _ => "throughput",
    })
}

/// What is told of a fit: the mean over kinds of metrics of half the median and half the mean of the groups' median
/// errors.
pub(super) fn objective(rows: &[Row]) -> f64 {
    let mut kinds: BTreeMap<&str, BTreeMap<[&str; 4], Vec<f64>>> = BTreeMap::new();
    for row in rows.iter().flatten() {
        let Some(kind) = kind(&row.metric) else { continue };
        let error = (row.predicted / row.measured - 1.0).abs();
        kinds.entry(kind).or_default().entry(key(row)).or_default().push(error);
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

#[cfg(test)]
mod tests {
    use super::super::Compared;
    use super::*;

    fn row(source: &str, measured: f64, predicted: f64) -> Row {
        let text = str::to_owned;
        Ok(Compared {
            line: 1,
            source: text(source),
            origin: text(source),
            accelerator: text("card"),
            model: text("model"),
            metric: text("tpot_mean"),
            measured,
            predicted,
        })
    }

    /// Measurements that follow from two constants give these back, and one that nothing depends on stays neutral.
    #[test]
    fn finds_what_made_the_rows() {
        let truth = Constants { layer_us: 50.0, iteration_us: 4000.0, ..Constants::NEUTRAL };
        let time = |k: &Constants, layers: f64| k.iteration_us + layers * k.layer_us;
        let groups: Vec<(String, f64)> =
            (1..=12).map(|at| (format!("s{at}"), f64::from(at) * 20.0)).collect();
        let rows = |k: &Constants| {
            let one = |(name, layers): &(String, f64)| row(name, time(&truth, *layers), time(k, *layers));
            groups.iter().map(one).collect()
        };
        let names = ["layer_us", "iteration_us", "front_us"];
        let moved: Vec<&Constant> =
            Constants::ALL.iter().filter(|known| names.contains(&known.name)).collect();
        let slopes = slopes(&Constants::NEUTRAL, &moved, rows);
        for fresh in [true, false] {
            let found = fit(Constants::NEUTRAL, &moved, 20, slopes.clone(), fresh, rows, &mut |_| {});
            assert!((found.layer_us / 50.0 - 1.0).abs() < 0.05, "{found:?}");
            assert!((found.iteration_us / 4000.0 - 1.0).abs() < 0.10, "{found:?}");
            assert_eq!(found.front_us, Constants::NEUTRAL.front_us);
        }
    }

    /// One source that is off by far does not pull the others along.
    #[test]
    fn outliers_do_not_decide() {
        let rows = |k: &Constants| {
            let mut rows: Vec<Row> = (0..9).map(|at| row(&format!("s{at}"), 40.0, k.layer_us)).collect();
            rows.push(row("odd", 4000.0, k.layer_us));
            rows
        };
        let moved: Vec<&Constant> = Constants::ALL.iter().filter(|known| known.name == "layer_us").collect();
        let slopes = slopes(&Constants::NEUTRAL, &moved, rows);
        let found = fit(Constants::NEUTRAL, &moved, 12, slopes, true, rows, &mut |_| {});
        assert!((found.layer_us / 40.0 - 1.0).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn systems_are_solved() {
        let solved = solve(vec![vec![4.0, 2.0], vec![2.0, 3.0]], vec![10.0, 9.0]);
        assert!((solved[0] - 1.5).abs() < 1e-12 && (solved[1] - 2.0).abs() < 1e-12, "{solved:?}");
    }
}
