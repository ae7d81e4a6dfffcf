//! What a deployment is made of.

use super::front::ResponseCache;
use super::speculate::{Draft, Speculation};
use super::tiers::KvTiers;
use crate::fleet::PoolId;
use crate::perf::{LinkLoad, OnLinks, StepModel};
use crate::policies::request_order::{RequestOrder, TenantWeights};
use crate::policies::router::RouterKind;
use crate::sim::{Delay, RandomStream, Seed};
use crate::units::{Bytes, BytesPerSecond, Duration, Ticks};

/// A model served somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentConfig {
    /// Its name in the scenario.
    pub name: String,
    /// The model that it serves; streams find it by this name.
    pub model: String,
    /// Where a replica may run, in order of preference; at least one.
    pub options: Vec<ReplicaOption>,
    /// Limits of a batch.
    pub batching: Batching,
    /// Most requests that may wait at one replica; further ones are rejected.
    pub max_queued_requests: Option<u32>,
    /// Which replica a request goes to.
    pub router: RouterKind,
    /// Replicas that are ready at the first instant; without an autoscaler, to the last.
    pub replicas: u32,
    /// How replicas that come later start, and how those go that are no longer wanted.
    pub lifecycle: Lifecycle,
    /// Longest prompt and output together, in tokens; longer requests are rejected.
    pub max_context: Option<u32>,
    /// Keeps the KV blocks of prompts for later prompts that begin alike: how many tokens one hash of a
    /// prompt covers, a multiple of the KV block. `None` keeps nothing.
    pub prefix_tokens: Option<u32>,
    /// How it speculates, if it does.
    pub speculation: Option<Speculation>,
    /// Turns requests away whose first token would come later than this after their arrival, as far as can be
    /// told when they arrive (`serving/predict.rs`).
    pub max_predicted_ttft: Option<Duration>,
    /// Its replicas share their cards with those of other deployments; `None` where each has its own.
    pub shared: Option<SharedCards>,
    /// Adapters that a replica has at hand at a time; 0 where none are served.
    pub adapter_slots: u32,
    /// Whether its replicas do all of a request, or a part.
    pub role: Role,
    /// The tenants' weights, for [`RequestOrder::Vtc`].
    pub tenants: TenantWeights,
}

/// What a model needs of a host that it shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedCards {
    /// Which host, by its place in the list.
    pub host: usize,
    /// Its weights, over all cards of a host.
    pub weights: Bytes,
    /// These and its KV cache.
    pub footprint: Bytes,
    /// What a host has for it and others.
    pub capacity: Bytes,
    /// Whether it stays once it is there.
    pub pinned: bool,
}

/// Hosts of one kind: cards that several deployments share.
#[derive(Debug, Clone, PartialEq)]
pub struct HostConfig {
    /// Its name in the scenario.
    pub name: String,
    /// The deployments that share them.
    pub members: Vec<usize>,
    /// What each has for weights and KV caches, over all its cards.
    pub memory: Bytes,
    /// Where weights come from, the first that has them.
    pub sources: Vec<WeightSource>,
    /// What the cards of a host take in from their node together; `None` is no limit.
    pub into_cards: Option<BytesPerSecond>,
    /// From the weights to the first request.
    pub warm_up: Duration,
    /// How long a model may be waited for while all others are in use, before one of these has to go.
    pub patience: Duration,
    /// Whether requests go where their model is, rather than to the host with the fewest requests for it.
    pub affinity: bool,
}

/// Where weights come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WeightSource {
    /// Another host on the node that has the model.
    Peer {
        /// What a host sends to others, and what it takes in from them.
        bandwidth: BytesPerSecond,
    },
    /// The node's memory, where weights that were loaded once stay until others need the room.
    HostMemory {
        /// Into the cards of a host.
        bandwidth: BytesPerSecond,
        /// What a node keeps.
        size: Bytes,
    },
    /// The node's disks.
    Disk {
        /// Of a node.
        bandwidth: BytesPerSecond,
    },
    /// A store over the network.
    ObjectStore {
        /// Into a node.
        bandwidth: BytesPerSecond,
    },
}

impl WeightSource {
    /// How fast it gives.
    pub const fn bandwidth(&self) -> BytesPerSecond {
        match self {
            Self::Peer { bandwidth }
            | Self::HostMemory { bandwidth, .. }
            | Self::Disk { bandwidth }
            | Self::ObjectStore { bandwidth } => *bandwidth,
        }
    }
}

