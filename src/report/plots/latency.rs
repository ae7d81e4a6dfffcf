//! Distributions of TTFT, TPOT and E2E per stream: cumulative, on a logarithmic scale.

use plotters::style::RGBColor;

use super::axis::Axis;
use super::canvas::Canvas;
use super::few;
use super::figure::{Entry, HEADING, Mark, legend};
use super::panel::Panel;
use super::style::{INK, MARGIN, series_color};
use crate::metrics::results::{Distribution, RunResults, SloLimits, StreamSummary};
use crate::report::format::shorten;

/// Name of the metric, title, limit.
pub(super) type Latency = (&'static str, &'static str, fn(&SloLimits) -> Option<f64>);

/// The latencies that have plots: the metric's name, its title, and the limit that belongs to it.
pub(super) const LATENCIES: [Latency; 3] = [
    ("ttft", "time to first token (TTFT)", |limits| limits.ttft_s),
    ("tpot", "time per output token (TPOT)", |limits| limits.tpot_s),
    ("e2e", "end to end (E2E)", |limits| limits.e2e_s),
];

/// More curves than this cannot be told apart.
pub(super) const MOST_STREAMS: usize = 7;

const HEIGHT: f64 = 260.0;
const GAP: f64 = 58.0;
/// Fewer observations than this are drawn one by one.
const STEPS_BELOW: u64 = 200;
const MOST_POINTS: usize = 240;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let all: Vec<&StreamSummary> = results.summary.streams.iter().collect();
    let arrived = |stream: &&StreamSummary| stream.requests.arrived as f64;
    let (streams, note) = few(all, MOST_STREAMS, arrived, "streams", "with the most requests");
    canvas.note(&format!("share of requests that took no longer, after the warm-up{note}"));
    warn_of_growth(canvas, &streams);
    stream_legend(canvas, &streams, &[]);
    let width = (canvas.width - 2.0 * MARGIN - 3.0 * GAP + 20.0) / 3.0;
    let top = canvas.bottom + HEADING;
    let mut bottom = top;
    for (index, (name, title, limit)) in LATENCIES.iter().enumerate() {
        let metric = format!("{name}_s");
        let curves: Vec<Option<&Distribution>> = streams
            .iter()
            .map(|stream| {
                results.distributions.iter().find(|distribution| {
                    distribution.metric == metric
                        && distribution.subject.name() == stream.name
                        && !distribution.cumulative.is_empty()
                })
            })
            .collect();
        let limits: Vec<Option<f64>> = streams.iter().map(|stream| limit(&stream.slo_limits)).collect();
        let values = curves.iter().flatten().flat_map(|curve| curve.cumulative.iter().map(|point| point.0));
        let (low, high) = ends(values.chain(limits.iter().flatten().copied()));
        let x = Axis::latency(low, high, (width / 75.0) as usize, "");
        let panel = Panel {
            x: &x,
            y: Axis::share_of_all(&[0, 25, 50, 75, 90, 99], ""),
            left: MARGIN + 38.0 + index as f64 * (width + GAP),
            top,
            width,
            height: HEIGHT,
        };
        panel.frame(canvas);
        panel.heading(canvas, title);
        if curves.iter().all(Option::is_none) {
            panel.say(canvas, "no requests completed");
        }
        for (limit, color) in limit_lines(&limits) {
            let x = panel.at(limit, 0.0).0;
            canvas.dashed(&[(x, top), (x, top + HEIGHT)], color, 1.25);
        }
        for (color, curve) in curves.iter().enumerate() {
            if let Some(curve) = curve {
                canvas.line(&rise(&panel, curve), series_color(color), 1.0, 2.0);
            }
        }
        bottom = panel.horizontal_labels(canvas) - 14.0;
    }
    canvas.bottom = bottom;
}

/// Says where a distribution depends on how long the run is.
pub(super) fn warn_of_growth(canvas: &mut Canvas<'_>, streams: &[&StreamSummary]) {
    let growing: Vec<&str> =
        streams.iter().filter(|stream| !stream.stability.stable).map(|stream| stream.name.as_str()).collect();
    if !growing.is_empty() {
        let names = shorten(&growing.join(", "), 48);
        canvas.note(&format!("no steady state: the longer the run, the longer the waits ({names})"));
    }
}

/// The legend of streams by colour, and of the limits where there are any.
pub(super) fn stream_legend(canvas: &mut Canvas<'_>, streams: &[&StreamSummary], more: &[Entry<'_>]) {
    let mut entries: Vec<Entry<'_>> = streams
        .iter()
        .enumerate()
        .map(|(index, stream)| (Mark::Line(2.5), series_color(index), stream.name.as_str()))
        .collect();
    entries.extend(more);
    let limited = |stream: &&&StreamSummary| stream.slo_limits != SloLimits::default();
    if streams.iter().any(|stream| limited(&stream)) {
        entries.push((Mark::Dashed, INK, "limit"));
    }
    legend(canvas, &entries);
}

/// Each limit once, in its stream's colour, or dark where streams share it or there is only one stream.
pub(super) fn limit_lines(limits: &[Option<f64>]) -> Vec<(f64, RGBColor)> {
    let mut lines: Vec<(f64, RGBColor)> = Vec::new();
    for (index, limit) in limits.iter().enumerate() {
        let Some(limit) = *limit else { continue };
        match lines.iter_mut().find(|line| line.0 == limit) {
            Some(line) => line.1 = INK,
            None => lines.push((limit, if limits.len() == 1 { INK } else { series_color(index) })),
        }
    }
    lines
}

/// The least positive and the largest of `values`; NaN when there are none.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| value.is_finite() && *value > 0.0)
        .fold((f64::NAN, f64::NAN), |(low, high), value| (value.min(low), value.max(high)))
}

/// A cumulative distribution: of few observations it rises in a step at each, of many it is a curve.
fn rise(panel: &Panel<'_>, distribution: &Distribution) -> Vec<(f64, f64)> {
    let cumulative = &distribution.cumulative;
    let steps = distribution.count < STEPS_BELOW;
    let every = cumulative.len().div_ceil(MOST_POINTS).max(1);
    let last = cumulative.len().saturating_sub(1);
    let mut points = Vec::new();
    let mut share_before = 0.0;
    for (index, (seconds, share)) in cumulative.iter().enumerate() {
        if index % every != 0 && index != last {
            continue;
        }
        if steps || index == 0 {
            points.push(panel.at(*seconds, share_before));
        }
        points.push(panel.at(*seconds, *share));
        share_before = *share;
    }
    points.push((panel.left + panel.width, panel.at(0.0, share_before).1));
    points.dedup();
    points
}
