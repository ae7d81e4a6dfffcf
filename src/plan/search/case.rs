//! One fleet under one circumstance (whole, or with something lost), replication by replication.

use crate::metrics::results::{DeploymentSummary, RunResults, StreamSummary, Summary};
use crate::plan::judge::{self, Promise};
use crate::plan::statistics::{ALPHA, estimate};
use crate::units::Usd;
use crate::world::{self, RunError, RunOptions, WorldConfig};

/// What the replications of a case said so far.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// The value of each promise, a row a replication.
    pub values: Vec<Vec<f64>>,
    /// What was billed in each replication.
    pub spend: Vec<Usd>,
    /// The worst stream's 99th percentile of TTFT in each replication, in seconds; `None` where it has none.
    pub ttft_p99: Vec<Option<f64>>,
    /// The worst stream's 99th percentile of end-to-end time in each replication, in seconds.
    pub e2e_p99: Vec<Option<f64>>,
    /// The summary of replication 0.
    pub first: Option<Box<Summary>>,
}

impl Case {
    /// The mean of a promise over the replications so far.
    pub fn mean(&self, promise: usize) -> f64 {
        self.values.iter().map(|values| values[promise]).sum::<f64>() / self.values.len() as f64
    }

    /// What was billed on average over the replications so far, in US dollars.
    pub fn mean_spend(&self) -> f64 {
        self.spend.iter().map(|spend| spend.as_f64()).sum::<f64>() / self.spend.len().max(1) as f64
    }

    /// The first promise that is broken, and by how much.
    pub fn broken(&self, promises: &[Promise]) -> Option<(usize, f64)> {
        let broken = |(index, promise): (usize, &Promise)| {
            let mean = self.mean(index);
            (!promise.is_kept(mean)).then(|| (index, promise.broken_by(mean)))
        };
        promises.iter().enumerate().find_map(broken)
    }

    /// True when a promise is broken however well the replications do that are still to come.
    fn is_lost(&self, promises: &[Promise], replications: u64) -> bool {
        let left = replications.saturating_sub(self.values.len() as u64) as f64;
        promises.iter().enumerate().any(|(index, promise)| {
            let Some(best) = promise.best else { return false };
            let sum: f64 = self.values.iter().map(|values| values[index]).sum();
            let mean = (sum + left * best) / replications as f64;
            // Sums of shares are off by less than this.
            promise.broken_by(mean) > 1e-12
        })
    }

    /// Whether every promise is kept in a replication.
    pub fn keeps_all(&self, replication: usize, promises: &[Promise]) -> bool {
        promises.iter().zip(&self.values[replication]).all(|(promise, value)| promise.is_kept(*value))
    }

    /// Runs replications until there are as many, or until one of the promises cannot be kept any more.
    ///
    /// # Errors
    /// When a run fails.
    pub fn extend(
        &mut self,
        config: &WorldConfig,
        promises: &[Promise],
        replications: u64,
        curtail: bool,
        done: &(dyn Fn() + Sync),
    ) -> Result<(), RunError> {
        self.extend_to(config, promises, (replications, replications), curtail, done)
    }

    /// Races: looks after `first` replications, twice as many and so on up to `most`, and stops as soon as every
    /// promise is resolved: kept or broken with its whole interval, at an error of 5 % split evenly over the looks
    /// (Bonferroni). So replications are spent where a candidate is close to a limit.
    ///
    /// # Errors
    /// When a run fails.
    pub fn race(
        &mut self,
        config: &WorldConfig,
        promises: &[Promise],
        (first, most): (u64, u64),
        done: &(dyn Fn() + Sync),
    ) -> Result<(), RunError> {
        let looks = looks(first, most);
        let alpha = ALPHA / looks.len() as f64;
        for look in looks {
            self.extend_to(config, promises, (look, most), true, done)?;
            if self.is_lost(promises, most) || self.is_resolved(promises, alpha) {
                break;
            }
        }
        Ok(())
    }

