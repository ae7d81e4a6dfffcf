//! SkyPilot has few unit tests of this law: hand-computed ticks of the rules of `sky/serve/autoscalers.py`, and the
//! window of requests that `TestAutoscalerInfo` checks.

use serde_json::{Value, json};

use super::{all_desired, answers, desired};

fn spec(settings: &str) -> String {
    format!("service:\n  replica_policy: {{{settings}}}\n")
}

fn ticks(rates: &[f64]) -> Vec<Value> {
    (0..).zip(rates).map(|(i, qps)| json!({"t_s": 20 * i, "metrics": {"qps": qps}})).collect()
}

#[test]
fn agreement() {
    // It begins with the minimum; int(40 / 20) decisions up, int(59 / 20) down; a flip and a match begin anew.
    let spec = spec(
        "min_replicas: 1, max_replicas: 9, target_qps_per_replica: 2, upscale_delay_seconds: 40, \
                     downscale_delay_seconds: 59",
    );
    let wanted =
        all_desired(&spec, &ticks(&[5.0, 5.0, 9.0, 6.0, 9.0, 9.0, 1.0, 9.5, 1.0, 1.0, 100.0, 100.0]));
    assert_eq!(wanted, [1, 3, 3, 3, 3, 5, 5, 5, 5, 1, 1, 9]);
}

#[test]
fn requests_of_the_window() {
    // Of 900, 940, 950 and 999 s three are in the last 60 s at 1000 s: 0.05 a second.
    let spec = spec("min_replicas: 0, max_replicas: 9, target_qps_per_replica: 0.02");
    let line = json!({"t_s": 1000, "replicas": 0, "timestamps": [900.0, 940.0, 950.0, 999.0]});
    assert_eq!(desired(&spec, line), Some(3));
}

#[test]
fn spot_and_on_demand() {
    let spec = spec(
        "min_replicas: 3, max_replicas: 3, target_qps_per_replica: 1, base_ondemand_fallback_replicas: 1, \
                     dynamic_ondemand_fallback: true, num_overprovision: 1",
    );
    // Three wanted and one more: three spot; what of these is not ready is covered, never beyond three.
    let line = |ready: &[bool]| {
        let pods: Vec<Value> =
            ready.iter().map(|ready| json!({"name": "s", "capacity_type": "spot", "ready": ready})).collect();
        json!({"t_s": 0, "replicas": 3, "pods": pods, "metrics": {"qps": 1}})
    };
    for (ready, on_demand) in [(&[true, true, true][..], 1), (&[true, false, true], 2), (&[], 3)] {
        let answer = &answers(&spec, &[line(ready)])[0];
        assert_eq!((answer["desired"].as_u64(), answer["spot"].as_u64()), (Some(4), Some(3)));
        assert_eq!(answer["on_demand"].as_u64(), Some(on_demand), "{ready:?}");
    }
}
