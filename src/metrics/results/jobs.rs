//! What a summary says of jobs.

use serde::Serialize;

use super::Quantiles;
use crate::units::{Duration, Instant};

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
    /// By number of cards, ascending; absent when all want as many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_size: Vec<JobGroup>,
    /// By queue, those with most jobs first; absent when there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_queue: Vec<JobGroup>,
    /// By user, those with most jobs first; absent when there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_user: Vec<JobGroup>,
    /// By class of users; absent where the scenario counts no people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<JobClass>,
    /// Times that a job was told to give its cards up for serving; absent when none was.
    #[serde(skip_serializing_if = "is_zero")]
    pub yields: u64,
    /// Rows of the trace that cannot be used and were left out; absent when none were.
    #[serde(skip_serializing_if = "is_zero")]
    pub rows_left_out: u64,
    /// Why jobs waited, the longest waits together first; absent when none did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitShare>,
}

/// Jobs of one queue as a class of users, where the scenario counts people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobClass {
    /// The queue; `other jobs` where they have none.
    pub name: String,
    /// People: the headcount of developers, otherwise the users who have jobs.
    pub users: u64,
    /// Submitted within the window.
    pub submitted: u64,
    /// Submit to start, of jobs that started.
    pub wait_s: Quantiles,
    /// Card-hours that they held, parts of cards as such.
    pub card_hours: f64,
    /// What one more user like these costs in the window, where the fleet grows so that as large a share of it is
    /// leased as now: the card-hours of one, at each pool's spend for a card-hour leased.
    pub usd_per_user: f64,
}

/// Most groups that are told of one kind: those with most jobs.
pub const MOST_GROUPS: usize = 20;

/// Jobs that have something in common.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct JobGroup {
    /// What: a number of cards, a queue, a user.
    pub name: String,
    /// Submitted within the window.
    pub submitted: u64,
    /// Finished.
    pub completed: u64,
    /// Submit to start, of jobs that started.
    pub wait_s: Quantiles,
    /// Submit to finish, of jobs that finished.
    pub jct_s: Quantiles,
    /// Bounded slow-down (10 s) of jobs that finished.
    pub slowdown: Quantiles,
    /// First submit to last finish; null while nothing has finished.
    pub makespan_s: Option<f64>,
}

/// What jobs waited for: the wait of each is split over its causes, which add up to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WaitShare {
    /// `not enough cards`, `fragmented`, `host`, `quota`, `backfill reservation`, `calendar reservation`, `round`,
    /// `dependency`, or `priority` where others were simply before it.
    pub cause: String,
    /// Jobs that waited for it for some time.
    pub jobs: u64,
    /// The times for which they did together, up to their start or the end of the run.
    pub wait_hours: f64,
}

/// What each job waited for, from its submission to its first start or the end of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobWaits {
    /// The causes that occur, by the names of [`WaitShare`].
    pub causes: Vec<&'static str>,
    /// Nanoseconds of each cause, job by job in the order of the jobs.
    pub nanos: Vec<u64>,
}

impl JobWaits {
    /// The causes of a job's wait with their times, which add up to it; those of no time are left out.
    pub fn of(&self, job: usize) -> impl Iterator<Item = (&'static str, Duration)> {
        let first = job * self.causes.len();
        let nanos = self.nanos.get(first..first + self.causes.len()).unwrap_or_default();
        let times = self.causes.iter().copied().zip(nanos.iter().copied().map(Duration::from_nanos));
        times.filter(|(_, time)| !time.is_zero())
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Its name.
    pub id: String,
    /// Who submitted it; empty when the scenario does not say.
    pub user: String,
    /// The queue; empty when the scenario does not say.
    pub queue: String,
    /// When it was submitted.
    pub submit: Instant,
    /// When it first ran.
    pub start: Option<Instant>,
    /// When it finished.
    pub end: Option<Instant>,
    /// Cards it asks for.
    pub accelerators: u32,
    /// The pool it ran on.
    pub pool: Option<String>,
    /// Nodes it ran on.
    pub nodes: Vec<u32>,
    /// `completed`, `running`, `queued` or `failed`.
    pub state: &'static str,
    /// How often it was interrupted.
    pub preemptions: u32,
    /// Why it waited, in words; empty when it did not.
    pub wait_reason: String,
}

/// Most rows of [`GanttRow`] that are kept: the first leases to end.
pub const MOST_GANTT_ROWS: usize = 20_000;

/// A stretch of time for which a job held its cards: what a Gantt chart of the fleet is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct GanttRow {
    /// The job.
    pub job: String,
    /// Its queue; empty when nobody says.
    pub queue: String,
    /// The pool.
    pub pool: String,
    /// From when.
    pub from: Instant,
    /// To when: its end, its interruption, or the end of the run.
    pub to: Instant,
    /// Nodes with the number of cards that it held of each.
    pub nodes: Vec<(u32, u32)>,
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
