//! Prefill/decode disaggregation: which requests are cut, and the KV caches on their way.
//!
//! A prompt is processed at a prefill replica, whose first token ends its part; its KV cache then flows to a decode
//! replica, and the request joins that replica's batch when the cache is there and has room. The prefill replica keeps
//! the blocks until they are read. The cache waits for room beside the decode replica's cards, as in Mooncake, which
//! streams it into the decode node's memory (Qin et al., FAST 2025, section 3); the first token counts as answered
//! when the prompt is processed, as in DistServe (Zhong et al., OSDI 2024, section 2.1).

use super::account::TimeCause;
use super::config::{Handover, ReplicaLinks, Role};
use super::request::{NONE, Phase, Slot};
use super::room::{Context, Effect, Event, Serving, Standing};
use crate::topology::{Flows, LinkId};
use crate::units::{Bytes, BytesPerSecond, Duration, Instant};

/// A KV cache on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    slot: Slot,
    from: u32,
    to: u32,
    begun: Instant,
    bytes: u64,
    latency: Duration,
}

/// The links of a replica, in both directions.
#[derive(Debug, Clone, Copy)]
struct Port {
    out: LinkId,
    into: LinkId,
}

/// What was handed over within a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandoverTotals {
    /// Requests whose KV cache left a prefill replica.
    pub sent: u64,
    /// Those whose KV cache has arrived.
    pub received: u64,
    /// Bytes that left, arrived, and are on their way.
    pub bytes_sent: u128,
    /// Bytes that have arrived.
    pub bytes_received: u128,
    /// Bytes on their way.
    pub bytes_moving: u128,
    /// Transfers that ended with one of the replicas, and their bytes.
    pub lost: u64,
    /// Bytes of those.
    pub bytes_lost: u128,
    /// How long those that arrived were on their way, added up.
    pub time: u128,
    /// Requests whose prompt stayed at a decode replica.
    pub local: u64,
}

/// The fabric as bulk transfers see it.
#[derive(Debug, Default)]
pub(super) struct Fabric {
    flows: Flows<Moving>,
    /// By replica: where it is, its own links, and those of its hand-over.
    places: Vec<Option<Place>>,
    /// The networks of nodes, by pool and node.
    nodes: std::collections::BTreeMap<(u16, u32), Port>,
    /// Transfers that are through and not yet known where they went to, in order of that time.
    landed: std::collections::BTreeMap<(Instant, u64), Moving>,
    landings: u64,
    generation: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    node: (u16, u32),
    up: Port,
    network: Port,
    own: Option<Port>,
}

impl Fabric {
    fn port(&mut self, capacity: BytesPerSecond) -> Port {
        Port { out: self.flows.add_link(capacity), into: self.flows.add_link(capacity) }
    }

    fn locate(&mut self, replica: u32, node: (u16, u32), links: ReplicaLinks, own: Option<BytesPerSecond>) {
        let network = match self.nodes.get(&node) {
            Some(port) => *port,
            None => {
                let port = self.port(links.scale_out);
                self.nodes.insert(node, port);
                port
            }
        };
        let place =
            Place { node, up: self.port(links.scale_up), network, own: own.map(|own| self.port(own)) };
        let index = replica as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        self.places[index] = Some(place);
    }

    /// The links from one replica to another.
    fn path(&self, from: u32, to: u32) -> Vec<LinkId> {
        let place = |replica: u32| self.places.get(replica as usize).copied().flatten();
        let (Some(from), Some(to)) = (place(from), place(to)) else { return Vec::new() };
        match (from.own, to.own) {
            (Some(from), Some(to)) => vec![from.out, to.into],
            _ if from.node == to.node => vec![from.up.out, to.up.into],
            _ => vec![from.network.out, to.network.into],
        }
    }
}

impl Serving {
    /// Says where the replica that is added next will be: its pool and node. Bulk transfers from and to it go over
    /// that node's links.
    pub fn locate_next(&mut self, deployment: usize, option: usize, pool: u16, node: u32) {
        let replica = self.replicas.len() as u32;
        let config = &self.deployments[deployment].config;
        let own = match config.role {
            Role::Whole => return,
            Role::Decode(handover) => handover.bandwidth,
            Role::Prefill { decode } => match self.deployments[decode].config.role {
                Role::Decode(handover) => handover.bandwidth,
                _ => None,
            },
        };
        if let Some(links) = config.options[option].links {
            self.fabric.locate(replica, (pool, node), links, own);
        }
    }

