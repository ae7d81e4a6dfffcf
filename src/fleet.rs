//! Nodes, pools and the inventory of cards.

mod config;

pub use config::{PoolConfig, PoolId};
