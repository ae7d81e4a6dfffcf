//! The Knative Pod Autoscaler.
//!
//! Source: `pkg/autoscaler/scaling/autoscaler.go`, `aggregation/` and `pkg/reconciler/autoscaling` of
//! knative/serving 98e5ef9. Rules and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | stable and panic wishes, rate clamps, burst capacity | `upstream_table` |
//! | panic: entry, extension, end strictly after the stable window, never falling | `panics` |
//! | start in panic with more than one ready pod | `starts_in_panic` |
//! | scale-down delay as a maximum over buckets of a tick | `delays_scaling_down` |
//! | window average over the time since the first write | `window_average` |
//! | bounds, scale to zero off, pod retention | `bounds` |
//!
//! | to zero only after the stable window as active, and the grace period behind the activator | `grace_period` |
//!
//! The last rule is the reconciler's (`pkg/reconciler/autoscaling/kpa/scaler.go`): a simulation keeps its times itself
//! ([`Kpa::with_activator`]), a recording gives them (`active_for_s`, `inactive_for_s`, `proxy_for_s`); without them
//! the answer is the decider's alone. The HPA class is refused.

mod read;
mod window;

#[cfg(test)]
mod tests;

pub use read::read;
pub use window::Window;

use super::{CannotScale, Decision, Observation, Scale};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// The tick of the autoscaler: 2 s.
const TICK: Duration = Duration::from_secs(2);
/// The fewest activators before a revision (`MinActivators`).
const MIN_ACTIVATORS: f64 = 2.0;

/// A decider's settings, resolved from the ConfigMap and the revision's annotations.
#[derive(Debug, Clone, PartialEq)]
pub struct KpaConfig {
    /// What is averaged: `concurrency` or `rps`.
    pub metric: &'static str,
    /// What a pod is held at.
    pub target: f64,
    /// What a pod can do; 1/0.7 of the target by default.
    pub total: f64,
    /// Burst to keep room for (211); 0 none, -1 unlimited.
    pub burst_capacity: f64,
    /// What an activator can do (100): how many stand before the revision is told beside the replicas.
    pub activator_capacity: f64,
    /// Panic wish over ready pods at which panic begins (2.0).
    pub panic_threshold: f64,
    /// The stable window (60 s).
    pub stable_window: Duration,
    /// The panic window as a part of the stable one (0.1).
    pub panic_window: f64,
    /// The most that replicas may grow by in a tick, as a factor (1000).
    pub max_up: f64,
    /// The most that replicas may shrink by in a tick, as a divisor (2).
    pub max_down: f64,
    /// The largest wish of this window counts (0 s).
    pub scale_down_delay: Duration,
    /// Replicas to start with from zero (1).
    pub activation_scale: u32,
    /// Whether zero is allowed (true).
    pub scale_to_zero: bool,
    /// How long the last pod stays after nothing is wanted (0 s).
    pub retention: Duration,
    /// How long the activator has to have stood before the last pod (30 s).
    pub grace: Duration,
    /// Lower bound (0).
    pub min: u32,
    /// Upper bound; 0 for none.
    pub max: u32,
    /// Whether a route leads to the revision (true); an observation may say otherwise.
    pub reachable: bool,
}

impl Default for KpaConfig {
    fn default() -> Self {
        Self {
            metric: "concurrency",
            target: 70.0,
            total: 100.0,
            burst_capacity: 211.0,
            activator_capacity: 100.0,
            panic_threshold: 2.0,
            stable_window: Duration::from_secs(60),
            panic_window: 0.1,
            max_up: 1000.0,
            max_down: 2.0,
            scale_down_delay: Duration::ZERO,
            activation_scale: 1,
            scale_to_zero: true,
            retention: Duration::ZERO,
            grace: Duration::from_secs(30),
            min: 0,
            max: 0,
            reachable: true,
        }
    }
}

/// The autoscaler with what it remembers.
#[derive(Debug, Clone)]
pub struct Kpa {
    config: KpaConfig,
    started: bool,
    panic_since: Option<Instant>,
    panic_most: u32,
    wishes: Vec<(u64, u32)>,
    idle_since: Option<Instant>,
    stable: Window,
    panic: Window,
    /// The reconciler's times, where it is simulated: active, without a wish, behind the activator; each since when.
    activator: Option<[Option<Instant>; 3]>,
}

