//! The links that weights come by, and what lies in the memory of nodes.

use std::collections::BTreeMap;

use crate::serving::config::{HostConfig, WeightSource};
use crate::serving::room::{Context, Event};
use crate::topology::{Flows, LinkId};
use crate::units::{Duration, Instant};

/// Weights on their way, and where they may come from.
#[derive(Debug, Default)]
pub(super) struct WeightLinks {
    flows: Flows<u32>,
    nodes: BTreeMap<(u16, u32), Node>,
    /// By host.
    hosts: Vec<Ports>,
    generation: u32,
}

/// A node's own links, shared by its hosts, and the weights in its memory: of which deployment, how many bytes and when
/// they were used last, by a count of uses.
#[derive(Debug)]
struct Node {
    disk: Option<LinkId>,
    object_store: Option<LinkId>,
    kept: Vec<(usize, u64, u64)>,
    uses: u64,
}

/// A host's links: into its cards from the node's memory, and from and to its peers.
#[derive(Debug, Clone, Copy)]
struct Ports {
    into: Option<LinkId>,
    peers: Option<(LinkId, LinkId)>,
}

impl WeightLinks {
    /// A host is at a node.
    pub(super) fn add_host(&mut self, node: (u16, u32), plan: &HostConfig) {
        let of = |wanted: fn(&WeightSource) -> bool| {
            plan.sources.iter().find(|source| wanted(source)).map(|source| source.bandwidth())
        };
        let disk = of(|source| matches!(source, WeightSource::Disk { .. }));
        let store = of(|source| matches!(source, WeightSource::ObjectStore { .. }));
        let peer = of(|source| matches!(source, WeightSource::Peer { .. }));
        let flows = &mut self.flows;
        self.nodes.entry(node).or_insert_with(|| Node {
            disk: disk.map(|bandwidth| flows.add_link(bandwidth)),
            object_store: store.map(|bandwidth| flows.add_link(bandwidth)),
            kept: Vec::new(),
            uses: 0,
        });
        let into = plan.into_cards.map(|bandwidth| self.flows.add_link(bandwidth));
        let peers = peer.map(|bandwidth| (self.flows.add_link(bandwidth), self.flows.add_link(bandwidth)));
        self.hosts.push(Ports { into, peers });
    }

    /// A deployment's weights lie in a node's memory from now on, where weights are kept there; those used longest ago
    /// make room.
    pub(super) fn keep(&mut self, node: (u16, u32), deployment: usize, bytes: u64, plan: &HostConfig) {
        let size = plan.sources.iter().find_map(|source| match source {
            WeightSource::HostMemory { size, .. } => Some(size.0),
            _ => None,
        });
        let (Some(size), Some(node)) = (size, self.nodes.get_mut(&node)) else { return };
        node.uses += 1;
        node.kept.retain(|(other, ..)| *other != deployment);
        if bytes > size {
            return;
        }
        while node.kept.iter().map(|(_, bytes, _)| bytes).sum::<u64>() + bytes > size {
            let oldest = node.kept.iter().enumerate().min_by_key(|(_, (.., used))| *used).map(|(at, _)| at);
            node.kept.remove(oldest.unwrap_or(0));
        }
        node.kept.push((deployment, bytes, node.uses));
    }

    /// Weights set out to a host, from the first source that has them.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        (host, peer): (u32, Option<usize>),
        node: (u16, u32),
        (replica, deployment, bytes): (u32, usize, u64),
        plan: &HostConfig,
    ) {
        let own = self.hosts[host as usize];
        let there = &self.nodes[&node];
        let in_memory = there.kept.iter().any(|(kept, ..)| *kept == deployment);
        let path = plan.sources.iter().find_map(|source| match source {
            WeightSource::Peer { .. } => {
                let (out, _) = self.hosts[peer?].peers?;
                Some(vec![out, own.peers?.1])
            }
            WeightSource::HostMemory { .. } => in_memory.then(|| own.into.into_iter().collect()),
            WeightSource::Disk { .. } => Some(there.disk.into_iter().chain(own.into).collect()),
            WeightSource::ObjectStore { .. } => {
                Some(there.object_store.into_iter().chain(own.into).collect::<Vec<LinkId>>())
            }
        });
        self.flows.begin(now, replica, bytes, path.unwrap_or_default());
        self.keep(node, deployment, bytes, plan);
    }

    /// The replicas whose weights are through.
    pub(super) fn through(&mut self, now: Instant, generation: u32) -> Vec<u32> {
        if self.generation == generation { self.flows.through(now) } else { Vec::new() }
    }

    /// The next event of these links.
    pub(super) fn schedule(&mut self, ctx: &mut Context<'_>) {
        self.generation = self.generation.wrapping_add(1);
        if let Some(at) = self.flows.next() {
            let soonest = ctx.now.saturating_add(Duration::from_nanos(1));
            ctx.at(at.max(soonest), Event::Weights { generation: self.generation });
        }
    }
}
