//! What a deployment's engine needs beside the plan: host memory for the KV cache, tenants.

use super::pools::Resolved;
use crate::catalog::Precision;
use crate::perf::{ModelDims, ParallelismPlan, kv_bytes_per_token};
use crate::policies::request_order::{RequestOrder, TenantWeights};
use crate::scenario::raw::{RawDeployment, RawScenario};
use crate::serving::{HostMemory, Preemption};
use crate::units::Ticks;

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
