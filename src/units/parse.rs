//! `NUMBER UNIT` as users write it, shared by every unit.

use thiserror::Error;

/// Why a quantity could not be read, with what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseUnitError {
    /// The text does not begin with a number.
    #[error("`{text}` does not begin with a number; write it as {example}")]
    NoNumber {
        /// What was read.
        text: String,
        /// A text that would have been right.
        example: &'static str,
    },
    /// The unit is missing or not one of those known.
    #[error("`{unit}` is not a unit of {what}; use one of {known}, as in {example}")]
    UnknownUnit {
        /// The unit as written, empty when there was none.
        unit: String,
        /// The quantity, for example `time`.
        what: &'static str,
        /// The units that are known.
        known: String,
        /// A text that would have been right.
        example: &'static str,
    },
    /// The value is negative, not finite, or larger than the type holds.
    #[error("`{text}` is out of range for {what}: it must be finite, not negative and below {limit}")]
    OutOfRange {
        /// What was read.
        text: String,
        /// The quantity.
        what: &'static str,
        /// The largest value, as text.
        limit: &'static str,
    },
}

/// One kind of quantity: its name, its units with their factors, and an example.
pub(crate) struct Quantity {
    pub(crate) what: &'static str,
    pub(crate) example: &'static str,
    pub(crate) units: &'static [(&'static str, f64)],
}

impl Quantity {
    /// Reads one or several `NUMBER UNIT` pairs (`1h30m`) and returns their sum in the base unit.
    ///
    /// # Errors
    /// When a number is missing, a unit is unknown, or the sum is negative or not finite.
    pub(crate) fn parse(&self, text: &str) -> Result<f64, ParseUnitError> {
        let mut rest = text.trim();
        let mut sum = 0.0;
        if rest.is_empty() {
            return Err(self.no_number(text));
        }
        while !rest.is_empty() {
            let end = number_end(rest);
            let number: f64 = rest[..end].replace('_', "").parse().map_err(|_| self.no_number(text))?;
            rest = rest[end..].trim_start();
            let end = rest.find(|c: char| c.is_ascii_digit() || c == '+').unwrap_or(rest.len());
            let unit = rest[..end].trim();
            let factor = self.factor(unit)?;
            sum += number * factor;
            rest = rest[end..].trim_start();
        }
        if !sum.is_finite() || sum < 0.0 {
            return Err(self.out_of_range(text, "infinity"));
        }
        Ok(sum)
    }

    fn factor(&self, unit: &str) -> Result<f64, ParseUnitError> {
        self.units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(|| {
            ParseUnitError::UnknownUnit {
                unit: unit.to_owned(),
                what: self.what,
                known: self.units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
                example: self.example,
            }
        })
    }

    fn no_number(&self, text: &str) -> ParseUnitError {
        ParseUnitError::NoNumber { text: text.to_owned(), example: self.example }
    }

    /// The error for a value beyond what the unit's type holds.
    pub(crate) fn out_of_range(&self, text: &str, limit: &'static str) -> ParseUnitError {
        ParseUnitError::OutOfRange { text: text.to_owned(), what: self.what, limit }
    }
}

/// Where the leading number of `text` ends: sign, digits, `_`, point, exponent (`2e9`, but not `2eggs`).
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let c = bytes[end];
        let sign = (c == b'-' || c == b'+') && (end == 0 || matches!(bytes[end - 1], b'e' | b'E'));
        let exponent = (c == b'e' || c == b'E')
            && end > 0
            && matches!(bytes.get(end + 1), Some(b'0'..=b'9' | b'-' | b'+'))
            && !text[..end].contains(['e', 'E']);
        if !(c.is_ascii_digit() || c == b'.' || c == b'_' || sign || exponent) {
            break;
        }
        end += 1;
    }
    end
}
