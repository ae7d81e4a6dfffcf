//! What goes into a replica's next iteration: the schedulers.
//!
//! vLLM v1 (`vllm/v1/core/sched/scheduler.py`): in each iteration every decoding request gets a token; what is
//! left of the token budget goes to the prompt that is being processed, then to waiting requests in order, in
//! chunks; a request is admitted when its chunk's KV blocks are free; when blocks run out, the request that
//! is last in order is preempted and waits again. An iteration in which somebody was preempted admits
//! nobody. Sarathi is the same but for the blocks that an admission takes ([`Scheduler::Sarathi`]).
//!
//! vLLM v0 and static batches alternate between iterations of prompts and of decoding.

use super::account::TimeCause;
use super::batch::CachedPrefix;
use super::config::{Preemption, Scheduler};
use super::replica::Replica;
use super::request::{Phase, Requests, Slot};
use crate::policies::request_order::RequestOrder;
use crate::units::{Instant, Ticks};

impl Replica {
    /// Fills the next iteration. True when the composition of the batch changed.
    pub(super) fn schedule(&mut self, now: Instant, requests: &mut Requests) -> bool {
        self.admits_again = false;
        self.decoding_waits = false;
        self.waits.settle(now);
        match self.batching.scheduler {
            Scheduler::VllmV1 | Scheduler::Sarathi => self.mix(now, requests),
            Scheduler::PrefillFirst | Scheduler::Static => self.alternate(now, requests),
        }
    }

    /// Decoding and chunks of prompts in one iteration.
    fn mix(&mut self, now: Instant, requests: &mut Requests) -> bool {
        let mut preempted = self.make_room(requests);
        // At most one prompt is half-way: it took the whole budget when it was last looked at, so nobody
        // was admitted behind it.
        if let Some(slot) = self.half_way(requests) {
            loop {
                if let Some(tokens) = self.chunk(slot, self.budget(), 0, requests) {
                    self.batch.add_chunk(slot, tokens, requests);
                    break;
                }
                preempted = true;
                if self.preempt_last(requests) == slot {
                    break;
                }
            }
        }
        let mut admitted = false;
        let mut blocked = Some(TimeCause::BatchSlot);
        while !preempted && !self.closed && self.budget() > 0 {
            let full = self.batch.len() >= self.batching.max_batch_requests;
            if full && !self.batch.has_preemptible() {
                break;
            }
            let Some(slot) = self.next_waiting(requests) else {
                blocked = blocked.filter(|_| full);
                break;
            };
            if !self.slots.has_room(requests[slot].adapter) {
                self.admits_again = self.waiting.is_restless();
                break;
            }
            if full && !self.displace(slot, requests) {
                break;
            }
            admitted |= full;
            if self.resume(slot, requests) {
                admitted = true;
                continue;
            }
            let cached = self.batch.cached_in_tiers(&requests[slot]);
            requests[slot].prefilled = cached.tokens;
            let chunk = match requests[slot].has_its_cache() {
                false => self.chunk(slot, self.budget(), cached.blocks(), requests),
                true => None,
            };
            let Some(tokens) = chunk else {
                if self.displace(slot, requests) {
                    admitted = true;
                    continue;
                }
                // As decoding goes on it evicts some of what this one would reuse, and needs to keep; then
                // a chunk of it may fit. Or it becomes another tenant's turn.
                self.admits_again = self.may_fit_later(&cached);
                blocked = Some(TimeCause::KvMemory);
                break;
            };
            self.admit(now, slot, tokens, cached, requests);
            admitted = true;
        }
        self.admits_again |= preempted;
        self.waits.block(if preempted { Some(TimeCause::KvMemory) } else { blocked });
        preempted || admitted
    }

