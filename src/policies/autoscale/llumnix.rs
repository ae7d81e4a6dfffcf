//! Llumnix's instance scaling.
//!
//! Source: `llumnix/global_scheduler/scaling_scheduler.py` and `load_computation.py` of
//! AlibabaPAI/llumnix 24220fb: every 10 s the mean of the instances' negated remaining steps is compared
//! with two thresholds. Rules and test: `thresholds`. Not built: the migration between instances (a
//! replica's matter, not the autoscaler's) and other scaling metrics. Approximate: upstream works out the load
//! without one instance from its blocks; here it is mean · (n − 1) / n.

use super::{CannotScale, Decision, Observation, Scale};
use crate::policies::spec::{Fields, Node, Problems};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// Llumnix's own options.
#[derive(Debug, Clone, PartialEq)]
pub struct LlumnixConfig {
    /// `enable_scaling` (false).
    pub enabled: bool,
    /// `min_instances` (1).
    pub min: u32,
    /// `max_instances` (1).
    pub max: u32,
    /// `scaling_interval` (10 s).
    pub interval: Duration,
    /// `scale_up_threshold` (-10).
    pub up: f64,
    /// `scale_down_threshold` (-60).
    pub down: f64,
}

/// Reads `policy: llumnix` with Llumnix's option names.
pub fn read(document: &Node, problems: &Problems) -> Option<LlumnixConfig> {
    let mut fields = Fields::new(document, problems);
    fields.ignore(&["policy"]);
    let enabled = fields.truth("enable_scaling").unwrap_or(false);
    let mut count = |name, default: i64| {
        let value = fields.int(name).unwrap_or(default);
        if value < 1 {
            fields.problem(name, format!("{name} has to be at least 1, not {value}"));
        }
        u32::try_from(value).unwrap_or(1)
    };
    let min = count("min_instances", 1);
    let max = count("max_instances", i64::from(min));
    if min > max {
        fields.problem("max_instances", format!("max_instances ({max}) is below min_instances ({min})"));
    }
    let interval = fields.seconds("scaling_interval").unwrap_or(Duration::from_secs(10));
    if interval.is_zero() {
        fields.problem("scaling_interval", "the interval has to be greater than 0");
    }
    let metrics = [("remaining_steps", ())];
    fields.choice("scaling_load_metric", &metrics);
    fields.choice("scaling_policy", &[("avg_load", ())]);
    let up = fields.number("scale_up_threshold").unwrap_or(-10.0);
    let down = fields.number("scale_down_threshold").unwrap_or(-60.0);
    if down >= up {
        let said = format!("scale_down_threshold ({down}) has to be below scale_up_threshold ({up})");
        fields.problem("scale_down_threshold", said);
    }
    fields.finish("Llumnix: unrecognized argument");
    Some(LlumnixConfig { enabled, min, max, interval, up, down })
}

/// The autoscaler with what it remembers.
#[derive(Debug, Clone)]
pub struct Llumnix {
    config: LlumnixConfig,
    last: Option<Instant>,
}

impl Llumnix {
    /// An autoscaler that has just started.
    pub const fn new(config: LlumnixConfig) -> Self {
        Self { config, last: None }
    }
}

impl Policy for Llumnix {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let config = &self.config;
        let current = observation.replicas;
        let mut scale = Scale::wish(current);
        if !config.enabled {
            return (Ok(scale), Reason("enable_scaling is off"));
        }
        if self.last.is_some_and(|last| now.since(last) < config.interval) {
            return (Ok(scale), Reason("not its interval yet"));
        }
        let pods = observation.pods.iter().flatten().filter(|pod| pod.serves());
        let steps = pods.filter_map(|pod| pod.metrics.get("remaining_steps")).map(|metric| -metric.value);
        let loads: Vec<f64> = steps.collect();
        let count = loads.len() as f64;
        let total: f64 = match observation.value(&["remaining_steps"]) {
            Some(mean) if loads.is_empty() => -mean * f64::from(observation.ready_replicas()),
            _ if loads.is_empty() => {
                return (Err(CannotScale::new("no remaining_steps reported")), Reason("no metrics"));
            }
            _ => loads.iter().sum(),
        };
        let count = if loads.is_empty() { f64::from(observation.ready_replicas()) } else { count };
        self.last = Some(now);
        let mean = total / count.max(1.0);
        // Its blocks would be gone, its requests not; an instance that may go is nearly all free.
        let without = mean * (count - 1.0) / count.max(1.0);
        scale.figures.push(("avg_load", mean));
        let reason = if mean > config.up {
            scale = Scale { figures: scale.figures, ..Scale::wish(current + 1) };
            "mean load above scale_up_threshold"
        } else if count > 1.0 && without < config.down {
            scale = Scale { figures: scale.figures, ..Scale::wish(current - 1) };
            "mean load with one instance less below scale_down_threshold"
        } else {
            "mean load between the thresholds"
        };
        scale.limit(scale.desired.clamp(config.min, config.max), "min_instances, max_instances");
        (Ok(scale), Reason(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let config = LlumnixConfig {
            enabled: true,
            min: 1,
            max: 4,
            interval: Duration::from_secs(10),
            up: -10.0,
            down: -60.0,
        };
        let mut law = Llumnix::new(config);
        let mut at = |seconds: u64, replicas: u32, steps: f64| {
            let now = Instant::ZERO + Duration::from_secs(seconds);
            law.decide(now, &Observation::of(replicas).with("remaining_steps", steps)).0.unwrap().desired
        };
        // 9 steps left: up; 10: not; not before the interval; bounded.
        assert_eq!([at(0, 2, 9.0), at(9, 2, 9.0), at(10, 2, 10.0), at(20, 4, 1.0)], [3, 2, 2, 4]);
        // Three with 90 left each: 60 with one less, not below; 91 make 60.67. The last one stays.
        assert_eq!([at(30, 3, 90.0), at(40, 3, 91.0), at(50, 1, 500.0)], [3, 2, 1]);
        let off = LlumnixConfig { enabled: false, ..law.config.clone() };
        let (decision, _) = Llumnix::new(off).decide(Instant::ZERO, &Observation::of(2));
        assert_eq!(decision.unwrap().desired, 2);
    }
}
