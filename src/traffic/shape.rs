//! Shapes: factors that multiply a stream's rate over time.

use super::error::Problem;
use crate::units::{Duration, Instant};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names say it
pub enum Weekday {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// The day and the time of day at which the run begins; Monday 00:00 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// The weekday of t = 0.
    pub day: Weekday,
    /// The time of day of t = 0, since midnight; below 24 h.
    pub time: Duration,
}

/// A factor over time. A stream's shapes multiply. Diurnal and weekly factors together have mean 1 over
/// their period; the others multiply what is there.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A cosine with the period of a day: 1 + a·cos(2π(time of day − peak)/24 h), where
    /// a = (r − 1)/(r + 1) for the ratio r.
    Diurnal {
        /// The time of day of the peak, since midnight; below 24 h.
        peak: Duration,
        /// Highest over lowest rate, at least 1.
        peak_to_trough: f64,
    },
    /// A factor for each day from Monday to Sunday, changing at midnight; normalised to mean 1.
    Weekly {
        /// Relative rates, not negative.
        factors: [f64; 7],
    },
    /// A trapezoid: rises linearly from 1 to `factor`, holds, falls linearly back to 1. A factor below 1 is
    /// a dip.
    Spike {
        /// When the rise begins, since the run's beginning.
        start: Duration,
        /// The factor at its height.
        factor: f64,
        /// How long the rise takes; zero is a jump.
        rise: Duration,
        /// How long the height lasts.
        hold: Duration,
        /// How long the fall takes; zero is a jump.
        fall: Duration,
    },
    /// Growth compounded continuously: per_week^(t / 7 days), up to the cap.
    Growth {
        /// The factor a week: 1.5 is 50 % a week, below 1 shrinks.
        per_week: f64,
        /// The factor beyond which it does not go (below which, when shrinking).
        cap: Option<f64>,
    },
    /// Linear between points (time since the run's beginning, factor); constant before the first and after
    /// the last.
    Piecewise {
        /// One point or more, times rising.
        points: Vec<(Duration, f64)>,
    },
}

pub(super) const DAY_S: f64 = 86_400.0;
pub(super) const DAY_NS: u64 = 86_400_000_000_000;
pub(super) const WEEK_NS: u64 = 7 * DAY_NS;

impl Weekday {
    /// All seven, from Monday.
    pub const ALL: [Self; 7] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// The name in scenarios: `monday`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }

    /// The day of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.name() == name)
    }

    const fn index(self) -> u64 {
        self as u64
    }
}

/// Reads `14:00` or `14:00:30` as the time since midnight; `None` when it is not a time of day.
pub fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.trim().split(':');
    let mut number = |below: u64| {
        let part = parts.next()?;
        let digits = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u64>().ok()).flatten().filter(|value| *value < below)
    };
    let (hours, minutes) = (number(24)?, number(60)?);
    let seconds = if text.matches(':').count() == 2 { number(60)? } else { 0 };
    parts.next().is_none().then(|| Duration::from_secs((hours * 60 + minutes) * 60 + seconds))
}

impl Start {
    /// Nanoseconds since Monday 00:00.
    pub fn since_monday(self) -> u64 {
        self.day.index() * DAY_NS + self.time.as_nanos()
    }
}

impl Shape {
    /// True for the shapes that `rate` is the mean of.
    pub(super) fn is_periodic(&self) -> bool {
        matches!(self, Self::Diurnal { .. } | Self::Weekly { .. })
    }

    /// A weekend factor on top of equal weekdays.
    pub fn weekend(factor: f64) -> Self {
        Self::Weekly { factors: [1.0, 1.0, 1.0, 1.0, 1.0, factor, factor] }
    }

