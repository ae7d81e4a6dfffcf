//! `prefill`, `decode` and `handover` of a deployment.

use super::Surroundings;
use super::autoscaler::{self, RawAutoscaler};
use super::batching::{self, RawSwap};
use super::deployment::{Parallelism, StepTime, parallelism, step_time};
use super::lifecycle::{self, Replicas};
use crate::perf::constants;
use crate::policies::router::RouterKind;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::serving::Batching;
use crate::traffic::Start;
use crate::units::{BytesPerSecond, Duration};

/// Prefill and decode replicas of one deployment.
#[derive(Debug, Clone)]
pub struct RawDisaggregated {
    pub prefill: RawSet,
    pub decode: RawSet,
    pub handover: RawHandover,
}

/// Replicas of one kind; what is absent is as the deployment says.
#[derive(Debug, Clone)]
pub struct RawSet {
    pub pools: Option<Vec<Sited<String>>>,
    pub parallelism: Option<Sited<Parallelism>>,
    pub batching: Option<(Batching, RawSwap)>,
    pub routing: Option<RouterKind>,
    pub replicas: Replicas,
    /// Whether replicas may come and go during the run, and what chooses how many.
    pub changes: bool,
    pub autoscaler: Option<RawAutoscaler>,
    pub step_time: Option<StepTime>,
    pub kv_blocks: Option<u64>,
    pub place: Place,
}

/// What goes from one to the other, and when.
#[derive(Debug, Clone, Copy)]
pub struct RawHandover {
    pub max_local_prefill: u32,
    pub max_prefill_queue: Option<u32>,
    pub bandwidth: Option<BytesPerSecond>,
    pub latency: Duration,
}

/// Reads the keys of a disaggregated deployment; `None` for any other.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>, clock: Start) -> Option<RawDisaggregated> {
    let doc =
        "Replicas that only process prompts; each request's KV cache then goes to a replica of `decode`.";
    let prefill = t.table("prefill", doc, |t| set(t, around, clock));
    let doc = "Replicas that only decode, and process the prompts that stay local.";
    let decode = t.table("decode", doc, |t| set(t, around, clock));
    let doc = "How requests go from prefill to decode replicas.";
    let handover = t.table_or_default("handover", doc, handover);
    if t.is_describing() {
        return None;
    }
    for (one, other, does) in [("prefill", "decode", "decodes"), ("decode", "prefill", "processes prompts")] {
        if t.has(one) && !t.has(other) {
            let message =
                format!("{} has `{one}` replicas, but no `{other}` replicas: nobody {does}", t.noun());
            let help =
                format!("add {other} = {{ replicas = 1 }}, or take out `{one}` for replicas that do both");
            t.problem(Problem::error(t.place_of(one), message).help(help));
        }
    }
    if !t.has("prefill") && !t.has("decode") && t.has("handover") {
        let message = format!("{} has `handover`, but no `prefill` and no `decode` replicas", t.noun());
        t.problem(Problem::error(t.place_of("handover"), message).help("add both, or take it out"));
    }
    if t.has("prefill") && t.has("decode") && t.has("replicas") {
        let message = format!("{} has `replicas` beside `prefill` and `decode`", t.noun());
        let help = "write the number into each, as in prefill = { replicas = 2 }, and take it out here";
        t.problem(Problem::error(t.place_of("replicas"), message).help(help));
    }
    if t.has("prefill") && t.has("decode") && t.has("autoscaler") {
        let message = format!("{} has an autoscaler beside `prefill` and `decode`", t.noun());
        let help =
            "give each its own, as in prefill = { replicas = { min = 1, max = 4 }, autoscaler = { ... } }";
        t.problem(Problem::error(t.place_of("autoscaler"), message).help(help));
    }
    Some(RawDisaggregated { prefill: prefill?, decode: decode?, handover: handover? })
}

fn set(t: &mut TableReader<'_>, around: Surroundings<'_>, clock: Start) -> Option<RawSet> {
    let replicas = lifecycle::replicas(t);
    let autoscaler = autoscaler::read(t, around, replicas, clock);
    let doc = "The pools on which they may run; the deployment's when absent.";
    let pools = t.list("pools", &kinds::REFERENCE, false, doc).filter(|pools| !pools.is_empty());
    let absent = !t.has("parallelism");
    let parallelism = parallelism(t).filter(|_| !absent);
    let doc = "Limits of a replica's batch; the deployment's when absent.";
    let batching = t.table("batching", doc, batching::read);
    let doc = "Which of these replicas a request goes to; as the deployment says when absent.";
    t.declare("routing", "a router, as of the deployment", None, doc);
    let routing = t.has("routing").then(|| t.choice("routing", &RouterKind::ALL, &[], None, doc)).flatten();
    let step_time =
        t.table("step_time", "Measured coefficients of an iteration's time.", |t| step_time(t, around));
    let kv_blocks = t.optional("kv_blocks", &kinds::LARGE_COUNT, "KV blocks of a replica.");
    Some(RawSet {
        pools,
        parallelism,
        batching,
        routing: routing.map(|routing| *routing),
        replicas,
        changes: t.has("autoscaler"),
        autoscaler,
        step_time,
        kv_blocks: kv_blocks.map(|blocks| *blocks),
        place: t.place,
    })
}

fn handover(t: &mut TableReader<'_>) -> Option<RawHandover> {
    let doc = "Prompts of at most so many tokens are processed where they are decoded; 0 sends every prompt to \
               the prefill replicas.";
    let local = t.optional("max_local_prefill", &kinds::SEED, doc);
    let doc = "With so many requests waiting at the prefill replicas, prompts are processed where they are decoded; \
               never when absent.";
    let queue = t.optional("max_prefill_queue", &kinds::COUNT, doc);
    let doc =
        "What a replica sends and what it receives, each; what the links of its node carry when absent.";
    let bandwidth = t.optional("bandwidth", &kinds::BANDWIDTH, doc);
    let doc = "From the end of a transfer to its being known at the decode replica; 5 us when absent.";
    let latency = t.optional("latency", &kinds::TIME, doc);
    Some(RawHandover {
        max_local_prefill: local.map_or(0, |tokens| u32::try_from(*tokens).unwrap_or(u32::MAX)),
        max_prefill_queue: queue.map(|queue| *queue),
        bandwidth: bandwidth.map(|bandwidth| *bandwidth),
        latency: latency.map_or(constants::SCALE_OUT_LATENCY, |latency| *latency),
    })
}
