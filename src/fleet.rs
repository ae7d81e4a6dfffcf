//! Nodes, pools and the inventory of cards.
//!
//! Invariants: [`Inventory`] alone owns cards; each card is at any time either free or in exactly one lease;
//! the integrals of these states over time are what utilization and the causes of spend are made of.

mod claim;
mod config;
mod ends;
mod failures;
mod held;
mod inventory;
mod network;
mod nodes;
mod pool;
mod shared_then;
mod shares;
mod stock_trace;
mod supply;
mod usage;
mod what_if;

pub use crate::sim::Delay;
pub use claim::{
    Claim, ClaimId, ClaimResult, Grant, Holder, Lease, LeaseId, LeasePhase, PendingReason, Shape, Waiting,
};
pub use config::{Host, PoolConfig, PoolId};
pub use failures::{Failures, Outage, Together};
pub use inventory::Inventory;
pub use network::{LinkUse, Patterns};
pub use nodes::{Effect, Event, NodeView, Nodes, Stage, Tally, Why};
pub use pool::NodeCards;
pub use stock_trace::StockTrace;
pub use supply::{Maintenance, Provisioning, Spot, Stock, Supply, Warm, Zone, ZoneChoice};
pub use usage::{CardTime, PoolUsage};
pub use what_if::{Reservation, WhatIf};
