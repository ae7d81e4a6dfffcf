//! The roofline: an iteration takes, for each kind of operator, the longer of its FLOP time and its byte time.
//!
//! Kinds are summed, not overlapped: dense linear layers, routed experts, the output head, attention of the
//! decoding and of the prefilling requests (layers with and without a window apart), the tensor-parallel
//! all-reduces, and overheads. (Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009; per operator as
//! in LLM-Viewer, arXiv 2402.16363, section 2.)
//!
//! What grows with the context while decoding is quantised per token of context when the model is built, in
//! whole ticks; so iteration `k` of a segment is exactly iteration 0 of the segment that would begin there.

use super::collectives::{Collective, Library, Operation};
use super::constants as c;
use super::constants::Factors;
use super::dims::ModelDims;
use super::format::{stored_bits, weight_bits};
use super::plan::{ParallelismPlan, PlanError, Replica, check_plan};
use super::segment::Segment;
use super::step::BatchShape;
use crate::catalog::Precision;
use crate::units::{Duration, Flop, TickChange, Ticks};

/// Ticks in a second.
const TICKS: f64 = 1e9 * (1u64 << Ticks::SHIFT) as f64;

/// The coefficients of one replica, all in ticks; see [`Roofline::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Roofline {
    /// Overheads, and the latency of all collectives.
    fixed: f64,
    /// What iterations with prompts take beside that.
    fixed_prefill: f64,
    /// What iterations with prompts take at least: launching kernels one by one.
    eager: f64,
    /// Overhead of a request, and its part of gathering the logits.
    per_request: f64,
    /// What a request with a prompt takes beside that.
    per_prompt: f64,
    /// How many times as long the products of iterations with prompts take as those without.
    prompts: f64,
    /// Tokens guessed ahead for each request, and what a layer of them costs: [`Roofline::guessing`].
    guesses: f64,
    layers: f64,
    launches: f64,
    /// Of reading and computing, what does not hide: [`Constants::unhidden`].
    unhidden: f64,
    /// Pairs that each new token of a prompt costs beside its own, twice.
    half: u64,
    /// For each token: what norms and activation functions move.
    per_token: f64,
    traffic: Traffic,
    dense: Operator,
    /// Weights that come from host memory in each iteration, while the layers compute.
    streamed: f64,
    experts: Option<ExpertOperator>,
    head: Operator,
    global: AttentionOperator,
    windowed: AttentionOperator,
    /// Tokens that windowed layers attend to.
    window: u64,
    flop: FlopCounts,
}

/// The collectives of an iteration: how many of each, over which cards, and a token's bytes in each.
#[derive(Debug, Clone, PartialEq)]
struct Traffic {
    reduce: Collective,
    reduces: f64,
    /// Tokens' ways to their experts and back, where ranks keep requests of their own.
    exchange: Collective,
    exchanges: f64,
    bytes_per_token: f64,
    bytes_per_exchange: f64,
    /// Of all tokens of an iteration, the share that one collective carries: those of one rank and stage.
    share: f64,
    /// Handing over to the next stages: what it takes at least, and for each token where it crosses nodes.
    stages: f64,
    stages_per_token: f64,
}

/// A linear operator: reading its weights once, and computing with them for each token.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Operator {
    read: f64,
    per_token: f64,
}

/// Routed experts: each token draws `per_token` of `per_layer` experts, so that `tokens` tokens touch the
/// share 1 − (1 − k/E)^tokens of them when draws are even and independent.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ExpertOperator {
    all: Operator,
    /// ln(1 − k/E), kept finite where every token uses every expert; for each token of the iteration, of
    /// which a stage sees its part at once.
    log_missed: f64,
}

/// Attention over all layers of one kind, in whole ticks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct AttentionOperator {
    /// Reading one token of context.
    read: u64,
    /// Writing a new token's KV and moving its queries and outputs.
    write: u64,
    /// The same while decoding.
    write_decoding: u64,
    /// Computing one pair of query and context token while decoding, and while prefilling.
    decode_pair: u64,
    prefill_pair: u64,
}

/// FLOP counts, whole replica.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FlopCounts {
    token: u64,
    sampled: u64,
    decode_pair_global: u64,
    decode_pair_windowed: u64,
    prefill_pair_global: u64,
    prefill_pair_windowed: u64,
}

