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

/// Bits that a weight of matrix products takes. Sparse by 2:4, two of four values are kept, each with an index of
/// 2 bits (Mishra et al., "Accelerating sparse deep neural networks", arXiv 2104.08378, section 3.1).
pub fn stored_bits(precision: Precision, sparse: bool) -> f64 {
    let bits = weight_bits(precision);
    if sparse { (bits + 2.0) / 2.0 } else { bits }
}
