//! fleetsim: decide about accelerators before you pay for them.

pub mod billing;
pub mod catalog;
pub mod cli;
pub mod estimate;
pub mod fleet;
pub mod jobs;
pub mod metrics;
pub mod perf;
pub mod plan;
pub mod policies;
pub mod report;
pub mod scenario;
pub mod serving;
pub mod sim;
pub mod topology;
pub mod traffic;
pub mod units;
pub mod validate;
pub mod world;
