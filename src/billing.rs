//! Meters and the ledger: the only place that knows prices while a scenario runs.
//!
//! Invariant: quantities are metered exactly; the records of an account add up to what it is charged, and
//! its causes to the same total, to the micro-dollar.

mod account;
mod ledger;
mod tariff;

pub use account::{EnergyMeter, Metered};
pub use ledger::{Cause, Ledger, Record};
pub use tariff::{Commitment, PER_KWH, Purchase, Tariff, UsdPerKwh};
