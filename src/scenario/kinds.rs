//! What scalars of a scenario may be, with the ranges that make sense.

use super::dom::Value;
use super::reading::{Kind, Unfit};
use crate::units::{Bytes, BytesPerSecond, Duration, ParseUnitError, Rate};

/// Longest time that a scenario may name; below the 584 years of the clock, so that sums stay within it.
const LONGEST: Duration = Duration::from_secs(100 * 31_536_000);

/// Any text that is not empty.
pub const TEXT: Kind<String> = Kind { what: "a text", read: |value| nonempty(value) };

/// A name: a text that is not empty, without control characters.
pub const NAME: Kind<String> = Kind {
    what: "a name, as in \"chat\"",
    read: |value| {
        let name = nonempty(value)?;
        if name.trim() != name || name.chars().any(|c| c.is_control() || c == '/') {
            let why = format!("{name:?} cannot be a name: no slashes, line breaks or spaces at its ends");
            return Err(Unfit::Value(why));
        }
        Ok(name)
    },
};

/// A name that refers to something else.
pub const REFERENCE: Kind<String> = Kind { what: "a name", read: |value| nonempty(value) };

/// A path relative to the scenario file.
pub const PATH: Kind<String> = Kind { what: "the path of a file", read: |value| nonempty(value) };

/// Yes or no.
pub const BOOL: Kind<bool> = Kind {
    what: "true or false",
    read: |value| match value {
        Value::Bool(value) => Ok(*value),
        _ => Err(Unfit::Type),
    },
};

/// A time, zero included.
pub const TIME: Kind<Duration> =
    Kind { what: "a time such as \"90s\" or \"1h30m\"", read: |value| time(value) };

/// A time longer than zero.
pub const POSITIVE_TIME: Kind<Duration> = Kind {
    what: "a time longer than zero, such as \"90s\" or \"1h30m\"",
    read: |value| match time(value)? {
        Duration::ZERO => Err(Unfit::Value("it must be longer than zero".to_owned())),
        time => Ok(time),
    },
};

/// A time of day: `14:00`, or a time after midnight such as `9h30m`.
pub const TIME_OF_DAY: Kind<Duration> = Kind {
    what: "a time of day such as \"14:00\"",
    read: |value| {
        // TOML has times of day of its own: `13:00` without quotes, as --set takes it.
        let (Value::Text(text) | Value::Datetime(text)) = value else { return Err(Unfit::Type) };
        let time = match text.split_once(':') {
            Some((hours, minutes)) => match (hours.trim().parse::<u64>(), minutes.trim().parse::<u64>()) {
                (Ok(hours), Ok(minutes)) if hours < 24 && minutes < 60 && minutes_are_two(text) => {
                    Duration::from_secs(hours * 3600 + minutes * 60)
                }
                _ => {
                    return Err(Unfit::Value(format!(
                        "`{text}` is not a time of day; write it as \"14:00\""
                    )));
                }
            },
            None => time(value)?,
        };
        if time >= Duration::from_secs(86_400) {
            return Err(Unfit::Value(format!("`{text}` is not within a day; write it as \"14:00\"")));
        }
        Ok(time)
    },
};

/// Events per second, more than none.
pub const RATE: Kind<Rate> = Kind {
    what: "a rate such as \"12/s\"",
    read: |value| {
        let Value::Text(text) = value else { return Err(Unfit::Type) };
        let rate = Rate::parse(text).map_err(unit)?;
        if rate.as_per_second() <= 0.0 || rate.as_per_second() > 1e9 {
            return Err(Unfit::Value(format!("`{text}` must be more than zero and at most 1e9/s")));
        }
        Ok(rate)
    },
};

/// A whole number from 1 to a million.
pub const COUNT: Kind<u32> =
    Kind { what: "a whole number of at least 1", read: |value| whole(value, 1, 1_000_000).map(|n| n as u32) };

/// A whole number of tokens that fits one request or batch.
pub const TOKENS: Kind<u32> =
    Kind { what: "a whole number of tokens", read: |value| whole(value, 1, 1_000_000_000).map(|n| n as u32) };

/// A whole number of at least one.
pub const LARGE_COUNT: Kind<u64> =
    Kind { what: "a whole number of at least 1", read: |value| whole(value, 1, 1_000_000_000_000_000_000) };

/// A seed.
pub const SEED: Kind<u64> = Kind {
    what: "a whole number",
    // TOML's integers end at 63 bits; a larger seed is written as a text.
    read: |value| match value {
        Value::Text(text) => text.parse().map_err(|_| Unfit::Value(format!("`{text}` is not a seed"))),
        other => whole(other, 0, i64::MAX as u64),
    },
};

/// A number above zero.
pub const POSITIVE: Kind<f64> = Kind {
    what: "a number above zero",
    read: |value| {
        let number = number(value)?;
        if number > 0.0 && number <= 1e18 {
            return Ok(number);
        }
        Err(Unfit::Value(format!("it is {number}; it must be above zero and at most 1e18")))
    },
};

/// A number of zero or more.
pub const NOT_NEGATIVE: Kind<f64> = Kind {
    what: "a number of at least zero",
    read: |value| {
        let number = number(value)?;
        if (0.0..=1e18).contains(&number) {
            return Ok(number);
        }
        Err(Unfit::Value(format!("it is {number}; it must be from 0 to 1e18")))
    },
};

