//! A drawing surface over plotters' SVG backend, in pixels with the origin at the top left. It grows
//! downwards: the height of the figure is known when it is finished.

use plotters::backend::SVGBackend;
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoTextStyle, RGBColor, ShapeStyle, TextStyle};

use super::Plot;
use super::style::{INK, MUTED};

/// Whole units of the drawing a pixel: plotters' coordinates are whole numbers, curves are finer.
const SCALE: f64 = 4.0;
/// plotters writes a font's size divided by this.
const FONT_FACTOR: f64 = 1.24;

/// Begins a text that is no text: an element that the drawing library cannot draw, see [`elements`].
const MARK: char = '\u{E000}';

/// The drawing library failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot draw the plot `{plot}`: {why}")]
pub struct PlotError {
    plot: &'static str,
    why: String,
}

/// Where a text is relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

/// See the module's description.
pub(super) struct Canvas<'a> {
    svg: SVGBackend<'a>,
    /// Width in pixels.
    pub(super) width: f64,
    /// How far down the figure goes so far, in pixels.
    pub(super) bottom: f64,
    failed: Option<String>,
}

/// Draws a whole figure and returns it as an SVG document with title and description.
pub(super) fn draw(plot: &Plot, fill: impl FnOnce(&mut Canvas<'_>)) -> Result<String, PlotError> {
    let mut text = String::new();
    let (bottom, failed) = {
        let mut canvas = Canvas {
            svg: SVGBackend::with_string(&mut text, (1, 1)),
            width: plot.width,
            bottom: 0.0,
            failed: None,
        };
        canvas.heading(plot.title);
        fill(&mut canvas);
        let ended = canvas.svg.present();
        canvas.check(ended);
        (canvas.bottom, canvas.failed)
    };
    if let Some(why) = failed {
        return Err(PlotError { plot: plot.name, why });
    }
    Ok(finish(plot, &text, bottom))
}

/// Replaces the opening tag by one with the size that came out, and leaves out what SVG assumes anyway.
fn finish(plot: &Plot, text: &str, bottom: f64) -> String {
    let (width, height) = (plot.width, bottom.ceil());
    let body = text.split_once('\n').map_or("", |(_, body)| body);
    let body =
        elements(body).replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "").replace(" \"/>", "\"/>");
    let name = plot.name;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{name}-title {name}-about\">\n\
         <title id=\"{name}-title\">{}</title>\n<desc id=\"{name}-about\">{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n{body}",
        width * SCALE,
        height * SCALE,
        plot.title,
        plot.about,
    )
}

/// Puts the elements in place of their marks: a window on the time axis (which whoever shows the figure may zoom by
/// its `viewBox`), and groups of what belongs to that axis.
fn elements(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find(MARK) {
        let Some(begin) = rest[..at].rfind("<text") else { break };
        let after = &rest[at + MARK.len_utf8()..];
        let (Some(end), Some(close)) = (after.find('\n'), after.find("</text>")) else { break };
        out.push_str(&rest[..begin]);
        let words: Vec<&str> = after[..end].split(' ').collect();
        let named = |name: &[&str]| name.join(" ").replace('"', "&quot;");
        out.push_str(&match words.as_slice() {
            ["window", x, y, width, height, end, low, high, scale, unit, name @ ..] => format!(
                "<svg class=\"tw\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
                 viewBox=\"{x} {y} {width} {height}\" preserveAspectRatio=\"none\" data-end=\"{end}\" \
                 data-y=\"{low} {high} {scale} {unit}\" data-n=\"{}\">",
                named(name)
            ),
            ["series", name @ ..] => format!("<g data-n=\"{}\">", named(name)),
            ["ticks", left, width] => {
                format!("<g class=\"tx\" data-left=\"{left}\" data-width=\"{width}\">")
            }
            ["grid"] => "<g class=\"xg\">".to_owned(),
            ["/window"] => "</svg>".to_owned(),
            _ => "</g>".to_owned(),
        });
        rest = &after[close + "</text>".len()..];
    }
    out.push_str(rest);
    out
}

