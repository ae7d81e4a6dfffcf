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
    /// Bounded slow-down (10 s) of jobs that finished.
    pub slowdown: Quantiles,
    /// Finish-time fairness of jobs that finished: at most 1 is fair.
    pub rho: Quantiles,
    /// Jain's index of finish-time fairness, up to 1; null while nothing has finished.
    pub jain: Option<f64>,
    /// Interrupted runs: stopped for others.
    pub preemptions: u64,
    /// Interrupted runs: their cards were lost.
    pub losses: u64,
    /// Card-hours of work that was lost with the cards.
    pub lost_card_hours: f64,
    /// Card-time of work done and not lost ÷ card-time held, so less restores, checkpoints and lost work; null
    /// before any job has held cards.
    pub goodput: Option<f64>,
}
