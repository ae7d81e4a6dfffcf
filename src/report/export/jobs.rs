//! `jobs.csv`: one row a job; `job_waits.csv`: what each of those that waited did so for.

use std::io::{self, Write};

use super::{duration_s, instant_s};
use crate::metrics::results::{JobRow, JobWaits};
use crate::units::Duration;

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
pub fn write(jobs: &[JobRow], waits: &JobWaits, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for (number, job) in jobs.iter().enumerate() {
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
            &reason(job, waits.of(number)),
        ])?;
    }
    csv.flush()
}

/// Why a job waited; where that changed while it did, also for how long for what.
fn reason(job: &JobRow, waits: impl Iterator<Item = (&'static str, Duration)>) -> String {
    let parts: Vec<String> = waits.map(|(cause, time)| format!("{cause} {} s", duration_s(time))).collect();
    if parts.len() < 2 {
        job.wait_reason.clone()
    } else {
        format!("{} ({})", job.wait_reason, parts.join(", "))
    }
}

/// Writes the causes of waits, a column for each that occurs: they add up to the job's wait, or of one that never
/// started to its time from submission to the end of the run.
///
/// # Errors
/// When `out` cannot be written.
pub fn write_waits(jobs: &[JobRow], waits: &JobWaits, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let column = |cause: &&str| format!("{}_s", cause.replace(' ', "_"));
    csv.write_record(["id".to_owned()].into_iter().chain(waits.causes.iter().map(column)))?;
    for (number, job) in jobs.iter().enumerate() {
        let times: Vec<(&str, Duration)> = waits.of(number).collect();
        if times.is_empty() {
            continue;
        }
        let time =
            |cause: &&str| times.iter().find(|(name, _)| name == cause).map(|(_, time)| duration_s(*time));
        let cells = waits.causes.iter().map(|cause| time(cause).unwrap_or_else(|| "0".to_owned()));
        csv.write_record([job.id.clone()].into_iter().chain(cells))?;
    }
    csv.flush()
}
