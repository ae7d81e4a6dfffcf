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
mod inference;
mod names;
mod own_run;
mod report;
mod requests;
mod silicon;
mod table;
mod training;

use std::path::{Path, PathBuf};

pub use calibrate::{Calibration, LeftOut, Settings, calibrate};
pub use own_run::{Figure, Machine, correct, is_own_run};
pub use report::{Compared, Group, Overall, Report, Skipped};
pub use table::ValidateError;

use bench::Readings;
use report::Row;
use table::{Kind, Table};

use crate::perf::constants::Constants;

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

    /// At most so many rows of each group of simulated runs.
    fn thinned(self, most: usize) -> Self {
        let thin = |source| match source {
            Source::Bench(readings) => Source::Bench(readings.thinned(most)),
            other => other,
        };
        Self(self.0.into_iter().map(thin).collect())
    }

    fn rows(&self, constants: &Constants) -> Result<Vec<Row>, ValidateError> {
        let mut rows = Vec::new();
        for source in &self.0 {
            rows.extend(match source {
                Source::Bench(readings) => readings.compare(constants),
                Source::Training(table) => training::rows(table, constants),
                Source::Collectives(table) => collectives::rows(table, constants),
                Source::Log(path) => requests::rows(path, constants)?,
            });
        }
        Ok(rows)
    }
}
