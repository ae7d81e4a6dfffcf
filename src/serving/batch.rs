//! The batch of a replica: who is in it, in order of admission, and its sums.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::config::PausedKv;
use super::kv::KvCache;
use super::request::{NONE, Phase, Request, Requests, Slot};
use super::tiers::Loads;
use crate::perf::BatchShape;
use crate::units::Ticks;

/// What will happen to a decoding request at a boundary that is known when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Its last token is there.
    Finish,
    /// Its context reaches the sliding window and grows no more there.
    FillWindow,
}

/// How far a prompt is in the prefix cache.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CachedPrefix {
    /// Hashes, from the first, that are there.
    pub(crate) found: usize,
    /// Those of them that the request can use.
    pub(crate) used: usize,
    /// Tokens that it need not process.
    pub(crate) tokens: u32,
    /// Blocks among them that nobody uses: they count as free until this request uses them.
    pub(crate) unused_blocks: u64,
    /// What comes from the tiers below; its tokens are counted above.
    pub(crate) loads: Loads,
}

impl CachedPrefix {
    /// Free blocks that using all of it takes.
    pub(crate) fn blocks(&self) -> u64 {
        self.unused_blocks + self.loads.blocks
    }
}

/// The requests in a batch. The sums in `shape` describe the decoding requests in the next iteration; they
/// change only when the composition does, and by multiplication when iterations pass.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Sums over the decoding requests; the prefill fields are filled for one iteration at a time.
    pub(crate) shape: BatchShape,
    pub(crate) kv: KvCache,
    /// Requests whose prompt is being processed in the current iteration, with their chunk.
    pub(crate) chunks: Vec<(Slot, u32)>,
    /// The replica whose batch this is.
    replica: u32,
    window: Option<u64>,
    /// Tokens that one hash of a prompt covers, when prefixes are kept.
    prefix_tokens: Option<u64>,
    /// Known changes by boundary. An entry may be stale: its request has left or was preempted since.
    changes: BinaryHeap<Reverse<(u64, Change, Slot)>>,
    first: Slot,
    last: Slot,
    len: u32,
    /// How many of them may be displaced by more urgent ones.
    preemptible: u32,
}

impl Batch {
    pub(crate) fn new(replica: u32, kv: KvCache, window: Option<u32>, prefix_tokens: Option<u32>) -> Self {
        Self {
            shape: BatchShape::default(),
            kv,
            chunks: Vec::new(),
            replica,
            window: window.map(u64::from),
            prefix_tokens: prefix_tokens.map(u64::from),
            changes: BinaryHeap::new(),
            first: NONE,
            last: NONE,
            len: 0,
            preemptible: 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The request admitted last: the first to be preempted.
    pub(crate) fn last(&self) -> Option<Slot> {
        (self.last != NONE).then_some(self.last)
    }

    /// Whether a request can be in one batch with those that are there: images of a batch are of one size, and take as
    /// many steps.
    pub(crate) fn is_alike(&self, slot: Slot, requests: &Requests) -> bool {
        let (one, first) = (&requests[slot], self.first);
        one.pixels == 0
            || first == NONE
            || (one.pixels, one.output) == (requests[first].pixels, requests[first].output)
    }

    /// Whether somebody may be displaced by a more urgent request.
    pub(crate) fn has_preemptible(&self) -> bool {
        self.preemptible > 0
    }

    /// The requests in the batch, the one admitted last first.
    pub(crate) fn newest_first<'a>(&self, requests: &'a Requests) -> impl Iterator<Item = Slot> + use<'a> {
        let ahead = |slot: &Slot| Some(requests[*slot].before);
        let real = |slot: &Slot| *slot != NONE;
        std::iter::successors(Some(self.last).filter(real), move |slot| ahead(slot).filter(real))
    }

    /// Puts a request at the end of the batch, to process its prompt.
    pub(crate) fn admit(&mut self, slot: Slot, requests: &mut Requests) {
        let before = self.last;
        let request = &mut requests[slot];
        request.phase = Phase::Prefill;
        request.before = before;
        request.after = NONE;
        self.preemptible += u32::from(request.preemptible);
        if before == NONE {
            self.first = slot;
        } else {
            requests[before].after = slot;
        }
        self.last = slot;
        self.len += 1;
    }

