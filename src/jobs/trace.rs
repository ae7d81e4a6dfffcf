//! Job traces: recorded jobs from a file, plain or gzip, into compact records.
//!
//! Formats: the generic CSV (`id, submit_s, duration_s, accelerators` and optional columns); Philly as
//! published in one table (`timestamp, duration, num_gpus, gpu_time, cluster`; msr-fiddle/philly-traces);
//! Helios' simulator input (`job_id, vc, nodes_in_vc, submit_s, duration, gpu_num`); and the Standard Workload
//! Format 2.2 (Feitelson, cs.huji.ac.il/labs/parallel/workload/swf.html), where a processor is a card. Rows
//! may stand in any order; the run's beginning is the time 0 of the file, for Philly its earliest time.

mod columns;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use super::config::JobTerms;
use super::list::JobList;
use crate::fleet::PoolId;
use crate::units::{Duration, Instant};
use columns::{Row, rows};

/// The formats that a scenario can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobTraceFormat {
    /// `id, submit_s, duration_s, accelerators[, user, queue, priority, estimate_s, deadline_s]`.
    Csv,
    /// Philly's table.
    Philly,
    /// The input of Helios' simulator.
    Helios,
    /// Standard Workload Format.
    Swf,
}

impl JobTraceFormat {
    /// All formats, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 4] =
        [("csv", Self::Csv), ("philly", Self::Philly), ("helios", Self::Helios), ("swf", Self::Swf)];
}

/// What to read, and for which pools.
#[derive(Debug, Clone, PartialEq)]
pub struct JobTraceConfig {
    /// The file.
    pub file: PathBuf,
    /// Its format.
    pub format: JobTraceFormat,
    /// Only jobs of these queues (Helios' and Philly's virtual clusters); all when empty.
    pub queues: Vec<String>,
    /// Where the jobs may run, in order of preference, with the cards of each pool; at least one.
    pub pools: Vec<(PoolId, u32)>,
    /// Leave out rows that cannot be used, instead of refusing the trace.
    pub skip_bad_rows: bool,
}

