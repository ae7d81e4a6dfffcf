//! Tiers below the KV cache: their bytes and bandwidths as blocks and times.

use super::deployments::Deployment;
use crate::perf::CardSpec;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawScenario, RawTier};
use crate::scenario::reading::Reading;
use crate::serving::{KvTiers, PausedKv, ReplicaOption, Tier};
use crate::units::{Bytes, Ticks};
use crate::world::StreamPlan;

/// The tiers of a replica of so many cards, a token of whose KV cache has so many bytes.
pub fn tiers(
    raw: &RawDeployment,
    kv_per_token: Bytes,
    cards: u32,
    card: Option<&CardSpec>,
) -> Result<KvTiers, String> {
    let Some(wanted) = &raw.kv_tiers else { return Ok(KvTiers::default()) };
    let block = (kv_per_token.0 * u64::from(raw.block_tokens)).max(1);
    let tier = |own: RawTier| -> Result<Tier, String> {
        let pcie = card.map(|card| card.pcie.as_f64() * f64::from(cards));
        let bandwidth = own.bandwidth.map(|bandwidth| bandwidth.as_f64()).or(pcie).ok_or_else(|| {
            "how fast its cards take in from their host is not known; give kv_tiers.host.bandwidth, as in \
             bandwidth = \"50 GB/s\""
                .to_owned()
        })?;
        Ok(Tier {
            blocks: own.size.0 / block,
            copy: Ticks::from_secs_f64(block as f64 / bandwidth),
            latency: Ticks::from_duration(own.latency),
        })
    };
    Ok(KvTiers { host: wanted.host.map(tier).transpose()?, remote: wanted.remote.map(tier).transpose()? })
}

/// Sessions whose KV cache goes to host memory while they wait for tools need some. Errors are recorded.
pub fn swapped(
    scenario: &RawScenario,
    streams: &[Option<StreamPlan>],
    deployments: &[Deployment],
    reading: &mut Reading,
) {
    for (raw, plan) in scenario.streams.iter().zip(streams) {
        let Some(plan) = plan.as_ref().filter(|plan| plan.terms.paused_kv == PausedKv::Swap) else {
            continue;
        };
        let without = plan.deployments.iter().map(|index| &deployments[*index]).find(|deployment| {
            let has = |option: &ReplicaOption| option.links.is_some_and(|links| links.tiers.host.is_some());
            deployment.config.as_ref().is_some_and(|config| !config.options.iter().all(has))
        });
        if let Some(deployment) = without {
            let message = format!(
                "the KV caches of stream `{}` go to host memory while it waits for tools, and deployment `{}` has none \
                 for them",
                *raw.name, deployment.name
            );
            let help = "add kv_tiers = { host = { size = \"256 GiB\" } } to it, or take kv = \"keep\"";
            reading.problem(Problem::error(raw.name.place, message).help(help));
        }
    }
}

/// Tiers that nothing can go to are refused. `None` after errors have been recorded.
pub fn check(raw: &RawDeployment, known: bool, reading: &mut Reading) -> Option<()> {
    let Some(tiers) = &raw.kv_tiers else { return Some(()) };
    let (message, help) = if !raw.prefix_caching {
        let message = format!("deployment `{}` has `kv_tiers` and keeps no prefixes", *raw.name);
        (message, "take out `kv_tiers`, or prefix_caching = false")
    } else if !known && raw.kv_per_token.is_none() {
        let message = format!("nobody knows how large a token's KV cache of `{}` is", *raw.model);
        (message, "supply it: kv_bytes_per_token = \"160 KiB\" in the deployment, for example")
    } else {
        return Some(());
    };
    reading.problem(Problem::error(tiers.place, message).help(help));
    None
}
