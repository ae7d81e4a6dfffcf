//! A grid of scenario values: every combination of what its axes hold.

use std::collections::BTreeSet;

/// Values that vary, an axis a path. Points are numbered from 0; the last axis varies fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    axes: Vec<Axis>,
    points: u64,
}

/// One path and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// The path, as `--set` takes it.
    pub path: String,
    parts: Vec<Part>,
}

/// A value as text, or a range of numbers that is not written out until it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    One(String),
    Range(Range),
}

/// Numbers in units of 10^-`digits`, so that 0.1..0.3:0.1 is 0.1, 0.2, 0.3 and nothing like it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: i128,
    step: i128,
    count: u64,
    digits: usize,
    unit: String,
}

/// Why an argument is no axis, or axes are no grid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// Not of the form.
    #[error(
        "`{0}` is not PATH=VALUES: write --grid pools.base.nodes=1,2,4, --grid pools.base.nodes=1..8 or \
         --grid streams.chat.rate=2/s..10/s:0.5/s"
    )]
    Form(String),
    /// An item of a list is empty.
    #[error("`{0}` has an empty value; values are separated by single commas")]
    Empty(String),
    /// A range that is none.
    #[error("`{range}` in `{argument}` is no range: {why}")]
    Range {
        /// The range.
        range: String,
        /// The whole argument.
        argument: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Twice the same value.
    #[error("`{path}` has the value {value} twice; leave one out")]
    Twice {
        /// The path.
        path: String,
        /// The value.
        value: String,
    },
    /// Twice the same path.
    #[error("`{0}` is given two axes; put all its values into one --grid")]
    SamePath(String),
    /// More points than can be counted.
    #[error("the grid has more than 10^15 points; no machine will ever finish it: leave values out")]
    TooMany,
}

/// More than anybody can run; keeps the arithmetic far from overflow.
const MOST_POINTS: u64 = 1_000_000_000_000_000;

/// Values of one axis that are compared with each other when looking for repetitions.
const MOST_COMPARED: u64 = 100_000;

impl Grid {
    /// From arguments `PATH=A,B,C`, where each of A, B, C may be a range `FIRST..LAST[:STEP]`.
    ///
    /// # Errors
    /// At the first argument that is wrong.
    pub fn parse(arguments: &[String]) -> Result<Self, GridError> {
        let axes = arguments.iter().map(|argument| Axis::parse(argument)).collect::<Result<Vec<_>, _>>()?;
        let mut paths = BTreeSet::new();
        let mut points = 1u64;
        for axis in &axes {
            if !paths.insert(axis.path.as_str()) {
                return Err(GridError::SamePath(axis.path.clone()));
            }
            points =
                points.checked_mul(axis.len()).filter(|n| *n <= MOST_POINTS).ok_or(GridError::TooMany)?;
        }
        Ok(Self { axes, points })
    }

    /// The axes in the order given.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// How many points.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// The values of a point, an axis each.
    pub fn values(&self, point: u64) -> Vec<String> {
        self.axes.iter().zip(self.places(point)).map(|(axis, place)| axis.value(place)).collect()
    }

    /// The places of a point's values on their axes.
    pub fn places(&self, point: u64) -> Vec<u64> {
        let mut rest = point;
        let place = |axis: &Axis| {
            let place = rest % axis.len();
            rest /= axis.len();
            place
        };
        let mut places: Vec<u64> = self.axes.iter().rev().map(place).collect();
        places.reverse();
        places
    }

    /// The `--set` arguments that make a point.
    pub fn sets(&self, point: u64) -> Vec<String> {
        let values = self.values(point);
        self.axes.iter().zip(values).map(|(axis, value)| format!("{}={value}", axis.path)).collect()
    }
}

impl Axis {
    fn parse(argument: &str) -> Result<Self, GridError> {
        let form = || GridError::Form(argument.to_owned());
        let equals = split_outside(argument, '=').next().map(str::len).filter(|at| *at < argument.len());
        let (path, values) = argument.split_at(equals.ok_or_else(form)?);
        let (path, values) = (path.trim(), &values[1..]);
        if path.is_empty() || values.trim().is_empty() {
            return Err(form());
        }
        let part = |text: &str| match text.trim() {
            "" => Err(GridError::Empty(argument.to_owned())),
            text => match Range::parse(text) {
                None => Ok(Part::One(text.to_owned())),
                Some(Ok(range)) => Ok(Part::Range(range)),
                Some(Err(why)) => {
                    let argument = argument.to_owned();
                    Err(GridError::Range { range: text.to_owned(), argument, why })
                }
            },
        };
        let parts = split_outside(values, ',').map(part).collect::<Result<Vec<_>, _>>()?;
        let axis = Self { path: path.to_owned(), parts };
        if axis.parts.len() > 1 && axis.len() <= MOST_COMPARED {
            let mut seen = BTreeSet::new();
            for index in 0..axis.len() {
                let value = axis.value(index);
                if !seen.insert(value.clone()) {
                    return Err(GridError::Twice { path: axis.path, value });
                }
            }
        }
        Ok(axis)
    }

    /// How many values; at least one.
    pub fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).fold(0, u64::saturating_add)
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Value number `index`, counted from 0.
    pub fn value(&self, index: u64) -> String {
        let mut index = index;
        for part in &self.parts {
            if index < part.len() {
                return match part {
                    Part::One(text) => text.clone(),
                    Part::Range(range) => range.value(index),
                };
            }
            index -= part.len();
        }
        String::new()
    }
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Range(range) => range.count,
        }
    }
}

