//! Hand-computed ticks, and figures of the cases in upstream's `replica_calculator_test.go` and
//! `horizontal_test.go`.

use super::*;
use crate::policies::autoscale::observation::Phase;
use crate::policies::autoscale::{Pod, PodMetric};
use crate::policies::spec::{Problems, parse_yaml};

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn config(yaml: &str) -> HpaConfig {
    let head = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  \
                scaleTargetRef: {kind: Deployment, name: x}\n";
    let documents = parse_yaml(&format!("{head}{yaml}")).unwrap();
    let problems = Problems::default();
    let config = read(&documents[0], None, &problems);
    assert_eq!(problems.into_sorted(), []);
    config.unwrap()
}

fn problems(yaml: &str) -> Vec<String> {
    let documents = parse_yaml(yaml).unwrap();
    let problems = Problems::default();
    read(&documents[0], None, &problems);
    problems.into_sorted().iter().map(|p| format!("{}: {}: {}", p.line, p.field, p.message)).collect()
}

const CPU: &str = "  maxReplicas: 100\n  metrics: [{type: Resource, resource: {name: cpu, \
                   target: {type: Utilization, averageUtilization: TARGET}}}]\n";
const PODS: &str = "  maxReplicas: 100\n  metrics: [{type: Pods, pods: {metric: {name: qps}, \
                    target: {type: AverageValue, averageValue: 'TARGET'}}}]\n";
const EXTERNAL: &str = "  maxReplicas: 100\n  metrics: [{type: External, external: {metric: {name: qps}, \
                        target: {type: KIND, WHERE: 'TARGET'}}}]\n";

/// Old, ready pods; one for each level, requesting 1; `None` has no metric.
fn pods(metric: &str, levels: &[Option<f64>], request: f64) -> Vec<Pod> {
    let pod = |(i, level): (usize, &Option<f64>)| {
        let mut pod = Pod {
            name: format!("pod-{i}"),
            ready: Some(true),
            start: Some(Instant::ZERO),
            ready_changed: Some(Instant::ZERO),
            ..Pod::default()
        };
        pod.requests.insert(metric.to_owned(), request);
        if let Some(value) = *level {
            let window = Duration::from_secs(60);
            pod.metrics.insert(metric.to_owned(), PodMetric { value, at: at(3600), window });
        }
        pod
    };
    levels.iter().enumerate().map(pod).collect()
}

fn asked(config: &HpaConfig, observation: &Observation) -> Result<u32, CannotScale> {
    calculator::replicas(config, &config.metrics[0], at(3600), observation).map(|(replicas, _)| replicas)
}

fn with_pods(pods: Vec<Pod>) -> Observation {
    Observation { replicas: pods.len() as u32, pods: Some(pods), ..Observation::default() }
}

