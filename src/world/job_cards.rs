//! The cards that jobs run on: the jobs room's requests, put to the inventory.

use super::config::PoolPlan;
use super::recorder::Recorder;
use crate::fleet::{
    Grant, Holder, Inventory, Lease, LeaseId, PendingReason, PoolId, Reservation, Shape, WhatIf,
};
use crate::jobs::{Ask, Cards, Hold, JobList};
use crate::policies::placement::PlacementKind;
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
    /// What the calendar holds, and when.
    pub(super) calendar: &'a [(Hold, Reservation)],
    /// Claims of others that were granted what jobs gave back.
    pub(super) grants: &'a mut Vec<Grant>,
    /// What an hour of one card of each pool costs.
    pub(super) prices: &'a [UsdPerHour],
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
        self.inventory.cards_with_room(PoolId(pool))
    }

    fn reserve(&mut self, job: u32, releases: &mut dyn Iterator<Item = (Instant, u32)>) -> Option<Shadow> {
        let shape = self.list.shape(job);
        *self.held = None;
        let mut pools: Vec<_> =
            self.list.pools(job).iter().map(|pool| self.inventory.what_if(*pool, shape)).collect();
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

    fn victims(
        &mut self,
        job: u32,
        beyond: Instant,
        candidates: &mut dyn Iterator<Item = u32>,
    ) -> Option<Vec<u32>> {
        let shape = self.list.shape(job);
        if let Some(found) = self.first_to_fit(job, shape) {
            let (end, pool, leases) = found?;
            let held = |id: &LeaseId| {
                let lease = self.inventory.lease(*id)?;
                let Holder::Job(job) = lease.holder else { return None };
                Some((job, lease))
            };
            let mut then = self.inventory.what_if(pool, shape);
            let victims: Vec<_> = leases.iter().filter_map(held).collect();
            victims.iter().for_each(|(_, lease)| then.give_back(lease));
            let fits_already = victims.is_empty();
            return (fits_already || end > beyond).then(|| needed(&mut then, victims));
        }
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
            victims.push((victim, lease));
        };
        Some(needed(&mut pools[place], victims))
    }
}

/// Those of the victims that are needed; those that were taken last had the best claim to stay.
fn needed(then: &mut WhatIf<'_>, victims: Vec<(u32, &Lease)>) -> Vec<u32> {
    let mut needed = Vec::new();
    for (victim, lease) in victims.into_iter().rev() {
        then.keep(lease);
        if !then.fits() {
            then.give_back(lease);
            needed.push(victim);
        }
    }
    needed.reverse();
    needed
}

impl JobCards<'_> {
    /// The order in which a job's pools are tried, where the placement has another than the job: by what
    /// its work costs there, or by when it would be done; ties as the job prefers.
    fn order_of_pools(&self, job: u32, count: usize) -> Option<Vec<usize>> {
        let kind = self.inventory.placement();
        if count < 2 || !matches!(kind, PlacementKind::Cheapest | PlacementKind::Fastest) {
            return None;
        }
        let mut order: Vec<usize> = (0..count).collect();
        let cost = |place: usize| {
            let seconds = self.list.duration(job, place).as_secs_f64();
            let price = self.prices[self.list.pools(job)[place].index()].as_f64();
            if kind == PlacementKind::Cheapest { seconds * price } else { seconds }
        };
        order.sort_by(|a, b| cost(*a).total_cmp(&cost(*b)));
        Some(order)
    }

    /// Cards that compute, where some are shared and so are not counted lease by lease.
    fn record_shared(&mut self, now: Instant, pool: PoolId) {
        if self.inventory.shares() {
            let busy = u64::from(self.inventory.usage(pool).busy);
            self.recorder.busy_cards[pool.index()].set(now, busy);
        }
    }

    /// Down to which end leases must be given back, the last to end first, until a job fits on one of its pools:
    /// the latest there is, with that pool and those leases. The outer `None` when ends are not kept.
    fn first_to_fit(&mut self, job: u32, shape: Shape) -> Option<Option<(Instant, PoolId, Vec<LeaseId>)>> {
        let mut first: Option<(Instant, PoolId, Vec<LeaseId>)> = None;
        for pool in self.list.pools(job) {
            let Some((at, leases)) = self.inventory.fits_without(*pool, shape)? else { continue };
            if first.as_ref().is_none_or(|(latest, ..)| at > *latest) {
                first = Some((at, *pool, leases));
            }
        }
        Some(first)
    }
}

