//! Laws that hold for every scenario, on random ones: the books balance (checked inside every run), the
//! same seed gives the same result, and running each iteration as an event of its own gives the same bytes
//! as fast-forwarding.

mod support;

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use fleetsim::fleet::PoolId;
use fleetsim::jobs::{JobConfig, JobExtra, JobOption};
use fleetsim::metrics::Signal;
use fleetsim::perf::{AffineStep, Profile, StepModel};
use fleetsim::policies::autoscale::forecast::Model;
use fleetsim::policies::autoscale::hpa::{self, Flags, Hpa, HpaConfig, Metric, Target};
use fleetsim::policies::autoscale::kpa::{Kpa, KpaConfig};
use fleetsim::policies::autoscale::predictive::{Predictive, PredictiveConfig};
use fleetsim::policies::autoscale::reactive::{Hold, Reactive, ReactiveConfig};
use fleetsim::policies::autoscale::scheduled::{Scheduled, Steps};
use fleetsim::policies::autoscale::wva::{Wva, WvaConfig};
use fleetsim::policies::replay::Law;
use fleetsim::policies::request_order::RequestOrder;
use fleetsim::policies::router::RouterKind;
use fleetsim::serving::{
    DeploymentConfig, Drain, Handover, HostConfig, Leftover, ReplicaLinks, Role, Scheduler, SharedCards,
    WeightSource,
};
use fleetsim::sim::{Delay, Seed};
use fleetsim::traffic::{
    ArrivalProcess, ClosedConfig, Cv, Length, LengthDist, Lengths, PrefixedConfig, Sessions, SharedPart,
    SharedPrompt, Source, StreamConfig, Think, Tools, TraceConfig,
};
use fleetsim::units::{Bytes, BytesPerSecond, Duration, Flop, Instant, Ticks};
use fleetsim::world::{Feed, RetryPlan, RunOptions, ScalerPlan, StreamPlan, WorldConfig, run};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rayon::prelude::*;
use support::engine::{EngineDice, engine_dice};
use support::{deployment, pool, stream, world};

/// Replicas from certain times on; how long they start and drain; what becomes of their requests.
/// Which law decides comes last.
type Scaled = (Vec<(u64, u32)>, u64, u64, usize, usize);

/// What a random scenario is made of.
#[derive(Debug, Clone)]
struct Dice {
    seed: u64,
    rate: f64,
    /// `None` for deterministic arrivals, which tie with iterations of whole milliseconds.
    cv: Option<f64>,
    servers: u32,
    tokens: u32,
    replicas: u32,
    kv_blocks: u64,
    block_tokens: u32,
    window: Option<u32>,
    max_prompt: u32,
    max_output: u32,
    timeout_ms: Option<u64>,
    max_queued: Option<u32>,
    router: usize,
    step_ns: [u64; 4],
    /// Rows of a measured profile that replaces the coefficients: for each of a few numbers of requests, times
    /// in microseconds at a few contexts, which may fall.
    profile: Option<[[u64; 4]; 3]>,
    users: Option<u32>,
    jobs: Vec<(u64, u32, u64)>,
    /// Replicas from certain times on, in ms of a period of 4 s; how long they start and drain, in ms.
    scaled: Option<Scaled>,
    /// A trace whose prompts share beginnings: (time in ms, which of a few documents, prompt tokens, output).
    traced: Vec<(u64, u64, u32, u32)>,
    /// The first stream's prompts share a beginning of so many tokens, or so many hundredths of themselves.
    shared_prompt: Option<(u32, bool)>,
    /// Its requests are sessions of so many turns, and so many ms between them.
    sessions: Option<(u32, u64)>,
    /// So many prefill replicas beside the others, which process prompts up to so many tokens themselves,
    /// and the megabytes a second between them (no limit when zero).
    split: Option<(u32, u32, u32)>,
    /// Several models share the replicas' cards.
    shared: Option<SharedDice>,
    engine: Option<EngineDice>,
}

/// How many models, of how many units of memory each and how many of these a host has beyond the largest, which of them
/// are pinned, milliseconds to load a unit and to wait before one in use has to go.
type SharedDice = (Vec<u64>, u64, usize, u64, u64);

