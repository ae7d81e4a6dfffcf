//! Whether a replica fits its cards, and how much KV cache is left.

use super::constants::{ACTIVATION_VECTORS, ENGINE_RESERVE, KV_BLOCK_TOKENS};
use super::dims::ModelDims;
use super::format::{stored_bits, weight_bits};
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
    all_weights(model, precision, weight_bits(precision))
}

/// The same with so many bits for each weight of the layers.
fn all_weights(model: &ModelDims, precision: Precision, bits: f64) -> Bytes {
    let embedding = model.embedding_parameters().min(model.parameters);
    let rest = model.parameters - embedding;
    let bytes = rest as f64 * bits / 8.0 + embedding as f64 * weight_bits(precision).max(16.0) / 8.0;
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
    let streamed = replica.weights_as.streamed;
    if !(0.0..=1.0).contains(&streamed) {
        return Err(PlanError::OutOfRange {
            what: "weight_streaming".to_owned(),
            found: streamed.to_string(),
            range: "from 0 to 1".to_owned(),
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
    let bits = stored_bits(weights, replica.weights_as.sparse);
    let experts = (model.expert_parameters() as f64 * bits / 8.0).ceil() as u64;
    let rest = all_weights(model, weights, bits).0.saturating_sub(experts);
    let all = rest.div_ceil(tp * pp) + experts.div_ceil(tp * dp * pp);
    let weights_per_card = Bytes(all - streamed_bytes(replica, plan, all));
    let tokens_of_rank = u64::from(replica.max_batch_tokens).div_ceil(dp * pp);
    let activations = tokens_of_rank * u64::from(model.hidden) * 2 * ACTIVATION_VECTORS / tp;
    let reserve_per_card = Bytes(ENGINE_RESERVE.0 + activations);
    let kv_per_card = Bytes(budget.0.saturating_sub(weights_per_card.0 + reserve_per_card.0));
    let kv_bytes_per_token = kv_bytes_per_token(model, kv, plan);
    // Each rank has a cache of its own.
    let kv_blocks = dp * (kv_per_card.0 / (kv_bytes_per_token.0 * KV_BLOCK_TOKENS).max(1));
    Fit { budget, weights_per_card, reserve_per_card, kv_per_card, kv_bytes_per_token, kv_blocks }
}

/// Of a card's weights, what lies in host memory: its share, less room for two layers, of which one is read while
/// the next one comes.
fn streamed_bytes(replica: &Replica<'_>, plan: ParallelismPlan, weights_per_card: u64) -> u64 {
    let away = (weights_per_card as f64 * replica.weights_as.streamed) as u64;
    let layers = u64::from((replica.model.layers / plan.pp.max(1)).max(1));
    away.saturating_sub(2 * weights_per_card / layers)
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

/// The nearest plan that would fit: the smallest power of two that divides the heads within a node, else stages
/// on several nodes where their network is known, else a larger node.
fn nearest_plan(replica: &Replica<'_>) -> Option<String> {
    let Replica { model, node, .. } = *replica;
    let heads = model.heads();
    let degrees = || (0..31).map(|exponent| 1 << exponent).take_while(|tp| *tp <= heads);
    let mut divide = degrees().filter(|tp| heads.is_multiple_of(*tp));
    let tp = divide.find(|tp| fill(replica, ParallelismPlan::tensor(*tp)).kv_blocks > 0);
    if let Some(tp) = tp.filter(|tp| *tp <= node.cards) {
        return Some(format!("tp = {tp}"));
    }
    let whole = ParallelismPlan::tensor(node.cards);
    let staged = (2..=model.layers.min(64))
        .map(|pp| ParallelismPlan { pp, ..whole })
        .find(|plan| check_plan(model, node, *plan).is_ok() && fill(replica, *plan).kv_blocks > 0);
    let (cards, card) = (node.cards, &node.card.name);
    let larger = tp.map(|tp| format!("tp = {tp}, in a node of {tp} {card} (this one has {cards})"));
    match (staged, larger) {
        (Some(plan), _) => {
            Some(format!("{plan}, over {} nodes; or narrower weights, or larger cards", plan.pp))
        }
        (None, Some(larger)) => Some(format!("{larger}; or narrower weights, or larger cards")),
        (None, None) => None,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
