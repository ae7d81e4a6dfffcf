//! `fleetsim plan`: the cheapest fleet that keeps its promises.

mod capacity;
mod commit;
mod months;
mod page;
mod plots;
mod words;

use std::path::{Path, PathBuf};

use super::points::{self, Points, render};
use super::run::cannot_write;
use super::{Failure, figures, print};
use crate::plan::facts::{self, Site};
use crate::plan::grid::Grid;
use crate::plan::metrics;
use crate::plan::outcome::{self, Framing, Outcome};
use crate::plan::search::{Found, PlanError, Resolved, Search, State, Terms};
use crate::plan::uncertainty::{self, Input, Question, Regret, Uncertainty};
use crate::report::format::count;
use crate::report::{self};
use crate::scenario::{Loaded, PlanSection, Uncertain};
use crate::sim::Seed;
use crate::units::Duration;

/// Larger spaces are searched only when --yes is given.
const MANY_POINTS: u64 = 100_000;
/// Of smaller spaces more is simulated than the search needs.
const SMALL: u64 = 500;

/// Search the space in the scenario's [plan] for the cheapest fleet that keeps its promises.
///
/// Bounds prune what cannot keep them, simulation on the same arrivals decides the rest in order of spend. Exit
/// status 1 when no candidate keeps every promise; what would help is then told.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example of a section in the scenario:
  [plan]
  vary = { \"pools.base.nodes\" = \"0..16\", \"deployments.chat.replicas\" = \"1..32\",
           \"pools.base.offer\" = [\"aws/p5.48xlarge\", \"lambda/gpu_8x_h100_sxm5\"] }
  require = { attainment = 0.99, survive = \"node\", budget_usd_month = 100000 }
  objective = \"spend\"

A candidate keeps its promises when the mean over the replications does. Files: plan.json with every candidate and \
why it lost, candidates.csv, and plots.")]
pub struct Args {
    /// The scenario file, with a section [plan].
    scenario: PathBuf,
    /// Set a value in every candidate, as `run --set` does.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The seed, instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Replications of each candidate, instead of the section's: N, or MIN..MAX to spend them where candidates are
    /// close to a limit.
    #[arg(long, value_name = "N|MIN..MAX", value_parser = parse_replications)]
    replications: Option<Replications>,
    /// No more simulations than this; the gap then tells how far the result may be from the optimum.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    max_simulations: u64,
    /// Simulations beyond what the search needs, for the frontier [default: 8 for less than 500 candidates, else one
    /// for 100, at most 8].
    #[arg(long, value_name = "N")]
    frontier: Option<u64>,
    /// Search the space even if it has more than 100,000 points.
    #[arg(long)]
    yes: bool,
    /// The folder for the results [default: out/NAME-plan, after the scenario's name].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Draw no plots, and write no report.html.
    #[arg(long)]
    no_plots: bool,
    /// Write each plot as PNG too.
    #[arg(long, conflicts_with = "no_plots")]
    png: bool,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Print nothing but errors (and what --json asks for).
    #[arg(long)]
    quiet: bool,
}

/// The most replications, and the first look of a race.
type Replications = (u64, Option<u64>);

fn parse_replications(text: &str) -> Result<Replications, String> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match text.split_once("..") {
        None => number(text).filter(|n| *n > 0).map(|n| (n, None)),
        Some((min, max)) => number(min)
            .zip(number(max))
            .filter(|(min, max)| 2 <= *min && min <= max)
            .map(|(min, max)| (max, Some(min))),
    }
    .ok_or_else(|| "give a number of at least 1, or two as in 2..32".to_owned())
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let base = super::run::load(&args.scenario, &args.set, args.seed, args.quiet);
    let text = points::text(&args.scenario)?;
    let section = section(args, &text, base.as_ref().ok())?;
    let grid = Grid::parse(&section.vary).map_err(|error| {
        // The search speaks of `vary`, not of an option.
        bad(format!("the space of `plan` is unsound: {error}").replace("--grid ", ""))
    })?;
    let points = Points { set: &args.set, seed: args.seed, scenario: &args.scenario, text, grid };
    points.check_paths()?;
    let size = points.grid.points();
    if size > MANY_POINTS && !args.yes {
        return Err(bad(cost(&points, size)));
    }
    let (replications, race) = args.replications.unwrap_or((section.replications, section.race));
    let terms = Terms {
        goals: section.require.clone(),
        objective: section.objective,
        replications,
        race,
        max_simulations: args.max_simulations,
        frontier: args.frontier.unwrap_or(if size < SMALL { 8 } else { (size / 100).min(8) }),
    };
    let resolve = |point: u64| points.loaded(point, &[]).map(resolved);
    let bar = figures::bar(0, "simulations", args.quiet);
    let done = || bar.inc(1);
    let search = Search::new(&terms, size, &resolve, &done).map_err(|error| failed(error, &points))?;
    let mut search = search.over(&points.grid);
    let example = (0..size).find_map(|point| points.loaded(point, &[]).ok());
    let example = example.ok_or_else(|| bad("no candidate can be run".to_owned()))?;
    let (example, uncertain) = (example.config, example.uncertain);
    let names: Vec<String> = terms.goals.metrics.iter().map(|goal| goal.name.clone()).collect();
    metrics::wanted(&names, &[&example]).map_err(|error| bad(error.to_string()))?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(format!("{}-plan", example.name)));
    let mut found = search.run(size).map_err(|error| failed(error, &points))?;
    contradiction(&found)?;
    let relaxation = match found.best {
        None if found.proven => search.relaxation(&mut found).map_err(|error| failed(error, &points))?,
        _ => None,
    };
    let uncertainty = match found.best {
        Some(_) if !uncertain.is_empty() => {
            judge_worlds(&points, &section, &terms, &uncertain, &mut search, &mut found, &done)?
        }
        _ => None,
    };
    let framing = Framing {
        months: facts::months(example.duration),
        replications: terms.replications,
        race: terms.race,
        seed: example.seed.0,
        objective: terms.objective,
    };
    let outcome = Outcome::new(&found, &points.grid, framing, relaxation);
    let mut outcome = match uncertainty {
        Some(uncertainty) => outcome.under(uncertainty),
        None => outcome,
    };
    if let (Some(best), Some(horizon)) = (found.best, &section.horizon) {
        let question =
            commit::Question { points: &points, terms: &terms, horizon, found: &found, best, done: &done };
        let weighed = question.weigh()?;
        outcome.simulations += weighed.simulations;
        outcome.commitment = weighed.levels;
        outcome.break_even = weighed.break_even;
        outcome.spot = weighed.spot;
        outcome.horizon = weighed.horizon;
    }
    bar.finish_and_clear();
    let json = serde_json::to_string_pretty(&outcome)
        .map_err(|error| Failure::Failed(format!("error: the plan cannot be put into JSON: {error}")))?;
    report::write_file(&out, "plan.json", &format!("{json}\n")).map_err(cannot_write)?;
    report::write_file(&out, "candidates.csv", &outcome.csv()).map_err(cannot_write)?;
    if !args.no_plots {
        let capacity = outcome.best.as_ref().and_then(|best| capacity::over_time(&points, best.point));
        let plots = plots::draw(&outcome, &points.grid, capacity.as_ref())?;
        for (name, svg) in &plots {
            report::write_plot(&out.join("plots"), name, svg, args.png).map_err(cannot_write)?;
        }
        let page = page::page(&outcome, &points.grid, &example.name, plots)
            .map_err(|error| Failure::Failed(format!("error: {error}")))?;
        report::write_file(&out, "report.html", &page).map_err(cannot_write)?;
    }
    if args.json {
        print(&format!("{json}\n"))?;
    } else if !args.quiet {
        print(&words::in_words(&outcome, &points.grid))?;
        let file = if args.no_plots { "plan.json" } else { "report.html" };
        print(&format!("\nPlan: {}\n", out.join(file).display()))?;
    }
    if outcome.feasible { Ok(()) } else { Err(Failure::Failed(format!("error: {}", outcome.verdict))) }
}

