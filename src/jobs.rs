//! Training and batch jobs: queue, gangs.
//!
//! Invariants: a job holds all its cards or none; what it waits for is said in its state; the room asks for
//! cards through the world and never sees the inventory.

mod config;
mod room;

pub use config::{JobConfig, JobOption};
pub use room::{Effect, Event, JobState, Jobs};
