//! `fleetsim run`: simulate a scenario and leave its files.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Failure, figures, print};
use crate::metrics::results::RunResults;
use crate::metrics::tpot;
use crate::plan::metrics::MAIN;
use crate::plan::replicate::Replications;
use crate::report::export::openmetrics;
use crate::report::format::span;
use crate::report::plots;
use crate::report::{
    self, Format, Plots, Record, Records, ReportError, RequestRow, RequestsCsv, WaitsCsv, Wanted,
};
use crate::scenario::{self, Loaded};
use crate::units::{Duration, Instant};
use crate::world::{self, RunError, RunOptions, WorldConfig};

/// Simulate a scenario: a summary on the terminal, a report and tables in a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = plots_in_words())]
pub struct Args {
    /// The scenario file.
    scenario: PathBuf,
    /// The folder for the results [default: out/NAME, after the scenario's name].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The seed, instead of the scenario's.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    seed: Option<u64>,
    /// Set a value of the scenario: `pools.base.nodes=4`; list items go by their name.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Print summary.json instead of the table.
    #[arg(long)]
    json: bool,
    /// Run it N times under N seeds, in parallel: means with 95 % confidence intervals and replications.csv;
    /// the other files are of replication 0, which is the scenario itself.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    replications: u64,
    /// The tables to write: timeseries, requests, jobs, ledger, decisions; or `all`, `none`; and waits, where the time
    /// of each request went, which `all` leaves out [default: all but requests].
    #[arg(long, value_name = "LIST")]
    records: Option<Records>,
    /// How the tables are written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "csv")]
    format: Format,
    /// The plots to write as files of their own: names, or `all`, `none`.
    #[arg(long, value_name = "LIST", default_value = "all")]
    plots: Plots,
    /// Write each of these plots as PNG too.
    #[arg(long)]
    png: bool,
    /// Also write the time series in another form: `openmetrics` gives openmetrics.txt, which Prometheus can load and
    /// Grafana show.
    #[arg(long, value_name = "FORM", value_enum)]
    export: Option<Export>,
    /// The Unix second in which the exported run begins [default: 2026-01-01T00:00:00Z].
    #[arg(long, value_name = "SECONDS", default_value_t = openmetrics::START, hide_default_value = true,
          requires = "export", value_parser = clap::value_parser!(u64).range(..=253_402_300_799))]
    export_start: u64,
    /// Write no report.html.
    #[arg(long)]
    no_report: bool,
    /// Simulate every iteration as an event of its own: slow, and the same result to the byte.
    #[arg(long)]
    step: bool,
    /// Print nothing but errors (and what --json asks for).
    #[arg(long)]
    quiet: bool,
}

/// Another form of the time series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Export {
    /// The text format of OpenMetrics.
    Openmetrics,
}

/// What `--plots` can name.
fn plots_in_words() -> String {
    let line = |plot: &plots::Plot| format!("\n  {:18} {}", plot.name, plot.about);
    let lines: String = plots::ALL.iter().map(line).collect();
    format!("The plots that --plots can name:{lines}")
}

pub fn run(args: Args) -> Result<(), Failure> {
    let loaded = load(&args.scenario, &args.set, args.seed, args.quiet)?;
    // For people: what was chosen is no error that scripts should find on stderr.
    if !args.quiet && std::io::stderr().is_terminal() {
        loaded.choices.iter().for_each(|choice| eprintln!("{choice}"));
    }
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(&loaded.config.name));
    let records = args.records.clone().unwrap_or_default();
    let table = |record, name| records.includes(record).then(|| out.join(name));
    let paths = [table(Record::Requests, "requests.csv"), table(Record::Waits, "waits.csv")];
    let wanted = Wanted {
        records,
        format: args.format,
        report: !args.no_report,
        plots: args.plots.clone(),
        png: args.png,
        openmetrics: args.export.map(|Export::Openmetrics| args.export_start),
    };
    // Before the simulation, not after: a folder that cannot be written should not cost a run.
    report::prepare_folder(&out).map_err(|error| Failure::BadInput(format!("error: {error}")))?;
    let (mut results, requests) = simulate(&loaded.config, &args, paths)?;
    let replications = replications(&loaded.config, &results, &args)?;
    results.summary.replications = replications.as_ref().map(Replications::summary);
    let written = report::write_all(&results, &loaded.resolved_toml, &out, &wanted).and_then(|written| {
        if let Some(replications) = &replications {
            report::write_file(&out, "replications.csv", &replications.csv())?;
        }
        Ok(written)
    });
    // What was computed is shown, also when it could not all be written.
    if args.json {
        let json = serde_json::to_string_pretty(&results.summary)
            .map_err(|error| Failure::Failed(format!("the summary cannot be put into JSON: {error}")))?;
        print(&format!("{json}\n"))?;
    } else if !args.quiet {
        print(&report::terminal_summary(&results))?;
        if let Some(replications) = &results.summary.replications {
            print(&format!("\n{}", figures::replications(replications)))?;
        }
    }
    let errors: Vec<String> = [requests.as_ref().err(), written.as_ref().err()]
        .into_iter()
        .flatten()
        .map(|error| format!("error: {error}"))
        .collect();
    let Ok(written) = written else { return Err(Failure::Failed(errors.join("\n"))) };
    if !args.quiet && !args.json {
        let page = written.iter().find(|path| path.extension().is_some_and(|kind| kind == "html"));
        print(&match page {
            Some(page) => format!("\nReport: {}\n", page.display()),
            None => format!("\nResults: {}\n", out.display()),
        })?;
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::Failed(errors.join("\n"))) }
}