impl Roofline {
    /// The coefficients of a replica.
    ///
    /// # Errors
    /// When the plan is unsound, the card has no rate to compute with, or the node's links can't be built.
    /// Whether it fits its memory is [`fit`](super::fit)'s question.
    pub fn new(replica: &Replica<'_>) -> Result<Self, PlanError> {
        let Replica { model, node, weights, plan, .. } = *replica;
        check_plan(model, node, plan)?;
        let card = &node.card;
        let rate = |precision: Precision| {
            card.compute(precision)
                .map(|(_, rate)| rate.as_f64())
                .ok_or_else(|| PlanError::NoComputeRate { card: card.name.clone(), precision })
        };
        let k = replica.constants;
        let factors = Factors::of(k, &card.name, replica.engine);
        if replica.weights_as.sparse && !card.computes_sparse() {
            return Err(PlanError::NotSparse { card: card.name.clone() });
        }
        let sparse = if replica.weights_as.sparse { 2.0 } else { 1.0 };
        let computed = replica.weights_as.compute.unwrap_or(weights);
        let linear_rate = rate(computed)? * factors.linear(k, computed) * sparse / k.kernels;
        // Attention and the output head stay in 16 bits where weights are narrower.
        let wide = if weights.bits() < 16 { Precision::Bf16 } else { weights };
        let head_rate = rate(wide)? * factors.linear(k, wide) / k.kernels;
        let attention_rate = rate(wide)? * k.attention_compute * factors.compute / k.kernels;
        let bandwidth = card.memory_bandwidth.as_f64() / k.kernels;
        let read_rate = bandwidth * k.weight_bandwidth * factors.bandwidth;
        let tp = f64::from(plan.tp);
        // A rank's part of the tokens; a stage works on one micro-batch while the others work on theirs, so
        // that a token's round takes all layers once, each over a micro-batch.
        let share = 1.0 / (f64::from(plan.dp) * f64::from(plan.pp));
        let operator = |parameters: u64, bits: f64, flop_rate: f64, active: f64| Operator {
            read: parameters as f64 * bits / 8.0 / tp / read_rate * TICKS,
            per_token: 2.0 * active / tp / flop_rate * TICKS,
        };
        let head = u64::from(model.vocabulary) * u64::from(model.hidden);
        let bits = stored_bits(weights, replica.weights_as.sparse);
        let experts = model.experts.map(|experts| {
            let active = experts.parameters as f64 * f64::from(experts.per_token) * f64::from(experts.layers);
            let cards = tp * f64::from(plan.dp);
            // Where experts live whole on some cards, the fullest card is waited for.
            let crowded = if plan.ep > 1 { k.expert_imbalance } else { 1.0 };
            let rate = linear_rate * k.expert_compute;
            let read_rate = bandwidth * k.expert_bandwidth * factors.bandwidth;
            ExpertOperator {
                all: Operator {
                    read: model.expert_parameters() as f64 * bits / 8.0 / cards / read_rate * crowded * TICKS,
                    per_token: 2.0 * active / cards / rate * crowded / f64::from(plan.pp) * TICKS,
                },
                log_missed: libm::log1p(-f64::from(experts.per_token) / f64::from(experts.per_layer.max(1)))
                    .max(-700.0)
                    / f64::from(plan.pp),
            }
        });
        let elementwise = k.elementwise_repeated + k.elementwise_split / tp;
        // Copies of a token that a card moves: where a group of cards has whole experts, its part of all of them.
        let routed = model.experts.map_or(0.0, |experts| {
            f64::from(experts.layers) * f64::from(experts.per_token)
                / f64::from(plan.ep.max(1))
                / f64::from(plan.pp)
        });
        let dense = model.dense_parameters();
        let traffic = Traffic::of(replica, share)?;
        let logits = traffic.reduce.seconds(f64::from(model.vocabulary)) - traffic.reduce.seconds(0.0);
        let expert_layers = model.experts.map_or(0.0, |experts| f64::from(experts.layers));
        let layers = f64::from(model.layers);
        let (latent, eager_latent) =
            if model.is_latent() { (k.latent_layer_us, k.eager_latent_layer_us) } else { (0.0, 0.0) };
        let launches =
            factors.launches * (layers * (k.layer_us + latent) + expert_layers * k.expert_layer_us);
        Ok(Self {
            fixed: 1e-6 * (k.iteration_us * factors.iteration + launches),
            fixed_prefill: 1e-6
                * factors.launches
                * (layers * k.prefill_layer_us + expert_layers * k.prefill_expert_layer_us),
            eager: 1e-6
                * factors.launches
                * (layers * (k.eager_layer_us + eager_latent) + expert_layers * k.eager_expert_layer_us),
            per_request: 1e-6 * k.request_us * factors.iteration + logits.max(0.0) * share,
            per_prompt: 1e-6 * k.prompt_us,
            guesses: 0.0,
            layers,
            launches: 1e-6 * launches,
            prompts: factors.prompts,
            unhidden: k.unhidden,
            half: k.attention_half_tokens as u64,
            per_token: 2.0 * f64::from(model.hidden) / read_rate
                * (layers * elementwise * share + routed * k.elementwise_expert),
            traffic,
            dense: operator(dense, bits, linear_rate, dense as f64 * share),
            streamed: (dense + model.expert_parameters()) as f64 * bits / 8.0 * replica.weights_as.streamed
                / f64::from(plan.cards())
                / card.pcie.as_f64()
                * TICKS,
            experts,
            head: operator(head, weight_bits(weights).max(16.0), head_rate, head as f64 * share),
            global: attention(replica, model.global_layers(), attention_rate, share),
            windowed: attention(replica, model.window_layers(), attention_rate, share),
            window: model.window.map_or(0, |window| u64::from(window.tokens)),
            flop: FlopCounts::of(model, head),
        }
        .in_ticks())
    }

