//! The parts of the summary that only some scenarios have.

use serde::Serialize;

/// What only some engines do; each is absent where nothing of it happened.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EngineSummary {
    /// KV blocks copied to host memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swapped_blocks: Option<u64>,
}
