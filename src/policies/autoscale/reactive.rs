//! Two plain feedback laws: replicas by queue length, and by how far latencies are from their limits.
//!
//! They are this program's own, as many a team writes them; no project's law is claimed.
//!
//! | rule | test |
//! |---|---|
//! | queue: ceil(queue ÷ target) above the replicas that run, one less after a calm delay | `queue_length` |
//! | latency: replicas × worst ratio of latency to limit, twice a step at most; one less after a delay | `latencies` |
//! | bounds | `queue_length` |

use super::{CannotScale, Decision, Observation, Scale, ceil_replicas};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// What a feedback law holds down.
#[derive(Debug, Clone, PartialEq)]
pub enum Hold {
    /// The metric `queue_length`: at most so many waiting requests a replica.
    Queue {
        /// Requests a replica; above zero.
        target: f64,
    },
    /// Latencies by metric name, with their limits in seconds, above zero.
    Latency {
        /// Metrics and limits.
        limits: Vec<(String, f64)>,
        /// Below this share of every limit replicas are taken away, 0 to 1.
        calm: f64,
    },
}

/// A feedback law's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct ReactiveConfig {
    /// What it holds down.
    pub hold: Hold,
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// How long a wish for more has to hold.
    pub up_delay: Duration,
    /// How long a wish for less has to hold; then one goes, and the wait begins anew.
    pub down_delay: Duration,
}

/// A feedback law with what it remembers.
#[derive(Debug, Clone)]
pub struct Reactive {
    config: ReactiveConfig,
    /// The direction of the wish, and since when it holds.
    wish: Option<(bool, Instant)>,
}

impl Reactive {
    /// A law that has just started.
    pub const fn new(config: ReactiveConfig) -> Self {
        Self { config, wish: None }
    }

    /// The metrics that it reads.
    pub fn metrics(&self) -> Vec<String> {
        match &self.config.hold {
            Hold::Queue { .. } => vec!["queue_length".to_owned()],
            Hold::Latency { limits, .. } => limits.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// What is wished for from so many replicas, and why.
    fn wished(&self, current: u32, observation: &Observation) -> Result<(u32, &'static str), CannotScale> {
        match &self.config.hold {
            Hold::Queue { target } => {
                let queue = observation.value(&["queue_length"]);
                let queue = queue.ok_or_else(|| CannotScale::new("no queue_length reported"))?;
                let more = ceil_replicas(queue / target);
                let ready = observation.ready_replicas();
                if queue <= 0.0 {
                    Ok((current.saturating_sub(1), "nobody waits"))
                } else if queue > target * f64::from(ready) {
                    Ok((current.max(ready.saturating_add(more)), "the queue is above its target"))
                } else {
                    Ok((current, "the queue is within its target"))
                }
            }
            Hold::Latency { limits, calm } => {
                let ratios =
                    limits.iter().filter_map(|(name, limit)| Some(observation.value(&[name])? / limit));
                let worst = ratios.reduce(f64::max);
                let worst =
                    worst.ok_or_else(|| CannotScale::new("no latencies: nothing completed in the window"))?;
                if worst > 1.0 {
                    let base = f64::from(current.max(1));
                    Ok((ceil_replicas(base * worst.min(2.0)), "a latency is above its limit"))
                } else if worst < *calm {
                    Ok((current.saturating_sub(1), "latencies are far below their limits"))
                } else {
                    Ok((current, "latencies are within their limits"))
                }
            }
        }
    }
}

impl Policy for Reactive {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let current = observation.replicas;
        let (raw, reason) = match self.wished(current, observation) {
            Ok(wished) => wished,
            Err(error) => return (Err(error), Reason("no metrics")),
        };
        let config = &self.config;
        let mut scale = Scale::wish(raw);
        scale.limit(raw.clamp(config.min, config.max.max(config.min)), "bounds");
        if scale.desired == current {
            self.wish = None;
            return (Ok(scale), Reason(reason));
        }
        let up = scale.desired > current;
        let since = match self.wish {
            Some((direction, since)) if direction == up => since,
            _ => now,
        };
        let (delay, name) =
            if up { (config.up_delay, "up_delay") } else { (config.down_delay, "down_delay") };
        if now.since(since) < delay {
            self.wish = Some((up, since));
            scale.limit(current, name);
        } else {
            self.wish = None;
        }
        (Ok(scale), Reason(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn config(hold: Hold) -> Reactive {
        let (up_delay, down_delay) = (Duration::ZERO, Duration::from_secs(60));
        Reactive::new(ReactiveConfig { hold, min: 1, max: 10, up_delay, down_delay })
    }

    #[test]
    fn queue_length() {
        let mut law = config(Hold::Queue { target: 5.0 });
        let mut decide = |seconds, replicas, queue| {
            law.decide(at(seconds), &Observation::of(replicas).with("queue_length", queue)).0.unwrap().desired
        };
        // 21 waiting on 2: ceil(21 / 5) = 5 more. 10 on 2 is within. Bounded by 10.
        assert_eq!([decide(0, 2, 21.0), decide(15, 2, 10.0), decide(30, 8, 400.0)], [7, 2, 10]);
        // One less after 60 s of calm, and again after 60 more; never below 1.
        assert_eq!([decide(40, 3, 0.0), decide(99, 3, 0.0), decide(100, 3, 0.0)], [3, 3, 2]);
        assert_eq!([decide(115, 2, 0.0), decide(175, 2, 0.0), decide(300, 1, 0.0)], [2, 1, 1]);
        assert!(law.decide(at(400), &Observation::of(1)).0.is_err());
    }

    #[test]
    fn latencies() {
        let limits = vec![("ttft_p95".to_owned(), 1.0), ("tpot_p95".to_owned(), 0.05)];
        let mut law = config(Hold::Latency { limits, calm: 0.5 });
        let mut decide = |seconds, replicas, ttft, tpot| {
            let seen = Observation::of(replicas).with("ttft_p95", ttft).with("tpot_p95", tpot);
            law.decide(at(seconds), &seen).0.unwrap().desired
        };
        // The worst counts: 0.075 / 0.05 = 1.5; at most twice as many.
        assert_eq!([decide(0, 4, 0.9, 0.075), decide(15, 4, 9.0, 0.01), decide(30, 4, 0.9, 0.01)], [6, 8, 4]);
        assert_eq!([decide(45, 4, 0.4, 0.02), decide(105, 4, 0.4, 0.02)], [4, 3]);
    }
}
