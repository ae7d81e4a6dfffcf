//! The serving room: requests come in, tokens go out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::account::{Account, TimeSpent, WaitClock};
use super::adapters::{salted, under};
use super::config::{DeploymentConfig, RequestKind, RequestTerms, StreamRoute};
use super::deployment::Deployment;
use super::front::{Gate, Responses, TenantLimits};
use super::handover::Fabric;
use super::hosts::Hosts;
use super::replica::Replica;
use super::request::{NONE, Phase, Request, Requests, Slot};
use super::speculate::Draws;
use crate::perf::StepModel;
use crate::policies::Policy as _;
use crate::policies::request_order::RequestFacts;
use crate::sim::{Ctx, Seed};
use crate::units::{Duration, Instant};

/// An event of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A replica reaches a boundary at which its batch is looked at; stale if its generation has moved on.
    Boundary {
        /// The replica.
        replica: u32,
        /// The generation for which this was scheduled.
        generation: u32,
    },
    /// An answer from a cache of responses is there.
    Answer {
        /// The request's place.
        slot: u32,
        /// The lower half of its number.
        id: u32,
    },
    /// A bulk transfer is through, or has arrived; stale if another has begun or ended since.
    Flow {
        /// The generation for which this was scheduled.
        generation: u32,
    },
    /// A host that several models share is looked at.
    Host {
        /// The host.
        host: u32,
    },
    /// Weights are through to a host; stale if others have set out or come since.
    Weights {
        /// The generation for which this was scheduled.
        generation: u32,
    },
    /// A model is loaded.
    Loaded {
        /// The replica of its deployment at the host.
        replica: u32,
    },
    /// Requests that a deployment holds may find a replica.
    Pull {
        /// The deployment.
        deployment: u32,
    },
    /// The oldest request of a stream reaches its time-out.
    TimeOut {
        /// The stream.
        stream: u16,
    },
}

/// What happened to a request in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It got all its tokens.
    Completed,
    /// It was turned away: the queue was full, or it could never fit.
    Rejected,
    /// Its client gave up.
    TimedOut,
    /// Its replica was lost, and nobody asked again.
    Failed,
    /// It is still there at the end of the run.
    InFlight,
}

/// A request that has left, with all that is to be known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Its number, from 0 in order of arrival.
    pub id: u64,
    /// The stream that it came from.
    pub stream: u16,
    /// The deployment that it went to.
    pub deployment: u32,
    /// The replica of that deployment, by place; `None` if it reached none.
    pub replica: Option<u32>,
    /// The user of a closed loop or the session of a trace.
    pub session: Option<u64>,
    /// When it came.
    pub arrival: Instant,
    /// When an iteration first worked on it.
    pub first_scheduled: Option<Instant>,
    /// When its first token was there.
    pub first_token: Option<Instant>,
    /// When it left.
    pub end: Instant,
    /// Prompt tokens.
    pub prompt: u32,
    /// Output tokens asked for.
    pub output: u32,
    /// Outputs, each of so many tokens.
    pub samples: u16,
    /// How often it was preempted, or lost its replica, and started again.
    pub retries: u16,
    /// How often its client had asked before.
    pub attempt: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What its time went to; complete where it was completed.
    pub spent: TimeSpent,
    /// Whether its answer came from a cache of responses, all of it at once.
    pub from_cache: bool,
}

/// What the world is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A request has left.
    Departed(Departure),
    /// A replica began (`true`) or ceased (`false`) to compute.
    Busy {
        /// The replica.
        replica: u32,
        /// Whether it computes now.
        busy: bool,
    },
    /// A replica that was drained or killed has nothing more to do: its cards can be given back.
    Gone {
        /// The replica.
        replica: u32,
    },
    /// The number of requests that wait or run in a deployment may have changed.
    Load {
        /// The deployment.
        deployment: u32,
    },
}

