//! Prefill/decode disaggregation against closed forms.

mod support;

use fleetsim::metrics::results::Summary;
use fleetsim::perf::{AffineStep, StepModel};
use fleetsim::policies::autoscale::scheduled::{Scheduled, Steps};
use fleetsim::policies::replay::Law;
use fleetsim::policies::router::RouterKind;
use fleetsim::scenario::load_text;
use fleetsim::serving::{Drain, Handover, Leftover, ReplicaLinks, Role, Scheduler};
use fleetsim::traffic::{ArrivalProcess, Length, LengthDist, Lengths};
use fleetsim::units::{Bytes, BytesPerSecond, Duration, Ticks};
use fleetsim::world::{RunOptions, ScalerPlan, WorldConfig, run};
use support::{deployment, pool, stream, world};

/// One prefill and one decode replica, each for one request at a time: a microsecond a prompt token, a millisecond an
/// output token.
fn tandem(rate: f64, arrivals: ArrivalProcess, lengths: Lengths, seconds: f64, gb_s: f64) -> WorldConfig {
    let step = StepModel::Affine(AffineStep {
        base: Ticks::from_secs_f64(1e-3),
        per_prefill_token: Ticks::from_secs_f64(1e-6),
        ..AffineStep::default()
    });
    let mut decode = deployment(1, 1, step, RouterKind::RoundRobin);
    decode.batching.max_batch_tokens = 10_000_000;
    decode.options[0].links = Some(ReplicaLinks {
        kv_per_token: Bytes(100_000),
        scale_up: BytesPerSecond::from_gb_s(gb_s),
        scale_out: BytesPerSecond::from_gb_s(gb_s),
        tiers: Default::default(),
    });
    decode.role = Role::Decode(Handover {
        prefill: 1,
        max_local_prefill: 0,
        max_prefill_queue: None,
        bandwidth: None,
        latency: Duration::ZERO,
    });
    let mut prefill = decode.clone();
    (prefill.name, prefill.role) = ("prefill".to_owned(), Role::Prefill { decode: 0 });
    let mut config = world(stream(rate, arrivals, lengths), decode, seconds, 0.0);
    config.pools = vec![pool(2)];
    config.deployments.push(prefill);
    config
}

fn summary(config: &WorldConfig) -> Summary {
    run(config, RunOptions::default()).expect("it runs").summary
}

/// With links that take no time and nobody else in the way: two queues in tandem. Arrivals are Poisson and both
/// services nearly exponential, so each is an M/M/1 queue by itself (Jackson 1957): times of 1/(mu - lambda).
#[test]
fn two_queues_in_tandem() {
    let geometric = |mean| Length::new(LengthDist::Geometric { mean });
    let lengths = Lengths::Independent { prompt: geometric(500_000.0), output: geometric(601.0) };
    let config = tandem(1.0, ArrivalProcess::Poisson, lengths, 400_000.0, f64::INFINITY);
    let Summary { latency, deployments, .. } = summary(&config);
    let (ttft, e2e) = (latency.ttft_s.mean.expect("answers"), latency.e2e_s.mean.expect("answers"));
    let (first, second) = (1.0 / (1.0 / 0.501 - 1.0), 1.0 / (1.0 / 0.6 - 1.0));
    assert!((ttft / first - 1.0).abs() < 0.02, "prefill: {ttft}, M/M/1 says {first}");
    assert!(((e2e - ttft) / second - 1.0).abs() < 0.02, "decode: {}, M/M/1 says {second}", e2e - ttft);
    let handover = deployments[0].handover.expect("it is disaggregated");
    assert!(handover.handed_over > 390_000 && handover.local == 0);
    assert_eq!(deployments[1].name, "prefill");
}

/// A request alone: its prompt, its cache's bytes over the slower of two links, and its other tokens.
#[test]
fn a_request_alone_takes_its_parts() {
    let lengths = Lengths::Independent { prompt: Length::constant(2000), output: Length::constant(11) };
    let config = tandem(0.1, ArrivalProcess::Deterministic, lengths, 1000.0, 0.4);
    let Summary { latency, deployments, .. } = summary(&config);
    let handover = deployments[0].handover.expect("it is disaggregated");
    // 2,000 tokens of 100 kB at 0.4 GB/s.
    assert_eq!(handover.mean_s, Some(0.5));
    assert_eq!(handover.bytes_sent, 100.0 * 2000.0 * 1e5);
    assert_eq!(handover.bytes_received, handover.bytes_sent);
    assert!((latency.ttft_s.mean.expect("answers") - 0.003).abs() < 1e-9);
    assert!((latency.e2e_s.mean.expect("answers") - 0.513).abs() < 1e-9);
}