/// What the replicas of a deployment do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Role {
    /// Prompts and outputs.
    #[default]
    Whole,
    /// Prompts only: the KV cache goes to another deployment, which decodes. No stream names this one.
    Prefill {
        /// That deployment.
        decode: usize,
    },
    /// Outputs, of requests whose prompts another deployment has processed, and both of those that stay local.
    Decode(Handover),
}

/// How requests are cut between prefill and decode replicas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Handover {
    /// The deployment that processes prompts.
    pub prefill: usize,
    /// Prompts of at most so many tokens stay local; 0 sends them all.
    pub max_local_prefill: u32,
    /// With so many requests waiting at the prefill replicas, further ones stay local; `None` never.
    pub max_prefill_queue: Option<u32>,
    /// What each replica sends and receives, instead of what its node's links carry; infinite takes no time.
    pub bandwidth: Option<BytesPerSecond>,
    /// From the end of a transfer to its being known at the decode replica.
    pub latency: Duration,
}

/// What the requests of a stream bring with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestTerms {
    /// Smaller is more urgent.
    pub priority: i32,
    /// Whether a more urgent request may take the place of one of them in a batch.
    pub preemptible: bool,
    /// Whose they are, by number.
    pub tenant: u16,
    /// How long after its arrival one should be answered.
    pub deadline: Option<Duration>,
    /// What they ask for.
    pub kind: RequestKind,
    /// Outputs that each wants; 0 and 1 are one.
    pub samples: u16,
    /// The adapter of the base model that they want, by number.
    pub adapter: Option<u16>,
    /// What becomes of a session's KV cache while it waits for a tool.
    pub paused_kv: PausedKv,
}

/// What becomes of a session's KV cache while it waits for a tool (Abhyankar et al., InferCept, ICML 2024, section 3:
/// preserve, swap, discard).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PausedKv {
    /// What becomes of any other: it stays while nobody needs its room, the one used longest ago going first.
    #[default]
    Cache,
    /// It is evicted only when nothing else is left to evict.
    Keep,
    /// It goes to host memory at once, and comes back with the session.
    Swap,
    /// It is forgotten, and computed again.
    Drop,
}

impl PausedKv {
    /// All, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 4] =
        [("cache", Self::Cache), ("keep", Self::Keep), ("swap", Self::Swap), ("drop", Self::Drop)];
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestKind {
    /// Tokens.
    #[default]
    Generate,
    /// A vector or a score, which is there when the prompt is processed: embedding and reranking.
    Embed,
    /// An image, which is there after its last step.
    Image(ImageTerms),
}

/// What a request for an image asks for. Its steps are to the engine what output tokens are: one an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageTerms {
    /// Steps of denoising; at least 1.
    pub steps: u32,
    /// Width times height.
    pub pixels: u32,
    /// What leaves the cloud for it.
    pub bytes: Bytes,
}

impl ImageTerms {
    /// What stands for terms that could not be read.
    pub const STAND_IN: Self = Self { steps: 1, pixels: 256, bytes: Bytes(0) };
}

/// Where the requests of a stream go, and on what terms.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRoute {
    /// The stream's name.
    pub name: String,
    /// The deployments that serve it; at least one.
    pub deployments: Vec<usize>,
    /// The time after which a request gives up.
    pub timeout: Option<Duration>,
    /// What its requests bring with them.
    pub terms: RequestTerms,
    /// A cache of responses in front of its deployments.
    pub cache: Option<ResponseCache>,
}

