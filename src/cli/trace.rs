//! `fleetsim trace`: look at a real trace.

use super::Failure;

/// Look at a real trace: its rate, its burstiness, its errors.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<(), Failure> {
    Err(Failure::Failed("`trace` is not built yet".to_owned()))
}
