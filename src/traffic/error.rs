//! What can be wrong with a stream's parameters, and with the files it reads.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// One thing wrong with a stream's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key inside the stream's table, as in `arrivals.cv` or `shape[1].rise`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl Problem {
    pub(super) fn new(key: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into(), help: help.into() }
    }

    /// The same problem below `prefix`.
    pub(super) fn under(mut self, prefix: &str) -> Self {
        self.key = if self.key.is_empty() { prefix.to_owned() } else { format!("{prefix}.{}", self.key) };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.what, self.help)
    }
}

/// Why a stream cannot start or go on.
#[derive(Debug, Error)]
pub enum TrafficError {
    /// Parameters that make no sense.
    #[error("stream `{stream}`: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config {
        /// The stream's name.
        stream: String,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// A file could not be opened.
    #[error("{}: cannot be opened: {source}; check the path", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be read on.
    #[error("{}:{line}: cannot be read on: {source}; {help}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The line being read.
        line: u64,
        /// What the system said.
        source: std::io::Error,
        /// What to do.
        help: &'static str,
    },
    /// The file's content is wrong.
    #[error("{}:{line}{}: {what}; {help}", file.display(), column.as_ref().map(|name| format!(", column `{name}`")).unwrap_or_default())]
    Content {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column's name, where one is to blame.
        column: Option<String>,
        /// What is wrong.
        what: String,
        /// What to do.
        help: String,
    },
}
