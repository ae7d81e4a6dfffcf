//! The llm-d workload variant autoscaler in saturation mode.
//!
//! Source: `internal/saturation/analyzer.go` of llm-d-incubation/workload-variant-autoscaler b08b1c7 and its
//! saturation-scaling ConfigMap. A model is served by variants (accelerators at a cost); replicas report KV
//! usage and queue length. Upstream's cases are in `tests/policy_upstream/wva.rs`.
//!
//! | rule | source | test |
//! |---|---|---|
//! | spare KV and queue over replicas that are not saturated; up below either trigger | `shouldScaleUp` | `triggers` |
//! | down when N/(N−1) of the load leaves both triggers | `isScaleDownSafe` | `triggers` |
//! | the cheapest without pending replicas grows, ties by name | `CalculateSaturationTargets` | `variants` |
//! | the dearest shrinks; the cheapest keeps its last one only when it is the last of all | the same | `variants` |
//! | any variant in transition, or not reporting, freezes the model | the same | `transition` |
//! | a replica that does not say its KV or queue is saturated | `analyzeVariant` | `missing_metrics` |
//!
//! The interval is 60 s in its documents and 15 s in its code: the recording decides. Not built: the model-based
//! mode, scale to and from zero.

use super::{CannotScale, Decision, Observation, Pod, Scale};
use crate::policies::spec::{Fields, Node, Problems};
use crate::policies::{Policy, Reason};
use crate::units::Instant;

/// Thresholds of the saturation ConfigMap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WvaConfig {
    /// `kvCacheThreshold` (0.80): saturated at or above.
    pub kv: f64,
    /// `queueLengthThreshold` (5): saturated at or above.
    pub queue: f64,
    /// `kvSpareTrigger` (0.10): up when less is spare.
    pub kv_spare: f64,
    /// `queueSpareTrigger` (3): up when less is spare.
    pub queue_spare: f64,
}

/// Reads `policy: wva` with the ConfigMap's keys.
pub fn read(document: &Node, problems: &Problems) -> Option<WvaConfig> {
    let mut fields = Fields::new(document, problems);
    fields.ignore(&["policy", "model_id", "namespace"]);
    let mut positive = |name, default: f64| {
        let value = fields.number(name).unwrap_or(default);
        if value <= 0.0 {
            fields.problem(name, format!("{name} must be greater than 0, got {value}"));
        }
        value
    };
    let kv = positive("kvCacheThreshold", 0.8);
    let queue = positive("queueLengthThreshold", 5.0);
    let kv_spare = positive("kvSpareTrigger", 0.1);
    let queue_spare = positive("queueSpareTrigger", 3.0);
    if kv > 1.0 {
        fields.problem("kvCacheThreshold", format!("kvCacheThreshold must be between 0 and 1, got {kv}"));
    }
    if kv < kv_spare {
        let said = format!("kvCacheThreshold ({kv}) must be >= kvSpareTrigger ({kv_spare})");
        fields.problem("kvSpareTrigger", said);
    }
    if queue < queue_spare {
        let said = format!("queueLengthThreshold ({queue}) must be >= queueSpareTrigger ({queue_spare})");
        fields.problem("queueSpareTrigger", said);
    }
    fields.finish("WVA would not read it");
    Some(WvaConfig { kv, queue, kv_spare, queue_spare })
}

/// A variant as observed.
#[derive(Debug, Clone, PartialEq)]
struct Variant {
    name: String,
    cost: f64,
    replicas: u32,
    pending: u32,
    /// What it was told to have; none where nobody has said.
    desired: Option<u32>,
    /// Replicas that report metrics, where that is known of each variant.
    reporting: Option<u32>,
}

impl Variant {
    /// Scaling is under way: what it was told differs from what it has, or what reports does.
    fn moves(&self) -> bool {
        self.desired.is_some_and(|desired| desired != self.replicas)
            || self.reporting.is_some_and(|reporting| reporting != self.replicas)
    }

