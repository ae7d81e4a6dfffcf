//! Comparison of scenarios on the same random numbers: paired differences with their intervals.
//!
//! Replication i of every variant runs under the same seed, and each cause draws from a stream of its own, so
//! what does not differ between two variants meets the same arrivals and lengths. The difference is taken
//! replication by replication, which leaves the luck of the draw out of it (common random numbers: Law,
//! Simulation Modeling and Analysis, 5th ed., 11.2).
//!
//! When looking again and again until a difference is resolved, an interval at 5 % would be wrong far more
//! often than that. The looks are fixed beforehand (doubling up to a cap), and the error is spent evenly over
//! them (Bonferroni): at each of K looks intervals are at level α/K, so the chance that any look's interval
//! leaves the true difference out is at most α. (Repeated confidence intervals: Jennison and Turnbull, Group
//! Sequential Methods, 2000, ch. 9.) It holds for each metric of each variant by itself, not for all together.

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::Serialize;

use super::replicate::{Values, over, values};
use super::statistics::{ALPHA, Estimate, estimate, needed};
use crate::world::{RunError, WorldConfig};

/// A scenario with the name that it goes by in a comparison.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The name.
    pub name: String,
    /// What is run. All variants of a comparison have the same seed.
    pub config: WorldConfig,
}

/// What a comparison says; `compare --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The variant that the others are compared with.
    pub baseline: String,
    /// Replications of each.
    pub replications: u64,
    /// The seed of replication 0.
    pub seed: u64,
    /// How the looks were planned; null when there was one.
    pub sequential: Option<Sequential>,
    /// One item a metric.
    pub metrics: Vec<MetricComparison>,
}

/// Looking until differences are resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sequential {
    /// The metrics that should be resolved.
    pub resolve: Vec<String>,
    /// True when they all are; false when the cap came first.
    pub resolved: bool,
    /// Looks taken.
    pub looks: u64,
    /// Looks planned.
    pub looks_planned: u64,
    /// The chance that a difference of a metric is resolved wrongly at any look is at most this.
    pub error: f64,
    /// The error level of the intervals at each look: `error` ÷ `looks_planned`.
    pub error_per_look: f64,
    /// The correction in words.
    pub correction: &'static str,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricComparison {
    /// Its path in `summary.json`.
    pub name: String,
    /// The baseline's mean; null unless every replication has a value.
    pub baseline: Option<f64>,
    /// The others, in order.
    pub variants: Vec<Difference>,
}

/// One variant against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The variant.
    pub name: String,
    /// Its mean; null unless every replication has a value.
    pub mean: Option<f64>,
    /// The mean of the paired differences, variant less baseline; null where a value is missing.
    pub diff: Option<f64>,
    /// The interval of `diff`; at the level of the look where there were several.
    pub ci95: Option<[f64; 2]>,
    /// True when the interval leaves zero out, or the two were equal in each replication.
    pub resolved: bool,
    /// How many replications more would resolve it, if mean and spread stay what they are: 0 when it is; null
    /// when nothing says so, or more than a million.
    pub replications_to_resolve: Option<u64>,
    /// How many times as many replications independent runs would need for an interval as narrow: the sum of both
    /// variances ÷ the variance of the paired differences; null where that is no number.
    pub independent_ratio: Option<f64>,
}

/// A variant that could not be run.
#[derive(Debug, thiserror::Error)]
#[error("{error}\n  in {variant}")]
pub struct CannotRun {
    /// The variant.
    pub variant: String,
    /// Why.
    pub error: Box<RunError>,
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop<'a> {
    /// After so many replications.
    After(u64),
    /// When all of these metrics are resolved for all variants, looking at `first` replications, twice as
    /// many, and so on up to `most`.
    Resolved {
        /// Metrics by name; those without a value in any variant are not waited for.
        metrics: &'a [String],
        /// Replications before the first look; at least 2.
        first: u64,
        /// The cap.
        most: u64,
    },
}

