//! A deployment: its replicas, the router before them, and the queue while none is ready.

use std::collections::{BTreeSet, VecDeque};

use super::account::{TimeCause, WaitClock};
use super::affinity::SentPrefixes;
use super::config::DeploymentConfig;
use super::gauges::{DeploymentGauge, Latencies};
use super::handover::HandoverTotals;
use super::request::{Request, Slot};
use super::tiers::Kept;
use crate::policies::Policy as _;
use crate::policies::router::{LoadIndex, Router, RouterView};
use crate::sim::Seed;
use crate::units::Instant;

/// A model served somewhere, as it runs.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) config: DeploymentConfig,
    /// Its replicas, by place in the load indices; each is an index into the room's replicas.
    pub(crate) replicas: Vec<u32>,
    /// Places whose replica is gone.
    vacant: BTreeSet<usize>,
    /// Outstanding requests by place.
    requests: LoadIndex,
    /// Outstanding tokens by place, kept only for a router that looks at them.
    tokens: LoadIndex,
    router: Router,
    /// What was sent where, kept only for a router that looks at it.
    sent: SentPrefixes,
    /// Requests that arrived while no replica was ready, and those behind them until all have found one.
    pub(crate) unrouted: VecDeque<Slot>,
    /// Why those wait, and whether replicas are on the way.
    pub(crate) waits: WaitClock,
    pub(crate) expecting: bool,
    /// Whether these are about to be looked at.
    pub(crate) pulls: bool,
    /// What its replicas have put into storage.
    pub(crate) remote: Option<Box<Kept>>,
    /// What it counts for whoever scrapes it.
    pub(crate) gauge: DeploymentGauge,
    /// Latencies, while somebody collects them.
    pub(crate) latencies: Option<Latencies>,
    /// Requests that wait, here and at the replicas.
    pub(crate) queued: u64,
    /// Requests in batches.
    pub(crate) running: u64,
    /// Requests rejected because they are longer than the context or than a replica's KV cache.
    pub(crate) too_long: u64,
    /// Requests turned away because their first token was predicted too late.
    pub(crate) turned_away: u64,
    /// What was handed over to its replicas.
    pub(crate) handed: HandoverTotals,
}

impl Deployment {
    pub(crate) fn new(config: DeploymentConfig, seed: Seed) -> Self {
        let random = seed.stream(&format!("router/{}", config.name));
        Self {
            router: Router::new(config.router, random),
            remote: config.options.first().and_then(|option| option.links?.tiers.remote).map(Kept::new),
            config,
            replicas: Vec::new(),
            sent: SentPrefixes::default(),
            vacant: BTreeSet::new(),
            requests: LoadIndex::new(),
            tokens: LoadIndex::new(),
            unrouted: VecDeque::new(),
            waits: WaitClock::new(Instant::ZERO, false),
            expecting: false,
            pulls: false,
            gauge: DeploymentGauge::default(),
            latencies: None,
            queued: 0,
            running: 0,
            too_long: 0,
            turned_away: 0,
            handed: HandoverTotals::default(),
        }
    }

    /// A replica is ready: it is given the first place that nobody has.
    pub(crate) fn add_replica(&mut self, now: Instant, replica: u32, kv_blocks: u64) -> usize {
        let place = self.vacant.pop_first().unwrap_or(self.replicas.len());
        if place == self.replicas.len() {
            self.replicas.push(replica);
        }
        self.replicas[place] = replica;
        self.sent.add(place, kv_blocks);
        self.requests.set(place, Some(0));
        self.tokens.set(place, Some(0));
        self.settle_waits(now);
        place
    }

    /// Keeps a request until a replica has room.
    pub(crate) fn hold(&mut self, now: Instant, slot: Slot, request: &mut Request) {
        self.settle_waits(now);
        request.account.wait_settled(&self.waits);
        self.unrouted.push_back(slot);
    }

    /// The first of those is kept no more.
    pub(crate) fn let_out(&mut self, now: Instant, request: &mut Request) {
        self.end_hold(now, request);
        self.unrouted.pop_front();
    }

    /// A request that was kept is so no more.
    pub(crate) fn end_hold(&mut self, now: Instant, request: &mut Request) {
        self.settle_waits(now);
        request.account.end_wait(&self.waits);
    }

    /// From `now` on replicas are on the way, or none are.
    pub(crate) fn expect(&mut self, now: Instant, expecting: bool) {
        self.settle_waits(now);
        self.expecting = expecting;
        self.waits.expect(now, expecting);
    }

    /// Whoever is held waits for a replica to start, unless one is ready and none is on the way.
    pub(crate) fn settle_waits(&mut self, now: Instant) {
        self.waits.settle(now);
        let ready = self.requests.least().is_some();
        self.waits.block(Some(if ready { TimeCause::BatchSlot } else { TimeCause::Starting }));
    }

    /// The replica at `place` takes no more requests.
    pub(crate) fn retire(&mut self, now: Instant, place: usize) {
        self.requests.set(place, None);
        self.tokens.set(place, None);
        self.settle_waits(now);
    }

    /// The replica at `place`, retired before, is gone.
    pub(crate) fn vacate(&mut self, place: usize) {
        self.vacant.insert(place);
    }

    /// The place of the replica that the router chooses.
    pub(crate) fn route(&mut self, now: Instant, request: &Request) -> Option<usize> {
        let size = u64::from(self.config.prefix_tokens.unwrap_or(0));
        let knows_prefixes = self.router.knows_prefixes() && size > 0;
        if knows_prefixes {
            self.sent.look_up(request, size);
        }
        let view = RouterView {
            requests: &self.requests,
            tokens: &self.tokens,
            session: request.session,
            prompt: request.prompt,
            overlaps: &self.sent.overlaps,
        };
        let place = self.router.decide(now, &view).0?;
        if knows_prefixes {
            let block_tokens = u64::from(self.config.options[0].block_tokens.max(1));
            self.sent.sent(place, request, size, block_tokens);
        }
        Some(place)
    }

    /// The replica with the fewest outstanding requests, and how many; `None` when none is ready.
    pub(crate) fn least_loaded(&self) -> Option<(u32, u64)> {
        let place = self.requests.least()?;
        Some((self.replicas[place], self.requests.load(place)?))
    }

    /// Outstanding requests of the replica at `place`.
    pub(crate) fn load_at(&self, place: usize) -> u64 {
        self.requests.load(place).unwrap_or(u64::MAX)
    }

    /// A request with so many tokens was sent to the replica at `place`.
    pub(crate) fn add_load(&mut self, place: usize, tokens: u64) {
        if let Some(requests) = self.requests.load(place) {
            self.requests.set(place, Some(requests + 1));
        }
        if self.router.counts_tokens()
            && let Some(outstanding) = self.tokens.load(place)
        {
            self.tokens.set(place, Some(outstanding + tokens));
        }
    }

    /// That request has left it.
    pub(crate) fn remove_load(&mut self, place: usize, tokens: u64) {
        if let Some(requests) = self.requests.load(place) {
            self.requests.set(place, Some(requests - 1));
        }
        if self.router.counts_tokens()
            && let Some(outstanding) = self.tokens.load(place)
        {
            self.tokens.set(place, Some(outstanding - tokens));
        }
    }
}
