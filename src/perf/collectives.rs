//! What all-reduces cost over a node's links and over the network, as α–β models in plain seconds.

use super::card::NodeSpec;
use super::constants as c;
use super::plan::PlanError;
use crate::topology::Interconnect;

/// t = latency + bytes·per_byte, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct AllReduce {
    pub(super) latency: f64,
    pub(super) per_byte: f64,
}

impl AllReduce {
    /// Over the first `cards` cards of a node: launch + 2(n−1)·(α + S/(n·β)), with β the bandwidth of the
    /// rings over these cards.
    pub(super) fn within_node(node: &NodeSpec, cards: u32) -> Result<Self, PlanError> {
        if cards < 2 {
            return Ok(Self::default());
        }
        let (latency, beta) = rings(node, (0..cards).collect())?;
        let steps = 2.0 * f64::from(cards - 1);
        Ok(Self {
            latency: c::COLLECTIVE_LAUNCH.as_secs_f64() + steps * latency,
            per_byte: steps / (f64::from(cards) * beta),
        })
    }

    /// Over the `ranks` data-parallel ranks of a gang that has `tp` cards a rank and fills nodes one after
    /// another; the tp groups of like cards reduce at the same time and share what they cross.
    ///
    /// Hierarchical, as NCCL does it: a reduction within each node (g ranks) and one between the m nodes,
    /// pipelined, so that the slower of the two decides: 2(g−1)/g·S/β and 2(m−1)/m·S/(network/tp).
    pub(super) fn across_gang(node: &NodeSpec, ranks: u32, tp: u32) -> Result<Self, PlanError> {
        if ranks < 2 {
            return Ok(Self::default());
        }
        let in_node = (node.cards / tp).clamp(1, ranks);
        let nodes = ranks.div_ceil(in_node);
        let mut sum = Self { latency: c::COLLECTIVE_LAUNCH.as_secs_f64(), per_byte: 0.0 };
        if in_node > 1 {
            let (latency, beta) = rings(node, (0..in_node).map(|rank| rank * tp).collect())?;
            // Behind a crossbar each card's links are its own; elsewhere the groups share links.
            let shared = if node.card.interconnect == Interconnect::NvSwitch { 1.0 } else { f64::from(tp) };
            let steps = 2.0 * f64::from(in_node - 1);
            sum.latency += steps * latency;
            sum.per_byte = steps / (f64::from(in_node) * beta / shared);
        }
        if nodes > 1 {
            let network = node.scale_out.ok_or_else(|| PlanError::UnknownScaleOut {
                cards: ranks * tp,
                nodes,
                per_node: node.cards,
                card: node.card.name.clone(),
                node: node.name.clone(),
            })?;
            let beta = network.as_f64() * c::COLLECTIVE_BANDWIDTH_EFFICIENCY / f64::from(tp);
            let steps = 2.0 * f64::from(nodes - 1);
            sum.latency += steps * c::SCALE_OUT_LATENCY.as_secs_f64();
            sum.per_byte = sum.per_byte.max(steps / (f64::from(nodes) * beta));
        }
        Ok(sum)
    }

    pub(super) fn seconds(self, bytes: f64) -> f64 {
        self.latency + bytes * self.per_byte
    }
}

/// The latency of a hop, and the bandwidth that collectives reach of the rings over these cards.
fn rings(node: &NodeSpec, group: Vec<u32>) -> Result<(f64, f64), PlanError> {
    let rings = node.topology()?.rings(&group)?;
    Ok((rings.latency.as_secs_f64(), rings.bandwidth.as_f64() * c::COLLECTIVE_BANDWIDTH_EFFICIENCY))
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

    const GIB: f64 = 1_073_741_824.0;

    /// AWS p4de, two nodes of 8 A100 and 400 Gbit/s: 1 GiB in 26.2 ms (awsome-distributed-training, NCCL
    /// tests, commit 7217859f). Within 10 %.
    #[test]
    fn two_nodes_as_measured() {
        let seconds =
            AllReduce::across_gang(&node("A100-SXM4-80", 400.0), 16, 1).expect("sound").seconds(GIB);
        assert!((seconds / 26.217e-3 - 1.0).abs() < 0.1, "{seconds}");
    }

    /// 8 H100 behind NVSwitch: NCCL's ring reaches a bus bandwidth of 365 to 370 GB/s. Within 5 %.
    #[test]
    fn one_node_as_measured() {
        let seconds = AllReduce::within_node(&node("H100-SXM5", 3200.0), 8).expect("sound").seconds(GIB);
        let bus = 2.0 * 7.0 / 8.0 * GIB / seconds;
        assert!((bus / 367e9 - 1.0).abs() < 0.05, "{bus}");
    }

    /// Shards of tensor parallelism share the network: eight rings of an eighth take as long as one of all.
    #[test]
    fn shards_share_the_network() {
        let node = node("H100-SXM5", 3200.0);
        let whole = AllReduce::across_gang(&node, 2, 8).expect("sound").seconds(GIB / 8.0);
        let bytes = GIB / (400e9 * c::COLLECTIVE_BANDWIDTH_EFFICIENCY);
        assert!((whole / bytes - 1.0).abs() < 0.01, "{whole} {bytes}");
        assert_eq!(AllReduce::across_gang(&node, 1, 8), Ok(AllReduce::default()));
    }
}
