//! Parallelism plans, what a replica is made of, and why a plan can't be.

use thiserror::Error;

use super::card::NodeSpec;
use super::constants::{Constants, Engine, MAX_BATCH_TOKENS, MEMORY_UTILIZATION};
use super::dims::{Attention, ModelDims};
use crate::catalog::Precision;
use crate::topology::TopologyError;
use crate::units::Bytes;

/// How one replica's model is cut over cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParallelismPlan {
    /// Tensor parallelism: cards that share each layer.
    pub tp: u32,
    /// Pipeline parallelism: stages of layers.
    pub pp: u32,
    /// Ranks that keep requests of their own and repeat attention's weights, while they share the experts
    /// ("attention data parallelism"); 1 for everything but mixtures of experts.
    pub dp: u32,
    /// Expert parallelism: into how many groups the `tp · dp` cards of a stage divide the experts; within a
    /// group each expert is cut over the cards. 1 cuts every expert over all cards.
    pub ep: u32,
}

/// One replica: which model, in which formats, on which node, cut how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replica<'a> {
    /// The model.
    pub model: &'a ModelDims,
    /// The node it runs in.
    pub node: &'a NodeSpec,
    /// The format of the weights.
    pub weights: Precision,
    /// The format of the KV cache.
    pub kv: Precision,
    /// The cut.
    pub plan: ParallelismPlan,
    /// The share of a card's memory that the engine may take
    /// ([`MEMORY_UTILIZATION`](super::constants::MEMORY_UTILIZATION) by default).
    pub memory_utilization: f64,
    /// Tokens in one iteration at most, which sets the memory kept for activations
    /// ([`MAX_BATCH_TOKENS`](super::constants::MAX_BATCH_TOKENS) by default).
    pub max_batch_tokens: u32,
    /// The engine, whose overheads differ; [`Engine::Other`] is the mean of all.
    pub engine: Engine,
    /// The fitted constants ([`Constants::PUBLISHED`] by default).
    pub constants: &'a Constants,
    /// What is done to the weights beyond their format.
    pub weights_as: WeightsAs,
}

/// How weights are kept and used, beyond their format.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WeightsAs {
    /// The format that matrix products compute in, where it is not that of the weights: `bf16` over `int8` is
    /// weight-only quantization. `None` takes the card's own arithmetic for the weights where it has it.
    pub compute: Option<Precision>,
    /// Whether two of every four weights are zero in a pattern that the card computes with at twice its dense
    /// peak (2:4 sparsity).
    pub sparse: bool,
    /// The share of the layers' weights that stays in host memory and comes over PCIe in each iteration, from 0
    /// to 1.
    pub streamed: f64,
}

