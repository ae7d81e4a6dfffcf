//! The command line: one file a verb, no logic of the field.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod calibrate;
mod catalog;
mod check;
mod compare;
mod estimate;
mod figures;
mod init;
mod plan;
mod points;
mod policy;
mod run;
mod schema;
mod shell;
mod sweep;
mod trace;
mod validate;

/// Decide about accelerators before you pay for them.
#[derive(Debug, Parser)]
#[command(name = "fleetsim", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Compare(compare::Args),
    Sweep(sweep::Args),
    Plan(plan::Args),
    Calibrate(calibrate::Args),
    Catalog(catalog::Args),
    Check(check::Args),
    Estimate(Box<estimate::Args>),
    Policy(policy::Args),
    Schema(schema::Args),
    Init(init::Args),
    Trace(trace::Args),
    Validate(validate::Args),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// How a verb ends when it does not end well.
#[derive(Debug)]
pub enum Failure {
    /// The simulation or the plan failed: exit status 1.
    Failed(String),
    /// Bad input or usage: exit status 2.
    BadInput(String),
}

/// Runs the program on the process's arguments.
///
/// Exit status: 0 done; 1 the simulation or the plan failed; 2 bad input or usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Sweep(args) => sweep::run(args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Calibrate(args) => calibrate::run(&args),
        Verb::Catalog(args) => catalog::run(args),
        Verb::Check(args) => check::run(&args),
        Verb::Estimate(args) => estimate::run(&args),
        Verb::Policy(args) => policy::run(args),
        Verb::Schema(args) => schema::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Trace(args) => trace::run(args),
        Verb::Completions(args) => shell::completions(&args),
        Verb::Man(args) => shell::man(&args),
        Verb::Validate(args) => validate::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            eprintln!("{why}");
            ExitCode::from(1)
        }
        Err(Failure::BadInput(why)) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Writes data to standard output; a reader that has gone away (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
