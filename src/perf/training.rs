//! How fast a data- and tensor-parallel training job runs, and whether its state fits.

mod memory;

use std::fmt;

use super::card::NodeSpec;
use super::collectives::{Collective, Library, Operation};
use super::constants as c;
use super::constants::Constants;
use super::dims::ModelDims;
use super::plan::{ParallelismPlan, PlanError, check_plan};
use crate::catalog::Precision;
use crate::units::{Bytes, Duration, Flop, Rate};
use memory::{Memory, does_not_fit};

/// A training job: the model, where, and how it is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingJob<'a> {
    /// The model.
    pub model: &'a ModelDims,
    /// The nodes it runs on, all alike.
    pub node: &'a NodeSpec,
    /// Cards of the gang, over all nodes.
    pub cards: u32,
    /// Tensor parallelism; `None` takes the smallest power of two that fits.
    pub tp: Option<u32>,
    /// Tokens of a sequence.
    pub sequence: u32,
    /// Tokens of a step, over all cards; `None` takes
    /// [`TRAINING_TOKENS_PER_CARD`](super::constants::TRAINING_TOKENS_PER_CARD) for each card.
    pub batch_tokens: Option<u64>,
    /// The format of matrix products: `bf16` or `fp8`.
    pub precision: Precision,
    /// What a parameter's state takes.
    pub state: TrainingState,
    /// Whether the state is cut over the data-parallel ranks (FSDP, ZeRO-3); `None` does it when it must.
    pub sharded: Option<bool>,
    /// Whether activations are computed again in the backward pass; `None` does it when it must.
    pub recompute: Option<bool>,
    /// How layers, sequences and experts are cut.
    pub layout: TrainingLayout,
    /// Which parts of the state are cut over the data-parallel ranks; `None` leaves that to
    /// [`TrainingJob::sharded`], and cuts the optimizer's part where there are several stages.
    pub zero: Option<Zero>,
    /// Whether attention's scores are kept too, as kernels that are not fused do.
    pub scores_kept: bool,
    /// The share of a card's visible memory that the job may fill; the rest is for what fragmentation wastes
    /// ([`TRAINING_MEMORY_UTILIZATION`](super::constants::TRAINING_MEMORY_UTILIZATION) by default).
    pub memory_utilization: f64,
    /// Whether only adapters are trained (LoRA): the model's own weights have no gradients and no state.
    pub adapters_only: bool,
    /// The fitted constants ([`Constants::PUBLISHED`] by default).
    pub constants: &'a Constants,
}

/// The cuts of a training job beside tensor and data parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingLayout {
    /// Pipeline stages.
    pub pp: u32,
    /// Parts of each stage that micro-batches pass in turn (interleaved schedule); 1 is plain 1F1B.
    pub interleave: u32,
    /// Parts of a sequence (context parallelism).
    pub cp: u32,
    /// Groups of cards that divide the experts among them.
    pub ep: u32,
    /// Sequences of a micro-batch; `None` takes as many as memory holds.
    pub micro_batch: Option<u32>,
}

impl Default for TrainingLayout {
    /// No cut, and as many sequences at once as memory holds.
    fn default() -> Self {
        Self { pp: 1, interleave: 1, cp: 1, ep: 1, micro_batch: None }
    }
}

impl TrainingLayout {
    /// Cards of one data-parallel rank with so much tensor parallelism.
    fn cards(self, tp: u32) -> u32 {
        tp.saturating_mul(self.pp).saturating_mul(self.cp)
    }
}

/// Bytes of memory for each parameter in training, activations not counted. The rules differ by what they
/// keep; none is "the" right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrainingState {
    /// 12: 32-bit weights and 8 bytes more (the source documents' claim A3).
    Twelve,
    /// 16: 16-bit weights and gradients, 32-bit master weights and two Adam moments (ZeRO, arXiv
    /// 1910.02054, section 3.1).
    #[default]
    Sixteen,
    /// 18: the same with 32-bit gradients (Megatron-LM's default).
    Eighteen,
    /// 20: the source documents' claim D20.
    Twenty,
}

