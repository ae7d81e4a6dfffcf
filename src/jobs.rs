//! Training and batch jobs: queue, gangs.

mod config;

pub use config::{JobConfig, JobOption};