/// Any finite number.
pub const NUMBER: Kind<f64> = Kind { what: "a number", read: |value| number(value) };

/// A share of a whole.
pub const SHARE: Kind<f64> = Kind {
    what: "a share from 0 to 1",
    read: |value| {
        let number = number(value)?;
        if (0.0..=1.0).contains(&number) {
            return Ok(number);
        }
        Err(Unfit::Value(format!("it is {number}; it must be from 0 to 1 (99 % is 0.99)")))
    },
};

/// An amount of memory above zero.
pub const BYTES: Kind<Bytes> = Kind {
    what: "an amount of memory such as \"4 GiB\"",
    read: |value| {
        let Value::Text(text) = value else { return Err(Unfit::Type) };
        match Bytes::parse(text).map_err(unit)? {
            Bytes(0) => Err(Unfit::Value(format!("`{text}` is nothing"))),
            bytes => Ok(bytes),
        }
    },
};

/// A bandwidth above zero.
pub const BANDWIDTH: Kind<BytesPerSecond> = Kind {
    what: "a bandwidth such as \"25 GB/s\"",
    read: |value| {
        let Value::Text(text) = value else { return Err(Unfit::Type) };
        match BytesPerSecond::parse(text).map_err(unit)? {
            bandwidth if bandwidth.as_f64() >= 1.0 => Ok(bandwidth),
            _ => Err(Unfit::Value(format!("`{text}` is less than a byte a second"))),
        }
    },
};

/// A share against others' shares.
pub const WEIGHT: Kind<f64> = Kind {
    what: "a weight from 0.001 to 1000",
    read: |value| match number(value)? {
        weight if (0.001..=1000.0).contains(&weight) => Ok(weight),
        weight => Err(Unfit::Value(format!("it is {weight}; a weight is from 0.001 to 1000"))),
    },
};

/// A priority.
pub const PRIORITY: Kind<i32> = Kind {
    what: "a whole number; smaller is more urgent",
    read: |value| match value {
        Value::Integer(number) => i32::try_from(*number)
            .map_err(|_| Unfit::Value(format!("it is {number}; a priority is of 32 bits"))),
        _ => Err(Unfit::Type),
    },
};

/// US dollars an hour.
pub const USD_PER_HOUR: Kind<f64> = Kind {
    what: "a price in US dollars an hour, as in 55.04",
    read: |value| {
        let number = number(value)?;
        if (0.0..=1e6).contains(&number) {
            return Ok(number);
        }
        Err(Unfit::Value(format!("it is {number}; a price is from 0 to 1e6 US dollars an hour")))
    },
};

/// A price of traffic.
pub const USD_PER_GB: Kind<f64> = Kind {
    what: "a price in US dollars a GB, as in 0.09",
    read: |value| {
        let number = number(value)?;
        if (0.0..=1e3).contains(&number) {
            return Ok(number);
        }
        Err(Unfit::Value(format!("it is {number}; a price is from 0 to 1000 US dollars a GB")))
    },
};

fn nonempty(value: &Value) -> Result<String, Unfit> {
    match value {
        Value::Text(text) if text.trim().is_empty() => Err(Unfit::Value("it is empty".to_owned())),
        Value::Text(text) => Ok(text.clone()),
        _ => Err(Unfit::Type),
    }
}

fn minutes_are_two(text: &str) -> bool {
    text.rsplit(':').next().is_some_and(|minutes| minutes.trim().len() == 2)
}

fn time(value: &Value) -> Result<Duration, Unfit> {
    let Value::Text(text) = value else { return Err(Unfit::Type) };
    if text.trim_start().starts_with('-') {
        return Err(Unfit::Value(format!("`{text}` is negative; a time is zero or more")));
    }
    let time = Duration::parse(text).map_err(unit)?;
    if time > LONGEST {
        return Err(Unfit::Value(format!("`{text}` is longer than 100 years")));
    }
    Ok(time)
}

fn unit(error: ParseUnitError) -> Unfit {
    Unfit::Value(error.to_string())
}

/// A number, integers included.
pub fn number(value: &Value) -> Result<f64, Unfit> {
    match value {
        Value::Integer(number) => Ok(*number as f64),
        Value::Float(number) if number.is_finite() => Ok(*number),
        Value::Float(number) => Err(Unfit::Value(format!("{number} is not a finite number"))),
        _ => Err(Unfit::Type),
    }
}

/// A whole number, also written as 2e9.
fn whole(value: &Value, least: u64, most: u64) -> Result<u64, Unfit> {
    let wrong = |number: &dyn std::fmt::Display| {
        Err(Unfit::Value(format!("it is {number}; it must be a whole number from {least} to {most}")))
    };
    match value {
        Value::Integer(number) => match u64::try_from(*number) {
            Ok(whole) if (least..=most).contains(&whole) => Ok(whole),
            _ => wrong(number),
        },
        Value::Float(number) => {
            let fits = number.fract() == 0.0 && *number >= least as f64 && *number <= most as f64;
            if fits { Ok(*number as u64) } else { wrong(number) }
        }
        _ => Err(Unfit::Type),
    }
}
