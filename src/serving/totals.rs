//! What a deployment did, for its summary.

use super::replica::PrefixTotals;
use super::speculate::SpeculationTotals;
use crate::units::Flop;

/// What a deployment did, summed over its replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeploymentTotals {
    /// Iterations run.
    pub iterations: u64,
    /// Times the composition of a batch changed.
    pub batch_changes: u64,
    /// Requests preempted.
    pub preemptions: u64,
    /// KV blocks copied to host memory.
    pub swapped_blocks: u64,
    /// What its drafts proposed.
    pub speculation: SpeculationTotals,
    /// Requests turned away because their first token was predicted too late.
    pub turned_away: u64,
    /// Requests rejected because they are longer than the context or than a replica's KV cache.
    pub too_long: u64,
    /// Σ over iterations of the requests in the batch.
    pub batched: u128,
    /// FLOP done.
    pub flop: Flop,
    /// What the prefix caches were asked and had.
    pub prefix: PrefixTotals,
}
