//! Among cards of several kinds that are free, which a replica gets: the order in which its pools are tried.

use super::deployments::Found;
use crate::perf::BatchShape;
use crate::serving::ReplicaOption;
use crate::units::Duration;

/// What decides among pools with free cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choose {
    /// The first that the deployment names.
    #[default]
    FirstFit,
    /// The one whose cards cost a replica the least an hour.
    Cheapest,
    /// The one on which a full batch makes the most tokens a second.
    Fastest,
    /// The one on which a token of a full batch costs the least.
    CheapestPerToken,
}

impl Choose {
    /// All, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 4] = [
        ("first-fit", Self::FirstFit),
        ("cheapest", Self::Cheapest),
        ("fastest", Self::Fastest),
        ("cheapest-per-token", Self::CheapestPerToken),
    ];
}

/// The context that each request of the batch has by which pools are compared.
const CONTEXT: u64 = 1024;

/// Tokens that a replica makes a second with as many requests in its batch as it may have, or as its KV cache holds,
/// all decoding behind 1,024 tokens.
fn tokens_per_second(option: &ReplicaOption, most: u32) -> f64 {
    let held = option.kv_blocks.saturating_mul(u64::from(option.block_tokens)) / CONTEXT;
    let requests = u64::from(most).min(held).max(1) as u32;
    let shape = BatchShape {
        decode_requests: requests,
        decode_context: u64::from(requests) * CONTEXT,
        window_context: u64::from(requests) * CONTEXT.min(option.window.map_or(u64::MAX, u64::from)),
        ..BatchShape::default()
    };
    let iteration = option.step.segment(&shape).first;
    f64::from(requests) / iteration.as_secs_f64().max(Duration::from_nanos(1).as_secs_f64())
}

/// What a deployment's option is judged by: the smallest is tried first.
pub fn rank(choose: Choose, option: &ReplicaOption, most: u32, pools: &[Found<'_>]) -> f64 {
    let pool = pools.iter().find(|(id, ..)| *id == option.pool).map(|(.., resolved)| &resolved.plan);
    let usd = pool.map_or(0.0, |plan| {
        plan.tariff.price.as_f64() * f64::from(option.cards) / f64::from(plan.fleet.cards_per_node.max(1))
    });
    match choose {
        Choose::FirstFit => 0.0,
        Choose::Cheapest => usd,
        Choose::Fastest => -tokens_per_second(option, most),
        Choose::CheapestPerToken => usd / tokens_per_second(option, most),
    }
}
