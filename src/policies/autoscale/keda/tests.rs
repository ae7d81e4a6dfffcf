//! Hand-computed ticks, and the figures of upstream's `scale_jobs_test.go`.

use super::*;
use crate::policies::spec::{Problems, parse_yaml};

fn parsed(spec: &str) -> Result<KedaConfig, Vec<String>> {
    let head = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec:\n  scaleTargetRef: {name: x}\n";
    let documents = parse_yaml(&format!("{head}{spec}")).unwrap();
    let problems = Problems::default();
    let config = read(&documents[0], None, &problems);
    let said: Vec<_> = problems.into_sorted().iter().map(|p| format!("{}: {}", p.line, p.message)).collect();
    if said.is_empty() { Ok(config.unwrap()) } else { Err(said) }
}

const QUEUE: &str =
    "  triggers: [{type: prometheus, name: queue, metadata: {threshold: '10', activationThreshold: '2'}}]\n";

/// Each tick: time, replicas, queue (none: it cannot be read), wanted (none: an error).
fn ticks(spec: &str, ticks: &[(u64, u32, Option<f64>, Option<u32>)]) {
    let mut keda = Keda::new(parsed(&format!("{QUEUE}{spec}")).unwrap());
    for &(time, replicas, queue, wanted) in ticks {
        let mut observation = Observation::of(replicas);
        if let Some(queue) = queue {
            observation = observation.with("queue", queue);
        }
        let now = Instant::ZERO + Duration::from_secs(time);
        let (decision, reason) = keda.decide(now, &observation);
        assert_eq!(
            decision.as_ref().ok().map(|scale| scale.desired),
            wanted,
            "at {time}: {decision:?} {reason:?}"
        );
    }
}

#[test]
fn zero_and_one() {
    ticks(
        "",
        &[
            // Not above the activation threshold; above it; then the HPA; then 300 s of cooldown, exceeded.
            (0, 0, Some(2.0), Some(0)),
            (30, 0, Some(3.0), Some(1)),
            (60, 1, Some(35.0), Some(4)),
            (90, 4, Some(0.0), Some(4)),
            (360, 4, Some(0.0), Some(4)),
            (361, 4, Some(0.0), Some(0)),
        ],
    );
    // Never active: scaled down at once.
    ticks("", &[(0, 3, Some(0.0), Some(0))]);
}

#[test]
fn idle_and_minimum() {
    ticks(
        "  minReplicaCount: 3\n",
        &[(0, 0, Some(5.0), Some(3)), (30, 1, Some(0.0), Some(3)), (60, 3, Some(0.0), Some(3))],
    );
    let idle = "  minReplicaCount: 3\n  idleReplicaCount: 0\n";
    ticks(idle, &[(0, 0, Some(0.0), Some(0)), (30, 1, Some(5.0), Some(3)), (331, 3, Some(0.0), Some(0))]);
    ticks(
        "  initialCooldownPeriod: 100\n",
        &[
            (0, 1, Some(0.0), Some(1)),
            (99, 1, Some(0.0), Some(1)),
            (100, 1, Some(0.0), Some(1)),
            (101, 1, Some(0.0), Some(0)),
        ],
    );
}

#[test]
fn the_hpa_between() {
    // 58 at 10 each is 6; the HPA's own downscale window of 300 s holds it there; bounds are its own.
    ticks(
        "  maxReplicaCount: 7\n",
        &[(0, 5, Some(58.0), Some(6)), (15, 6, Some(25.0), Some(6)), (30, 6, Some(99.0), Some(7))],
    );
}

#[test]
fn fallbacks() {
    let with = |behavior: &str| {
        format!(
            "  minReplicaCount: 1\n  fallback: {{failureThreshold: 1, replicas: 6, behavior: {behavior}}}\n"
        )
    };
    // With no trigger active the executor goes to the fallback at once.
    ticks(&with("static"), &[(0, 4, None, Some(6))]);
    ticks(&with("currentReplicas"), &[(0, 4, None, None), (30, 4, None, Some(4))]);
    ticks(
        &with("currentReplicasIfHigher"),
        &[(0, 8, None, None), (30, 8, None, Some(8)), (60, 3, None, Some(6))],
    );
    ticks(&with("currentReplicasIfLower"), &[(0, 8, None, Some(6)), (30, 4, None, Some(4))]);
    // Fallback replicas of zero are none: nothing is active, so it goes to zero.
    ticks("  fallback: {failureThreshold: 1, replicas: 0}\n", &[(0, 4, None, Some(0))]);
    // Without a fallback the HPA has no metric.
    ticks("  minReplicaCount: 1\n", &[(0, 4, None, None)]);
}

