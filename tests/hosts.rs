//! Several models on the same cards, and adapters of a model: against closed forms, and what is refused.

mod support;

use fleetsim::metrics::results::{Summary, SwapSummary};
use fleetsim::policies::router::RouterKind;
use fleetsim::scenario::load_text;
use fleetsim::serving::{HostConfig, SharedCards, WeightSource};
use fleetsim::traffic::{ArrivalProcess, Length, LengthDist, Lengths};
use fleetsim::units::{Bytes, BytesPerSecond, Duration};
use fleetsim::world::{RunOptions, WorldConfig, run};
use support::{deployment, outputs, pool, step, stream, world};

const GB: u64 = 1_000_000_000;

/// Models of 10 GB with a stream each, `room` of which fit on each of the hosts of one node; an iteration takes a
/// hundredth of a second.
fn zoo(rates: &[f64], outputs_of: Lengths, (hosts, room): (u32, u64), seconds: f64) -> WorldConfig {
    let one = deployment(hosts, 8, step(0.01, 0.0), RouterKind::RoundRobin);
    let first = stream(rates[0], ArrivalProcess::Poisson, outputs_of.clone());
    let mut config = world(first, one.clone(), seconds, 0.0);
    config.pools = vec![pool(1)];
    config.pools[0].fleet.cards_per_node = hosts;
    config.deployments.clear();
    config.streams.clear();
    for (at, rate) in rates.iter().enumerate() {
        let mut own = one.clone();
        own.name = format!("model{at}");
        own.shared = Some(SharedCards {
            host: 0,
            weights: Bytes(10 * GB),
            footprint: Bytes(10 * GB),
            capacity: Bytes(10 * GB * room),
            pinned: false,
        });
        config.deployments.push(own);
        let mut own = stream(*rate, ArrivalProcess::Poisson, outputs_of.clone());
        own.traffic.name = format!("stream{at}");
        own.deployments = vec![at];
        config.streams.push(own);
    }
    config.hosts = vec![HostConfig {
        name: "hosts".to_owned(),
        members: (0..rates.len()).collect(),
        memory: Bytes(10 * GB * room),
        sources: vec![WeightSource::Disk { bandwidth: BytesPerSecond::from_gb_s(2.0) }],
        into_cards: None,
        warm_up: Duration::ZERO,
        patience: Duration::from_secs(10),
        affinity: true,
    }];
    config
}

fn summary(config: &WorldConfig) -> Summary {
    run(config, RunOptions::default()).expect("it runs").summary
}

fn swaps(summary: &Summary) -> SwapSummary {
    let zero =
        SwapSummary { loads: 0, evictions: 0, bytes: 0.0, load_s: 0.0, stalled_s: 0.0, stalled_usd: 0.0 };
    summary.deployments.iter().filter_map(|deployment| deployment.engine.swaps).fold(zero, |sum, more| {
        SwapSummary {
            loads: sum.loads + more.loads,
            evictions: sum.evictions + more.evictions,
            bytes: sum.bytes + more.bytes,
            load_s: sum.load_s + more.load_s,
            stalled_s: sum.stalled_s + more.stalled_s,
            stalled_usd: sum.stalled_usd + more.stalled_usd,
        }
    })
}

/// Che's approximation for LRU under independent references (Che, Tung, Wang 2002): model i is there with probability
/// 1 - exp(-p t), where t is such that these add up to the models that there is room for.
#[test]
fn models_that_are_there_agree_with_che() {
    let popularity: Vec<f64> = (1..=40).map(|k| libm::pow(f64::from(k), -0.8)).collect();
    let sum: f64 = popularity.iter().sum();
    let rates: Vec<f64> = popularity.iter().map(|p| 5.0 * p / sum).collect();
    let mut config = zoo(&rates, outputs(LengthDist::Constant(1)), (1, 8), 40_000.0);
    // So fast that nobody comes while another is served.
    config.hosts[0].sources = vec![WeightSource::Disk { bandwidth: BytesPerSecond(f64::INFINITY) }];
    config.deployments.iter_mut().for_each(|own| own.options[0].step = step(1e-6, 0.0));
    let summary = summary(&config);
    let measured = 1.0 - swaps(&summary).loads as f64 / summary.requests.arrived as f64;
    let there = |t: f64| popularity.iter().map(|p| -libm::expm1(-p / sum * t)).sum::<f64>();
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if there(middle) < 8.0 { low = middle } else { high = middle }
    }
    let che: f64 = popularity.iter().map(|p| p / sum * -libm::expm1(-p / sum * low)).sum();
    assert!(summary.requests.arrived > 150_000);
    assert!((measured / che - 1.0).abs() < 0.01, "measured {measured}, Che {che}");
}