    /// Whole prompts alone while any can be admitted, else decoding.
    fn alternate(&mut self, now: Instant, requests: &mut Requests) -> bool {
        self.form_batch(now, requests);
        let (mut changed, mut prompts, mut resumed) = (false, false, false);
        let mut blocked = Some(TimeCause::BatchSlot);
        while !self.closed && (self.batching.scheduler != Scheduler::Static || self.cohort > 0) {
            let full = self.batch.len() >= self.batching.max_batch_requests;
            if full && !self.batch.has_preemptible() {
                break;
            }
            let Some(slot) = self.next_waiting(requests) else {
                self.cohort = 0;
                blocked = blocked.filter(|_| full);
                break;
            };
            if !self.slots.has_room(requests[slot].adapter) {
                self.admits_again = self.waiting.is_restless();
                break;
            }
            if !self.batch.is_alike(slot, requests) {
                self.cohort = 0;
                break;
            }
            if full && !self.displace(slot, requests) {
                break;
            }
            changed |= full;
            // Who comes back from host memory decodes at once, in an iteration without prompts.
            if !prompts && self.resume(slot, requests) {
                (changed, resumed) = (true, true);
                self.cohort = self.cohort.saturating_sub(1);
                continue;
            }
            if requests[slot].has_its_cache() || resumed {
                blocked = blocked.filter(|_| resumed || prompts).or(Some(TimeCause::KvMemory));
                self.admits_again = resumed || self.waiting.is_restless();
                break;
            }
            let cached = self.batch.cached_in_tiers(&requests[slot]);
            requests[slot].prefilled = cached.tokens;
            let tokens = requests[slot].prefill_length() - cached.tokens;
            let left = self.batching.max_batch_tokens.saturating_sub(self.batch.shape.prefill_tokens);
            if prompts && tokens > left {
                break;
            }
            let blocks = self.blocks_to_take(slot, tokens, cached.blocks(), requests);
            if blocks > self.batch.kv.free() {
                if self.displace(slot, requests) {
                    changed = true;
                    continue;
                }
                self.admits_again = self.may_fit_later(&cached);
                self.cohort = 0;
                blocked = Some(TimeCause::KvMemory);
                break;
            }
            self.admit(now, slot, tokens, cached, requests);
            self.cohort = self.cohort.saturating_sub(1);
            prompts = true;
        }
        // Who is not in a static batch waits for the next one, whatever ended this.
        let sealed = self.batching.scheduler == Scheduler::Static;
        self.waits.block(if sealed { Some(TimeCause::BatchSlot) } else { blocked });
        if prompts {
            self.decoding_waits = true;
            return true;
        }
        let preempted = self.make_room(requests);
        self.admits_again |= preempted;
        if preempted && !sealed {
            self.waits.block(Some(TimeCause::KvMemory));
        }
        changed || preempted
    }

    /// Begins a static batch when it is full or its oldest request has waited long enough.
    fn form_batch(&mut self, now: Instant, requests: &mut Requests) {
        if self.batching.scheduler != Scheduler::Static || !self.batch.is_empty() || self.closed {
            return;
        }
        self.next_waiting(requests);
        let (waiting, most) = (self.queued(), self.batching.max_batch_requests);
        let due = self.oldest(requests).map(|oldest| oldest.saturating_add(self.batching.max_wait));
        if waiting >= most || due.is_some_and(|due| due <= now) {
            self.cohort = waiting.min(most);
        }
    }

    /// When the request arrived that has waited longest.
    pub(super) fn oldest(&self, requests: &Requests) -> Option<Instant> {
        let alive = |slot: &Slot| requests[*slot].phase != Phase::Abandoned;
        match self.batching.order {
            RequestOrder::Fcfs => self.waiting.slots().find(alive).map(|slot| requests[slot].arrival),
            _ => self.waiting.slots().map(|slot| requests[slot].arrival).min(),
        }
    }

    /// Tokens that prompts may still have in this iteration.
    fn budget(&self) -> u32 {
        let shape = &self.batch.shape;
        let decoding = shape.decode_requests * self.tokens_each();
        self.batching.max_batch_tokens.saturating_sub(decoding + shape.prefill_tokens)
    }

    /// The request whose prompt is half-way.
    pub(super) fn half_way(&self, requests: &Requests) -> Option<Slot> {
        self.batch.last().filter(|slot| requests[*slot].phase == Phase::Prefill)
    }

    /// Preempts until every decoding request can have its next block, and a prompt that was admitted whole
    /// all of its own.
    fn make_room(&mut self, requests: &mut Requests) -> bool {
        let mut preempted = false;
        loop {
            let promised = match self.batching.scheduler {
                Scheduler::Sarathi => self.half_way(requests).map_or(0, |slot| {
                    let (request, kv) = (&requests[slot], &self.batch.kv);
                    kv.blocks(u64::from(request.prefill_length())) - kv.blocks(u64::from(request.prefilled))
                }),
                _ => 0,
            };
            self.ahead = self.lookahead(requests);
            if self.batch.kv.free_at(self.decoded()).is_some_and(|free| free >= promised + self.ahead) {
                return preempted;
            }
            self.preempt_last(requests);
            preempted = true;
        }
    }

    /// The next chunk of a request's prompt within `budget` tokens, if its blocks are free beside `reused`
    /// ones of its prefix.
    fn chunk(&self, slot: Slot, budget: u32, reused: u64, requests: &Requests) -> Option<u32> {
        let request = &requests[slot];
        let tokens = (request.prefill_length() - request.prefilled).min(budget);
        let blocks = self.blocks_to_take(slot, tokens, reused, requests);
        (blocks <= self.free()).then_some(tokens)
    }

