//! `fleetsim compare`: scenarios against each other on the same random numbers.

mod page;

use std::path::{Path, PathBuf};

use super::run::{cannot_write, load};
use super::{Failure, figures, print};
use crate::plan::compare::{Comparison, Stop, Variant, compare};
use crate::plan::grid::split_outside;
use crate::plan::metrics;
use crate::report;
use crate::report::format::{NOTHING, count};
use crate::world::WorldConfig;

/// Compare scenarios on the same random numbers: paired differences with 95 % confidence intervals.
///
/// The first scenario is the baseline. Every scenario runs under the baseline's seed, so equal streams bring
/// equal arrivals and differences are not due to luck.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fleetsim compare now.toml proposal.toml
  fleetsim compare now.toml --variant two-nodes:pools.base.nodes=2
  fleetsim compare now.toml --variant tp4:'deployments.chat.parallelism={ tp = 4 }'

A difference is resolved when its interval leaves zero out. With --until-resolved, replications are doubled until \
every metric in --resolve is resolved; the error of 5 % is split evenly over the planned looks (Bonferroni), so \
that the chance to resolve a difference wrongly at any look stays below 5 %, for each metric of each variant.")]
pub struct Args {
    /// The scenario files, the baseline first.
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Also compare the baseline with values set, under a name; commas separate values, and those inside quotes,
    /// brackets and braces belong to a value. Can be given several times.
    #[arg(long = "variant", value_name = "NAME:PATH=VALUE,...")]
    variants: Vec<String>,
    /// Set a value in every scenario, as `run --set` does.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// The seed, instead of the baseline's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Replications of each; the first look with --until-resolved.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    replications: u64,
    /// Go on until the differences in --resolve are resolved.
    #[arg(long)]
    until_resolved: bool,
    /// The most replications of each with --until-resolved.
    #[arg(long, value_name = "N", default_value_t = 320, requires = "until_resolved",
          value_parser = clap::value_parser!(u64).range(2..))]
    max_replications: u64,
    /// What --until-resolved waits for, as in --metrics.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        requires = "until_resolved",
        default_value = "spend.total_usd,slo.attainment,latency.ttft_s.p99"
    )]
    resolve: Vec<String>,
    /// The metrics to tell, as paths in summary.json: latency.ttft_s.p99, streams.chat.slo.attainment
    /// [default: the main ones].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    metrics: Vec<String>,
    /// The folder for compare.json, report.html and plots [default: out/NAME-compare, after the baseline's name].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Print nothing but errors (and what --json asks for).
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let variants = load_variants(args)?;
    let configs: Vec<&WorldConfig> = variants.iter().map(|variant| &variant.config).collect();
    let wanted = |asked: &[String]| {
        metrics::wanted(asked, &configs).map_err(|error| Failure::BadInput(format!("error: {error}")))
    };
    let mut names = wanted(&args.metrics)?;
    let resolve = if args.until_resolved { wanted(&args.resolve)? } else { Vec::new() };
    for name in &resolve {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let (stop, runs) = if args.until_resolved {
        if args.max_replications < args.replications {
            return Err(Failure::BadInput(format!(
                "error: --max-replications {} is less than --replications {}; the first look would never come",
                args.max_replications, args.replications
            )));
        }
        let (first, most) = (args.replications, args.max_replications);
        (Stop::Resolved { metrics: &resolve, first, most }, most)
    } else {
        (Stop::After(args.replications), args.replications)
    };
    let bar = figures::bar(runs.saturating_mul(variants.len() as u64), "runs", args.quiet);
    let result = compare(&variants, &names, stop, &|| bar.inc(1));
    bar.finish_and_clear();
    let comparison = result.map_err(|failed| {
        let message = format!("error: {failed}");
        if failed.error.is_bad_input() { Failure::BadInput(message) } else { Failure::Failed(message) }
    })?;
    let json = serde_json::to_string_pretty(&comparison)
        .map_err(|error| Failure::Failed(format!("the comparison cannot be put into JSON: {error}")))?;
    let baseline = &variants[0].config.name;
    let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(format!("{baseline}-compare")));
    let page = page::page(&comparison).map_err(|error| Failure::Failed(format!("error: {error}")))?;
    report::write_file(&out, "compare.json", &format!("{json}\n")).map_err(cannot_write)?;
    for index in 1..variants.len() {
        let svg = page::forest(&comparison, index - 1);
        let svg = svg.map_err(|error| Failure::Failed(format!("error: {error}")))?;
        report::write_file(&out.join("plots"), &format!("differences-{index}.svg"), &svg)
            .map_err(cannot_write)?;
    }
    let written = report::write_file(&out, "report.html", &page).map_err(cannot_write)?;
    if args.json {
        print(&format!("{json}\n"))
    } else if args.quiet {
        Ok(())
    } else {
        print(&in_words(&comparison))?;
        print(&format!("\nReport: {}\n", written.display()))
    }
}

