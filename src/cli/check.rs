//! `fleetsim check`: is this scenario sound?

use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::Failure;
use crate::scenario::{self, Diagnostics, Loaded};

/// Check a scenario without running it: every error with its place in the file.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Print the scenario with every default filled in.
    #[arg(long)]
    resolved: bool,
}

/// A scenario file and what is changed in it, as every verb that takes a scenario has it.
#[derive(Debug, clap::Args)]
pub struct ScenarioArgs {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Set a value of the scenario, as in pools.base.nodes=4 or streams.chat.rate=20/s; tables by their
    /// key, list items by their name. Can be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
    /// The seed, instead of the scenario's.
    #[arg(long)]
    pub seed: Option<u64>,
}

impl ScenarioArgs {
    /// Loads the scenario; warnings go to stderr.
    ///
    /// # Errors
    /// [`Failure::BadInput`] with everything that is wrong with it.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let loaded = scenario::load(&self.scenario, &self.sets, self.seed)
            .map_err(|wrong| Failure::BadInput(render(&wrong)))?;
        if !loaded.warnings.is_empty() {
            eprintln!("{}\n", render(&loaded.warnings));
        }
        Ok(loaded)
    }
}

/// With colours when stderr is a terminal that wants them (<https://no-color.org>).
fn render(diagnostics: &Diagnostics) -> String {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    diagnostics.render(colours)
}

/// How many nodes a pool has.
fn nodes_of(fleet: &crate::fleet::PoolConfig) -> String {
    match &fleet.supply {
        Some(supply) if supply.min < supply.max => format!("{} to {}", supply.min, supply.max),
        _ => fleet.slots().to_string(),
    }
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), Failure> {
    let loaded = args.scenario.load()?;
    let text = if args.resolved { loaded.resolved_toml } else { overview(&args.scenario, &loaded) };
    super::print(&text)
}

fn overview(args: &ScenarioArgs, loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut text = format!("{} is sound: `{}`, {}\n", args.scenario.display(), config.name, config.duration);
    for pool in &config.pools {
        let fleet = &pool.fleet;
        text += &format!(
            "  pool {}: {} × {} ({} × {}), {} at {} USD/h a node\n",
            fleet.name,
            nodes_of(fleet),
            fleet.offer,
            fleet.cards_per_node,
            fleet.accelerator,
            pool.tariff.purchase,
            pool.tariff.price.as_f64(),
        );
    }
    for deployment in &config.deployments {
        let plans: Vec<&str> = deployment.options.iter().map(|option| option.label.as_str()).collect();
        text += &format!(
            "  deployment {}: {} × {}, {}\n",
            deployment.name,
            deployment.replicas,
            deployment.model,
            plans.join(", or ")
        );
    }
    for choice in &loaded.choices {
        text += &format!("  {choice}\n");
    }
    for stream in &config.streams {
        let served = stream.deployments.iter().map(|index| config.deployments[*index].name.as_str());
        let served = served.collect::<Vec<_>>().join(", ");
        text += &format!("  stream {}: {} served by {served}\n", stream.traffic.name, stream.model);
    }
    for job in &config.jobs {
        let plans: Vec<String> = job
            .options
            .iter()
            .map(|option| format!("{} ({})", option.duration.for_people(), option.label))
            .collect();
        let plural = if job.cards == 1 { "" } else { "s" };
        text += &format!("  job {}: {} card{plural} for {}\n", job.name, job.cards, plans.join(", or "));
    }
    text
}
