//! Predicted against measured, on logarithmic axes.

use plotters::prelude::*;

use crate::report::format::si;

/// Side of the picture in pixels.
const SIDE: u32 = 560;

/// Colours of the groups, in order; further ones begin again.
const COLORS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(23, 190, 207),
    RGBColor(140, 86, 75),
    RGBColor(127, 127, 127),
];

/// Points of one colour: what they are called, and (measured, predicted), all above 0.
pub type Group = (String, Vec<(f64, f64)>);

/// A picture of predicted against measured values: the diagonal is a perfect prediction, the lines beside it are
/// 20 % off.
///
/// # Errors
/// In words, when the drawing library fails.
pub fn scatter(title: &str, unit: &str, groups: &[Group]) -> Result<String, String> {
    let all = || groups.iter().flat_map(|(_, points)| points).flat_map(|(x, y)| [*x, *y]);
    let low = all().fold(f64::INFINITY, f64::min) * 0.8;
    let high = all().fold(0.0, f64::max) * 1.25;
    if !(low > 0.0 && low < high && high.is_finite()) {
        return Err("there is no point above 0".to_owned());
    }
    let mut text = String::new();
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    {
        let area = SVGBackend::with_string(&mut text, (SIDE, SIDE)).into_drawing_area();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(libm::log10(low)..libm::log10(high), libm::log10(low)..libm::log10(high))
            .map_err(|error| failed(&error))?;
        chart
            .configure_mesh()
            .x_desc(format!("measured, {unit}"))
            .y_desc(format!("predicted, {unit}"))
            .light_line_style(WHITE)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|power| si(libm::pow(10.0, *power)))
            .y_label_formatter(&|power| si(libm::pow(10.0, *power)))
            .draw()
            .map_err(|error| failed(&error))?;
        for (factor, color) in
            [(1.0, BLACK), (1.2, RGBColor(170, 170, 170)), (1.0 / 1.2, RGBColor(170, 170, 170))]
        {
            let ends = [low.max(low / factor), high.min(high / factor)];
            let line = LineSeries::new(ends.map(|x| placed((x, x * factor))), color);
            chart.draw_series(line).map_err(|error| failed(&error))?;
        }
        for ((name, points), color) in groups.iter().zip(COLORS.iter().cycle()) {
            let color = *color;
            let dots = points.iter().map(|point| Circle::new(placed(*point), 2, color.mix(0.5).filled()));
            chart
                .draw_series(dots)
                .map_err(|error| failed(&error))?
                .label(name.as_str())
                .legend(move |(x, y)| Circle::new((x + 8, y), 3, color.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(text)
}

/// Where a point is on axes of powers of ten.
fn placed((x, y): (f64, f64)) -> (f64, f64) {
    (libm::log10(x), libm::log10(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn() {
        let groups =
            vec![("a".to_owned(), vec![(1.0, 1.1), (10.0, 9.0)]), ("b".to_owned(), vec![(3.0, 3.0)])];
        let svg = scatter("times", "s", &groups).expect("drawn");
        // Three points and two in the legend.
        assert_eq!(svg.matches("<circle").count(), 5, "{svg}");
        assert!(scatter("times", "s", &[]).is_err());
    }
}
