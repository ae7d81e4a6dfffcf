//! Single fields of traces: timestamps to the nanosecond, token counts, sessions.

use crate::traffic::lengths::MAX_TOKENS;

/// Why a field is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::traffic) struct Wrong {
    pub(in crate::traffic) what: String,
    pub(in crate::traffic) help: &'static str,
}

fn wrong(what: String, help: &'static str) -> Wrong {
    Wrong { what, help }
}

/// Latest time taken seriously: three hundred years in nanoseconds is still within i64.
const SECONDS_MAX: i64 = 9_000_000_000;

/// `12.345678901` seconds as nanoseconds, exactly up to nine decimals and rounded beyond. A number with an
/// exponent goes through f64.
pub(super) fn seconds(text: &str) -> Result<i64, Wrong> {
    let help = "write seconds as a plain decimal, as in 12.5";
    let bad = || wrong(format!("`{text}` is not a time in seconds"), help);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let nanos = if digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) {
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| bad())? };
        if whole >= SECONDS_MAX {
            return Err(wrong(format!("the time {text} s is absurd"), "give a time below 9e9 s"));
        }
        whole * 1_000_000_000 + nanos_of(fraction)
    } else {
        let value: f64 = text.parse().map_err(|_| bad())?;
        if value < 0.0 {
            return Err(wrong(format!("the time {text} s is negative"), "count from the trace's beginning"));
        }
        if !value.is_finite() || value >= SECONDS_MAX as f64 {
            return Err(wrong(format!("the time {text} s is absurd"), "give a time below 9e9 s"));
        }
        (value * 1e9).round() as i64
    };
    Ok(nanos)
}

/// A JSON number of milliseconds as nanoseconds, whole numbers exactly.
pub(super) fn milliseconds(number: &serde_json::Number) -> Result<i64, Wrong> {
    let bad = || wrong(format!("the time {number} ms is negative or absurd"), "give 0 to 9e12 ms");
    let value = match number.as_i64() {
        Some(whole) => whole.checked_mul(1_000_000).ok_or_else(bad)?,
        None => (number.as_f64().ok_or_else(bad)? * 1e6).round() as i64,
    };
    if (0..SECONDS_MAX * 1_000_000_000).contains(&value) { Ok(value) } else { Err(bad()) }
}

/// The digits after a decimal point as nanoseconds, the tenth rounding the ninth.
fn nanos_of(fraction: &str) -> i64 {
    let mut nanos = 0;
    for place in 0..9 {
        nanos = nanos * 10 + fraction.as_bytes().get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    nanos + i64::from(fraction.as_bytes().get(9).is_some_and(|digit| *digit >= b'5'))
}

/// `2023-11-16 18:15:46.6805900`, a `T` between date and time and a UTC offset allowed, as nanoseconds since
/// 1970, exactly up to nine decimals.
pub(super) fn date_time(text: &str) -> Result<i64, Wrong> {
    parse_date_time(text).ok_or_else(|| {
        wrong(
            format!("`{text}` is not a date and time"),
            "write it as 2023-11-16 18:15:46.6805900, in years from 1700 to 2200",
        )
    })
}

fn parse_date_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let number = |part: &str, digits: usize| {
        (part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<i64>().ok())
            .flatten()
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days_in_month = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1700..=2200).contains(&year) || !(1..=days_in_month).contains(&day) {
        return None;
    }
    let (clock, offset_s) = match time.find(['Z', '+', '-']) {
        Some(at) => (&time[..at], utc_offset(&time[at..])?),
        None => (time, 0),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = (days_since_1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - offset_s;
    Some(seconds * 1_000_000_000 + nanos_of(fraction))
}

/// `Z`, `+00:00`, `-0730` in seconds.
fn utc_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    Some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar: whole years with their leap days, then whole months.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // A year that begins in March has its leap day last, and its months' lengths repeat every five.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_year = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    days_before_year + days_before_month + day - 1 - 719_468
}

/// A number of tokens from `least` to ten million.
pub(in crate::traffic) fn tokens(text: &str, least: u32) -> Result<u32, Wrong> {
    let value = match text.parse::<i64>() {
        Ok(value) => value,
        // Data frames write whole numbers as 374.0 when a column has gaps.
        Err(_) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() && value.fract() == 0.0 && value.abs() < 1e15 => value as i64,
            _ => {
                return Err(wrong(
                    format!("`{text}` is not a number of tokens"),
                    "write a whole number of 1 or more",
                ));
            }
        },
    };
    tokens_in_range(value, least)
}

/// The same for a number that is one already.
pub(super) fn tokens_in_range(value: i64, least: u32) -> Result<u32, Wrong> {
    if value < i64::from(least) {
        return Err(wrong(
            format!("{value} tokens"),
            "every request has at least one token; take failed requests out of the file",
        ));
    }
    if value > i64::from(MAX_TOKENS) {
        return Err(wrong(
            format!("{value} tokens are more than the ten million that any model can take"),
            "correct the row or take it out",
        ));
    }
    Ok(value as u32)
}

/// A session: its number if it is one, else a hash of its name (FNV-1a, 64 bits).
pub(super) fn session(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    Some(text.parse().unwrap_or_else(|_| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_to_the_nanosecond() {
        assert_eq!(date_time("1970-01-01 00:00:00"), Ok(0));
        assert_eq!(date_time("2000-02-29T12:00:00Z"), Ok(951_825_600_000_000_000));
        assert_eq!(date_time("2023-11-16 18:15:46.6805900"), Ok(1_700_158_546_680_590_000));
        assert_eq!(date_time("2024-05-10 02:00:00.009930+02:00"), Ok(1_715_299_200_009_930_000));
        for text in
            ["", "2023-11-16", "2023-02-29 00:00:00", "2023-13-01 00:00:00", "16.11.2023 18:15", "x y"]
        {
            assert!(date_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_to_the_nanosecond() {
        assert_eq!(seconds("12.345678901"), Ok(12_345_678_901));
        assert_eq!(seconds("0.0000000015"), Ok(2));
        assert_eq!(seconds(".5"), Ok(500_000_000));
        assert_eq!(seconds("1e-3"), Ok(1_000_000));
        for text in ["", ".", "-1", "nan", "inf", "1e300", "99999999999", "12,5"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
