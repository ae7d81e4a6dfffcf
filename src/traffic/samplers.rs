//! Samplers built on the named random streams and libm alone, so that their results are the same everywhere.

mod ziggurat;

pub(super) use ziggurat::{exponential, normal};

use super::process::{Cv, RenewalFamily};
use crate::sim::RandomStream;

/// Gamma with scale 1, by G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables",
/// ACM TOMS 26 (2000); shapes below 1 by their boost (section 6): Gamma(a) = Gamma(a + 1)·U^(1/a).
#[derive(Debug, Clone, Copy)]
pub(super) struct Gamma {
    d: f64,
    c: f64,
    /// 1/a where the shape a is below 1, else 0.
    boost: f64,
}

impl Gamma {
    pub(super) fn new(shape: f64) -> Self {
        let raised = if shape < 1.0 { shape + 1.0 } else { shape };
        let d = raised - 1.0 / 3.0;
        Self { d, c: 1.0 / (9.0 * d).sqrt(), boost: if shape < 1.0 { 1.0 / shape } else { 0.0 } }
    }

    pub(super) fn sample(&self, random: &mut RandomStream) -> f64 {
        let gamma = loop {
            let normal = normal(random);
            let root = 1.0 + self.c * normal;
            if root <= 0.0 {
                continue;
            }
            let cube = root * root * root;
            let uniform = random.uniform_open();
            let square = normal * normal;
            // The squeeze first: it spares the logarithms 98 times of 100.
            if uniform < 1.0 - 0.0331 * square * square
                || libm::log(uniform) < 0.5 * square + self.d * (1.0 - cube + libm::log(cube))
            {
                break self.d * cube;
            }
        };
        if self.boost == 0.0 { gamma } else { gamma * libm::exp(-self.boost * exponential(random)) }
    }
}

/// Intervals of a renewal process with mean 1.
#[derive(Debug, Clone, Copy)]
pub(super) enum Interval {
    Exponential,
    Gamma { gamma: Gamma, mean: f64 },
    Weibull { inverse_shape: f64, scale: f64 },
}

impl Interval {
    pub(super) fn new(family: RenewalFamily, cv: Cv) -> Self {
        if cv.0 == 1.0 {
            return Self::Exponential;
        }
        match family {
            RenewalFamily::Gamma => {
                let shape = 1.0 / (cv.0 * cv.0);
                Self::Gamma { gamma: Gamma::new(shape), mean: shape }
            }
            RenewalFamily::Weibull => {
                let inverse_shape = 1.0 / weibull_shape(cv);
                Self::Weibull { inverse_shape, scale: libm::exp(-libm::lgamma(1.0 + inverse_shape)) }
            }
        }
    }

    pub(super) fn sample(&self, random: &mut RandomStream) -> f64 {
        match self {
            Self::Exponential => exponential(random),
            Self::Gamma { gamma, mean } => gamma.sample(random) / mean,
            Self::Weibull { inverse_shape, scale } => scale * libm::pow(exponential(random), *inverse_shape),
        }
    }

    /// The time from an arbitrary moment to the next arrival, which makes the process stationary: a uniform
    /// part of an interval drawn with probability proportional to its length (D. R. Cox, Renewal Theory,
    /// 1962, section 5.4). Gamma(a) biased by length is Gamma(a + 1); Weibull is λ·Gamma(1 + 1/k)^(1/k).
    pub(super) fn first(&self, random: &mut RandomStream) -> f64 {
        let part = random.uniform_open();
        part * match self {
            Self::Exponential => Gamma::new(2.0).sample(random),
            Self::Gamma { mean, .. } => Gamma::new(mean + 1.0).sample(random) / mean,
            Self::Weibull { inverse_shape, scale } => {
                scale * libm::pow(Gamma::new(1.0 + inverse_shape).sample(random), *inverse_shape)
            }
        }
    }
}

