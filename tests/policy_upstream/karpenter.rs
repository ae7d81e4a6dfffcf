//! `consolidation_test.go`, `balanced_scoring_test.go`, `suite_test.go` (budgets) of kubernetes-sigs/karpenter.

use serde_json::{Value, json};

use super::answers;

fn pool(disruption: &str) -> String {
    format!(
        "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {{name: default}}\nspec:\n  template:\n    \
         spec:\n      expireAfter: Never\n  disruption: {{consolidateAfter: 0s, {disruption}}}\n"
    )
}

/// A type with its price on demand and as spot.
fn kind(name: &str, cpu: f64, price: f64) -> Value {
    json!({"name": name, "allocatable": {"cpu": cpu, "pods": 100}, "offerings": [
        {"capacity_type": "on-demand", "zone": "a", "price": price},
        {"capacity_type": "spot", "zone": "a", "price": price * 0.4}]})
}

/// A type that is sold on demand alone.
fn on_demand(name: &str, cpu: f64, price: f64) -> Value {
    json!({"name": name, "allocatable": {"cpu": cpu, "pods": 100},
        "offerings": [{"capacity_type": "on-demand", "zone": "a", "price": price}]})
}

fn node(name: &str, kind: &str, capacity_type: &str, cpu: f64) -> Value {
    json!({"name": name, "group": "default", "instance_type": kind, "capacity_type": capacity_type, "zone": "a",
        "allocatable": {"cpu": cpu, "pods": 100}, "created_s": -3600})
}

fn pod(name: &str, on: &str, cpu: f64) -> Value {
    json!({"name": name, "node": on, "requests": {"cpu": cpu}})
}

/// The nodes deleted and what is bought: found at 0 s, done at 15 s if it still holds.
fn disrupted(spec: &str, seen: &Value) -> (Vec<String>, Vec<(String, String)>) {
    let at = |t_s: u32| {
        let mut line = seen.clone();
        line["t_s"] = t_s.into();
        line
    };
    let answer = answers(spec, &[at(0), at(15)]).remove(1);
    let (mut gone, mut bought) = (Vec::new(), Vec::new());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for action in answer["actions"].as_array().unwrap() {
        match action["action"].as_str() {
            Some("delete") => gone.extend(action["nodes"].as_array().unwrap().iter().map(text)),
            _ => bought.push((text(&action["instance_type"]), text(&action["capacity_type"]))),
        }
    }
    (gone, bought)
}

#[test]
fn deletes_what_fits_elsewhere() {
    let kinds = json!([on_demand("small", 4.0, 1.0), on_demand("big", 32.0, 8.0)]);
    let seen = |pods: Vec<Value>| {
        json!({"nodes": [node("n1", "big", "on-demand", 32.0), node("n2", "small", "on-demand", 4.0)],
            "pods": pods, "instance_types": kinds})
    };
    let spec = pool("budgets: [{nodes: '100%'}]");
    // Three pods that fit on one of two nodes: one node is left, whichever is cheaper to keep.
    let (gone, bought) =
        disrupted(&spec, &seen(vec![pod("a", "n1", 1.0), pod("b", "n1", 1.0), pod("c", "n2", 1.0)]));
    assert_eq!((gone, bought.len()), (vec!["n1".to_owned()], 0));
    // A pod that may not be disturbed keeps its node.
    let mut kept = pod("a", "n1", 30.0);
    kept["do_not_disrupt"] = true.into();
    assert_eq!(disrupted(&spec, &seen(vec![kept, pod("c", "n2", 4.0)])).0, Vec::<String>::new());
    // Empty nodes go first, all at once.
    assert_eq!(disrupted(&spec, &seen(vec![])).0, ["n1", "n2"]);
    // `WhenEmpty` leaves the others alone.
    let empty_only = pool("consolidationPolicy: WhenEmpty, budgets: [{nodes: '100%'}]");
    let one = seen(vec![pod("a", "n1", 1.0)]);
    assert_eq!(disrupted(&empty_only, &one).0, ["n2"]);
}

#[test]
fn replaces_by_something_cheaper() {
    let seen = |kinds: Value| json!({"nodes": [node("n1", "big", "on-demand", 32.0)], "pods": [pod("a", "n1", 1.0)], "instance_types": kinds});
    let spec = pool("budgets: [{nodes: '100%'}]");
    let (gone, bought) =
        disrupted(&spec, &seen(json!([on_demand("big", 32.0, 8.0), on_demand("small", 4.0, 1.0)])));
    assert_eq!((gone.len(), bought), (1, vec![("small".to_owned(), "on-demand".to_owned())]));
    // Nothing cheaper: it stays.
    assert_eq!(disrupted(&spec, &seen(json!([on_demand("big", 32.0, 8.0)]))).0.len(), 0);
    // On demand to either is forced to spot.
    let (_, bought) = disrupted(&spec, &seen(json!([kind("big", 32.0, 8.0), kind("small", 4.0, 1.0)])));
    assert_eq!(bought, [("small".to_owned(), "spot".to_owned())]);
}

