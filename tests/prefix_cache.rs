//! The prefix cache through the whole serving path, on the real Mooncake trace.

mod support;

use std::path::PathBuf;

use fleetsim::policies::router::RouterKind;
use fleetsim::traffic::{
    ArrivalProcess, BlockHashes, Length, LengthDist, Lengths, PrefixedConfig, Sessions, SharedPart,
    SharedPrompt, Source, Think, TraceConfig, TraceReader,
};
use fleetsim::units::Duration;
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

/// Sessions of four turns on a cache without bound: each turn finds what was said before it, in whole blocks, and
/// the system prompt is computed once.
#[test]
fn a_turn_finds_its_session() {
    let lengths = Lengths::Independent { prompt: Length::constant(40), output: Length::constant(25) };
    let mut plan = stream(0.5, ArrivalProcess::Deterministic, lengths);
    plan.traffic.source = Source::Prefixed(PrefixedConfig {
        source: Box::new(plan.traffic.source),
        shared: Some(SharedPrompt { part: SharedPart::Tokens(100), variants: 1, zipf: 0.0 }),
        sessions: Some(Sessions::Begun {
            turns: Length::constant(4),
            think: Think::Constant(Duration::from_secs(1)),
            max_context: None,
            tools: None,
        }),
    });
    let mut served = deployment(2, 100, step(1e-3, 0.0), RouterKind::SessionAffinity);
    served.batching.max_batch_tokens = 1 << 20;
    served.prefix_tokens = Some(512);
    let mut config = world(plan, served, 1000.0, 0.0);
    let saved = |config: &WorldConfig| {
        let results = run(config, RunOptions::default()).expect("it runs");
        let cache = results.summary.deployments[0].prefix_cache.expect("the prompts have hashes");
        (results.summary.requests, cache.saved_prompt_tokens)
    };
    let (requests, tokens) = saved(&config);
    // 500 sessions begin; the last ones are cut off at the end.
    assert!(requests.arrived >= 1990, "{requests:?}");
    // After the prompts of 140, 205 and 270 tokens, 164, 229 and 294 are cached, and 100 of the first turn.
    let session = 96 + 160 + 224 + 288;
    assert!((500 * session - 3000..=500 * session).contains(&tokens), "{tokens}");
    config.deployments[0].router = RouterKind::PrefixAffinity { overlap_weight: 1000 };
    let affine = saved(&config).1;
    assert!(affine * 100 > tokens * 99, "prefixes lead to their sessions: {affine} of {tokens}");
    config.deployments[0].router = RouterKind::RoundRobin;
    let astray = saved(&config).1;
    assert!(astray < affine, "round-robin finds less: {astray} and {affine}");
}

/// What `trace fit` prints of a trace whose prompts repeat is a stream whose prompts do: on a cache without bound as
/// large a share of their tokens is found.
#[test]
fn a_fitted_stream_reuses_what_the_trace_does() {
    use std::fmt::Write as _;
    let folder = tempfile::tempdir().expect("a folder");
    let mut lines = String::new();
    for number in 0..400u64 {
        // Six of ten blocks are of one of four documents.
        let hashes: Vec<u64> = (0..10)
            .map(|at| if at < 6 { 100 * (number % 4) + at } else { 1000 + 10 * number + at })
            .collect();
        let at = 500 * number;
        writeln!(
            lines,
            r#"{{"timestamp": {at}, "input_length": 5120, "output_length": 20, "hash_ids": {hashes:?}}}"#
        )
        .expect("writing to a string");
    }
    let trace = folder.path().join("shared.jsonl");
    std::fs::write(&trace, lines).expect("the folder is there");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fleetsim"))
        .args(["trace", "fit"])
        .arg(&trace)
        .output()
        .expect("started");
    let fitted = String::from_utf8(output.stdout).expect("text");
    // All but the first occurrence of each document: 6 x 396 of 4,000 blocks.
    assert!(fitted.contains("shared_prompt = { reuse = 0.5940 }"), "{fitted}");
    assert!(fitted.contains("rate = \"2.0050/s\"") && fitted.contains("prompt_tokens = 5120"), "{fitted}");
    let scenario = format!(
        "duration = \"20m\"\n{}\n[[pools]]\nname = \"cards\"\noffer = \"lambda/gpu_1x_h100_sxm5\"\nnodes = 1\n\
         [[deployments]]\nname = \"any\"\nmodel = \"any\"\npools = [\"cards\"]\nkv_blocks = 1000000\n\
         step_time = {{ base = \"1ms\" }}\n",
        fitted.replace("llama-3.1-70b", "any")
    );
    let path = folder.path().join("fitted.toml");
    let loaded = fleetsim::scenario::load_text(&scenario, &path, &[], None);
    let config = loaded.map(|loaded| loaded.config).unwrap_or_else(|wrong| panic!("{wrong}"));
    let summary = run(&config, RunOptions::default()).expect("it runs").summary;
    let saved = summary.deployments[0].prefix_cache.expect("prompts begin alike").saved_prompt_tokens;
    let share = saved as f64 / summary.tokens.prompt as f64;
    assert!((share / 0.594 - 1.0).abs() < 0.02, "{share}");
}
