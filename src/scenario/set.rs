//! `--set PATH=VALUE`: tables by key, list items by their name or `[index]`.

use toml_edit::{DocumentMut, InlineTable, Item};

use super::dom::{Entry, Node, Step, Value, parse_value};
use super::problem::{Place, Problem, nearest, quoted};

/// Puts the value of the argument number `source` (from 1) into the tree; returns where it went, so that the
/// same can be done to the document that is written out.
///
/// # Errors
/// When the argument is not `PATH=VALUE`, or the path leads through something that does not exist.
pub fn apply(root: &mut Node, argument: &str, source: u32) -> Result<(Vec<Step>, toml_edit::Value), Problem> {
    let whole = Place { source, start: 0, end: argument.len() };
    let Some(equals) = equals_sign(argument) else {
        return Err(Problem::error(whole, "a value to set is written PATH=VALUE")
            .help("for example --set pools.base.nodes=4 or --set streams.chat.rate=20/s"));
    };
    let mut path = Path { text: &argument[..equals], at: 0, source };
    let value = parse_value(&argument[equals + 1..], source, equals + 1);
    let written = argument[equals + 1..].trim().parse::<toml_edit::Value>().ok();
    let edited = match &value.value {
        Value::Text(text) => toml_edit::Value::from(text.as_str()),
        _ => written.unwrap_or_else(|| toml_edit::Value::from(argument[equals + 1..].trim())),
    };
    let mut steps = Vec::new();
    let mut node = root;
    loop {
        let (step, place) = path.next(node)?;
        let last = path.is_done();
        let place = if last { Place { start: 0, ..place } } else { place };
        steps.push(step.clone());
        node = match (step, &mut node.value) {
            (Step::Index(index), Value::List(items)) => &mut items[index],
            (Step::Key(key), Value::Table(entries)) => {
                let empty = Node { value: Value::Table(Default::default()), place };
                &mut entries.entry(key).or_insert(Entry { key: place, node: empty }).node
            }
            _ => return Err(Problem::error(whole, "this path leads nowhere")),
        };
        if last {
            *node = value;
            return Ok((steps, edited));
        }
    }
}

/// Where PATH ends: the first `=` outside quotes.
fn equals_sign(argument: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in argument.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '=' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// A path that is being followed. Names may hold dots (`models.llama-3.1-70b.layers`): the longest name that
/// exists wins; quotes keep a new name together.
struct Path<'a> {
    text: &'a str,
    at: usize,
    source: u32,
}

