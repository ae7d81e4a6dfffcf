//! The batch of a replica: who is in it, in order of admission, and its sums.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::kv::KvCache;
use super::request::{NONE, Phase, Request, Requests, Slot};
use crate::perf::BatchShape;

/// What will happen to a decoding request at a boundary that is known when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Its last token is there.
    Finish,
    /// Its context reaches the sliding window and grows no more there.
    FillWindow,
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
    /// Known changes by boundary. An entry may be stale: its request has left or was preempted since.
    changes: BinaryHeap<Reverse<(u64, Change, Slot)>>,
    first: Slot,
    last: Slot,
    len: u32,
}

impl Batch {
    pub(crate) fn new(replica: u32, kv: KvCache, window: Option<u32>) -> Self {
        Self {
            shape: BatchShape::default(),
            kv,
            chunks: Vec::new(),
            replica,
            window: window.map(u64::from),
            changes: BinaryHeap::new(),
            first: NONE,
            last: NONE,
            len: 0,
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

    /// Puts a request at the end of the batch, to process its prompt.
    pub(crate) fn admit(&mut self, slot: Slot, requests: &mut Requests) {
        let before = self.last;
        let request = &mut requests[slot];
        request.phase = Phase::Prefill;
        request.prefilled = 0;
        request.before = before;
        request.after = NONE;
        if before == NONE {
            self.first = slot;
        } else {
            requests[before].after = slot;
        }
        self.last = slot;
        self.len += 1;
    }

    /// Adds a chunk of a request's prompt to the current iteration and takes its blocks.
    pub(crate) fn add_chunk(&mut self, slot: Slot, tokens: u32, requests: &Requests) {
        let before = u64::from(requests[slot].prefilled);
        let (chunk, after) = (u64::from(tokens), before + u64::from(tokens));
        self.kv.take(self.kv.blocks(after) - self.kv.blocks(before));
        self.chunks.push((slot, tokens));
        self.shape.prefill_requests += 1;
        self.shape.prefill_tokens += tokens;
        self.shape.prefill_pairs += chunk * before + chunk * (chunk + 1) / 2;
        self.shape.prefill_context += after;
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
        let cached = request.cached_tokens(boundary);
        self.kv.give_back(self.kv.blocks(cached));
        if request.phase == Phase::Decode {
            let context = cached + 1;
            self.kv.leave(request.joined_at, request.joined_context);
            self.shape.decode_requests -= 1;
            self.shape.decode_context -= context;
            self.shape.window_context -= context.min(self.window.unwrap_or(u64::MAX));
            self.shape.window_growing -= u32::from(request.growing);
            requests[slot].growing = false;
        }
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
