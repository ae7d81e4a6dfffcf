//! What a trace is like: its rate, its burstiness, its lengths, and how often it asks for the same again.
//!
//! Conventions: time counts from the first request; the rate is requests over span. Variances are those of
//! the population (divided by n). A window counts only if it is complete, so the last, partial one does not.
//! A quantile is the least value that at least that share of requests does not exceed.

mod counts;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::counts::Windows;
pub use self::counts::{IntervalHistogram, RateSeries};
use super::trace::{TraceFormat, TraceReader};
use super::{BlockHashes, TrafficError};
use crate::units::{Duration, Rate};

/// The windows that the table shows.
pub const WINDOWS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];

/// The windows that the plot of dispersion shows, in milliseconds.
const PLOTTED_WINDOWS_MS: [u64; 12] =
    [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000, 120_000, 300_000, 600_000];

/// What a trace is like.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its format.
    pub format: TraceFormat,
    /// Requests, failed ones not counted.
    pub requests: u64,
    /// Requests left out because they had failed.
    pub failed: u64,
    /// From the first request to the last.
    pub span: Duration,
    /// Requests over span; `None` when the span is zero.
    pub rate: Option<Rate>,
    /// Coefficient of variation of inter-arrival times; `None` for fewer than two intervals or when all
    /// requests come at once.
    pub interval_cv: Option<f64>,
    /// Burstiness in each of [`WINDOWS`].
    pub windows: Vec<Burstiness>,
    /// Tokens of the prompts.
    pub prompt_tokens: Distribution,
    /// Tokens of the outputs.
    pub output_tokens: Distribution,
    /// How often prompts' blocks repeat, where the trace has block hashes.
    pub blocks: Option<BlockReuse>,
    /// Requests over time, for plots.
    pub rate_series: RateSeries,
    /// Inter-arrival times, for plots.
    pub intervals: IntervalHistogram,
    /// Burstiness over windows from 0.1 s to 600 s as far as the trace has ten of them, for plots.
    pub dispersion: Vec<Burstiness>,
}

/// How uneven the counts of requests in windows of one width are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burstiness {
    /// The width.
    pub window: Duration,
    /// Complete windows in the trace.
    pub count: u64,
    /// Variance over mean of the counts: 1 for Poisson arrivals whatever the window. `None` for fewer than
    /// two windows or empty ones only.
    pub index_of_dispersion: Option<f64>,
    /// Highest count over mean count.
    pub peak_to_mean: Option<f64>,
}

/// A distribution of whole numbers, exact.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    counts: BTreeMap<u32, u64>,
    total: u64,
    sum: u128,
}

/// How often a prompt's block was seen before, in this request or an earlier one: what a prefix cache
/// without limits could spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockReuse {
    /// Blocks of all prompts.
    pub blocks: u64,
    /// Those that an earlier prompt had.
    pub seen_before: u64,
}

impl Distribution {
    fn add(&mut self, value: u32) {
        *self.counts.entry(value).or_default() += 1;
        self.total += 1;
        self.sum += u128::from(value);
    }

    /// The mean; 0 when empty.
    pub fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// The least value that at least the share `level` (0 to 1) does not exceed; 0 when empty.
    pub fn quantile(&self, level: f64) -> u32 {
        let rank = ((level * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (value, count) in &self.counts {
            below += count;
            if below >= rank {
                return *value;
            }
        }
        self.max()
    }

    /// The greatest; 0 when empty.
    pub fn max(&self) -> u32 {
        self.counts.keys().next_back().copied().unwrap_or(0)
    }

    /// (value, share not exceeding it) at up to `points` places, rising, the greatest included.
    pub fn cumulative(&self, points: usize) -> Vec<(u32, f64)> {
        let step = 1.0 / points.max(1) as f64;
        let mut below = 0;
        let mut last = -1.0;
        let mut curve = Vec::new();
        for (value, count) in &self.counts {
            below += count;
            let share = below as f64 / self.total as f64;
            if share - last >= step || below == self.total {
                curve.push((*value, share));
                last = share;
            }
        }
        curve
    }
}

impl BlockReuse {
    /// The share of blocks seen before, 0 to 1.
    pub fn share(self) -> f64 {
        if self.blocks == 0 { 0.0 } else { self.seen_before as f64 / self.blocks as f64 }
    }
}

/// Reads `file` from front to back and describes it. Memory grows with the number of different lengths and
/// of different blocks, not with the number of requests.
///
/// # Errors
/// When the file cannot be read or its content is wrong.
pub fn describe(file: &Path, format: Option<TraceFormat>) -> Result<Description, TrafficError> {
    let mut reader = TraceReader::open(file, format, None)?;
    let mut prompt_tokens = Distribution::default();
    let mut output_tokens = Distribution::default();
    let mut windows = WINDOWS.map(Windows::new);
    let mut plotted = PLOTTED_WINDOWS_MS.map(|ms| Windows::new(Duration::from_nanos(ms * 1_000_000)));
    let mut rate_series = RateSeries::new();
    let mut intervals = IntervalHistogram::new();
    let mut blocks: Option<BlockReuse> = None;
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    let mut first = None;
    let mut span = Duration::ZERO;
    while let Some(row) = reader.next_row()? {
        let at = row.at - *first.get_or_insert(row.at);
        if prompt_tokens.total > 0 {
            intervals.add(at - span);
        }
        span = at;
        prompt_tokens.add(row.prompt_tokens);
        output_tokens.add(row.output_tokens);
        for windows in windows.iter_mut().chain(&mut plotted) {
            windows.add(at);
        }
        rate_series.add(at);
        if let Some(BlockHashes(hashes)) = row.blocks {
            let reuse = blocks.get_or_insert(BlockReuse { blocks: 0, seen_before: 0 });
            reuse.blocks += hashes.len() as u64;
            reuse.seen_before += hashes.iter().filter(|hash| !seen.insert(**hash)).count() as u64;
        }
    }
    let requests = prompt_tokens.total;
    rate_series.end(span);
    Ok(Description {
        format: reader.format(),
        requests,
        failed: reader.failed(),
        span,
        rate: (!span.is_zero()).then(|| Rate::per_second(requests as f64 / span.as_secs_f64())),
        interval_cv: intervals.cv(),
        windows: windows.iter().map(Windows::burstiness).collect(),
        prompt_tokens,
        output_tokens,
        blocks,
        rate_series,
        intervals,
        dispersion: plotted.iter().map(Windows::burstiness).filter(|window| window.count >= 10).collect(),
    })
}
