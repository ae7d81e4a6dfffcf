//! The performance model from outside: catalogue entries in, times and fits out.

use fleetsim::catalog::{Catalog, Precision};
use fleetsim::perf::constants::{self as c, Constants};
use fleetsim::perf::{
    Attention, BatchShape, CardSpec, Experts, ModelDims, NodeSpec, ParallelismPlan, PlanError, Replica,
    Roofline, Segment, SlidingWindow, StepModel, auto_plan, cards_for_weights, fit,
};
use fleetsim::units::{Bytes, BytesPerSecond, FlopPerSecond, Ticks};
use proptest::prelude::*;

fn model(name: &str) -> ModelDims {
    ModelDims::try_from(Catalog::embedded().model(name).expect("in the catalogue")).expect("known")
}

fn card(name: &str) -> CardSpec {
    CardSpec::try_from(Catalog::embedded().accelerator(name).expect("in the catalogue")).expect("known")
}

fn node(card_name: &str, cards: u32) -> NodeSpec {
    NodeSpec { name: format!("test/{card_name}"), card: card(card_name), cards, scale_out: None }
}

fn replica<'a>(model: &'a ModelDims, node: &'a NodeSpec, weights: Precision, tp: u32) -> Replica<'a> {
    Replica { plan: ParallelismPlan::tensor(tp), ..Replica::new(model, node, weights) }
}

fn step(replica: &Replica<'_>) -> StepModel {
    StepModel::Roofline(Roofline::new(replica).expect("a sound plan"))
}

fn decoding(requests: u32, context_each: u64) -> BatchShape {
    BatchShape {
        decode_requests: requests,
        decode_context: u64::from(requests) * context_each,
        ..BatchShape::default()
    }
}

const K: Constants = Constants::PUBLISHED;

/// Overheads of a batch without tensor parallelism, in seconds.
fn overheads(model: &ModelDims, requests: f64) -> f64 {
    1e-6 * (K.iteration_us + f64::from(model.layers) * K.layer_us + requests * K.request_us)
}

/// Reading and computing at the same time.
fn overlapped(read: f64, compute: f64) -> f64 {
    let (short, long) = (read.min(compute), read.max(compute));
    long + K.unhidden * short * short / long
}

fn close(found: f64, wanted: f64, relative: f64) {
    assert!((found / wanted - 1.0).abs() < relative, "found {found}, wanted {wanted}");
}

/// Source documents, claim A8: 350 GB of fp16 weights over five A100-80GB are read in 34.3 ms a token. One
/// card with the memory bandwidth of five stands for them.
#[test]
fn gpt3_at_batch_one_reads_its_weights() {
    let gpt3 = ModelDims {
        name: "gpt-3".to_owned(),
        parameters: 175_000_000_000,
        layers: 96,
        hidden: 12288,
        vocabulary: 50257,
        tied_embeddings: true,
        max_context: 2048,
        attention: Attention::Grouped { heads: 96, kv_heads: 96, head_size: 128 },
        window: None,
        experts: None,
    };
    let mut node = node("A100-SXM4-80", 1);
    node.card.memory_bandwidth = BytesPerSecond(5.0 * 2.039e12);
    // So fast at computing that no part of it shows.
    node.card.peaks = [(Precision::Fp16, FlopPerSecond::from_tflops(1e6))].into();
    let segment = step(&replica(&gpt3, &node, Precision::Fp16, 1)).segment(&decoding(1, 0));
    let reading = (segment.first.as_secs_f64() - overheads(&gpt3, 1.0)) * K.weight_bandwidth;
    // The KV written for the one token and its elementwise operations are the 0.2 % above.
    close(reading, 34.33e-3, 3e-3);
}

/// Claim A7: 175e9 weights of 32, 16, 8, 4, 3 and 2 bits on cards of 80 GB; B6: five A100 for GPT-3 at least.
#[test]
fn cards_that_hold_gpt3() {
    let cards = |bits| cards_for_weights(175_000_000_000, bits, Bytes::from_gb(80.0));
    assert_eq!([32, 16, 8, 4, 3, 2].map(cards), [9, 5, 3, 2, 1, 1]);
}