fn dice() -> impl Strategy<Value = Dice> {
    let rate = prop_oneof![Just(20.0), 0.5f64..40.0];
    let traffic = (any::<u64>(), rate, prop::option::weighted(0.8, 0.3f64..4.0), 1u32..80, 1u32..60);
    let replica = (1u32..12, 0u32..100, 1u32..4, 6u64..60, 1u32..20, prop::option::of(2u32..60));
    let limits = (prop::option::of(20u64..3000), prop::option::of(0u32..10), 0usize..7);
    // Whole milliseconds make ties between replicas, arrivals and time-outs.
    let step_ns = (
        prop_oneof![Just(10_000_000u64), 1_000_000u64..20_000_000],
        prop_oneof![Just(0u64), 0u64..1_000_000],
        prop_oneof![Just(0u64), 0u64..100_000],
        prop_oneof![Just(0u64), 0u64..50_000],
    );
    let row = || [1_000u64..20_000, 1_000..20_000, 1_000..20_000, 1_000..20_000];
    let profile = prop::option::weighted(0.3, [row(), row(), row()]);
    let asked = (0u64..30_000, 0u64..5, 1u32..120, 1u32..20);
    let shared = prop_oneof![Just(Vec::new()), prop::collection::vec(asked, 1..100)];
    let jobs = prop::collection::vec((0u64..60, 1u32..4, 0u64..20), 0..4);
    let shared_prompt = prop::option::weighted(0.3, (1u32..60, any::<bool>()));
    let sessions = prop::option::weighted(0.3, (1u32..6, 1u64..2000));
    let split = prop::option::weighted(0.4, (1u32..3, prop_oneof![Just(0u32), 0u32..60], 0u32..4));
    let changes = prop::collection::vec((0u64..4000, 0u32..5), 1..5);
    let drain = prop_oneof![Just(0u64), 1u64..500, Just(100_000)];
    let scaled = prop::option::weighted(
        0.4,
        (changes, prop_oneof![Just(0u64), 1u64..1500], drain, 0usize..3, 0usize..10),
    );
    let models = (
        prop::collection::vec(1u64..4, 2..4),
        0u64..6,
        0usize..5,
        prop_oneof![Just(0u64), 1u64..300],
        prop_oneof![Just(0u64), 1u64..2000],
    );
    let models = prop::option::weighted(0.4, models);
    let others =
        (prop::option::of(1u32..20), jobs, shared, profile, scaled, (shared_prompt, sessions, split, models));
    (traffic, replica, limits, step_ns, others, engine_dice()).prop_map(
        |(
            (seed, rate, cv, max_prompt, max_output),
            (servers, spare, replicas, kv_blocks, block_tokens, window),
            (timeout_ms, max_queued, router),
            (a, b, c, d),
            (users, jobs, traced, profile, scaled, (shared_prompt, sessions, split, shared)),
            engine,
        )| Dice {
            seed,
            rate,
            cv,
            servers,
            tokens: servers + spare,
            replicas,
            kv_blocks,
            block_tokens,
            window,
            max_prompt,
            max_output,
            timeout_ms,
            max_queued,
            router,
            step_ns: [a, b, c, d],
            profile,
            users,
            jobs,
            scaled,
            shared,
            traced,
            shared_prompt,
            sessions,
            split,
            engine,
        },
    )
}

/// KV blocks that one hash covers.
const HASH_TOKENS: u32 = 2;

/// A trace in Mooncake's form. Prompts of one document begin alike; the hashes of a prompt are those of its
/// document's blocks, the last one its own when it is not whole.
fn shared_prompts(dice: &Dice) -> String {
    let mut rows = dice.traced.clone();
    rows.sort_unstable();
    let size = u64::from(HASH_TOKENS * dice.block_tokens);
    let mut lines = String::new();
    for (number, (at, document, prompt, output)) in rows.into_iter().enumerate() {
        let whole = u64::from(prompt) / size;
        let mut hashes: Vec<u64> = (0..whole).map(|block| document * 1_000 + block).collect();
        if !u64::from(prompt).is_multiple_of(size) {
            hashes.push(1_000_000 + number as u64);
        }
        writeln!(
            lines,
            r#"{{"timestamp": {at}, "input_length": {prompt}, "output_length": {output}, "hash_ids": {hashes:?}}}"#
        )
        .expect("writing to a string");
    }
    lines
}

