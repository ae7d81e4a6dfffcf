//! The cards that jobs run on: the jobs room's requests, put to the inventory.

use super::config::PoolPlan;
use super::recorder::Recorder;
use crate::fleet::{Grant, Holder, Inventory, LeaseId, PendingReason, PoolId, Reservation, Shape};
use crate::jobs::{Ask, Cards, JobList};
use crate::policies::queue_order::{Cluster, FleetFacts, Shadow};
use crate::sim::Seed;
use crate::units::{Instant, UsdPerHour};

/// The inventory as jobs see it.
pub(super) struct JobCards<'a> {
    pub(super) inventory: &'a mut Inventory,
    pub(super) recorder: &'a mut Recorder,
    pub(super) list: &'a JobList,
    pub(super) leases: &'a mut Vec<Option<LeaseId>>,
    pub(super) held: &'a mut Option<Reservation>,
    /// Claims of others that were granted what jobs gave back.
    pub(super) grants: &'a mut Vec<Grant>,
    /// Card-nanoseconds of leases that have ended, for the books.
    pub(super) card_nanos: &'a mut u128,
}

/// What queue orders know of the fleet.
pub(super) fn fleet_facts(pools: &[PoolPlan], list: &JobList, seed: Seed) -> FleetFacts {
    let mut types: Vec<&str> = Vec::new();
    let mut facts = FleetFacts { seed, ..FleetFacts::default() };
    for plan in pools {
        let pool = &plan.fleet;
        let number = types.iter().position(|name| *name == pool.accelerator).unwrap_or_else(|| {
            types.push(&pool.accelerator);
            types.len() - 1
        });
        facts.types.push(number as u32);
        facts.cards.push(pool.slots() * pool.cards_per_node);
        let per_card = plan.tariff.price.as_f64() / f64::from(pool.cards_per_node);
        facts.prices.push(UsdPerHour::from_f64(per_card));
    }
    facts.durations = list.own_durations();
    facts.places = list.places().iter().map(|pools| pools.iter().map(|pool| pool.0).collect()).collect();
    facts
}

impl Cluster for JobCards<'_> {
    fn free(&self, pool: u16) -> u32 {
        self.inventory.free_cards(PoolId(pool))
    }

    fn reserve(&mut self, job: u32, releases: &mut dyn Iterator<Item = (Instant, u32)>) -> Option<Shadow> {
        let shape = Shape::Gang { cards: self.list.facts(job).cards };
        let mut pools: Vec<_> =
            self.list.pools(job).iter().map(|pool| self.inventory.what_if(*pool, shape)).collect();
        *self.held = None;
        let mut found: Option<(Instant, usize)> = None;
        for (at, running) in releases {
            // All that comes back at that very time counts.
            if found.is_some_and(|(found, _)| at > found) {
                break;
            }
            if let Some(lease) = self.leases[running as usize].and_then(|id| self.inventory.lease(id)) {
                pools.iter_mut().for_each(|pool| pool.give_back(lease));
            }
            if found.is_none() {
                found = pools.iter().position(|pool| pool.fits()).map(|place| (at, place));
            }
        }
        let (at, place) = found?;
        let reservation = pools[place].reservation();
        let pool = reservation.pool.0;
        *self.held = Some(reservation);
        Some(Shadow { at, pool })
    }

    fn victims(&self, job: u32, candidates: &mut dyn Iterator<Item = u32>) -> Option<Vec<u32>> {
        let shape = Shape::Gang { cards: self.list.facts(job).cards };
        let mut pools: Vec<_> =
            self.list.pools(job).iter().map(|pool| self.inventory.what_if(*pool, shape)).collect();
        let lease = |job: u32| self.leases[job as usize].and_then(|id| self.inventory.lease(id));
        let mut victims = Vec::new();
        let place = loop {
            if let Some(place) = pools.iter().position(|pool| pool.fits()) {
                break place;
            }
            let victim = candidates.next()?;
            let Some(lease) = lease(victim) else { continue };
            pools.iter_mut().for_each(|pool| pool.give_back(lease));
            victims.push(victim);
        };
        let chosen = &mut pools[place];
        // Those that were taken last had the best claim to stay.
        let mut needed = Vec::new();
        for victim in victims.into_iter().rev() {
            let Some(lease) = lease(victim) else { continue };
            chosen.keep(lease);
            if !chosen.fits() {
                chosen.give_back(lease);
                needed.push(victim);
            }
        }
        needed.reverse();
        Some(needed)
    }
}

impl Cards for JobCards<'_> {
    fn start(&mut self, now: Instant, job: u32, ask: Ask) -> Result<usize, PendingReason> {
        let shape = Shape::Gang { cards: self.list.facts(job).cards };
        let pools = self.list.pools(job);
        let (skipped, pools) = match ask {
            Ask::On(option) => (usize::from(option), &pools[usize::from(option)..=usize::from(option)]),
            Ask::Any | Ask::Beside => (0, pools),
        };
        let options: Vec<(PoolId, Shape)> = pools.iter().map(|pool| (*pool, shape)).collect();
        let held = self.held.as_ref().filter(|_| ask == Ask::Beside);
        let id = self.inventory.lease_now(now, Holder::Job(job), &options, held)?;
        let lease = self.inventory.lease(id);
        let (option, pool) = lease.map_or((0, options[0].0), |lease| (lease.option, lease.pool));
        let option = option + skipped;
        self.recorder.busy(now, id, lease, true);
        self.recorder.job_placed(job, lease);
        self.recorder.leased(now, pool.index(), u64::from(self.inventory.usage(pool).leased));
        self.inventory.set_busy(now, id, true);
        self.leases[job as usize] = Some(id);
        Ok(option)
    }

    fn stop(&mut self, now: Instant, job: u32) {
        let Some(id) = self.leases[job as usize].take() else { return };
        let lease = self.inventory.lease(id);
        self.recorder.busy(now, id, lease, false);
        self.recorder.released(now, lease);
        let pool = lease.map(|lease| lease.pool);
        *self.card_nanos += lease.map_or(0, |lease| lease.card_nanos(now));
        self.grants.extend(self.inventory.release(now, id));
        if let Some(pool) = pool {
            self.recorder.leased(now, pool.index(), u64::from(self.inventory.usage(pool).leased));
        }
    }
}