    /// Adds a chunk of a request's prompt to the current iteration and takes its blocks.
    pub(crate) fn add_chunk(&mut self, slot: Slot, tokens: u32, requests: &mut Requests) {
        let before = u64::from(requests[slot].prefilled);
        let (chunk, after) = (u64::from(tokens), before + u64::from(tokens));
        self.kv.take(self.kv.blocks(after) - self.kv.blocks(before));
        self.keep_prefixes(slot, after, requests);
        self.chunks.push((slot, tokens));
        self.shape.pixels = u64::from(requests[slot].pixels);
        self.shape.prefill_requests += 1;
        self.shape.prefill_tokens += tokens;
        self.shape.prefill_pairs += chunk * before + chunk * (chunk + 1) / 2;
        self.shape.prefill_context += after;
    }

    /// How far a waiting request's prompt is in the cache. At least one token is always processed again,
    /// since its output is wanted.
    pub(crate) fn cached_prefix(&self, request: &Request) -> CachedPrefix {
        let (Some(size), Some(hashes)) = (self.prefix_tokens, &request.hashes) else {
            return CachedPrefix::default();
        };
        let found = self.kv.matching_prefix(hashes);
        let length = u64::from(request.prefill_length());
        let mut used = found;
        while used > 0 && self.covered(request.hashed_tokens(used, size), request) >= length {
            used -= 1;
        }
        let unused_blocks = self.kv.unused_blocks(&hashes[..used]);
        let tokens = self.covered(request.hashed_tokens(used, size), request) as u32;
        CachedPrefix { found, used, tokens, unused_blocks, loads: Loads::default() }
    }

    /// The same with what the tiers below have beyond that.
    pub(crate) fn cached_in_tiers(&self, request: &Request) -> CachedPrefix {
        let mut cached = self.cached_prefix(request);
        let (Some(size), Some(hashes)) = (self.prefix_tokens, &request.hashes) else { return cached };
        if !self.kv.has_tiers() || cached.used < cached.found {
            return cached;
        }
        let length = u64::from(request.prefill_length());
        let mut before = u64::from(cached.tokens);
        for (at, hash) in hashes.iter().enumerate().skip(cached.found) {
            let Some(place) = self.kv.below(*hash) else { break };
            cached.found += 1;
            let after = self.covered(request.hashed_tokens(at + 1, size), request);
            if after >= length {
                break;
            }
            cached.loads.add(place, (after - before) / self.kv.block_tokens());
            cached.tokens = after as u32;
            before = after;
        }
        cached
    }

    /// A request that was just admitted takes what the tiers below have of its prompt, up to its `prefilled` tokens;
    /// how long that takes to come.
    pub(crate) fn load_prefix(&mut self, slot: Slot, loads: &Loads, requests: &mut Requests) -> Ticks {
        let time = self.kv.load_time(loads);
        let first = requests[slot].shared as usize;
        if let (Some(size), Some(hashes)) = (self.prefix_tokens, requests[slot].hashes.clone()) {
            for (at, hash) in hashes.iter().enumerate().skip(first).take(loads.hashes) {
                let request = &requests[slot];
                let end = |blocks: usize| self.covered(request.hashed_tokens(blocks, size), request);
                let blocks = (end(at + 1) - end(at)) / self.kv.block_tokens();
                self.kv.take_up(*hash, blocks);
            }
        }
        self.take_received(slot, loads.blocks, requests);
        time
    }

    /// A prompt is processed: storage keeps its blocks from now on.
    pub(crate) fn store_prompt(&mut self, slot: Slot, requests: &Requests) {
        let (request, Some(size)) = (&requests[slot], self.prefix_tokens) else { return };
        if self.kv.remote.is_none() {
            return;
        }
        for (at, hash) in request.hashes.iter().flat_map(|hashes| hashes.iter()).enumerate() {
            let end = |blocks: usize| self.covered(request.hashed_tokens(blocks, size), request);
            let blocks = (end(at + 1) - end(at)) / self.kv.block_tokens();
            self.kv.store(*hash, blocks);
        }
    }