#[test]
fn calculator() {
    let some = |levels: &[f64]| levels.iter().map(|level| Some(*level)).collect::<Vec<_>>();
    // Utilization: (target %, levels, asked); the upstream figures in cores.
    for (target, levels, wanted) in [
        ("30", some(&[0.3, 0.5, 0.7]), 5),
        ("50", some(&[0.1, 0.3, 0.5, 0.25, 0.25]), 3),
        ("100", some(&[0.9, 1.1, 1.0]), 3),
        // 1.09 is inside, 1.12 outside the tolerance.
        ("100", some(&[1.1, 1.1, 1.07]), 3),
        ("100", some(&[1.12, 1.12, 1.12]), 4),
        // A truncated percent: 55.9 % is 55 % of 50 %, ratio 1.1, tolerated.
        ("50", some(&[0.559, 0.559]), 2),
        // Missing: on the way down filled with 100 % of the request.
        ("50", vec![Some(0.1), None, Some(0.1), Some(0.1)], 3),
        // On the way up filled with 0.
        ("50", vec![Some(1.0), Some(1.0), None], 4),
        // The fill-in turns the direction: held.
        ("50", vec![Some(0.4), None], 2),
        ("100", vec![Some(1.3), None], 2),
        // At a ratio of exactly 1 nothing is filled in, and it is tolerated.
        ("50", vec![Some(0.5), None], 2),
        // A target over 100 % fills with the target: (0.2 + 2.0) / 2 = 110 % of 200 %, not 60 %.
        ("200", vec![Some(0.2), None], 2),
    ] {
        let config = config(&CPU.replace("TARGET", target));
        let observation = with_pods(pods("cpu", &levels, 1.0));
        assert_eq!(asked(&config, &observation), Ok(wanted), "{target} {levels:?}");
    }
    // Pods metrics: 20, 10, 30 against 15: mean 20, ratio 4/3, 4 pods.
    let config_pods = config(&PODS.replace("TARGET", "15"));
    let observation = with_pods(pods("qps", &some(&[20.0, 10.0, 30.0]), 1.0));
    assert_eq!(asked(&config_pods, &observation), Ok(4));
    // Missing on the way down counts as the target: (10 + 50 ) / 2 = 30 of 50, 2 pods.
    let config_pods = config(&PODS.replace("TARGET", "50"));
    assert_eq!(asked(&config_pods, &with_pods(pods("qps", &[Some(10.0), None], 1.0))), Ok(2));
    let lowered = with_pods(pods("qps", &[Some(10.0), None, Some(10.0)], 1.0));
    // (10 + 50 + 10) / 3 = 23.333 of 50: ratio 0.46666, 3 metrics: 2.
    assert_eq!(asked(&config_pods, &lowered), Ok(2));
}

#[test]
fn plain_values_at_a_ratio_of_one() {
    // A plain value fills in what is missing with nothing even then: 30 over 3 pods is 10 of 15, 2 pods.
    let config_pods = config(&PODS.replace("TARGET", "15"));
    let levels = [Some(15.0), Some(15.0), None];
    assert_eq!(asked(&config_pods, &with_pods(pods("qps", &levels, 1.0))), Ok(2));
}

#[test]
fn tolerance_per_direction() {
    let yaml = format!("{}  behavior: {{scaleUp: {{tolerance: '0.5'}}, scaleDown: {{tolerance: 0}}}}\n", CPU);
    let config = config(&yaml.replace("TARGET", "100"));
    for (level, wanted) in [(1.5, 2), (1.51, 4), (0.99, 2), (0.5, 1)] {
        let observation = with_pods(pods("cpu", &[Some(level), Some(level)], 1.0));
        assert_eq!(asked(&config, &observation), Ok(wanted), "{level}");
    }
}

#[test]
fn readiness() {
    let config = config(&CPU.replace("TARGET", "30"));
    // Upstream: 300, 500, 700 against 30 % of 1000; the first pod unready on the way up.
    let mut three = pods("cpu", &[Some(0.3), Some(0.5), Some(0.7)], 1.0);
    three[0].ready = Some(false);
    // (0 + 500 + 700) / 3 = 40 %: ratio 4/3, 3 metrics: 4.
    assert_eq!(asked(&config, &with_pods(three.clone())), Ok(4));
    // Unready now, but it was ready for long after it started: it counts.
    three[0].ready_changed = Some(at(3000));
    assert_eq!(asked(&config, &with_pods(three.clone())), Ok(5));
    // Young and ready, but for less than the sample's window: unready.
    three[0].ready = Some(true);
    three[0].start = Some(at(3500));
    three[0].ready_changed = Some(at(3541));
    assert_eq!(asked(&config, &with_pods(three.clone())), Ok(4));
    three[0].ready_changed = Some(at(3540));
    assert_eq!(asked(&config, &with_pods(three.clone())), Ok(5));
    // Two unready pods on the way up; upstream figures: 400 against 30 %: (0+500+0)/3 = 16 %: held.
    let mut two = pods("cpu", &[Some(0.4), Some(0.5), Some(0.7)], 1.0);
    two[0].ready = Some(false);
    two[2].ready = Some(false);
    assert_eq!(asked(&config, &with_pods(two)), Ok(3));
    // Pending counts as unready, deleted and failed pods not at all.
    let mut mixed = pods("cpu", &[Some(0.6), Some(0.6), Some(0.6), None], 1.0);
    mixed[1].deleting = true;
    mixed[2].phase = Phase::Failed;
    mixed[3].phase = Phase::Pending;
    // 60 % with 1 ready: ratio 2; with the pending pod 30 %: ratio 1: held at 4.
    assert_eq!(asked(&config, &with_pods(mixed)), Ok(4));
    // All unready: no figure.
    let mut unready = pods("cpu", &[Some(0.6)], 1.0);
    unready[0].ready = Some(false);
    assert!(asked(&config, &with_pods(unready)).unwrap_err().0.contains("might be unready"));
    // A missing request is an error, no pods too.
    let mut bare = pods("cpu", &[Some(0.6)], 1.0);
    bare[0].requests.clear();
    assert!(asked(&config, &with_pods(bare)).unwrap_err().0.contains("missing request for cpu"));
    assert!(asked(&config, &with_pods(vec![])).unwrap_err().0.contains("no pods returned by selector"));
}

