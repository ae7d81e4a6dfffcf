//! Figures of upstream's `autoscaler_test.go` and hand-computed ticks.

use super::*;
use crate::policies::autoscale::Measure;
use crate::policies::spec::{Problems, parse_yaml};

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

/// As upstream's tests: total = target / 0.75, rates 10, panic at 2, 60 s.
fn config(target: f64, burst: f64) -> KpaConfig {
    KpaConfig {
        target,
        total: target / 0.75,
        burst_capacity: burst,
        max_up: 10.0,
        max_down: 10.0,
        ..KpaConfig::default()
    }
}

fn seen(ready: u32, stable: f64, panic: f64) -> Observation {
    let mut observation = Observation::of(ready);
    let parts = [("stable".to_owned(), stable), ("panic".to_owned(), panic)].into();
    observation.metrics.insert("concurrency".to_owned(), Measure { parts, ..Measure::default() });
    observation
}

fn started(config: KpaConfig) -> Kpa {
    Kpa { started: true, ..Kpa::new(config) }
}

fn decide(kpa: &mut Kpa, seconds: u64, observation: &Observation) -> Scale {
    kpa.decide(at(seconds), observation).0.unwrap()
}

#[test]
fn upstream_table() {
    // (target, burst, ready, stable, panic, wanted, excess burst capacity)
    for (target, burst, ready, stable, panic, wanted, excess) in [
        (10.0, 100.0, 1, 0.0, 0.0, 0, -87.0),
        (181.0, -1.0, 1, 21.0, 26.0, 1, -1.0),
        (10.0, 0.0, 1, 50.0, 49.0, 5, 0.0),
        (10.0, 100.0, 1, 50.0, 50.0, 5, -137.0),
        (10.0, 100.0, 5, 50.0, 50.0, 5, -84.0),
        (10.0, 84.0, 1, 50.0, 100.0, 10, -171.0),
        // Rate limits: ten times up from one ready pod, also with none ready; ten times down.
        (10.0, 61.0, 1, 1000.0, 1001.0, 10, -1049.0),
        (10.0, 81.0, 0, 1000.0, 888.0, 10, -969.0),
        (10.0, 61.0, 100, 1.0, 1.0, 10, 1271.0),
    ] {
        let scale = decide(&mut started(config(target, burst)), 0, &seen(ready, stable, panic));
        assert_eq!(scale.desired, wanted, "{stable} {panic}");
        assert_eq!(scale.figures[0], ("excess_burst_capacity", excess), "{stable} {panic}");
    }
    // Small rates still move: 2 · 1.1 rounds up to 3; 100 / 1.1 rounds down to 90.
    let slow = KpaConfig { max_up: 1.1, max_down: 1.1, ..config(1.0, 1982.0) };
    assert_eq!(decide(&mut started(slow.clone()), 0, &seen(2, 3.0, 3.1)).desired, 3);
    let slow = KpaConfig { target: 10.0, ..slow };
    assert_eq!(decide(&mut started(slow.clone()), 0, &seen(100, 1.0, 1.0)).desired, 90);
    // Nobody can reach it: no floor.
    let mut far = seen(100, 1.0, 1.0);
    far.extra.insert("reachable".to_owned(), false.into());
    assert_eq!(decide(&mut started(slow), 0, &far).desired, 1);
    // Activation scale.
    let two = KpaConfig { activation_scale: 2, ..config(10.0, 75.0) };
    assert_eq!(decide(&mut started(two.clone()), 0, &seen(1, 0.0, 0.0)).desired, 0);
    assert_eq!(decide(&mut started(two), 0, &seen(1, 1.0, 0.0)).desired, 2);
    // No metrics: no decision.
    let (decision, _) = started(config(10.0, 1.0)).decide(at(0), &Observation::of(1));
    assert_eq!(decision, Err(CannotScale::new("no data available")));
}

