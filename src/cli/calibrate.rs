//! `fleetsim calibrate`: fits the constants of the performance model on tables of measurements.

use std::path::PathBuf;

use comfy_table::{Table, presets};

use super::validate::document;
use super::{Failure, print};
use crate::catalog::Precision;
use crate::perf::constants::Constants;
use crate::validate::{Calibration, LeftOut, Machine, Settings, calibrate, correct, is_own_run};

/// Fit the constants of the performance model on measurements, and score the fit on groups that it did not see.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tables of measurements as `validate` takes them, or a folder of them. Can be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    data: Vec<PathBuf>,
    /// Simulated runs of a source, accelerator, model and engine at most that a fit takes; fewer are faster. Scores
    /// take all rows.
    #[arg(long, value_name = "N", default_value_t = 6)]
    runs_per_group: usize,
    /// Rounds over all constants at most.
    #[arg(long, value_name = "N", default_value_t = 6)]
    rounds: u32,
    /// Fit this constant only; can be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fit again without each source, accelerator or model, from neutral values, and score that fit on it.
    #[arg(long, value_name = "WHAT", value_parser = ["sources", "accelerators", "models"])]
    leave_out: Option<String>,
    /// Write the scores of what was left out into this Markdown file, between the lines `<!-- left out: WHAT -->` and
    /// `<!-- end -->`.
    #[arg(long, value_name = "FILE", requires = "leave_out")]
    document: Option<PathBuf>,
    /// The card of your own run, when DATA are results of `vllm bench serve --save-result` (*.json).
    #[arg(long, value_name = "CARD")]
    accelerator: Option<String>,
    /// The model of your own run, where the result does not tell.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Tensor parallelism of your own run.
    #[arg(long, value_name = "N", default_value_t = 1)]
    tp: u32,
    /// The format of the weights of your own run.
    #[arg(long, value_name = "FORMAT", default_value = "bf16")]
    weights: String,
    /// Write the correction from your own run to this file, which a deployment names as its `correction`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<(), Failure> {
    let own = args.data.iter().filter(|path| is_own_run(path)).count();
    if own == args.data.len() {
        return own_runs(args);
    }
    if own > 0 {
        let why = "error: --data mixes your own runs (*.json) with tables; give one kind at a time";
        return Err(Failure::BadInput(why.to_owned()));
    }
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
        runs_per_group: args.runs_per_group,
        rounds: args.rounds,
        only: args.only.clone(),
        leave_out: args.leave_out.as_deref().map(|what| match what {
            "sources" => LeftOut::Source,
            "accelerators" => LeftOut::Accelerator,
            _ => LeftOut::Model,
        }),
    };
    let calibration = calibrate(&args.data, &settings, |line| eprintln!("{line}"))
        .map_err(|error| Failure::BadInput(format!("error: {error}")))?;
    if let (Some(path), Some(what)) = (&args.document, &args.leave_out) {
        document::replace(path, &format!("left out: {what}"), &markdown(&calibration, what))
            .map_err(|why| Failure::Failed(format!("error: {why}")))?;
    }
    if args.json {
        let json =
            serde_json::to_string_pretty(&calibration).map_err(|error| Failure::Failed(error.to_string()))?;
        return print(&format!("{json}\n"));
    }
    print(&text(&calibration))
}

/// The correction from a user's own runs.
fn own_runs(args: &Args) -> Result<(), Failure> {
    let bad = |why: String| Failure::BadInput(format!("error: {why}"));
    let accelerator = args.accelerator.clone().ok_or_else(|| {
        bad("which card the run was on is not in its result; give --accelerator, as in --accelerator H100".to_owned())
    })?;
    let weights = Precision::parse(&args.weights).map_err(|_| {
        bad(format!("--weights {}: give fp32, bf16, fp16, fp8, int8, fp4 or int4", args.weights))
    })?;
    if args.tp == 0 {
        return Err(bad("--tp 0: at least 1".to_owned()));
    }
    let machine = Machine { accelerator, model: args.model.clone(), tp: args.tp, weights };
    let (correction, figures) = correct(&args.data, &machine).map_err(|error| bad(error.to_string()))?;
    let written = toml::to_string(&correction).map_err(|error| Failure::Failed(error.to_string()))?;
    if let Some(path) = &args.out {
        std::fs::write(path, &written)
            .map_err(|error| Failure::Failed(format!("error: {}: {error}", path.display())))?;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["run", "metric", "measured", "published", "corrected"]);
    for figure in &figures {
        let error = |found: f64| format!("{:+.1} %", (found / figure.measured - 1.0) * 100.0);
        table.add_row([
            figure.run.display().to_string(),
            figure.metric.to_owned(),
            format!("{:.5}", figure.measured),
            error(figure.published),
            error(figure.corrected),
        ]);
    }
    print(&format!("{table}\n\n{written}"))
}

fn text(calibration: &Calibration) -> String {
    let mut constants = Table::new();
    constants.load_style(presets::NOTHING).set_header(["constant", "neutral", "published", "fitted"]);
    for constant in &calibration.constants {
        constants.add_row([
            constant.name.to_owned(),
            format!("{:.4}", constant.neutral),
            format!("{:.4}", constant.published),
            format!("{:.4}", constant.fitted),
        ]);
    }
    let mut text = format!(
        "{constants}\n\nObjective: {:.4} with neutral values, {:.4} fitted, {:.4} as published\n",
        calibration.before, calibration.after, calibration.published
    );
    if !calibration.left_out.is_empty() {
        let mut table = Table::new();
        let header = ["left out", "kind", "rows", "published", "without it", "signed"];
        table.load_style(presets::NOTHING).set_header(header);
        for scored in &calibration.left_out {
            table.add_row([
                scored.group.clone(),
                scored.kind.to_owned(),
                scored.rows.to_string(),
                percent(scored.with),
                percent(scored.without),
                format!("{:+.1} %", scored.signed * 100.0),
            ]);
        }
        text += &format!("\n{table}\n");
        let mut table = Table::new();
        let header = ["metric", "groups", "rows", "published", "left out", "p90 left out"];
        table.load_style(presets::NOTHING).set_header(header);
        for metric in &calibration.left_out_overall {
            table.add_row([
                metric.metric.clone(),
                metric.groups.to_string(),
                metric.rows.to_string(),
                percent(metric.with),
                percent(metric.without),
                percent(metric.p90_without),
            ]);
        }
        text += &format!("\nEach group by the fit that did not see it\n{table}\n");
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The scores as Markdown.
fn markdown(calibration: &Calibration, what: &str) -> String {
    let mut text = String::from(
        "| metric | groups | rows | seen | left out | p90 left out |\n|---|---:|---:|---:|---:|---:|\n",
    );
    for metric in &calibration.left_out_overall {
        let (with, without) = (percent(metric.with), percent(metric.without));
        let (name, groups, rows) = (&metric.metric, metric.groups, metric.rows);
        text += &format!(
            "| {name} | {groups} | {rows} | {with} | {without} | {} |\n",
            percent(metric.p90_without)
        );
    }
    let one = what.trim_end_matches('s');
    text += &format!("\n| {one} | kind | rows | seen | left out | signed |\n|---|---|---:|---:|---:|---:|\n");
    for scored in &calibration.left_out {
        let (with, without) = (percent(scored.with), percent(scored.without));
        let (group, kind, rows) = (&scored.group, scored.kind, scored.rows);
        text += &format!(
            "| {group} | {kind} | {rows} | {with} | {without} | {:+.1} % |\n",
            scored.signed * 100.0
        );
    }
    text
}
