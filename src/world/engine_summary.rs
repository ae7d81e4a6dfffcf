//! The parts of the summary that only some scenarios have: engines' own, caches of responses, tenants.

use super::run::World;
use crate::metrics::results::{
    AdapterSummary, EngineSummary, ImageSummary, ResponseCacheSummary, SpeculationSummary, StabilitySummary,
    SwapSummary, TenantSummary,
};
use crate::serving::DeploymentTotals;

/// What only some engines do; a replica's cards cost so much an hour.
pub(super) fn engine(totals: &DeploymentTotals, usd_per_hour: f64) -> EngineSummary {
    let some = |count: u64| (count > 0).then_some(count);
    let drafts = totals.speculation;
    EngineSummary {
        swapped_blocks: some(totals.swapped_blocks),
        turned_away: some(totals.turned_away),
        speculation: some(drafts.rounds).map(|rounds| SpeculationSummary {
            proposed_tokens: drafts.proposed,
            kept_tokens: drafts.kept,
            tokens_per_iteration: 1.0 + drafts.kept as f64 / rounds as f64,
        }),
        adapters: some(totals.adapters.loads)
            .map(|loads| AdapterSummary { loads, load_s: totals.adapters.time.as_secs_f64() }),
        swaps: some(totals.swaps.loads).map(|loads| SwapSummary {
            loads,
            evictions: totals.swaps.evictions,
            bytes: totals.swaps.bytes as f64,
            load_s: totals.swaps.time as f64 / 1e9,
            stalled_s: totals.swaps.stalled as f64 / 1e9,
            stalled_usd: totals.swaps.stalled as f64 / 3.6e12 * usd_per_hour,
        }),
        images: some(totals.images)
            .map(|made| ImageSummary { made, egress_gb: totals.bytes_out as f64 / 1e9 }),
    }
}

impl World<'_> {
    /// What the cache of responses of a stream did.
    pub(super) fn response_cache(&self, stream: usize) -> Option<ResponseCacheSummary> {
        let totals = self.serving.response_caches().nth(stream)??;
        Some(ResponseCacheSummary {
            asked: totals.asked,
            hits: totals.hits,
            hit_rate: (totals.asked > 0).then(|| totals.hits as f64 / totals.asked as f64),
            output_tokens: totals.tokens,
        })
    }

    /// What each tenant asked for and got.
    pub(super) fn tenants(&self, stability: &[StabilitySummary]) -> Vec<TenantSummary> {
        let one = |((number, plan), rate_limited): ((u16, &super::TenantPlan), u64)| {
            let mine = |stream: &u16| self.config.streams[usize::from(*stream)].terms.tenant == number;
            let stats = self.stats(|stream, _| mine(&stream));
            let streams = self.config.streams.iter().filter(|stream| stream.terms.tenant == number);
            let stable = streams.flat_map(|stream| &stream.deployments).all(|at| stability[*at].stable);
            TenantSummary {
                name: plan.name.clone(),
                weight: plan.weight,
                requests: stats.counts,
                rate_limited,
                tokens: stats.tokens,
                latency: stats.latency(stable),
            }
        };
        (0u16..).zip(&self.config.tenants).zip(self.serving.rate_limited()).map(one).collect()
    }
}
