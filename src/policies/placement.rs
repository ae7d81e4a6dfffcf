//! Placement: which node of a pool a claim gets.

use std::collections::BTreeSet;

use super::{Policy, Reason};
use crate::units::Instant;

/// The placements that a scenario can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlacementKind {
    /// The first node, by number, with enough free cards.
    #[default]
    FirstFit,
    /// The node with the fewest free cards that are enough; of several, the first.
    BestFit,
}

impl PlacementKind {
    /// All placements, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 2] = [("first-fit", Self::FirstFit), ("best-fit", Self::BestFit)];
}

/// The nodes of a pool by how many cards they have free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeNodes {
    /// `by_free[n]` has the nodes with exactly `n` cards free.
    by_free: Vec<BTreeSet<u32>>,
}

/// What a placement may look at.
#[derive(Debug)]
pub struct PlacementView<'a> {
    /// The pool's nodes.
    pub nodes: &'a FreeNodes,
    /// Cards wanted on one node.
    pub cards: u32,
}

impl FreeNodes {
    /// `nodes` nodes with `cards` free cards each.
    pub fn new(nodes: u32, cards: u32) -> Self {
        let mut by_free = vec![BTreeSet::new(); cards as usize + 1];
        by_free[cards as usize].extend(0..nodes);
        Self { by_free }
    }

    /// A node's free cards went from `before` to `after`.
    pub fn set(&mut self, node: u32, before: u32, after: u32) {
        self.by_free[before as usize].remove(&node);
        self.by_free[after as usize].insert(node);
    }

    /// Nodes with exactly `free` free cards.
    pub fn with_free(&self, free: u32) -> usize {
        self.by_free.get(free as usize).map_or(0, BTreeSet::len)
    }

    /// The first `count` nodes, by number, with all cards free.
    pub fn whole(&self, count: usize) -> Option<Vec<u32>> {
        let whole = self.by_free.last()?;
        (whole.len() >= count).then(|| whole.iter().copied().take(count).collect())
    }

    /// The most cards free on one node.
    pub fn most_free(&self) -> u32 {
        self.by_free.iter().rposition(|nodes| !nodes.is_empty()).unwrap_or(0) as u32
    }
}

impl Policy for PlacementKind {
    type Observation<'a> = PlacementView<'a>;
    /// The node, or `None` when no node has enough cards free.
    type Decision = Option<u32>;

    fn decide(&mut self, _now: Instant, view: &PlacementView<'_>) -> (Option<u32>, Reason) {
        let mut enough = view.nodes.by_free.iter().skip(view.cards as usize).filter_map(BTreeSet::first);
        match self {
            Self::FirstFit => (enough.min().copied(), Reason("first node with enough free cards")),
            Self::BestFit => (enough.next().copied(), Reason("fewest free cards that are enough")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_decides_its_own_way() {
        let mut nodes = FreeNodes::new(4, 8);
        nodes.set(0, 8, 1);
        nodes.set(1, 8, 6);
        nodes.set(2, 8, 4);
        let place = |mut kind: PlacementKind, cards| {
            kind.decide(Instant::ZERO, &PlacementView { nodes: &nodes, cards }).0
        };
        assert_eq!(place(PlacementKind::FirstFit, 3), Some(1));
        assert_eq!(place(PlacementKind::BestFit, 3), Some(2));
        assert_eq!(place(PlacementKind::FirstFit, 8), Some(3));
        assert_eq!(place(PlacementKind::BestFit, 1), Some(0));
        assert_eq!(nodes.whole(1), Some(vec![3]));
        assert_eq!(nodes.whole(2), None);
        assert_eq!((nodes.most_free(), nodes.with_free(4)), (8, 1));
        nodes.set(3, 8, 0);
        let mut kind = PlacementKind::BestFit;
        assert_eq!(kind.decide(Instant::ZERO, &PlacementView { nodes: &nodes, cards: 7 }).0, None);
    }
}
