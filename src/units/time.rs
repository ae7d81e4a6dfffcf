//! Instants and durations: integer nanoseconds, two different types.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

use super::parse::{ParseUnitError, Quantity};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Time as users write it, in seconds.
pub(super) const TIME: Quantity = Quantity {
    what: "time",
    example: "\"90s\", \"15m\" or \"1h30m\"",
    units: &[
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("min", 60.0),
        ("h", 3600.0),
        ("d", 86_400.0),
        ("w", 604_800.0),
        ("y", 31_536_000.0),
    ],
};

/// A point in simulated time: nanoseconds since the run began (up to 584 years).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

/// A length of simulated time in nanoseconds; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

impl Instant {
    /// The beginning of the run.
    pub const ZERO: Self = Self(0);
    /// Later than everything that happens.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the beginning.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the beginning, for output and statistics only.
    pub fn as_secs_f64(self) -> f64 {
        self.since(Self::ZERO).as_secs_f64()
    }

    /// The instant `seconds` after the beginning, rounded to the nanosecond; negative gives the beginning.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self(Duration::from_secs_f64(seconds).0)
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }

    /// The duration added, stopping at [`Instant::MAX`].
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest duration.
    pub const MAX: Self = Self(u64::MAX);
    /// One hour.
    pub const HOUR: Self = Self(3600 * NANOS_PER_SECOND);

    /// A duration of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * NANOS_PER_SECOND)
    }

    /// A duration of `seconds`, rounded to the nanosecond; negative and NaN give zero, too long gives the
    /// longest.
    pub fn from_secs_f64(seconds: f64) -> Self {
        // A float-to-integer cast saturates and sends NaN to 0.
        Self((seconds * 1e9).round() as u64)
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds, for output and statistics only.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Hours, for output and statistics only.
    pub fn as_hours_f64(self) -> f64 {
        self.as_secs_f64() / 3600.0
    }

    /// True for no time at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Rounded as people say it: to the second from a minute on, to the millisecond from a second on.
    #[must_use]
    pub const fn for_people(self) -> Self {
        let unit = match self.0 / NANOS_PER_SECOND {
            0 => 1,
            1..60 => NANOS_PER_SECOND / 1000,
            _ => NANOS_PER_SECOND,
        };
        let up = self.0 % unit >= unit.div_ceil(2);
        Self((self.0 / unit).saturating_add(up as u64).saturating_mul(unit))
    }

    /// The difference, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The least multiple of `step` that is not less than this; itself when `step` is zero.
    pub const fn round_up_to(self, step: Self) -> Self {
        if step.0 == 0 { self } else { Self(self.0.div_ceil(step.0) * step.0) }
    }

    /// Reads `90s`, `15m`, `1h30m`, `60 ms`, `2.5d`.
    ///
    /// # Errors
    /// When there is no number, the unit is unknown, or the value is negative or over 584 years.
    pub fn parse(text: &str) -> Result<Self, ParseUnitError> {
        let seconds = TIME.parse(text)?;
        if seconds * 1e9 >= u64::MAX as f64 {
            return Err(TIME.out_of_range(text, "584 years"));
        }
        Ok(Self::from_secs_f64(seconds))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration.0)
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Duration {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Duration {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<u64> for Duration {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self(self.0 * factor)
    }
}

impl Div<u64> for Duration {
    type Output = Self;
    fn div(self, divisor: u64) -> Self {
        Self(self.0 / divisor)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration(self.0).fmt(f)
    }
}

/// The largest exact unit pair: `1h30m`, `90ms`, `2d`; what [`Duration::parse`] reads back.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return write!(f, "0s");
        }
        let seconds = self.0 / NANOS_PER_SECOND;
        let nanos = self.0 % NANOS_PER_SECOND;
        for (unit, length) in [("d", 86_400), ("h", 3600), ("m", 60)] {
            if seconds >= length {
                let count = seconds / length;
                let rest = Duration(self.0 - count * length * NANOS_PER_SECOND);
                return if rest.is_zero() {
                    write!(f, "{count}{unit}")
                } else {
                    write!(f, "{count}{unit}{rest}")
                };
            }
        }
        if seconds > 0 {
            return if nanos == 0 {
                write!(f, "{seconds}s")
            } else {
                let digits = format!("{nanos:09}");
                write!(f, "{seconds}.{}s", digits.trim_end_matches('0'))
            };
        }
        for (unit, length) in [("ms", 1_000_000), ("us", 1_000)] {
            if nanos >= length && nanos.is_multiple_of(length) {
                return write!(f, "{}{unit}", nanos / length);
            }
        }
        write!(f, "{nanos}ns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_round() {
        let said = |nanos| Duration(nanos).for_people().to_string();
        assert_eq!(said(26_617_856_978_173), "7h23m38s");
        assert_eq!(said(1_234_567_890), "1.235s");
        assert_eq!(said(59_999_999_999), "1m");
        assert_eq!((said(1_500), said(0)), ("1500ns".to_owned(), "0s".to_owned()));
    }

    #[test]
    fn reads_what_users_write() {
        for (text, nanos) in [
            ("90s", 90_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("60 ms", 60_000_000),
            ("2.5m", 150_000_000_000),
            ("1 h 30 m", 5_400_000_000_000),
            ("1e3 s", 1_000_000_000_000),
        ] {
            assert_eq!(Duration::parse(text).map(Duration::as_nanos), Ok(nanos), "{text}");
        }
        for text in ["", "s", "10", "-3s", "3 parsecs", "1e30 y", "nan s"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for nanos in
            [0, 1, 1_500, 60_000_000, 90_000_000_000, 5_400_000_000_000, 86_400_000_000_000, 1_250_000_000]
        {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(Duration::parse(&duration.to_string()), Ok(duration), "{duration}");
        }
    }
}
