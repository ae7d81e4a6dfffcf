//! Names that lead nowhere, and figures that nobody knows, as problems.

use crate::catalog::{NotFound, Unknown};
use crate::perf::UnknownFigures;
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

/// Figures that are needed and not known: those of one entry together, a help line for each entry.
pub fn unknown(place: Place, missing: &UnknownFigures) -> Problem {
    let entries: Vec<&[Unknown]> =
        missing.0.chunk_by(|a, b| (a.kind, &a.entry) == (b.kind, &b.entry)).collect();
    let named = entries.iter().filter_map(|figures| {
        let Unknown { kind, entry, .. } = figures.first()?;
        let list = quoted(figures.iter().map(|figure| figure.figure));
        Some(format!("{list} of the {kind} `{entry}`"))
    });
    let named: Vec<String> = named.collect();
    let problem = Problem::error(place, format!("the catalogue does not know {}", named.join(", and ")))
        .label("needed for this");
    entries.iter().filter_map(|figures| figures.first().map(|first| (first, figures))).fold(
        problem,
        |problem, (Unknown { kind, entry, .. }, figures)| {
            let values: Vec<String> =
                figures.iter().map(|figure| format!("{} = ...", figure.figure)).collect();
            problem.help(format!(
                "supply it in the scenario: [[{kind}s]] with name = \"{entry}\" and {}",
                values.join(", ")
            ))
        },
    )
}
