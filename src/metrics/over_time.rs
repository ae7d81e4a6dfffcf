//! Streams and deployments over time, a value a bucket.

use super::requests::{Ending, RequestEnd, tpot};
use super::results::{Series, Subject, metric};
use super::sketch::Sketch;
use super::steps::Steps;
use crate::units::{Duration, Instant};

/// One stream over time: rates, and latency quantiles by completion time.
#[derive(Debug)]
pub struct StreamOverTime {
    width: u64,
    arrived: Vec<u64>,
    completed: Vec<u64>,
    rejected: Vec<u64>,
    timed_out: Vec<u64>,
    /// What the time of the completed requests of each bucket went to, in nanoseconds by cause.
    spent: Vec<[u128; 7]>,
    /// The bucket whose latencies are in the sketches.
    current: usize,
    ttft: Sketch,
    tpot: Sketch,
    e2e: Sketch,
    /// For each bucket that is past: p50 and p99 of TTFT, TPOT and E2E, in seconds.
    quantiles: Vec<[Option<f64>; 6]>,
}

impl StreamOverTime {
    /// Nothing recorded yet; buckets of `width`.
    pub fn new(width: Duration) -> Self {
        Self {
            width: width.as_nanos(),
            arrived: Vec::new(),
            completed: Vec::new(),
            rejected: Vec::new(),
            timed_out: Vec::new(),
            spent: Vec::new(),
            current: 0,
            ttft: Sketch::coarse(),
            tpot: Sketch::coarse(),
            e2e: Sketch::coarse(),
            quantiles: Vec::new(),
        }
    }

    /// A request arrives.
    pub fn arrived(&mut self, now: Instant) {
        count(&mut self.arrived, (now.as_nanos() / self.width) as usize);
    }

    /// A request ends.
    pub fn ended(&mut self, now: Instant, end: &RequestEnd) {
        let bucket = (now.as_nanos() / self.width) as usize;
        match end.ending {
            Ending::Completed { ttft, e2e, .. } => {
                count(&mut self.completed, bucket);
                if bucket >= self.spent.len() {
                    self.spent.resize(bucket + 1, [0; 7]);
                }
                let parts = self.spent[bucket].iter_mut().zip(end.spent.in_all);
                parts.for_each(|(sum, part)| *sum += u128::from(part.as_nanos()));
                if bucket != self.current {
                    self.close_bucket();
                    self.current = bucket;
                }
                self.ttft.record(ttft);
                self.e2e.record(e2e);
                if let Some(tpot) = tpot(ttft, e2e, end.output).filter(|_| !end.at_once) {
                    self.tpot.record(tpot);
                }
            }
            Ending::Rejected => count(&mut self.rejected, bucket),
            Ending::TimedOut => count(&mut self.timed_out, bucket),
            Ending::Failed | Ending::InFlight { .. } => {}
        }
    }

    /// How many requests arrived in the second half of the run.
    pub fn arrived_second_half(&self, end: Instant) -> u64 {
        let half = (end.as_nanos().div_ceil(self.width) / 2) as usize;
        self.arrived.iter().skip(half).sum()
    }

    fn close_bucket(&mut self) {
        self.quantiles.resize(self.current, [None; 6]);
        let mut row = [None; 6];
        for (place, sketch) in [&mut self.ttft, &mut self.tpot, &mut self.e2e].into_iter().enumerate() {
            row[2 * place] = sketch.quantile_s(0.5);
            row[2 * place + 1] = sketch.quantile_s(0.99);
            sketch.clear();
        }
        self.quantiles.push(row);
    }

    /// The series of stream `name`, up to `end`.
    pub fn finish(mut self, name: &str, end: Instant) -> Vec<Series> {
        self.close_bucket();
        let buckets = end.as_nanos().div_ceil(self.width);
        let seconds = |bucket: u64| {
            (((bucket + 1) * self.width).min(end.as_nanos()) - bucket * self.width) as f64 / 1e9
        };
        let series = |metric, values| Series { subject: Subject::Stream(name.to_owned()), metric, values };
        let rate = |counts: &[u64]| -> Vec<Option<f64>> {
            let of = |bucket: u64| counts.get(bucket as usize).copied().unwrap_or(0) as f64;
            (0..buckets).map(|bucket| Some(of(bucket) / seconds(bucket))).collect()
        };
        let mut all = vec![
            series(metric::OFFERED_RPS, rate(&self.arrived)),
            series(metric::COMPLETED_RPS, rate(&self.completed)),
            series(metric::REJECTED_RPS, rate(&self.rejected)),
            series(metric::TIMED_OUT_RPS, rate(&self.timed_out)),
        ];
        let names = [
            metric::TTFT_P50_S,
            metric::TTFT_P99_S,
            metric::TPOT_P50_S,
            metric::TPOT_P99_S,
            metric::E2E_P50_S,
            metric::E2E_P99_S,
        ];
        for (column, name) in names.into_iter().enumerate() {
            let value = |bucket: u64| self.quantiles.get(bucket as usize).and_then(|row| row[column]);
            all.push(series(name, (0..buckets).map(value).collect()));
        }
        // A request on average, so that the causes add up to the mean of E2E; a cause that never was is left out.
        for (cause, name) in metric::TIME_BY_CAUSE_S.into_iter().enumerate() {
            if self.spent.iter().any(|parts| parts[cause] > 0) {
                let mean = |bucket: u64| {
                    let requests = *self.completed.get(bucket as usize)?;
                    (requests > 0).then(|| self.spent[bucket as usize][cause] as f64 / 1e9 / requests as f64)
                };
                all.push(series(name, (0..buckets).map(mean).collect()));
            }
        }
        all
    }
}