    /// The deployment at which a request begins, and how many tokens it gets there.
    pub(super) fn first_part(&mut self, home: u32, prompt: u32, output: u32) -> (u32, u32) {
        let Role::Decode(handover) = self.deployments[home as usize].config.role else {
            return (home, output);
        };
        let Handover { prefill, max_local_prefill, max_prefill_queue, .. } = handover;
        let crowded =
            max_prefill_queue.is_some_and(|most| self.deployments[prefill].queued >= u64::from(most));
        // Whom no decode replica could hold is turned away there, before anything is done for it.
        let needed = u64::from(prompt) + u64::from(output) - 1;
        let mut options = self.deployments[home as usize].config.options.iter();
        let fits =
            options.any(|option| option.kv_blocks.saturating_mul(u64::from(option.block_tokens)) >= needed);
        if !fits {
            return (home, output);
        }
        if prompt <= max_local_prefill || crowded {
            self.deployments[home as usize].handed.local += 1;
            return (home, output);
        }
        (prefill as u32, 1)
    }

    /// A prompt is processed: the request goes to where it is decoded.
    pub(super) fn hand_over(&mut self, ctx: &mut Context<'_>, slot: Slot) {
        self.release_load(ctx, slot);
        let request = &mut self.requests[slot];
        request.phase = Phase::Moving;
        request.stop = request.output;
        request.received = request.prompt;
        request.deployment = request.home;
        request.replica = NONE;
        self.deployments[self.requests[slot].home as usize].gauge.arrived += 1;
        self.set_key(slot);
        self.send(ctx, slot);
    }

    /// A decode replica is chosen: the KV cache sets out.
    pub(super) fn set_out(&mut self, ctx: &mut Context<'_>, slot: Slot, to: u32) {
        let (deployment, prompt) = (self.requests[slot].deployment, self.requests[slot].prompt);
        let owner = &mut self.deployments[deployment as usize];
        let (Role::Decode(handover), Some((from, _))) = (owner.config.role, self.requests[slot].held) else {
            return;
        };
        let option = self.replicas[to as usize].option;
        let kv = owner.config.options[option].links.map_or(Bytes(0), |links| links.kv_per_token);
        let bytes = kv.0.saturating_mul(u64::from(prompt));
        self.requests[slot].phase = Phase::Moving;
        self.requests[slot].account.begin(ctx.now, TimeCause::Transfer);
        self.replicas[to as usize].arriving += 1;
        owner.queued += 1;
        owner.handed.sent += 1;
        owner.handed.bytes_sent += u128::from(bytes);
        let moving = Moving { slot, from, to, begun: ctx.now, bytes, latency: handover.latency };
        let path = self.fabric.path(from, to);
        self.fabric.flows.begin(ctx.now, moving, bytes, path);
        self.schedule_flows(ctx);
    }

    /// Something on the links is through, or known where it went to.
    pub(super) fn flow(&mut self, ctx: &mut Context<'_>, generation: u32) {
        if self.fabric.generation != generation {
            return;
        }
        for moving in self.fabric.flows.through(ctx.now) {
            let at = ctx.now.saturating_add(moving.latency);
            self.fabric.landed.insert((at, self.fabric.landings), moving);
            self.fabric.landings += 1;
            self.let_go(ctx, moving.slot);
        }
        while let Some((at, _)) = self.fabric.landed.first_key_value().map(|(key, _)| *key)
            && at <= ctx.now
            && let Some((_, moving)) = self.fabric.landed.pop_first()
        {
            self.land(ctx, moving);
        }
        self.schedule_flows(ctx);
    }

    /// Bytes that are on their way to a deployment.
    pub(super) fn bytes_moving(&self, deployment: u32) -> u128 {
        let moving = self.fabric.flows.under_way().chain(self.fabric.landed.values());
        let mine = moving.filter(|moving| self.requests[moving.slot].deployment == deployment);
        mine.map(|moving| u128::from(moving.bytes)).sum()
    }

