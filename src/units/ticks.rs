//! The replica's own clock: 2⁻²⁰ of a nanosecond, so that a quantised iteration time loses nothing.

use std::ops::{Add, AddAssign, Sub};

use super::parse::ParseUnitError;
use super::time::{Duration, Instant, TIME};

/// A length of time in units of 2⁻²⁰ ns (about a femtosecond), in 128 bits.
///
/// Iteration times are quantised to this unit once per batch change and added exactly from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticks(pub u128);

/// By how much a length of time changes, in [`Ticks`]; negative when it shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TickChange(pub i128);

impl Ticks {
    /// Ticks per nanosecond, as a shift.
    pub const SHIFT: u32 = 20;
    /// No time.
    pub const ZERO: Self = Self(0);

    /// The instant as ticks since the run began.
    pub const fn from_instant(instant: Instant) -> Self {
        Self((instant.as_nanos() as u128) << Self::SHIFT)
    }

    /// The duration in ticks, exactly.
    pub const fn from_duration(duration: Duration) -> Self {
        Self((duration.as_nanos() as u128) << Self::SHIFT)
    }

    /// The first whole nanosecond not before this clock reading.
    pub const fn ceil_instant(self) -> Instant {
        Instant::from_nanos(((self.0 + (1 << Self::SHIFT) - 1) >> Self::SHIFT) as u64)
    }

    /// The nearest tick to `seconds` (finite, not negative).
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9 * (1u64 << Self::SHIFT) as f64).round() as u128)
    }

    /// Reads a time as [`Duration::parse`] does, also shorter than a nanosecond: `0.5ns`.
    ///
    /// # Errors
    /// When there is no number, the unit is unknown, or the value is negative or over 584 years.
    pub fn parse(text: &str) -> Result<Self, ParseUnitError> {
        Duration::parse(text)?;
        TIME.parse(text).map(Self::from_secs_f64)
    }

    /// Seconds, for output only.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / (1u64 << Self::SHIFT) as f64 / 1e9
    }
}

impl Add for Ticks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Ticks {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Ticks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