/// A profile with knots at odd contexts, and prompts' times along with them.
fn profile(rows: &[[u64; 4]; 3], dice: &Dice, folder: &Path) -> StepModel {
    let mut table = "kind,decode_requests,prefill_tokens,context_tokens,iteration_s\n".to_owned();
    for (requests, times) in [1, 3, 7].into_iter().zip(rows) {
        for (context, micros) in [0, 7, 30, 90].into_iter().zip(times) {
            let seconds = *micros as f64 / 1e6;
            writeln!(table, "decode,{requests},0,{context},{seconds}").expect("writing to a string");
            writeln!(table, "prefill,,{},{context},{seconds}", requests * 9).expect("writing to a string");
            if micros.is_multiple_of(2) {
                writeln!(table, "mixed,{requests},5,{context},{seconds}").expect("writing to a string");
            }
        }
    }
    let file = folder.join(format!("{}.csv", dice.seed));
    std::fs::write(&file, table).expect("the folder is there");
    StepModel::Profile(Arc::new(Profile::read(&file).expect("a sound table")))
}

fn scenario(dice: &Dice, folder: &Path) -> WorldConfig {
    let ticks = |nanos| Ticks::from_duration(Duration::from_nanos(nanos));
    let affine = || {
        StepModel::Affine(AffineStep {
            base: ticks(dice.step_ns[0]),
            per_request: ticks(dice.step_ns[1]),
            per_prefill_token: ticks(dice.step_ns[2]),
            per_context_token: ticks(dice.step_ns[3]),
        })
    };
    let step = dice.profile.as_ref().map_or_else(affine, |rows| profile(rows, dice, folder));
    let mut served = deployment(dice.replicas, dice.servers, step, RouterKind::ALL[dice.router].1);
    served.batching.max_batch_tokens = dice.tokens;
    served.max_queued_requests = dice.max_queued;
    let option = &mut served.options[0];
    (option.kv_blocks, option.block_tokens, option.window) = (dice.kv_blocks, dice.block_tokens, dice.window);
    let uniform = |high| Length::new(LengthDist::Uniform { low: 1, high });
    let lengths = Lengths::Independent { prompt: uniform(dice.max_prompt), output: uniform(dice.max_output) };
    let timeout = dice.timeout_ms.map(|ms| Duration::from_nanos(ms * 1_000_000));
    let arrivals = dice.cv.map_or(ArrivalProcess::Deterministic, |cv| ArrivalProcess::Gamma { cv: Cv(cv) });
    let mut open = stream(dice.rate, arrivals, lengths.clone());
    if dice.shared_prompt.is_some() || dice.sessions.is_some() {
        let part = |(size, reuse)| match reuse {
            true => SharedPart::Reuse(f64::from(size) / 100.0),
            false => SharedPart::Tokens(size),
        };
        open.traffic.source = Source::Prefixed(PrefixedConfig {
            source: Box::new(open.traffic.source),
            shared: dice.shared_prompt.map(|s| SharedPrompt { part: part(s), variants: 3, zipf: 1.0 }),
            sessions: dice.sessions.map(|(turns, ms)| Sessions::Begun {
                turns: Length::constant(turns),
                think: Think::Exponential(Duration::from_nanos(ms * 1_000_000)),
                max_context: None,
                tools: turns.is_multiple_of(2).then(|| Tools {
                    calls: uniform(3),
                    pause: Think::Exponential(Duration::from_nanos(ms * 300_000)),
                    result: uniform(20),
                }),
            }),
        });
        served.prefix_tokens = Some(HASH_TOKENS * dice.block_tokens);
    }
    let ms = |ms: u64| Duration::from_nanos(ms * 1_000_000);
    let retries = dice.seed.is_multiple_of(2).then(|| RetryPlan {
        attempts: 2,
        backoff: ms(200),
        factor: 2.0,
        most: ms(1000),
        jitter: 0.5,
    });
    let mut config = world(StreamPlan { timeout, retries, ..open }, served, 20.0, 2.0);
    config.streams[0].slo.ttft = Some(Duration::from_nanos(100_000_000));
    if let Some(users) = dice.users {
        let think = Think::Constant(Duration::from_nanos(50_000_000));
        let closed = ClosedConfig { users, think, ramp: Duration::ZERO, lengths };
        config.streams.push(StreamPlan {
            traffic: StreamConfig { name: "closed".to_owned(), source: Source::Closed(closed) },
            timeout: None,
            retries: None,
            ..config.streams[0].clone()
        });
    }
    if !dice.traced.is_empty() {
        let file = folder.join(format!("{}.jsonl", dice.seed));
        std::fs::write(&file, shared_prompts(dice)).expect("the folder is there");
        config.deployments[0].prefix_tokens = Some(HASH_TOKENS * dice.block_tokens);
        config.streams.push(StreamPlan {
            traffic: StreamConfig {
                name: "shared".to_owned(),
                source: Source::Trace(TraceConfig::new(file)),
            },
            ..config.streams[0].clone()
        });
    }
    if let Some(engine) = &dice.engine {
        engine.apply(&mut config);
    }
    if let Some(split) = dice.split {
        disaggregate(&mut config, split, dice.seed);
    }
    if let Some(shared) = dice.shared.as_ref().filter(|_| dice.split.is_none() && dice.scaled.is_none()) {
        share(&mut config, shared);
    }
    if let Some(engine) = dice.engine.as_ref().filter(|_| dice.split.is_none()) {
        engine.draw_images(&mut config);
    }
    if let Some((changes, start, drain, then, law)) = &dice.scaled {
        scale(&mut config, changes, *start, *drain, Leftover::ALL[*then].1);
        decide_by(&mut config, *law);
    }
    config.pools.push(pool(3));
    config.pools[1].fleet.name = "jobs".to_owned();
    config.jobs = dice
        .jobs
        .iter()
        .enumerate()
        .map(|(number, (submit, cards, seconds))| JobConfig {
            name: format!("job{number}"),
            user: String::new(),
            queue: String::new(),
            submit: Instant::ZERO + Duration::from_secs(*submit),
            cards: *cards,
            options: vec![JobOption {
                pool: PoolId(1),
                duration: Duration::from_secs(*seconds),
                flop: Flop(1_000_000 * u128::from(*seconds)),
                on_links: None,
                label: String::new(),
                loads: Vec::new(),
                steps: 0.0,
            }],
            terms: Default::default(),
            extra: JobExtra::default(),
            needs: Default::default(),
        })
        .collect();
    config.seed = Seed(dice.seed);
    config
}

