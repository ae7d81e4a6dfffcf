//! Numbers as people expect to read them: `1,234`, `$1.2M`, `12.3 ms`, `97.3%`. A value that does not
//! exist or is not finite is `–`, never `0`, `NaN` or `inf`.

/// What stands where there is no value.
pub const NOTHING: &str = "–";

/// A whole number with thousands separators: `1,234,567`.
pub fn count(value: u64) -> String {
    group(&value.to_string())
}

/// A rounded number with thousands separators and `decimals` digits after the point.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NOTHING.to_string();
    }
    let text = format!("{:.decimals$}", value.abs());
    let sign = if value < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) { "-" } else { "" };
    match text.split_once('.') {
        Some((whole, rest)) => format!("{sign}{}.{rest}", group(whole)),
        None => format!("{sign}{}", group(&text)),
    }
}

/// Three significant digits with an SI prefix from a thousand on: `0.123`, `12.3`, `1.23k`, `12.3M`.
pub fn si(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.to_string();
    }
    let (scaled, suffix) = scale(value);
    format!("{}{suffix}", significant(scaled))
}

/// An amount of US dollars: whole dollars from $100 on, cents below, four digits below a dollar; `$12.3M`
/// from ten million on.
pub fn money(usd: f64) -> String {
    if !usd.is_finite() {
        return NOTHING.to_string();
    }
    let (sign, amount) = if usd < 0.0 { ("-", -usd) } else { ("", usd) };
    let text = match amount {
        a if a >= 9_999_999.5 => si(a),
        a if a >= 99.995 => fixed(a, 0),
        a if a >= 0.995 || a == 0.0 => fixed(a, 2),
        a => fixed(a, 4),
    };
    format!("{sign}${text}")
}

/// A length of time with the unit that suits it: `850 µs`, `12.3 ms`, `1.23 s`, `12.3 min`, `4.5 h`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return NOTHING.to_string();
    }
    let (scaled, unit) = match value.abs() {
        0.0 => (0.0, "s"),
        s if s < 0.999_5e-3 => (value * 1e6, "µs"),
        s if s < 0.999_5 => (value * 1e3, "ms"),
        s if s < 180.0 => (value, "s"),
        s if s < 10_800.0 => (value / 60.0, "min"),
        s if s < 259_200.0 => (value / 3600.0, "h"),
        _ => (value / 86_400.0, "d"),
    };
    format!("{} {unit}", significant(scaled))
}

/// A number of card-hours: whole from a hundred on.
pub fn hours(value: f64) -> String {
    if value.abs() < 99.95 { si(value) } else { fixed(value, 0) }
}

/// A span of simulated time in words: `24 h`, `90 min`, `3 years`.
pub fn span(seconds_total: f64) -> String {
    const YEAR: f64 = 31_536_000.0;
    let (value, unit) = match seconds_total {
        s if !s.is_finite() => return NOTHING.to_string(),
        s if s >= 2.0 * YEAR => (s / YEAR, "years"),
        s if s >= 259_200.0 => (s / 86_400.0, "days"),
        s if s >= 7200.0 => (s / 3600.0, "h"),
        s if s >= 180.0 => (s / 60.0, "min"),
        s => (s, "s"),
    };
    format!("{} {unit}", trim(&fixed(value, 2)))
}

/// A point in simulated time as people write it on a day's clock: `10:05 h` on the first day, `day 3, 10:05`
/// later.
pub fn clock(seconds_total: f64) -> String {
    if !seconds_total.is_finite() {
        return NOTHING.to_string();
    }
    let minutes = (seconds_total / 60.0).round() as u64;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    if days == 0 { format!("{hours}:{minutes:02} h") } else { format!("day {days}, {hours}:{minutes:02} h") }
}

/// A share: `97.3%`. Rounds down near 100 %, so that `100%` means all of it.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return NOTHING.to_string();
    }
    let value = share * 100.0;
    if (99.0..100.0).contains(&value) {
        let floored = (value * 100.0).floor() / 100.0;
        return format!("{}%", trim(&format!("{floored:.2}")));
    }
    if value == 0.0 || value >= 100.0 { format!("{value:.0}%") } else { format!("{value:.1}%") }
}

/// Applies `format` to a value that may not exist.
pub fn or_nothing(value: Option<f64>, format: fn(f64) -> String) -> String {
    value.map_or_else(|| NOTHING.to_string(), format)
}

/// `text` cut to `length` characters, with an ellipsis where something is missing.
pub fn shorten(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_string();
    }
    let mut short: String = text.chars().take(length.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A word with `s` unless there is exactly one.
pub fn plural(number: u64, word: &str) -> String {
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The value divided by its SI step, and the prefix.
pub(crate) fn scale(value: f64) -> (f64, &'static str) {
    match value.abs() {
        v if v >= 999.5e9 => (value / 1e12, "T"),
        v if v >= 999.5e6 => (value / 1e9, "G"),
        v if v >= 999.5e3 => (value / 1e6, "M"),
        v if v >= 999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    }
}

/// Removes zeros after the point: `1.50` becomes `1.5`, `2.00` becomes `2`.
pub(crate) fn trim(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text.to_string()
    }
}

/// Three significant digits: `123`, `12.3`, `1.23`, `0.0123`.
fn significant(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        return "0".to_string();
    }
    let mut decimals = 2;
    let mut bound = 9.995;
    while magnitude >= bound && decimals > 0 {
        decimals -= 1;
        bound *= 10.0;
    }
    let mut bound = 0.999_5;
    while magnitude < bound && decimals < 9 {
        decimals += 1;
        bound /= 10.0;
    }
    trim(&fixed(value, decimals))
}

fn group(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            [0.0, 0.0123, 1.234, 99.96, 999.6, 1234.0, 1.5e6].map(si).join(" "),
            "0 0.0123 1.23 100 1k 1.23k 1.5M"
        );
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(si(f64::NAN), NOTHING);
        assert_eq!(si(f64::INFINITY), NOTHING);
    }

    #[test]
    fn dollars() {
        assert_eq!(
            [0.0, 0.00123, 1.5, 99.99, 100.4, 1234.0, 1_234_567.0, 12_300_000.0, -5.0].map(money).join(" "),
            "$0.00 $0.0012 $1.50 $99.99 $100 $1,234 $1,234,567 $12.3M -$5.00"
        );
    }

    #[test]
    fn times() {
        assert_eq!(
            [0.0, 0.000_85, 0.012_34, 1.0, 59.0, 179.9, 738.0, 16_200.0, 3e5].map(seconds).join(" "),
            "0 s 850 µs 12.3 ms 1 s 59 s 180 s 12.3 min 4.5 h 3.47 d"
        );
        assert_eq!(
            [60.0, 5400.0, 86_400.0, 604_800.0, 94_608_000.0].map(span).join(", "),
            "60 s, 90 min, 24 h, 7 days, 3 years"
        );
        assert_eq!(clock(36_300.0), "10:05 h");
        assert_eq!(clock(86_400.0 * 2.0 + 60.0), "day 2, 0:01 h");
    }

    #[test]
    fn all_of_it_only_when_all_of_it() {
        assert_eq!([0.0, 0.5, 0.9321, 0.999_96, 1.0].map(percent).join(" "), "0% 50.0% 93.2% 99.99% 100%");
    }
}
