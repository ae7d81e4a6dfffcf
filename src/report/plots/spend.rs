//! Cumulative spend over time, stacked by pool or by cause.

use plotters::style::RGBColor;

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::columns;
use super::few;
use super::figure::{Entry, Mark, Plan, legend, stack};
use super::style::{GREY, series_color};
use crate::metrics::results::{RunResults, Subject, TimeSeries, metric};
use crate::report::format::{money, shorten};

/// The largest get colours, the rest is one grey layer.
const MOST_LAYERS: usize = 7;
const MOST_COLUMNS: usize = 180;

pub(super) fn draw_by_pool(results: &RunResults, canvas: &mut Canvas<'_>) {
    let pools = results.summary.pools.iter().map(|pool| Subject::Pool(pool.name.clone())).collect();
    draw(results, canvas, pools, "pools");
}

pub(super) fn draw_by_cause(results: &RunResults, canvas: &mut Canvas<'_>) {
    let causes = results.timeseries.series.iter().filter(|series| series.metric == metric::SPEND_USD);
    let causes = causes.map(|series| series.subject.clone());
    draw(results, canvas, causes.filter(|subject| matches!(subject, Subject::Cause(_))).collect(), "causes");
}

struct Layer {
    name: String,
    /// The same without its total.
    short: String,
    color: RGBColor,
    /// Dollars so far at each edge.
    so_far: Vec<f64>,
}

fn draw(results: &RunResults, canvas: &mut Canvas<'_>, subjects: Vec<Subject>, kind: &str) {
    let timeseries = &results.timeseries;
    let edges = edges(timeseries);
    let total = |subject: &Subject| so_far(timeseries, subject).last().copied().unwrap_or(0.0);
    let everything = subjects.clone();
    let (mut shown, _) = few(subjects, MOST_LAYERS, total, kind, "");
    shown.retain(|subject| total(subject) > 0.0);
    let mut layers: Vec<Layer> = shown
        .iter()
        .enumerate()
        .map(|(index, subject)| Layer {
            name: format!("{} {}", subject.name(), money(total(subject))),
            short: shorten(subject.name(), 24),
            color: series_color(index),
            so_far: so_far(timeseries, subject),
        })
        .collect();
    let others: Vec<&Subject> =
        everything.iter().filter(|subject| !shown.contains(subject) && total(subject) > 0.0).collect();
    if !others.is_empty() {
        let mut sum = vec![0.0; edges.len()];
        for subject in &others {
            sum.iter_mut().zip(so_far(timeseries, subject)).for_each(|(sum, more)| *sum += more);
        }
        let amount = money(sum.last().copied().unwrap_or(0.0));
        let short = format!("{} others", others.len());
        layers.push(Layer { name: format!("{short} {amount}"), short, color: GREY, so_far: sum });
    }
    canvas.note(&format!(
        "US dollars since the beginning; in total {}",
        money(results.summary.spend.total_usd)
    ));
    let entries: Vec<Entry<'_>> =
        layers.iter().map(|layer| (Mark::Area(0.85), layer.color, layer.name.as_str())).collect();
    legend(canvas, &entries);
    let most: f64 = layers.iter().filter_map(|layer| layer.so_far.last()).sum();
    let plan = Plan {
        name: String::new(),
        y: Axis::dollars(most, 5, "US dollars, cumulative"),
        height: 250.0,
        draw: Box::new(move |panel, canvas| {
            if most == 0.0 {
                panel.say(canvas, "nothing was billed");
            }
            let mut below = vec![0.0; edges.len()];
            for layer in &layers {
                let above: Vec<f64> = below.iter().zip(&layer.so_far).map(|(base, usd)| base + usd).collect();
                let upper = edges.iter().zip(&above).map(|(time, usd)| panel.at(*time, *usd));
                let lower = edges.iter().zip(&below).map(|(time, usd)| panel.at(*time, *usd)).rev();
                let points: Vec<(f64, f64)> = upper.chain(lower).collect();
                canvas.series(&layer.short, |canvas| canvas.polygon(&points, layer.color, 0.85));
                below = above;
            }
        }),
    };
    stack(canvas, timeseries, vec![plan]);
}

/// The instants at which the spend so far is known, in seconds.
fn edges(timeseries: &TimeSeries) -> Vec<f64> {
    let buckets = timeseries.series.first().map_or(0, |series| series.values.len());
    let columns = columns(timeseries, &vec![None; buckets], MOST_COLUMNS);
    std::iter::once(0.0).chain(columns.iter().map(|column| column.to)).collect()
}

/// Dollars spent at each of [`edges`].
fn so_far(timeseries: &TimeSeries, subject: &Subject) -> Vec<f64> {
    let values = timeseries.values(subject, metric::SPEND_USD).unwrap_or_default();
    let mut sums = vec![0.0];
    let mut sum = 0.0;
    for column in columns(timeseries, values, MOST_COLUMNS) {
        sum += column.sum;
        sums.push(sum);
    }
    sums
}
