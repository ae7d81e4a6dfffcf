//! Hosts: the cards of one replica that several deployments share, each with a model of its own.
//!
//! A host's memory holds the weights and the KV cache of some of its models; a request for another makes it load that
//! one, over the links that its weights come by, and evict for it what nobody uses: the model used longest ago first
//! (LRU), never one that is pinned. Where all are in use, the request waits; after `patience` the model that has been
//! there longest takes no more requests into its batch, and goes when that is empty.
//!
//! Models that compute at the same time have equal shares of the cards, as NVIDIA's time slicing gives them: with k of
//! them each iteration lasts k times as long. A change of k holds from each one's next iteration on. Whatever follows
//! for a host's other models happens a nanosecond later: at this very instant some of them are at a boundary and some
//! are past it.

mod links;

use super::config::{HostConfig, SharedCards};
use super::replica::Replica;
use super::room::{Context, Effect, Event, Serving};
use crate::units::{Duration, Instant};
use links::WeightLinks;

/// All hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    configs: Vec<HostConfig>,
    hosts: Vec<Host>,
    links: WeightLinks,
}

/// A host.
#[derive(Debug)]
struct Host {
    config: usize,
    node: (u16, u32),
    /// Bytes that no model has.
    free: u64,
    seats: Vec<Seat>,
    /// Models that compute.
    computing: u32,
    /// Whether it is about to be looked at, and when somebody's patience ends.
    tends: bool,
    ends: Option<Instant>,
    /// Since when nothing computes while a model is loading, and which one began first.
    stalled: Option<(Instant, usize)>,
}

/// A model of a host.
#[derive(Debug)]
struct Seat {
    replica: u32,
    shared: SharedCards,
    state: State,
    /// Since when somebody waits for it.
    wanted: Option<Instant>,
    /// Since when it is there, and when it was used last.
    since: Instant,
    used: Instant,
    /// Takes no more requests into its batch.
    closed: bool,
    /// Whether it has computed since it came: who has not is not asked to go, or models would push each other out
    /// without an end.
    worked: bool,
    totals: SwapTotals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Loading(Instant),
    Resident,
}

/// What loading the models of a deployment took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwapTotals {
    /// Times that its weights were loaded by a host that did not have them.
    pub loads: u64,
    /// Times that they made room for another model.
    pub evictions: u64,
    /// Bytes loaded.
    pub bytes: u128,
    /// From the beginnings of these loads to their ends, in nanoseconds.
    pub time: u128,
    /// Of that, while nothing else computed on the host.
    pub stalled: u128,
}

impl SwapTotals {
    pub(super) fn add(&mut self, more: &Self) {
        self.loads += more.loads;
        self.evictions += more.evictions;
        self.bytes += more.bytes;
        self.time += more.time;
        self.stalled += more.stalled;
    }
}

impl Host {
    /// Accounts for the time in which cards did nothing but wait for weights.
    fn settle(&mut self, now: Instant) {
        if let Some((since, seat)) = self.stalled {
            self.seats[seat].totals.stalled += u128::from(now.since(since).as_nanos());
        }
        let loading = self.seats.iter().enumerate().filter_map(|(at, seat)| match seat.state {
            State::Loading(begun) => Some((begun, at)),
            _ => None,
        });
        self.stalled = loading.min().filter(|_| self.computing == 0).map(|(_, at)| (now, at));
    }
}

impl Serving {
    /// The hosts that deployments share; to be told before any replica is added.
    pub fn share_hosts(&mut self, configs: Vec<HostConfig>) {
        self.hosts.configs = configs;
    }

