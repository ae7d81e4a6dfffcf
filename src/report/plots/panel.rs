//! One pair of axes with what is drawn between them.

use super::axis::Axis;
use super::canvas::{Align, Canvas};
use super::columns::Column;
use super::style::{GRID, INK, MUTED, TEXT_SIZE, text_width};
use plotters::style::RGBColor;

/// A rectangle of the figure in pixels, with its axes.
pub(super) struct Panel<'a> {
    pub(super) x: &'a Axis,
    pub(super) y: Axis,
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Which value of a column is drawn.
pub(super) type Pick = fn(&Column) -> Option<f64>;

/// The mean of each column.
pub(super) const MEAN: Pick = |column| column.mean;
/// The largest value of each column.
pub(super) const HIGH: Pick = |column| column.high;

impl Panel<'_> {
    /// The place of a point in pixels.
    pub(super) fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + self.x.share(x) * self.width, self.top + (1.0 - self.y.share(y)) * self.height)
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Grid, tick labels of the vertical axis and the axes' lines.
    pub(super) fn frame(&self, canvas: &mut Canvas<'_>) {
        for (value, label) in &self.y.ticks {
            let y = self.at(0.0, *value).1;
            canvas.line(&[(self.left, y), (self.left + self.width, y)], GRID, 1.0, 1.0);
            canvas.text((self.left - 7.0, y), label, TEXT_SIZE, MUTED, Align::Right);
        }
        canvas.open_grid();
        for (value, _) in &self.x.ticks {
            let x = self.left + self.x.share(*value) * self.width;
            canvas.line(&[(x, self.top), (x, self.bottom())], GRID, 1.0, 1.0);
        }
        canvas.close_group();
        let corner =
            [(self.left, self.top), (self.left, self.bottom()), (self.left + self.width, self.bottom())];
        canvas.line(&corner, MUTED, 1.0, 1.0);
    }

    /// The heading of the panel above its left corner: what it is about, and what the axis measures.
    pub(super) fn heading(&self, canvas: &mut Canvas<'_>, name: &str) {
        let y = self.top - 13.0;
        let mut x = self.left;
        if !name.is_empty() {
            canvas.bold((x, y), name, TEXT_SIZE);
            x += text_width(name, TEXT_SIZE) * 1.05 + 10.0;
        }
        canvas.text((x, y), &self.y.title, TEXT_SIZE, MUTED, Align::Left);
    }

    /// Tick labels and title of the horizontal axis; returns where they end.
    pub(super) fn horizontal_labels(&self, canvas: &mut Canvas<'_>) -> f64 {
        let y = self.bottom() + 12.0;
        let mut free_from = f64::NEG_INFINITY;
        canvas.open_ticks(self.left, self.width);
        for (value, label) in &self.x.ticks {
            let x = self.left + self.x.share(*value) * self.width;
            let half = text_width(label, TEXT_SIZE) / 2.0;
            canvas.line(&[(x, self.bottom()), (x, self.bottom() + 4.0)], MUTED, 1.0, 1.0);
            if x - half >= free_from {
                canvas.text((x, y), label, TEXT_SIZE, MUTED, Align::Center);
                free_from = x + half + 6.0;
            }
        }
        canvas.close_group();
        let middle = self.left + self.width / 2.0;
        canvas.text((middle, y + 18.0), &self.x.title, TEXT_SIZE, MUTED, Align::Center);
        y + 32.0
    }

    /// Draws on a time axis that ends after `end` seconds.
    pub(super) fn over_time(
        &self,
        canvas: &mut Canvas<'_>,
        name: &str,
        end: f64,
        draw: impl FnOnce(&mut Canvas<'_>),
    ) {
        let axis = self.y.in_words();
        canvas.open_window((self.left, self.top), (self.width, self.height), end, &axis, name);
        draw(canvas);
        canvas.close_window();
    }

    /// A sentence in the middle, where there is nothing to draw.
    pub(super) fn say(&self, canvas: &mut Canvas<'_>, text: &str) {
        let middle = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        canvas.text(middle, text, TEXT_SIZE, MUTED, Align::Center);
    }

    /// A curve through the columns, with gaps where nothing was observed.
    pub(super) fn curve(&self, canvas: &mut Canvas<'_>, columns: &[Column], pick: Pick, pen: Pen) {
        for run in runs(columns, pick) {
            canvas.line(&self.points(&run, pen.steps), pen.color, pen.opacity, pen.pixels);
        }
    }

    /// A dashed curve.
    pub(super) fn dashed_curve(&self, canvas: &mut Canvas<'_>, columns: &[Column], pick: Pick, pen: Pen) {
        for run in runs(columns, pick) {
            canvas.dashed(&self.points(&run, pen.steps), pen.color, pen.pixels);
        }
    }

    /// The area between a curve and the horizontal axis.
    pub(super) fn area(&self, canvas: &mut Canvas<'_>, columns: &[Column], pick: Pick, pen: Pen) {
        for run in runs(columns, pick) {
            let mut points = self.points(&run, pen.steps);
            let (Some(first), Some(last)) = (points.first().copied(), points.last().copied()) else {
                continue;
            };
            points.push((last.0, self.bottom()));
            points.push((first.0, self.bottom()));
            canvas.polygon(&points, pen.color, pen.opacity);
        }
    }

    /// A dashed horizontal line at a limit.
    pub(super) fn limit(&self, canvas: &mut Canvas<'_>, value: f64, color: RGBColor) {
        let y = self.at(0.0, value).1;
        canvas.dashed(&[(self.left, y), (self.left + self.width, y)], color, 1.5);
    }

    /// The name of a low panel, to the left of it, where there is no room above.
    pub(super) fn side_heading(&self, canvas: &mut Canvas<'_>, name: &str) {
        let middle = (self.left - 7.0, self.top + self.height / 2.0);
        canvas.text(middle, name, TEXT_SIZE, INK, Align::Right);
    }

    fn points(&self, run: &[(&Column, f64)], steps: bool) -> Vec<(f64, f64)> {
        let mut points = Vec::with_capacity(run.len() * 2);
        for (index, (column, value)) in run.iter().enumerate() {
            let middle = (column.from + column.to) / 2.0;
            if steps {
                points.push(self.at(column.from, *value));
                points.push(self.at(column.to, *value));
                continue;
            }
            // The first and the last column are drawn in their whole width.
            if index == 0 {
                points.push(self.at(column.from, *value));
            }
            if index > 0 && index + 1 < run.len() {
                points.push(self.at(middle, *value));
            }
            if index + 1 == run.len() {
                points.push(self.at(column.to, *value));
            }
        }
        without_needless(points)
    }
}