/// Loads everything that is compared, the baseline first, all under the baseline's seed.
fn load_variants(args: &Args) -> Result<Vec<Variant>, Failure> {
    let mut variants: Vec<Variant> = Vec::new();
    for path in &args.scenarios {
        let config = load(path, &args.set, args.seed, args.quiet)?.config;
        variants.push(Variant { name: config.name.clone(), config });
    }
    for index in 0..variants.len() {
        // Two files of one name are told apart by their paths.
        if variants.iter().filter(|other| other.config.name == variants[index].config.name).count() > 1 {
            variants[index].name = args.scenarios[index].display().to_string();
        }
    }
    for argument in &args.variants {
        let (name, sets) = split_variant(argument)?;
        let sets: Vec<String> = args.set.iter().cloned().chain(sets).collect();
        let config = load(&args.scenarios[0], &sets, args.seed, true)?.config;
        variants.push(Variant { name, config });
    }
    if variants.len() < 2 {
        return Err(Failure::BadInput(
            "error: there is nothing to compare with: give a second scenario, or --variant NAME:PATH=VALUE"
                .to_owned(),
        ));
    }
    for (index, variant) in variants.iter().enumerate() {
        if variants[..index].iter().any(|other| other.name == variant.name) {
            return Err(Failure::BadInput(format!(
                "error: two of what is compared are called `{}`; give each --variant a name of its own, and each \
                 file once",
                variant.name
            )));
        }
    }
    same_arrivals(&mut variants);
    Ok(variants)
}

/// `NAME:PATH=VALUE,PATH=VALUE`.
fn split_variant(argument: &str) -> Result<(String, Vec<String>), Failure> {
    let wrong = || {
        Failure::BadInput(format!(
            "error: `{argument}` is not NAME:PATH=VALUE,...; for example --variant \
             big:pools.base.nodes=4,deployments.chat.replicas=8"
        ))
    };
    let (name, sets) = argument.split_once(':').ok_or_else(wrong)?;
    let sets: Vec<String> = split_outside(sets, ',').map(|set| set.trim().to_owned()).collect();
    let sound = !name.trim().is_empty() && !name.contains('=') && sets.iter().all(|set| set.contains('='));
    if sound { Ok((name.trim().to_owned(), sets)) } else { Err(wrong()) }
}

/// Puts all variants under the baseline's seed, and warns where they are hard to compare all the same.
fn same_arrivals(variants: &mut [Variant]) {
    let Some((baseline, others)) = variants.split_first_mut() else { return };
    let base = &baseline.config;
    let streams = |config: &WorldConfig| -> Vec<String> {
        config.streams.iter().map(|stream| stream.traffic.name.clone()).collect()
    };
    for variant in others {
        if variant.config.seed != base.seed {
            eprintln!("note: `{}` runs under the seed of `{}`, {}", variant.name, baseline.name, base.seed.0);
            variant.config.seed = base.seed;
        }
        if variant.config.duration != base.duration || variant.config.warmup != base.warmup {
            eprintln!(
                "warning: `{}` simulates {} with {} of warm-up, `{}` {} with {}: totals differ for that alone",
                variant.name,
                variant.config.duration,
                variant.config.warmup,
                baseline.name,
                base.duration,
                base.warmup
            );
        }
        if streams(&variant.config) != streams(base) {
            eprintln!(
                "warning: the streams of `{}` are not those of `{}`; arrivals are shared by streams of one name",
                variant.name, baseline.name
            );
        }
    }
}

