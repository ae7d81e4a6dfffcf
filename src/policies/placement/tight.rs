//! Best and worst fit over several resources: free CPUs and cards that would be left over, each as a share
//! of the largest node's, half of the weight each (Weng et al., USENIX ATC 2023, artifact). Best fit takes
//! the node with the least left over, worst fit the one with the most. A score is a whole number from 0 to
//! 100; ties by pool, then by number of the node.

use super::node_free::{Largest, NodeFree, Want};

/// The score under best fit: higher is better. The claim fits.
pub(super) fn best(node: &NodeFree, want: &Want, largest: &Largest) -> i64 {
    let share = |left: u32, whole: u32| f64::from(left) / f64::from(whole.max(1));
    let cpu = match (node.cpu_milli, largest.cpu_milli) {
        (u32::MAX, _) | (_, 0) => 0.0,
        (free, whole) => share(free - want.cpu_milli, whole),
    };
    let cards = share(node.total_milli() - want.total_milli(), largest.card_milli);
    ((1.0 - (cpu + cards) / 2.0) * 100.0) as i64
}

/// The score under worst fit.
pub(super) fn worst(node: &NodeFree, want: &Want, largest: &Largest) -> i64 {
    100 - best(node, want, largest)
}
