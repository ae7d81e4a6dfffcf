//! The network between nodes as a graph, and what gangs that share its links get of them.
//!
//! A fat tree (Leiserson, "Fat-trees", IEEE Transactions on Computers 34(10), 1985) of two tiers: nodes under leaves,
//! leaves under a spine. All switches of the spine are drawn as one for each rail, since traffic is spread over them.
//! With oversubscription r the leaves' links up carry an r-th part of their links down. In a rail-optimised fabric each
//! network card of a node goes to a leaf of its own, so that cards of equal number reach each other over one leaf
//! (NVIDIA DGX SuperPOD reference architecture, 2023, "compute fabric"); plain leaves take whole nodes.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};

use super::graph::{Link, TopologyError};
use crate::units::{BytesPerSecond, Duration};

/// Nodes of a fabric at most.
const MAX_NODES: u32 = 16_384;

/// How nodes are tied to leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wiring {
    /// A leaf takes all network cards of its nodes.
    Plain,
    /// Each of a node's network cards, so many, goes to a leaf of its own rail.
    Rails(u32),
}

/// Everything that a fabric is built from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FabricShape {
    /// How many nodes.
    pub nodes: u32,
    /// Nodes under one leaf, or one set of rails' leaves.
    pub nodes_per_leaf: u32,
    /// Cards of a node, each with its part of the node's network cards.
    pub cards_per_node: u32,
    /// How nodes are tied to leaves.
    pub wiring: Wiring,
    /// All network cards of a node together, in one direction; the latency of one hop.
    pub node: Link,
    /// What the links down from a leaf carry over those up; 1 does not block.
    pub oversubscription: f64,
}

/// A point of a fabric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Switch {
    /// A node with its network cards.
    Node(u32),
    /// A leaf: its group of nodes and its rail.
    Leaf {
        /// The group of nodes.
        group: u32,
        /// The rail; 0 in plain fabrics.
        rail: u32,
    },
    /// The spine of a rail.
    Spine(u32),
}

/// How a gang's nodes talk to each other; a node sends as much as its network cards do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// To the next one, the last to the first: rings and trees of collectives, stages of a pipeline.
    Ring,
    /// To all others alike: experts' tokens.
    AllToAll,
}

/// Nodes that communicate with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gang {
    /// The nodes, each once.
    pub nodes: Vec<u32>,
    /// Which cards of each node it has, a bit each; it sends by their part of the node's network cards, and over
    /// their rails. None are all.
    pub cards: u128,
    /// How.
    pub pattern: Pattern,
}

/// What a gang gets of the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// What each of its nodes can send, one direction.
    pub bandwidth: BytesPerSecond,
    /// The same over what its cards' own part of the network cards could, from 0 to 1.
    pub of_own: f64,
    /// The longest way between two nodes that talk.
    pub latency: Duration,
    /// Whether it is others, or links up that are too few, that limit it, and not its own network cards.
    pub contended: bool,
}

/// The network between the nodes of a pool.
#[derive(Debug, Clone)]
pub struct Fabric {
    shape: FabricShape,
    graph: DiGraph<Switch, Link>,
    nodes: Vec<NodeIndex>,
    /// The leaves of each group of nodes, by rail, and the spine of each rail.
    leaves: Vec<Vec<NodeIndex>>,
    spines: Vec<NodeIndex>,
}

/// What a gang puts on links when it sends all that its cards can; see [`Fabric::load`].
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// By link, in bytes a second.
    links: Vec<(EdgeIndex, f64)>,
    /// What each node can send.
    own: f64,
    latency: Duration,
}

