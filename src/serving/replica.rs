//! A replica: one copy of a model that runs iterations over a batch.
//!
//! The scheduler is that of vLLM v1 (`vllm/v1/core/sched/scheduler.py`): in each iteration every decoding
//! request gets a token; what is left of the token budget goes to the prompt that is being processed, then
//! to waiting requests in order of arrival, in chunks; a request is admitted when its chunk's KV blocks are
//! free; when blocks run out, the request admitted last is preempted, loses its blocks and starts again at
//! the head of the queue. An iteration in which somebody was preempted admits nobody.
//!
//! The batch is looked at only when it changes. Between two changes the segment's closed forms hold; with
//! `plain` every iteration is an event of its own, and both ways give the same result to the bit.

mod evacuate;
mod gauge;

use std::collections::VecDeque;

use super::batch::{Batch, CachedPrefix};
use super::config::{Batching, DeploymentConfig};
use super::kv::KvCache;
use super::request::{Phase, Requests, Slot};
use crate::perf::{Segment, StepModel};
use crate::units::{Duration, Flop, Instant, Ticks};

/// What a replica did, for its deployment's summary.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplicaTotals {
    pub(crate) iterations: u64,
    pub(crate) batch_changes: u64,
    pub(crate) preemptions: u64,
    /// Σ over iterations of the requests in the batch.
    pub(crate) batched: u128,
    pub(crate) flop: Flop,
    /// Output tokens made.
    pub(crate) tokens: u64,
    pub(crate) prefix: PrefixTotals,
}

/// What a prefix cache was asked and had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PrefixTotals {
    /// Hashes of the prompts of requests when they were admitted.
    pub asked: u64,
    /// Those that were in the cache.
    pub found: u64,
    /// Prompt tokens that were not processed again.
    pub tokens: u64,
}

/// One copy of a model.
#[derive(Debug)]
pub(crate) struct Replica {
    step: StepModel,
    batching: Batching,
    plain: bool,
    pub(crate) waiting: VecDeque<Slot>,
    /// Entries of `waiting` whose client has gone.
    abandoned_waiting: u32,
    /// Requests in the batch whose client has gone.
    abandoned_running: Vec<Slot>,
    /// KV blocks that are read from elsewhere after their request has left, and those of them that are read.
    held: u64,
    read: u64,
    pub(crate) batch: Batch,
    /// The boundary at which the clock stands: how many iterations are complete.
    boundary: u64,
    clock: Ticks,
    /// The segment that runs, and how many of its iterations are complete; `None` when idle.
    segment: Option<(Segment, u64)>,
    /// Somebody may be admitted at the next boundary though nothing else changes until then.
    admits_again: bool,
    /// The boundary at which the pending event fires.
    target: u64,
    /// Events of older generations are stale.
    pub(crate) generation: u32,
    /// Times to first token, while somebody collects them.
    pub(crate) first_tokens: Option<Vec<Duration>>,
    pub(crate) totals: ReplicaTotals,
}

impl Replica {
    pub(crate) fn new(id: u32, config: &DeploymentConfig, option: usize, plain: bool) -> Self {
        let (option, batching) = (&config.options[option], config.batching);
        let kv = KvCache::new(option.kv_blocks, option.block_tokens);
        Self {
            step: option.step.clone(),
            batching,
            plain,
            waiting: VecDeque::new(),
            abandoned_waiting: 0,
            abandoned_running: Vec::new(),
            held: 0,
            read: 0,
            batch: Batch::new(id, kv, option.window, config.prefix_tokens),
            boundary: 0,
            clock: Ticks::ZERO,
            segment: None,
            admits_again: false,
            target: 0,
            generation: 0,
            first_tokens: None,
            totals: ReplicaTotals::default(),
        }
    }

    /// Requests that wait here, those whose client has gone not counted.
    pub(crate) fn queued(&self) -> u32 {
        self.waiting.len() as u32 - self.abandoned_waiting
    }

    /// Requests in the batch.
    pub(crate) fn running(&self) -> u32 {
        self.batch.len()
    }