/// A name without what a mark cannot hold.
fn one_line(name: &str) -> String {
    name.replace(MARK, "").replace(char::is_control, " ")
}

fn units(pixels: f64) -> i32 {
    // A float-to-integer cast saturates and sends NaN to 0.
    (pixels * SCALE).round() as i32
}

fn place((x, y): (f64, f64)) -> (i32, i32) {
    (units(x), units(y))
}

impl Canvas<'_> {
    fn check<E: std::fmt::Display>(&mut self, result: Result<(), E>) {
        if let Err(error) = result {
            self.failed.get_or_insert_with(|| error.to_string());
        }
    }

    fn heading(&mut self, title: &str) {
        self.bold((super::style::MARGIN, 24.0), title, super::style::TITLE_SIZE);
        self.bottom = 36.0;
    }

    /// A line under the heading: what the reader has to know about this figure.
    pub(super) fn note(&mut self, text: &str) {
        self.text(
            (super::style::MARGIN, self.bottom + 8.0),
            text,
            super::style::TEXT_SIZE,
            MUTED,
            Align::Left,
        );
        self.bottom += 20.0;
    }

    /// What is drawn from here to [`Canvas::close_window`] lies in this rectangle, on a time axis from 0 to `end`
    /// seconds, and is cut to it. `axis` is the other axis ([`Axis::in_words`](super::axis::Axis::in_words)), by which
    /// a page can read values, and `name` what it calls the panel.
    pub(super) fn open_window(&mut self, at: (f64, f64), size: (f64, f64), end: f64, axis: &str, name: &str) {
        let ((x, y), (width, height)) = (place(at), place(size));
        let name = one_line(name);
        self.mark(&format!("window {x} {y} {} {} {end} {axis} {name}", width.max(1), height.max(1)));
    }

    /// What `draw` draws is the curve or the area of `name`, of which a page can tell the value at a time.
    pub(super) fn series(&mut self, name: &str, draw: impl FnOnce(&mut Self)) {
        self.mark(&format!("series {}", one_line(name)));
        draw(self);
        self.close_group();
    }

    /// See [`Canvas::open_window`].
    pub(super) fn close_window(&mut self) {
        self.mark("/window");
    }

    /// From here to [`Canvas::close_group`]: labels of a time axis.
    pub(super) fn open_ticks(&mut self, left: f64, width: f64) {
        self.mark(&format!("ticks {} {}", units(left), units(width)));
    }

    /// From here to [`Canvas::close_group`]: grid lines that belong to these labels.
    pub(super) fn open_grid(&mut self) {
        self.mark("grid");
    }

    /// The group ends.
    pub(super) fn close_group(&mut self) {
        self.mark("/group");
    }

    fn mark(&mut self, text: &str) {
        self.write((0.0, 0.0), &format!("{MARK}{text}"), 1.0, INK, Align::Left, FontStyle::Normal);
    }

    /// A line through `points`.
    pub(super) fn line(&mut self, points: &[(f64, f64)], color: RGBColor, opacity: f64, pixels: f64) {
        if points.len() < 2 {
            return;
        }
        let style = stroke(color, opacity, pixels);
        let result = self.svg.draw_path(points.iter().copied().map(place), &style);
        self.check(result);
    }

    /// A dashed line through `points`.
    pub(super) fn dashed(&mut self, points: &[(f64, f64)], color: RGBColor, pixels: f64) {
        for dash in dashes(points, 6.0, 4.0) {
            self.line(&dash, color, 1.0, pixels);
        }
    }

    /// A filled polygon.
    pub(super) fn polygon(&mut self, points: &[(f64, f64)], color: RGBColor, opacity: f64) {
        if points.len() < 3 {
            return;
        }
        let style: ShapeStyle = color.mix(opacity).filled();
        let result = self.svg.fill_polygon(points.iter().copied().map(place), &style);
        self.check(result);
    }

    /// A filled rectangle from the top left to the bottom right.
    pub(super) fn rectangle(&mut self, from: (f64, f64), to: (f64, f64), color: RGBColor, opacity: f64) {
        let (from, mut to) = (place(from), place(to));
        to.0 = to.0.max(from.0 + 1);
        let style: ShapeStyle = color.mix(opacity).filled();
        let result = self.svg.draw_rect(from, to, &style, true);
        self.check(result);
    }

    /// A text whose middle height is at `at`.
    pub(super) fn text(&mut self, at: (f64, f64), text: &str, size: f64, color: RGBColor, align: Align) {
        self.write(at, &text.replace(MARK, ""), size, color, align, FontStyle::Normal);
    }

    /// A bold text.
    pub(super) fn bold(&mut self, at: (f64, f64), text: &str, size: f64) {
        self.write(at, &text.replace(MARK, ""), size, INK, Align::Left, FontStyle::Bold);
    }

    fn write(
        &mut self,
        at: (f64, f64),
        text: &str,
        size: f64,
        color: RGBColor,
        align: Align,
        weight: FontStyle,
    ) {
        let h_pos = match align {
            Align::Left => HPos::Left,
            Align::Center => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style: TextStyle<'_> = ("sans-serif", size * SCALE * FONT_FACTOR, weight)
            .into_text_style(&(0, 0))
            .color(&color)
            .pos(Pos::new(h_pos, VPos::Center))
            .transform(FontTransform::None);
        let result = self.svg.draw_text(text, &style, place(at));
        self.check(result);
    }
}

