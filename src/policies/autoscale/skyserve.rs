//! SkyServe's request-rate autoscaler with its spot mixture (`replica_policy`).
//!
//! Source: `sky/serve/autoscalers.py`, `constants.py` and `service_spec.py` of SkyPilot 0.14.1. Each
//! observation is one decision (20 s apart, 5 s at zero). Where spot nodes are put is
//! [`crate::policies::spot_placement`].
//!
//! | rule | source | test |
//! |---|---|---|
//! | ceil(qps/target), clipped, over a window of 60 s | `_calculate_target_num_replicas` | `hysteresis` |
//! | int(delay/20) agreeing decisions; a flip begins anew | `_AutoscalerWithHysteresis` | `hysteresis` |
//! | from zero at once | `_set_target_num_replicas_with_hysteresis` | `hysteresis` |
//! | overprovisioning after the clipping | `get_final_target_num_replicas` | `spot_mixture` |
//! | spot less the on-demand base; what is not ready covered | `FallbackRequestRateAutoscaler` | `spot_mixture` |
//!
//! Not built: targets per accelerator (`target_qps_per_replica` as a map), refused; `load_balancing_policy`, ignored.

use super::{CannotScale, Decision, Observation, Pod, Scale, ceil_replicas};
use crate::policies::spec::{Fields, Node, Problems, Tree};
use crate::policies::{Policy, Reason};
use crate::units::Instant;

/// Seconds between decisions (`AUTOSCALER_DEFAULT_DECISION_INTERVAL_SECONDS`).
const INTERVAL_S: f64 = 20.0;
/// Seconds over which requests are counted (`AUTOSCALER_QPS_WINDOW_SIZE_SECONDS`).
const WINDOW_S: f64 = 60.0;

/// `replica_policy`.
#[derive(Debug, Clone, PartialEq)]
pub struct SkyConfig {
    /// `min_replicas` (1).
    pub min: u32,
    /// `max_replicas`; the minimum when not given.
    pub max: u32,
    /// `target_qps_per_replica`; none holds the minimum.
    pub qps: Option<f64>,
    /// `num_overprovision` (0).
    pub overprovision: u32,
    /// `base_ondemand_fallback_replicas` (0).
    pub base_ondemand: u32,
    /// `dynamic_ondemand_fallback` (false).
    pub dynamic_ondemand: bool,
    /// Decisions in a row before scaling up: int(`upscale_delay_seconds` (300) / 20).
    pub up_decisions: u32,
    /// Decisions in a row before scaling down: int(`downscale_delay_seconds` (1200) / 20).
    pub down_decisions: u32,
}

/// Reads a service's YAML: `service.replica_policy`, or `replica_policy` alone.
pub fn read(document: &Node, problems: &Problems) -> Option<SkyConfig> {
    let service = document.get("service").unwrap_or(document);
    let node = service.get("replica_policy")?;
    let mut fields = Fields::at(node, "service.replica_policy".to_owned(), problems);
    let mut count = |name, default: i64| {
        let value = fields.int(name).unwrap_or(default);
        if value < 0 {
            fields.problem(name, format!("{name} must be greater or equal to 0. Got: {value}"));
        }
        u32::try_from(value).unwrap_or(0)
    };
    let min = count("min_replicas", 1);
    let max = count("max_replicas", i64::from(min));
    let (overprovision, base_ondemand) =
        (count("num_overprovision", 0), count("base_ondemand_fallback_replicas", 0));
    if max < min {
        let said = format!(
            "max_replicas must be greater than or equal to min_replicas. Got min_replicas={min}, max_replicas={max}"
        );
        fields.problem("max_replicas", said);
    }
    let qps = match fields.node("target_qps_per_replica").map(|node| &node.tree) {
        Some(Tree::Map(_)) => {
            fields
                .problem("target_qps_per_replica", "targets per accelerator are not built: give one number");
            None
        }
        Some(_) => fields.number("target_qps_per_replica"),
        None => None,
    };
    if let Some(qps) = qps.filter(|qps| *qps <= 0.0) {
        fields.problem(
            "target_qps_per_replica",
            format!("target_qps_per_replica must be positive. Got: {qps}"),
        );
    }
    if max > min && qps.is_none() && fields.node("target_qps_per_replica").is_none() {
        fields.problem(
            "target_qps_per_replica",
            "target_qps_per_replica must be set when max_replicas > min_replicas",
        );
    }
    let mut decisions = |name, default: f64| {
        let seconds = fields.number(name).unwrap_or(default);
        if seconds < 0.0 || (seconds > 0.0 && seconds < INTERVAL_S) {
            fields.problem(
                name,
                format!("{seconds} s is shorter than the tick of {INTERVAL_S} s (0 decides at once)"),
            );
        }
        (seconds / INTERVAL_S).trunc() as u32
    };
    let up_decisions = decisions("upscale_delay_seconds", 300.0);
    let down_decisions = decisions("downscale_delay_seconds", 1200.0);
    let dynamic_ondemand = fields.truth("dynamic_ondemand_fallback").unwrap_or(false);
    fields.ignore(&["spot_placer"]);
    fields.finish("SkyPilot: Additional properties are not allowed");
    Some(SkyConfig {
        min,
        max,
        qps,
        overprovision,
        base_ondemand,
        dynamic_ondemand,
        up_decisions,
        down_decisions,
    })
}

