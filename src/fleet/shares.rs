//! What is free on each node of a pool where cards are shared, CPUs and host memory count, or nodes are
//! scored: nodes that are alike form a group, so that a decision looks at what kinds of nodes there are,
//! not at every node.

use std::collections::{BTreeMap, BTreeSet};

use super::claim::Lease;
use super::config::Host;
use crate::policies::placement::{NodeFree, Scorer, WHOLE, Want};
use crate::sim::RandomStream;

/// Nodes with the same free.
#[derive(Debug, Default)]
struct Group {
    nodes: BTreeSet<u32>,
    /// Scores by kind of claim, as far as anybody has asked; `None` where it does not fit.
    scores: Vec<Option<Option<i64>>>,
    /// What the scorer knows of such a node.
    fragments: Option<f64>,
}

/// The shared cards and hosts of one pool.
#[derive(Debug)]
pub(super) struct Shares {
    cards_per_node: usize,
    host: Host,
    /// Whether the kinds of holders matter.
    by_kind: bool,
    /// Free thousandths of each card, node by node; 0 for all of a node that cannot be claimed.
    milli: Vec<u16>,
    cpu_milli: Vec<u32>,
    memory_mib: Vec<u32>,
    /// How many holders of each kind are on each node.
    kinds: Vec<BTreeMap<u16, u32>>,
    /// Nodes that can be claimed.
    ready: Vec<bool>,
    groups: BTreeMap<NodeFree, Group>,
    /// Nodes that are held for somebody for the time being.
    hidden: BTreeSet<u32>,
    /// Cards of which some is taken and some is free, on nodes that can be claimed.
    part_used: u32,
}

impl Shares {
    pub(super) fn new(nodes: u32, cards_per_node: u32, host: Host, by_kind: bool) -> Self {
        let count = nodes as usize;
        Self {
            cards_per_node: cards_per_node as usize,
            host,
            by_kind,
            milli: vec![0; count * cards_per_node as usize],
            cpu_milli: vec![0; count],
            memory_mib: vec![0; count],
            kinds: vec![BTreeMap::new(); count],
            ready: vec![false; count],
            groups: BTreeMap::new(),
            hidden: BTreeSet::new(),
            part_used: 0,
        }
    }

    fn cards(&self, node: u32) -> std::ops::Range<usize> {
        let first = node as usize * self.cards_per_node;
        first..first + self.cards_per_node
    }

    /// Cards of which some is taken and some is free.
    pub(super) fn part_used(&self) -> u32 {
        self.part_used
    }

    /// Free thousandths of a card.
    pub(super) fn milli(&self, node: u32, card: u32) -> u16 {
        self.milli[node as usize * self.cards_per_node + card as usize]
    }

    /// Whether a node can be claimed.
    pub(super) fn is_ready(&self, node: u32) -> bool {
        self.ready[node as usize]
    }

    /// Free thousandths of a node's cards in their order, of its CPUs, and MiB of its memory.
    pub(super) fn parts(&self, node: u32) -> (Vec<u32>, u64, u64) {
        let milli = self.milli[self.cards(node)].iter().map(|milli| u32::from(*milli)).collect();
        (milli, u64::from(self.cpu_milli[node as usize]), u64::from(self.memory_mib[node as usize]))
    }

    /// What is free on a node.
    pub(super) fn node(&self, node: u32) -> NodeFree {
        let mut milli = self.milli[self.cards(node)].to_vec();
        milli.sort_unstable();
        NodeFree {
            milli,
            cpu_milli: self.cpu_milli[node as usize],
            memory_mib: self.memory_mib[node as usize],
            kinds: self.kinds[node as usize].keys().copied().collect(),
        }
    }

    /// Changes a node, and moves it to the group that it then belongs to.
    fn change(&mut self, node: u32, change: impl FnOnce(&mut Self)) {
        let parts = |shares: &Self| {
            let some = shares.milli[shares.cards(node)].iter().filter(|milli| (1..WHOLE).contains(*milli));
            if shares.ready[node as usize] { some.count() as u32 } else { 0 }
        };
        if self.ready[node as usize] {
            let before = self.node(node);
            if let Some(group) = self.groups.get_mut(&before) {
                group.nodes.remove(&node);
                if group.nodes.is_empty() {
                    self.groups.remove(&before);
                }
            }
        }
        let before = parts(self);
        change(self);
        self.part_used = self.part_used - before + parts(self);
        if self.ready[node as usize] {
            let after = self.node(node);
            self.groups.entry(after).or_default().nodes.insert(node);
        }
    }

