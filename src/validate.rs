//! The simulator against published measurements: what was measured, what comes out here, and how far apart.
//!
//! A file is recognised by its header. Each row becomes a case: serving rows run through the simulator
//! ([`crate::world::run`]) with a closed loop of the row's concurrency, open at its rate, or with everything
//! asked for at once; training rows ask [`crate::perf::training_throughput`]; collectives ask
//! [`crate::perf::collective_time`]. A row that the model can't express is counted and named, never dropped
//! silently: predicted + skipped = rows in the files.

mod bench;
mod collectives;
mod inference;
mod names;
mod report;
mod requests;
mod silicon;
mod table;
mod training;

use std::path::{Path, PathBuf};

pub use report::{Group, Overall, Report, Skipped};
pub use table::ValidateError;

use report::Row;
use table::{Kind, Table};

/// Compares every row of these files with the model; a folder stands for the files in it that are known.
///
/// # Errors
/// When a file cannot be read or is none that is known, or a folder holds none.
pub fn validate(paths: &[PathBuf]) -> Result<Report, ValidateError> {
    let mut rows = Vec::new();
    for path in table::files(paths)? {
        rows.extend(rows_of(&path)?);
    }
    Ok(Report::of(rows))
}

fn rows_of(path: &Path) -> Result<Vec<Row>, ValidateError> {
    if table::is_request_log(path) {
        return requests::rows(path);
    }
    let table = Table::read(path)?;
    Ok(match table.kind {
        Kind::Inference => bench::rows(&table, inference::read),
        Kind::Silicon => bench::rows(&table, silicon::read),
        Kind::Training => training::rows(&table),
        Kind::Collectives => collectives::rows(&table),
    })
}