    /// What it keeps while nothing is decided.
    fn kept(&self) -> u32 {
        self.desired.unwrap_or(self.replicas)
    }
}

/// The autoscaler; what it remembers is in the observation (each variant's desired replicas).
#[derive(Debug, Clone)]
pub struct Wva {
    config: WvaConfig,
}

impl Wva {
    /// An autoscaler.
    pub const fn new(config: WvaConfig) -> Self {
        Self { config }
    }
}

/// The variants of the observation, by name; one called `default` when there are none.
fn variants(observation: &Observation) -> Result<Vec<Variant>, CannotScale> {
    let Some(list) = observation.extra.get("variants") else {
        return Ok(vec![Variant {
            name: "default".to_owned(),
            cost: 1.0,
            replicas: observation.replicas,
            pending: observation.replicas.saturating_sub(observation.ready_replicas()),
            desired: None,
            reporting: None,
        }]);
    };
    let list = list.as_array().ok_or_else(|| CannotScale::new("variants has to be a list"))?;
    let told = observation.pods.iter().flatten().any(|pod| pod.kind.is_some());
    let reporting = |name: &str| {
        let own = |pod: &&Pod| pod.kind.as_deref() == Some(name) && !pod.deleting && !pod.metrics.is_empty();
        observation.pods.iter().flatten().filter(own).count() as u32
    };
    let mut variants = Vec::new();
    for item in list {
        let number = |name: &str| item.get(name).and_then(serde_json::Value::as_f64);
        let name = item.get("name").and_then(serde_json::Value::as_str);
        let name = name.ok_or_else(|| CannotScale::new("a variant has no name"))?.to_owned();
        let cost = number("cost").ok_or_else(|| CannotScale(format!("variant {name} has no cost")))?;
        let replicas = number("replicas").unwrap_or(0.0) as u32;
        let pending = number("pending").unwrap_or(0.0) as u32;
        // Zero is what upstream's field holds before anything was decided.
        let desired = number("desired").map(|count| count as u32).filter(|count| *count > 0);
        let counted = number("ready").or(number("reporting")).map(|count| count as u32);
        let reporting = counted.or_else(|| told.then(|| reporting(&name)));
        variants.push(Variant { name, cost, replicas, pending, desired, reporting });
    }
    variants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(variants)
}

/// KV usage and queue length of each replica that reports; what is missing of either counts as saturated.
fn loads(observation: &Observation) -> Vec<(f64, f64)> {
    let pods = observation.pods.iter().flatten().filter(|pod| !pod.deleting);
    pods.filter_map(|pod| {
        let metric = |names: [&str; 4]| names.iter().find_map(|name| pod.metrics.get(*name)).map(|m| m.value);
        let kv = metric(["kv", "kv_cache_usage", "kv_usage", "kv_cache_utilization"]);
        let queue = metric(["queue", "queue_length", "queue_len", "num_requests_waiting"]);
        (kv.is_some() || queue.is_some())
            .then(|| (kv.unwrap_or(f64::INFINITY), queue.unwrap_or(f64::INFINITY)))
    })
    .collect()
}

/// What the replicas that are not saturated have to spare, and how many they are.
struct Spare {
    count: f64,
    kv: f64,
    queue: f64,
}

impl WvaConfig {
    fn spare(&self, loads: &[(f64, f64)]) -> Spare {
        let free = loads.iter().filter(|(kv, queue)| *kv < self.kv && *queue < self.queue);
        let count = free.clone().count() as f64;
        let (mut kv, mut queue) = (0.0, 0.0);
        for (used, waiting) in free {
            kv += self.kv - used;
            queue += self.queue - waiting;
        }
        let divisor = count.max(1.0);
        Spare { count, kv: kv / divisor, queue: queue / divisor }
    }