fn count(counts: &mut Vec<u64>, bucket: usize) {
    if bucket >= counts.len() {
        counts.resize(bucket + 1, 0);
    }
    counts[bucket] += 1;
}

/// Replicas of a deployment by where they are in their lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplicaCounts {
    /// Waiting for cards.
    pub pending: u64,
    /// With cards, not ready yet.
    pub starting: u64,
    /// Taking requests.
    pub ready: u64,
    /// Taking no more requests.
    pub draining: u64,
}

impl ReplicaCounts {
    /// Those that hold cards, which somebody pays for.
    pub fn billed(&self) -> u64 {
        self.starting + self.ready + self.draining
    }
}

/// One deployment over time.
#[derive(Debug)]
pub struct DeploymentOverTime {
    queued: Steps,
    running: Steps,
    ready: Steps,
    desired: Steps,
    pending: Steps,
    starting: Steps,
    draining: Steps,
    billed: Steps,
    /// Whether its replicas ever changed.
    changed: bool,
}

impl DeploymentOverTime {
    /// Nothing recorded yet; buckets of `width`.
    pub fn new(width: Duration) -> Self {
        let steps = || Steps::new(width);
        Self {
            queued: steps(),
            running: steps(),
            ready: steps(),
            desired: steps(),
            pending: steps(),
            starting: steps(),
            draining: steps(),
            billed: steps(),
            changed: false,
        }
    }

    /// So many requests wait and run from now on.
    pub fn load(&mut self, now: Instant, queued: u64, running: u64) {
        self.queued.set(now, queued);
        self.running.set(now, running);
    }

    /// So many replicas are desired, and so many there are, from now on.
    pub fn replicas(&mut self, now: Instant, desired: u64, counts: &ReplicaCounts) {
        self.changed |= now > Instant::ZERO || counts.ready != desired;
        self.ready.set(now, counts.ready);
        self.desired.set(now, desired);
        self.pending.set(now, counts.pending);
        self.starting.set(now, counts.starting);
        self.draining.set(now, counts.draining);
        self.billed.set(now, counts.billed());
    }

    fn all(&mut self) -> [&mut Steps; 8] {
        [
            &mut self.queued,
            &mut self.running,
            &mut self.ready,
            &mut self.desired,
            &mut self.pending,
            &mut self.starting,
            &mut self.draining,
            &mut self.billed,
        ]
    }

    /// Brings everything up to the end of the run.
    pub fn settle(&mut self, end: Instant) {
        self.all().into_iter().for_each(|steps| steps.settle(end));
    }

    /// The mean queue of each bucket.
    pub fn queue(&self, end: Instant) -> Vec<f64> {
        self.queued.means(end).into_iter().flatten().collect()
    }

    /// Time-weighted means of (desired, ready, billed) replicas over the run, once settled at `end`.
    pub fn mean_replicas(&self, end: Instant) -> [f64; 3] {
        let length = end.as_nanos().max(1) as f64;
        [&self.desired, &self.ready, &self.billed].map(|steps| steps.integral() as f64 / length)
    }

    /// The series of deployment `name`, up to `end`.
    pub fn finish(&self, name: &str, end: Instant) -> Vec<Series> {
        let series =
            |metric, values| Series { subject: Subject::Deployment(name.to_owned()), metric, values };
        let mut all = vec![
            series(metric::QUEUED_REQUESTS, self.queued.means(end)),
            series(metric::QUEUED_REQUESTS_MAX, self.queued.highest(end)),
            series(metric::RUNNING_REQUESTS, self.running.means(end)),
            series(metric::READY_REPLICAS, self.ready.means(end)),
        ];
        if self.changed {
            all.extend([
                series(metric::DESIRED_REPLICAS, self.desired.means(end)),
                series(metric::PENDING_REPLICAS, self.pending.means(end)),
                series(metric::STARTING_REPLICAS, self.starting.means(end)),
                series(metric::DRAINING_REPLICAS, self.draining.means(end)),
                series(metric::BILLED_REPLICAS, self.billed.means(end)),
            ]);
        }
        all
    }
}