/// Weights take their bytes over their bandwidth, and what stood still meanwhile is told in time and money.
#[test]
fn loads_cost_their_bytes() {
    let config = zoo(&[0.002, 0.002], outputs(LengthDist::Constant(10)), (1, 1), 50_000.0);
    let summary = summary(&config);
    let total = swaps(&summary);
    assert!(total.loads > 30 && total.evictions + 1 >= total.loads, "{total:?}");
    assert_eq!(total.bytes, total.loads as f64 * 1e10);
    // 10 GB at 2 GB/s, with nobody else on the disk; hardly anything computes meanwhile.
    assert!((total.load_s - 5.0 * total.loads as f64).abs() < 1e-3, "{total:?}");
    assert!(total.stalled_s <= total.load_s && total.stalled_s > 0.95 * total.load_s, "{total:?}");
    // A card costs a dollar an hour.
    assert!((total.stalled_usd - total.stalled_s / 3600.0).abs() < 1e-9);
    let late = summary.latency.ttft_s.max.expect("answers");
    assert!((5.0..30.0).contains(&late), "{late}");
}

/// Two models that compute at the same time have half of the cards each.
#[test]
fn cards_are_shared_equally() {
    let lengths = || Lengths::Independent { prompt: Length::constant(1), output: Length::constant(1000) };
    let mut config = zoo(&[0.02, 0.02], lengths(), (1, 2), 90.0);
    for stream in &mut config.streams {
        *stream = support::stream(0.02, ArrivalProcess::Deterministic, lengths());
    }
    config.streams[1].traffic.name = "other".to_owned();
    config.streams[1].deployments = vec![1];
    let both = summary(&config);
    assert_eq!(both.requests.completed, 2, "{:?}", both.requests);
    let e2e = both.latency.e2e_s.mean.expect("answers");
    assert!((e2e - 20.0).abs() < 0.03, "{e2e}");
    config.streams.pop();
    let alone = summary(&config).latency.e2e_s.mean.expect("answers");
    assert!((alone - 10.0).abs() < 1e-6, "{alone}");
}

/// A model that is always in use gives way after the patience of the host, and no sooner.
#[test]
fn who_waits_is_served_after_the_patience() {
    let lengths = Lengths::Independent { prompt: Length::constant(1), output: Length::constant(200) };
    let mut config = zoo(&[20.0, 0.01], lengths, (1, 1), 2000.0);
    config.streams.iter_mut().for_each(|stream| stream.timeout = Some(Duration::from_secs(120)));
    let summary = summary(&config);
    let rare = &summary.streams[1];
    assert!(rare.requests.completed > 10 && rare.requests.timed_out == 0, "{:?}", rare.requests);
    // The patience of 10 s, at most the 2 s of the batch that ends, and 5 s to load.
    let ttft = rare.latency.ttft_s.max.unwrap_or(17.0);
    let first = run(&config, RunOptions::default()).expect("it runs").distributions;
    assert!(!first.is_empty() && (14.9..18.0).contains(&ttft), "{ttft}");
}

/// From a peer or from the node's memory weights come as fast as these give them.
#[test]
fn the_first_source_that_has_them_gives_them() {
    let gb_s = BytesPerSecond::from_gb_s;
    let mut config = zoo(&[0.002, 0.002], outputs(LengthDist::Constant(10)), (1, 1), 50_000.0);
    config.hosts[0].sources = vec![
        WeightSource::HostMemory { bandwidth: gb_s(20.0), size: Bytes(20 * GB) },
        WeightSource::Disk { bandwidth: gb_s(2.0) },
    ];
    config.hosts[0].into_cards = Some(gb_s(20.0));
    let kept = swaps(&summary(&config));
    // The other model comes from the disk once; from then on both lie in memory.
    let expected = 5.0 + 0.5 * (kept.loads - 1) as f64;
    assert!((kept.load_s - expected).abs() < 1e-3, "{kept:?}");
    // With room for one there, a model that comes has just been pushed out.
    config.hosts[0].sources[0] = WeightSource::HostMemory { bandwidth: gb_s(20.0), size: Bytes(10 * GB) };
    let pushed = swaps(&summary(&config));
    assert!((pushed.load_s - 5.0 * pushed.loads as f64).abs() < 1e-3, "{pushed:?}");
    // Two hosts on a node, each with room for one of three models: what the other has comes from it.
    let mut config = zoo(&[0.5, 0.002, 0.002], outputs(LengthDist::Constant(300)), (2, 1), 50_000.0);
    config.hosts[0].sources =
        vec![WeightSource::Peer { bandwidth: gb_s(100.0) }, WeightSource::Disk { bandwidth: gb_s(2.0) }];
    let summary = summary(&config);
    let peer = summary.deployments[0].engine.swaps.expect("it is loaded again");
    assert!(peer.load_s < 5.0 * peer.loads as f64, "{peer:?}");
}

const SOUND: &str = r#"
duration = "10m"
[[streams]]
name = "small"
model = "llama-3.1-8b"
rate = "1/s"
prompt_tokens = 256
output_tokens = 64
[[streams]]
name = "other"
model = "mistral-7b"
rate = "0.02/s"
prompt_tokens = 256
output_tokens = 64
[[pools]]
name = "cards"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 2
[[hosts]]
name = "zoo"
replicas = 2
weights_from = ["disk"]
[[deployments]]
name = "small"
model = "llama-3.1-8b"
pools = ["cards"]
host = "zoo"
[[deployments]]
name = "other"
model = "mistral-7b"
pools = ["cards"]
host = "zoo"
"#;

