//! The way of a metric to an autoscaler: scraped at intervals, seen after a lag, aggregated over a window.

use std::collections::VecDeque;

use crate::units::{Duration, Instant};

/// What can be measured of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Requests in batches and in queues.
    Concurrency,
    /// Requests in batches.
    Running,
    /// Requests in queues.
    QueueLength,
    /// Requests that come, a second.
    Rps,
    /// The share of the KV cache in use.
    KvUse,
    /// The share of time in which cards compute.
    CardBusy,
    /// Output tokens made, a second.
    TokensPerSecond,
    /// A percentile of the time to first token, in seconds.
    Ttft(u8),
    /// A percentile of the mean time per output token after the first, in seconds.
    Tpot(u8),
}

impl Signal {
    /// All, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 15] = [
        ("concurrency", Self::Concurrency),
        ("running", Self::Running),
        ("queue_length", Self::QueueLength),
        ("rps", Self::Rps),
        ("kv_use", Self::KvUse),
        ("card_busy", Self::CardBusy),
        ("tokens_per_s", Self::TokensPerSecond),
        ("ttft_p50", Self::Ttft(50)),
        ("ttft_p90", Self::Ttft(90)),
        ("ttft_p95", Self::Ttft(95)),
        ("ttft_p99", Self::Ttft(99)),
        ("tpot_p50", Self::Tpot(50)),
        ("tpot_p90", Self::Tpot(90)),
        ("tpot_p95", Self::Tpot(95)),
        ("tpot_p99", Self::Tpot(99)),
    ];

    /// Counted from the beginning, or collected: to be told over a window.
    pub const fn needs_window(self) -> bool {
        matches!(self, Self::Rps | Self::CardBusy | Self::TokensPerSecond | Self::Ttft(_) | Self::Tpot(_))
    }

    /// A latency.
    pub const fn is_latency(self) -> bool {
        matches!(self, Self::Ttft(_) | Self::Tpot(_))
    }
}

/// What one scrape saw of a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PodSample {
    /// Which; samples are in ascending order of it.
    pub replica: u32,
    /// Requests in its batch and in its queue.
    pub running: u32,
    /// Requests in its queue.
    pub queued: u32,
    /// The share of its KV cache in use.
    pub kv_use: f64,
    /// Requests sent to it, from the beginning.
    pub sent: u64,
    /// Output tokens, from the beginning.
    pub tokens: u64,
    /// Time computed, from the beginning.
    pub busy: Duration,
}

/// What one scrape saw of a deployment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Replicas that took requests.
    pub ready: u32,
    /// Requests in batches.
    pub running: u64,
    /// Requests in queues, those that no replica has included.
    pub queued: u64,
    /// Σ of the shares of KV caches in use.
    pub kv_use: f64,
    /// Requests that came, from the beginning.
    pub arrived: u64,
    /// Output tokens, from the beginning.
    pub tokens: u64,
    /// Replica-nanoseconds computed, from the beginning.
    pub busy: u128,
    /// Each replica, where somebody looks at them.
    pub pods: Vec<PodSample>,
    /// Times to first token since the last scrape.
    pub ttft: Vec<Duration>,
    /// Times per output token since the last scrape.
    pub tpot: Vec<Duration>,
}

/// The scrapes of a deployment that may still be asked for.
#[derive(Debug, Default)]
pub struct Pipeline {
    samples: VecDeque<Sample>,
    keep: Duration,
}

impl Pipeline {
    /// Keeps samples for so long.
    pub fn new(keep: Duration) -> Self {
        Self { samples: VecDeque::new(), keep }
    }

    /// A scrape.
    pub fn push(&mut self, sample: Sample) {
        let now = sample.at;
        self.samples.push_back(sample);
        // One older than needed stays, from which counters are told.
        while self.samples.get(1).is_some_and(|second| second.at + self.keep < now) {
            self.samples.pop_front();
        }
    }

