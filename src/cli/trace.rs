//! `fleetsim trace`: look at a real trace, or make observations of a recording.

mod plots;
mod print;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Failure;
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
}

/// Print a trace's rate, burstiness and lengths, and draw them.
///
/// The whole file is read and checked: what is wrong with it is said with its line. With --json the plots
/// are drawn only when --out is given.
#[derive(Debug, clap::Args)]
struct DescribeArgs {
    /// The trace, plain or gzip
    file: PathBuf,
    /// Its format; told from its first line when not given
    #[arg(long, value_name = "FORMAT", value_parser = format_parser())]
    format: Option<TraceFormat>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where to draw the plots [default: out/trace-NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Make observations for `policy replay` of Prometheus range queries.
///
/// Each FILE is what /api/v1/query_range returned. Series become metrics under their names, series with a `pod`
/// label metrics of pods, and kube-state-metrics' counts of replicas become replicas. The observations, a JSON line a
/// tick, go to standard output or to --out.
#[derive(Debug, clap::Args)]
struct ConvertArgs {
    /// Exports, JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to write the observations [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn format_parser() -> impl TypedValueParser<Value = TraceFormat> {
    PossibleValuesParser::new(TraceFormat::ALL.map(TraceFormat::name))
        .try_map(|name| TraceFormat::from_name(&name).ok_or("no such format"))
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Describe(args) => run_describe(&args),
        Verb::Convert(args) => run_convert(&args),
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
    let description = describe(&args.file, args.format)?;
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
