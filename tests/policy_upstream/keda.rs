//! `scale_jobs_test.go`, `scale_metrics_test.go`, `scale_scaledobjects_test.go` and `fallback_test.go` of
//! kedacore/keda.

use serde_json::{Value, json};

use super::{answers, desired};

fn job(more: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nmetadata: {{name: j}}\nspec:\n  jobTargetRef: {{}}\n{more}"
    )
}

const QUEUE: &str = "  triggers: [{type: rabbitmq, name: queue, metadata: {value: '1'}}]\n";

#[test]
fn strategies_of_jobs() {
    let custom = |deduction: i32, share: &str| {
        format!(
            "strategy: custom, customScalingQueueLengthDeduction: {deduction}, customScalingRunningJobPercentage: \
                 '{share}'"
        )
    };
    // (strategy, jobs wanted, running, pending, maximum, effective)
    for (strategy, wanted, running, pending, max, effective) in [
        ("strategy: default".to_owned(), 3, 2, 0, 5, 1),
        ("strategy: default".to_owned(), 2, 0, 0, 5, 2),
        (custom(1, "0.5"), 3, 2, 0, 5, 1),
        (custom(1, "0.5"), 10, 0, 0, 10, 9),
        ("strategy: custom".to_owned(), 3, 2, 0, 5, 1),
        (custom(1, ""), 3, 2, 0, 5, 1),
        (custom(2, "0"), 3, 2, 0, 5, 1),
        (custom(-2, "0"), 3, 2, 0, 4, 4),
        ("strategy: custom, customScalingRunningJobPercentage: '0.5'".to_owned(), 3, 2, 0, 5, 2),
        ("strategy: custom, customScalingRunningJobPercentage: '0.5'".to_owned(), 10, 0, 0, 10, 10),
        ("strategy: accurate".to_owned(), 3, 2, 0, 5, 3),
        ("strategy: accurate".to_owned(), 5, 2, 0, 5, 3),
        ("strategy: accurate".to_owned(), 3, 4, 2, 10, 1),
        ("strategy: accurate".to_owned(), 5, 4, 2, 5, 1),
        ("strategy: accurate".to_owned(), 3, 3, 3, 5, 0),
        ("strategy: accurate".to_owned(), 15, 15, 15, 20, 0),
        ("strategy: accurate".to_owned(), 20, 15, 10, 20, 5),
        ("strategy: eager".to_owned(), 4, 3, 0, 10, 4),
        ("strategy: eager".to_owned(), 4, 0, 3, 10, 4),
        ("strategy: eager".to_owned(), 4, 7, 0, 10, 3),
        ("strategy: eager".to_owned(), 4, 1, 6, 10, 3),
        ("strategy: eager".to_owned(), 15, 0, 0, 10, 10),
    ] {
        let spec = job(&format!("  maxReplicaCount: {max}\n  scalingStrategy: {{{strategy}}}\n{QUEUE}"));
        let line = json!({"t_s": 0, "replicas": running, "pending": pending, "metrics": {"queue": wanted}});
        let answer = &answers(&spec, &[line])[0];
        assert_eq!(answer["effective_max_scale"], effective, "{strategy} {wanted} {running} {pending}");
    }
}

#[test]
fn jobs_always_there() {
    let spec = |min: u32| job(&format!("  minReplicaCount: {min}\n{QUEUE}"));
    let line = |running: u32, queue: u32| json!({"t_s": 0, "replicas": running, "metrics": {"queue": queue}});
    assert_eq!(desired(&spec(2), line(0, 0)), Some(2));
    assert_eq!(desired(&spec(2), line(1, 0)), Some(1));
    assert_eq!(desired(&spec(1), line(1, 2)), Some(2));
}

#[test]
fn pending_jobs_by_their_pods() {
    let spec = job(&format!("  maxReplicaCount: 20\n  scalingStrategy: {{strategy: accurate}}\n{QUEUE}"));
    for (phase, pending) in [("Succeeded", 0), ("Running", 0), ("Failed", 1), ("Pending", 1), ("Unknown", 1)]
    {
        let line = json!({"t_s": 0, "replicas": 1, "pods": [{"name": "p", "phase": phase}], "metrics": {"queue": 5}});
        assert_eq!(answers(&spec, &[line])[0]["pending"], pending, "{phase}");
    }
}

