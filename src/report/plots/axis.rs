//! Axes: where a value lies between the ends, and round ticks with labels.

use crate::report::format::{fixed, scale, trim};

/// How far an axis goes beyond the largest value.
const HEADROOM: f64 = 1.05;

/// How the values of an axis are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// With an SI prefix.
    Number,
    /// As money.
    Dollars,
    /// As a span of time, from seconds.
    Seconds,
    /// In percent, from a share.
    Percent,
}

/// A scale with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    unit: Unit,
    /// Values with their labels, increasing.
    pub(super) ticks: Vec<(f64, String)>,
    /// What is measured, with its unit.
    pub(super) title: String,
}

impl Axis {
    /// The position of `value` between the low end (0) and the high end (1), cut to the ends.
    pub(super) fn share(&self, value: f64) -> f64 {
        let (low, high, value) = if self.logarithmic {
            (libm::log10(self.low), libm::log10(self.high), libm::log10(value.max(self.low)))
        } else {
            (self.low, self.high, value)
        };
        let share = (value - low) / (high - low);
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// What a page needs to read values off a curve: low end, high end, `log` or `linear`, unit.
    pub(super) fn in_words(&self) -> String {
        let scale = if self.logarithmic { "log" } else { "linear" };
        let unit = match self.unit {
            Unit::Number => "n",
            Unit::Dollars => "usd",
            Unit::Seconds => "s",
            Unit::Percent => "share",
        };
        format!("{} {} {scale} {unit}", self.low, self.high)
    }

    /// The same without ticks.
    pub(super) fn bare(mut self) -> Self {
        self.ticks.clear();
        self
    }

    /// Zero to a little more than `most`, with about so many ticks at steps of which none is below `least`.
    fn from_zero(most: f64, ticks: usize, title: &str, least: f64) -> Self {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let coarse = round_step(most / ticks as f64, least);
        let fine = round_step(most / (ticks + 1) as f64, least);
        let step = if most * HEADROOM < coarse * (ticks - 1) as f64 { fine } else { coarse };
        // A little room above the largest value, and no more: a peak should fill its panel.
        let high = (most * HEADROOM).max(step);
        let steps = (high / step).floor() as usize;
        let ticks = (0..=steps).map(|index| (index as f64 * step, String::new())).collect();
        Self { low: 0.0, high, logarithmic: false, unit: Unit::Number, ticks, title: title.to_string() }
    }

    /// Quantities from zero with SI prefixes; whole numbers only when `whole`.
    pub(super) fn quantity(most: f64, ticks: usize, title: &str, whole: bool) -> Self {
        let mut axis = Self::from_zero(most, ticks, title, if whole { 1.0 } else { 0.0 });
        label_quantities(&mut axis.ticks, "");
        axis
    }

    /// US dollars from zero.
    pub(super) fn dollars(most: f64, ticks: usize, title: &str) -> Self {
        let mut axis = Self::from_zero(most, ticks, title, 0.0);
        label_quantities(&mut axis.ticks, "$");
        axis.unit = Unit::Dollars;
        axis
    }

    /// Spans of time from zero, in seconds.
    pub(super) fn seconds(most: f64, ticks: usize, title: &str) -> Self {
        let mut axis = Self::from_zero(most, ticks, title, 0.0);
        for (at, label) in &mut axis.ticks {
            *label = if *at == 0.0 { "0".to_owned() } else { latency_label(*at) };
        }
        axis.unit = Unit::Seconds;
        axis
    }

    /// Shares from 0 % to 100 %.
    pub(super) fn share_of_all(percents: &[u32], title: &str) -> Self {
        let ticks =
            percents.iter().map(|percent| (f64::from(*percent) / 100.0, format!("{percent}%"))).collect();
        Self { low: 0.0, high: 1.0, logarithmic: false, unit: Unit::Percent, ticks, title: title.to_string() }
    }

    /// Shares from `-most` to `most`, told in percent with their sign.
    pub(super) fn around_zero(most: f64, ticks: usize, title: &str) -> Self {
        let step = round_step(2.0 * most / ticks as f64, 0.0);
        let count = (most / step).ceil() as i32;
        let tick = |index: i32| {
            let value = f64::from(index) * step;
            let sign = if index > 0 { "+" } else { "" };
            (value, format!("{sign}{}%", trim(&fixed(value * 100.0, 3))))
        };
        let high = f64::from(count) * step;
        let ticks = (-count..=count).map(tick).collect();
        Self { low: -high, high, logarithmic: false, unit: Unit::Percent, ticks, title: title.to_string() }
    }

    /// Simulated time from zero to `end` seconds in the unit that suits it.
    pub(super) fn time(end: f64, ticks: usize) -> Self {
        const DAY: f64 = 86_400.0;
        let end = if end.is_finite() && end > 0.0 { end } else { 1.0 };
        let (unit, length, steps): (&str, f64, &[f64]) = match end {
            e if e < 0.01 => ("ms", 0.001, &[0.5, 1.0, 2.0]),
            e if e < 10.0 => ("s", 1.0, &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]),
            e if e <= 300.0 => ("s", 1.0, &[2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0]),
            e if e <= 3.0 * 3600.0 => ("min", 60.0, &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0]),
            e if e <= 3.0 * DAY => ("h", 3600.0, &[0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 12.0]),
            e if e <= 730.0 * DAY => {
                ("days", DAY, &[0.5, 1.0, 2.0, 7.0, 14.0, 28.0, 30.0, 60.0, 90.0, 180.0])
            }
            _ => ("years", 365.0 * DAY, &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]),
        };
        let fits = |step: &&f64| end / (length * **step) <= ticks as f64;
        let step =
            steps.iter().find(fits).copied().unwrap_or_else(|| round_step(end / length / ticks as f64, 0.0));
        let count = (end / (length * step) + 1e-9).floor() as usize;
        let tick = |index: usize| index as f64 * step;
        let ticks = (0..=count).map(|i| (tick(i) * length, trim(&fixed(tick(i), 3)))).collect();
        Self {
            low: 0.0,
            high: end,
            logarithmic: false,
            unit: Unit::Seconds,
            ticks,
            title: format!("simulated time ({unit})"),
        }
    }

    /// Latencies on a logarithmic scale that holds `low` to `high` seconds.
    pub(super) fn latency(low: f64, high: f64, most_ticks: usize, title: &str) -> Self {
        let sane = |value: f64| value.is_finite() && value > 0.0;
        let (low, high) = if sane(low) && sane(high) && low <= high { (low, high) } else { (0.01, 1.0) };
        // At least a factor of three on the axis, so that one value does not fill it.
        let (low, high) = if high / low < 3.0 { (low / 1.8, high * 1.8) } else { (low * 0.9, high * 1.1) };
        let fits = |ticks: &Vec<f64>| ticks.len() <= most_ticks.max(2);
        let inside = |value: &f64| (low..=high).contains(value);
        let candidates: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
        let mut ticks = candidates
            .iter()
            .map(|digits| powers(digits, 1).filter(inside).collect::<Vec<f64>>())
            .find(fits)
            .unwrap_or_default();
        let mut every = 2;
        while ticks.is_empty() && every <= 8 {
            let sparse: Vec<f64> = powers(&[1.0], every).filter(inside).collect();
            if fits(&sparse) {
                ticks = sparse;
            }
            every += 1;
        }
        let ticks = ticks.into_iter().map(|at| (at, latency_label(at))).collect();
        Self { low, high, logarithmic: true, unit: Unit::Seconds, ticks, title: title.to_string() }
    }
}

