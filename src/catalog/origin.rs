//! Where the figures of an entry come from, and how an entry is laid over another.

use std::collections::BTreeMap;

use thiserror::Error;

use super::figure::Figure;

/// An entry that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} `{entry}`: `{field}` {why}")]
pub struct BadEntry {
    /// The kind of the entry: `accelerator`, `model`, `offer`, ...
    pub kind: &'static str,
    /// The entry, for example `H100-SXM5`.
    pub entry: String,
    /// The field at fault.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub why: String,
}

/// A source that entries cite by a short name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// What it is, as a reader sees it.
    pub(super) what: String,
    /// Its date, where every figure from it has the same.
    #[serde(default)]
    pub(super) date: Option<String>,
}

/// The sources by their short names.
pub(super) type Sources = BTreeMap<String, Source>;

/// The provenance of an entry's figures: one for all, and exceptions by the figure's key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) kind: &'static str,
    pub(super) entry: &'a str,
    pub(super) source: Option<&'a str>,
    pub(super) date: Option<&'a str>,
    pub(super) doubt: Option<&'a str>,
    pub(super) sources: &'a BTreeMap<String, String>,
    pub(super) dates: &'a BTreeMap<String, String>,
    pub(super) doubts: &'a BTreeMap<String, String>,
    pub(super) known: &'a Sources,
}

impl Origin<'_> {
    /// The figure of `key`, with its provenance.
    pub(super) fn figure<T>(&self, key: &str, value: T) -> Figure<T> {
        let cited = self.sources.get(key).map(String::as_str).or(self.source);
        let parts: Vec<&str> = cited.map(|text| text.split("; ").collect()).unwrap_or_default();
        let words: Vec<&str> =
            parts.iter().map(|part| self.known.get(*part).map_or(*part, |known| &known.what)).collect();
        let date = self
            .dates
            .get(key)
            .map(String::as_str)
            .or(self.date)
            .or_else(|| parts.iter().find_map(|part| self.known.get(*part)?.date.as_deref()));
        Figure {
            value,
            source: if words.is_empty() { "given by the user".to_owned() } else { words.join("; ") },
            date: date.map(str::to_owned),
            doubt: self.doubts.get(key).map(String::as_str).or(self.doubt).map(str::to_owned),
        }
    }

    /// Lays a value over what is there.
    pub(super) fn set<T>(&self, slot: &mut Option<Figure<T>>, key: &str, value: Option<T>) {
        if let Some(value) = value {
            *slot = Some(self.figure(key, value));
        }
    }

    /// Lays a number over what is there, after checking that it is finite and positive.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn number<T>(
        &self,
        slot: &mut Option<Figure<T>>,
        key: &'static str,
        value: Option<f64>,
        convert: impl FnOnce(f64) -> T,
    ) -> Result<(), BadEntry> {
        if let Some(number) = value
            && !(number > 0.0 && number <= 1e18)
        {
            return Err(self.bad(key, format!("is {number}; it must be above 0 and at most 1e18")));
        }
        self.set(slot, key, value.map(convert));
        Ok(())
    }

    /// Lays a price over what is there, after checking that it is finite and not negative.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn price<T>(
        &self,
        slot: &mut Option<Figure<T>>,
        key: &'static str,
        value: Option<f64>,
        convert: impl FnOnce(f64) -> T,
    ) -> Result<(), BadEntry> {
        if let Some(number) = value
            && !(0.0..=1e9).contains(&number)
        {
            return Err(self.bad(key, format!("is {number}; a price must be from 0 to 1e9 USD")));
        }
        self.set(slot, key, value.map(convert));
        Ok(())
    }

    /// Lays a count over what is there, after checking that it is not zero.
    ///
    /// # Errors
    /// When it is zero.
    pub(super) fn count<T: Default + PartialEq>(
        &self,
        slot: &mut Option<Figure<T>>,
        key: &'static str,
        value: Option<T>,
    ) -> Result<(), BadEntry> {
        if value.as_ref().is_some_and(|value| *value == T::default()) {
            return Err(self.bad(key, "is 0; it must be at least 1".to_owned()));
        }
        self.set(slot, key, value);
        Ok(())
    }

    pub(super) fn bad(&self, field: &str, why: String) -> BadEntry {
        BadEntry { kind: self.kind, entry: self.entry.to_owned(), field: field.to_owned(), why }
    }

    /// Checks that every key under `sources`, `dates` and `doubts` names a figure.
    ///
    /// # Errors
    /// When one does not.
    pub(super) fn check_keys(&self, figures: &[&str]) -> Result<(), BadEntry> {
        for (table, map) in [("sources", self.sources), ("dates", self.dates), ("doubts", self.doubts)] {
            if let Some(key) = map.keys().find(|key| !figures.contains(&key.as_str())) {
                let near = super::shelf::nearest(key, figures.iter().copied());
                let why = format!("is not a figure of this entry; nearest: {}", near.join(", "));
                return Err(self.bad(&format!("{table}.{key}"), why));
            }
        }
        Ok(())
    }
}

/// Declares the form in which an entry is written in a data file or a scenario: its words, its figures
/// (all optional, so that it can be laid over another entry), and where the figures come from.
macro_rules! entry_fields {
    (
        $(#[$meta:meta])*
        $name:ident ($kind:literal) {
            words { $( $(#[$word_meta:meta])* $word:ident: $word_type:ty, )* }
            figures { $( $(#[$figure_meta:meta])* $figure:ident: $figure_type:ty, )* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// The name by which everything refers to the entry.
            pub name: String,
            /// Other names for it.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            pub aliases: Vec<String>,
            /// The entry to start from when this one is new; what is given here replaces what that one says.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub like: Option<String>,
            $( $(#[$word_meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $word: Option<$word_type>, )*
            $( $(#[$figure_meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $figure: Option<$figure_type>, )*
            /// Where all figures come from, unless `sources` names another for one.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub source: Option<String>,
            /// When the source was published or read.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub date: Option<String>,
            /// What is unsure about all figures.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub doubt: Option<String>,
            /// The source of single figures, by their key.
            #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            pub sources: std::collections::BTreeMap<String, String>,
            /// The date of single figures, by their key.
            #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            pub dates: std::collections::BTreeMap<String, String>,
            /// What is unsure about single figures, by their key.
            #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            pub doubts: std::collections::BTreeMap<String, String>,
        }

        impl $name {
            /// The keys of the figures.
            pub const FIGURES: &'static [&'static str] = &[$( stringify!($figure) ),*];

            fn origin<'a>(
                &'a self,
                known: &'a $crate::catalog::origin::Sources,
            ) -> Result<$crate::catalog::origin::Origin<'a>, $crate::catalog::origin::BadEntry> {
                let origin = $crate::catalog::origin::Origin {
                    kind: $kind,
                    entry: &self.name,
                    source: self.source.as_deref(),
                    date: self.date.as_deref(),
                    doubt: self.doubt.as_deref(),
                    sources: &self.sources,
                    dates: &self.dates,
                    doubts: &self.doubts,
                    known,
                };
                if self.name.trim().is_empty() {
                    return Err(origin.bad("name", "is empty; give the entry a name".to_owned()));
                }
                origin.check_keys(Self::FIGURES)?;
                Ok(origin)
            }
        }
    };
}
pub(super) use entry_fields;
