//! The plan taken when a scenario says `parallelism = "auto"`.

mod kept;

use super::constants::KV_BUDGET_TOKENS;
use super::memory::{Fit, fit};
use super::plan::{ParallelismPlan, PlanError, Replica};
use crate::units::{Duration, Rate};
use kept::Kept;

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
    /// What it does not keep under the expected load, where no plan for which there are cards does.
    pub misses_loaded: Option<String>,
}

/// What a plan should keep beside fitting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// Nodes that a replica may take.
    pub nodes: u32,
    /// A prompt, in tokens; 0 when it is not known.
    pub prompt_tokens: u32,
    /// Time to first token.
    pub ttft: Option<Duration>,
    /// Time per output token.
    pub tpot: Option<Duration>,
    /// What comes to one replica; nothing looks at a request alone only.
    pub load: Option<ExpectedLoad>,
    /// Cards that there are for each replica.
    pub cards_each: u32,
}

/// What comes to one replica in the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedLoad {
    /// Requests that come whatever becomes of the others.
    pub arrivals: Rate,
    /// Users each of whom has one request at a time.
    pub users: f64,
    /// An answer, in tokens.
    pub output_tokens: u32,
    /// Requests in the batch at most.
    pub max_batch_requests: u32,
}

impl Promise {
    /// Nothing, in one node.
    pub const NONE: Self =
        Self { nodes: 1, prompt_tokens: 0, ttft: None, tpot: None, load: None, cards_each: u32::MAX };
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
/// promise when a request that is alone on the replica does, and one among the batch that the expected load makes.
///
/// Where none does all of that, the smallest is taken that keeps it for a request alone; where none does either, the
/// one with the largest KV cache of those that keep it; else the smallest with room for its KV cache, or the one with
/// the most. What it misses is said. `replica.plan` is ignored.
///
/// # Errors
/// When none fits: the error of the largest one.
pub fn cheapest_plan(replica: &Replica<'_>, promise: &Promise) -> Result<AutoPlan, PlanError> {
    let wanted = KV_BUDGET_TOKENS.min(replica.model.max_context.saturating_mul(16)).max(1);
    let mut rejected: Vec<(ParallelismPlan, String)> = Vec::new();
    // Those that fit somehow.
    let mut second: Vec<Second> = Vec::new();
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
        let kept = Kept::of(&replica, &fit, promise)?;
        let small = (fit.kv_tokens() < wanted)
            .then(|| format!("KV cache for {} tokens only; {wanted} are wanted", fit.kv_tokens()));
        let misses = kept.alone.as_ref().or(kept.loaded.as_ref());
        let whys: Vec<String> = small.iter().chain(misses).cloned().collect();
        if whys.is_empty() {
            // More cards for the load's sake must be there; for a request alone it needs them anyway.
            let smaller = second.iter().any(|other: &Second| other.roomy && other.kept.alone.is_none());
            if plan.cards() <= promise.cards_each || !smaller {
                return Ok(AutoPlan { plan, fit, rejected, misses: None, misses_loaded: None });
            }
            rejected.push((plan, format!("there are {} cards for each replica", promise.cards_each)));
            continue;
        }
        rejected.push((plan, whys.join("; ")));
        second.push(Second { plan, fit, kept, roomy: small.is_none() });
    }
    let largest = |a: &&Second, b: &&Second| a.fit.kv_blocks.cmp(&b.fit.kv_blocks);
    let alone = || second.iter().filter(|other| other.kept.alone.is_none());
    let first = || alone().find(|other| other.roomy);
    let roomy = || second.iter().find(|other| other.roomy);
    let best = first().or_else(|| alone().max_by(largest)).or_else(roomy);
    match (best.or_else(|| second.iter().max_by(largest)), error) {
        (Some(Second { plan, fit, kept, .. }), _) => {
            rejected.retain(|(other, _)| other != plan);
            let Kept { alone, loaded } = kept.clone();
            Ok(AutoPlan { plan: *plan, fit: *fit, rejected, misses: alone, misses_loaded: loaded })
        }
        (None, Some(error)) => Err(error),
        // Degree 1 is always tried: it divides every number of heads but 0.
        (None, None) => {
            let plan = ParallelismPlan::tensor(1);
            let fit = fit(&Replica { plan, ..*replica })?;
            Ok(AutoPlan { plan, fit, rejected, misses: None, misses_loaded: None })
        }
    }
}

/// A plan that fits, and does not do all that it should.
struct Second {
    plan: ParallelismPlan,
    fit: Fit,
    kept: Kept,
    roomy: bool,
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
