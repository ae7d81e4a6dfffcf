//! The reconciler: makes the replicas of each deployment as many as are desired.
//!
//! A replica's life: its claim is pending → its cards are leased and it starts (image, weights, warm-up) → it is
//! ready → it drains → it is gone. A replica that is revoked or lost is replaced while it is still desired, as a
//! ReplicaSet replaces a pod.

use std::collections::BTreeSet;

use super::config::WorldConfig;
use super::error::RunError;
use super::events::Event;
use super::run::World;
use crate::fleet::{
    Claim, ClaimId, ClaimResult, Grant, Holder, LeaseId, LeasePhase, NodeCards, PoolId, Shape,
};
use crate::metrics::ReplicaCounts;
use crate::serving::StartDraws;
use crate::sim::Ctx;
use crate::units::{Duration, Instant};

/// Where a replica is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for cards.
    Pending(ClaimId),
    /// It has cards and is not ready yet.
    Starting,
    /// It takes requests.
    Ready,
    /// It takes no more requests; its cards are still its own.
    Draining,
    /// Its cards are given back, or it never had any.
    Gone,
}

/// One replica, from its claim to its end.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) deployment: u32,
    pub(super) stage: Stage,
    /// Since when it is in this stage.
    pub(super) since: Instant,
    /// When it was wanted first.
    pub(super) created: Instant,
    pub(super) lease: Option<LeaseId>,
    /// Its number in the serving room, once it has been ready.
    pub(super) replica: Option<u32>,
}

/// The replicas of one deployment.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// How many there should be.
    pub(super) desired: u32,
    /// All seats, by their number in the deployment.
    seats: Vec<u32>,
    /// Those that count towards `desired`: neither draining nor gone; oldest first.
    pub(super) live: Vec<u32>,
    pub(super) counts: ReplicaCounts,
}

/// All replicas of all deployments.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    pub(super) seats: Vec<Seat>,
    pub(super) groups: Vec<Group>,
    /// The seat of each replica of the serving room.
    of_replica: Vec<u32>,
    /// How long starts take, for each deployment.
    draws: Vec<StartDraws>,
    /// Nodes (pool, number, how many had the number before) that have kept a deployment's image and weights.
    cached: BTreeSet<(PoolId, u32, u32, u32)>,
}

impl Replicas {
    pub(super) fn new(config: &WorldConfig) -> Self {
        let groups = config.deployments.iter().map(|_| Group::default()).collect();
        let draws = config.deployments.iter().map(|plan| StartDraws::new(config.seed, &plan.name)).collect();
        Self { seats: Vec::new(), groups, of_replica: Vec::new(), draws, cached: BTreeSet::new() }
    }

    /// A new seat of a deployment, and its number there.
    fn open(&mut self, now: Instant, deployment: usize) -> (u32, u32) {
        let seat = self.seats.len() as u32;
        let group = &mut self.groups[deployment];
        let number = group.seats.len() as u32;
        group.seats.push(seat);
        group.live.push(seat);
        let (stage, deployment) = (Stage::Gone, deployment as u32);
        self.seats.push(Seat { deployment, stage, since: now, created: now, lease: None, replica: None });
        (seat, number)
    }

    fn seat_of(&self, deployment: u32, number: u32) -> u32 {
        self.groups[deployment as usize].seats[number as usize]
    }

    /// The lease of a replica of the serving room.
    pub(super) fn lease_of(&self, replica: u32) -> Option<LeaseId> {
        self.seats[self.of_replica[replica as usize] as usize].lease
    }

    /// The replicas of the serving room that are on a lease.
    pub(super) fn on_lease(&self, lease: LeaseId) -> Vec<u32> {
        let on_it = |(_, seat): &(u32, &u32)| self.seats[**seat as usize].lease == Some(lease);
        (0u32..).zip(&self.of_replica).filter(on_it).map(|(replica, _)| replica).collect()
    }

    fn set_stage(&mut self, now: Instant, seat: u32, stage: Stage) {
        let state = &mut self.seats[seat as usize];
        let group = &mut self.groups[state.deployment as usize];
        if let Some(count) = group.counts.of(state.stage) {
            *count -= 1;
        }
        if let Some(count) = group.counts.of(stage) {
            *count += 1;
        }
        if matches!(stage, Stage::Draining | Stage::Gone) {
            group.live.retain(|live| *live != seat);
        }
        (state.stage, state.since) = (stage, now);
    }

