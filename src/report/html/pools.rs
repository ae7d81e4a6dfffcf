//! Pools as tables show them: one by one, or like ones together where there are too many to read.

use crate::metrics::results::{EnergySummary, PoolSummary, UtilizationSummary};
use crate::report::format::plural;

/// More pools than this are told in groups.
const MOST: usize = 60;

/// The pools, or, of very many, those of one provider, offer and purchase option as one.
pub(super) fn grouped(pools: &[PoolSummary]) -> Vec<PoolSummary> {
    if pools.len() <= MOST {
        return pools.to_vec();
    }
    let mut groups: Vec<(PoolSummary, u64)> = Vec::new();
    for pool in pools {
        let alike = |(group, _): &&mut (PoolSummary, u64)| {
            (&group.provider, &group.offer, &group.purchase) == (&pool.provider, &pool.offer, &pool.purchase)
        };
        match groups.iter_mut().find(alike) {
            Some((group, count)) => {
                join(group, pool);
                *count += 1;
            }
            None => groups.push((pool.clone(), 1)),
        }
    }
    let named = |(mut group, count): (PoolSummary, u64)| {
        if count > 1 {
            group.name = format!("{} like {}", plural(count, "pool"), group.name);
        }
        group
    };
    groups.into_iter().map(named).collect()
}

/// Adds a pool to a group; shares are weighted by card-hours.
fn join(group: &mut PoolSummary, pool: &PoolSummary) {
    let (a, b) = (group.card_hours, pool.card_hours);
    let mean = |x: Option<f64>, y: Option<f64>| {
        let sum = x? * a + y? * b;
        (a + b > 0.0).then(|| sum / (a + b))
    };
    let (x, y) = (group.utilization, pool.utilization);
    group.utilization = UtilizationSummary {
        allocated: mean(x.allocated, y.allocated),
        busy: mean(x.busy, y.busy),
        mfu: mean(x.mfu, y.mfu),
    };
    group.nodes += pool.nodes;
    group.cards += pool.cards;
    group.card_hours += pool.card_hours;
    group.spend.total_usd += pool.spend.total_usd;
    for (cause, usd) in &pool.spend.by_cause {
        match group.spend.by_cause.iter_mut().find(|(known, _)| known == cause) {
            Some((_, sum)) => *sum += usd,
            None => group.spend.by_cause.push((cause.clone(), *usd)),
        }
    }
    // What a token cost is not a sum.
    group.spend.usd_per_1m_output_tokens = None;
    let add = |x: Option<f64>, y: Option<f64>| x.zip(y).map(|(x, y)| x + y);
    group.energy = EnergySummary {
        kwh: add(group.energy.kwh, pool.energy.kwh),
        kg_co2e: add(group.energy.kg_co2e, pool.energy.kg_co2e),
    };
}
