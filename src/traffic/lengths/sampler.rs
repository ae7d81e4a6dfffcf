//! Draws lengths.
/// x
pub struct LengthSampler;
