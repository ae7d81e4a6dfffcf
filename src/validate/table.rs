//! The files: which there are, what kind each is, and their fields by name.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why there is nothing to compare with.
#[derive(Debug, Error)]
pub enum ValidateError {
    /// A file that cannot be read.
    #[error("{}: {why}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// A file that is none of those known.
    #[error(
        "{}: its header is that of no known table{hint}; give a CSV with the columns of inference_measured.csv ({}), silicon_agg_disagg.csv ({}), training_measured.csv ({}) or collectives_measured.csv ({}), or a request log RUN.jsonl beside RUN.meta.json",
        .path.display(),
        Kind::Inference.columns().join(","),
        Kind::Silicon.columns().join(","),
        Kind::Training.columns().join(","),
        Kind::Collectives.columns().join(","),
    )]
    UnknownTable {
        /// The file.
        path: PathBuf,
        /// Which table it is nearest to, and what it lacks.
        hint: String,
    },
    /// A folder with nothing in it that is known.
    #[error("{}: no table of measurements and no request log in this folder", .0.display())]
    EmptyFolder(PathBuf),
}

/// The tables that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Inference,
    Silicon,
    Training,
    Collectives,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Inference, Self::Silicon, Self::Training, Self::Collectives];

    /// The columns without which it is not this table.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Inference => {
                &["model", "accelerator", "isl", "osl", "load_type", "load_value", "metric", "value"]
            }
            Self::Silicon => &[
                "backend",
                "model_path",
                "system",
                "mode",
                "isl",
                "osl",
                "tp_size",
                "silicon_ttft_ms",
                "silicon_tpot_ms",
            ],
            Self::Training => {
                &["model", "accelerator", "num_gpus", "seq_len", "global_batch", "metric", "value"]
            }
            Self::Collectives => &["system", "num_gpus", "num_nodes", "collective", "size_bytes"],
        }
    }
}

/// A table in memory.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) kind: Kind,
    names: Vec<String>,
    records: Vec<csv::StringRecord>,
}

/// One row of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    table: &'a Table,
    record: &'a csv::StringRecord,
    line: u64,
}

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self, ValidateError> {
        let file = fs::File::open(path)
            .map_err(|error| ValidateError::Unreadable { path: path.to_owned(), why: error.to_string() })?;
        Self::parse(file, path)
    }

    /// A table by its text; `path` is for messages.
    pub(super) fn parse(text: impl std::io::Read, path: &Path) -> Result<Self, ValidateError> {
        let unreadable =
            |error: csv::Error| ValidateError::Unreadable { path: path.to_owned(), why: error.to_string() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text);
        let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_owned).collect();
        let lacks = |kind: Kind| {
            kind.columns()
                .iter()
                .copied()
                .filter(|name| !names.iter().any(|known| known == name))
                .collect::<Vec<_>>()
        };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| lacks(*kind).is_empty()) else {
            let near = Kind::ALL.into_iter().min_by_key(|kind| lacks(*kind).len());
            let hint = near
                .filter(|kind| lacks(*kind).len() * 2 <= kind.columns().len())
                .map_or_else(String::new, |kind| {
                    format!(" (nearest: the {kind:?} table, which lacks `{}`)", lacks(kind).join("`, `"))
                });
            return Err(ValidateError::UnknownTable { path: path.to_owned(), hint });
        };
        let records = reader.records().collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        Ok(Self { kind, names, records })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Fields<'_>> {
        // The reader's own count is one short where lines end in CR LF; no field of these tables has a line break.
        (2..).zip(&self.records).map(|(line, record)| Fields { table: self, record, line })
    }
}

impl<'a> Fields<'a> {
    /// The text of a column; empty when the table or the row has none.
    pub(super) fn text(&self, name: &str) -> &'a str {
        let place = self.table.names.iter().position(|known| known == name);
        place.and_then(|place| self.record.get(place)).unwrap_or("")
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.text(name).parse::<f64>().ok().filter(|value| value.is_finite())
    }

    /// A whole number of at least 1; `None` for anything else, such as an empty field.
    pub(super) fn count(&self, name: &str) -> Option<u32> {
        self.number(name).filter(|value| *value >= 1.0 && *value <= 1e9).map(|value| value as u32)
    }

    /// The line in the file.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }
}

/// Whether this is a log of single requests.
pub(super) fn is_request_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// The files meant, folders opened, in order of their names.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ValidateError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable =
            |error: std::io::Error| ValidateError::Unreadable { path: path.clone(), why: error.to_string() };
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let known = match file.extension().and_then(|extension| extension.to_str()) {
                Some("csv") => Table::read(&file).is_ok(),
                Some("jsonl") => file.with_extension("meta.json").exists(),
                _ => false,
            };
            if known {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(ValidateError::EmptyFolder(path.clone()));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}
