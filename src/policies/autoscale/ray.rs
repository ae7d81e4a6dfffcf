//! Ray Serve's replica autoscaler (`autoscaling_config`).
//!
//! Source: `python/ray/serve/autoscaling_policy.py`, `config.py` and `_private/autoscaling_state.py` of Ray 2.60. The
//! tick is 0.1 s; the observation carries the mean of the look-back window. Upstream's cases are in
//! `tests/policy_upstream/ray.rs`.
//!
//! | rule | source | test |
//! |---|---|---|
//! | running · ongoing/(target · running), by a factor up or down, rounded up | `_apply_scaling_factors` | `factors` |
//! | a fall that rounds back to where it was loses one | `_apply_scaling_factors` | `factors` |
//! | a wish holds for its delay by the clock; a flip begins anew | `_apply_delay_logic` | `delays` |
//! | n to 0 through 1, the last step with its own delay | `_apply_delay_logic` | `delays` |
//! | from none at once, by the factor; held while nobody asks | `_apply_autoscaling_config` | `cold_start` |
//! | the caller's bounds come last | `get_decision_num_replicas` | `bounds_come_last` |
//!
//! Not built: custom policies (`policy`), `aggregation_function`s other than the mean (both are refused), gangs.

use super::{CannotScale, Decision, Observation, Scale, ceil_replicas};
use crate::policies::spec::{Fields, Node, Problems};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// `autoscaling_config`.
#[derive(Debug, Clone, PartialEq)]
pub struct RayConfig {
    /// `min_replicas` (1).
    pub min: u32,
    /// `initial_replicas`: what a deployment starts with.
    pub initial: Option<u32>,
    /// `max_replicas` (1; 100 with `num_replicas: auto`).
    pub max: u32,
    /// `target_ongoing_requests` (2).
    pub target: f64,
    /// `upscaling_factor` (1).
    pub up_factor: f64,
    /// `downscaling_factor` (1).
    pub down_factor: f64,
    /// `upscale_delay_s` (30 s).
    pub up_delay: Duration,
    /// `downscale_delay_s` (600 s).
    pub down_delay: Duration,
    /// `downscale_to_zero_delay_s`: for 1 to 0.
    pub zero_delay: Option<Duration>,
}

/// The controller's loop: 0.1 s.
const TICK: Duration = Duration::from_nanos(100_000_000);

/// Reads `autoscaling_config`, bare or inside a Serve config's one autoscaled deployment.
pub fn read(document: &Node, problems: &Problems) -> Option<RayConfig> {
    const SAID: &str = "Ray Serve: Extra inputs are not permitted";
    let (node, auto) = find(document)?;
    let mut fields = Fields::at(node, "autoscaling_config".to_owned(), problems);
    fields.ignore(&["metrics_interval_s", "look_back_period_s"]);
    if fields.node("policy").is_some() || fields.node("_policy").is_some() {
        fields.problem("policy", "a custom policy is Python code: it is not run here");
    }
    if let Some(function) = fields.text("aggregation_function").filter(|name| name != "mean") {
        fields.problem("aggregation_function", format!("{function:?} is not built; \"mean\" is"));
    }
    let mut count = |name, default: i64| {
        let value = fields.int(name).unwrap_or(default);
        if value < 0 {
            fields.problem(name, format!("Input should be greater than or equal to 0, not {value}"));
        }
        u32::try_from(value).unwrap_or(0)
    };
    let (min, max) = (count("min_replicas", 1), count("max_replicas", if auto { 100 } else { 1 }));
    if max == 0 {
        fields.problem("max_replicas", "Input should be greater than 0");
    } else if min > max {
        let said = format!("max_replicas ({max}) must be greater than or equal to min_replicas ({min})!");
        fields.problem("max_replicas", said);
    }
    let initial = fields.int("initial_replicas").and_then(|value| u32::try_from(value).ok());
    if let Some(initial) = initial.filter(|initial| *initial < min || *initial > max) {
        let said = format!(
            "initial_replicas ({initial}) must be between min_replicas ({min}) and max_replicas ({max})!"
        );
        fields.problem("initial_replicas", said);
    }
    let mut positive = |name, default: f64| {
        let value = fields.number(name).unwrap_or(default);
        if value <= 0.0 {
            fields.problem(name, format!("Input should be greater than 0, not {value}"));
        }
        value
    };
    // The older names stand where the newer ones do not.
    let older = positive("target_num_ongoing_requests_per_replica", 2.0);
    let target = positive("target_ongoing_requests", older);
    let older = positive("smoothing_factor", 1.0);
    let (older_up, older_down) =
        (positive("upscale_smoothing_factor", older), positive("downscale_smoothing_factor", older));
    let (up_factor, down_factor) =
        (positive("upscaling_factor", older_up), positive("downscaling_factor", older_down));
    let mut delay = |name| {
        let delay = fields.seconds(name)?;
        if !delay.is_zero() && delay < TICK {
            fields.problem(name, format!("{delay} is shorter than the control loop's tick of {TICK}"));
        }
        Some(delay)
    };
    let up_delay = delay("upscale_delay_s").unwrap_or(Duration::from_secs(30));
    let down_delay = delay("downscale_delay_s").unwrap_or(Duration::from_secs(600));
    let zero_delay = delay("downscale_to_zero_delay_s");
    fields.finish(SAID);
    Some(RayConfig { min, initial, max, target, up_factor, down_factor, up_delay, down_delay, zero_delay })
}