    /// Whether the others could take one replica's load, in upstream's order of operations.
    fn may_shrink(&self, spare: &Spare) -> bool {
        if spare.count < 2.0 {
            return false;
        }
        let factor = spare.count / (spare.count - 1.0);
        self.kv - (self.kv - spare.kv) * factor >= self.kv_spare
            && self.queue - (self.queue - spare.queue) * factor >= self.queue_spare
    }
}

impl Policy for Wva {
    type Observation<'a> = Observation;
    /// `desired` is the total; `targets` has each variant's replicas, the note `variant` says which one moves.
    type Decision = Decision;

    fn decide(&mut self, _now: Instant, observation: &Observation) -> (Decision, Reason) {
        let config = &self.config;
        let variants = match variants(observation) {
            Ok(variants) => variants,
            Err(error) => return (Err(error), Reason("no variants")),
        };
        let loads = loads(observation);
        let spare = config.spare(&loads);
        let moving = variants.iter().any(Variant::moves);
        let mut targets: Vec<(String, u32)> = variants.iter().map(|v| (v.name.clone(), v.kept())).collect();
        let total = |targets: &[(String, u32)]| targets.iter().map(|(_, count)| count).sum::<u32>();
        let mut scale = Scale::wish(total(&targets));
        scale.figures.push(("spare_kv", spare.kv));
        scale.figures.push(("spare_queue", spare.queue));
        let (mut chosen, mut change) = (None, 0);
        let reason = if loads.is_empty() {
            scale.limits.push("no metrics".to_owned());
            "no replica reports: as it is"
        } else if moving {
            scale.limits.push("in transition".to_owned());
            "a variant is in transition: the model is frozen"
        } else if spare.kv < config.kv_spare || spare.queue < config.queue_spare {
            scale.raw += 1;
            change = 1;
            // Those with pending replicas are skipped; ties go to the first by name.
            let open = variants.iter().enumerate().filter(|(_, variant)| variant.pending == 0);
            chosen = open.min_by(|(_, a), (_, b)| a.cost.total_cmp(&b.cost)).map(|(place, _)| place);
            if chosen.is_none() {
                scale.limits.push("pending replicas".to_owned());
            }
            "spare capacity is below its trigger"
        } else if config.may_shrink(&spare) {
            scale.raw -= 1;
            change = -1;
            let cheapest = variants.iter().min_by(|a, b| a.cost.total_cmp(&b.cost)).map(|v| &v.name);
            let last = variants.iter().filter(|variant| variant.replicas > 0).count() == 1;
            // The cheapest keeps a replica only when it is the last that has any.
            let kept = |v: &Variant| last && Some(&v.name) == cheapest && v.replicas <= 1;
            let may = variants.iter().enumerate().filter(|(_, v)| v.replicas > 0 && !kept(v));
            // The dearest; of equals the last by name.
            chosen = may.max_by(|(_, a), (_, b)| a.cost.total_cmp(&b.cost)).map(|(place, _)| place);
            if chosen.is_none() {
                scale.limits.push("last replica".to_owned());
            }
            "capacity stays spare with one replica less"
        } else {
            "spare capacity is as it should be"
        };
        if let Some(place) = chosen {
            targets[place].1 = targets[place].1.saturating_add_signed(change);
            scale.notes.push(("variant", targets[place].0.clone()));
        }
        scale.desired = total(&targets);
        if observation.extra.contains_key("variants") {
            scale.targets = targets;
        }
        (Ok(scale), Reason(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::autoscale::{Pod, PodMetric};
    use crate::units::Duration;

    fn seen(loads: &[(f64, f64)]) -> Observation {
        let metric = |value| PodMetric { value, at: Instant::ZERO, window: Duration::ZERO };
        let pod = |&(kv, queue): &(f64, f64)| {
            let metrics = [("kv".to_owned(), metric(kv)), ("queue".to_owned(), metric(queue))].into();
            Pod { metrics, ready: Some(true), ..Pod::default() }
        };
        let pods = loads.iter().map(pod).collect();
        Observation { replicas: loads.len() as u32, pods: Some(pods), ..Observation::default() }
    }

    fn decide(observation: &Observation) -> Scale {
        let config = WvaConfig { kv: 0.8, queue: 5.0, kv_spare: 0.1, queue_spare: 3.0 };
        Wva::new(config).decide(Instant::ZERO, observation).0.unwrap()
    }

    #[test]
    fn triggers() {
        // Spare KV 0.05 < 0.1; spare queue 2.5 < 3; both enough; all saturated.
        assert_eq!(decide(&seen(&[(0.75, 0.0), (0.75, 0.0)])).desired, 3);
        assert_eq!(decide(&seen(&[(0.4, 2.0), (0.4, 3.0)])).desired, 3);
        assert_eq!(decide(&seen(&[(0.6, 1.0), (0.6, 1.0)])).desired, 2);
        assert_eq!(decide(&seen(&[(0.8, 0.0)])).desired, 2);
        // Saturated replicas leave the means: 0.5 spare is 0.3.
        assert_eq!(decide(&seen(&[(0.9, 0.0), (0.5, 0.0)])).desired, 2);
        // One less: 0.6 / 1 leaves 0.2, 2 / 1 leaves 3: down; 0.71 would leave too little.
        assert_eq!(decide(&seen(&[(0.3, 1.0), (0.3, 1.0)])).desired, 1);
        assert_eq!(decide(&seen(&[(0.36, 1.0), (0.35, 1.0)])).desired, 2);
        assert_eq!(decide(&seen(&[(0.0, 0.0)])).desired, 1);
    }

    fn with_variants(mut observation: Observation, variants: serde_json::Value) -> Observation {
        observation.extra.insert("variants".to_owned(), variants);
        observation
    }

    #[test]
    fn variants() {
        let two = |pending| {
            serde_json::json!([{"name": "h100", "cost": 80, "replicas": 1},
                {"name": "a100", "cost": 40, "replicas": 1, "pending": pending},
                {"name": "b", "cost": 80, "replicas": 0}])
        };
        let busy = [(0.75, 0.0), (0.75, 0.0)];
        let idle = [(0.1, 0.0), (0.1, 0.0)];
        let chosen = |loads: &[(f64, f64)], pending| {
            decide(&with_variants(seen(loads), two(pending))).notes[0].1.clone()
        };
        assert_eq!([chosen(&busy, 0), chosen(&busy, 1), chosen(&idle, 0)], ["a100", "b", "h100"]);
    }

    #[test]
    fn transition() {
        let moving = serde_json::json!([{"name": "a", "cost": 1, "replicas": 2, "desired": 3}]);
        let scale = decide(&with_variants(seen(&[(0.75, 0.0), (0.75, 0.0)]), moving));
        assert_eq!((scale.desired, scale.limits), (3, vec!["in transition".to_owned()]));
        // Fewer report than there are; zero desired means that nobody has said.
        let late = serde_json::json!([{"name": "a", "cost": 1, "replicas": 3, "desired": 0, "ready": 2}]);
        let scale = decide(&with_variants(seen(&[(0.75, 0.0), (0.75, 0.0)]), late));
        assert_eq!((scale.desired, scale.limits), (3, vec!["in transition".to_owned()]));
    }

    #[test]
    fn missing_metrics() {
        // Nobody reports: as it is.
        let scale = decide(&Observation::of(3));
        assert_eq!((scale.desired, scale.limits), (3, vec!["no metrics".to_owned()]));
        // One of two does not say its KV usage: saturated, so that nothing goes.
        let mut two = seen(&[(0.3, 1.0), (0.0, 0.0)]);
        two.pods.as_mut().unwrap()[1].metrics.remove("kv");
        assert_eq!(decide(&two).desired, 2);
    }
}