    /// A request has left whose session waits for a tool: its KV cache is kept, goes to the host or is forgotten, the
    /// deepest block first. How long copying it takes.
    pub(crate) fn pause(&mut self, request: &Request) -> Ticks {
        let (Some((kv, texts)), Some(hashes)) = (request.pause, &request.hashes) else { return Ticks::ZERO };
        let own = hashes.iter().skip(texts as usize).rev();
        let all = request.answer.iter().chain(own);
        match kv {
            PausedKv::Cache => Ticks::ZERO,
            PausedKv::Keep => {
                all.for_each(|hash| self.kv.retain_prefix(*hash));
                Ticks::ZERO
            }
            PausedKv::Swap | PausedKv::Drop => self.kv.move_out(all.copied(), kv == PausedKv::Swap),
        }
    }

    /// Hashes of prompts that requests in the batch share in the cache, added up.
    pub(crate) fn shared_hashes(&self, requests: &Requests) -> u64 {
        self.newest_first(requests).map(|slot| u64::from(requests[slot].shared)).sum()
    }

    /// Tokens in whole KV blocks among the first `tokens` of a prompt.
    fn covered(&self, tokens: u64, request: &Request) -> u64 {
        let within = tokens.min(u64::from(request.prompt));
        within - within % self.kv.block_tokens()
    }

    /// A request that is about to be admitted uses the first `used` hashes of its prompt.
    pub(crate) fn share_prefix(&mut self, slot: Slot, used: usize, requests: &mut Requests) {
        let request = &mut requests[slot];
        request.shared = used as u32;
        for hash in request.hashes.iter().flat_map(|hashes| hashes.iter()).take(used) {
            self.kv.reuse_prefix(*hash);
        }
    }

    /// Keeps the hashes of a prompt whose tokens are processed up to `after` once this iteration ends. As in
    /// vLLM they can be shared at once: whoever joins in this very iteration reads what is written first.
    fn keep_prefixes(&mut self, slot: Slot, after: u64, requests: &mut Requests) {
        let Some(size) = self.prefix_tokens else { return };
        let request = &requests[slot];
        let mut shared = request.shared;
        let hashes = request.hashes.as_deref().unwrap_or_default();
        while let Some(hash) = hashes.get(shared as usize) {
            let end = |blocks: u32| request.hashed_tokens(blocks as usize, size);
            let (from, to) = (end(shared), end(shared + 1));
            if to.min(u64::from(request.prompt)) > after {
                break;
            }
            let blocks = (self.covered(to, request) - self.covered(from, request)) / self.kv.block_tokens();
            if !self.kv.keep_prefix(*hash, blocks) {
                break;
            }
            shared += 1;
        }
        requests[slot].shared = shared;
    }

    /// Keeps the answer of a request that is about to leave, behind its prompt, if all of that is kept.
    pub(crate) fn keep_answer(&mut self, slot: Slot, boundary: u64, requests: &Requests) {
        let (request, Some(size)) = (&requests[slot], self.prefix_tokens) else { return };
        let (Some(answer), Some(hashes)) = (request.answer, &request.hashes) else { return };
        if request.shared as usize == hashes.len() && request.stop == request.output {
            let whole = request.cached_tokens(boundary) / self.kv.block_tokens();
            let prompt =
                self.covered(request.hashed_tokens(hashes.len(), size), request) / self.kv.block_tokens();
            self.kv.keep_unused(answer, whole - prompt);
        }
    }

    /// Forgets the chunks of the iteration that ended.
    pub(crate) fn clear_chunks(&mut self) {
        self.chunks.clear();
        self.shape.prefill_requests = 0;
        self.shape.prefill_tokens = 0;
        self.shape.prefill_pairs = 0;
        self.shape.prefill_context = 0;
    }

    /// A request whose prompt is processed and whose first token is there begins to decode at `boundary`.
    pub(crate) fn join_decoding(&mut self, slot: Slot, boundary: u64, requests: &mut Requests) {
        let request = &mut requests[slot];
        let context = u64::from(request.prefilled) + 1;
        request.phase = Phase::Decode;
        request.joined_at = boundary;
        request.joined_context = context;
        request.finishes_at = boundary + u64::from(request.output - request.generated);
        self.changes.push(Reverse((request.finishes_at, Change::Finish, slot)));
        self.kv.join(boundary, context);
        self.shape.decode_requests += 1;
        self.shape.decode_context += context;
        let window = self.window.unwrap_or(u64::MAX);
        request.growing = context < window;
        self.shape.window_context += context.min(window);
        self.shape.window_growing += u32::from(request.growing);
        if request.growing && window != u64::MAX {
            self.changes.push(Reverse((boundary + window - context, Change::FillWindow, slot)));
        }
    }

