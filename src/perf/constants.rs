//! Every constant of the performance model, each with its source and its doubt. Nowhere else is one hidden.
//!
//! Each group was set on a part of the published data and compared with the rest; `fleetsim validate` repeats
//! the comparison through the simulator. Set on:
//! - **Serving** (kernels, overheads): every sixth row of TensorRT-LLM 0.17's offline tables (commit 258c7540);
//!   every fourteenth of aiconfigurator's runs of Llama, Qwen3-32B and DeepSeek on H100 and B200; every eighth
//!   case of InferenceX's aggregated DeepSeek-R1 runs on B200 and MI300X; one vLLM run on an RTX 4090. A
//!   coordinate descent over the constants, by the mean of the groups' median errors; then rounded by hand. Held
//!   out: all later TensorRT-LLM tables, MLPerf, inference-sim's runs, MI355X, B300 and GB200, and the models
//!   gpt-oss, MiniMax-M2.5, GLM-5 and Qwen3-235B.
//! - **Training**: llm-foundry's tables, Megatron-Bridge's of containers 25.09 to 26.02 on H100 and GB200, and
//!   MLPerf Training 4.0. Held out: B200 and H200, later containers, MLPerf Training 4.1.
//! - **Collectives**: Vidur's single-node profiles of A100 and H100 and NCCL's issues. Held out: pairs with
//!   bridges, OCI's clusters.
//!
//! The kernels' shares are those that fit together with these overheads: a kernel timed alone, its launch
//! included, reaches less (Vidur's profiles of linear layers: 0.68 to 0.78 of the peak from 1,024 tokens and
//! 0.75 to 0.88 of the bandwidth with few, on A100, A40 and H100).
//!
//! The order of trust: a figure of the card, then of its family, then the global one.

use crate::catalog::Precision;
use crate::units::{Bytes, BytesPerSecond, Duration};

// ---- Kernels -------------------------------------------------------------------------------------------

/// Share of the dense peak that large matrix products of linear layers reach in 16 bits. Fitted; the RTX 4090,
/// which clocks above its quoted rate, pulls it up.
pub const LINEAR_COMPUTE_EFFICIENCY: f64 = 0.87;

/// The share of a card's dense peak that linear layers reach with weights of a format: the vendor's, the
/// generation's, or the global one.
pub fn linear_efficiency(card: &str, weights: Precision) -> f64 {
    let narrow = weights.bits() < 16;
    let family = match Family::of(card) {
        Family::Blackwell if narrow => BLACKWELL_NARROW_COMPUTE,
        Family::Amd => AMD_COMPUTE,
        _ => 1.0,
    };
    let global = match weights {
        Precision::Fp4 => LINEAR_COMPUTE_EFFICIENCY_4_BITS,
        Precision::Fp8 | Precision::Int8 => LINEAR_COMPUTE_EFFICIENCY_8_BITS,
        _ => LINEAR_COMPUTE_EFFICIENCY,
    };
    family * global
}

/// How much longer launches and small kernels take than on NVIDIA's cards.
pub fn launch_factor(card: &str) -> f64 {
    if Family::of(card) == Family::Amd { AMD_LAUNCH_FACTOR } else { 1.0 }
}

/// Cards that share constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Hopper,
    Blackwell,
    Amd,
    Other,
}

impl Family {
    fn of(card: &str) -> Self {
        if ["B100", "B200", "B300", "GB200", "GB300"].iter().any(|known| card.starts_with(known)) {
            Self::Blackwell
        } else if ["H100", "H200", "H800", "GH200"].iter().any(|known| card.starts_with(known)) {
            Self::Hopper
        } else if card.starts_with("MI") {
            Self::Amd
        } else {
            Self::Other
        }
    }
}

/// What Blackwell's products in 8 and 4 bits reach of the share that the global constants say. Fitted; between 0.5
/// and 0.76 the data hardly tell.
pub const BLACKWELL_NARROW_COMPUTE: f64 = 0.60;

/// The same of AMD's cards in all formats. Fitted on MI300X only.
pub const AMD_COMPUTE: f64 = 0.35;