/// The prefill replica keeps a cache until it is read: with room for one prompt, the next one waits for the transfer.
#[test]
fn a_cache_that_is_read_keeps_its_room() {
    let lengths = Lengths::Independent { prompt: Length::constant(1600), output: Length::constant(2) };
    let mut config = tandem(4.0, ArrivalProcess::Deterministic, lengths, 100.0, 0.32);
    config.deployments[1].options[0].kv_blocks = 100;
    // A transfer takes half a second, and requests come every quarter: every other one is in time at most.
    let Summary { requests, .. } = summary(&config);
    assert!((190..=210).contains(&requests.completed), "{requests:?}");
}

/// Every scheduler on either side, and several outputs of a request: all that was asked is answered.
#[test]
fn any_scheduler_hands_over() {
    for (_, before) in Scheduler::ALL {
        for (_, after) in Scheduler::ALL {
            let lengths =
                Lengths::Independent { prompt: Length::constant(400), output: Length::constant(20) };
            let mut config = tandem(1.0, ArrivalProcess::Poisson, lengths, 200.0, 1.0);
            for (deployment, scheduler) in config.deployments.iter_mut().zip([after, before]) {
                deployment.batching.max_batch_requests = 4;
                deployment.batching.scheduler = scheduler;
                deployment.batching.max_wait = Duration::from_nanos(50_000_000);
            }
            config.streams[0].terms.samples = 3;
            let Summary { requests, deployments, .. } = summary(&config);
            let left = requests.arrived - requests.completed;
            assert!(left <= 2 && requests.rejected == 0, "{before:?} before {after:?}: {requests:?}");
            let handover = deployments[0].handover.expect("it is disaggregated");
            assert!(handover.handed_over.abs_diff(3 * requests.completed) <= 9, "{handover:?}");
        }
    }
}

/// A decode replica that is killed takes the caches on their way to it along; its requests begin anew elsewhere.
#[test]
fn what_is_on_the_way_is_lost_with_the_replica() {
    let lengths = Lengths::Independent { prompt: Length::constant(1000), output: Length::constant(50) };
    // A cache takes half a second.
    let mut config = tandem(1.0, ArrivalProcess::Poisson, lengths, 200.0, 0.2);
    config.deployments[0].replicas = 3;
    config.deployments[0].batching.max_batch_requests = 8;
    config.deployments[0].lifecycle.drain = Drain { timeout: Duration::ZERO, then: Leftover::Retry };
    config.pools = vec![pool(4)];
    let changes = vec![(Duration::ZERO, 3), (Duration::from_secs(5), 1)];
    let steps = Some(Steps { period: Duration::from_secs(10), changes });
    let law = Law::Scheduled(Box::new(Scheduled { least: 0, windows: Vec::new(), steps }));
    config.scalers.push(ScalerPlan::blind(0, "scheduled", law, Duration::from_secs(1)));
    let Summary { requests, deployments, .. } = summary(&config);
    let handover = deployments[0].handover.expect("it is disaggregated");
    assert!(handover.bytes_lost.is_some_and(|bytes| bytes >= 1e8), "{handover:?}");
    assert_eq!(requests.failed + requests.rejected, 0);
    assert!(requests.completed + 10 > requests.arrived, "{requests:?}");
}

