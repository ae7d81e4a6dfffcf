//! Median and 99th percentile of TTFT, TPOT and E2E over time, per stream.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{Column, columns};
use super::figure::{Mark, Plan, stack};
use super::latency::{LATENCIES, MOST_STREAMS, ends, limit_lines, stream_legend, warn_of_growth};
use super::panel::{HIGH, MEAN, Pen};
use super::style::{MUTED, series_color};
use super::{COLUMNS, few};
use crate::metrics::results::{RunResults, StreamSummary, Subject, TimeSeries};
use crate::report::format::shorten;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let timeseries = &results.timeseries;
    let all: Vec<&StreamSummary> = results.summary.streams.iter().collect();
    let arrived = |stream: &&StreamSummary| stream.requests.arrived as f64;
    let (streams, note) = few(all, MOST_STREAMS, arrived, "streams", "with the most requests");
    canvas.note(&format!("of the requests that completed at that time{note}"));
    warn_of_growth(canvas, &streams);
    let pens = [(Mark::Line(1.75), MUTED, "99th percentile"), (Mark::Line(0.75), MUTED, "median")];
    stream_legend(canvas, &streams, &pens);
    let plans = LATENCIES
        .iter()
        .map(|(name, title, limit)| {
            let limits = streams.iter().map(|stream| limit(&stream.slo_limits)).collect();
            panel_of(timeseries, &streams, name, title, limits)
        })
        .collect();
    stack(canvas, timeseries, plans);
}

fn panel_of<'a>(
    timeseries: &TimeSeries,
    streams: &[&StreamSummary],
    name: &str,
    title: &str,
    limits: Vec<Option<f64>>,
) -> Plan<'a> {
    let of = |stream: &StreamSummary, quantile: &str| -> Vec<Column> {
        let subject = Subject::Stream(stream.name.clone());
        let values = timeseries.values(&subject, &format!("{name}_{quantile}_s"));
        values.map(|values| columns(timeseries, values, COLUMNS / 2)).unwrap_or_default()
    };
    let curves: Vec<(Vec<Column>, Vec<Column>)> =
        streams.iter().map(|stream| (of(stream, "p50"), of(stream, "p99"))).collect();
    let names: Vec<String> = streams.iter().map(|stream| shorten(&stream.name, 24)).collect();
    let medians = curves.iter().flat_map(|curve| curve.0.iter().filter_map(MEAN));
    let tails = curves.iter().flat_map(|curve| curve.1.iter().filter_map(HIGH));
    let values: Vec<f64> = medians.chain(tails).collect();
    let nothing = values.is_empty();
    let (low, high) = ends(values.into_iter().chain(limits.iter().flatten().copied()));
    Plan {
        name: String::new(),
        y: Axis::latency(low, high, 5, title),
        height: 125.0,
        draw: Box::new(move |panel, canvas| {
            if nothing {
                panel.say(canvas, "no requests completed");
            }
            for (limit, color) in limit_lines(&limits) {
                panel.limit(canvas, limit, color);
            }
            for (index, (median, tail)) in curves.iter().enumerate() {
                canvas.series(&format!("{} p50", names[index]), |canvas| {
                    panel.curve(canvas, median, MEAN, Pen::line(series_color(index), 0.75));
                });
                canvas.series(&format!("{} p99", names[index]), |canvas| {
                    panel.curve(canvas, tail, HIGH, Pen::line(series_color(index), 1.75));
                });
            }
        }),
    }
}
