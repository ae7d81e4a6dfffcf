//! The inventory: the one owner of all cards.

use std::collections::BTreeMap;
use std::fmt;

use super::config::{PoolConfig, PoolId};
use super::usage::PoolUsage;
use super::what_if::{Reservation, WhatIf};
use crate::policies::Policy as _;
use crate::policies::placement::{FreeNodes, Placement, PlacementKind, PlacementView};
use crate::sim::Seed;
use crate::units::Instant;

/// Who wants or holds cards. The inventory only tells holders apart; what they are it does not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A replica of a deployment: (deployment, its how-manieth).
    Replica(u32, u32),
    /// A job.
    Job(u32),
}

/// How the cards of a claim must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All on one node.
    OneNode {
        /// How many.
        cards: u32,
    },
    /// In one pool, on as few nodes as can be: whole nodes, and one more for the rest.
    Gang {
        /// How many.
        cards: u32,
    },
}

/// Cards wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who wants them.
    pub holder: Holder,
    /// Where they may be, in order of preference, and how they must lie there.
    pub options: Vec<(PoolId, Shape)>,
    /// Higher is served first among pending claims; ties by order of claiming.
    pub priority: i32,
    /// Whether the lease may be revoked for a claim of higher priority.
    pub preemptible: bool,
}

/// A pending claim, in order of claiming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimId(pub u64);

/// A lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(pub u32);

/// Cards held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds them.
    pub holder: Holder,
    /// Where.
    pub pool: PoolId,
    /// Which of the claim's options this is.
    pub option: usize,
    /// The cards: for each node its number and a bit for each card.
    pub nodes: Vec<(u32, u128)>,
    /// Since when.
    pub since: Instant,
    /// Whether they compute now.
    pub busy: bool,
}

/// A claim that was pending and has been granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who got cards.
    pub holder: Holder,
    /// The lease.
    pub lease: LeaseId,
}

/// What a claim got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimResult {
    /// The cards, at once.
    Lease(LeaseId),
    /// Nothing yet; the claim stays until it is granted or withdrawn.
    Pending(ClaimId, PendingReason),
}

/// Why a claim is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingReason {
    /// Fewer cards are free than are wanted.
    TooFewFree {
        /// Free cards in the best pool.
        free: u32,
        /// Cards wanted.
        wanted: u32,
    },
    /// Enough cards are free, but they do not lie as they must.
    Fragmented {
        /// Free cards in the best pool.
        free: u32,
        /// Most free cards on one node of it.
        on_one_node: u32,
        /// Cards wanted.
        wanted: u32,
    },
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) cards_per_node: u32,
    pub(super) free: FreeNodes,
    /// Free cards of each node, a bit each.
    pub(super) masks: Vec<u128>,
    usage: PoolUsage,
}

/// The owner of all cards.
#[derive(Debug)]
pub struct Inventory {
    pools: Vec<Pool>,
    placement: Placement,
    leases: Vec<Option<Lease>>,
    /// Places in `leases` that can be used again.
    vacant: Vec<u32>,
    pending: BTreeMap<(std::cmp::Reverse<i32>, ClaimId), Claim>,
    next_claim: u64,
}

