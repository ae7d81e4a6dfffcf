//! The scenario file as a tree of values, each with its place; `--set` puts values from the command line in.

use std::collections::BTreeMap;

use toml::de::{DeArray, DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub place: Place,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Datetime(String),
    List(Vec<Node>),
    Table(Entries),
}

/// The entries of a table by key.
pub type Entries = BTreeMap<String, Entry>;

/// An entry: where its key was written, and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Place,
    pub node: Node,
}

/// One step on the way from the root to a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Value {
    /// Whether it is the same value as `other`, wherever both were written.
    pub fn says(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) | (Self::Datetime(a), Self::Datetime(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Integer(a), Self::Float(b)) | (Self::Float(b), Self::Integer(a)) => *a as f64 == *b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value.says(&b.value))
            }
            (Self::Table(a), Self::Table(b)) => {
                let same = |(key, entry): (&String, &Entry)| {
                    b.get(key).is_some_and(|other| entry.node.value.says(&other.node.value))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            _ => false,
        }
    }

    /// What it is, for messages: `the integer 3`.
    pub fn describe(&self) -> String {
        match self {
            Self::Text(text) if text.chars().count() <= 40 => format!("the text {text:?}"),
            Self::Text(_) => "a text".to_owned(),
            Self::Integer(value) => format!("the integer {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Datetime(value) => format!("the date {value}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

impl Node {
    /// The entries, if it is a table.
    pub fn entries(&self) -> Option<&Entries> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// Puts a value that the program gives under a key, if it is a table.
    pub fn insert(&mut self, key: &str, value: Value) {
        let place = Place { end: self.place.start, ..self.place };
        if let Value::Table(entries) = &mut self.value {
            entries.insert(key.to_owned(), Entry { key: place, node: Self { value, place } });
        }
    }

    /// The text under `name`, if it is a table with a text there.
    pub fn name(&self) -> Option<&str> {
        match &self.entries()?.get("name")?.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Parses a whole file.
///
/// # Errors
/// All syntax errors that the parser finds.
pub fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let place = |span: Option<std::ops::Range<usize>>| {
        let span = span.unwrap_or(0..0);
        Place { source: 0, start: span.start, end: span.end }
    };
    let problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let message = error.message().replace('\n', "; ");
            Problem::error(place(error.span()), format!("this is not valid TOML: {message}"))
                .help("TOML is described at https://toml.io; texts and units are quoted: duration = \"24h\"")
        })
        .collect();
    let maker = Maker { source: 0, offset: 0 };
    let node = Node { value: maker.table(table.get_ref()), place: place(Some(table.span())) };
    if problems.is_empty() { Ok(node) } else { Err(problems) }
}

/// Parses the VALUE of the `--set` argument number `source` (from 1), which begins at byte `offset` of the
/// argument. What is not a TOML value is a text.
pub fn parse_value(text: &str, source: u32, offset: usize) -> Node {
    let whole = Place { source, start: offset, end: offset + text.len() };
    if let Ok(value) = DeValue::parse(text) {
        return Maker { source, offset }.value(value.get_ref(), value.span());
    }
    Node { value: Value::Text(text.to_owned()), place: whole }
}

struct Maker {
    source: u32,
    offset: usize,
}

impl Maker {
    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place { source: self.source, start: span.start + self.offset, end: span.end + self.offset }
    }

    fn value(&self, value: &DeValue<'_>, span: std::ops::Range<usize>) -> Node {
        let place = self.place(span);
        let value = match value {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(value) => Value::Integer(value),
                // Beyond 64 bits: whoever reads it says that it is too large.
                Err(_) => Value::Float(integer.as_str().parse().unwrap_or(f64::INFINITY)),
            },
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(value) => Value::Datetime(value.to_string()),
            DeValue::Array(array) => self.list(array),
            DeValue::Table(table) => self.table(table),
        };
        Node { value, place }
    }

    fn list(&self, array: &DeArray<'_>) -> Value {
        Value::List(array.iter().map(|item| self.value(item.get_ref(), item.span())).collect())
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let entries = table
            .iter()
            .map(|(key, value)| {
                let node = self.value(value.get_ref(), value.span());
                let entry = Entry { key: self.place(key.span()), node };
                (key.get_ref().clone().into_owned(), entry)
            })
            .collect();
        Value::Table(entries)
    }
}