/// ZeRO's stages (Rajbhandari et al., arXiv 1910.02054, section 5): what is cut over the data-parallel ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// 0: nothing.
    Nothing,
    /// 1: the optimizer's state.
    Optimizer,
    /// 2: that and the gradients.
    Gradients,
    /// 3: that and the weights (FSDP).
    Weights,
}

/// What a training job does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingStep {
    /// How much it trains.
    pub tokens_per_second: Rate,
    /// Useful FLOP of a token: 6 for each active parameter, and attention. Recomputation is not useful.
    pub flop_per_token: Flop,
    /// Model FLOP utilization: useful FLOP ÷ dense peak, from 0 to 1.
    pub mfu: f64,
    /// Tokens of a step.
    pub batch_tokens: u64,
    /// A step.
    pub step: Duration,
    /// Of it, computing.
    pub compute: Duration,
    /// Of it, tensor-parallel all-reduces and experts' all-to-alls, as far as they don't hide.
    pub tensor_parallel: Duration,
    /// Of it, waiting for the pipeline to fill and to drain.
    pub bubble: Duration,
    /// Of it, what of the gradients' (and, when sharded, the weights') traffic does not hide behind computing.
    pub exposed: Duration,
    /// The cut.
    pub plan: ParallelismPlan,
    /// Data-parallel ranks.
    pub ranks: u32,
    /// Whether the state is cut over the ranks.
    pub sharded: bool,
    /// Whether activations are computed again.
    pub recompute: bool,
    /// Tokens of a micro-batch on each rank.
    pub micro_batch_tokens: u64,
    /// Memory in use on each card.
    pub memory_per_card: Bytes,
}

impl TrainingState {
    /// Bytes of state for each parameter.
    pub const fn bytes_per_parameter(self) -> u64 {
        match self {
            Self::Twelve => 12,
            Self::Sixteen => 16,
            Self::Eighteen => 18,
            Self::Twenty => 20,
        }
    }

    /// Of them, those of the weights that compute and of their gradients: the rest is the optimizer's. The rule of
    /// 12 keeps weights in 32 bits and no gradients; that of 20 gradients in 16 and in 32 bits.
    pub(super) const fn weights_and_gradients(self) -> (u64, u64) {
        match self {
            Self::Twelve => (4, 0),
            Self::Sixteen => (2, 2),
            Self::Eighteen => (2, 4),
            Self::Twenty => (2, 6),
        }
    }
}

impl<'a> TrainingJob<'a> {
    /// A job with everything chosen by rule: sequences of 4,096 tokens (or the model's context), bf16, 16
    /// bytes of state.
    pub fn new(model: &'a ModelDims, node: &'a NodeSpec, cards: u32) -> Self {
        Self {
            model,
            node,
            cards,
            tp: None,
            sequence: model.max_context.clamp(1, 4096) as u32,
            batch_tokens: None,
            precision: Precision::Bf16,
            state: TrainingState::default(),
            sharded: None,
            recompute: None,
            layout: TrainingLayout::default(),
            zero: None,
            scores_kept: false,
            memory_utilization: c::TRAINING_MEMORY_UTILIZATION,
            adapters_only: false,
            constants: &Constants::PUBLISHED,
        }
    }
}

/// The speed of a job: each step computes 6 FLOP a parameter and token (2 forward, 4 backward; 2 more with
/// recomputation) and attention, reduces activations over the tensor-parallel cards, and reduces gradients
/// over the ranks, part of which hides behind computing.
///
/// # Errors
/// [`PlanError::DoesNotFit`] when no allowed cut fits; [`PlanError::UnknownScaleOut`] when the gang spans
/// nodes whose network is not known; the plan's own faults.
pub fn training_throughput(job: &TrainingJob<'_>) -> Result<TrainingStep, PlanError> {
    if job.cards == 0 || job.sequence == 0 || job.batch_tokens == Some(0) {
        return Err(PlanError::BadGang {
            cards: job.cards,
            why: "a job has at least one card, one token a sequence and one token a step".to_owned(),
        });
    }
    if let Some(tp) = job.tp {
        return with_tp(job, tp);
    }
    let mut last = None;
    let degrees =
        (0..31).map(|exponent| 1u32 << exponent).take_while(|tp| *tp <= job.cards.min(job.node.cards));
    for tp in degrees.filter(|tp| job.cards.is_multiple_of(*tp) && job.model.heads().is_multiple_of(*tp)) {
        match with_tp(job, tp) {
            Err(PlanError::DoesNotFit(error)) => last = Some(PlanError::DoesNotFit(error)),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| PlanError::BadGang {
        cards: job.cards,
        why: "no tensor-parallel degree suits them".to_owned(),
    }))
}

