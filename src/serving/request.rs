//! A request in flight.

use std::sync::Arc;

use super::account::Account;
use super::config::PausedKv;
use super::group::Group;
use super::speculate::Draws;
use crate::units::Instant;

/// A request's place in the table of requests in flight.
pub(crate) type Slot = u32;

/// No request.
pub(crate) const NONE: Slot = Slot::MAX;

/// Where a request is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In a replica's waiting queue, or in its deployment's while no replica is ready.
    Waiting,
    /// Its KV cache is on the way from one replica to another.
    Moving,
    /// In the batch, its prompt not yet processed whole.
    Prefill,
    /// In the batch, one token an iteration.
    Decode,
    /// Its client has gone; it leaves the batch or the queue when that is next looked at.
    Abandoned,
    /// Between two replicas, in the hands of whoever sends it on.
    Between,
    /// Waits for its outputs, each of which is a request of its own.
    Group,
    /// Answered from the cache of responses; it leaves when the answer is there.
    Cached,
    /// It has got its last token.
    Done,
}

/// A request in flight.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) arrival: Instant,
    /// When an iteration first worked on it.
    pub(crate) first_scheduled: Option<Instant>,
    /// When its first output token was there.
    pub(crate) first_token: Option<Instant>,
    pub(crate) session: Option<u64>,
    /// The hashes of its prompt's blocks, where they are known and the deployment keeps prefixes.
    pub(crate) hashes: Option<Arc<[u64]>>,
    /// Prompt tokens up to the end of each of these blocks; `None` when all are of the deployment's size.
    pub(crate) ends: Option<Arc<[u32]>>,
    /// The hash under which its answer is kept, where a later prompt may contain it.
    pub(crate) answer: Option<u64>,
    /// How many of them, from the first, it shares in the cache.
    pub(crate) shared: u32,
    /// Its session waits for a tool then: what becomes of its KV cache, and how many blocks are not its own.
    pub(crate) pause: Option<(PausedKv, u32)>,
    pub(crate) stream: u16,
    pub(crate) retries: u16,
    /// The deployment that its stream sent it to, and the one that it is at: its prefill replicas, say.
    pub(crate) home: u32,
    pub(crate) attempt: u16,
    /// Whose request it is, by number.
    pub(crate) tenant: u16,
    /// Whether a more urgent request may take its place in the batch.
    /// The adapter that it wants, by number.
    pub(crate) adapter: Option<u16>,
    pub(crate) preemptible: bool,
    /// Its place in the deployment's order: the smallest goes first.
    pub(crate) key: u64,
    /// Outputs that it wants.
    pub(crate) samples: u16,
    /// Of one of several outputs, its number among them.
    pub(crate) sample: u16,
    /// Of one of several outputs, the request that wants them.
    pub(crate) parent: Slot,
    /// The outputs that are being made, where it wants several.
    pub(crate) group: Option<Box<Group>>,
    /// What it asks, where there is a cache of responses.
    pub(crate) question: Option<u32>,
    /// Which proposed tokens are kept, where its deployment speculates.
    pub(crate) draws: Option<Box<Draws>>,
    /// Tokens of its KV cache that lie in host memory; 0 for none.
    pub(crate) swapped: u32,
    pub(crate) deployment: u32,
    pub(crate) replica: u32,
    pub(crate) prompt: u32,
    pub(crate) output: u32,
    /// Pixels of the image that it asks for; 0 where it asks for tokens.
    pub(crate) pixels: u32,
    /// Output tokens after which the replica that it is at is done with it: 1 at a prefill replica.
    pub(crate) stop: u32,
    /// Prompt tokens whose KV cache came from elsewhere and is at hand when it is admitted.
    pub(crate) received: u32,
    /// The replica whose KV blocks are being read for it, and how many.
    pub(crate) held: Option<(u32, u64)>,
    /// Output tokens made before it last joined decoding.
    pub(crate) generated: u32,
    /// Tokens of its prompt (and of output to be recomputed) that are in the KV cache while prefilling.
    pub(crate) prefilled: u32,
    pub(crate) phase: Phase,
    /// The phase it was in when its client went.
    pub(crate) abandoned_in: Phase,
    /// The iteration in which it first decodes, and the context it attends to there.
    pub(crate) joined_at: u64,
    pub(crate) joined_context: u64,
    /// Whether its context is still shorter than the sliding window.
    pub(crate) growing: bool,
    /// The boundary at which its last token is there.
    pub(crate) finishes_at: u64,
    /// Where its time went so far.
    pub(crate) account: Account,
    /// Neighbours in the batch, in the order of admission.
    pub(crate) before: Slot,
    pub(crate) after: Slot,
}

impl Request {
    /// Tokens to process before it can decode: the prompt, and after a preemption what it had made so far.
    pub(crate) fn prefill_length(&self) -> u32 {
        self.prompt + self.generated
    }

    /// Prompt and output tokens: what routers count and what must fit.
    pub(crate) fn tokens(&self) -> u64 {
        u64::from(self.prompt) + u64::from(self.output)
    }

    /// Prompt and output tokens as they are told: an image has neither.
    pub(crate) fn told_tokens(&self) -> (u32, u32) {
        if self.pixels > 0 { (0, 0) } else { (self.prompt, self.output) }
    }

    /// Whether its KV cache is at hand, from a prefill replica or from host memory: it decodes once there is room.
    pub(crate) fn has_its_cache(&self) -> bool {
        self.swapped > 0 || self.received > 0
    }

    /// Prompt tokens up to the end of its first `blocks` hashed blocks, of `size` tokens each where their ends are not
    /// listed.
    pub(crate) fn hashed_tokens(&self, blocks: usize, size: u64) -> u64 {
        match &self.ends {
            None => blocks as u64 * size,
            Some(ends) => blocks.checked_sub(1).map_or(0, |last| u64::from(ends[last])),
        }
    }

    /// Output tokens made when `boundary` iterations are complete.
    pub(crate) fn generated_by(&self, boundary: u64) -> u32 {
        match self.phase {
            Phase::Decode => self.generated + (boundary - self.joined_at) as u32,
            _ => self.generated,
        }
    }

    /// Tokens in the KV cache when `boundary` iterations are complete.
    pub(crate) fn cached_tokens(&self, boundary: u64) -> u64 {
        match self.phase {
            Phase::Decode => self.joined_context - 1 + (boundary - self.joined_at),
            Phase::Prefill => u64::from(self.prefilled),
            _ => 0,
        }
    }
}

/// The requests in flight: a slab with a free list.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    slots: Vec<Request>,
    free: Vec<Slot>,
}

impl Requests {
    pub(crate) fn insert(&mut self, request: Request) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = request;
            slot
        } else {
            self.slots.push(request);
            (self.slots.len() - 1) as Slot
        }
    }

    /// Frees a slot. The request stays readable until the slot is used again.
    pub(crate) fn remove(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    /// The requests that have not departed; of several outputs of one, the whole.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Request> {
        let alive = |request: &&Request| !matches!(request.phase, Phase::Done | Phase::Abandoned);
        self.slots.iter().filter(move |request| alive(request) && request.parent == NONE)
    }
}

impl std::ops::Index<Slot> for Requests {
    type Output = Request;
    fn index(&self, slot: Slot) -> &Request {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<Slot> for Requests {
    fn index_mut(&mut self, slot: Slot) -> &mut Request {
        &mut self.slots[slot as usize]
    }
}
