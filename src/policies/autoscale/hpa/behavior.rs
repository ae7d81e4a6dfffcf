//! Stabilisation windows, rate policies and bounds: from what the metrics ask for to what is done.

use super::super::Scale;
use super::Hpa;
use crate::units::{Duration, Instant};

/// `spec.behavior`, with its defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    /// `scaleUp`.
    pub up: Rules,
    /// `scaleDown`.
    pub down: Rules,
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// `stabilizationWindowSeconds`: 0 for up, the controller's flag (300 s) for down.
    pub window: Duration,
    /// `selectPolicy` (Max).
    pub select: Select,
    /// `policies`.
    pub steps: Vec<Step>,
    /// `tolerance`, where it differs from the controller's.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Select {
    /// The one that allows the largest change.
    #[default]
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: no scaling in this direction.
    Disabled,
}

/// How much may change in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Counted how.
    pub kind: StepKind,
    /// Pods, or percent of the replicas at the period's start.
    pub value: u32,
    /// `periodSeconds`.
    pub period: Duration,
}

/// How a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// In pods.
    Pods,
    /// In percent.
    Percent,
}

impl Default for Behavior {
    /// Up: the larger of 4 pods and 100 % in 15 s; down: 100 % in 15 s (`autoscaling/v2/defaults.go`).
    fn default() -> Self {
        let period = Duration::from_secs(15);
        let step = |kind, value| Step { kind, value, period };
        Self {
            up: Rules {
                window: Duration::ZERO,
                select: Select::Max,
                steps: vec![step(StepKind::Pods, 4), step(StepKind::Percent, 100)],
                tolerance: None,
            },
            down: Rules {
                window: Duration::from_secs(300),
                select: Select::Max,
                steps: vec![step(StepKind::Percent, 100)],
                tolerance: None,
            },
        }
    }
}

/// Replicas changed by events younger than a period; one exactly as old does not count.
fn changed(events: &[(Instant, i64)], now: Instant, period: Duration) -> i64 {
    events.iter().filter(|(at, _)| younger(*at, now, period)).map(|(_, change)| change).sum()
}

/// Strictly younger than a window.
fn younger(at: Instant, now: Instant, window: Duration) -> bool {
    at > now || now.since(at) < window
}

impl Hpa {
    /// Without `behavior`: the highest recommendation of the downscale window, at most twice the current
    /// replicas or four, and the bounds.
    pub(super) fn normalize(&mut self, now: Instant, current: u32, scale: &mut Scale) {
        let window = self.config.flags.downscale_stabilization;
        // Here a recommendation exactly as old as the window still counts.
        let fits = |at: Instant| now.since(at) <= window;
        let recent = self.recommendations.iter().filter(|(at, _)| fits(*at)).map(|(_, replicas)| *replicas);
        let highest = recent.max().map_or(scale.desired, |most| most.max(scale.desired));
        self.recommendations.retain(|(at, _)| fits(*at));
        self.recommendations.push((now, scale.desired));
        scale.limit(highest, "ScaleDownStabilized");
        let limit = current.saturating_mul(2).max(4);
        if scale.desired < self.config.min {
            scale.limit(self.config.min, "TooFewReplicas");
        } else if self.config.max > limit {
            scale.limit(scale.desired.min(limit), "ScaleUpLimit");
        } else {
            scale.limit(scale.desired.min(self.config.max), "TooManyReplicas");
        }
    }

    /// With `behavior`: the current replicas clamped between the lowest recommendation of the up window and
    /// the highest of the down window, then the rate policies and bounds.
    pub(super) fn normalize_with_behavior(&mut self, now: Instant, current: u32, scale: &mut Scale) {
        let Some(behavior) = &self.config.behavior else { return };
        let wish = scale.desired;
        let recent = |window| {
            self.recommendations
                .iter()
                .filter(move |(at, _)| younger(*at, now, window))
                .map(|(_, replicas)| *replicas)
        };
        let lowest = recent(behavior.up.window).fold(wish, u32::min);
        let highest = recent(behavior.down.window).fold(wish, u32::max);
        let rule = if wish >= current { "ScaleUpStabilized" } else { "ScaleDownStabilized" };
        scale.limit(current.max(lowest).min(highest), rule);
        let longest = behavior.up.window.max(behavior.down.window);
        let (to, rule) = self.rated(behavior, now, current, scale.desired);
        scale.limit(to, rule);
        self.recommendations.retain(|(at, _)| now.since(*at) <= longest);
        self.recommendations.push((now, wish));
    }

    /// A wish after the rate policies and bounds.
    fn rated(&self, behavior: &Behavior, now: Instant, current: u32, wish: u32) -> (u32, &'static str) {
        let (here, wish) = (i64::from(current), i64::from(wish));
        let (min, max) = (i64::from(self.config.min), i64::from(self.config.max));
        let (to, rule) = if wish > here {
            let limit = self.limit(&behavior.up, now, here, true).max(here);
            let (most, rule) = if max > limit { (limit, "ScaleUpLimit") } else { (max, "TooManyReplicas") };
            (wish.min(most), rule)
        } else if wish < here {
            let limit = self.limit(&behavior.down, now, here, false).min(here);
            let (least, rule) = if min < limit { (limit, "ScaleDownLimit") } else { (min, "TooFewReplicas") };
            (wish.max(least), rule)
        } else {
            (wish, "DesiredWithinRange")
        };
        (to.clamp(0, i64::from(u32::MAX)) as u32, rule)
    }

    /// How far the policies of a direction allow to go. Events of both directions count.
    fn limit(&self, rules: &Rules, now: Instant, current: i64, up: bool) -> i64 {
        let allowed = rules.steps.iter().map(|step| {
            let start =
                current - changed(&self.ups, now, step.period) + changed(&self.downs, now, step.period);
            let value = i64::from(step.value);
            let share = f64::from(step.value) / 100.0;
            match (step.kind, up) {
                (StepKind::Pods, true) => start + value,
                (StepKind::Pods, false) => start - value,
                // Rounded up, so that one replica can grow; truncated on the way down.
                (StepKind::Percent, true) => (start as f64 * (1.0 + share)).ceil() as i64,
                (StepKind::Percent, false) => (start as f64 * (1.0 - share)) as i64,
            }
        });
        let furthest = match (rules.select, up) {
            (Select::Disabled, _) => None,
            (Select::Max, true) | (Select::Min, false) => allowed.max(),
            (Select::Min, true) | (Select::Max, false) => allowed.min(),
        };
        furthest.unwrap_or(current)
    }
}
