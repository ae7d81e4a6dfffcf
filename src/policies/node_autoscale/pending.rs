//! Buys what is pending: no law of anybody's, but the plainest that works, and what a pool with a range of
//! nodes has when no node autoscaler is named.
//!
//! Rules and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | what is pending goes, in order, on free cards, then on nodes that are coming | `what_is_coming_counts` |
//! | what is left buys a node of the first pool of its own that has room | `falls_back_in_order` |

/// How much room one pool has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolRoom {
    /// Cards on a node.
    pub cards_per_node: u32,
    /// Free cards of each node that has any.
    pub free: Vec<u32>,
    /// Nodes that are coming.
    pub coming: u32,
    /// Nodes that can be ordered now.
    pub room: u32,
}

/// Cards wanted on one of several pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The pools by place, in order of preference, with the cards that are wanted there.
    pub options: Vec<(usize, u32)>,
    /// The cards may lie on several nodes: whole ones, and one more for the rest.
    pub gang: bool,
}

/// How many nodes of each pool to order.
pub fn nodes_to_order(pools: &[PoolRoom], wants: &[Want]) -> Vec<u32> {
    let mut orders = vec![0; pools.len()];
    // Free cards node by node, of what is there and what is coming.
    let mut bins: Vec<Vec<u32>> = pools
        .iter()
        .map(|pool| {
            let coming = std::iter::repeat_n(pool.cards_per_node, pool.coming as usize);
            pool.free.iter().copied().chain(coming).collect()
        })
        .collect();
    for want in wants {
        let fits = want.options.iter().any(|(pool, cards)| {
            place(&mut bins[*pool], pools[*pool].cards_per_node, *cards, want.gang, 0).is_some()
        });
        if fits {
            continue;
        }
        for (pool, cards) in &want.options {
            let left = pools[*pool].room - orders[*pool];
            let bought = place(&mut bins[*pool], pools[*pool].cards_per_node, *cards, want.gang, left);
            if let Some(bought) = bought {
                orders[*pool] += bought;
                break;
            }
        }
    }
    orders
}

/// Puts cards into bins, buying at most `most` new ones; how many were bought, or nothing if they don't fit.
fn place(bins: &mut Vec<u32>, per_node: u32, cards: u32, gang: bool, most: u32) -> Option<u32> {
    let (whole, rest) = if gang { (cards / per_node, cards % per_node) } else { (0, cards) };
    if rest > per_node {
        return None;
    }
    let mut after = bins.clone();
    let mut bought = 0;
    let parts = std::iter::repeat_n(per_node, whole as usize).chain((rest > 0).then_some(rest));
    for part in parts {
        // The fullest bin that has room, so that whole nodes stay whole.
        let best = after.iter_mut().filter(|free| **free >= part).min();
        match best {
            Some(free) => *free -= part,
            None => {
                bought += 1;
                after.push(per_node - part);
            }
        }
    }
    if bought > most {
        return None;
    }
    *bins = after;
    Some(bought)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(free: &[u32], coming: u32, room: u32) -> PoolRoom {
        PoolRoom { cards_per_node: 8, free: free.to_vec(), coming, room }
    }

    fn one(options: &[(usize, u32)]) -> Want {
        Want { options: options.to_vec(), gang: false }
    }

    #[test]
    fn what_is_coming_counts() {
        // Two of 4 cards fit on the node that is coming, the third needs another; 2 cards are free for the
        // fourth.
        let wants = [one(&[(0, 4)]), one(&[(0, 4)]), one(&[(0, 4)]), one(&[(0, 2)])];
        assert_eq!(nodes_to_order(&[pool(&[2], 1, 5)], &wants), [1]);
        // A gang of 20 is two whole nodes and a half; nothing is bought for a part of it.
        let gang = Want { options: vec![(0, 20)], gang: true };
        assert_eq!(nodes_to_order(&[pool(&[], 1, 5)], std::slice::from_ref(&gang)), [2]);
        assert_eq!(nodes_to_order(&[pool(&[], 1, 1)], &[gang]), [0]);
    }

    #[test]
    fn falls_back_in_order() {
        let wants = vec![one(&[(0, 8), (1, 8)]); 5];
        assert_eq!(nodes_to_order(&[pool(&[], 0, 2), pool(&[], 0, 9)], &wants), [2, 3]);
        // The first pool is full or was refused: all go to the second, as far as it goes.
        assert_eq!(nodes_to_order(&[pool(&[], 0, 0), pool(&[], 0, 4)], &wants), [0, 4]);
    }
}
