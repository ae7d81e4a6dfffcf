//! Training and batch jobs: queue, gangs, preemption.
//!
//! Invariants: a job holds all its cards or none; a job that is stopped keeps what it has done; the room asks
//! for cards through [`Cards`], which the world provides, and never sees the inventory.

mod config;
mod developers;
mod list;
mod progress;
mod room;
mod rules;
mod trace;
mod waits;

pub use config::{Checkpoint, JobConfig, JobExtra, JobOption, JobTerms};
pub use developers::Developers;
pub use list::JobList;
pub use room::{Ask, Cards, Effect, Event, JobState, Jobs, WaitReason};
pub use rules::{Hold, JobRules};
pub use trace::{
    Against, Demand, Fitted, JobDescription, JobTrace, JobTraceConfig, JobTraceError, JobTraceFormat,
    Refusal, TracePool,
};
pub use waits::{WaitCause, WaitTimes};
