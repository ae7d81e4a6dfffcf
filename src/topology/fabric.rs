//! The network between nodes as a graph, and what gangs that share its links get of them.
//!
//! A fat tree (Leiserson, "Fat-trees", IEEE Transactions on Computers 34(10), 1985) of two tiers: nodes under leaves,
//! leaves under a spine. All switches of the spine are drawn as one for each rail, since traffic is spread over them.
//! With oversubscription r the leaves' links up carry an r-th part of their links down. In a rail-optimised fabric each
//! network card of a node goes to a leaf of its own, so that cards of equal number reach each other over one leaf
//! (NVIDIA DGX SuperPOD reference architecture, 2023, "compute fabric"); plain leaves take whole nodes.

use petgraph::algo::astar;
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
    /// How.
    pub pattern: Pattern,
}

/// What a gang gets of the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// What each of its nodes can send, one direction.
    pub bandwidth: BytesPerSecond,
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
        let rails = match self.wiring {
            Wiring::Plain => 1,
            Wiring::Rails(0) => return Err(wrong("rails", "0".to_owned(), "at least 1")),
            Wiring::Rails(rails) => rails,
        };
        let mut graph = DiGraph::new();
        let nodes: Vec<_> = (0..self.nodes).map(|node| graph.add_node(Switch::Node(node))).collect();
        let down = Link { bandwidth: BytesPerSecond(speed / f64::from(rails)), ..self.node };
        let per_leaf = self.nodes_per_leaf.min(self.nodes);
        let up = down.bandwidth.as_f64() * f64::from(per_leaf) / self.oversubscription;
        let up = Link { bandwidth: BytesPerSecond(up), ..self.node };
        for rail in 0..rails {
            let spine = graph.add_node(Switch::Spine(rail));
            for (group, under) in nodes.chunks(self.nodes_per_leaf as usize).enumerate() {
                let leaf = graph.add_node(Switch::Leaf { group: group as u32, rail });
                for (from, to, link) in
                    under.iter().map(|node| (*node, leaf, down)).chain([(leaf, spine, up)])
                {
                    graph.add_edge(from, to, link);
                    graph.add_edge(to, from, link);
                }
            }
        }
        Ok(Fabric { shape: *self, graph, nodes })
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

    /// What each of these gangs gets when all of them communicate at once: max-min fair, every gang's nodes sending as
    /// fast as each other.
    ///
    /// # Errors
    /// When a gang has no nodes, one twice, or one that the fabric lacks.
    pub fn shares(&self, gangs: &[Gang]) -> Result<Vec<Share>, TopologyError> {
        let uses: Vec<Use> = gangs.iter().map(|gang| self.uses(gang)).collect::<Result<_, _>>()?;
        let own = self.shape.node.bandwidth.as_f64();
        let mut free: Vec<f64> = self.graph.edge_weights().map(|link| link.bandwidth.as_f64()).collect();
        // Progressive filling (Bertsekas, Gallager, "Data networks", 2nd edition, section 6.5.2): all rates rise
        // together until a link is full; those that cross it keep what they have.
        let mut rates: Vec<Option<f64>> = uses.iter().map(|of| of.load.is_empty().then_some(own)).collect();
        let mut level = 0.0;
        while rates.iter().any(Option::is_none) {
            let mut wanted = vec![0.0; free.len()];
            for (of, _) in uses.iter().zip(&rates).filter(|(_, rate)| rate.is_none()) {
                of.load.iter().for_each(|(edge, load)| wanted[edge.index()] += load);
            }
            let room = free.iter().zip(&wanted).filter(|(_, wanted)| **wanted > 0.0);
            let rise = room.map(|(free, wanted)| free / wanted).fold(f64::INFINITY, f64::min);
            level += rise;
            let full: Vec<bool> = free
                .iter_mut()
                .zip(&wanted)
                .map(|(free, wanted)| {
                    let before = *free;
                    *free -= rise * wanted;
                    *wanted > 0.0 && *free <= 1e-9 * before.max(1.0)
                })
                .collect();
            for (of, rate) in uses.iter().zip(&mut rates) {
                if rate.is_none() && of.load.iter().any(|(edge, _)| full[edge.index()]) {
                    *rate = Some(level);
                }
            }
        }
        let share = |(of, rate): (&Use, Option<f64>)| {
            let rate = rate.unwrap_or(own).min(own);
            Share {
                bandwidth: BytesPerSecond(rate),
                latency: of.latency,
                contended: rate < own * (1.0 - 1e-9),
            }
        };
        Ok(uses.iter().zip(rates).map(share).collect())
    }

    /// How good a place for a gang is beside others, from 0 to 1: what its nodes can send over what their network
    /// cards could.
    ///
    /// # Errors
    /// As for [`Fabric::shares`].
    pub fn score(&self, gang: &Gang, others: &[Gang]) -> Result<f64, TopologyError> {
        let all: Vec<Gang> = std::iter::once(gang).chain(others).cloned().collect();
        let share = self.shares(&all)?[0];
        Ok(share.bandwidth.as_f64() / self.shape.node.bandwidth.as_f64())
    }

    /// What a gang puts on each link when every node of it sends one byte a second.
    fn uses(&self, gang: &Gang) -> Result<Use, TopologyError> {
        let nodes = &gang.nodes;
        let repeated = nodes.iter().enumerate().any(|(at, node)| nodes[..at].contains(node));
        if nodes.is_empty() || repeated || nodes.iter().any(|node| *node >= self.shape.nodes) {
            let last = self.shape.nodes - 1;
            return Err(TopologyError::BadGang { nodes: nodes.clone(), last });
        }
        let mut of = Use { load: Vec::new(), latency: Duration::ZERO };
        if nodes.len() < 2 {
            return Ok(of);
        }
        let mut load = vec![0.0; self.graph.edge_count()];
        let mut send = |from: u32, to: u32, bytes: f64| {
            let ways = self.ways(from, to);
            for way in &ways {
                let latency = way.iter().fold(Duration::ZERO, |sum, edge| sum + self.graph[*edge].latency);
                of.latency = of.latency.max(latency);
                way.iter().for_each(|edge| load[edge.index()] += bytes / ways.len() as f64);
            }
        };
        match gang.pattern {
            Pattern::Ring => {
                for (at, from) in nodes.iter().enumerate() {
                    send(*from, nodes[(at + 1) % nodes.len()], 1.0);
                }
            }
            Pattern::AllToAll => {
                let each = 1.0 / (nodes.len() - 1) as f64;
                for from in nodes {
                    nodes.iter().filter(|to| *to != from).for_each(|to| send(*from, *to, each));
                }
            }
        }
        let loaded = self.graph.edge_indices().zip(load).filter(|(_, load)| *load > 0.0);
        of.load = loaded.collect();
        Ok(of)
    }

    /// The shortest way on each rail, over which traffic is spread evenly.
    fn ways(&self, from: u32, to: u32) -> Vec<Vec<EdgeIndex>> {
        let rails = match self.shape.wiring {
            Wiring::Plain => 1,
            Wiring::Rails(rails) => rails,
        };
        let (start, end) = (self.nodes[from as usize], self.nodes[to as usize]);
        let on_rail = |rail: u32| {
            let allowed = |at: NodeIndex| match self.graph[at] {
                Switch::Node(_) => at == start || at == end,
                Switch::Leaf { rail: other, .. } | Switch::Spine(other) => other == rail,
            };
            let cost = |edge: petgraph::graph::EdgeReference<'_, Link>| {
                use petgraph::visit::EdgeRef as _;
                if allowed(edge.target()) { 1.0 } else { f64::INFINITY }
            };
            let (_, way) = astar(&self.graph, start, |node| node == end, cost, |_| 0.0)?;
            way.windows(2).map(|pair| self.graph.find_edge(pair[0], pair[1])).collect::<Option<Vec<_>>>()
        };
        (0..rails).filter_map(on_rail).collect()
    }
}

