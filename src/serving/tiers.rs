//! Tiers below the KV cache on the cards: host memory, and storage over the network.
//!
//! What the cards evict goes to their host's memory, where what was used longest ago goes first; storage keeps what
//! any replica of the deployment has computed, from the moment at which the prompt is processed (LMCache and Mooncake
//! store write through: Qin et al., FAST 2025, section 4). A request that is admitted takes from them what the cards
//! have not, from the first of its hashes on; its blocks come over the link before the iteration begins, as in vLLM v1
//! with a connector that loads in step (`vllm/v1/core/sched/scheduler.py`, `get_num_new_matched_tokens`). What is
//! written goes beside the work of the cards and takes no time.

use super::prefix::PrefixCache;
use crate::units::Ticks;

/// One tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// KV blocks that it holds.
    pub blocks: u64,
    /// How long one takes from there to the cards.
    pub copy: Ticks,
    /// What every request that takes something from there waits beside that.
    pub latency: Ticks,
}

/// The tiers of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KvTiers {
    /// Host memory, of each replica.
    pub host: Option<Tier>,
    /// Storage that all replicas of the deployment share.
    pub remote: Option<Tier>,
}

/// What a tier keeps.
#[derive(Debug)]
pub(crate) struct Kept {
    tier: Tier,
    cache: PrefixCache,
}

/// Where a block was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Host,
    Remote,
}

/// What an admission takes from the tiers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loads {
    /// Hashes, from the first that the cards have not.
    pub(crate) hashes: usize,
    /// Blocks that these take on the cards.
    pub(crate) blocks: u64,
    /// Of them, hashes and blocks from host memory, and from storage.
    pub(crate) host: (u64, u64),
    pub(crate) remote: (u64, u64),
}

impl Loads {
    pub(crate) fn add(&mut self, place: Place, blocks: u64) {
        self.hashes += 1;
        self.blocks += blocks;
        let of = match place {
            Place::Host => &mut self.host,
            Place::Remote => &mut self.remote,
        };
        *of = (of.0 + 1, of.1 + blocks);
    }
}

impl Kept {
    pub(crate) fn new(tier: Tier) -> Box<Self> {
        Box::new(Self { tier, cache: PrefixCache::default() })
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        self.cache.matching(&[hash]) == 1
    }

    /// Keeps a hash's blocks, or has them used now if they are here.
    pub(crate) fn put(&mut self, hash: u64, blocks: u64) {
        if !self.cache.enter(hash, blocks) {
            self.cache.reuse(hash);
        }
        self.cache.release(hash);
        self.cache.shrink(self.tier.blocks, |_, _| {});
    }

    /// How long so many blocks take to the cards.
    pub(crate) fn time(&self, blocks: u64) -> Ticks {
        match blocks {
            0 => Ticks::ZERO,
            _ => Ticks(self.tier.copy.0 * u128::from(blocks)) + self.tier.latency,
        }
    }

    /// Blocks here, and most that may be.
    pub(crate) fn filled(&self) -> (u64, u64) {
        (self.cache.evictable(), self.tier.blocks)
    }
}
