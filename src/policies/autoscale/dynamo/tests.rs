//! Hand-computed ticks.

use super::*;
use crate::policies::autoscale::{Pod, PodMetric};
use crate::policies::spec::{Problems, parse_yaml};

fn law(yaml: &str) -> Dynamo {
    let problems = Problems::default();
    let documents = parse_yaml(&format!("policy: dynamo\nload_predictor: constant\n{yaml}")).unwrap();
    let config = read(&documents[0], &problems);
    assert_eq!(problems.into_sorted(), []);
    Dynamo::new(config.unwrap())
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn engines(decision: Decision) -> (f64, f64) {
    let scale = decision.unwrap();
    (scale.figures[0].1, scale.figures[1].1)
}

fn traffic(rps: f64) -> Observation {
    Observation::of(0).with("rps", rps).with("prefill_engine_rps", 4.0).with("decode_engine_rps", 2.0)
}

fn decide(law: &mut Dynamo, seconds: u64, rps: f64) -> (f64, f64) {
    engines(law.decide(at(seconds), &traffic(rps)).0)
}

#[test]
fn throughput() {
    let mut law = law("max_gpu_budget: 100");
    assert_eq!(decide(&mut law, 0, 9.0), (3.0, 5.0));
    assert_eq!(decide(&mut law, 180, 0.0), (1.0, 1.0));
    // 1.4 s where 0.5 s are promised: at least three engines that read prompts.
    let late = traffic(1.0).with("prefill_ttft_ms", 1400.0);
    assert_eq!(engines(law.decide(at(360), &late).0), (3.0, 1.0));
    // Requests of an interval instead of a rate: 1800 in 180 s are ten a second.
    let counted = Observation::of(0).with("num_req", 1800.0);
    let counted = counted.with("prefill_engine_rps", 4.0).with("decode_engine_rps", 2.0);
    assert_eq!(engines(law.decide(at(540), &counted).0), (3.0, 5.0));
}

#[test]
fn interval() {
    let mut law = law("max_gpu_budget: 100");
    assert_eq!([decide(&mut law, 0, 9.0), decide(&mut law, 179, 1.0)], [(3.0, 5.0), (3.0, 5.0)]);
    assert_eq!(decide(&mut law, 180, 1.0), (1.0, 1.0));
}

#[test]
fn clamps() {
    // From one: at most nine; 10 and 20 are wanted.
    assert_eq!(decide(&mut law("max_gpu_budget: 100"), 0, 40.0), (9.0, 9.0));
    assert_eq!(decide(&mut law("max_gpu_budget: -1"), 0, 40.0), (9.0, 9.0));
    // 4 and 8 on a budget of 6: a half of 4 is 2, decode has the other 4.
    assert_eq!(decide(&mut law("max_gpu_budget: 6"), 0, 16.0), (2.0, 4.0));
    // Engines of two and four cards on 16: 8 + 32 wanted; 4 · 0.4 is one, decode has 14 / 4.
    let cards = "max_gpu_budget: 16\nprefill_engine_num_gpu: 2\ndecode_engine_num_gpu: 4";
    assert_eq!(decide(&mut law(cards), 0, 16.0), (1.0, 3.0));
    // One kind only.
    let mut alone = law("mode: decode\nmax_gpu_budget: 4");
    assert_eq!(decide(&mut alone, 0, 16.0), (0.0, 4.0));
}

/// An engine's iteration as a pod: names and values.
fn pod(metrics: &[(&str, f64)]) -> Pod {
    let metric = |&(name, value): &(&str, f64)| {
        (name.to_owned(), PodMetric { value, at: Instant::ZERO, window: Duration::ZERO })
    };
    Pod { metrics: metrics.iter().map(metric).collect(), ready: Some(true), ..Pod::default() }
}

fn seen(counts: (u32, u32), pods: Vec<Pod>, engine: &[(&str, f64)]) -> Observation {
    let mut observation = Observation { replicas: 0, pods: Some(pods), ..Observation::default() };
    let counted = [("prefill", f64::from(counts.0)), ("decode", f64::from(counts.1))];
    for (name, value) in counted.iter().chain(engine) {
        observation.extra.insert((*name).to_owned(), (*value).into());
    }
    observation
}

#[test]
fn easy() {
    let said = |target: &str, prefill: &[f64], decode: &[f64]| {
        let mut law = law(&format!("optimization_target: {target}\nmax_gpu_budget: 100"));
        let prompts = prefill.iter().map(|queued| pod(&[("queued_prefill_tokens", *queued)]));
        let tokens = decode.iter().map(|kv| pod(&[("scheduled_decode_kv_tokens", *kv)]));
        let caps = [("context_length", 1000.0), ("max_kv_tokens", 1000.0)];
        let counts = (prefill.len() as u32, decode.len() as u32);
        engines(law.decide(at(0), &seen(counts, prompts.chain(tokens).collect(), &caps)).0)
    };
    // Prefill: any at the context up, all below a tenth down. Decode: any above the cache up, all below 60 % down.
    assert_eq!(said("throughput", &[1000.0, 0.0], &[1001.0, 0.0]), (3.0, 3.0));
    assert_eq!(said("throughput", &[999.0, 0.0], &[1000.0, 0.0]), (2.0, 2.0));
    assert_eq!(said("throughput", &[99.0, 0.0], &[599.0, 0.0]), (1.0, 1.0));
    assert_eq!(said("throughput", &[100.0, 0.0], &[600.0, 0.0]), (2.0, 2.0));
    assert_eq!(said("throughput", &[0.0], &[0.0]), (1.0, 1.0));
    // Latency: a tenth and nothing; 40 % and 10 %.
    assert_eq!(said("latency", &[100.0, 0.0], &[401.0, 0.0]), (3.0, 3.0));
    assert_eq!(said("latency", &[1.0, 0.0], &[400.0, 99.0]), (2.0, 2.0));
    assert_eq!(said("latency", &[0.0, 0.0], &[99.0, 99.0]), (1.0, 1.0));
}

/// Iterations at 10 ms + 0.1 ms a prompt token, or 10 ms + 1 µs a KV token, as pods of both kinds.
fn sampled(prefill: &[f64], decode: &[f64], at: usize) -> Vec<Pod> {
    let tokens = 100.0 * (at + 1) as f64;
    let prompts = prefill.iter().map(|queued| {
        pod(&[
            ("scheduled_prefill_tokens", tokens),
            ("num_prefill_requests", 1.0),
            ("queued_prefill_tokens", *queued),
            ("wall_time_s", 0.01 + 1e-4 * tokens),
        ])
    });
    let kv = |scheduled: f64| 0.01 + 1e-6 * scheduled;
    let decoding = decode.iter().map(|scheduled| {
        // The KV held moves a little so that the line can be drawn.
        let held = scheduled + tokens;
        pod(&[("scheduled_decode_kv_tokens", held), ("num_decode_requests", 10.0), ("wall_time_s", kv(held))])
    });
    prompts.chain(decoding).collect()
}

/// The last of six ticks on the same load, 5 s apart, with the engines of the first.
fn settled(yaml: &str, prefill: &[f64], decode: &[f64]) -> (f64, f64) {
    let mut law = law(yaml);
    let caps = [("max_num_batched_tokens", 10_000.0), ("max_kv_tokens", 1e6)];
    let counts = (prefill.len() as u32, decode.len() as u32);
    let mut last = (0.0, 0.0);
    for tick in 0..6 {
        let observation = seen(counts, sampled(prefill, decode, tick), &caps);
        last = engines(law.decide(at(5 * tick as u64), &observation).0);
    }
    last
}

const LOAD: &str = "mode: load\nmax_gpu_budget: 100";

#[test]
fn load() {
    // 8000 tokens wait: 10 ms + 0.1 ms of 8350 is more than half a second; on all engines one more.
    assert_eq!(settled(LOAD, &[8000.0, 8000.0], &[30_000.0, 30_000.0]), (3.0, 2.0));
    // On one of two it is not all; nor may one go.
    assert_eq!(settled(LOAD, &[8000.0, 0.0], &[30_000.0, 30_000.0]).0, 2.0);
    // Own prompt 45 ms, so (500 − 45) · 0.8 = 364 ms for the queue: 1800 tokens over one engine are 360 ms; 1850 370.
    assert_eq!(settled(LOAD, &[1800.0, 1800.0], &[30_000.0, 30_000.0]).0, 1.0);
    assert_eq!(settled(LOAD, &[1850.0, 1850.0], &[30_000.0, 30_000.0]).0, 2.0);
    // Decoding: 60 ms of 50 on both; 12 000 tokens over one are 34 ms of 40; 16 000 are 42 ms.
    assert_eq!(settled(LOAD, &[4000.0, 4000.0], &[50_000.0, 50_000.0]).1, 3.0);
    assert_eq!(settled(LOAD, &[4000.0, 4000.0], &[12_000.0, 12_000.0]).1, 1.0);
    assert_eq!(settled(LOAD, &[4000.0, 4000.0], &[16_000.0, 16_000.0]).1, 2.0);
    // Five observations first.
    let mut law = law(LOAD);
    let caps = [("max_num_batched_tokens", 10_000.0)];
    let first = seen((2, 2), sampled(&[8000.0, 8000.0], &[50_000.0, 50_000.0], 0), &caps);
    assert_eq!(law.decide(at(0), &first).1, Reason("too few observations yet"));
}

#[test]
fn aggregated() {
    let yaml = "mode: agg\nenable_throughput_scaling: false\nenable_load_scaling: true\nmax_gpu_budget: 100\n\
                itl: 100";
    let last = |queued: f64, kv: f64| {
        let mut law = law(yaml);
        let caps = [("max_num_batched_tokens", 10_000.0), ("max_kv_tokens", 1e6)];
        let mut last = (0.0, 0.0);
        for tick in 0..6u64 {
            // Loads that differ in both, so that the plane is known: 10 ms, 0.1 ms a prompt token, 1 µs a KV token.
            let engine = |i: u64| {
                let (tokens, held) = (100.0 * (tick + 1) as f64, kv + 50.0 * ((tick * i) % 3) as f64);
                pod(&[
                    ("scheduled_prefill_tokens", tokens),
                    ("num_prefill_requests", 1.0),
                    ("scheduled_decode_kv_tokens", held),
                    ("num_decode_requests", 10.0),
                    ("queued_prefill_tokens", queued),
                    ("wall_time_s", 0.01 + 1e-4 * tokens + 1e-6 * held),
                ])
            };
            let observation = seen((0, 2), vec![engine(1), engine(2)], &caps);
            last = engines(law.decide(at(5 * tick), &observation).0);
        }
        last.1
    };
    // Prompts late on all; tokens late on all; neither: one less; prompts that one engine could not take.
    assert_eq!([last(8000.0, 100.0), last(0.0, 80_000.0), last(0.0, 100.0)], [3.0, 3.0, 1.0]);
    assert_eq!(last(2500.0, 100.0), 2.0);
}

#[test]
fn both_modes() {
    let mut law = law(
        "optimization_target: sla\nenable_load_scaling: true\nmax_gpu_budget: 100\nload_adjustment_interval: 5",
    );
    let caps = [("max_num_batched_tokens", 10_000.0), ("max_kv_tokens", 1e6)];
    let idle = |tick: usize| {
        let mut observation = seen((2, 2), sampled(&[0.0, 0.0], &[100.0, 100.0], tick), &caps);
        for (name, value) in [("rps", 9.0), ("prefill_engine_rps", 4.0), ("decode_engine_rps", 2.0)] {
            observation = observation.with(name, value);
        }
        observation
    };
    // The floor of (3, 5) holds whatever the engines say, from the first tick on.
    assert_eq!(engines(law.decide(at(0), &idle(0)).0), (3.0, 5.0));
    for tick in 1..6 {
        assert_eq!(engines(law.decide(at(5 * tick as u64), &idle(tick)).0), (3.0, 5.0));
    }
}

#[test]
fn holds() {
    let caps = [("context_length", 1000.0), ("max_kv_tokens", 1000.0)];
    let full = || {
        vec![pod(&[("scheduled_decode_kv_tokens", 2000.0)]), pod(&[("scheduled_decode_kv_tokens", 2000.0)])]
    };
    let reason = |counts, pods, more: &[(&str, f64)]| {
        let mut law = law("mode: agg\noptimization_target: throughput");
        let caps: Vec<_> = caps.iter().chain(more).copied().collect();
        let (decision, reason) = law.decide(at(0), &seen(counts, pods, &caps));
        (engines(decision).1, reason)
    };
    assert_eq!(reason((0, 2), full(), &[]).0, 3.0);
    assert_eq!(reason((0, 2), full(), &[("expected_decode", 3.0)]).0, 2.0);
    assert_eq!(reason((0, 3), full(), &[]), (3.0, Reason("not as many engines report as there are")));
    assert_eq!(reason((0, 2), vec![], &[]), (2.0, Reason("no engine reports")));
}

#[test]
fn refusals() {
    let problems = Problems::default();
    let yaml = "policy: dynamo\nmode: fast\nload_predictor: prophet\nmin_endpoint: 5\nmax_gpu_budgets: 3\nttft: 0\n\
                enable_load_scaling: true\nload_adjustment_interval: 180\nfpm_sample_bucket_size: 12\n";
    read(&parse_yaml(yaml).unwrap()[0], &problems);
    let said: Vec<_> = problems.into_sorted().iter().map(|p| p.message.clone()).collect();
    insta::assert_snapshot!(said.join("\n"));
}