#[test]
fn panics() {
    // Upstream: 10 ready; 25 wanted by panic; half a window later 41; after the window 50 by the stable one.
    let mut kpa = started(config(1.0, 98.0));
    assert_eq!(decide(&mut kpa, 0, &seen(10, 11.0, 25.0)).desired, 25);
    assert_eq!(decide(&mut kpa, 30, &seen(40, 30.0, 41.0)).desired, 41);
    assert_eq!(kpa.panic_since, Some(at(0)));
    assert_eq!(decide(&mut kpa, 62, &seen(55, 50.0, 56.0)).desired, 50);
    // Extended while it is over the threshold, and not over at exactly one window.
    let mut kpa = started(config(10.0, 93.0));
    assert_eq!(decide(&mut kpa, 0, &seen(10, 100.0, 1000.0)).desired, 100);
    assert_eq!(decide(&mut kpa, 30, &seen(10, 1.0, 1.0)).desired, 100);
    let scale = decide(&mut kpa, 60, &seen(10, 1.0, 1.0));
    assert_eq!((scale.desired, scale.limits.last().unwrap().as_str()), (100, "panic: no scaling down"));
    assert_eq!(decide(&mut kpa, 61, &seen(10, 1.0, 1.0)).desired, 1);
    // The larger of both wishes counts in panic.
    for (stable, panic, wanted) in [(50.0, 30.0, 50), (20.0, 30.0, 30)] {
        let mut kpa = started(config(1.0, 100.0));
        (kpa.panic_since, kpa.panic_most) = (Some(at(0)), 5);
        assert_eq!(decide(&mut kpa, 5, &seen(5, stable, panic)).desired, wanted);
    }
}

#[test]
fn starts_in_panic() {
    assert_eq!(decide(&mut Kpa::new(config(10.0, 0.0)), 0, &seen(2, 1.0, 1.0)).desired, 2);
    assert_eq!(decide(&mut Kpa::new(config(10.0, 0.0)), 0, &seen(1, 0.0, 0.0)).desired, 0);
    // History can say that it started with one.
    let mut later = seen(2, 1.0, 1.0);
    later.extra.insert("history".to_owned(), serde_json::json!({"ready": 1}));
    assert_eq!(decide(&mut Kpa::new(config(10.0, 0.0)), 0, &later).desired, 1);
}

#[test]
fn delays_scaling_down() {
    let config =
        KpaConfig { panic_threshold: 100.0, scale_down_delay: Duration::from_secs(300), ..config(10.0, 0.0) };
    let mut kpa = started(config.clone());
    for (seconds, load, wanted) in [
        (2, 40.0, 4),
        (300, 0.0, 4),
        (302, 0.0, 0),
        (540, 40.0, 4),
        (600, 30.0, 4),
        (660, 0.0, 4),
        (840, 0.0, 3),
        (900, 0.0, 0),
    ] {
        assert_eq!(decide(&mut kpa, seconds, &seen(0, load, load)).desired, wanted, "at {seconds}");
    }
    let mut kpa = started(config);
    assert_eq!(decide(&mut kpa, 2, &seen(0, 40.0, 40.0)).desired, 4);
    let mut far = seen(0, 0.0, 0.0);
    far.extra.insert("reachable".to_owned(), false.into());
    assert_eq!(decide(&mut kpa, 4, &far).desired, 0);
}

#[test]
fn window_average() {
    let mut window = Window::new(Duration::from_secs(5), Duration::from_secs(1));
    assert!(window.is_empty(at(0)));
    window.record(at(10), 6.0);
    // One second since the first write.
    assert_eq!(window.average(at(10)), 6.0);
    window.record(at(12), 3.0);
    // Three seconds, one of them without a sample.
    assert_eq!(window.average(at(12)), 3.0);
    // What has not been written since is no zero; what leaves the window leaves the sum and the count.
    assert_eq!(window.average(at(14)), 3.0);
    assert_eq!(window.average(at(15)), 1.5);
    assert_eq!(window.average(at(17)), 0.0);
    let mut kpa = started(config(10.0, 0.0));
    let mut observation = Observation::of(1);
    let samples = serde_json::json!({"concurrency": [[1.0, 10.0], [2.0, 30.0]]});
    observation.extra.insert("samples".to_owned(), samples);
    assert_eq!(decide(&mut kpa, 2, &observation).desired, 2);
}

