//! fleetsim: decide about accelerators before you pay for them.

pub mod cli;
pub mod metrics;
pub mod perf;
pub mod report;
pub mod sim;
pub mod units;