    /// A host is ready at a place of a pool, with a replica of each of its deployments. Returns how many. Models that
    /// fit are there already: those that are pinned, then in turn, each host beginning with another one.
    pub fn add_host(&mut self, ctx: &mut Context<'_>, config: usize, pool: u16, node: u32) -> usize {
        let number = self.hosts.hosts.len();
        let plan = self.hosts.configs[config].clone();
        let mut seats = Vec::new();
        for (at, deployment) in plan.members.iter().enumerate() {
            let Some(shared) = self.deployments[*deployment].config.shared else { continue };
            let replica = self.add_replica(ctx, *deployment, 0);
            self.replicas[replica as usize].host = Some((number as u32, at as u32));
            self.replicas[replica as usize].replica.gated = true;
            seats.push(Seat {
                replica,
                shared,
                state: State::Absent,
                wanted: None,
                since: ctx.now,
                used: ctx.now,
                closed: false,
                worked: false,
                totals: SwapTotals::default(),
            });
        }
        let count = seats.len();
        let before = self.hosts.hosts.iter().filter(|host| host.config == config).count();
        let pinned = (0..count).filter(|at| seats[*at].shared.pinned).collect::<Vec<_>>();
        let turn = (0..count).map(|at| (at + before) % count.max(1));
        let order: Vec<usize> = pinned.into_iter().chain(turn).collect();
        self.hosts.links.add_host((pool, node), &plan);
        let mut host = Host {
            config,
            node: (pool, node),
            free: plan.memory.0,
            seats,
            computing: 0,
            tends: false,
            ends: None,
            stalled: None,
        };
        for at in order {
            let seat = &mut host.seats[at];
            if seat.state == State::Absent && seat.shared.footprint.0 <= host.free {
                host.free -= seat.shared.footprint.0;
                seat.state = State::Resident;
                self.replicas[seat.replica as usize].replica.gated = false;
                let deployment = plan.members[at];
                self.hosts.links.keep(host.node, deployment, seat.shared.weights.0, &plan);
            }
        }
        self.hosts.hosts.push(host);
        count
    }

    /// The place of the replica that gets a request for a model that shares hosts: where the model is, at the one with
    /// the fewest requests, unless each of these has as many as fill a batch; then where it can be loaded at once, on
    /// the host with the fewest models that compute.
    pub(super) fn place_on_hosts(&self, deployment: u32) -> Option<usize> {
        let owner = &self.deployments[deployment as usize];
        let full = u64::from(owner.config.batching.max_batch_requests);
        let mut here: Option<(u64, usize)> = None;
        let mut absent: Option<(u32, usize)> = None;
        for (place, id) in owner.replicas.iter().enumerate() {
            let Some((number, at)) = self.replicas[*id as usize].host else { continue };
            let host = &self.hosts.hosts[number as usize];
            let (seat, config) = (&host.seats[at as usize], &self.hosts.configs[host.config]);
            let load = owner.load_at(place);
            let is_here = seat.state != State::Absent || seat.wanted.is_some();
            if (is_here && !seat.closed) || !config.affinity {
                here = Some(here.map_or((load, place), |best| best.min((load, place))));
            } else if self.could_hold(host, at as usize) {
                let rank = (host.computing, place);
                absent = Some(absent.map_or(rank, |best| best.min(rank)));
            }
        }
        let crowded = here.is_none_or(|(load, _)| load >= full);
        let chosen = match absent {
            Some((_, place)) if crowded => Some(place),
            _ => here.map(|(_, place)| place),
        };
        chosen.or_else(|| (0..owner.replicas.len()).min_by_key(|place| owner.load_at(*place)))
    }

    /// Whether a model could be loaded at once: there is room, or what has it is unused.
    fn could_hold(&self, host: &Host, at: usize) -> bool {
        let unused = host.seats.iter().filter(|seat| self.is_unused(seat));
        let room = host.free + unused.map(|seat| seat.shared.footprint.0).sum::<u64>();
        host.seats[at].shared.footprint.0 <= room
    }

    /// Whether a model may be evicted now.
    fn is_unused(&self, seat: &Seat) -> bool {
        let replica = &self.replicas[seat.replica as usize].replica;
        let open = seat.closed || replica.queued() == 0;
        seat.state == State::Resident && !seat.shared.pinned && replica.is_idle() && open
    }

    /// A request was sent to a replica that shares a host.
    pub(super) fn want(&mut self, ctx: &mut Context<'_>, id: u32) {
        let Some((number, at)) = self.replicas[id as usize].host else { return };
        let seat = &mut self.hosts.hosts[number as usize].seats[at as usize];
        seat.used = ctx.now;
        if seat.state == State::Absent && seat.wanted.is_none() {
            seat.wanted = Some(ctx.now);
            self.tend_soon(ctx, number);
        }
    }

