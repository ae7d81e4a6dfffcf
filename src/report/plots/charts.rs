//! Charts of plans and sweeps: numbers in, SVG out. They share palette, fonts and canvas with a run's plots.

use plotters::style::RGBColor;

use super::Plot;
use super::axis::Axis;
use super::canvas::{self, Align, Canvas, PlotError};
use super::figure::{Entry, HEADING, Mark, legend};
use super::panel::Panel;
use super::style::{
    BLUE, GREY, INK, MARGIN, MUTED, ORANGE, SKY, TEXT_SIZE, VERMILLION, series_color, text_width,
};
use crate::report::format::{money, shorten, si};

/// What a chart is called.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// As a file.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
}

fn chart(naming: Naming, width: f64, fill: impl FnOnce(&mut Canvas<'_>)) -> Result<String, PlotError> {
    let Naming { name, title, about } = naming;
    canvas::draw(&Plot { name, title, about, width, draw: |_, _| {} }, fill)
}

/// A value for each pair of two axes.
pub struct HeatMap<'a> {
    /// Its name.
    pub naming: Naming,
    /// What is shown, with the unit.
    pub note: String,
    /// What goes to the right, and its values.
    pub columns: (&'a str, &'a [String]),
    /// What goes down, and its values.
    pub rows: (&'a str, &'a [String]),
    /// By row, then column; `None` where there is no value.
    pub cells: &'a [Vec<Option<f64>>],
    /// How a value is written.
    pub shown: &'a dyn Fn(f64) -> String,
    /// Cells that are outlined, by row and column.
    pub marked: &'a [(usize, usize)],
}

impl HeatMap<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self) -> Result<String, PlotError> {
        const HEIGHT: f64 = 26.0;
        let label = |text: &String| shorten(text, 26);
        let widest = |texts: &mut dyn Iterator<Item = String>| {
            texts.map(|text| text_width(&text, TEXT_SIZE)).fold(30.0, f64::max)
        };
        let values = self.cells.iter().flatten().flatten().copied().filter(|value| value.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let inside = self.cells.iter().flatten().flatten().map(|value| (self.shown)(*value));
        let cell = widest(&mut self.columns.1.iter().map(label).chain(inside)) + 10.0;
        let left = MARGIN
            + widest(&mut self.rows.1.iter().map(label)).max(text_width(self.rows.0, TEXT_SIZE))
            + 10.0;
        let width = (left + cell * self.columns.1.len() as f64 + MARGIN).max(420.0);
        chart(self.naming, width, |canvas| {
            canvas.note(&self.note);
            let top = canvas.bottom + 44.0;
            canvas.text((left, top - 34.0), self.columns.0, TEXT_SIZE, MUTED, Align::Left);
            canvas.text((MARGIN, top - 14.0), self.rows.0, TEXT_SIZE, MUTED, Align::Left);
            for (at, column) in self.columns.1.iter().enumerate() {
                let x = left + (at as f64 + 0.5) * cell;
                canvas.text((x, top - 14.0), &label(column), TEXT_SIZE, INK, Align::Center);
            }
            for (down, row) in self.cells.iter().enumerate() {
                let y = top + down as f64 * HEIGHT;
                canvas.text(
                    (left - 8.0, y + HEIGHT / 2.0),
                    &label(&self.rows.1[down]),
                    TEXT_SIZE,
                    INK,
                    Align::Right,
                );
                for (at, value) in row.iter().enumerate() {
                    let x = left + at as f64 * cell;
                    let (color, text) = match value {
                        Some(value) if value.is_finite() => {
                            let share = if high > low { (value - low) / (high - low) } else { 0.0 };
                            (shade(share), (self.shown)(*value))
                        }
                        _ => (RGBColor(0xF2, 0xF2, 0xF2), "–".to_owned()),
                    };
                    canvas.rectangle((x + 1.0, y + 1.0), (x + cell - 1.0, y + HEIGHT - 1.0), color, 1.0);
                    let dark = u32::from(color.0) + u32::from(color.1) + u32::from(color.2) < 330;
                    let ink = if dark { RGBColor(0xFE, 0xFE, 0xFE) } else { RGBColor(0x1A, 0x1A, 0x1A) };
                    let middle = (x + cell / 2.0, y + HEIGHT / 2.0);
                    canvas.text(middle, &text, TEXT_SIZE, ink, Align::Center);
                    if self.marked.contains(&(down, at)) {
                        let corners =
                            [(x, y), (x + cell, y), (x + cell, y + HEIGHT), (x, y + HEIGHT), (x, y)];
                        canvas.line(&corners, VERMILLION, 1.0, 2.5);
                    }
                }
            }
            canvas.bottom = top + self.cells.len() as f64 * HEIGHT + 10.0;
        })
    }
}

