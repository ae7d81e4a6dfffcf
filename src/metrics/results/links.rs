//! What was asked of the links between switches.

use serde::Serialize;

/// A link between two switches of a pool's fabric, in one direction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkSummary {
    /// Its ends: `leaf 0 to spine`.
    pub link: String,
    /// What it carries, in GB/s.
    pub carries_gb_s: f64,
    /// Of that, what gangs that hold their cards could send over it, in the mean over the window: allocated, not sent.
    pub allocated: f64,
    /// The most that was asked of it at once, over what it carries; above 1 gangs waited for each other.
    pub most: f64,
    /// The share of the window for which more was asked than it carries.
    pub crowded: f64,
}