/// Powers of ten from a nanosecond on, times each of `digits`, only every `every`-th power.
fn powers(digits: &[f64], every: i32) -> impl Iterator<Item = f64> {
    (-9..=12)
        .filter(move |power| power % every == 0)
        .flat_map(move |power| digits.iter().map(move |digit| digit * libm::pow(10.0, f64::from(power))))
}

fn latency_label(seconds: f64) -> String {
    let text = |value: f64| trim(&fixed(value, 3));
    match seconds {
        s if s < 0.999e-3 => format!("{} µs", text(s * 1e6)),
        s if s < 0.999 => format!("{} ms", text(s * 1e3)),
        s => format!("{} s", text(s)),
    }
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that is not below `step` nor below `least`; a multiple of
/// `least` where that is one.
fn round_step(step: f64, least: f64) -> f64 {
    let step = step.max(least);
    let magnitude = libm::pow(10.0, libm::floor(libm::log10(step)));
    let digit = step / magnitude;
    let fits =
        |round: &f64| digit <= round * (1.0 + 1e-9) && (least != 1.0 || (round * magnitude).fract() == 0.0);
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(fits).unwrap_or(10.0) * magnitude
}

/// Labels that share one SI prefix and one number of decimals.
fn label_quantities(ticks: &mut [(f64, String)], sign: &str) {
    let most = ticks.last().map_or(0.0, |tick| tick.0);
    // $1,500 is easier to read than $1.5k.
    let (factor, suffix) = if most < 10_000.0 { (1.0, "") } else { (scale(most).0 / most, scale(most).1) };
    let exact = |decimals: usize| {
        ticks.iter().all(|(at, _)| {
            let value = at * factor;
            let read: f64 = format!("{value:.decimals$}").parse().unwrap_or(f64::NAN);
            (read - value).abs() <= most * factor * 1e-9
        })
    };
    let decimals = (0..9).find(|decimals| exact(*decimals)).unwrap_or(9);
    for (at, label) in ticks {
        let is_zero = *at == 0.0;
        *label = if is_zero {
            format!("{sign}0")
        } else {
            format!("{sign}{}{suffix}", fixed(*at * factor, decimals))
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        let labels: Vec<&str> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        labels.join(" ")
    }

    #[test]
    fn round_ticks() {
        assert_eq!(labels(&Axis::quantity(118.0, 4, "", false)), "0 25 50 75 100");
        assert_eq!(
            labels(&Axis::quantity(0.0, 4, "", false)),
            "0.00 0.25 0.50 0.75 1.00".replace("0.00", "0")
        );
        assert_eq!(labels(&Axis::quantity(2.0, 4, "", true)), "0 1 2");
        assert_eq!(labels(&Axis::quantity(1.0, 4, "", true)), "0 1");
        assert_eq!(labels(&Axis::quantity(10.0, 4, "", true)), "0 2 4 6 8 10");
        assert_eq!(labels(&Axis::quantity(45_000.0, 4, "", false)), "0 10k 20k 30k 40k");
        assert_eq!(labels(&Axis::dollars(4_321.0, 4, "")), "$0 $1,000 $2,000 $3,000 $4,000");
        assert_eq!(labels(&Axis::dollars(1.2e6, 4, "")), "$0 $0.25M $0.50M $0.75M $1.00M $1.25M");
        assert_eq!(labels(&Axis::dollars(f64::NAN, 2, "")), "$0 $0.5 $1.0");
    }

    #[test]
    fn time_in_sensible_units() {
        for (end, ticks, title) in [
            (60.0, "0 10 20 30 40 50 60", "simulated time (s)"),
            (3600.0, "0 10 20 30 40 50 60", "simulated time (min)"),
            (86_400.0, "0 3 6 9 12 15 18 21 24", "simulated time (h)"),
            (7.0 * 86_400.0, "0 1 2 3 4 5 6 7", "simulated time (days)"),
            (3.0 * 31_536_000.0, "0 0.5 1 1.5 2 2.5 3", "simulated time (years)"),
        ] {
            let axis = Axis::time(end, 8);
            assert_eq!((labels(&axis).as_str(), axis.title.as_str()), (ticks, title));
        }
        assert_eq!(labels(&Axis::time(1e-7, 4)), "0");
    }

    #[test]
    fn latencies() {
        assert_eq!(labels(&Axis::latency(0.02, 4.0, 5, "")), "30 ms 100 ms 300 ms 1 s 3 s");
        assert_eq!(labels(&Axis::latency(0.02, 4.0, 8, "")), "20 ms 50 ms 100 ms 200 ms 500 ms 1 s 2 s");
        assert_eq!(labels(&Axis::latency(1.0, 1.0, 5, "")), "1 s");
        assert_eq!(labels(&Axis::latency(f64::NAN, 1.0, 5, "")), "10 ms 30 ms 100 ms 300 ms 1 s");
        let axis = Axis::latency(0.01, 1.0, 5, "");
        assert!(axis.share(0.0) == 0.0 && axis.share(f64::NAN) == 0.0 && axis.share(9e9) == 1.0);
    }

    fn sane(axis: &Axis, most_ticks: usize) {
        assert!(axis.ticks.len() <= most_ticks, "{axis:?}");
        assert!(axis.ticks.windows(2).all(|pair| pair[0].0 < pair[1].0), "{axis:?}");
        assert!(axis.ticks.iter().all(|tick| (axis.low..=axis.high).contains(&tick.0)), "{axis:?}");
        assert!(axis.low < axis.high, "{axis:?}");
    }

    proptest::proptest! {
        #[test]
        fn axes_are_sane(exponent in -6.0..12.0f64, factor in 1.0..1e6f64, ticks in 2..9usize) {
            let most = libm::pow(10.0, exponent);
            for whole in [false, true] {
                let axis = Axis::quantity(most, ticks, "", whole);
                sane(&axis, 2 * ticks + 2);
                proptest::prop_assert!(axis.share(most) > 0.3 || whole && most < 1.0);
                let labels: Vec<&String> = axis.ticks.iter().map(|tick| &tick.1).collect();
                proptest::prop_assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{:?}", labels);
            }
            sane(&Axis::time(most, ticks), ticks + 1);
            let latency = Axis::latency(most * 1e-6, most * 1e-6 * factor, ticks, "");
            sane(&latency, ticks);
        }
    }
}
