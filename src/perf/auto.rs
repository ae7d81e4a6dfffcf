//! The plan taken when a scenario says `parallelism = "auto"`.

use super::constants::{KV_BLOCK_TOKENS, KV_BUDGET_TOKENS};
use super::memory::{Fit, fit};
use super::plan::{ParallelismPlan, PlanError, Replica};
use super::roofline::Roofline;
use super::step::BatchShape;
use crate::units::Duration;

/// Most stages that are tried over several nodes.
const MOST_STAGES: u32 = 16;

/// The plan chosen and the plans passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoPlan {
    /// The plan.
    pub plan: ParallelismPlan,
    /// How it fills its cards.
    pub fit: Fit,
    /// Smaller plans, and why not, in a few words each.
    pub rejected: Vec<(ParallelismPlan, String)>,
    /// What the plan itself does not keep, where none does.
    pub misses: Option<String>,
}

/// What a plan should keep beside fitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Nodes that a replica may take.
    pub nodes: u32,
    /// A prompt, in tokens; 0 when it is not known.
    pub prompt_tokens: u32,
    /// Time to first token.
    pub ttft: Option<Duration>,
    /// Time per output token.
    pub tpot: Option<Duration>,
}

impl Promise {
    /// Nothing, in one node.
    pub const NONE: Self = Self { nodes: 1, prompt_tokens: 0, ttft: None, tpot: None };
}

/// [`cheapest_plan`] without a promise: the smallest that fits in a node.
///
/// # Errors
/// When none fits: the error of the largest one.
pub fn auto_plan(replica: &Replica<'_>) -> Result<AutoPlan, PlanError> {
    cheapest_plan(replica, &Promise::NONE)
}

/// The plan of least cost that fits and keeps a promise. All cards of a pool cost the same, so that is the one of
/// fewest cards: tensor parallelism in powers of two that divide the heads within a node, then stages of whole
/// nodes; for mixtures of experts also ranks of attention that share the experts among them. It fits when its KV
/// cache holds [`KV_BUDGET_TOKENS`] tokens, or sixteen full contexts of a model for which that is less. It keeps the
/// promise when a request that is alone on the replica does: what a batch of many takes is for the simulation to say.
///
/// Where none does both, the one with the largest KV cache of those that keep the promise is taken; else the
/// smallest with room for its KV cache, or the one with the most, and what it misses is said. `replica.plan` is
/// ignored.
///
/// # Errors
/// When none fits: the error of the largest one.
pub fn cheapest_plan(replica: &Replica<'_>, promise: &Promise) -> Result<AutoPlan, PlanError> {
    let wanted = KV_BUDGET_TOKENS.min(replica.model.max_context.saturating_mul(16)).max(1);
    let mut rejected: Vec<(ParallelismPlan, String)> = Vec::new();
    // Those that fit somehow: the plan, how it fits, what it misses.
    let mut second: Vec<(ParallelismPlan, Fit, Option<String>)> = Vec::new();
    let mut error = None;
    for plan in candidates(replica, promise.nodes) {
        let replica = Replica { plan, ..*replica };
        let fit = match fit(&replica) {
            Ok(fit) => fit,
            Err(why) => {
                rejected.push((plan, short(&why)));
                error = Some(why);
                continue;
            }
        };
        let misses = missed(&replica, promise)?;
        let small = (fit.kv_tokens() < wanted)
            .then(|| format!("KV cache for {} tokens only; {wanted} are wanted", fit.kv_tokens()));
        if small.is_none() && misses.is_none() {
            return Ok(AutoPlan { plan, fit, rejected, misses });
        }
        let why = small.into_iter().chain(misses.clone()).collect::<Vec<_>>().join("; ");
        rejected.push((plan, why));
        second.push((plan, fit, misses));
    }
    let largest = |a: &&(_, Fit, _), b: &&(_, Fit, _)| a.1.kv_blocks.cmp(&b.1.kv_blocks);
    let kept = second.iter().filter(|(_, _, misses)| misses.is_none()).max_by(largest);
    let roomy = || second.iter().find(|(_, fit, _)| fit.kv_tokens() >= wanted);
    match (kept.or_else(roomy).or_else(|| second.iter().max_by(largest)), error) {
        (Some((plan, fit, misses)), _) => {
            rejected.retain(|(other, _)| other != plan);
            Ok(AutoPlan { plan: *plan, fit: *fit, rejected, misses: misses.clone() })
        }
        (None, Some(error)) => Err(error),
        // Degree 1 is always tried: it divides every number of heads but 0.
        (None, None) => {
            let plan = ParallelismPlan::tensor(1);
            let fit = fit(&Replica { plan, ..*replica })?;
            Ok(AutoPlan { plan, fit, rejected, misses: None })
        }
    }
}

