//! fleetsim: decide about accelerators before you pay for them.

pub mod cli;
pub mod sim;
pub mod traffic;
pub mod units;
