//! The cards of one pool: its nodes with their states, and which cards are free.

use super::claim::{Lease, LeasePhase, Shape};
use super::config::{Host, PoolConfig};
use super::ends::Ends;
use super::network::Network;
use super::shares::Shares;
use super::usage::PoolUsage;
use crate::policies::Policy as _;
use crate::policies::placement::{
    FreeNodes, NodeFree, Placement, PlacementKind, PlacementView, Scorer, WHOLE, Workload, topology,
};
use crate::units::Instant;

/// What a node's cards can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCards {
    /// There is no such node now.
    Absent,
    /// It is paid for and not ready yet.
    Starting,
    /// Its cards can be claimed.
    Ready,
    /// It is on its way out: cards that come free are not claimed again.
    Draining,
    /// It has failed or is in maintenance, and is paid for all the same.
    Down,
}

/// Nodes, and cards of each, a bit each.
type Place = Vec<(u32, u128)>;

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) cards_per_node: u32,
    pub(super) free: FreeNodes,
    /// Cards of each node that can be claimed, a bit each.
    pub(super) masks: Vec<u128>,
    pub(super) states: Vec<NodeCards>,
    /// When cards of each node were last taken or given back.
    pub(super) touched: Vec<Instant>,
    /// Nodes on their way out.
    draining: u32,
    pub(super) usage: PoolUsage,
    /// When how much of each node comes free, where somebody asks.
    pub(super) ends: Option<Ends>,
    pub(super) host: Host,
    /// What is free of each card and host, where somebody asks for more than whole cards.
    pub(super) shares: Option<Shares>,
    /// The network between its nodes, where gangs may wait for each other on it.
    pub(super) network: Option<Network>,
}

impl Pool {
    pub(super) fn new(config: &PoolConfig) -> Self {
        // Nodes that come and go are added when they are there.
        let slots = config.slots();
        let nodes = if config.supply.is_some() { 0 } else { config.nodes };
        let mut free = FreeNodes::new(slots, config.cards_per_node);
        let mut masks = vec![all_cards(config.cards_per_node); slots as usize];
        for node in nodes..slots {
            free.set(node, config.cards_per_node, 0);
            masks[node as usize] = 0;
        }
        let state = |node| if node < nodes { NodeCards::Ready } else { NodeCards::Absent };
        Self {
            cards_per_node: config.cards_per_node,
            free,
            masks,
            states: (0..slots).map(state).collect(),
            touched: vec![Instant::ZERO; slots as usize],
            draining: 0,
            usage: PoolUsage::new(nodes * config.cards_per_node),
            ends: None,
            host: config.host,
            shares: None,
            network: config.fabric.as_ref().and_then(Network::new),
        }
    }

    pub(super) fn idle_since(&self, node: u32) -> Option<Instant> {
        let all = self.masks[node as usize] == all_cards(self.cards_per_node);
        all.then(|| self.touched[node as usize])
    }

    pub(super) fn free_cards(&self) -> u32 {
        self.usage.free
    }

    /// Keeps account of shared cards and of hosts from now on; nothing may be leased yet.
    pub(super) fn share(&mut self, by_kind: bool) {
        let slots = self.states.len() as u32;
        let mut shares = Shares::new(slots, self.cards_per_node, self.host, by_kind);
        let ready = (0u32..).zip(&self.states).filter(|(_, state)| **state == NodeCards::Ready);
        ready.for_each(|(node, _)| shares.set_ready(node, true));
        self.shares = Some(shares);
    }

    /// Thousandths of free cards that are of no use to a workload, where only whole cards are leased.
    pub(super) fn fragments(&self, workload: &Workload) -> f64 {
        let node = |free: u32| NodeFree {
            milli: (0..self.cards_per_node).map(|card| if card < free { WHOLE } else { 0 }).rev().collect(),
            cpu_milli: u32::MAX,
            memory_mib: u32::MAX,
            kinds: Vec::new(),
        };
        let of = |free: u32| self.free.with_free(free) as f64 * workload.fragments(&node(free));
        (1..=self.cards_per_node).map(of).sum()
    }