#[test]
fn whole_metrics() {
    let value = config(&EXTERNAL.replace("KIND", "Value").replace("WHERE", "value").replace("TARGET", "4.4"));
    // Upstream: 8.6 against 4.4 with 3 ready: ceil(1.9545 * 3) = 6.
    assert_eq!(asked(&value, &Observation::of(3).with("qps", 8.6)), Ok(6));
    // Two of three ready: ceil(1.9545 * 2) = 4.
    let mut two = with_pods(pods("qps", &[None, None, None], 1.0)).with("qps", 8.6);
    two.pods.as_mut().unwrap()[0].ready = Some(false);
    assert_eq!(asked(&value, &two), Ok(4));
    // From zero the tolerance is ignored.
    assert_eq!(asked(&value, &Observation::of(0).with("qps", 4.5)), Ok(2));
    let per_pod = EXTERNAL.replace("KIND", "AverageValue").replace("WHERE", "averageValue");
    let per_pod = config(&per_pod.replace("TARGET", "2867m"));
    // Upstream: 8600 m against 2867 m a pod with 5 pods: ratio 0.6, ceil(2.9997) = 3.
    assert_eq!(asked(&per_pod, &Observation::of(5).with("qps", 8.6)), Ok(3));
    // Against the replicas that exist: 3 * 2867 m = 8.601: tolerated.
    let mut status = Observation::of(4).with("qps", 8.6);
    status.status_replicas = Some(3);
    assert_eq!(asked(&per_pod, &status), Ok(3));
    // Several series are added.
    let mut series = Observation::of(5);
    let measure = super::super::Measure { values: vec![4.3, 4.3], ..Default::default() };
    series.metrics.insert("qps".to_owned(), measure);
    assert_eq!(asked(&per_pod, &series), Ok(3));
}

#[test]
fn several_metrics() {
    let yaml = "  maxReplicas: 100\n  metrics:\n  - {type: External, external: {metric: {name: a}, target: {type: \
                AverageValue, averageValue: 1}}}\n  - {type: External, external: {metric: {name: b}, target: {type: \
                AverageValue, averageValue: 1}}}\n";
    let decide = |observation: Observation| {
        let (decision, _) = Hpa::new(config(yaml)).decide(at(0), &observation);
        decision
    };
    let scale = decide(Observation::of(5).with("a", 7.0).with("b", 9.0)).unwrap();
    assert_eq!((scale.desired, scale.notes[0].1.as_str()), (9, "external metric b"));
    // One unread: up is done, down is not.
    assert_eq!(decide(Observation::of(5).with("a", 7.0)).unwrap().desired, 7);
    let error = decide(Observation::of(5).with("a", 3.0)).unwrap_err();
    assert!(error.0.starts_with("invalid metrics (1 invalid out of 2)"), "{error}");
    assert!(decide(Observation::of(5)).unwrap_err().0.starts_with("invalid metrics (2 invalid out of 2)"));
}

