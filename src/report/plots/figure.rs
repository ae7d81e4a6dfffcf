//! Legends, and panels one above the other on one time axis.

use plotters::style::RGBColor;

use super::axis::Axis;
use super::canvas::{Align, Canvas};
use super::panel::Panel;
use super::style::{INK, MARGIN, TEXT_SIZE, text_width};
use crate::metrics::results::TimeSeries;
use crate::report::format::shorten;

/// Longest name at the side of a panel, in characters.
const SIDE_NAME: usize = 24;
/// Longest name in a legend, in characters.
const NAME: usize = 34;
/// Panels that are lower have their name at their side.
const LOW: f64 = 40.0;
/// Space above a panel for its heading.
pub(super) const HEADING: f64 = 26.0;

/// The mark beside a name in the legend.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// A line of so many pixels.
    Line(f64),
    /// A dashed line.
    Dashed,
    /// A filled square with an opacity.
    Area(f64),
}

/// One entry of a legend.
pub(super) type Entry<'a> = (Mark, RGBColor, &'a str);

/// Draws the legend under the heading, in as many rows as it needs.
pub(super) fn legend(canvas: &mut Canvas<'_>, entries: &[Entry<'_>]) {
    if entries.is_empty() {
        return;
    }
    let (mut x, mut y) = (MARGIN, canvas.bottom + 8.0);
    for (mark, color, name) in entries {
        let name = shorten(name, NAME);
        let width = 26.0 + text_width(&name, TEXT_SIZE) + 16.0;
        if x + width > canvas.width - MARGIN && x > MARGIN {
            x = MARGIN;
            y += 20.0;
        }
        match mark {
            Mark::Line(pixels) => canvas.line(&[(x, y), (x + 20.0, y)], *color, 1.0, *pixels),
            Mark::Dashed => canvas.dashed(&[(x, y), (x + 20.0, y)], *color, 1.5),
            Mark::Area(opacity) => {
                canvas.rectangle((x + 3.0, y - 6.0), (x + 17.0, y + 6.0), *color, *opacity)
            }
        }
        canvas.text((x + 26.0, y), &name, TEXT_SIZE, INK, Align::Left);
        x += width;
    }
    canvas.bottom = y + 14.0;
}

/// Draws what is between the axes of a panel.
pub(super) type Draw<'a> = dyn Fn(&Panel<'_>, &mut Canvas<'_>) + 'a;

/// A panel yet to be placed.
pub(super) struct Plan<'a> {
    pub(super) name: String,
    pub(super) y: Axis,
    pub(super) height: f64,
    pub(super) draw: Box<Draw<'a>>,
}

/// Draws panels below each other on one time axis.
pub(super) fn stack(canvas: &mut Canvas<'_>, timeseries: &TimeSeries, plans: Vec<Plan<'_>>) {
    let tick_labels = plans.iter().flat_map(|plan| plan.y.ticks.iter().map(|tick| tick.1.clone()));
    let names = plans.iter().filter(|plan| plan.height < LOW).map(|plan| shorten(&plan.name, SIDE_NAME));
    let widths = tick_labels.chain(names).map(|label| text_width(&label, TEXT_SIZE));
    let left = MARGIN + 10.0 + widths.fold(20.0, f64::max);
    let width = canvas.width - left - MARGIN - 6.0;
    let x = Axis::time(timeseries.end.as_secs_f64(), (width / 60.0) as usize);
    let count = plans.len();
    for (index, plan) in plans.into_iter().enumerate() {
        let low = plan.height < LOW;
        let top = canvas.bottom + if low { 3.0 } else { HEADING };
        let panel = Panel { x: &x, y: plan.y, left, top, width, height: plan.height };
        panel.frame(canvas);
        if low {
            panel.side_heading(canvas, &shorten(&plan.name, SIDE_NAME));
        } else {
            panel.heading(canvas, &shorten(&plan.name, 60));
        }
        let end = timeseries.end.as_secs_f64();
        panel.over_time(canvas, &shorten(&plan.name, 40), end, |canvas| (plan.draw)(&panel, canvas));
        canvas.bottom = top + plan.height + 4.0;
        if index + 1 == count {
            canvas.bottom = panel.horizontal_labels(canvas);
        }
    }
}

/// How high each of `count` panels is, so that few fill the figure and many do not make it a tower.
pub(super) fn panel_height(count: usize) -> f64 {
    match count {
        0 | 1 => 250.0,
        2 => 150.0,
        3 => 120.0,
        _ => 95.0,
    }
}