/// Loads a scenario; warnings go to the terminal.
pub fn load(path: &Path, sets: &[String], seed: Option<u64>, quiet: bool) -> Result<Loaded, Failure> {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let loaded = scenario::load(path, sets, seed)
        .map_err(|diagnostics| Failure::BadInput(diagnostics.render(colour)))?;
    if !quiet && !loaded.warnings.is_empty() {
        eprintln!("{}", loaded.warnings.render(colour));
    }
    Ok(loaded)
}

/// Runs the scenario. A table of requests that cannot be written on, on a disk that fills up, say, does not end
/// the run: all else is still computed, and the error comes beside the results.
fn simulate(
    config: &WorldConfig,
    args: &Args,
    paths: [Option<PathBuf>; 2],
) -> Result<(RunResults, Result<(), ReportError>), Failure> {
    let bad = |error: ReportError| Failure::BadInput(format!("error: {error}"));
    let [requests, waits] = paths;
    let mut table = requests.map(|path| RequestsCsv::create(&path)).transpose().map_err(bad)?;
    let mut waits = waits.map(|path| WaitsCsv::create(&path)).transpose().map_err(bad)?;
    let wanted = table.is_some() || waits.is_some();
    let mut failed = None;
    let mut sink = |row: &world::RequestRow<'_>| {
        if let Some(Err(error)) = table.as_mut().map(|table| table.write(&table_row(row))) {
            failed = Some(error);
            table = None;
        }
        let waited = row.outcome() == "completed";
        let id = row.departure().id;
        let waited = waits.as_mut().filter(|_| waited).map(|waits| waits.write(id, &row.time_spent()));
        if let Some(Err(error)) = waited {
            failed = Some(error);
            waits = None;
        }
        Ok(())
    };
    let bar = progress_bar(config.duration, args.quiet);
    let progress = |now: Instant| bar.set_position(now.as_secs_f64() as u64);
    let options =
        RunOptions { plain: args.step, requests: wanted.then_some(&mut sink), progress: Some(&progress) };
    let result = world::run(config, options);
    bar.finish_and_clear();
    let results = result.map_err(run_failed)?;
    let finished = match (table.map(RequestsCsv::finish).transpose(), waits.map(WaitsCsv::finish).transpose())
    {
        (Ok(table), Ok(waits)) => match args.format {
            Format::Csv => Ok(()),
            Format::Parquet => {
                let mut written = table.into_iter().chain(waits);
                written.try_for_each(|path| report::export::parquet::replace(&path).map(|_| ()))
            }
        },
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    Ok((results, failed.map_or(finished, Err)))
}

/// The further replications; `None` when only one is asked for.
fn replications(
    config: &WorldConfig,
    first: &RunResults,
    args: &Args,
) -> Result<Option<Replications>, Failure> {
    if args.replications == 1 {
        return Ok(None);
    }
    let metrics = MAIN.map(str::to_owned).to_vec();
    let mut all = Replications::starting(first, metrics);
    let bar = figures::bar(args.replications, "replications", args.quiet);
    bar.inc(1);
    let result = all.extend(config, args.replications, &|| bar.inc(1));
    bar.finish_and_clear();
    result.map_err(run_failed)?;
    Ok(Some(all))
}

/// A run that failed, with its exit status.
pub fn run_failed(error: RunError) -> Failure {
    let message = format!("error: {error}");
    if error.is_bad_input() { Failure::BadInput(message) } else { Failure::Failed(message) }
}

/// A row of the table of requests; a latency that the request did not live to see is empty.
fn table_row<'a>(row: &world::RequestRow<'a>) -> RequestRow<'a> {
    let departure = row.departure();
    let since_arrival = |at: Instant| at.since(departure.arrival);
    let completed = row.outcome() == "completed";
    let ttft = departure.first_token.map(since_arrival);
    let e2e = row.end().filter(|_| completed).map(since_arrival);
    RequestRow {
        id: departure.id,
        stream: row.stream,
        arrival: departure.arrival,
        prompt_tokens: u64::from(departure.prompt),
        output_tokens: u64::from(departure.output),
        deployment: Some(row.deployment),
        replica: departure.replica,
        queue_wait: departure.first_scheduled.map(since_arrival),
        ttft,
        tpot: ttft
            .zip(e2e)
            .filter(|_| !departure.from_cache)
            .and_then(|(ttft, e2e)| tpot(ttft, e2e, departure.output)),
        e2e,
        outcome: row.outcome(),
        retries: u32::from(departure.retries) + u32::from(departure.attempt),
    }
}

/// A bar with the simulated time, how fast it passes and the time left, when somebody can see it.
fn progress_bar(duration: Duration, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let seconds = duration.as_secs_f64().ceil() as u64;
    let style = ProgressStyle::with_template("{bar:24} {simulated} simulated, {rate} a second, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let simulated = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let length = state.len().unwrap_or(0) as f64;
        let _ = write!(text, "{} of {}", span(state.pos() as f64), span(length));
    };
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let _ = write!(text, "{}", span(state.per_sec().round()));
    };
    ProgressBar::with_draw_target(Some(seconds), ProgressDrawTarget::stderr())
        .with_style(style.with_key("simulated", simulated).with_key("rate", rate))
}

/// A folder that cannot be written is bad input; a disk that fills up later is a failure of the run.
pub fn cannot_write(error: ReportError) -> Failure {
    let message = format!("error: {error}");
    match error {
        ReportError::Folder { .. } => Failure::BadInput(message),
        ReportError::Write { ref kept, .. } if kept.is_empty() => Failure::BadInput(message),
        _ => Failure::Failed(message),
    }
}
