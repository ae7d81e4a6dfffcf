//! Placement: which nodes of a pool a claim gets.
//!
//! Each rule that chooses one node has its own file with its tie rule. A gang larger than a node takes whole
//! nodes and one more for the rest; `pack` and `spread` alone may split a gang over partly used nodes, so
//! under them a gang starts whenever enough cards are free, wherever they lie.
//!
//! Rules that score ([`PlacementKind::scores`]) look at what is free on every kind of node: on each card,
//! of CPUs, of host memory. The others do so as well once somebody asks for more than whole cards; then
//! best fit, `pack` and `consolidate` are one rule, worst fit and `spread` another, and no gang is split.

mod best_fit;
mod consolidate;
mod dot_product;
mod fgd;
mod first_fit;
mod free_nodes;
mod gpu_clustering;
mod gpu_packing;
mod node_free;
mod pack;
mod random;
mod scorer;
mod spread;
mod tight;
pub mod topology;
mod worst_fit;

pub use fgd::Workload;
pub use free_nodes::FreeNodes;
pub use node_free::{Largest, Needs, NodeFree, WHOLE, Want};
pub use scorer::Scorer;

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
    /// The node whose free CPUs and cards have the smallest product with what is asked for.
    DotProduct,
    /// Nodes with claims of the same kind first, the fullest of them.
    GpuClustering,
    /// Cards in use first, then nodes in use, then empty nodes.
    GpuPacking,
    /// The node and card where the fewest new fragments come about, for the typical workload.
    Fgd,
    /// One node, else one switch, else as few switches as can be.
    Topology,
    /// Of several pools the one where the job's work costs least; best fit there.
    Cheapest,
    /// Of several pools the one where the job is done soonest; best fit there.
    Fastest,
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
    pub const ALL: [(&'static str, Self); 14] = [
        ("first-fit", Self::FirstFit),
        ("best-fit", Self::BestFit),
        ("worst-fit", Self::WorstFit),
        ("pack", Self::Pack),
        ("spread", Self::Spread),
        ("random", Self::Random),
        ("consolidate", Self::Consolidate),
        ("dot-product", Self::DotProduct),
        ("gpu-clustering", Self::GpuClustering),
        ("gpu-packing", Self::GpuPacking),
        ("fgd", Self::Fgd),
        ("topology", Self::Topology),
        ("cheapest", Self::Cheapest),
        ("fastest", Self::Fastest),
    ];

    /// True when the rule scores the nodes of all pools that a claim may use against each other.
    pub fn scores(self) -> bool {
        matches!(self, Self::DotProduct | Self::GpuClustering | Self::GpuPacking | Self::Fgd)
    }

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
            // Where cards are shared or nodes are scored, `Scorer` decides instead.
            PlacementKind::BestFit
            | PlacementKind::Pack
            | PlacementKind::Topology
            | PlacementKind::Cheapest
            | PlacementKind::Fastest
            | PlacementKind::DotProduct
            | PlacementKind::GpuClustering
            | PlacementKind::GpuPacking
            | PlacementKind::Fgd => (best_fit::node(nodes, cards), best_fit::REASON),
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
