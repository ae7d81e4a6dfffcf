//! What serving engines do differently, as far as a table that names the engine says it.

use crate::perf::constants::{self as c, Engine};
use crate::serving::Scheduler;

impl Engine {
    /// Requests in a batch at most: vLLM's `max_num_seqs` for large cards (1,024) and TensorRT-LLM's
    /// `max_batch_size` (2,048).
    pub(super) const fn max_batch_requests(self) -> u32 {
        match self {
            Self::TensorRtLlm => 2048,
            _ => 1024,
        }
    }

    /// Tokens in an iteration at most: all have 8,192 by default on large cards (vLLM's
    /// `max_num_batched_tokens`, TensorRT-LLM's `max_num_tokens`, SGLang's `chunked_prefill_size`).
    pub(super) const fn max_batch_tokens(self) -> u32 {
        8192
    }

    /// What goes into an iteration: SGLang runs prompts before it goes on decoding, unless told to mix them
    /// (`enable_mixed_chunk`, off by default).
    pub(super) const fn scheduler(self) -> Scheduler {
        match self {
            Self::SgLang => Scheduler::PrefillFirst,
            _ => Scheduler::VllmV1,
        }
    }

    /// The share of a card's memory that the engine takes, when weights take the share `weights`.
    ///
    /// vLLM: 0.9 of all. TensorRT-LLM: 0.9 of what weights leave (`free_gpu_memory_fraction`; its benchmark
    /// takes 0.95). SGLang: 0.88 (`mem_fraction_static`, with what activations take beside it).
    pub(super) fn memory_utilization(self, weights: f64) -> f64 {
        match self {
            Self::TensorRtLlm => weights + 0.95 * (1.0 - weights).max(0.0),
            _ => c::MEMORY_UTILIZATION,
        }
    }
}
