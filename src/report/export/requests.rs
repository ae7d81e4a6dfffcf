//! `requests.csv`: written while the run goes on, one row a request that ended, so that memory does not grow
//! with the number of requests.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::report::ReportError;
use crate::units::{Duration, Instant};

/// The columns.
pub const COLUMNS: [&str; 13] = [
    "id",
    "stream",
    "arrival_s",
    "prompt_tokens",
    "output_tokens",
    "deployment",
    "replica",
    "queue_wait_s",
    "ttft_s",
    "tpot_s",
    "e2e_s",
    "outcome",
    "retries",
];

const BUFFER_BYTES: usize = 1 << 17;

/// One request that ended, or that is still there at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRow<'a> {
    /// Unique in the run.
    pub id: u64,
    /// The stream's name.
    pub stream: &'a str,
    /// When it arrived.
    pub arrival: Instant,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens that it got.
    pub output_tokens: u64,
    /// The deployment that took it; empty in the file where none did.
    pub deployment: Option<&'a str>,
    /// The replica that took it.
    pub replica: Option<u32>,
    /// Arrival to the first iteration that works on it.
    pub queue_wait: Option<Duration>,
    /// Arrival to first token.
    pub ttft: Option<Duration>,
    /// Mean time per output token after the first.
    pub tpot: Option<Duration>,
    /// Arrival to last token.
    pub e2e: Option<Duration>,
    /// `completed`, `rejected`, `timed_out`, `failed` or `in_flight`.
    pub outcome: &'static str,
    /// How often it was started again.
    pub retries: u32,
}

/// The writer of `requests.csv`.
#[derive(Debug)]
pub struct RequestsCsv {
    csv: csv::Writer<File>,
    path: PathBuf,
    rows: u64,
    field: Vec<u8>,
}

impl RequestsCsv {
    /// Creates `path`, and the folder that holds it, and writes the header.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let failed = |cause| ReportError::write(path, &[], cause);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| ReportError::folder(folder, cause))?;
        }
        let file = File::create(path).map_err(failed)?;
        let mut csv = csv::WriterBuilder::new().buffer_capacity(BUFFER_BYTES).from_writer(file);
        csv.write_record(COLUMNS).map_err(|error| failed(error.into()))?;
        Ok(Self { csv, path: path.to_path_buf(), rows: 0, field: Vec::with_capacity(32) })
    }

    /// Appends one request.
    ///
    /// # Errors
    /// When the file cannot be written; the rows before stay readable, the last may be cut.
    pub fn write(&mut self, row: &RequestRow<'_>) -> Result<(), ReportError> {
        self.rows += 1;
        self.put(row).map_err(|cause| self.failed(cause))
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<PathBuf, ReportError> {
        self.csv.flush().map_err(|cause| self.failed(cause))?;
        Ok(self.path)
    }

    fn failed(&self, cause: io::Error) -> ReportError {
        ReportError::Requests { path: self.path.clone(), rows: self.rows, cause }
    }

    fn put(&mut self, row: &RequestRow<'_>) -> io::Result<()> {
        self.integer(row.id)?;
        self.csv.write_field(row.stream)?;
        self.seconds(Some(row.arrival.as_nanos()))?;
        self.integer(row.prompt_tokens)?;
        self.integer(row.output_tokens)?;
        self.csv.write_field(row.deployment.unwrap_or_default())?;
        match row.replica {
            Some(replica) => self.integer(u64::from(replica))?,
            None => self.csv.write_field("")?,
        }
        for duration in [row.queue_wait, row.ttft, row.tpot, row.e2e] {
            self.seconds(duration.map(Duration::as_nanos))?;
        }
        self.csv.write_field(row.outcome)?;
        self.integer(u64::from(row.retries))?;
        self.csv.write_record(None::<&[u8]>)?;
        Ok(())
    }

    fn integer(&mut self, value: u64) -> io::Result<()> {
        self.field.clear();
        write!(self.field, "{value}")?;
        Ok(self.csv.write_field(&self.field)?)
    }

    /// Seconds, exact to the nanosecond, without needless zeros; empty when there are none.
    fn seconds(&mut self, nanos: Option<u64>) -> io::Result<()> {
        self.field.clear();
        if let Some(nanos) = nanos {
            let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            write!(self.field, "{whole}")?;
            if rest > 0 {
                write!(self.field, ".{rest:09}")?;
                while self.field.last() == Some(&b'0') {
                    self.field.pop();
                }
            }
        }
        Ok(self.csv.write_field(&self.field)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: RequestRow<'static> = RequestRow {
        id: 7,
        stream: "chat, \"fast\"",
        arrival: Instant::from_nanos(1_500_000_000),
        prompt_tokens: 1020,
        output_tokens: 129,
        deployment: Some("chat-70b"),
        replica: Some(0),
        queue_wait: Some(Duration::from_nanos(1)),
        ttft: Some(Duration::from_nanos(250_000_000)),
        tpot: Some(Duration::from_nanos(30_000_001)),
        e2e: Some(Duration::from_secs(10)),
        outcome: "completed",
        retries: 0,
    };

    #[test]
    fn one_row_a_request() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("deep/requests.csv");
        let mut requests = RequestsCsv::create(&path).expect("created");
        requests.write(&ROW).expect("written");
        let rejected = RequestRow {
            id: 8,
            deployment: None,
            replica: None,
            queue_wait: None,
            ttft: None,
            tpot: None,
            e2e: None,
            outcome: "rejected",
            ..ROW
        };
        requests.write(&rejected).expect("written");
        requests.finish().expect("flushed");
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(
            lines[1],
            "7,\"chat, \"\"fast\"\"\",1.5,1020,129,chat-70b,0,0.000000001,0.25,0.030000001,10,completed,0"
        );
        assert_eq!(lines[2], "8,\"chat, \"\"fast\"\"\",1.5,1020,129,,,,,,,rejected,0");
        assert_eq!(lines.len(), 3);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut requests = RequestsCsv::create(Path::new("/dev/full")).expect("opened");
        let error = (0..100_000).find_map(|_| requests.write(&ROW).err()).expect("the disk is full");
        let text = error.to_string();
        assert!(text.contains("/dev/full") && text.contains("No space left"), "{text}");
    }
}
