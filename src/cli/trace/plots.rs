//! A trace's description as plots.

use std::fs;
use std::path::Path;

use plotters::prelude::*;

use crate::cli::Failure;
use crate::traffic::describe::{Description, Distribution};
use crate::units::Duration;

const SIZE: (u32, u32) = (900, 420);
const BLUE: RGBColor = RGBColor(0x1f, 0x5a, 0xa6);
const ORANGE: RGBColor = RGBColor(0xd9, 0x6b, 0x0b);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Plot = fn(&str, &Description, &mut String) -> Drawn;

/// Draws everything into `dir` and returns the files' names.
///
/// # Errors
/// When the folder or a file cannot be written.
pub(super) fn draw(name: &str, description: &Description, dir: &Path) -> Result<Vec<&'static str>, Failure> {
    let unwritable = |path: &Path, error: &std::io::Error| {
        let path = path.display();
        Failure::BadInput(format!("error: cannot write {path}: {error}; choose another folder with --out"))
    };
    fs::create_dir_all(dir).map_err(|error| unwritable(dir, &error))?;
    let plots: [(&'static str, Plot); 4] = [
        ("rate.svg", rate),
        ("dispersion.svg", dispersion),
        ("intervals.svg", intervals),
        ("lengths.svg", lengths),
    ];
    for (file, plot) in plots {
        let mut svg = String::new();
        plot(name, description, &mut svg)
            .map_err(|error| Failure::Failed(format!("error: {file} could not be drawn: {error}")))?;
        let path = dir.join(file);
        fs::write(&path, svg).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(plots.map(|(file, _)| file).to_vec())
}

/// One plot's frame: title, margins and axes that all four share. The macro is because plotters' types name
/// their axes.
macro_rules! frame {
    ($root:ident, $title:expr, $x:expr, $y:expr, $x_name:expr, $y_name:expr) => {{
        $root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&$root)
            .caption($title, ("sans-serif", 18))
            .margin(14)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d($x, $y)?;
        chart
            .configure_mesh()
            .x_desc($x_name)
            .y_desc($y_name)
            .x_label_formatter(&|x: &f64| short(*x))
            .y_label_formatter(&|y: &f64| short(*y))
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GREY)
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .draw()?;
        chart
    }};
}

macro_rules! legend {
    ($chart:ident, $position:expr) => {
        $chart
            .configure_series_labels()
            .position($position)
            .border_style(TRANSPARENT)
            .background_style(WHITE.mix(0.85))
            .label_font(("sans-serif", 13))
            .draw()?
    };
}

fn key(color: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
}

/// Requests a second over time, as steps.
fn rate(name: &str, description: &Description, svg: &mut String) -> Drawn {
    let series = &description.rate_series;
    let (unit, seconds) = time_unit(description.span);
    let width = series.width.as_secs_f64() / seconds;
    let rates: Vec<f64> = series.rates().map(|rate| rate.as_per_second()).collect();
    let highest = rates.iter().copied().fold(1e-9, f64::max);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let title = format!("{name}: requests per second, in windows of {}", series.width);
    let mut chart = frame!(
        root,
        title,
        0.0..(rates.len() as f64 * width).max(width),
        0.0..highest * 1.05,
        format!("time ({unit})"),
        "requests/s"
    );
    let steps = rates
        .iter()
        .enumerate()
        .flat_map(|(bin, rate)| [(bin as f64 * width, *rate), ((bin + 1) as f64 * width, *rate)]);
    chart.draw_series(AreaSeries::new(steps, 0.0, BLUE.mix(0.15)).border_style(BLUE.stroke_width(1)))?;
    if let Some(mean) = description.rate {
        let mean = mean.as_per_second();
        let line = [(0.0, mean), (rates.len() as f64 * width, mean)];
        chart
            .draw_series(LineSeries::new(line, ORANGE.stroke_width(2)))?
            .label(format!("mean {}/s", short(mean)))
            .legend(key(ORANGE));
        legend!(chart, SeriesLabelPosition::UpperRight);
    }
    root.present()?;
    Ok(())
}

/// The index of dispersion over the window.
fn dispersion(name: &str, description: &Description, svg: &mut String) -> Drawn {
    let points: Vec<(f64, f64)> = description
        .dispersion
        .iter()
        .filter_map(|window| Some((window.window.as_secs_f64(), window.index_of_dispersion?)))
        .filter(|point| point.1 > 0.0)
        .collect();
    let (low, high) = bounds(points.iter().map(|point| point.1).chain([0.5, 2.0]));
    let longest = points.last().map_or(1.0, |point| point.0).max(1.0);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = frame!(
        root,
        format!("{name}: burstiness at each time scale"),
        (0.1..longest * 1.1).log_scale(),
        (low * 0.9..high * 1.2).log_scale(),
        "window (s)",
        "variance / mean of counts"
    );
    let poisson = [(0.1, 1.0), (longest, 1.0)];
    chart.draw_series(LineSeries::new(poisson, GREY.stroke_width(2)))?.label("Poisson").legend(key(GREY));
    chart
        .draw_series(LineSeries::new(points.clone(), BLUE.stroke_width(2)))?
        .label("this trace")
        .legend(key(BLUE));
    chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, BLUE.filled())))?;
    legend!(chart, SeriesLabelPosition::UpperLeft);
    root.present()?;
    Ok(())
}

