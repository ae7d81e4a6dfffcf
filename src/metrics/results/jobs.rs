//! What a summary says of jobs.

use serde::Serialize;

use super::Quantiles;

/// Jobs by state at the end, and how long they took.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct JobsSummary {
    /// Submitted within the window.
    pub submitted: u64,
    /// Finished.
    pub completed: u64,
    /// Given up.
    pub failed: u64,
    /// Running at the end.
    pub running: u64,
    /// Waiting at the end.
    pub queued: u64,
    /// Submit to start, of jobs that started.
    pub wait_s: Quantiles,
    /// Submit to finish, of jobs that finished.
    pub jct_s: Quantiles,
    /// First submit to last finish; null while nothing has finished.
    pub makespan_s: Option<f64>,
    /// Bounded slow-down (10 s) of jobs that finished; absent while none has.
    #[serde(skip_serializing_if = "is_empty")]
    pub slowdown: Quantiles,
    /// Finish-time fairness of jobs that finished: at most 1 is fair; absent while none has.
    #[serde(skip_serializing_if = "is_empty")]
    pub rho: Quantiles,
    /// Jain's index of finish-time fairness, up to 1; absent while nothing has finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jain: Option<f64>,
    /// Interrupted runs: stopped for others; absent when none was.
    #[serde(skip_serializing_if = "is_zero")]
    pub preemptions: u64,
    /// Interrupted runs: their cards were lost; absent when none were.
    #[serde(skip_serializing_if = "is_zero")]
    pub losses: u64,
    /// Card-hours of work that was lost with the cards; absent when none was.
    #[serde(skip_serializing_if = "is_nothing")]
    pub lost_card_hours: f64,
    /// Card-time of work done and not lost ÷ card-time held, so less restores, checkpoints and lost work;
    /// absent before any job has held cards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<f64>,
}

fn is_empty(quantiles: &Quantiles) -> bool {
    *quantiles == Quantiles::default()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_nothing(amount: &f64) -> bool {
    *amount == 0.0
}