impl Lease {
    /// Card-nanoseconds from the lease's beginning to `now`.
    pub fn card_nanos(&self, now: Instant) -> u128 {
        let cards: u32 = self.nodes.iter().map(|(_, mask)| mask.count_ones()).sum();
        u128::from(cards) * u128::from(now.since(self.since).as_nanos())
    }
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
        self.pending.insert((std::cmp::Reverse(claim.priority), id), claim);
        ClaimResult::Pending(id, reason)
    }

    /// Withdraws a pending claim; nothing happens when it has been granted or withdrawn.
    pub fn withdraw(&mut self, claim: ClaimId) {
        self.pending.retain(|(_, id), _| *id != claim);
    }

    /// Gives the cards of a lease back. Pending claims that fit now are granted, by priority and age.
    pub fn release(&mut self, now: Instant, id: LeaseId) -> Vec<Grant> {
        let Some(lease) = self.leases.get_mut(id.0 as usize).and_then(Option::take) else {
            return Vec::new();
        };
        self.vacant.push(id.0);
        let pool = &mut self.pools[lease.pool.index()];
        let cards: u32 = lease.nodes.iter().map(|(_, mask)| mask.count_ones()).sum();
        pool.usage.settle(now);
        pool.usage.leased -= cards;
        if lease.busy {
            pool.usage.busy -= cards;
        }
        for (node, mask) in &lease.nodes {
            pool.set_mask(*node, pool.masks[*node as usize] | mask);
        }
        self.grant_pending(now)
    }

    /// Says that the cards of a lease begin or cease to compute.
    pub fn set_busy(&mut self, now: Instant, id: LeaseId, busy: bool) {
        let Some(lease) = self.leases.get_mut(id.0 as usize).and_then(Option::as_mut) else { return };
        if lease.busy == busy {
            return;
        }
        lease.busy = busy;
        let cards: u32 = lease.nodes.iter().map(|(_, mask)| mask.count_ones()).sum();
        let usage = &mut self.pools[lease.pool.index()].usage;
        usage.settle(now);
        if busy {
            usage.busy += cards;
        } else {
            usage.busy -= cards;
        }
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
        let mut masks: Vec<Vec<u128>> = self.pools.iter().map(|pool| pool.masks.clone()).collect();
        let mut counts = vec![(0, 0); self.pools.len()];
        for (_, lease) in self.leases() {
            let pool = lease.pool.index();
            for (node, mask) in &lease.nodes {
                if masks[pool][*node as usize] & mask != 0 {
                    return false;
                }
                masks[pool][*node as usize] |= mask;
                counts[pool].0 += mask.count_ones();
                counts[pool].1 += if lease.busy { mask.count_ones() } else { 0 };
            }
        }
        self.pools.iter().zip(masks).zip(counts).all(|((pool, masks), (leased, busy))| {
            masks.iter().all(|mask| *mask == all_cards(pool.cards_per_node))
                && (pool.usage.leased, pool.usage.busy) == (leased, busy)
        })
    }

    fn try_grant(&mut self, now: Instant, holder: Holder, options: &[(PoolId, Shape)]) -> Option<LeaseId> {
        let (option, pool, nodes) = options.iter().enumerate().find_map(|(option, (pool, shape))| {
            let nodes = self.pools[pool.index()].find(now, *shape, &mut self.placement)?;
            Some((option, *pool, nodes))
        })?;
        let state = &mut self.pools[pool.index()];
        state.usage.settle(now);
        for (node, mask) in &nodes {
            state.usage.leased += mask.count_ones();
            state.set_mask(*node, state.masks[*node as usize] & !mask);
        }
        let lease = Some(Lease { holder, pool, option, nodes, since: now, busy: false });
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
            if let Some((claim, lease)) = claim.and_then(|claim| {
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

impl Pool {
    fn new(config: &PoolConfig) -> Self {
        let cards = config.nodes * config.cards_per_node;
        Self {
            cards_per_node: config.cards_per_node,
            free: FreeNodes::new(config.nodes, config.cards_per_node),
            masks: vec![all_cards(config.cards_per_node); config.nodes as usize],
            usage: PoolUsage::new(cards),
        }
    }

    pub(super) fn free_cards(&self) -> u32 {
        self.usage.provisioned - self.usage.leased
    }

    fn set_mask(&mut self, node: u32, mask: u128) {
        let before = self.masks[node as usize].count_ones();
        self.masks[node as usize] = mask;
        self.free.set(node, before, mask.count_ones());
    }

    /// Cards that a claim of this shape would get now.
    fn find(&mut self, now: Instant, shape: Shape, placement: &mut Placement) -> Option<Vec<(u32, u128)>> {
        if let (Shape::Gang { cards }, true) = (shape, placement.kind.splits()) {
            let taken = placement.split(&self.free, cards)?;
            let part = |(node, cards): (u32, u32)| (node, lowest_bits(self.masks[node as usize], cards));
            return Some(taken.into_iter().map(part).collect());
        }
        let (whole, rest) = shape.whole_and_rest(self.cards_per_node);
        let mut nodes: Vec<(u32, u128)> =
            self.free.whole(whole as usize)?.into_iter().map(|n| (n, self.masks[n as usize])).collect();
        if rest > 0 {
            // The rest must not land on one of the whole nodes just chosen.
            for (node, _) in &nodes {
                self.free.set(*node, self.cards_per_node, 0);
            }
            let view = PlacementView { nodes: &self.free, cards: rest, rest: whole > 0 };
            let found = placement.decide(now, &view).0;
            for (node, _) in &nodes {
                self.free.set(*node, 0, self.cards_per_node);
            }
            let node = found?;
            nodes.push((node, lowest_bits(self.masks[node as usize], rest)));
        }
        (!nodes.is_empty()).then_some(nodes)
    }

    /// Leaves at most so many cards of each node in sight; gives back what to restore.
    fn hide(&mut self, nodes: &[(u32, u32)]) -> Vec<(u32, u128)> {
        let mut hidden = Vec::new();
        for (node, allowed) in nodes {
            let mask = self.masks[*node as usize];
            if mask.count_ones() > *allowed {
                hidden.push((*node, mask & !lowest_bits(mask, *allowed)));
                self.set_mask(*node, lowest_bits(mask, *allowed));
            }
        }
        hidden
    }

    fn unhide(&mut self, hidden: &[(u32, u128)]) {
        for (node, mask) in hidden {
            self.set_mask(*node, self.masks[*node as usize] | mask);
        }
    }
}

impl Shape {
    /// Whole nodes, and cards on one more.
    pub(super) fn whole_and_rest(self, cards_per_node: u32) -> (u32, u32) {
        match self {
            Self::OneNode { cards } => (0, cards),
            Self::Gang { cards } => (cards / cards_per_node, cards % cards_per_node),
        }
    }

    /// How many cards.
    pub fn cards(self) -> u32 {
        match self {
            Self::OneNode { cards } | Self::Gang { cards } => cards,
        }
    }
}

/// The `count` lowest set bits of `mask`.
fn lowest_bits(mask: u128, count: u32) -> u128 {
    let mut rest = mask;
    for _ in 0..count {
        rest &= rest.wrapping_sub(1);
    }
    mask & !rest
}

fn all_cards(count: u32) -> u128 {
    if count >= u128::BITS { u128::MAX } else { (1 << count) - 1 }
}

impl fmt::Display for PendingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewFree { free, wanted: 1 } => write!(f, "wants a card, {free} are free"),
            Self::TooFewFree { free, wanted } => write!(f, "wants {wanted} cards, {free} are free"),
            Self::Fragmented { free, on_one_node, wanted } => {
                write!(f, "wants {wanted} cards together; {free} are free, at most {on_one_node} on one node")
            }
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