/// Runs the variants, the first of which is the baseline, and compares them.
///
/// `done` is called after each run.
///
/// # Errors
/// The error of the first variant and replication that fails, with the variant's name.
pub fn compare(
    variants: &[Variant],
    metrics: &[String],
    stop: Stop<'_>,
    done: &(dyn Fn() + Sync),
) -> Result<Comparison, CannotRun> {
    let looks = looks(stop);
    let error_per_look = ALPHA / looks.len() as f64;
    let mut rows: Vec<Vec<Values>> = vec![Vec::new(); variants.len()];
    let mut taken = 0;
    let mut resolved = false;
    for look in &looks {
        let so_far = rows.first().map_or(0, Vec::len) as u64;
        let more: Vec<_> = (0..variants.len())
            .into_par_iter()
            .map(|variant| values(&variants[variant].config, so_far..*look, metrics, done))
            .collect();
        for ((rows, more), variant) in rows.iter_mut().zip(more).zip(variants) {
            let failed = |error| CannotRun { variant: variant.name.clone(), error: Box::new(error) };
            rows.extend(more.map_err(failed)?);
        }
        taken += 1;
        if let Stop::Resolved { metrics: wanted, .. } = stop {
            resolved = compared(variants, metrics, &rows, error_per_look)
                .iter()
                .filter(|metric| wanted.contains(&metric.name))
                .all(|metric| settled(metric, metrics, &rows));
        }
        if resolved {
            break;
        }
    }
    let sequential = match stop {
        Stop::After(_) => None,
        Stop::Resolved { metrics, .. } => Some(Sequential {
            resolve: metrics.to_vec(),
            resolved,
            looks: taken,
            looks_planned: looks.len() as u64,
            error: ALPHA,
            error_per_look,
            correction: "Bonferroni over the planned looks, for each metric of each variant by itself",
        }),
    };
    Ok(Comparison {
        baseline: variants.first().map(|variant| variant.name.clone()).unwrap_or_default(),
        replications: rows.first().map_or(0, Vec::len) as u64,
        seed: variants.first().map_or(0, |variant| variant.config.seed.0),
        sequential,
        metrics: compared(variants, metrics, &rows, error_per_look),
    })
}

/// After how many replications to look.
fn looks(stop: Stop<'_>) -> Vec<u64> {
    match stop {
        Stop::After(n) => vec![n],
        Stop::Resolved { first, most, .. } => super::search::looks(first, most),
    }
}

fn compared(
    variants: &[Variant],
    metrics: &[String],
    rows: &[Vec<Values>],
    alpha: f64,
) -> Vec<MetricComparison> {
    let Some((baseline, others)) = rows.split_first() else { return Vec::new() };
    let one = |(column, name): (usize, &String)| MetricComparison {
        name: name.clone(),
        baseline: over(baseline, column, alpha).map(|known| known.mean),
        variants: others
            .iter()
            .zip(&variants[1..])
            .map(|(rows, variant)| difference(&variant.name, baseline, rows, column, alpha))
            .collect(),
    };
    metrics.iter().enumerate().map(one).collect()
}

fn difference(name: &str, baseline: &[Values], rows: &[Values], column: usize, alpha: f64) -> Difference {
    let pairs = baseline.iter().zip(rows);
    let paired: Option<Vec<f64>> = pairs.map(|(base, row)| Some(row[column]? - base[column]?)).collect();
    let known = paired.and_then(|paired| estimate(&paired, alpha));
    let interval = known.and_then(|known| known.interval);
    // An interval of no width at zero: the same in each replication.
    let resolved = interval.is_some_and(|[lo, hi]| lo > 0.0 || hi < 0.0 || (lo == 0.0 && hi == 0.0));
    let to_resolve = known.filter(|known| known.interval.is_some()).and_then(|known| {
        let all = needed(known.mean, known.deviation, alpha)?;
        Some(all.saturating_sub(rows.len() as u64))
    });
    Difference {
        name: name.to_owned(),
        mean: over(rows, column, alpha).map(|known| known.mean),
        diff: known.map(|known| known.mean),
        ci95: interval,
        resolved,
        replications_to_resolve: if resolved { Some(0) } else { to_resolve },
        independent_ratio: independent_ratio(baseline, rows, column, known),
    }
}