/// Why a replica or a training job can't run as planned.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanError {
    /// Its memory does not suffice.
    #[error(transparent)]
    DoesNotFit(#[from] DoesNotFit),
    /// A degree of 0, or one that does not divide the heads.
    #[error(
        "tp = {tp} does not divide the {heads} attention heads of {model}; the nearest that does: tp = {nearest}"
    )]
    TpDoesNotDivideHeads {
        /// The degree.
        tp: u32,
        /// The model's query heads.
        heads: u32,
        /// The model.
        model: String,
        /// The nearest divisor.
        nearest: u32,
    },
    /// More cards than a node has, and no whole nodes of them.
    #[error("{plan} does not suit nodes of {cards} {card}: {why}; the nearest plan that does: {nearest}")]
    Nodes {
        /// The plan.
        plan: ParallelismPlan,
        /// Cards in the node.
        cards: u32,
        /// The card.
        card: String,
        /// What is wrong.
        why: String,
        /// The nearest plan that works.
        nearest: ParallelismPlan,
    },
    /// More stages than layers, or none.
    #[error("pp = {pp} cuts the {layers} layers of {model} into nothing; take pp = 1 to {layers}")]
    PpExceedsLayers {
        /// Stages asked for.
        pp: u32,
        /// The model's layers.
        layers: u32,
        /// The model.
        model: String,
    },
    /// Stages of unequal size.
    #[error("{stages} stages do not divide the {layers} layers of {model}; the nearest that do: {nearest}")]
    StagesDoNotDivideLayers {
        /// Stages asked for, parts of interleaved ones counted.
        stages: u32,
        /// The model's layers.
        layers: u32,
        /// The model.
        model: String,
        /// The nearest that works, in words.
        nearest: String,
    },
    /// Experts or ranks that can't be divided so.
    #[error("{plan} does not suit {model}: {why}; the nearest that does: {nearest}")]
    Experts {
        /// The plan.
        plan: ParallelismPlan,
        /// The model.
        model: String,
        /// What is wrong.
        why: String,
        /// The nearest plan that works.
        nearest: ParallelismPlan,
    },
    /// The card computes in no format that could hold these weights.
    #[error(
        "{card} has no known peak rate for {precision} weights, nor for 16 or 32 bits; set one under `accelerators.{card}`"
    )]
    NoComputeRate {
        /// The card.
        card: String,
        /// The weights' format.
        precision: Precision,
    },
    /// The card does not compute with sparse weights.
    #[error("{card} is not known to compute with 2:4 sparse weights; take sparsity out, or an A100 or later")]
    NotSparse {
        /// The card.
        card: String,
    },
    /// A gang over several nodes whose network nobody knows.
    #[error(
        "{cards} cards take {nodes} nodes of {per_node} {card}, and the bandwidth of the network between them is not known; set `offers.{node}.network_gbit_s`, or cut it over at most {per_node}"
    )]
    UnknownScaleOut {
        /// Cards in the gang.
        cards: u32,
        /// Nodes that takes.
        nodes: u32,
        /// Cards in a node.
        per_node: u32,
        /// The card.
        card: String,
        /// The offer.
        node: String,
    },
    /// A number of cards that the plan can't use.
    #[error("{cards} cards can't be used: {why}")]
    BadGang {
        /// Cards in the gang.
        cards: u32,
        /// What is wrong.
        why: String,
    },
    /// A number out of its range.
    #[error("`{what}` is {found}; it must be {range}")]
    OutOfRange {
        /// Which number.
        what: String,
        /// What was given.
        found: String,
        /// What it may be.
        range: String,
    },
    /// The node can't be built.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// A model that does not fit its cards.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{model} does not fit: each {card} would need {needed} and has {available} to give ({why}); {}",
    .nearest.as_ref().map_or_else(|| "no plan of this kind fits".to_owned(), |nearest| format!("what would fit: {nearest}")))]
pub struct DoesNotFit {
    /// The model, with its format and plan.
    pub model: String,
    /// The card.
    pub card: String,
    /// What each card would have to hold at least.
    pub needed: Bytes,
    /// What a card can give.
    pub available: Bytes,
    /// How both come about.
    pub why: String,
    /// The nearest plan that would fit.
    pub nearest: Option<String>,
}

impl<'a> Replica<'a> {
    /// A replica on one card with the engine's defaults: a KV cache in bf16, 0.9 of the memory, 2,048 tokens
    /// in an iteration.
    pub const fn new(model: &'a ModelDims, node: &'a NodeSpec, weights: Precision) -> Self {
        Self {
            model,
            node,
            weights,
            kv: Precision::Bf16,
            plan: ParallelismPlan::tensor(1),
            memory_utilization: MEMORY_UTILIZATION,
            max_batch_tokens: MAX_BATCH_TOKENS,
            engine: Engine::Other,
            constants: &Constants::PUBLISHED,
            weights_as: WeightsAs { compute: None, sparse: false, streamed: 0.0 },
        }
    }
}

impl ParallelismPlan {
    /// `tp` cards in one stage.
    pub const fn tensor(tp: u32) -> Self {
        Self { tp, pp: 1, dp: 1, ep: 1 }
    }

    /// Cards of one replica.
    pub const fn cards(self) -> u32 {
        self.tp.saturating_mul(self.dp).saturating_mul(self.pp)
    }

    /// Cards of one stage.
    pub const fn stage_cards(self) -> u32 {
        self.tp.saturating_mul(self.dp)
    }
}

