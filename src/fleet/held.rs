//! Who holds cards, and for how long.

use std::collections::BTreeMap;

use super::claim::{Lease, LeaseId};
use super::config::PoolId;
use super::inventory::Inventory;
use crate::units::Instant;

impl Inventory {
    /// A lease that is held.
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id.0 as usize)?.as_ref()
    }

    /// All leases that are held.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        (0u32..).zip(&self.leases).filter_map(|(id, lease)| Some((LeaseId(id), lease.as_ref()?)))
    }

    /// Card-nanoseconds for which the cards of a pool have been held until `now`, by deployment; `None` for jobs. A
    /// card that several share counts for each of them.
    pub fn held(&self, now: Instant, pool: PoolId) -> BTreeMap<Option<u32>, u128> {
        let ended = self.held.iter().filter(|((of, _), _)| *of == pool);
        let mut held: BTreeMap<Option<u32>, u128> = ended.map(|((_, who), nanos)| (*who, *nanos)).collect();
        for lease in self.leases().map(|(_, lease)| lease).filter(|lease| lease.pool == pool) {
            *held.entry(lease.holder.deployment()).or_default() += lease.card_nanos(now);
        }
        held
    }
}
