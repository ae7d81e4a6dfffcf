//! What collectives cost over a node's links and over the network, by algorithm, in plain seconds.
//!
//! Each algorithm is a latency, a bandwidth and a pipeline: t = a + S/β + 2·√(p·S/β). The root is what
//! filling a pipeline of chunks costs when the size of a chunk is chosen best: k steps of latency α over
//! chunks take (√(k·α) + √(S/β))² (Hockney's model with the optimal block size, as in Chan, Heimlich,
//! Purkayastha, van de Geijn, "Collective communication: theory, practice, and experience", CCPE 2007,
//! section 3.4). Of several algorithms the fastest for the size is taken, as NCCL's tuner does
//! (nccl/src/graph/tuning.cc compares latency + size ÷ bandwidth of ring, tree and NVLS).

use super::card::NodeSpec;
use super::constants as c;
use super::constants::Constants;
use super::plan::PlanError;
use crate::topology::Interconnect;
use crate::units::{Bytes, Duration};

/// What is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Every card ends with the sum.
    AllReduce,
    /// Every card ends with all parts.
    AllGather,
    /// Every card ends with its part of the sum.
    ReduceScatter,
    /// Every card sends a part of its own to every other.
    AllToAll,
    /// One card's data reach all.
    Broadcast,
    /// One card sends to one other.
    SendReceive,
}

/// Who runs the collective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// NCCL or RCCL, launched by the host.
    Nccl,
    /// The kernels of serving engines inside a graph, which read their peers' memory directly.
    Engine,
}

/// One algorithm: t = latency + bytes·per_byte + 2·√(pipeline·bytes·per_byte), in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Way {
    pub(super) latency: f64,
    pub(super) per_byte: f64,
    pub(super) pipeline: f64,
}

/// A collective over a group: the ways there are.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Collective {
    ways: Vec<Way>,
}

/// How long an operation of NCCL takes over `cards` cards, `per_node` of them in each node.
///
/// `size` is what NCCL's tests call so: the whole buffer of one card.
///
/// # Errors
/// [`PlanError::UnknownScaleOut`] when several nodes are meant and their network is not known; a group that
/// the node does not have.
pub fn collective_time(
    node: &NodeSpec,
    operation: Operation,
    cards: u32,
    per_node: u32,
    size: Bytes,
) -> Result<Duration, PlanError> {
    collective_time_with(node, operation, cards, per_node, size, &Constants::PUBLISHED)
}

/// The same with other constants.
///
/// # Errors
/// As for [`collective_time`].
pub fn collective_time_with(
    node: &NodeSpec,
    operation: Operation,
    cards: u32,
    per_node: u32,
    size: Bytes,
    constants: &Constants,
) -> Result<Duration, PlanError> {
    let per_node = per_node.clamp(1, cards.max(1));
    let bytes = size.0 as f64;
    let seconds = if per_node == cards {
        Collective::within_node(node, cards, operation, Library::Nccl, constants)?.seconds(bytes)
    } else {
        Collective::over_nodes(
            node,
            Span { in_node: per_node, nodes: cards.div_ceil(per_node), stride: 1 },
            operation,
            constants,
        )?
        .seconds(bytes)
    };
    Ok(Duration::from_secs_f64(seconds))
}

/// A group over nodes: `in_node` of its members on each, `stride` cards apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) in_node: u32,
    pub(super) nodes: u32,
    pub(super) stride: u32,
}

impl Operation {
    /// Sequential steps of a ring of `n`.
    fn steps(self, n: f64) -> f64 {
        match self {
            Self::AllReduce => 2.0 * (n - 1.0),
            Self::SendReceive => 1.0,
            _ => n - 1.0,
        }
    }

    /// What crosses each link of a ring of `n`, as a share of the buffer.
    fn share(self, n: f64) -> f64 {
        match self {
            Self::AllReduce => 2.0 * (n - 1.0) / n,
            Self::Broadcast | Self::SendReceive => 1.0,
            _ => (n - 1.0) / n,
        }
    }
}

impl Collective {
    /// Over the first `cards` cards of a node.
    pub(super) fn within_node(
        node: &NodeSpec,
        cards: u32,
        operation: Operation,
        library: Library,
        constants: &Constants,
    ) -> Result<Self, PlanError> {
        if cards < 2 {
            return Ok(Self::default());
        }
        Self::among(node, (0..cards).collect(), operation, library, constants)
    }

    /// Over `cards` cards of a replica, which lie in one node or fill several.
    pub(super) fn over_cards(
        node: &NodeSpec,
        cards: u32,
        operation: Operation,
        library: Library,
        constants: &Constants,
    ) -> Result<Self, PlanError> {
        if cards <= node.cards {
            return Self::within_node(node, cards, operation, library, constants);
        }
        let span = Span { in_node: node.cards, nodes: cards.div_ceil(node.cards), stride: 1 };
        Self::over_nodes(node, span, operation, constants)
    }

