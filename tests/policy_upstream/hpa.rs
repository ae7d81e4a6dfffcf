//! `replica_calculator_test.go` and `horizontal_test.go` of kubernetes/kubernetes.

use serde_json::{Value, json};

use super::desired;

/// No limit of its own on the way up: the calculator's figures as they are.
const FREE: &str = "  behavior: {scaleUp: {policies: [{type: Percent, value: 900, periodSeconds: 15}]}}\n";

const HPA: &str = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec:\n  \
                   scaleTargetRef: {kind: Deployment, name: d}\n  minReplicas: 1\n  maxReplicas: 100\n";

/// A case of `replica_calculator_test.go` on cpu: pods are ready and old unless said otherwise.
#[derive(Default)]
struct Case<'a> {
    current: u32,
    target: u32,
    requests: &'a [f64],
    levels: &'a [u32],
    unready: &'a [usize],
    young: &'a [usize],
    pending: &'a [usize],
    failed: &'a [usize],
    deleting: &'a [usize],
}

/// What the calculator's cases ask of the pods; they have no history.
fn calculated(case: &Case<'_>) -> Option<u64> {
    let pods: Vec<Value> = (0..case.requests.len())
        .map(|i| {
            let phase = match () {
                () if case.pending.contains(&i) => "Pending",
                () if case.failed.contains(&i) => "Failed",
                () => "Running",
            };
            let mut pod = json!({
                "name": format!("p{i}"), "phase": phase, "ready": !case.unready.contains(&i),
                "deleting": case.deleting.contains(&i), "requests": {"cpu": case.requests[i]},
                "start_s": if case.young.contains(&i) { 10_000 } else { 0 }, "metrics": {},
            });
            if let Some(level) = case.levels.get(i) {
                pod["metrics"]["cpu"] =
                    json!({"value": f64::from(*level) / 1000.0, "at_s": 10_000, "window_s": 60});
            }
            pod
        })
        .collect();
    let spec = format!(
        "{HPA}  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, \
         averageUtilization: {}}}}}}}]\n{FREE}",
        case.target
    );
    let line =
        json!({"t_s": 10_000, "replicas": case.current, "pods": pods, "history": {"recommendations": []}});
    desired(&spec, line)
}

