//! `autoscaler_test.go` of knative/serving.

use serde_json::{Value, json};

use super::{all_desired, answers, desired};

#[test]
fn kpa_cases() {
    // (ready, stable, panic, target, total, wanted, excess burst capacity), rates 10 up and 10 down, burst 100.
    let run = |more: &str, ready: u32, stable: f64, panic: f64| {
        let spec = format!(
            "policy: kpa\nTargetValue: 10\nTotalValue: 100\nTargetBurstCapacity: 100\nPanicThreshold: 2\n\
             MaxScaleUpRate: 10\nMaxScaleDownRate: 10\nStableWindow: 60s\n{more}"
        );
        let line = json!({"t_s": 0, "replicas": ready, "ready": ready,
            "metrics": {"concurrency": {"stable": stable, "panic": panic}}});
        let answer = &answers(&spec, &[line])[0];
        (answer["desired"].as_u64().unwrap(), answer["excess_burst_capacity"].as_i64().unwrap())
    };
    // No load: to zero, with the burst missing; a hundred at ten each.
    assert_eq!(run("", 0, 0.0, 0.0), (0, -100));
    assert_eq!(run("", 1, 50.0, 50.0), (5, -50));
    assert_eq!(run("", 1, 100.0, 100.0), (10, -100));
    // The rate up: ten times what is ready. The burst is what 1 pod has beyond the load.
    assert_eq!(run("", 1, 1001.0, 1001.0), (10, -1001));
    // The rate down: a tenth, but not when nobody can reach it; more than one ready starts in panic and stays.
    assert_eq!(run("", 1, 1.0, 1.0).0, 1);
    assert_eq!(run("ActivationScale: 5\n", 1, 10.0, 10.0).0, 5);
    assert_eq!(run("ActivationScale: 5\n", 1, 0.0, 0.0).0, 0);
    let unlimited = "policy: kpa\nTargetValue: 10\nTotalValue: 100\nTargetBurstCapacity: -1\n";
    let line =
        json!({"t_s": 0, "replicas": 1, "ready": 1, "metrics": {"concurrency": {"stable": 5, "panic": 5}}});
    assert_eq!(answers(unlimited, &[line])[0]["excess_burst_capacity"], -1);
}

/// As `newTestAutoscaler`: total of 1/0.75 of the target, rates of 10, an activator's capacity of 150.
fn decider(target: f64, burst: f64, more: &str) -> String {
    format!(
        "policy: kpa\nTargetValue: {target}\nTotalValue: {}\nTargetBurstCapacity: {burst}\nPanicThreshold: 2\n\
         MaxScaleUpRate: 10\nMaxScaleDownRate: 10\nActivatorCapacity: 150\nStableWindow: 60s\n{more}",
        target / 0.75
    )
}

fn tick(t_s: u32, ready: u32, stable: f64, panic: f64) -> Value {
    // An autoscaler that was made with one ready pod does not begin in panic.
    json!({"t_s": t_s, "replicas": ready, "ready": ready, "history": {"ready": 1},
        "metrics": {"concurrency": {"stable": stable, "panic": panic}}})
}

#[test]
fn table_of_scales() {
    // (target, burst, ready, stable, panic, wanted)
    for (target, burst, ready, stable, panic, wanted) in [
        (10.0, 100.0, 1, 0.0, 0.0, 0),
        (181.0, -1.0, 1, 21.0, 26.0, 1),
        (10.0, 0.0, 1, 50.0, 49.0, 5),
        (10.0, 100.0, 1, 50.0, 50.0, 5),
        (10.0, 100.0, 5, 50.0, 50.0, 5),
        (10.0, 101.0, 1, 100.0, 10.0, 10),
        (10.0, 75.0, 1, 1.0, 0.0, 1),
    ] {
        let answer = &answers(&decider(target, burst, ""), &[tick(0, ready, stable, panic)])[0];
        assert_eq!(answer["desired"], wanted, "{target} {burst} {ready}");
        let total = target / 0.75;
        let excess = match burst {
            0.0 => 0.0,
            -1.0 => -1.0,
            burst => (total * f64::from(ready) - burst - panic).floor(),
        };
        assert_eq!(answer["excess_burst_capacity"].as_f64(), Some(excess), "{target} {burst} {ready}");
        if burst > 0.0 {
            let before = ((total * f64::from(ready) + burst) / 150.0).ceil().max(2.0);
            assert_eq!(answer["num_activators"].as_f64(), Some(before));
        }
    }
    // In panic for 5 s with 5 pods at most: the larger of both wishes.
    for (stable, panic, wanted) in [(50.0, 30.0, 50), (20.0, 30.0, 30)] {
        let mut line = tick(5, 5, stable, panic);
        line["history"] = json!({"ready": 1, "panic_since_s": 0, "max_panic_pods": 5});
        assert_eq!(desired(&decider(1.0, 100.0, ""), line), Some(wanted));
    }
}

#[test]
fn panic_windows() {
    // 10 to 25, half a window later 41 of 40 ready, after the window the stable wish.
    let lines = [tick(0, 10, 11.0, 25.0), tick(30, 40, 30.0, 41.0), tick(62, 55, 50.0, 56.0)];
    assert_eq!(all_desired(&decider(1.0, 98.0, ""), &lines), [25, 41, 50]);
    // Still surging at half a window: 80, and panic is begun anew.
    let lines = [
        tick(0, 10, 11.0, 25.0),
        tick(30, 40, 30.0, 80.0),
        tick(62, 80, 10.0, 10.0),
        tick(91, 80, 10.0, 10.0),
    ];
    assert_eq!(all_desired(&decider(1.0, 98.0, ""), &lines), [25, 80, 80, 10]);
    // Six times as much each step.
    let lines = [
        tick(0, 1, 6.0, 6.0),
        tick(1, 6, 36.0, 36.0),
        tick(2, 36, 216.0, 216.0),
        tick(3, 216, 1296.0, 1296.0),
        tick(4, 1296, 1296.0, 1296.0),
    ];
    assert_eq!(all_desired(&decider(1.0, 101.0, ""), &lines), [6, 36, 216, 1296, 1296]);
    // Never down in panic, but with the load 8 ready serve what they did.
    let lines = [tick(0, 8, 100.0, 100.0), tick(0, 8, 50.0, 50.0)];
    assert_eq!(all_desired(&decider(10.0, 98.0, ""), &lines), [10, 5]);
}

#[test]
fn scale_down_delay() {
    let spec =
        "policy: kpa\nTargetValue: 10\nMaxScaleUpRate: 10\nMaxScaleDownRate: 10\nPanicThreshold: 100\n";
    let delayed = format!("{spec}ScaleDownDelay: 5m\n");
    let lines: Vec<Value> =
        [(2, 40.0), (300, 0.0), (302, 0.0), (540, 40.0), (600, 30.0), (660, 0.0), (840, 0.0), (900, 0.0)]
            .map(|(t_s, load)| tick(t_s, 0, load, load))
            .to_vec();
    assert_eq!(all_desired(&delayed, &lines), [4, 4, 0, 4, 4, 4, 3, 0]);
    let mut half = tick(0, 0, 20.0, 20.0);
    half["t_s"] = 0.5.into();
    assert_eq!(all_desired(spec, &[tick(0, 0, 40.0, 40.0), half]), [4, 2]);
}
