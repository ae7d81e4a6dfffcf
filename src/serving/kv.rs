//! The KV cache of a replica: blocks in use, and when they run out.

use super::prefix::PrefixCache;
use super::tiers::{Kept, KvTiers, Loads, Place};
use crate::units::Ticks;

/// Counts blocks. A decoding request adds one token an iteration and so a block every `block_tokens`
/// iterations; which iterations those are depends only on a residue class. So the blocks that a batch
/// needs are a staircase with `block_tokens` residue classes, and the first shortage is exact.
#[derive(Debug)]
pub(crate) struct KvCache {
    block_tokens: u64,
    total: u64,
    used: u64,
    /// How many decoding requests take a new block in iterations `i ≡ class (mod block_tokens)`.
    classes: Vec<u32>,
    decoding: u64,
    /// Blocks of prompts that are kept for others; those in use are counted in `used`, once.
    prefixes: PrefixCache,
    /// What was evicted from here and lies in host memory.
    host: Option<Box<Kept>>,
    /// What lies in storage that all replicas share; lent while the replica is looked at.
    pub(crate) remote: Option<Box<Kept>>,
}

impl KvCache {
    pub(crate) fn new(total_blocks: u64, block_tokens: u32) -> Self {
        let block_tokens = u64::from(block_tokens.max(1));
        Self {
            block_tokens,
            total: total_blocks,
            used: 0,
            classes: vec![0; block_tokens as usize],
            decoding: 0,
            prefixes: PrefixCache::default(),
            host: None,
            remote: None,
        }
    }

    /// With these tiers below.
    pub(crate) fn above(mut self, tiers: KvTiers) -> Self {
        self.host = tiers.host.map(Kept::new);
        self
    }

    /// Empty, over the same tiers.
    pub(crate) fn emptied(&mut self) -> Self {
        let (host, remote) = (self.host.take(), self.remote.take());
        Self { host, remote, ..Self::new(self.total, self.block_tokens as u32) }
    }

    /// Whether there are tiers below.
    pub(crate) fn has_tiers(&self) -> bool {
        self.host.is_some() || self.remote.is_some()
    }

    /// Which tier has a hash.
    pub(crate) fn below(&self, hash: u64) -> Option<Place> {
        let has = |tier: &Option<Box<Kept>>| tier.as_ref().is_some_and(|kept| kept.has(hash));
        if has(&self.host) { Some(Place::Host) } else { has(&self.remote).then_some(Place::Remote) }
    }

    /// A request takes a hash's blocks from a tier: they are used there now.
    pub(crate) fn take_up(&mut self, hash: u64, blocks: u64) {
        let tier = match self.below(hash) {
            Some(Place::Host) => &mut self.host,
            _ => &mut self.remote,
        };
        tier.iter_mut().for_each(|kept| kept.put(hash, blocks));
    }

    /// Kept blocks that nobody uses are the last to be evicted until they are used again.
    pub(crate) fn retain_prefix(&mut self, hash: u64) {
        self.prefixes.retain(hash);
    }

    /// Kept blocks that nobody uses leave the cards, for host memory or for good. How long copying them takes.
    pub(crate) fn move_out(&mut self, hashes: impl Iterator<Item = u64>, to_host: bool) -> Ticks {
        let mut moved = 0;
        for hash in hashes {
            let Some(blocks) = self.prefixes.take_out(hash) else { continue };
            if let Some(host) = self.host.as_mut().filter(|_| to_host) {
                host.put(hash, blocks);
                moved += blocks;
            }
        }
        self.host.as_ref().map_or(Ticks::ZERO, |host| host.time(moved))
    }

    /// Storage keeps a hash's blocks from now on.
    pub(crate) fn store(&mut self, hash: u64, blocks: u64) {
        self.remote.iter_mut().for_each(|kept| kept.put(hash, blocks));
    }

    /// How long what is loaded takes to come.
    pub(crate) fn load_time(&self, loads: &Loads) -> Ticks {
        let time =
            |tier: &Option<Box<Kept>>, blocks| tier.as_ref().map_or(Ticks::ZERO, |kept| kept.time(blocks));
        time(&self.host, loads.host.1) + time(&self.remote, loads.remote.1)
    }

    /// What is wrong with the counts: blocks beyond the memory, or uses of prefixes that are not those of requests.
    pub(crate) fn audit(&self, shared: u64) -> Option<String> {
        let kept = self.used + self.prefixes.evictable();
        let (uses, total) = (self.prefixes.uses(), self.total);
        let host = self.host.as_ref().map(|kept| kept.filled());
        if kept > total {
            Some(format!("{kept} KV blocks are used or kept, of {total}"))
        } else if uses != shared {
            Some(format!("kept prefixes are used {uses} times, by requests that use {shared}"))
        } else {
            host.filter(|(filled, most)| filled > most)
                .map(|(filled, most)| format!("{filled} KV blocks lie in host memory for {most}"))
        }
    }

    /// Tokens in a block.
    pub(crate) fn block_tokens(&self) -> u64 {
        self.block_tokens
    }

    /// Blocks that hold `tokens`.
    pub(crate) fn blocks(&self, tokens: u64) -> u64 {
        tokens.div_ceil(self.block_tokens)
    }

    /// True when `tokens` of one request could ever be held.
    pub(crate) fn can_ever_hold(&self, tokens: u64) -> bool {
        self.blocks(tokens) <= self.total
    }

    /// Blocks that the decoding requests take at the start of `iteration`.
    pub(crate) fn demand(&self, iteration: u64) -> u64 {
        u64::from(self.classes[(iteration % self.block_tokens) as usize])
    }

    /// Blocks that nobody uses.
    pub(crate) fn free(&self) -> u64 {
        self.total - self.used
    }

