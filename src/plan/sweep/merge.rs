//! Shards of one sweep, put together.

use std::path::{Path, PathBuf};

use super::journal::{Contents, Header, JournalError};
use super::{Plan, Rows};

/// Why shards cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no sweep in a folder.
    #[error("{} holds no sweep: there is no sound journal.jsonl in it", .0.display())]
    NoSweep(PathBuf),
    /// They are of different sweeps.
    #[error("{} and {} are of different sweeps: {what}", first.display(), second.display())]
    Different {
        /// A folder.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// What differs, in words.
        what: String,
    },
    /// Two folders disagree about a point.
    #[error("{} and another folder disagree about point {point}; one of them is damaged", folder.display())]
    Conflict {
        /// The folder.
        folder: PathBuf,
        /// The point.
        point: u64,
    },
    /// Points are not there.
    #[error("{missing} of {points} points are missing, the first of them {first}\n  {hint}")]
    Missing {
        /// How many.
        missing: u64,
        /// Of how many.
        points: u64,
        /// The first.
        first: u64,
        /// What to do.
        hint: String,
    },
}

/// Reads the sweeps in `folders` and puts their points together.
///
/// # Errors
/// When they are of different sweeps, or points are missing.
pub fn merge(folders: &[PathBuf]) -> Result<(Plan, Rows), MergeError> {
    let mut first: Option<(Header, &Path)> = None;
    let mut shards = Vec::new();
    let mut rows = Rows::new();
    for folder in folders {
        let contents = Contents::read(folder)?.ok_or_else(|| MergeError::NoSweep(folder.clone()))?;
        let header = contents.header.ok_or_else(|| MergeError::NoSweep(folder.clone()))?;
        if let Some((first, of)) = &first
            && let Some(what) = first.differs(&header)
        {
            return Err(MergeError::Different { first: of.to_path_buf(), second: folder.clone(), what });
        }
        shards.push(header.shard);
        first.get_or_insert((header, folder));
        for (point, row) in contents.rows {
            if let Some(old) = rows.insert(point, row.clone())
                && old != row
            {
                return Err(MergeError::Conflict { folder: folder.clone(), point });
            }
        }
    }
    let Some((header, _)) = first else { return Err(MergeError::NoSweep(PathBuf::new())) };
    let missing = header.points - rows.len() as u64;
    if missing > 0 {
        let present = rows.keys().zip(0..).take_while(|(point, index)| **point == *index);
        let first = present.count() as u64;
        let hint = match shards.iter().find(|shard| shard.has(first)) {
            Some(shard) => format!(
                "shard {}/{} is not finished: go on with it by --shard {}/{} --resume",
                shard.index, shard.of, shard.index, shard.of
            ),
            None => {
                let of = header.shard.of;
                format!("run the part that has it (--shard {}/{of}), and name its folder too", first % of + 1)
            }
        };
        return Err(MergeError::Missing { missing, points: header.points, first, hint });
    }
    Ok((header.plan, rows))
}
