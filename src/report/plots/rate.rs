//! Requests over time: expected, arrived, completed, turned away.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{Column, columns, highest, peak, total};
use super::figure::{Entry, Mark, Plan, legend, panel_height, stack};
use super::panel::{HIGH, MEAN, Pen};
use super::style::{BLUE, GREEN, INK, VERMILLION};
use super::{COLUMNS, merged, resolution};
use crate::metrics::results::{RunResults, Subject, TimeSeries, metric};

/// Of the area up to the highest bucket, where several are drawn as one.
const PEAK_OPACITY: f64 = 0.15;
/// Beyond this many streams, their sum is drawn.
const MOST_STREAMS: usize = 5;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let timeseries = &results.timeseries;
    let streams: Vec<Subject> =
        results.summary.streams.iter().map(|stream| Subject::Stream(stream.name.clone())).collect();
    let groups: Vec<(String, Vec<Subject>)> = match streams.len() {
        0 => vec![(String::new(), Vec::new())],
        n if n > MOST_STREAMS => vec![(format!("all {n} streams"), streams)],
        _ => streams.into_iter().map(|stream| (stream.name().to_string(), vec![stream])).collect(),
    };
    canvas.note(&resolution(timeseries));
    legend(canvas, &entries(timeseries));
    let height = panel_height(groups.len());
    let plans = groups.iter().map(|(name, subjects)| demand(timeseries, name, subjects, height)).collect();
    stack(canvas, timeseries, plans);
}

/// The legend of [`demand`].
pub(super) fn entries<'a>(timeseries: &TimeSeries) -> Vec<Entry<'a>> {
    let mut entries = vec![(Mark::Area(0.35), BLUE, "arrived")];
    if merged(timeseries) > 1 {
        entries.push((Mark::Area(PEAK_OPACITY), BLUE, "arrived, peaks"));
    }
    entries.extend([
        (Mark::Dashed, INK, "expected"),
        (Mark::Line(2.0), GREEN, "completed"),
        (Mark::Area(0.7), VERMILLION, "turned away or given up"),
    ]);
    entries
}

/// One panel of rates, of the sum of `subjects`.
pub(super) fn demand<'a>(timeseries: &TimeSeries, name: &str, subjects: &[Subject], height: f64) -> Plan<'a> {
    let sum = |metric| total(timeseries, subjects, metric);
    let narrow = |values: Option<Vec<Option<f64>>>| -> Vec<Column> {
        values.map(|values| columns(timeseries, &values, COLUMNS)).unwrap_or_default()
    };
    let offered = narrow(sum(metric::OFFERED_RPS));
    let expected = narrow(sum(metric::EXPECTED_RPS));
    let completed = narrow(sum(metric::COMPLETED_RPS));
    let lost = narrow(match (sum(metric::REJECTED_RPS), sum(metric::TIMED_OUT_RPS)) {
        (Some(rejected), Some(timed_out)) => {
            let add = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
            };
            Some(rejected.iter().zip(&timed_out).map(add).collect())
        }
        (rejected, timed_out) => rejected.or(timed_out),
    });
    let peaks = if merged(timeseries) > 1 { highest(&offered) } else { 0.0 };
    let most = [&offered, &expected, &completed, &lost]
        .into_iter()
        .map(|columns| peak(&columns.iter().map(|column| column.mean).collect::<Vec<_>>()))
        .fold(peaks, f64::max);
    Plan {
        name: name.to_string(),
        y: Axis::quantity(most, if height > 200.0 { 5 } else { 3 }, "requests per second", false),
        height,
        draw: Box::new(move |panel, canvas| {
            if most == 0.0 {
                panel.say(canvas, "no requests arrived");
                return;
            }
            if peaks > 0.0 {
                panel.area(canvas, &offered, HIGH, Pen::area(BLUE, PEAK_OPACITY));
            }
            canvas.series("arrived", |canvas| {
                panel.area(canvas, &offered, MEAN, Pen::area(BLUE, 0.35));
            });
            canvas.series("lost", |canvas| {
                panel.area(canvas, &lost, MEAN, Pen::area(VERMILLION, 0.7));
            });
            canvas.series("completed", |canvas| {
                panel.curve(canvas, &completed, MEAN, Pen::line(GREEN, 1.75));
            });
            canvas.series("expected", |canvas| {
                panel.dashed_curve(canvas, &expected, MEAN, Pen::line(INK, 1.25));
            });
        }),
    }
}
