//! `fleetsim sweep`: every combination of values, in parallel and restartable.

mod page;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::points::{self, Points, render};
use super::run::cannot_write;
use super::{Failure, figures, print};
use crate::plan::grid::Grid;
use crate::plan::metrics;
use crate::plan::pivot::{Pivot, Table};
use crate::plan::sweep::journal::{FILE, Header, Journal, JournalError};
use crate::plan::sweep::{Plan, Row, Rows, Shard, fingerprint, merge};
use crate::report::format::{NOTHING, count, plural, shorten};
use crate::report::plots::PlotError;
use crate::report::plots::charts::{HeatMap, Naming};
use crate::report::{self, Format};
use crate::units::Duration;
use crate::world::{self, RunOptions};

/// More points than this are run only when --yes is given.
const MANY_POINTS: u64 = 10_000;
/// More rows than this are left to the file.
const MOST_ROWS: u64 = 24;

/// Run every combination of values, in parallel; a killed sweep goes on where it was.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  fleetsim sweep day.toml --grid pools.base.nodes=1..8 --grid streams.chat.rate=2/s..10/s:0.5/s
  fleetsim sweep day.toml --grid deployments.chat.routing=random,round-robin --replications 8
  fleetsim sweep day.toml --grid pools.base.nodes=1..8 --shard 2/3    (on the second of three)
  fleetsim sweep merge out/day-sweep-1-of-3 out/day-sweep-2-of-3 out/day-sweep-3-of-3

Each finished point is a line of journal.jsonl at once; sweep.csv is written when all are there, a row a point, \
the same bytes whatever the threads, shards and interruptions. A point whose scenario cannot be run is a row \
with its error. All points run under the same seeds."
)]
pub struct Args {
    #[command(subcommand)]
    merge: Option<Verb>,
    /// The scenario file.
    #[arg(required = true)]
    scenario: Option<PathBuf>,
    /// What varies: a path as --set takes it, and its values; A..B is every whole number from A to B, A..B:STEP
    /// goes in steps; lists may hold ranges. Every combination of several is run.
    #[arg(long, value_name = "PATH=A,B,C|A..B[:STEP]", required = true)]
    grid: Vec<String>,
    /// Set a value in every point, as `run --set` does.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The seed, instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Replications of each point: means with 95 % confidence intervals.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    replications: u64,
    /// The metrics in the table, as paths in summary.json: latency.ttft_s.p99, streams.chat.slo.attainment
    /// [default: the main ones].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Run part I of N of the points, on one of N machines; `sweep merge` puts the parts together.
    #[arg(long, value_name = "I/N", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// Go on with a sweep that was interrupted.
    #[arg(long)]
    resume: bool,
    /// Run the sweep even if it has more than 10,000 points.
    #[arg(long)]
    yes: bool,
    /// The folder for the results [default: out/NAME-sweep, after the scenario's name].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also lay a metric out by two axes, averaged over the others: a table, pivot-N.csv and a heat map,
    /// pivot-N.svg. Axes by their path or by its end; METRIC is spend.total_usd when absent. Can be given several
    /// times.
    #[arg(long, value_name = "ROWS,COLUMNS[,METRIC]")]
    pivot: Vec<String>,
    /// How the table is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "csv")]
    format: Format,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Print nothing but errors (and what --json asks for).
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Put the parts of a sharded sweep together: the same bytes as one machine's.
    Merge(MergeArgs),
}

#[derive(Debug, clap::Args)]
struct MergeArgs {
    /// The folders of the parts.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The folder for sweep.csv [default: out/NAME-sweep].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Also lay a metric out by two axes, as `sweep --pivot` does.
    #[arg(long, value_name = "ROWS,COLUMNS[,METRIC]")]
    pivot: Vec<String>,
    /// How the table is written.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "csv")]
    format: Format,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Print nothing but errors (and what --json asks for).
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: Args) -> Result<(), Failure> {
    match (&args.merge, &args.scenario) {
        (Some(Verb::Merge(merge)), _) => merge_shards(merge),
        (None, Some(scenario)) => sweep(&args, scenario),
        (None, None) => Err(Failure::BadInput("error: a scenario file is missing".to_owned())),
    }
}

/// A configuration to look metrics' names up in; `None` when none of the points can be resolved.
fn example(points: &Points<'_>) -> Option<world::WorldConfig> {
    (0..points.grid.points().min(MANY_POINTS)).find_map(|point| points.resolve(point).ok())
}

