//! `waits.csv`: where the time of each completed request went, written while the run goes on.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::metrics::TimeSpent;
use crate::report::ReportError;

/// The columns: first the causes of the queue wait, which add up to it, then those of E2E, which add up to that.
pub const COLUMNS: [&str; 11] = [
    "id",
    "wait_starting_s",
    "wait_batch_slot_s",
    "wait_kv_memory_s",
    "starting_s",
    "batch_slot_s",
    "kv_memory_s",
    "prefill_s",
    "decode_s",
    "transfer_s",
    "response_cache_s",
];

/// The writer of `waits.csv`.
#[derive(Debug)]
pub struct WaitsCsv {
    file: io::BufWriter<File>,
    path: PathBuf,
    rows: u64,
}

impl WaitsCsv {
    /// Creates `path`, and the folder that holds it, and writes the header.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let failed = |cause| ReportError::write(path, &[], cause);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| ReportError::folder(folder, cause))?;
        }
        let mut file = io::BufWriter::new(File::create(path).map_err(failed)?);
        writeln!(file, "{}", COLUMNS.join(",")).map_err(failed)?;
        Ok(Self { file, path: path.to_path_buf(), rows: 0 })
    }

    /// Appends a completed request.
    ///
    /// # Errors
    /// When the file cannot be written; the rows before stay readable, the last may be cut.
    pub fn write(&mut self, id: u64, time: &TimeSpent) -> Result<(), ReportError> {
        self.rows += 1;
        self.put(id, time).map_err(|cause| self.failed(cause))
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<PathBuf, ReportError> {
        self.file.flush().map_err(|cause| self.failed(cause))?;
        Ok(self.path)
    }

    fn put(&mut self, id: u64, time: &TimeSpent) -> io::Result<()> {
        write!(self.file, "{id}")?;
        for part in time.at_first.iter().chain(&time.in_all) {
            let nanos = part.as_nanos();
            write!(self.file, ",{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)?;
        }
        writeln!(self.file)
    }

    fn failed(&self, cause: io::Error) -> ReportError {
        ReportError::Requests { path: self.path.clone(), rows: self.rows, cause }
    }
}