/// The shape k of a Weibull distribution with this cv, from cv² + 1 = Γ(1 + 2/k)/Γ(1 + 1/k)², which falls
/// as k rises: bisection of ln k to the last bit.
pub(super) fn weibull_shape(cv: Cv) -> f64 {
    let wanted = libm::log1p(cv.0 * cv.0);
    let (mut low, mut high) = (libm::log(0.05), libm::log(1e4));
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        let inverse = libm::exp(-middle);
        let found = libm::lgamma(1.0 + 2.0 * inverse) - 2.0 * libm::lgamma(1.0 + inverse);
        if found > wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    libm::exp(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    /// Mean and variance of `n` draws, each within five standard errors of what it should be. The standard
    /// error of the variance is taken from the sample's own fourth moment.
    fn assert_moments(name: &str, mean: f64, variance: f64, mut draw: impl FnMut(&mut RandomStream) -> f64) {
        let n = 400_000;
        let mut random = Seed(11).stream(name);
        let draws: Vec<f64> = (0..n).map(|_| draw(&mut random)).collect();
        let average = |f: &dyn Fn(f64) -> f64| draws.iter().map(|x| f(*x)).sum::<f64>() / n as f64;
        let found = average(&|x| x);
        let found_variance = average(&|x| (x - mean) * (x - mean));
        let fourth = average(&|x| (x - mean) * (x - mean) * (x - mean) * (x - mean));
        let mean_error = (found_variance / n as f64).sqrt();
        let variance_error = ((fourth - found_variance * found_variance) / n as f64).sqrt();
        assert!((found - mean).abs() < 5.0 * mean_error, "{name}: mean {found}, expected {mean}");
        assert!(
            (found_variance - variance).abs() < 5.0 * variance_error,
            "{name}: variance {found_variance} ± {variance_error}, expected {variance}"
        );
    }

    #[test]
    fn intervals_have_mean_1_and_their_cv() {
        for family in [RenewalFamily::Gamma, RenewalFamily::Weibull] {
            for cv in [0.1, 0.5, 1.0, 2.0, 3.16] {
                let interval = Interval::new(family, Cv(cv));
                assert_moments(&format!("{family:?} {cv}"), 1.0, cv * cv, |random| interval.sample(random));
            }
        }
    }

    /// The mean time to the next arrival is half the mean square of an interval: (1 + cv²)/2.
    #[test]
    fn first_intervals_are_stationary() {
        for family in [RenewalFamily::Gamma, RenewalFamily::Weibull] {
            for cv in [0.3, 1.0, 2.0] {
                let interval = Interval::new(family, Cv(cv));
                let n = 200_000;
                let mut random = Seed(12).stream("first");
                let draws: Vec<f64> = (0..n).map(|_| interval.first(&mut random)).collect();
                let mean = draws.iter().sum::<f64>() / f64::from(n);
                let square = draws.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
                let error = ((square - mean * mean) / f64::from(n)).sqrt();
                let expected = (1.0 + cv * cv) / 2.0;
                assert!(
                    (mean - expected).abs() < 5.0 * error,
                    "{family:?} {cv}: {mean}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn weibull_shapes() {
        // k = 1 is exponential, k = 2 Rayleigh with cv² = 4/π − 1, k = 1/2 has cv² = 5.
        for (cv, shape) in [(1.0, 1.0), ((4.0 / std::f64::consts::PI - 1.0).sqrt(), 2.0), (5f64.sqrt(), 0.5)]
        {
            assert!((weibull_shape(Cv(cv)) - shape).abs() < 1e-12 * shape, "{cv}");
        }
        for cv in [0.01, 100.0] {
            let inverse = 1.0 / weibull_shape(Cv(cv));
            let square = libm::expm1(libm::lgamma(1.0 + 2.0 * inverse) - 2.0 * libm::lgamma(1.0 + inverse));
            assert!((square.sqrt() / cv - 1.0).abs() < 1e-9, "{cv}");
        }
    }
}