    fn among(
        node: &NodeSpec,
        group: Vec<u32>,
        operation: Operation,
        library: Library,
        constants: &Constants,
    ) -> Result<Self, PlanError> {
        let n = group.len() as f64;
        let rings = node.topology()?.rings(&group)?;
        let hop = rings.latency.as_secs_f64();
        let switched = node.card.interconnect == Interconnect::NvSwitch;
        let efficiency = match (operation, switched) {
            (Operation::SendReceive, _) => constants.send_bandwidth,
            (_, true) => constants.switched_bandwidth,
            (_, false) => constants.mesh_bandwidth,
        };
        let links = rings.bandwidth.as_f64() * c::links(constants, library, &node.card.name);
        let beta = links * efficiency;
        let launch = match (library, operation) {
            (Library::Engine, _) => constants.engine_collective_us * 1e-6,
            (Library::Nccl, Operation::SendReceive) => constants.send_us * 1e-6,
            (Library::Nccl, _) => constants.collective_us * 1e-6,
        };
        let steps = operation.steps(n);
        let mut ways = vec![Way {
            latency: launch + steps * hop,
            per_byte: operation.share(n) / beta,
            pipeline: match operation {
                Operation::SendReceive => 0.0,
                _ => constants.ring_pipeline_us(&node.card.name) * 1e-6,
            },
        }];
        let reduces = operation == Operation::AllReduce;
        if reduces && library == Library::Engine && cards_see_each_other(node, n) {
            // One step: each card reads all the others' buffers.
            ways.push(Way { latency: launch + 2.0 * hop, per_byte: (n - 1.0) / beta, pipeline: 0.0 });
        }
        if reduces && c::reduces_in_switch(&node.card.name) && n >= 4.0 {
            // The switch adds up: each card sends its buffer once and receives the sum once.
            let beta = links * constants.switch_reduction;
            ways.push(Way {
                latency: launch + 4.0 * hop,
                per_byte: (n + 1.0) / n / beta,
                pipeline: constants.switch_pipeline_us * 1e-6,
            });
        }
        Ok(Self { ways })
    }

    /// Over several nodes: within each, and between them, at the same time; the slower decides. Groups of
    /// like stride run at the same time and share the network.
    ///
    /// A ring through all n cards carries 2(n−1)/n of the buffer over the network and takes 2(m−1) hops of it;
    /// a double binary tree carries 2(m−1)/m and takes 2·log₂(m) (Sanders, Speck, Träff, "Two-tree algorithms
    /// for full bandwidth broadcast, reduction and scan", Parallel Computing 2009; NCCL 2.4 release notes).
    pub(super) fn over_nodes(
        node: &NodeSpec,
        span: Span,
        operation: Operation,
        constants: &Constants,
    ) -> Result<Self, PlanError> {
        let Span { in_node, nodes, stride } = span;
        let mut local = Way::default();
        if in_node > 1 {
            let group = (0..in_node).map(|rank| rank * stride).collect();
            let ways = Self::among(node, group, operation, Library::Nccl, constants)?.ways;
            local = ways[0];
            // Behind a crossbar each card's links are its own; elsewhere the groups share links.
            if node.card.interconnect != Interconnect::NvSwitch {
                local.per_byte *= f64::from(stride);
            }
        }
        let launch = constants.collective_us * 1e-6;
        if nodes < 2 {
            return Ok(Self { ways: if in_node > 1 { vec![local] } else { Vec::new() } });
        }
        let network = node.scale_out.ok_or_else(|| PlanError::UnknownScaleOut {
            cards: in_node * nodes * stride,
            nodes,
            per_node: node.cards,
            card: node.card.name.clone(),
            node: node.name.clone(),
        })?;
        // A card uses its own part of the node's network, or all of it where the whole node takes part.
        let used = f64::from((in_node * stride).min(node.cards)) / f64::from(node.cards);
        let beta = network.as_f64() * used * constants.network_bandwidth / f64::from(stride);
        let hop = c::SCALE_OUT_LATENCY.as_secs_f64();
        let (m, n) = (f64::from(nodes), f64::from(nodes) * f64::from(in_node));
        let way = |steps: f64, per_byte: f64| Way {
            latency: launch.max(local.latency) + steps * hop,
            per_byte: per_byte.max(local.per_byte),
            pipeline: constants.network_pipeline_us * 1e-6,
        };
        // One ring through all cards, spread over the NICs, or every card's own data straight to the others.
        let crossing = match operation {
            Operation::AllToAll => f64::from(in_node) * (m - 1.0) / m,
            _ => operation.share(n),
        };
        let mut ways = vec![way(operation.steps(m), crossing / beta)];
        if operation == Operation::AllReduce {
            // Only sums of nodes cross the network; inside, a tree is slower than a ring.
            let depth = 2.0 * f64::from(nodes.next_power_of_two().trailing_zeros());
            let inside = local.per_byte / operation.share(f64::from(in_node)).max(1.0) / constants.tree_share;
            ways.push(way(depth, (operation.share(m) / beta).max(inside)));
        }
        Ok(Self { ways })
    }

