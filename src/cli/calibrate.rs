//! `fleetsim calibrate`: fits the constants of the performance model on tables of measurements.

use std::path::PathBuf;

use comfy_table::{Table, presets};

use super::{Failure, print};
use crate::perf::constants::Constants;
use crate::validate::{Calibration, LeftOut, Settings, calibrate};

/// Fit the constants of the performance model on measurements, and score the fit on groups that it did not see.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tables of measurements as `validate` takes them, or a folder of them. Can be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    data: Vec<PathBuf>,
    /// Rows of a group of simulated runs at most; fewer are faster.
    #[arg(long, value_name = "N", default_value_t = 8)]
    rows_per_group: usize,
    /// Rounds over all constants.
    #[arg(long, value_name = "N", default_value_t = 4)]
    rounds: u32,
    /// Fit this constant only; can be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fit again without each source or each accelerator, and score that fit on it.
    #[arg(long, value_name = "WHAT", value_parser = ["sources", "accelerators"])]
    leave_out: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), Failure> {
    for name in &args.only {
        if !Constants::ALL.iter().any(|known| known.name == name) {
            let names: Vec<&str> = Constants::ALL.iter().map(|known| known.name).collect();
            return Err(Failure::BadInput(format!(
                "error: --only {name}: there is no such constant; there are {}",
                names.join(", ")
            )));
        }
    }
    let settings = Settings {
        rows_per_group: args.rows_per_group,
        rounds: args.rounds,
        only: args.only.clone(),
        leave_out: args.leave_out.as_deref().map(|what| match what {
            "sources" => LeftOut::Source,
            _ => LeftOut::Accelerator,
        }),
    };
    let calibration = calibrate(&args.data, &settings, |line| eprintln!("{line}"))
        .map_err(|error| Failure::BadInput(format!("error: {error}")))?;
    if args.json {
        let json =
            serde_json::to_string_pretty(&calibration).map_err(|error| Failure::Failed(error.to_string()))?;
        return print(&format!("{json}\n"));
    }
    print(&text(&calibration))
}

fn text(calibration: &Calibration) -> String {
    let mut constants = Table::new();
    constants.load_style(presets::NOTHING).set_header(["constant", "published", "fitted"]);
    for constant in &calibration.constants {
        constants.add_row([
            constant.name.to_owned(),
            format!("{:.4}", constant.published),
            format!("{:.4}", constant.fitted),
        ]);
    }
    let mut text = format!(
        "{constants}\n\nObjective: {:.4} before, {:.4} after\n",
        calibration.before, calibration.after
    );
    if !calibration.left_out.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["left out", "rows", "with it", "without it"]);
        for scored in &calibration.left_out {
            table.add_row([
                scored.group.clone(),
                scored.rows.to_string(),
                format!("{:.1} %", scored.with * 100.0),
                format!("{:.1} %", scored.without * 100.0),
            ]);
        }
        text += &format!("\n{table}\n");
    }
    text
}
