//! What would be free if leases were given back: the question behind reservations and preemption.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::claim::{Lease, Shape};
use super::config::PoolId;
use super::pool::Pool;
use super::shared_then::SharedThen;
use crate::policies::placement::PlacementKind;

/// Cards that must be free at a later time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Where.
    pub pool: PoolId,
    /// Nodes with the number of cards of each that others may still use beyond that time.
    pub nodes: Vec<(u32, u32)>,
}

/// Spreads the numbers of nodes: what is looked up for every lease of a pool must cost little, and nothing
/// depends on the order of the table. (Fibonacci hashing: Knuth, The Art of Computer Programming 3, 6.4.)
#[derive(Debug, Default)]
struct NodeHasher(u64);

impl Hasher for NodeHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, node: u32) {
        self.0 = (self.0 ^ u64::from(node)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A pool as it would be after some leases were given back, and whether a claim would fit there.
///
/// Giving one back costs time in its nodes alone.
#[derive(Debug)]
pub struct WhatIf<'a> {
    id: PoolId,
    pool: &'a Pool,
    shape: Shape,
    splits: bool,
    /// Reservations take the nodes with the lowest numbers, as first fit would.
    by_number: bool,
    /// Cards that would come free, by node.
    freed: HashMap<u32, u32, BuildHasherDefault<NodeHasher>>,
    /// Nodes with all cards free.
    whole: usize,
    /// Other nodes with enough free cards for the rest.
    partial: usize,
    total: u32,
    shared: Option<SharedThen<'a>>,
}

impl<'a> WhatIf<'a> {
    pub(super) fn new(id: PoolId, pool: &'a Pool, shape: Shape, placement: PlacementKind) -> Self {
        let rest = shape.whole_and_rest(pool.cards_per_node).1;
        let whole = pool.free.with_free(pool.cards_per_node);
        let enough = if rest == 0 { 0 } else { pool.free.count_enough(rest) - whole };
        let shared = pool.shares.as_ref().map(|shares| SharedThen::new(shares, shape, pool.cards_per_node));
        let splits = placement.splits() && matches!(shape, Shape::Gang { .. }) && shared.is_none();
        Self {
            id,
            pool,
            shape,
            splits,
            by_number: placement == PlacementKind::FirstFit,
            freed: HashMap::default(),
            whole,
            partial: enough,
            total: pool.free_cards(),
            shared,
        }
    }

    /// Whether the claim would fit.
    pub fn fits(&self) -> bool {
        if let Some(shared) = &self.shared {
            return shared.fits();
        }
        let (whole, rest) = self.shape.whole_and_rest(self.pool.cards_per_node);
        if self.splits {
            return self.total >= self.shape.cards();
        }
        let whole = whole as usize;
        self.whole >= whole && (rest == 0 || self.whole > whole || self.partial > 0)
    }

    /// A lease is given back; one of another pool changes nothing.
    pub fn give_back(&mut self, lease: &Lease) {
        self.change(lease, true);
    }

    /// A lease that was given back is not.
    pub fn keep(&mut self, lease: &Lease) {
        self.change(lease, false);
    }

    fn change(&mut self, lease: &Lease, back: bool) {
        if lease.pool != self.id {
            return;
        }
        if let Some(shared) = &mut self.shared {
            return shared.change(lease, back);
        }
        let rest = self.shape.whole_and_rest(self.pool.cards_per_node).1;
        for (node, mask) in &lease.nodes {
            let cards = mask.count_ones();
            let before = self.free_then(*node);
            let freed = self.freed.entry(*node).or_default();
            let after = if back {
                *freed += cards;
                self.total += cards;
                before + cards
            } else {
                *freed -= cards;
                self.total -= cards;
                before - cards
            };
            for (free, sign) in [(before, -1), (after, 1)] {
                if free == self.pool.cards_per_node {
                    self.whole = self.whole.saturating_add_signed(sign);
                } else if rest > 0 && free >= rest {
                    self.partial = self.partial.saturating_add_signed(sign);
                }
            }
        }
    }

    fn free_now(&self, node: u32) -> u32 {
        self.pool.masks[node as usize].count_ones()
    }