/// The calendar with the nodes of each entry: those with the highest numbers.
pub(super) fn calendar(holds: &[Hold], pools: &[PoolPlan]) -> Vec<(Hold, Reservation)> {
    let of = |hold: &Hold| {
        let slots = pools[hold.pool.index()].fleet.slots();
        let nodes = (slots.saturating_sub(hold.nodes)..slots).map(|node| (node, 0)).collect();
        (hold.clone(), Reservation { pool: hold.pool, nodes })
    };
    holds.iter().map(of).collect()
}

impl JobCards<'_> {
    /// Entries of the calendar that are in the way of a job that starts now, as far as its estimate tells.
    fn in_the_way(&self, now: Instant, job: u32) -> Vec<usize> {
        if self.calendar.is_empty() {
            return Vec::new();
        }
        let end = now.saturating_add(self.list.facts(job).estimate);
        let (user, queue) = (self.list.user(job), self.list.queue(job));
        let meets = |hold: &Hold| hold.meets(now, end) && !hold.is_for(user, queue);
        let entries = self.calendar.iter().enumerate();
        entries.filter(|(_, (hold, _))| meets(hold)).map(|(entry, _)| entry).collect()
    }

    /// Why a job was refused: by what is held for others, when it would fit without.
    fn blame_holds(
        &self,
        reason: PendingReason,
        options: &[(PoolId, Shape)],
        (beside, entries): (bool, &[usize]),
    ) -> PendingReason {
        let until = entries.iter().map(|entry| self.calendar[*entry].0.to).max();
        let fits = || options.iter().any(|(pool, shape)| self.inventory.what_if(*pool, *shape).fits());
        match until {
            Some(until) if fits() => PendingReason::Held { until },
            None if beside && fits() => PendingReason::Reserved,
            _ => reason,
        }
    }

    /// The lease of a job on what an entry of the calendar holds, with the place of its pool among the job's.
    fn start_held(&mut self, now: Instant, job: u32, entry: usize) -> Option<(LeaseId, usize)> {
        let held = &self.calendar[entry].1;
        let option = self.list.pools(job).iter().position(|pool| *pool == held.pool)?;
        Some((self.inventory.lease_on(now, Holder::Job(job), held, self.list.facts(job).cards)?, option))
    }

    /// A job has its cards: keeps account of them, and says on which of its options.
    fn started(&mut self, now: Instant, job: u32, id: LeaseId, option: usize) -> usize {
        let lease = self.inventory.lease(id);
        let pool = lease.map_or(PoolId(0), |lease| lease.pool);
        self.recorder.busy(now, id, lease, true);
        self.recorder.job_placed(job, lease);
        self.recorder.leased(now, pool.index(), u64::from(self.inventory.usage(pool).leased));
        self.inventory.set_busy(now, id, true);
        self.record_shared(now, pool);
        self.leases[job as usize] = Some(id);
        option
    }
}

impl Cards for JobCards<'_> {
    fn start(&mut self, now: Instant, job: u32, ask: Ask) -> Result<usize, PendingReason> {
        if let Ask::Held(entry) = ask {
            let wanted = self.list.facts(job).cards;
            let none = PendingReason::TooFewFree { free: 0, wanted };
            let (id, option) = self.start_held(now, job, usize::from(entry)).ok_or(none)?;
            return Ok(self.started(now, job, id, option));
        }
        let shape = self.list.shape(job);
        let pools = self.list.pools(job);
        let (skipped, pools) = match ask {
            Ask::On(option) => (usize::from(option), &pools[usize::from(option)..=usize::from(option)]),
            Ask::Any | Ask::Beside | Ask::Held(_) => (0, pools),
        };
        let order = self.order_of_pools(job, pools.len());
        let options: Vec<(PoolId, Shape)> = match &order {
            None => pools.iter().map(|pool| (*pool, shape)).collect(),
            Some(order) => order.iter().map(|place| (pools[*place], shape)).collect(),
        };
        let entries = self.in_the_way(now, job);
        let held = self.held.as_ref().filter(|_| ask == Ask::Beside);
        let beside: Vec<&Reservation> =
            held.iter().copied().chain(entries.iter().map(|entry| &self.calendar[*entry].1)).collect();
        let id = self.inventory.lease_now(now, Holder::Job(job), &options, &beside);
        let id = id.map_err(|reason| self.blame_holds(reason, &options, (held.is_some(), &entries)))?;
        let option = self.inventory.lease(id).map_or(0, |lease| lease.option);
        let option = order.map_or(option, |order| order[option]) + skipped;
        Ok(self.started(now, job, id, option))
    }

    fn expect(&mut self, job: u32, end: Instant) {
        if let Some(id) = self.leases[job as usize] {
            self.inventory.expect(id, end, job);
        }
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
            self.record_shared(now, pool);
            self.recorder.leased(now, pool.index(), u64::from(self.inventory.usage(pool).leased));
        }
    }
}
