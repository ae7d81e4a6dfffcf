//! The Kubernetes Horizontal Pod Autoscaler, `autoscaling/v2`.
//!
//! Source of every rule: `pkg/controller/podautoscaler` of kubernetes/kubernetes (`horizontal.go`,
//! `replica_calculator.go`, `metrics/utilization.go`) as of v1.33, and `pkg/apis/autoscaling/v2/defaults.go`.
//! The rules, and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | ratio outside the tolerance moves replicas to ceil(ratio · pods) | `calculator` |
//! | tolerance per direction | `tolerance_per_direction` |
//! | missing, unready, pending, failed and deleted pods | `calculator`, `readiness` |
//! | largest proposal of several metrics; an unread one blocks scaling down | `several_metrics` |
//! | stabilisation windows, both directions | `stabilisation` |
//! | rate policies, Max, Min, Disabled | `rates` |
//! | bounds, scale-up limit without behavior, scaling off at zero | `bounds` |

mod behavior;
mod calculator;
mod read;

#[cfg(test)]
mod tests;

pub use behavior::{Behavior, Rules, Select, Step, StepKind};
pub use read::read;
pub(crate) use read::{read_behavior, read_flags};

use std::collections::BTreeSet;

use super::{CannotScale, Decision, Observation, Scale};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// What a HorizontalPodAutoscaler says, and the controller's flags.
#[derive(Debug, Clone, PartialEq)]
pub struct HpaConfig {
    /// `minReplicas` (1).
    pub min: u32,
    /// `maxReplicas`.
    pub max: u32,
    /// `metrics` (cpu at 80 % utilization).
    pub metrics: Vec<Metric>,
    /// `behavior`; without one the older limits hold.
    pub behavior: Option<Behavior>,
    /// The controller's flags.
    pub flags: Flags,
}