/// A trace that was read.
#[derive(Debug)]
pub struct JobTrace {
    /// Its jobs, by submission.
    pub jobs: JobList,
    /// Rows left out because they cannot be used.
    pub left_out: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

/// Why a trace cannot be used.
#[derive(Debug, Error)]
pub enum JobTraceError {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The header is not that of the format.
    #[error("{}: the header has no column `{column}`; its columns: {columns}", file.display())]
    Header {
        /// The file.
        file: PathBuf,
        /// The column that is missing.
        column: &'static str,
        /// The columns that there are.
        columns: String,
    },
    /// Rows that cannot be used.
    #[error("{}: {count} rows cannot be used: {}", file.display(), examples.join("; "))]
    Rows {
        /// The file.
        file: PathBuf,
        /// How many.
        count: u64,
        /// The first of them.
        examples: Vec<String>,
    },
    /// Nothing is left.
    #[error("{}: no job is left to run", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

/// Most rows that are named one by one.
const EXAMPLES: usize = 5;

/// Longest that a job may take, and latest that it may be submitted: beyond, the clock would run over.
const LONGEST_S: f64 = 100.0 * 31_536_000.0;

/// Most jobs of a trace.
const MOST_JOBS: usize = 1 << 28;

impl JobTrace {
    /// Reads a trace.
    ///
    /// # Errors
    /// When the file cannot be read, its header is wrong, a row cannot be used and is not to be left out, or
    /// no job is left.
    pub fn read(config: &JobTraceConfig) -> Result<Self, JobTraceError> {
        let read = |source| JobTraceError::Read { file: config.file.clone(), source };
        let reader = open(&config.file).map_err(read)?;
        let mut kept: Vec<Row> = Vec::new();
        let (mut left_out, mut examples) = (0, Vec::new());
        rows(reader, &config.file, config.format, &mut |line, row| {
            let row = row.and_then(|row| checked(row, config));
            match row {
                Ok(row) if config.queues.is_empty() || config.queues.contains(&row.queue) => {
                    if kept.len() < MOST_JOBS {
                        kept.push(row);
                    }
                }
                Ok(_) => {}
                Err(why) => {
                    left_out += 1;
                    if examples.len() < EXAMPLES {
                        examples.push(format!("line {line}: {why}"));
                    }
                }
            }
        })?;
        if left_out > 0 && !config.skip_bad_rows {
            return Err(JobTraceError::Rows { file: config.file.clone(), count: left_out, examples });
        }
        if kept.is_empty() {
            return Err(JobTraceError::Empty { file: config.file.clone() });
        }
        // Rows of the same time keep their order.
        kept.sort_by(|a, b| a.submit_s.total_cmp(&b.submit_s));
        // Only Philly's times are dates; in the other formats 0 is the beginning.
        let first = if config.format == JobTraceFormat::Philly { kept[0].submit_s } else { 0.0 };
        let pools: Vec<PoolId> = config.pools.iter().map(|(pool, _)| *pool).collect();
        let mut jobs = JobList::default();
        for row in &kept {
            let at = |seconds: f64| Instant::from_secs_f64(seconds - first);
            let terms = JobTerms {
                priority: row.priority,
                estimate: row.estimate_s.map(Duration::from_secs_f64),
                deadline: row.deadline_s.map(at),
            };
            let texts = (row.id.as_str(), row.user.as_str(), row.queue.as_str());
            jobs.push(
                texts,
                at(row.submit_s),
                (row.cards, Duration::from_secs_f64(row.duration_s)),
                &pools,
                terms,
            );
        }
        Ok(Self { jobs, left_out, examples })
    }
}

/// A row whose figures make sense on these pools.
fn checked(row: Row, config: &JobTraceConfig) -> Result<Row, String> {
    let time = |name: &str, value: f64| {
        if value.is_finite() && (0.0..=LONGEST_S).contains(&value) {
            return Ok(());
        }
        Err(format!("{name} of {value} s is not a time of at most 100 years"))
    };
    time("a duration", row.duration_s)?;
    time("an estimate", row.estimate_s.unwrap_or(0.0))?;
    time("a deadline", row.deadline_s.unwrap_or(0.0))?;
    if config.format == JobTraceFormat::Philly {
        // A date; its distance from the first is what counts.
        if !row.submit_s.is_finite() {
            return Err("the time of submission is none".to_owned());
        }
    } else {
        time("a time of submission", row.submit_s)?;
    }
    let most = config.pools.iter().map(|(_, cards)| *cards).max().unwrap_or(0);
    match row.cards {
        0 => Err("it wants no card".to_owned()),
        cards if cards > most => Err(format!("it wants {cards} cards, and its largest pool has {most}")),
        _ => Ok(row),
    }
}

/// Opens a file; gzip is told by its first two bytes (RFC 1952, section 2.3.1).
fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut reader = BufReader::new(File::open(file)?);
    if reader.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let unpacked: Box<dyn Read> = Box::new(MultiGzDecoder::new(reader));
        return Ok(Box::new(BufReader::new(unpacked)));
    }
    Ok(Box::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn read(format: JobTraceFormat, text: &str, skip_bad_rows: bool) -> Result<JobTrace, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("it can be written");
        let config = JobTraceConfig {
            file: file.path().to_owned(),
            format,
            queues: Vec::new(),
            pools: vec![(PoolId(0), 16)],
            skip_bad_rows,
        };
        let name = file.path().display().to_string();
        JobTrace::read(&config).map_err(|error| error.to_string().replace(&name, "FILE"))
    }

    /// (name, submission, duration, cards, user, queue, estimate) of each job, times in seconds.
    fn table(trace: &JobTrace) -> Vec<(String, f64, f64, u32, String, String, f64)> {
        let jobs = &trace.jobs;
        let row = |job| {
            let facts = jobs.facts(job);
            let s = |duration: Duration| duration.as_secs_f64();
            let (user, queue) = (jobs.user(job).to_owned(), jobs.queue(job).to_owned());
            let submit = facts.submit.as_secs_f64();
            (
                jobs.name(job).to_owned(),
                submit,
                s(facts.duration),
                facts.cards,
                user,
                queue,
                s(facts.estimate),
            )
        };
        (0..jobs.len() as u32).map(row).collect()
    }

