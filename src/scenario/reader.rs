//! A declarative reader of tables: each key is declared once, where it is read, with its kind, its default
//! and its documentation. From that one declaration come the value, every error, the list of valid keys, the
//! defaults in the resolved file and the option reference.

use std::collections::BTreeSet;
use std::path::Path;

use super::dom::{Entries, Node, Step, Value};
use super::problem::{Place, Problem, nearest, quoted};
use super::reading::{Kind, OptionDoc, Reading, Sited, Unfit};

impl Reading {
    /// Reads the whole file.
    pub fn root<T>(&mut self, root: &Node, read: impl FnOnce(&mut TableReader<'_>) -> T) -> T {
        let place = Place { end: root.place.start, ..root.place };
        let mut table = TableReader {
            reading: self,
            entries: root.entries(),
            place,
            steps: Vec::new(),
            pattern: String::new(),
            noun: "the scenario".to_owned(),
            known: Vec::new(),
            unbuilt: Vec::new(),
            others: BTreeSet::new(),
        };
        let value = read(&mut table);
        table.finish();
        value
    }
}

/// A table that is being read. When describing, there is no table and every key is absent.
pub struct TableReader<'a> {
    reading: &'a mut Reading,
    entries: Option<&'a Entries>,
    /// The table itself: its header, or its first line.
    pub place: Place,
    steps: Vec<Step>,
    pattern: String,
    noun: String,
    known: Vec<&'static str>,
    unbuilt: Vec<&'static str>,
    others: BTreeSet<String>,
}

impl<'a> TableReader<'a> {
    /// Whether the options are only being listed.
    pub fn is_describing(&self) -> bool {
        self.reading.docs.is_some()
    }

    /// What this table is, for messages: ``stream `chat` ``.
    pub fn noun(&self) -> &str {
        &self.noun
    }

    /// Records a problem.
    pub fn problem(&mut self, problem: Problem) {
        self.reading.problem(problem);
    }

    /// The place of a key's value, or of the table where the key is absent.
    pub fn place_of(&self, key: &str) -> Place {
        self.node(key).map_or(self.place, |node| node.place)
    }

    /// The place of what a dotted key with indices leads to (`arrivals.states[1].rate`), as far as it is there.
    pub fn place_at(&self, dotted: &str) -> Place {
        let mut place = self.place;
        let mut entries = self.entries;
        for segment in dotted.split('.') {
            let (key, indices) = segment.split_at(segment.find('[').unwrap_or(segment.len()));
            let Some(entry) = entries.and_then(|entries| entries.get(key)) else { return place };
            let mut node = &entry.node;
            for index in indices.split(['[', ']']).filter_map(|index| index.parse::<usize>().ok()) {
                match &node.value {
                    Value::List(items) if index < items.len() => node = &items[index],
                    _ => {}
                }
            }
            place = node.place;
            entries = node.entries();
        }
        place
    }

    /// The items of a list of tables, which are read elsewhere.
    pub fn nodes(&mut self, key: &'static str, doc: &'static str, nodes: &mut Vec<Node>) {
        self.known.push(key);
        self.document(key, "a list of tables", None, false, doc);
        match self.node(key) {
            None => {}
            Some(Node { value: Value::List(items), .. }) => nodes.extend(items.iter().cloned()),
            Some(node) => {
                self.unfit(key, node, &format!("a list of tables, each under [[{key}]]"), Unfit::Type)
            }
        }
    }

