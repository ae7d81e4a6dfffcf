//! The nodes of a pool by how many cards they have free.

use std::collections::BTreeSet;

/// The nodes of a pool by how many cards they have free: no rule has to look at every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeNodes {
    /// `by_free[n]` has the nodes with exactly `n` cards free.
    by_free: Vec<BTreeSet<u32>>,
    /// The same nodes in no order, to draw from.
    lists: Vec<Vec<u32>>,
    /// Where in its list each node is.
    places: Vec<u32>,
}

impl FreeNodes {
    /// `nodes` nodes with `cards` free cards each.
    pub fn new(nodes: u32, cards: u32) -> Self {
        let mut by_free = vec![BTreeSet::new(); cards as usize + 1];
        by_free[cards as usize].extend(0..nodes);
        let mut lists = vec![Vec::new(); cards as usize + 1];
        lists[cards as usize].extend(0..nodes);
        Self { by_free, lists, places: (0..nodes).collect() }
    }

    /// A node's free cards went from `before` to `after`.
    pub fn set(&mut self, node: u32, before: u32, after: u32) {
        if before == after {
            return;
        }
        self.by_free[before as usize].remove(&node);
        self.by_free[after as usize].insert(node);
        let place = self.places[node as usize];
        let list = &mut self.lists[before as usize];
        list.swap_remove(place as usize);
        if let Some(moved) = list.get(place as usize) {
            self.places[*moved as usize] = place;
        }
        let list = &mut self.lists[after as usize];
        self.places[node as usize] = list.len() as u32;
        list.push(node);
    }

    /// Nodes with exactly `free` free cards.
    pub fn with_free(&self, free: u32) -> usize {
        self.lists.get(free as usize).map_or(0, Vec::len)
    }

    /// Nodes with exactly `free` free cards, in ascending order.
    pub fn nodes_with(&self, free: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.by_free.get(free as usize).into_iter().flatten().copied()
    }

    /// Cards on a node.
    pub fn cards_per_node(&self) -> u32 {
        self.by_free.len() as u32 - 1
    }

    /// The first node of each number of free cards from `cards` up, in ascending order of free cards.
    pub fn enough(&self, cards: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.by_free.iter().skip(cards as usize).filter_map(BTreeSet::first).copied()
    }

    /// The `place`-th of all nodes with at least `cards` free, in an order that says nothing.
    pub fn nth_with_enough(&self, cards: u32, mut place: usize) -> Option<u32> {
        for list in self.lists.iter().skip(cards as usize) {
            match list.get(place) {
                Some(node) => return Some(*node),
                None => place -= list.len(),
            }
        }
        None
    }

    /// How many nodes have at least `cards` free.
    pub fn count_enough(&self, cards: u32) -> usize {
        self.lists.iter().skip(cards as usize).map(Vec::len).sum()
    }

    /// Free cards on all nodes together.
    pub fn total(&self) -> u64 {
        (0u64..).zip(&self.lists).map(|(free, list)| free * list.len() as u64).sum()
    }

    /// The first `count` nodes, by number, with all cards free.
    pub fn whole(&self, count: usize) -> Option<Vec<u32>> {
        let whole = self.by_free.last()?;
        (whole.len() >= count).then(|| whole.iter().copied().take(count).collect())
    }

    /// The most cards free on one node.
    pub fn most_free(&self) -> u32 {
        self.lists.iter().rposition(|nodes| !nodes.is_empty()).unwrap_or(0) as u32
    }
}