fn with_tp(job: &TrainingJob<'_>, tp: u32) -> Result<TrainingStep, PlanError> {
    let layout = job.layout;
    // Stages and parts of sequences may lie on other nodes; only tensor parallelism has to stay in one.
    check_plan(job.model, job.node, ParallelismPlan::tensor(tp))?;
    if tp > job.node.cards {
        let (cards, card) = (job.node.cards, &job.node.card.name);
        let why = format!("tp = {tp} crosses nodes of {cards} {card}; take at most tp = {cards}");
        return Err(PlanError::BadGang { cards: job.cards, why });
    }
    let plan = ParallelismPlan { pp: layout.pp, ..ParallelismPlan::tensor(tp) };
    let bad = |why: String| Err(PlanError::BadGang { cards: job.cards, why });
    if layout.pp == 0 || layout.pp > job.model.layers {
        let (layers, model) = (job.model.layers, job.model.name.clone());
        return Err(PlanError::PpExceedsLayers { pp: layout.pp, layers, model });
    }
    if layout.interleave == 0 || layout.cp == 0 || layout.ep == 0 || layout.micro_batch == Some(0) {
        return bad("interleave, cp, ep and micro-batch are at least 1".to_owned());
    }
    if !job.cards.is_multiple_of(layout.cards(tp)) {
        return bad(match layout.cards(1) {
            1 => format!("they are not a multiple of tp = {tp}"),
            _ => format!("they are not a multiple of tp·pp·cp = {}", layout.cards(tp)),
        });
    }
    if layout.ep > 1 {
        let stage = job.cards / layout.pp;
        let experts = job.model.experts.map_or(0, |experts| experts.per_layer);
        let divides = |ep: u32| stage.is_multiple_of(ep) && experts > 0 && experts.is_multiple_of(ep);
        if !divides(layout.ep) {
            let nearest = (1..=layout.ep).rev().find(|ep| *ep == 1 || divides(*ep)).unwrap_or(1);
            return bad(format!(
                "ep = {} does not divide {experts} experts and the {stage} cards of a stage; take ep = {nearest}",
                layout.ep
            ));
        }
    }
    let ranks = job.cards / layout.cards(tp);
    // Least intrusive first: state in full, activations kept.
    let choices = [(false, false), (false, true), (true, false), (true, true)];
    let allowed = choices.into_iter().filter(|(sharded, recompute)| {
        job.sharded.is_none_or(|wanted| wanted == *sharded)
            && job.zero.is_none_or(|zero| (zero == Zero::Weights) == *sharded)
            && job.recompute.is_none_or(|wanted| wanted == *recompute)
            && (!sharded || ranks > 1 || job.sharded.is_some() || job.zero.is_some())
    });
    let mut tightest = None;
    for (sharded, recompute) in allowed {
        let memory = Memory::of(job, plan, ranks, sharded, recompute);
        let sequences = f64::from(layout.micro_batch.unwrap_or(1));
        if memory.state + memory.per_token * f64::from(job.sequence) * sequences <= memory.budget {
            return step(job, plan, ranks, sharded, recompute, &memory);
        }
        tightest = Some((memory, sharded, recompute));
    }
    Err(does_not_fit(job, plan, ranks, tightest).into())
}