#[test]
fn hpa_resource_cases() {
    let one = |count: usize| vec![1.0; count];
    // (name, expected, case)
    for (name, expected, case) in [
        (
            "up",
            5,
            Case { current: 3, target: 30, requests: &one(3), levels: &[300, 500, 700], ..Case::default() },
        ),
        (
            "up, unready counts as nothing",
            4,
            Case {
                current: 3,
                target: 30,
                requests: &one(3),
                levels: &[300, 500, 700],
                unready: &[0],
                ..Case::default()
            },
        ),
        (
            "up, a hot new pod counts as nothing",
            4,
            Case {
                current: 3,
                target: 30,
                requests: &one(3),
                levels: &[300, 500, 700],
                young: &[0],
                ..Case::default()
            },
        ),
        (
            "two unready, no scale",
            3,
            Case {
                current: 3,
                target: 30,
                requests: &one(3),
                levels: &[400, 500, 700],
                unready: &[1, 2],
                ..Case::default()
            },
        ),
        (
            "failed pods are ignored",
            4,
            Case {
                current: 2,
                target: 30,
                requests: &one(4),
                levels: &[500, 700],
                unready: &[2, 3],
                failed: &[2, 3],
                ..Case::default()
            },
        ),
        (
            "deleted pods are ignored",
            4,
            Case {
                current: 2,
                target: 30,
                requests: &one(4),
                levels: &[500, 700],
                unready: &[2, 3],
                deleting: &[2, 3],
                ..Case::default()
            },
        ),
        (
            "down",
            3,
            Case {
                current: 5,
                target: 50,
                requests: &one(5),
                levels: &[100, 300, 500, 250, 250],
                ..Case::default()
            },
        ),
        (
            "down, unready pods leave the sum",
            2,
            Case {
                current: 5,
                target: 50,
                requests: &one(5),
                levels: &[100, 300, 500, 250, 250],
                unready: &[3, 4],
                ..Case::default()
            },
        ),
        (
            "down, new pods leave the sum",
            2,
            Case {
                current: 5,
                target: 50,
                requests: &one(5),
                levels: &[100, 300, 500, 250, 250],
                young: &[3, 4],
                ..Case::default()
            },
        ),
        (
            "down, unscheduled pods leave the sum",
            1,
            Case {
                current: 5,
                target: 50,
                requests: &one(5),
                levels: &[100],
                unready: &[1, 2, 3, 4],
                pending: &[1, 2, 3, 4],
                ..Case::default()
            },
        ),
        (
            "down, failed pods are ignored",
            3,
            Case {
                current: 5,
                target: 50,
                requests: &one(7),
                levels: &[100, 300, 500, 250, 250],
                unready: &[5, 6],
                failed: &[5, 6],
                ..Case::default()
            },
        ),
        (
            "tolerated",
            3,
            Case {
                current: 3,
                target: 100,
                requests: &[0.9, 1.0, 1.1],
                levels: &[1010, 1030, 1020],
                ..Case::default()
            },
        ),
        (
            "far above",
            24,
            Case {
                current: 4,
                target: 100,
                requests: &one(4),
                levels: &[4000, 9500, 3000, 7000],
                ..Case::default()
            },
        ),
        (
            "two of four missing, down",
            3,
            Case { current: 4, target: 100, requests: &one(4), levels: &[400, 95], ..Case::default() },
        ),
        (
            "one missing, at the target",
            2,
            Case { current: 2, target: 100, requests: &one(2), levels: &[1000], ..Case::default() },
        ),
        (
            "one missing, above",
            2,
            Case { current: 2, target: 100, requests: &one(2), levels: &[1900], ..Case::default() },
        ),
        (
            "one missing, below",
            2,
            Case { current: 2, target: 100, requests: &one(2), levels: &[600], ..Case::default() },
        ),
        (
            "one missing, one unready, below",
            3,
            Case {
                current: 3,
                target: 50,
                requests: &one(3),
                levels: &[100, 450],
                unready: &[0],
                ..Case::default()
            },
        ),
        (
            "one missing, one hot, below",
            3,
            Case {
                current: 3,
                target: 50,
                requests: &one(3),
                levels: &[100, 450],
                young: &[0],
                ..Case::default()
            },
        ),
        (
            "one missing, one unready, above",
            4,
            Case {
                current: 3,
                target: 50,
                requests: &one(3),
                levels: &[100, 2000],
                unready: &[0],
                ..Case::default()
            },
        ),
        (
            "one missing, one unready, far below",
            3,
            Case {
                current: 4,
                target: 50,
                requests: &one(4),
                levels: &[100, 100, 100],
                unready: &[0],
                ..Case::default()
            },
        ),
        (
            "a rolling update's surge",
            2,
            Case { current: 2, target: 50, requests: &one(3), levels: &[100, 100], ..Case::default() },
        ),
        (
            "out of the tolerance",
            9,
            Case {
                current: 10,
                target: 56,
                requests: &[0.4, 0.2, 0.31, 0.29, 0.302, 0.298, 0.301, 0.299, 0.3, 0.3],
                levels: &[150; 10],
                ..Case::default()
            },
        ),
        (
            "just within it",
            10,
            Case {
                current: 10,
                target: 55,
                requests: &[0.4, 0.2, 0.31, 0.29, 0.302, 0.298, 0.301, 0.299, 0.3, 0.3],
                levels: &[150; 10],
                ..Case::default()
            },
        ),
    ] {
        assert_eq!(calculated(&case), Some(expected), "{name}");
    }
    // No metrics at all, and no requests, are errors.
    assert_eq!(calculated(&Case { current: 4, target: 100, requests: &[1.0; 3], ..Case::default() }), None);
}

/// A custom metric: kind of the source, target, level(s); in thousandths.
fn metric_of(kind: &str, target: u32, per_pod: bool) -> String {
    let amount = format!("{target}m");
    let goal = if per_pod {
        format!("type: AverageValue, averageValue: {amount}")
    } else {
        format!("type: Value, value: {amount}")
    };
    let inner = match kind {
        "Pods" => format!("pods: {{metric: {{name: qps}}, target: {{{goal}}}}}"),
        "Object" => format!(
            "object: {{describedObject: {{kind: Deployment, name: d}}, metric: {{name: qps}}, target: {{{goal}}}}}"
        ),
        _ => format!("external: {{metric: {{name: qps}}, target: {{{goal}}}}}"),
    };
    format!("{HPA}  metrics: [{{type: {kind}, {inner}}}]\n{FREE}")
}