/// One way to run a replica: the pool, the cards that it needs there, and what they can do.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaOption {
    /// The pool.
    pub pool: PoolId,
    /// Cards, all on one node.
    pub cards: u32,
    /// How long its iterations last.
    pub step: StepModel,
    /// The same with a share of its nodes' network, where it lies over several nodes and their links may be shared.
    pub on_links: Option<OnLinks<StepModel>>,
    /// KV blocks of [`ReplicaOption::block_tokens`] tokens that fit beside the weights.
    pub kv_blocks: u64,
    /// Tokens in a KV block.
    pub block_tokens: u32,
    /// Length of the model's sliding window in tokens, if it has one.
    pub window: Option<u32>,
    /// What bulk transfers need to know; `None` where there are none.
    pub links: Option<ReplicaLinks>,
    /// Host memory for the KV cache of preempted requests; needed for [`Preemption::Swap`].
    pub host: Option<HostMemory>,
    /// How long each adapter takes to come to its cards, by number; empty where none are served.
    pub adapters: Vec<Ticks>,
    /// What proposing tokens costs; `None` is nothing (look-up in the prompt).
    pub draft: Option<Draft>,
    /// The plan in words: `fp8, TP=8 on aws-h100 (8 cards)`.
    pub label: String,
    /// What its work sends over links; empty where that is not known, or nothing.
    pub loads: Vec<LinkLoad>,
}

/// What leaves and enters a replica in bulk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplicaLinks {
    /// KV cache of a token, over all its cards.
    pub kv_per_token: Bytes,
    /// To other replicas on its node: the links of all its cards together, one direction.
    pub scale_up: BytesPerSecond,
    /// To other nodes: its node's network, one direction, which it shares with the node's other replicas.
    pub scale_out: BytesPerSecond,
    /// Where KV blocks go that its cards evict.
    pub tiers: KvTiers,
}

/// How a replica starts and ends. Replicas of the first instant are ready then.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lifecycle {
    /// From the cards to the first request.
    pub start: StartUp,
    /// From the last request that it takes to the cards given back.
    pub drain: Drain,
}

/// The stages between a replica's cards and its first request, one after the other, each drawn for itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StartUp {
    /// Pulling the image.
    pub image_pull: Delay,
    /// Loading the weights: their bytes over the bandwidth of the link that they come by.
    pub weight_load: Delay,
    /// The engine's own preparations: compilation, graph capture, memory profiling.
    pub warm_up: Delay,
    /// Loading the weights on a node that has started such a replica before and has kept image and weights since;
    /// `None` where nodes keep nothing.
    pub cached_load: Option<Delay>,
}

/// The random streams of the stages of a start, one for each.
#[derive(Debug)]
pub struct StartDraws {
    image_pull: RandomStream,
    weight_load: RandomStream,
    warm_up: RandomStream,
}

impl StartDraws {
    /// Those of a deployment.
    pub fn new(seed: Seed, deployment: &str) -> Self {
        let stream = |stage: &str| seed.stream(&format!("start/{deployment}/{stage}"));
        Self {
            image_pull: stream("image-pull"),
            weight_load: stream("weight-load"),
            warm_up: stream("warm-up"),
        }
    }
}

impl StartUp {
    /// All stages of one start, on a node that has the image and weights or has not.
    pub fn draw(&self, cached: bool, draws: &mut StartDraws) -> Duration {
        let from_node = self.cached_load.filter(|_| cached);
        let image = match from_node {
            Some(_) => Duration::ZERO,
            None => self.image_pull.sample(&mut draws.image_pull),
        };
        let weights = from_node.unwrap_or(self.weight_load).sample(&mut draws.weight_load);
        image + weights + self.warm_up.sample(&mut draws.warm_up)
    }
}

/// How a replica goes: it takes no new requests, and what it has may run on until a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long its requests may run on.
    pub timeout: Duration,
    /// What becomes of requests that are still there then, and of those on a replica that is lost.
    pub then: Leftover,
}

impl Default for Drain {
    /// Kubernetes' `terminationGracePeriodSeconds` (30 s, `pkg/apis/core/v1/defaults.go`), and clients that ask
    /// again.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), then: Leftover::Retry }
    }
}

/// What becomes of requests whose replica goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftover {
    /// They begin anew elsewhere: what was made is lost.
    Retry,
    /// They go on elsewhere with the tokens made so far; the KV cache is computed again.
    Migrate,
    /// They fail.
    Fail,
}

impl Leftover {
    /// All, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 3] =
        [("retry", Self::Retry), ("migrate", Self::Migrate), ("fail", Self::Fail)];
}