fn step(
    job: &TrainingJob<'_>,
    plan: ParallelismPlan,
    ranks: u32,
    sharded: bool,
    recompute: bool,
    memory: &Memory,
) -> Result<TrainingStep, PlanError> {
    let (model, node) = (job.model, job.node);
    let peak = rate(job, job.precision)?;
    let batch = job.batch_tokens.unwrap_or(u64::from(job.cards) * c::TRAINING_TOKENS_PER_CARD);
    let batch = batch.max(u64::from(ranks) * u64::from(job.sequence));
    let rank_tokens = batch as f64 / f64::from(ranks);
    let layout = job.layout;
    let sequence = f64::from(job.sequence);
    // As many whole sequences at once as memory holds, or as many as asked for.
    let room = match layout.micro_batch {
        Some(sequences) => f64::from(sequences),
        None => ((memory.budget - memory.state) / (memory.per_token * sequence)).floor(),
    };
    let micro = sequence * room.clamp(1.0, (rank_tokens / sequence).ceil());
    let micro_batches = (rank_tokens / micro).ceil();

    let forward = Forward::of(model, job.sequence);
    let shared = f64::from(layout.pp) * f64::from(layout.cp);
    let compute = forward.step_seconds(job, plan.tp, recompute, rank_tokens)? / shared;

    let layers = f64::from(model.layers) / f64::from(layout.pp);
    let reduce = Collective::within_node(node, plan.tp, Operation::AllReduce, Library::Nccl, job.constants)?;
    // Two all-reduces forward, two backward, two more where the forward pass is done again.
    let reduces = if recompute { 6.0 } else { 4.0 };
    let activations = micro * f64::from(model.hidden) * 2.0 / f64::from(layout.cp);
    let mut tensor_parallel = 0.0;
    if plan.tp > 1 {
        tensor_parallel += job.constants.training_tensor_exposed
            * micro_batches
            * layers
            * reduces
            * reduce.seconds(activations);
    }
    tensor_parallel += micro_batches * experts_exchange(job, plan.tp, activations)?;
    // The last stage starts pp − 1 micro-batches late and the first one ends as much early; interleaved,
    // each of them is as much shorter (Narayanan et al., arXiv 2104.04473, section 2.2).
    let late = f64::from(layout.pp - 1) / (micro_batches * f64::from(layout.interleave));
    let bubble = (compute + tensor_parallel) * late;

    // Gradients in 16 bits. Sharded, weights are gathered forward and backward and gradients scattered in
    // each micro-batch: 3/2 of an all-reduce (ZeRO, section 7). Experts have ranks of their own.
    let spread = ranks * layout.cp;
    let gradients = Collective::across_gang(node, spread, plan.tp, Operation::AllReduce, job.constants)?;
    let experts = model.expert_parameters() as f64;
    let rest = model.parameters as f64 - experts;
    let stage = f64::from(plan.tp) * f64::from(layout.pp);
    let of_rank = 2.0 * (rest / stage + experts / (stage * f64::from(layout.ep)).max(1.0));
    let bytes = if job.adapters_only { 0.0 } else { of_rank };
    let traffic = match (spread, sharded) {
        (1, _) => 0.0,
        (_, false) => gradients.seconds(bytes),
        (_, true) => micro_batches * 1.5 * gradients.seconds(of_rank),
    };
    let exposed =
        (traffic - job.constants.training_overlap * compute).max(job.constants.training_exposed * traffic);

    let seconds = compute + tensor_parallel + bubble + exposed;
    let flop_per_token = 3 * (forward.linear + forward.attention);
    let useful = batch as f64 * flop_per_token as f64;
    Ok(TrainingStep {
        tokens_per_second: Rate::per_second(batch as f64 / seconds),
        flop_per_token: Flop(u128::from(flop_per_token)),
        mfu: useful / (seconds * peak * f64::from(job.cards)),
        batch_tokens: batch,
        step: Duration::from_secs_f64(seconds),
        compute: Duration::from_secs_f64(compute),
        tensor_parallel: Duration::from_secs_f64(tensor_parallel),
        bubble: Duration::from_secs_f64(bubble),
        exposed: Duration::from_secs_f64(exposed),
        plan,
        ranks,
        sharded,
        recompute,
        micro_batch_tokens: micro as u64,
        memory_per_card: Bytes((memory.state + memory.per_token * micro) as u64),
    })
}

