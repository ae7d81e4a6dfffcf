//! Whether all deployments and jobs together find cards: replicas without any are an error, a job that waits
//! for ever is warned of.

use std::borrow::Cow;

use super::deployments::Found;
use super::disaggregated;
use crate::fleet::{Claim, ClaimResult, Holder, Inventory, PoolConfig, Shape};
use crate::jobs::JobConfig;
use crate::policies::placement::Workload;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawScenario};
use crate::scenario::reading::{Reading, Sited};
use crate::serving::{DeploymentConfig, HostConfig, ReplicaOption};
use crate::units::Instant;

/// Claims the cards of every replica as a run does at its beginning, then those of each job alone beside
/// them, on the fleet's own inventory.
pub fn check(
    scenario: &RawScenario,
    pools: &[&PoolConfig],
    (deployments, hosts): (&[DeploymentConfig], &[HostConfig]),
    jobs: &[JobConfig],
    reading: &mut Reading,
) {
    // With every node there that there can be.
    let full = |pool: &&PoolConfig| PoolConfig { nodes: pool.slots(), supply: None, ..(*pool).clone() };
    let full: Vec<PoolConfig> = pools.iter().map(full).collect();
    let mut inventory = Inventory::new(&full, scenario.scheduler.placement);
    if jobs.iter().any(|job| !job.needs.is_plain()) {
        inventory = inventory.sharing(Workload::default());
    }
    // Prefill replicas stand behind the deployments, in their order.
    let of_prefill = scenario.deployments.iter().filter_map(disaggregated::prefill).map(Cow::Owned);
    let raws = scenario.deployments.iter().map(disaggregated::decode).chain(of_prefill);
    for (index, (config, raw)) in deployments.iter().zip(raws).enumerate() {
        // The first of those that share hosts holds their cards.
        if config.shared.is_some_and(|shared| hosts[shared.host].members[0] != index) {
            continue;
        }
        let mut granted = 0;
        for replica in 0..config.replicas {
            let shape = |option: &crate::serving::ReplicaOption| Shape::OneNode { cards: option.cards };
            let claim = Claim {
                holder: Holder::Replica(index as u32, replica),
                options: config.options.iter().map(|option| (option.pool, shape(option))).collect(),
                priority: 0,
                preemptible: false,
            };
            match inventory.claim(Instant::ZERO, claim) {
                ClaimResult::Lease(_) => granted += 1,
                // Its like would not fit either.
                ClaimResult::Pending(..) => break,
            }
        }
        if granted < config.replicas && !raw.changes {
            let message = format!(
                "of the {} replicas of deployment `{}` only {granted} get cards: the deployments before it hold \
                 the others",
                config.replicas, config.name
            );
            // A run without them would answer another question.
            let problem = Problem::error(raw.place, message);
            reading.problem(problem.help("raise `nodes` of its pools or lower `replicas`"));
        }
    }
    for (index, (config, raw)) in jobs.iter().zip(&scenario.jobs).enumerate() {
        let shape = match config.needs {
            needs if needs.is_plain() => Shape::Gang { cards: config.cards },
            needs => Shape::Part { cards: config.cards, needs },
        };
        let claim = Claim {
            holder: Holder::Job(index as u32),
            options: config.options.iter().map(|option| (option.pool, shape)).collect(),
            priority: 0,
            preemptible: false,
        };
        match inventory.claim(Instant::ZERO, claim) {
            ClaimResult::Lease(lease) => {
                inventory.release(Instant::ZERO, lease);
            }
            ClaimResult::Pending(..) => {
                let message = format!(
                    "job `{}` never starts: the deployments leave no pool with room for its {} {}",
                    config.name,
                    config.cards,
                    if config.cards == 1 { "card" } else { "cards" }
                );
                let problem = Problem::warning(raw.accelerators.place, message);
                let help = "raise `nodes` of one of its pools, or lower `replicas` of a deployment";
                reading.problem(problem.help(help));
            }
        }
    }
}

/// Replicas that could never all have cards, however empty the pools are.
pub fn enough_cards<'a>(
    raw: &RawDeployment,
    pools: &[Found<'_>],
    options: impl Iterator<Item = (&'a Sited<String>, &'a ReplicaOption)>,
    reading: &mut Reading,
) -> Option<()> {
    let options: Vec<_> = options.collect();
    let room = options.iter().map(|(name, option)| {
        let pool = pools.iter().find(|(_, pool, _)| pool.value == name.value);
        let fleet = pool.map(|(_, _, resolved)| &resolved.plan.fleet);
        fleet.map_or(0, |fleet| {
            let (cards, per_node) = (option.cards.max(1), fleet.cards_per_node.max(1));
            if cards > per_node {
                u64::from(fleet.slots() / cards.div_ceil(per_node))
            } else {
                u64::from(per_node / cards) * u64::from(fleet.slots())
            }
        })
    });
    let room: u64 = room.sum();
    if u64::from(raw.replicas.initial) <= room {
        return Some(());
    }
    let message = format!(
        "deployment `{}` has {} replicas, but its pools have room for {room}, were they empty",
        *raw.name, raw.replicas.initial
    );
    let plans: Vec<&str> = options.iter().map(|(_, option)| option.label.as_str()).collect();
    let help = format!("a replica is {}; raise `nodes` of a pool or lower `replicas`", plans.join(", or "));
    reading.problem(Problem::error(raw.place, message).help(help));
    None
}
