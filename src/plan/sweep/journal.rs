//! The journal of a sweep: one JSON line for the plan, then one for each finished point.
//!
//! Lines are only ever appended, and are on the disk before a point counts as finished. A kill can tear the
//! last line and nothing else; a torn line is cut off when the sweep is resumed, and its point runs again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Plan, Row, Rows, Shard};

/// The journal's name in the folder of a sweep.
pub const FILE: &str = "journal.jsonl";

/// The version of the journal's format.
const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// How many points the grid has.
    pub points: u64,
    /// Which part of them this is.
    pub shard: Shard,
    /// What is swept.
    pub plan: Plan,
}

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// What a journal holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The first line; `None` when not even that was finished.
    pub header: Option<Header>,
    /// The finished points.
    pub rows: Rows,
    /// Bytes up to the end of the last sound line.
    sound: u64,
    /// True when something follows them.
    pub torn: bool,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("{}: {cause}\n  points that are finished are kept: make room and go on with --resume", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// There is one already.
    #[error(
        "{} holds a sweep already, with {finished} finished points\n  --resume goes on with it; --out names \
         another folder for a new one",
        path.display()
    )]
    Exists {
        /// The folder.
        path: PathBuf,
        /// Points in it.
        finished: usize,
    },
    /// It is of another sweep.
    #[error("{} holds another sweep: {what}\n  name another folder with --out", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What differs, in words.
        what: String,
    },
}

impl Header {
    /// The header of a new sweep.
    pub fn new(plan: Plan, points: u64, shard: Shard) -> Self {
        Self { format: FORMAT, points, shard, plan }
    }

    /// What differs between two sweeps, in words; `None` when they are the same but perhaps for the shard.
    pub fn differs(&self, other: &Self) -> Option<String> {
        let (a, b) = (&self.plan, &other.plan);
        let lists = |a: &[String], b: &[String]| format!("{} against {}", a.join(" "), b.join(" "));
        let differences = [
            (self.format != other.format, "the format of the journal".to_owned()),
            (a.version != b.version, format!("fleetsim {} against {}", a.version, b.version)),
            (a.name != b.name, format!("scenario `{}` against `{}`", a.name, b.name)),
            (
                a.scenario != b.scenario,
                "the scenario, the files that it reads, its --set values or its seed differ".to_owned(),
            ),
            (a.grid != b.grid || self.points != other.points, lists(&a.grid, &b.grid)),
            (
                a.replications != b.replications,
                format!("{} against {} replications", a.replications, b.replications),
            ),
            (a.metrics != b.metrics, format!("metrics {}", lists(&a.metrics, &b.metrics))),
        ];
        differences.into_iter().find_map(|(differs, what)| differs.then_some(what))
    }
}

impl Contents {
    /// Reads the journal in a folder; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, JournalError> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(JournalError::File { path, cause }),
        }
    }

    /// Takes lines as long as they are sound.
    fn parse(bytes: &[u8]) -> Self {
        let mut contents = Self { header: None, rows: Rows::new(), sound: 0, torn: false };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') || !contents.take(line) {
                contents.torn = true;
                break;
            }
            contents.sound += line.len() as u64;
        }
        contents
    }

    fn take(&mut self, line: &[u8]) -> bool {
        let Some(header) = &self.header else {
            self.header = serde_json::from_slice(line).ok();
            return self.header.is_some();
        };
        match serde_json::from_slice::<Row>(line) {
            Ok(row) if row.point < header.points && row.cells.len() == header.plan.metric_columns().len() => {
                self.rows.insert(row.point, row);
                true
            }
            _ => false,
        }
    }
}

impl Journal {
    /// Opens the journal in a folder, or begins one; gives the points that are finished.
    ///
    /// # Errors
    /// When it cannot be read or written, when there is one already and `resume` is false, or when it is of
    /// another sweep.
    pub fn open(folder: &Path, header: &Header, resume: bool) -> Result<(Self, Contents), JournalError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| JournalError::File { path, cause }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(FILE);
        let found = Contents::read(folder)?;
        let mut contents = found.unwrap_or_else(|| Contents::parse(&[]));
        if let Some(old) = &contents.header {
            if !resume {
                let finished = contents.rows.len();
                return Err(JournalError::Exists { path: folder.to_owned(), finished });
            }
            let shards = |h: &Header| format!("shard {}/{}", h.shard.index, h.shard.of);
            let shard =
                (old.shard != header.shard).then(|| format!("{} against {}", shards(old), shards(header)));
            if let Some(what) = old.differs(header).or(shard) {
                return Err(JournalError::Other { path: folder.to_owned(), what });
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed(&path))?;
        file.set_len(contents.sound).map_err(failed(&path))?;
        let mut journal = Self { path, file };
        if contents.header.is_none() {
            journal.lines(std::slice::from_ref(header))?;
            contents.header = Some(header.clone());
        }
        Ok((journal, contents))
    }

    /// Appends finished points; they are on the disk when this returns.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn append(&mut self, rows: &[Row]) -> Result<(), JournalError> {
        self.lines(rows)
    }

    fn lines<T: Serialize>(&mut self, items: &[T]) -> Result<(), JournalError> {
        let mut text = Vec::new();
        let written = items.iter().try_for_each(|item| {
            serde_json::to_writer(&mut text, item)?;
            text.push(b'\n');
            Ok(())
        });
        written
            .and_then(|()| self.file.write_all(&text))
            .and_then(|()| self.file.sync_data())
            .map_err(|cause| JournalError::File { path: self.path.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let plan = Plan {
            name: "n".to_owned(),
            scenario: "s".to_owned(),
            version: "1".to_owned(),
            grid: vec!["a=1..3".to_owned()],
            replications: 1,
            metrics: vec!["m".to_owned()],
        };
        Header::new(plan, 3, Shard::WHOLE)
    }

    fn row(point: u64) -> Row {
        Row { point, cells: vec![format!("{point}.5")], error: None }
    }

    /// Whatever byte a journal is cut at, what was whole before it is read and the rest can be written again.
    #[test]
    fn torn_anywhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut journal, _) = Journal::open(folder.path(), &header(), false).expect("a new journal");
        journal.append(&[row(2), row(0)]).expect("room");
        journal.append(&[row(1)]).expect("room");
        drop(journal);
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).expect("a file");
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("room");
            let (mut journal, contents) = Journal::open(folder.path(), &header(), true).expect("a journal");
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(contents.rows.len(), lines.saturating_sub(1), "{cut}");
            for point in [2, 0, 1].into_iter().filter(|point| !contents.rows.contains_key(point)) {
                journal.append(&[row(point)]).expect("room");
            }
            assert_eq!(fs::read(&path).expect("a file"), whole, "{cut}");
        }
    }

    #[test]
    fn other_sweeps_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        Journal::open(folder.path(), &header(), false).expect("a new journal");
        let again = Journal::open(folder.path(), &header(), false).expect_err("it exists");
        assert!(matches!(again, JournalError::Exists { .. }));
        for change in 0..5 {
            let mut other = header();
            match change {
                0 => other.plan.scenario = "t".to_owned(),
                1 => other.plan.grid = vec!["a=1..4".to_owned()],
                2 => other.plan.replications = 2,
                3 => other.plan.metrics = vec!["o".to_owned()],
                _ => other.shard = Shard { index: 2, of: 2 },
            }
            let error = Journal::open(folder.path(), &other, true).expect_err("another sweep");
            assert!(matches!(error, JournalError::Other { .. }), "{error}");
        }
    }
}
