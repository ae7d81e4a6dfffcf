//! When how much of each node comes free: the index behind reservations and preemption.
//!
//! Holders whose leases are expected to end at known times are kept by node, in the order in which they
//! would give their cards back. For each number of cards that is asked about, a tree over the nodes has the
//! earliest place in that order at which a node has so many free; it is made at the first question and kept
//! up to date from then on. So the first nodes to have room are found in time that grows with the logarithm
//! of their number, and no question looks at every node or every lease.

use super::claim::{LeaseId, Shape};
use crate::units::Instant;

/// A place in the order of giving back: those that end last first, of several those of the highest numbers. The
/// lowest is first.
pub(super) type Place = u128;

/// What is free now comes before any lease.
const NOW: Place = 0;
/// Never.
const NEVER: Place = Place::MAX;

/// A lease on a node.
#[derive(Debug, Clone, Copy)]
struct Part {
    place: Place,
    lease: LeaseId,
    cards: u32,
}

/// The index of one pool.
#[derive(Debug)]
pub(super) struct Ends {
    /// Leases on each node, in order.
    nodes: Vec<Vec<Part>>,
    /// By number of cards, where somebody has asked.
    trees: Vec<Option<Tree>>,
    /// Nodes that have changed since the trees were brought up to date, and whether each is in the list.
    dirty: Vec<u32>,
    is_dirty: Vec<bool>,
}

impl Ends {
    pub(super) fn new(nodes: u32, cards_per_node: u32) -> Self {
        Self {
            nodes: vec![Vec::new(); nodes as usize],
            trees: (0..=cards_per_node).map(|_| None).collect(),
            dirty: Vec::new(),
            is_dirty: vec![false; nodes as usize],
        }
    }

    /// The place of a lease that ends then; `tie` tells those of the same end apart.
    pub(super) fn place(end: Instant, tie: u32) -> Place {
        // Never the place of what is free now.
        (u128::from(!end.as_nanos()) << 32 | u128::from(!tie)) + 1
    }

    /// The end at a place.
    pub(super) fn end(place: Place) -> Instant {
        Instant::from_nanos(!((place.saturating_sub(1) >> 32) as u64))
    }

    pub(super) fn touch(&mut self, node: u32) {
        if !std::mem::replace(&mut self.is_dirty[node as usize], true) {
            self.dirty.push(node);
        }
    }

    pub(super) fn add(&mut self, nodes: &[(u32, u128)], lease: LeaseId, place: Place) {
        for (node, mask) in nodes {
            let parts = &mut self.nodes[*node as usize];
            let at = parts.partition_point(|part| part.place < place);
            parts.insert(at, Part { place, lease, cards: mask.count_ones() });
            self.touch(*node);
        }
    }

    pub(super) fn remove(&mut self, nodes: &[(u32, u128)], lease: LeaseId) {
        for (node, _) in nodes {
            self.nodes[*node as usize].retain(|part| part.lease != lease);
            self.touch(*node);
        }
    }

    /// The leases on a node up to a place.
    pub(super) fn until(&self, node: u32, place: Place) -> impl Iterator<Item = (Place, LeaseId)> {
        let parts = self.nodes[node as usize].iter();
        parts.take_while(move |part| part.place <= place).map(|part| (part.place, part.lease))
    }

    /// The place by which a claim of this shape fits, when gangs lie on whole nodes and one more for the rest.
    /// `free` says how many cards of a node are free now.
    pub(super) fn fits_at(
        &mut self,
        shape: Shape,
        cards_per_node: u32,
        free: impl Fn(u32) -> u32,
    ) -> Option<Place> {
        let (whole, rest) = shape.whole_and_rest(cards_per_node);
        let mut at = NOW;
        if whole > 0 {
            at = self.nth(cards_per_node, whole as usize, &free)?;
        }
        if rest > 0 {
            at = at.max(self.nth(rest, whole as usize + 1, &free)?);
        }
        Some(at)
    }

    /// The place by which `count` nodes have `cards` cards free.
    fn nth(&mut self, cards: u32, count: usize, free: &impl Fn(u32) -> u32) -> Option<Place> {
        self.tree(cards, free).first(count).last().map(|(place, _)| *place).filter(|place| *place < NEVER)
    }

    /// Nodes that have `cards` cards free by then.
    pub(super) fn nodes_by(&mut self, cards: u32, by: Place, free: impl Fn(u32) -> u32) -> Vec<u32> {
        self.tree(cards, &free).up_to(by)
    }

    /// The tree for so many cards, up to date.
    fn tree(&mut self, cards: u32, free: &impl Fn(u32) -> u32) -> &Tree {
        for node in self.dirty.drain(..) {
            self.is_dirty[node as usize] = false;
            let (mut sum, mut after) = (free(node), NOW);
            let mut parts = self.nodes[node as usize].iter();
            for (cards, tree) in (0u32..).zip(&mut self.trees) {
                let Some(tree) = tree else { continue };
                while sum < cards {
                    let Some(part) = parts.next() else {
                        after = NEVER;
                        break;
                    };
                    sum += part.cards;
                    after = part.place;
                }
                tree.set(node as usize, if sum < cards { NEVER } else { after });
            }
        }
        let nodes = &self.nodes;
        self.trees[cards as usize].get_or_insert_with(|| {
            let place = |(node, parts): (u32, &Vec<Part>)| {
                let (mut sum, mut after) = (free(node), NOW);
                for part in parts {
                    if sum >= cards {
                        break;
                    }
                    sum += part.cards;
                    after = part.place;
                }
                if sum < cards { NEVER } else { after }
            };
            Tree::new((0u32..).zip(nodes).map(place).collect())
        })
    }
}

