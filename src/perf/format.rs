//! What a number format costs beyond its own bits.

use crate::catalog::Precision;

/// Bits that a weight takes, the scales of block formats included: int4 in groups of 128 with a 16-bit scale
/// and a 4-bit zero (GPTQ, AWQ): 4.16; fp4 in blocks of 16 with an 8-bit scale (NVFP4): 4.5 (MXFP4, in blocks
/// of 32: 4.25).
pub fn weight_bits(precision: Precision) -> f64 {
    match precision {
        Precision::Int4 => 4.0 + 20.0 / 128.0,
        Precision::Fp4 => 4.5,
        other => f64::from(other.bits()),
    }
}
