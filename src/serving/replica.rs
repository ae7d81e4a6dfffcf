//! A replica: one copy of a model that runs iterations over a batch.
//!
//! What goes into an iteration is decided in `schedule.rs`; here iterations pass.
//!
//! The batch is looked at only when it changes. Between two changes the segment's closed forms hold; with
//! `plain` every iteration is an event of its own, and both ways give the same result to the bit.

mod evacuate;
mod gauge;

use super::account::{TimeCause, WaitClock};
use super::adapters::{AdapterTotals, Slots};
use super::batch::Batch;
use super::config::{Batching, DeploymentConfig, HostMemory, Scheduler};
use super::kv::KvCache;
use super::request::{Phase, Requests, Slot};
use super::speculate::{Draft, Speculation, SpeculationTotals};
use super::tiers::KvTiers;
use super::waiting::Waiting;
use crate::perf::{BatchShape, Segment, StepModel};
use crate::policies::request_order::RequestOrder;
use crate::units::{Duration, Flop, Instant, Ticks};

/// What a replica did, for its deployment's summary.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplicaTotals {
    pub(crate) iterations: u64,
    pub(crate) batch_changes: u64,
    pub(crate) preemptions: u64,
    /// KV blocks copied to host memory.
    pub(crate) swapped_blocks: u64,
    /// Σ over iterations of the requests in the batch.
    pub(crate) batched: u128,
    pub(crate) flop: Flop,
    /// Tokens that passed through the model, prompts' and drafts' too.
    pub(crate) processed: u64,
    /// Time computing.
    pub(crate) time: Ticks,
    /// Output tokens made.
    pub(crate) tokens: u64,
    pub(crate) prefix: PrefixTotals,
    pub(crate) speculation: SpeculationTotals,
    /// Requests that have ended, and how long they were in the batch, in nanoseconds.
    pub(crate) stays: (u64, u128),
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
    /// Hashes among those found that came from host memory.
    pub host: u64,
    /// And from storage.
    pub remote: u64,
    /// How long these held up iterations.
    pub load: Ticks,
}

/// One copy of a model.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(super) step: StepModel,
    pub(super) batching: Batching,
    plain: bool,
    pub(super) waiting: Waiting,
    /// Why those wait.
    pub(super) waits: WaitClock,
    /// Prompt tokens of those that wait, their client not gone.
    pub(super) waiting_tokens: u64,
    /// Entries of `waiting` whose client has gone.
    pub(super) abandoned_waiting: u32,
    /// Requests in the batch whose client has gone.
    abandoned_running: Vec<Slot>,
    /// KV blocks that are read from elsewhere after their request has left, and those of them that are read.
    held: u64,
    read: u64,
    pub(crate) batch: Batch,
    /// The boundary at which the clock stands: how many iterations are complete.
    boundary: u64,
    /// Iterations among them in which decoding requests waited for prompts.
    paused: u64,
    clock: Ticks,
    /// The segment that runs, and how many of its iterations are complete; `None` when idle.
    segment: Option<(Segment, u64)>,
    /// Somebody may be admitted at the next boundary though nothing else changes until then.
    pub(super) admits_again: bool,
    /// In the iteration that runs, only prompts are processed.
    pub(super) decoding_waits: bool,
    /// Requests that may still join a static batch.
    pub(super) cohort: u32,
    /// Free blocks of host memory, and what it takes to use them.
    pub(super) host: HostMemory,
    /// How long copies between the cards and the host hold up the next iteration.
    pub(super) copying: Ticks,
    /// How it speculates, and what proposing costs.
    pub(super) speculation: Option<Speculation>,
    pub(super) draft: Option<Draft>,
    /// Blocks that the proposed tokens of the next iteration may need.
    pub(super) ahead: u64,
    /// Its weights are not there: nothing begins.
    pub(super) gated: bool,
    /// Nobody is admitted: it makes room for another model.
    pub(super) closed: bool,
    /// Models that compute on its cards, itself included.
    pub(super) sharers: u32,
    /// Whether iterations last otherwise than when the batch was looked at.
    pub(super) pace_changed: bool,
    /// The adapters that are at hand.
    pub(super) slots: Slots,
    /// The boundary at which the pending event fires.
    target: u64,
    /// Events of older generations are stale.
    pub(crate) generation: u32,
    /// Times to first token, while somebody collects them.
    pub(crate) first_tokens: Option<Vec<Duration>>,
    pub(crate) totals: ReplicaTotals,
}