fn stroke(color: RGBColor, opacity: f64, pixels: f64) -> ShapeStyle {
    color.mix(opacity).stroke_width(units(pixels).max(1) as u32)
}

/// Cuts a line into dashes of `on` pixels with gaps of `off` pixels along its length.
fn dashes(points: &[(f64, f64)], on: f64, off: f64) -> Vec<Vec<(f64, f64)>> {
    let mut dashes: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut current: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    let (mut drawing, mut left) = (true, on);
    for pair in points.windows(2) {
        let ((mut x, mut y), (to_x, to_y)) = (pair[0], pair[1]);
        loop {
            let (dx, dy) = (to_x - x, to_y - y);
            let length = (dx * dx + dy * dy).sqrt();
            if length <= left || !length.is_finite() {
                left -= length;
                if drawing {
                    current.push((to_x, to_y));
                }
                break;
            }
            x += dx * left / length;
            y += dy * left / length;
            if drawing {
                current.push((x, y));
                dashes.push(std::mem::take(&mut current));
            } else {
                current = vec![(x, y)];
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
    }
    if drawing && current.len() > 1 {
        dashes.push(current);
    }
    dashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_elements_and_names_are_not() {
        let plot = Plot { name: "x", title: "x", about: "x", width: 100.0, draw: |_, _| {} };
        let svg = draw(&plot, |canvas| {
            canvas.open_window((1.0, 2.0), (30.0, 40.0), 60.0, "0 5 linear n", "a \"b\"");
            canvas.series("x <y>\n", |canvas| canvas.line(&[(0.0, 0.0), (1.0, 1.0)], INK, 1.0, 1.0));
            canvas.text((5.0, 5.0), "\u{E000}/window", 12.0, INK, Align::Left);
            canvas.close_window();
        });
        let svg = svg.expect("drawn");
        assert!(svg.contains("<svg class=\"tw\" x=\"4\" y=\"8\" width=\"120\""), "{svg}");
        assert!(svg.contains("data-y=\"0 5 linear n\" data-n=\"a &quot;b&quot;\">"), "{svg}");
        assert!(svg.contains("<g data-n=\"x &lt;y&gt; \">"), "{svg}");
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (2, 2), "{svg}");
        assert!(!svg.contains(MARK) && svg.contains("\n/window\n"), "{svg}");
    }

    #[test]
    fn dashes_cover_six_tenths() {
        let dashes = dashes(&[(0.0, 0.0), (50.0, 0.0), (100.0, 0.0)], 6.0, 4.0);
        let covered: f64 = dashes.iter().map(|dash| dash.last().map_or(0.0, |end| end.0) - dash[0].0).sum();
        assert!((covered - 60.0).abs() < 1e-9, "{covered}");
        assert_eq!(dashes.len(), 10);
    }
}
