//! A file as a tree in which every value knows its line.

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Problem;

/// A value of a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is, counted from 1.
    pub line: usize,
    /// What it is.
    pub tree: Tree,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Nothing, or `null`.
    Null,
    /// A number, a word, true or false; `quoted` when the file says that it is text.
    Scalar {
        /// As written.
        text: String,
        /// Written in quotes, or as a block of text.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Names with their lines and values, in the order of the file.
    Map(Vec<(String, usize, Node)>),
}

impl Node {
    /// The value under a name, if this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Tree::Map(entries) = &self.tree else { return None };
        entries.iter().find(|(key, ..)| key == name).map(|(.., node)| node)
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        if let Tree::Scalar { text, .. } = &self.tree { Some(text) } else { None }
    }

    /// The text under a path of names.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        path.iter().try_fold(self, |node, name| node.get(name))?.text()
    }

    /// What it is, in words.
    pub const fn what(&self) -> &'static str {
        match self.tree {
            Tree::Null => "nothing",
            Tree::Scalar { quoted: true, .. } => "a string",
            Tree::Scalar { .. } => "a scalar",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a map",
        }
    }
}

/// A list or a map under construction.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(String, usize, Node)>, Option<(String, usize)>),
}

/// The documents of a YAML file.
///
/// # Errors
/// When it is no YAML, a key is no word or comes twice, or anchors and aliases are used.
pub fn parse_yaml(text: &str) -> Result<Vec<Node>, Problem> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            Problem::new(error.marker().line(), "", format!("this is no YAML: {}", error.info()))
        })?;
        let line = span.start.line();
        let done = match event {
            Event::Alias(_) => {
                return Err(Problem::new(line, "", "aliases (*name) are not read; write the value out"));
            }
            Event::Scalar(text, style, ..) => scalar(line, text.into_owned(), style),
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node { line, tree: Tree::List(items) },
                Some(Open::Map(line, entries, _)) => Node { line, tree: Tree::Map(entries) },
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(done),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some((name, at)) => entries.push((name, at, done)),
                None => {
                    let Some(name) = done.text() else {
                        return Err(Problem::new(line, "", "a key has to be a word"));
                    };
                    if entries.iter().any(|(other, ..)| other == name) {
                        let message = format!("mapping key {name:?} is already there");
                        return Err(Problem::new(line, name, message));
                    }
                    *key = Some((name.to_owned(), line));
                }
            },
        }
    }
    documents.retain(|node| node.tree != Tree::Null);
    Ok(documents)
}

fn scalar(line: usize, text: String, style: ScalarStyle) -> Node {
    let plain = style == ScalarStyle::Plain;
    let nothing = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    Node { line, tree: if nothing { Tree::Null } else { Tree::Scalar { text, quoted: !plain } } }
}

/// A TOML file as one document.
///
/// # Errors
/// When it is no TOML.
pub fn parse_toml(text: &str) -> Result<Node, Problem> {
    let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
    let table = toml::de::DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        Problem::new(line, "", format!("this is no TOML: {}", error.message()))
    })?;
    Ok(Node { line: 1, tree: toml_table(table.get_ref(), &line_at) })
}

fn toml_table(table: &toml::de::DeTable<'_>, line_at: &dyn Fn(usize) -> usize) -> Tree {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let line = line_at(key.span().start);
            (key.get_ref().to_string(), line, toml_value(value, line_at))
        })
        .collect();
    entries.sort_by_key(|(_, line, _)| *line);
    Tree::Map(entries)
}

fn toml_value(value: &toml::Spanned<toml::de::DeValue<'_>>, line_at: &dyn Fn(usize) -> usize) -> Node {
    use toml::de::DeValue;
    let plain = |text: String| Tree::Scalar { text, quoted: false };
    let tree = match value.get_ref() {
        DeValue::String(text) => Tree::Scalar { text: text.to_string(), quoted: true },
        DeValue::Integer(number) => plain(number.to_string()),
        DeValue::Float(number) => plain(number.to_string()),
        DeValue::Boolean(truth) => plain(truth.to_string()),
        DeValue::Datetime(time) => plain(time.to_string()),
        DeValue::Array(items) => Tree::List(items.iter().map(|item| toml_value(item, line_at)).collect()),
        DeValue::Table(table) => toml_table(table, line_at),
    };
    Node { line: line_at(value.span().start), tree }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_keeps_lines_and_quotes() {
        let documents = parse_yaml("a: 1\nb:\n  - x: '2'\n---\nc: ~\n").unwrap();
        assert_eq!(documents.len(), 2);
        let item = &documents[0].get("b").unwrap();
        let Tree::List(items) = &item.tree else { panic!("a list") };
        let x = items[0].get("x").unwrap();
        assert_eq!((x.line, x.what()), (3, "a string"));
        assert_eq!(documents[1].get("c").unwrap().tree, Tree::Null);
        assert!(parse_yaml("a: 1\na: 2\n").unwrap_err().message.contains("already there"));
        assert_eq!(parse_yaml("a: [1\nb: 2\n").unwrap_err().line, 2);
    }

    #[test]
    fn toml_keeps_lines() {
        let node = parse_toml("policy = \"x\"\n\n[flags]\nn = 3\n").unwrap();
        assert_eq!(node.text_at(&["policy"]), Some("x"));
        assert_eq!(node.get("flags").unwrap().get("n").unwrap().line, 4);
        assert_eq!(parse_toml("a = 1\nb = \n").unwrap_err().line, 2);
    }
}
