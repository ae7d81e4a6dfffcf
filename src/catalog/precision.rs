//! Number formats of weights, caches and arithmetic.

use std::fmt;

use thiserror::Error;

use crate::units::Bytes;

use super::shelf::nearest;

/// A number format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// IEEE single precision, 32 bits.
    Fp32,
    /// NVIDIA's TensorFloat-32: computed with 19 bits, stored in 32.
    Tf32,
    /// IEEE half precision, 16 bits.
    Fp16,
    /// bfloat16, 16 bits.
    Bf16,
    /// 8-bit floating point (E4M3 or E5M2).
    Fp8,
    /// 8-bit integers.
    Int8,
    /// 4-bit floating point (MXFP4, NVFP4), without the bits of the blocks' scales.
    Fp4,
    /// 4-bit integers, without the bits of the groups' scales.
    Int4,
}

/// A text that names no precision.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a precision; nearest: {}; known: fp32, tf32, fp16, bf16, fp8, int8, fp4, int4", .nearest.join(", "))]
pub struct ParsePrecisionError {
    /// What was read.
    pub text: String,
    /// The nearest valid names, best first.
    pub nearest: Vec<String>,
}

impl Precision {
    /// All of them, widest first.
    pub const ALL: [Self; 8] =
        [Self::Fp32, Self::Tf32, Self::Fp16, Self::Bf16, Self::Fp8, Self::Int8, Self::Fp4, Self::Int4];

    /// The name in scenarios and files: `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Fp16 => "fp16",
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Int8 => "int8",
            Self::Fp4 => "fp4",
            Self::Int4 => "int4",
        }
    }

    /// Bits that one value takes in memory: 32, 16, 8 or 4.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Fp32 | Self::Tf32 => 32,
            Self::Fp16 | Self::Bf16 => 16,
            Self::Fp8 | Self::Int8 => 8,
            Self::Fp4 | Self::Int4 => 4,
        }
    }

    /// The memory of `values` values, rounded up to a whole byte; the scales of block formats not counted.
    pub const fn bytes_of(self, values: u64) -> Bytes {
        Bytes((values as u128 * self.bits() as u128).div_ceil(8) as u64)
    }

    /// Reads `fp8`, `BF16`.
    ///
    /// # Errors
    /// When no precision has this name; the error carries the nearest ones.
    pub fn parse(text: &str) -> Result<Self, ParsePrecisionError> {
        let wanted = text.trim().to_ascii_lowercase();
        Self::ALL.into_iter().find(|precision| precision.name() == wanted).ok_or_else(|| {
            ParsePrecisionError {
                text: text.to_owned(),
                nearest: nearest(&wanted, Self::ALL.iter().map(|precision| precision.name())),
            }
        })
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Precision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Precision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for precision in Precision::ALL {
            assert_eq!(Precision::parse(precision.name()), Ok(precision));
        }
        let error = Precision::parse("fp88").map_err(|error| error.nearest);
        assert_eq!(error.map_err(|nearest| nearest[0].clone()), Err("fp8".to_owned()));
    }

    #[test]
    fn bytes_round_up() {
        // seed_facts A7: 175e9 weights are 700, 350, 175 and 87.5 GB.
        for (precision, gb) in [
            (Precision::Fp32, 700.0),
            (Precision::Fp16, 350.0),
            (Precision::Int8, 175.0),
            (Precision::Int4, 87.5),
        ] {
            assert_eq!(precision.bytes_of(175_000_000_000).as_gb(), gb);
        }
        assert_eq!(Precision::Int4.bytes_of(3), Bytes(2));
    }
}