impl Kpa {
    /// An autoscaler that has just started.
    pub fn new(config: KpaConfig) -> Self {
        let second = Duration::from_secs(1);
        let panic = Duration::from_secs_f64(config.stable_window.as_secs_f64() * config.panic_window);
        Self {
            stable: Window::new(config.stable_window, second),
            panic: Window::new(panic, second),
            config,
            started: false,
            panic_since: None,
            panic_most: 0,
            wishes: Vec::new(),
            idle_since: None,
            activator: None,
        }
    }

    /// The same with the reconciler and its activator, which keep the last pod for a while.
    pub fn with_activator(mut self) -> Self {
        self.activator = Some([None; 3]);
        self
    }

    /// What it was made from.
    pub const fn config(&self) -> &KpaConfig {
        &self.config
    }

    /// A start loses the metrics' history, so with more than one ready pod it begins in panic.
    fn start(&mut self, now: Instant, observation: &Observation) {
        self.started = true;
        let history = observation.extra.get("history");
        let number = |name: &str| history.and_then(|history| history.get(name)).and_then(|v| v.as_f64());
        let ready = number("ready").map_or_else(|| observation.ready_replicas(), |ready| ready as u32);
        self.panic_most = number("max_panic_pods").map_or(ready, |pods| pods as u32);
        self.panic_since =
            number("panic_since_s").map(|s| observation.instant(s)).or((ready > 1).then_some(now));
        for &(at, replicas) in &observation.history.recommendations {
            self.wishes.push((at.as_nanos() / TICK.as_nanos(), replicas));
        }
    }

    /// The averages of both windows: as observed, or from raw samples.
    fn averages(&mut self, now: Instant, observation: &Observation) -> Result<(f64, f64), CannotScale> {
        let name = self.config.metric;
        let samples = observation.extra.get("samples").and_then(|samples| samples.get(name));
        if let Some(samples) = samples.and_then(|samples| samples.as_array()) {
            for sample in samples {
                let number = |i: usize| sample.get(i).and_then(|value| value.as_f64());
                if let (Some(at), Some(value)) = (number(0), number(1)) {
                    self.stable.record(observation.instant(at), value);
                    self.panic.record(observation.instant(at), value);
                }
            }
            if self.stable.is_empty(now) {
                return Err(CannotScale::new("no data available"));
            }
            return Ok((self.stable.average(now), self.panic.average(now)));
        }
        if let Some(metric) = observation.metric(name)
            && let (Some(stable), Some(panic)) = (metric.part("stable"), metric.part("panic"))
        {
            return Ok((stable, panic));
        }
        // What the pods report now is a sample of both windows.
        let of_pods = observation.pods.iter().flatten().filter_map(|pod| pod.metrics.get(name));
        if let Some(sum) = of_pods.map(|metric| metric.value).reduce(|a, b| a + b) {
            self.stable.record(now, sum);
            self.panic.record(now, sum);
            return Ok((self.stable.average(now), self.panic.average(now)));
        }
        match (observation.value(&["stable"]), observation.value(&["panic"])) {
            (Some(stable), panic) => Ok((stable, panic.unwrap_or(stable))),
            _ => Err(CannotScale::new("no data available")),
        }
    }

    fn delay(&mut self, now: Instant, reachable: bool, scale: &mut Scale) {
        if self.config.scale_down_delay.is_zero() {
            return;
        }
        let bucket = now.as_nanos() / TICK.as_nanos();
        let buckets = self.config.scale_down_delay.as_nanos().div_ceil(TICK.as_nanos());
        self.wishes.retain(|(at, _)| bucket.saturating_sub(*at) < buckets);
        self.wishes.push((bucket, scale.desired));
        if reachable {
            let most = self.wishes.iter().map(|(_, wish)| *wish).max().unwrap_or(scale.desired);
            scale.limit(most, "scale-down-delay");
        }
    }

