//! The page of a comparison.

use super::super::figures;
use super::half_width;
use crate::plan::compare::{Comparison, Difference};
use crate::report::format::{NOTHING, count, plural};
use crate::report::html::{
    Cell, Fact, Mood, PageError, Section, Sheet, Table, figures as side_by_side, paragraph, themed,
};
use crate::report::plots::charts::{Forest, Naming};

/// What the first screen tells, where it exists.
const TOLD: [&str; 5] =
    ["spend.total_usd", "slo.attainment", "latency.ttft_s.p99", "utilization.busy", "jobs.jct_s.mean"];

/// The page.
///
/// # Errors
/// When a plot cannot be drawn or the template not be filled.
pub fn page(comparison: &Comparison) -> Result<String, PageError> {
    let names: Vec<&str> = comparison
        .metrics
        .first()
        .map_or(Vec::new(), |metric| metric.variants.iter().map(|variant| variant.name.as_str()).collect());
    let mut sections = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let title = paragraph(&format!("{name} against {}", comparison.baseline));
        let plot = (themed(forest(comparison, index)?), false);
        sections.push(Section {
            id: ["first", "second", "third", "fourth"].get(index).copied().unwrap_or("further"),
            title: if index == 0 { "Differences" } else { "Further differences" },
            html: title + &side_by_side(&[plot]) + &table(comparison, index),
        });
    }
    sections.push(Section {
        id: "method",
        title: "How it was compared",
        html: paragraph(&format!(
            "{} of each, from seed {}. Equal streams bring equal arrivals to every variant, so differences are not \
             due to luck; they are taken replication by replication. A difference is resolved when its {} leaves \
             zero out.",
            plural(comparison.replications, "replication"),
            comparison.seed,
            interval(comparison)
        )),
    });
    let sheet = Sheet {
        title: format!("{} against {}", names.join(", "), comparison.baseline),
        about: format!(
            "{}, seed {}, fleetsim {}",
            plural(comparison.replications, "replication"),
            comparison.seed,
            env!("CARGO_PKG_VERSION")
        ),
        mood: Mood::Neutral,
        headline: names.first().map_or(String::new(), |name| in_a_line(comparison, name, 0)),
        verdicts: (1..names.len()).map(|index| in_a_line(comparison, names[index], index)).collect(),
        facts: facts(comparison),
        beside: String::new(),
        picture: String::new(),
        sections,
        version: env!("CARGO_PKG_VERSION"),
    };
    sheet.html()
}

fn interval(comparison: &Comparison) -> String {
    match &comparison.sequential {
        Some(looks) => format!("{:.2} % interval", 100.0 * (1.0 - looks.error_per_look)),
        None => "95 % interval".to_owned(),
    }
}

/// The variant's difference in a metric, where both have one.
fn of<'a>(comparison: &'a Comparison, name: &str, index: usize) -> Option<(f64, &'a Difference)> {
    let metric = comparison.metrics.iter().find(|metric| metric.name == name)?;
    Some((metric.baseline?, &metric.variants[index]))
}

/// `two-nodes: spend.total_usd +$1,510, slo.attainment +12 pp`.
fn in_a_line(comparison: &Comparison, name: &str, index: usize) -> String {
    let told = TOLD.iter().filter_map(|metric| {
        let (_, difference) = of(comparison, metric, index)?;
        let diff = figures::show_difference(metric, difference.diff?);
        let luck = if difference.resolved { "" } else { " (may be luck)" };
        Some(format!("{metric} {diff}{luck}"))
    });
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => format!("{name}: nothing can be compared in every replication."),
        false => format!("{name}: {}.", told.join(", ")),
    }
}

fn facts(comparison: &Comparison) -> Vec<Fact> {
    let titles = ["Spend", "SLO met", "TTFT p99", "Busy", "JCT, mean"];
    let fact = |(what, metric): (&'static str, &&str)| {
        let (baseline, first) = of(comparison, metric, 0)?;
        let value = first.mean.map_or(NOTHING.to_owned(), |mean| figures::show(metric, mean));
        Some(Fact { what, value, remark: format!("baseline {}", figures::show(metric, baseline)) })
    };
    titles.into_iter().zip(&TOLD).filter_map(fact).collect()
}

/// The differences of a variant with their intervals, as SVG.
///
/// # Errors
/// When it cannot be drawn.
pub fn forest(comparison: &Comparison, index: usize) -> Result<String, PageError> {
    let rows: Vec<(String, f64, [f64; 2], bool)> = comparison
        .metrics
        .iter()
        .filter_map(|metric| {
            let variant = &metric.variants[index];
            let baseline = metric.baseline.filter(|baseline| *baseline != 0.0)?.abs();
            let [low, high] = variant.ci95?;
            Some((
                metric.name.clone(),
                variant.diff? / baseline,
                [low / baseline, high / baseline],
                variant.resolved,
            ))
        })
        .collect();
    let naming = Naming {
        name: "differences",
        title: "Differences to the baseline",
        about: "the mean paired difference of each metric with its interval, as a share of the baseline",
    };
    Ok(Forest { naming, note: format!("with {}", interval(comparison)), rows: &rows }.svg()?)
}

fn table(comparison: &Comparison, index: usize) -> String {
    let mut table = Table::new(
        "Differences",
        &["metric", "#baseline", "#variant", "#difference", "#interval", "resolved"],
    );
    for metric in &comparison.metrics {
        let variant = &metric.variants[index];
        if metric.baseline.is_none() && variant.mean.is_none() {
            continue;
        }
        let number = |value: Option<f64>, text: fn(&str, f64) -> String| {
            let shown = value.map_or(NOTHING.to_owned(), |value| text(&metric.name, value));
            Cell::number(value.unwrap_or(f64::NAN), shown)
        };
        let resolved = match (variant.ci95, variant.resolved, variant.replications_to_resolve) {
            (None, ..) => NOTHING.to_owned(),
            (Some([low, high]), true, _) if low == 0.0 && high == 0.0 => "the same".to_owned(),
            (_, true, _) => "yes".to_owned(),
            (_, false, Some(more)) => format!("{} replications more", count(more)),
            (_, false, None) => "no".to_owned(),
        };
        let half = variant.ci95.map(|[low, high]| 0.5 * (high - low));
        table.row(vec![
            Cell::text(&metric.name),
            number(metric.baseline, figures::show),
            number(variant.mean, figures::show),
            number(variant.diff, figures::show_difference),
            number(half, half_width),
            Cell::text(resolved),
        ]);
    }
    table.html("No metric has a value.")
}