impl std::fmt::Display for ParallelismPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tp = {}, pp = {}", self.tp, self.pp)?;
        if self.dp != 1 {
            write!(f, ", dp = {}", self.dp)?;
        }
        if self.ep != 1 {
            write!(f, ", ep = {}", self.ep)?;
        }
        Ok(())
    }
}

/// Checks what a plan asks of heads, stages and the node, memory aside.
pub(super) fn check_plan(model: &ModelDims, node: &NodeSpec, plan: ParallelismPlan) -> Result<(), PlanError> {
    check_model(model)?;
    let ParallelismPlan { tp, pp, .. } = plan;
    if pp == 0 || pp > model.layers {
        return Err(PlanError::PpExceedsLayers { pp, layers: model.layers, model: model.name.clone() });
    }
    let heads = model.heads();
    if tp == 0 || !heads.is_multiple_of(tp) {
        let nearest = nearest_divisor(heads, tp);
        return Err(PlanError::TpDoesNotDivideHeads { tp, heads, model: model.name.clone(), nearest });
    }
    check_experts(model, plan)?;
    check_nodes(model, node, plan)
}

/// Checks that a plan of more cards than a node has takes whole nodes whose network is known, and cuts each
/// layer over cards of one node or over whole nodes.
fn check_nodes(model: &ModelDims, node: &NodeSpec, plan: ParallelismPlan) -> Result<(), PlanError> {
    let Some(why) = misplaced(node, plan) else {
        if plan.cards() <= node.cards || node.scale_out.is_some() {
            return Ok(());
        }
        return Err(PlanError::UnknownScaleOut {
            cards: plan.cards(),
            nodes: plan.cards().div_ceil(node.cards.max(1)),
            per_node: node.cards,
            card: node.card.name.clone(),
            node: node.name.clone(),
        });
    };
    // Of all cuts in tensor parallelism and stages, the one with nearly as many cards, then as many cards a layer.
    let degrees = (1..=plan.tp).filter(|tp| model.heads().is_multiple_of(*tp));
    let cuts = degrees.flat_map(|tp| (1..=plan.pp).map(move |pp| ParallelismPlan { tp, pp, ..plan }));
    let works = |plan: &ParallelismPlan| {
        let known = plan.cards() <= node.cards || node.scale_out.is_some();
        known && misplaced(node, *plan).is_none() && check_experts(model, *plan).is_ok()
    };
    let far = |other: &ParallelismPlan| (other.cards().abs_diff(plan.cards()), other.tp.abs_diff(plan.tp));
    let nearest = cuts.filter(works).min_by_key(far).unwrap_or(ParallelismPlan::tensor(1));
    Err(PlanError::Nodes { plan, cards: node.cards, card: node.card.name.clone(), why, nearest })
}

/// Why a plan cannot lie on nodes of this size, if it cannot.
fn misplaced(node: &NodeSpec, plan: ParallelismPlan) -> Option<String> {
    let (cards, per_node) = (plan.cards(), node.cards.max(1));
    if cards <= per_node {
        return None;
    }
    if !cards.is_multiple_of(per_node) {
        return Some(format!("it needs {cards} cards, and over several nodes a replica takes whole ones"));
    }
    // A group that begins in the middle of a node would straddle its end.
    let whole = |group: u32| group.is_multiple_of(per_node) || per_node.is_multiple_of(group);
    (!whole(plan.tp)).then(|| format!("{} cards that share layers would straddle nodes", plan.tp))
}

/// Checks ranks and experts' degree, which only mixtures of experts have.
fn check_experts(model: &ModelDims, plan: ParallelismPlan) -> Result<(), PlanError> {
    let ParallelismPlan { dp, ep, .. } = plan;
    let refused = |why: String, nearest: ParallelismPlan| {
        Err(PlanError::Experts { plan, model: model.name.clone(), why, nearest })
    };
    let Some(experts) = model.experts else {
        if dp == 1 && ep == 1 {
            return Ok(());
        }
        let nearest = ParallelismPlan { dp: 1, ep: 1, ..plan };
        return refused("it has no experts, so that ranks are replicas of their own".to_owned(), nearest);
    };
    let cards = plan.stage_cards();
    if dp == 0 {
        return refused("there is at least one rank".to_owned(), ParallelismPlan { dp: 1, ep: 1, ..plan });
    }
    let divides = |ep: u32| cards.is_multiple_of(ep) && experts.per_layer.is_multiple_of(ep);
    if ep == 0 || !divides(ep) {
        let nearest = (1..=cards).filter(|ep| divides(*ep)).min_by_key(|known| known.abs_diff(ep));
        let why =
            format!("ep must divide the {cards} cards of a stage and the {} experts", experts.per_layer);
        return refused(why, ParallelismPlan { ep: nearest.unwrap_or(1), ..plan });
    }
    Ok(())
}