/// Puts prefill replicas before the only deployment; they batch in whatever way.
fn disaggregate(
    config: &mut WorldConfig,
    (replicas, max_local_prefill, megabytes): (u32, u32, u32),
    seed: u64,
) {
    let decode = &mut config.deployments[0];
    decode.options[0].links = Some(ReplicaLinks {
        kv_per_token: Bytes(1000),
        scale_up: BytesPerSecond(1e6),
        scale_out: BytesPerSecond(1e6 * f64::from(megabytes.max(1))),
        tiers: decode.options[0].links.map(|links| links.tiers).unwrap_or_default(),
    });
    decode.role = Role::Decode(Handover {
        prefill: 1,
        max_local_prefill,
        max_prefill_queue: (max_local_prefill % 2 == 1).then_some(3),
        bandwidth: (megabytes == 0).then_some(BytesPerSecond(f64::INFINITY)),
        latency: Duration::from_nanos(1_000_000 * u64::from(megabytes / 2)),
    });
    let mut prefill = decode.clone();
    (prefill.name, prefill.replicas, prefill.role) =
        ("prefill".to_owned(), replicas, Role::Prefill { decode: 0 });
    let schedulers = Scheduler::ALL.len();
    let at = Scheduler::ALL.iter().position(|(_, scheduler)| *scheduler == prefill.batching.scheduler);
    let turned = (at.unwrap_or(0) + (seed / 16) as usize) % schedulers;
    prefill.batching.scheduler = Scheduler::ALL[turned].1;
    config.pools[0] = pool(decode.replicas + replicas);
    config.deployments.push(prefill);
}

