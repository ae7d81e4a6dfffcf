//! A `ScaledJob`: how many jobs to start (`scale_jobs.go`).

use super::super::observation::Phase;
use super::super::{Decision, Measure, Observation, Pod, Scale, ceil_replicas};
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
    /// The annotation `autoscaling.keda.sh/paused`: no job is started.
    pub paused: bool,
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

    /// Queue length and jobs wanted over the active triggers that could be read (`scale_metrics.go`).
    ///
    /// Each trigger's jobs are capped by themselves; largest and smallest are told by the queue's length.
    fn wanted(&self, observation: &Observation) -> Option<(i64, i64)> {
        let mut seen: Vec<(i64, i64)> = Vec::new();
        for trigger in &self.config.triggers {
            let Some(metric) = observation.metric(&trigger.name) else { continue };
            let Some(queue) = metric.total() else { continue };
            if metric.active.unwrap_or(queue > trigger.activation) {
                let jobs = i64::from(ceil_replicas(queue / trigger.target)).min(self.config.max);
                seen.push((i64::from(ceil_replicas(queue)), jobs));
            }
        }
        let count = seen.len() as i64;
        let sum = |pick: fn(&(i64, i64)) -> i64| seen.iter().map(pick).sum::<i64>();
        let (queue, jobs) = match self.config.combine {
            // Of equals the first.
            Combine::Max => seen.iter().rev().max_by_key(|(queue, _)| *queue).copied()?,
            Combine::Min => seen.iter().min_by_key(|(queue, _)| *queue).copied()?,
            Combine::Avg if count == 0 => return None,
            Combine::Avg => ((sum(|s| s.0) + count - 1) / count, (sum(|s| s.1) + count - 1) / count),
            Combine::Sum if count == 0 => return None,
            Combine::Sum => (sum(|s| s.0), sum(|s| s.1)),
        };
        Some((queue, jobs.min(self.config.max)))
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
        // A job is pending while its pod neither runs nor has succeeded (`getPendingJobCount`).
        let waits = |pod: &&Pod| !matches!(pod.phase, Phase::Running | Phase::Succeeded);
        let seen = observation.pods.iter().flatten().filter(waits).count() as i64;
        let pending = count("pending").unwrap_or(seen);
        let wish = self.wanted(observation);
        let active = observation.flag("active").unwrap_or(wish.is_some());
        let (queue, wanted) = wish.unwrap_or((0, 0));
        let config = &self.config;
        if config.paused {
            return (Ok(Scale { raw: wanted, ..Scale::default() }), Reason("KEDA: paused"));
        }
        let (start, effective, reason) = if running < config.min {
            let missing = config.min - running;
            (missing, missing, Reason("KEDA: fewer jobs than minReplicaCount"))
        } else {
            let effective = config.strategy.effective(wanted, running - config.min, pending, config.max);
            let effective = effective.max(0);
            // Custom and eager may start as many as the maximum, the others as many as the queue has.
            let scale_to = match config.strategy {
                Strategy::Eager | Strategy::Custom { .. } => config.max,
                Strategy::Default | Strategy::Accurate => queue,
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
