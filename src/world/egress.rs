//! What leaves the cloud: bytes of images, billed by the provider's tiers.
//!
//! Providers price the traffic of an account by its volume in a month: pools of one provider share that volume. A
//! month is 730 hours from the beginning of the run.

use std::collections::BTreeMap;

use super::config::WorldConfig;
use super::run::World;
use crate::billing::Ledger;
use crate::units::{Bytes, Duration, Instant};

const MONTH: Duration = Duration::from_secs(730 * 3600);

/// The accounts of the pools that traffic leaves from, and the volume of each provider.
#[derive(Debug)]
pub(super) struct Egress {
    /// By pool; none where its price is not known, or nothing can leave.
    accounts: Vec<Option<usize>>,
    /// By pool: bytes that were billed.
    billed: Vec<u128>,
    /// By provider: the month, and what left in it.
    volumes: BTreeMap<String, (u64, u64)>,
}

impl Egress {
    pub(super) fn new(config: &WorldConfig, ledger: &mut Ledger) -> Self {
        let mut open = |(owner, plan): (usize, &super::PoolPlan)| {
            plan.egress.as_ref().map(|_| ledger.open_egress(owner))
        };
        let accounts = config.pools.iter().enumerate().map(&mut open).collect();
        Self { accounts, billed: vec![0; config.pools.len()], volumes: BTreeMap::new() }
    }
}

impl World<'_> {
    /// Bytes that have left from each pool.
    fn bytes_out(&self) -> Vec<u128> {
        let mut bytes = vec![0; self.config.pools.len()];
        for (deployment, option, left) in self.serving.bytes_out() {
            bytes[self.config.deployments[deployment].options[option].pool.index()] += left;
        }
        bytes
    }

    /// Bills what has left since the last time: the price of all of the month so far, less that of what was before.
    pub(super) fn bill_egress(&mut self, now: Instant) {
        if self.egress.accounts.iter().all(Option::is_none) {
            return;
        }
        // What was sent by the end of a month belongs to it.
        let month = now.as_nanos().saturating_sub(1) / MONTH.as_nanos();
        for (pool, bytes) in self.bytes_out().into_iter().enumerate() {
            let plan = &self.config.pools[pool];
            let (Some(prices), Some(account)) = (&plan.egress, self.egress.accounts[pool]) else { continue };
            let sent = u64::try_from(bytes - self.egress.billed[pool]).unwrap_or(u64::MAX);
            if sent == 0 {
                continue;
            }
            let volume = self.egress.volumes.entry(plan.fleet.provider.clone()).or_insert((month, 0));
            if volume.0 != month {
                *volume = (month, 0);
            }
            let before = Bytes(volume.1);
            let after = Bytes(volume.1.saturating_add(sent));
            let cost = prices.cost_of(Bytes(0), after) - prices.cost_of(Bytes(0), before);
            volume.1 = after.0;
            self.egress.billed[pool] = bytes;
            self.ledger.egress(now, account, Bytes(sent), cost);
        }
    }
}