/// Launches on AMD's cards over NVIDIA's. Fitted on MI300X only.
pub const AMD_LAUNCH_FACTOR: f64 = 2.1;

/// Part of the shorter of reading and computing that does not hide behind the longer. Fitted.
pub const OVERLAP_LOSS: f64 = 0.08;

/// What each layer takes beside that in iterations with prompts, which run without a graph of the whole model.
/// Fitted.
pub const PREFILL_LAYER_OVERHEAD: Duration = Duration::from_nanos(40_000);

/// The same of the 8-bit peak. Fitted (H100).
pub const LINEAR_COMPUTE_EFFICIENCY_8_BITS: f64 = 0.79;

/// The same of the 4-bit peak. Fitted (B200, together with [`BLACKWELL_NARROW_COMPUTE`]).
pub const LINEAR_COMPUTE_EFFICIENCY_4_BITS: f64 = 0.40;

/// What grouped products of experts reach of what linear layers reach. Fitted.
pub const EXPERT_COMPUTE_SHARE: f64 = 0.46;

/// Share of the memory bandwidth that reading experts reaches. Fitted.
pub const EXPERT_BANDWIDTH_EFFICIENCY: f64 = 0.75;

/// The fullest card's load over the mean, where cards hold experts of their own. The fit asks for no crowding
/// (benchmarks' random tokens spread evenly); real traffic may differ.
pub const EXPERT_IMBALANCE: f64 = 1.0;

/// What routing, permuting and adding up take in a layer with experts, beside [`LAYER_OVERHEAD`]. Fitted.
pub const EXPERT_LAYER_OVERHEAD: Duration = Duration::from_nanos(35_000);

/// What routing, sorting and setting up products of unequal sizes take in a layer with experts, in iterations with
/// prompts, beside [`PREFILL_LAYER_OVERHEAD`]. Fitted; between 0.3 and 0.9 ms, where later ones gain in time to first
/// token what they lose in throughput.
pub const EXPERT_PREFILL_LAYER_OVERHEAD: Duration = Duration::from_nanos(450_000);

/// Share of the dense peak that attention over a long prompt reaches, counting the causal pairs only. Fitted
/// (FlashAttention-2, arXiv 2307.08691: 50 to 73 % on A100; FlashAttention-3, arXiv 2407.08608: up to 75 % on H100;
/// both recalled).
pub const ATTENTION_COMPUTE_EFFICIENCY: f64 = 0.70;

/// Share of the memory bandwidth that reading weights reaches, launches not counted. Fitted, at the upper limit of
/// what was allowed.
pub const WEIGHT_BANDWIDTH_EFFICIENCY: f64 = 0.92;

/// Share of the memory bandwidth that reading the KV cache reaches. Fitted.
pub const KV_BANDWIDTH_EFFICIENCY: f64 = 0.90;

// ---- Overheads of an iteration ---------------------------------------------------------------------------

/// What each iteration takes beside its kernels: scheduling, input tensors, sampling, detokenising. An
/// assumption for engines with CUDA graphs and asynchronous scheduling; older ones take several times that.
pub const ITERATION_OVERHEAD: Duration = Duration::from_nanos(1_000_000);

/// What each request in the batch adds to that. Fitted.
pub const REQUEST_OVERHEAD: Duration = Duration::from_nanos(4_000);

/// What each layer takes beside its matrix products and attention: the launch and the tails of its kernels. Fitted
/// (Vidur's profiles: five small kernels of 12 to 46 µs together a layer, before fusion and CUDA graphs).
pub const LAYER_OVERHEAD: Duration = Duration::from_nanos(25_000);

/// Vectors as wide as the residual stream, 16 bits a value, that norms, rotary embedding, activation function
/// and residual sums move for each token and layer: this many on every tensor-parallel card ...
///
/// Vidur's separate kernels move 40 to 43 with one card and 16 to 20 with eight, on A100 (fewer on A40, whose
/// cache holds more of them); serving engines fuse about half of that away.
pub const ELEMENTWISE_VECTORS_REPEATED: f64 = 7.0;

