//! Packing of cards, as the fragmentation study scores it (Weng et al., USENIX ATC 2023, artifact, after
//! MLaaS in the Wild, NSDI 2022): first nodes where only cards that are in use already are needed, the
//! fullest of them; then nodes in use where free cards must be opened, as few as can be; then empty nodes,
//! the smallest first. A score is a whole number from 0 to 100; ties by pool, then by number of the node.

use super::node_free::{NodeFree, WHOLE, Want};

/// The score: higher is better. The claim fits.
pub(super) fn score(node: &NodeFree, want: &Want) -> i64 {
    if want.cards == 0 {
        return 0;
    }
    let whole = node.whole_cards();
    if whole == node.milli.len() {
        return (33 - whole as i64).max(whole as i64);
    }
    let taken = &node.milli[node.tightest(want)];
    match taken.iter().filter(|milli| **milli == WHOLE).count() as i64 {
        0 => {
            let percent = |milli: &u16| i64::from(*milli) * 100 / i64::from(WHOLE);
            (100 - taken.iter().map(percent).sum::<i64>() / 10).max(50)
        }
        opened => (50 - opened).max(33),
    }
}