    /// Blocks that the next iteration's decoding leaves.
    fn free(&self) -> u64 {
        self.batch.kv.free_at(self.decoded()).unwrap_or(0).saturating_sub(self.ahead)
    }

    /// Free blocks that there must be for a request's next chunk.
    fn blocks_to_take(&self, slot: Slot, tokens: u32, reused: u64, requests: &Requests) -> u64 {
        let (request, kv) = (&requests[slot], &self.batch.kv);
        let before = u64::from(request.prefilled);
        let admission = request.phase == Phase::Waiting;
        let after = match self.batching.scheduler {
            Scheduler::Sarathi if admission => u64::from(request.prefill_length()),
            _ => before + u64::from(tokens),
        };
        let spared = match admission && !self.batch.is_empty() {
            true => self.batching.scheduler.watermark(kv.total()),
            false => 0,
        };
        kv.blocks(after) - kv.blocks(before) + reused + spared
    }

    /// The head of the queue joins the batch with so many tokens of its prompt.
    fn admit(
        &mut self,
        now: Instant,
        slot: Slot,
        tokens: u32,
        cached: CachedPrefix,
        requests: &mut Requests,
    ) {
        self.waiting.pop();
        self.waiting_tokens -= u64::from(requests[slot].prefill_length());
        self.count_prefix(slot, cached, requests);
        self.batch.share_prefix(slot, cached.used, requests);
        self.enter(slot, requests);
        if cached.loads.hashes > 0 {
            let time = self.batch.load_prefix(slot, &cached.loads, requests);
            self.copying += time;
            self.totals.prefix.load += time;
        }
        let request = &mut requests[slot];
        request.account.end_wait(&self.waits);
        request.account.begin(now, TimeCause::Prefill);
        if request.first_scheduled.is_none() {
            request.first_scheduled = Some(now);
            request.account.first_scheduled();
            self.waiting.admitted(request.tenant, request.prompt);
        }
        self.batch.add_chunk(slot, tokens, requests);
    }

    /// A request joins the batch; its adapter is copied to the cards first, if it is not there.
    fn enter(&mut self, slot: Slot, requests: &mut Requests) {
        self.copying += self.slots.take(requests[slot].adapter);
        self.batch.admit(slot, requests);
    }

    /// Counts what the prefix cache had for a request.
    fn count_prefix(&mut self, slot: Slot, cached: CachedPrefix, requests: &Requests) {
        if let Some(hashes) = &requests[slot].hashes {
            self.totals.prefix.asked += hashes.len() as u64;
            self.totals.prefix.found += cached.found as u64;
            self.totals.prefix.tokens += u64::from(cached.tokens);
            self.totals.prefix.host += cached.loads.host.0;
            self.totals.prefix.remote += cached.loads.remote.0;
        }
    }

    /// Whether a request whose blocks are not free now may find them free, or need fewer, though nothing else changes
    /// until then: what it would reuse is evicted, tiers change, or it becomes another tenant's turn.
    fn may_fit_later(&self, cached: &CachedPrefix) -> bool {
        cached.unused_blocks > 0 || self.batch.kv.has_tiers() || self.waiting.is_restless()
    }

    /// The head of the queue, once those whose client has gone are out of the way.
    fn next_waiting(&mut self, requests: &mut Requests) -> Option<Slot> {
        while let Some(slot) = self.waiting.head() {
            if requests[slot].phase != Phase::Abandoned {
                return Some(slot);
            }
            self.waiting.pop();
            self.abandoned_waiting -= 1;
            self.forget_swapped(slot, requests);
            requests.remove(slot);
        }
        None
    }

    /// Makes room for a more urgent request: one that may be displaced, is less urgent and decodes gives its
    /// place up, the last in order first.
    fn displace(&mut self, urgent: Slot, requests: &mut Requests) -> bool {
        if !self.batch.has_preemptible() {
            return false;
        }
        let key = requests[urgent].key;
        let may = |slot: &Slot| {
            let request = &requests[*slot];
            request.preemptible && request.key > key && request.phase == Phase::Decode
        };
        let victims = self.batch.newest_first(requests).filter(may);
        let last =
            victims.max_by_key(|slot| (requests[*slot].key, requests[*slot].arrival, requests[*slot].id));
        let Some(slot) = last else { return false };
        self.preempt(slot, requests);
        true
    }

