//! What reading is made of: values with places, kinds of scalars, and what is found on the way.

use std::ops::Deref;
use std::path::PathBuf;

use super::dom::{Step, Value};
use super::problem::{Place, Problem};
use crate::units::Watts;

/// A value with the place where it was written; a default has the place of its table.
#[derive(Debug, Clone)]
pub struct Sited<T> {
    pub value: T,
    pub place: Place,
}

impl<T> Deref for Sited<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// What a scalar must be.
pub struct Kind<T> {
    /// For error messages, after "must be": `a time such as "90s"`.
    pub what: &'static str,
    /// Reads it.
    pub read: fn(&Value) -> Result<T, Unfit>,
}

/// Why a value does not fit.
pub enum Unfit {
    /// It is of another type.
    Type,
    /// It is of the right type, but wrong: a sentence.
    Value(String),
}

/// One option of the scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionDoc {
    /// Where it stands: `streams[].arrivals.cv`.
    pub path: String,
    /// What it must be.
    pub kind: String,
    /// Its default as TOML; `None` when it has none.
    pub default: Option<String>,
    /// Whether a scenario must have it.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

/// Where a pool is and what it may draw: for plans; a run needs neither.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSite {
    /// The region of its offer; empty when the catalogue does not say.
    pub region: String,
    /// The design power of one of its cards; `None` when nobody knows it.
    pub card_power: Option<Watts>,
}

/// What reading leaves besides the values.
#[derive(Debug, Default)]
pub struct Reading {
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Defaults that were taken: where they belong, and their TOML.
    pub filled: Vec<(Vec<Step>, String)>,
    /// Options that stand for their default, taken or said: where they are, and its TOML.
    pub at_default: Vec<(Vec<Step>, String)>,
    /// Items that could not be read: the list's key, and the item's name where it has one.
    pub broken: Vec<(&'static str, Option<String>)>,
    /// What was chosen for the user, and why.
    pub choices: Vec<String>,
    /// What is known of the pools beyond what a run needs, in their order.
    pub sites: Vec<PoolSite>,
    /// The files that are read.
    pub files: Vec<PathBuf>,
    /// The options met, when describing.
    pub docs: Option<Vec<OptionDoc>>,
}

impl Reading {
    /// A reading that only lists the options.
    pub fn describing() -> Self {
        Self { docs: Some(Vec::new()), ..Self::default() }
    }

    /// Records a problem.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether `name` may be an item of `list` that could not be read: then nobody should be told that there
    /// is no such item.
    pub fn is_broken(&self, list: &str, name: &str) -> bool {
        let same = |broken: &Option<String>| broken.as_deref().is_none_or(|broken| broken == name);
        self.broken.iter().any(|(key, broken)| *key == list && same(broken))
    }
}
