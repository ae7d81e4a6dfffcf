//! Events per second.

use std::fmt;

use super::parse::{ParseUnitError, Quantity};

const RATE: Quantity = Quantity {
    what: "rate",
    example: "\"12/s\", \"300/m\" or \"5000/h\"",
    units: &[
        ("/s", 1.0),
        ("/m", 1.0 / 60.0),
        ("/min", 1.0 / 60.0),
        ("/h", 1.0 / 3600.0),
        ("/d", 1.0 / 86_400.0),
    ],
};

/// How often something happens, per second; finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Rate(f64);

impl Rate {
    /// `per_second` events each second.
    pub const fn per_second(per_second: f64) -> Self {
        Self(per_second)
    }

    /// Events each second.
    pub const fn as_per_second(self) -> f64 {
        self.0
    }

    /// Reads `12/s`, `300/m`, `5000/h`.
    ///
    /// # Errors
    /// When there is no number, the unit is unknown or the value is negative.
    pub fn parse(text: &str) -> Result<Self, ParseUnitError> {
        RATE.parse(text).map(Self)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}
