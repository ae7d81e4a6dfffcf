//! The KV cache of a replica: blocks in use, and when they run out.

use super::prefix::PrefixCache;

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
        self.prefixes.shrink(self.total - self.used);
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