impl FabricShape {
    /// Builds the graph.
    ///
    /// # Errors
    /// When there are no nodes or too many, none under a leaf, no rail, a bandwidth that is not positive or an
    /// oversubscription below 1.
    pub fn build(&self) -> Result<Fabric, TopologyError> {
        let wrong = |what, found: String, range| TopologyError::BadFabric { what, found, range };
        if self.nodes == 0 || self.nodes > MAX_NODES {
            return Err(wrong("nodes", self.nodes.to_string(), "from 1 to 16384"));
        }
        if self.nodes_per_leaf == 0 {
            return Err(wrong("nodes under a leaf", "0".to_owned(), "at least 1"));
        }
        if !(self.oversubscription >= 1.0 && self.oversubscription.is_finite()) {
            return Err(wrong("oversubscription", self.oversubscription.to_string(), "at least 1"));
        }
        let speed = self.node.bandwidth.as_f64();
        if !(speed > 0.0 && speed.is_finite()) {
            return Err(TopologyError::NoBandwidth { which: "network", found: speed.to_string() });
        }
        if !(1..=128).contains(&self.cards_per_node) {
            return Err(wrong("cards of a node", self.cards_per_node.to_string(), "from 1 to 128"));
        }
        if self.wiring == Wiring::Rails(0) {
            return Err(wrong("rails", "0".to_owned(), "at least 1"));
        }
        let rails = self.rails();
        let mut graph = DiGraph::new();
        let nodes: Vec<_> = (0..self.nodes).map(|node| graph.add_node(Switch::Node(node))).collect();
        let down = Link { bandwidth: BytesPerSecond(speed / f64::from(rails)), ..self.node };
        let per_leaf = self.nodes_per_leaf.min(self.nodes);
        let up = down.bandwidth.as_f64() * f64::from(per_leaf) / self.oversubscription;
        let up = Link { bandwidth: BytesPerSecond(up), ..self.node };
        let spines: Vec<_> = (0..rails).map(|rail| graph.add_node(Switch::Spine(rail))).collect();
        let mut leaves = Vec::new();
        for (group, under) in (0u32..).zip(nodes.chunks(self.nodes_per_leaf as usize)) {
            let of_group = (0..rails).map(|rail| graph.add_node(Switch::Leaf { group, rail }));
            let of_group: Vec<_> = of_group.collect();
            for (leaf, spine) in of_group.iter().zip(&spines) {
                let ends = under.iter().map(|node| (*node, *leaf, down)).chain([(*leaf, *spine, up)]);
                for (from, to, link) in ends.collect::<Vec<_>>() {
                    graph.add_edge(from, to, link);
                    graph.add_edge(to, from, link);
                }
            }
            leaves.push(of_group);
        }
        Ok(Fabric { shape: *self, graph, nodes, leaves, spines })
    }

    fn rails(&self) -> u32 {
        match self.wiring {
            Wiring::Plain => 1,
            Wiring::Rails(rails) => rails,
        }
    }
}

impl Fabric {
    /// Every link in its two directions: from, to, and what it carries.
    pub fn links(&self) -> impl Iterator<Item = (Switch, Switch, Link)> {
        self.graph.edge_indices().filter_map(|edge| {
            let (from, to) = self.graph.edge_endpoints(edge)?;
            Some((self.graph[from], self.graph[to], self.graph[edge]))
        })
    }

    /// What each of these gangs gets when all of them communicate at once: see [`Fabric::share_out`].
    ///
    /// # Errors
    /// When a gang has no nodes, one twice, or one that the fabric lacks.
    pub fn shares(&self, gangs: &[Gang]) -> Result<Vec<Share>, TopologyError> {
        let loads: Vec<Load> = gangs.iter().map(|gang| self.load(gang)).collect::<Result<_, _>>()?;
        Ok(self.share_out(&loads.iter().collect::<Vec<_>>()))
    }

    /// What gangs with these loads get when all of them communicate at once: max-min fair, every gang's cards sending
    /// as fast as each other.
    pub fn share_out(&self, loads: &[&Load]) -> Vec<Share> {
        let mut full: BTreeMap<EdgeIndex, f64> = BTreeMap::new();
        for (edge, load) in loads.iter().flat_map(|load| &load.links) {
            *full.entry(*edge).or_default() += load;
        }
        // Links that carry all that could come limit nobody.
        let narrow = full.into_iter().filter_map(|(edge, load)| {
            let carries = self.graph[edge].bandwidth.as_f64();
            (load > carries * (1.0 + 1e-9)).then_some((edge, carries))
        });
        let mut free: BTreeMap<EdgeIndex, f64> = narrow.collect();
        // Progressive filling (Bertsekas, Gallager, "Data networks", 2nd edition, section 6.5.2): all rates rise
        // together until a link is full; those that cross it keep what they have.
        let crosses = |load: &Load, free: &BTreeMap<EdgeIndex, f64>| {
            load.links.iter().any(|(edge, _)| free.contains_key(edge))
        };
        let mut rates: Vec<Option<f64>> =
            loads.iter().map(|load| (!crosses(load, &free)).then_some(1.0)).collect();
        let mut level = 0.0f64;
        while rates.iter().any(Option::is_none) {
            let mut wanted: BTreeMap<EdgeIndex, f64> = BTreeMap::new();
            for (load, _) in loads.iter().zip(&rates).filter(|(_, rate)| rate.is_none()) {
                for (edge, load) in load.links.iter().filter(|(edge, _)| free.contains_key(edge)) {
                    *wanted.entry(*edge).or_default() += load;
                }
            }
            let room = wanted.iter().map(|(edge, wanted)| free[edge] / wanted);
            let rise = room.fold(1.0 - level, f64::min).max(0.0);
            level += rise;
            let mut filled = Vec::new();
            for (edge, wanted) in &wanted {
                if let Some(left) = free.get_mut(edge) {
                    *left -= rise * wanted;
                    if *left <= 1e-9 * self.graph[*edge].bandwidth.as_f64() {
                        filled.push(*edge);
                    }
                }
            }
            for (load, rate) in loads.iter().zip(&mut rates) {
                let stopped = || load.links.iter().any(|(edge, _)| filled.binary_search(edge).is_ok());
                if rate.is_none() && (level >= 1.0 || stopped()) {
                    *rate = Some(level.min(1.0));
                }
            }
        }
        let share = |(load, rate): (&&Load, Option<f64>)| {
            let of_own = rate.unwrap_or(1.0);
            Share {
                bandwidth: BytesPerSecond(load.own * of_own),
                of_own,
                latency: load.latency,
                contended: of_own < 1.0 - 1e-9,
            }
        };
        loads.iter().zip(rates).map(share).collect()
    }