/// Llama-3.1-8B in bf16 on an A100: 16 requests with 1,000 tokens of context each, and a prefill of 2,048.
#[test]
fn roofline_by_hand() {
    let (model, node) = (model("llama-3.1-8b"), node("A100-SXM4-80", 1));
    let step = step(&replica(&model, &node, Precision::Bf16, 1));
    let read = 2.039e12 * K.weight_bandwidth;
    let kv_read = 2.039e12 * K.kv_bandwidth;
    let elementwise =
        |tokens: f64| tokens * 32.0 * 4096.0 * 2.0 * (K.elementwise_repeated + K.elementwise_split) / read;
    // All weights but the input embedding, 128,256 · 4,096, are read: 7.505e9 of 8.03e9, 2 bytes each. A
    // token leaves 2 · 8 · 128 values of 2 bytes in each of 32 layers: 131,072 bytes; its queries and outputs
    // are 2 · 4,096 values of 2 bytes a layer.
    let weights = (8.03e9 - 128_256.0 * 4096.0) * 2.0;
    let moved = 131_072.0 + 32.0 * 2.0 * 4096.0 * 2.0;
    let segment = step.segment(&decoding(16, 1000));
    let compute = |flop: f64| flop / (312e12 * K.linear_compute_16);
    let wanted = overheads(&model, 16.0)
        + overlapped(weights / read, compute(16.0 * weights))
        + (16_000.0 * 131_072.0 + 16.0 * moved) / kv_read
        + elementwise(16.0);
    close(segment.first.as_secs_f64(), wanted, 1e-3);
    close(Ticks(segment.slope.0.unsigned_abs()).as_secs_f64(), 16.0 * 131_072.0 / kv_read, 1e-6);
    assert_eq!(segment.max_iterations, u64::MAX);
    // 2 FLOP a weight and token; 4 · 4,096 FLOP a pair in each of 32 layers.
    close(segment.flop_first.as_f64(), 16.0 * weights + 16_000.0 * 4.0 * 4096.0 * 32.0, 1e-3);
    assert_eq!(segment.flop_slope.0, 16 * 4 * 4096 * 32);

    let prefill = BatchShape {
        prefill_requests: 1,
        prefill_tokens: 2048,
        prefill_pairs: 2048 * 2049 / 2,
        prefill_context: 2048,
        ..BatchShape::default()
    };
    let segment = step.segment(&prefill);
    let layers = (8.03e9 - 2.0 * 128_256.0 * 4096.0) * 2.0;
    let linear = overlapped(layers / read, compute(layers * 2048.0));
    let head = 128_256.0 * 4096.0 * 2.0;
    let head = overlapped(head / read, compute(head));
    let launches = 1e-6 * (32.0 * K.prefill_layer_us + K.prompt_us);
    // Short prompts fill attention's tiles badly: as if each token saw half of so many more.
    let pairs = 2048.0 * (2049.0 + K.attention_half_tokens.floor()) / 2.0;
    let pairs = pairs * 4.0 * 4096.0 * 32.0 / (312e12 * K.attention_compute);
    let wanted = overheads(&model, 1.0) + launches + linear + head + pairs + elementwise(2048.0);
    close(segment.first.as_secs_f64(), wanted, 1e-3);
    assert_eq!((segment.max_iterations, segment.slope.0), (1, 0));
}