#[test]
fn jobs() {
    let custom = |deduction, share| Strategy::Custom { deduction, share };
    // (strategy, wanted, running, pending, maximum, effective): upstream's figures.
    for (strategy, wanted, running, pending, max, effective) in [
        (Strategy::Default, 3, 2, 0, 5, 1),
        (Strategy::Default, 2, 0, 0, 5, 2),
        (custom(1, 0.5), 10, 2, 0, 5, 5),
        (custom(1, 0.5), 3, 2, 0, 5, 1),
        (custom(0, 1.0), 3, 2, 0, 5, 1),
        (custom(1, 0.0), 3, 2, 0, 5, 2),
        (Strategy::Accurate, 3, 2, 0, 5, 3),
        (Strategy::Accurate, 3, 4, 0, 5, 1),
        (Strategy::Accurate, 5, 2, 0, 5, 3),
        (Strategy::Accurate, 5, 1, 1, 5, 4),
        (Strategy::Accurate, 5, 3, 2, 5, 2),
        (Strategy::Accurate, 3, 2, 1, 5, 2),
        (Strategy::Eager, 4, 3, 0, 10, 4),
        (Strategy::Eager, 4, 3, 5, 10, 2),
    ] {
        assert_eq!(
            strategy.effective(wanted, running, pending, max),
            effective,
            "{strategy:?} {wanted} {running}"
        );
    }
    let yaml = "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nspec:\n  jobTargetRef: {}\n  minReplicaCount: 2\n  \
                maxReplicaCount: 5\n  scalingStrategy: {strategy: STRATEGY, customScalingRunningJobPercentage: \
                 many}\n  \
                triggers: [{type: rabbitmq, name: q, metadata: {value: '2'}}]\n";
    let started = |strategy: &str, running: f64, queue: f64| {
        let problems = Problems::default();
        let documents = parse_yaml(&yaml.replace("STRATEGY", strategy)).unwrap();
        let mut law = KedaJob::new(read_job(&documents[0], &problems).unwrap());
        assert!(problems.is_empty());
        let mut observation = Observation::of(0).with("q", queue);
        observation.extra.insert("running".to_owned(), running.into());
        law.decide(Instant::ZERO, &observation).0.unwrap().desired
    };
    // The minimum first; then ceil(7 / 2) = 4 less (3 − 2); nothing in the queue, nothing started.
    assert_eq!(
        [started("default", 0.0, 0.0), started("default", 3.0, 7.0), started("default", 3.0, 0.0)],
        [2, 3, 0]
    );
    // Two triggers at 2 a job: 4 and 9 in their queues.
    for (how, jobs) in [("max", 5), ("min", 2), ("avg", 4), ("sum", 7)] {
        let yaml = "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nspec:\n  jobTargetRef: {}\n  scalingStrategy: \
                    {multipleScalersCalculation: HOW}\n  triggers: [{type: a, name: a, metadata: {value: '2'}}, \
                    {type: b, name: b, metadata: {value: '2'}}]\n";
        let problems = Problems::default();
        let documents = parse_yaml(&yaml.replace("HOW", how)).unwrap();
        let mut law = KedaJob::new(read_job(&documents[0], &problems).unwrap());
        let observation = Observation::of(0).with("a", 4.0).with("b", 9.0);
        assert_eq!(law.decide(Instant::ZERO, &observation).0.unwrap().desired, jobs, "{how}");
    }
    // A percentage that is no number falls back to default.
    assert_eq!(started("custom", 3.0, 7.0), 3);
}

#[test]
fn modifiers() {
    let spec = "  advanced: {scalingModifiers: {formula: 'queue > 20 ? queue * 2 : queue', target: '10', \
                activationTarget: '5'}}\n";
    // Active above 5 of the formula; 30 counts as 60, at 10 each: 6.
    ticks(
        spec,
        &[
            (0, 0, Some(5.0), Some(0)),
            (30, 0, Some(6.0), Some(1)),
            (60, 3, Some(30.0), Some(6)),
            (90, 3, None, None),
        ],
    );
}

#[test]
fn pausing() {
    let paused = |annotation: &str, replicas| {
        let yaml = format!(
            "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{annotations: {{{annotation}}}}}\nspec:\n  \
             scaleTargetRef: {{name: x}}\n{QUEUE}"
        );
        let problems = Problems::default();
        let config = read(&parse_yaml(&yaml).unwrap()[0], None, &problems).unwrap();
        assert_eq!(problems.into_sorted(), []);
        let seen = |queue| Observation::of(replicas).with("queue", queue);
        let wanted = |queue| {
            let law = &mut Keda::new(config.clone());
            law.decide(Instant::ZERO, &seen(queue)).0.unwrap().desired
        };
        (wanted(0.0), wanted(99.0))
    };
    assert_eq!(paused("", 4), (0, 8));
    assert_eq!(paused("autoscaling.keda.sh/paused-replicas: '3'", 4), (3, 3));
    assert_eq!(paused("autoscaling.keda.sh/paused: 'true'", 4), (4, 4));
    assert_eq!(paused("autoscaling.keda.sh/paused-scale-in: 'true'", 4), (4, 8));
    assert_eq!(paused("autoscaling.keda.sh/paused-scale-out: 'true'", 4), (0, 4));
}

#[test]
fn manifests_are_refused_as_keda_refuses_them() {
    let bad = "  minReplicaCount: 5\n  maxReplicaCount: 3\n  idleReplicaCount: 5\n  coolDownPeriod: 3\n  advanced: \
               {scalingModifiers: {formula: a +}}\n  triggers:\n  - {type: kafka, metadata: {lagThreshold: '0'}}\n";
    insta::assert_snapshot!(parsed(bad).unwrap_err().join("\n"));
}