    /// How good a place for a gang is beside others, from 0 to 1: what its nodes can send over what their network
    /// cards could.
    ///
    /// # Errors
    /// As for [`Fabric::shares`].
    pub fn score(&self, gang: &Gang, others: &[&Load]) -> Result<f64, TopologyError> {
        let own = self.load(gang)?;
        let all: Vec<&Load> = std::iter::once(&own).chain(others.iter().copied()).collect();
        Ok(self.share_out(&all)[0].of_own)
    }

    /// What a gang puts on each link when its cards send all that they can.
    ///
    /// # Errors
    /// As for [`Fabric::shares`].
    pub fn load(&self, gang: &Gang) -> Result<Load, TopologyError> {
        let nodes = &gang.nodes;
        let mut sorted = nodes.clone();
        sorted.sort_unstable();
        let repeated = sorted.windows(2).any(|pair| pair[0] == pair[1]);
        if nodes.is_empty() || repeated || sorted.last().is_some_and(|last| *last >= self.shape.nodes) {
            let last = self.shape.nodes - 1;
            return Err(TopologyError::BadGang { nodes: nodes.clone(), last });
        }
        let (part, rails) = self.part(gang.cards);
        let own = self.shape.node.bandwidth.as_f64() * part;
        let mut load = Load { links: Vec::new(), own, latency: Duration::ZERO };
        if nodes.len() < 2 {
            return Ok(load);
        }
        let group = |node: u32| node / self.shape.nodes_per_leaf;
        // What leaves and enters each group of nodes, when each node sends one byte.
        let mut out: BTreeMap<u32, f64> = BTreeMap::new();
        let mut into: BTreeMap<u32, f64> = BTreeMap::new();
        match gang.pattern {
            Pattern::Ring => {
                for (at, from) in nodes.iter().enumerate() {
                    let to = nodes[(at + 1) % nodes.len()];
                    if group(*from) != group(to) {
                        *out.entry(group(*from)).or_default() += 1.0;
                        *into.entry(group(to)).or_default() += 1.0;
                    }
                }
            }
            Pattern::AllToAll => {
                nodes.iter().for_each(|node| *out.entry(group(*node)).or_default() += 1.0);
                let n = nodes.len() as f64;
                out.values_mut().for_each(|under| *under *= (n - *under) / (n - 1.0));
                out.retain(|_, bytes| *bytes > 0.0);
                into = out.clone();
            }
        }
        load.latency = self.shape.node.latency * if out.is_empty() { 2 } else { 4 };
        let each = own / rails.len() as f64;
        let mut put = |from: NodeIndex, to: NodeIndex, bytes: f64| {
            load.links.extend(self.graph.find_edge(from, to).map(|edge| (edge, bytes * each)));
        };
        for rail in rails {
            for node in &sorted {
                let (end, leaf) = (self.nodes[*node as usize], self.leaves[group(*node) as usize][rail]);
                put(end, leaf, 1.0);
                put(leaf, end, 1.0);
            }
            let leaf = |group: u32| self.leaves[group as usize][rail];
            out.iter().for_each(|(group, bytes)| put(leaf(*group), self.spines[rail], *bytes));
            into.iter().for_each(|(group, bytes)| put(self.spines[rail], leaf(*group), *bytes));
        }
        Ok(load)
    }