/// Puts several models on the cards of the only deployment's replicas.
fn share(config: &mut WorldConfig, (units, spare, pinned, load_ms, patience_ms): &SharedDice) {
    let gb = |units: u64| Bytes(units * 1_000_000_000);
    // So many milliseconds for a unit of the weights.
    let rate = |ms: f64| match *load_ms {
        0 => BytesPerSecond(f64::INFINITY),
        own => BytesPerSecond(1e12 / (own as f64 * ms)),
    };
    let first = config.deployments[0].clone();
    config.deployments = (units.iter().enumerate())
        .map(|(at, units)| DeploymentConfig {
            name: format!("model{at}"),
            shared: Some(SharedCards {
                host: 0,
                weights: gb(*units),
                footprint: gb(*units),
                capacity: gb(*units),
                pinned: at == *pinned && *spare >= 3,
            }),
            ..first.clone()
        })
        .collect();
    let models = units.len();
    while config.streams.len() < models {
        let mut further = config.streams[0].clone();
        further.traffic.name = format!("further{}", config.streams.len());
        config.streams.push(further);
    }
    for (at, stream) in config.streams.iter_mut().enumerate() {
        stream.deployments = vec![at % models];
    }
    for deployment in &mut config.deployments {
        deployment.options[0].adapters.resize(config.streams.len(), Ticks::ZERO);
        if first.adapter_slots == 0 {
            deployment.options[0].adapters.clear();
        }
    }
    config.pools[0].fleet.cards_per_node = 2;
    config.hosts = vec![HostConfig {
        name: "hosts".to_owned(),
        members: (0..models).collect(),
        memory: gb(units.iter().max().expect("there are some") + spare),
        sources: vec![
            WeightSource::Peer { bandwidth: rate(0.2) },
            WeightSource::HostMemory { bandwidth: rate(0.5), size: gb(3) },
            WeightSource::Disk { bandwidth: rate(1.0) },
        ],
        into_cards: Some(rate(0.5)),
        warm_up: Duration::from_nanos(1_000_000 * (load_ms % 3)),
        patience: Duration::from_nanos(patience_ms * 1_000_000),
        affinity: spare % 2 == 0,
    }];
}

/// Makes the replicas of a world come and go. The pool has fewer cards than are sometimes wanted.
fn scale(config: &mut WorldConfig, changes: &[(u64, u32)], start: u64, drain: u64, then: Leftover) {
    let ms = |ms: u64| Duration::from_nanos(ms * 1_000_000);
    for served in &mut config.deployments {
        let start_up = &mut served.lifecycle.start;
        start_up.weight_load = Delay::Uniform { low: ms(start), high: ms(2 * start) };
        start_up.cached_load = drain.is_multiple_of(2).then_some(Delay::Fixed(ms(start / 2)));
        served.lifecycle.drain = Drain { timeout: ms(drain), then };
    }
    let mut changes: Vec<(Duration, u32)> = changes.iter().map(|(at, n)| (ms(*at), *n)).collect();
    changes.sort_unstable();
    let law = |period| {
        let steps = Some(Steps { period: ms(period), changes: changes.clone() });
        Law::Scheduled(Box::new(Scheduled { least: 0, windows: Vec::new(), steps }))
    };
    config.scalers.push(ScalerPlan::blind(0, "scheduled", law(4000), ms(100)));
    // Prefill replicas come and go too, at other times.
    if config.deployments.len() > 1 && start.is_multiple_of(2) {
        config.scalers.push(ScalerPlan::blind(1, "scheduled", law(5000), ms(100)));
    }
}

