//! How much of a fleet may be spot: simulated with its preemptions, the most nodes with which every promise is kept.

use serde::Serialize;

use super::facts::months;
use super::judge::Promise;
use super::search::Case;
use crate::fleet::PoolId;
use crate::units::Usd;
use crate::world::{PoolPlan, RunError, WorldConfig};

/// How many nodes of a pool may be spot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpotLevel {
    /// The pool.
    pub pool: String,
    /// Its nodes.
    pub of_nodes: u32,
    /// Nodes that may be spot.
    pub spot_nodes: u32,
    /// The promise that one more node of spot breaks; null where all may be spot.
    pub breaks: Option<String>,
    /// By how much, in the promise's own unit.
    pub by: Option<f64>,
    /// What a month costs so, in US dollars, as far as the nodes are paid for.
    pub spend_usd_month: f64,
    /// What a month costs without spot, in US dollars.
    pub without_usd_month: f64,
    /// Preemptions to be expected in what was simulated of that many nodes; null where the stock takes them back. A
    /// few are too few to tell: simulate a longer window.
    pub preemptions_expected: Option<f64>,
    /// Runs that it took.
    pub simulations: u64,
}

/// What was simulated, and the first promise that it breaks, with by how much.
type Verdict = (Case, Option<(usize, f64)>);

/// The same fleet with `nodes` of a pool's nodes bought as `spot`; `None` where nodes or replicas of it come and go
/// by themselves, or jobs and shared cards hang on it.
pub fn grafted(config: &WorldConfig, pool: usize, spot: &PoolPlan, nodes: u32) -> Option<WorldConfig> {
    let apart = !config.jobs.is_empty() || config.job_trace.is_some() || !config.hosts.is_empty();
    if apart || config.pools.get(pool)?.fleet.supply.is_some() || config.pools.len() >= usize::from(u16::MAX)
    {
        return None;
    }
    let mut config = config.clone();
    let new = PoolId(config.pools.len() as u16);
    let nodes = nodes.min(config.pools[pool].fleet.nodes);
    config.pools[pool].fleet.nodes -= nodes;
    let mut plan = spot.clone();
    plan.fleet.name = format!("{} as spot", config.pools[pool].fleet.name);
    plan.fleet.nodes = nodes;
    let supply = plan.fleet.supply.as_mut()?;
    (supply.min, supply.max) = (nodes, nodes);
    config.pools.push(plan);
    for deployment in &mut config.deployments {
        let mut options = Vec::with_capacity(deployment.options.len() + 1);
        for option in deployment.options.drain(..) {
            let same = option.pool.index() == pool;
            let other = same.then(|| crate::serving::ReplicaOption { pool: new, ..option.clone() });
            options.push(option);
            options.extend(other);
        }
        deployment.options = options;
    }
    Some(config)
}

/// The most nodes of a pool that may be spot, found by halving: with fewer of them no more is lost.
///
/// # Errors
/// When a run fails.
pub fn most(
    config: &WorldConfig,
    pool: usize,
    spot: &PoolPlan,
    promises: &[Promise],
    replications: u64,
    done: &(dyn Fn() + Sync),
) -> Result<Option<SpotLevel>, RunError> {
    let all = config.pools[pool].fleet.nodes;
    let mut runs = 0;
    let mut judged = |nodes: u32| -> Result<Option<Verdict>, RunError> {
        let Some(config) = grafted(config, pool, spot, nodes) else { return Ok(None) };
        let mut case = Case::default();
        case.extend(&config, promises, replications, false, done)?;
        runs += replications;
        let broken = case.broken(promises);
        Ok(Some((case, broken)))
    };
    let Some((none, _)) = judged(0)? else { return Ok(None) };
    let (mut low, mut high, mut best, mut broken) = (0, all + 1, none.clone(), None);
    while high - low > 1 {
        // All of it is asked for first.
        let nodes = if high > all { all } else { low + (high - low) / 2 };
        let Some((case, lost)) = judged(nodes)? else { return Ok(None) };
        match lost {
            None => (low, best) = (nodes, case),
            Some(lost) => (high, broken) = (nodes, Some(lost)),
        }
        if low == all {
            break;
        }
    }
    let usd = |case: &Case| {
        let sum: i64 = case.spend.iter().map(|spend| spend.as_micros()).sum();
        Usd::from_micros(sum).as_f64() / case.spend.len().max(1) as f64 * months(config.duration)
    };
    let life = spot.fleet.supply.as_ref().and_then(|supply| supply.spot.as_ref()?.life.as_ref());
    let expected = life.map(|life| {
        let hours = config.duration.as_hours_f64() * replications as f64;
        f64::from(low) * hours / life.mean().as_hours_f64().max(1e-9)
    });
    let promise = broken.and_then(|(index, _)| promises.get(index));
    Ok(Some(SpotLevel {
        pool: config.pools[pool].fleet.name.clone(),
        of_nodes: all,
        spot_nodes: low,
        breaks: promise.map(|promise| promise.name.clone()),
        by: broken.map(|(_, by)| by),
        spend_usd_month: usd(&best),
        without_usd_month: usd(&none),
        preemptions_expected: expected,
        simulations: runs,
    }))
}
