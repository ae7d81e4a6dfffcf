//! The files of a run, one exporter a file. Column names are those of the project's file formats.

pub mod decisions;
pub mod jobs;
pub mod ledger;
pub mod openmetrics;
pub mod parquet;
pub mod requests;
pub mod summary;
pub mod timeseries;
pub mod waits;

use crate::units::{Duration, Instant};

/// An instant in seconds, exact to the nanosecond, without needless zeros: `90`, `0.5`, `1.000000001`.
pub(crate) fn instant_s(instant: Instant) -> String {
    exact_seconds(instant.as_nanos())
}

/// A duration in seconds, exact to the nanosecond.
pub(crate) fn duration_s(duration: Duration) -> String {
    exact_seconds(duration.as_nanos())
}

/// A number in decimal notation, the shortest that reads back the same; empty when it is not finite.
pub(crate) fn number(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { String::new() }
}

pub(crate) fn exact_seconds(nanos: u64) -> String {
    let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = format!("{rest:09}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        assert_eq!(exact_seconds(0), "0");
        assert_eq!(exact_seconds(90_000_000_000), "90");
        assert_eq!(exact_seconds(500_000_000), "0.5");
        assert_eq!(exact_seconds(94_608_000_000_000_001), "94608000.000000001");
    }

    #[test]
    fn numbers_have_no_exponent_and_no_nan() {
        assert_eq!(number(1e21), "1000000000000000000000");
        assert_eq!(number(f64::NAN), "");
    }
}