    /// The factor `offset` seconds (maybe a fraction of a nanosecond) after `from`. Callers that integrate
    /// never ask at a jump.
    pub(super) fn factor(&self, start: Start, from: Instant, offset: f64) -> f64 {
        match self {
            Self::Diurnal { peak, peak_to_trough } => {
                let amplitude = (peak_to_trough - 1.0) / (peak_to_trough + 1.0);
                // Modulo the day in integers, so that the phase is as exact after a year as on day one.
                let since_peak =
                    (from.as_nanos() % DAY_NS + start.time.as_nanos() + DAY_NS - peak.as_nanos()) % DAY_NS;
                let phase = (since_peak as f64 / 1e9 + offset) / DAY_S;
                1.0 + amplitude * libm::cos(2.0 * std::f64::consts::PI * phase)
            }
            Self::Weekly { factors } => {
                let mean = factors.iter().sum::<f64>() / 7.0;
                let into_week = (from.as_nanos() % WEEK_NS + start.since_monday()) % WEEK_NS;
                let into_week = into_week as f64 / 1e9 + offset;
                factors[(into_week / DAY_S) as usize % 7] / mean
            }
            Self::Spike { start, factor, rise, hold, fall } => {
                let since = from.as_nanos() as f64 / 1e9 - start.as_secs_f64() + offset;
                let (rise, hold, fall) = (rise.as_secs_f64(), hold.as_secs_f64(), fall.as_secs_f64());
                let height = if since < 0.0 {
                    0.0
                } else if since < rise {
                    since / rise
                } else if since < rise + hold {
                    1.0
                } else if since < rise + hold + fall {
                    (rise + hold + fall - since) / fall
                } else {
                    0.0
                };
                1.0 + (factor - 1.0) * height
            }
            Self::Growth { per_week, cap } => {
                let weeks = (from.as_secs_f64() + offset) / (7.0 * DAY_S);
                let factor = libm::exp(weeks * libm::log(*per_week));
                match cap {
                    Some(cap) if *per_week >= 1.0 => factor.min(*cap),
                    Some(cap) => factor.max(*cap),
                    None => factor,
                }
            }
            Self::Piecewise { points } => {
                let nanos = from.as_nanos() as f64 + offset * 1e9;
                let after = points.partition_point(|(time, _)| time.as_nanos() as f64 <= nanos);
                match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
                    (None, Some((_, factor))) => *factor,
                    (Some((_, factor)), None) => factor,
                    (Some((t0, f0)), Some((t1, f1))) => {
                        let along = (nanos - t0.as_nanos() as f64) / (*t1 - t0).as_nanos() as f64;
                        f0 + (f1 - f0) * along
                    }
                    (None, None) => 1.0,
                }
            }
        }
    }

    /// The first time after `now` at which this shape has a kink or a jump; `Instant::MAX` for none.
    pub(super) fn next_kink(&self, start: Start, now: Instant) -> Instant {
        let first_after = |times: &[u64]| {
            times
                .iter()
                .copied()
                .find(|time| *time > now.as_nanos())
                .map_or(Instant::MAX, Instant::from_nanos)
        };
        match self {
            Self::Diurnal { .. } => Instant::MAX,
            Self::Weekly { .. } => {
                let into_day = (now.as_nanos() % DAY_NS + start.time.as_nanos()) % DAY_NS;
                now.saturating_add(Duration::from_nanos(DAY_NS - into_day))
            }
            Self::Spike { start, rise, hold, fall, .. } => {
                let start = start.as_nanos();
                let top = start.saturating_add(rise.as_nanos());
                let end = top.saturating_add(hold.as_nanos());
                first_after(&[start, top, end, end.saturating_add(fall.as_nanos())])
            }
            Self::Growth { per_week, cap } => match cap {
                Some(cap) if *per_week != 1.0 => {
                    let weeks = libm::log(*cap) / libm::log(*per_week);
                    first_after(&[Duration::from_secs_f64(weeks * 7.0 * DAY_S).as_nanos()])
                }
                _ => Instant::MAX,
            },
            Self::Piecewise { points } => {
                let after = points.partition_point(|(time, _)| time.as_nanos() <= now.as_nanos());
                points.get(after).map_or(Instant::MAX, |(time, _)| Instant::from_nanos(time.as_nanos()))
            }
        }
    }
}

