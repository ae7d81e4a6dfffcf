//! Every constant of the performance model, each with its source and its doubt. Nowhere else is one hidden.
//!
//! Those that are fitted are in [`Constants`]: `fleetsim calibrate` repeats the fit, a pattern search that lowers the
//! groups' median errors, on tables of TensorRT-LLM, MLPerf Inference, InferenceX, aiconfigurator and inference-sim
//! (serving), llm-foundry, Megatron-Bridge and MLPerf Training (training), NCCL's tests, Vidur's profiles and others
//! (collectives). docs/VALIDATION.md has the errors, by group and with each source and accelerator left out. Some
//! were begun from, and stay near, what kernels timed alone give (aiconfigurator's tables of vLLM 0.14 and 0.24 on
//! A100 and H100): products of large matrices 0.80 to 0.93 of the peak in 16 bits, memory 0.75 to 0.9, both at the
//! knee of the roofline 1.5 times as long as the longer alone; attention over prompts 0.58 to 0.67 of the peak and
//! half of it at 500 to 950 tokens; experts 0.8 of the bandwidth and a quarter to a half of the peak; an all-reduce of
//! the engine 4.3 to 5.7 µs before its first byte.
//!
//! The order of trust: a figure of the card, then of its family, then the global one.

use super::collectives::Library;
use crate::catalog::Precision;
use crate::units::{Bytes, BytesPerSecond, Duration};

mod fitted;

pub use fitted::{Block, Constant, Constants};

// ---- Families of cards, engines ----------------------------------------------------------------------------

/// Cards that share constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Ada,
    Hopper,
    Blackwell,
    Amd,
    Other,
}

impl Family {
    fn of(card: &str) -> Self {
        let begins = |names: &[&str]| names.iter().any(|known| card.starts_with(known));
        if begins(&["B100", "B200", "B300", "GB200", "GB300", "RTX5", "RTX-5", "RTX PRO", "RTX-PRO"]) {
            Self::Blackwell
        } else if begins(&["H100", "H200", "H800", "H20", "GH200"]) {
            Self::Hopper
        } else if begins(&["L4", "RTX4", "RTX-4"]) {
            Self::Ada
        } else if card.starts_with("MI") {
            Self::Amd
        } else {
            Self::Other
        }
    }
}

/// Serving engines whose overheads differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// TensorRT-LLM.
    TensorRtLlm,
    /// SGLang.
    SgLang,
    /// Any other, or not named: taken for vLLM.
    #[default]
    Other,
}

impl Engine {
    /// The engine that a text names.
    pub fn named(text: &str) -> Self {
        let text = text.to_lowercase();
        if text.contains("sglang") {
            Self::SgLang
        } else if text.contains("trt") || text.contains("tensorrt") {
            Self::TensorRtLlm
        } else if text.contains("vllm") {
            Self::Vllm
        } else {
            Self::Other
        }
    }
}

/// What a family of cards and an engine make of the global constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factors {
    narrow: f64,
    pub(super) compute: f64,
    pub(super) bandwidth: f64,
    pub(super) launches: f64,
    pub(super) iteration: f64,
    pub(super) prompts: f64,
}

impl Factors {
    pub(super) fn of(k: &Constants, card: &str, engine: Engine) -> Self {
        let (compute, narrow, bandwidth, launches) = match Family::of(card) {
            Family::Ada => (k.ada_compute, k.ada_compute, 1.0, 1.0),
            Family::Hopper => (k.hopper_compute, k.hopper_compute, 1.0, 1.0),
            Family::Blackwell => {
                (k.blackwell_compute, k.blackwell_narrow_compute, k.blackwell_bandwidth, k.blackwell_launches)
            }
            Family::Amd => (k.amd_compute, k.amd_compute, k.amd_bandwidth, k.amd_launches),
            Family::Other => (1.0, 1.0, 1.0, 1.0),
        };
        let (of_engine, iteration, prompts) = match engine {
            Engine::TensorRtLlm => (k.tensorrt_launches, k.tensorrt_iteration, k.tensorrt_prompts),
            Engine::SgLang => (k.sglang_launches, k.sglang_iteration, k.sglang_prompts),
            Engine::Vllm | Engine::Other => (1.0, 1.0, 1.0),
        };
        Self { narrow, compute, bandwidth, launches: launches * of_engine, iteration, prompts }
    }