/// The autoscaler with what it remembers.
#[derive(Debug, Clone)]
pub struct Sky {
    config: SkyConfig,
    target: Option<u32>,
    up: u32,
    down: u32,
    /// Requests of the window, where the recording has them.
    arrivals: Vec<Instant>,
}

impl Sky {
    /// An autoscaler that has just started.
    pub const fn new(config: SkyConfig) -> Self {
        Self { config, target: None, up: 0, down: 0, arrivals: Vec::new() }
    }

    /// What it was made from.
    pub const fn config(&self) -> &SkyConfig {
        &self.config
    }
}

/// Spot replicas that are ready: as told, or by the pods.
fn ready_spot(observation: &Observation) -> u32 {
    let of_pods = || {
        let spot = |pod: &&Pod| pod.kind.as_deref() == Some("spot") && pod.serves();
        observation.pods.iter().flatten().filter(spot).count() as u32
    };
    let told = ["ready_spot", "num_ready_spot"].iter().find_map(|name| observation.number(name));
    told.or_else(|| observation.value(&["ready_spot"])).map_or_else(of_pods, |count| count as u32)
}

impl Sky {
    /// Requests a second over the window: as told, or counted. `timestamps` are those that came since the
    /// tick before; one exactly a window old still counts.
    fn qps(&mut self, now: Instant, observation: &Observation) -> Option<f64> {
        if let Some(timestamps) = observation.extra.get("timestamps").and_then(|list| list.as_array()) {
            let times = timestamps.iter().filter_map(|value| value.as_f64());
            self.arrivals.extend(times.map(|seconds| observation.instant(seconds)));
            self.arrivals.retain(|at| *at > now || now.since(*at).as_secs_f64() <= WINDOW_S);
            return Some(self.arrivals.len() as f64 / WINDOW_S);
        }
        let counted = || observation.value(&["num_requests", "requests"]).map(|count| count / WINDOW_S);
        observation.value(&["qps", "request_rate"]).or_else(counted).or_else(|| observation.load(&["qps"]))
    }
}

