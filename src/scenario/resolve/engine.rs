//! What a deployment's engine needs beside the plan: host memory for the KV cache, tenants.

use super::names::{not_found, unknown};
use super::pools::Resolved;
use crate::catalog::{Catalog, Precision};
use crate::perf::constants::KV_BLOCK_TOKENS;
use crate::perf::{
    AffineStep, Fit, ModelDims, ParallelismPlan, Replica, Roofline, StepModel, kv_bytes_per_token,
};
use crate::policies::request_order::{RequestOrder, TenantWeights};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{Method, RawDeployment, RawScenario, RawTenant};
use crate::scenario::reading::{Reading, Sited};
use crate::serving::{Draft, HostMemory, Preemption};
use crate::units::Ticks;
use crate::world::TenantPlan;

/// Host memory for the KV blocks of preempted requests: every card copies its own part over its own link.
/// `None` where nothing is copied there.
pub fn host_memory(
    raw: &RawDeployment,
    dims: Option<&ModelDims>,
    kv: Precision,
    plan: ParallelismPlan,
    pool: &Resolved,
) -> Result<Option<HostMemory>, String> {
    if raw.batching.preemption != Preemption::Swap {
        return Ok(None);
    }
    let Some(dims) = dims else {
        return Err(format!(
            "preemption = \"swap\" copies KV blocks, and the size of one is not known: the catalogue has not all \
             dimensions of `{}`; add them under [[models]], or take preemption = \"recompute\"",
            *raw.model
        ));
    };
    let card = pool.node.as_ref().ok().map(|node| node.card.pcie);
    let Some(bandwidth) = raw.swap.bandwidth.or(card) else {
        return Err(
            "how fast a card copies to host memory is not known; give batching.swap_bandwidth, as in \
                    swap_bandwidth = \"25 GB/s\""
                .to_owned(),
        );
    };
    let block = kv_bytes_per_token(dims, kv, plan).0 * u64::from(raw.block_tokens);
    Ok(Some(HostMemory {
        blocks: raw.swap.space.0 / block.max(1),
        copy: Ticks::from_secs_f64(block as f64 / bandwidth.as_f64()),
    }))
}

/// The tenants' weights, where the order weighs them; streams without a tenant have one of their own, of
/// weight 1.
pub fn tenants(raw: &RawDeployment, scenario: &RawScenario) -> TenantWeights {
    if raw.batching.order != RequestOrder::Vtc {
        return TenantWeights::default();
    }
    let weights = scenario.tenants.iter().map(|tenant| tenant.weight).chain([1.0]);
    TenantWeights::new(&weights.collect::<Vec<_>>())
}

/// The tenants of a scenario.
pub fn tenant_plans(tenants: &[RawTenant]) -> Vec<TenantPlan> {
    let plan =
        |raw: &RawTenant| TenantPlan { name: raw.name.value.clone(), weight: raw.weight, limits: raw.limits };
    tenants.iter().map(plan).collect()
}

/// What proposes tokens.
#[derive(Debug)]
pub enum Drafter {
    /// Nothing, or a look-up that costs nothing.
    Free,
    /// A model that makes one token a pass: a draft model, or EAGLE's layer; and the parameters that it adds.
    Model { dims: Box<ModelDims>, parameters: u64 },
    /// Heads side by side, with so many parameters together.
    Heads(u64),
}

/// What a deployment's `speculative` says, with the figures that it needs. `None` after errors have been recorded.
pub fn drafter(
    raw: &RawDeployment,
    target: Option<&ModelDims>,
    catalog: &Catalog,
    reading: &mut Reading,
) -> Option<Drafter> {
    let Some(speculative) = &raw.speculative else { return Some(Drafter::Free) };
    let tokens = speculative.speculation.tokens;
    let needed = raw.batching.max_batch_requests.saturating_mul(1 + tokens);
    if raw.batching.max_batch_tokens < needed {
        let message = format!(
            "deployment `{}` proposes {tokens} tokens a request: {} requests need {needed} tokens in an iteration, \
             and max_batch_tokens is {}",
            *raw.name, raw.batching.max_batch_requests, raw.batching.max_batch_tokens
        );
        let help = "raise batching.max_batch_tokens, or lower max_batch_requests or speculative.tokens";
        reading.problem(Problem::error(speculative.tokens.place, message).help(help));
        return None;
    }
    let named = match &speculative.model {
        None => None,
        Some(name) => Some(draft_model(raw, name, target, catalog, reading)?),
    };
    // A pass whose time is stated needs no more.
    let Some(target) = target else { return Some(Drafter::Free) };
    let (hidden, vocabulary) = (u64::from(target.hidden), u64::from(target.vocabulary));
    Some(match (speculative.method, named) {
        (Method::DraftModel, Some(dims)) => {
            Drafter::Model { parameters: dims.parameters, dims: Box::new(dims) }
        }
        // One decoder layer behind a matrix of 2h x h, with the model's own embedding and head (Li et al.,
        // "EAGLE", ICML 2024, arXiv 2401.15077, section 3). Of experts, as many as a token uses.
        (Method::Eagle, _) => {
            let layer = (target.active_parameters() - hidden * vocabulary) / u64::from(target.layers.max(1));
            let parameters = layer + 2 * hidden * hidden;
            let dims = ModelDims {
                parameters: parameters + target.embedding_parameters(),
                layers: 1,
                window: None,
                experts: None,
                ..target.clone()
            };
            Drafter::Model { dims: Box::new(dims), parameters }
        }
        // Each head a matrix of h x h and an output head of its own (Cai et al., "Medusa", ICML 2024, arXiv
        // 2401.10774, section 2.1.1).
        (Method::Medusa, _) => Drafter::Heads(u64::from(tokens) * hidden * (hidden + vocabulary)),
        _ => Drafter::Free,
    })
}

