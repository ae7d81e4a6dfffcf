//! Entries by name and alias, in the order of their file.

use std::collections::BTreeMap;

use thiserror::Error;

/// A name that the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no {} `{name}`{}; `fleetsim catalog {}` lists them all", noun(.kind), did_you_mean(.nearest), plural(.kind))]
pub struct NotFound {
    /// The kind of the entry: `accelerator`, `model`, `offer`, ...
    pub kind: &'static str,
    /// The name that was asked for.
    pub name: String,
    /// The nearest names there are, best first; empty when nothing is near.
    pub nearest: Vec<String>,
}

/// A kind as a sentence names it.
fn noun(kind: &str) -> &str {
    if kind == "hosted" { "hosted model" } else { kind }
}

/// The name of a kind's list: what the command line and a scenario call it.
pub(super) fn plural(kind: &str) -> String {
    if kind == "hosted" { kind.to_owned() } else { format!("{kind}s") }
}

fn did_you_mean(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!(
            "; nearest: {}",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The up to three names nearest to `wanted` (Jaro-Winkler at least 0.7, ties in alphabetical order).
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = folded(wanted);
    let mut scored: Vec<(i64, &str)> = names
        .map(|name| ((strsim::jaro_winkler(&wanted, &folded(name)) * 1e9) as i64, name))
        .filter(|(score, _)| *score >= 700_000_000)
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// Case, blanks and underscores do not distinguish names.
fn folded(name: &str) -> String {
    name.trim().chars().map(|c| if c == ' ' || c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Entries in their order, found by name or alias.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf<T> {
    kind: &'static str,
    entries: Vec<T>,
    index: BTreeMap<String, usize>,
    names: Vec<String>,
}

impl<T> Shelf<T> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, entries: Vec::new(), index: BTreeMap::new(), names: Vec::new() }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }

    pub(super) fn get(&self, name: &str) -> Result<&T, NotFound> {
        match self.index.get(&folded(name)) {
            Some(&at) => Ok(&self.entries[at]),
            None => Err(NotFound {
                kind: self.kind,
                name: name.to_owned(),
                nearest: nearest(name, self.names.iter().map(String::as_str)),
            }),
        }
    }

    /// The entry whose own name this is, not one that merely answers to it.
    pub(super) fn named(&self, name: &str) -> Option<&T> {
        let at = *self.index.get(&folded(name))?;
        (folded(&self.names[at]) == folded(name)).then(|| &self.entries[at])
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let at = *self.index.get(&folded(name))?;
        self.entries.get_mut(at)
    }

    /// Puts an entry in place of the one of the same name, or at the end. An alias that another entry
    /// already answers to stays with that entry.
    pub(super) fn put(&mut self, name: &str, aliases: &[String], entry: T) {
        let at = match self.index.get(&folded(name)) {
            // Only the entry's own name is replaced; an alias of another entry becomes a name of its own.
            Some(&at) if folded(&self.names[at]) == folded(name) => {
                self.entries[at] = entry;
                at
            }
            _ => {
                self.entries.push(entry);
                self.names.push(name.to_owned());
                self.index.insert(folded(name), self.entries.len() - 1);
                self.entries.len() - 1
            }
        };
        for alias in aliases {
            self.index.entry(folded(alias)).or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_name_alias_and_nearest() {
        let mut shelf = Shelf::new("accelerator");
        shelf.put("H100-SXM5", &["H100".to_owned()], 1);
        shelf.put("H200-SXM", &["H100".to_owned(), "H200".to_owned()], 2);
        assert_eq!(shelf.get("h100 sxm5"), Ok(&1));
        assert_eq!(shelf.get("H100"), Ok(&1));
        assert_eq!(shelf.get("H200"), Ok(&2));
        let error = shelf.get("H100-SMX5").map_err(|error| error.nearest);
        assert_eq!(error, Err(vec!["H100-SXM5".to_owned(), "H200-SXM".to_owned()]));
        shelf.put("H200", &[], 3);
        assert_eq!((shelf.get("H200"), shelf.get("H200-SXM")), (Ok(&3), Ok(&2)));
        shelf.put("h100-sxm5", &[], 4);
        assert_eq!((shelf.get("H100"), shelf.iter().count()), (Ok(&4), 3));
    }
}