fn in_words(comparison: &Comparison) -> String {
    let mut text = String::new();
    for index in 0..comparison.metrics.first().map_or(0, |metric| metric.variants.len()) {
        text += &one_variant(comparison, index);
        text += &shared_luck(comparison, index);
        text.push('\n');
    }
    if let Some(looks) = &comparison.sequential {
        let names = looks.resolve.join(", ");
        text += &match looks.resolved {
            true => {
                format!("Resolved at look {} of at most {}: {names}.\n", looks.looks, looks.looks_planned)
            }
            false => format!("Not all resolved within {} replications: {names}.\n", comparison.replications),
        };
        text += &format!(
            "Intervals are at {:.2} %, so that over {} looks a difference is resolved wrongly in at most\n\
             5 % of comparisons (for each metric of each variant).\n",
            100.0 * (1.0 - looks.error_per_look),
            looks.looks_planned
        );
    }
    text
}

/// What the same random numbers are worth, of the metric that most ask about.
fn shared_luck(comparison: &Comparison, index: usize) -> String {
    let wanted = ["latency.ttft_s.p99", "slo.attainment", "latency.e2e_s.p99", "jobs.jct_s.mean"];
    let ratio = |name: &&str| {
        let metric = comparison.metrics.iter().find(|metric| metric.name == **name)?;
        Some((metric.name.clone(), metric.variants[index].independent_ratio.filter(|ratio| *ratio >= 1.05)?))
    };
    wanted.iter().find_map(ratio).map_or(String::new(), |(name, ratio)| {
        format!("Runs on different arrivals would need {ratio:.1} times as many replications for {name}.\n")
    })
}

/// `± 3 ms`: half the interval, which is symmetric.
fn half_width(name: &str, half: f64) -> String {
    format!("± {}", figures::show_difference(name, half).trim_start_matches('+'))
}

fn one_variant(comparison: &Comparison, index: usize) -> String {
    let mut rows = Vec::new();
    for metric in &comparison.metrics {
        let variant = &metric.variants[index];
        let shown =
            |value: Option<f64>| value.map_or(NOTHING.to_owned(), |value| figures::show(&metric.name, value));
        // Requests of a scenario that has only jobs, and jobs of one that has none, would be rows of noughts.
        let nothing = |value: Option<f64>| value.is_none_or(|value| value == 0.0);
        if nothing(metric.baseline) && nothing(variant.mean) {
            continue;
        }
        let verdict = match (variant.ci95, variant.resolved, variant.replications_to_resolve) {
            (None, ..) => NOTHING.to_owned(),
            (Some([lo, hi]), true, _) if lo == 0.0 && hi == 0.0 => "the same".to_owned(),
            (_, true, _) => "yes".to_owned(),
            (_, false, Some(more)) => format!("{} more", count(more)),
            (_, false, None) => "no".to_owned(),
        };
        rows.push(vec![
            metric.name.clone(),
            shown(metric.baseline),
            shown(variant.mean),
            variant.diff.map_or(NOTHING.to_owned(), |diff| figures::show_difference(&metric.name, diff)),
            variant.ci95.map_or(NOTHING.to_owned(), |[lo, hi]| half_width(&metric.name, 0.5 * (hi - lo))),
            verdict,
        ]);
    }
    let name = comparison.metrics.first().map_or("", |metric| metric.variants[index].name.as_str());
    let interval = if comparison.sequential.is_some() { "interval" } else { "95 %" };
    let header = ["metric", "baseline", "variant", "difference", interval, "resolved"].map(str::to_owned);
    format!(
        "{name} against {}, {} replications, seed {}:\n{}",
        comparison.baseline,
        comparison.replications,
        comparison.seed,
        figures::table(&header, rows, 1)
    )
}