/// A request that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// Its number, from 0 in order of arrival.
    pub id: u64,
    /// The stream that it comes from.
    pub stream: u16,
    /// Prompt tokens, at least 1.
    pub prompt: u32,
    /// Output tokens, at least 1.
    pub output: u32,
    /// The user of a closed loop or the session of a trace.
    pub session: Option<u64>,
    /// How often its client has asked before.
    pub attempt: u16,
    /// The hashes of the blocks of its prompt, where they are known.
    pub hashes: Option<Arc<[u64]>>,
    /// Prompt tokens up to the end of each of these blocks; `None` when all are of the deployment's size.
    pub ends: Option<Arc<[u32]>>,
    /// The hash under which its answer is kept, where a later prompt may contain it.
    pub answer: Option<u64>,
    /// Its session waits for a tool then and comes back: blocks, from the first, that are not the session's own.
    pub pause: Option<u32>,
}

/// Time-outs of one stream: the same for all its requests, so the oldest is due first.
#[derive(Debug, Default)]
pub(super) struct TimeOuts {
    after: Option<Duration>,
    pub(super) pending: VecDeque<(Instant, Slot, u64)>,
}

/// The serving room.
#[derive(Debug)]
pub struct Serving {
    pub(super) requests: Requests,
    pub(super) deployments: Vec<Deployment>,
    pub(super) replicas: Vec<Member>,
    pub(super) fabric: Fabric,
    pub(super) hosts: Hosts,
    pub(super) time_outs: Vec<TimeOuts>,
    /// The deployments that serve each stream, and on what terms.
    pub(super) routes: Vec<(Vec<usize>, RequestTerms)>,
    /// For each stream, from how many requests on the next deployment is taken.
    pub(super) spill_over: Vec<Option<u32>>,
    /// The cache of responses of each stream, where it has one.
    pub(super) caches: Vec<Option<Responses>>,
    /// Rate limits by tenant, and how many requests each turned away.
    pub(super) gates: Vec<(Gate, u64)>,
    pub(super) seed: Seed,
    finished: Vec<Slot>,
    plain: bool,
}

/// A replica and where it belongs.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) replica: Replica,
    pub(super) deployment: u32,
    pub(super) place: u32,
    pub(super) option: usize,
    pub(super) busy: bool,
    pub(super) standing: Standing,
    /// Requests sent to it.
    pub(super) sent: u64,
    /// KV caches on their way to it.
    pub(super) arriving: u32,
    /// The host that it shares, and its place there.
    pub(super) host: Option<(u32, u32)>,
    /// When it began to compute last, and for how long it had before.
    busy_since: Instant,
    busy_before: Duration,
    /// Output tokens of the requests that it completed.
    pub(super) output_tokens: u64,
    /// Images that it made.
    pub(super) images: u64,
    /// What left the cloud for them.
    pub(super) bytes_out: u128,
}

impl Member {
    /// For how long it has computed.
    pub(super) fn busy_time(&self, now: Instant) -> Duration {
        let now = if self.busy { now.since(self.busy_since) } else { Duration::ZERO };
        self.busy_before + now
    }
}

/// Where a replica is in its life, once it has been ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes requests.
    Ready,
    /// It takes no more requests, and ends what it has.
    Draining,
    /// It is no more.
    Gone,
}

pub(super) type Context<'a> = Ctx<'a, Event, Effect>;

impl Serving {
    /// The room before the first event, with the route of each stream. With `plain` every iteration is an
    /// event of its own.
    pub fn new(
        deployments: Vec<DeploymentConfig>,
        routes: Vec<StreamRoute>,
        tenants: &[TenantLimits],
        seed: Seed,
        plain: bool,
    ) -> Self {
        let caches = routes.iter().map(|route| {
            let random = || seed.stream(&format!("responses/{}", route.name));
            route.cache.as_ref().map(|cache| Responses::new(cache, random()))
        });
        let after: Vec<_> = routes.iter().map(|route| route.timeout).collect();
        Self {
            requests: Requests::default(),
            deployments: deployments.into_iter().map(|config| Deployment::new(config, seed)).collect(),
            replicas: Vec::new(),
            fabric: Fabric::default(),
            hosts: Hosts::default(),
            time_outs: after.into_iter().map(|after| TimeOuts { after, ..TimeOuts::default() }).collect(),
            spill_over: vec![None; routes.len()],
            caches: caches.collect(),
            gates: tenants.iter().map(|limits| (Gate::new(limits), 0)).collect(),
            seed,
            routes: routes.into_iter().map(|route| (route.deployments, route.terms)).collect(),
            finished: Vec::new(),
            plain,
        }
    }