    /// The node under a key, without declaring it.
    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries?.get(key).map(|entry| &entry.node)
    }

    /// Whether the table has this key.
    pub fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// Declares an option that is not read here but elsewhere.
    pub fn declare(&mut self, key: &'static str, kind: &str, default: Option<&str>, doc: &'static str) {
        self.known.push(key);
        self.document(key, kind, default, false, doc);
    }

    fn document(&mut self, key: &str, kind: &str, default: Option<&str>, required: bool, doc: &'static str) {
        let path = self.pattern_of(key);
        if let Some(docs) = &mut self.reading.docs {
            let kind = kind.to_owned();
            let default = default.map(str::to_owned);
            if !docs.iter().any(|option| option.path == path && option.doc == doc) {
                docs.push(OptionDoc { path, kind, default, required, doc });
            }
        }
    }

    fn pattern_of(&self, key: &str) -> String {
        if self.pattern.is_empty() { key.to_owned() } else { format!("{}.{key}", self.pattern) }
    }

    fn steps_of(&self, key: &str) -> Vec<Step> {
        let mut steps = self.steps.clone();
        steps.push(Step::Key(key.to_owned()));
        steps
    }

    /// Reports that a key is missing, unless one that looks like it is there.
    pub fn missing(&mut self, key: &str, doc: &str, what: &str) {
        if self.is_describing() {
            return;
        }
        // A slip of the finger in the key is reported as such; the two errors together would confuse.
        let slip = self
            .entries
            .into_iter()
            .flat_map(Entries::keys)
            .any(|other| !self.known.contains(&other.as_str()) && nearest(other, [key]).is_some());
        if !slip {
            let problem = Problem::error(self.place, format!("{} has no `{key}`", self.noun))
                .label(format!("`{key}` is missing"))
                .help(match what {
                    "" => format!("add `{key}`: {doc}"),
                    what => format!("add `{key}`, {what}: {doc}"),
                });
            self.reading.problem(problem);
        }
    }

    /// A scalar that must be there. `None` after an error has been recorded, and when describing.
    pub fn required<T>(&mut self, key: &'static str, kind: &Kind<T>, doc: &'static str) -> Option<Sited<T>> {
        self.known.push(key);
        self.document(key, kind.what, None, true, doc);
        match self.node(key) {
            Some(node) => self.scalar(key, node, kind),
            None => {
                self.missing(key, doc, kind.what);
                None
            }
        }
    }

    /// A scalar that may be absent.
    pub fn optional<T>(&mut self, key: &'static str, kind: &Kind<T>, doc: &'static str) -> Option<Sited<T>> {
        self.known.push(key);
        self.document(key, kind.what, None, false, doc);
        self.node(key).and_then(|node| self.scalar(key, node, kind))
    }

    /// A scalar with a default, which is given as TOML and goes into the resolved file.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        default: &'static str,
        doc: &'static str,
    ) -> Option<Sited<T>> {
        self.known.push(key);
        self.document(key, kind.what, Some(default), false, doc);
        self.standard(key, default);
        if let Some(node) = self.node(key) {
            return self.scalar(key, node, kind);
        }
        if self.is_describing() {
            return None;
        }
        let node = super::dom::parse_value(default, 0, 0);
        (kind.read)(&node.value).ok().map(|value| Sited { value, place: self.place })
    }

    /// Notes that a key stands for its default, this TOML value: it is absent, or says the same.
    pub fn standard(&mut self, key: &str, toml: &str) {
        if self.is_describing() {
            return;
        }
        match self.node(key) {
            None => self.fill(key, toml.to_owned()),
            Some(node) if node.value.says(&super::dom::parse_value(toml, 0, 0).value) => {}
            Some(_) => return,
        }
        let steps = self.steps_of(key);
        self.reading.at_default.push((steps, toml.to_owned()));
    }

    /// Notes that a key which is absent stands for this TOML value.
    pub fn fill(&mut self, key: &str, toml: String) {
        let steps = self.steps_of(key);
        self.reading.filled.push((steps, toml));
    }

    fn scalar<T>(&mut self, key: &str, node: &Node, kind: &Kind<T>) -> Option<Sited<T>> {
        match (kind.read)(&node.value) {
            Ok(value) => Some(Sited { value, place: node.place }),
            Err(unfit) => {
                self.unfit(key, node, kind.what, unfit);
                None
            }
        }
    }

    fn unfit(&mut self, key: &str, node: &Node, what: &str, unfit: Unfit) {
        let problem = match unfit {
            Unfit::Type => Problem::error(node.place, format!("`{key}` of {} must be {what}", self.noun))
                .label(format!("this is {}", node.value.describe())),
            Unfit::Value(why) => Problem::error(node.place, format!("`{key}` of {}: {why}", self.noun)),
        };
        self.reading.problem(problem);
    }

    /// A list of scalars; empty when absent.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        required: bool,
        doc: &'static str,
    ) -> Option<Vec<Sited<T>>> {
        self.known.push(key);
        self.document(key, &format!("a list; each is {}", kind.what), None, required, doc);
        match self.node(key) {
            Some(Node { value: Value::List(items), .. }) => {
                let items: Vec<_> = items.iter().map(|item| self.scalar(key, item, kind)).collect();
                items.into_iter().collect()
            }
            Some(node) => {
                self.unfit(key, node, &format!("a list, as in {key} = [...]"), Unfit::Type);
                None
            }
            None if required => {
                self.missing(key, doc, "a list");
                None
            }
            None => Some(Vec::new()),
        }
    }

    /// One of several names. `later` are names that are known but not built.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        names: &[(&'static str, T)],
        later: &[&'static str],
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Option<Sited<T>> {
        self.known.push(key);
        let kind = format!("one of {}", quoted(names.iter().map(|(name, _)| *name)));
        self.document(key, &kind, default.map(|name| format!("{name:?}")).as_deref(), default.is_none(), doc);
        if let Some(default) = default {
            self.standard(key, &format!("{default:?}"));
        }
        let (text, place) = match self.node(key) {
            Some(Node { value: Value::Text(text), place }) => (text.as_str(), *place),
            Some(node) => {
                self.unfit(key, node, &kind, Unfit::Type);
                return None;
            }
            None => match default {
                Some(_) if self.is_describing() => return None,
                Some(default) => (default, self.place),
                None => {
                    self.missing(key, doc, &kind);
                    return None;
                }
            },
        };
        if let Some((_, value)) = names.iter().find(|(name, _)| *name == text) {
            return Some(Sited { value: *value, place });
        }
        let problem = if later.contains(&text) {
            Problem::error(place, format!("`{key}` of {}: `{text}` is not built yet", self.noun))
        } else {
            let problem = Problem::error(place, format!("`{key}` of {}: there is no `{text}`", self.noun));
            match nearest(text, names.iter().map(|(name, _)| *name)) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem,
            }
        };
        self.reading.problem(problem.help(format!("`{key}` is {kind}")));
        None
    }

    /// A table under a key; `None` when it is absent or wrong.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut TableReader<'_>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        self.document(key, "a table", None, false, doc);
        if self.has(key) || self.is_describing() { self.nested(key, self.node(key), read) } else { None }
    }

    /// A table, or a scalar as its short form; `None` when it is absent or wrong.
    pub fn short_or_table<S, T>(
        &mut self,
        key: &'static str,
        kind: &Kind<S>,
        doc: &'static str,
        short: impl FnOnce(S) -> T,
        read: impl FnOnce(&mut TableReader<'_>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        self.document(key, &format!("{}, or a table", kind.what), None, false, doc);
        match self.node(key) {
            Some(node) if node.entries().is_some() => self.nested(key, Some(node), read),
            Some(node) => match (kind.read)(&node.value) {
                Ok(value) => Some(short(value)),
                Err(unfit) => {
                    self.unfit(key, node, &format!("{}, or a table", kind.what), unfit);
                    None
                }
            },
            None if self.is_describing() => self.nested(key, None, read),
            None => None,
        }
    }

    /// A table whose kind stands under `tag`, which decides on the other keys.
    pub fn tagged<V: Copy, T>(
        &mut self,
        tag: &'static str,
        names: &[(&'static str, V)],
        doc: &'static str,
        mut read: impl FnMut(&mut TableReader<'_>, V) -> Option<T>,
    ) -> Option<T> {
        let value = self.choice(tag, names, &[], None, doc);
        if self.is_describing() {
            let pattern = self.pattern.clone();
            for (name, value) in names {
                self.pattern = format!("{pattern}({name})");
                read(self, *value);
            }
            self.pattern = pattern;
            return None;
        }
        match value {
            Some(value) => read(self, *value),
            None => {
                // Which keys are valid is unknown.
                self.entries = None;
                None
            }
        }
    }

    /// A table under a key; when it is absent, all its keys are.
    pub fn table_or_default<T>(
        &mut self,
        key: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut TableReader<'_>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        self.document(key, "a table", None, false, doc);
        self.nested(key, self.node(key), read)
    }

    /// Reads the table under `key`, which the caller has declared; `node` is `None` when it is absent.
    pub fn nested<T>(
        &mut self,
        key: &str,
        node: Option<&Node>,
        read: impl FnOnce(&mut TableReader<'_>) -> Option<T>,
    ) -> Option<T> {
        if let Some(node) = node
            && node.entries().is_none()
        {
            self.unfit(key, node, &format!("a table, as in {key} = {{ ... }}"), Unfit::Type);
            return None;
        }
        let noun = format!("`{key}` of {}", self.noun);
        let steps = self.steps_of(key);
        let pattern = self.pattern_of(key);
        let place = node.map_or(self.place, |node| node.place);
        self.enter(node.and_then(Node::entries), place, steps, pattern, noun, read)
    }

    /// A list of tables, `[[key]]` or `key = [{ ... }]`; empty when absent. `noun` is what an item is called.
    /// Items that cannot be read are left out after their errors have been recorded.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        noun: &str,
        doc: &'static str,
        mut read: impl FnMut(&mut TableReader<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.known.push(key);
        self.document(key, "a list of tables", None, false, doc);
        let pattern = format!("{}[]", self.pattern_of(key));
        if self.is_describing() {
            self.enter(None, self.place, Vec::new(), pattern, noun.to_owned(), read);
            return Vec::new();
        }
        let items = match self.node(key) {
            None => return Vec::new(),
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => {
                let what = format!("a list of tables, each under [[{key}]]");
                self.unfit(key, node, &what, Unfit::Type);
                return Vec::new();
            }
        };
        let mut values = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some(entries) = item.entries() else {
                self.unfit(key, item, &format!("a list of tables, each under [[{key}]]"), Unfit::Type);
                self.reading.broken.push((key, None));
                continue;
            };
            let mut steps = self.steps_of(key);
            steps.push(Step::Index(index));
            let noun = match item.name() {
                Some(name) => format!("{noun} `{name}`"),
                None if self.pattern.is_empty() => format!("{noun} {}", index + 1),
                None => format!("{noun} {} of {}", index + 1, self.noun),
            };
            let value = self.enter(Some(entries), item.place, steps, pattern.clone(), noun, &mut read);
            if value.is_none() && self.steps.is_empty() {
                self.reading.broken.push((key, item.name().map(str::to_owned)));
            }
            values.extend(value);
        }
        values
    }

    fn enter<T>(
        &mut self,
        entries: Option<&Entries>,
        place: Place,
        steps: Vec<Step>,
        pattern: String,
        noun: String,
        read: impl FnOnce(&mut TableReader<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut table = TableReader {
            reading: self.reading,
            entries,
            place,
            steps,
            pattern,
            noun,
            known: Vec::new(),
            unbuilt: Vec::new(),
            others: BTreeSet::new(),
        };
        let value = read(&mut table);
        table.finish();
        value
    }

    /// Keys that the design has and this version does not: known, but an error that says so.
    pub fn later(&mut self, keys: &[(&'static str, &str)]) {
        for (key, what) in keys {
            self.unbuilt.push(key);
            if let Some(entry) = self.entries.and_then(|entries| entries.get(*key)) {
                let problem =
                    Problem::error(entry.key, format!("`{key}` of {}: {what} not built yet", self.noun))
                        .help("take it out to run the scenario without it");
                self.reading.problem(problem);
            }
        }
    }

    /// The keys that have not been declared, where they may be anything (names of offers, say), with their
    /// places; when describing, one that stands for them. Each is to be read by [`TableReader::other`].
    pub fn other_keys(&self) -> Vec<(String, Place)> {
        if self.is_describing() {
            return vec![("NAME".to_owned(), self.place)];
        }
        let entries = self.entries.into_iter().flatten();
        entries
            .filter(|(key, _)| !self.known.contains(&key.as_str()))
            .map(|(key, entry)| (key.clone(), entry.key))
            .collect()
    }

    /// Reads the scalar under a key that may be anything.
    pub fn other_scalar<T>(&mut self, key: &str, kind: &Kind<T>, doc: &'static str) -> Option<Sited<T>> {
        self.document(key, kind.what, None, false, doc);
        self.others.insert(key.to_owned());
        self.node(key).and_then(|node| self.scalar(key, node, kind))
    }

    /// Notes that a key which may be anything has been read.
    pub fn taken(&mut self, key: &str) {
        self.others.insert(key.to_owned());
    }

    /// Reads the table under a key that may be anything.
    pub fn other<T>(
        &mut self,
        key: &str,
        doc: &'static str,
        read: impl FnOnce(&mut TableReader<'_>) -> Option<T>,
    ) -> Option<T> {
        self.document(key, "a table", None, false, doc);
        self.others.insert(key.to_owned());
        self.nested(key, self.node(key), read)
    }

    /// Reports a file that is not there, with what to do about it.
    pub fn file_exists(&mut self, written: &Sited<String>, path: &Path, help: &[String]) {
        if path.is_file() {
            self.reading.files.push(path.to_owned());
            return;
        }
        let mut problem =
            Problem::error(written.place, format!("{}: there is no file {}", self.noun, path.display()));
        for line in help {
            problem = problem.help(line.clone());
        }
        let put = "put the file there, or write another path; paths are relative to the scenario's folder";
        self.problem(problem.help(put));
    }

    /// Notes that a path goes into the resolved file as an absolute one, so that the file can be moved.
    pub fn absolute(&mut self, key: &str, path: &Path) {
        if let Some(path) = std::path::absolute(path).ok().as_deref().and_then(Path::to_str) {
            self.fill(key, toml_edit::Value::from(path).to_string());
        }
    }

    /// Reports the keys that nobody declared.
    fn finish(self) {
        for (key, entry) in self.entries.into_iter().flatten() {
            let key_is = |known: &&str| *known == key.as_str();
            if self.known.iter().chain(&self.unbuilt).any(key_is) || self.others.contains(key) {
                continue;
            }
            let mut problem =
                Problem::error(entry.key, format!("{} has no key `{key}`", self.noun)).label("unknown key");
            if let Some(near) = nearest(key, self.known.iter().copied()) {
                problem = problem.help(format!("did you mean `{near}`?"));
            }
            let mut known = self.known.clone();
            known.sort_unstable();
            known.dedup();
            self.reading.problem(problem.help(format!("valid keys here: {}", known.join(", "))));
        }
    }
}
