//! What a prefix-affine router remembers: which blocks of prompts it has sent to which replica.

use super::prefix::PrefixCache;
use super::request::Request;

/// For each replica the blocks that were sent to it, as many as its KV cache has, the last used ones. It is the
/// router's own book, as SGLang's router and llm-d's approximate scorer keep one: what the replica evicted since
/// it does not know.
#[derive(Debug, Default)]
pub(crate) struct SentPrefixes {
    places: Vec<(PrefixCache, u64)>,
    /// For the request that is being routed: tokens that each place has.
    pub(crate) overlaps: Vec<u32>,
}

impl SentPrefixes {
    /// A replica whose cache has so many blocks is given a place: the next, or that of one that is gone.
    pub(crate) fn add(&mut self, place: usize, kv_blocks: u64) {
        let empty = (PrefixCache::default(), kv_blocks);
        match self.places.get_mut(place) {
            Some(old) => *old = empty,
            None => self.places.push(empty),
        }
    }

    /// Looks up how many tokens of a prompt each place has. Hashes without listed ends are of `size` tokens.
    pub(crate) fn look_up(&mut self, request: &Request, size: u64) {
        self.overlaps.clear();
        let Some(hashes) = &request.hashes else { return };
        let tokens = |found: usize| request.hashed_tokens(found, size).min(u64::from(request.prompt)) as u32;
        self.overlaps.extend(self.places.iter().map(|(sent, _)| tokens(sent.matching(hashes))));
    }

    /// A request was sent to a place.
    pub(crate) fn sent(&mut self, place: usize, request: &Request, size: u64, block_tokens: u64) {
        let (Some(hashes), Some((sent, room))) = (&request.hashes, self.places.get_mut(place)) else {
            return;
        };
        for (at, hash) in hashes.iter().enumerate() {
            let tokens = request.hashed_tokens(at + 1, size) - request.hashed_tokens(at, size);
            if !sent.enter(*hash, tokens / block_tokens) {
                sent.reuse(*hash);
            }
        }
        // The deepest first: it is the first to be forgotten.
        for hash in hashes.iter().rev() {
            sent.release(*hash);
        }
        // The answer will be there when a later prompt may contain it.
        if let Some(answer) = request.answer
            && sent.enter(answer, u64::from(request.output) / block_tokens)
        {
            sent.release(answer);
        }
        sent.shrink(*room, |_, _| {});
    }
}