fn sweep(args: &Args, scenario: &Path) -> Result<(), Failure> {
    let grid = Grid::parse(&args.grid).map_err(|error| Failure::BadInput(format!("error: {error}")))?;
    let text = points::text(scenario)?;
    let points = Points { set: &args.set, seed: args.seed, scenario, text, grid };
    points.check_paths()?;
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let share = shard.share(points.grid.points());
    let example = example(&points);
    let names = match &example {
        Some(config) => metrics::wanted(&args.metrics, &[config])
            .map_err(|error| Failure::BadInput(format!("error: {error}")))?,
        None => return Err(all_fail(&points)),
    };
    if share > MANY_POINTS && !args.yes {
        return Err(Failure::BadInput(cost(args, share, example.as_ref())));
    }
    let name = example.map(|config| config.name).unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(|| {
        let part = if shard.of > 1 { format!("-{}-of-{}", shard.index, shard.of) } else { String::new() };
        Path::new("out").join(format!("{name}-sweep{part}"))
    });
    let plan = Plan {
        name,
        scenario: scenario_fingerprint(args, &points)?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        grid: args.grid.clone(),
        replications: args.replications,
        metrics: names,
    };
    // Before the sweep, not after.
    pivots(&args.pivot, &plan, &points.grid)?;
    let header = Header::new(plan.clone(), points.grid.points(), shard);
    let (mut journal, found) = Journal::open(&out, &header, args.resume).map_err(journal_failed)?;
    let mut rows = found.rows;
    if !args.quiet && !rows.is_empty() {
        eprintln!("resuming: {} of {} finished", count(rows.len() as u64), plural(share, "point"));
    }
    let bar = figures::bar(share, "points", args.quiet);
    bar.set_position(rows.len() as u64);
    let resolve = |point: u64| points.resolve(point);
    let ran = plan.run(&points.grid, shard, &mut journal, &mut rows, &resolve, &|| bar.inc(1));
    bar.finish_and_clear();
    ran.map_err(|error| Failure::Failed(format!("error: {error}")))?;
    finish(
        &plan,
        &points.grid,
        &rows,
        &out,
        Shown { json: args.json, quiet: args.quiet, pivot: &args.pivot, format: args.format },
        shard,
    )
}

/// How to show the result.
struct Shown<'a> {
    json: bool,
    quiet: bool,
    pivot: &'a [String],
    format: Format,
}

/// `sweep --json`.
#[derive(Serialize)]
struct Told<'a> {
    points: usize,
    failed: usize,
    columns: Vec<String>,
    file: &'a Path,
}

/// Writes the table, or for a shard says where its journal is, and shows the result.
fn finish(
    plan: &Plan,
    grid: &Grid,
    rows: &Rows,
    out: &Path,
    shown: Shown<'_>,
    shard: Shard,
) -> Result<(), Failure> {
    let file = if shard.of > 1 {
        out.join(FILE)
    } else {
        let table = report::write_file(out, "sweep.csv", &plan.csv(grid, rows)).map_err(cannot_write)?;
        match shown.format {
            Format::Csv => table,
            Format::Parquet => report::export::parquet::replace(&table).map_err(cannot_write)?,
        }
    };
    let mut tables = Vec::new();
    if shard.of == 1 {
        for (number, pivot) in (1..).zip(pivots(shown.pivot, plan, grid)?) {
            let table = pivot.table(plan, grid, rows);
            report::write_file(out, &format!("pivot-{number}.csv"), &table.csv()).map_err(cannot_write)?;
            let map = heat_map(&table).map_err(|error| Failure::Failed(format!("error: {error}")))?;
            report::write_file(out, &format!("pivot-{number}.svg"), &map).map_err(cannot_write)?;
            tables.push(table);
        }
        let page = page::page(plan, grid, rows, &tables)
            .map_err(|error| Failure::Failed(format!("error: {error}")))?;
        report::write_file(out, "report.html", &page).map_err(cannot_write)?;
    }
    let failed = rows.values().filter(|row| row.error.is_some()).count();
    if shown.json {
        let told = Told { points: rows.len(), failed, columns: plan.columns(grid), file: &file };
        let json = serde_json::to_string_pretty(&told)
            .map_err(|error| Failure::Failed(format!("the result cannot be put into JSON: {error}")))?;
        print(&format!("{json}\n"))?;
    } else if !shown.quiet {
        print(&in_words(plan, grid, rows))?;
        for table in &tables {
            print(&format!("\n{}", pivoted(table)))?;
        }
        let what = if shard.of > 1 { "Part" } else { "Table" };
        print(&format!("\n{what}: {}\n", file.display()))?;
    }
    let first = rows.values().find_map(|row| row.error.as_ref().map(|error| (row.point, error)));
    match first {
        Some((point, error)) if failed == rows.len() && shard.of == 1 => {
            Err(Failure::BadInput(format!("error: no point could be run; point {point}: {error}")))
        }
        _ => Ok(()),
    }
}

