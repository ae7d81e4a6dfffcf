//! KEDA: a `ScaledObject` between zero and one, with a Kubernetes HPA above it, and a `ScaledJob`.
//!
//! Source: `pkg/scaling/executor`, `pkg/fallback`, `pkg/scaling/scalers_builder` of kedacore/keda 8b4f083.
//! Each observation is both a poll of KEDA and a sync of the HPA. Rules and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | 0 to 1 (or the minimum) when active; to 0 after the cooldown | `zero_and_one` |
//! | idle replicas, minimum, initial cooldown | `idle_and_minimum` |
//! | the HPA in between | `the_hpa_between` |
//! | fallback behaviours | `fallbacks` |
//! | strategies of a ScaledJob | `jobs` |
//! | one composed metric by `scalingModifiers` | `modifiers` |
//! | pausing annotations | `pausing` |
//!
//! A cron trigger takes its state from the observation like every other.

mod formula;
mod job;
mod read;

#[cfg(test)]
mod tests;

pub use formula::Formula;
pub use job::{JobConfig, KedaJob, Strategy};
pub use read::{read, read_job};

use std::collections::BTreeMap;

use super::hpa::Hpa;
use super::{CannotScale, Decision, Measure, Observation, Scale};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// What a ScaledObject says.
#[derive(Debug, Clone, PartialEq)]
pub struct KedaConfig {
    /// `cooldownPeriod` (300 s).
    pub cooldown: Duration,
    /// `initialCooldownPeriod` (0 s).
    pub initial_cooldown: Duration,
    /// `idleReplicaCount`.
    pub idle: Option<u32>,
    /// `minReplicaCount` (0).
    pub min: u32,
    /// `maxReplicaCount` (100).
    pub max: u32,
    /// `fallback`.
    pub fallback: Option<Fallback>,
    /// `triggers`.
    pub triggers: Vec<Trigger>,
    /// `advanced.scalingModifiers`: one metric made of all.
    pub modifiers: Option<Modifiers>,
    /// The annotations that pause it.
    pub paused: Paused,
    /// The HPA that KEDA makes of it.
    pub hpa: super::hpa::HpaConfig,
}

/// One metric composed of the triggers' values; the HPA sees nothing else of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Modifiers {
    /// `formula`.
    pub formula: Formula,
    /// `activationTarget` (0): active above it.
    pub activation: f64,
}

/// The name of the composed metric (`s1-composite-metric` or the like upstream).
pub(super) const COMPOSED: &str = "composite-metric";

/// What annotations pause (`autoscaling.keda.sh/`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paused {
    /// `paused-replicas`: these and no others.
    pub replicas: Option<u32>,
    /// `paused`: as it is.
    pub all: bool,
    /// `paused-scale-in`: never less.
    pub scale_in: bool,
    /// `paused-scale-out`: never more.
    pub scale_out: bool,
}

/// What is assumed when triggers cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// `failureThreshold`: more failures in a row than this.
    pub threshold: u32,
    /// `replicas`.
    pub replicas: u32,
    /// `behavior` (static).
    pub behavior: FallbackBehavior,
}

/// How many replicas a fallback means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FallbackBehavior {
    /// Those of the fallback.
    #[default]
    Static,
    /// The current ones.
    Current,
    /// The larger of both.
    CurrentIfHigher,
    /// The smaller of both.
    CurrentIfLower,
}

impl Fallback {
    /// The replicas that it means.
    pub fn replicas(&self, current: u32) -> u32 {
        match self.behavior {
            FallbackBehavior::Static => self.replicas,
            FallbackBehavior::Current => current,
            FallbackBehavior::CurrentIfHigher => current.max(self.replicas),
            FallbackBehavior::CurrentIfLower => current.min(self.replicas),
        }
    }
}

/// One trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// The name under which observations have its metric.
    pub name: String,
    /// Its target per replica (or its value), in thousandths; none for triggers that only the HPA reads.
    pub target: f64,
    /// Active above this value (0).
    pub activation: f64,
    /// Whether its target is an average per replica: only these can fall back.
    pub average: bool,
    /// Read by the HPA from the pods (cpu, memory), not by KEDA.
    pub resource: bool,
}

/// The operator with what it remembers.
#[derive(Debug, Clone)]
pub struct Keda {
    config: KedaConfig,
    hpa: Hpa,
    started: bool,
    created: Option<Instant>,
    last_active: Option<Instant>,
    failures: BTreeMap<String, u32>,
}

impl Keda {
    /// An operator that has just started.
    pub fn new(config: KedaConfig) -> Self {
        let hpa = Hpa::new(config.hpa.clone());
        Self { config, hpa, started: false, created: None, last_active: None, failures: BTreeMap::new() }
    }

    /// What it was made from.
    pub const fn config(&self) -> &KedaConfig {
        &self.config
    }

