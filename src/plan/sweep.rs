//! Sweeps: every point of a grid, in parallel, restartable after a kill at any moment.
//!
//! Each finished point is one line of a journal (see [`journal`]); the table is drawn from the journal's lines
//! when all are there, sorted by point. So the table's bytes depend on neither the number of threads, nor on
//! how the points were shared out among machines, nor on how often the sweep was killed.

pub mod journal;
pub mod merge;

use std::collections::BTreeMap;
use std::sync::mpsc;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::replicate::{cell, csv_text, over, values};
use super::statistics::ALPHA;
use crate::world::{RunError, WorldConfig};
use journal::{Journal, JournalError};

/// What a sweep is: two journals with equal plans belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The scenario's name.
    pub name: String,
    /// A fingerprint of the scenario's text and of what is set in it: see [`fingerprint`].
    pub scenario: String,
    /// The version of the program.
    pub version: String,
    /// The axes, as the arguments gave them.
    pub grid: Vec<String>,
    /// Replications of each point.
    pub replications: u64,
    /// The metrics' names.
    pub metrics: Vec<String>,
}

/// Part `index` of `of`; the parts take turns, so that each gets its share of large and small points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 1.
    pub index: u64,
    /// How many.
    pub of: u64,
}

/// A finished point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its number in the grid.
    pub point: u64,
    /// The cells of the metrics as they will stand in the table; empty texts where there is an error.
    pub cells: Vec<String>,
    /// Why its scenario cannot be run; `None` when it was.
    pub error: Option<String>,
}

/// Finished points by number.
pub type Rows = BTreeMap<u64, Row>;

/// Resolves the scenario of a point, or says in a line why it is none.
pub type Resolve<'a> = &'a (dyn Fn(u64) -> Result<WorldConfig, String> + Sync);

/// Why a sweep failed.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A point fails in a way that is no fault of its scenario.
    #[error("point {point}: {error}")]
    Run {
        /// Its number.
        point: u64,
        /// Why.
        error: Box<RunError>,
    },
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Whether a point is in this part.
    pub fn has(self, point: u64) -> bool {
        point % self.of == self.index - 1
    }

    /// How many of `points` are in this part.
    pub fn share(self, points: u64) -> u64 {
        (points + self.of - self.index) / self.of
    }

    /// From `I/N`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let parts = text.split_once('/').and_then(|(index, of)| Some((number(index)?, number(of)?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err("write I/N with 1 ≤ I ≤ N: 2/3 is the second of three".to_owned()),
        }
    }
}

/// FNV-1a over texts, with their lengths: tells different scenarios apart, not attackers.
pub fn fingerprint<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for text in texts {
        for byte in (text.len() as u64).to_le_bytes().iter().chain(text) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

impl Plan {
    /// The table's columns.
    pub fn columns(&self, grid: &Grid) -> Vec<String> {
        let mut columns = vec!["point".to_owned()];
        columns.extend(grid.axes().iter().map(|axis| axis.path.clone()));
        columns.extend(self.metric_columns());
        columns.push("error".to_owned());
        columns
    }

    fn metric_columns(&self) -> Vec<String> {
        let several = self.replications > 1;
        let of = |name: &String| match several {
            false => vec![name.clone()],
            true => vec![name.clone(), format!("{name}.ci95_lo"), format!("{name}.ci95_hi")],
        };
        self.metrics.iter().flat_map(of).collect()
    }

    /// The table: a row a point, in the order of the points.
    pub fn csv(&self, grid: &Grid, rows: &Rows) -> String {
        let row = |row: &Row| {
            let mut cells = vec![row.point.to_string()];
            cells.extend(grid.values(row.point));
            cells.extend(row.cells.iter().cloned());
            cells.push(row.error.clone().unwrap_or_default());
            cells
        };
        csv_text(self.columns(grid), rows.values().map(row))
    }

    /// Runs one point.
    ///
    /// # Errors
    /// Only for what is no fault of the point's scenario; a scenario that cannot be run is a row.
    fn one(&self, point: u64, resolve: Resolve<'_>) -> Result<Row, SweepError> {
        let failed = |why: String| {
            // A line of the table has one line.
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            Row { point, cells: vec![String::new(); self.metric_columns().len()], error: Some(why) }
        };
        let config = match resolve(point) {
            Ok(config) => config,
            Err(why) => return Ok(failed(why)),
        };
        let rows = match values(&config, 0..self.replications, &self.metrics, &|| ()) {
            Ok(rows) => rows,
            Err(error) if error.is_bad_input() => return Ok(failed(error.to_string())),
            Err(error) => return Err(SweepError::Run { point, error: Box::new(error) }),
        };
        let mut cells = Vec::new();
        for column in 0..self.metrics.len() {
            let known = over(&rows, column, ALPHA);
            cells.push(cell(known.map(|known| known.mean)));
            if self.replications > 1 {
                let ends = known.and_then(|known| known.interval);
                cells.extend([cell(ends.map(|[lo, _]| lo)), cell(ends.map(|[_, hi]| hi))]);
            }
        }
        Ok(Row { point, cells, error: None })
    }

    /// Runs the points of `shard` that are not in `rows`, each of which is then in `rows` and the journal.
    /// `done` is called after each.
    ///
    /// # Errors
    /// When the journal cannot be written, or a point fails by no fault of its scenario; finished points are
    /// in the journal all the same.
    pub fn run(
        &self,
        grid: &Grid,
        shard: Shard,
        journal: &mut Journal,
        rows: &mut Rows,
        resolve: Resolve<'_>,
        done: &(dyn Fn() + Sync),
    ) -> Result<(), SweepError> {
        let mine = (shard.index - 1..grid.points()).step_by(usize::try_from(shard.of).unwrap_or(usize::MAX));
        let missing: Vec<u64> = mine.filter(|point| !rows.contains_key(point)).collect();
        let (sender, receiver) = mpsc::channel::<Row>();
        std::thread::scope(|scope| {
            // One writer, so that lines are whole; it writes all that has come in at once.
            let writer = scope.spawn(|| -> Result<(), JournalError> {
                let receiver = receiver;
                while let Ok(first) = receiver.recv() {
                    let new: Vec<Row> = std::iter::once(first).chain(receiver.try_iter()).collect();
                    journal.append(&new)?;
                    for row in new {
                        rows.insert(row.point, row);
                        done();
                    }
                }
                Ok(())
            });
            let ran = missing.par_iter().try_for_each_with(sender, |sender, point| {
                let row = self.one(*point, resolve).map_err(Some)?;
                // Nobody listens any more when the journal could not be written: that error is told below.
                sender.send(row).map_err(|_| None)
            });
            match writer.join() {
                Ok(written) => written?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
            match ran {
                Err(Some(error)) => Err(error),
                _ => Ok(()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_each_point_once() {
        for of in 1..6 {
            for points in 0..20 {
                let shards = (1..=of).map(|index| Shard { index, of });
                for point in 0..points {
                    assert_eq!(shards.clone().filter(|shard| shard.has(point)).count(), 1);
                }
                assert_eq!(shards.clone().map(|shard| shard.share(points)).sum::<u64>(), points);
            }
        }
        assert_eq!(Shard::parse("2/3"), Ok(Shard { index: 2, of: 3 }));
        for wrong in ["", "2", "0/3", "4/3", "a/b", "1/0"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fingerprints_tell_boundaries() {
        let of = |texts: &[&str]| fingerprint(texts.iter().map(|text| text.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    }
}