    /// What gangs with these loads ask of each link between switches, over what it carries; those that are asked for
    /// anything, the busiest first.
    pub fn asked(&self, loads: &[&Load]) -> Vec<(Switch, Switch, BytesPerSecond, f64)> {
        let mut asked: BTreeMap<EdgeIndex, f64> = BTreeMap::new();
        for (edge, load) in loads.iter().flat_map(|load| &load.links) {
            *asked.entry(*edge).or_default() += load / self.graph[*edge].bandwidth.as_f64();
        }
        let ends = |(edge, asked): (EdgeIndex, f64)| {
            let (from, to) = self.graph.edge_endpoints(edge)?;
            let ends = (self.graph[from], self.graph[to]);
            let between = !matches!(ends, (Switch::Node(_), _) | (_, Switch::Node(_)));
            between.then_some((ends.0, ends.1, self.graph[edge].bandwidth, asked))
        };
        let mut asked: Vec<_> = asked.into_iter().filter_map(ends).collect();
        asked.sort_by(|a, b| b.3.total_cmp(&a.3).then((a.0, a.1).cmp(&(b.0, b.1))));
        asked
    }

    /// What it is made of.
    pub fn shape(&self) -> &FabricShape {
        &self.shape
    }

    /// The part of a node's network cards that is these cards' own, and their rails.
    fn part(&self, cards: u128) -> (f64, Vec<usize>) {
        let (per_node, rails) = (self.shape.cards_per_node, self.shape.rails());
        let has = |card: &u32| cards == 0 || cards >> card & 1 == 1;
        let held = (0..per_node).filter(has).count().max(1);
        // A card's traffic goes over the rails of its own network cards.
        let near = |rail: u32| {
            let first = rail * per_node / rails;
            let last = ((rail + 1) * per_node).div_ceil(rails).max(first + 1);
            (first..last).any(|card| has(&card))
        };
        let mut of_cards: Vec<usize> =
            (0..rails).filter(|rail| near(*rail)).map(|rail| rail as usize).collect();
        if of_cards.is_empty() {
            of_cards.push(0);
        }
        (held as f64 / f64::from(per_node), of_cards)
    }
}

