//! What went over links.

use serde::Serialize;

/// What went over the links of one kind that a deployment's replicas or a training job use: what their plan sends for
/// each token or step, times those that passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkTraffic {
    /// The deployment or job.
    pub holder: String,
    /// Where it ran.
    pub pool: String,
    /// `card to card`, `node to node` or `card to host`.
    pub kind: &'static str,
    /// What the links are: `switch`, `PCIe tree`, `network`, ...
    pub name: String,
    /// How many were used, over all replicas.
    pub links: u64,
    /// What one carries in one direction.
    pub capacity_bytes_per_s: f64,
    /// Bytes sent over all of them.
    pub bytes: f64,
    /// Bytes per second over the fullest, while its replica or job computes; null where it never did.
    pub computing_bytes_per_s: Option<f64>,
    /// The same ÷ `capacity_bytes_per_s`.
    pub computing_share: Option<f64>,
    /// Bytes over the fullest ÷ what it could have carried in the whole run.
    pub share: f64,
}