    /// Whether the reconciler lets the last pod go yet: active for less than the stable window, or for less than
    /// the grace period (and the retention) behind the activator, it stays.
    fn keeps_last(&mut self, now: Instant, wish: u32, capacity: f64, observation: &Observation) -> bool {
        let told = |name: &str| observation.number(name).map(Duration::from_secs_f64);
        let since = |at: Option<Instant>| at.map(|at| now.since(at));
        let mut seen = [told("active_for_s"), told("inactive_for_s"), told("proxy_for_s")];
        let config = &self.config;
        if let Some([active, inactive, proxied]) = &mut self.activator {
            let behind = capacity < 0.0 || inactive.is_some();
            *proxied = behind.then(|| proxied.unwrap_or(now));
            if wish > 0 {
                *inactive = None;
                active.get_or_insert(now);
            } else if inactive.is_none() && since(*active).is_none_or(|time| time >= config.stable_window) {
                (*active, *inactive) = (None, Some(now));
                proxied.get_or_insert(now);
            }
            seen = [since(*active), since(*inactive), since(*proxied)];
        }
        match seen {
            _ if wish > 0 => false,
            [Some(active), None, _] => active < config.stable_window,
            [_, Some(inactive), proxied] => {
                let behind = proxied.unwrap_or(inactive).max(inactive);
                inactive < config.grace.max(config.retention)
                    && (inactive < config.retention || behind < config.grace)
            }
            _ => false,
        }
    }

    fn bound(&mut self, now: Instant, ready: u32, scale: &mut Scale) {
        if scale.desired > 0 {
            self.idle_since = None;
        } else if !self.config.scale_to_zero {
            scale.limit(1, "enable-scale-to-zero");
        } else if ready > 0 {
            let since = *self.idle_since.get_or_insert(now);
            if now.since(since) < self.config.retention {
                scale.limit(1, "scale-to-zero-pod-retention-period");
            }
        }
        scale.limit(scale.desired.max(self.config.min), "min-scale");
        if self.config.max > 0 {
            scale.limit(scale.desired.min(self.config.max), "max-scale");
        }
    }
}

impl Policy for Kpa {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        if !self.started {
            self.start(now, observation);
        }
        let raw_ready = observation.ready_replicas();
        let ready = f64::from(raw_ready.max(1));
        let reachable = observation.flag("reachable").unwrap_or(self.config.reachable);
        let (stable, panic) = match self.averages(now, observation) {
            Ok(averages) => averages,
            Err(error) => return (Err(error), Reason("no data to scale on yet")),
        };
        let config = &self.config;
        let most = (config.max_up * ready).ceil();
        let least = if reachable { (ready / config.max_down).floor() } else { 0.0 };
        let wish_stable = (stable / config.target).ceil();
        let wish_panic = (panic / config.target).ceil();
        let clamp = |wish: f64| {
            let clamped = wish.max(least).min(most) as u32;
            let start = config.activation_scale;
            if start > 1 && wish > 0.0 && start > clamped { start } else { clamped }
        };
        let (by_stable, by_panic) = (clamp(wish_stable), clamp(wish_panic));

        let over = wish_panic / ready >= config.panic_threshold;
        if over {
            self.panic_since = Some(now);
        } else if self.panic_since.is_some_and(|since| since + config.stable_window < now) {
            self.panic_since = None;
            self.panic_most = 0;
        }
        let panicking = self.panic_since.is_some();
        let raw = if panicking { wish_stable.max(wish_panic) } else { wish_stable };
        let mut scale = Scale::wish(raw.min(f64::from(u32::MAX)) as u32);
        let clamped = if panicking { by_stable.max(by_panic) } else { by_stable };
        let rule = match () {
            () if raw > most => "max-scale-up-rate",
            () if raw < least => "max-scale-down-rate",
            () => "activation-scale",
        };
        scale.limit(clamped, rule);
        if panicking {
            self.panic_most = self.panic_most.max(scale.desired);
            scale.limit(self.panic_most, "panic: no scaling down");
        }
        let capacity = match self.config.burst_capacity {
            0.0 => 0.0,
            burst if burst > 0.0 => (f64::from(raw_ready) * self.config.total - burst - panic).floor(),
            _ => -1.0,
        };
        self.delay(now, reachable, &mut scale);
        let keeps = self.keeps_last(now, scale.desired, capacity, observation);
        self.bound(now, raw_ready, &mut scale);
        if keeps && raw_ready > 0 {
            scale.limit(scale.desired.max(1), "scale-to-zero-grace-period");
        }
        scale.figures.push(("excess_burst_capacity", capacity));
        let (all, burst) = (f64::from(raw_ready) * self.config.total, self.config.burst_capacity);
        let before = if burst == 0.0 { 0.0 } else { (all + burst.max(0.0)) / self.config.activator_capacity };
        scale.figures.push(("num_activators", before.ceil().max(MIN_ACTIVATORS)));
        scale.figures.push(("panic", f64::from(u8::from(panicking))));
        (Ok(scale), Reason(if panicking { "panic mode" } else { "stable mode" }))
    }
}