    /// The same for an engine that guesses `tokens` ahead for each request with a layer of its own (multi-token
    /// prediction, DeepSeek-V3, arXiv 2412.19437, section 2.2): each iteration checks all of them at once, and
    /// then runs that layer and the output head once for each.
    pub fn guessing(mut self, tokens: u32) -> Self {
        self.guesses = f64::from(tokens);
        let checked = u64::from(tokens) + 1;
        for attention in [&mut self.global, &mut self.windowed] {
            attention.decode_pair = attention.decode_pair.saturating_mul(checked);
            attention.write_decoding = attention.write_decoding.saturating_mul(checked);
        }
        self
    }

    /// Turns the coefficients that are still in seconds into ticks.
    fn in_ticks(mut self) -> Self {
        self.fixed *= TICKS;
        self.fixed_prefill *= TICKS;
        self.eager *= TICKS;
        self.per_request *= TICKS;
        self.per_prompt *= TICKS;
        self.launches *= TICKS;
        self.per_token *= TICKS;
        self
    }

    /// The segment that begins with this batch: see [`StepModel::segment`](super::StepModel::segment). Every
    /// request is taken to sample one token, also one whose prompt is not finished by this chunk.
    pub(super) fn segment(&self, batch: &BatchShape) -> Segment {
        let decoding = u64::from(batch.decode_requests);
        let requests = decoding + u64::from(batch.prefill_requests);
        // A draft's tokens are checked like a prompt's, and each is sampled; they attend to the same context, which
        // is read once.
        let drafted = u64::from(batch.draft_tokens);
        let queries = 1 + drafted.checked_div(decoding).unwrap_or(0);
        let new_tokens = decoding + u64::from(batch.prefill_tokens) + drafted;
        let guessed = decoding as f64 * self.guesses;
        let (tokens, sampled) = (new_tokens as f64 + guessed, (requests + drafted) as f64 + guessed);
        let mut kernels = self.per_token * tokens
            + self.traffic.seconds(tokens) * TICKS
            + self.dense.time(tokens, self.unhidden).max(self.streamed)
            + self.head.time(sampled, self.unhidden);
        if let Some(experts) = &self.experts {
            kernels += experts.time(tokens, self.unhidden);
        }
        let mut constant = self.fixed + self.per_request * requests as f64;
        if self.guesses > 0.0 && decoding > 0 {
            let one = decoding as f64;
            let mut layers = self.per_token * one
                + self.traffic.seconds(one) * TICKS
                + self.dense.time(one, self.unhidden)
                + self.launches;
            if let Some(experts) = &self.experts {
                layers += experts.time(one, self.unhidden);
            }
            constant += self.guesses * (layers / self.layers + self.head.time(one, self.unhidden));
        }
        if batch.prefill_requests > 0 {
            constant += self.fixed_prefill + self.per_prompt * f64::from(batch.prefill_requests);
            // The kernels of prompts differ between engines, those of decoding tokens hardly.
            kernels *= 1.0 + (self.prompts - 1.0) * f64::from(batch.prefill_tokens) / tokens;
        }
        constant += kernels;
        let growing = u64::from(batch.window_growing);
        let global = self.global.decode(batch.decode_context, decoding, decoding, queries);
        let windowed = self.windowed.decode(batch.window_context, decoding, growing, queries);
        let mut first = u128::from((constant + 0.5) as u64) + global.first + windowed.first;
        let mut flop = u128::from(new_tokens) * u128::from(self.flop.token)
            + u128::from(requests + drafted) * u128::from(self.flop.sampled)
            + u128::from(batch.decode_context * queries) * u128::from(self.flop.decode_pair_global)
            + u128::from(batch.window_context * queries) * u128::from(self.flop.decode_pair_windowed);
        let mut max_iterations = global.iterations.min(windowed.iterations);
        if drafted > 0 {
            max_iterations = 1;
        }
        if batch.prefill_requests > 0 {
            max_iterations = 1;
            let new = u64::from(batch.prefill_tokens);
            let seen = new * self.window;
            let pairs = batch.prefill_pairs.min(seen);
            let context = batch.prefill_context.min(new + u64::from(batch.prefill_requests) * self.window);
            let waste = new * self.half / 2;
            first += self.global.prefill(batch.prefill_pairs + waste, batch.prefill_context, new)
                + self.windowed.prefill(pairs + waste, context, new);
            first = first.max((self.fixed + self.eager) as u128);
            flop += u128::from(batch.prefill_pairs) * u128::from(self.flop.prefill_pair_global)
                + u128::from(pairs) * u128::from(self.flop.prefill_pair_windowed);
        }
        Segment {
            first: Ticks(first.max(1)),
            slope: TickChange((global.slope + windowed.slope) as i128),
            flop_first: Flop(flop),
            flop_slope: Flop(
                u128::from(decoding) * u128::from(self.flop.decode_pair_global)
                    + u128::from(batch.window_growing) * u128::from(self.flop.decode_pair_windowed),
            ),
            max_iterations,
        }
    }
}

