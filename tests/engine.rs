//! What goes into an iteration, request by request: each scheduler, order and way to preempt beside its
//! nearest neighbour. Iterations last a second where nothing else is said; times are in seconds. Every run is
//! made on both paths.

mod support;

use fleetsim::policies::request_order::{RequestOrder, TenantWeights};
use fleetsim::policies::router::RouterKind;
use fleetsim::serving::{
    CacheHits, Draft, HostMemory, Preemption, RequestKind, RequestTerms, ResponseCache, Scheduler,
    Speculation,
};
use fleetsim::traffic::{ArrivalProcess, LengthDist, Source, StreamConfig, TraceConfig};
use fleetsim::units::{Duration, Instant, Ticks};
use fleetsim::world::{RunOptions, StreamPlan, WorldConfig, run};
use support::{deployment, outputs, step, stream, world};

/// A request: seconds, prompt tokens, output tokens.
type Asked = (f64, u32, u32);

/// What became of one: when it was admitted, when its first and its last token were there, retries.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Served {
    admitted: f64,
    first: f64,
    last: f64,
    retries: u16,
}

/// A replica of 4 requests and 8 tokens an iteration.
fn replica() -> WorldConfig {
    let mut served = deployment(1, 4, step(1.0, 0.0), RouterKind::RoundRobin);
    served.batching.max_batch_tokens = 8;
    served.options[0].block_tokens = 1;
    served.options[0].kv_blocks = 1000;
    let nothing = stream(1.0, ArrivalProcess::Poisson, outputs(LengthDist::Constant(1)));
    let mut config = world(nothing, served, 1000.0, 0.0);
    config.streams.clear();
    config
}

/// Serves streams of requests, each on its own terms; what became of each, by stream.
fn serve(mut config: WorldConfig, streams: &[(&[Asked], RequestTerms)]) -> Vec<Vec<Served>> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (at, (asked, terms)) in streams.iter().enumerate() {
        let file = folder.path().join(format!("{at}.csv"));
        let rows: String =
            asked.iter().map(|(at, prompt, output)| format!("{at},{prompt},{output}\n")).collect();
        std::fs::write(&file, format!("arrival_s,prompt_tokens,output_tokens\n{rows}"))
            .expect("it can be written");
        let one = stream(1.0, ArrivalProcess::Poisson, outputs(LengthDist::Constant(1)));
        config.streams.push(StreamPlan {
            traffic: StreamConfig {
                name: format!("stream{at}"),
                source: Source::Trace(TraceConfig::new(file)),
            },
            terms: *terms,
            ..one
        });
    }
    let both = [false, true].map(|plain| {
        let mut seen = Vec::new();
        let mut sink = |row: &fleetsim::world::RequestRow<'_>| {
            let gone = row.departure();
            let at = |instant: Option<Instant>| instant.map_or(f64::NAN, Instant::as_secs_f64);
            let served = Served {
                admitted: at(gone.first_scheduled),
                first: at(gone.first_token),
                last: gone.end.as_secs_f64(),
                retries: gone.retries,
            };
            seen.push((gone.stream, gone.id, served));
            Ok(())
        };
        let options = RunOptions { plain, requests: Some(&mut sink), progress: None };
        run(&config, options).expect("the books balance");
        seen.sort_by_key(|(stream, id, _)| (*stream, *id));
        let of = |stream: usize| {
            let mine = seen.iter().filter(move |(of, ..)| usize::from(*of) == stream);
            mine.map(|(.., served)| *served).collect::<Vec<_>>()
        };
        (0..streams.len()).map(of).collect::<Vec<_>>()
    });
    assert_eq!(format!("{:?}", both[0]), format!("{:?}", both[1]), "the paths part");
    both.into_iter().next().expect("there are two")
}

fn plain_terms(asked: &[Asked], config: WorldConfig) -> Vec<Served> {
    serve(config, &[(asked, RequestTerms::default())]).remove(0)
}

fn with(scheduler: Scheduler) -> WorldConfig {
    let mut config = replica();
    config.deployments[0].batching.scheduler = scheduler;
    config
}

fn ends(served: &[Served]) -> Vec<f64> {
    served.iter().map(|served| served.last).collect()
}

