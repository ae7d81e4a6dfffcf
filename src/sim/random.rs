//! Named random streams: one for each cause, so that a change of policy meets the same arrivals.
//!
//! Every sampler that needs a transcendental function takes it from libm, whose results are the same on
//! every platform. The generator (xoshiro256++) and the derivation of its state are pinned by golden tests.

use rand::RngExt as _;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The seed of a run, from which every named stream is derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream for one cause, for example `"arrivals/chat"`. The same seed and name give the same
    /// stream on every platform and in every release.
    pub fn stream(self, name: &str) -> RandomStream {
        RandomStream { generator: Xoshiro256PlusPlus::seed_from_u64(self.mixed(name)) }
    }

    /// A seed for the `index`-th replication of this run.
    pub fn replication(self, index: u64) -> Self {
        if index == 0 { self } else { Self(self.mixed(&format!("replication/{index}"))) }
    }

    /// FNV-1a over the name, started from the seed and finished by the SplitMix64 mixer, so that names
    /// that differ in one character give unrelated streams.
    fn mixed(self, name: &str) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

/// A stream of random draws for one cause.
#[derive(Debug, Clone)]
pub struct RandomStream {
    generator: Xoshiro256PlusPlus,
}

impl RandomStream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.generator.random()
    }

    /// Uniform in [0, 1) with 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in (0, 1], for logarithms.
    pub fn uniform_open(&mut self) -> f64 {
        1.0 - self.uniform()
    }

    /// Uniform in 0..`below` (`below` > 0), unbiased (Lemire's multiplication with rejection).
    pub fn below(&mut self, below: u64) -> u64 {
        debug_assert!(below > 0);
        loop {
            let product = u128::from(self.bits()) * u128::from(below);
            if product as u64 >= below.wrapping_neg() % below {
                return (product >> 64) as u64;
            }
        }
    }

    /// Exponential with mean 1, by inversion.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(self.uniform_open())
    }

    /// Standard normal, by the polar method of Marsaglia; the second value of the pair is dropped.
    pub fn normal(&mut self) -> f64 {
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The streams are part of the file format: a scenario and a seed must mean the same run for ever.
    #[test]
    fn golden_streams() {
        let mut stream = Seed(7).stream("arrivals/chat");
        let drawn: Vec<u64> = (0..3).map(|_| stream.bits()).collect();
        insta::assert_debug_snapshot!("golden_bits", drawn);
        let drawn: Vec<String> =
            (0..3).map(|_| format!("{:e} {:e}", stream.exponential(), stream.normal())).collect();
        insta::assert_debug_snapshot!("golden_draws", drawn);
        assert_ne!(Seed(7).stream("a").bits(), Seed(7).stream("b").bits());
        assert_ne!(Seed(7).stream("a").bits(), Seed(8).stream("a").bits());
        assert_eq!(Seed(7).replication(0), Seed(7));
    }

    #[test]
    fn moments() {
        let mut stream = Seed(1).stream("moments");
        let n = 200_000;
        let mean_of = |draws: &[f64]| draws.iter().sum::<f64>() / draws.len() as f64;
        let exponential: Vec<f64> = (0..n).map(|_| stream.exponential()).collect();
        let normal: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let squares: Vec<f64> = normal.iter().map(|x| x * x).collect();
        assert!((mean_of(&exponential) - 1.0).abs() < 0.01);
        assert!(mean_of(&normal).abs() < 0.01);
        assert!((mean_of(&squares) - 1.0).abs() < 0.015);
        let below: Vec<f64> = (0..n).map(|_| stream.below(10) as f64).collect();
        assert!((mean_of(&below) - 4.5).abs() < 0.03);
    }
}