    /// The share of a card's dense peak that linear layers reach with weights of a format.
    pub(super) fn linear(&self, k: &Constants, weights: Precision) -> f64 {
        match weights {
            Precision::Fp4 => self.narrow * k.linear_compute_4,
            Precision::Fp8 | Precision::Int8 => self.narrow * k.linear_compute_8,
            _ => self.compute * k.linear_compute_16,
        }
    }
}

// ---- Collectives -----------------------------------------------------------------------------------------

/// What handing activations to the next stage takes beside the transfer. An assumption.
pub const STAGE_HAND_OVER: Duration = Duration::from_nanos(30_000);

/// What a family's links reach of the share that the constants of collectives say, which were measured on others.
pub(super) fn links(k: &Constants, library: Library, card: &str) -> f64 {
    match (library, Family::of(card)) {
        (Library::Engine, Family::Blackwell) => k.blackwell_links,
        _ => 1.0,
    }
}

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

/// Share of the visible memory that a training job may fill. An assumption.
pub const TRAINING_MEMORY_UTILIZATION: f64 = 0.95;

/// The share of a card's dense peak that models reach which make images, and what each of their steps takes beside
/// its FLOP: the two that give, within 5 %, the times of one image of Stable Diffusion 1.5 (1.066 s) and SDXL (5.132 s)
/// in 50 steps on an A100 80 GB with torch 2.1, compiled, channels last (fal-ai/stable-diffusion-benchmarks, 2023-11).
/// TensorRT 9 reaches 0.59 and 7.4 ms there, diffusers without compilation 0.45 and 20 ms. FLUX.1-dev on an H100,
/// compiled, takes 4.30 s (xDiT's documentation), which the two give as 4.5 s; on an L20, a card with much less compute
/// for its bandwidth, 20.2 s, which they give as 35 s.
pub const IMAGE_COMPUTE: f64 = 0.5;

/// See [`IMAGE_COMPUTE`].
pub const IMAGE_STEP_OVERHEAD: Duration = Duration::from_nanos(10_000_000);

/// The share of memory bandwidth at which a step reads its weights: an assumption, that of decoding.
pub const IMAGE_WEIGHT_BANDWIDTH: f64 = 0.8;

/// Tokens of a step for each card, where the job does not say. A choice: of llm-foundry's runs the middle 80 %
/// have 24,576 to 131,072.
pub const TRAINING_TOKENS_PER_CARD: u64 = 32_768;

impl Constants {
    /// In microseconds: what filling a ring's pipeline takes, by the card's generation.
    pub(super) fn ring_pipeline_us(&self, card: &str) -> f64 {
        match Family::of(card) {
            Family::Hopper | Family::Blackwell => self.pipeline_hopper_us,
            _ => self.pipeline_us,
        }
    }

    /// The efficiency of matrix products while training in a format.
    pub(super) fn training_linear(&self, card: &str, precision: Precision) -> f64 {
        let global = match precision.bits() {
            0..=4 => self.training_linear_4,
            5..=15 => self.training_linear_8,
            _ => self.training_linear_16,
        };
        global * self.training_share(card)
    }

    /// What a card's generation reaches in training of the share that the global constants say.
    pub(super) fn training_share(&self, card: &str) -> f64 {
        match Family::of(card) {
            Family::Hopper => self.training_hopper,
            Family::Blackwell => self.training_blackwell,
            _ => 1.0,
        }
    }
}