/// Values with the least of each subtree: a heap-shaped array, children of `n` at `2n` and `2n + 1`.
#[derive(Debug)]
struct Tree {
    least: Vec<Place>,
    leaves: usize,
    count: usize,
}

impl Tree {
    fn new(values: Vec<Place>) -> Self {
        let (count, leaves) = (values.len(), values.len().next_power_of_two());
        let mut least = vec![NEVER; 2 * leaves];
        least[leaves..leaves + count].copy_from_slice(&values);
        for at in (1..leaves).rev() {
            least[at] = least[2 * at].min(least[2 * at + 1]);
        }
        Self { least, leaves, count }
    }

    fn set(&mut self, place: usize, value: Place) {
        let mut at = self.leaves + place;
        self.least[at] = value;
        while at > 1 {
            at /= 2;
            let least = self.least[2 * at].min(self.least[2 * at + 1]);
            if self.least[at] == least {
                break;
            }
            self.least[at] = least;
        }
    }

    /// The `count` least values, ascending, with where they are; fewer when there are fewer.
    fn first(&self, count: usize) -> Vec<(Place, usize)> {
        let mut heap = std::collections::BinaryHeap::from([std::cmp::Reverse((self.least[1], 1))]);
        let mut found = Vec::with_capacity(count.min(self.count));
        while found.len() < count.min(self.count) {
            let Some(std::cmp::Reverse((value, mut at))) = heap.pop() else { break };
            // Down to the leaf that has it; what lies beside the way stays for later.
            while at < self.leaves {
                let (left, right) = (2 * at, 2 * at + 1);
                let (down, beside) = if self.least[left] == value { (left, right) } else { (right, left) };
                heap.push(std::cmp::Reverse((self.least[beside], beside)));
                at = down;
            }
            found.push((value, at - self.leaves));
        }
        // Fewer than asked for: there is no such place.
        if found.len() < count { Vec::new() } else { found }
    }

    /// Where the values up to `most` are, in ascending order.
    fn up_to(&self, most: Place) -> Vec<u32> {
        let (mut found, mut open) = (Vec::new(), vec![1]);
        while let Some(at) = open.pop() {
            if self.least[at] > most || self.least[at] == NEVER {
                continue;
            }
            if at >= self.leaves {
                found.push((at - self.leaves) as u32);
            } else {
                open.extend([2 * at + 1, 2 * at]);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;
    use proptest::prelude::*;

    proptest! {
        /// The index says what a look at every node and every lease would.
        #[test]
        fn as_by_looking_at_everything(
            steps in prop::collection::vec((0u32..5, 1u32..5, 0u64..9, any::<bool>()), 1..40),
            wanted in 1u32..14,
        ) {
            const CARDS: u32 = 4;
            let mut ends = Ends::new(5, CARDS);
            let mut free = [CARDS; 5];
            let mut held: Vec<(u32, u32, Place, LeaseId)> = Vec::new();
            for (number, (node, cards, end, take)) in (0u32..).zip(steps) {
                if take && free[node as usize] >= cards {
                    free[node as usize] -= cards;
                    let place = Ends::place(Instant::ZERO + Duration::from_secs(end), number);
                    ends.add(&[(node, (1 << cards) - 1)], LeaseId(number), place);
                    held.push((node, cards, place, LeaseId(number)));
                } else if !held.is_empty() {
                    let (node, cards, _, lease) = held.swap_remove(number as usize % held.len());
                    free[node as usize] += cards;
                    ends.remove(&[(node, (1 << cards) - 1)], lease);
                }
                let shape = Shape::Gang { cards: wanted };
                let (whole, rest) = (wanted / CARDS, wanted % CARDS);
                let fits = |by: Place| {
                    let mut then = free;
                    held.iter().filter(|(.., place, _)| *place <= by).for_each(|(node, cards, ..)| {
                        then[*node as usize] += cards;
                    });
                    let full = then.iter().filter(|free| **free == CARDS).count() as u32;
                    let enough = then.iter().filter(|free| **free >= rest).count() as u32;
                    full >= whole && (rest == 0 || enough > whole)
                };
                let mut places: Vec<Place> = held.iter().map(|(.., place, _)| *place).collect();
                places.push(NOW);
                places.sort_unstable();
                let expected = places.into_iter().find(|place| fits(*place));
                prop_assert_eq!(ends.fits_at(shape, CARDS, |node| free[node as usize]), expected);
                if let Some(by) = expected {
                    let found = ends.nodes_by(2, by, |node| free[node as usize]);
                    let then = |node: u32| free[node as usize] + held.iter()
                        .filter(|(other, _, place, _)| *other == node && *place <= by)
                        .map(|(_, cards, ..)| cards).sum::<u32>();
                    let all: Vec<u32> = (0..5).filter(|node| then(*node) >= 2).collect();
                    prop_assert_eq!(found, all);
                }
            }
        }
    }

    #[test]
    fn places_give_their_ends_back() {
        for end in [Instant::ZERO, Instant::from_nanos(7), Instant::MAX] {
            assert_eq!(Ends::end(Ends::place(end, 3)), end);
        }
        assert!(Ends::place(Instant::from_nanos(7), 3) < Ends::place(Instant::from_nanos(7), 2));
        assert!(Ends::place(Instant::from_nanos(8), 2) < Ends::place(Instant::from_nanos(7), 3));
    }
}
