//! The inventory: the one owner of all cards.

use std::collections::BTreeMap;

use super::claim::{
    Claim, ClaimId, ClaimResult, Grant, Holder, Lease, LeaseId, LeasePhase, PendingReason, Shape, Waiting,
};
use super::config::{PoolConfig, PoolId};
use super::ends::Ends;
use super::network::Patterns;
use super::pool::{NodeCards, Pool};
use super::usage::PoolUsage;
use super::what_if::{Reservation, WhatIf};
use crate::policies::placement::{Largest, Needs, Placement, PlacementKind, Scorer, WHOLE, Workload};
use crate::sim::Seed;
use crate::units::Instant;

/// The owner of all cards.
#[derive(Debug)]
pub struct Inventory {
    pub(super) pools: Vec<Pool>,
    placement: Placement,
    /// How nodes are scored, where cards are shared, hosts count or the placement asks for it.
    scorer: Option<Scorer>,
    /// Whether claims are weighed over all their pools, whatever the placement.
    together: bool,
    pub(super) leases: Vec<Option<Lease>>,
    /// Places in `leases` that can be used again.
    vacant: Vec<u32>,
    pending: BTreeMap<(std::cmp::Reverse<i32>, ClaimId), (Claim, Instant)>,
    next_claim: u64,
    /// Card-nanoseconds that leases which have ended were held for: by pool and deployment, `None` for jobs.
    pub(super) held: BTreeMap<(PoolId, Option<u32>), u128>,
    /// How gangs' nodes talk to each other.
    pub(super) patterns: Patterns,
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
            scorer: None,
            together: false,
            leases: Vec::new(),
            vacant: Vec::new(),
            pending: BTreeMap::new(),
            next_claim: 0,
            held: BTreeMap::new(),
            patterns: Patterns::default(),
        }
    }

    /// The same, drawing random placements from this seed.
    #[must_use]
    pub fn seeded(mut self, seed: Seed) -> Self {
        self.placement.draws = seed.stream("placement");
        self
    }

    /// Keeps account of parts of cards, of CPUs and of host memory from now on, and scores nodes;
    /// `workload` is what is typical. Nothing may be leased yet.
    #[must_use]
    pub fn sharing(mut self, workload: Workload) -> Self {
        let host = |pool: &Pool| pool.host.cpu_milli.unwrap_or(0);
        let cards = |pool: &Pool| pool.cards_per_node * u32::from(WHOLE);
        let largest = Largest {
            cpu_milli: self.pools.iter().map(host).max().unwrap_or(0),
            card_milli: self.pools.iter().map(cards).max().unwrap_or(0),
        };
        let scorer = Scorer::new(self.placement.kind, largest, workload);
        self.pools.iter_mut().for_each(|pool| pool.share(scorer.by_kind()));
        self.scorer = Some(scorer);
        self
    }

    /// Weighs claims over all their pools, whatever the placement: the pools are one large one. Only where
    /// [`Inventory::sharing`] is on.
    #[must_use]
    pub fn together(mut self) -> Self {
        self.together = true;
        self
    }

    /// The placement.
    pub fn placement(&self) -> PlacementKind {
        self.placement.kind
    }

    /// True when [`Inventory::sharing`] is on.
    pub fn shares(&self) -> bool {
        self.scorer.is_some()
    }

    /// Thousandths of cards of a pool's ready nodes that are free, and of these those that are of no use to
    /// the typical workload, in the mean. Nothing where no account of parts is kept.
    pub fn fragments(&self, pool: PoolId) -> Option<(u64, f64)> {
        let (scorer, shares) = (self.scorer.as_ref()?, self.pools[pool.index()].shares.as_ref()?);
        Some(shares.groups().fold((0, 0.0), |(free, lost), (node, count)| {
            let nodes = count as u64;
            let fragments = scorer.workload.fragments(node);
            (free + nodes * u64::from(node.total_milli()), lost + nodes as f64 * fragments)
        }))
    }

    /// Cards of a pool's ready nodes that are free and of no use to a workload where they lie, in the mean
    /// over it.
    pub fn fragmented(&self, pool: PoolId, workload: &Workload) -> f64 {
        let pool = &self.pools[pool.index()];
        let milli: f64 = match &pool.shares {
            Some(shares) => {
                shares.groups().map(|(node, count)| count as f64 * workload.fragments(node)).sum()
            }
            None => pool.fragments(workload),
        };
        milli / f64::from(WHOLE)
    }

    /// Cards for a holder from the first option that has them now; a refusal leaves nothing pending.
    /// `beside` is what must stay free for somebody else.
    ///
    /// # Errors
    /// Why there are none.
    pub fn lease_now(
        &mut self,
        now: Instant,
        holder: Holder,
        options: &[(PoolId, Shape)],
        beside: &[&Reservation],
    ) -> Result<LeaseId, PendingReason> {
        let hide = |held: &&Reservation| (held.pool, self.pools[held.pool.index()].hide(&held.nodes));
        let hidden: Vec<_> = beside.iter().map(hide).collect();
        let found = self.try_grant(now, holder, options);
        for (pool, hidden) in hidden {
            self.pools[pool.index()].unhide(&hidden);
        }
        found.ok_or_else(|| self.why_pending(options))
    }

    /// Cards for a holder on these nodes of a pool, in their order: whole nodes, and one more for the rest.
    pub fn lease_on(
        &mut self,
        now: Instant,
        holder: Holder,
        held: &Reservation,
        cards: u32,
    ) -> Option<LeaseId> {
        let nodes: Vec<u32> = held.nodes.iter().map(|(node, _)| *node).collect();
        let nodes = self.pools[held.pool.index()].find_on(&nodes, Shape::Gang { cards })?;
        Some(self.grant(now, holder, (0, held.pool, Shape::Gang { cards }), nodes))
    }

    /// Keeps in mind which leases would be given back first, as [`Inventory::expect`] is told.
    pub fn keep_ends(&mut self) {
        for pool in &mut self.pools {
            pool.ends = Some(Ends::new(pool.states.len() as u32, pool.cards_per_node));
        }
    }

    /// A lease that was just granted is expected to end then; `tie` tells those of the same end apart.
    pub fn expect(&mut self, id: LeaseId, end: Instant, tie: u32) {
        let Some(lease) = self.leases.get(id.0 as usize).and_then(Option::as_ref) else { return };
        if let Some(ends) = &mut self.pools[lease.pool.index()].ends {
            let place = Ends::place(end, tie);
            ends.add(&lease.nodes, id, place);
        }
    }

    /// Down to which end a claim would fit, if leases were given back from the one that ends last on, and which
    /// of them those are that lie where it would fit then, in that order. The outer `None` when ends are not
    /// kept or gangs lie anywhere, the inner one when it would never fit.
    pub fn fits_without(&mut self, pool: PoolId, shape: Shape) -> Option<Option<(Instant, Vec<LeaseId>)>> {
        if self.placement.kind.splits() || self.scorer.is_some() {
            return None;
        }
        let Pool { ends, masks, cards_per_node, .. } = &mut self.pools[pool.index()];
        let ends = ends.as_mut()?;
        let free = |node: u32| masks[node as usize].count_ones();
        let Some(by) = ends.fits_at(shape, *cards_per_node, free) else { return Some(None) };
        let (whole, rest) = shape.whole_and_rest(*cards_per_node);
        let mut nodes = if whole > 0 { ends.nodes_by(*cards_per_node, by, free) } else { Vec::new() };
        if rest > 0 {
            nodes.extend(ends.nodes_by(rest, by, free));
        }
        let mut leases: Vec<_> = nodes.into_iter().flat_map(|node| ends.until(node, by)).collect();
        leases.sort_unstable();
        leases.dedup();
        Some(Some((Ends::end(by), leases.into_iter().map(|(_, lease)| lease).collect())))
    }

    /// What would be free in a pool if leases were given back.
    pub fn what_if(&self, pool: PoolId, shape: Shape) -> WhatIf<'_> {
        WhatIf::new(pool, &self.pools[pool.index()], shape, self.placement.kind)
    }

    /// Cards of a pool of which something is free.
    pub fn cards_with_room(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].cards_with_room()
    }

    /// Free cards of each node of a pool that has any.
    pub fn free_by_node(&self, pool: PoolId) -> Vec<u32> {
        let masks = self.pools[pool.index()].masks.iter();
        masks.map(|mask| mask.count_ones()).filter(|free| *free > 0).collect()
    }

    /// Free cards of each node of a pool, by its number.
    pub fn free_of_nodes(&self, pool: PoolId) -> Vec<u32> {
        self.pools[pool.index()].masks.iter().map(|mask| mask.count_ones()).collect()
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
        *self.held.entry((lease.pool, lease.holder.deployment())).or_default() += lease.card_nanos(now);
        let pool = &mut self.pools[lease.pool.index()];
        if let Some(ends) = &mut pool.ends {
            ends.remove(&lease.nodes, id);
        }
        pool.give_back(now, &lease);
        if let Some(network) = &mut pool.network {
            network.leave(now, id);
        }
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

    /// Cards by state, and the integrals, of a pool.
    pub fn usage(&mut self, pool: PoolId) -> &mut PoolUsage {
        &mut self.pools[pool.index()].usage
    }

    /// True when the books of the cards balance: each card is free or in exactly one lease, and the counts
    /// are those of the leases.
    pub fn is_balanced(&self) -> bool {
        (0u16..).zip(&self.pools).all(|(number, pool)| {
            let own = self.leases.iter().flatten().filter(move |lease| lease.pool == PoolId(number));
            pool.is_balanced(own)
        })
    }

    /// The option that a claim gets and its cards there.
    fn find(&mut self, now: Instant, options: &[(PoolId, Shape)]) -> Option<(usize, Vec<(u32, u128)>)> {
        let Some(mut scorer) = self.scorer.take() else {
            return options.iter().enumerate().find_map(|(option, (pool, shape))| {
                Some((option, self.pools[pool.index()].find(now, *shape, &mut self.placement)?))
            });
        };
        let found = if scorer.is_random() {
            self.draw(options, &mut scorer)
        } else {
            self.find_best(options, &mut scorer)
        };
        self.scorer = Some(scorer);
        found
    }

    /// The cards in a pool of a gang that no single node can take; the outer `None` when one can. Such gangs are
    /// neither scored nor drawn: they go to the first pool that has room.
    fn over_nodes(
        &mut self,
        pool: PoolId,
        shape: Shape,
        scorer: &mut Scorer,
    ) -> Option<Option<Vec<(u32, u128)>>> {
        let state = &mut self.pools[pool.index()];
        let several = shape.cards() > state.cards_per_node;
        several.then(|| state.shared_gang(shape, scorer, &mut self.placement))
    }

    /// The same by scores, where cards are shared or hosts count.
    fn find_best(
        &mut self,
        options: &[(PoolId, Shape)],
        scorer: &mut Scorer,
    ) -> Option<(usize, Vec<(u32, u128)>)> {
        let mut best: Option<(i64, usize, u32)> = None;
        for (option, (pool, shape)) in options.iter().enumerate() {
            match self.over_nodes(*pool, *shape, scorer) {
                Some(Some(nodes)) => return Some((option, nodes)),
                Some(None) => continue,
                None => {}
            }
            let state = &mut self.pools[pool.index()];
            let Some((score, node)) = state.best_shared(*shape, scorer) else { continue };
            if best.is_none_or(|(most, ..)| score > most) {
                best = Some((score, option, node));
            }
            if !scorer.kind.scores() && !self.together {
                break;
            }
        }
        let (_, option, node) = best?;
        let (pool, shape) = options[option];
        let pool = &self.pools[pool.index()];
        Some((option, pool.shared_cards(node, shape, scorer, &mut self.placement)))
    }

    /// The same at random: each node that fits with the same probability.
    fn draw(
        &mut self,
        options: &[(PoolId, Shape)],
        scorer: &mut Scorer,
    ) -> Option<(usize, Vec<(u32, u128)>)> {
        let mut counts = Vec::new();
        for (option, (pool, shape)) in options.iter().enumerate() {
            match self.over_nodes(*pool, *shape, scorer) {
                Some(Some(nodes)) => return Some((option, nodes)),
                Some(None) => continue,
                None => {}
            }
            let state = &mut self.pools[pool.index()];
            let want = shape.needs().on_node(shape.cards(), shape.cards());
            let count = state.shares.as_ref().map_or(0, |shares| shares.count_fitting(&want));
            counts.push((option, want, count));
            if count > 0 && !self.together {
                break;
            }
        }
        let total: u64 = counts.iter().map(|(.., count)| count).sum();
        let mut place = if total > 0 { self.placement.draws.below(total) } else { return None };
        let (option, want, _) = counts.into_iter().find(|(.., count)| {
            let here = place < *count;
            place -= if here { 0 } else { *count };
            here
        })?;
        let (pool, shape) = options[option];
        let pool = &self.pools[pool.index()];
        let node = pool.shares.as_ref()?.nth_fitting(&want, place)?;
        Some((option, pool.shared_cards(node, shape, scorer, &mut self.placement)))
    }

    /// The score of the best node of a pool for a claim that one node can take; nothing where it does not
    /// fit, or where nodes are not scored.
    pub fn score(&mut self, pool: PoolId, shape: Shape) -> Option<i64> {
        let pool = &mut self.pools[pool.index()];
        let fits = shape.cards() <= pool.cards_per_node;
        let scorer = self.scorer.as_mut().filter(|_| fits)?;
        Some(pool.best_shared(shape, scorer)?.0)
    }

    fn try_grant(&mut self, now: Instant, holder: Holder, options: &[(PoolId, Shape)]) -> Option<LeaseId> {
        let (option, nodes) = self.find(now, options)?;
        let (pool, shape) = options[option];
        Some(self.grant(now, holder, (option, pool, shape), nodes))
    }

    fn grant(
        &mut self,
        now: Instant,
        holder: Holder,
        (option, pool, shape): (usize, PoolId, Shape),
        nodes: Vec<(u32, u128)>,
    ) -> LeaseId {
        let needs = shape.needs();
        let phase = LeasePhase::default();
        let lease = Lease { holder, pool, option, nodes, needs, since: now, busy: false, phase };
        let id = LeaseId(self.vacant.pop().unwrap_or(self.leases.len() as u32));
        let state = &mut self.pools[pool.index()];
        state.take(now, &lease);
        if let Some(network) = &mut state.network {
            network.join(now, id, &lease, self.patterns.of(holder));
        }
        if id.0 as usize == self.leases.len() {
            self.leases.push(None);
        }
        self.leases[id.0 as usize] = Some(lease);
        id
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
        let best = options.iter().max_by_key(|(pool, _)| self.pools[pool.index()].cards_with_room());
        let Some((pool, shape)) = best else { return PendingReason::TooFewFree { free: 0, wanted: 0 } };
        let pool = &self.pools[pool.index()];
        let (free, wanted, needs) = (pool.cards_with_room(), shape.cards(), shape.needs());
        if free < wanted {
            return PendingReason::TooFewFree { free, wanted };
        }
        if let Some(shares) = &pool.shares {
            let here = wanted.min(pool.cards_per_node);
            let cards_alone =
                Needs { card_milli: needs.card_milli, ..Needs::default() }.on_node(here, wanted);
            let one_node = wanted <= pool.cards_per_node;
            if one_node && shares.groups().any(|(node, _)| node.fits(&cards_alone)) {
                return PendingReason::Host { free, wanted, needs };
            }
            if needs.card_milli != 0 && wanted == 1 {
                return PendingReason::Share { card_milli: needs.card_milli };
            }
        }
        PendingReason::Fragmented { free, on_one_node: pool.free.most_free(), wanted }
    }
}

#[cfg(test)]
mod tests;