/// How a replica fills its batch: what is in an iteration, and who is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Most requests in a batch (vLLM's `max_num_seqs`); at least 1.
    pub max_batch_requests: u32,
    /// Most tokens processed in an iteration (vLLM's `max_num_batched_tokens`); at least
    /// `max_batch_requests`, so that every request in the batch can decode in each iteration.
    pub max_batch_tokens: u32,
    /// What goes into an iteration.
    pub scheduler: Scheduler,
    /// Which waiting request is next.
    pub order: RequestOrder,
    /// What becomes of a request when KV blocks run out.
    pub preemption: Preemption,
    /// How long a [`Scheduler::Static`] batch may wait to be filled, from the arrival of its oldest request.
    pub max_wait: Duration,
}

impl Default for Batching {
    /// vLLM's defaults for online serving: 256 sequences and 2,048 tokens (vLLM v1 `SchedulerConfig`; larger
    /// cards default to 8,192 tokens), in order of arrival, preemption by recomputation.
    fn default() -> Self {
        Self {
            max_batch_requests: 256,
            max_batch_tokens: 2048,
            scheduler: Scheduler::VllmV1,
            order: RequestOrder::Fcfs,
            preemption: Preemption::Recompute,
            max_wait: Duration::ZERO,
        }
    }
}

/// What goes into an iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheduler {
    /// vLLM v1: every decoding request gets its token; what is left of the tokens goes to prompts, in chunks;
    /// a chunk takes the KV blocks of its own tokens.
    #[default]
    VllmV1,
    /// vLLM v0 without chunked prefill (`Scheduler._schedule_default`): while a whole prompt can be admitted,
    /// iterations process prompts only and decoding waits. A prompt that is longer than the tokens of an
    /// iteration has one for itself. One block in a hundred is kept free (`BlockSpaceManager.watermark`).
    PrefillFirst,
    /// Sarathi-Serve's stall-free batches (Agrawal et al., OSDI 2024, algorithm 3): as vLLM v1, but a request
    /// is admitted only when the KV blocks of its whole prompt are free, and has them from then on, with one
    /// in a hundred kept free (`sarathi_scheduler.py`, `BlockSpaceManager.can_allocate`).
    Sarathi,
    /// Request-level batches, as before continuous batching (Orca, OSDI 2022, section 2): a batch begins when
    /// it is full or its oldest request has waited long enough, and nobody joins until all of it have ended.
    Static,
}

impl Scheduler {
    /// All schedulers, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 4] = [
        ("vllm-v1", Self::VllmV1),
        ("prefill-first", Self::PrefillFirst),
        ("sarathi", Self::Sarathi),
        ("static", Self::Static),
    ];

    /// KV blocks that admissions leave free while anybody is in the batch.
    pub(crate) const fn watermark(self, blocks: u64) -> u64 {
        match self {
            Self::PrefillFirst | Self::Sarathi => blocks / 100,
            Self::VllmV1 | Self::Static => 0,
        }
    }
}

/// What becomes of a request that gives its KV blocks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preemption {
    /// Its prompt and what it had made are processed again.
    #[default]
    Recompute,
    /// Its blocks are copied to host memory, and back when it goes on; while they are copied the replica does
    /// nothing else (vLLM v0's `swap`). What host memory has no room for is recomputed, and so is a request
    /// that had no token yet.
    Swap,
}

impl Preemption {
    /// Both, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 2] = [("recompute", Self::Recompute), ("swap", Self::Swap)];
}

/// Room for KV blocks in host memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostMemory {
    /// Blocks that it holds.
    pub blocks: u64,
    /// How long it takes to copy one block there, or back: each card moves its own part over its own link.
    pub copy: Ticks,
}

#[cfg(test)]
mod start_tests {
    use super::*;

    #[test]
    fn a_node_that_kept_the_weights_starts_faster() {
        let s = Duration::from_secs;
        let mut start = StartUp {
            image_pull: Delay::Fixed(s(60)),
            weight_load: Delay::Uniform { low: s(100), high: s(200) },
            warm_up: Delay::Fixed(s(30)),
            cached_load: Some(Delay::Fixed(s(20))),
        };
        let mut draws = StartDraws::new(Seed(3), "chat");
        let fresh = start.draw(false, &mut draws);
        assert!(fresh >= s(190) && fresh <= s(290), "{fresh}");
        // No image, weights from local disks; and where nodes keep nothing, it makes no difference.
        assert_eq!(start.draw(true, &mut draws), s(50));
        start.cached_load = None;
        start.weight_load = Delay::Fixed(s(150));
        assert_eq!(start.draw(true, &mut draws), s(240));
    }
}
