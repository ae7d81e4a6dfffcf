//! Whether a replica fits its cards, and how much KV cache is left.

use super::constants::{ACTIVATION_VECTORS, ENGINE_RESERVE, KV_BLOCK_TOKENS};
use super::dims::ModelDims;
use super::format::weight_bits;
use super::plan::{DoesNotFit, ParallelismPlan, PlanError, Replica, check_plan};
use crate::catalog::Precision;
use crate::units::Bytes;

/// How a replica fills the memory of each of its cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// Memory of a card that the engine may take.
    pub budget: Bytes,
    /// Weights on each card.
    pub weights_per_card: Bytes,
    /// What each card keeps for activations, the CUDA context and buffers.
    pub reserve_per_card: Bytes,
    /// What is left for the KV cache on each card.
    pub kv_per_card: Bytes,
    /// KV cache of one token on each card, over all layers. Layers with a sliding window count in full, as
    /// in an engine without separate pools for them.
    pub kv_bytes_per_token: Bytes,
    /// Blocks of 16 tokens that the KV cache of the replica has; each token's KV is spread over (or repeated
    /// on) all of its cards.
    pub kv_blocks: u64,
}

impl Fit {
    /// Tokens that the KV cache holds.
    pub const fn kv_tokens(&self) -> u64 {
        self.kv_blocks * KV_BLOCK_TOKENS
    }
}

/// Cards of `memory` each that hold `parameters` of `bits` each and nothing else (the source documents' rule
/// for "how many cards does this model need").
pub fn cards_for_weights(parameters: u64, bits: u32, memory: Bytes) -> u64 {
    let bytes = (u128::from(parameters) * u128::from(bits)).div_ceil(8);
    bytes.div_ceil(u128::from(memory.0.max(1))) as u64
}

/// All weights of a model in a format. Embeddings and the output head keep 16 bits when the format is
/// narrower, as in published quantised checkpoints.
pub fn weight_bytes(model: &ModelDims, precision: Precision) -> Bytes {
    let embedding = model.embedding_parameters().min(model.parameters);
    let rest = model.parameters - embedding;
    let bytes = rest as f64 * weight_bits(precision) / 8.0
        + embedding as f64 * weight_bits(precision).max(16.0) / 8.0;
    Bytes(bytes.ceil() as u64)
}

/// How the replica fits, or why it does not: at least one block of KV cache must be left.
///
/// # Errors
/// [`PlanError::DoesNotFit`] with the nearest plan that would, or what else is wrong with the plan.
pub fn fit(replica: &Replica<'_>) -> Result<Fit, PlanError> {
    check_plan(replica.model, replica.node, replica.plan)?;
    let utilization = replica.memory_utilization;
    if !(utilization > 0.0 && utilization <= 1.0) {
        return Err(PlanError::OutOfRange {
            what: "memory_utilization".to_owned(),
            found: utilization.to_string(),
            range: "above 0 and at most 1".to_owned(),
        });
    }
    let fit = fill(replica, replica.plan);
    if fit.kv_blocks > 0 {
        return Ok(fit);
    }
    Err(does_not_fit(replica, &fit).into())
}

/// Fills the cards of a plan that is known to be sound.
pub(super) fn fill(replica: &Replica<'_>, plan: ParallelismPlan) -> Fit {
    let Replica { model, node, weights, kv, .. } = *replica;
    let (tp, pp, dp) = (u64::from(plan.tp), u64::from(plan.pp), u64::from(plan.dp));
    let budget = Bytes((node.card.visible_memory().0 as f64 * replica.memory_utilization) as u64);
    // Experts are cut over all cards of a stage, everything else over the cards of a rank.
    let experts = (model.expert_parameters() as f64 * weight_bits(weights) / 8.0).ceil() as u64;
    let rest = weight_bytes(model, weights).0.saturating_sub(experts);
    let weights_per_card = Bytes(rest.div_ceil(tp * pp) + experts.div_ceil(tp * dp * pp));
    let tokens_of_rank = u64::from(replica.max_batch_tokens).div_ceil(dp * pp);
    let activations = tokens_of_rank * u64::from(model.hidden) * 2 * ACTIVATION_VECTORS / tp;
    let reserve_per_card = Bytes(ENGINE_RESERVE.0 + activations);
    let kv_per_card = Bytes(budget.0.saturating_sub(weights_per_card.0 + reserve_per_card.0));
    let kv_bytes_per_token = kv_bytes_per_token(model, kv, plan);
    // Each rank has a cache of its own.
    let kv_blocks = dp * (kv_per_card.0 / (kv_bytes_per_token.0 * KV_BLOCK_TOKENS).max(1));
    Fit { budget, weights_per_card, reserve_per_card, kv_per_card, kv_bytes_per_token, kv_blocks }
}

/// KV cache of one token on each card of a plan: see [`Fit::kv_bytes_per_token`].
pub fn kv_bytes_per_token(model: &ModelDims, kv: Precision, plan: ParallelismPlan) -> Bytes {
    let layers = u64::from(model.layers).div_ceil(u64::from(plan.pp.max(1)));
    kv.bytes_of(model.kv_values_per_layer(plan.tp) * layers)
}

fn does_not_fit(replica: &Replica<'_>, fit: &Fit) -> DoesNotFit {
    let Replica { model, node, weights, plan, .. } = *replica;
    let block = Bytes(fit.kv_bytes_per_token.0 * KV_BLOCK_TOKENS);
    DoesNotFit {
        model: format!("{} in {weights} with {plan}", model.name),
        card: node.card.name.clone(),
        needed: fit.weights_per_card + fit.reserve_per_card + block,
        available: fit.budget,
        why: format!(
            "{} weights + {} for activations, context and buffers + {block} for one block of KV cache; {} of \
             {} visible memory",
            fit.weights_per_card,
            fit.reserve_per_card,
            percent(replica.memory_utilization),
            node.card.visible_memory(),
        ),
        nearest: nearest_plan(replica),
    }
}

/// The smallest power of two that divides the heads and fits, in words; beyond the node it says so.
fn nearest_plan(replica: &Replica<'_>) -> Option<String> {
    let heads = replica.model.heads();
    let tp = (0..31)
        .map(|exponent| 1 << exponent)
        .take_while(|tp| *tp <= heads)
        .filter(|tp| heads.is_multiple_of(*tp))
        .find(|tp| fill(replica, ParallelismPlan::tensor(*tp)).kv_blocks > 0)?;
    let (cards, card) = (replica.node.cards, &replica.node.card.name);
    Some(if tp <= cards {
        format!("tp = {tp}")
    } else {
        format!(
            "tp = {tp}, in a node of {tp} {card} (this one has {cards}); or narrower weights, or larger cards"
        )
    })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
