//! Replicas that come and go, the decisions that made them, and what a forecast was worth.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{Column, columns, highest};
use super::figure::{Mark, Plan, legend, panel_height, stack};
use super::panel::{MEAN, Panel, Pen};
use super::queue::nothing;
use super::style::{BLUE, GREEN, INK, MUTED, ORANGE, SKY, VERMILLION};
use super::{COLUMNS, few, resolution};
use crate::metrics::results::{DecisionRow, RunResults, Subject, metric};

const MOST_DEPLOYMENTS: usize = 6;
/// More marks than this in one panel hide each other.
const MOST_MARKS: usize = 240;

/// The deployments that have a metric, the most interesting first.
fn with(results: &RunResults, of: &str) -> (Vec<Subject>, String) {
    let deployments = results.summary.deployments.iter();
    let all: Vec<Subject> = deployments
        .map(|item| Subject::Deployment(item.name.clone()))
        .filter(|subject| results.timeseries.values(subject, of).is_some())
        .collect();
    let decided = |subject: &Subject| {
        results.decisions.iter().filter(|decision| decision.target == subject.name()).count() as f64
    };
    few(all, MOST_DEPLOYMENTS, decided, "deployments", "with the most decisions")
}

fn of(results: &RunResults, subject: &Subject, metric: &str) -> Vec<Column> {
    let timeseries = &results.timeseries;
    let values = timeseries.values(subject, metric);
    values.map(|values| columns(timeseries, values, COLUMNS)).unwrap_or_default()
}

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let (shown, note) = with(results, metric::DESIRED_REPLICAS);
    canvas.note(&[&resolution(&results.timeseries), note.as_str()].concat());
    if shown.is_empty() {
        return stack(canvas, &results.timeseries, vec![nothing("no replica came or went")]);
    }
    legend(
        canvas,
        &[
            (Mark::Area(0.25), GREEN, "ready"),
            (Mark::Area(0.5), ORANGE, "starting or waiting for cards"),
            (Mark::Line(1.5), MUTED, "billed"),
            (Mark::Dashed, INK, "desired"),
            (Mark::Area(1.0), BLUE, "▲ decided to add"),
            (Mark::Area(1.0), VERMILLION, "▼ decided to remove"),
        ],
    );
    let height = panel_height(shown.len()).max(110.0);
    let plans = shown.iter().map(|subject| panel_of(results, subject, height)).collect();
    stack(canvas, &results.timeseries, plans);
}

fn panel_of<'a>(results: &'a RunResults, subject: &Subject, height: f64) -> Plan<'a> {
    let (ready, desired) =
        (of(results, subject, metric::READY_REPLICAS), of(results, subject, metric::DESIRED_REPLICAS));
    let billed = of(results, subject, metric::BILLED_REPLICAS);
    let (pending, starting) =
        (of(results, subject, metric::PENDING_REPLICAS), of(results, subject, metric::STARTING_REPLICAS));
    // What is on the way is drawn on top of what is ready.
    let with_coming: Vec<Column> = ready
        .iter()
        .zip(pending.iter().zip(&starting))
        .map(|(ready, (pending, starting))| {
            let sum = |pick: fn(&Column) -> Option<f64>| {
                Some(pick(ready)? + pick(pending).unwrap_or(0.0) + pick(starting).unwrap_or(0.0))
            };
            Column { mean: sum(|column| column.mean), high: sum(|column| column.high), ..*ready }
        })
        .collect();
    let decided: Vec<&DecisionRow> = results
        .decisions
        .iter()
        .filter(|decision| decision.target == subject.name() && decision.done != decision.current)
        .collect();
    let most = [&ready, &desired, &billed, &with_coming].map(|columns| highest(columns)).into_iter();
    let most = most.chain(decided.iter().map(|decision| decision.done)).fold(1.0, f64::max);
    Plan {
        name: subject.name().to_string(),
        y: Axis::quantity(most * 1.1, 4, "replicas", true),
        height,
        draw: Box::new(move |panel, canvas| {
            canvas.series("with those on the way", |canvas| {
                panel.area(canvas, &with_coming, MEAN, Pen::area(ORANGE, 0.5).steps());
            });
            canvas.series("ready", |canvas| {
                panel.area(canvas, &ready, MEAN, Pen::area(GREEN, 0.45).steps());
            });
            canvas.series("billed", |canvas| {
                panel.curve(canvas, &billed, MEAN, Pen::line(MUTED, 1.5).steps());
            });
            canvas.series("desired", |canvas| {
                panel.dashed_curve(canvas, &desired, MEAN, Pen::line(INK, 1.25).steps());
            });
            let every = decided.len().div_ceil(MOST_MARKS).max(1);
            for decision in decided.iter().step_by(every) {
                mark(panel, canvas, decision);
            }
        }),
    }
}

/// A triangle at a decision, which points up or down.
fn mark(panel: &Panel<'_>, canvas: &mut Canvas<'_>, decision: &DecisionRow) {
    let (x, y) = panel.at(decision.time.as_secs_f64(), decision.done);
    let (tip, color) = if decision.done > decision.current { (-5.0, BLUE) } else { (5.0, VERMILLION) };
    canvas.polygon(&[(x, y + tip), (x - 4.0, y - tip * 0.6), (x + 4.0, y - tip * 0.6)], color, 1.0);
}

pub(super) fn draw_forecast(results: &RunResults, canvas: &mut Canvas<'_>) {
    let (shown, note) = with(results, metric::FORECAST_DEMAND);
    canvas.note(&[&resolution(&results.timeseries), note.as_str()].concat());
    if shown.is_empty() {
        return stack(canvas, &results.timeseries, vec![nothing("no autoscaler forecast anything")]);
    }
    legend(
        canvas,
        &[(Mark::Area(0.4), SKY, "what came, as the autoscaler saw it"), (Mark::Line(1.5), INK, "forecast")],
    );
    let height = panel_height(shown.len());
    let plan = |subject: &Subject| {
        let actual = of(results, subject, metric::OBSERVED_DEMAND);
        let forecast = of(results, subject, metric::FORECAST_DEMAND);
        let most = highest(&actual).max(highest(&forecast));
        Plan {
            name: subject.name().to_string(),
            y: Axis::quantity(most, 4, "the metric that it forecasts", false),
            height,
            draw: Box::new(move |panel: &Panel<'_>, canvas: &mut Canvas<'_>| {
                canvas.series("came", |canvas| {
                    panel.area(canvas, &actual, MEAN, Pen::area(SKY, 0.4));
                });
                canvas.series("forecast", |canvas| {
                    panel.curve(canvas, &forecast, MEAN, Pen::line(INK, 1.5));
                });
            }),
        }
    };
    let plans = shown.iter().map(plan).collect();
    stack(canvas, &results.timeseries, plans);
}
