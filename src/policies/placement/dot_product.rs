//! Dot product, after Tetris (Grandl et al., SIGCOMM 2014), with the sign that the fragmentation study
//! gives it (Weng et al., USENIX ATC 2023, artifact: dimensions merged, normalised by the largest node):
//! the node whose free CPUs and cards, as shares of the largest node's, have the smallest product with what
//! is asked for, so the one that is left with least of what the claim needs most. A score is a whole number
//! from 0 to 100, as in Kubernetes; ties by pool, then by number of the node.

use super::node_free::{Largest, NodeFree, Want};

/// The score: higher is better.
pub(super) fn score(node: &NodeFree, want: &Want, largest: &Largest) -> i64 {
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
    let cpu = match (node.cpu_milli, largest.cpu_milli) {
        (u32::MAX, _) | (_, 0) => 0.0,
        (free, whole) => share(free, whole) * share(want.cpu_milli, whole),
    };
    let cards = share(node.total_milli(), largest.card_milli) * share(want.total_milli(), largest.card_milli);
    ((1.0 - (cpu + cards) / 2.0) * 100.0) as i64
}