#[test]
fn several_triggers_of_a_job() {
    // Queues and targets of four triggers, the last of which is not active.
    let triggers: Vec<String> = [1, 2, 3, 4]
        .iter()
        .enumerate()
        .map(|(i, target)| format!("{{type: t, name: t{i}, metadata: {{value: '{target}'}}}}"))
        .collect();
    let line = json!({"t_s": 0, "replicas": 0, "metrics": {"t0": 20, "t1": 10, "t2": 5, "t3": {"value": 7, "active": false}}});
    for (max, how, jobs) in
        [(100, "max", 20), (100, "min", 2), (100, "avg", 9), (100, "sum", 27), (25, "sum", 25)]
    {
        let spec = job(&format!(
            "  maxReplicaCount: {max}\n  scalingStrategy: {{multipleScalersCalculation: {how}}}\n  triggers: [{}]\n",
            triggers.join(", ")
        ));
        assert_eq!(answers(&spec, std::slice::from_ref(&line))[0]["raw"], jobs, "{how} {max}");
    }
    let one = job("  triggers: [{type: t, name: t, metadata: {value: '2'}}]\n");
    let seen = |queue: u32| {
        answers(&one, &[json!({"t_s": 0, "replicas": 0, "metrics": {"t": queue}})])[0]["raw"].clone()
    };
    assert_eq!([seen(20), seen(0)], [json!(10), json!(0)]);
}

fn object(annotations: &str, more: &str) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: o, annotations: {{{annotations}}}}}\n\
         spec:\n  scaleTargetRef: {{name: d}}\n{more}  \
         triggers: [{{type: prometheus, name: q, metadata: {{threshold: '10'}}}}]\n"
    )
}

fn seen(replicas: u32, active: bool) -> Value {
    let queue = if active { 1 } else { 0 };
    json!({"t_s": 0, "replicas": replicas, "metrics": {"q": {"value": queue, "active": active}}})
}

#[test]
fn executor() {
    // (annotations, settings, replicas, active, wanted)
    for (annotations, settings, replicas, active, wanted) in [
        ("", "  minReplicaCount: 0\n", 10, false, 0),
        ("", "  minReplicaCount: 5\n", 1, false, 5),
        ("", "  minReplicaCount: 0\n", 0, true, 1),
        ("", "  minReplicaCount: 5\n  idleReplicaCount: 0\n", 10, false, 0),
        ("", "  minReplicaCount: 5\n  idleReplicaCount: 0\n", 0, true, 5),
        ("", "  minReplicaCount: 5\n  idleReplicaCount: 0\n", 2, true, 5),
        ("autoscaling.keda.sh/paused-replicas: '0'", "", 2, true, 0),
        ("autoscaling.keda.sh/paused-scale-in: 'true'", "  minReplicaCount: 0\n", 10, false, 10),
        (
            "autoscaling.keda.sh/paused-scale-in: 'true'",
            "  minReplicaCount: 5\n  idleReplicaCount: 0\n",
            10,
            false,
            10,
        ),
        ("autoscaling.keda.sh/paused-scale-out: 'true'", "  minReplicaCount: 0\n", 0, true, 0),
    ] {
        let spec = object(annotations, settings);
        assert_eq!(
            desired(&spec, seen(replicas, active)),
            Some(wanted),
            "{annotations} {settings} {replicas}"
        );
    }
}

#[test]
fn cooldown() {
    // Active 100 s ago, with a cooldown of 300 s; then 301 s ago; never active: at once.
    let spec = object("", "  cooldownPeriod: 300\n  minReplicaCount: 0\n");
    let line = |last: Option<f64>| {
        let mut line = seen(3, false);
        line["t_s"] = 1000.into();
        if let Some(last) = last {
            line["last_active_s"] = last.into();
        }
        line["history"] = json!({"recommendations": [{"t_s": 990, "replicas": 3}]});
        line
    };
    assert_eq!(desired(&spec, line(Some(900.0))), Some(3));
    assert_eq!(desired(&spec, line(Some(699.0))), Some(0));
    assert_eq!(desired(&spec, line(None)), Some(0));
}

#[test]
fn fallbacks() {
    // (behaviour, fallback replicas, current replicas, replicas after one failure more than the threshold)
    for (behavior, replicas, current, wanted) in [
        ("static", 10, 5, 10),
        ("currentReplicas", 10, 5, 5),
        ("currentReplicasIfHigher", 10, 15, 15),
        ("currentReplicasIfHigher", 10, 5, 10),
        ("currentReplicasIfLower", 10, 15, 10),
        ("currentReplicasIfLower", 10, 5, 5),
    ] {
        let spec = object(
            "",
            &format!(
                "  minReplicaCount: 1\n  fallback: {{failureThreshold: 1, replicas: {replicas}, behavior: {behavior}}}\n"
            ),
        );
        let line = |t_s: u32| json!({"t_s": t_s, "replicas": current, "missing": ["q"], "history": {"recommendations": []}});
        let last = answers(&spec, &[line(0), line(30), line(60)]).remove(2);
        assert_eq!(last["desired"], wanted, "{behavior} {current}");
    }
}
