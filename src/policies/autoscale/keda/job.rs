//! A `ScaledJob`: how many jobs to start (`scale_jobs.go`).

use super::super::{Decision, Measure, Observation, Scale, ceil_replicas};
use super::Trigger;
use crate::policies::{Policy, Reason};
use crate::units::Instant;

/// What a ScaledJob says.
#[derive(Debug, Clone, PartialEq)]
pub struct JobConfig {
    /// `minReplicaCount` (0): jobs always running.
    pub min: i64,
    /// `maxReplicaCount` (100).
    pub max: i64,
    /// `scalingStrategy`.
    pub strategy: Strategy,
    /// `multipleScalersCalculation` (max).
    pub combine: Combine,
    /// `triggers`.
    pub triggers: Vec<Trigger>,
}

/// How running and pending jobs count.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Strategy {
    /// What is wanted less what runs.
    #[default]
    Default,
    /// For queues from which a job takes its message when it ends.
    Accurate,
    /// As many as fit.
    Eager,
    /// A deduction and a share of the running jobs.
    Custom {
        /// `customScalingQueueLengthDeduction`.
        deduction: i64,
        /// `customScalingRunningJobPercentage`, as a factor.
        share: f64,
    },
}

/// How several triggers count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// The largest.
    #[default]
    Max,
    /// The smallest.
    Min,
    /// The mean.
    Avg,
    /// All added.
    Sum,
}

impl Strategy {
    /// The most jobs to start, given what is wanted and what there is (already without the minimum).
    pub fn effective(self, wanted: i64, running: i64, pending: i64, max: i64) -> i64 {
        match self {
            Self::Default => wanted - running,
            Self::Accurate if wanted + running - pending > max => max - running,
            Self::Accurate => wanted - pending,
            Self::Eager => (max - running - pending).min(wanted),
            Self::Custom { deduction, share } => {
                (wanted - deduction - (running as f64 * share) as i64).min(max)
            }
        }
    }
}

/// The operator for a ScaledJob; it remembers nothing.
#[derive(Debug, Clone)]
pub struct KedaJob {
    config: JobConfig,
}

impl KedaJob {
    /// An operator.
    pub const fn new(config: JobConfig) -> Self {
        Self { config }
    }

    /// Queue length and jobs wanted over all triggers that could be read, and whether one is active.
    fn wanted(&self, observation: &Observation) -> (f64, f64, bool) {
        let mut seen: Vec<(f64, f64)> = Vec::new();
        let mut active = false;
        for trigger in &self.config.triggers {
            let Some(metric) = observation.metric(&trigger.name) else { continue };
            let Some(queue) = metric.total() else { continue };
            let on = metric.active.unwrap_or(queue > trigger.activation);
            active |= on;
            if on {
                seen.push((queue, queue / trigger.target));
            }
        }
        let count = seen.len().max(1) as f64;
        let fold = |pick: fn(&(f64, f64)) -> f64| {
            let values = seen.iter().map(pick);
            match self.config.combine {
                Combine::Max => values.fold(0.0, f64::max),
                Combine::Min => values.reduce(f64::min).unwrap_or(0.0),
                Combine::Avg => values.sum::<f64>() / count,
                Combine::Sum => values.sum(),
            }
        };
        (fold(|seen| seen.0), fold(|seen| seen.1), active)
    }
}

impl Policy for KedaJob {
    type Observation<'a> = Observation;
    /// `desired` is the number of jobs to start now.
    type Decision = Decision;

    fn decide(&mut self, _now: Instant, observation: &Observation) -> (Decision, Reason) {
        let count = |name: &str| {
            let metric = observation.metric(name).and_then(Measure::total);
            observation.number(name).or(metric).map(|value| value as i64)
        };
        let running = count("running").unwrap_or(i64::from(observation.replicas));
        let pending = count("pending").unwrap_or(0);
        let (queue, jobs, active) = self.wanted(observation);
        let active = observation.flag("active").unwrap_or(active);
        let config = &self.config;
        let wanted = i64::from(ceil_replicas(jobs)).min(config.max);
        let (start, effective, reason) = if running < config.min {
            let missing = config.min - running;
            (missing, missing, Reason("KEDA: fewer jobs than minReplicaCount"))
        } else {
            let effective = config.strategy.effective(wanted, running - config.min, pending, config.max);
            let effective = effective.max(0);
            // Custom and eager may start as many as the maximum, the others as many as the queue has.
            let scale_to = match config.strategy {
                Strategy::Eager | Strategy::Custom { .. } => config.max,
                Strategy::Default | Strategy::Accurate => i64::from(ceil_replicas(queue)),
            };
            let start = if active { scale_to.min(effective) } else { 0 };
            (
                start,
                effective,
                Reason(if active { "KEDA: a trigger is active" } else { "KEDA: no trigger is active" }),
            )
        };
        let mut scale = Scale::wish(wanted as u32);
        scale.limit(start.max(0) as u32, "scalingStrategy");
        scale.figures.push(("effective_max_scale", effective as f64));
        scale.figures.push(("running", running as f64));
        scale.figures.push(("pending", pending as f64));
        (Ok(scale), reason)
    }
}