/// Judges the finalists over draws of the uncertain numbers; that with the least regret becomes the best.
fn judge_worlds(
    points: &Points<'_>,
    section: &PlanSection,
    terms: &Terms,
    uncertain: &[Uncertain],
    search: &mut Search<'_>,
    found: &mut Found,
    done: &(dyn Fn() + Sync),
) -> Result<Option<Uncertainty>, Failure> {
    let inputs: Vec<Input> = uncertain
        .iter()
        .cloned()
        .map(|number| Input { path: number.path.clone(), set: Box::new(move |share| number.set(share)) })
        .collect();
    let regret = Regret {
        over: section.regret.over_provision_cost,
        under: section.regret.under_provision_cost,
        exponent: section.regret.exponent,
    };
    let question = Question {
        terms,
        resolve: &|point, sets| points.loaded(point, sets).map(resolved),
        set: &|point| outcome::set(&points.grid, point),
        inputs: &inputs,
        draws: section.draws,
        regret,
        seed: Seed(points.seed.unwrap_or(1)),
        done,
    };
    let judged = uncertainty::judge(&question, found).map_err(|error| failed(error, points))?;
    // The least regret among those that are right in the middle.
    let least =
        judged.iter().flat_map(|judged| &judged.candidates).find(|candidate| candidate.right_in_the_middle);
    if let Some(least) = least
        && let Some(index) = found.candidates.iter().position(|candidate| candidate.point == least.point)
    {
        search.adopt(found, index).map_err(|error| failed(error, points))?;
    }
    if judged.is_none() {
        eprintln!(
            "warning: the uncertain numbers are left in their middle: no candidate can be built in every draw"
        );
    }
    Ok(judged)
}