    /// A node can be claimed, with all that it has, or cannot.
    pub(super) fn set_ready(&mut self, node: u32, ready: bool) {
        self.change(node, |shares| {
            let cards = shares.cards(node);
            shares.ready[node as usize] = ready;
            if !ready {
                // What is still held on it comes back one by one.
                return;
            }
            shares.milli[cards].fill(WHOLE);
            shares.cpu_milli[node as usize] = shares.host.cpu_milli.unwrap_or(u32::MAX);
            shares.memory_mib[node as usize] = shares.host.memory_mib.unwrap_or(u32::MAX);
            shares.kinds[node as usize].clear();
        });
    }

    /// Takes what a lease has on its nodes, or gives it back.
    pub(super) fn count(&mut self, lease: &Lease, take: bool) {
        let cards: u32 = lease.cards();
        for (node, mask) in &lease.nodes {
            let want = lease.needs.on_node(mask.count_ones(), cards);
            let by_kind = self.by_kind;
            self.change(*node, |shares| {
                let first = shares.cards(*node).start;
                for card in (0..shares.cards_per_node).filter(|card| mask >> card & 1 == 1) {
                    let milli = &mut shares.milli[first + card];
                    *milli = if take { *milli - want.card_milli } else { *milli + want.card_milli };
                }
                let known = [shares.host.cpu_milli, shares.host.memory_mib];
                let free = [&mut shares.cpu_milli[*node as usize], &mut shares.memory_mib[*node as usize]];
                for ((free, part), known) in
                    free.into_iter().zip([want.cpu_milli, want.memory_mib]).zip(known)
                {
                    if known.is_some() {
                        *free = if take { *free - part } else { *free + part };
                    }
                }
                let Some(kind) = want.kind().filter(|_| by_kind) else { return };
                let holders = shares.kinds[*node as usize].entry(kind).or_default();
                *holders = if take { *holders + 1 } else { *holders - 1 };
                if *holders == 0 {
                    shares.kinds[*node as usize].remove(&kind);
                }
            });
        }
    }

    /// Nodes that may not be chosen until they are shown again.
    pub(super) fn hide(&mut self, nodes: impl Iterator<Item = u32>) {
        self.hidden.extend(nodes);
    }

    pub(super) fn show(&mut self, node: u32) {
        self.hidden.remove(&node);
    }

    pub(super) fn show_all(&mut self) {
        self.hidden.clear();
    }

    fn first(group: &Group, hidden: &BTreeSet<u32>) -> Option<u32> {
        group.nodes.iter().find(|node| !hidden.contains(*node)).copied()
    }

    /// The best node for a claim with its score; of several the first by number.
    pub(super) fn best(&mut self, want: &Want, scorer: &mut Scorer) -> Option<(i64, u32)> {
        let kind = scorer.number(want);
        let mut best: Option<(i64, u32)> = None;
        for (free, group) in &mut self.groups {
            let Some(node) = Self::first(group, &self.hidden) else { continue };
            if group.scores.len() <= kind {
                group.scores.resize(kind + 1, None);
            }
            let score = match group.scores[kind] {
                Some(score) => score,
                None => {
                    let score = free.fits(want).then(|| scorer.score(free, &mut group.fragments, want, node));
                    // Under first fit the score is the node itself.
                    if !scorer.by_number() {
                        group.scores[kind] = Some(score);
                    }
                    score
                }
            };
            let Some(score) = score else { continue };
            if best.is_none_or(|(most, first)| score > most || score == most && node < first) {
                best = Some((score, node));
            }
        }
        best
    }

    /// How many nodes fit.
    pub(super) fn count_fitting(&self, want: &Want) -> u64 {
        let fits = self.groups.iter().filter(|(free, _)| free.fits(want));
        fits.map(|(_, group)| group.nodes.difference(&self.hidden).count() as u64).sum()
    }

