//! Floating-point operations, counted exactly.

use std::ops::{Add, AddAssign};

/// A number of floating-point operations, an exact count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Flop(pub u128);

/// A rate of floating-point operations; positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct FlopPerSecond(pub f64);

impl Flop {
    /// None.
    pub const ZERO: Self = Self(0);

    /// As a number, for ratios and output.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl FlopPerSecond {
    /// From TFLOPS (10¹² per second), as vendors quote it.
    pub fn from_tflops(tflops: f64) -> Self {
        Self(tflops * 1e12)
    }

    /// FLOP per second as a number.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl Add for Flop {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Flop {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}
