//! Closed-form economics: calculations on a sheet of paper, each input with its source and each result with its
//! formula, so that a user can repeat them with other numbers. Nothing is simulated here.
//!
//! Where published calculations contradict each other, each reading is a choice with a name ([`choice`]).

pub mod choice;
mod inference;
mod memory;
mod own;
mod query;
mod training;
mod unit;

use serde::Serialize;
use thiserror::Error;

pub use inference::Inference;
pub use memory::Memory;
pub use own::Own;
pub use query::{Design, PromptCounted, Query};
pub use training::Training;
pub use unit::Unit;

/// A number with its unit and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The number, in `unit`.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// Who says so.
    pub source: String,
}

impl Known {
    /// A number that somebody says.
    pub fn new(value: f64, unit: Unit, source: impl Into<String>) -> Self {
        Self { value, unit, source: source.into() }
    }
}

/// A line of a worksheet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Its name, for scripts.
    pub name: &'static str,
    /// The number, in `unit`.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// Where an input comes from; how a result is calculated.
    pub basis: String,
}

/// A calculation: what goes in, what comes out, and what to mind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worksheet {
    /// What is calculated.
    pub title: &'static str,
    /// What goes in.
    pub inputs: Vec<Line>,
    /// What comes out, in the order of the calculation.
    pub results: Vec<Line>,
    /// What to mind.
    pub notes: Vec<String>,
}

/// An input with which the formula makes no sense.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{name} is {value}; it must be {must}")]
pub struct OutOfRange {
    /// The input.
    pub name: &'static str,
    /// What was given.
    pub value: f64,
    /// What it must be.
    pub must: &'static str,
}

/// What an input must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Positive,
    NotNegative,
    /// Above 0, at most 1.
    Share,
    /// From 0 to below 1.
    Part,
    AtLeastOne,
}

impl Worksheet {
    fn new(title: &'static str) -> Self {
        Self { title, inputs: Vec::new(), results: Vec::new(), notes: Vec::new() }
    }

    /// Writes an input down, checks it, and gives its number.
    fn input(&mut self, name: &'static str, known: &Known, range: Range) -> Result<f64, OutOfRange> {
        let value = known.value;
        let (fits, must) = match range {
            Range::Positive => (value > 0.0, "above 0"),
            Range::NotNegative => (value >= 0.0, "0 or more"),
            Range::Share => (value > 0.0 && value <= 1.0, "above 0 and at most 1"),
            Range::Part => ((0.0..1.0).contains(&value), "from 0 to below 1"),
            Range::AtLeastOne => (value >= 1.0, "at least 1"),
        };
        if !(fits && value.is_finite()) {
            return Err(OutOfRange { name, value, must });
        }
        self.inputs.push(Line { name, value, unit: known.unit, basis: known.source.clone() });
        Ok(value)
    }

    /// Writes a result down with its formula, and gives its number.
    fn result(&mut self, name: &'static str, unit: Unit, formula: &str, value: f64) -> f64 {
        self.results.push(Line { name, value, unit, basis: formula.to_owned() });
        value
    }

    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The number of a result or an input.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.results.iter().chain(&self.inputs).find(|line| line.name == name).map(|line| line.value)
    }
}
