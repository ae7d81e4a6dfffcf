//! Whose money it was: spend by provider, model, stream and tier.
//!
//! A pool's spend is shared out by who held its cards for how long (what nobody held is `unallocated`), that of a
//! deployment over its streams by the tokens of their completed requests; each split adds up to the total exactly.

use std::collections::BTreeMap;

use super::run::World;
use crate::fleet::PoolId;
use crate::metrics::results::SpendSummary;
use crate::serving::Role;
use crate::units::Usd;

/// What nobody held, or served nobody.
const UNALLOCATED: &str = "unallocated";
/// What jobs held.
const JOBS: &str = "jobs";
/// Streams without a tenant.
const NO_TIER: &str = "no tier";

/// Amounts by name.
type Split = BTreeMap<String, Usd>;

fn add(split: &mut Split, name: &str, amount: Usd) {
    if amount != Usd::ZERO {
        *split.entry(name.to_owned()).or_insert(Usd::ZERO) += amount;
    }
}

/// Largest first; nothing where there is only one name, and so nothing to tell apart.
fn told(split: Split) -> Option<Vec<(String, f64)>> {
    let mut rows: Vec<(String, Usd)> = split.into_iter().collect();
    rows.sort_by_key(|(_, amount)| std::cmp::Reverse(*amount));
    (rows.len() > 1).then(|| rows.into_iter().map(|(name, usd)| (name, usd.as_f64())).collect())
}

impl World<'_> {
    /// Fills in who the money of the whole run went to and who it was for.
    pub(super) fn split_spend(&mut self, spend: &mut SpendSummary) {
        let config = self.config;
        let (mut providers, mut models, mut streams) = (Split::new(), Split::new(), Split::new());
        for (number, plan) in (0u16..).zip(&config.pools) {
            let amount = self.ledger.charged(usize::from(number));
            add(&mut providers, &plan.fleet.provider, amount);
            let pool = PoolId(number);
            let held = self.inventory.held(self.end, pool);
            let provisioned = self.metered(self.end, usize::from(number)).provisioned;
            let free = provisioned.saturating_sub(held.values().sum());
            let holders: Vec<Option<u32>> = held.keys().copied().collect();
            let weights: Vec<u128> = [free].into_iter().chain(held.values().copied()).collect();
            let mut parts = amount.apportion(&weights).into_iter();
            let rest = parts.next().unwrap_or(Usd::ZERO);
            add(&mut models, UNALLOCATED, rest);
            add(&mut streams, UNALLOCATED, rest);
            for (holder, part) in holders.into_iter().zip(parts) {
                match holder {
                    None => {
                        add(&mut models, JOBS, part);
                        add(&mut streams, JOBS, part);
                    }
                    Some(deployment) => {
                        add(&mut models, &config.deployments[deployment as usize].model, part);
                        self.over_streams(deployment as usize, part, &mut streams);
                    }
                }
            }
        }
        for (place, plan) in config.apis.iter().enumerate() {
            let amount = self.ledger.charged(config.pools.len() + place);
            add(&mut providers, &plan.provider, amount);
            let mut own = Split::new();
            self.over_streams(config.deployments.len() + place, amount, &mut own);
            for (name, amount) in own {
                let asked = config.streams.iter().find(|stream| stream.traffic.name == name);
                add(&mut models, asked.map_or(UNALLOCATED, |stream| &stream.model), amount);
                add(&mut streams, &name, amount);
            }
        }
        if !config.tenants.is_empty() {
            let mut tiers = Split::new();
            for (name, amount) in &streams {
                let stream = config.streams.iter().find(|stream| stream.traffic.name == *name);
                let tier = stream.map(|stream| config.tenants.get(usize::from(stream.terms.tenant)));
                let tier = tier.map_or(name.as_str(), |tenant| tenant.map_or(NO_TIER, |tenant| &tenant.name));
                add(&mut tiers, tier, *amount);
            }
            spend.by_tier = told(tiers);
        }
        (spend.by_provider, spend.by_model, spend.by_stream) = (told(providers), told(models), told(streams));
    }

    /// Shares out an amount over the streams that a deployment (or, behind them, an API) served.
    fn over_streams(&self, deployment: usize, amount: Usd, streams: &mut Split) {
        let served = match self.config.deployments.get(deployment).map(|plan| &plan.role) {
            Some(Role::Prefill { decode }) => *decode,
            _ => deployment,
        };
        let tokens = |stream: usize| {
            let stats = self.stats(|s, d| usize::from(s) == stream && d as usize == served);
            u128::from(stats.tokens.prompt) + u128::from(stats.tokens.output)
        };
        let weights: Vec<u128> = (0..self.config.streams.len()).map(tokens).collect();
        if weights.iter().all(|weight| *weight == 0) {
            return add(streams, UNALLOCATED, amount);
        }
        for (plan, part) in self.config.streams.iter().zip(amount.apportion(&weights)) {
            add(streams, &plan.traffic.name, part);
        }
    }
}