    /// All blocks.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Blocks left once `iteration`'s decoding requests have theirs; negative demand is a shortage.
    pub(crate) fn free_at(&self, iteration: u64) -> Option<u64> {
        self.total.checked_sub(self.used + self.demand(iteration))
    }

    /// Takes or gives back blocks outside decoding: prompt chunks, and requests that leave.
    pub(crate) fn take(&mut self, blocks: u64) {
        self.used += blocks;
        self.evict();
    }

    /// Evicts kept prefixes whose room is needed.
    fn evict(&mut self) {
        debug_assert!(self.used <= self.total, "more KV blocks used than there are");
        let host = &mut self.host;
        self.prefixes.shrink(self.total - self.used, |hash, blocks| {
            host.iter_mut().for_each(|kept| kept.put(hash, blocks));
        });
    }

    /// How many of `hashes`, from the first, are kept.
    pub(crate) fn matching_prefix(&self, hashes: &[u64]) -> usize {
        self.prefixes.matching(hashes)
    }

    /// Blocks that are kept and that nobody uses, among those of `hashes`: they are free until they are reused.
    pub(crate) fn unused_blocks(&self, hashes: &[u64]) -> u64 {
        hashes.iter().map(|hash| self.prefixes.unused_blocks(*hash)).sum()
    }

    /// A request uses the kept blocks of a hash.
    pub(crate) fn reuse_prefix(&mut self, hash: u64) {
        self.used += self.prefixes.reuse(hash);
    }

    /// Keeps the blocks of a hash that its first user has just taken; false when they are kept already, and
    /// that user's own copy stays its own.
    pub(crate) fn keep_prefix(&mut self, hash: u64, blocks: u64) -> bool {
        self.prefixes.enter(hash, blocks)
    }

    /// Keeps blocks under a hash that nobody uses; who holds them is about to give them back.
    pub(crate) fn keep_unused(&mut self, hash: u64, blocks: u64) {
        if self.prefixes.enter(hash, blocks) {
            self.prefixes.release(hash);
        }
        self.store(hash, blocks);
    }

    /// A request uses the kept blocks of a hash no more.
    pub(crate) fn release_prefix(&mut self, hash: u64) {
        self.used -= self.prefixes.release(hash);
    }

    /// Blocks in use.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn give_back(&mut self, blocks: u64) {
        self.used = self.used.checked_sub(blocks).expect("blocks given back were taken before");
    }

    /// A request joins decoding: in iteration `first` it attends to `context` tokens, its new one included.
    pub(crate) fn join(&mut self, first: u64, context: u64) {
        let class = self.class(first, context);
        self.classes[class] += 1;
        self.decoding += 1;
    }

    /// The request that joined with these arguments leaves decoding.
    pub(crate) fn leave(&mut self, first: u64, context: u64) {
        let class = self.class(first, context);
        self.classes[class] -= 1;
        self.decoding -= 1;
    }

    /// A new block is taken in iteration i when the context there is 1 modulo the block size.
    fn class(&self, first: u64, context: u64) -> usize {
        let size = self.block_tokens;
        ((first % size + size + 1 - context % size) % size) as usize
    }

    /// The share of blocks in use when `n` iterations from `from` on are complete.
    pub(crate) fn share_used(&self, from: u64, n: u64) -> f64 {
        (self.used + self.staircase(from, n)) as f64 / self.total as f64
    }

    /// Accounts for the blocks taken in iterations `from..from + n`.
    pub(crate) fn advance(&mut self, from: u64, n: u64) {
        self.used += self.staircase(from, n);
        self.evict();
    }

    /// Blocks taken in iterations `from..from + n`.
    fn staircase(&self, from: u64, n: u64) -> u64 {
        let rest = n % self.block_tokens;
        n / self.block_tokens * self.decoding + (from..from + rest).map(|i| self.demand(i)).sum::<u64>()
    }

    /// How many iterations from `from` on can be run before the blocks run out, at most `limit`.
    pub(crate) fn iterations_before_shortage(&self, from: u64, limit: u64) -> u64 {
        let free = self.total - self.used;
        if self.decoding == 0 || free >= (limit / self.block_tokens + 1).saturating_mul(self.decoding) {
            return limit;
        }
        // After whole cycles the classes repeat; within the last one, walk.
        let cycles = free / self.decoding;
        let mut left = free - cycles * self.decoding;
        let mut n = cycles * self.block_tokens;
        // Fewer blocks are left than one cycle takes, so this ends within the cycle.
        while n < limit {
            let demand = self.demand(from + n);
            if demand > left {
                return n;
            }
            left -= demand;
            n += 1;
        }
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The staircase is what counting the blocks of each request, iteration by iteration, gives.
        #[test]
        fn staircase_counts_blocks(
            contexts in prop::collection::vec(1u64..100, 0..20),
            from in 0u64..50, n in 0u64..100, spare in 0u64..60, size in 1u32..20,
        ) {
            let size64 = u64::from(size);
            let held = |grown: u64| -> u64 { contexts.iter().map(|c| (c - 1 + grown).div_ceil(size64)).sum() };
            let mut cache = KvCache::new(held(0) + spare, size);
            cache.take(held(0));
            for context in &contexts {
                cache.join(from, *context);
            }
            let fits = (1..=n).take_while(|k| held(*k) <= held(0) + spare).count() as u64;
            prop_assert_eq!(cache.iterations_before_shortage(from, n), fits);
            cache.advance(from, fits);
            prop_assert_eq!(cache.used, held(fits));
            prop_assert_eq!(cache.free_at(from + fits).is_some(), held(fits + 1) <= held(0) + spare);
        }
    }
}