fn merge_shards(args: &MergeArgs) -> Result<(), Failure> {
    let bad = |why: String| Failure::BadInput(format!("error: {why}"));
    let (plan, rows) = merge::merge(&args.folders).map_err(|error| bad(error.to_string()))?;
    let grid = Grid::parse(&plan.grid).map_err(|error| bad(error.to_string()))?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(format!("{}-sweep", plan.name)));
    finish(
        &plan,
        &grid,
        &rows,
        &out,
        Shown { json: args.json, quiet: args.quiet, pivot: &args.pivot, format: args.format },
        Shard::WHOLE,
    )
}

/// No point gets as far as a run: what is wrong with the first, in full.
fn all_fail(points: &Points<'_>) -> Failure {
    let all = points.grid.points();
    let said = match all {
        1 => "the only point cannot be run".to_owned(),
        2..=MANY_POINTS => format!("none of the {all} points can be run; the first"),
        _ => format!("none of the first {MANY_POINTS} of {all} points can be run; the first"),
    };
    let why = points.load(points.grid.sets(0)).err().map(|wrong| render(&wrong)).unwrap_or_default();
    Failure::BadInput(format!("{why}\n\nerror: {said}: {}", points.grid.sets(0).join(" ")))
}

/// What a large sweep would cost, from the time that its first point takes.
#[allow(clippy::disallowed_methods, reason = "an estimate of the time to wait, for the terminal only")]
fn cost(args: &Args, share: u64, example: Option<&world::WorldConfig>) -> String {
    let runs = share.saturating_mul(args.replications);
    let begun = std::time::Instant::now();
    let ran = example.map(|config| world::run(config, RunOptions::default()).is_ok());
    let one = begun.elapsed().as_secs_f64();
    let threads = rayon::current_num_threads();
    let wait = match ran {
        Some(true) => {
            let all = one * runs as f64 / threads as f64;
            let all = Duration::from_secs_f64(all.clamp(1.0, 1e9).round());
            format!("about {all} on {threads} threads (one run takes {one:.3} s)")
        }
        _ => "nobody knows how long: the first point cannot be run".to_owned(),
    };
    format!(
        "error: the grid has {} points, which makes {}: {wait}\n  --yes runs it; --shard I/N shares it out",
        count(share),
        plural(runs, "run"),
    )
}

/// The pivots asked for.
fn pivots(asked: &[String], plan: &Plan, grid: &Grid) -> Result<Vec<Pivot>, Failure> {
    let parse = |text: &String| Pivot::parse(text, grid, &plan.metrics);
    let all: Result<Vec<Pivot>, _> = asked.iter().map(parse).collect();
    all.map_err(|error| Failure::BadInput(format!("error: {error}")))
}

fn pivoted(table: &Table) -> String {
    let mut header = vec![format!("{} \\ {}", shorten(&table.paths[0], 30), shorten(&table.paths[1], 30))];
    header.extend(table.columns.iter().map(|value| shorten(value, 16)));
    let rows = table.rows.iter().zip(&table.cells).map(|(name, cells)| {
        let shown = |value: &Option<f64>| {
            value.map_or(NOTHING.to_owned(), |value| figures::show(&table.pivot.metric, value))
        };
        std::iter::once(shorten(name, 24)).chain(cells.iter().map(shown)).collect()
    });
    format!("{}:\n{}", table.pivot.metric, figures::table(&header, rows.collect(), 1))
}

fn heat_map(table: &Table) -> Result<String, PlotError> {
    let naming = Naming {
        name: "pivot",
        title: "A sweep by two axes",
        about: "the mean of a metric over all points with the values of two axes",
    };
    HeatMap {
        naming,
        note: format!("{}, mean over the other axes", table.pivot.metric),
        columns: (&table.paths[1], &table.columns),
        rows: (&table.paths[0], &table.rows),
        cells: &table.cells,
        shown: &|value| figures::show(&table.pivot.metric, value),
        marked: &[],
    }
    .svg()
}

/// Values of an axis whose files are looked at; more than that are no files.
const MOST_FILES: u64 = 1_000;

