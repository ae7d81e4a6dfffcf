//! Names that lead nowhere, and figures that nobody knows, as problems.

use crate::catalog::{Model, NotFound, Unknown};
use crate::scenario::problem::{Place, Problem, nearest, quoted};

/// A name of the scenario's own that does not exist.
pub fn dangling<'a>(
    place: Place,
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    let mut problem = Problem::error(place, format!("there is no {what} `{name}` in this scenario"));
    if let Some(near) = nearest(name, names.clone()) {
        problem = problem.label(format!("did you mean `{near}`?"));
    }
    let list = quoted(names);
    match list.is_empty() {
        true => problem.help(format!("the scenario has no {what}s; add one with [[{what}s]]")),
        false => problem.help(format!("the scenario's {what}s are {list}")),
    }
}

/// A name that the catalogue does not have.
pub fn not_found(place: Place, missing: &NotFound) -> Problem {
    let NotFound { kind, name, nearest } = missing;
    let problem = Problem::error(place, format!("the catalogue has no {kind} `{name}`"));
    let problem = match nearest.first() {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    };
    let problem = match nearest.get(1..) {
        Some(others) if !others.is_empty() => {
            problem.help(format!("other near names: {}", quoted(others.iter().map(String::as_str))))
        }
        _ => problem,
    };
    problem.help(format!("`fleetsim catalog {kind}s` lists them all; [[{kind}s]] adds one of your own"))
}

/// The first figure of a model that is needed and not known, with the others.
pub fn unknown_of_model(place: Place, missing: &Unknown, model: Option<&Model>) -> Problem {
    let problem = unknown(place, missing);
    let rows = model.map(Model::figures).unwrap_or_default();
    let others: Vec<&str> = rows
        .iter()
        .filter(|row| row.value.is_none() && row.figure != missing.figure)
        .map(|row| row.figure)
        .collect();
    if others.is_empty() { problem } else { problem.help(format!("unknown as well: {}", quoted(others))) }
}

/// A figure that is needed and not known.
pub fn unknown(place: Place, missing: &Unknown) -> Problem {
    let Unknown { kind, entry, figure, .. } = missing;
    Problem::error(place, format!("the catalogue does not know `{figure}` of the {kind} `{entry}`"))
        .label("needed for this")
        .help(format!("supply it in the scenario: [[{kind}s]] with name = \"{entry}\" and {figure} = ..."))
}