/// How something is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pen {
    pub(super) color: RGBColor,
    pub(super) opacity: f64,
    pub(super) pixels: f64,
    /// As steps rather than slopes: for quantities that jump, such as replicas.
    pub(super) steps: bool,
}

impl Pen {
    /// A line of `pixels`.
    pub(super) fn line(color: RGBColor, pixels: f64) -> Self {
        Self { color, opacity: 1.0, pixels, steps: false }
    }

    /// An area with `opacity`.
    pub(super) fn area(color: RGBColor, opacity: f64) -> Self {
        Self { color, opacity, pixels: 0.0, steps: false }
    }

    /// The same in steps.
    pub(super) fn steps(self) -> Self {
        Self { steps: true, ..self }
    }
}

/// Neighbouring columns with values.
fn runs(columns: &[Column], pick: Pick) -> Vec<Vec<(&Column, f64)>> {
    let mut runs: Vec<Vec<(&Column, f64)>> = vec![Vec::new()];
    for column in columns {
        match (pick(column), runs.last_mut()) {
            (Some(value), Some(run)) => run.push((column, value)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// Leaves out points in the middle of a level stretch.
fn without_needless(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::with_capacity(points.len());
    for point in points {
        if let [.., before, last] = kept.as_mut_slice()
            && before.1 == point.1
            && last.1 == point.1
        {
            *last = point;
            continue;
        }
        kept.push(point);
    }
    kept
}