    fn job(
        name: &str,
        times: [f64; 3],
        cards: u32,
        user: &str,
        queue: &str,
    ) -> (String, f64, f64, u32, String, String, f64) {
        (name.to_owned(), times[0], times[1], cards, user.to_owned(), queue.to_owned(), times[2])
    }

    #[test]
    fn generic_csv_in_any_order_of_rows_and_columns() {
        let text =
            "accelerators,id,duration_s,submit_s,user,estimate_s,queue\n2,b,3.5,10,ann,,q\n1,a,2,1,,60,\n";
        let trace = read(JobTraceFormat::Csv, text, false).expect("it is right");
        let expected = [job("a", [1.0, 2.0, 60.0], 1, "", ""), job("b", [10.0, 3.5, 3.5], 2, "ann", "q")];
        assert_eq!(table(&trace), expected);
    }

    #[test]
    fn philly_begins_with_its_earliest_job() {
        let text = "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,66.0,1,66.0,11cb48\n\
                    2017-10-08 07:01:50,2951.0,2,5902.0,6214e9\n";
        let trace = read(JobTraceFormat::Philly, text, false).expect("it is right");
        let expected = [
            job("2", [0.0, 2951.0, 2951.0], 2, "", "6214e9"),
            job("1", [86_405.0, 66.0, 66.0], 1, "", "11cb48"),
        ];
        assert_eq!(table(&trace), expected);
    }

    #[test]
    fn swf_takes_requested_processors_and_time() {
        let text = "; Version: 2.2\n\n 1 5 -1 60 4 -1 -1 8 300 -1 1 7 2 1 3 1 -1 -1\n\
                    2 6 -1 30 2 -1 -1 -1 -1 -1 1 8 2 1 -1 -1 -1 -1\n";
        let trace = read(JobTraceFormat::Swf, text, false).expect("it is right");
        let expected = [job("1", [5.0, 60.0, 300.0], 8, "7", "3"), job("2", [6.0, 30.0, 30.0], 2, "8", "")];
        assert_eq!(table(&trace), expected);
    }

    #[test]
    fn bad_rows_are_named_or_left_out_when_asked() {
        let text =
            "id,submit_s,duration_s,accelerators\na,0,,1\nb,0,5,0\nc,0,5,17\nd,-1,5,1\ne,0,5,1\nf,0,1e12,1\n";
        let error = read(JobTraceFormat::Csv, text, false).expect_err("five rows are bad");
        assert_eq!(
            error,
            "FILE: 5 rows cannot be used: line 2: `duration_s` is missing; line 3: it wants no card; line 4: it \
             wants 17 cards, and its largest pool has 16; line 5: a time of submission of -1 s is not a time of at \
             most 100 years; line 7: a duration of 1000000000000 s is not a time of at most 100 years"
        );
        let trace = read(JobTraceFormat::Csv, text, true).expect("one row is left");
        assert_eq!((trace.jobs.len(), trace.left_out, trace.examples.len()), (1, 5, 5));
    }

    #[test]
    fn what_is_not_modelled_is_refused() {
        let text = "id,submit_s,duration_s,accelerators,cards_fraction\na,0,5,1,0.5\nb,0,5,1,1\n";
        let error = read(JobTraceFormat::Csv, text, false).expect_err("half a card");
        assert_eq!(error, "FILE: 1 rows cannot be used: line 2: `cards_fraction` is not built yet");
        let error =
            read(JobTraceFormat::Csv, "id,submit,duration_s,accelerators\n", false).expect_err("header");
        assert_eq!(
            error,
            "FILE: the header has no column `submit_s`; its columns: id, submit, duration_s, accelerators"
        );
        assert_eq!(
            read(JobTraceFormat::Swf, "; nothing\n", false).expect_err("empty"),
            "FILE: no job is left to run"
        );
    }
}