impl std::fmt::Display for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(node) => write!(f, "node {node}"),
            Self::Leaf { group, rail: 0 } => write!(f, "leaf {group}"),
            Self::Leaf { group, rail } => write!(f, "leaf {group}, rail {rail}"),
            Self::Spine(0) => f.write_str("spine"),
            Self::Spine(rail) => write!(f, "spine of rail {rail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fabric(wiring: Wiring, nodes: u32, nodes_per_leaf: u32, oversubscription: f64) -> Fabric {
        let node = Link { bandwidth: BytesPerSecond::from_gb_s(400.0), latency: Duration::from_nanos(1000) };
        FabricShape { nodes, nodes_per_leaf, cards_per_node: 8, wiring, node, oversubscription }
            .build()
            .expect("sound")
    }

    fn ring(nodes: &[u32]) -> Gang {
        Gang { nodes: nodes.to_vec(), cards: 0, pattern: Pattern::Ring }
    }

    fn gb_s(fabric: &Fabric, gangs: &[Gang]) -> Vec<f64> {
        fabric.shares(gangs).expect("sound").iter().map(|share| share.bandwidth.as_f64() / 1e9).collect()
    }

    /// Two leaves of four nodes, links up half as wide: 800 of 1,600 GB/s. A ring crosses each once, however long.
    #[test]
    fn a_ring_crosses_the_spine_once() {
        for wiring in [Wiring::Plain, Wiring::Rails(8)] {
            let fabric = fabric(wiring, 8, 4, 2.0);
            let all: Vec<u32> = (0..8).collect();
            assert_eq!(gb_s(&fabric, &[ring(&all)]), [400.0]);
            // In a bad order all four nodes of a leaf send up.
            assert_eq!(gb_s(&fabric, &[ring(&[0, 4, 1, 5, 2, 6, 3, 7])]), [200.0]);
            let shares = fabric.shares(&[ring(&[0, 1]), ring(&[2, 4])]).expect("sound");
            let latencies: Vec<u64> = shares.iter().map(|share| share.latency.as_nanos()).collect();
            assert_eq!(latencies, [2000, 4000]);
        }
    }

    /// By hand: four gangs of two over a link of 800 GB/s get 200 each; one under its leaf keeps its 400; a gang that
    /// is alone on a wide link is not slowed by those on a narrow one.
    #[test]
    fn gangs_on_one_uplink_share_it() {
        let fabric = fabric(Wiring::Plain, 12, 4, 2.0);
        let across: Vec<Gang> = (0..4).map(|at| ring(&[at, 4 + at])).collect();
        assert_eq!(gb_s(&fabric, &across), [200.0; 4]);
        assert_eq!(gb_s(&fabric, &across[..2]), [400.0; 2]);
        let with_near = [ring(&[0, 4]), ring(&[1, 5]), ring(&[2, 6]), ring(&[8, 9])];
        let found = gb_s(&fabric, &with_near);
        assert!((found[0] - 800.0 / 3.0).abs() < 1e-6 && found[3] == 400.0, "{found:?}");
        let loads: Vec<Load> = across.iter().map(|gang| fabric.load(gang).expect("sound")).collect();
        let loads: Vec<&Load> = loads.iter().collect();
        assert!((fabric.score(&across[0], &loads[1..]).expect("sound") - 0.5).abs() < 1e-9);
        assert_eq!(fabric.score(&ring(&[8, 9]), &loads).expect("sound"), 1.0);
        let asked = fabric.asked(&loads);
        assert_eq!((asked.len(), asked[0].3), (4, 2.0));
        assert_eq!(fabric.score(&ring(&[3]), &[]).expect("sound"), 1.0);
    }

    /// Of eight nodes that send to all others alike, 4/7 of what leaves a node goes up: 4 · 400 · 4/7 on 800.
    #[test]
    fn all_to_all_goes_up() {
        let fabric = fabric(Wiring::Plain, 8, 4, 2.0);
        let gang = Gang { nodes: (0..8).collect(), cards: 0, pattern: Pattern::AllToAll };
        let found = gb_s(&fabric, &[gang]);
        assert!((found[0] - 800.0 / 4.0 / (4.0 / 7.0)).abs() < 1e-6, "{found:?}");
    }

    /// Two gangs of four cards each on the same nodes, links up an eighth as wide: over plain leaves they share one
    /// link up; on rails those of the lower cards leave the others' rails alone, and four times as many gangs of the
    /// lower cards crowd theirs.
    #[test]
    fn parts_of_nodes_use_their_own_rails() {
        let half =
            |node: u32, cards: u128| Gang { nodes: vec![node, node + 4], cards, pattern: Pattern::Ring };
        let of_own = |wiring, gangs: &[Gang]| -> Vec<f64> {
            let fabric = fabric(wiring, 8, 4, 8.0);
            fabric.shares(gangs).expect("sound").iter().map(|share| share.of_own).collect()
        };
        let (lower, upper) = (0x0f, 0xf0);
        // 200 of the link's 200 GB/s alone; two share it.
        let two = [half(0, lower), half(0, upper)];
        assert_eq!(of_own(Wiring::Plain, &two[..1]), [1.0]);
        assert_eq!(of_own(Wiring::Plain, &two), [0.5, 0.5]);
        // Each rail's link up carries 25 GB/s; 50 come over each.
        assert_eq!(of_own(Wiring::Rails(8), &two), [0.5, 0.5]);
        let crowd = [half(0, lower), half(1, lower), half(2, upper)];
        assert_eq!(of_own(Wiring::Rails(8), &crowd), [0.25, 0.25, 0.5]);
        let third = of_own(Wiring::Plain, &crowd);
        assert!(third.iter().all(|share| (share - 1.0 / 3.0).abs() < 1e-9), "{third:?}");
    }

    #[test]
    fn refuses_what_is_no_fabric() {
        let node = Link { bandwidth: BytesPerSecond::from_gb_s(400.0), latency: Duration::ZERO };
        let shape = FabricShape {
            nodes: 8,
            nodes_per_leaf: 4,
            cards_per_node: 8,
            wiring: Wiring::Plain,
            node,
            oversubscription: 1.0,
        };
        let nothing = Link { bandwidth: BytesPerSecond(0.0), ..node };
        for wrong in [
            FabricShape { nodes: 0, ..shape },
            FabricShape { nodes_per_leaf: 0, ..shape },
            FabricShape { oversubscription: 0.5, ..shape },
            FabricShape { oversubscription: f64::NAN, ..shape },
            FabricShape { wiring: Wiring::Rails(0), ..shape },
            FabricShape { cards_per_node: 0, ..shape },
            FabricShape { node: nothing, ..shape },
        ] {
            assert!(wrong.build().is_err(), "{wrong:?}");
        }
        let fabric = shape.build().expect("sound");
        for nodes in [vec![], vec![1, 1], vec![8]] {
            assert!(fabric.shares(&[ring(&nodes)]).is_err(), "{nodes:?}");
        }
        // 8 nodes and 2 leaves, each link both ways.
        assert_eq!(fabric.links().count(), 2 * (8 + 2));
    }
}