#[test]
fn prefill_first_pauses_decoding_and_vllm_v1_does_not() {
    let asked = [(0.0, 4, 6), (2.0, 4, 2), (2.0, 4, 2)];
    // One prompt iteration, five of decoding; the others' prompts ride along.
    assert_eq!(ends(&plain_terms(&asked, with(Scheduler::VllmV1))), [6.0, 4.0, 5.0]);
    // Both prompts take the third iteration for themselves, and the first request waits.
    let first = plain_terms(&asked, with(Scheduler::PrefillFirst));
    assert_eq!(ends(&first), [7.0, 4.0, 4.0]);
    assert_eq!((first[1].first, first[2].first), (3.0, 3.0));
}

#[test]
fn prefill_first_gives_a_long_prompt_an_iteration_of_its_own() {
    let asked = [(0.0, 20, 1), (0.0, 2, 1)];
    assert_eq!(ends(&plain_terms(&asked, with(Scheduler::PrefillFirst))), [1.0, 2.0]);
    // In chunks of eight: three iterations, with room in the third.
    assert_eq!(ends(&plain_terms(&asked, with(Scheduler::VllmV1))), [3.0, 3.0]);
}

#[test]
fn sarathi_waits_for_the_blocks_of_a_whole_prompt() {
    let blocks = |scheduler| {
        let mut config = with(scheduler);
        config.deployments[0].options[0].kv_blocks = 30;
        config
    };
    // The first request holds up to 14 blocks until 6 s; the second's prompt needs 20 and 8 in a first chunk.
    let asked = [(0.0, 8, 6), (1.0, 20, 2)];
    let v1 = plain_terms(&asked, blocks(Scheduler::VllmV1));
    let sarathi = plain_terms(&asked, blocks(Scheduler::Sarathi));
    assert_eq!((v1[1].admitted, sarathi[1].admitted), (1.0, 1.0), "10 of 30 blocks are taken");
    let asked = [(0.0, 16, 6), (2.0, 20, 2)];
    let v1 = plain_terms(&asked, blocks(Scheduler::VllmV1));
    let sarathi = plain_terms(&asked, blocks(Scheduler::Sarathi));
    assert_eq!((v1[1].admitted, sarathi[1].admitted), (2.0, 7.0));
    assert_eq!((v1[0].last, sarathi[0].last), (7.0, 7.0), "decoding never stalls");
}

#[test]
fn a_static_batch_is_filled_or_its_time_is_over_and_nobody_joins_it() {
    let waits = |seconds| {
        let mut config = with(Scheduler::Static);
        config.deployments[0].batching.max_wait = Duration::from_secs(seconds);
        config.deployments[0].batching.max_batch_requests = 3;
        config
    };
    let asked = [(0.0, 2, 4), (1.0, 2, 2), (20.0, 2, 1), (21.0, 2, 3), (22.0, 2, 1), (23.0, 2, 1)];
    let served = plain_terms(&asked, waits(10));
    // Two at 10 s, when the first has waited long enough; three at 22 s, when the batch is full; the last
    // when that batch has ended and it has waited ten seconds of its own.
    let admitted: Vec<f64> = served.iter().map(|served| served.admitted).collect();
    assert_eq!(admitted, [10.0, 10.0, 22.0, 22.0, 22.0, 33.0]);
    assert_eq!(ends(&served), [14.0, 12.0, 23.0, 25.0, 23.0, 34.0]);
    // Without a wait it begins at once, but who comes later waits for all of it.
    let asked = [(0.0, 2, 9), (1.0, 2, 1)];
    assert_eq!(ends(&plain_terms(&asked, waits(0))), [9.0, 10.0]);
    assert_eq!(ends(&plain_terms(&asked, with(Scheduler::PrefillFirst))), [10.0, 2.0]);
}