    /// Cards of which something is free.
    pub(super) fn cards_with_room(&self) -> u32 {
        self.usage.free + self.shares.as_ref().map_or(0, Shares::part_used)
    }

    /// Shows other free cards of a node than there are, or again those that there are.
    fn pretend(&mut self, node: u32, mask: u128) {
        let before = self.masks[node as usize].count_ones();
        self.masks[node as usize] = mask;
        self.free.set(node, before, mask.count_ones());
    }

    fn set_mask(&mut self, node: u32, mask: u128) {
        self.pretend(node, mask);
        if let Some(ends) = &mut self.ends {
            ends.touch(node);
        }
    }

    /// Moves a node into another state; its leases, if it has any, are counted anew by the caller.
    pub(super) fn set_state(&mut self, now: Instant, node: u32, to: NodeCards) {
        let cards = self.cards_per_node;
        let free = self.masks[node as usize].count_ones();
        self.usage.settle(now);
        let from = std::mem::replace(&mut self.states[node as usize], to);
        let usage = &mut self.usage;
        match from {
            NodeCards::Absent => usage.provisioned += cards,
            NodeCards::Starting => usage.starting -= cards,
            NodeCards::Ready => usage.free -= free,
            NodeCards::Draining => {
                usage.draining -= cards;
                self.draining -= 1;
            }
            NodeCards::Down => usage.down -= cards,
        }
        match to {
            NodeCards::Absent => usage.provisioned -= cards,
            NodeCards::Starting => usage.starting += cards,
            NodeCards::Ready => usage.free += cards,
            // What is leased is counted by its lease.
            NodeCards::Draining => {
                usage.draining += free;
                self.draining += 1;
            }
            NodeCards::Down => usage.down += cards,
        }
        self.touched[node as usize] = now;
        self.set_mask(node, if to == NodeCards::Ready { all_cards(cards) } else { 0 });
        if let Some(shares) = &mut self.shares {
            shares.set_ready(node, to == NodeCards::Ready);
        }
    }

    /// Adds a lease's cards to the counts, or takes them out. Shared cards are counted when their first
    /// holder comes and their last one goes, as computing.
    pub(super) fn count(&mut self, now: Instant, lease: &Lease, add: bool) {
        self.usage.settle(now);
        if lease.is_part() {
            return;
        }
        let usage = &mut self.usage;
        for (node, mask) in &lease.nodes {
            let cards = mask.count_ones();
            let going = self.draining > 0 && self.states[*node as usize] == NodeCards::Draining;
            let state = match (lease.busy, lease.phase, going) {
                (true, ..) => Some(&mut usage.busy),
                (false, LeasePhase::Starting, _) => Some(&mut usage.starting),
                (false, LeasePhase::Draining, _) | (false, LeasePhase::Working, true) => {
                    Some(&mut usage.draining)
                }
                (false, LeasePhase::Working, false) => None,
            };
            for count in state.into_iter().chain([&mut usage.leased]) {
                *count = if add { *count + cards } else { *count - cards };
            }
        }
    }

    /// Takes cards for a lease.
    pub(super) fn take(&mut self, now: Instant, lease: &Lease) {
        self.count(now, lease, true);
        for (node, mask) in &lease.nodes {
            let opened = (self.masks[*node as usize] & mask).count_ones();
            self.usage.free -= opened;
            if lease.is_part() {
                self.usage.leased += opened;
                self.usage.busy += opened;
            }
            self.touched[*node as usize] = now;
            self.set_mask(*node, self.masks[*node as usize] & !mask);
        }
        if let Some(shares) = &mut self.shares {
            shares.count(lease, true);
        }
    }

