//! Job traces: recorded jobs from a file, plain or gzip, into compact records.
//!
//! Formats: the generic CSV (`id, submit_s, duration_s, accelerators` and optional columns); Philly as
//! published in one table (`timestamp, duration, num_gpus, gpu_time, cluster`; msr-fiddle/philly-traces);
//! Helios' simulator input (`job_id, vc, nodes_in_vc, submit_s, duration, gpu_num`); the Standard Workload
//! Format 2.2 (Feitelson, cs.huji.ac.il/labs/parallel/workload/swf.html), where a processor is a card;
//! Alibaba's GPU traces of 2020 (`pai_task_table.csv`) and 2023 (OpenB's list of pods); Gavel's jobs, as a
//! table with a duration for each accelerator or as its own trace with a table of throughputs; what Slurm's
//! `sacct` and `kubectl get pods` print. Rows may stand in any order; the run's beginning is the time 0 of
//! the file, for dates the earliest.

mod columns;
mod describe;
mod fit;
mod gavel_trace;
mod kubernetes;
mod published;
mod slurm;
#[cfg(test)]
mod tests;

pub use describe::{Against, Demand, JobDescription, Refusal};
pub use fit::Fitted;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use super::config::{JobOption, JobTerms};
use super::list::JobList;
use crate::fleet::{Host, PoolConfig, PoolId};
use crate::policies::placement::Needs;
use crate::units::{Duration, Flop, Instant};
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
    /// Alibaba's pods of 2023.
    OpenB,
    /// Alibaba's tasks of 2020.
    Alibaba2020,
    /// Gavel's jobs.
    Gavel,
    /// Slurm's `sacct --parsable2`.
    Slurm,
    /// `kubectl get pods -A -o json`.
    Kubernetes,
}

impl JobTraceFormat {
    /// All formats, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 11] = [
        ("csv", Self::Csv),
        ("philly", Self::Philly),
        ("helios", Self::Helios),
        ("swf", Self::Swf),
        ("openb", Self::OpenB),
        ("alibaba-2023", Self::OpenB),
        ("alibaba-2020", Self::Alibaba2020),
        ("gavel", Self::Gavel),
        ("slurm", Self::Slurm),
        ("sacct", Self::Slurm),
        ("kubernetes", Self::Kubernetes),
    ];

    /// Its name in scenarios.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// Whether times are dates, of which the earliest is the beginning.
    fn has_dates(self) -> bool {
        matches!(self, Self::Philly | Self::Slurm | Self::Kubernetes)
    }

    /// The format of a file by its first line, if it is a trace of jobs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(file: &Path) -> io::Result<Option<Self>> {
        let mut first = String::new();
        open(file)?.take(4096).read_line(&mut first)?;
        let has = |names: &[&str], parts: char| {
            let columns: Vec<&str> = first.trim().split(parts).map(str::trim).collect();
            names.iter().all(|name| columns.contains(name))
        };
        let tables: [(&[&str], Self); 6] = [
            (&["submit_s", "duration_s", "accelerators"], Self::Csv),
            (&published::PHILLY, Self::Philly),
            (&published::HELIOS, Self::Helios),
            (&["cpu_milli", "num_gpu", "gpu_milli"], Self::OpenB),
            (&["job_name", "inst_num", "plan_gpu"], Self::Alibaba2020),
            (&published::GAVEL, Self::Gavel),
        ];
        let table = tables.iter().find(|(names, _)| has(names, ',')).map(|(_, format)| *format);
        let ends = |ending: &str| file.to_string_lossy().trim_end_matches(".gz").ends_with(ending);
        Ok(match table {
            Some(format) => Some(format),
            None if has(&slurm::NEEDED, '|') => Some(Self::Slurm),
            None if first.starts_with(';') || ends(".swf") => Some(Self::Swf),
            None if ends(".json") && first.trim_start().starts_with('{') => Some(Self::Kubernetes),
            None => None,
        })
    }
}

/// A pool that jobs may run on.
#[derive(Debug, Clone, PartialEq)]
pub struct TracePool {
    /// The pool.
    pub id: PoolId,
    /// Its name, for messages.
    pub name: String,
    /// All its cards.
    pub cards: u32,
    /// Cards of a node.
    pub cards_per_node: u32,
    /// The accelerator on its nodes.
    pub accelerator: String,
    /// What a node has beside cards.
    pub host: Host,
}