/// From light to dark blue.
fn shade(share: f64) -> RGBColor {
    let (light, dark) = ((0xE8, 0xF1, 0xF8), (0x08, 0x3B, 0x66));
    let mix =
        |from: i32, to: i32| (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u8;
    RGBColor(mix(light.0, dark.0), mix(light.1, dark.1), mix(light.2, dark.2))
}

/// Horizontal bars, each of some layers.
#[derive(Debug, Clone)]
pub struct Bars<'a> {
    /// Its name.
    pub naming: Naming,
    /// What is shown, with the unit.
    pub note: String,
    /// The bars' names.
    pub names: &'a [String],
    /// The layers: a name, and a value for each bar.
    pub layers: &'a [(String, Vec<f64>)],
    /// What is measured, with its unit; US dollars get their sign.
    pub title: &'a str,
}

impl Bars<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self) -> Result<String, PlotError> {
        chart(self.naming, 900.0, |canvas| self.draw(canvas))
    }

    /// Draws it where a figure has room.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>) {
        const HEIGHT: f64 = 24.0;
        {
            canvas.note(&self.note);
            let entries: Vec<Entry<'_>> = self
                .layers
                .iter()
                .enumerate()
                .map(|(index, (name, _))| (Mark::Area(0.9), series_color(index), name.as_str()))
                .collect();
            legend(canvas, &entries);
            let names: Vec<String> = self.names.iter().map(|name| shorten(name, 52)).collect();
            let left = MARGIN + names.iter().map(|n| text_width(n, TEXT_SIZE)).fold(30.0, f64::max) + 8.0;
            let total = |bar: usize| self.layers.iter().map(|(_, values)| values[bar]).sum::<f64>();
            let most = (0..names.len()).map(total).fold(0.0, f64::max);
            let dollars = self.title.starts_with("US dollars");
            let axis = if dollars {
                Axis::dollars(most, 5, self.title)
            } else {
                Axis::quantity(most, 5, self.title, false)
            };
            let panel = Panel {
                x: &axis,
                y: Axis::quantity(1.0, 1, "", true).bare(),
                left,
                top: canvas.bottom + 8.0,
                width: canvas.width - left - MARGIN - 70.0,
                height: HEIGHT * names.len() as f64,
            };
            panel.frame(canvas);
            for (bar, name) in names.iter().enumerate() {
                let y = panel.top + bar as f64 * HEIGHT;
                canvas.text((left - 8.0, y + HEIGHT / 2.0), name, TEXT_SIZE, INK, Align::Right);
                let mut so_far = 0.0;
                for (layer, (_, values)) in self.layers.iter().enumerate() {
                    if values[bar] > 0.0 {
                        let (from, to) = (panel.at(so_far, 0.0).0, panel.at(so_far + values[bar], 0.0).0);
                        canvas.rectangle((from, y + 4.0), (to, y + HEIGHT - 4.0), series_color(layer), 0.9);
                        so_far += values[bar];
                    }
                }
                let end = (panel.at(so_far, 0.0).0 + 6.0, y + HEIGHT / 2.0);
                let total = if dollars { money(so_far) } else { si(so_far) };
                canvas.text(end, &total, TEXT_SIZE, MUTED, Align::Left);
            }
            canvas.bottom = panel.horizontal_labels(canvas);
        }
    }
}

/// A candidate in the plane of spend and something else.
#[derive(Debug, Clone)]
pub struct Dot {
    /// US dollars a month.
    pub spend: f64,
    /// Seconds, or a share.
    pub value: f64,
    /// Whether it keeps every promise.
    pub feasible: bool,
    /// Whether no other is better in both.
    pub on_frontier: bool,
    /// Whether it is the best.
    pub best: bool,
}

/// Spend against latency and against risk.
#[derive(Debug, Clone)]
pub struct Frontier<'a> {
    /// Its name.
    pub naming: Naming,
    /// What is shown.
    pub note: String,
    /// The panels: a title, whether values are shares (else seconds), and the candidates.
    pub panels: &'a [(String, bool, Vec<Dot>)],
}

