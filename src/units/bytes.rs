//! Bytes and bytes per second.

use std::fmt;
use std::ops::{Add, AddAssign, Mul};

use super::parse::{ParseUnitError, Quantity};

const BYTES: Quantity = Quantity {
    what: "memory size",
    example: "\"80 GB\" or \"16 GiB\"",
    units: &[
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("PB", 1e15),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
    ],
};

const BANDWIDTH: Quantity = Quantity {
    what: "bandwidth",
    example: "\"450 GB/s\" or \"100 Gbit/s\"",
    units: &[
        ("B/s", 1.0),
        ("kB/s", 1e3),
        ("MB/s", 1e6),
        ("GB/s", 1e9),
        ("TB/s", 1e12),
        ("GiB/s", 1_073_741_824.0),
        ("Mbit/s", 1e6 / 8.0),
        ("Gbit/s", 1e9 / 8.0),
        ("Tbit/s", 1e12 / 8.0),
    ],
};

/// An amount of memory or data in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// A bandwidth in bytes per second; positive and finite.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct BytesPerSecond(pub f64);

impl Bytes {
    /// From decimal gigabytes (10⁹), as vendors quote memory.
    pub fn from_gb(gigabytes: f64) -> Self {
        Self((gigabytes * 1e9).round() as u64)
    }

    /// In decimal gigabytes, for output.
    pub fn as_gb(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Reads `80 GB`, `16GiB`, `512 MB`.
    ///
    /// # Errors
    /// When there is no number, the unit is unknown or the value is negative or beyond 64 bits.
    pub fn parse(text: &str) -> Result<Self, ParseUnitError> {
        let bytes = BYTES.parse(text)?;
        if bytes >= u64::MAX as f64 {
            return Err(BYTES.out_of_range(text, "18 exabytes"));
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl BytesPerSecond {
    /// From decimal gigabytes (10⁹) per second.
    pub fn from_gb_s(gigabytes: f64) -> Self {
        Self(gigabytes * 1e9)
    }

    /// Bytes per second as a number.
    pub fn as_f64(self) -> f64 {
        self.0
    }

    /// Reads `450 GB/s`, `100 Gbit/s`.
    ///
    /// # Errors
    /// When there is no number, the unit is unknown or the value is negative.
    pub fn parse(text: &str) -> Result<Self, ParseUnitError> {
        BANDWIDTH.parse(text).map(Self)
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Mul<u64> for Bytes {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self(self.0 * factor)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
            let value = self.0 as f64 / size;
            if value >= 1.0 {
                return write!(f, "{value:.1} {unit}");
            }
        }
        write!(f, "{} B", self.0)
    }
}
