//! Kubernetes quantities and Go durations as people write them.

use crate::units::Duration;

/// Suffixes of Kubernetes quantities (apimachinery `resource.Quantity`).
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// A Kubernetes quantity in its base unit (`250m` is 0.25, `1Gi` is 2³⁰); none if it is no quantity.
pub fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    // `1e3` and `1E3` are exponents, `1E` is a suffix: try the whole as a number first.
    if let Some(value) = number(text) {
        return Some(value);
    }
    SUFFIXES.iter().find_map(|(suffix, factor)| {
        let digits = text.strip_suffix(suffix)?;
        Some(number(digits)? * factor)
    })
}

/// A decimal number without words such as `inf` or `nan`.
fn number(text: &str) -> Option<f64> {
    let decimal = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    if decimal { text.parse().ok().filter(|value: &f64| value.is_finite()) } else { None }
}

/// A Go duration such as `30s`, `1h30m` or `1.5h`; `0` needs no unit.
pub fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    // Go has no days: what has them is refused there, so here too.
    if text.contains(['d', 'w', 'y', ' ']) {
        return None;
    }
    Duration::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_kubernetes() {
        for (text, value) in [
            ("250m", 0.25),
            ("1Gi", 1_073_741_824.0),
            ("2", 2.0),
            ("1e3", 1000.0),
            ("1E", 1e18),
            ("5k", 5000.0),
            ("0.5", 0.5),
        ] {
            assert_eq!(quantity(text), Some(value), "{text}");
        }
        for text in ["", "m", "inf", "nan", "1x", "1 Gi"] {
            assert_eq!(quantity(text), None, "{text}");
        }
        assert_eq!(go_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(go_duration("2d"), None);
    }
}
