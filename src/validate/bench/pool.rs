//! The nodes that a benchmark runs on.

use crate::billing::{Purchase, Tariff};
use crate::fleet::{Host, PoolConfig};
use crate::perf::NodeSpec;
use crate::units::{Duration, UsdPerHour};
use crate::world::PoolPlan;

/// Nodes enough for all replicas, free of charge.
pub(super) fn pool(node: &NodeSpec, cards: u32, replicas: u32) -> PoolPlan {
    let per_node = (node.cards / cards).max(1);
    PoolPlan {
        fleet: PoolConfig {
            name: "bench".to_owned(),
            provider: "bench".to_owned(),
            offer: node.name.clone(),
            accelerator: node.card.name.clone(),
            nodes: replicas.div_ceil(per_node),
            cards_per_node: node.cards.max(cards),
            supply: None,
            host: Host::default(),
        },
        tariff: Tariff {
            purchase: Purchase::OnDemand,
            price: UsdPerHour::from_f64(0.0),
            granularity: Duration::ZERO,
            minimum: Duration::ZERO,
            commitment: None,
        },
        price_path: Vec::new(),
        block: None,
        power: None,
        peak: None,
    }
}
