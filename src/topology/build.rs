//! Graphs of the nodes that are sold: constructors by interconnect class and number of cards.

use petgraph::graph::{DiGraph, NodeIndex};

use super::graph::{Link, NodeTopology, TopologyError, Vertex};
use crate::units::BytesPerSecond;

/// Cards of a node at most: more than any that is sold (72 in an NVL72), so that a slip of the pen is an
/// error and not an hour of work.
const MAX_CARDS: u32 = 256;

/// NVLinks between the eight cards of a DGX-1 with V100 (DGX-1 system architecture white paper, 2017, fig. 4;
/// the same in AWS p3.16xlarge). One entry per pair: cards and number of links of 25 GB/s each way.
const DGX1V: [(u32, u32, f64); 16] = [
    (0, 1, 1.0),
    (0, 2, 1.0),
    (0, 3, 2.0),
    (0, 4, 2.0),
    (1, 2, 2.0),
    (1, 3, 1.0),
    (1, 5, 2.0),
    (2, 3, 2.0),
    (2, 6, 1.0),
    (3, 7, 1.0),
    (4, 5, 1.0),
    (4, 6, 1.0),
    (4, 7, 2.0),
    (5, 6, 2.0),
    (5, 7, 1.0),
    (6, 7, 2.0),
];

/// How the cards of a node reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interconnect {
    /// Every card has all its links to a crossbar: any pair gets a card's full bandwidth (HGX A100 and later).
    NvSwitch,
    /// Every pair has a link of its own; a card's bandwidth is split evenly over the others (MI300X, Gaudi).
    FullMesh,
    /// The hybrid cube mesh of DGX-1: two quads, each card tied to its partner in the other quad. With 6
    /// links a card some pairs have two (V100), with 4 each has one (P100). At most 8 cards.
    HybridCubeMesh {
        /// Links of a card: 4 or 6.
        links_per_card: u32,
    },
    /// No links but PCIe: by way of PCIe switches, CPUs and the link between the CPUs.
    Pcie {
        /// Whether cards 0 and 1, 2 and 3, ... have an NVLink bridge of [`NodeShape::card_link`] as well.
        bridged: bool,
    },
    /// Neighbours in a grid of 2 or 3 dimensions, closed to rings in dimensions of at least 4 (TPU,
    /// Trainium). A card's bandwidth is that of all its links, two a dimension.
    Torus {
        /// 2 or 3.
        dimensions: u32,
    },
}

/// The PCIe side of a node, which every node has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostShape {
    /// A card's PCIe link, and a PCIe switch's link to its CPU.
    pub pcie: Link,
    /// Cards under one PCIe switch; 0 when they are plugged into the CPU's own root ports.
    pub cards_per_switch: u32,
    /// CPU sockets: 1 or 2.
    pub sockets: u32,
    /// The link between two sockets.
    pub socket_link: Link,
    /// The network cards of the node, all together; `None` when that is not known.
    pub scale_out: Option<Link>,
}

/// Everything that a node's graph is built from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeShape {
    /// How many cards.
    pub cards: u32,
    /// How they are connected.
    pub interconnect: Interconnect,
    /// All scale-up links of one card added, one direction; ignored for PCIe without bridges.
    pub card_link: Link,
    /// PCIe, CPUs and NICs.
    pub host: HostShape,
}

impl Interconnect {
    /// The class in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NvSwitch => "switch",
            Self::FullMesh => "full mesh",
            Self::HybridCubeMesh { .. } => "hybrid cube mesh",
            Self::Pcie { bridged: false } => "PCIe tree",
            Self::Pcie { bridged: true } => "PCIe tree with bridged pairs",
            Self::Torus { .. } => "torus",
        }
    }
}

impl NodeShape {
    /// Builds the graph.
    ///
    /// # Errors
    /// When there are no cards, a bandwidth is not positive, or the interconnect does not exist with this
    /// number of cards.
    pub fn build(&self) -> Result<NodeTopology, TopologyError> {
        if self.cards == 0 {
            return Err(TopologyError::NoCards);
        }
        if self.cards > MAX_CARDS {
            return Err(TopologyError::WrongCount {
                interconnect: self.interconnect.name(),
                cards: self.cards,
                why: "a node has at most 256 cards",
            });
        }
        let needs_card_link = self.cards > 1 && self.interconnect != Interconnect::Pcie { bridged: false };
        if needs_card_link {
            check("cards' own link", self.card_link.bandwidth)?;
        }
        check("PCIe link", self.host.pcie.bandwidth)?;
        check("link between the CPUs", self.host.socket_link.bandwidth)?;
        if let Some(nic) = self.host.scale_out {
            check("network", nic.bandwidth)?;
        }
        let mut graph = DiGraph::new();
        let cards: Vec<_> = (0..self.cards).map(|card| graph.add_node(Vertex::Card(card))).collect();
        let mut node = NodeTopology {
            graph,
            cards,
            cards_forward: matches!(self.interconnect, Interconnect::Torus { .. }),
            scale_out: self.host.scale_out.map(|link| link.bandwidth),
        };
        self.add_host(&mut node.graph, &node.cards);
        if self.cards > 1 {
            self.add_scale_up(&mut node.graph, &node.cards)?;
        }
        Ok(node)
    }

