//! What is known of a fleet before it is simulated: what it costs, what it draws, who serves where.

use std::sync::Arc;

use super::bound::{Bounds, Group};
use super::sweep::fingerprint;
use super::work::Server;
use crate::fleet::{Claim, ClaimResult, Holder, Inventory, PoolConfig, Shape};
use crate::metrics::{Goals, Survive};
use crate::serving::{DeploymentConfig, Role};
use crate::units::{Duration, Instant, Usd, Watts};
use crate::world::{PoolPlan, WorldConfig};

/// Hours in a month, as clouds count them: 8,760 ÷ 12.
pub const HOURS_PER_MONTH: f64 = 730.0;

/// How many times the window of a scenario fits into a month.
pub fn months(window: Duration) -> f64 {
    HOURS_PER_MONTH * 3600.0 / window.as_secs_f64()
}

/// Where a pool is and what its cards may draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The region; empty when nobody says.
    pub region: String,
    /// The design power of one card; `None` when nobody knows it.
    pub card_power: Option<Watts>,
}

/// Whether the same nodes of a pool are there from the first instant to the last, at a price by the hour and
/// nothing else, so that what they cost is known before.
pub fn is_static(pool: &PoolPlan) -> bool {
    pool.fleet.supply.is_none()
        && pool.tariff.commitment.is_none()
        && pool.price_path.is_empty()
        && pool.block.is_none()
}

/// Whether the same replicas serve whole requests from the first instant to the last, so that what they can do is
/// known before.
pub fn is_fixed(config: &WorldConfig) -> bool {
    let whole = |deployment: &DeploymentConfig| matches!(deployment.role, Role::Whole);
    config.scalers.is_empty()
        && config.node_scaler.is_none()
        && config.pools.iter().all(|pool| pool.fleet.supply.is_none())
        && config.deployments.iter().all(whole)
        // What an API or a cache of responses does for them has no bound, and neither has what is proposed and kept.
        && config.streams.iter().all(|stream| stream.overflow.is_none() && stream.cache.is_none())
        && config.deployments.iter().all(|deployment| deployment.speculation.is_none())
        // Replicas on shared cards are placed when they are wanted.
        && config.hosts.is_empty()
}

/// What is billed for the window at least; exactly that where [`is_exact`].
pub fn spend(config: &WorldConfig) -> Usd {
    let billed = |pool: &PoolPlan| {
        if !is_static(pool) {
            return Usd::ZERO;
        }
        let nodes = u128::from(pool.fleet.nodes);
        let each = pool.tariff.billed(config.duration);
        pool.tariff.price.cost_of_nanos(nodes * u128::from(each.as_nanos()))
    };
    config.pools.iter().map(billed).sum()
}

/// Whether [`spend`] is what is billed, neither more nor less.
pub fn is_exact(config: &WorldConfig) -> bool {
    let unmetered = |pool: &PoolPlan| {
        pool.egress.is_none() && pool.power.as_ref().is_none_or(|power| power.price.is_none())
    };
    // An API that nobody overflows to bills nothing.
    config.streams.iter().all(|stream| stream.overflow.is_none())
        && config.pools.iter().all(|pool| is_static(pool) && unmetered(pool))
}

/// Cards provisioned at most.
pub fn cards(config: &WorldConfig) -> u64 {
    let cards = |pool: &PoolConfig| u64::from(pool.slots()) * u64::from(pool.cards_per_node);
    config.pools.iter().map(|pool| cards(&pool.fleet)).sum()
}

/// For each deployment the options that its replicas get, in order, as a run places them at its beginning.
pub fn placed(config: &WorldConfig) -> Vec<Vec<usize>> {
    let pools = config.pools.iter().map(|pool| &pool.fleet);
    let mut inventory = Inventory::new(pools, config.placement).seeded(config.seed);
    let mut place = |(number, deployment): (usize, &DeploymentConfig)| {
        let claim = |replica| Claim {
            holder: Holder::Replica(number as u32, replica),
            options: deployment
                .options
                .iter()
                .map(|option| (option.pool, Shape::OneNode { cards: option.cards }))
                .collect(),
            priority: 0,
            preemptible: false,
        };
        let mut options = Vec::new();
        for replica in 0..deployment.replicas {
            let ClaimResult::Lease(lease) = inventory.claim(Instant::ZERO, claim(replica)) else { break };
            options.push(inventory.lease(lease).map_or(0, |lease| lease.option));
        }
        options
    };
    config.deployments.iter().enumerate().map(&mut place).collect()
}