fn load(text: &str) -> Result<WorldConfig, String> {
    let loaded = load_text(text, std::path::Path::new("scenario.toml"), &[], None);
    loaded.map(|loaded| loaded.config).map_err(|wrong| wrong.to_string())
}

/// Without `kv_blocks` a model takes a host for itself; with it both fit.
#[test]
fn a_scenario_says_who_shares() {
    let config = load(SOUND).unwrap_or_else(|errors| panic!("{errors}"));
    let shared: Vec<SharedCards> = config.deployments.iter().filter_map(|own| own.shared).collect();
    assert!(shared.iter().all(|own| own.footprint.0 * 10 > config.hosts[0].memory.0 * 9), "{shared:?}");
    let alone = summary(&config);
    let roomy = SOUND.replace("host = \"zoo\"", "host = \"zoo\"\nkv_blocks = 5000");
    let both = summary(&load(&roomy).unwrap_or_else(|errors| panic!("{errors}")));
    assert_eq!(both.requests.completed + both.requests.in_flight, both.requests.arrived);
    assert_eq!(swaps(&both).loads, 0, "both are there from the first instant");
    assert_eq!(alone.requests.rejected, 0);
}

const ADAPTERS: &str = r#"
duration = "10m"
[[adapters]]
name = "legal"
base = "llama-3.1-8b"
rank = 16
[[adapters]]
name = "medical"
base = "llama-3.1-8b"
rank = 8
[[streams]]
name = "law"
model = "llama-3.1-8b"
adapter = "legal"
rate = "2/s"
prompt_tokens = 256
output_tokens = 64
[[streams]]
name = "health"
model = "llama-3.1-8b"
adapter = "medical"
rate = "2/s"
prompt_tokens = 256
output_tokens = 64
[[pools]]
name = "cards"
offer = "lambda/gpu_1x_h100_sxm5"
nodes = 1
[[deployments]]
name = "chat"
model = "llama-3.1-8b"
pools = ["cards"]
lora = { slots = 2, bandwidth = "10 GB/s" }
"#;

/// With a slot for each an adapter comes once; with one slot they take turns, and requests wait for theirs.
#[test]
fn adapters_take_turns() {
    let config = load(ADAPTERS).unwrap_or_else(|errors| panic!("{errors}"));
    let enough = summary(&config);
    let own = enough.deployments[0].engine.adapters.expect("adapters are loaded");
    assert_eq!(own.loads, 2);
    // Rank 16 and 8 over 32 layers of 4096 wide projections, keys and values 1024 wide, two bytes each, at 10 GB/s.
    let numbers = 2.0 * (4096.0 + 4096.0) + 2.0 * (4096.0 + 1024.0);
    let bytes = 2.0 * 32.0 * (16.0 + 8.0) * numbers;
    assert!((own.load_s - bytes / 1e10).abs() < 1e-9, "{own:?}");
    let one = load(&ADAPTERS.replace("slots = 2", "slots = 1")).unwrap_or_else(|errors| panic!("{errors}"));
    let turns = summary(&one);
    let own = turns.deployments[0].engine.adapters.expect("adapters are loaded");
    assert!(own.loads > 100, "{own:?}");
    let mean = |summary: &Summary| summary.latency.ttft_s.mean.expect("answers");
    assert!(mean(&turns) > 2.0 * mean(&enough));
    assert!(turns.requests.completed + 50 > enough.requests.completed);
}

#[test]
fn what_is_refused() {
    let errors = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        load(&text.replace(from, to)).map(|_| "accepted\n".to_owned()).unwrap_or_else(|errors| errors)
    };
    let all = [
        errors(SOUND, "host = \"zoo\"\n", "host = \"zo\"\n"),
        errors(SOUND, "host = \"zoo\"\n", "host = \"zoo\"\nreplicas = 2\n"),
        errors(SOUND, "[\"disk\"]", "[\"host-memory\", \"disk\"]"),
        errors(SOUND, "[\"disk\"]", "[\"disc\"]"),
        errors(SOUND, "host = \"zoo\"\n", "host = \"zoo\"\npinned = true\n"),
        errors(
            SOUND,
            "model = \"mistral-7b\"\npools",
            "model = \"mistral-7b\"\nparallelism = { tp = 2 }\npools",
        ),
        errors(SOUND, "replicas = 2\n", "replicas = 3\n"),
        errors(ADAPTERS, "adapter = \"legal\"", "adapter = \"legl\""),
        errors(ADAPTERS, "base = \"llama-3.1-8b\"\nrank = 16", "base = \"mistral-7b\"\nrank = 16"),
        errors(ADAPTERS, "rank = 16", "rank = 64"),
        errors(ADAPTERS, "lora = { slots = 2, bandwidth = \"10 GB/s\" }\n", ""),
        errors(ADAPTERS, "slots = 2", "slots = 0"),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