fn bad(why: String) -> Failure {
    Failure::BadInput(format!("error: {why}"))
}

/// The section [plan], also of a scenario that is sound only with some of the values of its space.
fn section(args: &Args, text: &str, base: Option<&Loaded>) -> Result<PlanSection, Failure> {
    if let Some(loaded) = base {
        return loaded.plan.clone().ok_or_else(|| {
            bad(format!(
                "{} has no section [plan]\n  add one: [plan] vary = {{ \"pools.base.nodes\" = \"0..16\" }}; `fleetsim \
                 plan --help` shows more",
                args.scenario.display()
            ))
        });
    }
    let read = crate::scenario::plan_section(text, &args.scenario, &args.set, args.seed);
    read.map_err(|wrong| Failure::BadInput(render(&wrong)))
}

fn resolved(loaded: Loaded) -> Resolved {
    let site =
        |site: &crate::scenario::PoolSite| Site { region: site.region.clone(), card_power: site.card_power };
    let sites = loaded.sites.iter().map(site).collect();
    let mut config = loaded.config;
    // Told in reports of runs, never here.
    config.assumptions.clear();
    config.defaults.clear();
    Resolved { config, sites }
}

/// No point gets as far as a run, or a name leads nowhere.
fn failed(error: PlanError, points: &Points<'_>) -> Failure {
    let message = format!("error: {error}");
    match error {
        PlanError::Nothing { .. } => {
            let why = points.load(points.grid.sets(0)).err().map(|wrong| render(&wrong)).unwrap_or_default();
            Failure::BadInput(format!("{why}\n\n{message}"))
        }
        PlanError::Promise(_) => Failure::BadInput(message),
        PlanError::Run { .. } => Failure::Failed(message),
    }
}

/// A space in which the requirements leave nothing to choose from contradicts itself.
fn contradiction(found: &Found) -> Result<(), Failure> {
    let excuse = |candidate: &crate::plan::search::Candidate| match &candidate.state {
        State::Barred(excuse) if ["providers", "regions"].contains(&excuse.constraint.as_str()) => {
            Some(excuse.clone())
        }
        State::Impossible(excuse) => Some(excuse.clone()),
        _ => None,
    };
    let excuses: Option<Vec<_>> = found.candidates.iter().map(excuse).collect();
    let Some(excuses) = excuses else { return Ok(()) };
    let Some(first) = excuses.iter().find(|excuse| excuse.constraint != "scenario") else { return Ok(()) };
    Err(bad(format!(
        "the space contradicts what is required: every candidate breaks `{}` or cannot be run; the first: {}\n  \
         change `vary` or `{}` in `require` of [plan]",
        first.constraint, first.why, first.constraint
    )))
}

/// What a large search would cost, from the time that its first points take.
#[allow(clippy::disallowed_methods, reason = "an estimate of the time to wait, for the terminal only")]
fn cost(points: &Points<'_>, size: u64) -> String {
    const SAMPLE: u64 = 50;
    let begun = std::time::Instant::now();
    let sound = (0..SAMPLE).filter(|at| points.resolve(at * (size / SAMPLE)).is_ok()).count();
    let each = begun.elapsed().as_secs_f64() / SAMPLE as f64;
    let threads = rayon::current_num_threads();
    let all = Duration::from_secs_f64((each * size as f64 / threads as f64).clamp(1.0, 1e9).round());
    format!(
        "the space has {} candidates: to look at each takes about {all} on {threads} threads before the first \
         simulation ({sound} of {SAMPLE} that were tried can be run)\n  --yes searches it; or give `vary` coarser \
         ranges, as in \"0..16:4\"",
        count(size),
    )
}