/// The node that has the settings, and whether `num_replicas: auto` chose the defaults.
fn find(document: &Node) -> Option<(&Node, bool)> {
    use crate::policies::spec::Tree;
    if let Some(node) = document.get("autoscaling_config") {
        return Some((node, document.text_at(&["num_replicas"]) == Some("auto")));
    }
    let Tree::Map(entries) = &document.tree else { return None };
    entries.iter().find_map(|(_, _, node)| match &node.tree {
        Tree::List(items) => items.iter().find_map(find),
        Tree::Map(_) => find(node),
        _ => None,
    })
}

/// The autoscaler with what it remembers.
#[derive(Debug, Clone)]
pub struct Ray {
    config: RayConfig,
    /// Since when, and whether upwards, the same wish has been there.
    wish: Option<(bool, Instant)>,
}

impl Ray {
    /// An autoscaler that has just started.
    pub const fn new(config: RayConfig) -> Self {
        Self { config, wish: None }
    }

    /// What it was made from.
    pub const fn config(&self) -> &RayConfig {
        &self.config
    }
}

impl Policy for Ray {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let config = &self.config;
        let names = ["ongoing_requests", "total_ongoing_requests", "total_num_requests", "total_ongoing"];
        let Some(ongoing) = observation.load(&names) else {
            return (Err(CannotScale::new("no ongoing_requests reported")), Reason("no metrics"));
        };
        // The target is what the controller wants at present; the current ones are those that run.
        let target = observation.replicas;
        let running = observation.ready_replicas();
        if running == 0 {
            let wanted = if ongoing > 0.0 { ceil_replicas(config.up_factor).max(target) } else { target };
            let mut scale = Scale::wish(wanted);
            scale.limit(wanted.clamp(config.min, config.max), "bounds");
            return (Ok(scale), Reason("cold start: no delay"));
        }
        let current = f64::from(running);
        let desired = current * (ongoing / (config.target * current));
        let factor = if desired > current { config.up_factor } else { config.down_factor };
        let mut scaled = ceil_replicas((current + factor * (desired - current)).max(0.0));
        let mut scale = Scale::wish(scaled);
        if desired.ceil() < current && scaled == running {
            scaled -= 1;
            scale.limit(scaled, "stuck downscale loses one");
        }
        let reason = self.delayed(now, target, scaled, &mut scale);
        let config = &self.config;
        // The caller's, after the policy: a target outside comes back at once.
        scale.limit(scale.desired.clamp(config.min, config.max), "bounds");
        (Ok(scale), Reason(reason))
    }
}