    fn add_scale_up(
        &self,
        graph: &mut DiGraph<Vertex, Link>,
        cards: &[NodeIndex],
    ) -> Result<(), TopologyError> {
        let wrong = |why| TopologyError::WrongCount {
            interconnect: self.interconnect.name(),
            cards: self.cards,
            why,
        };
        match self.interconnect {
            Interconnect::NvSwitch => {
                let switch = graph.add_node(Vertex::NvSwitch);
                // A hop is card, switch, card: half of the latency each.
                let link = Link { latency: self.card_link.latency / 2, ..self.card_link };
                cards.iter().for_each(|card| connect(graph, *card, switch, link));
            }
            Interconnect::FullMesh => {
                let link = self.card_link.share(f64::from(self.cards - 1));
                for (at, from) in cards.iter().enumerate() {
                    cards[at + 1..].iter().for_each(|to| connect(graph, *from, *to, link));
                }
            }
            Interconnect::HybridCubeMesh { links_per_card } => {
                if self.cards > 8 || !matches!(links_per_card, 4 | 6) {
                    return Err(wrong("it has at most 8 cards, with 4 or 6 links each"));
                }
                let one = self.card_link.share(f64::from(links_per_card));
                for (from, to, links) in DGX1V.iter().filter(|(_, to, _)| *to < self.cards) {
                    let links = if links_per_card == 6 { *links } else { 1.0 };
                    connect(graph, cards[*from as usize], cards[*to as usize], one.share(1.0 / links));
                }
            }
            Interconnect::Pcie { bridged: false } => {}
            Interconnect::Pcie { bridged: true } => {
                cards.chunks_exact(2).for_each(|pair| connect(graph, pair[0], pair[1], self.card_link));
            }
            Interconnect::Torus { dimensions } => {
                if !matches!(dimensions, 2 | 3) {
                    return Err(wrong("a torus has 2 or 3 dimensions"));
                }
                self.add_torus(graph, cards, dimensions as usize);
            }
        }
        Ok(())
    }

    fn add_torus(&self, graph: &mut DiGraph<Vertex, Link>, cards: &[NodeIndex], dimensions: usize) {
        let sides = torus_sides(self.cards, dimensions);
        let link = self.card_link.share(2.0 * dimensions as f64);
        let mut stride = 1;
        for side in sides {
            for (index, card) in cards.iter().enumerate() {
                let place = index / stride % side;
                if place + 1 < side {
                    connect(graph, *card, cards[index + stride], link);
                } else if side >= 4 {
                    // The last one closes the ring with the first.
                    connect(graph, *card, cards[index - stride * (side - 1)], link);
                }
            }
            stride *= side;
        }
    }

    fn add_host(&self, graph: &mut DiGraph<Vertex, Link>, cards: &[NodeIndex]) {
        let host = &self.host;
        let sockets = host.sockets.clamp(1, self.cards.min(2));
        let cpus: Vec<_> = (0..sockets).map(|cpu| graph.add_node(Vertex::Cpu(cpu))).collect();
        if let [first, second] = cpus[..] {
            connect(graph, first, second, host.socket_link);
        }
        let cpu_of = |card: usize| cpus[card * cpus.len() / cards.len()];
        // Where NICs are plugged in: every PCIe switch, or every CPU where there are no switches.
        let mut ports = cpus.clone();
        if host.cards_per_switch == 0 {
            cards.iter().enumerate().for_each(|(at, card)| connect(graph, *card, cpu_of(at), host.pcie));
        } else {
            ports.clear();
            for (index, group) in cards.chunks(host.cards_per_switch as usize).enumerate() {
                let switch = graph.add_node(Vertex::PcieSwitch(index as u32));
                group.iter().for_each(|card| connect(graph, *card, switch, host.pcie));
                connect(graph, switch, cpu_of(index * host.cards_per_switch as usize), host.pcie);
                ports.push(switch);
            }
        }
        if let Some(all) = host.scale_out {
            let one = all.share(ports.len() as f64);
            for (index, port) in ports.into_iter().enumerate() {
                let nic = graph.add_node(Vertex::Nic(index as u32));
                connect(graph, port, nic, one);
            }
        }
    }
}

