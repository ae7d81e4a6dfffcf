//! The graph of one node and the paths through it.

use std::fmt;

use petgraph::algo::astar;
use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use thiserror::Error;

use crate::units::{BytesPerSecond, Duration};

/// What sits at one point of a node's links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vertex {
    /// An accelerator, numbered from 0 within the node.
    Card(u32),
    /// The node's NVSwitches (or another crossbar), as one.
    NvSwitch,
    /// A PCIe switch.
    PcieSwitch(u32),
    /// A CPU socket with its root ports.
    Cpu(u32),
    /// A network card.
    Nic(u32),
}

/// A link, as seen in one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// What it carries in one direction.
    pub bandwidth: BytesPerSecond,
    /// How long the first byte takes.
    pub latency: Duration,
}

/// A way from one card to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Every vertex passed, both ends included.
    pub vertices: Vec<Vertex>,
    /// The bandwidth of its slowest link, with nobody else on it.
    pub bandwidth: BytesPerSecond,
    /// The latencies of its links, added.
    pub latency: Duration,
    pub(super) edges: Vec<EdgeIndex>,
}

/// What is wrong with a node's shape or with a group of its cards.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopologyError {
    /// A node needs a card.
    #[error("a node has at least one card; this one has 0")]
    NoCards,
    /// The interconnect does not exist with this many cards.
    #[error("a {interconnect} does not connect {cards} cards: {why}")]
    WrongCount {
        /// Which interconnect.
        interconnect: &'static str,
        /// How many cards were asked for.
        cards: u32,
        /// What it can do.
        why: &'static str,
    },
    /// A link without bandwidth.
    #[error("the {which} has a bandwidth of {found} B/s; give a positive number")]
    NoBandwidth {
        /// Which link.
        which: &'static str,
        /// What was given, as text.
        found: String,
    },
    /// A number of a fabric out of its range.
    #[error("a fabric's {what} cannot be {found}; it must be {range}")]
    BadFabric {
        /// Which number.
        what: &'static str,
        /// What was given.
        found: String,
        /// What it may be.
        range: &'static str,
    },
    /// A gang that names a node which the fabric lacks, or the same node twice, or none.
    #[error("nodes {nodes:?} are no gang of this fabric, which has nodes 0 to {last}, each to be named once")]
    BadGang {
        /// The gang.
        nodes: Vec<u32>,
        /// The last node of the fabric.
        last: u32,
    },
    /// A group that names a card which the node lacks, or the same card twice, or none.
    #[error(
        "cards {cards:?} are not a group of this node, which has cards 0 to {last}, each to be named once"
    )]
    BadGroup {
        /// The group.
        cards: Vec<u32>,
        /// The last card of the node.
        last: u32,
    },
}

/// The links of one node.
#[derive(Debug, Clone)]
pub struct NodeTopology {
    pub(super) graph: DiGraph<Vertex, Link>,
    pub(super) cards: Vec<NodeIndex>,
    /// Whether a card passes on what is meant for another one (TPU's torus does, NVLink meshes don't).
    pub(super) cards_forward: bool,
    pub(super) scale_out: Option<BytesPerSecond>,
}

impl NodeTopology {
    /// How many cards there are.
    pub fn card_count(&self) -> u32 {
        self.cards.len() as u32
    }

    /// What all NICs together carry out of the node, in one direction; `None` when that is not known.
    pub fn scale_out(&self) -> Option<BytesPerSecond> {
        self.scale_out
    }

    /// Every link in its two directions: from, to, and what it carries.
    pub fn links(&self) -> impl Iterator<Item = (Vertex, Vertex, Link)> {
        self.graph
            .edge_references()
            .map(|edge| (self.graph[edge.source()], self.graph[edge.target()], *edge.weight()))
    }

    /// The fastest way from one card to another for a message of 1 MB; `None` when there is none, when a
    /// card is not of this node, or when both are the same.
    pub fn path(&self, from: u32, to: u32) -> Option<Path> {
        let start = *self.cards.get(from as usize)?;
        let end = *self.cards.get(to as usize)?;
        if start == end {
            return None;
        }
        let cost = |edge: petgraph::graph::EdgeReference<'_, Link>| {
            let through_card = edge.source() != start && matches!(self.graph[edge.source()], Vertex::Card(_));
            if through_card && !self.cards_forward {
                f64::INFINITY
            } else {
                edge.weight().latency.as_secs_f64() + 1e6 / edge.weight().bandwidth.as_f64()
            }
        };
        let (total, nodes) = astar(&self.graph, start, |node| node == end, cost, |_| 0.0)?;
        if !total.is_finite() {
            return None;
        }
        let mut path = Path {
            vertices: nodes.iter().map(|node| self.graph[*node]).collect(),
            bandwidth: BytesPerSecond(f64::INFINITY),
            latency: Duration::ZERO,
            edges: Vec::with_capacity(nodes.len()),
        };
        for pair in nodes.windows(2) {
            let edge = self.graph.find_edge(pair[0], pair[1])?;
            let link = self.graph[edge];
            path.bandwidth = BytesPerSecond(path.bandwidth.as_f64().min(link.bandwidth.as_f64()));
            path.latency += link.latency;
            path.edges.push(edge);
        }
        Some(path)
    }

    /// The slowest of the paths between any two cards of a group, one transfer at a time.
    ///
    /// # Errors
    /// When the group names a card twice or one that the node lacks, or has fewer than two.
    pub fn bottleneck(&self, group: &[u32]) -> Result<Path, TopologyError> {
        self.check_group(group)?;
        let mut slowest: Option<Path> = None;
        for from in group {
            for to in group {
                if let Some(path) = self.path(*from, *to)
                    && slowest.as_ref().is_none_or(|known| path.bandwidth < known.bandwidth)
                {
                    slowest = Some(path);
                }
            }
        }
        slowest.ok_or_else(|| self.bad_group(group))
    }

    pub(super) fn check_group(&self, group: &[u32]) -> Result<(), TopologyError> {
        let repeated = group.iter().enumerate().any(|(at, card)| group[..at].contains(card));
        let foreign = group.iter().any(|card| *card >= self.card_count());
        if group.is_empty() || repeated || foreign { Err(self.bad_group(group)) } else { Ok(()) }
    }

    fn bad_group(&self, group: &[u32]) -> TopologyError {
        TopologyError::BadGroup { cards: group.to_vec(), last: self.card_count().saturating_sub(1) }
    }
}

impl fmt::Display for Vertex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card(index) => write!(f, "card {index}"),
            Self::NvSwitch => f.write_str("NVSwitch"),
            Self::PcieSwitch(index) => write!(f, "PCIe switch {index}"),
            Self::Cpu(index) => write!(f, "CPU {index}"),
            Self::Nic(index) => write!(f, "NIC {index}"),
        }
    }
}