impl Traffic {
    fn of(replica: &Replica<'_>, share: f64) -> Result<Self, PlanError> {
        let Replica { model, node, plan, .. } = *replica;
        let over = |cards, operation| {
            Collective::over_cards(node, cards, operation, Library::Engine, replica.constants)
        };
        let layers = f64::from(model.layers);
        let expert_layers = model.experts.map_or(0.0, |experts| f64::from(experts.layers));
        // Two all-reduces a layer; where ranks exchange tokens, the second one of layers with experts is
        // part of that exchange. One more gathers the embeddings.
        let exchanged = if plan.dp > 1 { expert_layers } else { 0.0 };
        let hidden = 2.0 * f64::from(model.hidden);
        // Each token goes to every group that has one of its experts, and comes back: 16 bits each way.
        let groups = f64::from(plan.ep.max(plan.dp));
        let copies = model.experts.map_or(1.0, |experts| {
            groups * -libm::expm1(f64::from(experts.per_token) * libm::log1p(-1.0 / groups.max(2.0)))
        });
        // A stage hands over by the network where the next one lies on another node, each of the cards that share
        // its layers a part by its own share of the node's network.
        let crossings = stages_on_other_nodes(node.cards, plan);
        let network = node.scale_out.map_or(f64::INFINITY, |network| network.as_f64());
        let used = f64::from(plan.stage_cards().min(node.cards)) / f64::from(node.cards.max(1));
        let crossing = hidden / (network * used * replica.constants.network_bandwidth);
        Ok(Self {
            reduce: over(plan.tp, Operation::AllReduce)?,
            reduces: if plan.tp > 1 { 2.0 * layers + 1.0 - exchanged } else { 0.0 },
            exchange: over(if plan.dp > 1 { plan.stage_cards() } else { 1 }, Operation::AllToAll)?,
            exchanges: 2.0 * exchanged,
            bytes_per_token: hidden,
            bytes_per_exchange: hidden * copies / f64::from(plan.tp),
            share,
            stages: f64::from(plan.pp - 1) * seconds(c::STAGE_HAND_OVER)
                + crossings * seconds(c::SCALE_OUT_LATENCY),
            stages_per_token: crossings * crossing,
        })
    }

    /// Of an iteration with so many tokens.
    fn seconds(&self, tokens: f64) -> f64 {
        let tokens = tokens * self.share;
        let mut sum = self.stages + self.stages_per_token * tokens;
        if self.reduces > 0.0 {
            sum += self.reduces * self.reduce.seconds(tokens * self.bytes_per_token);
        }
        if self.exchanges > 0.0 {
            sum += self.exchanges * self.exchange.seconds(tokens * self.bytes_per_exchange);
        }
        sum
    }
}

/// How many of a plan's stages lie on another node than the one before, when its cards fill nodes in order.
fn stages_on_other_nodes(per_node: u32, plan: ParallelismPlan) -> f64 {
    let stage = u64::from(plan.stage_cards());
    let node_of = |card: u64| card / u64::from(per_node.max(1));
    let crosses = |next: &u64| node_of(next * stage) != node_of(next * stage - 1);
    (1..u64::from(plan.pp)).filter(crosses).count() as f64
}

