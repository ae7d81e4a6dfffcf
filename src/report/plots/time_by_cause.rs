//! Where the time of completed requests went: one bar a stream.

use super::canvas::Canvas;
use super::charts::{Bars, Naming};
use super::few;
use super::figure::stack;
use super::queue::nothing;
use crate::metrics::results::RunResults;

const MOST_STREAMS: usize = 20;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let all: Vec<_> = results.time.iter().collect();
    if all.is_empty() {
        canvas.note("mean seconds of a completed request");
        return stack(canvas, &results.timeseries, vec![nothing("no requests completed")]);
    }
    let total = |stream: &&crate::metrics::results::StreamTime| -> f64 {
        stream.time.parts().iter().map(|part| part.1).sum()
    };
    let (streams, note) = few(all, MOST_STREAMS, total, "streams", "whose requests took longest");
    let names: Vec<String> = streams.iter().map(|stream| stream.stream.clone()).collect();
    let causes = streams[0].time.parts().map(|part| part.0);
    let layers: Vec<(String, Vec<f64>)> = (0..causes.len())
        .map(|cause| {
            let of = |stream: &&crate::metrics::results::StreamTime| stream.time.parts()[cause].1;
            (causes[cause].to_owned(), streams.iter().map(of).collect())
        })
        .filter(|(_, values): &(String, Vec<f64>)| values.iter().any(|value| *value > 0.0))
        .collect();
    let steady =
        if results.summary.stability.stable { "" } else { "; no steady state: longer runs wait longer" };
    Bars {
        naming: Naming { name: "", title: "", about: "" },
        note: format!("mean of the completed requests that arrived after the warm-up{note}{steady}"),
        names: &names,
        layers: &layers,
        title: "seconds from arrival to last token",
    }
    .draw(canvas);
}
