//! The plan taken when a scenario says `parallelism = "auto"`.

use super::constants::KV_BUDGET_TOKENS;
use super::memory::{Fit, fit};
use super::plan::{ParallelismPlan, PlanError, Replica};

/// The plan chosen and the plans passed over.
#[derive(Debug, Clone, PartialEq)]
pub struct AutoPlan {
    /// The plan.
    pub plan: ParallelismPlan,
    /// How it fills its cards.
    pub fit: Fit,
    /// Smaller plans, and why not, in a few words each.
    pub rejected: Vec<(ParallelismPlan, String)>,
}

/// The smallest tensor-parallel degree (a power of two that divides the heads, within one node) whose KV
/// cache holds [`KV_BUDGET_TOKENS`] tokens, or sixteen full contexts of a model for which that is less. Where
/// none does, the one with the largest KV cache of those that fit. `replica.plan` is ignored.
///
/// # Errors
/// When no degree fits: the error of the largest one.
pub fn auto_plan(replica: &Replica<'_>) -> Result<AutoPlan, PlanError> {
    let wanted = KV_BUDGET_TOKENS.min(replica.model.max_context.saturating_mul(16)).max(1);
    let mut rejected = Vec::new();
    let mut largest: Option<(ParallelismPlan, Fit)> = None;
    let mut error = None;
    let degrees = (0..31).map(|exponent| 1u32 << exponent).take_while(|tp| *tp <= replica.node.cards.max(1));
    for tp in degrees.filter(|tp| replica.model.heads().is_multiple_of(*tp)) {
        let plan = ParallelismPlan::tensor(tp);
        match fit(&Replica { plan, ..*replica }) {
            Ok(fit) if fit.kv_tokens() >= wanted => return Ok(AutoPlan { plan, fit, rejected }),
            Ok(fit) => {
                rejected.push((
                    plan,
                    format!("KV cache for {} tokens only; {wanted} are wanted", fit.kv_tokens()),
                ));
                if largest.is_none_or(|(_, known)| fit.kv_blocks >= known.kv_blocks) {
                    largest = Some((plan, fit));
                }
            }
            Err(why) => {
                rejected.push((plan, why.to_string()));
                error = Some(why);
            }
        }
    }
    match (largest, error) {
        (Some((plan, fit)), _) => {
            rejected.retain(|(other, _)| *other != plan);
            Ok(AutoPlan { plan, fit, rejected })
        }
        (None, Some(error)) => Err(error),
        // Degree 1 is always tried: it divides every number of heads but 0.
        (None, None) => fit(&Replica { plan: ParallelismPlan::tensor(1), ..*replica }).map(|fit| AutoPlan {
            plan: ParallelismPlan::tensor(1),
            fit,
            rejected,
        }),
    }
}