impl Ray {
    /// A wish has to hold for its delay; a flip begins it anew (`_apply_delay_logic`).
    fn delayed(&mut self, now: Instant, target: u32, wanted: u32, scale: &mut Scale) -> &'static str {
        if wanted == target {
            self.wish = None;
            return "at the target";
        }
        let config = &self.config;
        let up = wanted > target;
        let since = match self.wish {
            Some((direction, since)) if direction == up => since,
            _ => now,
        };
        let mut to = wanted;
        let delay = if up {
            config.up_delay
        } else if target == 1 {
            config.zero_delay.unwrap_or(config.down_delay)
        } else {
            to = wanted.max(1);
            config.down_delay
        };
        if now.since(since) < delay {
            self.wish = Some((up, since));
            scale.limit(target, if up { "upscale_delay_s" } else { "downscale_delay_s" });
            return "the wish is not old enough";
        }
        self.wish = None;
        scale.limit(to, "to zero only from one");
        if up { "scale up" } else { "scale down" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::spec::parse_yaml;

    fn config(yaml: &str) -> RayConfig {
        let problems = Problems::default();
        let documents = parse_yaml(&format!("autoscaling_config: {{{yaml}}}")).unwrap();
        let config = read(&documents[0], &problems);
        assert_eq!(problems.into_sorted(), []);
        config.unwrap()
    }

    /// Each tick: tenths of a second, replicas, ongoing requests, wanted.
    fn ticks(yaml: &str, ticks: &[(u64, u32, f64, u32)]) {
        let mut ray = Ray::new(config(yaml));
        for &(tenths, replicas, ongoing, wanted) in ticks {
            let now = Instant::ZERO + TICK * tenths;
            let (decision, _) = ray.decide(now, &Observation::of(replicas).with("ongoing_requests", ongoing));
            assert_eq!(decision.unwrap().desired, wanted, "at {tenths}");
        }
    }

    const NOW: &str = "min_replicas: 0, max_replicas: 100, upscale_delay_s: 0, downscale_delay_s: 0";

    #[test]
    fn factors() {
        // 10 replicas, 2 each: 40 ongoing want 20.
        ticks(NOW, &[(0, 10, 40.0, 20), (1, 10, 41.0, 21), (2, 10, 9.0, 5)]);
        ticks(&format!("{NOW}, upscaling_factor: 0.5"), &[(0, 10, 40.0, 15)]);
        // 10 − 0.5 · (10 − 5) = 7.5: 8. Stuck: 2 − 0.2 · 1 = 1.8 is 2 again, so 1.
        ticks(&format!("{NOW}, downscaling_factor: 0.5"), &[(0, 10, 10.0, 8)]);
        ticks(&format!("{NOW}, downscaling_factor: 0.2"), &[(0, 2, 2.0, 1)]);
        ticks("max_replicas: 12, upscale_delay_s: 0", &[(0, 10, 100.0, 12)]);
    }

    #[test]
    fn delays() {
        let delayed = "min_replicas: 0, max_replicas: 100, upscale_delay_s: 30, downscale_delay_s: 60";
        ticks(delayed, &[(0, 2, 8.0, 2), (299, 2, 8.0, 2), (300, 2, 10.0, 5)]);
        // A flip resets.
        ticks(
            delayed,
            &[(0, 2, 8.0, 2), (299, 2, 1.0, 2), (300, 2, 8.0, 2), (599, 2, 8.0, 2), (600, 2, 8.0, 4)],
        );
        // To zero through one, with its own delay.
        let zero = format!("{delayed}, downscale_to_zero_delay_s: 10");
        ticks(&zero, &[(0, 4, 0.0, 4), (600, 4, 0.0, 1), (601, 1, 0.0, 1), (701, 1, 0.0, 0)]);
    }

    #[test]
    fn bounds_come_last() {
        // Three running of which the minimum is five: five at once, whatever the delay says.
        ticks("min_replicas: 5, max_replicas: 9", &[(0, 3, 6.0, 5), (1, 3, 60.0, 5)]);
    }

    #[test]
    fn cold_start() {
        let slow = "min_replicas: 0, max_replicas: 100, upscaling_factor: 2.5";
        ticks(slow, &[(0, 0, 0.0, 0), (1, 0, 1.0, 3)]);
    }

    #[test]
    fn refusals() {
        let yaml = "autoscaling_config: {min_replicas: 5, max_replicas: 2, target_ongoing_requests: 0, \
                    upscale_delay_s: 0.05, max_replica: 3, policy: {}}";
        let problems = Problems::default();
        read(&parse_yaml(yaml).unwrap()[0], &problems);
        let said: Vec<_> = problems.into_sorted().iter().map(|p| p.message.clone()).collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
