//! How a node is paid for.

use std::fmt;

use crate::units::{Duration, UsdPerHour};

/// The purchase option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purchase {
    /// Paid while it runs.
    OnDemand,
    /// Committed for one year; paid whether used or not.
    Reserved1y,
    /// Committed for three years; paid whether used or not.
    Reserved3y,
}

/// What a node costs and how its time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// How it is bought.
    pub purchase: Purchase,
    /// Price of a node.
    pub price: UsdPerHour,
    /// Billed time is rounded up to a multiple of this; zero means exactly as used. On-demand only.
    pub granularity: Duration,
    /// Billed time is at least this. On-demand only.
    pub minimum: Duration,
}

impl Purchase {
    /// All options, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 3] =
        [("on-demand", Self::OnDemand), ("reserved-1y", Self::Reserved1y), ("reserved-3y", Self::Reserved3y)];

    /// True when it is paid whether used or not.
    pub fn is_committed(self) -> bool {
        matches!(self, Self::Reserved1y | Self::Reserved3y)
    }
}

impl fmt::Display for Purchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, option)| option == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl Tariff {
    /// The time billed for a node used for `used`: on demand, at least the minimum, rounded up to the
    /// granularity; committed, the time itself.
    pub fn billed(&self, used: Duration) -> Duration {
        match self.purchase {
            Purchase::OnDemand => used.max(self.minimum).round_up_to(self.granularity),
            Purchase::Reserved1y | Purchase::Reserved3y => used,
        }
    }
}
