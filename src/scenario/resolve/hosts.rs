//! Cards that several deployments share: who shares them, what each needs, and where weights come from.

use std::borrow::Cow;

use super::assumptions::Ledger;
use super::deployments::Deployment;
use super::lifecycle;
use super::names::dangling;
use super::pools::Pool;
use crate::catalog::Catalog;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawHost, RawScenario, Replicas, WeightsFrom};
use crate::scenario::reading::{Reading, Sited};
use crate::serving::{HostConfig, ReplicaOption, SharedCards, WeightSource};
use crate::units::{Bytes, BytesPerSecond};

/// What a replica's plan needs of memory, over all its cards, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Footprint {
    pub weights: Option<Bytes>,
    pub kv: Option<Bytes>,
    /// What its cards have for both.
    pub capacity: Option<Bytes>,
}

/// A deployment with as many replicas as there are hosts, where it shares some.
pub fn counted<'a>(raw: Cow<'a, RawDeployment>, scenario: &RawScenario) -> Cow<'a, RawDeployment> {
    let host =
        raw.host.as_ref().and_then(|name| scenario.hosts.iter().find(|host| host.name.value == name.value));
    match host {
        None => raw,
        Some(host) => {
            let replicas = Replicas { initial: host.replicas, range: None };
            Cow::Owned(RawDeployment { replicas, ..raw.into_owned() })
        }
    }
}

/// What a deployment needs of the hosts that it shares; `Some(None)` where it has cards of its own. `None` after errors
/// have been recorded.
pub fn shared(
    raw: &RawDeployment,
    scenario: &RawScenario,
    options: &[ReplicaOption],
    footprint: Footprint,
    reading: &mut Reading,
) -> Option<Option<SharedCards>> {
    let Some(name) = &raw.host else { return Some(None) };
    let Some(host) = scenario.hosts.iter().position(|host| host.name.value == name.value) else {
        if !reading.is_broken("hosts", name) {
            let names = scenario.hosts.iter().map(|host| host.name.as_str());
            reading.problem(dangling(name.place, "host", name, names));
        }
        return None;
    };
    let mut refuse = |what: &str, help: &str| {
        let message = format!("deployment `{}` shares the hosts `{}`, {what}", *raw.name, **name);
        reading.problem(Problem::error(name.place, message).help(help));
        None
    };
    if raw.disaggregated.is_some() {
        return refuse(
            "and has prefill and decode replicas",
            "have replicas that do both, or cards of its own",
        );
    }
    if raw.changes {
        return refuse(
            "and has an autoscaler: hosts do not come and go",
            "give the number of hosts under [[hosts]]",
        );
    }
    if options.len() > 1 {
        return refuse("and names several pools: hosts are all in one", "name one pool");
    }
    let Some(weights) = footprint.weights else {
        return refuse(
            "and nobody knows how large its weights are",
            "supply it: weight_bytes = \"16 GB\", for example",
        );
    };
    let Some(kv) = footprint.kv else {
        return refuse(
            "and nobody knows how large a token's KV cache is",
            "supply it: kv_bytes_per_token = \"128 KiB\", for example",
        );
    };
    let Some(capacity) = scenario.hosts[host].memory.or(footprint.capacity) else {
        return refuse(
            "and nobody knows how much memory these have",
            "supply it: memory = \"72 GB\" under [[hosts]], for example",
        );
    };
    // A cache that takes what the weights leave is as large as there is room.
    let kv = match raw.kv_blocks {
        Some(_) => kv,
        None => Bytes(kv.0.min(capacity.0.saturating_sub(weights.0))),
    };
    let footprint = Bytes(weights.0.saturating_add(kv.0));
    Some(Some(SharedCards { host, weights, footprint, capacity, pinned: raw.pinned }))
}