/// One request at a time: the order in which those that wait behind the first are served.
fn order_of(order: RequestOrder, streams: &[(&[Asked], RequestTerms)]) -> Vec<(usize, usize)> {
    let mut config = replica();
    config.deployments[0].batching.max_batch_requests = 1;
    config.deployments[0].batching.order = order;
    config.deployments[0].tenants = TenantWeights::new(&[1.0, 1.0, 1.0]);
    let served = serve(config, streams);
    let mut all: Vec<_> = served
        .iter()
        .enumerate()
        .flat_map(|(stream, served)| served.iter().enumerate().map(move |(at, s)| (s.last, stream, at)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, stream, at)| (stream, at)).collect()
}

#[test]
fn each_order_serves_another_first() {
    let terms = |priority, tenant, deadline_s| RequestTerms {
        priority,
        tenant,
        deadline: Some(Duration::from_secs(deadline_s)),
        ..RequestTerms::default()
    };
    let (a, b, c): (&[Asked], &[Asked], &[Asked]) =
        (&[(0.0, 4, 9), (1.0, 4, 4), (1.5, 4, 4)], &[(2.0, 2, 5), (2.1, 7, 1)], &[(3.0, 3, 3)]);
    let streams = [(a, terms(0, 0, 100)), (b, terms(5, 1, 200)), (c, terms(-5, 2, 20))];
    let order = |order| order_of(order, &streams);
    let first = (0, 0);
    assert_eq!(order(RequestOrder::Fcfs), [first, (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]);
    assert_eq!(order(RequestOrder::Priority), [first, (2, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
    assert_eq!(order(RequestOrder::ShortestPrompt), [first, (1, 0), (2, 0), (0, 1), (0, 2), (1, 1)]);
    assert_eq!(order(RequestOrder::ShortestOutput), [first, (1, 1), (2, 0), (0, 1), (0, 2), (1, 0)]);
    assert_eq!(order(RequestOrder::Edf), [first, (2, 0), (0, 1), (0, 2), (1, 0), (1, 1)]);
    // The first tenant has had its turn; then the others, who are lifted to what it was served by then.
    assert_eq!(order(RequestOrder::Vtc), [first, (1, 0), (2, 0), (1, 1), (0, 1), (0, 2)]);
}

#[test]
fn deadlines_are_not_priorities() {
    let terms = |priority, deadline_s| RequestTerms {
        priority,
        deadline: Some(Duration::from_secs(deadline_s)),
        ..RequestTerms::default()
    };
    let (a, b, c): (&[Asked], &[Asked], &[Asked]) = (&[(0.0, 4, 9)], &[(1.0, 4, 1)], &[(2.0, 4, 1)]);
    let streams = [(a, terms(0, 9)), (b, terms(2, 10)), (c, terms(1, 50))];
    assert_eq!(order_of(RequestOrder::Priority, &streams), [(0, 0), (2, 0), (1, 0)]);
    assert_eq!(order_of(RequestOrder::Edf, &streams), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn a_swapped_request_goes_on_where_it_stood() {
    let full = |preemption, copy_s| {
        let mut config = replica();
        let served = &mut config.deployments[0];
        served.batching.preemption = preemption;
        served.options[0].kv_blocks = 12;
        served.options[0].host = Some(HostMemory { blocks: 100, copy: Ticks::from_secs_f64(copy_s) });
        config
    };
    // Two prompts of four; at 3 s both hold 6 of 12 blocks, and the second gives way until the first ends.
    let asked = [(0.0, 4, 6), (0.0, 4, 6)];
    let again = plain_terms(&asked, full(Preemption::Recompute, 0.0));
    let swap = plain_terms(&asked, full(Preemption::Swap, 0.0));
    assert_eq!((again[1].retries, swap[1].retries), (1, 1));
    assert_eq!((again[0].last, swap[0].last), (6.0, 6.0));
    // Recomputing makes the next token with the prompt; so does the decoding that it resumes.
    assert_eq!((again[1].last, swap[1].last), (9.0, 9.0));
    // Six blocks there, before the iteration that ends the first's wait, and six back.
    let slow = plain_terms(&asked, full(Preemption::Swap, 0.25));
    assert_eq!(ends(&slow), [7.5, 12.0]);
}

#[test]
fn urgent_requests_take_the_place_of_those_that_may_be_displaced() {
    let terms = |priority, preemptible| RequestTerms { priority, preemptible, ..RequestTerms::default() };
    let (batch, chat): (&[Asked], &[Asked]) = (&[(0.0, 2, 50), (0.0, 2, 50)], &[(10.0, 2, 5)]);
    let run = |preemptible| {
        let mut config = replica();
        config.deployments[0].batching.max_batch_requests = 2;
        config.deployments[0].batching.order = RequestOrder::Priority;
        serve(config, &[(batch, terms(10, preemptible)), (chat, terms(0, false))])
    };
    let (kept, displaced) = (run(false), run(true));
    assert_eq!((kept[1][0].admitted, displaced[1][0].admitted), (50.0, 10.0));
    assert_eq!(ends(&displaced[0]), [50.0, 56.0], "the later one waits and starts again with what it had");
    assert_eq!((displaced[0][0].retries, displaced[0][1].retries), (0, 1));
}

/// Without a cost of proposing and checking, a request takes as many iterations as its output over
/// (1 − aᵏ⁺¹) / (1 − a) (Leviathan et al. 2023, equation 1), within what so many draws leave open.
#[test]
fn speculation_speeds_up_by_its_formula() {
    for (tokens, acceptance) in [(1, 0.5), (3, 0.7), (5, 0.9), (4, 0.0), (3, 1.0)] {
        let mut config = replica();
        config.duration = Duration::from_secs(100_000);
        let served = &mut config.deployments[0];
        served.batching.max_batch_tokens = 64;
        served.options[0].kv_blocks = 1 << 40;
        served.speculation = Some(Speculation { tokens, acceptance, spread: 0.0 });
        let output = 60_000;
        let took = plain_terms(&[(0.0, 4, output)], config)[0];
        // The first token comes with the prompt, in the first iteration.
        let each = f64::from(output - 1) / (took.last - took.first);
        let exact: f64 = (0..=tokens).map(|power| libm::pow(acceptance, f64::from(power))).sum();
        assert!((each / exact - 1.0).abs() < 0.01, "k = {tokens}, a = {acceptance}: {each}, exactly {exact}");
    }
}

/// Proposing costs its passes: k of them where the draft is autoregressive, one where heads work side by side.
#[test]
fn proposing_costs_its_passes() {
    let with = |passes| {
        let mut config = replica();
        let served = &mut config.deployments[0];
        served.batching.max_batch_tokens = 64;
        served.speculation = Some(Speculation { tokens: 3, acceptance: 1.0, spread: 0.0 });
        served.options[0].draft = Some(Draft { step: step(0.1, 0.0), passes });
        let served = plain_terms(&[(0.0, 4, 9)], config)[0];
        [served.first, served.last].map(|time| (time * 1e6).round() / 1e6)
    };
    // Four tokens an iteration; the prompt passes through the draft once.
    assert_eq!(with(3), [1.1, 3.7]);
    assert_eq!(with(1), [1.1, 3.3]);
}

#[test]
fn embeddings_are_there_with_their_prompt() {
    let terms = RequestTerms { kind: RequestKind::Embed, ..RequestTerms::default() };
    let served = serve(replica(), &[(&[(0.0, 20, 7), (0.0, 4, 7)], terms)]).remove(0);
    assert_eq!((served[0].first, served[0].last), (3.0, 3.0), "three chunks of eight, and no token after");
    assert_eq!(served[1].last, 3.0);
}

#[test]
fn who_would_wait_too_long_is_turned_away() {
    let limited = |most: Option<u64>| {
        let mut config = replica();
        config.deployments[0].max_predicted_ttft = most.map(Duration::from_secs);
        // Eight tokens a second: the fifth of these waits four seconds for its first chunk.
        let asked: Vec<Asked> = (0..8).map(|_| (0.5, 8, 1)).collect();
        plain_terms(&asked, config).iter().filter(|served| served.last > 0.5).count()
    };
    assert_eq!((limited(None), limited(Some(100)), limited(Some(4))), (8, 8, 4));
}

#[test]
fn a_cache_of_responses_answers_in_its_own_time() {
    let mut config = replica();
    config.duration = Duration::from_secs(50);
    let mut one = stream(1.0, ArrivalProcess::Deterministic, outputs(LengthDist::Constant(3)));
    one.cache = Some(ResponseCache {
        hits: CacheHits::Popularity { questions: 1, zipf: 0.0, size: 1, expiry: None },
        latency: Duration::from_secs_f64(0.25),
    });
    config.streams.push(one);
    let results = run(&config, RunOptions::default()).expect("the books balance");
    let cache = results.summary.streams[0].response_cache.expect("it has one");
    let requests = results.summary.requests;
    // Those that come before the first is answered go to the model; all later ones do not.
    assert!(cache.hits + 4 >= cache.asked && cache.hits > 40, "{cache:?}");
    assert_eq!(cache.asked, requests.arrived);
    assert_eq!(results.summary.tokens.output, 3 * requests.completed);
    let median = results.summary.latency.ttft_s.p50.expect("many were answered");
    assert!((median / 0.25 - 1.0).abs() < 0.002, "{median}");
}

/// Five samples (the source documents' number): with prefixes kept, the prompt is in the cache once, and all five
/// run beside each other where five prompts would not fit.
#[test]
fn samples_share_their_prompt() {
    let with = |prefixes: Option<u32>, kv_blocks| {
        let mut config = replica();
        let served = &mut config.deployments[0];
        served.prefix_tokens = prefixes;
        served.options[0].kv_blocks = kv_blocks;
        served.batching.max_batch_requests = 8;
        served.batching.max_batch_tokens = 64;
        let terms = RequestTerms { samples: 5, ..RequestTerms::default() };
        serve(config, &[(&[(0.0, 40, 10)], terms)]).remove(0)[0]
    };
    // 39 of the 40 prompt tokens are shared: 39 + 5 · 10 blocks at the end, where 5 · 49 would be needed.
    let shared = with(Some(1), 39 + 5 * 10);
    assert_eq!((shared.first, shared.last, shared.retries), (1.0, 10.0, 0));
    let apart = with(None, 39 + 5 * 10);
    assert!(apart.last > 20.0, "{apart:?}");
    let room = with(None, 1000);
    assert!(room.last > 10.0 && room.last < 20.0, "five prompts of 40 take four iterations of 64: {room:?}");
}

#[test]
fn tokens_of_all_samples_count_and_the_prompt_once() {
    let mut config = replica();
    config.duration = Duration::from_secs(2_000);
    let mut one = stream(0.05, ArrivalProcess::Poisson, outputs(LengthDist::Constant(6)));
    one.terms.samples = 5;
    one.timeout = Some(Duration::from_secs(60));
    config.streams.push(one);
    let summary = run(&config, RunOptions::default()).expect("the books balance").summary;
    let completed = summary.requests.completed;
    assert!(completed > 50);
    assert_eq!((summary.tokens.prompt, summary.tokens.output), (completed, 5 * 6 * completed));
}

/// Two tenants who always want more: what they are served follows their weights.
#[test]
fn shares_converge_to_weights() {
    for weight in [1.0, 2.0, 5.0] {
        let mut config = replica();
        config.duration = Duration::from_secs(20_000);
        let served = &mut config.deployments[0];
        served.batching.order = RequestOrder::Vtc;
        served.batching.max_batch_tokens = 64;
        served.tenants = TenantWeights::new(&[1.0, weight]);
        let term = |tenant| RequestTerms { tenant, ..RequestTerms::default() };
        // The heavier tenant's requests are shorter, so that counting requests would not do.
        let long: Vec<Asked> = (0..10_000).map(|at| (f64::from(at) * 0.1, 20, 30)).collect();
        let short: Vec<Asked> = (0..20_000).map(|at| (f64::from(at) * 0.05, 10, 10)).collect();
        let served = serve(config, &[(&long, term(0)), (&short, term(1))]);
        // Both wait without end between these times.
        let within = |served: &&Served| served.retries == 0 && (2000.0..18_000.0).contains(&served.last);
        let cost = |tenant: usize, each: f64| served[tenant].iter().filter(within).count() as f64 * each;
        let ratio = cost(1, 10.0 + 2.0 * 10.0) / cost(0, 20.0 + 2.0 * 30.0);
        assert!((ratio / weight - 1.0).abs() < 0.02, "weight {weight}: {ratio}");
    }
}
