//! `fleetsim schema`: the scenario file as a JSON Schema.

use super::Failure;
use crate::scenario;

/// Print the JSON Schema of scenario files, for editors that complete and check TOML.
///
/// Beneath `#:schema scenario.schema.json` as its first line, a scenario is checked while it is written by editors
/// with a TOML language server (taplo, Even Better TOML).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print every option as a line instead: path, kind, default, meaning.
    #[arg(long)]
    list: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if !args.list {
        return super::print(&format!("{:#}\n", scenario::json_schema()));
    }
    let line = |option: scenario::OptionDoc| {
        let default = match (&option.default, option.required) {
            (Some(default), _) => format!("default {default}"),
            (None, true) => "required".to_owned(),
            (None, false) => "optional".to_owned(),
        };
        format!("{}\n    {}; {default}\n    {}\n", option.path, option.kind, option.doc)
    };
    super::print(&scenario::option_reference().into_iter().map(line).collect::<String>())
}
