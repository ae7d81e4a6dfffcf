//! Counts of requests over time and of intervals between them, in constant memory.

use super::Burstiness;
use crate::units::{Duration, Rate};

/// Counts in consecutive windows; only complete ones are in the sums.
#[derive(Debug)]
pub(super) struct Windows {
    width: Duration,
    current: u64,
    count: u64,
    sum: u64,
    sum_of_squares: u128,
    most: u64,
}

impl Windows {
    pub(super) fn new(width: Duration) -> Self {
        Self { width, current: 0, count: 0, sum: 0, sum_of_squares: 0, most: 0 }
    }

    /// A request at `at`, not before the one before.
    pub(super) fn add(&mut self, at: Duration) {
        let window = at.as_nanos() / self.width.as_nanos();
        if window > self.current {
            // The windows skipped are empty: they count, but add nothing.
            self.current = window;
            self.sum += self.count;
            self.sum_of_squares += u128::from(self.count) * u128::from(self.count);
            self.most = self.most.max(self.count);
            self.count = 0;
        }
        self.count += 1;
    }

    pub(super) fn burstiness(&self) -> Burstiness {
        let windows = self.current;
        let mean = self.sum as f64 / windows as f64;
        let known = windows >= 2 && self.sum > 0;
        // n·Σx² − (Σx)² in integers: nothing cancels.
        let sum = u128::from(self.sum);
        let spread = u128::from(windows) * self.sum_of_squares - sum * sum;
        let variance = spread as f64 / windows as f64 / windows as f64;
        Burstiness {
            window: self.width,
            count: windows,
            index_of_dispersion: known.then(|| variance / mean),
            peak_to_mean: known.then(|| self.most as f64 / mean),
        }
    }
}

/// Requests over time in at most [`RateSeries::BINS_MAX`] equal bins, whose width doubles as the trace goes
/// on.
#[derive(Debug, Clone)]
pub struct RateSeries {
    /// The width of a bin.
    pub width: Duration,
    /// Requests in each bin from the first request on; the last, partial bin is left out when there are
    /// others.
    pub counts: Vec<u64>,
}

impl RateSeries {
    /// Most bins.
    pub const BINS_MAX: usize = 600;

    pub(super) fn new() -> Self {
        // 1/64 s, so that the widths become whole seconds.
        Self { width: Duration::from_nanos(15_625_000), counts: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Duration) {
        while at.as_nanos() / self.width.as_nanos() >= Self::BINS_MAX as u64 {
            self.counts = self.counts.chunks(2).map(|pair| pair.iter().sum()).collect();
            self.width = self.width * 2;
        }
        let bin = (at.as_nanos() / self.width.as_nanos()) as usize;
        if bin >= self.counts.len() {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] += 1;
    }

    pub(super) fn end(&mut self, span: Duration) {
        let complete = (span.as_nanos() / self.width.as_nanos()) as usize;
        if complete > 0 {
            self.counts.truncate(complete);
        }
    }

    /// The rate in each bin.
    pub fn rates(&self) -> impl Iterator<Item = Rate> {
        self.counts.iter().map(|count| Rate::per_second(*count as f64 / self.width.as_secs_f64()))
    }
}

/// Inter-arrival times in logarithmic bins, ten a decade from a microsecond to 10⁶ seconds; what is outside
/// goes to the nearest bin, and what is zero is counted apart.
#[derive(Debug, Clone)]
pub struct IntervalHistogram {
    bins: Vec<u64>,
    /// Intervals of no time at all.
    pub zero: u64,
    total: u64,
    mean: f64,
    squares: f64,
}

const PER_DECADE: f64 = 10.0;
const DECADES: f64 = 12.0;
const FIRST_DECADE: f64 = -6.0;

impl IntervalHistogram {
    pub(super) fn new() -> Self {
        Self { bins: vec![0; (PER_DECADE * DECADES) as usize], zero: 0, total: 0, mean: 0.0, squares: 0.0 }
    }

    pub(super) fn add(&mut self, interval: Duration) {
        let seconds = interval.as_secs_f64();
        // Welford's running mean and sum of squared deviations.
        self.total += 1;
        let deviation = seconds - self.mean;
        self.mean += deviation / self.total as f64;
        self.squares += deviation * (seconds - self.mean);
        if interval.is_zero() {
            self.zero += 1;
        } else {
            // A negative number becomes 0.
            let bin = ((libm::log10(seconds) - FIRST_DECADE) * PER_DECADE) as usize;
            let last = self.bins.len() - 1;
            self.bins[bin.min(last)] += 1;
        }
    }

    pub(super) fn cv(&self) -> Option<f64> {
        (self.total >= 2 && self.mean > 0.0).then(|| (self.squares / self.total as f64).sqrt() / self.mean)
    }

    /// The mean interval.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.mean)
    }

    /// Intervals, zero ones included.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// (from, to, intervals) of each bin, from the first that is not empty to the last.
    pub fn bins(&self) -> Vec<(Duration, Duration, u64)> {
        let edge = |bin: usize| Duration::from_secs_f64(libm::exp10(FIRST_DECADE + bin as f64 / PER_DECADE));
        let first = self.bins.iter().position(|count| *count > 0).unwrap_or(0);
        let end = self.bins.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        (first..end).map(|bin| (edge(bin), edge(bin + 1), self.bins[bin])).collect()
    }
}