    /// Whether one promise is broken for sure, or all are kept for sure, at an error level.
    fn is_resolved(&self, promises: &[Promise], alpha: f64) -> bool {
        let side = |(index, promise): (usize, &Promise)| -> Option<bool> {
            let values: Vec<f64> = self.values.iter().map(|values| values[index]).collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Some(promise.is_kept(self.mean(index)));
            }
            let [low, high] = estimate(&values, alpha)?.interval?;
            let ends = [promise.is_kept(low), promise.is_kept(high)];
            (ends[0] == ends[1]).then_some(ends[0])
        };
        let sides: Vec<Option<bool>> = promises.iter().enumerate().map(side).collect();
        sides.contains(&Some(false)) || sides.iter().all(|side| *side == Some(true))
    }

    /// Runs replications until there are `until`, or, with `curtail`, until `most` of them cannot keep a promise.
    pub(super) fn extend_to(
        &mut self,
        config: &WorldConfig,
        promises: &[Promise],
        (until, most): (u64, u64),
        curtail: bool,
        done: &(dyn Fn() + Sync),
    ) -> Result<(), RunError> {
        while (self.values.len() as u64) < until {
            if curtail && !self.values.is_empty() && self.is_lost(promises, most) {
                break;
            }
            let mut config = config.clone();
            config.seed = config.seed.replication(self.values.len() as u64);
            let results = world::run(&config, RunOptions::default())?;
            done();
            self.add(&config, promises, results);
        }
        Ok(())
    }

    fn add(&mut self, config: &WorldConfig, promises: &[Promise], results: RunResults) {
        self.values.push(judge::values(config, promises, &results));
        let micros = (results.summary.spend.total_usd * 1e6).round() as i64;
        self.spend.push(Usd::from_micros(micros));
        let worst = |of: fn(&StreamSummary) -> Option<f64>| {
            results.summary.streams.iter().map(of).try_fold(0.0, |worst: f64, p99| Some(worst.max(p99?)))
        };
        self.ttft_p99.push(worst(|stream| stream.latency.ttft_s.p99));
        self.e2e_p99.push(worst(|stream| stream.latency.e2e_s.p99));
        if self.values.len() == 1 {
            self.first = Some(Box::new(results.summary));
        }
    }

    /// The mean of a latency over the replications that have one; `None` when the first has none.
    pub fn latency(values: &[Option<f64>]) -> Option<f64> {
        let known: Option<Vec<f64>> = values.iter().copied().collect();
        let known = known.filter(|known| !known.is_empty())?;
        Some(known.iter().sum::<f64>() / known.len() as f64)
    }
}

/// After how many replications a race looks: `first`, doubled up to `most`.
pub fn looks(first: u64, most: u64) -> Vec<u64> {
    let doubled = std::iter::successors(Some(first.max(2)), |n| n.checked_mul(2));
    let mut looks: Vec<u64> = doubled.take_while(|n| *n < most).collect();
    looks.push(most.max(2));
    looks
}

/// What stands next to its limit, in words.
pub fn bottleneck(summary: &Summary) -> String {
    let mut nearest: Option<(f64, String)> = None;
    let mut consider = |ratio: Option<f64>, what: String| {
        if let Some(ratio) = ratio
            && nearest.as_ref().is_none_or(|(most, _)| ratio > *most)
        {
            nearest = Some((ratio, what));
        }
    };
    for stream in &summary.streams {
        let (latency, limits) = (&stream.latency, &stream.slo_limits);
        let ratio = |p99: Option<f64>, limit: Option<f64>| Some(p99? / limit?);
        consider(ratio(latency.ttft_s.p99, limits.ttft_s), format!("TTFT of `{}`", stream.name));
        consider(ratio(latency.tpot_s.p99, limits.tpot_s), format!("TPOT of `{}`", stream.name));
        consider(ratio(latency.e2e_s.p99, limits.e2e_s), format!("end-to-end time of `{}`", stream.name));
    }
    let short: Vec<&DeploymentSummary> = summary.deployments.iter().filter(|d| d.preemptions > 0).collect();
    let why = match (short.first(), summary.utilization.busy) {
        (Some(short), _) => format!("the KV cache of `{}` runs full", short.name),
        (None, Some(busy)) => format!("cards are busy {:.0} % of the time", 100.0 * busy),
        (None, None) => "no cards".to_owned(),
    };
    match nearest {
        Some((ratio, what)) => {
            format!("{what}: its 99th percentile is {:.0} % of the limit; {why}", 100.0 * ratio)
        }
        None => why,
    }
}