impl Operator {
    fn time(&self, tokens: f64, unhidden: f64) -> f64 {
        overlapped(self.read, self.per_token * tokens, unhidden)
    }
}

impl ExpertOperator {
    fn time(&self, tokens: f64, unhidden: f64) -> f64 {
        let touched = -libm::expm1(self.log_missed * tokens);
        overlapped(self.all.read * touched, self.all.per_token * tokens, unhidden)
    }
}

/// Reading and computing at the same time: the longer of the two, and of the shorter a part that does not hide
/// and is the larger the nearer both are: near the roofline's knee tiles wait for memory now and for the
/// arithmetic then.
fn overlapped(read: f64, compute: f64, unhidden: f64) -> f64 {
    let (short, long) = (read.min(compute), read.max(compute));
    if long > 0.0 { long + unhidden * short * short / long } else { 0.0 }
}

/// Decoding's attention in a segment: what it adds to the first iteration and to each further one, and for
/// how many iterations.
struct Piece {
    first: u128,
    slope: u128,
    iterations: u64,
}

impl AttentionOperator {
    /// `context` tokens attended to in iteration 0 by `queries` tokens of each request, `growing` more in each
    /// further one.
    fn decode(&self, context: u64, requests: u64, growing: u64, queries: u64) -> Piece {
        let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let written = wide(self.write_decoding, requests * queries);
        let bytes = wide(self.read, context) + written;
        let by_bytes = Piece { first: bytes, slope: wide(self.read, growing), iterations: u64::MAX };
        // FLOP time overtakes only where a token of context costs more FLOP time than byte time.
        let pair = self.decode_pair.saturating_mul(queries);
        let Some(ahead) = pair.checked_sub(self.read).filter(|ahead| *ahead > 0) else {
            return by_bytes;
        };
        let flop = wide(pair, context);
        if flop >= bytes {
            return Piece { first: flop, slope: wide(pair, growing), iterations: u64::MAX };
        }
        if growing == 0 {
            return by_bytes;
        }
        // Bytes are ahead by `bytes − flop`, and lose `ahead·growing` of it in each iteration; the piece
        // ends before the first iteration in which FLOP are ahead.
        let iterations = (bytes - flop) / wide(ahead, growing) + 1;
        Piece { iterations: iterations.min(u128::from(u64::MAX)) as u64, ..by_bytes }
    }

    fn prefill(&self, pairs: u64, context: u64, new: u64) -> u128 {
        let flop = u128::from(self.prefill_pair) * u128::from(pairs);
        let bytes = u128::from(self.read) * u128::from(context) + u128::from(self.write) * u128::from(new);
        flop.max(bytes)
    }
}

impl FlopCounts {
    fn of(model: &ModelDims, head: u64) -> Self {
        let (global, windowed) = (u64::from(model.global_layers()), u64::from(model.window_layers()));
        let (decode, prefill) = (model.flop_per_pair_decoding(), model.flop_per_pair_prefilling());
        Self {
            token: 2 * (model.active_parameters() - head),
            sampled: 2 * head,
            decode_pair_global: decode * global,
            decode_pair_windowed: decode * windowed,
            prefill_pair_global: prefill * global,
            prefill_pair_windowed: prefill * windowed,
        }
    }
}

fn attention(replica: &Replica<'_>, layers: u32, rate: f64, share: f64) -> AttentionOperator {
    let model = replica.model;
    let (layers, tp) = (f64::from(layers) * share, f64::from(replica.plan.tp));
    let bandwidth = replica.node.card.memory_bandwidth.as_f64() * replica.constants.kv_bandwidth
        / replica.constants.kernels
        * Factors::of(replica.constants, &replica.node.card.name, replica.engine).bandwidth;
    let kv_bytes = model.kv_values_per_layer(replica.plan.tp) as f64 * f64::from(replica.kv.bits()) / 8.0;
    // Queries in and outputs out, 16 bits a value, split over the cards.
    let moved = 2.0 * f64::from(model.hidden) * 2.0 / tp;
    // At most 19 minutes a token, so that no product of a batch's counts overflows.
    let ticks = |seconds: f64| ((seconds * TICKS).round() as u64).min(1 << 60);
    let write = ticks(layers * (kv_bytes + moved) / bandwidth);
    AttentionOperator {
        read: ticks(layers * kv_bytes / bandwidth),
        write,
        write_decoding: write,
        decode_pair: ticks(layers * model.flop_per_pair_decoding() as f64 / tp / rate),
        prefill_pair: ticks(layers * model.flop_per_pair_prefilling() as f64 / tp / rate),
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