/// Tensor parallelism over 4 H100 cuts work by four and pays 2 all-reduces a layer.
#[test]
fn tensor_parallelism_pays_its_all_reduces() {
    let (model, node) = (model("llama-3.1-70b"), node("H100-SXM5", 8));
    let batch = BatchShape {
        prefill_requests: 4,
        prefill_tokens: 8192,
        prefill_pairs: 1 << 23,
        prefill_context: 8192,
        ..BatchShape::default()
    };
    let time = |tp| step(&replica(&model, &node, Precision::Fp8, tp)).segment(&batch).first.as_secs_f64();
    // What does not get shorter: launches, and the elementwise operations that every card repeats.
    let launches = 1e-6 * (K.layer_us + K.prefill_layer_us) * 80.0;
    // One all-reduce of 8,192 · 8,192 · 2 bytes over 4 cards: 2 · 3/4 · S/β by a ring, 5/4 · S/β by a switch
    // that adds up, which is the faster here.
    let message = 8192.0 * 8192.0 * 2.0;
    let ring = 1.5 * message / (450e9 * K.switched_bandwidth);
    let switch = 1.25 * message / (450e9 * K.switch_reduction);
    let reduces = 160.0 * ring.min(switch);
    let (one, four) = (time(1), time(4));
    assert!(four > one / 4.0 + reduces, "{four} against {one}, all-reduces {reduces}");
    assert!(four < one / 4.0 + reduces * 1.6 + launches, "{four} against {one}, all-reduces {reduces}");
}

/// Two stages: a token passes all layers once, over half of the batch at a time, so that reading costs the
/// same and computing half; each card holds half of the weights and half of every token's KV.
#[test]
fn stages_split_the_batch() {
    let (model, node) = (model("llama-3.1-70b"), node("H100-SXM5", 8));
    let plan = |pp| ParallelismPlan { pp, ..ParallelismPlan::tensor(2) };
    let staged = |pp| Replica { plan: plan(pp), ..replica(&model, &node, Precision::Fp8, 2) };
    let hand_over = c::STAGE_HAND_OVER.as_secs_f64();
    let time = |pp, batch: &BatchShape| step(&staged(pp)).segment(batch).first.as_secs_f64();
    close(time(2, &decoding(64, 1000)) - hand_over, time(1, &decoding(32, 1000)), 0.01);
    let (one, two) = (fit(&staged(1)).expect("it fits"), fit(&staged(2)).expect("it fits"));
    assert_eq!(one.kv_bytes_per_token.0, 2 * two.kv_bytes_per_token.0);
    close(one.weights_per_card.0 as f64, 2.0 * two.weights_per_card.0 as f64, 1e-6);
    assert!(two.kv_blocks > 2 * one.kv_blocks);
}

/// Eight ranks of attention over shared experts: each card holds all of attention and an eighth of the
/// experts, the caches add up, and latent attention is no longer repeated, so that a long context costs less.
#[test]
fn ranks_share_the_experts() {
    let (model, node) = (model("deepseek-v3"), node("H200-SXM", 8));
    let planned = |plan| Replica { plan, ..replica(&model, &node, Precision::Fp8, 8) };
    let tensor = planned(ParallelismPlan::tensor(8));
    let ranks = planned(ParallelismPlan { tp: 1, pp: 1, dp: 8, ep: 8 });
    let (one, eight) = (fit(&tensor).expect("it fits"), fit(&ranks).expect("it fits"));
    assert_eq!(eight.kv_bytes_per_token, one.kv_bytes_per_token);
    assert!(eight.kv_blocks > 3 * one.kv_blocks && eight.kv_blocks < 8 * one.kv_blocks, "{one:?} {eight:?}");
    assert!(eight.weights_per_card > one.weights_per_card);
    let slope = |replica: &Replica<'_>| step(replica).segment(&decoding(256, 16_000)).slope.0;
    // Eight times less to read; but with all heads on a card attention is then bound by computing.
    assert!(slope(&ranks) * 4 < slope(&tensor) && slope(&ranks) * 8 > slope(&tensor));
    let wrong = planned(ParallelismPlan { tp: 8, pp: 1, dp: 1, ep: 3 });
    let refused = fit(&wrong).expect_err("refused").to_string();
    assert!(refused.contains("the nearest that does: tp = 8, pp = 1, ep = 2"), "{refused}");
}

