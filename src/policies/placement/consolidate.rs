//! Consolidate, as Helios places (Hu et al., SC 2021, simulator of the artifact): a gang that fits on a node
//! goes to the one with the fewest free cards that are enough; the rest of a larger gang goes to the emptiest
//! node. Ties by number.

use super::FreeNodes;
use crate::policies::Reason;

/// The rule in words.
pub(super) const REASON: Reason = Reason("best fit within a node, the rest of a gang on the emptiest");

/// The node, or `None` when none has enough; `rest` when the gang has whole nodes besides.
pub(super) fn node(nodes: &FreeNodes, cards: u32, rest: bool) -> Option<u32> {
    let mut enough = nodes.enough(cards);
    if rest { enough.next_back() } else { enough.next() }
}