    fn free_then(&self, node: u32) -> u32 {
        self.free_now(node) + self.freed.get(&node).copied().unwrap_or(0)
    }

    /// What to keep free so that the claim fits then. Under first fit these are the nodes that it would choose
    /// then, the lowest numbers; under the other placements those of which least is free now, so that least is
    /// kept from others, and of several the highest numbers.
    pub fn reservation(&self) -> Reservation {
        if let Some(shared) = &self.shared {
            return Reservation { pool: self.id, nodes: shared.nodes() };
        }
        let per_node = self.pool.cards_per_node;
        let mut nodes = Vec::new();
        if self.splits {
            let mut hidden = self.shape.cards().saturating_sub(self.total - self.pool.free_cards());
            for free in (1..=per_node).rev() {
                for node in self.pool.free.nodes_with(free).rev() {
                    if hidden == 0 {
                        break;
                    }
                    let here = hidden.min(free);
                    hidden -= here;
                    nodes.push((node, free - here));
                }
            }
            return Reservation { pool: self.id, nodes };
        }
        if self.by_number {
            return Reservation { pool: self.id, nodes: self.lowest() };
        }
        let (whole, rest) = self.shape.whole_and_rest(per_node);
        let mut coming: Vec<(u32, std::cmp::Reverse<u32>)> = self
            .freed
            .iter()
            .filter(|(node, freed)| **freed > 0 && self.free_then(**node) == per_node)
            .map(|(node, _)| (self.free_now(*node), std::cmp::Reverse(*node)))
            .collect();
        coming.sort_unstable();
        let coming = coming.into_iter().map(|(_, node)| node.0);
        let not_coming = |node: &u32| self.freed.get(node).is_none_or(|freed| *freed == 0);
        let free_now = self.pool.free.nodes_with(per_node).rev().filter(not_coming);
        let chosen: Vec<u32> = coming.chain(free_now).take(whole as usize).collect();
        let taken: BTreeSet<u32> = chosen.iter().copied().collect();
        nodes.extend(chosen.into_iter().map(|node| (node, 0)));
        if rest > 0 {
            let hidden = |node: u32| self.free_now(node).saturating_sub(self.free_then(node) - rest);
            let coming = self.freed.keys().copied();
            let fits = |node: &u32| !taken.contains(node) && self.free_then(*node) >= rest;
            let best = coming.filter(fits).min_by_key(|node| (hidden(*node), std::cmp::Reverse(*node)));
            let free = || (rest..=per_node).flat_map(|free| self.pool.free.nodes_with(free).rev());
            let best = best.or_else(|| free().find(fits));
            nodes.extend(best.map(|node| (node, self.free_then(node) - rest)));
        }
        Reservation { pool: self.id, nodes }
    }

    /// The first nodes, by number, on which the claim fits then.
    fn lowest(&self) -> Vec<(u32, u32)> {
        let per_node = self.pool.cards_per_node;
        let (whole, rest) = self.shape.whole_and_rest(per_node);
        let coming = self.freed.iter().filter(|(_, freed)| **freed > 0).map(|(node, _)| *node);
        let full = coming.filter(|node| self.free_then(*node) == per_node);
        let mut chosen: Vec<u32> =
            full.chain(self.pool.free.nodes_with(per_node).take(whole as usize)).collect();
        chosen.sort_unstable();
        chosen.truncate(whole as usize);
        let taken: BTreeSet<u32> = chosen.iter().copied().collect();
        let mut nodes: Vec<(u32, u32)> = chosen.into_iter().map(|node| (node, 0)).collect();
        if rest > 0 {
            let fits = |node: &u32| !taken.contains(node) && self.free_then(*node) >= rest;
            let coming = self.freed.keys().copied().filter(fits).min();
            let levels = rest..=per_node;
            let now = levels.filter_map(|free| self.pool.free.nodes_with(free).find(fits)).min();
            let first = coming.into_iter().chain(now).min();
            nodes.extend(first.map(|node| (node, self.free_then(node) - rest)));
        }
        nodes
    }
}