    /// A replica of `deployment` is ready on its `option`-th option. Returns its number.
    pub fn add_replica(&mut self, ctx: &mut Context<'_>, deployment: usize, option: usize) -> u32 {
        let id = self.replicas.len() as u32;
        let owner = &mut self.deployments[deployment];
        let replica =
            Replica::new(id, &owner.config, option, WaitClock::new(ctx.now, owner.expecting), self.plain);
        let place = owner.add_replica(ctx.now, id, owner.config.options[option].kv_blocks) as u32;
        let mut replica = replica;
        replica.first_tokens = owner.latencies.is_some().then(Vec::new);
        self.replicas.push(Member {
            replica,
            deployment: deployment as u32,
            place,
            option,
            busy: false,
            standing: Standing::Ready,
            sent: 0,
            arriving: 0,
            host: None,
            busy_since: ctx.now,
            busy_before: Duration::ZERO,
            output_tokens: 0,
            images: 0,
            bytes_out: 0,
        });
        self.plan_pull(ctx, deployment as u32);
        id
    }

    /// Iterations of a replica last as this says from its next one on.
    pub fn set_step(&mut self, ctx: &mut Context<'_>, replica: u32, step: StepModel) {
        let look = self.replicas[replica as usize].replica.set_step(ctx.now, step);
        self.schedule_look(ctx, replica, look);
    }

    /// The deployment and the option of a replica.
    pub fn placement(&self, replica: u32) -> (usize, usize) {
        let member = &self.replicas[replica as usize];
        (member.deployment as usize, member.option)
    }

    /// Requests that wait and run in a deployment.
    pub fn load(&self, deployment: u32) -> (u64, u64) {
        let deployment = &self.deployments[deployment as usize];
        (deployment.queued, deployment.running)
    }

    /// A request arrives.
    pub fn arrive(&mut self, ctx: &mut Context<'_>, new: NewRequest) {
        let home = self.choose_deployment(new.stream);
        let (prompt, output) = (new.prompt.max(1), new.output.max(1));
        let (deployment, stop) = self.first_part(home, prompt, output);
        let config = &self.deployments[deployment as usize].config;
        let keeps_prefixes = config.prefix_tokens.is_some();
        let terms = self.routes[usize::from(new.stream)].1;
        let (prompt, output, stop, pixels) = match terms.kind {
            RequestKind::Generate => (prompt, output, stop, 0),
            RequestKind::Embed => (prompt, 0, 0, 0),
            RequestKind::Image(image) => (1, image.steps.max(1), image.steps.max(1), image.pixels),
        };
        let decoder = &self.deployments[home as usize].config;
        let draws = decoder
            .speculation
            .filter(|_| output > 0)
            .map(|speculation| Box::new(Draws::new(speculation, self.seed, &decoder.name, new.id)));
        let request = Request {
            id: new.id,
            arrival: ctx.now,
            first_scheduled: None,
            first_token: None,
            session: new.session,
            hashes: new.hashes.filter(|_| keeps_prefixes).map(|hashes| under(hashes, terms.adapter)),
            ends: new.ends,
            answer: new.answer.filter(|_| keeps_prefixes).map(|answer| match terms.adapter {
                Some(adapter) => salted(answer, adapter),
                None => answer,
            }),
            shared: 0,
            pause: new.pause.filter(|_| keeps_prefixes).map(|texts| (terms.paused_kv, texts)),
            stream: new.stream,
            retries: 0,
            home,
            attempt: new.attempt,
            tenant: terms.tenant,
            adapter: terms.adapter,
            preemptible: terms.preemptible,
            key: 0,
            samples: if output > 0 { terms.samples.max(1) } else { 1 },
            sample: 0,
            parent: NONE,
            group: None,
            question: None,
            draws,
            swapped: 0,
            deployment,
            replica: NONE,
            prompt,
            output,
            pixels,
            stop: stop.min(output),
            received: 0,
            held: None,
            generated: 0,
            prefilled: 0,
            phase: Phase::Waiting,
            abandoned_in: Phase::Waiting,
            joined_at: 0,
            joined_context: 0,
            growing: false,
            finishes_at: 0,
            account: Account::new(),
            before: NONE,
            after: NONE,
        };
        let slot = self.requests.insert(request);
        self.set_key(slot);
        self.deployments[deployment as usize].gauge.arrived += 1;
        if !self.pass_front(ctx, slot) {
            return;
        }
        let time_outs = &mut self.time_outs[usize::from(new.stream)];
        if let Some(after) = time_outs.after {
            let at = ctx.now.saturating_add(after);
            if time_outs.pending.is_empty() {
                ctx.at(at, Event::TimeOut { stream: new.stream });
            }
            time_outs.pending.push_back((at, slot, new.id));
        }
        match self.requests[slot].samples {
            1 => self.send(ctx, slot),
            _ => self.fan_out(ctx, slot),
        }
    }

