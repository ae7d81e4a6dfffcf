//! `internal/saturation/analyzer_test.go` of llm-d/workload-variant-autoscaler.

use serde_json::{Value, json};

use super::answers;

const SPEC: &str = "policy: wva\nkvCacheThreshold: 0.80\nqueueLengthThreshold: 5\nkvSpareTrigger: 0.10\nqueueSpareTrigger: 3\n";

fn pods(variant: &str, loads: &[(f64, u32)]) -> Vec<Value> {
    let pod = |(i, (kv, queue)): (usize, &(f64, u32))| {
        json!({"name": format!("{variant}-{i}"), "variant": variant,
            "metrics": {"kv_cache_usage": {"value": kv}, "queue_length": {"value": queue}}})
    };
    loads.iter().enumerate().map(pod).collect()
}

fn decide(variants: Value, pods: Vec<Value>) -> Value {
    answers(SPEC, &[json!({"t_s": 0, "variants": variants, "pods": pods})]).remove(0)
}

/// Of one variant with as many replicas as report.
fn alone(loads: &[(f64, u32)]) -> u64 {
    let variants = json!([{"name": "v1", "cost": 10, "replicas": loads.len()}]);
    decide(variants, pods("v1", loads))["desired"].as_u64().unwrap()
}

#[test]
fn analysis() {
    assert_eq!(alone(&[(0.75, 2), (0.76, 2)]), 3, "low KV spare");
    assert_eq!(alone(&[(0.50, 3), (0.50, 3)]), 3, "low queue spare");
    assert_eq!(alone(&[(0.50, 1), (0.50, 1)]), 2, "healthy; with one less too full");
    assert_eq!(alone(&[(0.20, 1), (0.30, 1), (0.25, 1)]), 2, "safe to shrink");
    assert_eq!(alone(&[(0.70, 2), (0.75, 2)]), 3);
    assert_eq!(alone(&[(0.50, 2)]), 1, "only one that is not saturated");
    assert_eq!(alone(&[(0.85, 2), (0.50, 6), (0.90, 7)]), 4, "all saturated");
    // Over two variants: spare 0.125 and 3.0, both at least their triggers, and with one less too full.
    let loads =
        [pods("variant-1", &[(0.70, 2), (0.75, 3)]), pods("variant-2", &[(0.60, 1), (0.65, 2)])].concat();
    let two = json!([{"name": "variant-1", "cost": 1, "replicas": 2}, {"name": "variant-2", "cost": 1, "replicas": 2}]);
    let answer = decide(two, loads);
    assert_eq!(answer["targets"], json!({"variant-1": 2, "variant-2": 2}));
    assert!((answer["spare_kv"].as_f64().unwrap() - 0.125).abs() < 1e-9);
    // Nobody reports: nothing changes.
    assert_eq!(decide(json!([{"name": "v1", "cost": 1, "replicas": 3}]), vec![])["desired"], 3);
}

/// The variants of the cases, with what differs of the first.
fn three(first: Value) -> Value {
    let mut first = first;
    first["name"] = "v1-expensive".into();
    first["cost"] = 20.into();
    json!([first, {"name": "v2-cheap", "cost": 5, "replicas": 2, "desired": 0},
        {"name": "v3-medium", "cost": 15, "replicas": 2, "desired": 0}])
}

fn loads(kv: f64) -> Vec<Value> {
    ["v1-expensive", "v2-cheap", "v3-medium"]
        .iter()
        .flat_map(|name| pods(name, &[(kv, 1), (kv, 1)]))
        .collect()
}

#[test]
fn targets() {
    let stable = || three(json!({"replicas": 2, "desired": 0}));
    let up = decide(stable(), loads(0.75));
    assert_eq!(up["targets"], json!({"v1-expensive": 2, "v2-cheap": 3, "v3-medium": 2}));
    let down = decide(stable(), loads(0.10));
    assert_eq!(down["targets"], json!({"v1-expensive": 1, "v2-cheap": 2, "v3-medium": 2}));
    // Four wanted of which two are there: the model is frozen, what was wanted is kept.
    let moving = decide(three(json!({"replicas": 2, "desired": 4})), loads(0.75));
    assert_eq!(moving["targets"], json!({"v1-expensive": 4, "v2-cheap": 2, "v3-medium": 2}));
    // Three are there, two report.
    let pending = decide(three(json!({"replicas": 3, "desired": 0, "pending": 1})), loads(0.75));
    assert_eq!(pending["targets"], json!({"v1-expensive": 3, "v2-cheap": 2, "v3-medium": 2}));
}

#[test]
fn what_does_not_report_is_saturated() {
    let mut two = pods("v1", &[(0.30, 1), (0.0, 1)]);
    two[1]["metrics"].as_object_mut().unwrap().remove("kv_cache_usage");
    assert_eq!(decide(json!([{"name": "v1", "cost": 1, "replicas": 2}]), two)["desired"], 2);
}
