//! `test_autoscaling_policy.py` of ray-project/ray.

use serde_json::{Value, json};

use super::{all_desired, answers, desired};

fn spec(settings: &str) -> String {
    format!("autoscaling_config: {{{settings}}}\n")
}

/// A tick: seconds, target, running, ongoing requests.
fn tick(t_s: f64, target: u32, running: u32, ongoing: f64) -> Value {
    json!({"t_s": t_s, "replicas": target, "ready": running, "metrics": {"total_num_requests": ongoing}})
}

#[test]
fn from_zero() {
    // The policy wants 10 of the factor 10; the caller's bound of 2 comes after it.
    for (factor, raw, bounded) in [("upscaling_factor: 10", 10, 2), ("upscale_smoothing_factor: 10", 10, 2)] {
        let spec = spec(&format!("min_replicas: 0, max_replicas: 2, {factor}"));
        let answer = &answers(&spec, &[tick(0.0, 0, 0, 1.0)])[0];
        assert_eq!((answer["raw"].as_u64(), answer["desired"].as_u64()), (Some(raw), Some(bounded)));
    }
    let half = spec("min_replicas: 0, max_replicas: 2, upscaling_factor: 0.5");
    assert_eq!(desired(&half, tick(0.0, 0, 0, 1.0)), Some(1));
}

#[test]
fn to_zero() {
    let now = "min_replicas: 0, max_replicas: 5, upscale_delay_s: 0, downscale_delay_s: 0";
    for factor in ["downscaling_factor: 10", "downscale_smoothing_factor: 10"] {
        let lines = [tick(0.0, 5, 5, 0.0), tick(0.1, 1, 1, 0.0)];
        assert_eq!(all_desired(&spec(&format!("{now}, {factor}")), &lines), [1, 0]);
    }
    // With a factor of 0.2 it does not get stuck: 5, 4, 3, 2, 1, 0.
    let lines: Vec<Value> =
        (0..5).map(|i| tick(0.1 * f64::from(i), 5 - i as u32, 5 - i as u32, 0.0)).collect();
    assert_eq!(all_desired(&spec(&format!("{now}, downscaling_factor: 0.2")), &lines), [4, 3, 2, 1, 0]);
}

#[test]
fn factors() {
    let now = "min_replicas: 0, max_replicas: 30, target_ongoing_requests: 1, upscale_delay_s: 0, downscale_delay_s: 0";
    // (current, ongoing, factor, wanted): 10 to 20 by half, 20 to 5 by half (12.5), 10 to 9 by half (stuck).
    for (current, ongoing, factor, wanted) in [
        (10, 20.0, "upscaling_factor: 0.5", 15),
        (20, 5.0, "downscaling_factor: 0.5", 13),
        (10, 9.0, "downscaling_factor: 0.5", 9),
        (1, 3.0, "upscaling_factor: 0.5", 2),
        (1, 3.0, "upscaling_factor: 1.0", 3),
        (3, 0.0, "downscaling_factor: 0.5", 2),
        (3, 0.0, "downscaling_factor: 1.0", 1),
    ] {
        let spec = spec(&format!("{now}, {factor}"));
        assert_eq!(desired(&spec, tick(0.0, current, current, ongoing)), Some(wanted), "{current} {ongoing}");
    }
    // One of four replicas has all requests.
    for ongoing in [20.0, 100.0, 10.0] {
        let spec = spec(
            "min_replicas: 1, max_replicas: 50, target_ongoing_requests: 5, upscale_delay_s: 0, \
                         downscale_delay_s: 0",
        );
        assert_eq!(desired(&spec, tick(0.0, 4, 4, ongoing)), Some((ongoing / 5.0) as u64));
    }
}

#[test]
fn delays() {
    let lines = |wanted: f64, running: u32, times: &[f64]| -> Vec<Value> {
        times.iter().map(|t| tick(*t, running, running, wanted)).collect()
    };
    let up = spec("min_replicas: 1, max_replicas: 10, target_ongoing_requests: 1, upscale_delay_s: 0.3");
    assert_eq!(all_desired(&up, &lines(5.0, 1, &[1000.0, 1000.05, 1000.1, 1000.31])), [1, 1, 1, 5]);
    // Loops of 0.6 s: the delay is wall-clock, fired at the first loop at or after 100 s.
    let slow = spec("min_replicas: 1, max_replicas: 10, target_ongoing_requests: 1, upscale_delay_s: 100");
    let times: Vec<f64> = (0..168).map(|i| 0.6 * f64::from(i)).collect();
    let wanted = all_desired(&slow, &lines(5.0, 1, &times));
    assert_eq!(wanted.iter().position(|count| *count == 5), Some(167));
    // 4 to 1 after 0.3 s, 1 to 0 after 0.4 s more.
    let down =
        spec("min_replicas: 0, max_replicas: 10, downscale_to_zero_delay_s: 0.4, downscale_delay_s: 0.3");
    let mut seen = lines(0.0, 4, &[1000.0, 1000.05, 1000.1, 1000.31]);
    seen.extend(lines(0.0, 1, &[1000.5, 1000.6, 1000.7, 1000.91]));
    assert_eq!(all_desired(&down, &seen), [4, 4, 4, 1, 1, 1, 1, 0]);
}

#[test]
fn replicas_that_start_slowly() {
    let slow = spec(
        "min_replicas: 1, max_replicas: 200, upscale_delay_s: 0, downscale_delay_s: 100000, \
                     target_ongoing_requests: 1",
    );
    let lines =
        [tick(0.0, 1, 1, 100.0), tick(0.1, 100, 1, 100.0), tick(0.2, 100, 3, 123.0), tick(0.3, 123, 4, 10.0)];
    assert_eq!(all_desired(&slow, &lines), [100, 100, 123, 123]);
    // Nobody runs yet and nobody asks: the target is held, whatever the factor.
    for factor in ["0.5", "1.5", "10"] {
        let spec = spec(&format!(
            "min_replicas: 2, max_replicas: 10, target_ongoing_requests: 0.2, upscaling_factor: {factor}"
        ));
        let lines: Vec<Value> = (0..20).map(|i| tick(0.1 * f64::from(i), 2, 0, 0.0)).collect();
        assert_eq!(all_desired(&spec, &lines), [2; 20]);
    }
}

#[test]
fn fluctuation() {
    for (delay, over, under) in [(30, 1, 2), (0, 2, 1)] {
        let spec = spec(&format!(
            "min_replicas: 1, max_replicas: 10, upscale_delay_s: {delay}, downscale_delay_s: {delay}, \
             target_ongoing_requests: 50"
        ));
        let line = |i: u32| match i % 2 {
            0 => tick(0.1 * f64::from(i), 1, 1, 100.0),
            _ => tick(0.1 * f64::from(i), 2, 2, 40.0),
        };
        let seen = all_desired(&spec, &(0..1000).map(line).collect::<Vec<_>>());
        assert!(seen.iter().step_by(2).all(|count| *count == over));
        assert!(seen.iter().skip(1).step_by(2).all(|count| *count == under));
    }
}
