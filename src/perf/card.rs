//! An accelerator and a node of them, as numbers that are all known.

use std::collections::BTreeMap;

use super::constants;
use super::plan::PlanError;
use crate::catalog::Precision;
use crate::topology::{
    Fabric, FabricShape, HostShape, Interconnect, Link, NodeShape, NodeTopology, Share, TopologyError, Wiring,
};
use crate::units::{Bytes, BytesPerSecond, FlopPerSecond};

/// What the performance model needs to know of an accelerator. The catalogue's entry converts into it.
#[derive(Debug, Clone, PartialEq)]
pub struct CardSpec {
    /// Its name, for messages and for constants that are known for this card.
    pub name: String,
    /// Memory as the vendor quotes it.
    pub memory: Bytes,
    /// Bandwidth of that memory.
    pub memory_bandwidth: BytesPerSecond,
    /// Dense peak rates by precision; what the card lacks is not in it.
    pub peaks: BTreeMap<Precision, FlopPerSecond>,
    /// How the cards of a node are connected.
    pub interconnect: Interconnect,
    /// All scale-up links of one card together, one direction; `None` when it has PCIe only.
    pub card_link: Option<BytesPerSecond>,
    /// Its PCIe link, one direction.
    pub pcie: BytesPerSecond,
}

/// A node: like cards, and what leaves it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// The offer it comes from, for messages: `aws/p5.48xlarge`.
    pub name: String,
    /// The card.
    pub card: CardSpec,
    /// How many.
    pub cards: u32,
    /// The node's network to other nodes, one direction; `None` when it is not known.
    pub scale_out: Option<BytesPerSecond>,
}

impl CardSpec {
    /// The precision that matrix products run in when weights have this one, and the card's peak at it.
    ///
    /// The arithmetic of the weights themselves when the card has it; otherwise weights are widened to 16
    /// bits (fp8 on an A100), which int4 always is, being used for weights only. 32-bit weights never run
    /// faster than at their own rate. `None` when the card has no rate that would do.
    pub fn compute(&self, weights: Precision) -> Option<(Precision, FlopPerSecond)> {
        use Precision::{Bf16, Fp4, Fp8, Fp16, Fp32, Int4, Int8, Tf32};
        let order: &[Precision] = match weights {
            Fp32 => &[Fp32],
            Tf32 => &[Tf32, Fp32],
            Bf16 => &[Bf16, Fp16, Fp32],
            Fp16 | Int4 => &[Fp16, Bf16, Fp32],
            Fp8 => &[Fp8, Bf16, Fp16, Fp32],
            Int8 => &[Int8, Bf16, Fp16, Fp32],
            Fp4 => &[Fp4, Bf16, Fp16, Fp32],
        };
        order.iter().find_map(|precision| Some((*precision, *self.peaks.get(precision)?)))
    }

    /// Whether it computes with 2:4 sparse weights at twice its dense peak: NVIDIA's cards from Ampere on (A100
    /// white paper, 2020, "sparse tensor cores"; later data sheets quote rates "with sparsity" twice the dense
    /// ones) and MI300 (AMD CDNA 3 white paper, 2023).
    pub fn computes_sparse(&self) -> bool {
        const KNOWN: [&str; 15] = [
            "A100", "A800", "A10", "A16", "A30", "A40", "L4", "H100", "H200", "H800", "GH200", "B100",
            "B200", "GB200", "MI300",
        ];
        let name = self.name.as_str();
        KNOWN.iter().any(|known| {
            name.strip_prefix(known).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
        }) || ["L40", "B300", "GB300", "RTX A"].iter().any(|known| name.starts_with(known))
    }

    /// Memory that software sees. Vendors' "GB" are nearer to 2³⁰ bytes, less what the driver and error
    /// correction keep: [`constants::visible_memory`].
    pub fn visible_memory(&self) -> Bytes {
        Bytes((self.memory.0 as f64 * constants::visible_memory(&self.name, self.memory_bandwidth)) as u64)
    }
}

impl NodeSpec {
    /// The same node with what its place in a fabric leaves it of its network.
    #[must_use]
    pub fn sharing(&self, share: &Share) -> Self {
        self.with_network(share.of_own)
    }

    /// The same node with so much of its network, from 0 to 1.
    #[must_use]
    pub fn with_network(&self, share: f64) -> Self {
        let scale_out = self.scale_out.map(|network| BytesPerSecond(network.as_f64() * share));
        Self { scale_out, ..self.clone() }
    }

    /// A fabric of two tiers over so many of these nodes; a hop takes half of what two nodes under one leaf are apart.
    ///
    /// # Errors
    /// When the node's network is not known, or no such fabric can be built.
    pub fn fabric(
        &self,
        nodes: u32,
        nodes_per_leaf: u32,
        wiring: Wiring,
        oversubscription: f64,
    ) -> Result<Fabric, PlanError> {
        let bandwidth = self.scale_out.ok_or_else(|| PlanError::UnknownScaleOut {
            cards: nodes.saturating_mul(self.cards),
            nodes,
            per_node: self.cards,
            card: self.card.name.clone(),
            node: self.name.clone(),
        })?;
        let node = Link { bandwidth, latency: constants::SCALE_OUT_LATENCY / 2 };
        let cards_per_node = self.cards;
        Ok(FabricShape { nodes, nodes_per_leaf, cards_per_node, wiring, node, oversubscription }.build()?)
    }

    /// The node's graph.
    ///
    /// # Errors
    /// When the interconnect does not exist with this many cards, or a bandwidth is not positive.
    pub fn topology(&self) -> Result<NodeTopology, TopologyError> {
        let pcie = Link { bandwidth: self.card.pcie, latency: constants::PCIE_LATENCY };
        NodeShape {
            cards: self.cards,
            interconnect: self.card.interconnect,
            card_link: Link {
                bandwidth: self.card.card_link.unwrap_or(self.card.pcie),
                latency: constants::SCALE_UP_LATENCY,
            },
            host: HostShape {
                pcie,
                cards_per_switch: constants::CARDS_PER_PCIE_SWITCH,
                sockets: if self.cards > constants::CARDS_PER_SOCKET { 2 } else { 1 },
                socket_link: Link {
                    bandwidth: constants::SOCKET_BANDWIDTH,
                    latency: constants::SOCKET_LATENCY,
                },
                scale_out: self
                    .scale_out
                    .map(|bandwidth| Link { bandwidth, latency: constants::SCALE_OUT_LATENCY }),
            },
        }
        .build()
    }
}