impl Path<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn is_done(&self) -> bool {
        self.rest().is_empty()
    }

    fn place(&self, length: usize) -> Place {
        Place { source: self.source, start: self.at, end: self.at + length }
    }

    /// Takes one step from `node` and the dot after it.
    fn next(&mut self, node: &Node) -> Result<(Step, Place), Problem> {
        let (step, length) = match &node.value {
            Value::Table(entries) => self.key(entries.keys().map(String::as_str))?,
            Value::List(items) => self.item(items)?,
            other => {
                let message = format!(
                    "`{}` is {}, not a table",
                    self.text[..self.at].trim_end_matches('.'),
                    other.describe()
                );
                return Err(Problem::error(self.place(self.rest().len()), message)
                    .help("end the path where the value is"));
            }
        };
        let place = self.place(length);
        self.at += length;
        if self.rest().starts_with('.') {
            self.at += 1;
            if self.is_done() {
                return Err(Problem::error(self.place(0), "the path ends in a dot"));
            }
        }
        Ok((step, place))
    }

    fn key<'n>(&self, existing: impl Iterator<Item = &'n str>) -> Result<(Step, usize), Problem> {
        if let Some(name) = self.longest(existing) {
            return Ok((Step::Key(name.to_owned()), name.len()));
        }
        let (name, length) = self.segment();
        if name.is_empty() {
            return Err(Problem::error(self.place(length.max(1)), "a name is missing here in the path")
                .help("a path is written like pools.base.nodes or streams.chat.shape[0].factor"));
        }
        Ok((Step::Key(name), length))
    }

    fn item(&self, items: &[Node]) -> Result<(Step, usize), Problem> {
        if self.rest().starts_with('[') {
            let end = self.rest().find(']').unwrap_or(self.rest().len());
            return match self.rest()[1..end].trim().parse::<usize>() {
                Ok(index) if index < items.len() => Ok((Step::Index(index), end + 1)),
                _ => {
                    let place = self.place(end + 1);
                    Err(Problem::error(place, format!("there is no such item: the list has {}", items.len()))
                        .help("items are counted from [0]"))
                }
            };
        }
        let names: Vec<&str> = items.iter().filter_map(Node::name).collect();
        if let Some(name) = self.longest(names.iter().copied()) {
            let index = items.iter().position(|item| item.name() == Some(name)).unwrap_or(0);
            return Ok((Step::Index(index), name.len()));
        }
        let (name, length) = self.segment();
        if let Some(index) = items.iter().position(|item| item.name() == Some(&name)) {
            return Ok((Step::Index(index), length));
        }
        let list = self.text[..self.at].trim_end_matches('.');
        let mut problem =
            Problem::error(self.place(length), format!("`{list}` has no item that is called `{name}`"));
        if let Some(near) = nearest(&name, names.iter().copied()) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        Err(match names.is_empty() {
            true => problem.help(format!("its items have no names: write {list}[0], {list}[1], ...")),
            false => problem.help(format!("the names in `{list}` are {}", quoted(names))),
        })
    }

    /// The longest of `names` with which the rest begins.
    fn longest<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        let ends = |after: &str| after.is_empty() || after.starts_with(['.', '[']);
        names
            .filter(|name| !name.is_empty())
            .filter(|name| self.rest().strip_prefix(name).is_some_and(ends))
            .max_by_key(|name| name.len())
    }

    /// The next segment, and how many bytes it takes: up to a dot or bracket, or in quotes.
    fn segment(&self) -> (String, usize) {
        if let Some(inside) = self.rest().strip_prefix('"') {
            let end = inside.find('"').unwrap_or(inside.len());
            return (inside[..end].to_owned(), (end + 2).min(self.rest().len()));
        }
        let end = self.rest().find(['.', '[']).unwrap_or(self.rest().len());
        (self.rest()[..end].trim().to_owned(), end)
    }
}

/// Puts `value` at `steps` into a document, keeping the layout of everything else. Missing tables on the way
/// are made as inline tables. Returns false when the path does not exist and cannot be made.
pub fn write(document: &mut DocumentMut, steps: &[Step], value: toml_edit::Value) -> bool {
    let mut item = document.as_item_mut();
    let Some((last, way)) = steps.split_last() else { return false };
    for step in way {
        let next = match step {
            Step::Key(key) => item.as_table_like_mut().map(|table| {
                let made = || Item::Value(toml_edit::Value::InlineTable(InlineTable::new()));
                table.entry(key).or_insert_with(made)
            }),
            Step::Index(index) => item.get_mut(*index),
        };
        match next {
            Some(next) => item = next,
            None => return false,
        }
    }
    match last {
        Step::Key(key) => match item.as_table_like_mut() {
            Some(table) => {
                let mut new = Item::Value(value);
                // A comment behind the old value stays.
                let old = table.get(key).and_then(Item::as_value).map(|old| old.decor().clone());
                if let (Some(new), Some(decor)) = (new.as_value_mut(), old) {
                    *new.decor_mut() = decor;
                }
                table.insert(key, new);
                true
            }
            None => false,
        },
        Step::Index(index) => match item.as_array_mut() {
            Some(array) if *index < array.len() => {
                array.replace(*index, value);
                true
            }
            _ => false,
        },
    }
}
