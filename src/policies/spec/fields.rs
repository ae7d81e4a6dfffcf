//! A map taken apart field by field: wrong types, bad values and unknown names are all collected.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Node, Tree, go_duration, quantity};
use crate::units::Duration;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, counted from 1.
    pub line: usize,
    /// The field's path, such as `spec.maxReplicas`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, and what the system itself would say.
    pub message: String,
}

impl Problem {
    /// A problem at a line.
    pub fn new(line: usize, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { line, field: field.into(), message: message.into() }
    }

    /// As one line: file, line, field, message.
    pub(super) fn shown(&self, file: &str) -> String {
        let field = if self.field.is_empty() { String::new() } else { format!("{}: ", self.field) };
        format!("error: {file}:{}: {field}{}", self.line, self.message)
    }
}

/// The problems found so far, shared by all readers of one file.
#[derive(Debug, Clone, Default)]
pub struct Problems(Rc<RefCell<Vec<Problem>>>);

impl Problems {
    /// Adds one.
    pub fn add(&self, line: usize, field: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Problem::new(line, field, message));
    }

    /// All, in the order of their lines.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.take();
        problems.sort_by_key(|problem| problem.line);
        problems
    }

    /// True when nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// The fields of one map, each taken once; what nobody takes is reported by [`Fields::finish`].
#[derive(Debug)]
pub struct Fields<'a> {
    path: String,
    line: usize,
    entries: &'a [(String, usize, Node)],
    taken: Vec<&'static str>,
    problems: Problems,
}

impl<'a> Fields<'a> {
    /// The fields of a document.
    pub fn new(node: &'a Node, problems: &Problems) -> Self {
        Self::at(node, String::new(), problems)
    }

    /// The fields of a node at a path.
    pub fn at(node: &'a Node, path: String, problems: &Problems) -> Self {
        let entries = match &node.tree {
            Tree::Map(entries) => entries.as_slice(),
            Tree::Null => &[],
            _ => {
                problems.add(node.line, path.clone(), format!("a map is needed, not {}", node.what()));
                &[]
            }
        };
        Self { path, line: node.line, entries, taken: Vec::new(), problems: problems.clone() }
    }

    /// The line at which the map begins.
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The line of a field, or of the map.
    pub fn line_of(&self, name: &str) -> usize {
        self.entries.iter().find(|(key, ..)| key == name).map_or(self.line, |(_, line, _)| *line)
    }

    /// The full path of a field.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Reports a problem with a field.
    pub fn problem(&self, name: &str, message: impl Into<String>) {
        self.problems.add(self.line_of(name), self.path_of(name), message);
    }

    /// The value of a field, unless it is missing or null.
    pub fn node(&mut self, name: &'static str) -> Option<&'a Node> {
        self.taken.push(name);
        let (.., node) = self.entries.iter().find(|(key, ..)| key == name)?;
        (node.tree != Tree::Null).then_some(node)
    }

    /// Takes fields that have no bearing on the decision.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.taken.extend(names);
    }

    /// The map under a field.
    pub fn map(&mut self, name: &'static str) -> Option<Fields<'a>> {
        let node = self.node(name)?;
        Some(Fields::at(node, self.path_of(name), &self.problems))
    }

    /// The items of a list, with their paths.
    pub fn list(&mut self, name: &'static str) -> Option<Vec<(String, &'a Node)>> {
        let node = self.node(name)?;
        let Tree::List(items) = &node.tree else {
            self.problem(name, format!("a list is needed, not {}", node.what()));
            return None;
        };
        let path = self.path_of(name);
        Some(items.iter().enumerate().map(|(i, item)| (format!("{path}[{i}]"), item)).collect())
    }

    /// The maps of a list.
    pub fn maps(&mut self, name: &'static str) -> Option<Vec<Fields<'a>>> {
        let items = self.list(name)?;
        Some(items.into_iter().map(|(path, node)| Fields::at(node, path, &self.problems)).collect())
    }

    fn scalar<T>(&mut self, name: &'static str, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let node = self.node(name)?;
        let value = node.text().and_then(&read);
        if value.is_none() {
            let found = node.text().map_or_else(|| node.what().to_owned(), |text| format!("{text:?}"));
            self.problem(name, format!("{what} is needed, not {found}"));
        }
        value
    }

    /// Any text.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.scalar(name, "a string", |text| Some(text.to_owned()))
    }

    /// A whole number.
    pub fn int(&mut self, name: &'static str) -> Option<i64> {
        let quoted = matches!(self.node(name)?.tree, Tree::Scalar { quoted: true, .. });
        self.scalar(name, "a whole number", |text| if quoted { None } else { text.parse().ok() })
    }

    /// A number, whether in quotes or not.
    pub fn number(&mut self, name: &'static str) -> Option<f64> {
        self.scalar(name, "a number", |text| text.parse().ok().filter(|value: &f64| value.is_finite()))
    }

    /// A Kubernetes quantity.
    pub fn quantity(&mut self, name: &'static str) -> Option<f64> {
        self.scalar(name, "a quantity such as \"250m\", \"10\" or \"1Gi\"", quantity)
    }

    /// True or false, whether in quotes or not.
    pub fn truth(&mut self, name: &'static str) -> Option<bool> {
        self.scalar(name, "true or false", |text| text.to_ascii_lowercase().parse().ok())
    }

    /// A Go duration.
    pub fn duration(&mut self, name: &'static str) -> Option<Duration> {
        self.scalar(name, "a duration such as \"30s\" or \"1h30m\"", go_duration)
    }

    /// A number of seconds, zero or more.
    pub fn seconds(&mut self, name: &'static str) -> Option<Duration> {
        self.scalar(name, "a number of seconds, zero or more,", |text| {
            text.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0).map(Duration::from_secs_f64)
        })
    }

    /// One of some words.
    pub fn choice<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.problem(
                name,
                format!("Unsupported value: {text:?}: supported values: {}", names.join(", ")),
            );
        }
        found
    }

    /// Reports every field that nobody took, with the nearest name, and what `system` would say.
    pub fn finish(self, system: &str) {
        for (name, line, _) in self.entries {
            if self.taken.contains(&name.as_str()) {
                continue;
            }
            let near = self
                .taken
                .iter()
                .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), *known))
                .filter(|(likeness, _)| *likeness > 0.8)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = near.map_or(String::new(), |(_, known)| format!("; did you mean {known:?}?"));
            let path = self.path_of(name);
            self.problems.add(*line, path.clone(), format!("unknown field {path:?}{hint} ({system})"));
        }
    }
}
