//! Jobs over time: when each waited and when it ran.

use super::axis::Axis;
use super::canvas::{Align, Canvas};
use super::few;
use super::figure::{HEADING, Mark, legend, stack};
use super::panel::Panel;
use super::queue::nothing;
use super::style::{BLUE, GREEN, GREY, MARGIN, MUTED, TEXT_SIZE, VERMILLION, text_width};
use crate::metrics::results::{JobRow, RunResults};
use crate::report::format::shorten;

const MOST_ROWS: usize = 60;
const NAME: usize = 26;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let end = results.timeseries.end.as_secs_f64();
    let waited = |job: &&JobRow| {
        job.start.unwrap_or(results.timeseries.end).max(job.submit).since(job.submit).as_secs_f64()
    };
    let (mut jobs, note) =
        few(results.jobs.iter().collect(), MOST_ROWS, waited, "jobs", "that waited longest");
    jobs.sort_by(|a, b| (a.submit, &a.id).cmp(&(b.submit, &b.id)));
    canvas.note(&format!("from first start to the end; interruptions in between are not drawn{note}"));
    legend(
        canvas,
        &[
            (Mark::Area(0.45), GREY, "waiting"),
            (Mark::Area(0.9), GREEN, "ran and completed"),
            (Mark::Area(0.9), BLUE, "runs at the end"),
            (Mark::Area(0.9), VERMILLION, "failed"),
        ],
    );
    if jobs.is_empty() {
        return stack(canvas, &results.timeseries, vec![nothing("no jobs were submitted")]);
    }
    let row = (560.0 / jobs.len() as f64).clamp(9.0, 22.0);
    let names: Vec<String> = jobs.iter().map(|job| shorten(&job.id, NAME)).collect();
    let named = row >= 12.0;
    let longest = names.iter().map(|name| text_width(name, TEXT_SIZE)).fold(0.0, f64::max);
    let left = MARGIN + if named { longest + 8.0 } else { 4.0 };
    let width = canvas.width - left - MARGIN - 6.0;
    let x = Axis::time(end, (width / 60.0) as usize);
    let (top, height) = (canvas.bottom + HEADING, row * jobs.len() as f64);
    let panel = Panel { x: &x, y: Axis::share_of_all(&[], ""), left, top, width, height };
    panel.frame(canvas);
    panel.heading(canvas, if named { "" } else { "one row a job, in order of submission" });
    for (index, name) in names.iter().enumerate().filter(|_| named) {
        canvas.text((left - 6.0, top + (index as f64 + 0.5) * row), name, TEXT_SIZE, MUTED, Align::Right);
    }
    panel.over_time(canvas, "", end, |canvas| {
        for (index, job) in jobs.iter().enumerate() {
            let (above, below) = (top + index as f64 * row + 1.0, top + (index + 1) as f64 * row - 1.0);
            let submit = job.submit.as_secs_f64();
            let start = job.start.map_or(end, |start| start.as_secs_f64()).max(submit);
            let mut bar = |from: f64, to: f64, color, opacity| {
                if to > from {
                    let (from, to) = (panel.at(from, 0.0).0, panel.at(to, 0.0).0);
                    canvas.rectangle((from, above), (to, below), color, opacity);
                }
            };
            bar(submit, start, GREY, 0.45);
            if job.start.is_some() {
                let until = job.end.map_or(end, |end| end.as_secs_f64());
                let color = match job.state {
                    "completed" => GREEN,
                    "failed" => VERMILLION,
                    _ => BLUE,
                };
                bar(start, until, color, 0.9);
            }
        }
    });
    canvas.bottom = top + height;
    canvas.bottom = panel.horizontal_labels(canvas);
}
