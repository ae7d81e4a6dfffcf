//! A deployment: its replicas, the router before them, and the queue while none is ready.

use std::collections::VecDeque;

use super::config::DeploymentConfig;
use super::request::Slot;
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
    /// Outstanding requests by place.
    requests: LoadIndex,
    /// Outstanding tokens by place, kept only for a router that looks at them.
    tokens: LoadIndex,
    router: Router,
    /// Requests that arrived while no replica was ready.
    pub(crate) unrouted: VecDeque<Slot>,
    /// Requests that wait, here and at the replicas.
    pub(crate) queued: u64,
    /// Requests in batches.
    pub(crate) running: u64,
    /// Requests rejected because they are longer than the context or than a replica's KV cache.
    pub(crate) too_long: u64,
    /// Requests turned away because their first token was predicted too late.
    pub(crate) turned_away: u64,
}

impl Deployment {
    pub(crate) fn new(config: DeploymentConfig, seed: Seed) -> Self {
        let random = seed.stream(&format!("router/{}", config.name));
        Self {
            router: Router::new(config.router, random),
            config,
            replicas: Vec::new(),
            requests: LoadIndex::new(),
            tokens: LoadIndex::new(),
            unrouted: VecDeque::new(),
            queued: 0,
            running: 0,
            too_long: 0,
            turned_away: 0,
        }
    }

    /// A replica is ready: it is given the next place.
    pub(crate) fn add_replica(&mut self, replica: u32) -> usize {
        let place = self.replicas.len();
        self.replicas.push(replica);
        self.requests.set(place, Some(0));
        self.tokens.set(place, Some(0));
        place
    }

    /// The place of the replica that the router chooses.
    pub(crate) fn route(&mut self, now: Instant) -> Option<usize> {
        let view = RouterView { requests: &self.requests, tokens: &self.tokens };
        self.router.decide(now, &view).0
    }

    /// The replica with the fewest outstanding requests, and how many; `None` when none is ready.
    pub(crate) fn least_loaded(&self) -> Option<(u32, u64)> {
        let place = self.requests.least()?;
        Some((self.replicas[place], self.requests.load(place)?))
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