/// Gives the number of replicas to a law that looks at metrics, for most draws.
fn decide_by(config: &mut WorldConfig, law: usize) {
    let ms = |ms: u64| Duration::from_nanos(ms * 1_000_000);
    let feed = |name: &str, signal, per_pod| Feed {
        name: name.to_owned(),
        signal,
        window: if signal == Signal::Running { Duration::ZERO } else { ms(700) },
        scale: 1.0,
        per_pod,
        parts: Vec::new(),
    };
    let (min, max) = (1, 4);
    let (source, target) = (hpa::Source::Pods("running".to_owned()), Target::AverageValue(1500));
    let flags = Flags { downscale_stabilization: ms(900), ..Flags::default() };
    let hpa = HpaConfig { min, max, metrics: vec![Metric { source, target }], behavior: None, flags };
    let reactive = |hold| {
        let (up_delay, down_delay) = (Duration::ZERO, ms(400));
        Law::Reactive(Box::new(Reactive::new(ReactiveConfig { hold, min, max, up_delay, down_delay })))
    };
    let (law, feeds) = match law {
        0 => (Law::Hpa(Box::new(Hpa::new(hpa))), vec![feed("running", Signal::Running, true)]),
        1 => {
            let settings = KpaConfig { target: 1.5, total: 2.0, max: 4, ..KpaConfig::default() };
            let parts = vec![("stable", ms(1000)), ("panic", ms(300))];
            let feed = Feed { parts, ..feed("concurrency", Signal::Concurrency, false) };
            (Law::Kpa(Box::new(Kpa::new(settings))), vec![feed])
        }
        2 => {
            let limits = vec![("ttft_p90".to_owned(), 0.2), ("tpot_p90".to_owned(), 0.02)];
            let feeds =
                vec![feed("ttft_p90", Signal::Ttft(90), false), feed("tpot_p90", Signal::Tpot(90), false)];
            (reactive(Hold::Latency { limits, calm: 0.5 }), feeds)
        }
        3 => {
            let config = WvaConfig { kv: 0.8, queue: 5.0, kv_spare: 0.1, queue_spare: 3.0 };
            let feeds = vec![feed("kv", Signal::KvUse, true), feed("queue", Signal::QueueLength, true)];
            (Law::Wva(Box::new(Wva::new(config))), feeds)
        }
        4 => {
            let feed = feed("tokens_per_s", Signal::TokensPerSecond, false);
            let model = Model::Autoregressive { order: 2, window: 20 };
            let config = PredictiveConfig {
                metric: feed.name.clone(),
                target: 40.0,
                model,
                horizon: 3,
                margin: 0.1,
                min,
                max,
                down_delay: ms(300),
            };
            (Law::Predictive(Box::new(Predictive::new(config))), vec![feed])
        }
        5 => {
            let feed = feed("card_busy", Signal::CardBusy, false);
            (reactive(Hold::Latency { limits: vec![("card_busy".to_owned(), 0.7)], calm: 0.5 }), vec![feed])
        }
        _ => return,
    };
    let scaler = &mut config.scalers[0];
    (scaler.law, scaler.feeds, scaler.bounds) = (law, feeds, Some((0, 4)));
    (scaler.scrape, scaler.lag) = (ms(50), ms(70));
}