    /// The samples of the window that ends at `seen`, and the last before it.
    fn window(&self, seen: Instant, window: Duration) -> (Option<&Sample>, impl Iterator<Item = &Sample>) {
        let seen_for = seen.since(Instant::ZERO);
        let end = self.samples.partition_point(|sample| sample.at <= seen);
        // A window holds what is younger than itself: (seen − window, seen]; a window of nothing the last sample.
        let old = |sample: &Sample| sample.at.since(Instant::ZERO) + window <= seen_for;
        let start = self.samples.partition_point(old).min(end.saturating_sub(1));
        let before = start.checked_sub(1).and_then(|before| self.samples.get(before));
        (before, self.samples.range(start..end))
    }

    /// The last sample that is visible at `seen`.
    pub fn last(&self, seen: Instant) -> Option<&Sample> {
        let end = self.samples.partition_point(|sample| sample.at <= seen);
        end.checked_sub(1).and_then(|last| self.samples.get(last))
    }

    /// The metric of the whole deployment over a window, as seen at `seen`: sums over replicas; means for shares.
    /// `None` when nothing was measured.
    pub fn total(&self, signal: Signal, seen: Instant, window: Duration) -> Option<f64> {
        let (before, mut samples) = self.window(seen, window);
        let mean = |value: &dyn Fn(&Sample) -> Option<f64>| {
            let (mut sum, mut count) = (0.0, 0u32);
            for value in self.window(seen, window).1.filter_map(value) {
                sum += value;
                count += 1;
            }
            (count > 0).then(|| sum / f64::from(count))
        };
        match signal {
            Signal::Concurrency => mean(&|sample| Some((sample.running + sample.queued) as f64)),
            Signal::Running => mean(&|sample| Some(sample.running as f64)),
            Signal::QueueLength => mean(&|sample| Some(sample.queued as f64)),
            Signal::KvUse => {
                mean(&|sample| (sample.ready > 0).then(|| sample.kv_use / f64::from(sample.ready)))
            }
            Signal::Rps | Signal::TokensPerSecond | Signal::CardBusy => {
                let first = match before {
                    Some(before) => before,
                    None => samples.next()?,
                };
                let (last, mut ready) = samples.fold((first, Vec::new()), |(_, mut ready), sample| {
                    ready.push(f64::from(sample.ready));
                    (sample, ready)
                });
                let seconds = last.at.since(first.at).as_secs_f64();
                if seconds <= 0.0 {
                    return None;
                }
                ready.push(f64::from(first.ready));
                Some(match signal {
                    Signal::Rps => (last.arrived - first.arrived) as f64 / seconds,
                    Signal::TokensPerSecond => (last.tokens - first.tokens) as f64 / seconds,
                    _ => {
                        let replicas = ready.iter().sum::<f64>() / ready.len() as f64;
                        let busy = (last.busy - first.busy) as f64 / 1e9 / seconds;
                        if replicas > 0.0 { (busy / replicas).min(1.0) } else { return None }
                    }
                })
            }
            Signal::Ttft(percent) => percentile(samples.flat_map(|sample| &sample.ttft), percent),
            Signal::Tpot(percent) => percentile(samples.flat_map(|sample| &sample.tpot), percent),
        }
    }