    /// The `place`-th of the nodes that fit, in an order that says nothing.
    pub(super) fn nth_fitting(&self, want: &Want, mut place: u64) -> Option<u32> {
        for (_, group) in self.groups.iter().filter(|(free, _)| free.fits(want)) {
            let seen = group.nodes.difference(&self.hidden);
            match seen.clone().nth(place as usize) {
                Some(node) => return Some(*node),
                None => place -= seen.count() as u64,
            }
        }
        None
    }

    /// The first nodes by number of which every card is free, with so much of the host.
    pub(super) fn whole(&self, want: &Want, count: usize) -> Option<Vec<u32>> {
        let mut nodes: Vec<u32> = self.whole_nodes(want).collect();
        nodes.sort_unstable();
        nodes.truncate(count);
        (nodes.len() == count).then_some(nodes)
    }

    /// All nodes of which every card is free, with so much of the host.
    pub(super) fn whole_nodes(&self, want: &Want) -> impl Iterator<Item = u32> {
        let groups = self.groups.iter().filter(|(free, _)| free.fits(want));
        groups.flat_map(|(_, group)| group.nodes.difference(&self.hidden).copied())
    }

    /// How many nodes there are of each kind that is ready, with what is free on one.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&NodeFree, usize)> {
        self.groups.iter().map(|(free, group)| (free, group.nodes.len()))
    }

    /// The nodes that are like this.
    pub(super) fn like(&self, free: &NodeFree) -> impl Iterator<Item = u32> {
        let group = self.groups.get(free).into_iter();
        group.flat_map(|group| group.nodes.difference(&self.hidden).copied())
    }

    /// The first node, by number, that a test lets pass.
    pub(super) fn find(&self, test: impl Fn(u32, &NodeFree) -> bool) -> Option<u32> {
        let passes =
            |(free, group): (&NodeFree, &Group)| group.nodes.iter().find(|node| test(**node, free)).copied();
        self.groups.iter().filter_map(passes).min()
    }

    /// The cards of a node that a claim gets: those with the least that is enough, or under fragmentation
    /// gradient descent the best, or drawn at random.
    pub(super) fn mask(&self, node: u32, want: &Want, scorer: &Scorer, draws: &mut RandomStream) -> u128 {
        let milli = &self.milli[self.cards(node)];
        let mut order: Vec<usize> = (0..milli.len()).filter(|card| milli[*card] >= want.card_milli).collect();
        order.sort_by_key(|card| (milli[*card], *card));
        if want.is_part() && want.cards == 1 {
            if let Some(wanted) = scorer.card(&self.node(node), want) {
                order.retain(|card| milli[*card] == wanted);
            } else if scorer.is_random() && order.len() > 1 {
                order.sort_unstable();
                let drawn = draws.below(order.len() as u64) as usize;
                order.swap(0, drawn);
            }
        }
        order.into_iter().take(want.cards as usize).fold(0, |mask, card| mask | 1 << card)
    }

    /// Whether the free thousandths, CPUs and memory are what these leases leave.
    pub(super) fn is_balanced<'a>(&self, leases: impl Iterator<Item = &'a Lease>) -> bool {
        let mut milli: Vec<u32> = self.milli.iter().map(|milli| u32::from(*milli)).collect();
        let mut host: Vec<[u64; 2]> = self
            .cpu_milli
            .iter()
            .zip(&self.memory_mib)
            .map(|(cpu, memory)| [*cpu, *memory].map(u64::from))
            .collect();
        for lease in leases {
            for (node, mask) in &lease.nodes {
                let want = lease.needs.on_node(mask.count_ones(), lease.cards());
                for card in (0..self.cards_per_node).filter(|card| mask >> card & 1 == 1) {
                    milli[self.cards(*node).start + card] += u32::from(want.card_milli);
                }
                host[*node as usize][0] += u64::from(want.cpu_milli);
                host[*node as usize][1] += u64::from(want.memory_mib);
            }
        }
        (0u32..).zip(&self.ready).filter(|(_, ready)| **ready).all(|(node, _)| {
            let whole = self.cards(node).all(|card| milli[card] == u32::from(WHOLE));
            let known = [self.host.cpu_milli, self.host.memory_mib];
            whole
                && known
                    .iter()
                    .zip(host[node as usize])
                    .all(|(all, sum)| all.is_none_or(|all| u64::from(all) == sum))
        })
    }
}