    /// The next event of the links. Nothing is through at the instant at which it began, so that whoever is looked
    /// at in that instant has been.
    fn schedule_flows(&mut self, ctx: &mut Context<'_>) {
        let landing = self.fabric.landed.first_key_value().map(|((at, _), _)| *at);
        let next = [self.fabric.flows.next(), landing].into_iter().flatten().min();
        self.fabric.generation = self.fabric.generation.wrapping_add(1);
        if let Some(at) = next {
            let generation = self.fabric.generation;
            let soonest = ctx.now.saturating_add(Duration::from_nanos(1));
            ctx.at(at.max(soonest), Event::Flow { generation });
        }
    }

    /// The blocks that a prefill replica keeps for a request are read, or will not be.
    pub(super) fn let_go(&mut self, ctx: &mut Context<'_>, slot: Slot) {
        if let Some((from, blocks)) = self.requests[slot].held.take()
            && self.replicas[from as usize].standing != Standing::Gone
        {
            let look = self.replicas[from as usize].replica.let_go(ctx.now, blocks);
            self.schedule_look(ctx, from, look);
        }
    }

    /// A KV cache has arrived.
    fn land(&mut self, ctx: &mut Context<'_>, moving: Moving) {
        let Moving { slot, to, begun, bytes, .. } = moving;
        let request = &mut self.requests[slot];
        let deployment = request.deployment;
        self.replicas[to as usize].arriving -= 1;
        let owner = &mut self.deployments[deployment as usize];
        owner.handed.received += 1;
        owner.handed.bytes_received += u128::from(bytes);
        owner.handed.time += u128::from(ctx.now.since(begun).as_nanos());
        if request.phase == Phase::Abandoned {
            self.requests.remove(slot);
            return self.leave_if_drained(ctx, to);
        }
        request.account.close(ctx.now);
        request.phase = Phase::Waiting;
        let look = self.replicas[to as usize].replica.enqueue(ctx.now, slot, &mut self.requests);
        self.schedule_look(ctx, to, look);
    }

    /// A replica is gone: what was on its way to it is lost, and what was read from it.
    pub(super) fn break_off(&mut self, ctx: &mut Context<'_>, replica: u32) {
        let mut broken =
            self.fabric.flows.break_off(ctx.now, |moving| moving.from == replica || moving.to == replica);
        let landed = std::mem::take(&mut self.fabric.landed);
        // What is through is on its way to be known: its source may go.
        let (lost, kept): (Vec<_>, Vec<_>) = landed.into_iter().partition(|(_, moving)| moving.to == replica);
        self.fabric.landed = kept.into_iter().collect();
        broken.extend(lost.into_iter().map(|(_, moving)| moving));
        for moving in &broken {
            let request = &mut self.requests[moving.slot];
            let owner = &mut self.deployments[request.deployment as usize];
            owner.handed.lost += 1;
            owner.handed.bytes_lost += u128::from(moving.bytes);
            self.replicas[moving.to as usize].arriving -= 1;
            if request.phase != Phase::Abandoned {
                owner.queued -= 1;
                request.account.close(ctx.now);
                request.phase = Phase::Between;
            }
        }
        // Those that wait for a decode replica with their cache here.
        let mut stranded: Vec<Slot> = Vec::new();
        for owner in &mut self.deployments {
            if !matches!(owner.config.role, Role::Decode(_)) {
                continue;
            }
            let (here, others): (Vec<Slot>, Vec<Slot>) = owner
                .unrouted
                .drain(..)
                .partition(|slot| self.requests[*slot].held.is_some_and(|(from, _)| from == replica));
            owner.unrouted = others.into();
            for slot in here {
                let request = &mut self.requests[slot];
                owner.end_hold(ctx.now, request);
                if request.phase != Phase::Abandoned {
                    owner.queued -= 1;
                    request.phase = Phase::Between;
                }
                stranded.push(slot);
            }
        }
        if broken.is_empty() && stranded.is_empty() {
            return;
        }
        self.schedule_flows(ctx);
        for slot in broken.iter().map(|moving| moving.slot).chain(stranded) {
            self.let_go(ctx, slot);
            if self.requests[slot].phase == Phase::Between {
                self.release_load(ctx, slot);
            }
            let deployment = self.requests[slot].deployment;
            ctx.tell(Effect::Load { deployment });
            let then = self.deployments[deployment as usize].config.lifecycle.drain.then;
            self.send_on(ctx, slot, then);
        }
        for moving in &broken {
            self.leave_if_drained(ctx, moving.to);
        }
    }
}