/// What a run leaves, as text: every file's content.
fn everything(config: &WorldConfig, plain: bool) -> (String, Witness) {
    let mut text = String::new();
    let mut witness = Witness::default();
    let mut last: Option<(Instant, Option<u32>)> = None;
    let mut sink = |row: &fleetsim::world::RequestRow<'_>| {
        let departure = row.departure();
        let this = (departure.end, departure.replica);
        witness.ties += u64::from(last.is_some_and(|last| last.0 == this.0 && last.1 != this.1));
        last = Some(this);
        witness.asked_again += u64::from(departure.attempt > 0);
        witness.preempted += u64::from(departure.retries > 0 && row.outcome() == "completed");
        witness.timed_out_running +=
            u64::from(row.outcome() == "timed_out" && departure.first_scheduled.is_some());
        witness.timed_out_waiting +=
            u64::from(row.outcome() == "timed_out" && departure.first_scheduled.is_none());
        witness.grouped += u64::from(departure.samples > 1 && row.outcome() == "completed");
        witness.embedded +=
            u64::from(departure.output == 0 && departure.prompt > 0 && row.outcome() == "completed");
        writeln!(text, "{row:?}").map_err(|error| error.to_string())
    };
    let options = RunOptions { plain, requests: Some(&mut sink), progress: None };
    let results = run(config, options).expect("the scenario is right and its books balance");
    let summary = serde_json::to_string(&results.summary).expect("a summary is JSON");
    witness.rejected = results.summary.requests.rejected;
    if let Some(handover) = results.summary.deployments[0].handover {
        (witness.handed_over, witness.local) = (handover.handed_over, handover.local);
        witness.lost_bytes = handover.bytes_lost.unwrap_or(0.0) as u64;
    }
    witness.turns = results.summary.requests.completed;
    witness.completed = results.summary.requests.completed;
    witness.failed = results.summary.requests.failed;
    witness.decisions = results.decisions.iter().filter(|row| row.current != row.done).count() as u64;
    witness.profile_iterations = results.summary.deployments[0].iterations;
    let prefix_cache = results.summary.deployments[0].prefix_cache;
    witness.swapped = results.summary.deployments[0].engine.swapped_blocks.unwrap_or(0);
    let (engine, streams) = (results.summary.deployments[0].engine, &results.summary.streams);
    witness.images = engine.images.map_or(0, |images| images.made);
    let tiers = prefix_cache.and_then(|cache| cache.tiers);
    witness.from_tiers = tiers.map_or(0, |tiers| tiers.host_blocks + tiers.remote_blocks);
    witness.kept = engine.speculation.map_or(0, |drafts| drafts.kept_tokens);
    witness.adapters = engine.adapters.map_or(0, |adapters| adapters.loads);
    let swaps = results.summary.deployments.iter().filter_map(|deployment| deployment.engine.swaps);
    (witness.swaps, witness.evictions) =
        swaps.fold((0, 0), |(loads, evictions), swaps| (loads + swaps.loads, evictions + swaps.evictions));
    witness.turned_away = engine.turned_away.unwrap_or(0);
    witness.cached = streams.iter().filter_map(|stream| stream.response_cache).map(|cache| cache.hits).sum();
    witness.limited = results.summary.tenants.iter().map(|tenant| tenant.rate_limited).sum();
    witness.prefix_hits = prefix_cache.map_or(0, |cache| cache.found_blocks);
    write!(
        text,
        "{summary}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        results.timeseries,
        results.time,
        results.distributions,
        results.ledger,
        results.jobs,
        results.cards,
        results.decisions
    )
    .expect("writing to a string");
    (text, witness)
}

/// What happened in the random scenarios: a law that never met its hard case was not tested.
#[derive(Debug, Default, Clone, Copy)]
struct Witness {
    completed: u64,
    rejected: u64,
    preempted: u64,
    timed_out_running: u64,
    timed_out_waiting: u64,
    /// Departures at the same instant from different replicas.
    ties: u64,
    /// Scenarios with a sliding window.
    windows: u64,
    /// Iterations of scenarios with a measured profile.
    profile_iterations: u64,
    /// Blocks of prompts found in a prefix cache.
    prefix_hits: u64,
    /// Requests of scenarios with sessions.
    turns: u64,
    /// KV caches handed over, and prompts that stayed local beside them.
    handed_over: u64,
    local: u64,
    /// Bytes of caches that were lost on the way.
    lost_bytes: u64,
    /// Requests that were lost with their replica.
    failed: u64,
    /// Times that replicas were added or taken.
    decisions: u64,
    /// Requests of clients who had asked before.
    asked_again: u64,
    /// Requests that went elsewhere because their replica went.
    moved: u64,
    /// KV blocks that went to host memory.
    swapped: u64,
    /// Proposed tokens that were kept, answers from caches, requests turned away by prediction and by rate
    /// limits, requests without output.
    kept: u64,
    cached: u64,
    turned_away: u64,
    limited: u64,
    embedded: u64,
    /// Images made, and blocks that came from tiers below the KV cache.
    images: u64,
    from_tiers: u64,
    /// Completed requests with several outputs.
    grouped: u64,
    /// Adapters loaded; models loaded on shared hosts, and evicted.
    adapters: u64,
    swaps: u64,
    evictions: u64,
    /// Completed requests by scheduler, and by order.
    schedulers: [u64; Scheduler::ALL.len()],
    orders: [u64; RequestOrder::ALL.len()],
}

