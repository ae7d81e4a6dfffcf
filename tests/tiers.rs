//! Tiers below the KV cache: what they give, what it costs to load, and what is refused.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use fleetsim::metrics::results::{PrefixCacheSummary, TierSummary};
use fleetsim::policies::router::RouterKind;
use fleetsim::scenario::load_text;
use fleetsim::serving::{KvTiers, ReplicaLinks, Tier};
use fleetsim::traffic::{ArrivalProcess, LengthDist, Source, TraceConfig};
use fleetsim::units::{Bytes, BytesPerSecond, Duration, Ticks};
use fleetsim::world::{RunOptions, WorldConfig, run};
use support::{deployment, outputs, step, stream, world};

/// Prompts of 1,000 tokens, one a second, of so many documents in turn, on replicas whose cards hold 70 blocks of 16.
fn turns(folder: &Path, documents: u64, replicas: u32, tiers: KvTiers) -> WorldConfig {
    let mut lines = String::new();
    for number in 0..60u64 {
        let hashes = [0, 1].map(|block| 10 * (number % documents) + block);
        let at = 1000 * number;
        writeln!(
            lines,
            r#"{{"timestamp": {at}, "input_length": 1000, "output_length": 1, "hash_ids": {hashes:?}}}"#
        )
        .expect("writing to a string");
    }
    let file = folder.join("trace.jsonl");
    std::fs::write(&file, lines).expect("the folder is there");
    let mut served = deployment(replicas, 4, step(0.01, 0.0), RouterKind::RoundRobin);
    served.batching.max_batch_tokens = 4096;
    served.prefix_tokens = Some(512);
    served.options[0].kv_blocks = 70;
    let none = BytesPerSecond(1.0);
    served.options[0].links =
        Some(ReplicaLinks { kv_per_token: Bytes(1000), scale_up: none, scale_out: none, tiers });
    let mut plan = stream(1.0, ArrivalProcess::Poisson, outputs(LengthDist::Constant(1)));
    plan.traffic.source = Source::Trace(TraceConfig::new(file));
    world(plan, served, 70.0, 0.0)
}

fn milliseconds(ms: u64) -> Ticks {
    Ticks::from_duration(Duration::from_nanos(1_000_000 * ms))
}

/// What the cache had, what its tiers gave, and the longest time to a first token.
fn measured(config: &WorldConfig) -> (PrefixCacheSummary, Option<TierSummary>, f64) {
    let results = run(config, RunOptions::default()).expect("it runs");
    let plain = run(config, RunOptions { plain: true, ..RunOptions::default() }).expect("it runs");
    assert_eq!(format!("{:?}", results.summary), format!("{:?}", plain.summary));
    let cache = results.summary.deployments[0].prefix_cache.expect("the prompts have hashes");
    (cache, cache.tiers, results.summary.latency.ttft_s.max.expect("answers"))
}

/// Two documents of 63 blocks take turns on cards for one. Of 1,000 tokens 992 are in whole blocks: 62 blocks come back
/// from the host each time, at 1 ms each, before an iteration of 10 ms.
#[test]
fn host_memory_gives_back_what_the_cards_evicted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cache, tiers, _) = measured(&turns(folder.path(), 2, 1, KvTiers::default()));
    assert_eq!((cache.found_blocks, tiers), (0, None), "one evicts the other");
    let host = |blocks| KvTiers {
        host: Some(Tier { blocks, copy: milliseconds(1), latency: Ticks::ZERO }),
        remote: None,
    };
    let (cache, tiers, ttft) = measured(&turns(folder.path(), 2, 1, host(1000)));
    let tiers = tiers.expect("there are tiers");
    // The first of each is computed, all others come from there.
    assert_eq!((cache.asked_blocks, cache.found_blocks), (120, 116), "{tiers:?}");
    assert_eq!((tiers.host_blocks, tiers.remote_blocks), (116, 0));
    assert_eq!(cache.saved_prompt_tokens, 58 * 992);
    assert!((tiers.load_s - 58.0 * 0.062).abs() < 1e-9 && (ttft - 0.072).abs() < 1e-9, "{tiers:?} {ttft}");
    // Of four documents a host that holds one more than the cards gives nothing: the one that comes has just gone.
    let (cache, ..) = measured(&turns(folder.path(), 4, 1, host(70)));
    assert_eq!(cache.found_blocks, 0);
    let (cache, ..) = measured(&turns(folder.path(), 4, 1, host(1000)));
    assert_eq!(cache.found_blocks, 2 * 56);
}

