//! The file the user writes: raw types, defaults, checks and errors with their places, resolved into what a
//! run needs.
//!
//! The way of a file: text → `dom` (values with places; `--set` puts its values in) → `raw` (typed,
//! checked by itself; each option is declared once, by the `reader` call that reads it) → `resolve`
//! (names looked up, figures taken from the catalogue, models fitted on cards) → [`WorldConfig`]. Each step
//! collects all that is wrong before it gives up, so that a user sees every error of a file at once.
//!
//! Invariants:
//! * Nothing in this room panics, whatever the text.
//! * The resolved file, loaded again, gives the same configuration.
//! * The rooms never depend on this one; it depends on their configuration types.

mod dom;
mod kinds;
mod problem;
mod raw;
mod reader;
mod reading;
mod resolve;
mod schema;
mod set;
mod uncertain;

use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use dom::Step;
pub use problem::{Diagnostics, Place, Problem, Severity, Sources};
use raw::Surroundings;
pub use raw::{HorizonTerms, PlanSection, RegretTerms};
use reading::Reading;
pub use reading::{OptionDoc, PoolSite};
pub use schema::json_schema;
pub use uncertain::{Spread, Uncertain};

use crate::metrics::results::{Assumption, DefaultTaken};
use crate::world::WorldConfig;

/// A scenario that can be run.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What a run needs.
    pub config: WorldConfig,
    /// The file with `--set` and the seed applied and every default filled in: loaded again, it gives the
    /// same configuration. Paths in it are absolute.
    pub resolved_toml: String,
    /// The search that `[plan]` describes, if there is one.
    pub plan: Option<PlanSection>,
    /// Where each pool is and what it may draw, in the order of the pools.
    pub sites: Vec<PoolSite>,
    /// The numbers that are not known for sure; `config` has their middles.
    pub uncertain: Vec<Uncertain>,
    /// The files that it reads: traces, lengths, price lists.
    pub files: Vec<PathBuf>,
    /// What can be run but is perhaps not what was meant.
    pub warnings: Diagnostics,
    /// What was chosen for the user, and why: a sentence for each plan under `parallelism = "auto"`.
    pub choices: Vec<String>,
}

/// Loads a scenario file.
///
/// `sets` are `PATH=VALUE` arguments: tables by their key, list items by their `name` or `[index]`, values as
/// TOML or as bare texts (`streams.chat.rate=20/s`). `seed` goes before the file's and before `sets`.
///
/// # Errors
/// Everything that is wrong with the file and the arguments, with places.
pub fn load(path: &Path, sets: &[String], seed: Option<u64>) -> Result<Loaded, Diagnostics> {
    let shown = path.display().to_string();
    let sources = Sources { path: shown, text: String::new(), sets: sets.to_vec() };
    let text = match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            return Err(whole(sources, &format!("this is not text: byte {at} is not valid UTF-8")));
        }
        Err(error) => {
            let message = format!("the scenario cannot be read: {error}");
            return Err(Diagnostics::new(sources, vec![whole_file(&message).help(other_file(path))]));
        }
    };
    load_text(&text, path, sets, seed)
}

/// Loads a scenario from its text; `path` is what it is called in messages, and paths in it are relative to
/// the folder of `path`.
///
/// # Errors
/// As [`load`].
pub fn load_text(text: &str, path: &Path, sets: &[String], seed: Option<u64>) -> Result<Loaded, Diagnostics> {
    let sources = Sources { path: path.display().to_string(), text: text.to_owned(), sets: sets.to_vec() };
    let mut root = match dom::parse(text) {
        Ok(root) => root,
        Err(problems) => return Err(Diagnostics::new(sources, problems)),
    };
    let mut reading = Reading::default();
    // Both parsers are the same library's, but this one refuses integers beyond 64 bits; so does, with a word
    // on what would be right, whoever reads them below.
    let parsed: Result<DocumentMut, toml_edit::TomlError> = text.parse();
    let refused = parsed.as_ref().err().map(|error| {
        let span = error.span().unwrap_or_default();
        let place = Place { source: 0, start: span.start, end: span.end };
        Problem::error(place, format!("this is not valid TOML: {}", error.message()))
    });
    let mut document = parsed.unwrap_or_default();
    for (index, argument) in sets.iter().enumerate() {
        match set::apply(&mut root, argument, index as u32 + 1) {
            Ok((steps, value)) => {
                set::write(&mut document, &steps, value);
            }
            Err(problem) => reading.problem(problem),
        }
    }
    if let Some(seed) = seed {
        // In the tree too, so that it counts as given.
        let (value, written) = match i64::try_from(seed) {
            Ok(seed) => (dom::Value::Integer(seed), seed.into()),
            Err(_) => (dom::Value::Text(seed.to_string()), seed.to_string().into()),
        };
        root.insert("seed", value);
        set::write(&mut document, &[Step::Key("seed".to_owned())], written);
    }
    let uncertain = uncertain::settle(&mut root, &mut document, &mut reading);
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario");
    let around = Surroundings { folder, stem };
    let scenario = reading.root(&root, |t| raw::read(t, around));
    // A file with slips of the pen is still looked through for what else is wrong.
    let plan = scenario.as_ref().and_then(|scenario| scenario.plan.clone());
    let config = scenario.and_then(|scenario| resolve::resolve(scenario, &mut reading));
    let sites = std::mem::take(&mut reading.sites);
    let files = std::mem::take(&mut reading.files);
    if reading.problems.is_empty() {
        reading.problems.extend(refused);
    }
    let failed = reading.problems.iter().any(|problem| problem.severity == Severity::Error);
    let diagnostics = Diagnostics::new(sources, reading.problems);
    match config {
        Some(config) if !failed => {
            let taken = reading.at_default.iter().map(|(steps, toml)| default_taken(&document, steps, toml));
            let mut config = config;
            config.defaults = taken.collect();
            let resolved_toml = resolved(document, &reading.filled);
            config.assumptions.extend(uncertain.iter().map(middle));
            Ok(Loaded {
                config,
                resolved_toml,
                plan,
                sites,
                uncertain,
                files,
                warnings: diagnostics,
                choices: reading.choices,
            })
        }
        _ => Err(diagnostics),
    }
}