/// Checks that stages, each in `interleave` parts, have equally many layers. Engines that take unequal ones exist;
/// plans of scenarios are not for them.
///
/// # Errors
/// [`PlanError::StagesDoNotDivideLayers`] with the nearest number of stages that does.
pub fn check_stages(model: &ModelDims, pp: u32, interleave: u32) -> Result<(), PlanError> {
    let (layers, parts) = (model.layers, interleave.max(1));
    let stages = pp.saturating_mul(parts);
    if pp == 0 || pp > layers || layers.is_multiple_of(stages) {
        // None, or more than layers: reported by the checks of the plan itself.
        return Ok(());
    }
    let cuts = (1..=layers).flat_map(|pp| (1..=parts.min(layers)).map(move |parts| (pp, parts)));
    let divides = |(pp, parts): &(u32, u32)| layers.is_multiple_of(pp.saturating_mul(*parts));
    let far = |(other, fewer): &(u32, u32)| (other.abs_diff(pp), parts - fewer);
    let (pp, fewer) = cuts.filter(divides).min_by_key(far).unwrap_or((1, 1));
    let nearest = match parts {
        1 => format!("pp = {pp}"),
        _ => format!("pp = {pp} with interleave = {fewer}"),
    };
    Err(PlanError::StagesDoNotDivideLayers { stages, layers, model: model.name.clone(), nearest })
}

/// The divisor of `number` that is nearest to `wanted`.
fn nearest_divisor(number: u32, wanted: u32) -> u32 {
    let divisors = (1..=number).filter(|divisor| number.is_multiple_of(*divisor));
    divisors.min_by_key(|divisor| divisor.abs_diff(wanted)).unwrap_or(1)
}

/// Checks that a model's numbers are such that their products stay within 64 bits.
fn check_model(model: &ModelDims) -> Result<(), PlanError> {
    let (heads, kv_heads, width) = match model.attention {
        Attention::Grouped { heads, kv_heads, head_size } => (heads, kv_heads, u64::from(head_size)),
        Attention::Latent { heads, head_size, kv_lora_rank, rope_size } => {
            (heads, 1, u64::from(head_size.max(kv_lora_rank)) + u64::from(rope_size))
        }
    };
    let mut numbers = vec![
        ("parameters", model.parameters, 1 << 50),
        ("layers", u64::from(model.layers), 1 << 14),
        ("hidden", u64::from(model.hidden), 1 << 20),
        ("vocabulary", u64::from(model.vocabulary), 1 << 28),
        ("heads", u64::from(heads), 1 << 14),
        ("kv_heads", u64::from(kv_heads), 1 << 14),
        ("head_size", width, 1 << 16),
        ("context", model.max_context, 1 << 40),
    ];
    if let Some(experts) = model.experts {
        numbers.push(("experts", u64::from(experts.per_layer), 1 << 16));
        numbers.push(("experts_active", u64::from(experts.per_token), u64::from(experts.per_layer)));
        numbers.push(("expert layers", u64::from(experts.layers), u64::from(model.layers)));
        numbers.push(("parameters of an expert", experts.parameters, 1 << 33));
    }
    match numbers.into_iter().find(|(_, found, most)| *found == 0 || found > most) {
        None => Ok(()),
        Some((what, found, most)) => Err(PlanError::OutOfRange {
            what: format!("{what} of {}", model.name),
            found: found.to_string(),
            range: format!("from 1 to {most}"),
        }),
    }
}
