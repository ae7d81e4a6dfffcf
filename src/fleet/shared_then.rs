//! What would be free if leases were given back, where cards are shared and hosts count.

use std::collections::BTreeMap;

use super::claim::{Lease, Shape};
use super::shares::Shares;
use crate::policies::placement::{NodeFree, Want};

/// A pool as it would be after some leases were given back, and whether a claim would fit there.
#[derive(Debug)]
pub(super) struct SharedThen<'a> {
    shares: &'a Shares,
    /// Whole nodes wanted, what of each, and what of one more when something is.
    whole: usize,
    of_whole: Want,
    of_rest: Option<Want>,
    /// Nodes on which something was given back: free thousandths of each card, of CPUs, and MiB of memory.
    then: BTreeMap<u32, (Vec<u32>, u64, u64)>,
    /// Nodes that have room for a whole part, and others that have room for the rest.
    have_whole: usize,
    have_rest: usize,
}

impl<'a> SharedThen<'a> {
    pub(super) fn new(shares: &'a Shares, shape: Shape, cards_per_node: u32) -> Self {
        let (whole, rest) = shape.whole_and_rest(cards_per_node);
        let (needs, cards) = (shape.needs(), shape.cards());
        let of_whole = needs.on_node(cards_per_node, cards);
        let of_rest = (rest > 0 || whole == 0).then(|| needs.on_node(rest, cards));
        let mut then = Self {
            shares,
            whole: whole as usize,
            of_whole,
            of_rest,
            then: BTreeMap::new(),
            have_whole: 0,
            have_rest: 0,
        };
        for (free, count) in shares.groups() {
            match then.room(free) {
                Room::Whole => then.have_whole += count,
                Room::Rest => then.have_rest += count,
                Room::None => {}
            }
        }
        then
    }

    fn room(&self, free: &NodeFree) -> Room {
        if self.whole > 0 && free.fits(&self.of_whole) {
            Room::Whole
        } else if self.of_rest.is_some_and(|want| free.fits(&want)) {
            Room::Rest
        } else {
            Room::None
        }
    }

    pub(super) fn fits(&self) -> bool {
        self.have_whole >= self.whole
            && (self.of_rest.is_none() || self.have_whole > self.whole || self.have_rest > 0)
    }

    /// What is free on a node then.
    fn node(&self, node: u32) -> NodeFree {
        let mut free = self.shares.node(node);
        if let Some((milli, cpu, memory)) = self.then.get(&node) {
            free.milli = milli.iter().map(|milli| u16::try_from(*milli).unwrap_or(u16::MAX)).collect();
            free.milli.sort_unstable();
            free.cpu_milli = u32::try_from(*cpu).unwrap_or(u32::MAX);
            free.memory_mib = u32::try_from(*memory).unwrap_or(u32::MAX);
        }
        free
    }

    /// A lease of this pool is given back, or is not after all.
    pub(super) fn change(&mut self, lease: &Lease, back: bool) {
        let cards = lease.cards();
        for (node, mask) in lease.nodes.iter().filter(|(node, _)| self.shares.is_ready(*node)) {
            let before = self.room(&self.node(*node));
            let want = lease.needs.on_node(mask.count_ones(), cards);
            let (milli, cpu, memory) = self.then.entry(*node).or_insert_with(|| self.shares.parts(*node));
            let cards = (0u32..).zip(milli).filter(|(card, _)| mask >> card & 1 == 1);
            cards.for_each(|(_, milli)| {
                let part = u32::from(want.card_milli);
                *milli = if back { *milli + part } else { *milli - part };
            });
            for (free, part) in [(cpu, want.cpu_milli), (memory, want.memory_mib)] {
                let known = *free < u64::from(u32::MAX);
                let part = if known { u64::from(part) } else { 0 };
                *free = if back { *free + part } else { *free - part };
            }
            let after = self.room(&self.node(*node));
            for (room, sign) in [(before, -1), (after, 1)] {
                match room {
                    Room::Whole => self.have_whole = self.have_whole.saturating_add_signed(sign),
                    Room::Rest => self.have_rest = self.have_rest.saturating_add_signed(sign),
                    Room::None => {}
                }
            }
        }
    }

    /// Nodes to keep free so that the claim fits then: those that come free first, by number, then those
    /// that are free; nothing of them is left to others.
    pub(super) fn nodes(&self) -> Vec<(u32, u32)> {
        let unchanged = |node: &u32| !self.then.contains_key(node);
        let coming = self.then.keys().copied().filter(|node| self.node(*node).fits(&self.of_whole));
        let mut chosen: Vec<u32> = if self.whole == 0 {
            Vec::new()
        } else {
            coming.chain(self.shares.whole_nodes(&self.of_whole).filter(unchanged)).take(self.whole).collect()
        };
        if let Some(want) = self.of_rest {
            let coming =
                self.then.keys().find(|node| !chosen.contains(node) && self.node(**node).fits(&want));
            let free = || {
                self.shares.find(|node, free| unchanged(&node) && !chosen.contains(&node) && free.fits(&want))
            };
            chosen.extend(coming.copied().or_else(free));
        }
        chosen.into_iter().map(|node| (node, 0)).collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Room {
    Whole,
    Rest,
    None,
}
