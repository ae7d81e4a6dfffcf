//! `fleetsim catalog`: what is built in.

use super::Failure;

/// List or show what is built in: accelerators, models, offers, providers.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: Args) -> Result<(), Failure> {
    Err(Failure::Failed("`catalog` is not built yet".to_owned()))
}
