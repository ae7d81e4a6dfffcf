//! The inventory: the one owner of all cards.

use std::collections::BTreeMap;

use super::claim::{
    Claim, ClaimId, ClaimResult, Grant, Holder, Lease, LeaseId, LeasePhase, PendingReason, Shape, Waiting,
};
use super::config::{PoolConfig, PoolId};
use super::pool::{NodeCards, Pool};
use super::usage::PoolUsage;
use super::what_if::{Reservation, WhatIf};
use crate::policies::placement::{Placement, PlacementKind};
use crate::sim::Seed;
use crate::units::Instant;

/// The owner of all cards.
#[derive(Debug)]
pub struct Inventory {
    pools: Vec<Pool>,
    placement: Placement,
    leases: Vec<Option<Lease>>,
    /// Places in `leases` that can be used again.
    vacant: Vec<u32>,
    pending: BTreeMap<(std::cmp::Reverse<i32>, ClaimId), (Claim, Instant)>,
    next_claim: u64,
}

impl Inventory {
    /// The most cards a node can have.
    pub const MAX_CARDS_PER_NODE: u32 = 128;

    /// All nodes of all pools, provisioned and free.
    pub fn new<'a>(pools: impl IntoIterator<Item = &'a PoolConfig>, placement: PlacementKind) -> Self {
        let pools = pools.into_iter().map(Pool::new).collect();
        Self {
            pools,
            placement: Placement { kind: placement, draws: Seed(1).stream("placement") },
            leases: Vec::new(),
            vacant: Vec::new(),
            pending: BTreeMap::new(),
            next_claim: 0,
        }
    }

    /// The same, drawing random placements from this seed.
    #[must_use]
    pub fn seeded(mut self, seed: Seed) -> Self {
        self.placement.draws = seed.stream("placement");
        self
    }

    /// Cards for a holder from the first option that has them now; a refusal leaves nothing pending.
    /// `beside` is what must stay free for somebody else at a later time.
    ///
    /// # Errors
    /// Why there are none.
    pub fn lease_now(
        &mut self,
        now: Instant,
        holder: Holder,
        options: &[(PoolId, Shape)],
        beside: Option<&Reservation>,
    ) -> Result<LeaseId, PendingReason> {
        let hidden = beside.map(|held| (held.pool, self.pools[held.pool.index()].hide(&held.nodes)));
        let found = self.try_grant(now, holder, options);
        if let Some((pool, hidden)) = hidden {
            self.pools[pool.index()].unhide(&hidden);
        }
        found.ok_or_else(|| self.why_pending(options))
    }

    /// What would be free in a pool if leases were given back.
    pub fn what_if(&self, pool: PoolId, shape: Shape) -> WhatIf<'_> {
        WhatIf::new(pool, &self.pools[pool.index()], shape, self.placement.kind)
    }

    /// Free cards of each node of a pool that has any.
    pub fn free_by_node(&self, pool: PoolId) -> Vec<u32> {
        let masks = self.pools[pool.index()].masks.iter();
        masks.map(|mask| mask.count_ones()).filter(|free| *free > 0).collect()
    }

    /// Since when a node has been ready with nothing on it; none while something is.
    pub fn idle_since(&self, pool: PoolId, node: u32) -> Option<Instant> {
        self.pools[pool.index()].idle_since(node)
    }

    /// When cards of a node were last taken or given back.
    pub fn touched(&self, pool: PoolId, node: u32) -> Instant {
        self.pools[pool.index()].touched[node as usize]
    }

    /// Cards of a pool that are free.
    pub fn free_cards(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].free_cards()
    }

    /// Claims cards: granted at once from the first pool that has them, or pending.
    pub fn claim(&mut self, now: Instant, claim: Claim) -> ClaimResult {
        if let Some(lease) = self.try_grant(now, claim.holder, &claim.options) {
            return ClaimResult::Lease(lease);
        }
        let id = ClaimId(self.next_claim);
        self.next_claim += 1;
        let reason = self.why_pending(&claim.options);
        self.pending.insert((std::cmp::Reverse(claim.priority), id), (claim, now));
        ClaimResult::Pending(id, reason)
    }

    /// Gives the cards of a lease back. Pending claims that fit now are granted, by priority and age.
    pub fn release(&mut self, now: Instant, id: LeaseId) -> Vec<Grant> {
        let Some(lease) = self.leases.get_mut(id.0 as usize).and_then(Option::take) else {
            return Vec::new();
        };
        self.vacant.push(id.0);
        self.pools[lease.pool.index()].give_back(now, &lease);
        self.grant_pending(now)
    }

    /// Says that the cards of a lease begin or cease to compute.
    pub fn set_busy(&mut self, now: Instant, id: LeaseId, busy: bool) {
        let Some(lease) = self.leases.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        if lease.busy == busy {
            return;
        }
        let pool = &mut self.pools[lease.pool.index()];
        pool.count(now, lease, false);
        lease.busy = busy;
        pool.count(now, lease, true);
    }

    /// Says what the holder of a lease is at.
    pub fn set_phase(&mut self, now: Instant, id: LeaseId, phase: LeasePhase) {
        let Some(lease) = self.leases.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        let pool = &mut self.pools[lease.pool.index()];
        pool.count(now, lease, false);
        lease.phase = phase;
        pool.count(now, lease, true);
    }

    /// A node that was not there is paid for from now on, and starts.
    pub fn begin_node(&mut self, now: Instant, pool: PoolId, node: u32) {
        self.pools[pool.index()].set_state(now, node, NodeCards::Starting);
    }

    /// A node is ready: its cards can be claimed. Pending claims that fit now are granted, by priority and age.
    pub fn add_node(&mut self, now: Instant, pool: PoolId, node: u32) -> Vec<Grant> {
        self.pools[pool.index()].set_state(now, node, NodeCards::Ready);
        self.grant_pending(now)
    }

    /// A node is on its way out: its cards are not claimed any more. Returns the leases that are still on it.
    pub fn drain_node(&mut self, now: Instant, pool: PoolId, node: u32) -> Vec<LeaseId> {
        let on_it = self.leases_on(pool, node);
        let state = &mut self.pools[pool.index()];
        let leases = || on_it.iter().filter_map(|id| self.leases[id.0 as usize].as_ref());
        leases().for_each(|lease| state.count(now, lease, false));
        state.set_state(now, node, NodeCards::Draining);
        leases().for_each(|lease| state.count(now, lease, true));
        on_it
    }

    /// A node on which there is no lease is gone, or down and paid for all the same; one with leases stays
    /// what it is, and false is returned.
    pub fn remove_node(&mut self, now: Instant, pool: PoolId, node: u32, to: NodeCards) -> bool {
        if !self.leases_on(pool, node).is_empty() {
            return false;
        }
        self.pools[pool.index()].set_state(now, node, to);
        true
    }

    /// What the cards of a node can be used for.
    pub fn node(&self, pool: PoolId, node: u32) -> NodeCards {
        self.pools[pool.index()].states[node as usize]
    }

    /// The leases with cards on a node.
    pub fn leases_on(&self, pool: PoolId, node: u32) -> Vec<LeaseId> {
        let on_it = |lease: &Lease| lease.pool == pool && lease.nodes.iter().any(|(other, _)| *other == node);
        self.leases().filter(|(_, lease)| on_it(lease)).map(|(id, _)| id).collect()
    }

    /// Claims that wait for cards, by priority and age.
    pub fn pending(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.pending.iter().map(|((_, id), (claim, since))| Waiting { id: *id, claim, since: *since })
    }

    /// A claim that waits is wanted no more; false when there is no such claim.
    pub fn withdraw(&mut self, id: ClaimId) -> bool {
        let key = self.pending.keys().find(|(_, other)| *other == id).copied();
        key.is_some_and(|key| self.pending.remove(&key).is_some())
    }

    /// A lease that is held.
    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id.0 as usize)?.as_ref()
    }

    /// All leases that are held.
    pub fn leases(&self) -> impl Iterator<Item = (LeaseId, &Lease)> {
        (0u32..).zip(&self.leases).filter_map(|(id, lease)| Some((LeaseId(id), lease.as_ref()?)))
    }

    /// Cards by state, and the integrals, of a pool.
    pub fn usage(&mut self, pool: PoolId) -> &mut PoolUsage {
        &mut self.pools[pool.index()].usage
    }

    /// True when the books of the cards balance: each card is free or in exactly one lease, and the counts
    /// are those of the leases.
    pub fn is_balanced(&self) -> bool {
        (0u16..).zip(&self.pools).all(|(number, pool)| {
            let own = self.leases().map(|(_, lease)| lease).filter(|lease| lease.pool == PoolId(number));
            pool.is_balanced(own)
        })
    }

    fn try_grant(&mut self, now: Instant, holder: Holder, options: &[(PoolId, Shape)]) -> Option<LeaseId> {
        let (option, pool, nodes) = options.iter().enumerate().find_map(|(option, (pool, shape))| {
            let nodes = self.pools[pool.index()].find(now, *shape, &mut self.placement)?;
            Some((option, *pool, nodes))
        })?;
        let phase = LeasePhase::default();
        let lease = Lease { holder, pool, option, nodes, since: now, busy: false, phase };
        self.pools[pool.index()].take(now, &lease);
        let lease = Some(lease);
        if let Some(id) = self.vacant.pop() {
            self.leases[id as usize] = lease;
            return Some(LeaseId(id));
        }
        self.leases.push(lease);
        Some(LeaseId(self.leases.len() as u32 - 1))
    }

    fn grant_pending(&mut self, now: Instant) -> Vec<Grant> {
        let mut grants = Vec::new();
        let waiting: Vec<_> = self.pending.keys().copied().collect();
        for key in waiting {
            let claim = self.pending.get(&key).cloned();
            if let Some((claim, lease)) = claim.and_then(|(claim, _)| {
                let lease = self.try_grant(now, claim.holder, &claim.options)?;
                Some((claim, lease))
            }) {
                self.pending.remove(&key);
                grants.push(Grant { holder: claim.holder, lease });
            }
        }
        grants
    }

    fn why_pending(&self, options: &[(PoolId, Shape)]) -> PendingReason {
        let best = options.iter().max_by_key(|(pool, _)| self.pools[pool.index()].free_cards());
        let Some((pool, shape)) = best else { return PendingReason::TooFewFree { free: 0, wanted: 0 } };
        let pool = &self.pools[pool.index()];
        let (free, wanted) = (pool.free_cards(), shape.cards());
        if free < wanted {
            PendingReason::TooFewFree { free, wanted }
        } else {
            PendingReason::Fragmented { free, on_one_node: pool.free.most_free(), wanted }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(nodes: u32, cards_per_node: u32) -> PoolConfig {
        PoolConfig {
            name: "p".to_owned(),
            provider: "x".to_owned(),
            offer: "x/y".to_owned(),
            accelerator: "z".to_owned(),
            nodes,
            cards_per_node,
            supply: None,
        }
    }

    fn job(id: u32, shape: Shape) -> Claim {
        Claim { holder: Holder::Job(id), options: vec![(PoolId(0), shape)], priority: 0, preemptible: false }
    }

    #[test]
    fn pending_claims_are_granted_when_cards_come_back() {
        let mut inventory = Inventory::new(&[pool(2, 4)], PlacementKind::FirstFit);
        let now = Instant::ZERO;
        let ClaimResult::Lease(first) = inventory.claim(now, job(0, Shape::OneNode { cards: 3 })) else {
            panic!("cards are free");
        };
        let ClaimResult::Lease(_) = inventory.claim(now, job(1, Shape::OneNode { cards: 3 })) else {
            panic!("cards are free");
        };
        let ClaimResult::Pending(_, reason) = inventory.claim(now, job(2, Shape::OneNode { cards: 2 }))
        else {
            panic!("no node has two");
        };
        assert_eq!(reason.to_string(), "wants 2 cards together; 2 are free, at most 1 on one node");
        let ClaimResult::Pending(_, reason) = inventory.claim(now, job(3, Shape::Gang { cards: 6 })) else {
            panic!("two are free");
        };
        assert_eq!(reason.to_string(), "wants 6 cards, 2 are free");
        let grants = inventory.release(now, first);
        assert_eq!(grants.iter().map(|grant| grant.holder).collect::<Vec<_>>(), [Holder::Job(2)]);
        assert!(inventory.is_balanced());
    }

    proptest! {
        /// No card is ever held twice, and the integrals keep their order, whatever is claimed and released.
        #[test]
        fn books_balance(
            steps in prop::collection::vec((any::<bool>(), 1u32..12, any::<bool>(), 0usize..20), 1..100),
            best in any::<bool>(),
        ) {
            let placement = if best { PlacementKind::BestFit } else { PlacementKind::FirstFit };
            let mut inventory = Inventory::new(&[pool(3, 5)], placement);
            let mut held: Vec<LeaseId> = Vec::new();
            for (index, (claims, cards, gang, which)) in (0u32..).zip(&steps) {
                let now = Instant::from_nanos(u64::from(index) * 10);
                if *claims || held.is_empty() {
                    let shape =
                        if *gang { Shape::Gang { cards: *cards } } else { Shape::OneNode { cards: *cards } };
                    if let ClaimResult::Lease(lease) = inventory.claim(now, job(index, shape)) {
                        prop_assert_eq!(
                            inventory.lease(lease).map(|l| l.nodes.iter().map(|n| n.1.count_ones()).sum()),
                            Some(*cards)
                        );
                        inventory.set_busy(now, lease, index % 2 == 0);
                        held.push(lease);
                    }
                } else {
                    let lease = held.swap_remove(which % held.len());
                    held.extend(inventory.release(now, lease).into_iter().map(|grant| grant.lease));
                }
                prop_assert!(inventory.is_balanced());
                prop_assert!(inventory.usage(PoolId(0)).settle(now).is_ordered());
            }
        }
    }
}
