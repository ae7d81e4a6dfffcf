//! Nodes, pools and the inventory of cards.
//!
//! Invariants: [`Inventory`] alone owns cards; each card is at any time either free or in exactly one lease;
//! the integrals of these states over time are what utilization and the causes of spend are made of.

mod config;
mod inventory;
mod usage;
mod what_if;

pub use config::{PoolConfig, PoolId};
pub use inventory::{
    Claim, ClaimId, ClaimResult, Grant, Holder, Inventory, Lease, LeaseId, PendingReason, Shape,
};
pub use usage::{CardTime, PoolUsage};
pub use what_if::{Reservation, WhatIf};
