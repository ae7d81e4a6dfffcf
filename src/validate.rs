//! The simulator against published measurements: what was measured, what comes out here, and how far apart.
//!
//! A file is recognised by its header. Each row becomes a case: serving rows run through the simulator
//! ([`crate::world::run`]) with a closed loop of the row's concurrency, open at its rate, or with everything
//! asked for at once; training rows ask [`crate::perf::training_throughput`]; collectives ask
//! [`crate::perf::collective_time`]. A row that the model can't express is counted and named, never dropped
//! silently: predicted + skipped = rows in the files.

mod bench;
mod calibrate;
mod collectives;
mod fit;
mod inference;
mod names;
mod own_run;
mod report;
mod requests;
mod silicon;
mod table;
mod training;

use std::path::{Path, PathBuf};

pub use calibrate::{Calibration, LeftOut, LeftOutOverall, Scored, Settings, calibrate};
pub use own_run::{Figure, Machine, correct, is_own_run};
pub use report::{Compared, Group, Overall, Report, Skipped};
pub use table::ValidateError;

use bench::Readings;
use report::{Row, Skip};
use table::{Kind, Table};

use crate::perf::constants::{Block, Constants};

/// Compares every row of these files with the model; a folder stands for the files in it that are known. Without
/// files, the project's own small table.
///
/// # Errors
/// When a file cannot be read or is none that is known, or a folder holds none.
pub fn validate(paths: &[PathBuf]) -> Result<Report, ValidateError> {
    compare(paths, &Constants::PUBLISHED).map(|(report, _)| report)
}

/// The same with other constants, and every row that was predicted.
///
/// # Errors
/// As for [`validate`].
pub fn compare(paths: &[PathBuf], constants: &Constants) -> Result<(Report, Vec<Compared>), ValidateError> {
    let rows = Tables::read(paths)?.rows(constants)?;
    let report = Report::of(&rows);
    Ok((report, rows.into_iter().flatten().collect()))
}

/// Tables, read once and compared as often as wanted.
struct Tables(Vec<Source>);

/// A small table of the project's own, for `validate` without data.
const OWN: [&str; 3] = [
    include_str!("validate/own/inference.csv"),
    include_str!("validate/own/training.csv"),
    include_str!("validate/own/collectives.csv"),
];

enum Source {
    Bench(Readings),
    Training(Table),
    Collectives(Table),
    Log(PathBuf),
}

impl Tables {
    fn read(paths: &[PathBuf]) -> Result<Self, ValidateError> {
        let of = |table: Table| match table.kind {
            Kind::Inference => Source::Bench(Readings::of(&table, inference::read)),
            Kind::Silicon => Source::Bench(Readings::of(&table, silicon::read)),
            Kind::Training => Source::Training(table),
            Kind::Collectives => Source::Collectives(table),
        };
        if paths.is_empty() {
            let own = |text: &&str| Table::parse(text.as_bytes(), Path::new("the project's own table"));
            return OWN.iter().map(|text| own(text).map(of)).collect::<Result<_, _>>().map(Self);
        }
        let one = |path: PathBuf| match table::is_request_log(&path) {
            true => Ok(Source::Log(path)),
            false => Table::read(&path).map(of),
        };
        table::files(paths)?.into_iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// At most so many simulated runs of each group.
    fn thinned(self, most: usize) -> Self {
        let thin = |source| match source {
            Source::Bench(readings) => Source::Bench(readings.thinned(most)),
            other => other,
        };
        Self(self.0.into_iter().map(thin).collect())
    }

    fn rows(&self, constants: &Constants) -> Result<Vec<Row>, ValidateError> {
        let mut rows: Vec<Row> = Vec::new();
        for source in &self.0 {
            for mut of_row in source.rows(constants, &|_| true)? {
                // A row with several metrics counts as one when it is skipped.
                if of_row.iter().all(Result::is_err) {
                    of_row.truncate(1);
                }
                rows.append(&mut of_row);
            }
        }
        Ok(rows)
    }

    /// The rows that set one block of constants: the same ones in the same order for all constants, errors in place of
    /// those that are not wanted.
    fn block(
        &self,
        constants: &Constants,
        block: Block,
        kept: &(dyn Fn(&Compared) -> bool + Sync),
    ) -> Vec<Row> {
        let sources = self.0.iter().filter(|source| source.block() == block);
        // Logs were read once without a fault.
        let rows = sources.flat_map(|source| source.rows(constants, kept).unwrap_or_default());
        let wanted = |row: Compared| if kept(&row) { Ok(row) } else { Err(Skip::unwanted()) };
        rows.flatten().map(|row| row.and_then(wanted)).collect()
    }
}

impl Source {
    const fn block(&self) -> Block {
        match self {
            Self::Bench(_) | Self::Log(_) => Block::Serving,
            Self::Training(_) => Block::Training,
            Self::Collectives(_) => Block::Collectives,
        }
    }

    /// What comes out for each row, metric by metric.
    fn rows(
        &self,
        constants: &Constants,
        kept: &(dyn Fn(&Compared) -> bool + Sync),
    ) -> Result<Vec<Vec<Row>>, ValidateError> {
        let one_each = |rows: Vec<Row>| rows.into_iter().map(|row| vec![row]).collect();
        Ok(match self {
            Self::Bench(readings) => readings.compare(constants, kept),
            Self::Training(table) => one_each(training::rows(table, constants)),
            Self::Collectives(table) => one_each(collectives::rows(table, constants)),
            Self::Log(path) => one_each(requests::rows(path, constants)?),
        })
    }
}