impl Witness {
    fn add(mut self, other: Self) -> Self {
        self.completed += other.completed;
        self.rejected += other.rejected;
        self.preempted += other.preempted;
        self.timed_out_running += other.timed_out_running;
        self.timed_out_waiting += other.timed_out_waiting;
        self.ties += other.ties;
        self.windows += other.windows;
        self.profile_iterations += other.profile_iterations;
        self.prefix_hits += other.prefix_hits;
        self.turns += other.turns;
        self.handed_over += other.handed_over;
        self.local += other.local;
        self.lost_bytes += other.lost_bytes;
        self.failed += other.failed;
        self.decisions += other.decisions;
        self.moved += other.moved;
        self.asked_again += other.asked_again;
        self.swapped += other.swapped;
        self.kept += other.kept;
        self.cached += other.cached;
        self.turned_away += other.turned_away;
        self.limited += other.limited;
        self.embedded += other.embedded;
        self.images += other.images;
        self.from_tiers += other.from_tiers;
        self.grouped += other.grouped;
        self.adapters += other.adapters;
        self.swaps += other.swaps;
        self.evictions += other.evictions;
        self.schedulers.iter_mut().zip(other.schedulers).for_each(|(sum, more)| *sum += more);
        self.orders.iter_mut().zip(other.orders).for_each(|(sum, more)| *sum += more);
        self
    }
}

/// So many random scenarios, drawn from a seed of their own.
fn batch_of_scenarios(seed: u8, cases: u32) -> Witness {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let seen = Cell::new(Witness::default());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let law = |dice: Dice| {
        let config = scenario(&dice, folder.path());
        let (fast, mut witness) = everything(&config, false);
        let (plain, _) = everything(&config, true);
        if fast != plain {
            let line = fast.lines().zip(plain.lines()).find(|(fast, plain)| fast != plain);
            let around = line.map(|(fast, plain)| {
                let same = fast.bytes().zip(plain.bytes()).take_while(|(a, b)| a == b).count();
                let cut = |text: &str| text[same.saturating_sub(600)..text.len().min(same + 300)].to_owned();
                (cut(fast), cut(plain))
            });
            return Err(TestCaseError::fail(format!("the paths part at {around:#?}")));
        }
        if dice.seed.is_multiple_of(8) {
            prop_assert!(fast == everything(&config, false).0, "the same seed gives another result");
        }
        // In these scenarios nobody is preempted for want of blocks.
        let kept = dice.kv_blocks >= 50 && dice.scaled.is_some();
        witness.moved = if kept { witness.preempted } else { 0 };
        let (scheduler, order) = dice.engine.as_ref().map_or((0, 0), EngineDice::rules);
        witness.schedulers[scheduler] = witness.completed;
        witness.orders[order] = witness.completed;
        witness.windows = u64::from(dice.window.is_some());
        witness.turns *= u64::from(dice.sessions.is_some());
        witness.profile_iterations *= u64::from(dice.profile.is_some());
        seen.set(seen.get().add(witness));
        Ok(())
    };
    TestRunner::new_with_rng(config, random).run(&dice(), law).unwrap_or_else(|error| panic!("{error}"));
    seen.get()
}

#[test]
fn plain_and_fast_paths_agree_to_the_byte() {
    let batches: Vec<Witness> = (0..100).into_par_iter().map(|seed| batch_of_scenarios(seed, 100)).collect();
    let seen = batches.into_iter().fold(Witness::default(), Witness::add);
    eprintln!("10,000 scenarios: {seen:?}");
    let hard = [
        seen.rejected,
        seen.preempted,
        seen.timed_out_running,
        seen.timed_out_waiting,
        seen.ties,
        seen.windows,
        seen.prefix_hits,
        seen.turns,
        seen.handed_over,
        seen.local,
        seen.lost_bytes,
        seen.failed,
        seen.decisions,
        seen.moved,
        seen.asked_again,
        seen.swapped,
        seen.kept,
        seen.cached,
        seen.turned_away,
        seen.limited,
        seen.embedded,
        seen.images,
        seen.from_tiers,
        seen.grouped,
        seen.adapters,
        seen.swaps,
        seen.evictions,
        seen.profile_iterations,
    ];
    let hard = hard.iter().chain(&seen.schedulers).chain(&seen.orders);
    assert!({ hard }.all(|count| *count > 1000), "a hard case hardly occurred: {seen:?}");
}