    /// Preempts the request that is last in order: by priority where that is the order, or else by admission.
    fn preempt_last(&mut self, requests: &mut Requests) -> Slot {
        let of = |slot: &Slot| (requests[*slot].key, requests[*slot].arrival, requests[*slot].id);
        let last = match self.batching.order {
            RequestOrder::Priority => self.batch.newest_first(requests).max_by_key(of),
            _ => self.batch.last(),
        };
        let slot = last.expect("blocks run out only while somebody holds them");
        self.preempt(slot, requests);
        slot
    }

    /// A request leaves the batch and waits again. Its blocks go to host memory, or are lost.
    fn preempt(&mut self, slot: Slot, requests: &mut Requests) {
        let decoded = self.decoded();
        let request = &requests[slot];
        let (cached, generated) = (request.cached_tokens(decoded), request.generated_by(decoded));
        let blocks = self.batch.kv.blocks(cached);
        let swap = self.batching.preemption == Preemption::Swap
            && request.phase == Phase::Decode
            && blocks <= self.host.blocks;
        self.leave(slot, requests);
        let request = &mut requests[slot];
        request.account.wait_settled(&self.waits);
        request.generated = generated;
        (request.prefilled, request.received) = (0, 0);
        request.retries = request.retries.saturating_add(1);
        request.phase = Phase::Waiting;
        if swap {
            request.swapped = cached as u32;
            self.host.blocks -= blocks;
            self.totals.swapped_blocks += blocks;
            self.copy(blocks);
        } else {
            self.waiting_tokens += u64::from(request.prefill_length());
        }
        self.waiting.push_back_again(slot, &requests[slot]);
        self.totals.preemptions += 1;
    }

    /// The head of the queue comes back from host memory and goes on decoding, if it was there and its blocks
    /// are free.
    fn resume(&mut self, slot: Slot, requests: &mut Requests) -> bool {
        if requests[slot].received > 0 {
            return self.join_received(slot, requests);
        }
        let tokens = u64::from(requests[slot].swapped);
        if tokens == 0 {
            return false;
        }
        let request = &requests[slot];
        let most = self.batch.kv.blocks(tokens + self.most_of_next(request, request.generated));
        if most > self.free() {
            return false;
        }
        self.waiting.pop();
        self.forget_swapped(slot, requests);
        let blocks = self.batch.kv.blocks(tokens);
        self.copy(blocks);
        self.batch.kv.take(blocks);
        self.enter(slot, requests);
        self.goes_on(slot, requests);
        requests[slot].prefilled = tokens as u32;
        self.batch.join_decoding(slot, self.decoded(), requests);
        self.waiting.decoding(requests[slot].tenant, 1);
        self.ahead += most - self.batch.kv.blocks(tokens + 1);
        true
    }

    /// The head of the queue, whose KV cache came from a prefill replica, goes on decoding if its blocks are free,
    /// that of its next token among them. What others keep of its prompt it shares.
    fn join_received(&mut self, slot: Slot, requests: &mut Requests) -> bool {
        let tokens = u64::from(requests[slot].received);
        let cached = self.batch.cached_prefix(&requests[slot]);
        let (kv, here) = (&self.batch.kv, u64::from(cached.tokens));
        let request = &requests[slot];
        let most = kv.blocks(tokens + self.most_of_next(request, request.generated));
        if most - kv.blocks(here) + cached.unused_blocks > self.free() {
            return false;
        }
        let ahead = most - kv.blocks(tokens + 1);
        let own = kv.blocks(tokens) - kv.blocks(here);
        self.waiting.pop();
        self.waiting_tokens -= u64::from(requests[slot].prefill_length());
        self.count_prefix(slot, cached, requests);
        self.batch.share_prefix(slot, cached.used, requests);
        self.enter(slot, requests);
        self.goes_on(slot, requests);
        requests[slot].prefilled = tokens as u32;
        self.batch.take_received(slot, own, requests);
        self.ahead += ahead;
        self.batch.join_decoding(slot, self.decoded(), requests);
        self.waiting.decoding(requests[slot].tenant, 1);
        true
    }

    /// A request that waited decodes from now on.
    fn goes_on(&self, slot: Slot, requests: &mut Requests) {
        let account = &mut requests[slot].account;
        account.end_wait(&self.waits);
        account.begin(self.waits.now(), TimeCause::Decode);
    }

    /// What a request has in host memory is there no more.
    pub(super) fn forget_swapped(&mut self, slot: Slot, requests: &mut Requests) {
        let tokens = std::mem::take(&mut requests[slot].swapped);
        self.host.blocks += self.batch.kv.blocks(u64::from(tokens));
    }

    /// Blocks are copied before the next iteration begins.
    fn copy(&mut self, blocks: u64) {
        self.copying += Ticks(self.host.copy.0 * u128::from(blocks));
    }
}
