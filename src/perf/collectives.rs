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
