//! The catalogue's entries as the performance model wants them: every number known.

use crate::catalog::{self, Accelerator, Catalog, LinkClass, Model, Offer, Precision, Unknown};
use crate::perf::{Attention, CardSpec, Experts, ModelDims, NodeSpec, SlidingWindow};
use crate::topology::Interconnect;
use crate::units::BytesPerSecond;

/// A card's PCIe link where the catalogue tells only of faster ones: PCIe 4.0 with 16 lanes, 16 GT/s · 16 ·
/// 128/130 ÷ 8 bits (PCI-SIG base specification 4.0).
const PCIE_4_X16: BytesPerSecond = BytesPerSecond(31.5e9);

/// The shape of a model.
///
/// # Errors
/// The first figure that is not known.
pub fn model_dims(model: &Model) -> Result<ModelDims, Unknown> {
    let architecture = model.architecture()?;
    let layers = architecture.layers;
    let (attention, window) = match architecture.attention {
        catalog::Attention::Heads(heads) => {
            let window = heads.window.map(|window| SlidingWindow {
                tokens: window.tokens,
                layers: layers - layers.checked_div(window.global_every).unwrap_or(0),
            });
            let catalog::Heads { heads, kv_heads, head_size, .. } = heads;
            (Attention::Grouped { heads, kv_heads, head_size }, window)
        }
        catalog::Attention::Latent(latent) => {
            let attention = Attention::Latent {
                heads: latent.heads,
                head_size: latent.v_head_size,
                kv_lora_rank: latent.kv_lora_rank,
                rope_size: latent.qk_rope_head_size,
            };
            (attention, None)
        }
    };
    let matrices = if architecture.feed_forward.gated { 3 } else { 2 };
    let experts = architecture.feed_forward.experts.map(|experts| Experts {
        per_layer: experts.total,
        per_token: experts.active,
        layers: layers.saturating_sub(experts.dense_layers) / experts.every.max(1),
        parameters: matrices * u64::from(architecture.hidden) * u64::from(experts.ffn),
    });
    Ok(ModelDims {
        name: model.name.clone(),
        parameters: model.parameters()?,
        layers,
        hidden: architecture.hidden,
        vocabulary: architecture.vocabulary,
        tied_embeddings: architecture.tied_embeddings,
        max_context: u64::from(architecture.context),
        attention,
        window,
        experts,
    })
}

/// A node of an offer.
///
/// # Errors
/// The first figure that is not known.
pub fn node_spec(catalog: &Catalog, offer: &Offer, cards: u32) -> Result<NodeSpec, Unknown> {
    // A missing accelerator has been reported with the pool.
    let standard = Accelerator::default();
    let card = catalog.accelerator(&offer.accelerator).unwrap_or(&standard);
    let scale_out = offer.network.as_ref().map(|figure| figure.value).or(card.scale_out().ok());
    Ok(NodeSpec { name: offer.name.clone(), card: card_spec(card, cards)?, cards, scale_out })
}

fn card_spec(card: &Accelerator, cards: u32) -> Result<CardSpec, Unknown> {
    let on_pcie = card.interconnect.class == LinkClass::Pcie;
    let linked = cards > 1 && !on_pcie && card.interconnect.class != LinkClass::Single;
    let bridge = card.interconnect.bridge.as_ref().map(|figure| figure.value);
    let peak = |precision| Some((precision, card.peak(precision).ok()?));
    Ok(CardSpec {
        name: card.name.clone(),
        memory: card.memory()?,
        memory_bandwidth: card.memory_bandwidth()?,
        peaks: Precision::ALL.into_iter().filter_map(peak).collect(),
        interconnect: interconnect(card),
        card_link: if linked { Some(card.link_bandwidth()?) } else { bridge.filter(|_| on_pcie) },
        pcie: match on_pcie && cards > 1 {
            true => card.link_bandwidth()?,
            false => card.link_bandwidth().ok().filter(|_| on_pcie).unwrap_or(PCIE_4_X16),
        },
    })
}

/// How the cards of a node are joined. A partial mesh is DGX-1's cube mesh on NVIDIA's first two
/// generations (four links a card on NVLink1, six on NVLink2), and a two-dimensional torus elsewhere.
fn interconnect(card: &Accelerator) -> Interconnect {
    match card.interconnect.class {
        LinkClass::Switch => Interconnect::NvSwitch,
        LinkClass::FullMesh => Interconnect::FullMesh,
        LinkClass::PartialMesh if card.interconnect.kind == "NVLink1" => {
            Interconnect::HybridCubeMesh { links_per_card: 4 }
        }
        LinkClass::PartialMesh if card.interconnect.kind == "NVLink2" => {
            Interconnect::HybridCubeMesh { links_per_card: 6 }
        }
        LinkClass::PartialMesh | LinkClass::Torus2d => Interconnect::Torus { dimensions: 2 },
        LinkClass::Torus3d => Interconnect::Torus { dimensions: 3 },
        LinkClass::Pcie | LinkClass::Single => {
            Interconnect::Pcie { bridged: card.interconnect.bridge.is_some() }
        }
    }
}
