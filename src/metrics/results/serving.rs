//! What happened between the replicas of a deployment.

use serde::Serialize;

/// What the prefix caches of a deployment did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrefixCacheSummary {
    /// Hashed blocks of the prompts of requests when they were admitted.
    pub asked_blocks: u64,
    /// Those that were in the cache.
    pub found_blocks: u64,
    /// `found_blocks` ÷ `asked_blocks`.
    pub hit_rate: f64,
    /// Prompt tokens that were not processed again.
    pub saved_prompt_tokens: u64,
    /// Of those found, what tiers below the cards gave; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<TierSummary>,
}

/// What tiers below a KV cache gave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TierSummary {
    /// Hashed blocks from host memory.
    pub host_blocks: u64,
    /// Hashed blocks from storage.
    pub remote_blocks: u64,
    /// How long loading them held up replicas, in seconds.
    pub load_s: f64,
}

/// What went from prefill to decode replicas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HandoverSummary {
    /// Requests whose KV cache left a prefill replica.
    pub handed_over: u64,
    /// Requests whose prompt was processed where they were decoded.
    pub local: u64,
    /// Bytes that left prefill replicas.
    pub bytes_sent: f64,
    /// Bytes that arrived at decode replicas; less than `bytes_sent` by what is on its way at the end.
    pub bytes_received: f64,
    /// Bytes that were lost with one of the replicas; absent where none were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_lost: Option<f64>,
    /// Mean time on the way, of those that arrived; null where none did.
    pub mean_s: Option<f64>,
}
