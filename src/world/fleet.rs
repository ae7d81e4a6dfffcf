//! What comes of nodes that come and go: the fleet's effects routed to cards, replicas, jobs and money, and
//! the buying of what is pending.

use super::events::Event;
use super::job_cards::JobCards;
use super::run::World;
use crate::fleet::{self, Effect, Grant, Holder, LeaseId, NodeCards, PoolId, Shape, Why};
use crate::metrics::results::DecisionRow;
use crate::policies::node_autoscale::pending::{PoolRoom, Want, nodes_to_order};
use crate::sim::Ctx;
use crate::units::{Duration, Instant};

/// The name of the plain buyer in the table of decisions.
const BUYER: &str = "pending";

impl World<'_> {
    /// The nodes that are there at the beginning.
    pub(super) fn begin_nodes(&mut self) {
        for pool in (0..self.config.pools.len() as u16).map(PoolId) {
            self.record_nodes(Instant::ZERO, pool);
        }
        self.with_nodes(Instant::ZERO, |nodes, ctx| nodes.begin(ctx));
    }

    /// Lets the fleet's room do something, and routes what it tells.
    pub(super) fn with_nodes<T>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut fleet::Nodes, &mut Ctx<'_, fleet::Event, Effect>) -> T,
    ) -> T {
        let (mut events, mut effects) = (Vec::new(), Vec::new());
        let mut ctx = Ctx::new(now, &mut events, &mut effects);
        let result = act(&mut self.nodes, &mut ctx);
        for (at, event) in events {
            self.queue.push(at, Event::Fleet(event));
        }
        for effect in effects {
            self.route_node(now, effect);
        }
        result
    }

    fn route_node(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Starting { pool, node } => {
                self.inventory.begin_node(now, pool, node);
                self.record_nodes(now, pool);
            }
            Effect::Ready { pool, node } => {
                let grants = self.inventory.add_node(now, pool, node);
                self.granted(now, grants);
                self.cards_came_free(now);
                self.buy_soon(now);
            }
            Effect::Revoked { pool, node, deadline, why } => {
                let leases = self.inventory.drain_node(now, pool, node);
                for lease in &leases {
                    self.leave_by(now, *lease, deadline);
                }
                if self.inventory.leases_on(pool, node).is_empty() {
                    self.with_nodes(now, |nodes, ctx| nodes.vacated(ctx, pool, node));
                }
                if why != Why::GivenBack {
                    let reason = format!("node {node} is taken back by {}: {why}", deadline.as_secs_f64());
                    self.log_nodes(now, "provider", pool, 1, why.to_string(), reason);
                }
            }
            Effect::Gone { pool, node, used, .. } => {
                self.clear_node(now, pool, node, NodeCards::Absent);
                let metered = self.metered(now, pool.index());
                self.ledger.close(now, pool.index(), metered, 1, used);
                self.record_nodes(now, pool);
                self.buy_soon(now);
            }
            Effect::Down { pool, node } => {
                self.clear_node(now, pool, node, NodeCards::Down);
                self.record_nodes(now, pool);
                self.buy_soon(now);
            }
            Effect::Refused { pool, waited } => {
                self.order_refused();
                let reason = format!("an order came to nothing after {waited}");
                self.log_nodes(now, "provider", pool, 0, "out of stock".to_owned(), reason);
                self.buy_soon(now);
            }
            Effect::Open { .. } => self.buy_soon(now),
        }
    }

    /// A node autoscaler that counts on what it bought hears that it does not come.
    fn order_refused(&mut self) {
        if let Some(scaler) = &mut self.node_scaler {
            scaler.refused();
        }
    }

    /// Whatever is on a node ends, and the node is gone or down.
    fn clear_node(&mut self, now: Instant, pool: PoolId, node: u32, to: NodeCards) {
        if self.inventory.node(pool, node) == NodeCards::Ready {
            self.inventory.drain_node(now, pool, node);
        }
        for lease in self.inventory.leases_on(pool, node) {
            self.end_lease(now, lease);
        }
        let gone = self.inventory.remove_node(now, pool, node, to);
        debug_assert!(gone, "a holder kept its cards on a node that is gone");
    }

    /// What jobs gave back is others' now; what they wait for is bought.
    pub(super) fn after_jobs(&mut self, now: Instant, grants: Vec<Grant>) {
        self.granted(now, grants);
        self.buy_soon(now);
    }

    /// A job must leave its cards by the deadline, or loses them now.
    fn evict_job(&mut self, now: Instant, job: u32, deadline: Option<Instant>) {
        let mut grants = Vec::new();
        let mut ctx = Ctx::new(now, &mut self.buffers.jobs, &mut self.buffers.worked);
        let mut cards = JobCards {
            grants: &mut grants,
            inventory: &mut self.inventory,
            recorder: &mut self.recorder,
            list: &self.job_list,
            leases: &mut self.job_leases,
            calendar: &self.calendar,
            held: &mut self.held,
            prices: &self.card_prices,
            card_nanos: &mut self.job_card_nanos,
        };
        match deadline {
            Some(deadline) => self.jobs.leave(&mut ctx, &mut cards, job, deadline),
            None => self.jobs.lose_lease(&mut ctx, &mut cards, job),
        }
        self.route_jobs(now);
        self.granted(now, grants);
    }

    /// Cards came free that jobs may want.
    pub(super) fn cards_came_free(&mut self, now: Instant) {
        if self.jobs.list().is_empty() {
            return;
        }
        let mut ctx = Ctx::new(now, &mut self.buffers.jobs, &mut self.buffers.worked);
        self.jobs.cards_came_free(&mut ctx);
        self.route_jobs(now);
    }

    /// Buys what is pending, before this instant is over.
    pub(super) fn buy_soon(&mut self, now: Instant) {
        self.yield_soon(now);
        if self.node_scaler.is_some() {
            return self.node_scaler_sees(now);
        }
        if self.elastic && self.buys_at != Some(now) {
            self.buys_at = Some(now);
            self.queue.push(now, Event::Buy);
        }
    }

    /// Orders nodes for what is pending, and gives idle ones back.
    pub(super) fn buy(&mut self, now: Instant) {
        // An order that is refused at once is looked at anew within this instant: another pool may have some.
        self.buys_at = None;
        let wants = self.wants();
        if !wants.is_empty() {
            let rooms: Vec<PoolRoom> = (0..self.config.pools.len()).map(|p| self.room_of(now, p)).collect();
            let orders = nodes_to_order(&rooms, &wants);
            for (pool, count) in (0u16..).zip(orders).filter(|(_, count)| *count > 0) {
                let pool = PoolId(pool);
                let reason = format!("{} claims and jobs wait for cards", wants.len());
                self.log_nodes(now, BUYER, pool, i64::from(count), "pending".to_owned(), reason);
                for _ in 0..count {
                    self.with_nodes(now, |nodes, ctx| nodes.order(ctx, pool));
                }
            }
        }
        for pool in (0..self.config.pools.len() as u16).map(PoolId) {
            self.give_back_idle(now, pool);
        }
    }

    /// Claims that are pending and jobs that wait.
    fn wants(&self) -> Vec<Want> {
        let claim = |claim: &fleet::Claim| Want {
            options: claim.options.iter().map(|(pool, shape)| (pool.index(), shape.cards())).collect(),
            gang: claim.options.iter().any(|(_, shape)| matches!(shape, Shape::Gang { .. })),
        };
        let list = self.jobs.list();
        let job = |job: u32| Want {
            options: list.pools(job).iter().map(|pool| (pool.index(), list.facts(job).cards)).collect(),
            gang: true,
        };
        let pending = self.inventory.pending().map(|waiting| claim(waiting.claim));
        pending.chain(self.jobs.waiting().map(job)).collect()
    }

    fn room_of(&self, now: Instant, pool: usize) -> PoolRoom {
        let id = PoolId(pool as u16);
        PoolRoom {
            cards_per_node: self.config.pools[pool].fleet.cards_per_node,
            free: self.inventory.free_by_node(id),
            coming: self.nodes.coming(id),
            room: self.nodes.room(id, now),
        }
    }

    fn give_back_idle(&mut self, now: Instant, pool: PoolId) {
        let Some(supply) = &self.config.pools[pool.index()].fleet.supply else { return };
        let after = supply.idle_after;
        let ready = self.nodes.of(pool).filter(|view| view.stage == fleet::Stage::Ready);
        let due = ready.filter_map(|view| {
            let since = self.inventory.idle_since(pool, view.node)?;
            Some((since.saturating_add(after), view.node))
        });
        let (idle, later): (Vec<_>, Vec<_>) = due.partition(|(due, _)| *due <= now);
        let next = later.into_iter().map(|(due, _)| due).min();
        if let Some(next) = next.filter(|next| self.looks_at.is_none_or(|at| at <= now || *next < at)) {
            self.looks_at = Some(next);
            self.queue.push(next, Event::Buy);
        }
        // The highest numbers first: the lowest are what first fit fills.
        for (_, node) in idle.into_iter().rev() {
            let back = self.with_nodes(now, |nodes, ctx| nodes.give_back(ctx, pool, node, Duration::ZERO));
            if back {
                let reason = format!("node {node} had nothing on it for {after}");
                self.log_nodes(now, BUYER, pool, -1, "idle".to_owned(), reason);
            }
        }
    }

    /// The holder of a lease must leave by the deadline: a job saves its state if there is time, a replica
    /// drains until then.
    pub(super) fn leave_by(&mut self, now: Instant, lease: LeaseId, deadline: Instant) {
        match self.inventory.lease(lease).map(|lease| lease.holder) {
            Some(Holder::Job(job)) => self.evict_job(now, job, Some(deadline)),
            Some(Holder::Replica(..)) => self.revoke_replica(now, lease, deadline),
            None => {}
        }
    }

    /// A lease ends now, with what its holder does.
    pub(super) fn end_lease(&mut self, now: Instant, lease: LeaseId) {
        match self.inventory.lease(lease).map(|lease| lease.holder) {
            Some(Holder::Job(job)) => self.evict_job(now, job, None),
            Some(Holder::Replica(..)) => self.lose_replica(now, lease),
            None => {}
        }
    }

    fn record_nodes(&mut self, now: Instant, pool: PoolId) {
        let cards = self.inventory.usage(pool).provisioned;
        self.recorder.provisioned(now, pool.index(), u64::from(cards));
    }

    /// A row in the table of decisions: nodes of a pool that are there and coming, and what they become.
    fn log_nodes(
        &mut self,
        now: Instant,
        policy: &str,
        pool: PoolId,
        change: i64,
        rule: String,
        reason: String,
    ) {
        let current = self.nodes.of(pool).filter(|view| view.stage != fleet::Stage::Draining).count() as f64;
        let wanted = current + change as f64;
        self.decisions.push(DecisionRow {
            time: now,
            policy: policy.to_owned(),
            target: self.config.pools[pool.index()].fleet.name.clone(),
            current,
            desired: wanted,
            done: wanted,
            rule,
            limits: String::new(),
            reason,
        });
    }
}