/// The hosts of a scenario. `None` after errors have been recorded.
pub fn resolve(
    scenario: &RawScenario,
    deployments: &[Deployment],
    pools: &[Pool],
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<Vec<HostConfig>> {
    let mut hosts = Vec::new();
    for (number, raw) in scenario.hosts.iter().enumerate() {
        let named = scenario.deployments.iter().enumerate();
        let named = named.filter(|(_, deployment)| {
            deployment.host.as_ref().is_some_and(|host| host.value == raw.name.value)
        });
        let members: Vec<usize> = named.map(|(index, _)| index).collect();
        let configs: Option<Vec<_>> =
            members.iter().map(|index| deployments[*index].config.as_ref()).collect();
        let configs = configs?;
        let Some(first) = configs.first() else {
            let known =
                |name: &Sited<String>| scenario.hosts.iter().any(|host| host.name.value == name.value);
            // Who names other hosts may have meant these, and has been told.
            if scenario.deployments.iter().filter_map(|own| own.host.as_ref()).any(|name| !known(name)) {
                return None;
            }
            let message = format!("no deployment shares the hosts `{}`", *raw.name);
            let help = format!("add host = \"{}\" to some, or take the hosts out", *raw.name);
            reading.problem(Problem::error(raw.name.place, message).help(help));
            return None;
        };
        let option = &first.options[0];
        let place = |index: usize| {
            let deployment = &scenario.deployments[members[index]];
            deployment.host.as_ref().map_or(deployment.place, |host| host.place)
        };
        for (index, config) in configs.iter().enumerate() {
            let other = &config.options[0];
            if (other.pool, other.cards) != (option.pool, option.cards) {
                let message = format!(
                    "deployments `{}` and `{}` share the hosts `{}`, but a replica of the one is {}, and of the other {}",
                    first.name, config.name, *raw.name, option.label, other.label
                );
                let help =
                    "give both the same pool and plans of as many cards, as in parallelism = { tp = 2 }";
                reading.problem(Problem::error(place(index), message).help(help));
                return None;
            }
        }
        let pool = &pools[option.pool.index()];
        if pool.resolved.as_ref().is_some_and(|pool| pool.plan.fleet.supply.is_some()) {
            let message =
                format!("the nodes of pool `{}` come and go, and hosts `{}` do not", pool.name, *raw.name);
            let help =
                "give the pool a fixed number of nodes, as in nodes = 2, bought on demand, reserved or owned";
            reading.problem(Problem::error(raw.name.place, message).help(help));
            return None;
        }
        let needs: Vec<SharedCards> = configs.iter().filter_map(|config| config.shared).collect();
        let memory = Bytes(needs.iter().map(|shared| shared.capacity.0).min().unwrap_or(0));
        let pinned = |but: usize| -> u64 {
            let others = needs.iter().enumerate().filter(|(at, shared)| *at != but && shared.pinned);
            others.map(|(_, shared)| shared.footprint.0).sum()
        };
        for (index, shared) in needs.iter().enumerate() {
            if shared.footprint.0.saturating_add(pinned(index)) > memory.0 {
                let message = format!(
                    "deployment `{}` needs {} of the {} that a host of `{}` has, and {} of that are pinned",
                    configs[index].name,
                    shared.footprint,
                    memory,
                    *raw.name,
                    Bytes(pinned(index))
                );
                let help =
                    "pin fewer models, or give each fewer kv_blocks, so that they fit beside each other";
                reading.problem(Problem::error(place(index), message).help(help));
                return None;
            }
        }
        let node = pool.resolved.as_ref().and_then(|pool| pool.node.as_ref().ok());
        let cards = f64::from(option.cards);
        let all = |bandwidth: BytesPerSecond| BytesPerSecond(bandwidth.as_f64() * cards);
        let pcie = node.map(|node| all(node.card.pcie));
        let peers = node.map(|node| all(node.card.card_link.unwrap_or(node.card.pcie)));
        let mut sources = Vec::new();
        for from in &raw.weights_from {
            sources.push(source(raw, from, (pcie, peers), catalog, reading, ledger)?);
        }
        hosts.push(HostConfig {
            name: raw.name.value.clone(),
            members,
            memory,
            sources,
            into_cards: pcie,
            warm_up: raw.warm_up,
            patience: raw.patience,
            affinity: raw.affinity,
        });
        debug_assert_eq!(hosts.len(), number + 1);
    }
    if let (Some(_), Some(raw)) = (&scenario.plan, scenario.hosts.first()) {
        let message = "`plan` does not search over hosts that deployments share".to_owned();
        let help = "take `[plan]` out, or give each deployment cards of its own";
        reading.problem(Problem::error(raw.name.place, message).help(help));
        return None;
    }
    Some(hosts)
}

/// One of the sources, with its bandwidth.
fn source(
    raw: &RawHost,
    from: &Sited<WeightsFrom>,
    (pcie, peers): (Option<BytesPerSecond>, Option<BytesPerSecond>),
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<WeightSource> {
    let (known, key) = match from.value {
        WeightsFrom::Peer => (raw.peer_bandwidth.or(peers), "peer_bandwidth"),
        WeightsFrom::HostMemory => (raw.host_memory_bandwidth.or(pcie), "host_memory_bandwidth"),
        WeightsFrom::Disk => (
            raw.disk_bandwidth.or_else(|| lifecycle::published(catalog, ledger, &raw.name, "nvme")),
            "disk_bandwidth",
        ),
        WeightsFrom::ObjectStore => (
            raw.object_store_bandwidth
                .or_else(|| lifecycle::published(catalog, ledger, &raw.name, "object-store")),
            "object_store_bandwidth",
        ),
    };
    let Some(bandwidth) = known else {
        let message = format!("nobody knows how fast weights come to the hosts `{}` from there", *raw.name);
        let help = format!("supply it: {key} = \"25 GB/s\", for example");
        reading.problem(Problem::error(from.place, message).label("needed for this").help(help));
        return None;
    };
    Some(match from.value {
        WeightsFrom::Peer => WeightSource::Peer { bandwidth },
        WeightsFrom::HostMemory => {
            WeightSource::HostMemory { bandwidth, size: raw.host_memory.unwrap_or_default() }
        }
        WeightsFrom::Disk => WeightSource::Disk { bandwidth },
        WeightsFrom::ObjectStore => WeightSource::ObjectStore { bandwidth },
    })
}