#[test]
fn bounds() {
    let bounded = KpaConfig { min: 2, max: 3, ..config(10.0, 0.0) };
    let scale = decide(&mut started(bounded.clone()), 0, &seen(1, 50.0, 50.0));
    assert_eq!((scale.raw, scale.desired, scale.limits), (5, 3, vec!["max-scale".to_owned()]));
    assert_eq!(decide(&mut started(bounded), 0, &seen(1, 0.0, 0.0)).desired, 2);
    let never = KpaConfig { scale_to_zero: false, ..config(10.0, 0.0) };
    assert_eq!(decide(&mut started(never), 0, &seen(1, 0.0, 0.0)).desired, 1);
    let mut kept = started(KpaConfig { retention: Duration::from_secs(60), ..config(10.0, 0.0) });
    for (seconds, wanted) in [(0, 1), (59, 1), (60, 0)] {
        assert_eq!(decide(&mut kept, seconds, &seen(1, 0.0, 0.0)).desired, wanted, "at {seconds}");
    }
}

#[test]
fn grace_period() {
    // By the times of a recording: young, then inactive but not long enough behind the activator.
    let seen_for = |times: &[(&str, f64)]| {
        let mut observation = seen(1, 0.0, 0.0);
        for (name, seconds) in times {
            observation.extra.insert((*name).to_owned(), (*seconds).into());
        }
        decide(&mut started(config(10.0, 0.0)), 0, &observation).desired
    };
    assert_eq!([59.0, 60.0].map(|s| seen_for(&[("active_for_s", s)])), [1, 0]);
    assert_eq!([29.0, 30.0].map(|s| seen_for(&[("inactive_for_s", s)])), [1, 0]);
    // It stood there before: as soon as it has been for the grace period.
    assert_eq!([29.0, 30.0].map(|s| seen_for(&[("inactive_for_s", 1.0), ("proxy_for_s", s)])), [1, 0]);
    // With its own times: active for the window of 60 s, then 30 s behind the activator.
    let mut kpa = started(config(10.0, 0.0)).with_activator();
    assert_eq!(decide(&mut kpa, 0, &seen(1, 5.0, 5.0)).desired, 1);
    for (seconds, wanted) in [(2, 1), (58, 1), (60, 1), (88, 1), (90, 0)] {
        assert_eq!(decide(&mut kpa, seconds, &seen(1, 0.0, 0.0)).desired, wanted, "at {seconds}");
    }
    // Nobody is kept where nobody is.
    assert_eq!(decide(&mut kpa, 92, &seen(0, 0.0, 0.0)).desired, 0);
}

#[test]
fn pods_are_scraped() {
    // Two pods with 15 and 25: 40 at 10 each.
    let mut observation = Observation::of(2);
    let pod = |value| {
        let metric = super::super::PodMetric { value, at: at(0), window: Duration::ZERO };
        let metrics = [("concurrency".to_owned(), metric)].into();
        super::super::Pod { metrics, ready: Some(true), ..Default::default() }
    };
    observation.pods = Some(vec![pod(15.0), pod(25.0)]);
    assert_eq!(decide(&mut started(config(10.0, 0.0)), 0, &observation).desired, 4);
}

fn parsed(yaml: &str) -> Result<KpaConfig, Vec<String>> {
    let problems = Problems::default();
    let config = read(&parse_yaml(yaml).unwrap(), &problems);
    config
        .ok_or_else(|| problems.into_sorted().iter().map(|p| format!("{}: {}", p.line, p.message)).collect())
}

#[test]
fn files() {
    let yaml = "apiVersion: v1\nkind: ConfigMap\ndata:\n  container-concurrency-target-percentage: '80'\n  \
                stable-window: 2m\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nspec:\n  template:\n    \
                metadata:\n      annotations:\n        autoscaling.knative.dev/target: '20'\n        \
                autoscaling.knative.dev/max-scale: '9'\n    spec:\n      containerConcurrency: 10\n";
    let config = parsed(yaml).unwrap();
    assert_eq!((config.target, config.total, config.max), (8.0, 10.0, 9));
    assert_eq!(config.stable_window, Duration::from_secs(120));
    // Requests per second: 70 % of 200.
    let rps = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  annotations:\n    \
               autoscaling.knative.dev/metric: rps\n";
    assert_eq!(parsed(rps).unwrap().target, 140.0);
    let bad = "apiVersion: v1\nkind: ConfigMap\ndata:\n  stable-window: 5s\n  max-scale-up-rate: '1'\n  \
               stable-windows: 60s\n  min-scale: '5'\n  max-scale: '3'\n  container-concurrency-target-default: '0'\n";
    insta::assert_snapshot!(parsed(bad).unwrap_err().join("\n"));
}