/// ... and this many split over the tensor-parallel cards.
pub const ELEMENTWISE_VECTORS_SPLIT: f64 = 13.0;

// ---- Collectives -----------------------------------------------------------------------------------------

/// Share of its links' bandwidth that a ring behind a crossbar reaches with endless messages: NCCL's bus
/// bandwidth is 367 of 450 GB/s on H100 (NCCL issue 1455).
pub const COLLECTIVE_BANDWIDTH_EFFICIENCY: f64 = 0.83;

/// The same over direct links and PCIe: 135.5 of 150 GB/s on 8 V100, 23.7 of 31 on 4 A100 over PCIe, 196 of 300
/// between two A100 with a bridge (Vidur's profile).
pub const COLLECTIVE_BANDWIDTH_EFFICIENCY_MESH: f64 = 0.76;

/// Share of a path's bandwidth that one card's send to another reaches: 346 of 450 GB/s on H100, 267 of 300 on
/// A100 (Vidur's profiles).
pub const SEND_BANDWIDTH_EFFICIENCY: f64 = 0.80;

/// Share of a node's network that collectives reach: 78 of 94 GB/s of bus bandwidth over two p4de nodes.
pub const NETWORK_BANDWIDTH_EFFICIENCY: f64 = 0.83;

/// Share of a card's links' bandwidth that sums in the switch (NVLS) reach, counting (n+1)/n buffers a card:
/// NCCL issue 1455 has 370, 420, 440, 460 and 480 GB/s of bus bandwidth with 4 to 8 H100.
pub const SWITCH_REDUCTION_EFFICIENCY: f64 = 0.70;

/// What a collective of NCCL takes before its first step: 30 to 40 µs on 8 H100 and A100 (Vidur's profiles, in
/// which launches of 7 to 60 µs alternate without a pattern in size).
pub const COLLECTIVE_LAUNCH: Duration = Duration::from_nanos(22_000);

/// The same for one send: 5 to 9 µs on H100, 8 to 17 on A100 (Vidur's profiles).
pub const SEND_LAUNCH: Duration = Duration::from_nanos(7_500);

/// The same for the kernels of serving engines inside CUDA graphs. Fitted.
pub const ENGINE_COLLECTIVE_LAUNCH: Duration = Duration::from_nanos(10_000);

/// Latency that filling a ring's pipeline adds under the root: 11 to 16 µs on A100 (2 to 8 cards, 2 to 57 MB).
pub const PIPELINE_STEP: Duration = Duration::from_nanos(12_000);

/// The same from Hopper on: 2 and 4 H100, 2 to 57 MB.
pub const PIPELINE_STEP_HOPPER: Duration = Duration::from_nanos(2_500);

/// [`PIPELINE_STEP`] for a card.
pub fn pipeline_step(card: &str) -> Duration {
    match Family::of(card) {
        Family::Hopper | Family::Blackwell => PIPELINE_STEP_HOPPER,
        _ => PIPELINE_STEP,
    }
}

/// Buffers a second that a tree passes through a node's cards, as a share of the bandwidth of its rings: two
/// nodes of 8 A100 with 1,600 Gbit/s reach 91 GB/s of 246 (user's notes on OCI), where the network would give
/// 166.
pub const TREE_SHARE_IN_NODE: f64 = 0.4;

/// The same for sums in the switch: 8 H100, 2 to 57 MB.
pub const SWITCH_PIPELINE_STEP: Duration = Duration::from_nanos(3_500);

/// The same between nodes: two p4de nodes and two DGX A100 with InfiniBand, 1 MB to 1 GB.
pub const NETWORK_PIPELINE_STEP: Duration = Duration::from_nanos(50_000);

/// What handing activations to the next stage takes beside the transfer. An assumption.
pub const STAGE_HAND_OVER: Duration = Duration::from_nanos(30_000);

/// Whether a card's switches can add up (NVLink SHARP, third generation of NVSwitch and later).
pub fn reduces_in_switch(card: &str) -> bool {
    ["H100-SXM", "H200-SXM", "H800", "B100", "B200", "B300", "GB200", "GB300"]
        .iter()
        .any(|known| card.starts_with(known))
}

