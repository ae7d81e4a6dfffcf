//! Meters and the ledger: the only place that knows prices while a scenario runs.

mod tariff;

pub use tariff::{Purchase, Tariff};