#[test]
fn hpa_custom_metric_cases() {
    // (current, target, levels of the pods, unready, expected)
    for (current, target, levels, unready, expected) in [
        (3, 15_000, vec![20_000, 10_000, 30_000], vec![], 4),
        (3, 15_000, vec![50_000, 10_000, 30_000], vec![2], 6),
        (3, 15_000, vec![50_000, 15_000, 30_000], vec![0, 2], 7),
        (5, 20_000, vec![12_000; 5], vec![], 3),
        (3, 20_000, vec![20_000, 21_000, 21_000], vec![], 3),
        (1, 4_400, vec![8_600], vec![], 2),
    ] {
        let pods: Vec<Value> = levels
            .iter()
            .enumerate()
            .map(|(i, level)| {
                json!({"name": format!("p{i}"), "ready": !unready.contains(&i),
                    "metrics": {"qps": {"value": f64::from(*level) / 1000.0}}})
            })
            .collect();
        let line = json!({"t_s": 0, "replicas": current, "pods": pods, "history": {"recommendations": []}});
        assert_eq!(desired(&metric_of("Pods", target, true), line), Some(expected), "{levels:?}");
    }
    // (kind, current, target, per pod, level, ready pods, expected)
    for (kind, current, target, per_pod, level, ready, expected) in [
        ("Object", 3, 15_000, false, 20_000, 3, 4),
        ("Object", 3, 5_000, true, 20_000, 3, 4),
        ("Object", 3, 10_000, false, 50_000, 1, 5),
        ("Object", 5, 2_000, true, 6_000, 5, 3),
        ("Object", 5, 20_000, false, 12_000, 5, 3),
        ("Object", 3, 20_000, false, 20_666, 3, 3),
        ("Object", 4, 5_000, true, 20_166, 4, 4),
        ("External", 3, 4_400, false, 8_600, 1, 2),
        ("External", 3, 2_150, true, 8_600, 3, 4),
        ("External", 5, 14_334, false, 8_600, 5, 3),
        ("External", 5, 2_867, true, 8_600, 5, 3),
        ("External", 3, 8_888, false, 8_600, 3, 3),
        ("External", 3, 2_900, true, 8_600, 3, 3),
    ] {
        let pods: Vec<Value> =
            (0..current).map(|i| json!({"name": format!("p{i}"), "ready": i < ready})).collect();
        let line = json!({"t_s": 0, "replicas": current, "pods": pods, "metrics": {"qps": f64::from(level) / 1000.0},
            "history": {"recommendations": []}});
        assert_eq!(
            desired(&metric_of(kind, target, per_pod), line),
            Some(expected),
            "{kind} {target} {level}"
        );
    }
}

#[test]
fn hpa_rate_policies() {
    // Figures of `TestScalingWithRules`: (history of changes at 60 s before, policies, current, wish, expected).
    let run = |events: &[i64], behavior: &str, current: u32, wish: u32| {
        let spec = format!(
            "{HPA}  metrics: [{{type: External, external: {{metric: {{name: q}}, target: {{type: AverageValue, \
             averageValue: 1}}}}}}]\n  behavior: {{{behavior}}}\n"
        )
        .replace("maxReplicas: 100", "maxReplicas: 1000");
        let events: Vec<Value> = events.iter().map(|change| json!({"t_s": 940, "change": change})).collect();
        let line = json!({"t_s": 1000, "replicas": current, "metrics": {"q": wish},
            "history": {"recommendations": [], "events": events}});
        desired(&spec, line).unwrap()
    };
    let up = |policies: &str| {
        format!("scaleUp: {{policies: [{policies}]}}, scaleDown: {{stabilizationWindowSeconds: 0}}")
    };
    let pods = |value: u32| format!("{{type: Pods, value: {value}, periodSeconds: 120}}");
    let percent = |value: u32| format!("{{type: Percent, value: {value}, periodSeconds: 120}}");
    let both = format!("{}, {}", pods(10), percent(10));
    assert_eq!(run(&[], &up(&pods(10)), 100, 500), 110);
    assert_eq!(run(&[], &up(&percent(10)), 10, 500), 11);
    assert_eq!(run(&[], &up(&format!("{}, {}", percent(200), pods(20))), 10, 500), 30);
    // Three or more in the period count as added already.
    assert_eq!(run(&[5], &up(&pods(10)), 10, 500), 15);
    assert_eq!(run(&[15], &up(&pods(10)), 30, 500), 30);
    assert_eq!(run(&[5], &up(&percent(200)), 15, 500), 30);
    // What went in the period may come again.
    assert_eq!(run(&[-10], &up(&pods(10)), 30, 500), 50);
    let min = |policies: &str| format!("scaleUp: {{selectPolicy: Min, policies: [{policies}]}}");
    // 50 · 1.1 is a little more than 55 in binary, there as here.
    assert_eq!(run(&[], &min(&both), 50, 500), 56);
    let down =
        |policies: &str| format!("scaleDown: {{stabilizationWindowSeconds: 0, policies: [{policies}]}}");
    assert_eq!(run(&[], &down(&pods(30)), 100, 5), 70);
    assert_eq!(run(&[], &down(&percent(60)), 100, 5), 40);
    assert_eq!(run(&[-2], &down(&percent(50)), 10, 5), 6);
    assert_eq!(run(&[-50], &down(&pods(5)), 100, 5), 100);
    assert_eq!(run(&[20], &down(&pods(5)), 100, 5), 75);
}
