//! Replicas over several nodes whose links others use as well.

use super::pools::Resolved;
use crate::perf::{OnLinks, Replica, Roofline, StepModel};
use crate::topology::Pattern;

/// How long iterations last with a share of the nodes' network; nothing for a replica within a node, or where the
/// pool's network does not block.
pub fn on_links(replica: &Replica<'_>, pool: &Resolved) -> Option<OnLinks<StepModel>> {
    let plan = replica.plan;
    if pool.plan.fleet.fabric.is_none() || plan.cards() <= replica.node.cards {
        return None;
    }
    let pattern = if plan.dp > 1 { Pattern::AllToAll } else { Pattern::Ring };
    let (model, node, constants) = (replica.model.clone(), replica.node.clone(), *replica.constants);
    let Replica { weights, kv, memory_utilization, max_batch_tokens, engine, weights_as, .. } = *replica;
    Some(OnLinks::new(pattern, move |share| {
        let node = node.with_network(share);
        let replica = Replica {
            model: &model,
            node: &node,
            weights,
            kv,
            plan,
            memory_utilization,
            max_batch_tokens,
            engine,
            constants: &constants,
            weights_as,
        };
        Some(StepModel::Roofline(Roofline::new(&replica).ok()?))
    }))
}