/// What one replica computed another finds in storage, after its latency: with one document and two replicas in turn
/// the first request computes it, the second loads it, and then both have it.
#[test]
fn storage_is_shared_by_replicas() {
    let folder = tempfile::tempdir().expect("a folder");
    let tier = Tier { blocks: 1000, copy: milliseconds(2), latency: milliseconds(100) };
    let remote = KvTiers { host: None, remote: Some(tier) };
    let (cache, tiers, ttft) = measured(&turns(folder.path(), 1, 2, remote));
    let tiers = tiers.expect("there are tiers");
    assert_eq!((cache.asked_blocks, cache.found_blocks), (120, 118));
    assert_eq!((tiers.host_blocks, tiers.remote_blocks), (0, 2));
    // 62 blocks at 2 ms and 100 ms.
    assert!((tiers.load_s - 0.224).abs() < 1e-9 && (ttft - 0.234).abs() < 1e-9, "{tiers:?} {ttft}");
    let (alone, ..) = measured(&turns(folder.path(), 1, 2, KvTiers::default()));
    assert_eq!(alone.found_blocks, 116, "each computes it once");
    // Host memory is asked first, and is each replica's own.
    let both =
        KvTiers { host: Some(Tier { blocks: 1000, copy: milliseconds(1), latency: Ticks::ZERO }), ..remote };
    let (cache, tiers, _) = measured(&turns(folder.path(), 3, 2, both));
    let tiers = tiers.expect("there are tiers");
    assert_eq!(cache.found_blocks, 2 * 57);
    assert!(tiers.host_blocks > 2 * tiers.remote_blocks && tiers.remote_blocks > 0, "{tiers:?}");
}

const SOUND: &str = r#"
duration = "20m"
[[streams]]
name = "chat"
model = "llama-3.1-70b"
rate = "1/s"
prompt_tokens = 1024
output_tokens = 256
sessions = { turns = 6, think = "30s" }
[[pools]]
name = "cards"
offer = "aws/p5.48xlarge"
nodes = 1
[[deployments]]
name = "chat"
model = "llama-3.1-70b"
precision = "fp8"
pools = ["cards"]
parallelism = { tp = 2 }
replicas = 4
routing = "session-affinity"
kv_blocks = 8000
kv_tiers = { host = { size = "200 GB" }, remote = { size = "10 TB", bandwidth = "10 GB/s", latency = "2ms" } }
"#;

fn load(text: &str) -> Result<WorldConfig, String> {
    let loaded = load_text(text, Path::new("scenario.toml"), &[], None);
    loaded.map(|loaded| loaded.config).map_err(|wrong| wrong.to_string())
}

/// 320 KiB a token over 80 layers of 8 KV heads of 128 in 16 bits: 5.24 MB a block.
#[test]
fn a_scenario_says_its_tiers() {
    let config = load(SOUND).unwrap_or_else(|errors| panic!("{errors}"));
    let tiers = config.deployments[0].options[0].links.expect("known").tiers;
    let (host, remote) = (tiers.host.expect("host"), tiers.remote.expect("remote"));
    assert_eq!((host.blocks, remote.blocks), (200_000_000_000 / 5_242_880, 10_000_000_000_000 / 5_242_880));
    assert!((remote.copy.as_secs_f64() - 5_242_880.0 / 1e10).abs() < 1e-12);
    let hits = |config: &WorldConfig| {
        let summary = run(config, RunOptions::default()).expect("it runs").summary;
        summary.deployments[0].prefix_cache.expect("sessions").found_blocks
    };
    let mut without = config.clone();
    without.deployments[0].options[0].links.as_mut().expect("known").tiers = KvTiers::default();
    assert!(hits(&config) > hits(&without) * 11 / 10, "{} {}", hits(&config), hits(&without));
}

#[test]
fn what_is_refused() {
    let errors = |from: &str, to: &str| {
        assert!(SOUND.contains(from), "{from}");
        load(&SOUND.replace(from, to)).map(|_| format!("accepted: {to}\n")).unwrap_or_else(|errors| errors)
    };
    let all = [
        errors("host = { size = \"200 GB\" }, ", "host = {}, "),
        errors("bandwidth = \"10 GB/s\", ", ""),
        errors("kv_tiers = {", "prefix_caching = false\nkv_tiers = {"),
        errors("kv_tiers = { host", "kv_tiers = { hots"),
        SOUND.find("kv_tiers").map_or(String::new(), |at| {
            let text = format!("{}kv_tiers = {{}}\n", &SOUND[..at]);
            load(&text).map(|_| "accepted\n".to_owned()).unwrap_or_else(|errors| errors)
        }),
    ];
    insta::assert_snapshot!(all.join("\n"));
}
