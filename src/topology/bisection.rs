//! What half of a node's cards can send to the other half.

use petgraph::algo::dinics;
use petgraph::graph::DiGraph;

use super::graph::NodeTopology;
use crate::units::BytesPerSecond;

impl NodeTopology {
    /// The most that the first half of the cards can send to the second half at once, one direction: a maximum flow
    /// from a source tied to all cards of one half to a sink tied to those of the other (Dinic's algorithm). Where
    /// cards do not pass on what is meant for others it runs over their own links and switches only. `None` for a
    /// node of one card.
    pub fn bisection(&self) -> Option<BytesPerSecond> {
        let half = self.cards.len() / 2;
        if half == 0 {
            return None;
        }
        // Whole bytes a second, so that the flow is exact.
        let mut flow: DiGraph<(), u64> = DiGraph::new();
        let vertices: Vec<_> = self.graph.node_indices().map(|_| flow.add_node(())).collect();
        let (source, sink) = (flow.add_node(()), flow.add_node(()));
        for edge in self.graph.edge_indices() {
            if let Some((from, to)) = self.graph.edge_endpoints(edge) {
                let bytes = self.graph[edge].bandwidth.as_f64() as u64;
                flow.add_edge(vertices[from.index()], vertices[to.index()], bytes);
            }
        }
        for (place, card) in self.cards.iter().enumerate() {
            // More than all links of any card; its own links are what limits it.
            let (tie, unlimited) = (vertices[card.index()], u64::MAX >> 16);
            if place < half {
                flow.add_edge(source, tie, unlimited);
            } else {
                flow.add_edge(tie, sink, unlimited);
            }
        }
        let (most, _) = dinics(&flow, source, sink);
        Some(BytesPerSecond(most as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HostShape, Interconnect, Link, NodeShape};
    use super::*;
    use crate::units::Duration;

    fn bisection_gb_s(cards: u32, interconnect: Interconnect, gb_s: f64) -> f64 {
        let link = |gb_s| Link { bandwidth: BytesPerSecond::from_gb_s(gb_s), latency: Duration::ZERO };
        let host = HostShape {
            pcie: link(32.0),
            cards_per_switch: 2,
            sockets: 2,
            socket_link: link(40.0),
            scale_out: None,
        };
        let node = NodeShape { cards, interconnect, card_link: link(gb_s), host }.build().expect("a node");
        node.bisection().map_or(0.0, |most| most.as_f64() / 1e9)
    }

    /// By hand: the links cut, and the 40 GB/s between the sockets, which every node has beside them.
    #[test]
    fn what_the_links_say() {
        // Four cards at full speed through the crossbar.
        assert_eq!(bisection_gb_s(8, Interconnect::NvSwitch, 450.0), 4.0 * 450.0 + 40.0);
        // 4 · 4 of the 28 links of 64 GB/s.
        assert_eq!(bisection_gb_s(8, Interconnect::FullMesh, 448.0), 16.0 * 64.0 + 40.0);
        // DGX-1V: 0-4 and 3-7, 1-5 and 2-6 are cut: 2 + 1 + 2 + 1 links of 25 GB/s.
        let cube = Interconnect::HybridCubeMesh { links_per_card: 6 };
        assert_eq!(bisection_gb_s(8, cube, 150.0), 6.0 * 25.0 + 40.0);
        // Nothing but the link between the sockets; with bridges too, which join no halves.
        assert_eq!(bisection_gb_s(8, Interconnect::Pcie { bridged: false }, 0.0), 40.0);
        assert_eq!(bisection_gb_s(8, Interconnect::Pcie { bridged: true }, 300.0), 40.0);
        assert_eq!(bisection_gb_s(1, Interconnect::NvSwitch, 450.0), 0.0);
    }
}
