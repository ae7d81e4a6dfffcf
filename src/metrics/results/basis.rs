//! What results rest on.

use serde::Serialize;

/// A figure or default that the results rest on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assumption {
    /// What it describes: `offer aws/p5.48xlarge`.
    pub about: String,
    /// Which figure: `on-demand price`.
    pub figure: String,
    /// Its value with unit.
    pub value: String,
    /// Where it comes from.
    pub source: String,
    /// As of when; empty when unknown.
    pub date: String,
    /// What is unsure about it; empty when nothing.
    pub doubt: String,
}

/// An option that stands for its default, because the scenario leaves it out or says the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultTaken {
    /// The option: `deployments.chat.batching.max_batch_tokens`.
    pub option: String,
    /// Its value, as TOML.
    pub value: String,
}
