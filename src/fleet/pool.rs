//! The cards of one pool: its nodes with their states, and which cards are free.

use super::claim::{Lease, LeasePhase, Shape};
use super::config::PoolConfig;
use super::usage::PoolUsage;
use crate::policies::Policy as _;
use crate::policies::placement::{FreeNodes, Placement, PlacementView};
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
        }
    }

    pub(super) fn idle_since(&self, node: u32) -> Option<Instant> {
        let all = self.masks[node as usize] == all_cards(self.cards_per_node);
        all.then(|| self.touched[node as usize])
    }

    pub(super) fn free_cards(&self) -> u32 {
        self.usage.free
    }

    fn set_mask(&mut self, node: u32, mask: u128) {
        let before = self.masks[node as usize].count_ones();
        self.masks[node as usize] = mask;
        self.free.set(node, before, mask.count_ones());
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
    }

    /// Adds a lease's cards to the counts, or takes them out.
    pub(super) fn count(&mut self, now: Instant, lease: &Lease, add: bool) {
        self.usage.settle(now);
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
            self.usage.free -= mask.count_ones();
            self.touched[*node as usize] = now;
            self.set_mask(*node, self.masks[*node as usize] & !mask);
        }
    }

    /// Takes the cards of a lease back: those of a node on its way out are not to be claimed again.
    pub(super) fn give_back(&mut self, now: Instant, lease: &Lease) {
        self.count(now, lease, false);
        for (node, mask) in &lease.nodes {
            self.touched[*node as usize] = now;
            if self.states[*node as usize] == NodeCards::Draining {
                self.usage.draining += mask.count_ones();
            } else {
                self.usage.free += mask.count_ones();
                self.set_mask(*node, self.masks[*node as usize] | mask);
            }
        }
    }

    /// Whether counts and masks are those of the nodes' states and of these leases.
    pub(super) fn is_balanced<'a>(&self, leases: impl Iterator<Item = &'a Lease>) -> bool {
        let mut masks = self.masks.clone();
        let mut counted = PoolUsage::default();
        for lease in leases {
            for (node, mask) in &lease.nodes {
                let state = self.states[*node as usize];
                let held = matches!(state, NodeCards::Ready | NodeCards::Draining);
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

    /// Leaves at most so many cards of each node in sight; gives back what to restore.
    pub(super) fn hide(&mut self, nodes: &[(u32, u32)]) -> Vec<(u32, u128)> {
        let mut hidden = Vec::new();
        for (node, allowed) in nodes {
            let mask = self.masks[*node as usize];
            if mask.count_ones() > *allowed {
                hidden.push((*node, mask & !lowest_bits(mask, *allowed)));
                self.set_mask(*node, lowest_bits(mask, *allowed));
            }
        }
        hidden
    }

    pub(super) fn unhide(&mut self, hidden: &[(u32, u128)]) {
        for (node, mask) in hidden {
            self.set_mask(*node, self.masks[*node as usize] | mask);
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
