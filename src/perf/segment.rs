//! A segment: the iterations between two changes of a replica's batch, in closed form.

use crate::units::{Flop, TickChange, Ticks};

/// Iterations of an unchanging batch. Iteration `k` (from 0) lasts `first + slope·k` ticks and does
/// `flop_first + flop_slope·k` FLOP: every decoding request's context grows by one token an iteration, so
/// both are affine in `k`. The coefficients are integers, quantised once when the batch changed; sums and
/// their inverse are exact in 128 bits, so that adding up one iteration at a time gives the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// How long iteration 0 lasts; at least one tick.
    pub first: Ticks,
    /// By how much each iteration lasts longer than the one before it; below zero only where measured times
    /// fall, and then every one of `max_iterations` still lasts at least a tick.
    pub slope: TickChange,
    /// FLOP of iteration 0.
    pub flop_first: Flop,
    /// By how much each iteration does more FLOP than the one before it.
    pub flop_slope: Flop,
    /// How many iterations these coefficients hold for; then the piece ends (another resource becomes the
    /// bottleneck) and the batch is looked at again. At least 1.
    pub max_iterations: u64,
}

impl Segment {
    /// The same iterations when each lasts so many times as long; at least 1.
    pub fn slowed(self, times: u32) -> Self {
        let first = Ticks(self.first.0 * u128::from(times));
        Self { first, slope: TickChange(self.slope.0 * i128::from(times)), ..self }
    }

    /// How long iteration `k` lasts (`k` < [`Segment::max_iterations`]).
    pub fn duration(&self, k: u64) -> Ticks {
        Ticks(changed(self.first.0, self.slope, u128::from(k)))
    }

    /// How long the first `n` iterations last together: n·a + s·n(n−1)/2.
    pub fn elapsed(&self, n: u64) -> Ticks {
        let n = u128::from(n);
        Ticks(changed(n * self.first.0, self.slope, n * n.saturating_sub(1) / 2))
    }

    /// FLOP done in the first `n` iterations.
    pub fn work(&self, n: u64) -> Flop {
        Flop(series(self.flop_first.0, self.flop_slope.0, n))
    }

    /// How many iterations are complete `elapsed` ticks after the segment began: the largest `n` with
    /// `self.elapsed(n) <= elapsed`, where iterations grow shorter at most `max_iterations`.
    pub fn iterations_by(&self, elapsed: Ticks) -> u64 {
        let (a, t) = (self.first.0, elapsed.0);
        let Ok(s) = u128::try_from(self.slope.0) else { return self.shrinking_iterations_by(elapsed) };
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

    /// The same where iterations grow shorter, which is rare: by bisection.
    fn shrinking_iterations_by(&self, elapsed: Ticks) -> u64 {
        let (mut least, mut most) = (0, self.max_iterations);
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if self.elapsed(middle) <= elapsed { least = middle } else { most = middle - 1 }
        }
        least
    }
}

/// `value + times·change`; never below zero where the segment's promise holds.
fn changed(value: u128, change: TickChange, times: u128) -> u128 {
    let by = change.0.unsigned_abs() * times;
    if change.0 < 0 { value - by } else { value + by }
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
            slope: TickChange(i128::from(slope)),
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

        /// The same of iterations that grow shorter.
        #[test]
        fn shrinking_iterations(
            last in 1u64..1 << 40, fall in 1i128..1 << 30, all in 1u64..3000, share in 0.0f64..1.0
        ) {
            let first = Ticks(u128::from(last) + fall as u128 * u128::from(all - 1));
            let segment =
                Segment { first, slope: TickChange(-fall), max_iterations: all, ..segment(1, 0) };
            let n = (share * all as f64) as u64;
            let summed = (0..n).fold(Ticks::ZERO, |sum, k| sum + segment.duration(k));
            prop_assert_eq!(segment.elapsed(n), summed);
            prop_assert_eq!(segment.iterations_by(summed), n);
            let between = Ticks(summed.0 + segment.duration(n).0 - 1);
            prop_assert_eq!(segment.iterations_by(between), n);
            prop_assert_eq!(segment.iterations_by(Ticks(u128::MAX >> 1)), all);
        }
    }
}
