//! fleetsim: decide about accelerators before you pay for them.

pub mod catalog;
pub mod cli;
pub mod metrics;
pub mod perf;
pub mod sim;
pub mod topology;
pub mod units;
