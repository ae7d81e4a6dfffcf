//! The world ties the rooms: it owns the state, pops the events and hands each to its room.

mod config;

pub use config::{PoolPlan, Slo, StreamPlan, WorldConfig};
