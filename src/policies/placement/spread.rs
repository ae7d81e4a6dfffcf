//! Spread: card after card to the node that then has the most free, so that a gang lies on as many nodes as
//! it can and load is even; ties by number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::FreeNodes;

/// Nodes with the cards taken of each, or `None` when fewer than `cards` are free.
pub(super) fn gang(nodes: &FreeNodes, cards: u32) -> Option<Vec<(u32, u32)>> {
    if nodes.total() < u64::from(cards) {
        return None;
    }
    // At most `cards` nodes get any: the emptiest ones.
    let emptiest =
        (1..=nodes.cards_per_node()).rev().flat_map(|free| nodes.nodes_with(free).map(move |n| (free, n)));
    let order: Vec<(u32, u32)> = emptiest.take(cards as usize).collect();
    let mut heap: BinaryHeap<(u32, Reverse<u32>)> =
        order.iter().map(|(free, n)| (*free, Reverse(*n))).collect();
    let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
    for _ in 0..cards {
        let (free, node) = heap.pop()?;
        *taken.entry(node.0).or_default() += 1;
        if free > 1 {
            heap.push((free - 1, node));
        }
    }
    Some(order.into_iter().filter_map(|(_, node)| Some((node, *taken.get(&node)?))).collect())
}
