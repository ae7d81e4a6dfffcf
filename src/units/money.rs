//! Money: integer micro-dollars, and prices per hour in integer nano-dollars.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use super::time::Duration;

const MICROS: f64 = 1e6;
const NANOS_PER_HOUR: i128 = 3_600_000_000_000;

/// An amount of US dollars, exact to the micro-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i64);

/// A price per hour in US dollars, exact to the nano-dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UsdPerHour(i64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From micro-dollars.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In micro-dollars.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// In dollars, for output and ratios.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / MICROS
    }

    /// Splits this amount over `weights` by largest remainder: the parts add up to it exactly, and a part
    /// differs from its exact share by less than a micro-dollar. Ties go to the earlier part. When all
    /// weights are zero, the first part takes everything.
    pub fn apportion(self, weights: &[u128]) -> Vec<Self> {
        let mut parts = vec![Self::ZERO; weights.len()];
        let total: u128 = weights.iter().sum();
        if weights.is_empty() {
            return parts;
        }
        if total == 0 {
            parts[0] = self;
            return parts;
        }
        // Weights are nanoseconds of cards: below 2^90, so that the product needs scaling only in theory.
        let amount = u128::from(self.0.unsigned_abs());
        let scale = u128::MAX / amount.max(1);
        let shift = weights.iter().copied().max().unwrap_or(0).checked_div(scale).unwrap_or(0);
        let divisor = shift + 1;
        let total: u128 = weights.iter().map(|weight| weight / divisor).sum();
        let mut given = 0u128;
        let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(weights.len());
        for (index, weight) in weights.iter().enumerate() {
            let product = amount * (weight / divisor);
            parts[index] = Self((product / total) as i64);
            given += product / total;
            remainders.push((product % total, index));
        }
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, index) in remainders.iter().take((amount - given) as usize) {
            parts[*index].0 += 1;
        }
        if self.0 < 0 {
            for part in &mut parts {
                part.0 = -part.0;
            }
        }
        parts
    }
}

impl UsdPerHour {
    /// From dollars an hour, rounded to the nano-dollar.
    pub fn from_f64(dollars: f64) -> Self {
        Self((dollars * 1e9).round() as i64)
    }

    /// From nano-dollars an hour.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// In nano-dollars an hour.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// In dollars an hour, for output and ratios.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The price without so many millionths of it, rounded half up to the nano-dollar.
    #[must_use]
    pub fn less_ppm(self, millionths: u32) -> Self {
        let rest = i128::from(1_000_000u32.saturating_sub(millionths));
        Self(((i128::from(self.0) * rest + 500_000).div_euclid(1_000_000)) as i64)
    }

    /// What `duration` costs, rounded once, half up, to the micro-dollar.
    pub fn cost_of(self, duration: Duration) -> Usd {
        self.cost_of_nanos(u128::from(duration.as_nanos()))
    }

    /// What `nanos` node-nanoseconds cost, rounded once, half up, to the micro-dollar.
    pub fn cost_of_nanos(self, nanos: u128) -> Usd {
        let nano_usd_nanos = i128::from(self.0) * nanos as i128;
        let per_micro = NANOS_PER_HOUR * 1000;
        Usd(((nano_usd_nanos + per_micro / 2).div_euclid(per_micro)) as i64)
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Usd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Dollars with six decimals: `12.345678`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_once() {
        let price = UsdPerHour::from_f64(55.04);
        assert_eq!(price.cost_of(Duration::from_secs(86_400)), Usd::from_micros(1_320_960_000));
        assert_eq!(UsdPerHour::from_f64(0.0036).cost_of(Duration::from_secs(1)), Usd::from_micros(1));
    }

    #[test]
    fn apportions_exactly() {
        let parts = Usd::from_micros(100).apportion(&[1, 1, 1]);
        assert_eq!(parts, [34, 33, 33].map(Usd::from_micros));
        let parts = Usd::from_micros(7).apportion(&[0, 0]);
        assert_eq!(parts, [7, 0].map(Usd::from_micros));
        let huge = [u128::MAX / 4, u128::MAX / 4, 1];
        let parts = Usd::from_micros(i64::MAX / 2).apportion(&huge);
        assert_eq!(parts.into_iter().sum::<Usd>(), Usd::from_micros(i64::MAX / 2));
    }
}
