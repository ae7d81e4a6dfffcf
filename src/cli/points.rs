//! The points of a scenario over a grid, as `sweep` and `plan` resolve them.

use std::io::IsTerminal as _;
use std::path::Path;

use super::Failure;
use crate::plan::grid::Grid;
use crate::scenario::{self, Diagnostics, Loaded, Severity};
use crate::world::WorldConfig;

/// The points of a scenario over a grid.
pub struct Points<'a> {
    /// What is set in every point.
    pub set: &'a [String],
    /// The seed, instead of the scenario's.
    pub seed: Option<u64>,
    /// The scenario's path.
    pub scenario: &'a Path,
    /// Its text.
    pub text: String,
    /// What varies.
    pub grid: Grid,
}

/// The text of a scenario.
pub fn text(scenario: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(scenario).unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) if scenario.is_file() => Ok(text),
        // Says why it cannot be read.
        _ => Err(scenario::load(scenario, &[], None).err().map_or_else(
            || Failure::BadInput(format!("error: {} is not text", scenario.display())),
            |wrong| Failure::BadInput(render(&wrong)),
        )),
    }
}

impl Points<'_> {
    /// Loads the scenario with further values set.
    pub fn load(&self, sets: Vec<String>) -> Result<Loaded, Diagnostics> {
        let sets: Vec<String> = self.set.iter().cloned().chain(sets).collect();
        scenario::load_text(&self.text, self.scenario, &sets, self.seed)
    }

    /// Loads a point, or says in a line why it is none.
    pub fn loaded(&self, point: u64, more: &[String]) -> Result<Loaded, String> {
        let sets = self.grid.sets(point).into_iter().chain(more.iter().cloned()).collect();
        self.load(sets).map_err(|wrong| {
            let errors = wrong.problems().iter().filter(|problem| problem.severity == Severity::Error);
            errors.map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
        })
    }

    /// As [`Points::loaded`], what is run of it.
    pub fn resolve(&self, point: u64) -> Result<WorldConfig, String> {
        self.loaded(point, &[]).map(|loaded| loaded.config)
    }

    /// A path that leads nowhere is no fault of a point: neither the first nor the last value of its axis gets
    /// past the path itself.
    pub fn check_paths(&self) -> Result<(), Failure> {
        for (number, axis) in self.grid.axes().iter().enumerate() {
            let source = (self.set.len() + number + 1) as u32;
            let mut wrong = None;
            for index in [0, axis.len() - 1] {
                let mut sets = self.grid.sets(0);
                sets[number] = format!("{}={}", axis.path, axis.value(index));
                let of_path = |diagnostics: &Diagnostics| {
                    let errors = diagnostics.problems().iter().filter(|p| p.severity == Severity::Error);
                    let places = errors.filter_map(|problem| problem.place);
                    places.into_iter().any(|place| place.source == source && place.start <= axis.path.len())
                };
                wrong = self.load(sets).err().filter(of_path);
                if wrong.is_none() {
                    break;
                }
            }
            if let Some(wrong) = wrong {
                return Err(Failure::BadInput(render(&wrong)));
            }
        }
        Ok(())
    }
}

/// Everything that is wrong, with colours when stderr is a terminal that wants them.
pub fn render(diagnostics: &Diagnostics) -> String {
    diagnostics.render(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}
