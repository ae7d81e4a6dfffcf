//! Replications: the same scenario under other seeds, in parallel.

use std::ops::Range;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::metrics;
use super::statistics::{ALPHA, Estimate, estimate};
use crate::metrics::RequestStats;
use crate::metrics::results::{ReplicatedMetric, ReplicationsSummary, RunResults, Summary};
use crate::world::{self, RunError, RunOptions, WorldConfig};

/// Replications whose results are held at once before they are merged, so that memory does not grow with
/// their number. Larger than any number of threads that is likely, so that none is idle for long.
const AT_ONCE: u64 = 64;

/// The values of the metrics in one replication, in the order of the metrics' names.
pub type Values = Vec<Option<f64>>;

/// One replication.
#[derive(Debug, Clone)]
pub struct Replication {
    /// Its number, from 0.
    pub index: u64,
    /// Its seed, with which `run --seed` repeats it.
    pub seed: u64,
    /// The values of the metrics.
    pub values: Values,
}

/// Several replications, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Replications {
    /// The metrics' names.
    pub metrics: Vec<String>,
    /// Each replication.
    pub rows: Vec<Replication>,
    /// The requests of all of them.
    pub pooled: RequestStats,
    /// True when the queues settled in all of them.
    pub stable: bool,
}

/// Runs the replications `range` of a scenario in parallel and hands what `keep` makes of each back in order.
/// Replication `i` runs under [`crate::sim::Seed::replication`]`(i)`; 0 is the scenario itself. `done` is
/// called after each.
///
/// # Errors
/// The error of the first replication that fails, whatever the number of threads.
pub fn each<T: Send>(
    config: &WorldConfig,
    range: Range<u64>,
    done: &(dyn Fn() + Sync),
    keep: impl Fn(u64, RunResults) -> T + Sync,
) -> Result<Vec<T>, RunError> {
    let one = |index: u64| {
        let mut config = config.clone();
        config.seed = config.seed.replication(index);
        let results = world::run(&config, RunOptions::default())?;
        done();
        Ok(keep(index, results))
    };
    let all: Vec<Result<T, RunError>> = range.into_par_iter().map(one).collect();
    all.into_iter().collect()
}

/// The values of `metrics` in the replications `range`, in order.
///
/// # Errors
/// As [`each`].
pub fn values(
    config: &WorldConfig,
    range: Range<u64>,
    metrics: &[String],
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Values>, RunError> {
    each(config, range, done, |_, results| metrics::read(&results.summary, metrics))
}

impl Replications {
    /// Begins with a replication 0 that has been run already.
    pub fn starting(first: &RunResults, metrics: Vec<String>) -> Self {
        let mut all = Self { metrics, rows: Vec::new(), pooled: RequestStats::default(), stable: true };
        let row = all.row(0, &first.summary);
        all.add(row, &first.requests, first.summary.stability.stable);
        all
    }

    /// Runs further replications in parallel until there are `n`.
    ///
    /// # Errors
    /// As [`each`].
    pub fn extend(&mut self, config: &WorldConfig, n: u64, done: &(dyn Fn() + Sync)) -> Result<(), RunError> {
        let mut next = self.rows.len() as u64;
        while next < n {
            let until = n.min(next + AT_ONCE);
            let this = &*self;
            let more = each(config, next..until, done, |index, results| {
                let stable = results.summary.stability.stable;
                (this.row(index, &results.summary), results.requests, stable)
            })?;
            for (row, requests, stable) in more {
                self.add(row, &requests, stable);
            }
            next = until;
        }
        Ok(())
    }

    fn row(&self, index: u64, summary: &Summary) -> Replication {
        Replication { index, seed: summary.scenario.seed, values: metrics::read(summary, &self.metrics) }
    }

    fn add(&mut self, row: Replication, requests: &RequestStats, stable: bool) {
        self.rows.push(row);
        self.pooled.merge(requests);
        self.stable &= stable;
    }

    /// The part of `summary.json` about them.
    pub fn summary(&self) -> ReplicationsSummary {
        let rows: Vec<&Values> = self.rows.iter().map(|row| &row.values).collect();
        let metric = |(column, name): (usize, &String)| {
            let known = over(&rows, column, ALPHA);
            ReplicatedMetric {
                name: name.clone(),
                mean: known.map(|known| known.mean),
                ci95: known.and_then(|known| known.interval),
            }
        };
        ReplicationsSummary {
            n: self.rows.len() as u64,
            metrics: self.metrics.iter().enumerate().map(metric).collect(),
            pooled_latency: self.pooled.latency(self.stable),
        }
    }

    /// `replications.csv`: a row a replication; an empty cell where it has no value.
    pub fn csv(&self) -> String {
        let header = ["replication", "seed"].map(str::to_owned).into_iter().chain(self.metrics.clone());
        let rows = self.rows.iter().map(|row| {
            let values = row.values.iter().map(|value| cell(*value));
            [row.index.to_string(), row.seed.to_string()].into_iter().chain(values).collect()
        });
        csv_text(header.collect(), rows)
    }
}

/// A table as CSV.
pub fn csv_text(header: Vec<String>, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in std::iter::once(header).chain(rows) {
        writer.write_record(&row).expect("memory takes rows of equal length");
    }
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("cells are text")
}

/// A number for a table file: the shortest that reads back as the same; empty where there is none.
pub fn cell(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map(|value| value.to_string()).unwrap_or_default()
}

/// Mean and interval of one column; `None` unless every replication has a value there.
pub fn over<T: AsRef<Values>>(rows: &[T], column: usize, alpha: f64) -> Option<Estimate> {
    let known: Option<Vec<f64>> = rows.iter().map(|row| row.as_ref()[column]).collect();
    estimate(&known?, alpha)
}