    /// True when every count is that of the seats, and leases are held by exactly the seats that should.
    pub(super) fn is_balanced(&self) -> bool {
        let holds = |seat: &Seat| matches!(seat.stage, Stage::Starting | Stage::Ready | Stage::Draining);
        let mut counts = vec![ReplicaCounts::default(); self.groups.len()];
        for seat in &self.seats {
            if let Some(count) = counts[seat.deployment as usize].of(seat.stage) {
                *count += 1;
            }
        }
        self.seats.iter().all(|seat| seat.lease.is_some() == holds(seat))
            && self.groups.iter().zip(counts).all(|(group, counts)| {
                group.counts == counts
                    && group.live.len() as u64 == counts.pending + counts.starting + counts.ready
            })
    }
}

impl ReplicaCounts {
    fn of(&mut self, stage: Stage) -> Option<&mut u64> {
        match stage {
            Stage::Pending(_) => Some(&mut self.pending),
            Stage::Starting => Some(&mut self.starting),
            Stage::Ready => Some(&mut self.ready),
            Stage::Draining => Some(&mut self.draining),
            Stage::Gone => None,
        }
    }
}

impl World<'_> {
    /// The replicas of the first instant are ready before the first request arrives. Those of a deployment
    /// that scales, or whose pools grow, may have to wait for cards.
    pub(super) fn place_replicas(&mut self) -> Result<(), RunError> {
        let config = self.config;
        for (deployment, plan) in config.deployments.iter().enumerate() {
            // The first of those that share hosts holds their cards.
            if plan.shared.is_some_and(|shared| config.hosts[shared.host].members[0] != deployment) {
                continue;
            }
            self.replicas.groups[deployment].desired = plan.replicas;
            for number in 0..plan.replicas {
                let (seat, _) = self.replicas.open(Instant::ZERO, deployment);
                match self.claim(Instant::ZERO, seat, number) {
                    ClaimResult::Lease(lease) => {
                        self.replicas.seats[seat as usize].lease = Some(lease);
                        self.record_leased(Instant::ZERO, lease);
                        self.replicas.set_stage(Instant::ZERO, seat, Stage::Starting);
                        self.replica_up(Instant::ZERO, seat);
                    }
                    ClaimResult::Pending(claim, _) if self.may_wait(deployment) => {
                        self.replicas.set_stage(Instant::ZERO, seat, Stage::Pending(claim));
                    }
                    ClaimResult::Pending(_, reason) => {
                        return Err(RunError::NoRoom {
                            deployment: plan.name.clone(),
                            placed: number,
                            wanted: plan.replicas,
                            reason: reason.to_string(),
                        });
                    }
                }
            }
            self.record_replicas(Instant::ZERO, deployment as u32);
        }
        Ok(())
    }

    /// Whether replicas of the first instant may wait for cards.
    fn may_wait(&self, deployment: usize) -> bool {
        let mut options = self.config.deployments[deployment].options.iter();
        self.config.scalers.iter().any(|scaler| scaler.deployment == deployment)
            || options.any(|option| self.nodes.changes(option.pool))
    }

    fn claim(&mut self, now: Instant, seat: u32, number: u32) -> ClaimResult {
        let deployment = self.replicas.seats[seat as usize].deployment;
        let options = &self.config.deployments[deployment as usize].options;
        let shape = |cards| Shape::OneNode { cards };
        let claim = Claim {
            holder: Holder::Replica(deployment, number),
            options: options.iter().map(|option| (option.pool, shape(option.cards))).collect(),
            priority: 0,
            preemptible: false,
        };
        self.inventory.claim(now, claim)
    }

    /// There should be so many replicas of a deployment from now on.
    pub(super) fn scale(&mut self, now: Instant, deployment: usize, desired: u32) {
        self.replicas.groups[deployment].desired = desired;
        self.reconcile(now, deployment);
    }

    /// Claims cards for replicas that are missing; lets those go that are too many.
    pub(super) fn reconcile(&mut self, now: Instant, deployment: usize) {
        let group = &self.replicas.groups[deployment];
        let (live, desired) = (group.live.len(), group.desired as usize);
        for _ in live..desired {
            let (seat, number) = self.replicas.open(now, deployment);
            match self.claim(now, seat, number) {
                ClaimResult::Lease(lease) => self.start_replica(now, seat, lease),
                ClaimResult::Pending(claim, _) => {
                    self.replicas.set_stage(now, seat, Stage::Pending(claim));
                    self.buy_soon(now);
                }
            }
        }
        for seat in self.victims(deployment, live.saturating_sub(desired)) {
            self.let_go(now, seat);
        }
        self.record_replicas(now, deployment as u32);
    }

    /// Who goes first, as a ReplicaSet ranks its pods (`ActivePodsWithRanks`, kubernetes
    /// `pkg/controller/controller_utils.go`): those without a node, those that are not ready, those that have been
    /// ready for the shortest time, the newest.
    fn victims(&self, deployment: usize, count: usize) -> Vec<u32> {
        let rank = |seat: &u32| {
            let state = &self.replicas.seats[*seat as usize];
            let stage = match state.stage {
                Stage::Pending(_) => 0,
                Stage::Starting => 1,
                _ => 2,
            };
            let ready_since = if stage == 2 { state.since } else { Instant::ZERO };
            (stage, std::cmp::Reverse((ready_since, state.created, *seat)))
        };
        let mut live = self.replicas.groups[deployment].live.clone();
        live.sort_by_key(rank);
        live.truncate(count);
        live
    }

    /// A replica is wanted no more.
    fn let_go(&mut self, now: Instant, seat: u32) {
        let state = &self.replicas.seats[seat as usize];
        match (state.stage, state.replica) {
            (Stage::Pending(claim), _) => {
                self.inventory.withdraw(claim);
                self.replicas.set_stage(now, seat, Stage::Gone);
            }
            (Stage::Starting, _) => self.give_back(now, seat),
            (Stage::Ready, Some(_)) => {
                let timeout = self.config.deployments[state.deployment as usize].lifecycle.drain.timeout;
                self.drain(now, seat, now.saturating_add(timeout));
            }
            _ => {}
        }
    }

    /// A ready replica takes no more requests and ends at `deadline` at the latest.
    fn drain(&mut self, now: Instant, seat: u32, deadline: Instant) {
        let Some(replica) = self.replicas.seats[seat as usize].replica else { return };
        self.replicas.set_stage(now, seat, Stage::Draining);
        if let Some(lease) = self.replicas.seats[seat as usize].lease {
            self.inventory.set_phase(now, lease, LeasePhase::Draining);
        }
        // Ends come before the boundaries of their instant, so none may come at an instant that is half over.
        let deadline = deadline.max(now.saturating_add(Duration::from_nanos(1)));
        self.queue.push(deadline, Event::DrainEnd { seat });
        let mut ctx = Ctx::new(now, &mut self.buffers.serving, &mut self.buffers.served);
        self.serving.drain(&mut ctx, replica);
        self.route_serving(now);
    }

    /// A lease will be taken away at `deadline`: its replica drains until then and is replaced. Leases of jobs are
    /// not this one's business.
    pub(super) fn revoke_replica(&mut self, now: Instant, lease: LeaseId, deadline: Instant) {
        let Some(Holder::Replica(deployment, number)) = self.inventory.lease(lease).map(|lease| lease.holder)
        else {
            return;
        };
        let seat = self.replicas.seat_of(deployment, number);
        match self.replicas.seats[seat as usize].stage {
            Stage::Starting => self.give_back(now, seat),
            Stage::Ready => self.drain(now, seat, deadline),
            // It may have to end sooner than it was to.
            Stage::Draining => self
                .queue
                .push(deadline.max(now.saturating_add(Duration::from_nanos(1))), Event::DrainEnd { seat }),
            Stage::Pending(_) | Stage::Gone => {}
        }
        self.reconcile(now, deployment as usize);
    }

    /// A lease is lost at this very instant: its replica ends, its requests go elsewhere, and it is replaced.
    /// To be called before the boundaries of the instant are handled.
    pub(super) fn lose_replica(&mut self, now: Instant, lease: LeaseId) {
        let Some(Holder::Replica(deployment, number)) = self.inventory.lease(lease).map(|lease| lease.holder)
        else {
            return;
        };
        let seat = self.replicas.seat_of(deployment, number);
        self.end_replica(now, seat);
        self.reconcile(now, deployment as usize);
    }

    /// A replica's time to drain is over.
    pub(super) fn drain_end(&mut self, now: Instant, seat: u32) {
        if self.replicas.seats[seat as usize].stage == Stage::Draining {
            self.end_replica(now, seat);
        }
    }

    fn end_replica(&mut self, now: Instant, seat: u32) {
        let state = &self.replicas.seats[seat as usize];
        match (state.stage, state.replica) {
            (Stage::Starting, _) => self.give_back(now, seat),
            (Stage::Ready | Stage::Draining, Some(replica)) => {
                let mut ctx = Ctx::new(now, &mut self.buffers.serving, &mut self.buffers.served);
                self.serving.kill(&mut ctx, replica);
                self.route_serving(now);
            }
            _ => {}
        }
    }

    /// Pending claims were granted.
    pub(super) fn granted(&mut self, now: Instant, grants: Vec<Grant>) {
        for Grant { holder, lease } in grants {
            if let Holder::Replica(deployment, number) = holder {
                let seat = self.replicas.seat_of(deployment, number);
                self.start_replica(now, seat, lease);
                self.record_replicas(now, deployment);
            }
        }
    }

    /// A replica has its cards: it begins to start.
    fn start_replica(&mut self, now: Instant, seat: u32, lease: LeaseId) {
        let state = &mut self.replicas.seats[seat as usize];
        state.lease = Some(lease);
        let deployment = state.deployment;
        let start = &self.config.deployments[deployment as usize].lifecycle.start;
        let cached = start.cached_load.is_some() && self.keeps_weights(deployment, lease);
        let takes = start.draw(cached, &mut self.replicas.draws[deployment as usize]);
        self.replicas.set_stage(now, seat, Stage::Starting);
        self.record_leased(now, lease);
        self.inventory.set_phase(now, lease, LeasePhase::Starting);
        self.queue.push(now.saturating_add(takes), Event::ReplicaUp { seat });
    }

    /// Whether all nodes of a lease have started a replica of the deployment before; from now on they have.
    fn keeps_weights(&mut self, deployment: u32, lease: LeaseId) -> bool {
        let Some(lease) = self.inventory.lease(lease) else { return false };
        let run = |node: u32| {
            let view = self.nodes.of(lease.pool).find(|view| view.node == node);
            view.map_or(0, |view| view.run)
        };
        let keys: Vec<_> =
            lease.nodes.iter().map(|(node, _)| (lease.pool, *node, run(*node), deployment)).collect();
        let known = keys.iter().all(|key| self.replicas.cached.contains(key));
        self.replicas.cached.extend(keys);
        known
    }

    /// A replica has started: it takes requests.
    pub(super) fn replica_up(&mut self, now: Instant, seat: u32) {
        let state = &self.replicas.seats[seat as usize];
        let (Stage::Starting, Some(lease)) = (state.stage, state.lease) else { return };
        let deployment = state.deployment;
        let option = self.inventory.lease(lease).map_or(0, |lease| lease.option);
        self.replicas.set_stage(now, seat, Stage::Ready);
        self.inventory.set_phase(now, lease, LeasePhase::Working);
        debug_assert_eq!(self.serving.replicas(), self.replicas.of_replica.len());
        self.replicas.seats[seat as usize].replica = Some(self.replicas.of_replica.len() as u32);
        let at = self.inventory.lease(lease).and_then(|lease| {
            let (node, _) = lease.nodes.first()?;
            Some((lease.pool.0, *node))
        });
        let (pool, node) = at.unwrap_or_default();
        if at.is_some() {
            self.serving.locate_next(deployment as usize, option, pool, node);
        }
        let mut ctx = Ctx::new(now, &mut self.buffers.serving, &mut self.buffers.served);
        let added = match self.config.deployments[deployment as usize].shared {
            Some(shared) => self.serving.add_host(&mut ctx, shared.host, pool, node),
            None => {
                self.serving.add_replica(&mut ctx, deployment as usize, option);
                1
            }
        };
        self.replicas.of_replica.extend(std::iter::repeat_n(seat, added));
        self.route_serving(now);
        if self.inventory.network_share(lease) < 1.0 {
            self.slow_replicas(now, lease);
        }
        self.record_replicas(now, deployment);
    }

    /// The serving room says that a replica has nothing more to do.
    pub(super) fn replica_gone(&mut self, now: Instant, replica: u32) {
        let seat = self.replicas.of_replica[replica as usize];
        self.give_back(now, seat);
        let deployment = self.replicas.seats[seat as usize].deployment;
        self.record_replicas(now, deployment);
    }

    /// A replica's cards go back; whoever waited for them gets them.
    fn give_back(&mut self, now: Instant, seat: u32) {
        let Some(lease) = self.replicas.seats[seat as usize].lease.take() else { return };
        self.replicas.set_stage(now, seat, Stage::Gone);
        let held = self.inventory.lease(lease);
        self.recorder.released(now, held);
        let pool = held.map(|held| held.pool);
        let nodes: Vec<(PoolId, u32)> = held
            .map_or_else(Vec::new, |held| held.nodes.iter().map(|(node, _)| (held.pool, *node)).collect());
        let grants = self.inventory.release(now, lease);
        if let Some(pool) = pool {
            self.recorder.leased(now, pool.index(), u64::from(self.inventory.usage(pool).leased));
        }
        self.granted(now, grants);
        self.cards_came_free(now);
        for (pool, node) in nodes {
            let leaves = self.inventory.node(pool, node) == NodeCards::Draining;
            if leaves && self.inventory.leases_on(pool, node).is_empty() {
                self.with_nodes(now, |nodes, ctx| nodes.vacated(ctx, pool, node));
            }
        }
        self.buy_soon(now);
    }

    fn record_replicas(&mut self, now: Instant, deployment: u32) {
        let group = &self.replicas.groups[deployment as usize];
        self.recorder.replicas(now, deployment as usize, group.desired, &group.counts);
        self.serving.expect(now, deployment as usize, group.counts.pending + group.counts.starting > 0);
    }
}
