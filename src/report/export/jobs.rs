//! `jobs.csv`: one row a job.

use std::io::{self, Write};

use super::{duration_s, instant_s};
use crate::metrics::results::JobRow;

/// The columns; `nodes` are separated by semicolons, times that do not exist are empty.
pub const COLUMNS: [&str; 14] = [
    "id",
    "user",
    "queue",
    "submit_s",
    "start_s",
    "end_s",
    "wait_s",
    "jct_s",
    "accelerators",
    "pool",
    "nodes",
    "state",
    "preemptions",
    "wait_reason",
];

/// Writes the table.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(jobs: &[JobRow], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for job in jobs {
        let nodes: Vec<String> = job.nodes.iter().map(u32::to_string).collect();
        csv.write_record([
            &job.id,
            &job.user,
            &job.queue,
            &instant_s(job.submit),
            &job.start.map(instant_s).unwrap_or_default(),
            &job.end.map(instant_s).unwrap_or_default(),
            &job.start.map(|start| duration_s(start.since(job.submit))).unwrap_or_default(),
            &job.end.map(|end| duration_s(end.since(job.submit))).unwrap_or_default(),
            &job.accelerators.to_string(),
            job.pool.as_deref().unwrap_or_default(),
            &nodes.join(";"),
            job.state,
            &job.preemptions.to_string(),
            &job.wait_reason,
        ])?;
    }
    csv.flush()
}