fn draft_model(
    raw: &RawDeployment,
    name: &Sited<String>,
    target: Option<&ModelDims>,
    catalog: &Catalog,
    reading: &mut Reading,
) -> Option<ModelDims> {
    let model = match catalog.model(name) {
        Ok(model) => model,
        Err(missing) => {
            if !reading.is_broken("models", name) {
                reading.problem(not_found(name.place, &missing));
            }
            return None;
        }
    };
    let dims =
        ModelDims::try_from(model).map_err(|missing| reading.problem(unknown(name.place, &missing))).ok()?;
    if let Some(target) = target.filter(|target| target.vocabulary != dims.vocabulary) {
        let message = format!(
            "the draft `{}` has a vocabulary of {} tokens, and `{}` one of {}: it cannot propose its tokens",
            **name, dims.vocabulary, *raw.model, target.vocabulary
        );
        reading.problem(Problem::error(name.place, message).help("take a draft of the same family"));
        return None;
    }
    Some(dims)
}

impl Drafter {
    /// What proposing costs on a replica; of a replica that is stated, only what is stated itself.
    pub fn draft(&self, raw: &RawDeployment, replica: Option<&Replica<'_>>) -> Result<Option<Draft>, String> {
        let Some(speculative) = &raw.speculative else { return Ok(None) };
        let passes = match speculative.method {
            Method::Medusa => 1,
            Method::Ngram => return Ok(None),
            _ => speculative.speculation.tokens,
        };
        if let Some(stated) = speculative.step_time {
            return Ok(Some(Draft { step: StepModel::Affine(stated), passes }));
        }
        let Some(replica) = replica else {
            return Err("its iterations are stated, and those of its draft are not; give \
                        speculative.step_time, as in step_time = { base = \"1ms\" }"
                .to_owned());
        };
        let tp = replica.plan.tp;
        let step = match self {
            Self::Free => return Ok(None),
            Self::Model { dims, .. } => {
                let draft = Replica { model: dims, plan: ParallelismPlan::tensor(tp), ..*replica };
                let step = Roofline::new(&draft).map_err(|error| format!("its draft: {error}"))?;
                StepModel::Roofline(step)
            }
            Self::Heads(parameters) => {
                let bytes = *parameters as f64 * 2.0 / f64::from(tp);
                let rate = replica.node.card.memory_bandwidth.as_f64() * replica.constants.weight_bandwidth;
                StepModel::Affine(AffineStep {
                    base: Ticks::from_secs_f64(bytes / rate),
                    ..AffineStep::default()
                })
            }
        };
        Ok(Some(Draft { step, passes }))
    }

    /// Tokens of KV cache beside the weights of the draft and its own KV cache.
    pub fn kv_tokens(&self, replica: &Replica<'_>, fit: &Fit) -> u64 {
        let plan = ParallelismPlan::tensor(replica.plan.tp);
        let (weights, kv) = match self {
            Self::Free => return fit.kv_tokens(),
            Self::Model { dims, parameters } => {
                let bytes = *parameters as f64 * f64::from(replica.weights.bits()) / 8.0;
                (bytes, kv_bytes_per_token(dims, replica.kv, plan).0)
            }
            Self::Heads(parameters) => (*parameters as f64 * 2.0, 0),
        };
        let left = fit.kv_per_card.0.saturating_sub((weights / f64::from(plan.tp)).ceil() as u64);
        let block = (fit.kv_bytes_per_token.0 + kv) * KV_BLOCK_TOKENS;
        u64::from(replica.plan.dp) * (left / block.max(1)) * KV_BLOCK_TOKENS
    }
}