impl Frontier<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self) -> Result<String, PlotError> {
        const GAP: f64 = 70.0;
        chart(self.naming, 960.0, |canvas| {
            canvas.note(&self.note);
            legend(
                canvas,
                &[
                    (Mark::Area(1.0), BLUE, "keeps every promise"),
                    (Mark::Area(1.0), VERMILLION, "breaks one"),
                    (Mark::Line(1.5), GREY, "frontier"),
                    (Mark::Area(1.0), ORANGE, "the best"),
                ],
            );
            let count = self.panels.len().max(1) as f64;
            let width = (canvas.width - 2.0 * MARGIN - GAP * count) / count;
            let top = canvas.bottom + HEADING;
            let mut bottom = top;
            for (index, (title, shares, dots)) in self.panels.iter().enumerate() {
                let most = dots.iter().map(|dot| dot.spend).fold(0.0, f64::max);
                let x = Axis::dollars(most, 4, "US dollars a month");
                let values = || dots.iter().map(|dot| dot.value).filter(|value| *value > 0.0);
                let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
                let y = match shares {
                    true => Axis::share_of_all(&[0, 25, 50, 75, 100], title),
                    false => Axis::latency(low, high, 6, title),
                };
                let left = MARGIN + 56.0 + index as f64 * (width + GAP);
                let panel = Panel { x: &x, y, left, top, width, height: 280.0 };
                panel.frame(canvas);
                panel.heading(canvas, "");
                if dots.is_empty() {
                    panel.say(canvas, "nothing was simulated");
                }
                let line: Vec<(f64, f64)> = dots
                    .iter()
                    .filter(|dot| dot.on_frontier)
                    .map(|dot| panel.at(dot.spend, dot.value))
                    .collect();
                let stairs = line.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1), pair[1]]);
                canvas.line(&stairs.collect::<Vec<_>>(), GREY, 1.0, 1.5);
                for dot in dots {
                    let color = if dot.best {
                        ORANGE
                    } else if dot.feasible {
                        BLUE
                    } else {
                        VERMILLION
                    };
                    let (x, y) = panel.at(dot.spend, dot.value);
                    let size = if dot.best { 5.0 } else { 3.5 };
                    let opacity = if dot.on_frontier || dot.best { 1.0 } else { 0.5 };
                    canvas.rectangle((x - size, y - size), (x + size, y + size), color, opacity);
                }
                bottom = panel.horizontal_labels(canvas);
            }
            canvas.bottom = bottom;
        })
    }
}

/// How far each input moves a result on its own.
#[derive(Debug, Clone)]
pub struct Tornado<'a> {
    /// Its name.
    pub naming: Naming,
    /// What is shown.
    pub note: String,
    /// By input: its name, and the result at its low and at its high end; the most decisive first.
    pub inputs: &'a [(String, f64, f64)],
    /// The result where every input is at its middle.
    pub middle: f64,
}

impl Tornado<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self) -> Result<String, PlotError> {
        const HEIGHT: f64 = 26.0;
        chart(self.naming, 820.0, |canvas| {
            canvas.note(&self.note);
            legend(
                canvas,
                &[(Mark::Area(0.9), SKY, "at its low end"), (Mark::Area(0.9), ORANGE, "at its high end")],
            );
            let names: Vec<String> = self.inputs.iter().map(|input| shorten(&input.0, 44)).collect();
            let left = MARGIN + names.iter().map(|n| text_width(n, TEXT_SIZE)).fold(30.0, f64::max) + 8.0;
            let most = self.inputs.iter().map(|input| input.1.max(input.2)).fold(self.middle, f64::max);
            let x = Axis::dollars(most, 6, "US dollars a month");
            let panel = Panel {
                x: &x,
                y: Axis::quantity(1.0, 1, "", true).bare(),
                left,
                top: canvas.bottom + 8.0,
                width: canvas.width - left - MARGIN - 10.0,
                height: HEIGHT * names.len().max(1) as f64,
            };
            panel.frame(canvas);
            let middle = panel.at(self.middle, 0.0).0;
            for (bar, name) in names.iter().enumerate() {
                let y = panel.top + bar as f64 * HEIGHT;
                canvas.text((left - 8.0, y + HEIGHT / 2.0), name, TEXT_SIZE, INK, Align::Right);
                let (_, low, high) = self.inputs[bar];
                for (value, color) in [(low, SKY), (high, ORANGE)] {
                    let end = panel.at(value, 0.0).0;
                    canvas.rectangle(
                        (middle.min(end), y + 4.0),
                        (middle.max(end), y + HEIGHT - 4.0),
                        color,
                        0.9,
                    );
                }
            }
            canvas.line(&[(middle, panel.top), (middle, panel.top + panel.height)], INK, 1.0, 1.5);
            canvas.bottom = panel.horizontal_labels(canvas);
        })
    }
}

