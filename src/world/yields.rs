//! Serving goes first: jobs that have promised to give way do so when replicas lack cards.
//!
//! At the end of an instant at which a replica's claim is pending, cards are found for each claim in order of
//! priority and age: those that are free or on their way back, and where these do not suffice those of jobs that
//! yield, the last to start first, none that is not needed. A job saves its state if it can within the time that it
//! promised, and loses its cards at the end of it otherwise; whoever waits for cards gets them before any job does.

use std::collections::BTreeMap;

use super::events::Event;
use super::run::World;
use crate::fleet::{Holder, LeaseId, PoolId, Shape};
use crate::units::Instant;

/// Jobs that are on their way out for serving, with the lease that they give up and the last moment.
pub(super) type Yielding = BTreeMap<u32, (LeaseId, Instant)>;

/// The free cards of a pool's nodes, as they will be.
struct Room {
    per_node: u32,
    free: Vec<u32>,
}

impl Room {
    /// Where a claim fits: whole nodes, and the fullest of the others that has enough for the rest.
    fn place(&self, shape: Shape) -> Option<Vec<(usize, u32)>> {
        let (whole, rest) = match shape.cards() {
            cards if cards <= self.per_node => (0, cards),
            cards => (cards / self.per_node, cards % self.per_node),
        };
        let nodes = || self.free.iter().copied().enumerate();
        let full = nodes().filter(|(_, free)| *free == self.per_node).take(whole as usize);
        let mut places: Vec<(usize, u32)> = full.map(|(node, _)| (node, self.per_node)).collect();
        if places.len() < whole as usize {
            return None;
        }
        if rest > 0 {
            let other =
                |(node, free): &(usize, u32)| *free >= rest && !places.iter().any(|(taken, _)| taken == node);
            let (node, _) = nodes().filter(other).min_by_key(|(node, free)| (*free, *node))?;
            places.push((node, rest));
        }
        Some(places)
    }

    fn add(&mut self, nodes: &[(u32, u128)]) {
        nodes.iter().for_each(|(node, mask)| self.free[*node as usize] += mask.count_ones());
    }

    fn remove(&mut self, nodes: &[(u32, u128)]) {
        nodes.iter().for_each(|(node, mask)| self.free[*node as usize] -= mask.count_ones());
    }

    fn take(&mut self, places: &[(usize, u32)]) {
        places.iter().for_each(|(node, cards)| self.free[*node] -= cards);
    }
}

/// A running job that would give way, with its cards.
struct Candidate {
    since: Instant,
    job: u32,
    pool: PoolId,
    nodes: Vec<(u32, u128)>,
}

impl World<'_> {
    /// Somebody's claim is pending: jobs give way before this instant is over.
    pub(super) fn yield_soon(&mut self, now: Instant) {
        if self.some_yield && self.yields_at != Some(now) && self.inventory.pending().next().is_some() {
            self.yields_at = Some(now);
            self.queue.push(now, Event::Yield);
        }
    }

    /// Tells as many jobs to leave as the pending claims need.
    pub(super) fn yield_cards(&mut self, now: Instant) {
        self.yields_at = None;
        let mut rooms: Vec<Room> = (0..self.config.pools.len())
            .map(|pool| Room {
                per_node: self.config.pools[pool].fleet.cards_per_node,
                free: self.inventory.free_of_nodes(PoolId(pool as u16)),
            })
            .collect();
        for lease in self.yielding.values().filter_map(|(id, _)| self.inventory.lease(*id)) {
            rooms[lease.pool.index()].add(&lease.nodes);
        }
        let mut candidates = self.candidates();
        let mut leaving: Vec<u32> = Vec::new();
        for waiting in self.inventory.pending() {
            if !matches!(waiting.claim.holder, Holder::Replica(..)) {
                continue;
            }
            let options = &waiting.claim.options;
            let fits_now = options.iter().find_map(|(pool, shape)| {
                let room = &rooms[pool.index()];
                Some((*pool, room.place(*shape)?))
            });
            if let Some((pool, places)) = fits_now {
                rooms[pool.index()].take(&places);
                continue;
            }
            for (pool, shape) in options {
                let room = &mut rooms[pool.index()];
                let Some(chosen) = make_room(room, *pool, *shape, &candidates) else { continue };
                for place in chosen.into_iter().rev() {
                    leaving.push(candidates.remove(place).job);
                }
                if let Some(places) = room.place(*shape) {
                    room.take(&places);
                }
                break;
            }
        }
        for job in leaving {
            self.tell_to_yield(now, job);
        }
    }

    /// Running jobs that would give way and do not yet, the last to start first.
    fn candidates(&self) -> Vec<Candidate> {
        let list = self.jobs.list();
        let promised = list.extras().filter(|(_, extra)| extra.yields_within.is_some());
        let of = |job: u32| {
            let since = self.jobs.state(job).running.filter(|_| !self.yielding.contains_key(&job))?;
            let lease = self.inventory.lease(self.job_leases[job as usize]?)?;
            let whole = !lease.is_part();
            whole.then(|| Candidate { since, job, pool: lease.pool, nodes: lease.nodes.clone() })
        };
        let mut all: Vec<Candidate> = promised.filter_map(|(job, _)| of(job)).collect();
        all.sort_by_key(|candidate| std::cmp::Reverse((candidate.since, candidate.job)));
        all
    }

    fn tell_to_yield(&mut self, now: Instant, job: u32) {
        let within = self.jobs.list().extra(job).and_then(|extra| extra.yields_within);
        let (Some(within), Some(lease)) = (within, self.job_leases[job as usize]) else { return };
        let deadline = now.saturating_add(within);
        self.yielding.insert(job, (lease, deadline));
        self.yields += 1;
        self.queue.push(deadline, Event::YieldEnd { job });
        self.leave_by(now, lease, deadline);
        self.forget_yielded();
    }

    /// The time that a job had promised is over.
    pub(super) fn yield_end(&mut self, now: Instant, job: u32) {
        self.forget_yielded();
        if let Some((lease, _)) = self.yielding.get(&job).filter(|(_, deadline)| *deadline <= now).copied() {
            self.yielding.remove(&job);
            self.end_lease(now, lease);
        }
    }

    /// Those that have given their cards up, or ended, are no longer on their way out.
    pub(super) fn forget_yielded(&mut self) {
        let leases = &self.job_leases;
        self.yielding.retain(|job, (lease, _)| leases[*job as usize] == Some(*lease));
    }
}

/// Adds candidates' cards to a pool's room until a claim fits, and takes those out again that are not needed; their
/// places, ascending. When it does not fit even so, the room stays what it was.
fn make_room(room: &mut Room, pool: PoolId, shape: Shape, candidates: &[Candidate]) -> Option<Vec<usize>> {
    let mut chosen: Vec<usize> = Vec::new();
    for (place, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.pool == pool) {
        room.add(&candidate.nodes);
        chosen.push(place);
        if room.place(shape).is_some() {
            break;
        }
    }
    let fits = room.place(shape).is_some();
    let mut needed = Vec::new();
    for place in chosen.into_iter().rev() {
        room.remove(&candidates[place].nodes);
        if fits && room.place(shape).is_none() {
            room.add(&candidates[place].nodes);
            needed.push(place);
        }
    }
    needed.reverse();
    (fits && !needed.is_empty()).then_some(needed)
}