impl Link {
    /// This link cut in `parts` equal ones.
    fn share(self, parts: f64) -> Self {
        Self { bandwidth: BytesPerSecond(self.bandwidth.as_f64() / parts), ..self }
    }
}

/// The sides of the most nearly square grid of `cards` cards: 8 in two dimensions are 4 by 2, in three 2·2·2.
fn torus_sides(cards: u32, dimensions: usize) -> Vec<usize> {
    let mut sides = Vec::with_capacity(dimensions);
    let mut rest = cards as usize;
    for left in (2..=dimensions).rev() {
        // The largest divisor whose `left`-th power is not above what remains.
        let side = (1..=rest)
            .filter(|side| rest.is_multiple_of(*side))
            .take_while(|side| power(*side, left) <= rest);
        let side = side.last().unwrap_or(1);
        sides.push(side);
        rest /= side;
    }
    sides.push(rest);
    sides
}

fn power(base: usize, exponent: usize) -> usize {
    (0..exponent).fold(1usize, |product, _| product.saturating_mul(base))
}

fn connect(graph: &mut DiGraph<Vertex, Link>, a: NodeIndex, b: NodeIndex, link: Link) {
    graph.add_edge(a, b, link);
    graph.add_edge(b, a, link);
}

fn check(which: &'static str, bandwidth: BytesPerSecond) -> Result<(), TopologyError> {
    let value = bandwidth.as_f64();
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(TopologyError::NoBandwidth { which, found: value.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;

    #[test]
    fn refuses_what_does_not_exist() {
        let link = |gb_s| Link { bandwidth: BytesPerSecond::from_gb_s(gb_s), latency: Duration::ZERO };
        let host = HostShape {
            pcie: link(31.0),
            cards_per_switch: 0,
            sockets: 1,
            socket_link: link(40.0),
            scale_out: None,
        };
        let shape =
            |cards, interconnect, gb_s| NodeShape { cards, interconnect, card_link: link(gb_s), host };
        let cube = Interconnect::HybridCubeMesh { links_per_card: 6 };
        let messages = [
            shape(0, Interconnect::NvSwitch, 450.0),
            shape(16, cube, 150.0),
            shape(8, Interconnect::Torus { dimensions: 4 }, 150.0),
            shape(4_000_000_000, Interconnect::FullMesh, 448.0),
            shape(8, Interconnect::NvSwitch, 0.0),
            shape(8, Interconnect::NvSwitch, f64::NAN),
        ]
        .map(|shape| shape.build().map(|_| ()).expect_err("refused").to_string());
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn grids_are_nearly_square() {
        assert_eq!(torus_sides(8, 2), [2, 4]);
        assert_eq!(torus_sides(16, 2), [4, 4]);
        assert_eq!(torus_sides(8, 3), [2, 2, 2]);
        assert_eq!(torus_sides(4, 3), [1, 2, 2]);
        assert_eq!(torus_sides(7, 2), [1, 7]);
    }

    /// Every size of every class builds, and every group of a node has rings.
    #[test]
    fn all_sizes_build() {
        let link = |gb_s| Link { bandwidth: BytesPerSecond::from_gb_s(gb_s), latency: Duration::ZERO };
        for cards_per_switch in [0, 2, 4] {
            let scale_out = Some(link(100.0));
            let host = HostShape {
                pcie: link(31.0),
                cards_per_switch,
                sockets: 2,
                socket_link: link(40.0),
                scale_out,
            };
            for cards in 1..=24 {
                for interconnect in [
                    Interconnect::NvSwitch,
                    Interconnect::FullMesh,
                    Interconnect::HybridCubeMesh { links_per_card: 4 },
                    Interconnect::Pcie { bridged: true },
                    Interconnect::Torus { dimensions: 2 },
                    Interconnect::Torus { dimensions: 3 },
                ] {
                    let shape = NodeShape { cards, interconnect, card_link: link(300.0), host };
                    let Ok(node) = shape.build() else {
                        assert!(cards > 8 && matches!(interconnect, Interconnect::HybridCubeMesh { .. }));
                        continue;
                    };
                    for size in 2..=cards {
                        let rings = node.rings(&(0..size).collect::<Vec<_>>()).expect("rings");
                        let bandwidth = rings.bandwidth.as_f64();
                        assert!(bandwidth > 0.0 && bandwidth <= 300e9 * (1.0 + 1e-9), "{shape:?} {rings:?}");
                    }
                }
            }
        }
    }
}
