//! Every constant of the performance model, each with its source and its doubt. Nowhere else is one hidden.
//!
//! These are first values, seen against a few published measurements and not fitted to them; the remarks
//! say what was seen. The order of trust: a figure of the card, then of its family, then the global one.

use crate::catalog::Precision;
use crate::units::{Bytes, BytesPerSecond, Duration};

// ---- Kernels -------------------------------------------------------------------------------------------

/// Share of the dense peak that large matrix products of linear layers reach. Vidur's profiles (projections
/// and MLP of Llama-2-7B, 70B and Llama-3-8B in fp16) reach 0.68 to 0.78 from 1,024 tokens on A100, A40 and
/// H100, and between 0.4 and 0.65 near the ridge (128 to 256 tokens), which a plain maximum overestimates.
/// Doubt: fp8 and fp4, and cards of other vendors, were not profiled.
pub const LINEAR_COMPUTE_EFFICIENCY: f64 = 0.72;

/// Share of the dense peak that attention over a long prompt reaches (FlashAttention-2, arXiv 2307.08691,
/// table of section 4.1: 50 to 73 % on A100 forward, causal lower; FlashAttention-3 up to 75 % on H100).
pub const ATTENTION_COMPUTE_EFFICIENCY: f64 = 0.55;

/// Share of the memory bandwidth that reading weights reaches. Vidur's profiles of the same layers with 1 to
/// 32 tokens: 0.75 to 0.78 on A100, 0.77 to 0.80 on A40, 0.75 (7B) to 0.88 (70B) on H100; 0.45 to 0.7 where
/// tensor parallelism leaves less than about 100 MB a layer.
pub const WEIGHT_BANDWIDTH_EFFICIENCY: f64 = 0.80;

/// Share of the memory bandwidth that reading the KV cache reaches: less than weights, since blocks of
/// 16 tokens are scattered.
pub const KV_BANDWIDTH_EFFICIENCY: f64 = 0.75;

// ---- Overheads of an iteration ---------------------------------------------------------------------------

/// What each iteration takes beside its kernels: scheduling, input tensors, sampling, detokenising.
pub const ITERATION_OVERHEAD: Duration = Duration::from_nanos(1_000_000);

/// What each request in the batch adds to that.
pub const REQUEST_OVERHEAD: Duration = Duration::from_nanos(5_000);

/// What each layer takes beside its matrix products and attention: norms, rotary embedding, activation
/// function, gaps between kernels in a CUDA graph.
pub const LAYER_OVERHEAD: Duration = Duration::from_nanos(20_000);

/// Vectors as wide as the residual stream, 16 bits a value, that norms, rotary embedding, activation function
/// and residual sums move for each token and layer: this many on every tensor-parallel card ...
///
/// Vidur's separate kernels move 40 to 43 with one card and 16 to 20 with eight, on A100 (fewer on A40, whose
/// cache holds more of them); serving engines fuse about half of that away.
pub const ELEMENTWISE_VECTORS_REPEATED: f64 = 7.0;

/// ... and this many split over the tensor-parallel cards.
pub const ELEMENTWISE_VECTORS_SPLIT: f64 = 13.0;

// ---- Collectives -----------------------------------------------------------------------------------------

/// Share of a ring's bandwidth that collectives reach.
pub const COLLECTIVE_BANDWIDTH_EFFICIENCY: f64 = 0.80;

/// What a collective takes before its first step.
pub const COLLECTIVE_LAUNCH: Duration = Duration::from_nanos(6_000);

/// Latency of a hop between two cards over their own links.
pub const SCALE_UP_LATENCY: Duration = Duration::from_nanos(500);

/// Latency of a PCIe hop.
pub const PCIE_LATENCY: Duration = Duration::from_nanos(1_000);

/// Latency of a hop between two CPU sockets.
pub const SOCKET_LATENCY: Duration = Duration::from_nanos(500);

/// Latency of a hop between two nodes, NIC to NIC.
pub const SCALE_OUT_LATENCY: Duration = Duration::from_nanos(5_000);

/// Bandwidth between two CPU sockets, one direction: three UPI links of 16 GT/s and 20 lanes' width carry
/// 3 · 20.8 GB/s (Intel Xeon, third generation, product brief); nodes differ.
pub const SOCKET_BANDWIDTH: BytesPerSecond = BytesPerSecond(62.4e9);

/// Cards under one PCIe switch.
pub const CARDS_PER_PCIE_SWITCH: u32 = 2;

/// Cards from which a node has two CPU sockets: above this many.
pub const CARDS_PER_SOCKET: u32 = 4;

// ---- Memory ----------------------------------------------------------------------------------------------

/// Bytes that software sees for each byte of the vendor's figure.
pub const VISIBLE_MEMORY: f64 = 1.0521;

/// Share of the visible memory that the engine takes.
pub const MEMORY_UTILIZATION: f64 = 0.9;

/// Tokens in one iteration at most.
pub const MAX_BATCH_TOKENS: u32 = 2048;

/// Memory that a card keeps for the CUDA context, graphs, communication buffers and the sampler.
pub const ENGINE_RESERVE: Bytes = Bytes(1_000_000_000);

/// Vectors as wide as the residual stream, 16 bits a value, that an iteration holds for each of its tokens.
pub const ACTIVATION_VECTORS: u64 = 16;

/// Tokens in a block of the KV cache.
pub const KV_BLOCK_TOKENS: u64 = 16;

/// Tokens of KV cache below which an automatic plan takes more cards.
pub const KV_BUDGET_TOKENS: u64 = 32_768;

/// Visible bytes for each quoted byte of a card.
pub fn visible_memory(_card: &str) -> f64 {
    VISIBLE_MEMORY
}

// ---- Training --------------------------------------------------------------------------------------------

/// Share of the dense peak that forward and backward passes reach, communication aside, in 16 bits.
pub const TRAINING_COMPUTE_EFFICIENCY: f64 = 0.58;

/// The same in 8 bits.
pub const TRAINING_COMPUTE_EFFICIENCY_8_BITS: f64 = 0.40;

/// Share of the computing time behind which data-parallel traffic can hide.
pub const TRAINING_OVERLAP: f64 = 0.6;

/// Share of data-parallel traffic that never hides: the first gather and the last gradients.
pub const TRAINING_EXPOSED_AT_LEAST: f64 = 0.05;

/// Share of the visible memory that a training job may fill.
pub const TRAINING_MEMORY_UTILIZATION: f64 = 0.95;

/// Tokens of a step for each card, where the job does not say.
pub const TRAINING_TOKENS_PER_CARD: u64 = 32_768;

/// The efficiency of training in a format.
pub fn training_efficiency(precision: Precision) -> f64 {
    if precision.bits() < 16 { TRAINING_COMPUTE_EFFICIENCY_8_BITS } else { TRAINING_COMPUTE_EFFICIENCY }
}