#[test]
fn spot_to_spot() {
    let seen = |cheaper: usize| {
        let mut kinds = vec![kind("big", 32.0, 800.0)];
        kinds.extend((0..cheaper).map(|i| kind(&format!("t{i}"), 4.0, 1.0 + i as f64)));
        json!({"nodes": [node("n1", "big", "spot", 32.0)], "pods": [pod("a", "n1", 1.0)], "instance_types": kinds})
    };
    let pool = pool("budgets: [{nodes: '100%'}]");
    let open = format!("{pool}---\nsettings: {{featureGates: {{spotToSpotConsolidation: true}}}}\n");
    assert_eq!(disrupted(&pool, &seen(20)).0.len(), 0, "the gate is off");
    assert_eq!(disrupted(&open, &seen(14)).0.len(), 0, "fewer than 15 cheaper types");
    assert_eq!(disrupted(&open, &seen(15)).0.len(), 1);
}

#[test]
fn budgets() {
    // Ten empty nodes; (budgets, how many go at once): upstream's rounding is up.
    for (budgets, many) in [
        ("[{nodes: '10%'}]", 1),
        ("[{nodes: '15%'}]", 2),
        ("[{nodes: '0'}]", 0),
        ("[{nodes: '3'}]", 3),
        ("[{nodes: '100%'}]", 10),
        ("[{nodes: '10%'}, {nodes: '100%'}]", 1),
        ("[{nodes: '0', reasons: [Drifted]}, {nodes: '100%'}]", 10),
        ("[{nodes: '0', reasons: [Empty]}, {nodes: '100%'}]", 0),
    ] {
        let nodes: Vec<Value> = (0..10).map(|i| node(&format!("n{i}"), "small", "on-demand", 4.0)).collect();
        let seen = json!({"nodes": nodes, "pods": [], "instance_types": [kind("small", 4.0, 1.0)]});
        assert_eq!(disrupted(&pool(&format!("budgets: {budgets}")), &seen).0.len(), many, "{budgets}");
    }
}

#[test]
fn balanced() {
    // A pool of ten alike nodes with a pod each: a tenth of the cost for a tenth of the disruption, 1 of at least 0.5.
    let nodes: Vec<Value> = (0..10).map(|i| node(&format!("n{i}"), "m7i", "on-demand", 4.0)).collect();
    let pods: Vec<Value> = (0..10).map(|i| pod(&format!("p{i}"), &format!("n{i}"), 0.5)).collect();
    let seen = json!({"nodes": nodes, "pods": pods, "instance_types": [kind("m7i", 4.0, 4.84)]});
    let spec = pool("consolidationPolicy: Balanced, budgets: [{nodes: '1'}]");
    assert_eq!(disrupted(&spec, &seen).0.len(), 1);
    // A node of two with 40 pods, the other with one: half of the cost for 41/43 of the disruption is 0.524; the
    // dearer to disturb goes only where the threshold allows it.
    let many = |count: usize| {
        let mut pods: Vec<Value> = (0..count).map(|i| pod(&format!("h{i}"), "n0", 0.01)).collect();
        pods.push(pod("light", "n1", 3.9));
        json!({"nodes": [node("n0", "m7i", "on-demand", 4.0), node("n1", "m7i", "on-demand", 4.0)], "pods": pods,
            "instance_types": [kind("m7i", 4.0, 4.84)]})
    };
    let strict = pool("consolidationPolicy: Balanced, consolidationThreshold: 1, budgets: [{nodes: '100%'}]");
    assert_eq!(disrupted(&strict, &many(40)).0.iter().filter(|name| *name == "n0").count(), 0);
}

#[test]
fn provisioning_batches() {
    // Pods each 0.5 s: closed one second after the last, at the latest ten seconds after the first.
    let spec = pool("budgets: [{nodes: '100%'}]");
    let line = |i: usize| {
        let pods: Vec<Value> =
            (0..=i).map(|p| json!({"name": format!("p{p}"), "requests": {"cpu": 1}})).collect();
        json!({"t_s": 0.5 * i as f64, "nodes": [], "pods": pods, "instance_types": [kind("big", 64.0, 8.0)]})
    };
    let lines: Vec<Value> = (0..=20).map(line).collect();
    let bought: Vec<usize> = answers(&spec, &lines)
        .iter()
        .enumerate()
        .filter(|(_, answer)| !answer["actions"].as_array().unwrap().is_empty())
        .map(|(i, _)| i)
        .collect();
    assert_eq!(bought, [20]);
}