const SOUND: &str = r#"
duration = "1m"
[[streams]]
name = "chat"
model = "llama-3.1-8b"
rate = "2/s"
prompt_tokens = 512
output_tokens = 100
[[pools]]
name = "base"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 3
[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["base"]
prefill = { replicas = 1 }
decode = { replicas = 2 }
handover = { bandwidth = "50 GB/s" }
"#;

fn load(text: &str) -> Result<WorldConfig, String> {
    let loaded = load_text(text, std::path::Path::new("scenario.toml"), &[], None);
    loaded.map(|loaded| loaded.config).map_err(|wrong| wrong.to_string())
}

#[test]
fn a_scenario_that_says_so_is_disaggregated() {
    let config = load(SOUND).unwrap_or_else(|errors| panic!("{errors}"));
    let roles: Vec<(&str, u32, bool)> = config
        .deployments
        .iter()
        .map(|plan| (plan.name.as_str(), plan.replicas, matches!(plan.role, Role::Decode(_))))
        .collect();
    assert_eq!(roles, [("chat", 2, true), ("chat/prefill", 1, false)]);
    let summary = summary(&config);
    let handover = summary.deployments[0].handover.expect("it is disaggregated");
    assert_eq!(handover.handed_over, summary.requests.arrived);
    // 512 tokens of 32 layers, 8 heads of 128, keys and values of two bytes.
    let cache = 512.0 * 32.0 * 8.0 * 128.0 * 2.0 * 2.0;
    assert_eq!(handover.bytes_sent, cache * summary.requests.arrived as f64);
}

/// Prefill and decode replicas each with an autoscaler of their own: the scaler chooses the ratio.
#[test]
fn each_side_scales_by_itself() {
    let scaled = SOUND
        .replace("nodes = 3", "nodes = 8")
        .replace("rate = \"2/s\"", "rate = \"60/s\"")
        .replace("duration = \"1m\"", "duration = \"5m\"")
        .replace(
            "prefill = { replicas = 1 }",
            "prefill = { replicas = { min = 1, max = 4 }, \
             autoscaler = { policy = \"hpa\", metric = \"concurrency\", target = 2 } }",
        )
        .replace(
            "decode = { replicas = 2 }",
            "decode = { replicas = { min = 1, max = 4 }, \
             autoscaler = { policy = \"hpa\", metric = \"concurrency\", target = 16 } }\n\
             start = { image_pull = \"1s\", weight_load = \"5s\", warm_up = \"5s\" }",
        );
    let config = load(&scaled).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.scalers.iter().map(|scaler| scaler.deployment).collect::<Vec<_>>(), [0, 1]);
    let results = run(&config, RunOptions::default()).expect("it runs");
    let grew = |name: &str| {
        results.decisions.iter().any(|row| row.target == name && row.current == 1.0 && row.done > 1.0)
    };
    assert!(grew("chat") && grew("chat/prefill"), "{:?}", results.decisions);
}

#[test]
fn what_is_refused() {
    let errors = |from: &str, to: &str| {
        assert!(SOUND.contains(from), "{from}");
        load(&SOUND.replace(from, to)).map(|_| "accepted".to_owned()).unwrap_or_else(|errors| errors)
    };
    let all = [
        errors("decode = { replicas = 2 }\n", ""),
        errors("prefill = { replicas = 1 }\n", ""),
        errors("pools = [\"base\"]", "pools = [\"base\"]\nreplicas = 3"),
        errors("handover = { bandwidth = \"50 GB/s\" }\n", ""),
        errors(
            "pools = [\"base\"]",
            "pools = [\"base\"]\nautoscaler = { policy = \"hpa\", metric = \"concurrency\", target = 2 }",
        ),
        errors("decode = { replicas = 2 }", "decode = { replicas = 3 }"),
        errors("prefill = { replicas = 1 }", "prefill = { replicas = 1, routing = \"prefix-afinity\" }"),
        errors("prompt_tokens = 512", "prompt_tokens = 512\nsessions = { think = \"1s\" }"),
        errors("prompt_tokens = 512", "prompt_tokens = 512\nsessions = { turns = 0 }"),
        errors(
            "prompt_tokens = 512",
            "prompt_tokens = 512\nsessions = { turns = 4, max_context = 900 }\nshared_prompt = { tokens = 1000 }",
        ),
        errors("prompt_tokens = 512", "prompt_tokens = 512\nshared_prompt = { tokens = 9, reuse = 0.4 }"),
        errors("pools = [\"base\"]", "pools = [\"base\"]\nblock_tokens = 24"),
        errors("pools = [\"base\"]", "pools = [\"base\"]\noverlap_weight = 2"),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