/// Each tick: time, replicas, external metric at 1 a pod; then what is wanted.
fn ticks(yaml: &str, ticks: &[(u64, u32, f64, u32)]) {
    let metric = EXTERNAL.replace("KIND", "AverageValue").replace("WHERE", "averageValue");
    let mut hpa = Hpa::new(config(&format!("{}{yaml}", metric.replace("TARGET", "1"))));
    for &(time, replicas, value, wanted) in ticks {
        let (decision, _) = hpa.decide(at(time), &Observation::of(replicas).with("qps", value));
        assert_eq!(decision.as_ref().map(|scale| scale.desired), Ok(wanted), "at {time}: {decision:?}");
    }
}

#[test]
fn stabilisation() {
    // Without behavior: the first sync records 10; it counts until it is older than 300 s.
    ticks("", &[(0, 10, 2.0, 10), (300, 10, 2.0, 10), (301, 10, 2.0, 2)]);
    // With behavior: exactly 300 s old counts no more.
    ticks("  behavior: {}\n", &[(0, 10, 2.0, 10), (299, 10, 2.0, 10), (300, 10, 2.0, 2)]);
    // Up: the lowest of the window; the first sync records the current replicas.
    let up = "  behavior: {scaleUp: {stabilizationWindowSeconds: 60}}\n";
    ticks(
        up,
        &[(0, 10, 14.0, 10), (30, 10, 15.0, 10), (59, 10, 18.0, 10), (60, 10, 16.0, 15), (90, 15, 18.0, 16)],
    );
    // Both windows clamp the current replicas: a wish between the bounds moves nothing.
    let both = "  behavior: {scaleUp: {stabilizationWindowSeconds: 60}, scaleDown: \
                {stabilizationWindowSeconds: 60}}\n";
    ticks(both, &[(0, 10, 10.0, 10), (15, 10, 20.0, 10), (30, 10, 5.0, 10)]);
}

#[test]
fn rates() {
    // The default: 4 pods or 100 % in 15 s, whichever is more.
    ticks("  behavior: {}\n", &[(0, 1, 50.0, 5), (15, 5, 50.0, 10), (30, 10, 50.0, 20)]);
    // Events within the period are counted: 10 at the start, 4 added, none left until they are 60 s old.
    let pods = "  behavior: {scaleUp: {policies: [{type: Pods, value: 4, periodSeconds: 60}]}}\n";
    ticks(pods, &[(0, 10, 50.0, 14), (15, 14, 50.0, 14), (59, 14, 50.0, 14), (60, 14, 50.0, 18)]);
    // Percent up rounds up: one replica and 1 % make two.
    let percent = "  behavior: {scaleUp: {policies: [{type: Percent, value: 1, periodSeconds: 60}]}}\n";
    ticks(percent, &[(0, 1, 50.0, 2), (60, 2, 50.0, 3)]);
    // Percent down truncates: 10 · 0.75 = 7.5 is 7.
    let down = "  behavior: {scaleDown: {stabilizationWindowSeconds: 0, policies: \
                [{type: Percent, value: 25, periodSeconds: 60}]}}\n";
    ticks(down, &[(0, 10, 1.0, 7), (15, 7, 1.0, 7), (60, 7, 1.0, 5)]);
    // Min chooses the smallest change, Disabled none.
    let two = "policies: [{type: Pods, value: 4, periodSeconds: 15}, {type: Percent, value: 100, periodSeconds: 15}]";
    ticks(&format!("  behavior: {{scaleUp: {{selectPolicy: Min, {two}}}}}\n"), &[(0, 10, 50.0, 14)]);
    ticks("  behavior: {scaleUp: {selectPolicy: Disabled}}\n", &[(0, 10, 50.0, 10)]);
    ticks(
        "  behavior: {scaleDown: {stabilizationWindowSeconds: 0, selectPolicy: Disabled}}\n",
        &[(0, 10, 5.0, 10)],
    );
    // A rise within the period lowers what a fall may start from: 10 + 4 up, then from 10 at most 4 down.
    let both = "  behavior: {scaleDown: {stabilizationWindowSeconds: 0, policies: \
                [{type: Pods, value: 2, periodSeconds: 60}]}}\n";
    ticks(both, &[(0, 10, 14.0, 14), (15, 14, 1.0, 8)]);
}

