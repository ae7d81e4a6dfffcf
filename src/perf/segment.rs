//! A segment: the iterations between two changes of a replica's batch, in closed form.

use crate::units::{Flop, Ticks};

/// Iterations of an unchanging batch. Iteration `k` (from 0) lasts `first + slope·k` ticks and does
/// `flop_first + flop_slope·k` FLOP: every decoding request's context grows by one token an iteration, so
/// both are affine in `k`. The coefficients are integers, quantised once when the batch changed; sums and
/// their inverse are exact in 128 bits, so that adding up one iteration at a time gives the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// How long iteration 0 lasts; at least one tick.
    pub first: Ticks,
    /// By how much each iteration lasts longer than the one before it.
    pub slope: Ticks,
    /// FLOP of iteration 0.
    pub flop_first: Flop,
    /// By how much each iteration does more FLOP than the one before it.
    pub flop_slope: Flop,
    /// How many iterations these coefficients hold for; then the piece ends (another resource becomes the
    /// bottleneck) and the batch is looked at again. At least 1.
    pub max_iterations: u64,
}

impl Segment {
    /// How long iteration `k` lasts (`k` < [`Segment::max_iterations`]).
    pub fn duration(&self, k: u64) -> Ticks {
        Ticks(self.first.0 + self.slope.0 * u128::from(k))
    }

    /// How long the first `n` iterations last together: n·a + s·n(n−1)/2.
    pub fn elapsed(&self, n: u64) -> Ticks {
        Ticks(series(self.first.0, self.slope.0, n))
    }

    /// FLOP done in the first `n` iterations.
    pub fn work(&self, n: u64) -> Flop {
        Flop(series(self.flop_first.0, self.flop_slope.0, n))
    }

    /// How many iterations are complete `elapsed` ticks after the segment began: the largest `n` with
    /// `self.elapsed(n) <= elapsed`.
    pub fn iterations_by(&self, elapsed: Ticks) -> u64 {
        let (a, s, t) = (self.first.0, self.slope.0, elapsed.0);
        let mut n = if s == 0 {
            t / a.max(1)
        } else {
            // s·n² + (2a − s)·n − 2t = 0. With b = 2a − s: n = (√(b² + 8·s·t) − b) / 2s. The square root
            // of a sum that overflows is approximated; the correction below makes it exact either way.
            let b = (2 * a) as i128 - s as i128;
            let b2 = b.unsigned_abs().saturating_mul(b.unsigned_abs());
            let root = b2.saturating_add(8u128.saturating_mul(s).saturating_mul(t)).isqrt();
            let numerator = root as i128 - b;
            if numerator <= 0 { 0 } else { numerator as u128 / (2 * s) }
        } as u64;
        while self.elapsed(n).0 > t {
            n -= 1;
        }
        while self.elapsed(n + 1).0 <= t {
            n += 1;
        }
        n
    }
}

/// n·a + s·n(n−1)/2
fn series(a: u128, s: u128, n: u64) -> u128 {
    let n = u128::from(n);
    n * a + s * (n * n.saturating_sub(1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(first: u64, slope: u64) -> Segment {
        Segment {
            first: Ticks(u128::from(first)),
            slope: Ticks(u128::from(slope)),
            flop_first: Flop(u128::from(first)),
            flop_slope: Flop(u128::from(slope)),
            max_iterations: u64::MAX,
        }
    }

    proptest! {
        /// The closed forms are what adding one iteration at a time gives, and the inverse is its inverse.
        #[test]
        fn closed_forms_are_sums(first in 1u64..1 << 50, slope in 0u64..1 << 30, n in 0u64..2000, late in 0.0f64..1.0) {
            let segment = segment(first, slope);
            let summed = (0..n).fold(Ticks::ZERO, |sum, k| sum + segment.duration(k));
            prop_assert_eq!(segment.elapsed(n), summed);
            prop_assert_eq!(segment.work(n).0, summed.0);
            prop_assert_eq!(segment.iterations_by(summed), n);
            let between = Ticks(summed.0 + (late * (segment.duration(n).0 as f64 - 1.0)) as u128);
            prop_assert_eq!(segment.iterations_by(between), n);
        }
    }
}
