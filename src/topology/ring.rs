//! Rings over a group of cards, and how long an all-reduce over them takes.

use super::graph::{NodeTopology, Path, TopologyError};
use crate::units::{Bytes, BytesPerSecond, Duration};

/// Steps that the search for one ring may take, so that no node makes it slow.
const SEARCH_STEPS: u32 = 20_000;

/// The rings that a collective over a group runs on, all at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Rings {
    /// The rings, widest first; empty for a group of one card.
    pub rings: Vec<Ring>,
    /// What the rings carry together in one direction: the β of the α–β model, before any efficiency.
    pub bandwidth: BytesPerSecond,
    /// The latency of the longest hop.
    pub latency: Duration,
}

/// One ring.
#[derive(Debug, Clone, PartialEq)]
pub struct Ring {
    /// Its cards in order; the last one sends to the first.
    pub order: Vec<u32>,
    /// What it carries in one direction.
    pub bandwidth: BytesPerSecond,
}

/// t = 2(n−1)·(α + S/(n·β)): a ring all-reduce of `size` bytes over `cards` cards, each step of which takes
/// α and moves S/n at β (Thakur, Rabenseifner, Gropp, "Optimization of collective communication operations
/// in MPICH", IJHPCA 2005, section 4). No time for fewer than two cards.
pub fn ring_all_reduce(cards: u32, alpha: Duration, size: Bytes, beta: BytesPerSecond) -> Duration {
    if cards < 2 {
        return Duration::ZERO;
    }
    let n = f64::from(cards);
    let step = alpha.as_secs_f64() + size.0 as f64 / (n * beta.as_f64());
    Duration::from_secs_f64(2.0 * (n - 1.0) * step)
}

impl NodeTopology {
    /// The rings of a group. Where cards are linked directly, rings that share no link are taken one after
    /// another, the widest first, until no further one closes; otherwise one ring in the order given goes
    /// over the fastest paths, and a link that several of its hops cross in the same direction is shared.
    /// The way with more bandwidth is taken.
    ///
    /// # Errors
    /// When the group is empty, names a card twice or one that the node lacks.
    pub fn rings(&self, group: &[u32]) -> Result<Rings, TopologyError> {
        self.check_group(group)?;
        if group.len() < 2 {
            return Ok(Rings {
                rings: Vec::new(),
                bandwidth: BytesPerSecond(f64::INFINITY),
                latency: Duration::ZERO,
            });
        }
        let direct = self.direct_rings(group);
        let routed = self.routed_ring(group);
        let better = match (direct, routed) {
            (Some(direct), Some(routed)) if routed.bandwidth > direct.bandwidth => Some(routed),
            (Some(direct), _) => Some(direct),
            (None, routed) => routed,
        };
        // Every card hangs on the PCIe tree, so that there is always a way.
        better.ok_or_else(|| TopologyError::BadGroup { cards: group.to_vec(), last: self.card_count() - 1 })
    }

    /// One ring in the order given, over the fastest paths.
    fn routed_ring(&self, group: &[u32]) -> Option<Rings> {
        let hops: Vec<Path> = (0..group.len())
            .map(|at| self.path(group[at], group[(at + 1) % group.len()]))
            .collect::<Option<_>>()?;
        let mut uses = vec![0u32; self.graph.edge_count()];
        hops.iter().flat_map(|hop| &hop.edges).for_each(|edge| uses[edge.index()] += 1);
        let bandwidth = self
            .graph
            .edge_indices()
            .filter(|edge| uses[edge.index()] > 0)
            .map(|edge| self.graph[edge].bandwidth.as_f64() / f64::from(uses[edge.index()]))
            .fold(f64::INFINITY, f64::min);
        let latency = hops.iter().map(|hop| hop.latency).max()?;
        let bandwidth = BytesPerSecond(bandwidth);
        Some(Rings { rings: vec![Ring { order: group.to_vec(), bandwidth }], bandwidth, latency })
    }

