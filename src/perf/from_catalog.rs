//! From the catalogue's entries, in which a figure may be unknown, to numbers that are all known.

use thiserror::Error;

use super::card::{CardSpec, NodeSpec};
use super::constants::HOST_PCIE_BANDWIDTH;
use super::dims::{Attention, Experts, ModelDims, SlidingWindow};
use crate::catalog::{self, Accelerator, FigureRow, LinkClass, Model, Offer, Unknown};
use crate::topology::Interconnect;

/// Figures that a calculation needs and the catalogue lacks, all of them at once.
///
/// Shown as one line for each entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", lines(.0))]
pub struct UnknownFigures(pub Vec<Unknown>);

fn lines(unknown: &[Unknown]) -> String {
    let of_one_entry = unknown.chunk_by(|a, b| (a.kind, &a.entry) == (b.kind, &b.entry));
    let lines = of_one_entry.map(|entry| match entry {
        [one] => one.to_string(),
        several => {
            let quoted = |name: &dyn Fn(&Unknown) -> String| {
                several.iter().map(|figure| format!("`{}`", name(figure))).collect::<Vec<_>>().join(", ")
            };
            format!(
                "the {} `{}` has no known {}; set {} in the scenario to supply them",
                several[0].kind,
                several[0].entry,
                quoted(&|figure| figure.figure.to_owned()),
                quoted(&|figure| figure.key.clone()),
            )
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl TryFrom<&Model> for ModelDims {
    type Error = UnknownFigures;

    /// Parameters are the published ones; where nobody published them, what the shape adds up to.
    fn try_from(model: &Model) -> Result<Self, UnknownFigures> {
        let shape = model.architecture().map_err(|first| {
            // The published total is not needed where the shape is known.
            let missing = unknown(model.figures(), |figure| figure != "parameters");
            with(missing, first)
        })?;
        let (attention, window) = match shape.attention {
            catalog::Attention::Heads(heads) => (
                Attention::Grouped {
                    heads: heads.heads,
                    kv_heads: heads.kv_heads,
                    head_size: heads.head_size,
                },
                heads.window.map(|window| SlidingWindow {
                    tokens: window.tokens,
                    layers: shape.layers - shape.global_layers(),
                }),
            ),
            catalog::Attention::Latent(latent) => (
                Attention::Latent {
                    heads: latent.heads,
                    head_size: latent.v_head_size,
                    kv_lora_rank: latent.kv_lora_rank,
                    rope_size: latent.qk_rope_head_size,
                },
                None,
            ),
        };
        let experts = shape.feed_forward.experts.map(|experts| Experts {
            per_layer: experts.total,
            per_token: experts.active,
            layers: shape.expert_layers(),
            parameters: shape.feed_forward.matrices() * u64::from(shape.hidden) * u64::from(experts.ffn),
        });
        Ok(Self {
            name: model.name.clone(),
            parameters: model.parameters().unwrap_or_else(|_| shape.parameter_count()),
            layers: shape.layers,
            hidden: shape.hidden,
            vocabulary: shape.vocabulary,
            tied_embeddings: shape.tied_embeddings,
            max_context: u64::from(shape.context),
            attention,
            window,
            experts,
        })
    }
}

impl TryFrom<&Accelerator> for CardSpec {
    type Error = UnknownFigures;

    /// A peak that is not known counts as a precision that the card lacks; a card without a single one is an
    /// error.
    fn try_from(card: &Accelerator) -> Result<Self, UnknownFigures> {
        Self::from_catalog(card, true)
    }
}

impl CardSpec {
    /// The card; the figure of its links is needed where several are joined.
    fn from_catalog(card: &Accelerator, joined: bool) -> Result<Self, UnknownFigures> {
        let class = card.interconnect.class;
        let missing = unknown(card.figures(), |figure| match figure {
            "memory_gb" | "memory_gb_s" => true,
            "link_gb_s" => joined && class != LinkClass::Single,
            "bf16_tflops" => card.precisions().next().is_none(),
            _ => false,
        });
        if !missing.is_empty() {
            return Err(UnknownFigures(missing));
        }
        let one = |unknown| UnknownFigures(vec![unknown]);
        let link = card.interconnect.bandwidth.as_ref().map(|figure| figure.value);
        let bridge = card.interconnect.bridge.as_ref().map(|figure| figure.value);
        let (interconnect, card_link) = match class {
            // A bridge that the catalogue knows is taken to be fitted: doubtful for workstation cards.
            LinkClass::Pcie => (Interconnect::Pcie { bridged: bridge.is_some() }, bridge),
            LinkClass::Single => (Interconnect::Pcie { bridged: false }, None),
            LinkClass::Switch => (Interconnect::NvSwitch, link),
            LinkClass::FullMesh => (Interconnect::FullMesh, link),
            LinkClass::Torus2d => (Interconnect::Torus { dimensions: 2 }, link),
            LinkClass::Torus3d => (Interconnect::Torus { dimensions: 3 }, link),
            // NVLink 1 and 2 without a switch are DGX-1; NeuronLink and MI250X's links are nearest to a grid.
            LinkClass::PartialMesh => match card.interconnect.kind.as_str() {
                "NVLink1" => (Interconnect::HybridCubeMesh { links_per_card: 4 }, link),
                "NVLink2" => (Interconnect::HybridCubeMesh { links_per_card: 6 }, link),
                _ => (Interconnect::Torus { dimensions: 2 }, link),
            },
        };
        let pcie = if class == LinkClass::Pcie { link } else { None };
        Ok(Self {
            name: card.name.clone(),
            memory: card.memory().map_err(one)?,
            memory_bandwidth: card.memory_bandwidth().map_err(one)?,
            peaks: card
                .precisions()
                .filter_map(|precision| Some((precision, card.peak(precision).ok()?)))
                .collect(),
            interconnect,
            card_link,
            pcie: pcie.unwrap_or(HOST_PCIE_BANDWIDTH),
        })
    }
}

impl NodeSpec {
    /// The node that an offer sells, of cards that the catalogue describes. Links between cards need not be
    /// known for a node of one card, nor its network before a gang spans nodes.
    ///
    /// # Errors
    /// Every figure that is needed and unknown.
    pub fn from_catalog(offer: &Offer, card: &Accelerator) -> Result<Self, UnknownFigures> {
        let missing = unknown(offer.figures(), |figure| figure == "accelerators_per_node");
        let cards = offer.accelerators_per_node.as_ref().map(|figure| figure.value);
        match (CardSpec::from_catalog(card, cards != Some(1)), cards) {
            (Ok(card), Some(cards)) => Ok(Self {
                name: offer.name.clone(),
                card,
                cards,
                scale_out: offer.network.as_ref().map(|figure| figure.value),
            }),
            (Err(UnknownFigures(of_card)), _) => {
                Err(UnknownFigures(missing.into_iter().chain(of_card).collect()))
            }
            (Ok(_), None) => Err(UnknownFigures(missing)),
        }
    }
}

/// The rows without a value that are needed, as errors.
fn unknown(rows: Vec<FigureRow>, needed: impl Fn(&str) -> bool) -> Vec<Unknown> {
    rows.into_iter()
        .filter(|row| row.value.is_none() && needed(row.figure))
        .map(|row| Unknown {
            kind: row.kind,
            key: format!("{}s.{}.{}", row.kind, row.entry, row.figure),
            entry: row.entry,
            figure: row.figure,
        })
        .collect()
}

fn with(mut list: Vec<Unknown>, one: Unknown) -> UnknownFigures {
    if !list.iter().any(|known| known.figure == one.figure) {
        list.push(one);
    }
    UnknownFigures(list)
}