/// Latency of a hop between two cards over their own links. An assumption.
pub const SCALE_UP_LATENCY: Duration = Duration::from_nanos(500);

/// Latency of a PCIe hop. An assumption.
pub const PCIE_LATENCY: Duration = Duration::from_nanos(1_000);

/// Latency of a hop between two CPU sockets. An assumption.
pub const SOCKET_LATENCY: Duration = Duration::from_nanos(500);

/// Latency of a hop between two nodes, NIC to NIC: InfiniBand or RoCE. An assumption; EFA and TCP take 3 to 10
/// times as long.
pub const SCALE_OUT_LATENCY: Duration = Duration::from_nanos(5_000);

/// A card's PCIe link in nodes whose cards have links of their own, where the catalogue has no figure for it:
/// PCIe 4 x16. Only groups of cards without a direct link depend on it.
pub const HOST_PCIE_BANDWIDTH: BytesPerSecond = BytesPerSecond(31e9);

/// Bandwidth between two CPU sockets, one direction: three UPI links carry
/// 3 · 20.8 GB/s (UPI at 10.4 GT/s and 2 bytes, recalled); nodes differ.
pub const SOCKET_BANDWIDTH: BytesPerSecond = BytesPerSecond(62.4e9);

/// Cards under one PCIe switch. An assumption; servers have 1, 2 or 4.
pub const CARDS_PER_PCIE_SWITCH: u32 = 2;

/// Cards above which a node has two CPU sockets. An assumption.
pub const CARDS_PER_SOCKET: u32 = 4;

// ---- Memory ----------------------------------------------------------------------------------------------

/// Bytes that software sees for each byte of the vendor's figure, where no rule below says better: torch saw
/// 25,250,627,584 on an RTX 4090 of 24 GB.
pub const VISIBLE_MEMORY: f64 = 1.052;

/// The same for stacked memory (HBM), whose vendors quote 2³⁰ as 10⁹: nvidia-smi shows 81,559 MiB on an H100
/// of 80 GB (1.069), of which CUDA leaves about 1 % less. Doubt: B300's 288 GB seem to be decimal.
pub const VISIBLE_MEMORY_STACKED: f64 = 1.06;

/// The same for server cards with GDDR memory, where error correction takes a sixteenth: nvidia-smi shows
/// 23,028 MiB on an A10G of 24 GB (1.006) and 46,068 MiB on an L40S of 48 GB (1.006).
pub const VISIBLE_MEMORY_GDDR_ECC: f64 = 1.006;

/// Server cards with GDDR memory.
const GDDR_ECC_CARDS: [&str; 7] = ["T4", "A10", "A10G", "A40", "L4", "L40", "L40S"];

/// Memory bandwidth above which a card's memory is taken to be stacked. (RTX 4090: 1,008 GB/s, GDDR6X.)
const STACKED_ABOVE: BytesPerSecond = BytesPerSecond(1.1e12);

/// Share of the visible memory that the engine takes: vLLM's default `gpu_memory_utilization`.
pub const MEMORY_UTILIZATION: f64 = 0.9;

/// Tokens in one iteration at most, where the scenario does not say: vLLM's default `max_num_batched_tokens`
/// with chunked prefill.
pub const MAX_BATCH_TOKENS: u32 = 2048;

/// Memory that a card keeps for the CUDA context, graphs, communication buffers and the sampler. vLLM 0.19 with
/// Llama-3.1-8B in bf16 on an RTX 4090 left 2,588 blocks of 16 tokens, which is 1.24 GB for this and the
/// activations of 2,048 tokens together.
pub const ENGINE_RESERVE: Bytes = Bytes(1_000_000_000);

/// Vectors as wide as the residual stream, 16 bits a value, that an iteration holds for each of its tokens. An
/// assumption: gate and up projection of 3.5 widths each, their product, queries, keys, values, residuals.
pub const ACTIVATION_VECTORS: u64 = 16;