    /// Over the `ranks` data-parallel ranks of a gang that has `width` cards a rank and fills nodes one after
    /// another; the groups of like cards run at the same time and share what they cross.
    pub(super) fn across_gang(
        node: &NodeSpec,
        ranks: u32,
        width: u32,
        operation: Operation,
        constants: &Constants,
    ) -> Result<Self, PlanError> {
        if ranks < 2 {
            return Ok(Self::default());
        }
        let in_node = (node.cards / width).clamp(1, ranks);
        let span = Span { in_node, nodes: ranks.div_ceil(in_node), stride: width.min(node.cards) };
        Self::over_nodes(node, span, operation, constants)
    }

    /// The time of the fastest way; nothing for a group of one.
    pub(super) fn seconds(&self, bytes: f64) -> f64 {
        let times = self.ways.iter().map(|way| {
            let moved = bytes * way.per_byte;
            way.latency + moved + 2.0 * (way.pipeline * moved).sqrt()
        });
        times.min_by(f64::total_cmp).unwrap_or(0.0)
    }
}

/// Whether engines' one-step kernels work: cards with links of their own, all of them, or two over PCIe.
fn cards_see_each_other(node: &NodeSpec, cards: f64) -> bool {
    matches!(node.card.interconnect, Interconnect::NvSwitch | Interconnect::FullMesh) || cards < 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::perf::CardSpec;
    use crate::units::BytesPerSecond;

    fn node(card: &str, network_gbit_s: f64) -> NodeSpec {
        let catalog = Catalog::embedded();
        let card = catalog.accelerator(card).expect("in the catalogue");
        NodeSpec {
            name: "test/node".to_owned(),
            card: CardSpec::try_from(card).expect("known"),
            cards: 8,
            scale_out: Some(BytesPerSecond::from_gb_s(network_gbit_s / 8.0)),
        }
    }

    const GIB: u64 = 1 << 30;

    /// AWS p4de, two nodes of 8 A100 and 400 Gbit/s: 1 GiB in 26.2 ms (awsome-distributed-training, NCCL
    /// tests, commit 7217859f). Within 12 %.
    #[test]
    fn two_nodes_as_measured() {
        let time = collective_time(&node("A100-SXM4-80", 400.0), Operation::AllReduce, 16, 8, Bytes(GIB))
            .expect("sound");
        assert!((time.as_secs_f64() / 26.217e-3 - 1.0).abs() < 0.12, "{time}");
    }

    /// 8 H100 behind NVSwitch: the switch adds up at a bus bandwidth of 480 GB/s (NCCL issue 1455); a ring
    /// over A100 stays below its links. Within 7 %.
    #[test]
    fn one_node_as_measured() {
        let bus = |card| {
            let time = collective_time(&node(card, 3200.0), Operation::AllReduce, 8, 8, Bytes(4 * GIB));
            2.0 * 7.0 / 8.0 * 4.0 * GIB as f64 / time.expect("sound").as_secs_f64() / 1e9
        };
        assert!((bus("H100-SXM5") / 480.0 - 1.0).abs() < 0.07, "{}", bus("H100-SXM5"));
        assert!((bus("A100-SXM4-80") / 235.0 - 1.0).abs() < 0.07, "{}", bus("A100-SXM4-80"));
    }

    /// Shards of tensor parallelism share the network: eight rings of an eighth take as long as one of all.
    #[test]
    fn shards_share_the_network() {
        let node = node("H100-SXM5", 3200.0);
        let over = |ranks| {
            Collective::across_gang(&node, ranks, 8, Operation::AllReduce, &Constants::PUBLISHED)
                .expect("sound")
        };
        let found = over(2).seconds(GIB as f64);
        let bytes = 8.0 * GIB as f64 / (400e9 * Constants::PUBLISHED.network_bandwidth);
        assert!((found / bytes - 1.0).abs() < 0.1, "{found} {bytes}");
        assert_eq!(over(1), Collective::default());
    }

    /// Larger messages never take less time, and more cards never less either.
    #[test]
    fn more_takes_longer() {
        let node = node("H100-SXM5", 3200.0);
        for library in [Library::Nccl, Library::Engine] {
            let mut last = 0.0;
            for exponent in 8..34 {
                let way =
                    Collective::within_node(&node, 8, Operation::AllReduce, library, &Constants::PUBLISHED)
                        .expect("sound");
                let seconds = way.seconds((1u64 << exponent) as f64);
                assert!(seconds > last);
                last = seconds;
            }
        }
    }
}