    /// Blocks that only this request uses, with so many tokens in the cache.
    pub(crate) fn own_blocks(&self, request: &Request, cached: u64) -> u64 {
        let size = self.prefix_tokens.unwrap_or(0);
        let shared = self.covered(request.hashed_tokens(request.shared as usize, size), request);
        self.kv.blocks(cached) - shared / self.kv.block_tokens()
    }

    /// A request that was just admitted has KV of `prefilled` tokens, of which `extra` blocks came from elsewhere.
    pub(crate) fn take_received(&mut self, slot: Slot, extra: u64, requests: &mut Requests) {
        self.kv.take(extra);
        self.keep_prefixes(slot, u64::from(requests[slot].prefilled), requests);
    }

    /// Takes a request out of the batch at `boundary` and gives its blocks back. Its phase is left as it is.
    pub(crate) fn remove(&mut self, slot: Slot, boundary: u64, requests: &mut Requests) {
        let (before, after) = (requests[slot].before, requests[slot].after);
        if before == NONE {
            self.first = after;
        } else {
            requests[before].after = after;
        }
        if after == NONE {
            self.last = before;
        } else {
            requests[after].before = before;
        }
        self.len -= 1;
        let request = &requests[slot];
        self.preemptible -= u32::from(request.preemptible);
        let cached = request.cached_tokens(boundary);
        self.kv.give_back(self.own_blocks(request, cached));
        // The deepest first: it will be the first to be evicted.
        for hash in request.hashes.iter().flat_map(|hashes| hashes[..request.shared as usize].iter().rev()) {
            self.kv.release_prefix(*hash);
        }
        if request.phase == Phase::Decode {
            self.leave_decoding(slot, boundary, requests);
        }
        requests[slot].shared = 0;
    }

    /// Takes a decoding request out of the sums.
    pub(crate) fn leave_decoding(&mut self, slot: Slot, boundary: u64, requests: &mut Requests) {
        let request = &mut requests[slot];
        let context = request.cached_tokens(boundary) + 1;
        self.kv.leave(request.joined_at, request.joined_context);
        self.shape.decode_requests -= 1;
        self.shape.decode_context -= context;
        self.shape.window_context -= context.min(self.window.unwrap_or(u64::MAX));
        self.shape.window_growing -= u32::from(request.growing);
        request.growing = false;
    }

    /// Lets `n` iterations pass, from the one numbered `from`.
    pub(crate) fn advance(&mut self, from: u64, n: u64) {
        self.kv.advance(from, n);
        self.shape.decode_context += u64::from(self.shape.decode_requests) * n;
        self.shape.window_context += u64::from(self.shape.window_growing) * n;
    }

    /// The next change that is due at `boundary`: windows that fill are dealt with here, a request that
    /// finishes is returned (still in the batch).
    pub(crate) fn next_due(
        &mut self,
        boundary: u64,
        requests: &mut Requests,
        changed: &mut bool,
    ) -> Option<Slot> {
        while let Some(Reverse((at, change, slot))) = self.changes.peek().copied() {
            if at > boundary {
                return None;
            }
            self.changes.pop();
            if !self.is_current(at, change, &requests[slot]) {
                continue;
            }
            match change {
                Change::Finish => return Some(slot),
                Change::FillWindow => {
                    requests[slot].growing = false;
                    self.shape.window_growing -= 1;
                    *changed = true;
                }
            }
        }
        None
    }

    /// The boundary of the next known change, or `u64::MAX`.
    pub(crate) fn next_change(&mut self, requests: &Requests) -> u64 {
        while let Some(Reverse((at, change, slot))) = self.changes.peek().copied() {
            if self.is_current(at, change, &requests[slot]) {
                return at;
            }
            self.changes.pop();
        }
        u64::MAX
    }

    /// False for an entry whose request has left this batch, or has left it and come back.
    fn is_current(&self, at: u64, change: Change, request: &Request) -> bool {
        request.phase == Phase::Decode
            && request.replica == self.replica
            && match change {
                Change::Finish => request.finishes_at == at,
                Change::FillWindow => {
                    let window = self.window.unwrap_or(u64::MAX);
                    request.growing && request.joined_at + window.saturating_sub(request.joined_context) == at
                }
            }
    }
}