/// Inter-arrival times in logarithmic bins, beside those of Poisson arrivals of the same rate.
fn intervals(name: &str, description: &Description, svg: &mut String) -> Drawn {
    let bins = description.intervals.bins();
    let total = description.intervals.total().max(1) as f64;
    let mean = description.intervals.mean().as_secs_f64();
    let bins: Vec<(f64, f64, f64)> = bins
        .iter()
        .map(|(from, to, count)| (from.as_secs_f64(), to.as_secs_f64(), 100.0 * *count as f64 / total))
        .collect();
    let expected: Vec<(f64, f64)> = bins
        .iter()
        .map(|(from, to, _)| ((from * to).sqrt(), 100.0 * (libm::exp(-from / mean) - libm::exp(-to / mean))))
        .collect();
    let highest =
        bins.iter().map(|bin| bin.2).chain(expected.iter().map(|point| point.1)).fold(1e-9, f64::max);
    let (low, high) = match (bins.first(), bins.last()) {
        (Some(first), Some(last)) => (first.0, last.1),
        _ => (0.001, 1.0),
    };
    let zero = 100.0 * description.intervals.zero as f64 / total;
    let apart = if zero > 0.0 { format!(" ({}% are zero, not shown)", short(zero)) } else { String::new() };
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = frame!(
        root,
        format!("{name}: time between requests{apart}"),
        (low..high).log_scale(),
        0.0..highest * 1.08,
        "time (s)",
        "% of intervals in bin"
    );
    chart
        .draw_series(
            bins.iter().map(|(from, to, share)| {
                Rectangle::new([(*from, 0.0), (*to, *share)], BLUE.mix(0.35).filled())
            }),
        )?
        .label("this trace")
        .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], BLUE.mix(0.35).filled()));
    chart
        .draw_series(LineSeries::new(expected, GREY.stroke_width(2)))?
        .label("Poisson of the same rate")
        .legend(key(GREY));
    legend!(chart, SeriesLabelPosition::UpperLeft);
    root.present()?;
    Ok(())
}

/// The cumulative distributions of prompt and output tokens.
fn lengths(name: &str, description: &Description, svg: &mut String) -> Drawn {
    let longest = description.prompt_tokens.max().max(description.output_tokens.max()).max(10);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = frame!(
        root,
        format!("{name}: prompt and output lengths"),
        (1.0..f64::from(longest)).log_scale(),
        0.0..100.0,
        "tokens",
        "% of requests up to this length"
    );
    let mut draw = |what: &str, of: &Distribution, color: RGBColor| -> Drawn {
        let mut before = 0.0;
        let mut steps = vec![(1.0, 0.0)];
        for (tokens, share) in of.cumulative(400) {
            steps.extend([(f64::from(tokens), before), (f64::from(tokens), 100.0 * share)]);
            before = 100.0 * share;
        }
        steps.push((f64::from(longest), 100.0));
        let label = format!("{what}: median {}, p99 {}", of.quantile(0.5), of.quantile(0.99));
        chart.draw_series(LineSeries::new(steps, color.stroke_width(2)))?.label(label).legend(key(color));
        Ok(())
    };
    draw("output", &description.output_tokens, ORANGE)?;
    draw("prompt", &description.prompt_tokens, BLUE)?;
    legend!(chart, SeriesLabelPosition::UpperLeft);
    root.present()?;
    Ok(())
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| (low.min(value), f64::max(high, value)))
}

/// The unit for an axis as long as `span`, and its seconds.
fn time_unit(span: Duration) -> (&'static str, f64) {
    match span.as_secs_f64() {
        s if s < 600.0 => ("s", 1.0),
        s if s < 4.0 * 3600.0 => ("min", 60.0),
        s if s < 4.0 * 86_400.0 => ("h", 3600.0),
        _ => ("days", 86_400.0),
    }
}

/// A number in few characters: 0.001, 12.5, 4000, 20k, 3M.
fn short(value: f64) -> String {
    let trimmed = |text: String| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match value.abs() {
        v if v >= 1e6 => trimmed(format!("{:.1}", value / 1e6)) + "M",
        v if v >= 1e4 => trimmed(format!("{:.1}", value / 1e3)) + "k",
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 0.1 || v == 0.0 => trimmed(format!("{value:.2}")),
        v if v >= 1e-4 => trimmed(format!("{value:.5}")),
        _ => format!("{value:.0e}"),
    }
}