/// What must be equal for results to belong together: the text, what is set in it, the seed, and what is in the
/// files that it reads: traces, lengths, prices.
fn scenario_fingerprint(args: &Args, points: &Points<'_>) -> Result<String, Failure> {
    let mut files = BTreeSet::new();
    let mut note = |sets: Vec<String>| {
        if let Ok(loaded) = points.load(sets) {
            files.extend(loaded.files);
        }
    };
    note(points.grid.sets(0));
    for (number, axis) in points.grid.axes().iter().enumerate().filter(|(_, axis)| axis.len() <= MOST_FILES) {
        // A file's name is no number.
        let named = |value: &String| value.parse::<f64>().is_err();
        for value in (1..axis.len()).map(|index| axis.value(index)).filter(named) {
            let mut sets = points.grid.sets(0);
            sets[number] = format!("{}={value}", axis.path);
            note(sets);
        }
    }
    let mut contents = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| {
            Failure::BadInput(format!("error: {} cannot be read: {error}", file.display()))
        })?;
        contents.push(fingerprint([bytes.as_slice()]));
    }
    let seed = args.seed.map(|seed| seed.to_string()).unwrap_or_default();
    let texts = [points.text.as_bytes(), seed.as_bytes()];
    let set = args.set.iter().map(|set| set.as_bytes());
    Ok(fingerprint(texts.into_iter().chain(set).chain(contents.iter().map(|hash| hash.as_bytes()))))
}

fn journal_failed(error: JournalError) -> Failure {
    Failure::BadInput(format!("error: {error}"))
}

/// The cheapest point, and the cheapest that keeps its promise where one is told.
fn in_a_line(plan: &Plan, grid: &Grid, rows: &Rows) -> String {
    let column = |name: &str| {
        let place = plan.metrics.iter().position(|metric| metric == name)?;
        Some(if plan.replications > 1 { 3 * place } else { place })
    };
    let value = |row: &Row, name: &str| -> Option<f64> { row.cells.get(column(name)?)?.parse().ok() };
    let spend = |row: &&Row| value(row, "spend.total_usd");
    let cheapest = rows
        .values()
        .filter(|row| spend(row).is_some())
        .min_by(|a, b| spend(a).unwrap_or(f64::INFINITY).total_cmp(&spend(b).unwrap_or(f64::INFINITY)));
    let Some(row) = cheapest else {
        return format!("{} finished; none tells a spend.", plural(rows.len() as u64, "point"));
    };
    let met = value(row, "slo.attainment").map_or(String::new(), |share| {
        format!(", with {} of the requests within their limits", figures::show("slo.attainment", share))
    });
    format!(
        "The cheapest of {} is {}: {}{met}.",
        plural(rows.len() as u64, "point"),
        grid.sets(row.point).join(" "),
        figures::show("spend.total_usd", spend(&row).unwrap_or(f64::NAN))
    )
}

/// The first rows with the metrics that most ask about.
fn in_words(plan: &Plan, grid: &Grid, rows: &Rows) -> String {
    let several = plan.replications > 1;
    let width = if several { 3 } else { 1 };
    let told = |column: &usize| rows.values().any(|row| !row.cells[column * width].is_empty());
    let wanted = ["spend.total_usd", "slo.attainment", "latency.ttft_s.p99", "jobs.jct_s.mean"];
    // Who asks for a few sees those.
    let main = plan.metrics.len() > 4 && plan.metrics.iter().any(|name| wanted.contains(&name.as_str()));
    let columns: Vec<usize> = (0..plan.metrics.len())
        .filter(|column| !main || wanted.contains(&plan.metrics[*column].as_str()))
        .filter(told)
        .take(4)
        .collect();
    let mut header = vec!["point".to_owned()];
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let lasts: Vec<String> = grid.axes().iter().map(|axis| last(&axis.path)).collect();
    for (axis, last) in grid.axes().iter().zip(&lasts) {
        // The end of a path says it, unless another ends the same way.
        let unique = lasts.iter().filter(|other| *other == last).count() == 1;
        header.push(shorten(if unique { last } else { &axis.path }, 30));
    }
    header.extend(columns.iter().map(|column| plan.metrics[*column].clone()));
    let shown = rows.values().take(MOST_ROWS as usize).map(|row| {
        let mut cells = vec![row.point.to_string()];
        cells.extend(grid.values(row.point).iter().map(|value| shorten(value, 30)));
        cells.extend(columns.iter().map(|column| {
            let value = row.cells[column * width].parse::<f64>().ok();
            value.map_or(NOTHING.to_owned(), |value| figures::show(&plan.metrics[*column], value))
        }));
        cells
    });
    let mut text = figures::table(&header, shown.collect(), 1 + grid.axes().len());
    let all = rows.len() as u64;
    if all > MOST_ROWS {
        text += &format!("and {} more\n", count(all - MOST_ROWS));
    }
    text += &format!("{}, {} each\n", plural(all, "point"), plural(plan.replications, "replication"));
    let errors: Vec<(u64, &str)> =
        rows.values().filter_map(|row| Some((row.point, row.error.as_deref()?))).collect();
    if let Some((point, error)) = errors.first() {
        let which = format!(
            "\n{} cannot be run (column error); point {point}: ",
            plural(errors.len() as u64, "point")
        );
        text += &which;
        text += error;
        text.push('\n');
    }
    text
}