/// What a run takes of an uncertain number.
fn middle(uncertain: &Uncertain) -> Assumption {
    let (low, high) = (uncertain.spread.quantile(0.05), uncertain.spread.quantile(0.95));
    Assumption {
        about: "scenario".to_owned(),
        figure: uncertain.path.clone(),
        value: format!("{}{}", uncertain.spread.mid(), uncertain.unit),
        source: "the middle of what the scenario says".to_owned(),
        date: String::new(),
        doubt: format!("uncertain: {low:.4} to {high:.4} nine times in ten; `fleetsim plan` draws from it"),
    }
}

/// Reads only the section `[plan]` of a scenario that is perhaps sound only with some values of its space.
///
/// # Errors
/// Everything that is wrong with the file where that section cannot be read, or is not there.
pub fn plan_section(
    text: &str,
    path: &Path,
    sets: &[String],
    seed: Option<u64>,
) -> Result<PlanSection, Diagnostics> {
    let mut read = None;
    if let Ok(mut root) = dom::parse(text) {
        let mut reading = Reading::default();
        for (index, argument) in sets.iter().enumerate() {
            // What is wrong with them is told below.
            let _ = set::apply(&mut root, argument, index as u32 + 1);
        }
        uncertain::settle(&mut root, &mut DocumentMut::new(), &mut reading);
        let around = Surroundings { folder: path.parent().unwrap_or(Path::new("")), stem: "scenario" };
        read = reading.root(&root, |t| raw::read(t, around)).and_then(|scenario| scenario.plan);
    }
    let wrong = || load_text(text, path, sets, seed).err().unwrap_or_default();
    read.ok_or_else(wrong)
}

/// Every option of a scenario file, in the order in which they are read.
pub fn option_reference() -> Vec<OptionDoc> {
    let mut reading = Reading::describing();
    let place = Place { source: 0, start: 0, end: 0 };
    let root = dom::Node { value: dom::Value::Table(dom::Entries::new()), place };
    let around = Surroundings { folder: Path::new(""), stem: "scenario" };
    reading.root(&root, |t| raw::read(t, around));
    reading.docs.unwrap_or_default()
}

fn whole(sources: Sources, message: &str) -> Diagnostics {
    Diagnostics::new(sources, vec![whole_file(message)])
}

/// A problem of the file as a whole, without a place in it.
fn whole_file(message: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        place: None,
        message: message.to_owned(),
        label: String::new(),
        help: Vec::new(),
    }
}

/// What to do about a path that leads to no scenario: the nearest name in its folder, if there is any.
fn other_file(path: &Path) -> String {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = files.filter(|name| name.ends_with(".toml")).collect();
    names.sort_unstable();
    let wanted = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match problem::nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", path.with_file_name(near).display()),
        None => "check the path; a scenario is a TOML file".to_owned(),
    }
}

/// A default with the name that `--set` would give it: list items by their name.
fn default_taken(document: &DocumentMut, steps: &[Step], toml: &str) -> DefaultTaken {
    let mut option = String::new();
    let mut item = Some(document.as_item());
    for step in steps {
        match step {
            Step::Key(key) => {
                item = item.and_then(|item| item.get(key));
                let dot = if option.is_empty() { "" } else { "." };
                option += &format!("{dot}{key}");
            }
            Step::Index(index) => {
                item = item.and_then(|item| item.get(*index));
                let name = item.and_then(|item| item.get("name")?.as_str());
                option += &name.map_or_else(|| format!("[{index}]"), |name| format!(".{name}"));
            }
        }
    }
    DefaultTaken { option, value: toml.trim().to_owned() }
}

/// The document with the defaults in their places.
fn resolved(mut document: DocumentMut, filled: &[(Vec<Step>, String)]) -> String {
    for (steps, toml) in filled {
        if let Ok(value) = toml.trim().parse::<toml_edit::Value>() {
            set::write(&mut document, steps, value);
        }
    }
    document.to_string()
}