impl Policy for Sky {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let raw = match self.config.qps {
            None => self.config.min,
            Some(target) => {
                let Some(qps) = self.qps(now, observation) else {
                    return (Err(CannotScale::new("no qps reported")), Reason("no metrics"));
                };
                ceil_replicas(qps / target)
            }
        };
        let config = &self.config;
        let wanted = raw.clamp(config.min, config.max.max(config.min));
        let mut target = *self.target.get_or_insert(observation.replicas.clamp(config.min, config.max));
        let mut scale = Scale::wish(raw);
        scale.limit(wanted, if raw > wanted { "max_replicas" } else { "min_replicas" });
        let reason = match wanted.cmp(&target) {
            _ if target == 0 => {
                target = wanted;
                "no replica: at once"
            }
            std::cmp::Ordering::Greater => {
                (self.up, self.down) = (self.up + 1, 0);
                if self.up >= config.up_decisions {
                    (self.up, target) = (0, wanted);
                }
                "request rate above the target"
            }
            std::cmp::Ordering::Less => {
                (self.up, self.down) = (0, self.down + 1);
                if self.down >= config.down_decisions {
                    (self.down, target) = (0, wanted);
                }
                "request rate below the target"
            }
            std::cmp::Ordering::Equal => {
                (self.up, self.down) = (0, 0);
                "at the target"
            }
        };
        self.target = Some(target);
        scale
            .limit(target, if wanted > target { "upscale_delay_seconds" } else { "downscale_delay_seconds" });
        // Overprovisioning comes after the bounds.
        scale.limit(target + config.overprovision, "num_overprovision");
        if config.base_ondemand > 0 || config.dynamic_ondemand {
            let ready_spot = ready_spot(observation);
            let spot = (target + config.overprovision).saturating_sub(config.base_ondemand);
            let missing = if config.dynamic_ondemand { spot.saturating_sub(ready_spot) } else { 0 };
            let on_demand = (config.base_ondemand + missing).min(target);
            scale.figures.push(("spot", f64::from(spot)));
            scale.figures.push(("on_demand", f64::from(on_demand)));
        }
        (Ok(scale), Reason(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::spec::parse_yaml;

    fn config(yaml: &str) -> Result<SkyConfig, Vec<String>> {
        let problems = Problems::default();
        let documents = parse_yaml(&format!("service:\n  replica_policy: {{{yaml}}}")).unwrap();
        let config = read(&documents[0], &problems);
        let said: Vec<_> = problems.into_sorted().iter().map(|p| p.message.clone()).collect();
        if said.is_empty() { Ok(config.unwrap()) } else { Err(said) }
    }

    #[test]
    fn hysteresis() {
        let mut sky = Sky::new(
            config(
                "min_replicas: 0, max_replicas: 8, target_qps_per_replica: 2.5, \
            upscale_delay_seconds: 59, downscale_delay_seconds: 60",
            )
            .unwrap(),
        );
        let mut decide =
            |qps: f64| sky.decide(Instant::ZERO, &Observation::of(0).with("qps", qps)).0.unwrap().desired;
        // From zero at once; then int(59 / 20) = 2 decisions up, 3 down; agreement starts anew.
        assert_eq!([decide(0.0), decide(5.1), decide(10.0), decide(10.0)], [0, 3, 3, 4]);
        assert_eq!([decide(50.0), decide(10.0), decide(50.0), decide(50.0)], [4, 4, 4, 8]);
        assert_eq!([decide(0.0), decide(0.0), decide(0.0)], [8, 8, 0]);
    }

    #[test]
    fn spot_mixture() {
        let mut sky = Sky::new(
            config(
                "min_replicas: 4, num_overprovision: 2, base_ondemand_fallback_replicas: 1, \
            dynamic_ondemand_fallback: true",
            )
            .unwrap(),
        );
        // Six wanted, one of them always on demand: five spot; each that is not ready is covered, up to four.
        for (ready, on_demand) in [(5.0, 1.0), (3.0, 3.0), (0.0, 4.0)] {
            let mut observation = Observation::of(4);
            observation.extra.insert("ready_spot".to_owned(), ready.into());
            let scale = sky.decide(Instant::ZERO, &observation).0.unwrap();
            assert_eq!((scale.raw, scale.desired), (4, 6));
            assert_eq!(scale.figures, [("spot", 5.0), ("on_demand", on_demand)]);
        }
    }

    #[test]
    fn refusals() {
        let said = config(
            "min_replicas: 5, max_replicas: 2, target_qps_per_replica: 0, upscale_delay_seconds: 5, \
            max_replica: 3",
        )
        .unwrap_err();
        insta::assert_snapshot!(said.join("\n"));
    }
}