    /// True while no iteration runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.segment.is_none()
    }

    /// Queues a request. Returns when the replica must next be looked at, if that changed.
    pub(crate) fn enqueue(&mut self, now: Instant, slot: Slot) -> Option<Instant> {
        self.waiting.push_back(slot);
        // Behind others it changes nothing: the head of the queue is what waits for room.
        (self.waiting.len() == 1).then(|| self.look_soon(now)).flatten()
    }

    /// A waiting request's client has gone. Returns when the replica must next be looked at, if that changed.
    pub(crate) fn abandon_waiting(&mut self, now: Instant) -> Option<Instant> {
        self.abandoned_waiting += 1;
        self.look_soon(now)
    }

    /// The client of a request in the batch has gone: it leaves at the next boundary.
    pub(crate) fn abandon_running(&mut self, now: Instant, slot: Slot) -> Option<Instant> {
        self.abandoned_running.push(slot);
        self.look_soon(now)
    }

    /// Blocks that were held for reading have been read. Returns when the replica must next be looked at, if that
    /// changed.
    pub(crate) fn let_go(&mut self, now: Instant, blocks: u64) -> Option<Instant> {
        self.read += blocks;
        self.look_soon(now)
    }

    /// Makes the next boundary one at which the batch is looked at.
    fn look_soon(&mut self, now: Instant) -> Option<Instant> {
        let Some((segment, done)) = self.segment else {
            // Idle: begin at once, behind everything else that arrives at this instant.
            self.clock = Ticks::from_instant(now);
            self.target = self.boundary;
            self.generation = self.generation.wrapping_add(1);
            return Some(now);
        };
        let full = self.batch.len() >= self.batching.max_batch_requests;
        if self.plain || (full && self.abandoned_running.is_empty() && self.read == 0) {
            return None;
        }
        // The first boundary whose event has not fired yet: one that lies before `now` has, and so has the
        // one at which the clock stands.
        let origin = segment.elapsed(done);
        let before_now = Ticks::from_instant(now).0.checked_sub(1 << Ticks::SHIFT);
        let since = before_now.and_then(|before| before.checked_sub(self.clock.0));
        let n = since.map_or(0, |since| segment.iterations_by(Ticks(origin.0 + since)) - done) + 1;
        self.aim(n.min(self.target - self.boundary))
    }

    /// Aims the event at the boundary `n` iterations ahead; `None` if that is where it is aimed already.
    fn aim(&mut self, n: u64) -> Option<Instant> {
        let (segment, done) = self.segment?;
        if self.target == self.boundary + n {
            return None;
        }
        self.target = self.boundary + n;
        self.generation = self.generation.wrapping_add(1);
        let ahead = segment.elapsed(done + n) - segment.elapsed(done);
        Some((self.clock + ahead).ceil_instant())
    }

    /// Handles the event at the boundary aimed at: ends the iterations before it, finishes, preempts and
    /// admits requests, and starts the next segment. Finished requests are appended to `finished`, still in
    /// the table of requests. Returns when the replica must next be looked at; `None` when it is idle.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        requests: &mut Requests,
        finished: &mut Vec<Slot>,
    ) -> Option<Instant> {
        self.advance(self.target - self.boundary);
        self.give_back_read();
        let mut changed = self.segment.is_none_or(|(segment, done)| done >= segment.max_iterations);
        changed |= self.end_chunks(now, requests, finished);
        changed |= self.drop_abandoned(requests);
        while let Some(slot) = self.batch.next_due(self.boundary, requests, &mut changed) {
            self.end(slot, requests, finished);
            changed = true;
        }
        changed |= self.schedule(now, requests);
        if self.batch.is_empty() {
            assert_eq!(self.batch.kv.used(), self.held, "nobody is in the batch, but KV blocks are in use");
            self.segment = None;
            self.target = self.boundary;
            return None;
        }
        if changed {
            self.totals.batch_changes += 1;
            self.segment = Some((self.step.segment(&self.batch.shape), 0));
        }
        let n = self.iterations_to_next_change(requests);
        self.target = self.boundary;
        self.aim(n)
    }

    /// Ends `n` iterations of the running segment.
    fn advance(&mut self, n: u64) {
        let Some((segment, done)) = &mut self.segment else { return };
        if n == 0 {
            return;
        }
        let (time, work) = if self.plain && n == 1 {
            (segment.duration(*done), Flop(segment.flop_first.0 + segment.flop_slope.0 * u128::from(*done)))
        } else if *done == 0 {
            (segment.elapsed(n), segment.work(n))
        } else {
            let (from, to) = (*done, *done + n);
            (segment.elapsed(to) - segment.elapsed(from), Flop(segment.work(to).0 - segment.work(from).0))
        };
        *done += n;
        self.clock += time;
        self.totals.flop += work;
        self.totals.iterations += n;
        self.totals.tokens += u64::from(self.batch.shape.decode_requests) * n;
        self.totals.batched += u128::from(self.batch.len()) * u128::from(n);
        self.batch.advance(self.boundary, n);
        self.boundary += n;
    }

    /// Ends the prompt chunks of the iteration before this boundary: a request whose prompt is processed
    /// gets a token and begins to decode, or is finished.
    fn end_chunks(&mut self, now: Instant, requests: &mut Requests, finished: &mut Vec<Slot>) -> bool {
        if self.batch.chunks.is_empty() {
            return false;
        }
        let mut chunks = std::mem::take(&mut self.batch.chunks);
        for (slot, tokens) in chunks.drain(..) {
            let request = &mut requests[slot];
            request.prefilled += tokens;
            if request.phase != Phase::Prefill || request.prefilled < request.prefill_length() {
                continue;
            }
            if request.first_token.is_none() {
                request.first_token = Some(now);
                if let Some(first_tokens) = &mut self.first_tokens {
                    first_tokens.push(now.since(request.arrival));
                }
            }
            self.totals.tokens += 1;
            request.generated += 1;
            if request.generated == request.stop {
                self.end(slot, requests, finished);
            } else {
                self.batch.join_decoding(slot, self.boundary, requests);
            }
        }
        self.batch.chunks = chunks;
        self.batch.clear_chunks();
        true
    }

    /// A request has got its last token.
    fn end(&mut self, slot: Slot, requests: &mut Requests, finished: &mut Vec<Slot>) {
        self.batch.keep_answer(slot, self.boundary, requests);
        let request = &requests[slot];
        // The KV cache of a request that goes on elsewhere stays until it is read.
        let goes_on = request.stop < request.output;
        let held = goes_on.then(|| self.batch.own_blocks(request, request.cached_tokens(self.boundary)));
        self.batch.remove(slot, self.boundary, requests);
        if let Some(held) = held {
            self.held += held;
            self.batch.kv.take(held);
            requests[slot].held = Some((requests[slot].replica, held));
        }
        requests[slot].phase = Phase::Done;
        finished.push(slot);
    }

    fn give_back_read(&mut self) {
        self.batch.kv.give_back(self.read);
        self.held -= self.read;
        self.read = 0;
    }

    /// Takes requests whose client has gone out of the batch.
    fn drop_abandoned(&mut self, requests: &mut Requests) -> bool {
        let mut dropped = false;
        while let Some(slot) = self.abandoned_running.pop() {
            let request = &mut requests[slot];
            // It was counted in the batch's sums as what it was when its client went.
            request.phase = request.abandoned_in;
            self.batch.remove(slot, self.boundary, requests);
            requests[slot].phase = Phase::Abandoned;
            requests.remove(slot);
            dropped = true;
        }
        dropped
    }

    /// Fills the next iteration. True when the composition of the batch changed.
    fn schedule(&mut self, now: Instant, requests: &mut Requests) -> bool {
        let mut preempted = false;
        self.admits_again = false;
        while self.batch.kv.free_at(self.boundary).is_none() {
            preempted |= self.preempt_last(requests);
        }
        let mut budget = self.batching.max_batch_tokens - self.batch.shape.decode_requests;
        // At most one prompt is half-way: it took the whole budget when it was last looked at, so nobody
        // was admitted behind it.
        if let Some(slot) = self.batch.last().filter(|slot| requests[*slot].phase == Phase::Prefill) {
            match self.chunk(slot, budget, 0, requests) {
                Some(tokens) => {
                    self.batch.add_chunk(slot, tokens, requests);
                    budget -= tokens;
                }
                None => preempted |= self.preempt_last(requests),
            }
        }
        let mut admitted = false;
        while !preempted && budget > 0 && self.batch.len() < self.batching.max_batch_requests {
            let Some(slot) = self.next_waiting(requests) else { break };
            let cached = self.batch.cached_prefix(&requests[slot]);
            let kv = &self.batch.kv;
            let at_hand = requests[slot].received.max(cached.tokens);
            let extra = kv.blocks(u64::from(at_hand)) - kv.blocks(u64::from(cached.tokens));
            requests[slot].prefilled = at_hand;
            let reused = cached.unused_blocks + extra;
            let Some(tokens) = self.chunk(slot, budget, reused, requests) else {
                // As decoding goes on it evicts some of what this one would reuse, and needs to keep; then
                // a chunk of it may fit.
                self.admits_again = cached.unused_blocks > 0;
                break;
            };
            self.waiting.pop_front();
            self.count_prefix(slot, cached, requests);
            self.batch.share_prefix(slot, cached.used, requests);
            self.batch.admit(slot, requests);
            if extra > 0 {
                self.batch.take_received(slot, extra, requests);
            }
            requests[slot].first_scheduled.get_or_insert(now);
            if requests[slot].has_prompt_from_elsewhere() {
                self.batch.join_decoding(slot, self.boundary, requests);
            } else {
                self.batch.add_chunk(slot, tokens, requests);
            }
            budget -= tokens;
            admitted = true;
        }
        self.admits_again |= preempted;
        preempted || admitted
    }

    /// The next chunk of a request's prompt within `budget` tokens, if its blocks are free beside `reused` ones of its
    /// prefix.
    fn chunk(&self, slot: Slot, budget: u32, reused: u64, requests: &Requests) -> Option<u32> {
        let request = &requests[slot];
        let tokens = (request.prefill_length() - request.prefilled).min(budget);
        let kv = &self.batch.kv;
        let before = u64::from(request.prefilled);
        let blocks = kv.blocks(before + u64::from(tokens)) - kv.blocks(before);
        (blocks + reused <= kv.free_at(self.boundary).unwrap_or(0)).then_some(tokens)
    }

    /// Counts what the prefix cache had for a request.
    fn count_prefix(&mut self, slot: Slot, cached: CachedPrefix, requests: &Requests) {
        if let Some(hashes) = &requests[slot].hashes {
            self.totals.prefix.asked += hashes.len() as u64;
            self.totals.prefix.found += cached.found as u64;
            self.totals.prefix.tokens += u64::from(cached.tokens);
        }
    }

    /// The head of the queue, once those whose client has gone are out of the way.
    fn next_waiting(&mut self, requests: &mut Requests) -> Option<Slot> {
        while let Some(slot) = self.waiting.front().copied() {
            if requests[slot].phase != Phase::Abandoned {
                return Some(slot);
            }
            self.waiting.pop_front();
            self.abandoned_waiting -= 1;
            requests.remove(slot);
        }
        None
    }

    /// Preempts the request admitted last: its blocks go back, it goes to the head of the queue.
    fn preempt_last(&mut self, requests: &mut Requests) -> bool {
        let slot = self.batch.last().expect("blocks run out only while somebody holds them");
        let generated = requests[slot].generated_by(self.boundary);
        self.batch.remove(slot, self.boundary, requests);
        let request = &mut requests[slot];
        request.generated = generated;
        (request.prefilled, request.received) = (0, 0);
        request.retries = request.retries.saturating_add(1);
        request.phase = Phase::Waiting;
        self.waiting.push_front(slot);
        self.totals.preemptions += 1;
        true
    }

    fn iterations_to_next_change(&mut self, requests: &Requests) -> u64 {
        let Some((segment, done)) = self.segment else { return 0 };
        if self.plain || self.admits_again {
            return 1;
        }
        let known = self.batch.next_change(requests).saturating_sub(self.boundary);
        let limit = known.min(segment.max_iterations - done).max(1);
        self.batch.kv.iterations_before_shortage(self.boundary, limit).max(1)
    }

    /// Counts the iterations that are complete before the end of the run.
    pub(crate) fn finish(&mut self, end: Instant) {
        let Some((segment, done)) = self.segment else { return };
        let last = Ticks::from_instant(end).0.saturating_sub(1 << Ticks::SHIFT);
        let Some(since) = last.checked_sub(self.clock.0) else { return };
        let complete = segment.iterations_by(Ticks(segment.elapsed(done).0 + since)) - done;
        self.advance(complete.min(self.target - self.boundary));
    }
}