    /// Where a request stands in the order of the deployment that it is at.
    pub(super) fn set_key(&mut self, slot: Slot) {
        let request = &mut self.requests[slot];
        let terms = self.routes[usize::from(request.stream)].1;
        let facts = RequestFacts {
            arrival: request.arrival,
            prompt: request.prompt,
            output: request.output.max(1),
            priority: terms.priority,
            deadline: terms.deadline.map_or(Instant::MAX, |within| request.arrival.saturating_add(within)),
        };
        let mut order = self.deployments[request.deployment as usize].config.batching.order;
        request.key = order.decide(request.arrival, &facts).0;
    }

    /// Handles one of this room's events.
    pub fn handle(&mut self, ctx: &mut Context<'_>, event: Event) {
        match event {
            Event::Boundary { replica, generation } => {
                if self.replicas[replica as usize].replica.generation == generation {
                    self.look(ctx, replica);
                }
            }
            Event::Flow { generation } => self.flow(ctx, generation),
            Event::Pull { deployment } => self.pull(ctx, deployment),
            Event::Host { host } => self.tend(ctx, host),
            Event::Weights { generation } => self.weights(ctx, generation),
            Event::Loaded { replica } => self.loaded(ctx, replica),
            Event::TimeOut { stream } => self.time_out(ctx, stream),
            Event::Answer { slot, .. } => {
                self.requests[slot].first_token = Some(ctx.now);
                self.requests[slot].account.close(ctx.now);
                self.depart(ctx, slot, Outcome::Completed);
            }
        }
    }

    /// Among several deployments of a stream, the one whose least loaded replica has the fewest outstanding
    /// requests, the first of several; one whose queue there is full only when all are.
    pub(super) fn choose_deployment(&self, stream: u16) -> u32 {
        let most = self.spill_over[usize::from(stream)];
        if let Some(deployment) = most.and_then(|_| self.first_with_room(stream, most)) {
            return deployment as u32;
        }
        match self.routes[usize::from(stream)].0.as_slice() {
            [only] => *only as u32,
            several => several.iter().copied().min_by_key(|d| self.least_load(*d)).unwrap_or(0) as u32,
        }
    }

    /// Whether the queue of a deployment's least loaded replica is full, and the requests there.
    fn least_load(&self, deployment: usize) -> (bool, u64) {
        let owner = &self.deployments[deployment];
        let Some((replica, load)) = owner.least_loaded() else { return (true, u64::MAX) };
        let queued = self.replicas[replica as usize].replica.queued();
        (owner.config.max_queued_requests.is_some_and(|most| queued >= most), load)
    }

    /// The first of a stream's deployments with a replica whose queue is not full and that has fewer than so many
    /// requests.
    pub(super) fn first_with_room(&self, stream: u16, most: Option<u32>) -> Option<usize> {
        self.routes[usize::from(stream)].0.iter().copied().find(|deployment| {
            let (full, requests) = self.least_load(*deployment);
            !full && most.is_none_or(|most| requests < u64::from(most))
        })
    }

    /// Routes a request to a replica, or rejects it, or keeps it while no replica is ready.
    pub(super) fn send(&mut self, ctx: &mut Context<'_>, slot: Slot) {
        let (deployment, tokens) = (self.requests[slot].deployment, self.requests[slot].tokens());
        let owner = &mut self.deployments[deployment as usize];
        if owner.config.max_context.is_some_and(|most| tokens > u64::from(most)) {
            owner.too_long += 1;
            return self.depart(ctx, slot, Outcome::Rejected);
        }
        let routed = if !owner.unrouted.is_empty() {
            None
        } else if owner.config.shared.is_some() {
            self.place_on_hosts(deployment)
        } else {
            owner.route(ctx.now, &self.requests[slot])
        };
        let owner = &mut self.deployments[deployment as usize];
        let Some(place) = routed else {
            owner.hold(ctx.now, slot, &mut self.requests[slot]);
            owner.queued += 1;
            ctx.tell(Effect::Load { deployment });
            return;
        };
        self.send_to(ctx, slot, place);
    }

