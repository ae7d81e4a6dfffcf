//! Meters and the ledger: the only place that knows prices while a scenario runs.
//!
//! Invariant: quantities are metered exactly; the records of an account add up to what it is charged, and
//! its causes to the same total, to the micro-dollar.

mod ledger;
mod tariff;

pub use ledger::{Cause, Ledger, Metered, Record};
pub use tariff::{Purchase, Tariff};