/// Why a plan does not do, in a few words.
fn short(why: &PlanError) -> String {
    match why {
        PlanError::DoesNotFit(misfit) => {
            format!("needs {} on each card, which has {} to give", misfit.needed, misfit.available)
        }
        other => other.to_string(),
    }
}

/// Plans by rising number of cards.
fn candidates(replica: &Replica<'_>, nodes: u32) -> Vec<ParallelismPlan> {
    let (node, heads) = (replica.node, replica.model.heads());
    let degrees = (0..31).map(|exponent| 1u32 << exponent).take_while(|tp| *tp <= node.cards.max(1));
    let mut plans: Vec<_> =
        degrees.filter(|tp| heads.is_multiple_of(*tp)).map(ParallelismPlan::tensor).collect();
    let reaches = node.cards > 0 && node.scale_out.is_some();
    if reaches && heads.is_multiple_of(node.cards) {
        let stages = 2..=nodes.min(MOST_STAGES).min(replica.model.layers);
        let equal = stages.filter(|pp| replica.model.layers.is_multiple_of(*pp));
        plans.extend(equal.map(|pp| ParallelismPlan { pp, ..ParallelismPlan::tensor(node.cards) }));
    }
    if let Some(experts) = replica.model.experts {
        // Ranks of attention that share the experts, over any power of two of a node's cards and over whole nodes.
        let within = (1..31).map(|exponent| 1u32 << exponent).take_while(|cards| *cards <= node.cards);
        let over = (2..=nodes.min(MOST_STAGES)).filter(|_| reaches).map(|nodes| nodes * node.cards);
        let ranks = within.chain(over).map(|dp| {
            let ep =
                (1..=dp).rev().find(|ep| dp.is_multiple_of(*ep) && experts.per_layer.is_multiple_of(*ep));
            ParallelismPlan { tp: 1, pp: 1, dp, ep: ep.unwrap_or(1) }
        });
        plans.extend(ranks);
        // Of as many cards, layers cut first: a request alone is served soonest so.
        plans.sort_by_key(|plan| plan.cards());
    }
    plans
}

/// What of a promise a request alone on the replica does not keep, in words.
fn missed(replica: &Replica<'_>, promise: &Promise) -> Result<Option<String>, PlanError> {
    if promise.ttft.is_none() && promise.tpot.is_none() {
        return Ok(None);
    }
    let roofline = Roofline::new(replica)?;
    let chunk = u64::from(replica.max_batch_tokens.max(1));
    let (mut before, mut first) = (0u64, 0.0);
    while before < u64::from(promise.prompt_tokens) {
        let tokens = chunk.min(u64::from(promise.prompt_tokens) - before);
        let batch = BatchShape {
            prefill_requests: 1,
            prefill_tokens: tokens as u32,
            prefill_pairs: tokens * before + tokens * (tokens + 1) / 2,
            prefill_context: before + tokens,
            ..BatchShape::default()
        };
        first += roofline.segment(&batch).first.as_secs_f64();
        before += tokens;
    }
    let context = u64::from(promise.prompt_tokens).max(KV_BLOCK_TOKENS);
    let window = replica.model.window.map_or(context, |window| context.min(u64::from(window.tokens)));
    let next = BatchShape {
        decode_requests: 1,
        decode_context: context,
        window_context: window,
        ..BatchShape::default()
    };
    let each = roofline.segment(&next).first.as_secs_f64();
    let over = |what: &str, found: f64, limit: Option<Duration>| {
        limit
            .filter(|limit| found > limit.as_secs_f64())
            .map(|limit| format!("{what} of a request alone is {:.1} ms, over its {limit}", found * 1e3))
    };
    Ok(over("TTFT", first, promise.ttft).or_else(|| over("TPOT", each, promise.tpot)))
}
