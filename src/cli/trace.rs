//! `fleetsim trace`: look at a real trace, or make observations of a recording.

mod jobs;
mod plots;
mod print;
mod stream;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Failure;
use crate::jobs::JobTraceFormat;
use crate::policies::replay::observations;
use crate::traffic::describe::describe;
use crate::traffic::{TraceFormat, TrafficError};

/// Look at a real trace: its rate, its burstiness, its errors.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Describe(DescribeArgs),
    Convert(ConvertArgs),
    Fit(FitArgs),
}

/// Make a stream like a trace of requests, or jobs like those of a trace of jobs.
///
/// Of requests a [[streams]] for a scenario is printed: the mean rate, the variation of the times between requests,
/// the median and 99th percentile of prompts and outputs, and the share of prompts that a cache without bound finds,
/// where the trace has hashes. Of jobs kept are how often jobs have each number of cards, the durations of each such
/// class, how much users overestimate, and how many jobs come in each hour of the day; they are printed as a generic
/// trace.
#[derive(Debug, clap::Args)]
struct FitArgs {
    /// The trace, plain or gzip; rows that cannot be used are left out
    file: PathBuf,
    /// Its format; told from its first line when not given
    #[arg(long, value_name = "FORMAT", value_parser = any_format_parser())]
    format: Option<AnyFormat>,
    /// Of jobs, how many [default: as many as the trace has]
    #[arg(long, value_name = "N")]
    jobs: Option<u64>,
    /// Of jobs, the seed of their draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write what was fitted [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Print what a trace is like and what is wrong with it: of requests rate, burstiness and lengths, drawn as
/// well; of jobs sizes, durations, and whether a cluster can serve them.
///
/// The whole file is read and checked: what is wrong with it is said with its line. With --json the plots
/// are drawn only when --out is given.
#[derive(Debug, clap::Args)]
struct DescribeArgs {
    /// The trace, plain or gzip
    file: PathBuf,
    /// Its format; told from its first line when not given
    #[arg(long, value_name = "FORMAT", value_parser = any_format_parser())]
    format: Option<AnyFormat>,
    #[command(flatten)]
    cluster: jobs::Cluster,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where to draw the plots [default: out/trace-NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Make observations for `policy replay` of Prometheus range queries.
///
/// Each FILE is what /api/v1/query_range returned. Series become metrics under their names, series with a
/// `pod` label metrics of pods, and kube-state-metrics' counts of replicas become replicas. The
/// observations, a JSON line a tick, go to standard output or to --out.
#[derive(Debug, clap::Args)]
struct ConvertArgs {
    /// Exports, JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to write the observations [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A format of either kind of trace; `csv` is both, and what the header says.
#[derive(Debug, Clone, Copy)]
enum AnyFormat {
    Requests(TraceFormat),
    Jobs(JobTraceFormat),
}

fn any_format_parser() -> impl TypedValueParser<Value = AnyFormat> {
    let mut names: Vec<&'static str> = TraceFormat::ALL.iter().map(|format| format.name()).collect();
    names.extend(JobTraceFormat::ALL.iter().map(|(name, _)| *name));
    names.dedup();
    PossibleValuesParser::new(names).try_map(|name| {
        let requests = TraceFormat::from_name(&name).map(AnyFormat::Requests);
        requests.or_else(|| job_format(&name).map(AnyFormat::Jobs)).ok_or("no such format")
    })
}

fn job_format(name: &str) -> Option<JobTraceFormat> {
    JobTraceFormat::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
}

/// The format of a trace of jobs by its first line; a file that cannot be read is somebody else's error.
fn sniffed(file: &Path) -> Option<JobTraceFormat> {
    JobTraceFormat::of(file).ok().flatten()
}

fn run_fit(args: &FitArgs) -> Result<(), Failure> {
    let (requests, jobs) = kind_of(&args.file, args.format);
    match jobs {
        Some(format) => jobs::fit(&args.file, format, (args.jobs, args.seed), args.out.as_deref()),
        None => stream::fit(&args.file, requests, &name_of(&args.file), args.out.as_deref()),
    }
}

/// Which kind of trace a file is, by what was said or by its first line: of jobs, or else of requests.
fn kind_of(file: &Path, format: Option<AnyFormat>) -> (Option<TraceFormat>, Option<JobTraceFormat>) {
    match format {
        Some(AnyFormat::Jobs(format)) => (None, Some(format)),
        Some(AnyFormat::Requests(format)) => {
            // A generic table is what its header says.
            let generic = format.name() == "csv";
            (Some(format), sniffed(file).filter(|found| generic && *found == JobTraceFormat::Csv))
        }
        None => (None, sniffed(file)),
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Describe(args) => run_describe(&args),
        Verb::Convert(args) => run_convert(&args),
        Verb::Fit(args) => run_fit(&args),
    }
}

fn run_convert(args: &ConvertArgs) -> Result<(), Failure> {
    let mut exports = Vec::new();
    for path in &args.files {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::BadInput(format!("error: {shown} cannot be read: {error}")))?;
        exports.push((shown, text));
    }
    let lines = observations(&exports).map_err(|error| Failure::BadInput(format!("error: {error}")))?;
    match &args.out {
        None => print::out(&lines),
        Some(path) => {
            let shown = path.display();
            std::fs::write(path, lines)
                .map_err(|error| Failure::BadInput(format!("error: {shown} cannot be written: {error}")))
        }
    }
}

impl From<TrafficError> for Failure {
    fn from(error: TrafficError) -> Self {
        Self::BadInput(format!("error: {error}"))
    }
}

fn run_describe(args: &DescribeArgs) -> Result<(), Failure> {
    let (requests, of_jobs) = kind_of(&args.file, args.format);
    if let Some(format) = of_jobs {
        return jobs::describe(&args.file, format, &args.cluster, args.json);
    }
    let description = describe(&args.file, requests)?;
    let name = name_of(&args.file);
    if args.json {
        print::out(&print::json(&args.file, &description))?;
    } else {
        print::out(&print::text(&name, &description))?;
    }
    let default = || Path::new("out").join(format!("trace-{name}"));
    let Some(dir) = args.out.clone().or_else(|| (!args.json).then(default)) else { return Ok(()) };
    let drawn = plots::draw(&name, &description, &dir)?;
    eprintln!("drawn in {}: {}", dir.display(), drawn.join(", "));
    Ok(())
}

/// The file's name without the endings that say what kind of file it is.
fn name_of(file: &Path) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut name = name.as_str();
    for ending in [".gz", ".csv", ".jsonl", ".json"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    if name.is_empty() { "trace".to_owned() } else { name.to_owned() }
}
