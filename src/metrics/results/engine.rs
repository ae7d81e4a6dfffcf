//! The parts of the summary that only some scenarios have.

use super::{LatencySummary, RequestCounts, TokenCounts};
use serde::Serialize;

/// What only some engines do; each is absent where nothing of it happened.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EngineSummary {
    /// KV blocks copied to host memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swapped_blocks: Option<u64>,
    /// Requests rejected because their first token was predicted too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turned_away: Option<u64>,
    /// What its drafts proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculation: Option<SpeculationSummary>,
    /// What loading its adapters took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapters: Option<AdapterSummary>,
    /// What loading its model took, where it shares hosts with others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swaps: Option<SwapSummary>,
    /// The images that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageSummary>,
}

/// The images that a deployment made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ImageSummary {
    /// How many.
    pub made: u64,
    /// Gigabytes that left the cloud for them.
    pub egress_gb: f64,
}

/// What loading the model of a deployment on shared hosts took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SwapSummary {
    /// Times that a host loaded its weights.
    pub loads: u64,
    /// Times that they made room for another model.
    pub evictions: u64,
    /// Bytes loaded.
    pub bytes: f64,
    /// From the beginnings of these loads to their ends, in seconds.
    pub load_s: f64,
    /// Of that, seconds in which nothing else computed on the host.
    pub stalled_s: f64,
    /// What the cards cost in that time, at the list price.
    pub stalled_usd: f64,
}

/// What loading the adapters of a deployment took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AdapterSummary {
    /// Times that one was copied to a replica.
    pub loads: u64,
    /// How long that held up replicas, in seconds.
    pub load_s: f64,
}

/// What the drafts of a deployment proposed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SpeculationSummary {
    /// Tokens proposed.
    pub proposed_tokens: u64,
    /// Tokens kept.
    pub kept_tokens: u64,
    /// Output tokens that a decoding request made in an iteration, on average.
    pub tokens_per_iteration: f64,
}

/// What the cache of responses in front of a stream's deployments did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ResponseCacheSummary {
    /// Requests that came to it.
    pub asked: u64,
    /// Those that it answered; they are among the completed ones.
    pub hits: u64,
    /// `hits` ÷ `asked`; null when nobody asked.
    pub hit_rate: Option<f64>,
    /// Output tokens of those, which no card made.
    pub output_tokens: u64,
}

/// What a hosted API did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApiSummary {
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub provider: String,
    /// The requests that it took, by how they ended.
    pub requests: RequestCounts,
    /// Requests that it refused, beyond its limits.
    pub refused: u64,
    /// Latency of those that it answered.
    pub latency: LatencySummary,
    /// Tokens that were paid.
    pub tokens: TokenCounts,
    /// What they cost, US dollars.
    pub spend_usd: f64,
}

/// What one tenant asked for and got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TenantSummary {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its requests by how they ended.
    pub requests: RequestCounts,
    /// Of the rejected ones, those beyond its rate limits.
    pub rate_limited: u64,
    /// Tokens of its completed requests.
    pub tokens: TokenCounts,
    /// Latency.
    pub latency: LatencySummary,
}
