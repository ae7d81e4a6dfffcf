//! Clustering of like claims, after Gandiva (Xiao et al., OSDI 2018) as the fragmentation study scores it
//! (Weng et al., USENIX ATC 2023, artifact): first nodes on which there are only claims of the same kind
//! (those that share a card, or with as many cards), then nodes with others beside them, then empty ones,
//! then the rest; of these the node with the least free. A score is a whole number from 0 to 100; ties by
//! pool, then by number of the node.

use super::node_free::{Largest, NodeFree, Want};

/// The score: higher is better.
pub(super) fn score(node: &NodeFree, want: &Want, largest: &Largest) -> i64 {
    let Some(kind) = want.kind() else { return 0 };
    let most = i64::from(largest.card_milli.max(1));
    let fullness = 25 * (most - i64::from(node.total_milli())) / most;
    let same = node.kinds.contains(&kind);
    let rank = match (same, node.kinds.len()) {
        (true, 1) => 75,
        (true, _) => 50,
        (false, 0) => 25,
        (false, _) => 0,
    };
    fullness + rank
}