#[test]
fn an_empty_history_is_known() {
    let metric = EXTERNAL.replace("KIND", "AverageValue").replace("WHERE", "averageValue");
    let mut hpa = Hpa::new(config(&metric.replace("TARGET", "1")));
    let mut observation = Observation::of(5).with("qps", 3.0);
    observation.history.known = true;
    assert_eq!(hpa.decide(at(0), &observation).0.unwrap().desired, 3);
}

#[test]
fn history_presets_the_state() {
    let metric = EXTERNAL.replace("KIND", "AverageValue").replace("WHERE", "averageValue");
    let yaml = format!("{}  behavior: {{}}\n", metric.replace("TARGET", "1"));
    let mut hpa = Hpa::new(config(&yaml));
    let mut observation = Observation::of(10).with("qps", 30.0);
    observation.history.events = vec![(at(100), 4), (at(105), -1)];
    // 10 − 4 + 1 = 7 at the period's start: 14 by percent, 11 by pods.
    assert_eq!(hpa.decide(at(110), &observation).0.unwrap().desired, 14);
    let mut hpa = Hpa::new(config(&yaml));
    let mut observation = Observation::of(10).with("qps", 3.0);
    observation.history.recommendations = vec![(at(0), 8), (at(50), 6)];
    let scale = hpa.decide(at(310), &observation).0.unwrap();
    assert_eq!((scale.raw, scale.desired, scale.limits), (3, 6, vec!["ScaleDownStabilized".to_owned()]));
}

#[test]
fn bounds() {
    ticks("  minReplicas: 3\n", &[(0, 2, 50.0, 3), (0, 3, 50.0, 6)]);
    ticks("", &[(0, 150, 50.0, 100), (0, 60, 200.0, 100), (0, 0, 50.0, 0), (0, 1, 50.0, 4)]);
    // Scaling to zero needs its gate.
    let metric = EXTERNAL.replace("KIND", "AverageValue").replace("WHERE", "averageValue");
    let mut config = config(&metric.replace("TARGET", "1"));
    config.flags.scale_to_zero = true;
    config.min = 0;
    config.flags.downscale_stabilization = Duration::ZERO;
    let mut hpa = Hpa::new(config);
    for (time, replicas, value, wanted) in [(0, 1, 0.0, 1), (15, 1, 0.0, 0), (30, 0, 0.0, 0), (45, 0, 3.0, 3)]
    {
        let (decision, _) = hpa.decide(at(time), &Observation::of(replicas).with("qps", value));
        assert_eq!(decision.unwrap().desired, wanted, "at {time}");
    }
}

#[test]
fn manifests_are_refused_as_kubernetes_refuses_them() {
    let old = problems("apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\n");
    assert!(old[0].contains("1: apiVersion: Kubernetes: no matches for kind"), "{old:?}");
    let bad = problems(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {kind: Deployment, \
         name: x}\n  minReplica: 3\n  minReplicas: 5\n  maxReplicas: 2\n  metrics:\n  - type: Resource\n    \
         resource:\n      name: cpu\n      target:\n        type: Utilization\n        averageUtilization: 0\n  \
         behavior:\n    scaleDown:\n      stabilizationWindowSeconds: 10\n      policies:\n      - {type: Pods, \
         value: 0, periodSeconds: 1801}\n",
    );
    insta::assert_snapshot!(bad.join("\n"));
}
