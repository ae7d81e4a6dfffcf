//! First fit: the first node, by number, with enough free cards.

use super::FreeNodes;
use crate::policies::Reason;

/// The rule in words.
pub(super) const REASON: Reason = Reason("first node with enough free cards");

/// The node, or `None` when none has enough.
pub(super) fn node(nodes: &FreeNodes, cards: u32) -> Option<u32> {
    nodes.enough(cards).min()
}