    /// Takes the cards of a lease back: those of a node on its way out are not to be claimed again.
    pub(super) fn give_back(&mut self, now: Instant, lease: &Lease) {
        self.count(now, lease, false);
        if let Some(shares) = &mut self.shares {
            shares.count(lease, false);
        }
        for (node, mask) in &lease.nodes {
            self.touched[*node as usize] = now;
            let mut mask = *mask;
            if let Some(shares) = self.shares.as_ref().filter(|_| lease.is_part()) {
                let closed = |card: &u32| mask >> card & 1 == 1 && shares.milli(*node, *card) == WHOLE;
                mask = (0..self.cards_per_node).filter(closed).fold(0, |mask, card| mask | 1 << card);
                self.usage.leased -= mask.count_ones();
                self.usage.busy -= mask.count_ones();
            }
            if self.states[*node as usize] == NodeCards::Draining {
                self.usage.draining += mask.count_ones();
            } else {
                self.usage.free += mask.count_ones();
                self.set_mask(*node, self.masks[*node as usize] | mask);
            }
        }
    }

    /// Whether counts and masks are those of the nodes' states and of these leases.
    pub(super) fn is_balanced<'a>(&self, leases: impl Iterator<Item = &'a Lease> + Clone) -> bool {
        if self.shares.as_ref().is_some_and(|shares| !shares.is_balanced(leases.clone())) {
            return false;
        }
        let mut masks = self.masks.clone();
        let mut shared = vec![0u128; self.masks.len()];
        let mut counted = PoolUsage::default();
        for lease in leases {
            for (node, mask) in &lease.nodes {
                let state = self.states[*node as usize];
                let held = matches!(state, NodeCards::Ready | NodeCards::Draining);
                if lease.is_part() && held {
                    shared[*node as usize] |= mask;
                    continue;
                }
                if masks[*node as usize] & mask != 0 || !held {
                    return false;
                }
                masks[*node as usize] |= mask;
                let cards = mask.count_ones();
                counted.leased += cards;
                match (lease.busy, lease.phase) {
                    (true, _) => counted.busy += cards,
                    (false, LeasePhase::Starting) => counted.starting += cards,
                    (false, LeasePhase::Draining) => counted.draining += cards,
                    (false, LeasePhase::Working) if state == NodeCards::Draining => counted.draining += cards,
                    (false, LeasePhase::Working) => {}
                }
            }
        }
        for (mask, shared) in masks.iter_mut().zip(&shared) {
            if *mask & shared != 0 {
                return false;
            }
            *mask |= shared;
            counted.leased += shared.count_ones();
            counted.busy += shared.count_ones();
        }
        for ((mask, state), free) in masks.iter().zip(&self.states).zip(&self.masks) {
            let cards = self.cards_per_node;
            counted.provisioned += if *state == NodeCards::Absent { 0 } else { cards };
            match state {
                NodeCards::Absent => {}
                NodeCards::Starting => counted.starting += cards,
                NodeCards::Ready => {
                    if *mask != all_cards(cards) {
                        return false;
                    }
                    counted.free += free.count_ones();
                }
                NodeCards::Draining => counted.draining += cards - mask.count_ones(),
                NodeCards::Down => counted.down += cards,
            }
        }
        let of = |usage: &PoolUsage| {
            let PoolUsage { provisioned, leased, busy, starting, draining, free, down, .. } = *usage;
            [provisioned, leased, busy, starting, draining, free, down]
        };
        of(&counted) == of(&self.usage)
    }

    /// Cards that a claim of this shape would get now.
    pub(super) fn find(
        &mut self,
        now: Instant,
        shape: Shape,
        placement: &mut Placement,
    ) -> Option<Vec<(u32, u128)>> {
        if let (Shape::Gang { cards }, true) = (shape, placement.kind.splits()) {
            let taken = placement.split(&self.free, cards)?;
            let part = |(node, cards): (u32, u32)| (node, lowest_bits(self.masks[node as usize], cards));
            return Some(taken.into_iter().map(part).collect());
        }
        let (whole, rest) = shape.whole_and_rest(self.cards_per_node);
        if placement.kind == PlacementKind::Topology && whole > 0 && whole + rest > 1 {
            return self.find_near(whole, rest);
        }
        let mut nodes: Vec<(u32, u128)> =
            self.free.whole(whole as usize)?.into_iter().map(|n| (n, self.masks[n as usize])).collect();
        if rest > 0 {
            // The rest must not land on one of the whole nodes just chosen.
            for (node, _) in &nodes {
                self.free.set(*node, self.cards_per_node, 0);
            }
            let view = PlacementView { nodes: &self.free, cards: rest, rest: whole > 0 };
            let found = placement.decide(now, &view).0;
            for (node, _) in &nodes {
                self.free.set(*node, 0, self.cards_per_node);
            }
            let node = found?;
            nodes.push((node, lowest_bits(self.masks[node as usize], rest)));
        }
        (!nodes.is_empty()).then_some(nodes)
    }

    /// The same on these nodes alone, where only whole cards are leased.
    pub(super) fn find_on(&self, nodes: &[u32], shape: Shape) -> Option<Vec<(u32, u128)>> {
        if self.shares.is_some() {
            return None;
        }
        let (whole, rest) = shape.whole_and_rest(self.cards_per_node);
        let free = |node: u32| self.masks[node as usize].count_ones();
        let full = nodes.iter().copied().filter(|node| free(*node) == self.cards_per_node);
        let chosen: Vec<u32> = full.take(whole as usize).collect();
        let fits = |node: &u32| !chosen.contains(node) && free(*node) >= rest;
        let last = nodes.iter().copied().filter(|_| rest > 0).filter(fits).min_by_key(|node| free(*node));
        if chosen.len() < whole as usize || rest > 0 && last.is_none() {
            return None;
        }
        let mut found: Vec<_> = chosen.iter().map(|node| (*node, self.masks[*node as usize])).collect();
        found.extend(last.map(|node| (node, lowest_bits(self.masks[node as usize], rest))));
        Some(found)
    }

    fn per_switch(&self) -> u32 {
        self.host.nodes_per_switch.unwrap_or(u32::MAX)
    }

    /// A gang of several nodes, near each other. Where gangs wait for each other on the network and it would get less
    /// than all of its own there, switches are left out one at a time, the one first without which the graph scores it
    /// best, and the place of the best score is taken; of equal ones that nearest to the first.
    fn find_near(&self, whole: u32, rest: u32) -> Option<Vec<(u32, u128)>> {
        /// Switches that are left out at most, so that a crowded network does not make placing slow.
        const MOST: usize = 8;
        let first = self.find_near_without(whole, rest, &[])?;
        let Some(network) = &self.network else { return Some(first) };
        let mut best = (network.score(&first), first.clone());
        let (mut without, mut place) = (Vec::new(), first);
        while best.0 < 1.0 && without.len() < MOST {
            let mut switches: Vec<u32> = place.iter().map(|(node, _)| node / self.per_switch()).collect();
            switches.dedup();
            let mut next: Option<(f64, u32, Place)> = None;
            for switch in switches {
                without.push(switch);
                if let Some(nodes) = self.find_near_without(whole, rest, &without) {
                    let score = network.score(&nodes);
                    if next.as_ref().is_none_or(|(other, ..)| score > other + 1e-9) {
                        next = Some((score, switch, nodes));
                    }
                }
                without.pop();
            }
            let Some((score, switch, nodes)) = next else { break };
            without.push(switch);
            if score > best.0 + 1e-9 {
                best = (score, nodes.clone());
            }
            place = nodes;
        }
        Some(best.1)
    }

    fn find_near_without(&self, whole: u32, rest: u32, without: &[u32]) -> Option<Vec<(u32, u128)>> {
        let allowed = |node: &u32| !without.contains(&(node / self.per_switch()));
        let all = self.free.nodes_with(self.cards_per_node).filter(allowed);
        let partial = (rest.max(1)..self.cards_per_node)
            .flat_map(|free| self.free.nodes_with(free).filter(allowed).map(move |node| (node, free)));
        let (nodes, last) = topology::gang(all, partial, self.per_switch(), (whole as usize, rest))?;
        let mut nodes: Vec<_> = nodes.into_iter().map(|node| (node, self.masks[node as usize])).collect();
        nodes.extend(last.map(|node| (node, lowest_bits(self.masks[node as usize], rest))));
        Some(nodes)
    }

    /// The node for a claim that one can take, with its score, where cards are shared or nodes scored.
    pub(super) fn best_shared(&mut self, shape: Shape, scorer: &mut Scorer) -> Option<(i64, u32)> {
        let want = shape.needs().on_node(shape.cards(), shape.cards());
        self.shares.as_mut()?.best(&want, scorer)
    }

    /// The cards of a node that such a claim gets.
    pub(super) fn shared_cards(
        &self,
        node: u32,
        shape: Shape,
        scorer: &Scorer,
        placement: &mut Placement,
    ) -> Vec<(u32, u128)> {
        let want = shape.needs().on_node(shape.cards(), shape.cards());
        let mask = self.shares.as_ref().map(|shares| shares.mask(node, &want, scorer, &mut placement.draws));
        vec![(node, mask.unwrap_or(0))]
    }

    /// A gang of several nodes, where cards are shared or nodes scored: whole nodes, and one more for the rest.
    pub(super) fn shared_gang(
        &mut self,
        shape: Shape,
        scorer: &mut Scorer,
        placement: &mut Placement,
    ) -> Option<Vec<(u32, u128)>> {
        let (whole, rest) = shape.whole_and_rest(self.cards_per_node);
        let (needs, cards, per_switch) = (shape.needs(), shape.cards(), self.per_switch());
        let (of_whole, of_rest) = (needs.on_node(self.cards_per_node, cards), needs.on_node(rest, cards));
        let all = all_cards(self.cards_per_node);
        let shares = self.shares.as_mut()?;
        let (nodes, last) = if scorer.kind == PlacementKind::Topology {
            let partial = shares.groups().filter(|(free, _)| free.fits(&of_rest) && !free.fits(&of_whole));
            let partial: Vec<_> = partial
                .flat_map(|(free, _)| shares.like(free).map(|node| (node, free.milli.len() as u32)))
                .collect();
            let near = topology::gang(
                shares.whole_nodes(&of_whole),
                partial.into_iter(),
                per_switch,
                (whole as usize, rest),
            );
            near?
        } else {
            let nodes = shares.whole(&of_whole, whole as usize)?;
            shares.hide(nodes.iter().copied());
            let last =
                if rest == 0 { Some(None) } else { shares.best(&of_rest, scorer).map(|best| Some(best.1)) };
            nodes.iter().for_each(|node| shares.show(*node));
            (nodes, last?)
        };
        let mut nodes: Vec<_> = nodes.into_iter().map(|node| (node, all)).collect();
        nodes.extend(last.map(|node| (node, shares.mask(node, &of_rest, scorer, &mut placement.draws))));
        Some(nodes)
    }

    /// Leaves at most so many cards of each node in sight; gives back what to restore. Where cards are
    /// shared, nothing of such a node stays in sight.
    pub(super) fn hide(&mut self, nodes: &[(u32, u32)]) -> Vec<(u32, u128)> {
        if let Some(shares) = &mut self.shares {
            shares.hide(nodes.iter().map(|(node, _)| *node));
            return Vec::new();
        }
        let mut hidden = Vec::new();
        for (node, allowed) in nodes {
            let mask = self.masks[*node as usize];
            if mask.count_ones() > *allowed {
                hidden.push((*node, mask & !lowest_bits(mask, *allowed)));
                self.pretend(*node, lowest_bits(mask, *allowed));
            }
        }
        hidden
    }

    pub(super) fn unhide(&mut self, hidden: &[(u32, u128)]) {
        if let Some(shares) = &mut self.shares {
            shares.show_all();
        }
        for (node, mask) in hidden {
            self.pretend(*node, self.masks[*node as usize] | mask);
        }
    }
}

/// The `count` lowest set bits of `mask`.
fn lowest_bits(mask: u128, count: u32) -> u128 {
    let mut rest = mask;
    for _ in 0..count {
        rest &= rest.wrapping_sub(1);
    }
    mask & !rest
}

fn all_cards(count: u32) -> u128 {
    if count >= u128::BITS { u128::MAX } else { (1 << count) - 1 }
}
