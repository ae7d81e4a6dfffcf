//! Placement: which nodes of a pool a claim gets.
//!
//! Each rule that chooses one node has its own file with its tie rule. A gang larger than a node takes whole
//! nodes and one more for the rest; `pack` and `spread` alone may split a gang over partly used nodes, so
//! under them a gang starts whenever enough cards are free, wherever they lie.

mod best_fit;
mod consolidate;
mod first_fit;
mod free_nodes;
mod pack;
mod random;
mod spread;
mod worst_fit;

pub use free_nodes::FreeNodes;

use super::{Policy, Reason};
use crate::sim::RandomStream;
use crate::units::Instant;

/// The placements that a scenario can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlacementKind {
    /// The first node, by number, with enough free cards.
    #[default]
    FirstFit,
    /// The node with the fewest free cards that are enough; of several, the first.
    BestFit,
    /// The node with the most free cards; of several, the first.
    WorstFit,
    /// The fullest nodes first; a gang may lie on several partly used nodes.
    Pack,
    /// The emptiest nodes, one card after the other; a gang lies on as many nodes as it can.
    Spread,
    /// Any node with enough free cards, each with the same probability.
    Random,
    /// Best fit within a node; the rest of a larger gang goes to the emptiest node.
    Consolidate,
}

/// What a placement may look at.
#[derive(Debug)]
pub struct PlacementView<'a> {
    /// The pool's nodes.
    pub nodes: &'a FreeNodes,
    /// Cards wanted on one node.
    pub cards: u32,
    /// True when these cards are the rest of a gang that has whole nodes besides.
    pub rest: bool,
}

impl PlacementKind {
    /// All placements, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 7] = [
        ("first-fit", Self::FirstFit),
        ("best-fit", Self::BestFit),
        ("worst-fit", Self::WorstFit),
        ("pack", Self::Pack),
        ("spread", Self::Spread),
        ("random", Self::Random),
        ("consolidate", Self::Consolidate),
    ];

    /// True when a gang may be split over partly used nodes: it fits wherever enough cards are free.
    pub fn splits(self) -> bool {
        matches!(self, Self::Pack | Self::Spread)
    }
}

/// A placement with what it draws from.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The rule.
    pub kind: PlacementKind,
    /// What `random` draws from; the other rules draw nothing.
    pub draws: RandomStream,
}

impl Placement {
    /// How a gang of `cards` cards lies when it may be split: nodes with the number of cards on each.
    /// `None` when fewer are free, or when the rule does not split.
    pub fn split(&self, nodes: &FreeNodes, cards: u32) -> Option<Vec<(u32, u32)>> {
        match self.kind {
            PlacementKind::Pack => pack::gang(nodes, cards),
            PlacementKind::Spread => spread::gang(nodes, cards),
            _ => None,
        }
    }
}

impl Policy for Placement {
    type Observation<'a> = PlacementView<'a>;
    /// The node, or `None` when no node has enough cards free.
    type Decision = Option<u32>;

    fn decide(&mut self, _now: Instant, view: &PlacementView<'_>) -> (Option<u32>, Reason) {
        let (nodes, cards) = (view.nodes, view.cards);
        match self.kind {
            PlacementKind::FirstFit => (first_fit::node(nodes, cards), first_fit::REASON),
            PlacementKind::BestFit | PlacementKind::Pack => (best_fit::node(nodes, cards), best_fit::REASON),
            PlacementKind::WorstFit | PlacementKind::Spread => {
                (worst_fit::node(nodes, cards), worst_fit::REASON)
            }
            PlacementKind::Random => (random::node(nodes, cards, &mut self.draws), random::REASON),
            PlacementKind::Consolidate => (consolidate::node(nodes, cards, view.rest), consolidate::REASON),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    fn placement(kind: PlacementKind) -> Placement {
        Placement { kind, draws: Seed(1).stream("placement") }
    }

    fn place(kind: PlacementKind, nodes: &FreeNodes, cards: u32, rest: bool) -> Option<u32> {
        placement(kind).decide(Instant::ZERO, &PlacementView { nodes, cards, rest }).0
    }

    /// Four nodes of 8 cards with 1, 6, 4 and 8 free.
    fn four() -> FreeNodes {
        let mut nodes = FreeNodes::new(4, 8);
        nodes.set(0, 8, 1);
        nodes.set(1, 8, 6);
        nodes.set(2, 8, 4);
        nodes
    }

    #[test]
    fn each_rule_decides_its_own_way() {
        let mut nodes = four();
        assert_eq!(place(PlacementKind::FirstFit, &nodes, 3, false), Some(1));
        assert_eq!(place(PlacementKind::BestFit, &nodes, 3, false), Some(2));
        assert_eq!(place(PlacementKind::WorstFit, &nodes, 3, false), Some(3));
        assert_eq!(place(PlacementKind::Consolidate, &nodes, 3, false), Some(2));
        assert_eq!(place(PlacementKind::Consolidate, &nodes, 3, true), Some(3));
        assert_eq!(place(PlacementKind::FirstFit, &nodes, 8, false), Some(3));
        assert_eq!(place(PlacementKind::BestFit, &nodes, 1, false), Some(0));
        assert_eq!(nodes.whole(1), Some(vec![3]));
        assert_eq!(nodes.whole(2), None);
        assert_eq!((nodes.most_free(), nodes.with_free(4)), (8, 1));
        nodes.set(3, 8, 0);
        assert_eq!(place(PlacementKind::BestFit, &nodes, 7, false), None);
        assert_eq!(place(PlacementKind::WorstFit, &nodes, 7, false), None);
    }

    /// Ten cards: pack fills the nodes that are in use and leaves the empty one as whole as it can; spread
    /// takes from all.
    #[test]
    fn pack_and_spread_split_a_gang() {
        let nodes = four();
        let split = |kind, cards| placement(kind).split(&nodes, cards);
        assert_eq!(split(PlacementKind::Pack, 10), Some(vec![(0, 1), (2, 4), (1, 5)]));
        assert_eq!(split(PlacementKind::Spread, 10), Some(vec![(3, 5), (1, 4), (2, 1)]));
        assert_eq!(split(PlacementKind::Pack, 20), None);
        assert_eq!(split(PlacementKind::Spread, 20), None);
        assert_eq!(split(PlacementKind::Spread, 19), Some(vec![(3, 8), (1, 6), (2, 4), (0, 1)]));
        assert_eq!(split(PlacementKind::FirstFit, 10), None);
    }

    /// Three nodes fit: each gets a third of the draws.
    #[test]
    fn random_is_uniform_over_the_nodes_that_fit() {
        let nodes = four();
        let mut random = placement(PlacementKind::Random);
        let mut counts = [0; 4];
        for _ in 0..3000 {
            let view = PlacementView { nodes: &nodes, cards: 3, rest: false };
            counts[random.decide(Instant::ZERO, &view).0.expect("three fit") as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