/// The variances of both sides together, over that of their paired differences.
fn independent_ratio(
    baseline: &[Values],
    rows: &[Values],
    column: usize,
    paired: Option<Estimate>,
) -> Option<f64> {
    let variance = |rows: &[Values]| over(rows, column, ALPHA).map(|known| known.deviation * known.deviation);
    let (apart, paired) = (variance(baseline)? + variance(rows)?, paired?.deviation);
    (paired > 0.0).then(|| apart / (paired * paired)).filter(|ratio| ratio.is_finite())
}

/// Whether more replications are no use: each variant is resolved, or differs from the baseline in having no
/// value in any replication.
fn settled(metric: &MetricComparison, metrics: &[String], rows: &[Vec<Values>]) -> bool {
    let Some(column) = metrics.iter().position(|name| *name == metric.name) else { return true };
    let never = |rows: &[Values]| rows.iter().all(|row| row[column].is_none());
    let Some((baseline, others)) = rows.split_first() else { return true };
    never(baseline)
        || metric.variants.iter().zip(others).all(|(variant, rows)| variant.resolved || never(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_double_up_to_the_cap() {
        let stop = |first, most| looks(Stop::Resolved { metrics: &[], first, most });
        assert_eq!(stop(8, 100), [8, 16, 32, 64, 100]);
        assert_eq!(stop(8, 8), [8]);
        assert_eq!(stop(1, 4), [2, 4]);
    }

    #[test]
    fn differences() {
        let rows = |values: &[Option<f64>]| values.iter().map(|value| vec![*value]).collect::<Vec<Values>>();
        let base = rows(&[Some(1.0), Some(5.0), Some(9.0), Some(2.0)]);
        let more = rows(&[Some(2.0), Some(6.1), Some(9.9), Some(3.0)]);
        let other = rows(&[Some(2.0), Some(4.0), Some(9.5), Some(2.0)]);
        let missing = rows(&[Some(2.0), None, Some(9.5), Some(2.0)]);
        let of = |rows: &[Values]| difference("x", &base, rows, 0, ALPHA);
        let told = of(&more);
        assert!(told.resolved && told.replications_to_resolve == Some(0));
        assert!((told.diff.expect("a difference") - 1.0).abs() < 1e-12);
        let told = of(&other);
        assert!(!told.resolved && told.replications_to_resolve > Some(0));
        assert_eq!((of(&base).resolved, of(&base).ci95), (true, Some([0.0, 0.0])));
        let told = of(&missing);
        assert_eq!((told.mean, told.diff, told.ci95, told.resolved), (None, None, None, false));
        let single = difference("x", &base[..1], &more[..1], 0, ALPHA);
        assert_eq!((single.diff, single.ci95, single.resolved), (Some(1.0), None, false));
    }

    /// Looking often does not raise the error above what is stated: without a true difference, at most 5 % of
    /// the sequences of looks resolve one.
    #[test]
    fn looking_often_does_not_deceive() {
        let stop = Stop::Resolved { metrics: &[], first: 4, most: 64 };
        let looks = looks(stop);
        let alpha = ALPHA / looks.len() as f64;
        let mut stream = crate::sim::Seed(3).stream("looks");
        let deceived = (0..2000)
            .filter(|_| {
                let base: Vec<Values> = (0..64).map(|_| vec![Some(0.0)]).collect();
                let rows: Vec<Values> = (0..64).map(|_| vec![Some(stream.normal())]).collect();
                let look = |n: &u64| difference("x", &base[..*n as usize], &rows[..*n as usize], 0, alpha);
                looks.iter().any(|n| look(n).resolved)
            })
            .count();
        assert!((10..=100).contains(&deceived), "{deceived} of 2000");
    }
}