impl Range {
    /// `FIRST..LAST[:STEP]` with numbers that may carry one unit (`2/s..10/s:2/s`, `10..60s:10`). `None` when
    /// it is something else, say a file's name.
    fn parse(text: &str) -> Option<Result<Self, &'static str>> {
        let (first, rest) = text.split_once("..")?;
        let (last, step) = match rest.split_once(':') {
            Some((last, step)) => (last, Some(step)),
            None => (rest, None),
        };
        let (first, last) = (Number::parse(first)?, Number::parse(last)?);
        let step = match step.map(Number::parse) {
            Some(None) => return Some(Err("its step is not a number")),
            Some(Some(step)) => step,
            None => Number { units: 1, digits: 0, unit: String::new() },
        };
        let whole = first.digits == 0 && last.digits == 0;
        Some(Self::new(&first, &last, &step, whole || text.contains(':')))
    }

    fn new(first: &Number, last: &Number, step: &Number, has_step: bool) -> Result<Self, &'static str> {
        if !has_step {
            return Err("fractions need a step: 0.5..0.9:0.1");
        }
        let unit = last.unit.clone();
        let same = |other: &Number| other.unit.is_empty() || other.unit == unit;
        if !same(first) || !same(step) {
            return Err("its numbers have different units");
        }
        let digits = first.digits.max(last.digits).max(step.digits);
        let (first, last, step) = (first.at(digits), last.at(digits), step.at(digits));
        if step <= 0 {
            return Err("its step must be greater than zero");
        }
        if last < first {
            return Err("it ends before it begins; write the smaller number first");
        }
        let count = u64::try_from((last - first) / step + 1).map_err(|_| "it is too long")?;
        Ok(Self { first, step, count, digits, unit })
    }

    fn value(&self, index: u64) -> String {
        let units = self.first + self.step * i128::from(index);
        let sign = if units < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", units.unsigned_abs(), width = self.digits + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.digits);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}{}", self.unit)
    }
}

/// A decimal number with an optional unit.
struct Number {
    units: i128,
    digits: usize,
    unit: String,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, unit) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        // 18 digits are more than any figure has, and leave room for every product below.
        let fits = !whole.is_empty() && digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
        // `1e9` is not a number with the unit `e9`.
        let exponent =
            unit.starts_with(['e', 'E']) && unit[1..].starts_with(|c: char| "+-0123456789".contains(c));
        if !fits || exponent {
            return None;
        }
        let units: i128 = digits.parse().ok()?;
        Some(Self { units: sign * units, digits: fraction.len(), unit: unit.trim().to_owned() })
    }

    fn at(&self, digits: usize) -> i128 {
        (self.digits..digits).fold(self.units, |units, _| units * 10)
    }
}

/// The pieces of `text` between separators that are outside quotes, brackets and braces.
pub fn split_outside(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut depth, mut quote) = (0usize, None);
    text.split(move |c: char| {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == separator && quote.is_none() && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(arguments: &[&str]) -> Result<Grid, GridError> {
        Grid::parse(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
    }

    fn values(argument: &str) -> Vec<String> {
        let grid = grid(&[argument]).unwrap_or_else(|error| panic!("{error}"));
        (0..grid.points()).map(|point| grid.values(point).concat()).collect()
    }

    #[test]
    fn lists_and_ranges() {
        assert_eq!(values("a=1,2,4"), ["1", "2", "4"]);
        assert_eq!(values("a=0..3"), ["0", "1", "2", "3"]);
        assert_eq!(values("a=0.1..0.35:0.1"), ["0.1", "0.2", "0.3"]);
        assert_eq!(values("a=-1..1:0.5"), ["-1", "-0.5", "0", "0.5", "1"]);
        assert_eq!(values("a=2/s..6/s:2/s,10/s"), ["2/s", "4/s", "6/s", "10/s"]);
        assert_eq!(values("a=10..30s:10"), ["10s", "20s", "30s"]);
        assert_eq!(values("a={ tp = 1, pp = 2 },{ tp = 2 }"), ["{ tp = 1, pp = 2 }", "{ tp = 2 }"]);
        assert_eq!(values("a=\"x,y\",../trace.csv,1e3..2e3"), ["\"x,y\"", "../trace.csv", "1e3..2e3"]);
    }

    #[test]
    fn every_combination_last_axis_fastest() {
        let grid = grid(&["a=1,2", "b.\"x=y\".c=5..7"]).expect("a grid");
        assert_eq!(grid.points(), 6);
        assert_eq!(grid.sets(0), ["a=1", "b.\"x=y\".c=5"]);
        assert_eq!(grid.sets(2), ["a=1", "b.\"x=y\".c=7"]);
        assert_eq!(grid.sets(3), ["a=2", "b.\"x=y\".c=5"]);
        assert_eq!(self::grid(&[]).expect("a grid").points(), 1);
    }

    #[test]
    fn ranges_are_not_written_out() {
        assert_eq!(grid(&["a=1..1000000000000"]).map(|grid| grid.points()), Ok(1_000_000_000_000));
        assert_eq!(grid(&["a=1..1000000000000", "b=1..1000000"]), Err(GridError::TooMany));
    }

    #[test]
    fn what_is_no_grid() {
        let refused =
            |arguments: &[&str]| grid(arguments).map_err(|error| error.to_string()).expect_err("an error");
        insta::assert_snapshot!(
            [
                refused(&["a"]),
                refused(&["a="]),
                refused(&["=3"]),
                refused(&["a=1,,2"]),
                refused(&["a=1,2,1"]),
                refused(&["a=5..1"]),
                refused(&["a=1..5:0"]),
                refused(&["a=0.1..0.5"]),
                refused(&["a=1s..5min:1s"]),
                refused(&["a=1..5:x"]),
                refused(&["a=1", "a=2"]),
            ]
            .join("\n")
        );
    }
}