    /// Sends a request to the replica at a place of its deployment, or rejects it.
    pub(super) fn send_to(&mut self, ctx: &mut Context<'_>, slot: Slot, place: usize) {
        let (deployment, tokens) = (self.requests[slot].deployment, self.requests[slot].tokens());
        let part = self.requests[slot].stop < self.requests[slot].output;
        let owner = &mut self.deployments[deployment as usize];
        let id = owner.replicas[place];
        let moves = self.requests[slot].held.is_some();
        // Who is handed over was let in when it came.
        let most_queued = owner.config.max_queued_requests.filter(|_| !moves);
        let replica = &mut self.replicas[id as usize].replica;
        // The last output token is never fed back, so it takes no room in the cache.
        let last = u64::from(self.requests[slot].output.min(1));
        let needed = if part { u64::from(self.requests[slot].prompt) } else { tokens - last };
        let too_long = !replica.batch.kv.can_ever_hold(needed);
        if too_long || most_queued.is_some_and(|most| replica.queued() >= most) {
            owner.too_long += u64::from(too_long);
            return self.depart(ctx, slot, Outcome::Rejected);
        }
        if let Some(most) = owner.config.max_predicted_ttft.filter(|_| !moves)
            && replica.predicted_ttft(ctx.now, self.requests[slot].prompt, &self.requests) > most
        {
            owner.turned_away += 1;
            return self.depart(ctx, slot, Outcome::Rejected);
        }
        self.requests[slot].replica = id;
        self.replicas[id as usize].sent += 1;
        owner.add_load(place, tokens);
        if moves {
            self.set_out(ctx, slot, id);
            ctx.tell(Effect::Load { deployment });
            return;
        }
        owner.queued += 1;
        let look = self.replicas[id as usize].replica.enqueue(ctx.now, slot, &mut self.requests);
        self.schedule_look(ctx, id, look);
        self.want(ctx, id);
        ctx.tell(Effect::Load { deployment });
    }

    /// Looks at a replica's batch.
    fn look(&mut self, ctx: &mut Context<'_>, id: u32) {
        let member = &mut self.replicas[id as usize];
        let deployment = member.deployment;
        let (queued, running) = (member.replica.queued(), member.replica.running());
        let mut finished = std::mem::take(&mut self.finished);
        let owner = &mut self.deployments[deployment as usize];
        member.replica.batch.kv.remote = owner.remote.take();
        let look = member.replica.look(ctx.now, &mut self.requests, &mut finished);
        owner.remote = member.replica.batch.kv.remote.take();
        owner.queued = owner.queued + u64::from(member.replica.queued()) - u64::from(queued);
        owner.running = owner.running + u64::from(member.replica.running()) - u64::from(running);
        let busy = !member.replica.is_idle();
        if busy != member.busy {
            if busy {
                member.busy_since = ctx.now;
            } else {
                member.busy_before = member.busy_time(ctx.now);
            }
            member.busy = busy;
            self.tell_busy(ctx, id, busy);
        }
        let member = &mut self.replicas[id as usize];
        let owner = &mut self.deployments[deployment as usize];
        if let (Some(latencies), Some(first)) = (&mut owner.latencies, &mut member.replica.first_tokens) {
            latencies.ttft.append(first);
        }
        self.schedule_look(ctx, id, look);
        for slot in finished.drain(..) {
            match self.requests[slot].phase {
                Phase::Between => self.hand_over(ctx, slot),
                Phase::Abandoned => self.requests.remove(slot),
                _ => self.depart(ctx, slot, Outcome::Completed),
            }
        }
        self.finished = finished;
        self.leave_if_drained(ctx, id);
        ctx.tell(Effect::Load { deployment });
    }

    pub(super) fn schedule_look(&self, ctx: &mut Context<'_>, replica: u32, look: Option<Instant>) {
        if let Some(at) = look {
            let generation = self.replicas[replica as usize].replica.generation;
            ctx.at(at, Event::Boundary { replica, generation });
        }
    }
}