/// A card without fp8 computes fp8 weights in 16 bits, and int4 is for weights only.
#[test]
fn narrow_weights_fall_back_to_16_bits() {
    let (a100, h100) = (card("A100-SXM4-80"), card("H100-SXM5"));
    let rate = |card: &CardSpec, precision| card.compute(precision).map(|(_, rate)| rate);
    assert_eq!(rate(&a100, Precision::Fp8), Some(FlopPerSecond::from_tflops(312.0)));
    assert_eq!(rate(&h100, Precision::Fp8), Some(FlopPerSecond::from_tflops(1979.0)));
    assert_eq!(rate(&h100, Precision::Int4), Some(FlopPerSecond::from_tflops(989.0)));
    // Half the bytes at batch one.
    let (model, node) = (model("llama-3.1-70b"), node("A100-SXM4-80", 8));
    let time = |weights, batch: &BatchShape| {
        step(&replica(&model, &node, weights, 8)).segment(batch).first.as_secs_f64()
    };
    let one = decoding(1, 100);
    let gained = time(Precision::Bf16, &one) - time(Precision::Fp8, &one);
    close(gained, 68.45e9 / 8.0 / (2.039e12 * K.weight_bandwidth), 5e-3);
}

/// Mixtral: one token touches 2 of 8 experts, sixteen nearly all: 8·(1 − (3/4)^16) = 7.92.
#[test]
fn a_batch_touches_experts() {
    let (model, node) = (model("mixtral-8x7b"), node("H100-SXM5", 8));
    let step = step(&replica(&model, &node, Precision::Bf16, 4));
    let time = |requests| step.segment(&decoding(requests, 0)).first.as_secs_f64();
    let all = model.expert_parameters() as f64 * 2.0 / 4.0 / (3.35e12 * K.expert_bandwidth);
    let share = 1.0 - 0.75f64 * 0.75 - 0.25;
    // From one token to two, 3/16 of the experts more are read (and 0.1 % of everything else).
    close((time(2) - time(1)) / all, share, 0.05);
    assert!((time(64) - time(16)) / all < 0.1);
}

/// vLLM 0.19 with Llama-3.1-8B in bf16 on an RTX 4090 at 0.9 of its memory: 2,588 blocks of 16 tokens. The
/// reserve was set on this run.
#[test]
fn kv_blocks_of_a_real_engine() {
    let (model, node) = (model("llama-3.1-8b"), node("RTX-4090", 1));
    let fit = fit(&replica(&model, &node, Precision::Bf16, 1)).expect("it fits");
    close(fit.kv_blocks as f64, 2588.0, 0.02);
    assert_eq!(fit.kv_bytes_per_token, Bytes(131_072));
    let used = fit.weights_per_card.0 + fit.reserve_per_card.0 + fit.kv_per_card.0;
    assert_eq!(used, fit.budget.0);
}

/// KV heads are split over the cards, and repeated from there on.
#[test]
fn kv_heads_split_and_repeat() {
    let (model, node) = (model("llama-3.1-70b"), node("H100-SXM5", 16));
    let bytes = |tp| fit(&replica(&model, &node, Precision::Fp8, tp)).expect("it fits").kv_bytes_per_token.0;
    // 80 layers of 2 · 8 · 128 values of 2 bytes.
    assert_eq!([2, 4, 8, 16].map(bytes), [163_840, 81_920, 40_960, 40_960]);
    // MLA's latent of 512 + 64 values is on every card.
    let deepseek = self::model("deepseek-v3");
    let node = self::node("H200-SXM", 16);
    let fit = fit(&replica(&deepseek, &node, Precision::Fp8, 8)).expect("it fits");
    assert_eq!(fit.kv_bytes_per_token, Bytes(61 * 576 * 2));
}

