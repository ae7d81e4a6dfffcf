//! Requests waiting over time, per deployment.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{columns, peak};
use super::figure::{Mark, Plan, legend, panel_height, stack};
use super::panel::{HIGH, MEAN, Pen};
use super::style::BLUE;
use super::{COLUMNS, few, resolution};
use crate::metrics::results::{RunResults, Subject, TimeSeries, metric};

const MOST_DEPLOYMENTS: usize = 6;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let timeseries = &results.timeseries;
    let all: Vec<Subject> =
        results.summary.deployments.iter().map(|item| Subject::Deployment(item.name.clone())).collect();
    let longest = |subject: &Subject| {
        [metric::QUEUED_REQUESTS_MAX, metric::QUEUED_REQUESTS]
            .into_iter()
            .filter_map(|metric| timeseries.values(subject, metric))
            .map(peak)
            .fold(0.0, f64::max)
    };
    let (shown, note) = few(all, MOST_DEPLOYMENTS, longest, "deployments", "with the longest queues");
    canvas.note(&[resolution(timeseries), note].concat());
    legend(canvas, &[(Mark::Area(0.45), BLUE, "mean"), (Mark::Line(1.0), BLUE, "most at once")]);
    if shown.is_empty() {
        stack(canvas, timeseries, vec![nothing("no deployments")]);
        return;
    }
    let height = panel_height(shown.len());
    let plans = shown.iter().map(|subject| panel_of(timeseries, subject, longest(subject), height)).collect();
    stack(canvas, timeseries, plans);
}

fn panel_of<'a>(timeseries: &TimeSeries, subject: &Subject, most: f64, height: f64) -> Plan<'a> {
    let of = |metric| {
        timeseries
            .values(subject, metric)
            .map(|values| columns(timeseries, values, COLUMNS))
            .unwrap_or_default()
    };
    let (mean, high) = (of(metric::QUEUED_REQUESTS), of(metric::QUEUED_REQUESTS_MAX));
    Plan {
        name: subject.name().to_string(),
        y: Axis::quantity(most, if height > 200.0 { 5 } else { 3 }, "requests waiting", true),
        height,
        draw: Box::new(move |panel, canvas| {
            if most == 0.0 {
                panel.say(canvas, "nothing ever waited");
                return;
            }
            canvas.series("mean", |canvas| {
                panel.area(canvas, &mean, MEAN, Pen::area(BLUE, 0.45));
            });
            canvas.series("most", |canvas| {
                panel.curve(canvas, &high, HIGH, Pen::line(BLUE, 1.0));
            });
        }),
    }
}

/// An empty panel that says why.
pub(super) fn nothing<'a>(why: &'static str) -> Plan<'a> {
    Plan {
        name: String::new(),
        y: Axis::quantity(1.0, 2, "", false),
        height: 120.0,
        draw: Box::new(move |panel, canvas| panel.say(canvas, why)),
    }
}
