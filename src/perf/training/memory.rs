//! The memory of a training job's cards.

use super::super::constants as c;
use super::super::plan::{DoesNotFit, ParallelismPlan};
use super::{TrainingJob, Zero};
use crate::units::Bytes;

/// How a cut fills a card.
pub(super) struct Memory {
    /// State and what sharding gathers, in bytes.
    pub(super) state: f64,
    /// Activations of one token of a micro-batch, in bytes.
    pub(super) per_token: f64,
    /// What a card can give, in bytes.
    pub(super) budget: f64,
}

impl Memory {
    pub(super) fn of(
        job: &TrainingJob<'_>,
        plan: ParallelismPlan,
        ranks: u32,
        sharded: bool,
        recompute: bool,
    ) -> Self {
        let model = job.model;
        let layout = job.layout;
        let stage = f64::from(plan.tp) * f64::from(layout.pp);
        let ranks = f64::from(ranks) * f64::from(layout.cp);
        let experts = model.expert_parameters() as f64 / f64::from(layout.ep);
        let held = (model.parameters as f64 - model.expert_parameters() as f64 + experts) / stage;
        let bytes = if job.adapters_only { 2.0 } else { job.state.bytes_per_parameter() as f64 };
        // Sharded, all of the state is cut over the ranks; else, over several ranks of a pipeline, the
        // optimizer's part still is (ZeRO-1, Megatron's distributed optimizer).
        let mut state = match (sharded, layout.pp > 1 || layout.ep > 1) {
            _ if job.zero.is_some() && !job.adapters_only => held * zero_bytes(job, ranks),
            (true, _) => held * bytes / ranks,
            (false, true) if bytes > 4.0 => held * (4.0 + (bytes - 4.0) / ranks),
            _ => held * bytes,
        };
        let layer = held * f64::from(layout.pp) / f64::from(model.layers.max(1));
        if sharded {
            // Two layers are gathered at a time, in 16 bits, and one layer's gradients wait.
            state += 3.0 * 2.0 * layer;
        }
        // Of each layer 34 bytes a token and unit of width, attention's scores never stored (Korthikanti et
        // al., arXiv 2205.05198, equation 2 without its second term); with recomputation only the layer's
        // input, and one layer at work.
        let (hidden, layers) = (f64::from(model.hidden), f64::from(model.layers));
        // Frozen layers need no gradients of their weights, so that the inputs of matrix products are let go:
        // 16 of the 34.
        let each = if job.adapters_only { 18.0 } else { 34.0 };
        // A byte of the mask and two values of 16 bits for each head and pair of tokens: the second term of that
        // equation, 5·a·s/h of each unit of width.
        let scores = if job.scores_kept {
            5.0 * f64::from(model.heads()) * f64::from(job.sequence) / f64::from(model.hidden.max(1))
        } else {
            0.0
        };
        let each = each + scores;
        let kept = if recompute { 2.0 * layers + each } else { each * layers };
        // Logits in 32 bits and their gradients in 16.
        let logits = 6.0 * f64::from(model.vocabulary);
        let visible = job.node.card.visible_memory().0 as f64;
        Self {
            state,
            per_token: (kept * hidden + logits / f64::from(layout.pp))
                / (f64::from(plan.tp) * f64::from(layout.cp)),
            budget: visible * job.memory_utilization - c::ENGINE_RESERVE.0 as f64,
        }
    }
}

/// Bytes of state that a card holds for each parameter of its stage under a stage of ZeRO.
fn zero_bytes(job: &TrainingJob<'_>, ranks: f64) -> f64 {
    let (weights, gradients) = job.state.weights_and_gradients();
    let optimizer = job.state.bytes_per_parameter() - weights - gradients;
    let (weights, gradients, optimizer) = (weights as f64, gradients as f64, optimizer as f64);
    match job.zero {
        None | Some(Zero::Nothing) => weights + gradients + optimizer,
        Some(Zero::Optimizer) => weights + gradients + optimizer / ranks,
        Some(Zero::Gradients) => weights + (gradients + optimizer) / ranks,
        Some(Zero::Weights) => (weights + gradients + optimizer) / ranks,
    }
}

/// The refusal for the tightest cut that was tried.
pub(super) fn does_not_fit(
    job: &TrainingJob<'_>,
    plan: ParallelismPlan,
    ranks: u32,
    tightest: Option<(Memory, bool, bool)>,
) -> DoesNotFit {
    let (memory, sharded, recompute) =
        tightest.unwrap_or_else(|| (Memory::of(job, plan, ranks, false, true), false, true));
    let bytes = |value: f64| Bytes(value.max(0.0) as u64);
    let activations = memory.per_token * f64::from(job.sequence);
    let fits = |memory: Memory| memory.state + memory.per_token * f64::from(job.sequence) <= memory.budget;
    let nearest = if job.sharded == Some(false) {
        let degrees = (0..31).map(|exponent| 1u32 << exponent).take_while(|tp| *tp <= job.node.cards);
        degrees
            .filter(|tp| job.model.heads().is_multiple_of(*tp))
            .find(|tp| fits(Memory::of(job, ParallelismPlan::tensor(*tp), 1, false, true)))
            .map(|tp| format!("tp = {tp} with recomputation, or sharded state"))
    } else {
        // Sharded over twice as many cards, and so on: the state shrinks, activations stay.
        let counts = (1..=16).map(|exponent| job.cards.saturating_mul(1 << exponent));
        counts
            .into_iter()
            .find(|cards| fits(Memory::of(job, plan, cards / plan.tp, true, true)))
            .map(|cards| format!("{cards} cards with sharded state and recomputation"))
    };
    DoesNotFit {
        model: format!(
            "training {} on {} cards (tp = {}, data-parallel ranks: {})",
            job.model.name, job.cards, plan.tp, ranks
        ),
        card: job.node.card.name.clone(),
        needed: bytes(memory.state + activations),
        available: bytes(memory.budget),
        why: format!(
            "{} of weights, gradients and optimizer state at {} bytes a parameter{} + {} of activations of one \
             sequence of {} tokens{}",
            bytes(memory.state),
            job.state.bytes_per_parameter(),
            if sharded { ", sharded over all cards" } else { "" },
            bytes(activations),
            job.sequence,
            if recompute { ", recomputed" } else { "" },
        ),
        nearest,
    }
}