/// Tokens in a block of the KV cache: vLLM's default `block_size`.
pub const KV_BLOCK_TOKENS: u64 = 16;

/// Tokens of KV cache below which an automatic plan takes more cards: 16 requests of 2,048 tokens. A choice.
pub const KV_BUDGET_TOKENS: u64 = 32_768;

/// Visible bytes for each quoted byte of a card, by its name and memory bandwidth.
pub fn visible_memory(card: &str, bandwidth: BytesPerSecond) -> f64 {
    if GDDR_ECC_CARDS.contains(&card) {
        VISIBLE_MEMORY_GDDR_ECC
    } else if bandwidth > STACKED_ABOVE {
        VISIBLE_MEMORY_STACKED
    } else {
        VISIBLE_MEMORY
    }
}

// ---- Training --------------------------------------------------------------------------------------------

/// Share of the dense peak that the matrix products of forward and backward passes reach. Fitted (A100).
pub const TRAINING_LINEAR_EFFICIENCY: f64 = 0.73;

/// The same of the 8-bit peak. Fitted (H100 and GB200, Megatron-Bridge).
pub const TRAINING_LINEAR_EFFICIENCY_8_BITS: f64 = 0.70;

/// Share of the dense peak in 16 bits that attention reaches over forward and backward passes, counting the
/// causal half of the pairs only. Fitted.
pub const TRAINING_ATTENTION_EFFICIENCY: f64 = 0.26;

/// Vectors as wide as the residual stream, 16 bits a value, that everything but matrix products and attention
/// moves for each token and layer, forward and backward. Fitted.
pub const TRAINING_ELEMENTWISE_VECTORS: f64 = 147.0;

/// Share of the computing time behind which data-parallel traffic can hide. The fit asks for all of it.
pub const TRAINING_OVERLAP: f64 = 1.0;

/// Share of data-parallel traffic that never hides: the first gather and the last gradients. An assumption.
pub const TRAINING_EXPOSED_AT_LEAST: f64 = 0.05;

/// Share of the visible memory that a training job may fill. An assumption.
pub const TRAINING_MEMORY_UTILIZATION: f64 = 0.95;

/// Tokens of a step for each card, where the job does not say. A choice: of llm-foundry's runs the middle 80 %
/// have 24,576 to 131,072.
pub const TRAINING_TOKENS_PER_CARD: u64 = 32_768;

/// Share of tensor-parallel traffic that does not hide behind computing. Fitted.
pub const TRAINING_TENSOR_EXPOSED: f64 = 0.57;

/// The same of experts' all-to-alls. The fit asks for all of it.
pub const TRAINING_EXPERT_EXPOSED: f64 = 1.0;

/// What grouped products of experts reach of what other matrix products reach while training. Fitted.
pub const TRAINING_EXPERT_SHARE: f64 = 0.38;

/// The same of the 4-bit peak. Fitted (GB200).
pub const TRAINING_LINEAR_EFFICIENCY_4_BITS: f64 = 0.32;

/// What Hopper reaches in training of the share that the global constants say. Fitted.
pub const TRAINING_HOPPER_SHARE: f64 = 0.78;

/// The same for Blackwell. Fitted on GB200 only; B200 comes out up to 40 % too fast.
pub const TRAINING_BLACKWELL_SHARE: f64 = 1.10;

/// The efficiency of matrix products while training in a format.
pub fn training_efficiency(card: &str, precision: Precision) -> f64 {
    let global = match precision.bits() {
        0..=4 => TRAINING_LINEAR_EFFICIENCY_4_BITS,
        5..=15 => TRAINING_LINEAR_EFFICIENCY_8_BITS,
        _ => TRAINING_LINEAR_EFFICIENCY,
    };
    global * training_share(card)
}

/// What a card's generation reaches in training of the share that the global constants say.
pub fn training_share(card: &str) -> f64 {
    match Family::of(card) {
        Family::Hopper => TRAINING_HOPPER_SHARE,
        Family::Blackwell => TRAINING_BLACKWELL_SHARE,
        _ => 1.0,
    }
}