/// The kube-controller-manager's flags that bear on the decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flags {
    /// `--horizontal-pod-autoscaler-sync-period` (15 s).
    pub sync_period: Duration,
    /// `--horizontal-pod-autoscaler-tolerance` (0.1).
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization` (5 min).
    pub downscale_stabilization: Duration,
    /// `--horizontal-pod-autoscaler-cpu-initialization-period` (5 min).
    pub cpu_initialization: Duration,
    /// `--horizontal-pod-autoscaler-initial-readiness-delay` (30 s).
    pub initial_readiness: Duration,
    /// The feature gate `HPAScaleToZero` (off).
    pub scale_to_zero: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            sync_period: Duration::from_secs(15),
            tolerance: 0.1,
            downscale_stabilization: Duration::from_secs(300),
            cpu_initialization: Duration::from_secs(300),
            initial_readiness: Duration::from_secs(30),
            scale_to_zero: false,
        }
    }
}

/// One metric and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Where it is measured.
    pub source: Source,
    /// What it is held at.
    pub target: Target,
}

/// Where a metric is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `Resource`: cpu or memory of the pods.
    Resource(String),
    /// `ContainerResource`: of one container of the pods.
    Container {
        /// The resource.
        resource: String,
        /// The container.
        container: String,
    },
    /// `Pods`: a custom metric of the pods.
    Pods(String),
    /// `Object`: a metric of another object.
    Object(String),
    /// `External`: a metric from outside.
    External(String),
}

impl Source {
    /// The name under which an observation has the metric.
    pub fn name(&self) -> &str {
        match self {
            Self::Resource(name) | Self::Pods(name) | Self::Object(name) | Self::External(name) => name,
            Self::Container { resource, .. } => resource,
        }
    }

    /// Measured on the deployment as a whole rather than on pods.
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Object(_) | Self::External(_))
    }
}

/// A metric's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Percent of what the pods request.
    Utilization(u32),
    /// Mean over the pods, in thousandths.
    AverageValue(i64),
    /// The value itself, in thousandths.
    Value(i64),
}

/// The autoscaler with what it remembers.
#[derive(Debug, Clone)]
pub struct Hpa {
    config: HpaConfig,
    started: bool,
    recommendations: Vec<(Instant, u32)>,
    ups: Vec<(Instant, i64)>,
    downs: Vec<(Instant, i64)>,
    scaled_to_zero: bool,
}

impl Hpa {
    /// A controller that has just started.
    pub fn new(config: HpaConfig) -> Self {
        Self {
            config,
            started: false,
            recommendations: Vec::new(),
            ups: Vec::new(),
            downs: Vec::new(),
            scaled_to_zero: false,
        }
    }

    /// What it was made from.
    pub const fn config(&self) -> &HpaConfig {
        &self.config
    }

    /// Takes over what happened before, and records the current replicas as the first recommendation.
    fn start(&mut self, now: Instant, observation: &Observation) {
        let history = &observation.history;
        self.recommendations.extend(&history.recommendations);
        for &(at, change) in &history.events {
            if change >= 0 { self.ups.push((at, change)) } else { self.downs.push((at, -change)) }
        }
        self.scaled_to_zero = observation.flag("scaled_to_zero").unwrap_or(false);
        // A history that is known to be empty has no first recommendation either.
        if !self.started && self.recommendations.is_empty() && !history.known {
            self.recommendations.push((now, observation.replicas));
        }
        self.started = true;
    }

    /// The largest proposal of all metrics, and whose it is.
    ///
    /// A metric that cannot be read blocks scaling down only, unless none can be read.
    fn propose(
        &self,
        now: Instant,
        observation: &Observation,
        limits: &mut Vec<String>,
    ) -> Result<(u32, String), CannotScale> {
        let mut best: Option<(u32, String)> = None;
        let mut failed: Option<CannotScale> = None;
        let mut failures = 0;
        for metric in &self.config.metrics {
            match calculator::replicas(&self.config, metric, now, observation) {
                Ok((replicas, name)) => {
                    if best.as_ref().is_none_or(|(most, _)| replicas > *most) {
                        best = Some((replicas, name));
                    }
                }
                Err(error) => {
                    failures += 1;
                    failed.get_or_insert(error);
                }
            }
        }
        match (best, failed) {
            (Some(best), None) => Ok(best),
            (Some((replicas, _)), Some(error)) if replicas < observation.replicas => {
                Err(CannotScale(format!(
                    "invalid metrics ({failures} invalid out of {}), first error is: {error}",
                    self.config.metrics.len()
                )))
            }
            (Some(best), Some(error)) => {
                limits.push(format!("MetricUnreadable: {error}"));
                Ok(best)
            }
            (None, error) => {
                let error = error.unwrap_or_else(|| CannotScale::new("no metrics"));
                Err(CannotScale(format!(
                    "invalid metrics ({failures} invalid out of {}), first error is: {error}",
                    self.config.metrics.len()
                )))
            }
        }
    }

    /// What the metrics ask for, clamped.
    fn by_metrics(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let current = observation.replicas;
        let mut limits = Vec::new();
        let (raw, name) = match self.propose(now, observation, &mut limits) {
            Ok(proposal) => proposal,
            Err(error) => return (Err(error), Reason("FailedComputeMetricsReplicas")),
        };
        let mut scale = Scale { limits, ..Scale::wish(raw) };
        scale.notes.push(("metric", name));
        if self.config.behavior.is_some() {
            self.normalize_with_behavior(now, current, &mut scale);
        } else {
            self.normalize(now, current, &mut scale);
        }
        if current == 0 && scale.desired < self.config.min {
            scale.limit(self.config.min, "TooFewReplicas");
        }
        let reason = match raw.cmp(&current) {
            std::cmp::Ordering::Greater => "metric above target",
            std::cmp::Ordering::Less => "All metrics below target",
            std::cmp::Ordering::Equal => "recommended size matches current size",
        };
        (Ok(scale), Reason(reason))
    }

    /// Remembers a change of the replicas for the rate policies.
    fn store(&mut self, now: Instant, current: u32, desired: u32) {
        let Some(behavior) = &self.config.behavior else { return };
        let change = i64::from(desired) - i64::from(current);
        let (events, rules) = match change {
            0 => return,
            1.. => (&mut self.ups, &behavior.up),
            _ => (&mut self.downs, &behavior.down),
        };
        let longest = rules.steps.iter().map(|step| step.period).max().unwrap_or(Duration::ZERO);
        events.retain(|(at, _)| now.since(*at) <= longest);
        events.push((now, change.abs()));
    }
}

impl Policy for Hpa {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        if !self.started || observation.history != super::History::default() {
            self.start(now, observation);
        }
        let current = observation.replicas;
        let (min, max) = (self.config.min, self.config.max);
        let (decision, reason) = if current == 0 && !self.may_leave_zero() {
            (Ok(Scale::wish(0)), Reason("ScalingDisabled: the replica count of the target is zero"))
        } else if current > max {
            let mut scale = Scale::wish(current);
            scale.limit(max, "TooManyReplicas");
            (Ok(scale), Reason("Current number of replicas above Spec.MaxReplicas"))
        } else if current < min && current != 0 {
            let mut scale = Scale::wish(current);
            scale.limit(min, "TooFewReplicas");
            (Ok(scale), Reason("Current number of replicas below Spec.MinReplicas"))
        } else {
            self.by_metrics(now, observation)
        };
        if let Ok(scale) = &decision
            && scale.desired != current
        {
            self.store(now, current, scale.desired);
            self.scaled_to_zero = scale.desired == 0;
        }
        (decision, reason)
    }
}

impl Hpa {
    /// Whether a target at zero replicas is scaled at all: with `HPAScaleToZero` and `minReplicas: 0`, or
    /// when this controller itself had scaled it to zero.
    fn may_leave_zero(&self) -> bool {
        let whole = self.config.metrics.iter().any(|metric| metric.source.is_whole());
        self.config.flags.scale_to_zero && whole && (self.config.min == 0 || self.scaled_to_zero)
    }

    /// The names of the metrics that an observation should have.
    pub fn metric_names(&self) -> BTreeSet<&str> {
        self.config.metrics.iter().map(|metric| metric.source.name()).collect()
    }
}