/// Differences with their intervals, one a row.
#[derive(Debug, Clone)]
pub struct Forest<'a> {
    /// Its name.
    pub naming: Naming,
    /// What is shown.
    pub note: String,
    /// The rows: a name; the difference as a share of the baseline, its interval; whether zero is outside of it.
    pub rows: &'a [(String, f64, [f64; 2], bool)],
}

impl Forest<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self) -> Result<String, PlotError> {
        const HEIGHT: f64 = 24.0;
        chart(self.naming, 820.0, |canvas| {
            canvas.note(&self.note);
            legend(
                canvas,
                &[(Mark::Area(1.0), BLUE, "resolved"), (Mark::Area(1.0), GREY, "may be nothing but luck")],
            );
            let names: Vec<String> = self.rows.iter().map(|row| shorten(&row.0, 46)).collect();
            let left = MARGIN + names.iter().map(|n| text_width(n, TEXT_SIZE)).fold(30.0, f64::max) + 8.0;
            let ends = self.rows.iter().flat_map(|row| [row.1.abs(), row.2[0].abs(), row.2[1].abs()]);
            // One wild interval shall not press all others flat.
            let most = ends.filter(|end| end.is_finite()).fold(0.01, f64::max).min(2.0);
            let x = Axis::around_zero(most, 6, "difference to the baseline, % of it");
            let height = HEIGHT * names.len().max(1) as f64;
            let (top, width) = (canvas.bottom + 8.0, canvas.width - left - MARGIN - 10.0);
            let panel = Panel { x: &x, y: Axis::quantity(1.0, 1, "", true).bare(), left, top, width, height };
            panel.frame(canvas);
            let zero = panel.at(0.0, 0.0).0;
            canvas.line(&[(zero, panel.top), (zero, panel.top + panel.height)], INK, 1.0, 1.5);
            for (row, name) in names.iter().enumerate() {
                let y = panel.top + (row as f64 + 0.5) * HEIGHT;
                canvas.text((left - 8.0, y), name, TEXT_SIZE, INK, Align::Right);
                let (_, middle, [low, high], resolved) = self.rows[row];
                let color = if resolved { BLUE } else { GREY };
                let at = |value: f64| panel.at(value, 0.0).0;
                canvas.line(&[(at(low), y), (at(high), y)], color, 1.0, 2.5);
                canvas.rectangle((at(middle) - 4.0, y - 4.0), (at(middle) + 4.0, y + 4.0), color, 1.0);
            }
            if names.is_empty() {
                panel.say(canvas, "no metric has a value everywhere");
            }
            canvas.bottom = panel.horizontal_labels(canvas);
        })
    }
}

/// Quantities over time on one axis.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    /// Its name.
    pub naming: Naming,
    /// What is shown.
    pub note: String,
    /// What the vertical axis measures.
    pub title: &'a str,
    /// The end of the time axis, in seconds.
    pub end: f64,
    /// By line: its name, and (seconds, value) in order of time; drawn as steps.
    pub lines: &'a [(String, Vec<(f64, f64)>)],
}

impl Lines<'_> {
    /// Draws it.
    ///
    /// # Errors
    /// When the drawing library fails, which would be a defect.
    pub fn svg(&self) -> Result<String, PlotError> {
        chart(self.naming, 820.0, |canvas| {
            canvas.note(&self.note);
            let entries: Vec<Entry<'_>> = self
                .lines
                .iter()
                .enumerate()
                .map(|(index, (name, _))| (Mark::Line(2.5), series_color(index), name.as_str()))
                .collect();
            legend(canvas, &entries);
            let most = self.lines.iter().flat_map(|line| line.1.iter().map(|at| at.1)).fold(0.0, f64::max);
            let left = MARGIN + 52.0;
            let width = canvas.width - left - MARGIN - 6.0;
            let x = Axis::time(self.end, (width / 60.0) as usize);
            let top = canvas.bottom + HEADING;
            let panel = Panel {
                x: &x,
                y: Axis::quantity(most, 5, self.title, false),
                left,
                top,
                width,
                height: 260.0,
            };
            panel.frame(canvas);
            panel.heading(canvas, "");
            for (index, (name, points)) in self.lines.iter().enumerate() {
                let mut steps = Vec::new();
                for (place, (time, value)) in points.iter().enumerate() {
                    let until = points.get(place + 1).map_or(self.end, |next| next.0);
                    steps.extend([panel.at(*time, *value), panel.at(until, *value)]);
                }
                let color = series_color(index);
                panel.over_time(canvas, "", self.end, |canvas| {
                    canvas.series(name, |canvas| canvas.line(&steps, color, 1.0, 2.0));
                });
            }
            canvas.bottom = panel.horizontal_labels(canvas);
        })
    }
}
