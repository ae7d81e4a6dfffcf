//! Quantities with their units: instants and durations, bytes, FLOP, rates, money.
//!
//! No bare `f64` for seconds, bytes or dollars crosses a module boundary: these newtypes do. Time in
//! the simulation is integer; money is integer; what users write (`"10m"`, `"12/s"`, `"80 GB"`) is
//! parsed here and nowhere else.

mod bytes;
mod flop;
mod money;
mod parse;
mod power;
mod rate;
mod tariff;
mod ticks;
mod time;

pub use bytes::{Bytes, BytesPerSecond};
pub use flop::{Flop, FlopPerSecond};
pub use money::{Usd, UsdPerHour};
pub use parse::ParseUnitError;
pub use power::Watts;
pub use rate::Rate;
pub use tariff::{UsdPerGb, UsdPerMillionTokens};
pub use ticks::{TickChange, Ticks};
pub use time::{Duration, Instant};