/// Sending a micro-batch's tokens to their experts and back, forward and backward, over all layers of a
/// stage: four all-to-alls a layer among `ep` groups.
fn experts_exchange(job: &TrainingJob<'_>, tp: u32, activations: f64) -> Result<f64, PlanError> {
    let (Some(experts), ep) = (job.model.experts, job.layout.ep) else { return Ok(0.0) };
    if ep < 2 {
        return Ok(0.0);
    }
    let width = if ep.saturating_mul(tp) <= job.cards { tp } else { 1 };
    let exchange = Collective::across_gang(job.node, ep, width, Operation::AllToAll, job.constants)?;
    let layers = f64::from(experts.layers) / f64::from(job.layout.pp);
    let sent = activations / f64::from(tp) * f64::from(experts.per_token);
    Ok(job.constants.training_expert_exposed * layers * 4.0 * exchange.seconds(sent))
}

/// FLOP of one token in the forward pass.
struct Forward {
    /// 2 for each active parameter.
    linear: u64,
    /// Of it, experts'.
    experts: u64,
    /// Causal attention: a token sees half of its sequence on average (or its window).
    attention: u64,
}

impl Forward {
    fn of(model: &ModelDims, sequence: u32) -> Self {
        let seen = u64::from(sequence) / 2;
        let windowed = model.window.map_or(0, |window| seen.min(u64::from(window.tokens)));
        let pairs = u64::from(model.global_layers()) * seen + u64::from(model.window_layers()) * windowed;
        let experts = model.experts.map_or(0, |experts| {
            2 * experts.parameters * u64::from(experts.per_token) * u64::from(experts.layers)
        });
        Self {
            linear: 2 * model.active_parameters(),
            experts,
            attention: model.flop_per_pair_prefilling() * pairs,
        }
    }

    /// Forward once, or twice with recomputation, and backward at twice the forward's FLOP: matrix products
    /// and attention at their rates, and the bytes that everything else moves.
    fn step_seconds(
        &self,
        job: &TrainingJob<'_>,
        tp: u32,
        recompute: bool,
        tokens: f64,
    ) -> Result<f64, PlanError> {
        // Adapters need the gradients of activations only: half of the backward pass of matrix products.
        let backward = if job.adapters_only { 1.0 } else { 2.0 };
        let again = if recompute { 1.0 } else { 0.0 };
        let passes = 1.0 + backward + again;
        let card = &job.node.card.name;
        let linear_rate = rate(job, job.precision)? * job.constants.training_linear(card, job.precision);
        let wide = if job.precision.bits() < 16 { Precision::Bf16 } else { job.precision };
        let attention_rate =
            rate(job, wide)? * job.constants.training_attention * job.constants.training_share(card);
        let bandwidth = job.node.card.memory_bandwidth.as_f64() * job.constants.weight_bandwidth;
        let moved = job.constants.training_elementwise
            * 2.0
            * f64::from(job.model.hidden)
            * f64::from(job.model.layers);
        let (experts, dense) = (self.experts as f64, (self.linear - self.experts) as f64);
        let token = passes * (dense + experts / job.constants.training_expert) / linear_rate
            + (3.0 + again) * self.attention as f64 / attention_rate
            + (3.0 + again) / 3.0 * moved / bandwidth;
        Ok(tokens * token / f64::from(tp))
    }
}

/// The card's dense peak in a format.
fn rate(job: &TrainingJob<'_>, precision: Precision) -> Result<f64, PlanError> {
    let card = &job.node.card;
    card.compute(precision)
        .map(|(_, rate)| rate.as_f64())
        .ok_or_else(|| PlanError::NoComputeRate { card: card.name.clone(), precision })
}

/// The step in a sentence, for reports.
impl fmt::Display for TrainingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} tokens/s at {:.1} % MFU: a step of {} tokens takes {:.3} s ({:.3} s computing, {:.3} s in \
             tensor-parallel all-reduces, {:.3} s of gradient traffic not hidden) with tp = {} and {} ranks{}{}, \
             {} a card",
            self.tokens_per_second.as_per_second(),
            self.mfu * 100.0,
            self.batch_tokens,
            self.step.as_secs_f64(),
            self.compute.as_secs_f64(),
            self.tensor_parallel.as_secs_f64(),
            self.exposed.as_secs_f64(),
            self.plan.tp,
            self.ranks,
            if self.sharded { ", state sharded" } else { "" },
            if self.recompute { ", activations recomputed" } else { "" },
            self.memory_per_card,
        )
    }
}
