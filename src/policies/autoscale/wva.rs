//! The llm-d workload variant autoscaler in saturation mode.
//!
//! Source: `internal/saturation` of llm-d-incubation/workload-variant-autoscaler b08b1c7 and its
//! saturation-scaling ConfigMap. A model is served by variants (accelerators at a cost); replicas report KV
//! usage and queue length. Rules and tests: spare capacity up and down (`triggers`), choice of the variant
//! (`variants`), transition (`transition`). The interval is 60 s in its documents and 15 s in its code: the
//! recording decides. Not built: the model-based mode, scale to and from zero.

use super::{CannotScale, Decision, Observation, Scale};
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
    desired: u32,
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
            desired: observation.replicas,
        }]);
    };
    let list = list.as_array().ok_or_else(|| CannotScale::new("variants has to be a list"))?;
    let mut variants = Vec::new();
    for item in list {
        let number = |name: &str| item.get(name).and_then(serde_json::Value::as_f64);
        let name = item.get("name").and_then(serde_json::Value::as_str);
        let name = name.ok_or_else(|| CannotScale::new("a variant has no name"))?.to_owned();
        let cost = number("cost").ok_or_else(|| CannotScale(format!("variant {name} has no cost")))?;
        let replicas = number("replicas").unwrap_or(0.0) as u32;
        let pending = number("pending").unwrap_or(0.0) as u32;
        let desired = number("desired").map_or(replicas, |count| count as u32);
        variants.push(Variant { name, cost, replicas, pending, desired });
    }
    variants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(variants)
}

/// KV usage and queue length of each replica that reports.
fn loads(observation: &Observation) -> Vec<(f64, f64)> {
    let pods = observation.pods.iter().flatten().filter(|pod| !pod.deleting);
    pods.filter_map(|pod| {
        let metric = |names: [&str; 2]| names.iter().find_map(|name| pod.metrics.get(*name)).map(|m| m.value);
        Some((metric(["kv", "kv_cache_usage"])?, metric(["queue", "queue_length"])?))
    })
    .collect()
}

impl Policy for Wva {
    type Observation<'a> = Observation;
    /// `desired` is the total; the note `variant` says which one moves.
    type Decision = Decision;

    fn decide(&mut self, _now: Instant, observation: &Observation) -> (Decision, Reason) {
        let config = &self.config;
        let mut variants = match variants(observation) {
            Ok(variants) => variants,
            Err(error) => return (Err(error), Reason("no variants")),
        };
        let loads = loads(observation);
        if loads.is_empty() {
            return (Err(CannotScale::new("no saturation metrics for any replica")), Reason("no metrics"));
        }
        let free = loads.iter().filter(|(kv, queue)| *kv < config.kv && *queue < config.queue);
        let count = free.clone().count() as f64;
        let (mut kv, mut queue) = (0.0, 0.0);
        let (mut spare_kv, mut spare_queue) = (0.0, 0.0);
        for (used, waiting) in free {
            kv += used;
            queue += waiting;
            spare_kv += config.kv - used;
            spare_queue += config.queue - waiting;
        }
        let divisor = count.max(1.0);
        (spare_kv, spare_queue) = (spare_kv / divisor, spare_queue / divisor);
        let total: u32 = variants.iter().map(|variant| variant.desired).sum();
        let mut scale = Scale::wish(total);
        scale.figures.push(("spare_kv", spare_kv));
        scale.figures.push(("spare_queue", spare_queue));
        let moving = variants.iter().any(|variant| variant.desired != variant.replicas);
        if moving {
            scale.limits.push("in transition".to_owned());
            return (Ok(scale), Reason("a variant is in transition: the model is frozen"));
        }
        let up = spare_kv < config.kv_spare || spare_queue < config.queue_spare;
        let down = count >= 2.0
            && config.kv - kv / (count - 1.0) >= config.kv_spare
            && config.queue - queue / (count - 1.0) >= config.queue_spare;
        let reason = if up {
            scale.raw = i64::from(total) + 1;
            // Those with pending replicas are skipped; ties go to the first by name.
            let open = variants.iter_mut().filter(|variant| variant.pending == 0);
            let Some(cheapest) = open.min_by(|a, b| a.cost.total_cmp(&b.cost)) else {
                scale.limits.push("pending replicas".to_owned());
                return (Ok(scale), Reason("spare capacity is low, but every variant has pending replicas"));
            };
            scale.desired = total + 1;
            scale.notes.push(("variant", cheapest.name.clone()));
            "spare capacity is below its trigger"
        } else if down {
            scale.raw = i64::from(total) - 1;
            let running: Vec<&Variant> = variants.iter().filter(|variant| variant.replicas > 0).collect();
            let cheapest = variants.iter().min_by(|a, b| a.cost.total_cmp(&b.cost)).map(|v| v.name.clone());
            let last = running.len() == 1;
            let may = |variant: &&&Variant| {
                // The cheapest keeps a replica only when it is the last that has any.
                !(last && Some(&variant.name) == cheapest.as_ref() && variant.replicas <= 1)
            };
            // The dearest; of equals the first by name.
            let dearest = running.iter().filter(may).rev().max_by(|a, b| a.cost.total_cmp(&b.cost));
            let Some(dearest) = dearest else {
                scale.limits.push("last replica".to_owned());
                return (Ok(scale), Reason("the last variant keeps its last replica"));
            };
            scale.desired = total - 1;
            scale.notes.push(("variant", dearest.name.clone()));
            "capacity stays spare with one replica less"
        } else {
            "spare capacity is as it should be"
        };
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
    }
}
