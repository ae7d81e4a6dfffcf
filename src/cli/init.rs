//! `fleetsim init`: a commented scenario to start from.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use super::Failure;
use crate::report::format::shorten;

/// The scenarios that need nothing beside them, by name.
const TEMPLATES: &[(&str, &str)] = &[
    ("quickstart", include_str!("../../scenarios/quickstart.toml")),
    ("how-many-h100", include_str!("../../scenarios/how-many-h100.toml")),
    ("launch-autoscaled", include_str!("../../scenarios/launch-autoscaled.toml")),
    ("when-to-reserve", include_str!("../../scenarios/when-to-reserve.toml")),
    ("overflow-to-api", include_str!("../../scenarios/overflow-to-api.toml")),
    ("shared-cluster", include_str!("../../scenarios/shared-cluster.toml")),
    ("training-run", include_str!("../../scenarios/questions/training-run.toml")),
];

/// Write a commented scenario to start from.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The template; `--list` names them.
    #[arg(default_value = TEMPLATES[0].0)]
    template: String,
    /// The file to write, or - for standard output; TEMPLATE.toml when absent. A file that exists is left alone.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// List the templates.
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        let mut text = String::new();
        for (name, scenario) in TEMPLATES {
            let about = scenario.lines().next().unwrap_or_default().trim_start_matches("# ");
            let _ = writeln!(text, "{name:<20} {}", shorten(about, 99));
        }
        return super::print(&text);
    }
    let Some((name, text)) = TEMPLATES.iter().find(|(name, _)| *name == args.template) else {
        let names: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
        let message =
            format!("error: there is no template `{}`; there are: {}", args.template, names.join(", "));
        return Err(Failure::BadInput(message));
    };
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    if path.as_os_str() == "-" {
        return super::print(text);
    }
    let shown = path.display();
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| {
        Failure::BadInput(match error.kind() {
            ErrorKind::AlreadyExists => {
                format!("error: {shown} exists and is left alone; name another with --out")
            }
            _ => format!("error: {shown} cannot be written: {error}"),
        })
    })?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::Failed(format!("error: {shown} cannot be written: {error}")))?;
    let verb = if text.contains("\n[plan]") { "plan" } else { "run" };
    super::print(&format!("{shown} is yours; try:\n\n  fleetsim {verb} {shown}\n"))
}