#[test]
fn automatic_plans() {
    let plan = |name: &str, card: &str, cards, weights| {
        let (model, node) = (model(name), node(card, cards));
        auto_plan(&replica(&model, &node, weights, 1)).map(|auto| (auto.plan.tp, auto.rejected.len()))
    };
    assert_eq!(plan("llama-3.1-8b", "H100-SXM5", 8, Precision::Bf16), Ok((1, 0)));
    // On one card 70 GB of weights leave nothing; two hold 32,768 tokens and more.
    assert_eq!(plan("llama-3.1-70b", "H100-SXM5", 8, Precision::Fp8), Ok((2, 1)));
    assert_eq!(plan("llama-3.1-70b", "H100-SXM5", 8, Precision::Bf16), Ok((4, 2)));
    assert_eq!(plan("llama-3.1-8b", "RTX-4090", 1, Precision::Bf16), Ok((1, 0)));
    // Two A100 hold the weights and 27,000 tokens, fewer than wanted; the node has no more cards.
    assert_eq!(plan("llama-3.1-70b", "A100-SXM4-80", 2, Precision::Bf16), Ok((2, 1)));
    assert!(matches!(plan("llama-3.1-405b", "RTX-4090", 8, Precision::Bf16), Err(PlanError::DoesNotFit(_))));
}

