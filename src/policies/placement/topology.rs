//! Topology: fewest hops. A claim that one node can take goes to the node with the fewest free cards that
//! are enough, as under best fit. A gang of several nodes goes under one switch where that has room, to the
//! switch with the fewest whole free nodes that are enough; else to as few switches as can be, those with
//! most free nodes first. The rest of a gang goes under a switch that the gang has already, to the node
//! with the fewest free cards that are enough. Ties by number.

use std::collections::BTreeMap;

/// Nodes for a gang: `count` whole ones, and one more with `rest` cards unless that is 0. `whole` are the
/// nodes with all cards free, `partial` the others with at least `rest` free and how many; `per_switch`
/// nodes hang off a switch.
pub fn gang(
    whole: impl Iterator<Item = u32>,
    partial: impl Iterator<Item = (u32, u32)>,
    per_switch: u32,
    (count, rest): (usize, u32),
) -> Option<(Vec<u32>, Option<u32>)> {
    let mut switches: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for node in whole {
        switches.entry(node / per_switch.max(1)).or_default().push(node);
    }
    switches.values_mut().for_each(|nodes| nodes.sort_unstable());
    let mut partial: Vec<(u32, u32)> = partial.collect();
    partial.sort_unstable_by_key(|(node, free)| (*free, *node));
    let has_rest = |switch: u32| partial.iter().any(|(node, _)| node / per_switch.max(1) == switch);
    let mut chosen = Vec::new();
    let mut left = count;
    while left > 0 {
        // With the rest, when it would be the last switch.
        let enough = |(switch, nodes): &(&u32, &Vec<u32>)| {
            nodes.len() >= left + usize::from(rest > 0 && !has_rest(**switch))
        };
        let fitting = switches.iter().filter(enough).min_by_key(|(switch, nodes)| (nodes.len(), **switch));
        let next = fitting.or_else(|| {
            switches.iter().max_by_key(|(switch, nodes)| (nodes.len(), std::cmp::Reverse(**switch)))
        });
        let switch = *next?.0;
        let mut nodes = switches.remove(&switch)?;
        let spare = nodes.split_off(left.min(nodes.len()));
        left -= nodes.len();
        chosen.extend(nodes);
        if left == 0 {
            switches.insert(switch, spare);
        }
    }
    if rest == 0 {
        return Some((chosen, None));
    }
    let near = |node: u32| chosen.iter().any(|other| other / per_switch.max(1) == node / per_switch.max(1));
    let free = || switches.values().flatten().copied();
    let beside = partial.iter().map(|(node, _)| *node).find(|node| near(*node));
    let beside = beside.or_else(|| free().find(|node| near(*node)));
    let anywhere = || partial.first().map(|(node, _)| *node).or_else(|| free().next());
    Some((chosen, Some(beside.or_else(anywhere)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(whole: &[u32], partial: &[(u32, u32)], wanted: (usize, u32)) -> Option<(Vec<u32>, Option<u32>)> {
        gang(whole.iter().copied(), partial.iter().copied(), 4, wanted)
    }

    /// Switches of four nodes. Under 0 one node is free, under 1 three, under 2 two.
    #[test]
    fn one_switch_then_few() {
        let whole = [3, 4, 5, 7, 8, 9];
        assert_eq!(place(&whole, &[], (2, 0)), Some((vec![8, 9], None)));
        assert_eq!(place(&whole, &[], (3, 0)), Some((vec![4, 5, 7], None)));
        assert_eq!(place(&whole, &[], (5, 0)), Some((vec![4, 5, 7, 8, 9], None)));
        assert_eq!(place(&whole, &[], (4, 0)), Some((vec![4, 5, 7, 3], None)));
        assert_eq!(place(&whole, &[], (7, 0)), None);
    }

    /// The rest goes under the same switch: on a node in use there, else on a free one.
    #[test]
    fn the_rest_stays_near() {
        let whole = [4, 5, 7, 8, 9];
        assert_eq!(place(&whole, &[(0, 2), (10, 3)], (2, 2)), Some((vec![8, 9], Some(10))));
        assert_eq!(place(&whole, &[(0, 2)], (2, 2)), Some((vec![4, 5], Some(7))));
        assert_eq!(place(&whole, &[(0, 2)], (3, 2)), Some((vec![4, 5, 7], Some(0))));
    }
}