    /// A model of a host began or ceased to compute. Whether that is news of the cards.
    pub(super) fn computes(&mut self, ctx: &mut Context<'_>, id: u32, busy: bool) -> bool {
        let Some((number, at)) = self.replicas[id as usize].host else { return true };
        let host = &mut self.hosts.hosts[number as usize];
        host.seats[at as usize].used = ctx.now;
        host.seats[at as usize].worked = true;
        let before = host.computing;
        host.computing = if busy { before + 1 } else { before - 1 };
        host.settle(ctx.now);
        let news = (before == 0) != (host.computing == 0);
        self.tend_soon(ctx, number);
        news
    }

    fn tend_soon(&mut self, ctx: &mut Context<'_>, number: u32) {
        let host = &mut self.hosts.hosts[number as usize];
        if !host.tends {
            host.tends = true;
            ctx.after(Duration::from_nanos(1), Event::Host { host: number });
        }
    }

    /// Looks at a host: shares its cards, and sees to the models that are wanted.
    pub(super) fn tend(&mut self, ctx: &mut Context<'_>, number: u32) {
        self.hosts.hosts[number as usize].tends = false;
        self.share_cards(ctx, number);
        while let Some(at) = self.first_wanted(number) {
            let host = &self.hosts.hosts[number as usize];
            if host.seats[at].shared.footprint.0 <= host.free {
                self.begin_load(ctx, number, at);
                continue;
            }
            let unused = host.seats.iter().enumerate().filter(|(_, seat)| self.is_unused(seat));
            if let Some((victim, _)) = unused.min_by_key(|(at, seat)| (!seat.closed, seat.used, *at)) {
                self.evict(ctx, number, victim);
                continue;
            }
            let wanted = host.seats[at].wanted.unwrap_or(ctx.now);
            let due = wanted.saturating_add(self.hosts.configs[host.config].patience);
            if ctx.now < due {
                let host = &mut self.hosts.hosts[number as usize];
                if host.ends != Some(due) {
                    host.ends = Some(due);
                    ctx.at(due, Event::Host { host: number });
                }
                return;
            }
            // One at a time: when it is empty this host is looked at again.
            let open = host.seats.iter().enumerate().filter(|(_, seat)| {
                seat.state == State::Resident && !seat.shared.pinned && !seat.closed && seat.worked
            });
            let oldest = open.min_by_key(|(at, seat)| (seat.since, *at)).map(|(at, _)| at);
            match oldest.filter(|_| host.seats.iter().all(|seat| !seat.closed)) {
                Some(victim) => self.close(ctx.now, number, victim, true),
                None => return,
            }
        }
        for at in 0..self.hosts.hosts[number as usize].seats.len() {
            if self.hosts.hosts[number as usize].seats[at].closed {
                self.close(ctx.now, number, at, false);
                let id = self.hosts.hosts[number as usize].seats[at].replica;
                let look = self.replicas[id as usize].replica.look_soon(ctx.now);
                self.schedule_look(ctx, id, look);
            }
        }
    }

    /// Tells each model of a host how many compute with it.
    fn share_cards(&mut self, ctx: &mut Context<'_>, number: u32) {
        let host = &self.hosts.hosts[number as usize];
        let (computing, seats) = (host.computing, host.seats.iter().map(|seat| seat.replica));
        for id in seats.collect::<Vec<_>>() {
            let replica = &mut self.replicas[id as usize].replica;
            let others = computing - u32::from(!replica.is_idle());
            let look = replica.share_with(ctx.now, others);
            self.schedule_look(ctx, id, look);
        }
    }

    /// The absent model for which somebody has waited longest.
    fn first_wanted(&mut self, number: u32) -> Option<usize> {
        let replicas = &self.replicas;
        let host = &mut self.hosts.hosts[number as usize];
        for seat in host.seats.iter_mut().filter(|seat| seat.state == State::Absent) {
            seat.wanted = seat.wanted.filter(|_| replicas[seat.replica as usize].replica.queued() > 0);
        }
        let wanted = host.seats.iter().enumerate().filter_map(|(at, seat)| Some((seat.wanted?, at)));
        wanted.min().map(|(_, at)| at)
    }

    fn close(&mut self, now: Instant, number: u32, at: usize, closed: bool) {
        let seat = &mut self.hosts.hosts[number as usize].seats[at];
        seat.closed = closed;
        self.replicas[seat.replica as usize].replica.close(now, closed);
    }

