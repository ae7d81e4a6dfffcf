//! How long something takes, as a distribution.

use super::RandomStream;
use crate::units::Duration;

/// A time that is drawn anew each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two times alike.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest; not shorter than `low`.
        high: Duration,
    },
    /// Without memory.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Log-normal.
    LogNormal {
        /// The median.
        median: Duration,
        /// The standard deviation of the logarithm; zero or more.
        sigma: f64,
    },
    /// Weibull: a hazard that falls (shape below 1) or rises (above 1) with age.
    Weibull {
        /// The time before which 63 % have happened.
        scale: Duration,
        /// The shape; above zero.
        shape: f64,
    },
}

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874_040_841;

impl Default for Delay {
    fn default() -> Self {
        Self::NONE
    }
}

impl Delay {
    /// No time at all.
    pub const NONE: Self = Self::Fixed(Duration::ZERO);

    /// The log-normal with this median and 99th percentile; a percentile below the median counts as it.
    pub fn log_normal(median: Duration, p99: Duration) -> Self {
        let ratio = p99.as_secs_f64() / median.as_secs_f64().max(f64::MIN_POSITIVE);
        Self::LogNormal { median, sigma: libm::log(ratio.max(1.0)) / Z99 }
    }

    /// Draws one.
    pub fn sample(&self, random: &mut RandomStream) -> Duration {
        let times =
            |time: Duration, factor: f64| Duration::from_secs_f64((time.as_secs_f64() * factor).min(1e10));
        match *self {
            Self::Fixed(time) => time,
            Self::Uniform { low, high } => {
                Duration::from_nanos(low.as_nanos() + random.below(high.as_nanos() - low.as_nanos() + 1))
            }
            Self::Exponential { mean } => times(mean, random.exponential()),
            Self::LogNormal { median, sigma } => times(median, libm::exp(sigma * random.normal())),
            Self::Weibull { scale, shape } => times(scale, libm::pow(random.exponential(), 1.0 / shape)),
        }
    }

    /// The same, so many times as long.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let times = |time: Duration| Duration::from_secs_f64((time.as_secs_f64() * factor).clamp(0.0, 1e10));
        match self {
            Self::Fixed(time) => Self::Fixed(times(time)),
            Self::Uniform { low, high } => Self::Uniform { low: times(low), high: times(high) },
            Self::Exponential { mean } => Self::Exponential { mean: times(mean) },
            Self::LogNormal { median, sigma } => Self::LogNormal { median: times(median), sigma },
            Self::Weibull { scale, shape } => Self::Weibull { scale: times(scale), shape },
        }
    }

    /// True when it is always no time at all.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    fn mean_of(delay: Delay) -> f64 {
        let mut random = Seed(5).stream("delay");
        (0..100_000).map(|_| delay.sample(&mut random).as_secs_f64()).sum::<f64>() / 1e5
    }

    /// Means by formula, within four standard errors of 100,000 draws.
    #[test]
    fn means_are_those_of_the_distributions() {
        let s = Duration::from_secs;
        for (delay, mean, deviation) in [
            (Delay::Fixed(s(90)), 90.0, 0.0),
            (Delay::Uniform { low: s(60), high: s(180) }, 120.0, 34.7),
            (Delay::Exponential { mean: s(100) }, 100.0, 100.0),
            (Delay::LogNormal { median: s(100), sigma: 0.5 }, 113.315, 60.4),
            // Γ(1.5) = 0.886227, Γ(2) = 1.
            (Delay::Weibull { scale: s(100), shape: 2.0 }, 88.6227, 46.3),
        ] {
            let seen = mean_of(delay);
            assert!((seen - mean).abs() <= 4.0 * deviation / 1e5f64.sqrt() + 1e-9, "{delay:?}: {seen}");
        }
    }

    #[test]
    fn the_99th_percentile_is_met() {
        let delay = Delay::log_normal(Duration::from_secs(60), Duration::from_secs(300));
        let mut random = Seed(6).stream("delay");
        let below = (0..100_000).filter(|_| delay.sample(&mut random) <= Duration::from_secs(300)).count();
        assert!((98_800..99_200).contains(&below), "{below}");
    }
}
