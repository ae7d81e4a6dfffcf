//! How fast a data- and tensor-parallel training job runs, and whether its state fits.

mod memory;

use std::fmt;

use super::card::NodeSpec;
use super::collectives::AllReduce;
use super::constants as c;
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
    /// Of it, tensor-parallel all-reduces.
    pub tensor_parallel: Duration,
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
    let plan = ParallelismPlan::tensor(tp);
    check_plan(job.model, job.node, plan)?;
    if !job.cards.is_multiple_of(tp) {
        return Err(PlanError::BadGang {
            cards: job.cards,
            why: format!("they are not a multiple of tp = {tp}"),
        });
    }
    let ranks = job.cards / tp;
    // Least intrusive first: state in full, activations kept.
    let choices = [(false, false), (false, true), (true, false), (true, true)];
    let allowed = choices.into_iter().filter(|(sharded, recompute)| {
        job.sharded.is_none_or(|wanted| wanted == *sharded)
            && job.recompute.is_none_or(|wanted| wanted == *recompute)
            && (!sharded || ranks > 1 || job.sharded.is_some())
    });
    let mut tightest = None;
    for (sharded, recompute) in allowed {
        let memory = Memory::of(job, plan, ranks, sharded, recompute);
        if memory.state + memory.per_token * f64::from(job.sequence) <= memory.budget {
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
    // As many whole sequences at once as memory holds.
    let sequence = f64::from(job.sequence);
    let room = ((memory.budget - memory.state) / (memory.per_token * sequence)).floor();
    let micro = sequence * room.clamp(1.0, (rank_tokens / sequence).ceil());
    let micro_batches = (rank_tokens / micro).ceil();

    let forward = Forward::of(model, job.sequence);
    let compute = forward.step_seconds(job, plan.tp, recompute, rank_tokens)?;

    let layers = f64::from(model.layers);
    let reduce = AllReduce::within_node(node, plan.tp)?;
    // Two all-reduces forward, two backward, two more where the forward pass is done again.
    let reduces = if recompute { 6.0 } else { 4.0 };
    let activations = micro * f64::from(model.hidden) * 2.0;
    let tensor_parallel =
        if plan.tp > 1 { micro_batches * layers * reduces * reduce.seconds(activations) } else { 0.0 };

    // Gradients in 16 bits. Sharded, weights are gathered forward and backward and gradients scattered in
    // each micro-batch: 3/2 of an all-reduce (ZeRO, section 7).
    let gradients = AllReduce::across_gang(node, ranks, plan.tp)?;
    let bytes = 2.0 * model.parameters as f64 / f64::from(plan.tp);
    let traffic = match (ranks, sharded) {
        (1, _) => 0.0,
        (_, false) => gradients.seconds(bytes),
        (_, true) => micro_batches * 1.5 * gradients.seconds(bytes),
    };
    let exposed = (traffic - c::TRAINING_OVERLAP * compute).max(c::TRAINING_EXPOSED_AT_LEAST * traffic);

    let seconds = compute + tensor_parallel + exposed;
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
        exposed: Duration::from_secs_f64(exposed),
        plan,
        ranks,
        sharded,
        recompute,
        micro_batch_tokens: micro as u64,
        memory_per_card: Bytes((memory.state + memory.per_token * micro) as u64),
    })
}

/// FLOP of one token in the forward pass.
struct Forward {
    /// 2 for each active parameter.
    linear: u64,
    /// Causal attention: a token sees half of its sequence on average (or its window).
    attention: u64,
}

impl Forward {
    fn of(model: &ModelDims, sequence: u32) -> Self {
        let seen = u64::from(sequence) / 2;
        let windowed = model.window.map_or(0, |window| seen.min(u64::from(window.tokens)));
        let pairs = u64::from(model.global_layers()) * seen + u64::from(model.window_layers()) * windowed;
        Self { linear: 2 * model.active_parameters(), attention: model.flop_per_pair_prefilling() * pairs }
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
        let passes = if recompute { 4.0 } else { 3.0 };
        let linear_rate = rate(job, job.precision)? * c::training_efficiency(job.precision);
        let wide = if job.precision.bits() < 16 { Precision::Bf16 } else { job.precision };
        let attention_rate = rate(job, wide)? * c::TRAINING_ATTENTION_EFFICIENCY;
        let bandwidth = job.node.card.memory_bandwidth.as_f64() * c::WEIGHT_BANDWIDTH_EFFICIENCY;
        let moved =
            c::TRAINING_ELEMENTWISE_VECTORS * 2.0 * f64::from(job.model.hidden) * f64::from(job.model.layers);
        let token = passes * (self.linear as f64 / linear_rate + self.attention as f64 / attention_rate)
            + passes / 3.0 * moved / bandwidth;
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