#[test]
fn refusals_say_what_to_do() {
    let (big, small) = (model("llama-3.1-70b"), model("llama-3.1-8b"));
    let (h100, pair) = (node("H100-SXM5", 8), node("L4", 1));
    let refused = |replica: Replica<'_>| fit(&replica).map(|_| ()).expect_err("refused").to_string();
    let mut staged = replica(&big, &h100, Precision::Fp8, 8);
    staged.plan.pp = 81;
    let mut absurd = small.clone();
    absurd.hidden = 0;
    let messages = [
        refused(replica(&big, &h100, Precision::Bf16, 1)),
        refused(replica(&small, &pair, Precision::Fp32, 1)),
        refused(replica(&big, &h100, Precision::Fp8, 3)),
        refused(replica(&big, &h100, Precision::Fp8, 0)),
        refused(replica(&big, &pair, Precision::Fp8, 8)),
        refused(staged),
        refused(replica(&absurd, &h100, Precision::Bf16, 1)),
        refused(Replica { memory_utilization: 1.5, ..replica(&small, &h100, Precision::Bf16, 1) }),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// What the catalogue lacks is listed whole.
#[test]
fn unknown_figures_are_all_named() {
    let catalog = Catalog::embedded();
    let of_model = |name: &str| {
        let model = catalog.model(name).expect("in the catalogue");
        ModelDims::try_from(model).map(|_| ()).expect_err("unknown").to_string()
    };
    let card = catalog.accelerator("SN10").expect("in the catalogue");
    let mut offer = catalog.offer("aws/p5.48xlarge").expect("in the catalogue").clone();
    offer.accelerators_per_node = None;
    let of_offer = NodeSpec::from_catalog(&offer, card).map(|_| ()).expect_err("unknown").to_string();
    let messages = [of_model("gpt-4"), of_model("ernie-4.0"), of_offer];
    // One card has nobody to link to.
    let mut lone = catalog.accelerator("L4").expect("in the catalogue").clone();
    lone.interconnect.bandwidth = None;
    offer.accelerators_per_node =
        catalog.offer("aws/p5.48xlarge").expect("known").accelerators_per_node.clone();
    assert!(NodeSpec::from_catalog(&offer, &lone).is_err());
    if let Some(cards) = &mut offer.accelerators_per_node {
        cards.value = 1;
    }
    assert!(NodeSpec::from_catalog(&offer, &lone).is_ok_and(|node| node.cards == 1));
    insta::assert_snapshot!(messages.join("\n"));
}

/// Every model on every card either has a plan and a step time or says why not.
#[test]
fn the_whole_catalogue_is_answered() {
    let catalog = Catalog::embedded();
    let mut planned = 0;
    for model in catalog.models() {
        let Ok(model) = ModelDims::try_from(model) else { continue };
        for card in catalog.accelerators() {
            let Ok(card) = CardSpec::try_from(card) else { continue };
            let node = NodeSpec { name: "test".to_owned(), card, cards: 8, scale_out: None };
            for weights in Precision::ALL {
                let replica = replica(&model, &node, weights, 1);
                let auto = match auto_plan(&replica) {
                    Ok(auto) => auto,
                    Err(PlanError::DoesNotFit(_)) => continue,
                    Err(error) => panic!("{} on {}: {error}", model.name, node.card.name),
                };
                let replica = Replica { plan: auto.plan, ..replica };
                if let Ok(roofline) = Roofline::new(&replica) {
                    let seconds =
                        StepModel::Roofline(roofline).segment(&decoding(8, 512)).first.as_secs_f64();
                    assert!(
                        seconds > 1e-4 && seconds < 600.0,
                        "{} on {}: {seconds}",
                        model.name,
                        node.card.name
                    );
                    planned += 1;
                }
            }
        }
    }
    assert!(planned > 1000, "{planned}");
}

/// Models that use every term: a dense one, experts, latent attention, a window.
fn shapes() -> Vec<StepModel> {
    let mut models: Vec<ModelDims> =
        ["llama-3.1-70b", "mixtral-8x7b", "deepseek-v3"].map(model).into_iter().collect();
    let mut windowed = models[0].clone();
    windowed.window = Some(SlidingWindow { tokens: 1024, layers: 40 });
    windowed.experts = Some(Experts { per_layer: 4, per_token: 4, layers: 10, parameters: 1_000_000 });
    models.push(windowed);
    let fast = node("H200-SXM", 8);
    // A card so slow at computing that attention to a long context is bound by it.
    let mut slow = fast.clone();
    slow.card.peaks = [(Precision::Bf16, FlopPerSecond::from_tflops(20.0))].into();
    let mut steps = Vec::new();
    for model in &models {
        for node in [&fast, &slow] {
            steps.push(step(&replica(model, node, Precision::Bf16, 8)));
        }
    }
    steps
}

fn arb_batch() -> impl Strategy<Value = BatchShape> {
    let decode = (0u32..400, 0u64..40_000, 0u32..400);
    let prefill =
        prop_oneof![Just((0u32, 0u32, 0u64, 0u64)), (1u32..8, 1u32..8192, 0u64..1 << 32, 0u64..200_000)];
    (decode, prefill).prop_map(|((requests, context, growing), (chunks, tokens, pairs, seen))| {
        let growing = growing.min(requests);
        let decode_context = u64::from(requests) * context;
        BatchShape {
            pixels: 0,
            decode_requests: requests,
            decode_context,
            window_context: decode_context.min(u64::from(requests) * 1024),
            window_growing: growing,
            draft_tokens: 0,
            prefill_requests: chunks,
            prefill_tokens: tokens,
            prefill_pairs: pairs,
            prefill_context: seen,
        }
    })
}

/// The batch after `k` iterations of an unchanging batch.
fn after(batch: &BatchShape, k: u64) -> BatchShape {
    BatchShape {
        decode_context: batch.decode_context + k * u64::from(batch.decode_requests),
        window_context: batch.window_context + k * u64::from(batch.window_growing),
        ..*batch
    }
}

proptest! {
    /// More of anything in a batch never takes less time or FLOP.
    #[test]
    fn more_work_takes_no_less(batch in arb_batch(), field in 0..8usize, more in 1u32..5000) {
        let mut larger = batch;
        let long = u64::from(more);
        match field {
            0 => larger.decode_requests += more,
            1 => larger.decode_context += long,
            2 => larger.window_context += long,
            3 => larger.window_growing += more,
            4 => larger.prefill_requests += more,
            5 => larger.prefill_tokens += more,
            6 => larger.prefill_pairs += long,
            _ => larger.prefill_context += long,
        }
        for step in shapes_once() {
            let (before, after) = (step.segment(&batch), step.segment(&larger));
            prop_assert!(after.first >= before.first);
            prop_assert!(after.flop_first >= before.flop_first && after.flop_slope >= before.flop_slope);
            prop_assert!(before.max_iterations >= 1);
        }
    }

    /// Iteration `k` of a piece is iteration 0 of the segment that begins there, to the tick; and where the
    /// piece ends, the next iteration is no longer on its line.
    #[test]
    fn pieces_are_exact(batch in arb_batch(), at in 0.0f64..1.0) {
        for step in shapes_once() {
            let piece = step.segment(&batch);
            let last = piece.max_iterations.min(100_000) - 1;
            for k in [0, (last as f64 * at) as u64, last] {
                let fresh = step.segment(&after(&batch, k));
                prop_assert_eq!(piece.duration(k), fresh.first);
                let first = Segment { max_iterations: k + 1, ..piece }.work(1).0;
                prop_assert_eq!(first + u128::from(k) * piece.flop_slope.0, fresh.flop_first.0);
            }
            if batch.prefill_requests == 0 && piece.max_iterations < 100_000 {
                let beyond = step.segment(&after(&batch, piece.max_iterations));
                prop_assert!(beyond.first > piece.duration(piece.max_iterations));
            }
        }
    }
}

/// Building eight graphs for each case would be most of the test's time.
fn shapes_once() -> &'static [StepModel] {
    static SHAPES: std::sync::LazyLock<Vec<StepModel>> = std::sync::LazyLock::new(shapes);
    &SHAPES
}

/// On the slow card DeepSeek's attention does switch from bytes to FLOP as the context grows.
#[test]
fn the_switch_happens() {
    let slow = &shapes_once()[5];
    let piece = slow.segment(&decoding(64, 0));
    assert!(piece.max_iterations < 1000, "{piece:?}");
    let beyond = slow.segment(&after(&decoding(64, 0), piece.max_iterations));
    assert!(beyond.slope > piece.slope);
    assert_eq!(beyond.max_iterations, u64::MAX);
}

/// A replica of eight cards moves from one node to two of four: what its layers exchange takes as much longer as
/// the graph says, in which the network's part of each sum is narrower than the cards' own rings.
#[test]
fn layers_over_two_nodes_wait_for_the_network() {
    let model = model("llama-3.1-70b");
    let network = BytesPerSecond::from_gb_s(50.0);
    let nodes = |cards: u32| NodeSpec { scale_out: Some(network), ..node("A100-SXM4-80", cards) };
    let prompts = BatchShape {
        prefill_requests: 16,
        prefill_tokens: 16_384,
        prefill_pairs: 16 * 1024 * 1025 / 2,
        prefill_context: 16_384,
        ..BatchShape::default()
    };
    let seconds = |node: &NodeSpec| {
        let replica = replica(&model, node, Precision::Bf16, 8);
        step(&replica).segment(&prompts).first.as_secs_f64()
    };
    // The same without any time on links.
    let free = |mut node: NodeSpec| {
        let endless = BytesPerSecond(1e18);
        (node.card.card_link, node.scale_out) = (Some(endless), Some(endless));
        node
    };
    let (one, two) = (nodes(8), nodes(4));
    let exchanged_in_one = seconds(&one) - seconds(&free(nodes(8)));
    let exchanged_in_two = seconds(&two) - seconds(&free(nodes(4)));
    let topology = one.topology().expect("a node");
    let rings = topology.rings(&(0..8).collect::<Vec<_>>()).expect("a group").bandwidth.as_f64();
    let narrow = two.topology().expect("a node").scale_out().expect("known").as_f64();
    // A ring of eight carries 2·7/8 of a buffer over each link; between two nodes 2·1/2 of it cross.
    let predicted = (1.0 / narrow) / (1.75 / rings);
    let found = exchanged_in_two / exchanged_in_one;
    assert!((found / predicted - 1.0).abs() < 0.15, "{found}, predicted {predicted}");
}