/// What a gang puts on links, and its longest way.
struct Use {
    load: Vec<(EdgeIndex, f64)>,
    latency: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fabric(wiring: Wiring, nodes: u32, nodes_per_leaf: u32, oversubscription: f64) -> Fabric {
        let node = Link { bandwidth: BytesPerSecond::from_gb_s(400.0), latency: Duration::from_nanos(1000) };
        FabricShape { nodes, nodes_per_leaf, wiring, node, oversubscription }.build().expect("sound")
    }

    fn ring(nodes: &[u32]) -> Gang {
        Gang { nodes: nodes.to_vec(), pattern: Pattern::Ring }
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
        assert!((fabric.score(&across[0], &across[1..]).expect("sound") - 0.5).abs() < 1e-9);
        assert_eq!(fabric.score(&ring(&[8, 9]), &across).expect("sound"), 1.0);
        assert_eq!(fabric.score(&ring(&[3]), &[]).expect("sound"), 1.0);
    }

    /// Of eight nodes that send to all others alike, 4/7 of what leaves a node goes up: 4 · 400 · 4/7 on 800.
    #[test]
    fn all_to_all_goes_up() {
        let fabric = fabric(Wiring::Plain, 8, 4, 2.0);
        let gang = Gang { nodes: (0..8).collect(), pattern: Pattern::AllToAll };
        let found = gb_s(&fabric, &[gang]);
        assert!((found[0] - 800.0 / 4.0 / (4.0 / 7.0)).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn refuses_what_is_no_fabric() {
        let node = Link { bandwidth: BytesPerSecond::from_gb_s(400.0), latency: Duration::ZERO };
        let shape =
            FabricShape { nodes: 8, nodes_per_leaf: 4, wiring: Wiring::Plain, node, oversubscription: 1.0 };
        let nothing = Link { bandwidth: BytesPerSecond(0.0), ..node };
        for wrong in [
            FabricShape { nodes: 0, ..shape },
            FabricShape { nodes_per_leaf: 0, ..shape },
            FabricShape { oversubscription: 0.5, ..shape },
            FabricShape { oversubscription: f64::NAN, ..shape },
            FabricShape { wiring: Wiring::Rails(0), ..shape },
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