    /// Reads the triggers: is one active, did one fail; and the observation as the HPA gets it.
    fn poll(&mut self, observation: &Observation) -> (bool, bool, Observation) {
        let mut seen = observation.clone();
        let (mut active, mut failed) = (false, false);
        for trigger in self.config.triggers.iter().filter(|trigger| !trigger.resource) {
            let metric = observation.metric(&trigger.name);
            let failures = self.failures.entry(trigger.name.clone()).or_insert(0);
            if let Some(value) = metric.and_then(Measure::total) {
                *failures = 0;
                let by_value = value > trigger.activation;
                active |= metric.and_then(|metric| metric.active).unwrap_or(by_value);
                continue;
            }
            failed = true;
            *failures += 1;
            let Some(fallback) = self.config.fallback.filter(|_| trigger.average) else { continue };
            if *failures > fallback.threshold {
                // The value at which the HPA wants exactly these replicas; the target is truncated there.
                let replicas = f64::from(fallback.replicas(observation.replicas));
                seen.metrics.insert(trigger.name.clone(), Measure::one(trigger.target.trunc() * replicas));
                seen.missing.remove(&trigger.name);
            }
        }
        if let Some(modifiers) = &self.config.modifiers {
            let of = |trigger: &Trigger| Some((trigger.name.clone(), seen.metric(&trigger.name)?.total()?));
            let values = self.config.triggers.iter().filter_map(of).collect();
            let composed = modifiers.formula.value(&values);
            active = composed.is_some_and(|value| value > modifiers.activation);
            if let Some(value) = composed {
                seen.metrics.insert(COMPOSED.to_owned(), Measure::one(value));
            }
        }
        let active = observation.flag("active").unwrap_or(active);
        (active, failed, seen)
    }

    /// What the executor does; none leaves it to the HPA.
    fn execute(&mut self, now: Instant, current: u32, active: bool, failed: bool) -> Executed {
        let config = &self.config;
        let (min, idle) = (config.min, config.idle);
        if active {
            let below_idle = idle.is_some() && current < min;
            let jumps = below_idle || current == 0;
            // With another trigger failing, being active is not noted.
            if jumps || !failed {
                self.last_active = Some(now);
            }
            if jumps {
                return Some((min.max(1), "ScalerActive", Reason("KEDA: a trigger is active")));
            }
            return None;
        }
        if failed {
            let fallback = config.fallback?;
            if fallback.replicas != 0 {
                let to = fallback.replicas(current);
                return Some((to, "fallback", Reason("KEDA: triggers fail, fallback replicas")));
            }
        }
        let to_idle = idle.is_some_and(|idle| current > idle);
        if to_idle || (current > 0 && min == 0) {
            let cooling = match self.last_active {
                Some(last) => last + config.cooldown >= now,
                None => self.created.is_some_and(|created| created + config.initial_cooldown >= now),
            };
            if cooling {
                return None;
            }
            return Some((idle.unwrap_or(min), "cooldownPeriod over", Reason("KEDA: no trigger is active")));
        }
        (current < min && idle.is_none()).then_some((
            min,
            "minReplicaCount",
            Reason("KEDA: below minReplicaCount"),
        ))
    }
}

/// What the executor does: replicas, the rule, the reason.
type Executed = Option<(u32, &'static str, Reason)>;

impl Policy for Keda {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        if !self.started {
            self.started = true;
            let seconds = |name: &str| observation.number(name).map(|s| observation.instant(s));
            // Without an initial cooldown an object of unknown age is an old one.
            let waits = !self.config.initial_cooldown.is_zero();
            self.created = seconds("created_s").or(waits.then_some(now));
            self.last_active = seconds("last_active_s");
        }
        let current = observation.replicas;
        let (active, failed, seen) = self.poll(observation);
        let paused = self.config.paused;
        if let Some(to) = paused.replicas.or(paused.all.then_some(current)) {
            let mut scale = Scale::wish(current);
            scale.limit(to, "paused-replicas");
            return (Ok(scale), Reason("KEDA: paused"));
        }
        let (mut decision, reason) = self.unpaused(now, observation, active, failed, &seen);
        if let Ok(scale) = &mut decision {
            if paused.scale_in {
                scale.limit(scale.desired.max(current), "paused-scale-in");
            }
            if paused.scale_out {
                scale.limit(scale.desired.min(current), "paused-scale-out");
            }
        }
        (decision, reason)
    }
}

impl Keda {
    /// Its decision when nothing pauses it.
    fn unpaused(
        &mut self,
        now: Instant,
        observation: &Observation,
        active: bool,
        failed: bool,
        seen: &Observation,
    ) -> (Decision, Reason) {
        let current = observation.replicas;
        if let Some((to, rule, reason)) = self.execute(now, current, active, failed)
            && to != current
        {
            let mut scale = Scale::wish(current);
            scale.limit(to, rule);
            scale.raw = i64::from(to);
            return (Ok(scale), reason);
        }
        if current == 0 {
            return (Ok(Scale::wish(0)), Reason("KEDA: no trigger is active"));
        }
        if self.config.idle == Some(current) && !active {
            return (Ok(Scale::wish(current)), Reason("KEDA: idle"));
        }
        let (decision, reason) = self.hpa.decide(now, seen);
        (decision.map_err(|error| CannotScale(format!("HPA: {error}"))), reason)
    }
}