impl TracePool {
    /// A pool of which only its cards matter: all on one node.
    pub fn of_cards(id: PoolId, cards: u32) -> Self {
        Self {
            id,
            name: String::new(),
            cards,
            cards_per_node: cards,
            accelerator: String::new(),
            host: Host::default(),
        }
    }

    /// A pool of a fleet, with all the nodes that it can have.
    pub fn from_config(id: PoolId, pool: &PoolConfig) -> Self {
        Self {
            id,
            name: pool.name.clone(),
            cards: pool.slots() * pool.cards_per_node,
            cards_per_node: pool.cards_per_node,
            accelerator: pool.accelerator.clone(),
            host: pool.host,
        }
    }

    /// Whether it has an accelerator by this name; several names are parted by `|`. Letters and digits
    /// count, and one name may say more than the other: `v100` is `V100-SXM2-16GB`.
    fn has(&self, wanted: &str) -> bool {
        Self::same_accelerator(&self.accelerator, wanted)
    }

    /// Whether an accelerator may go by a name, or by one of several.
    pub fn same_accelerator(accelerator: &str, wanted: &str) -> bool {
        let plain = |text: &str| -> String {
            text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        let own = plain(accelerator);
        wanted
            .split('|')
            .map(plain)
            .filter(|name| !name.is_empty())
            .any(|name| own == name || !own.is_empty() && (own.contains(&name) || name.contains(&own)))
    }
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
    /// Gavel's table of throughputs, when the trace is its own.
    pub throughputs: Option<PathBuf>,
    /// Where the jobs may run, in order of preference; at least one.
    pub pools: Vec<TracePool>,
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
        let mut kept: Vec<(Row, Vec<PoolId>)> = Vec::new();
        let (mut left_out, mut examples) = (0, Vec::new());
        rows(reader, &config.file, config.format, config.throughputs.as_deref(), &mut |line, row| {
            let ours = |row: &Row| config.queues.is_empty() || config.queues.contains(&row.queue);
            // What is wrong with a row of another queue is nobody's business here.
            let row = match row {
                Ok(row) if !ours(&row) => return,
                row => row.and_then(|row| {
                    makes_sense(&row, config.format)?;
                    let pools = admitted(&row, &config.pools)?;
                    Ok((row, pools))
                }),
            };
            match row {
                Ok(row) => {
                    if kept.len() < MOST_JOBS {
                        kept.push(row);
                    }
                }
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
        kept.sort_by(|(a, _), (b, _)| a.submit_s.total_cmp(&b.submit_s));
        // Of dates the earliest is the beginning; in the other formats 0 is.
        let first = if config.format.has_dates() { kept[0].0.submit_s } else { 0.0 };
        let mut jobs = JobList::default();
        for (row, pools) in &kept {
            let at = |seconds: f64| Instant::from_secs_f64(seconds - first);
            let terms = JobTerms {
                priority: row.priority,
                estimate: row.estimate_s.map(Duration::from_secs_f64),
                deadline: row.deadline_s.map(at),
            };
            let texts = (row.id.as_str(), row.user.as_str(), row.queue.as_str());
            let duration = |pool: &PoolId| {
                let on = config.pools.iter().find(|other| other.id == *pool)?;
                row.durations.iter().find(|(kind, _)| on.has(kind)).map(|(_, seconds)| *seconds)
            };
            let on_first = pools.first().and_then(duration).unwrap_or(row.duration_s);
            let job = jobs.push(
                texts,
                at(row.submit_s),
                (row.cards, Duration::from_secs_f64(on_first)),
                pools,
                terms,
            );
            jobs.set_needs(job, needs(row));
            if !row.durations.is_empty() {
                let option = |pool: &PoolId| JobOption {
                    pool: *pool,
                    duration: Duration::from_secs_f64(duration(pool).unwrap_or(row.duration_s)),
                    flop: Flop::ZERO,
                    on_links: None,
                    label: String::new(),
                    loads: Vec::new(),
                    steps: 0.0,
                };
                jobs.set_options(job, pools.iter().map(option).collect());
            }
        }
        Ok(Self { jobs, left_out, examples })
    }
}

/// Whether the figures of a row make sense, wherever it is to run.
fn makes_sense(row: &Row, format: JobTraceFormat) -> Result<(), String> {
    let time = |name: &str, value: f64| {
        if value.is_finite() && (0.0..=LONGEST_S).contains(&value) {
            return Ok(());
        }
        Err(format!("{name} of {value} s is not a time of at most 100 years"))
    };
    time("a duration", row.duration_s)?;
    row.durations.iter().try_for_each(|(kind, seconds)| time(&format!("a duration on {kind}"), *seconds))?;
    time("an estimate", row.estimate_s.unwrap_or(0.0))?;
    time("a deadline", row.deadline_s.unwrap_or(0.0))?;
    if !format.has_dates() {
        time("a time of submission", row.submit_s)?;
    } else if !row.submit_s.is_finite() {
        return Err("the time of submission is none".to_owned());
    }
    for (what, value) in [("CPUs", row.cpus), ("MiB of memory", row.memory_mib)] {
        if !(value.is_finite() && (0.0..=4e6).contains(&value)) {
            return Err(format!("it wants {value} {what}"));
        }
    }
    if row.cards == 0 && !row.hosts { Err("it wants no card".to_owned()) } else { Ok(()) }
}

fn needs(row: &Row) -> Needs {
    Needs {
        card_milli: row.card_milli,
        cpu_milli: (row.cpus * 1000.0).round() as u32,
        memory_mib: row.memory_mib.round() as u32,
    }
}

/// The pools on which a job may run, in their order.
///
/// # Errors
/// Why it is not admitted to any.
fn admitted(row: &Row, pools: &[TracePool]) -> Result<Vec<PoolId>, String> {
    let typed = |pool: &&TracePool| {
        let by_row = row.accelerator_type.is_empty() || pool.has(&row.accelerator_type);
        by_row && (row.durations.is_empty() || row.durations.iter().any(|(kind, _)| pool.has(kind)))
    };
    let of_type: Vec<&TracePool> = pools.iter().filter(typed).collect();
    if of_type.is_empty() {
        let mut have: Vec<&str> = pools.iter().map(|pool| pool.accelerator.as_str()).collect();
        have.sort_unstable();
        have.dedup();
        let wanted = match row.durations.first() {
            Some((kind, _)) if row.accelerator_type.is_empty() => kind,
            _ => &row.accelerator_type,
        };
        return Err(format!("it wants the accelerator `{wanted}`, and its pools have {}", have.join(", ")));
    }
    let most = of_type.iter().map(|pool| pool.cards).max().unwrap_or(0);
    if row.cards > most {
        return Err(format!("it wants {} cards, and its largest pool has {most}", row.cards));
    }
    let needs = needs(row);
    let mut why = None;
    let fits = |pool: &&&TracePool| {
        let want = needs.on_node(row.cards.min(pool.cards_per_node), row.cards);
        let host = [
            ("CPUs", want.cpu_milli, pool.host.cpu_milli, 1000.0),
            ("GiB of memory", want.memory_mib, pool.host.memory_mib, 1024.0),
        ];
        let lacks =
            host.into_iter().find(|(_, wanted, has, _)| *wanted > 0 && has.is_none_or(|has| has < *wanted));
        if let Some((what, wanted, has, unit)) = lacks {
            let wanted = f64::from(wanted) / unit;
            why.get_or_insert_with(|| match has {
                Some(has) => {
                    format!("it wants {wanted:.1} {what} on a node, and a node of its pools has {:.1}", f64::from(has) / unit)
                }
                None => format!(
                    "it wants {wanted:.1} {what} on a node, and how many its pools' nodes have is not known: give them \
                     `cpus` and `memory`"
                ),
            });
        }
        lacks.is_none() && row.cards <= pool.cards
    };
    let ids: Vec<PoolId> = of_type.iter().filter(fits).map(|pool| pool.id).collect();
    if ids.is_empty() {
        Err(why.unwrap_or_else(|| "it fits on none of its pools".to_owned()))
    } else {
        Ok(ids)
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
