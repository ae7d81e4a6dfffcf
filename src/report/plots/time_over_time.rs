//! Where the time went, over time: mean seconds of the requests that completed, stacked by cause.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{Column, columns};
use super::figure::{Entry, Mark, Plan, legend, panel_height, stack};
use super::queue::nothing;
use super::style::series_color;
use super::{few, resolution_of};
use crate::metrics::results::{RunResults, Subject, TimeByCause, TimeSeries, metric};

/// More panels than this are a tower.
const MOST_STREAMS: usize = 4;
const MOST_COLUMNS: usize = 200;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let timeseries = &results.timeseries;
    let has = |subject: &Subject| {
        metric::TIME_BY_CAUSE_S.iter().any(|cause| timeseries.values(subject, cause).is_some())
    };
    let streams = results.summary.streams.iter();
    let all: Vec<(Subject, u64)> = streams
        .map(|stream| (Subject::Stream(stream.name.clone()), stream.requests.completed))
        .filter(|(subject, _)| has(subject))
        .collect();
    let (streams, note) =
        few(all, MOST_STREAMS, |stream| stream.1 as f64, "streams", "with the most completed requests");
    let points = resolution_of(timeseries, MOST_COLUMNS);
    canvas.note(&format!("mean of the requests that completed at that time; {points}{note}"));
    if streams.is_empty() {
        return stack(canvas, timeseries, vec![nothing("no requests completed")]);
    }
    let names = TimeByCause::default().parts().map(|part| part.0);
    let layers: Vec<usize> = (0..names.len())
        .filter(|cause| {
            let of = |(subject, _): &(Subject, u64)| {
                timeseries.values(subject, metric::TIME_BY_CAUSE_S[*cause]).is_some()
            };
            streams.iter().any(of)
        })
        .collect();
    // In the colours of the totals beside it.
    let entries: Vec<Entry<'_>> = layers
        .iter()
        .enumerate()
        .map(|(place, cause)| (Mark::Area(0.85), series_color(place), names[*cause]))
        .collect();
    legend(canvas, &entries);
    let height = panel_height(streams.len());
    let plans = streams.iter().map(|(subject, _)| panel_of(timeseries, subject, &layers, height)).collect();
    stack(canvas, timeseries, plans);
}

fn panel_of<'a>(timeseries: &TimeSeries, subject: &Subject, layers: &[usize], height: f64) -> Plan<'a> {
    let names = TimeByCause::default().parts().map(|part| part.0);
    let parts: Vec<(usize, usize, Vec<Column>)> = layers
        .iter()
        .enumerate()
        .filter_map(|(place, cause)| {
            let values = timeseries.values(subject, metric::TIME_BY_CAUSE_S[*cause])?;
            Some((place, *cause, columns(timeseries, values, MOST_COLUMNS)))
        })
        .collect();
    let count = parts.iter().map(|part| part.2.len()).max().unwrap_or(0);
    let at =
        |part: &(usize, usize, Vec<Column>), column: usize| part.2.get(column).and_then(|found| found.mean);
    let sum = |column: usize| parts.iter().filter_map(|part| at(part, column)).sum::<f64>();
    let most = (0..count).map(sum).fold(0.0, f64::max);
    Plan {
        name: subject.name().to_string(),
        y: Axis::seconds(most, if height > 200.0 { 5 } else { 3 }, "from arrival to last token"),
        height,
        draw: Box::new(move |panel, canvas| {
            let mut below = vec![0.0; count];
            for part in &parts {
                canvas.series(names[part.1], |canvas| {
                    // One polygon for each stretch of columns in which requests completed.
                    let mut column = 0;
                    while column < count {
                        let begin = column;
                        let (mut upper, mut lower) = (Vec::new(), Vec::new());
                        while let Some(value) = at(part, column) {
                            let (base, place) = (below[column], &part.2[column]);
                            for time in [place.from, place.to] {
                                upper.push(panel.at(time, base + value));
                                lower.push(panel.at(time, base));
                            }
                            below[column] += value;
                            column += 1;
                        }
                        upper.extend(lower.into_iter().rev());
                        canvas.polygon(&upper, series_color(part.0), 0.85);
                        column = column.max(begin + 1);
                    }
                });
            }
        }),
    }
}
