//! What is wrong with a scenario: problems with their places, all of a file together.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The scenario cannot be run.
    Error,
    /// It can be run, but is perhaps not what was meant.
    Warning,
}

/// A stretch of text: of the scenario file (`source` 0) or of the n-th `--set` argument (`source` n).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 0 for the file, n for the n-th `--set` argument.
    pub source: u32,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// Where; `None` when it is about the file as a whole.
    pub place: Option<Place>,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// A word under the place; empty when the message says it all.
    pub label: String,
    /// What to do, a line each.
    pub help: Vec<String>,
}

impl Problem {
    /// An error at `place`.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: Some(place),
            message: message.into(),
            label: String::new(),
            help: Vec::new(),
        }
    }

    /// A warning at `place`.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// With a word under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a further line on what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// The texts that places point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The scenario file's path as the user gave it.
    pub path: String,
    /// Its text; empty when it could not be read.
    pub text: String,
    /// The `--set` arguments.
    pub sets: Vec<String>,
}

/// Problems with the texts that they are about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    sources: Sources,
    problems: Vec<Problem>,
}

impl Diagnostics {
    /// The problems in the order of their places, without repetitions.
    pub fn new(sources: Sources, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        problems.dedup();
        Self { sources, problems }
    }

    /// The problems, by place.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// (file or `--set`, line, column) of a problem, counted from 1; `None` when it is about the whole file.
    pub fn position(&self, problem: &Problem) -> Option<(&str, usize, usize)> {
        let place = problem.place?;
        let (origin, text) = self.text_of(place.source);
        let before = &text[..floor_char(text, place.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        Some((origin, line, before[line_start..].chars().count() + 1))
    }

    /// Everything as text with excerpts of the source; with colours when `styled`.
    pub fn render(&self, styled: bool) -> String {
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&renderer.render(&[self.group(problem)]));
            text.push_str("\n\n");
        }
        let errors = self.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        if errors > 1 {
            text.push_str(&format!("{errors} errors in {}\n", self.sources.path));
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(one_line(&problem.message));
        let mut group = match problem.place {
            Some(place) => {
                let (origin, text) = self.text_of(place.source);
                let start = floor_char(text, place.start);
                let end = floor_char(text, place.end).max(start);
                // A table's place may be many lines long: its first line says which it is.
                let end = text[start..end].find('\n').map_or(end, |line| start + line);
                let mut mark = AnnotationKind::Primary.span(start..end);
                if !problem.label.is_empty() {
                    mark = mark.label(one_line(&problem.label));
                }
                title.element(Snippet::source(text).path(origin).annotation(mark))
            }
            None => title.element(annotate_snippets::Origin::path(self.sources.path.as_str())),
        };
        for help in &problem.help {
            group = group.element(Level::HELP.message(one_line(help)));
        }
        group
    }

    fn text_of(&self, source: u32) -> (&str, &str) {
        match (source as usize).checked_sub(1).and_then(|index| self.sources.sets.get(index)) {
            Some(argument) => ("--set", argument),
            None => (&self.sources.path, &self.sources.text),
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// The last character boundary not after `at`.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Names from a file may hold line breaks, which would break the layout of a message.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// ` did you mean ...` for the nearest of `names`, when one is near enough to be a slip of the finger.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(wrong);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &fold(name)), name))
        .filter(|(distance, name)| {
            let longest = wrong.chars().count().max(name.chars().count());
            *distance * 3 <= longest
                || (wrong.len() >= 3 && fold(name).contains(&folded))
                || strsim::jaro_winkler(&folded, &fold(name)) > 0.87
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn fold(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// Names as a list for a message: `a`, `b`, `c`.
pub fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