/// A text that two fleets share when they serve every request alike; `None` where that is not known before.
///
/// Replicas that are there from the first instant to the last serve by their step models, caches and limits
/// alone: neither what nodes cost nor how many lie idle beside them changes a latency. Jobs may change places
/// with replicas' neighbours, so that fleets with jobs are all different.
pub fn likeness(config: &WorldConfig, placed: &[Vec<usize>]) -> Option<String> {
    if !config.jobs.is_empty() || config.job_trace.is_some() || !is_exact(config) || !is_fixed(config) {
        return None;
    }
    let mut text =
        format!("{:?} {:?} {:?} {:?}", config.seed, config.duration, config.warmup, config.streams);
    for (deployment, options) in config.deployments.iter().zip(placed) {
        // Which pool it is and what it is called are left out, everything else counts.
        let mut plain = deployment.clone();
        for option in &mut plain.options {
            option.pool = crate::fleet::PoolId(0);
            option.label.clear();
            option.cards = 0;
        }
        let options: Vec<_> = options.iter().map(|option| &plain.options[*option]).collect();
        text += &format!("{options:?}");
        plain.options.clear();
        text += &format!("{plain:?}");
    }
    Some(fingerprint([text.as_bytes()]))
}

/// The streams and replicas that have to do with each other: each stream with all that may serve it, and
/// streams that share a deployment together.
pub fn parts(config: &WorldConfig, placed: &[Vec<usize>], bounds: &Bounds) -> Vec<(Vec<usize>, Vec<Group>)> {
    let mut parts: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (stream, plan) in config.streams.iter().enumerate() {
        let touches = |part: &(Vec<usize>, Vec<usize>)| part.1.iter().any(|d| plan.deployments.contains(d));
        let (touching, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(touches);
        let mut merged = (vec![stream], plan.deployments.clone());
        for (streams, deployments) in touching {
            merged.0.extend(streams);
            merged.1.extend(deployments);
        }
        merged.0.sort_unstable();
        merged.1.sort_unstable();
        merged.1.dedup();
        parts = others;
        parts.push(merged);
    }
    parts
        .into_iter()
        .map(|(streams, deployments)| {
            let mut groups: Vec<Group> = Vec::new();
            for deployment in deployments {
                let plan = &config.deployments[deployment];
                for option in &placed[deployment] {
                    let server = bounds.server(Server::new(plan, &plan.options[*option]));
                    match groups.iter_mut().find(|group| Arc::ptr_eq(&group.server, &server)) {
                        Some(group) => group.replicas += 1,
                        None => groups.push(Group { server, replicas: 1 }),
                    }
                }
            }
            (streams, groups)
        })
        .collect()
}

/// What is lost in each of the cases that a fleet has to survive: the scenario without it, and what it is. Pools
/// whose nodes come and go order anew what they lose, as the scenario says, and are left as they are.
pub fn losses(config: &WorldConfig, goals: &Goals) -> Vec<(String, WorldConfig)> {
    let without = |lost: &dyn Fn(&PoolConfig) -> u32| {
        let mut left = config.clone();
        for pool in left.pools.iter_mut().filter(|pool| pool.fleet.supply.is_none()) {
            pool.fleet.nodes -= lost(&pool.fleet).min(pool.fleet.nodes);
        }
        let placed = placed(&left);
        for (deployment, placed) in left.deployments.iter_mut().zip(placed) {
            deployment.replicas = deployment.replicas.min(placed.len() as u32);
        }
        left
    };
    match goals.survive {
        None => Vec::new(),
        Some(Survive::Node) => config
            .pools
            .iter()
            .filter(|pool| pool.fleet.nodes > 0 && pool.fleet.supply.is_none())
            .map(|pool| {
                let name = &pool.fleet.name;
                let lost = |other: &PoolConfig| u32::from(other.name == *name);
                (format!("a node of `{name}` lost"), without(&lost))
            })
            .collect(),
        Some(Survive::Zone { zones }) => {
            let mut providers: Vec<&str> = config
                .pools
                .iter()
                .filter(|pool| pool.fleet.nodes > 0)
                .map(|pool| pool.fleet.provider.as_str())
                .collect();
            providers.sort_unstable();
            providers.dedup();
            providers
                .into_iter()
                .map(|provider| {
                    let lost = |other: &PoolConfig| {
                        if other.provider == provider { other.nodes.div_ceil(zones) } else { 0 }
                    };
                    (format!("a zone of `{provider}` lost"), without(&lost))
                })
                .collect()
        }
    }
}
