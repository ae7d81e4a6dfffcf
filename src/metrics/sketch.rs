//! Latency sketches: exact mean and maximum, quantiles from buckets of known width.

use hdrhistogram::Histogram;

use super::results::Quantiles;
use crate::units::Duration;

/// Durations of one kind. Quantiles are off by at most 0.1 % of their value or 1 µs, whichever is more
/// (HdrHistogram with three significant digits and microsecond resolution); mean and maximum are exact.
/// Memory does not grow with the number of durations, and two sketches can be merged.
#[derive(Debug, Clone)]
pub struct Sketch {
    histogram: Histogram<u64>,
    sum_nanos: u128,
    max: Duration,
}

/// The relative error of a quantile.
pub const QUANTILE_ERROR: f64 = 0.001;

const RESOLUTION_NANOS: u64 = 1_000;
/// The longest duration told apart: 10⁷ s. Longer ones count as this long.
const LONGEST_NANOS: u64 = 10_000_000_000_000_000;

impl Sketch {
    /// An empty sketch.
    pub fn new() -> Self {
        Self::with_digits(3)
    }

    /// An empty sketch with a tenth of the memory, whose quantiles are off by at most 1 %: for the points of
    /// a plot. It is merged only with its like.
    pub fn coarse() -> Self {
        Self::with_digits(2)
    }

    fn with_digits(digits: u8) -> Self {
        let histogram = Histogram::new_with_bounds(RESOLUTION_NANOS, LONGEST_NANOS, digits)
            .expect("the bounds are constants that the library takes");
        Self { histogram, sum_nanos: 0, max: Duration::ZERO }
    }

    /// Adds a duration.
    pub fn record(&mut self, duration: Duration) {
        self.histogram.saturating_record(duration.as_nanos());
        self.sum_nanos += u128::from(duration.as_nanos());
        self.max = self.max.max(duration);
    }

    /// Adds all that `other` has.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all sketches have the same bounds");
        self.sum_nanos += other.sum_nanos;
        self.max = self.max.max(other.max);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
        self.sum_nanos = 0;
        self.max = Duration::ZERO;
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The arithmetic mean in seconds; `None` when empty.
    pub fn mean_s(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum_nanos as f64 / self.count() as f64 / 1e9)
    }

    /// The `q`-quantile in seconds, 0 ≤ q ≤ 1; `None` when empty.
    pub fn quantile_s(&self, q: f64) -> Option<f64> {
        (self.count() > 0).then(|| {
            let nanos = self.histogram.value_at_quantile(q).min(self.max.as_nanos());
            // What is not told apart from nothing is nothing: a wait of 0 s, not of the bucket's upper edge.
            let nanos = if nanos < RESOLUTION_NANOS { 0 } else { nanos };
            Duration::from_nanos(nanos).as_secs_f64()
        })
    }

    /// Mean, quantiles and maximum.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles {
            mean: self.mean_s(),
            p50: self.quantile_s(0.5),
            p90: self.quantile_s(0.9),
            p95: self.quantile_s(0.95),
            p99: self.quantile_s(0.99),
            max: (self.count() > 0).then(|| self.max.as_secs_f64()),
        }
    }

    /// Points (seconds, share not above) of the cumulative distribution, at most a few hundred.
    pub fn cumulative(&self) -> Vec<(f64, f64)> {
        let total = self.count() as f64;
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut below = 0;
        for step in self.histogram.iter_recorded() {
            below += step.count_at_value();
            let value = step.value_iterated_to().min(self.max.as_nanos());
            let point = (Duration::from_nanos(value).as_secs_f64(), below as f64 / total);
            // A point every half percent is all that a plot can show.
            let is_step = points.last().is_none_or(|last| point.1 - last.1 >= 0.005 || point.1 > 0.99);
            if is_step || below == self.count() {
                points.push(point);
            }
        }
        points
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Quantiles are within the stated error of the sorted list's; merging is adding.
        #[test]
        fn quantiles_within_the_stated_error(
            mut nanos in prop::collection::vec(0u64..100_000_000_000, 1..300), cut in 0usize..300, q in 0.0f64..1.0,
        ) {
            let (mut sketch, mut other) = (Sketch::new(), Sketch::new());
            for (index, value) in nanos.iter().enumerate() {
                let part = if index < cut { &mut sketch } else { &mut other };
                part.record(Duration::from_nanos(*value));
            }
            sketch.merge(&other);
            nanos.sort_unstable();
            let exact = nanos[((q * nanos.len() as f64).ceil() as usize).clamp(1, nanos.len()) - 1] as f64 / 1e9;
            let told = sketch.quantile_s(q).expect("not empty");
            prop_assert!((told - exact).abs() <= (exact * QUANTILE_ERROR).max(1.1e-6), "{told} {exact}");
            let mean = nanos.iter().map(|n| *n as f64).sum::<f64>() / nanos.len() as f64 / 1e9;
            prop_assert!((sketch.mean_s().expect("not empty") - mean).abs() < 1e-9 * mean.max(1.0));
            let cumulative = sketch.cumulative();
            prop_assert!(cumulative.is_sorted());
            prop_assert_eq!(cumulative.last().map(|point| point.1), Some(1.0));
        }
    }
}
