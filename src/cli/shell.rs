//! `fleetsim completions` and `fleetsim man`: for shells and their manuals, from the one definition of the arguments.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Failure};

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Write manual pages, one a verb, as in `fleetsim man ~/.local/share/man/man1`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder to write them into; the page of the program itself goes to standard output when absent.
    folder: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fleetsim", &mut text);
    super::print(&String::from_utf8_lossy(&text))
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    if let Some(folder) = &args.folder {
        return std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
            .map_err(|error| {
                Failure::Failed(format!("error: {} cannot be written: {error}", folder.display()))
            });
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|error| Failure::Failed(format!("error: the manual cannot be drawn: {error}")))?;
    super::print(&String::from_utf8_lossy(&text))
}
