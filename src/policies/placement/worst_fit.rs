//! Worst fit: the node with the most free cards; ties by number.

use super::FreeNodes;
use crate::policies::Reason;

/// The rule in words.
pub(super) const REASON: Reason = Reason("most free cards");

/// The node, or `None` when none has enough.
pub(super) fn node(nodes: &FreeNodes, cards: u32) -> Option<u32> {
    nodes.enough(cards).next_back()
}
