//! One picture of the run: demand, capacity, queue and latency on one time axis.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{Column, columns, highest, total};
use super::figure::{Entry, Mark, Plan, legend, stack};
use super::latency::ends;
use super::panel::{HIGH, MEAN, Pen};
use super::rate::{self, demand};
use super::style::{BLUE, GREEN, INK, MUTED, SKY, VERMILLION};
use super::{COLUMNS, resolution};
use crate::metrics::results::{RunResults, StreamSummary, Subject, metric};
use crate::report::format::shorten;

const HEIGHT: f64 = 92.0;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let summary = &results.summary;
    let streams: Vec<Subject> =
        summary.streams.iter().map(|stream| Subject::Stream(stream.name.clone())).collect();
    canvas.note(&format!("all streams, deployments and pools together; {}", resolution(&results.timeseries)));
    let mut entries: Vec<Entry<'_>> = rate::entries(&results.timeseries);
    if !summary.pools.is_empty() {
        entries.extend([
            (Mark::Area(0.25), GREEN, "replicas ready"),
            (Mark::Line(1.5), MUTED, "billed"),
            (Mark::Area(0.4), SKY, "allocated"),
            (Mark::Area(1.0), BLUE, "busy"),
        ]);
    }
    let limited = summary.streams.iter().any(|stream| stream.slo_limits.ttft_s.is_some());
    if limited {
        entries.push((Mark::Dashed, INK, "limit"));
    }
    legend(canvas, &entries);
    let mut plans = vec![demand(&results.timeseries, "Demand", &streams, HEIGHT * 1.3)];
    plans.extend(replicas(results));
    plans.extend(cards(results));
    plans.extend(queue(results));
    plans.extend(first_token(results));
    stack(canvas, &results.timeseries, plans);
}

fn sum(results: &RunResults, subjects: &[Subject], metric: &str) -> Option<Vec<Column>> {
    let values = total(&results.timeseries, subjects, metric)?;
    Some(columns(&results.timeseries, &values, COLUMNS))
}

fn deployments(results: &RunResults) -> Vec<Subject> {
    let deployments = results.summary.deployments.iter();
    deployments.map(|deployment| Subject::Deployment(deployment.name.clone())).collect()
}

fn replicas<'a>(results: &RunResults) -> Option<Plan<'a>> {
    let all = deployments(results);
    let ready = sum(results, &all, metric::READY_REPLICAS)?;
    let desired = sum(results, &all, metric::DESIRED_REPLICAS).unwrap_or_default();
    // Replicas that never come or go are billed while they are ready.
    let billed = sum(results, &all, metric::BILLED_REPLICAS).unwrap_or_else(|| ready.clone());
    let most = highest(&ready).max(highest(&desired)).max(highest(&billed));
    Some(Plan {
        name: "Capacity".to_string(),
        y: Axis::quantity(most, 3, "replicas: ready (area), billed (line), desired (dashed)", true),
        height: HEIGHT * 0.7,
        draw: Box::new(move |panel, canvas| {
            canvas.series("ready", |canvas| {
                panel.area(canvas, &ready, MEAN, Pen::area(GREEN, 0.25).steps());
            });
            canvas.series("billed", |canvas| {
                panel.curve(canvas, &billed, MEAN, Pen::line(MUTED, 1.5).steps());
            });
            canvas.series("desired", |canvas| {
                panel.dashed_curve(canvas, &desired, MEAN, Pen::line(INK, 1.25).steps());
            });
        }),
    })
}

fn cards<'a>(results: &RunResults) -> Option<Plan<'a>> {
    let pools: Vec<Subject> =
        results.summary.pools.iter().map(|pool| Subject::Pool(pool.name.clone())).collect();
    let provisioned = sum(results, &pools, metric::PROVISIONED_CARDS)?;
    let allocated = sum(results, &pools, metric::ALLOCATED_CARDS).unwrap_or_default();
    let busy = sum(results, &pools, metric::BUSY_CARDS).unwrap_or_default();
    Some(Plan {
        name: "Cards".to_string(),
        y: Axis::quantity(highest(&provisioned), 3, "accelerators", true),
        height: HEIGHT,
        draw: Box::new(move |panel, canvas| {
            canvas.series("allocated", |canvas| {
                panel.area(canvas, &allocated, MEAN, Pen::area(SKY, 0.4).steps());
            });
            canvas.series("busy", |canvas| {
                panel.area(canvas, &busy, MEAN, Pen::area(BLUE, 1.0).steps());
            });
            canvas.series("billed", |canvas| {
                panel.curve(canvas, &provisioned, MEAN, Pen::line(MUTED, 1.5).steps());
            });
        }),
    })
}

fn queue<'a>(results: &RunResults) -> Option<Plan<'a>> {
    let waiting = sum(results, &deployments(results), metric::QUEUED_REQUESTS)?;
    let most = highest(&waiting);
    Some(Plan {
        name: "Queue".to_string(),
        y: Axis::quantity(most, 3, "requests waiting, mean", true),
        height: HEIGHT,
        draw: Box::new(move |panel, canvas| {
            if most == 0.0 {
                panel.say(canvas, "nothing ever waited");
            }
            panel.area(canvas, &waiting, MEAN, Pen::area(VERMILLION, 0.35));
            canvas.series("waiting", |canvas| {
                panel.curve(canvas, &waiting, MEAN, Pen::line(VERMILLION, 1.25));
            });
        }),
    })
}

/// The 99th percentile of TTFT of each stream, in one colour: the worst is what counts here.
fn first_token<'a>(results: &RunResults) -> Option<Plan<'a>> {
    let timeseries = &results.timeseries;
    let curve = |stream: &StreamSummary| -> Option<(String, Vec<Column>)> {
        let values = timeseries.values(&Subject::Stream(stream.name.clone()), metric::TTFT_P99_S)?;
        Some((shorten(&stream.name, 24), columns(timeseries, values, COLUMNS / 2)))
    };
    let curves: Vec<(String, Vec<Column>)> = results.summary.streams.iter().filter_map(curve).collect();
    let limits: Vec<f64> =
        results.summary.streams.iter().filter_map(|stream| stream.slo_limits.ttft_s).collect();
    let observed: Vec<f64> = curves.iter().flat_map(|curve| curve.1.iter().filter_map(HIGH)).collect();
    if observed.is_empty() {
        return None;
    }
    let (low, high) = ends(observed.into_iter().chain(limits.iter().copied()));
    Some(Plan {
        name: "Latency".to_string(),
        y: Axis::latency(low, high, 4, "99th percentile of time to first token, each stream"),
        height: HEIGHT,
        draw: Box::new(move |panel, canvas| {
            let (low, high) = ends(limits.iter().copied());
            for limit in [low, high].into_iter().filter(|limit| limit.is_finite()) {
                panel.limit(canvas, limit, INK);
            }
            for (name, curve) in &curves {
                canvas.series(name, |canvas| {
                    panel.curve(canvas, curve, HIGH, Pen::line(BLUE, 1.5));
                });
            }
        }),
    })
}
