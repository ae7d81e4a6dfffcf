//! Laws that hold for every scenario, on random ones: the books balance (checked inside every run), the
//! same seed gives the same result, and running each iteration as an event of its own gives the same bytes
//! as fast-forwarding.

mod support;

use std::fmt::Write as _;

use fleetsim::fleet::PoolId;
use fleetsim::jobs::{JobConfig, JobOption};
use fleetsim::perf::{AffineStep, StepModel};
use fleetsim::policies::router::RouterKind;
use fleetsim::sim::Seed;
use fleetsim::traffic::{
    ArrivalProcess, ClosedConfig, Cv, Length, LengthDist, Lengths, Source, StreamConfig, Think,
};
use fleetsim::units::{Duration, Flop, Instant, Ticks};
use fleetsim::world::{RunOptions, StreamPlan, WorldConfig, run};
use proptest::prelude::*;
use support::{deployment, pool, stream, world};

/// What a random scenario is made of.
#[derive(Debug, Clone)]
struct Dice {
    seed: u64,
    rate: f64,
    cv: f64,
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
    users: Option<u32>,
    jobs: Vec<(u64, u32, u64)>,
}

fn dice() -> impl Strategy<Value = Dice> {
    let traffic = (any::<u64>(), 0.5f64..40.0, 0.3f64..4.0, 1u32..80, 1u32..60);
    let replica = (1u32..12, 0u32..100, 1u32..4, 6u64..60, 1u32..20, prop::option::of(2u32..60));
    let limits = (prop::option::of(20u64..3000), prop::option::of(0u32..10), 0usize..5);
    // Whole milliseconds make ties between replicas, arrivals and time-outs.
    let step_ns = (
        prop_oneof![Just(10_000_000u64), 1_000_000u64..20_000_000],
        prop_oneof![Just(0u64), 0u64..1_000_000],
        prop_oneof![Just(0u64), 0u64..100_000],
        prop_oneof![Just(0u64), 0u64..50_000],
    );
    let others = (prop::option::of(1u32..20), prop::collection::vec((0u64..60, 1u32..4, 0u64..20), 0..4));
    (traffic, replica, limits, step_ns, others).prop_map(
        |(
            (seed, rate, cv, max_prompt, max_output),
            (servers, spare, replicas, kv_blocks, block_tokens, window),
            (timeout_ms, max_queued, router),
            (a, b, c, d),
            (users, jobs),
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
            users,
            jobs,
        },
    )
}

fn scenario(dice: &Dice) -> WorldConfig {
    let ticks = |nanos| Ticks::from_duration(Duration::from_nanos(nanos));
    let step = StepModel::Affine(AffineStep {
        base: ticks(dice.step_ns[0]),
        per_request: ticks(dice.step_ns[1]),
        per_prefill_token: ticks(dice.step_ns[2]),
        per_context_token: ticks(dice.step_ns[3]),
    });
    let mut served = deployment(dice.replicas, dice.servers, step, RouterKind::ALL[dice.router].1);
    served.batching.max_batch_tokens = dice.tokens;
    served.max_queued_requests = dice.max_queued;
    let option = &mut served.options[0];
    (option.kv_blocks, option.block_tokens, option.window) = (dice.kv_blocks, dice.block_tokens, dice.window);
    let uniform = |high| Length::new(LengthDist::Uniform { low: 1, high });
    let lengths = Lengths::Independent { prompt: uniform(dice.max_prompt), output: uniform(dice.max_output) };
    let timeout = dice.timeout_ms.map(|ms| Duration::from_nanos(ms * 1_000_000));
    let open = stream(dice.rate, ArrivalProcess::Gamma { cv: Cv(dice.cv) }, lengths.clone());
    let mut config = world(StreamPlan { timeout, ..open }, served, 60.0, 5.0);
    config.streams[0].slo.ttft = Some(Duration::from_nanos(100_000_000));
    if let Some(users) = dice.users {
        let think = Think::Constant(Duration::from_nanos(50_000_000));
        let closed = ClosedConfig { users, think, ramp: Duration::ZERO, lengths };
        config.streams.push(StreamPlan {
            traffic: StreamConfig { name: "closed".to_owned(), source: Source::Closed(closed) },
            timeout: None,
            ..config.streams[0].clone()
        });
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
                label: String::new(),
            }],
            terms: Default::default(),
        })
        .collect();
    config.seed = Seed(dice.seed);
    config
}

/// What a run leaves, as text: every file's content.
fn everything(config: &WorldConfig, plain: bool) -> (String, Witness) {
    let mut text = String::new();
    let mut witness = Witness::default();
    let mut sink = |row: &fleetsim::world::RequestRow<'_>| {
        let departure = row.departure();
        witness.preempted += u64::from(departure.retries > 0 && row.outcome() == "completed");
        witness.timed_out_running +=
            u64::from(row.outcome() == "timed_out" && departure.first_scheduled.is_some());
        witness.timed_out_waiting +=
            u64::from(row.outcome() == "timed_out" && departure.first_scheduled.is_none());
        writeln!(text, "{row:?}").map_err(|error| error.to_string())
    };
    let options = RunOptions { plain, requests: Some(&mut sink), progress: None };
    let results = run(config, options).expect("the scenario is right and its books balance");
    let summary = serde_json::to_string(&results.summary).expect("a summary is JSON");
    witness.rejected = results.summary.requests.rejected;
    witness.completed = results.summary.requests.completed;
    write!(
        text,
        "{summary}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        results.timeseries, results.distributions, results.ledger, results.jobs, results.cards
    )
    .expect("writing to a string");
    (text, witness)
}

/// What happened in the random scenarios: a law that never met its hard case was not tested.
#[derive(Debug, Default, Clone, Copy)]
struct Witness {
    completed: u64,
    preempted: u64,
    timed_out_running: u64,
    timed_out_waiting: u64,
    rejected: u64,
}

#[test]
fn plain_and_fast_paths_agree_to_the_byte() {
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        ProptestConfig::with_cases(400),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let seen = std::cell::RefCell::new(Witness::default());
    let windows = std::cell::Cell::new(0u64);
    runner
        .run(&dice(), |dice| {
            let config = scenario(&dice);
            let (fast, witness) = everything(&config, false);
            let (plain, _) = everything(&config, true);
            if fast != plain {
                let line = fast.lines().zip(plain.lines()).find(|(a, b)| a != b);
                return Err(TestCaseError::fail(format!("the paths part at {line:#?}")));
            }
            let (again, _) = everything(&config, false);
            prop_assert!(fast == again, "the same seed gives another result");
            let mut seen = seen.borrow_mut();
            seen.completed += witness.completed;
            seen.preempted += witness.preempted;
            seen.timed_out_running += witness.timed_out_running;
            seen.timed_out_waiting += witness.timed_out_waiting;
            seen.rejected += witness.rejected;
            windows.set(windows.get() + u64::from(dice.window.is_some()));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    println!("{seen:?}, {} with windows", windows.get());
    for count in [
        seen.completed,
        seen.preempted,
        seen.timed_out_running,
        seen.timed_out_waiting,
        seen.rejected,
        windows.get(),
    ] {
        assert!(count > 50, "a hard case hardly occurred: {seen:?}, {} with windows", windows.get());
    }
}