/// Checks all shapes of a stream.
pub(super) fn check(shapes: &[Shape], start: Start, problems: &mut Vec<Problem>) {
    if start.time.as_nanos() >= DAY_NS {
        problems.push(Problem::new(
            "start.time",
            format!("the time of day is {}", start.time),
            "give one below 24h",
        ));
    }
    for (index, shape) in shapes.iter().enumerate() {
        shape.check(&format!("shape[{index}]"), problems);
    }
}

impl Shape {
    fn check(&self, at: &str, problems: &mut Vec<Problem>) {
        let mut problem = |key: &str, what: String, help: &str| {
            problems.push(Problem::new(key, what, help).under(at));
        };
        // Factors are bounded so that no product of them, nor its integral over a run, leaves f64's range.
        let usable = |factor: f64| (0.0..=1e6).contains(&factor);
        match self {
            Self::Diurnal { peak, peak_to_trough } => {
                if peak.as_nanos() >= DAY_NS {
                    problem(
                        "peak",
                        format!("the time of day is {peak}"),
                        "give one below 24h, as in \"14:00\"",
                    );
                }
                if !(1.0..=1e6).contains(peak_to_trough) {
                    problem(
                        "peak_to_trough",
                        format!("the ratio is {peak_to_trough}"),
                        "give a number from 1 (flat) to 1e6",
                    );
                }
            }
            Self::Weekly { factors } => {
                for (index, factor) in factors.iter().enumerate().filter(|(_, factor)| !usable(**factor)) {
                    problem(&format!("factors[{index}]"), format!("the factor is {factor}"), "give 0 to 1e6");
                }
                if factors.iter().all(|factor| *factor == 0.0) {
                    problem("factors", "all factors are zero".to_owned(), "give one day a positive factor");
                }
            }
            Self::Spike { start, factor, rise, hold, fall } => {
                if !usable(*factor) {
                    problem("factor", format!("the factor is {factor}"), "give 0 to 1e6");
                }
                let ends = [*start, *rise, *hold, *fall]
                    .iter()
                    .map(|part| u128::from(part.as_nanos()))
                    .sum::<u128>();
                if ends >= u128::from(u64::MAX) {
                    problem("start", "the spike ends after more than 584 years".to_owned(), "shorten it");
                }
            }
            Self::Growth { per_week, cap } => {
                if !(1e-3..=1e3).contains(per_week) {
                    problem(
                        "per_week",
                        format!("the factor a week is {per_week}"),
                        "give 0.001 to 1000, as in 1.5",
                    );
                }
                if let Some(cap) = cap {
                    if !usable(*cap) || *cap == 0.0 {
                        problem("cap", format!("the cap is {cap}"), "give a positive factor up to 1e6");
                    } else if (*per_week > 1.0 && *cap < 1.0) || (*per_week < 1.0 && *cap > 1.0) {
                        problem(
                            "cap",
                            format!(
                                "a factor of {per_week} a week, which begins at 1, never meets a cap of {cap}"
                            ),
                            "give a cap above 1 for growth, below 1 for decline",
                        );
                    }
                }
            }
            Self::Piecewise { points } => {
                if points.is_empty() {
                    problem("points", "there are no points".to_owned(), "give one or more (time, factor)");
                }
                for (index, (_, factor)) in points.iter().enumerate().filter(|(_, point)| !usable(point.1)) {
                    problem(&format!("points[{index}]"), format!("the factor is {factor}"), "give 0 to 1e6");
                }
                for (index, pair) in points.windows(2).enumerate().filter(|(_, pair)| pair[0].0 >= pair[1].0)
                {
                    problem(
                        &format!("points[{}]", index + 1),
                        format!("its time {} is not after {}", pair[1].0, pair[0].0),
                        "put the points in order of time",
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        for (text, seconds) in [("14:00", 50_400), ("0:00", 0), ("23:59:59", 86_399), (" 7:05 ", 25_500)] {
            assert_eq!(time_of_day(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "14", "24:00", "14:60", "-1:00", "14:00:00:00", "2pm", "1:2:", "+1:00"] {
            assert_eq!(time_of_day(text), None, "{text}");
        }
        assert!(Weekday::ALL.into_iter().all(|day| Weekday::from_name(day.name()) == Some(day)));
    }
}