    /// Rings that share no link, over direct links only; `None` when not even one closes.
    fn direct_rings(&self, group: &[u32]) -> Option<Rings> {
        let mut free = vec![vec![0.0; group.len()]; group.len()];
        let mut latency = Duration::ZERO;
        for (i, from) in group.iter().enumerate() {
            for (j, to) in group.iter().enumerate() {
                let ends = (self.cards[*from as usize], self.cards[*to as usize]);
                if let Some(edge) = self.graph.find_edge(ends.0, ends.1) {
                    free[i][j] = self.graph[edge].bandwidth.as_f64();
                    latency = latency.max(self.graph[edge].latency);
                }
            }
        }
        let mut rings = Rings { rings: Vec::new(), bandwidth: BytesPerSecond(0.0), latency };
        // What subtracting leaves by rounding is no link.
        let narrowest = free.iter().flatten().copied().fold(0.0, f64::max) * 1e-6;
        while let Some((order, width)) = widest_ring(&free, narrowest) {
            for at in 0..order.len() {
                free[order[at]][order[(at + 1) % order.len()]] -= width;
            }
            rings.bandwidth = BytesPerSecond(rings.bandwidth.as_f64() + width);
            let order = order.into_iter().map(|index| group[index]).collect();
            rings.rings.push(Ring { order, bandwidth: BytesPerSecond(width) });
        }
        (!rings.rings.is_empty()).then_some(rings)
    }
}

/// The closed tour of all places whose narrowest link is widest, and that width.
fn widest_ring(free: &[Vec<f64>], narrowest: f64) -> Option<(Vec<usize>, f64)> {
    let mut widths: Vec<f64> = free.iter().flatten().copied().filter(|width| *width > narrowest).collect();
    widths.sort_by(|a, b| b.total_cmp(a));
    widths.dedup();
    widths.into_iter().find_map(|width| {
        let mut steps = SEARCH_STEPS;
        let mut order = vec![0];
        close_ring(free, width, &mut order, &mut steps).then_some((order, width))
    })
}

