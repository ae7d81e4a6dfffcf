//! `fleetsim policy`: what policies there are, and what one decides on recorded observations.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::policies::replay::{LAWS, Law, replay};

/// List the autoscalers with their rules, or replay one on recorded observations.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(ListArgs),
    Replay(ReplayArgs),
}

/// List the autoscalers: rule, file, source, and what is not built.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Feed recorded observations to one policy and print its decision at each tick, as JSON lines.
///
/// SPEC is the file that the policy's own project reads (a HorizontalPodAutoscaler manifest, say). Each line
/// of FILE is a tick: {"t_s": 15, "replicas": 3, "metrics": {"qps": 70}}; each answer is {"t_s", "desired",
/// "raw", "limits", "reason"} or {"t_s", "error"}.
#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// The policy's own file, YAML or TOML
    spec: PathBuf,
    /// The observations, JSON lines
    #[arg(long, value_name = "FILE.jsonl")]
    observations: PathBuf,
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::List(args) => super::print(&if args.json { list_json() } else { list() }),
        Verb::Replay(args) => {
            let spec = read(&args.spec)?;
            let mut law = Law::read(&args.spec.display().to_string(), &spec)
                .map_err(|error| Failure::BadInput(error.to_string()))?;
            let observations = read(&args.observations)?;
            let answers = replay(&mut law, &args.observations.display().to_string(), &observations)
                .map_err(|error| Failure::BadInput(error.to_string()))?;
            super::print(&answers)
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::BadInput(format!("error: cannot read {}: {error}", path.display())))
}

fn list() -> String {
    let mut text = String::new();
    for law in LAWS {
        let _ = writeln!(text, "{} ({})", law.name, law.decides);
        let not_built = if law.not_built.is_empty() { "nothing" } else { law.not_built };
        let lines =
            [("rule", law.rule), ("file", law.file), ("source", law.source), ("not built", not_built)];
        for (what, line) in lines {
            let _ = writeln!(text, "  {what:<10}{line}");
        }
    }
    text
}

fn list_json() -> String {
    let laws: Vec<_> = LAWS
        .iter()
        .map(|law| {
            serde_json::json!({
                "name": law.name, "decides": law.decides, "rule": law.rule, "file": law.file,
                "source": law.source, "not_built": law.not_built,
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(laws))
}
