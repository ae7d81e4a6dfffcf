//! Means with Student's t intervals, with libm only, so that they are the same on every platform.

use serde::Serialize;

/// The error level that intervals are told at where nothing else is said: 5 %.
pub const ALPHA: f64 = 0.05;

/// A mean over independent observations and its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation of one observation (n − 1 in the denominator); 0 for a single one.
    pub deviation: f64,
    /// The interval's ends; `None` for a single observation, about whose error nothing is known.
    pub interval: Option<[f64; 2]>,
}

/// Mean and two-sided Student t interval of coverage 1 − `alpha`. `None` without observations.
///
/// Summed in the order given, so the same observations give the same bits. (Law, Simulation Modeling and
/// Analysis, 5th ed., eq. 4.12: x̄ ± t(n−1, 1−α/2)·s/√n.)
pub fn estimate(observations: &[f64], alpha: f64) -> Option<Estimate> {
    let n = observations.len();
    if n == 0 {
        return None;
    }
    let mean = observations.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Some(Estimate { mean, deviation: 0.0, interval: None });
    }
    if observations.iter().all(|value| *value == observations[0]) {
        // The sum's rounding must not make a spread where there is none.
        let mean = observations[0];
        return Some(Estimate { mean, deviation: 0.0, interval: Some([mean, mean]) });
    }
    let squares: f64 = observations.iter().map(|value| (value - mean) * (value - mean)).sum();
    let deviation = (squares / (n - 1) as f64).sqrt();
    let half = half_width(deviation, n as u64, alpha);
    Some(Estimate { mean, deviation, interval: Some([mean - half, mean + half]) })
}

/// Half the width of the interval of `n` ≥ 2 observations with that standard deviation.
fn half_width(deviation: f64, n: u64, alpha: f64) -> f64 {
    t_quantile(alpha, n - 1) * deviation / (n as f64).sqrt()
}

/// The least number of observations in all with which an interval around a mean of `mean` would leave zero
/// out, if mean and deviation stay what they are. `None` where that is more than a million.
pub fn needed(mean: f64, deviation: f64, alpha: f64) -> Option<u64> {
    const MOST: u64 = 1_000_000;
    if deviation == 0.0 {
        return (mean != 0.0).then_some(2);
    }
    // The half-width is less than the mean exactly where the mean's own t leaves less than alpha in the tails.
    let enough = |n: u64| both_tails(mean.abs() / deviation * (n as f64).sqrt(), n - 1) < alpha;
    if mean == 0.0 || !enough(MOST) {
        return None;
    }
    let (mut low, mut high) = (1, MOST);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// The t with P(|T| > t) = `alpha` for Student's distribution with `dof` ≥ 1 degrees of freedom, 0 < alpha < 1.
pub fn t_quantile(alpha: f64, dof: u64) -> f64 {
    let mut high = 2.0;
    while both_tails(high, dof) > alpha {
        high *= 2.0;
    }
    let mut low = 0.0;
    // 80 halvings leave nothing between the ends but the last bit.
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if both_tails(middle, dof) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// P(|T| > t): Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4, finite series
/// for whole degrees of freedom; for many, the normal approximation 26.7.8, which is then off by less than one
/// part in ten thousand of any tail asked for.
fn both_tails(t: f64, dof: u64) -> f64 {
    use std::f64::consts::FRAC_2_PI;
    let nu = dof as f64;
    if dof > 1_000 {
        let z = t * (1.0 - 0.25 / nu) / (1.0 + 0.5 * t * t / nu).sqrt();
        return libm::erfc(z / std::f64::consts::SQRT_2);
    }
    let cos2 = nu / (nu + t * t);
    let sin = t / (nu + t * t).sqrt();
    let odd = dof % 2 == 1;
    let mut term = if odd { cos2.sqrt() } else { 1.0 };
    let mut sum = if dof == 1 { 0.0 } else { term };
    let mut k = if odd { 3 } else { 2 };
    while k < dof {
        term *= cos2 * (k - 1) as f64 / k as f64;
        sum += term;
        k += 2;
        if term < sum * 1e-17 {
            break;
        }
    }
    let within = if odd {
        let theta = libm::atan(t / nu.sqrt());
        FRAC_2_PI * (theta + sin * sum)
    } else {
        sin * sum
    };
    1.0 - within
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;
    use statrs::distribution::{ContinuousCDF, StudentsT};

    #[test]
    fn quantiles_agree_with_statrs() {
        for dof in [1, 2, 3, 4, 5, 7, 9, 10, 29, 30, 99, 1000, 1001, 30_000] {
            for alpha in [0.2, 0.05, 0.01, 0.007] {
                let theirs = StudentsT::new(0.0, 1.0, dof as f64).expect("a distribution");
                let tail = 2.0 * theirs.sf(t_quantile(alpha, dof));
                assert!((tail / alpha - 1.0).abs() < 1e-4, "{dof} {alpha}: {tail}");
            }
        }
        // A table known by heart.
        assert!((t_quantile(0.05, 1) - 12.7062).abs() < 1e-4);
        assert!((t_quantile(0.05, 9) - 2.26216).abs() < 1e-5);
    }

    /// 95 % intervals cover the truth 93.5 to 96.5 % of the time over 2,000 repetitions.
    #[test]
    fn intervals_cover() {
        let mut stream = Seed(20).stream("coverage");
        for n in [2, 5, 10] {
            let covers = |_: &i32| {
                let drawn: Vec<f64> = (0..n).map(|_| 3.0 + 2.0 * stream.normal()).collect();
                let [lo, hi] = estimate(&drawn, ALPHA).and_then(|e| e.interval).expect("several");
                lo <= 3.0 && 3.0 <= hi
            };
            let covered = (0..2000).filter(covers).count() as f64 / 2000.0;
            assert!((0.935..=0.965).contains(&covered), "{n}: {covered}");
        }
    }

    #[test]
    fn what_is_needed_is_enough_and_no_more() {
        for (mean, deviation) in [(1.0, 1.0), (0.1, 3.0), (5.0, 0.01)] {
            let n = needed(mean, deviation, ALPHA).expect("a number");
            assert!(half_width(deviation, n, ALPHA) < mean);
            assert!(n == 2 || half_width(deviation, n - 1, ALPHA) >= mean);
        }
        assert_eq!(needed(0.0, 1.0, ALPHA), None);
        assert_eq!(needed(1e-9, 1.0, ALPHA), None);
    }

    #[test]
    fn few_or_equal_observations() {
        assert_eq!(estimate(&[], ALPHA), None);
        assert_eq!(estimate(&[4.0], ALPHA).and_then(|e| e.interval), None);
        assert_eq!(estimate(&[0.1, 0.1, 0.1], ALPHA).and_then(|e| e.interval), Some([0.1, 0.1]));
    }
}
