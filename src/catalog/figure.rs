//! A figure with where it comes from, and what happens when there is none.

use thiserror::Error;

use crate::units::{
    Bytes, BytesPerSecond, Duration, FlopPerSecond, UsdPerGb, UsdPerHour, UsdPerMillionTokens, Watts,
};

/// A value with its source, its date and what is doubtful about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure<T> {
    /// The value, in its unit.
    pub value: T,
    /// Who says so.
    pub source: String,
    /// When it was published or read (`2026-09-20`, `2024-07`); `None` when the source has no date.
    pub date: Option<String>,
    /// What is unsure about it; `None` when nothing is known to be.
    pub doubt: Option<String>,
}

/// One figure as text, for listings, reports and JSON.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FigureRow {
    /// The kind of the entry: `accelerator`, `model`, `offer`, ...
    pub kind: &'static str,
    /// The entry, for example `H100-SXM5`.
    pub entry: String,
    /// The figure's name, which is also its key in data files and scenarios, for example `memory_gb`.
    pub figure: &'static str,
    /// The value as text; `None` when it is not known.
    pub value: Option<String>,
    /// The unit, empty for counts and words.
    pub unit: &'static str,
    /// Who says so; empty when the value is not known.
    pub source: String,
    /// When it was published or read.
    pub date: Option<String>,
    /// What is unsure about it.
    pub doubt: Option<String>,
}

/// A figure that a calculation needs and the catalogue does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the {kind} `{entry}` has no known `{figure}`; set `{key}` in the scenario to supply it")]
pub struct Unknown {
    /// The kind of the entry: `accelerator`, `model`, `offer`, ...
    pub kind: &'static str,
    /// The entry, for example `H100-SXM5`.
    pub entry: String,
    /// The figure that is missing, for example `fp4_tflops`.
    pub figure: &'static str,
    /// What the user sets to supply it, for example `accelerators.H100-SXM5.fp4_tflops`.
    pub key: String,
}

/// A value that a listing can show.
pub trait Shown {
    /// The unit it is shown in.
    const UNIT: &'static str;
    /// The number or word, without the unit.
    fn shown(&self) -> String;
}

/// An entry of the catalogue, as errors and listings name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryName<'a> {
    /// `accelerator`, `model`, ...; the scenario's key is its plural (`hosted` is its own).
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
}

impl EntryName<'_> {
    /// The figure's value, or the error that asks for it.
    pub(super) fn need<T: Clone>(
        self,
        figure: &'static str,
        value: Option<&Figure<T>>,
    ) -> Result<T, Unknown> {
        value.map(|figure| figure.value.clone()).ok_or_else(|| self.unknown(figure))
    }

    /// The error that asks for a figure.
    pub(super) fn unknown(self, figure: &'static str) -> Unknown {
        Unknown {
            kind: self.kind,
            entry: self.name.to_owned(),
            figure,
            key: format!("{}.{}.{figure}", super::shelf::plural(self.kind), self.name),
        }
    }

    /// The figure as a row of a listing.
    pub(super) fn row<T: Shown>(self, figure: &'static str, value: Option<&Figure<T>>) -> FigureRow {
        FigureRow {
            kind: self.kind,
            entry: self.name.to_owned(),
            figure,
            value: value.map(|known| known.value.shown()),
            unit: T::UNIT,
            source: value.map(|known| known.source.clone()).unwrap_or_default(),
            date: value.and_then(|known| known.date.clone()),
            doubt: value.and_then(|known| known.doubt.clone()),
        }
    }
}

impl<T> Figure<T> {
    /// The same provenance with another value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Figure<U> {
        Figure { value: convert(self.value), source: self.source, date: self.date, doubt: self.doubt }
    }
}

/// `number` with at most three decimals and no trailing zeros; large numbers without decimals.
pub(super) fn plain(number: f64) -> String {
    let text = format!("{number:.4}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl Shown for Bytes {
    const UNIT: &'static str = "GB";
    fn shown(&self) -> String {
        plain(self.as_gb())
    }
}

impl Shown for BytesPerSecond {
    const UNIT: &'static str = "GB/s";
    fn shown(&self) -> String {
        plain(self.as_f64() / 1e9)
    }
}

impl Shown for FlopPerSecond {
    const UNIT: &'static str = "TFLOPS";
    fn shown(&self) -> String {
        plain(self.as_f64() / 1e12)
    }
}

impl Shown for Watts {
    const UNIT: &'static str = "W";
    fn shown(&self) -> String {
        plain(self.as_f64())
    }
}

impl Shown for UsdPerHour {
    const UNIT: &'static str = "USD/h";
    fn shown(&self) -> String {
        plain(self.as_f64())
    }
}

impl Shown for UsdPerMillionTokens {
    const UNIT: &'static str = "USD/1M tokens";
    fn shown(&self) -> String {
        plain(self.as_f64())
    }
}

impl Shown for UsdPerGb {
    const UNIT: &'static str = "USD/GB";
    fn shown(&self) -> String {
        plain(self.as_f64())
    }
}

impl Shown for Duration {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for u32 {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for u64 {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for f64 {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        plain(*self)
    }
}

impl Shown for bool {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl Shown for String {
    const UNIT: &'static str = "";
    fn shown(&self) -> String {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_without_noise() {
        assert_eq!(plain(989.0), "989");
        assert_eq!(plain(0.3783), "0.3783");
        assert_eq!(plain(1e7), "10000000");
        assert_eq!(plain(15.75), "15.75");
    }

    #[test]
    fn an_unknown_figure_says_how_to_supply_it() {
        let unknown = EntryName { kind: "accelerator", name: "V100-SXM2-16" }.unknown("fp8_tflops");
        assert_eq!(
            unknown.to_string(),
            "the accelerator `V100-SXM2-16` has no known `fp8_tflops`; set \
             `accelerators.V100-SXM2-16.fp8_tflops` in the scenario to supply it"
        );
    }
}
