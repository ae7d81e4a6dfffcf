//! Autoscalers at work: what each sees at its ticks, what it decides, and what is done.

use super::config::ScalerPlan;
use super::events::Event;
use super::run::World;
use crate::metrics::results::DecisionRow;
use crate::policies::Reason;
use crate::policies::autoscale::{Decision, Observation};
use crate::policies::replay::Law;
use crate::units::Instant;

/// An autoscaler with its state.
pub(super) struct Scaler {
    law: Law,
    /// The last row in the table of decisions, to leave out what only repeats it.
    last: Option<DecisionRow>,
}

impl Scaler {
    pub(super) fn new(plan: &ScalerPlan) -> Self {
        Self { law: plan.law.clone(), last: None }
    }
}

impl World<'_> {
    /// An autoscaler's tick.
    pub(super) fn decide_scale(&mut self, now: Instant, number: u16) {
        let config = self.config;
        let plan = &config.scalers[usize::from(number)];
        self.queue.push(now + plan.interval, Event::Scale { scaler: number });
        let current = self.replicas.groups[plan.deployment].desired;
        let observation = Observation::of(current);
        let Some((decision, reason)) = self.scalers[usize::from(number)].law.replicas(now, &observation)
        else {
            return;
        };
        self.note_decision(now, number, current, &decision, reason);
        if let Ok(scale) = decision
            && scale.desired != current
        {
            self.scale(now, plan.deployment, scale.desired);
        }
    }

    /// Writes a decision down, unless nothing is done and it says the same as the one before.
    fn note_decision(
        &mut self,
        now: Instant,
        number: u16,
        current: u32,
        decision: &Decision,
        Reason(rule): Reason,
    ) {
        let plan = &self.config.scalers[usize::from(number)];
        let (desired, done, limits, reason) = match decision {
            Ok(scale) => (scale.raw as f64, scale.desired, scale.limits.join("; "), rule.to_owned()),
            Err(error) => (f64::from(current), current, String::new(), error.to_string()),
        };
        let row = DecisionRow {
            time: now,
            policy: plan.name.clone(),
            target: self.config.deployments[plan.deployment].name.clone(),
            current: f64::from(current),
            desired,
            done: f64::from(done),
            rule: if decision.is_ok() { rule.to_owned() } else { "error".to_owned() },
            limits,
            reason,
        };
        let last = &mut self.scalers[usize::from(number)].last;
        let repeats =
            last.as_ref().is_some_and(|last| DecisionRow { time: last.time, ..row.clone() } == *last);
        if done != current || !repeats {
            self.decisions.push(row.clone());
        }
        *last = Some(row);
    }
}
