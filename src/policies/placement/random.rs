//! Random: each node with enough free cards with the same probability.

use super::FreeNodes;
use crate::policies::Reason;
use crate::sim::RandomStream;

/// The rule in words.
pub(super) const REASON: Reason = Reason("drawn among the nodes with enough free cards");

/// The node, or `None` when none has enough; draws once when there is a choice.
pub(super) fn node(nodes: &FreeNodes, cards: u32, draws: &mut RandomStream) -> Option<u32> {
    let count = nodes.count_enough(cards) as u64;
    (count > 0).then(|| nodes.nth_with_enough(cards, draws.below(count) as usize)).flatten()
}
