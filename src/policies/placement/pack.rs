//! Pack: the fullest nodes first, so that empty nodes stay empty; ties by number. A gang may lie on several
//! partly used nodes.

use super::FreeNodes;

/// Nodes with the cards taken of each, or `None` when fewer than `cards` are free. A gang that one node can
/// take goes to the fullest such node, as under best fit.
pub(super) fn gang(nodes: &FreeNodes, cards: u32) -> Option<Vec<(u32, u32)>> {
    if let Some(node) = nodes.enough(cards).next() {
        return Some(vec![(node, cards)]);
    }
    let mut left = cards;
    let mut taken = Vec::new();
    for free in 1..=nodes.cards_per_node() {
        for node in nodes.nodes_with(free) {
            let take = free.min(left);
            taken.push((node, take));
            left -= take;
            if left == 0 {
                return Some(taken);
            }
        }
    }
    None
}