/// Depth first: extends `order` to a closed tour over links of at least `width`.
fn close_ring(free: &[Vec<f64>], width: f64, order: &mut Vec<usize>, steps: &mut u32) -> bool {
    let last = order[order.len() - 1];
    if order.len() == free.len() {
        return free[last][0] >= width;
    }
    // Nearest numbers first, going round: of a full mesh this takes whole strides, which leave whole strides.
    for offset in 1..free.len() {
        let next = (last + offset) % free.len();
        if *steps == 0 {
            return false;
        }
        *steps -= 1;
        if free[last][next] >= width && !order.contains(&next) {
            order.push(next);
            if close_ring(free, width, order, steps) {
                return true;
            }
            order.pop();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::{HostShape, Interconnect, Link, NodeShape, Vertex};
    use super::*;

    fn link(gb_s: f64, nanos: u64) -> Link {
        Link { bandwidth: BytesPerSecond::from_gb_s(gb_s), latency: Duration::from_nanos(nanos) }
    }

    fn node(cards: u32, interconnect: Interconnect, gb_s: f64) -> NodeTopology {
        let host = HostShape {
            pcie: link(32.0, 500),
            cards_per_switch: 2,
            sockets: 2,
            socket_link: link(40.0, 300),
            scale_out: Some(link(400.0, 2000)),
        };
        let shape = NodeShape { cards, interconnect, card_link: link(gb_s, 400), host };
        shape.build().expect("a valid shape")
    }

    fn ring_gb_s(node: &NodeTopology, group: &[u32]) -> f64 {
        node.rings(group).expect("a group of the node").bandwidth.as_f64() / 1e9
    }

    /// Row 15 of the closed forms: n=8, S=1 GiB, β=370 GB/s, α=0: 5.078 ms.
    #[test]
    fn all_reduce_closed_form() {
        let t = |alpha| {
            ring_all_reduce(8, Duration::from_nanos(alpha), Bytes(1 << 30), BytesPerSecond::from_gb_s(370.0))
        };
        assert!((t(0).as_secs_f64() - 5.078e-3).abs() < 1e-6, "{}", t(0));
        // α counts once for each of the 14 steps.
        assert_eq!(t(1000).saturating_sub(t(0)), Duration::from_nanos(14_000));
        assert_eq!(
            ring_all_reduce(1, Duration::HOUR, Bytes(1), BytesPerSecond::from_gb_s(1.0)),
            Duration::ZERO
        );
    }

    /// A crossbar gives a group of any size one ring at a card's full speed: each uplink is crossed once.
    #[test]
    fn switch_gives_full_speed() {
        let node = node(8, Interconnect::NvSwitch, 450.0);
        for group in [vec![0, 1], vec![1, 4, 6], (0..8).collect()] {
            assert_eq!(ring_gb_s(&node, &group), 450.0);
        }
        let path = node.path(2, 5).expect("a path");
        assert_eq!(path.vertices, [Vertex::Card(2), Vertex::NvSwitch, Vertex::Card(5)]);
        assert_eq!(path.latency, Duration::from_nanos(400));
    }

    /// A full mesh of eight: a pair has one link of seven, all eight have as many rings as links go.
    #[test]
    fn full_mesh_shares_links() {
        let node = node(8, Interconnect::FullMesh, 448.0);
        assert_eq!(ring_gb_s(&node, &[0, 1]), 64.0);
        // Two cards of a full mesh of eight pass nothing through a third.
        assert_eq!(node.path(0, 1).map(|path| path.vertices.len()), Some(2));
        let rings = node.rings(&[0, 1, 2, 3, 4, 5, 6, 7]).expect("a group");
        assert_links_are_used_once(&node, &rings);
        // At least six of the seven that the links would carry.
        assert!(rings.bandwidth.as_f64() >= 6.0 * 64e9, "{rings:?}");
    }

    /// NCCL finds six rings of 25 GB/s on a DGX-1V too: all of a card's six links, in each direction.
    #[test]
    fn hybrid_cube_mesh_uses_its_links() {
        let node = node(8, Interconnect::HybridCubeMesh { links_per_card: 6 }, 150.0);
        let rings = node.rings(&[0, 1, 2, 3, 4, 5, 6, 7]).expect("a group");
        assert_links_are_used_once(&node, &rings);
        assert!(rings.bandwidth.as_f64() >= 100e9, "{rings:?}");
        assert_eq!(ring_gb_s(&node, &[0, 3]), 50.0);
        assert_eq!(ring_gb_s(&node, &[0, 1]), 25.0);
        // No link between 0 and 5: by PCIe, since cards don't forward.
        let path = node.path(0, 5).expect("a path");
        assert!(path.vertices.contains(&Vertex::Cpu(0)) && path.vertices.contains(&Vertex::Cpu(1)));
    }

    /// Ring order 0,1,…,7 over a PCIe tree crosses each switch's uplink once in each direction.
    #[test]
    fn pcie_tree() {
        let plain = node(8, Interconnect::Pcie { bridged: false }, 0.0);
        assert_eq!(ring_gb_s(&plain, &[0, 1, 2, 3, 4, 5, 6, 7]), 32.0);
        // In a bad order every hop but one changes the socket: four hops share one direction of the link.
        assert_eq!(ring_gb_s(&plain, &[0, 4, 1, 5, 2, 6, 3, 7]), 10.0);
        let bridged = node(4, Interconnect::Pcie { bridged: true }, 300.0);
        assert_eq!(ring_gb_s(&bridged, &[0, 1]), 300.0);
        assert_eq!(ring_gb_s(&bridged, &[0, 1, 2, 3]), 32.0);
        assert_eq!(bridged.bottleneck(&[0, 1, 2]).expect("a group").bandwidth.as_f64(), 32e9);
    }

    /// Four chips of a 3-D torus form a square: both directions of its ring, one link each.
    #[test]
    fn torus() {
        assert_eq!(ring_gb_s(&node(4, Interconnect::Torus { dimensions: 3 }, 300.0), &[0, 1, 2, 3]), 100.0);
        let sixteen = node(16, Interconnect::Torus { dimensions: 2 }, 400.0);
        // 4 by 4 with closed sides: 64 links in all, each in two directions.
        let between_cards = |from, to| matches!((from, to), (Vertex::Card(_), Vertex::Card(_)));
        assert_eq!(sixteen.links().filter(|(from, to, _)| between_cards(*from, *to)).count(), 64);
        let rings = sixteen.rings(&(0..16).collect::<Vec<_>>()).expect("a group");
        assert_links_are_used_once(&sixteen, &rings);
        assert!(rings.rings.len() >= 2);
        // A far corner is reached through other chips.
        assert!(sixteen.path(0, 10).is_some_and(|path| path.vertices.len() == 5));
    }

    #[test]
    fn refuses_what_is_no_group() {
        let node = node(4, Interconnect::NvSwitch, 450.0);
        for group in [&[][..], &[0, 0], &[3, 4]] {
            assert!(matches!(node.rings(group), Err(TopologyError::BadGroup { .. })), "{group:?}");
        }
        assert!(node.rings(&[2]).is_ok_and(|rings| rings.rings.is_empty()));
    }

    fn assert_links_are_used_once(node: &NodeTopology, rings: &Rings) {
        let mut load = std::collections::BTreeMap::new();
        for Ring { order, bandwidth } in &rings.rings {
            for at in 0..order.len() {
                *load.entry((order[at], order[(at + 1) % order.len()])).or_insert(0.0) += bandwidth.as_f64();
            }
        }
        for ((from, to), bandwidth) in load {
            let direct = node.path(from, to).expect("a path");
            assert!(bandwidth <= direct.bandwidth.as_f64() * (1.0 + 1e-9), "{from} to {to}");
        }
    }
}
