//! `binpacking_estimator_test.go`, `eligibility_test.go` and `utilization/info_test.go` of kubernetes/autoscaler.

use serde_json::{Value, json};

use super::answers;

#[test]
fn cluster_autoscaler_estimates() {
    // Figures of `TestBinpackingEstimate`: ten pods of 350 m and 1000 B.
    let nodes = |resources: &str, ports: bool, most: u32| {
        let spec = format!(
            "policy: cluster-autoscaler\nnodeGroups:\n- {{name: g, min: 0, max: {most}, resources: {resources}}}\n"
        );
        let pods: Vec<Value> = (0..10)
            .map(|i| {
                let mut pod = json!({"name": format!("p{i}"), "requests": {"cpu": "350m", "memory": 1000}});
                if ports {
                    pod["host_ports"] = json!([5555]);
                }
                pod
            })
            .collect();
        let answer = &answers(&spec, &[json!({"t_s": 0, "nodes": [], "pods": pods})])[0];
        let action = &answer["actions"][0];
        (action["count"].as_u64().unwrap(), action["pods"].as_array().unwrap().len())
    };
    assert_eq!(nodes("{cpu: 1050m, memory: 2000, pods: 10}", false, 100), (5, 10));
    assert_eq!(nodes("{cpu: 4, memory: 40000, pods: 1}", false, 100), (10, 10));
    assert_eq!(nodes("{cpu: 4, memory: 40000, pods: 10}", true, 100), (10, 10));
    assert_eq!(nodes("{cpu: 1050m, memory: 2000, pods: 10}", false, 2), (2, 4));
}

/// Whether a node of 2 cores and 2 MB with these pods is removable at a threshold; `TestCalculate`'s figures.
fn removable(flags: &str, pods: &[Value], threshold: f64) -> bool {
    let spec = format!(
        "policy: cluster-autoscaler\nflags: {{scale-down-utilization-threshold: {threshold}, \
         scale-down-unneeded-time: 0s, scale-down-delay-after-add: 0s{flags}}}\nnodeGroups:\n\
         - {{name: g, min: 0, max: 10, resources: {{cpu: 2, memory: 2000000, pods: 100}}}}\n"
    );
    let node = |name: &str| json!({"name": name, "group": "g", "allocatable": {"cpu": 2, "memory": 2_000_000, "pods": 100}});
    let mut full = json!({"name": "full", "node": "other", "requests": {"cpu": 1.2, "memory": 1_200_000}});
    full["safe_to_evict"] = false.into();
    let pods: Vec<Value> = pods.iter().cloned().chain([full]).collect();
    let line = |t_s: u32| json!({"t_s": t_s, "nodes": [node("node1"), node("other")], "pods": pods});
    let answer = answers(&spec, &[line(0), line(1)]).remove(1);
    answer["actions"].as_array().unwrap().iter().any(|action| action["nodes"] == json!(["node1"]))
}

#[test]
fn utilization() {
    let pod =
        |name: &str| json!({"name": name, "node": "node1", "requests": {"cpu": "100m", "memory": 200_000}});
    let with = |name: &str, field: &str| {
        let mut made = pod(name);
        made[field] = true.into();
        made
    };
    let two = [pod("p1"), pod("p2")];
    // Exactly at the threshold is removable, a little above is not: (flags, pods, utilization).
    for (flags, pods, used) in [
        ("", two.to_vec(), 0.2),
        (
            ", ignore-daemonsets-utilization: true",
            [&two[..], &[with("d1", "daemonset"), with("d2", "daemonset")]].concat(),
            0.25,
        ),
        ("", vec![pod("p1"), with("d1", "daemonset")], 0.2),
        ("", [&two[..], &[with("gone", "deleting")]].concat(), 0.2),
        (", ignore-mirror-pods-utilization: true", [&two[..], &[with("m", "mirror")]].concat(), 2.0 / 9.0),
        ("", vec![pod("p1"), with("m", "mirror")], 0.2),
        (
            ", ignore-daemonsets-utilization: true, ignore-mirror-pods-utilization: true",
            vec![pod("p1"), with("m", "mirror"), with("d", "daemonset")],
            1.0 / 8.0,
        ),
    ] {
        assert!(removable(flags, &pods, used + 1e-9), "{flags}");
        assert!(!removable(flags, &pods, used - 1e-3), "{flags}");
    }
}

/// The nodes unneeded at once; `TestFilterOutUnremovable`'s figures.
fn unneeded(flags: &str, node: Value, pods: &[(&str, f64, bool)]) -> usize {
    let spec = format!(
        "policy: cluster-autoscaler\nflags: {{scale-down-unneeded-time: 0s, scale-down-unready-time: 0s, \
         scale-down-delay-after-add: 0s{flags}}}\nnodeGroups:\n\
         - {{name: ng1, min: 1, max: 10, resources: {{cpu: 1, memory: 10}}}}\n"
    );
    let mut regular = json!({"group": "ng1", "allocatable": {"cpu": 1, "memory": 10}});
    for (key, value) in node.as_object().unwrap() {
        regular[key] = value.clone();
    }
    let empty = json!({"name": "spare", "group": "ng1", "scale_down_disabled": true, "allocatable": {"cpu": 1, "memory": 10}});
    let pods: Vec<Value> = pods
        .iter()
        .map(|(name, cpu, daemon)| json!({"name": name, "node": "n", "requests": {"cpu": cpu}, "daemonset": daemon}))
        .collect();
    regular["name"] = "n".into();
    let line = |t_s: u32| json!({"t_s": t_s, "nodes": [regular, empty], "pods": pods});
    answers(&spec, &[line(0), line(1)])[1]["actions"].as_array().unwrap().len()
}

#[test]
fn eligibility() {
    let plain = || json!({});
    assert_eq!(unneeded("", plain(), &[]), 1, "a regular node stays a candidate");
    assert_eq!(unneeded("", json!({"deleting": true}), &[]), 0, "one that goes already does not");
    assert_eq!(unneeded("", json!({"scale_down_disabled": true}), &[]), 0);
    assert_eq!(unneeded("", plain(), &[("bigPod", 0.6, false)]), 0);
    assert_eq!(unneeded("", plain(), &[("smallPod", 0.1, false)]), 1);
    assert_eq!(unneeded("", json!({"ready": false}), &[]), 1);
    assert_eq!(unneeded(", scale-down-unready-enabled: false", json!({"ready": false}), &[]), 0);
    let daemons = [("smallPod", 0.1, false), ("dsPod", 0.5, true)];
    assert_eq!(unneeded("", plain(), &daemons), 0);
    assert_eq!(unneeded(", ignore-daemonsets-utilization: true", plain(), &daemons), 1);
}
