//! The plots of a run as SVG, one file a plot. They look the same everywhere: a palette that colour-blind
//! readers can tell apart (Okabe and Ito 2008, <https://jfly.uni-koeln.de/color/>), units on every axis, the
//! legend above the panels, and text in the reader's own sans-serif font.

mod axis;
mod canvas;
mod cards;
pub mod charts;
mod columns;
mod figure;
mod gantt;
mod latency;
mod latency_over_time;
mod nodes;
mod overview;
mod panel;
mod queue;
mod rate;
mod scaling;
pub mod scatter;
mod spend;
mod style;
mod time_by_cause;
mod time_over_time;
mod utilization;

use super::format;
use crate::metrics::results::{RunResults, TimeSeries};

use canvas::Canvas;
pub use canvas::PlotError;

/// A kind of plot.
#[derive(Debug, Clone, Copy)]
pub struct Plot {
    /// Its name on the command line and as a file.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    width: f64,
    draw: fn(&RunResults, &mut Canvas<'_>),
}

impl Plot {
    /// Draws the plot: a complete SVG document.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self, results: &RunResults) -> Result<String, PlotError> {
        canvas::draw(self, |canvas| (self.draw)(results, canvas))
    }
}

/// Every plot, in the order of the report.
pub const ALL: [Plot; 15] = [
    Plot {
        name: "overview",
        title: "The run at a glance",
        about: "demand, ready replicas, cards, queue and time to first token on one time axis",
        width: 820.0,
        draw: overview::draw,
    },
    Plot {
        name: "rate",
        title: "Requests over time",
        about: "requests per second: expected, arrived, completed, and turned away or given up",
        width: 640.0,
        draw: rate::draw,
    },
    Plot {
        name: "queue",
        title: "Requests waiting",
        about: "requests waiting over time per deployment, mean and most at once",
        width: 640.0,
        draw: queue::draw,
    },
    Plot {
        name: "latency",
        title: "Latency distributions",
        about: "share of requests within a latency (TTFT, TPOT, E2E) per stream, with the limits",
        width: 1200.0,
        draw: latency::draw,
    },
    Plot {
        name: "latency_over_time",
        title: "Latency over time",
        about: "median and 99th percentile of TTFT, TPOT and E2E over time per stream, with the limits",
        width: 640.0,
        draw: latency_over_time::draw,
    },
    Plot {
        name: "time_by_cause",
        title: "Where the time went",
        about: "mean seconds of a completed request by cause: waits for starting capacity, a batch slot and KV \
                memory, prefill, decode, transfer",
        width: 820.0,
        draw: time_by_cause::draw,
    },
    Plot {
        name: "time_over_time",
        title: "Where the time went, over time",
        about: "mean seconds of the requests that completed at each time, stacked by cause, per stream",
        width: 820.0,
        draw: time_over_time::draw,
    },
    Plot {
        name: "utilization",
        title: "Utilization of each pool",
        about: "allocated and busy cards as a share of the cards provisioned, per pool",
        width: 640.0,
        draw: utilization::draw,
    },
    Plot {
        name: "spend",
        title: "Spend by pool",
        about: "cumulative spend over time, by pool",
        width: 640.0,
        draw: spend::draw_by_pool,
    },
    Plot {
        name: "spend_by_cause",
        title: "Spend by cause",
        about: "cumulative spend over time, by what it paid for",
        width: 640.0,
        draw: spend::draw_by_cause,
    },
    Plot {
        name: "cards",
        title: "Who holds each card",
        about: "one row a card over time: coloured by its holder, stronger where it computes",
        width: 1200.0,
        draw: cards::draw,
    },
    Plot {
        name: "scaling",
        title: "Replicas and decisions",
        about: "replicas desired, ready and billed over time per deployment, with the autoscaler's decisions",
        width: 820.0,
        draw: scaling::draw,
    },
    Plot {
        name: "forecast",
        title: "Forecast against actual",
        about: "the demand that a predictive autoscaler saw, and what it had forecast, over time",
        width: 820.0,
        draw: scaling::draw_forecast,
    },
    Plot {
        name: "jobs",
        title: "Jobs over time",
        about: "one row a job: waiting from submit to start, then running to its end",
        width: 820.0,
        draw: gantt::draw,
    },
    Plot {
        name: "nodes",
        title: "Nodes and their cards",
        about: "the nodes of each pool at its busiest moment: which card is held by whom",
        width: 820.0,
        draw: nodes::draw,
    },
];

/// The colours of paper, text, lesser text and grid, and the one that is too dark on a dark page, with a letter
/// for each: a page that embeds a plot may replace them by its own.
pub(super) const THEMED_COLORS: [(&str, char); 5] =
    [("#FFFFFF", 'b'), ("#1B1B1B", 'i'), ("#5B5B5B", 'm'), ("#E2E2E2", 'g'), ("#0072B2", 'u')];

/// The plot called `name`.
pub fn find(name: &str) -> Option<&'static Plot> {
    ALL.iter().find(|plot| plot.name == name)
}

/// The most points of a curve: more than pixels would not be seen.
const COLUMNS: usize = 720;

/// How many buckets are drawn as one point.
fn merged(timeseries: &TimeSeries) -> usize {
    buckets(timeseries).div_ceil(COLUMNS)
}

fn buckets(timeseries: &TimeSeries) -> usize {
    timeseries.series.iter().map(|series| series.values.len()).max().unwrap_or(0)
}

/// What one point of a curve stands for.
fn resolution(timeseries: &TimeSeries) -> String {
    resolution_of(timeseries, COLUMNS)
}

/// The same where at most so many points are drawn.
fn resolution_of(timeseries: &TimeSeries, most: usize) -> String {
    match buckets(timeseries).div_ceil(most) {
        0 => "nothing was observed over time".to_string(),
        merged => {
            let covers = timeseries.bucket.as_secs_f64() * merged as f64;
            format!("each point covers {}", format::span(covers))
        }
    }
}

/// At most `most` of `all`, the largest by `size`, in their own order where all fit and by size otherwise;
/// and a note that says so.
fn few<T>(
    mut all: Vec<T>,
    most: usize,
    size: impl Fn(&T) -> f64,
    kind: &str,
    which: &str,
) -> (Vec<T>, String) {
    if all.len() <= most {
        return (all, String::new());
    }
    let count = all.len();
    all.sort_by(|a, b| size(b).total_cmp(&size(a)));
    all.truncate(most);
    (all, format!("; {most} of {count} {kind}, those {which}"))
}