    fn evict(&mut self, ctx: &mut Context<'_>, number: u32, at: usize) {
        self.close(ctx.now, number, at, false);
        let host = &mut self.hosts.hosts[number as usize];
        let seat = &mut host.seats[at];
        let replica = &mut self.replicas[seat.replica as usize].replica;
        replica.forget_weights(ctx.now);
        seat.state = State::Absent;
        seat.wanted = (replica.queued() > 0).then_some(ctx.now);
        seat.totals.evictions += 1;
        host.free += seat.shared.footprint.0;
    }

    fn begin_load(&mut self, ctx: &mut Context<'_>, number: u32, at: usize) {
        let Hosts { configs, hosts, links } = &mut self.hosts;
        let plan = &configs[hosts[number as usize].config];
        let (node, deployment) = (hosts[number as usize].node, plan.members[at]);
        let peer = hosts.iter().position(|other| {
            let has = other.seats.get(at).is_some_and(|seat| seat.state == State::Resident);
            other.node == node && other.config == hosts[number as usize].config && has
        });
        let host = &mut hosts[number as usize];
        let seat = &mut host.seats[at];
        host.free -= seat.shared.footprint.0;
        seat.state = State::Loading(ctx.now);
        seat.wanted = None;
        seat.totals.loads += 1;
        seat.totals.bytes += u128::from(seat.shared.weights.0);
        let (replica, bytes) = (seat.replica, seat.shared.weights.0);
        host.settle(ctx.now);
        links.begin(ctx.now, (number, peer), node, (replica, deployment, bytes), plan);
        links.schedule(ctx);
    }

    /// Weights are through, or the links are shared anew.
    pub(super) fn weights(&mut self, ctx: &mut Context<'_>, generation: u32) {
        for replica in self.hosts.links.through(ctx.now, generation) {
            let host = self.replicas[replica as usize].host.map_or(0, |(host, _)| host);
            let warm_up = self.hosts.configs[self.hosts.hosts[host as usize].config].warm_up;
            ctx.after(warm_up, Event::Loaded { replica });
        }
        self.hosts.links.schedule(ctx);
    }

    /// A model is loaded: its requests begin.
    pub(super) fn loaded(&mut self, ctx: &mut Context<'_>, id: u32) {
        let Some((number, at)) = self.replicas[id as usize].host else { return };
        let host = &mut self.hosts.hosts[number as usize];
        let seat = &mut host.seats[at as usize];
        if let State::Loading(begun) = seat.state {
            seat.totals.time += u128::from(ctx.now.since(begun).as_nanos());
        }
        (seat.state, seat.since, seat.used) = (State::Resident, ctx.now, ctx.now);
        seat.worked = false;
        host.settle(ctx.now);
        let replica = &mut self.replicas[id as usize].replica;
        replica.gated = false;
        let look = if replica.queued() > 0 { replica.look_soon(ctx.now) } else { None };
        self.schedule_look(ctx, id, look);
        self.tend_soon(ctx, number);
    }

    /// What loading took, each with its deployment; loads that are not through count up to `end`.
    pub(super) fn swap_totals(&mut self, end: Instant) -> Vec<(usize, SwapTotals)> {
        let Hosts { configs, hosts, .. } = &mut self.hosts;
        let mut all = Vec::new();
        for host in hosts {
            host.settle(end);
            for (at, seat) in host.seats.iter().enumerate() {
                let mut totals = seat.totals;
                if let State::Loading(begun) = seat.state {
                    totals.time += u128::from(end.since(begun).as_nanos());
                }
                all.push((configs[host.config].members[at], totals));
            }
        }
        all
    }

    /// Tells that a replica began or ceased to compute, where its cards did so with it.
    pub(super) fn tell_busy(&mut self, ctx: &mut Context<'_>, replica: u32, busy: bool) {
        if self.computes(ctx, replica, busy) {
            ctx.tell(Effect::Busy { replica, busy });
        }
    }
}

impl Replica {
    /// So many others compute on the same cards. Returns when the replica must next be looked at, if that changed.
    fn share_with(&mut self, now: Instant, others: u32) -> Option<Instant> {
        if self.sharers == 1 + others {
            return None;
        }
        self.sharers = 1 + others;
        self.pace_changed = !self.is_idle();
        if self.pace_changed { self.look_soon(now) } else { None }
    }
}
