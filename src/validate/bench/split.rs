//! A benchmark whose prompts are processed on other cards than its outputs.

use super::Case;
use super::run::{SetUp, Unfit};
use crate::fleet::PoolId;
use crate::perf::ParallelismPlan;
use crate::serving::{Handover, ReplicaLinks, Role};
use crate::units::{BytesPerSecond, Duration};
use crate::world::WorldConfig;

/// The replicas that process prompts; the case's plan and cards are those that decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::validate) struct Split {
    /// The plan of each.
    pub(in crate::validate) plan: ParallelismPlan,
    /// How many.
    pub(in crate::validate) workers: u32,
    /// Prompts that a rank processes at a time, where the row says so.
    pub(in crate::validate) batch: Option<u32>,
}

/// A card's network where the catalogue does not know it: 400 Gbit/s, one ConnectX-7 a card, as in the clusters that
/// InferenceX describes.
const NETWORK_GB_S: f64 = 50.0;

impl Split {
    /// The prefill replicas of a case.
    pub(super) fn set_up(self, case: &Case) -> Result<SetUp, Unfit> {
        let own = Case {
            plan: Some(self.plan),
            cards: self.plan.cards() * self.workers,
            split: None,
            ..case.clone()
        };
        let mut set_up = SetUp::of(&own)?;
        if let Some(batch) = self.batch {
            set_up.batching.max_batch_requests = batch.saturating_mul(self.plan.dp).max(1);
        }
        Ok(set_up)
    }

    /// Puts the prefill replicas before the world's only deployment, which decodes from now on.
    pub(super) fn put_before(case: &Case, prefill: &SetUp, world: &mut WorldConfig) {
        let model = &case.model;
        let kv_per_token = case.kv.bytes_of(model.kv_values_per_layer(1) * u64::from(model.layers));
        let decode_cards = world.deployments[0].options[0].cards;
        let cards = decode_cards.min(prefill.plan.cards());
        // Within a domain of scale-up links they take those.
        let per_card = match (case.node.card.card_link, case.node.scale_out) {
            (Some(link), _) if case.node.cards >= decode_cards + prefill.plan.cards() => link,
            (_, Some(all)) => BytesPerSecond(all.as_f64() / f64::from(case.node.cards)),
            (_, None) => BytesPerSecond::from_gb_s(NETWORK_GB_S),
        };
        let bandwidth = BytesPerSecond(per_card.as_f64() * f64::from(cards));
        let links = ReplicaLinks { kv_per_token, scale_up: bandwidth, scale_out: bandwidth };
        world.deployments[0].options[0].links = Some(links);
        world.deployments[0].role = Role::Decode(Handover {
            prefill: 1,
            max_local_prefill: 0,
            max_prefill_queue: None,
            bandwidth: Some(bandwidth),
            latency: Duration::ZERO,
        });
        let mut own = prefill.world(case, world.streams[0].traffic.source.clone(), 1.0);
        own.pools[0].fleet.name.push_str("/prefill");
        let mut deployment = own.deployments.swap_remove(0);
        deployment.name.push_str("/prefill");
        deployment.role = Role::Prefill { decode: 0 };
        deployment.options[0].pool = PoolId(1);
        deployment.options[0].links = Some(links);
        world.pools.append(&mut own.pools);
        world.deployments.push(deployment);
    }
}