impl Replica {
    pub(crate) fn new(
        id: u32,
        config: &DeploymentConfig,
        option: usize,
        waits: WaitClock,
        plain: bool,
    ) -> Self {
        let (option, batching) = (&config.options[option], config.batching);
        let tiers = option.links.map_or_else(KvTiers::default, |links| links.tiers);
        let kv = KvCache::new(option.kv_blocks, option.block_tokens).above(tiers);
        Self {
            step: option.step.clone(),
            batching,
            plain,
            waiting: Waiting::new(batching.order, &config.tenants),
            waits,
            waiting_tokens: 0,
            abandoned_waiting: 0,
            abandoned_running: Vec::new(),
            held: 0,
            read: 0,
            batch: Batch::new(id, kv, option.window, config.prefix_tokens),
            boundary: 0,
            paused: 0,
            clock: Ticks::ZERO,
            segment: None,
            admits_again: false,
            decoding_waits: false,
            cohort: 0,
            host: option.host.unwrap_or(HostMemory { blocks: 0, copy: Ticks::ZERO }),
            copying: Ticks::ZERO,
            speculation: config.speculation,
            draft: option.draft.clone(),
            ahead: 0,
            gated: false,
            closed: false,
            sharers: 1,
            pace_changed: false,
            slots: Slots::new(config.adapter_slots, &option.adapters),
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

    /// Iterations complete in which the decoding requests made a token each: what the batch counts by.
    pub(super) fn decoded(&self) -> u64 {
        self.boundary - self.paused
    }

    /// Queues a request. Returns when the replica must next be looked at, if that changed.
    pub(crate) fn enqueue(&mut self, now: Instant, slot: Slot, requests: &mut Requests) -> Option<Instant> {
        requests[slot].account.wait(now, &mut self.waits);
        if self.batching.order == RequestOrder::Vtc {
            self.catch_up(now);
        }
        self.waiting_tokens += u64::from(requests[slot].prefill_length());
        let head = self.waiting.push(slot, &requests[slot]);
        // Behind others it changes nothing: the head of the queue is what waits for room. Only a static batch
        // that is not full yet counts who is behind.
        let counts = self.segment.is_none() && self.batching.scheduler == Scheduler::Static;
        (head || counts).then(|| self.look_soon(now)).flatten()
    }

    /// A waiting request's client has gone. Returns when the replica must next be looked at, if that changed.
    pub(crate) fn abandon_waiting(
        &mut self,
        now: Instant,
        slot: Slot,
        requests: &mut Requests,
    ) -> Option<Instant> {
        if requests[slot].swapped == 0 {
            self.waiting_tokens -= u64::from(requests[slot].prefill_length());
        }
        if self.waiting.forget(slot, &requests[slot]) {
            self.forget_swapped(slot, requests);
            requests.remove(slot);
        } else {
            self.abandoned_waiting += 1;
        }
        self.look_soon(now)
    }

    /// Brings everything up to what is complete before `now`, so that who arrives meets what has been served by
    /// now and not what had been when the batch was last looked at.
    pub(super) fn catch_up(&mut self, now: Instant) {
        if let Some((segment, done)) = self.segment {
            self.advance(self.complete_before(now, segment, done));
        }
    }

    /// What is left of the iteration that runs; zero when idle.
    pub(super) fn rest_of_iteration(&self, now: Instant) -> Duration {
        let Some((segment, done)) = self.segment else { return Duration::ZERO };
        (self.clock + segment.duration(done)).ceil_instant().max(now).since(now)
    }

    /// Iterations of the segment, beyond the `done` ones, whose boundary lies before `now`.
    fn complete_before(&self, now: Instant, segment: Segment, done: u64) -> u64 {
        let origin = segment.elapsed(done);
        let before_now = Ticks::from_instant(now).0.checked_sub(1 << Ticks::SHIFT);
        let since = before_now.and_then(|before| before.checked_sub(self.clock.0));
        since.map_or(0, |since| segment.iterations_by(Ticks(origin.0 + since)) - done)
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
    pub(super) fn look_soon(&mut self, now: Instant) -> Option<Instant> {
        let Some((segment, done)) = self.segment else {
            // Idle: begin at once, behind everything else that arrives at this instant.
            self.clock = Ticks::from_instant(now);
            self.target = self.boundary;
            self.generation = self.generation.wrapping_add(1);
            return Some(now);
        };
        let full = self.batch.len() >= self.batching.max_batch_requests && !self.batch.has_preemptible();
        let waits = self.abandoned_running.is_empty() && self.read == 0 && !self.pace_changed;
        if self.plain || (full && waits) {
            return None;
        }
        // The first boundary whose event has not fired yet: one that lies before `now` has, and so has the
        // one at which the clock stands.
        let n = self.complete_before(now, segment, done) + 1;
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
        if self.segment.is_none() {
            self.clock = Ticks::from_instant(now);
        }
        if self.gated {
            self.target = self.boundary;
            self.wait_for_weights(now);
            return None;
        }
        let ended = self.target - self.boundary;
        self.advance(ended);
        self.give_back_read();
        if ended > 0 && !self.decoding_waits {
            self.keep_proposed(requests);
        }
        let mut changed = self.segment.is_none_or(|(segment, done)| done >= segment.max_iterations);
        changed |= self.end_chunks(now, requests, finished);
        changed |= self.drop_abandoned(requests);
        while let Some(slot) = self.batch.next_due(self.decoded(), requests, &mut changed) {
            self.end(now, slot, requests, finished);
            changed = true;
        }
        changed |= self.schedule(now, requests);
        changed |= std::mem::take(&mut self.pace_changed);
        if self.batch.is_empty() {
            assert_eq!(self.batch.kv.used(), self.held, "nobody is in the batch, but KV blocks are in use");
            self.segment = None;
            self.target = self.boundary;
            // What is copied while nothing computes holds up nobody.
            self.copying = Ticks::ZERO;
            return self.wake(now, requests);
        }
        if changed {
            self.totals.batch_changes += 1;
            self.segment = Some((self.next_segment(), 0));
        }
        let n = self.iterations_to_next_change(requests);
        self.target = self.boundary;
        self.aim(n)
    }

    /// Iterations that begin from now on last as this says. Returns when the replica must next be looked at, if that
    /// changed.
    pub(super) fn set_step(&mut self, now: Instant, step: StepModel) -> Option<Instant> {
        self.step = step;
        self.pace_changed = !self.is_idle();
        if self.pace_changed { self.look_soon(now) } else { None }
    }

    /// The segment that begins with the batch as it is now.
    fn next_segment(&mut self) -> Segment {
        let shape = &self.batch.shape;
        let mut segment = match (self.decoding_waits, self.speculation) {
            (false, None) => self.step.segment(shape),
            (true, None) => self.step.segment(&shape.prefill_only()),
            (waits, Some(speculation)) => {
                let shape = if waits { shape.prefill_only() } else { *shape };
                let draft_tokens = shape.decode_requests * speculation.tokens;
                let (time, flop) = self.draft_cost(&shape);
                let mut segment = self.step.segment(&BatchShape { draft_tokens, ..shape });
                segment.first += time;
                segment.flop_first += flop;
                segment.max_iterations = 1;
                segment
            }
        };
        if self.sharers > 1 {
            segment = segment.slowed(self.sharers);
        }
        if self.copying > Ticks::ZERO {
            segment.first += std::mem::replace(&mut self.copying, Ticks::ZERO);
            segment.max_iterations = 1;
        }
        segment
    }

    /// From `now` on nobody is admitted any more, so that the batch empties, or again. Who waits meanwhile waits for
    /// the batch, whether it is looked at before it changes or not.
    pub(super) fn close(&mut self, now: Instant, closed: bool) {
        if closed {
            self.waits.settle(now);
            self.waits.block(Some(TimeCause::BatchSlot));
        }
        self.closed = closed;
    }

    /// Whoever waits from now on waits for the model to be there.
    fn wait_for_weights(&mut self, now: Instant) {
        self.waits.settle(now);
        self.waits.block(Some(TimeCause::Starting));
    }

    /// Its weights and all that is kept beside them make room for another model. Nobody is in the batch.
    pub(super) fn forget_weights(&mut self, now: Instant) {
        self.wait_for_weights(now);
        self.batch.kv = self.batch.kv.emptied();
        self.gated = true;
        self.cohort = 0;
    }

    /// When an idle replica must be looked at: a static batch that is not full waits for its time. One whose time
    /// has come and that did not begin waits for blocks that are being read.
    fn wake(&mut self, now: Instant, requests: &Requests) -> Option<Instant> {
        if self.batching.scheduler != Scheduler::Static || self.queued() == 0 {
            return None;
        }
        let due = self.oldest(requests)?.saturating_add(self.batching.max_wait);
        self.generation = self.generation.wrapping_add(1);
        (due > now).then_some(due)
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
        self.totals.time += time;
        self.totals.iterations += n;
        self.totals.batched += u128::from(self.batch.len()) * u128::from(n);
        self.boundary += n;
        let shape = &self.batch.shape;
        let decoding = if self.decoding_waits { 0 } else { u64::from(shape.decode_requests) };
        let drafted = self.speculation.map_or(0, |speculation| decoding * u64::from(speculation.tokens));
        self.totals.processed += (decoding + drafted + u64::from(shape.prefill_tokens)) * n;
        if self.decoding_waits {
            self.paused += n;
        } else {
            if self.batch.shape.pixels == 0 {
                self.totals.tokens += u64::from(self.batch.shape.decode_requests) * n;
            }
            self.batch.advance(self.boundary - n - self.paused, n);
            self.waiting.decoded(n);
        }
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
            let tenant = request.tenant;
            self.batch.store_prompt(slot, requests);
            let request = &mut requests[slot];
            if request.output == 0 {
                // What was asked for is there with the prompt.
                request.first_token.get_or_insert(now);
                self.end(now, slot, requests, finished);
                continue;
            }
            if request.pixels == 0 && request.first_token.is_none() {
                request.first_token = Some(now);
                if let Some(first_tokens) = &mut self.first_tokens {
                    first_tokens.push(now.since(request.arrival));
                }
            }
            self.totals.tokens += u64::from(request.pixels == 0);
            request.generated += 1;
            let stops = request.generated == request.stop;
            self.waiting.made(tenant, 1);
            if stops {
                self.end(now, slot, requests, finished);
            } else {
                request.account.begin(now, TimeCause::Decode);
                self.batch.join_decoding(slot, self.decoded(), requests);
                self.waiting.decoding(tenant, 1);
            }
        }
        self.batch.chunks = chunks;
        self.batch.clear_chunks();
        true
    }

    /// A request has got its last token.
    fn end(&mut self, now: Instant, slot: Slot, requests: &mut Requests, finished: &mut Vec<Slot>) {
        let since = requests[slot].first_scheduled.map_or(Duration::ZERO, |since| now.since(since));
        self.totals.stays.0 += 1;
        self.totals.stays.1 += u128::from(since.as_nanos());
        requests[slot].account.close(now);
        if requests[slot].pixels > 0 {
            // An image is there all at once.
            requests[slot].first_token = Some(now);
            let since = now.since(requests[slot].arrival);
            self.first_tokens.iter_mut().for_each(|first_tokens| first_tokens.push(since));
        }
        self.batch.keep_answer(slot, self.decoded(), requests);
        let request = &requests[slot];
        // The KV cache of a request that goes on elsewhere stays until it is read.
        let goes_on = request.stop < request.output;
        let held = goes_on.then(|| self.batch.own_blocks(request, request.cached_tokens(self.decoded())));
        self.leave(slot, requests);
        if !goes_on {
            self.copying += self.batch.pause(&requests[slot]);
        }
        if let Some(held) = held {
            self.held += held;
            self.batch.kv.take(held);
            requests[slot].held = Some((requests[slot].replica, held));
        }
        requests[slot].phase = if goes_on { Phase::Between } else { Phase::Done };
        finished.push(slot);
    }

    fn give_back_read(&mut self) {
        self.batch.kv.give_back(self.read);
        self.held -= self.read;
        self.read = 0;
    }

    /// Takes a request out of the batch. Its phase is left as it is.
    pub(super) fn leave(&mut self, slot: Slot, requests: &mut Requests) {
        if requests[slot].phase == Phase::Decode {
            self.waiting.decoding(requests[slot].tenant, -1);
        }
        self.slots.release(requests[slot].adapter);
        self.batch.remove(slot, self.decoded(), requests);
    }

    /// What its adapters did.
    pub(crate) fn adapter_totals(&self) -> AdapterTotals {
        self.slots.totals
    }

    /// Takes requests whose client has gone out of the batch.
    fn drop_abandoned(&mut self, requests: &mut Requests) -> bool {
        let mut dropped = false;
        while let Some(slot) = self.abandoned_running.pop() {
            let request = &mut requests[slot];
            // It was counted in the batch's sums as what it was when its client went.
            request.phase = request.abandoned_in;
            self.leave(slot, requests);
            requests[slot].phase = Phase::Abandoned;
            requests.remove(slot);
            dropped = true;
        }
        dropped
    }

    fn iterations_to_next_change(&mut self, requests: &Requests) -> u64 {
        let Some((segment, done)) = self.segment else { return 0 };
        if self.plain || self.admits_again {
            return 1;
        }
        let decoded = self.decoded();
        let known = self.batch.next_change(requests).saturating_sub(decoded);
        let limit = known.min(segment.max_iterations - done).max(1);
        self.batch.kv.iterations_before_shortage(decoded, limit).max(1)
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
