//! Prices of metered quantities: per million tokens and per gigabyte moved.

use std::fmt;

use super::bytes::Bytes;
use super::money::Usd;

/// A price per million tokens in US dollars, exact to the micro-dollar per million (a pico-dollar a token).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UsdPerMillionTokens(i64);

/// A price per decimal gigabyte moved in US dollars, exact to the micro-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UsdPerGb(i64);

/// `quantity × price ÷ per`, rounded half up to the micro-dollar; saturates at what [`Usd`] holds.
fn cost(quantity: u64, micros: i64, per: i128) -> Usd {
    let exact = i128::from(quantity) * i128::from(micros);
    let rounded = (exact + per / 2).div_euclid(per);
    Usd::from_micros(rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

impl UsdPerMillionTokens {
    /// From dollars per million tokens, rounded to the micro-dollar.
    pub fn from_f64(dollars: f64) -> Self {
        Self((dollars * 1e6).round() as i64)
    }

    /// In dollars per million tokens, for output and ratios.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// What `tokens` cost, rounded once, half up, to the micro-dollar.
    pub fn cost_of(self, tokens: u64) -> Usd {
        cost(tokens, self.0, 1_000_000)
    }
}

impl UsdPerGb {
    /// From dollars per decimal gigabyte, rounded to the micro-dollar.
    pub fn from_f64(dollars: f64) -> Self {
        Self((dollars * 1e6).round() as i64)
    }

    /// In dollars per decimal gigabyte, for output and ratios.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// What moving `bytes` costs, rounded once, half up, to the micro-dollar.
    pub fn cost_of(self, bytes: Bytes) -> Usd {
        cost(bytes.0, self.0, 1_000_000_000)
    }
}

impl fmt::Display for UsdPerMillionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD/1M tokens", self.as_f64())
    }
}

impl fmt::Display for UsdPerGb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} USD/GB", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_rounded_once() {
        // seed_facts D1: 0.02 USD per 1,000 tokens, 2,050 words at 0.75 words a token.
        let price = UsdPerMillionTokens::from_f64(20.0);
        assert_eq!(price.cost_of(2_733), Usd::from_micros(54_660));
        assert_eq!(UsdPerMillionTokens::from_f64(0.05).cost_of(10), Usd::from_micros(1));
        assert_eq!(UsdPerGb::from_f64(0.09).cost_of(Bytes(1_500_000_000)), Usd::from_micros(135_000));
        assert_eq!(UsdPerGb::from_f64(0.09).cost_of(Bytes(1)), Usd::ZERO);
    }
}
