//! The prefix cache through the whole serving path, on the real Mooncake trace.

mod support;

use std::path::PathBuf;

use fleetsim::policies::router::RouterKind;
use fleetsim::traffic::{ArrivalProcess, BlockHashes, LengthDist, Source, TraceConfig, TraceReader};
use fleetsim::world::{RunOptions, WorldConfig, run};
use support::{deployment, outputs, step, stream, world};

fn mooncake() -> Option<PathBuf> {
    let file = "../shared/data/traces/mooncake/synthetic_trace.jsonl.gz";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {file} is not there");
    None
}

/// The trace on one replica with so many KV blocks of 16 tokens and a hundred requests at a time.
fn on_one_replica(trace: PathBuf, kv_blocks: u64) -> WorldConfig {
    let mut served = deployment(1, 100, step(1e-4, 0.0), RouterKind::RoundRobin);
    served.batching.max_batch_tokens = 1 << 20;
    served.options[0].kv_blocks = kv_blocks;
    served.prefix_tokens = Some(BlockHashes::MOONCAKE_BLOCK_TOKENS);
    let mut plan = stream(1.0, ArrivalProcess::Poisson, outputs(LengthDist::Constant(1)));
    plan.traffic.source = Source::Trace(TraceConfig::new(trace));
    world(plan, served, 1100.0, 0.0)
}

#[test]
fn an_unbounded_cache_reuses_what_the_trace_repeats_to_the_block() {
    let Some(trace) = mooncake() else { return };
    let mut reader = TraceReader::open(&trace, None, None).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = std::collections::HashSet::new();
    let (mut asked, mut repeated) = (0, 0);
    while let Some(row) = reader.next_row().unwrap_or_else(|error| panic!("{error}")) {
        for hash in row.blocks.iter().flat_map(|blocks| blocks.0.iter()) {
            asked += 1;
            repeated += u64::from(!seen.insert(*hash));
        }
    }
    let results = run(&on_one_replica(trace, 1 << 40), RunOptions::default()).expect("it runs");
    let cache = results.summary.deployments[0].prefix_cache.expect("the prompts have hashes");
    assert_eq!((cache.asked_blocks, cache.found_blocks), (asked, repeated));
    assert_eq!((cache.hit_rate * 1000.0).round(), 640.0);
}

#[test]
fn a_smaller_cache_finds_less() {
    let Some(trace) = mooncake() else { return };
    let hits = |kv_blocks| {
        let results = run(&on_one_replica(trace.clone(), kv_blocks), RunOptions::default()).expect("it runs");
        results.summary.deployments[0].prefix_cache.expect("the prompts have hashes").found_blocks
    };
    let (large, small) = (hits(1_000_000), hits(100_000));
    assert!(0 < small && small < large, "{small} and {large}");
}
