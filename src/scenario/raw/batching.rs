//! `batching` of a deployment: limits of a batch, and who gets into it.

use crate::policies::request_order::RequestOrder;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::serving::{Batching, Preemption, Scheduler};
use crate::units::{Bytes, BytesPerSecond};

/// What host memory offers where KV blocks are copied there.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawSwap {
    /// Of each card.
    pub space: Bytes,
    /// `None` for the card's PCIe link.
    pub bandwidth: Option<BytesPerSecond>,
}

/// vLLM v0's `swap_space`: 4 GiB a card.
const SWAP_SPACE: &str = "\"4 GiB\"";

/// Reads `batching`.
pub fn read(t: &mut TableReader<'_>) -> Option<(Batching, RawSwap)> {
    let doc = "Most requests in a batch (vLLM's max_num_seqs).";
    let requests = t.or("max_batch_requests", &kinds::COUNT, "256", doc);
    let doc = "Most tokens processed in an iteration (vLLM's max_num_batched_tokens).";
    let tokens = t.or("max_batch_tokens", &kinds::TOKENS, "2048", doc);
    let doc = "What goes into an iteration: \"vllm-v1\" mixes decoding with chunks of prompts; \"prefill-first\" \
               (vLLM v0) runs whole prompts alone while any can be admitted; \"sarathi\" is as vllm-v1, but a \
               prompt's KV blocks are taken whole at admission; \"static\" runs a batch until all of it ended.";
    let scheduler = t.choice("scheduler", &Scheduler::ALL, &[], Some("vllm-v1"), doc);
    let doc = "Which waiting request is next: in order of arrival, by the stream's `priority` (smaller is more \
               urgent), shortest first (of outputs: an oracle), by deadline, or by fair shares among tenants \
               (virtual token counters).";
    let order = t.choice("order", &RequestOrder::ALL, &[], Some("fcfs"), doc);
    let doc = "What becomes of a request that gives its KV blocks up: its tokens are processed again, or its \
               blocks are copied to host memory and back.";
    let preemption = t.choice("preemption", &Preemption::ALL, &[], Some("recompute"), doc);
    let doc = "How long a static batch may wait to be filled, from the arrival of its oldest request; \
               0 when absent.";
    let max_wait = t.optional("max_wait", &kinds::TIME, doc);
    let doc = "Host memory for KV blocks, of each card; 4 GiB when absent (vLLM v0's swap_space).";
    let swap_space = t.optional("swap_space", &kinds::BYTES, doc);
    let doc = "How fast a card copies KV blocks to host memory and back; its PCIe link when absent.";
    let swap_bandwidth = t.optional("swap_bandwidth", &kinds::BANDWIDTH, doc);
    let (requests, tokens) = (requests?, tokens?);
    if *tokens < *requests {
        let message = format!(
            "max_batch_tokens is {}, less than max_batch_requests, {}: a full batch could not decode in one \
             iteration",
            *tokens, *requests
        );
        t.problem(
            Problem::error(tokens.place, message).help("raise max_batch_tokens or lower max_batch_requests"),
        );
    }
    let scheduler = scheduler.map_or(Scheduler::VllmV1, |scheduler| *scheduler);
    let preemption = preemption.map_or(Preemption::Recompute, |preemption| *preemption);
    if scheduler != Scheduler::Static {
        only_with(t, "max_wait", "scheduler = \"static\"");
    }
    if preemption != Preemption::Swap {
        only_with(t, "swap_space", "preemption = \"swap\"");
        only_with(t, "swap_bandwidth", "preemption = \"swap\"");
    } else {
        t.standard("swap_space", SWAP_SPACE);
    }
    let batching = Batching {
        max_batch_requests: *requests,
        max_batch_tokens: *tokens,
        scheduler,
        order: order.map_or(RequestOrder::Fcfs, |order| *order),
        preemption,
        max_wait: max_wait.map_or(Default::default(), |wait| *wait),
    };
    let swap = RawSwap {
        space: swap_space.map_or(Bytes(4 << 30), |space| *space),
        bandwidth: swap_bandwidth.map(|bandwidth| *bandwidth),
    };
    Some((batching, swap))
}

/// A key that means nothing without another is refused, not ignored.
fn only_with(t: &mut TableReader<'_>, key: &'static str, other: &str) {
    if t.has(key) {
        let message = format!("`{key}` of {} has no effect without {other}", t.noun());
        t.problem(Problem::error(t.place_of(key), message).help(format!("add {other}, or take it out")));
    }
}