    /// The metric of each replica over a window: replicas that the last scrape saw, counters only from two
    /// samples on.
    pub fn pods(&self, signal: Signal, seen: Instant, window: Duration, out: &mut Vec<(u32, f64)>) {
        out.clear();
        let (before, samples) = self.window(seen, window);
        let samples: Vec<&Sample> = before.into_iter().chain(samples).collect();
        let Some(last) = samples.last() else { return };
        for pod in &last.pods {
            let gauge = match signal {
                Signal::Concurrency => Some(f64::from(pod.running) + f64::from(pod.queued)),
                Signal::Running => Some(f64::from(pod.running)),
                Signal::QueueLength => Some(f64::from(pod.queued)),
                Signal::KvUse => Some(pod.kv_use),
                _ => None,
            };
            let value = gauge.or_else(|| {
                let find = |sample: &&Sample| {
                    let place = sample.pods.binary_search_by_key(&pod.replica, |pod| pod.replica).ok()?;
                    Some((sample.at, sample.pods[place]))
                };
                let (at, first) = samples.iter().find_map(find)?;
                let seconds = last.at.since(at).as_secs_f64();
                let change = match signal {
                    Signal::Rps => (pod.sent - first.sent) as f64,
                    Signal::TokensPerSecond => (pod.tokens - first.tokens) as f64,
                    Signal::CardBusy => pod.busy.saturating_sub(first.busy).as_secs_f64(),
                    _ => return None,
                };
                (seconds > 0.0).then(|| change / seconds)
            });
            out.extend(value.map(|value| (pod.replica, value)));
        }
    }
}

/// The nearest-rank percentile, in seconds.
fn percentile<'a>(values: impl Iterator<Item = &'a Duration>, percent: u8) -> Option<f64> {
    let mut values: Vec<Duration> = values.copied().collect();
    let rank = (values.len() * usize::from(percent)).div_ceil(100).max(1);
    if values.is_empty() {
        return None;
    }
    let (_, value, _) = values.select_nth_unstable(rank - 1);
    Some(value.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn sample(seconds: u64, queued: u64, arrived: u64) -> Sample {
        let pods = vec![PodSample {
            replica: 3,
            running: 1,
            queued: queued as u32,
            kv_use: 0.5,
            sent: arrived,
            tokens: 10 * arrived,
            busy: Duration::from_secs(seconds / 2),
        }];
        let ttft = vec![Duration::from_secs(queued)];
        Sample {
            at: at(seconds),
            ready: 1,
            running: 1,
            queued,
            kv_use: 0.5,
            arrived,
            tokens: 10 * arrived,
            busy: u128::from(Duration::from_secs(seconds / 2).as_nanos()),
            pods,
            ttft,
            tpot: Vec::new(),
        }
    }

    #[test]
    fn windows_lags_and_counters() {
        let second = Duration::from_secs;
        let mut pipeline = Pipeline::new(second(60));
        for (seconds, queued, arrived) in [(0, 0, 0), (10, 4, 20), (20, 8, 60), (30, 12, 120)] {
            pipeline.push(sample(seconds, queued, arrived));
        }
        let total = |signal, seen, window| pipeline.total(signal, at(seen), second(window));
        // The last sample; a lag hides it.
        assert_eq!(total(Signal::QueueLength, 30, 0), Some(12.0));
        assert_eq!(total(Signal::QueueLength, 29, 0), Some(8.0));
        // A mean over (10, 30].
        assert_eq!(total(Signal::QueueLength, 30, 20), Some(10.0));
        assert_eq!(total(Signal::Concurrency, 30, 20), Some(11.0));
        // Counters over the window, from the sample before it.
        assert_eq!(total(Signal::Rps, 30, 20), Some(5.0));
        assert_eq!(total(Signal::Rps, 30, 60), Some(4.0));
        assert_eq!(total(Signal::TokensPerSecond, 30, 10), Some(60.0));
        assert_eq!(total(Signal::CardBusy, 20, 20), Some(0.5));
        assert_eq!(total(Signal::Rps, 0, 60), None);
        assert_eq!(total(Signal::Ttft(50), 30, 60), Some(4.0));
        assert_eq!(total(Signal::Ttft(99), 30, 60), Some(12.0));
        assert_eq!(total(Signal::Tpot(99), 30, 60), None);
        let mut pods = Vec::new();
        pipeline.pods(Signal::Rps, at(30), second(20), &mut pods);
        assert_eq!(pods, [(3, 5.0)]);
        pipeline.pods(Signal::KvUse, at(30), second(0), &mut pods);
        assert_eq!(pods, [(3, 0.5)]);
    }
}
