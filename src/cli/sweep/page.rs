//! The page of a sweep.

use super::super::figures;
use super::{heat_map, in_a_line};
use crate::plan::grid::Grid;
use crate::plan::pivot::{Pivot, Table as Layout};
use crate::plan::sweep::{Plan, Rows};
use crate::report::format::{NOTHING, plural};
use crate::report::html::{
    Cell, Fact, Mood, PageError, Section, Sheet, Table, figures as side_by_side, paragraph, themed,
};
use crate::report::plots::charts::{Bars, Naming};

/// Points told on the page; all are in `sweep.csv`.
const MOST_POINTS: usize = 1_000;
/// What is laid out over the two longest axes, where it is told.
const LAID_OUT: [&str; 3] = ["spend.total_usd", "slo.attainment", "latency.ttft_s.p99"];
/// An axis with more values than this is not drawn.
const MOST_VALUES: u64 = 40;

/// The page, with the layouts that were asked for.
///
/// # Errors
/// When a plot cannot be drawn or the template not be filled.
pub fn page(plan: &Plan, grid: &Grid, rows: &Rows, asked: &[Layout]) -> Result<String, PageError> {
    let failed = rows.values().filter(|row| row.error.is_some()).count();
    let asked: Vec<String> = asked.iter().map(heat_map).collect::<Result<_, _>>()?;
    let mut maps: Vec<(String, bool)> = asked.iter().map(|svg| (themed(svg.clone()), false)).collect();
    // What was asked for is not drawn twice.
    let own = self::plots(plan, grid, rows)?.into_iter().filter(|(_, svg)| !asked.contains(svg));
    maps.extend(own.map(|(_, svg)| (themed(svg), false)));
    let points = rows.len() as u64;
    let fact = |what, value, remark| Fact { what, value, remark };
    let sheet = Sheet {
        title: format!("{}: sweep", plan.name),
        about: format!(
            "{}, {} each, fleetsim {}",
            plural(points, "point"),
            plural(plan.replications, "replication"),
            plan.version
        ),
        mood: if failed > 0 { Mood::Bad } else { Mood::Neutral },
        headline: in_a_line(plan, grid, rows),
        verdicts: Vec::new(),
        facts: vec![
            fact("Points", points.to_string(), format!("{} cannot be run", plural(failed as u64, "point"))),
            fact("Axes", grid.axes().len().to_string(), plan.grid.join(" ")),
        ],
        beside: String::new(),
        picture: String::new(),
        sections: vec![
            Section { id: "maps", title: "Over the axes", html: side_by_side(&maps) },
            Section { id: "points", title: "Each point", html: points_table(plan, grid, rows) },
            Section {
                id: "repeat",
                title: "How to repeat it",
                html: paragraph(&format!(
                    "fleetsim {} sweep of the same scenario with --grid {} gives the same sweep.csv byte by byte.",
                    plan.version,
                    plan.grid.join(" --grid ")
                )),
            },
        ],
        version: env!("CARGO_PKG_VERSION"),
    };
    sheet.html()
}

/// The plots that a sweep draws unasked: names and SVG documents.
///
/// # Errors
/// When one cannot be drawn.
pub fn plots(plan: &Plan, grid: &Grid, rows: &Rows) -> Result<Vec<(String, String)>, PageError> {
    let mut all = Vec::new();
    for layout in own_layouts(plan, grid, rows) {
        all.push((format!("map-{}", layout.pivot.metric.replace('.', "-")), heat_map(&layout)?));
    }
    if let (true, Some(bars)) = (grid.axes().len() == 1, bars(plan, grid, rows)?) {
        all.push(("spend".to_owned(), bars));
    }
    Ok(all)
}

/// The main metrics over the two longest axes.
fn own_layouts<'a>(plan: &'a Plan, grid: &'a Grid, rows: &'a Rows) -> impl Iterator<Item = Layout> + 'a {
    let drawable = |axis: &usize| (2..=MOST_VALUES).contains(&grid.axes()[*axis].len());
    let mut axes: Vec<usize> = (0..grid.axes().len()).filter(drawable).collect();
    axes.sort_by_key(|axis| (std::cmp::Reverse(grid.axes()[*axis].len()), *axis));
    let two = axes.first().copied().zip(axes.get(1).copied());
    let told = move |metric: &&&str| plan.metrics.iter().any(|known| known == **metric);
    two.into_iter().flat_map(move |(down, right)| {
        let pivot = move |metric: &str| Pivot { rows: down, columns: right, metric: metric.to_owned() };
        let wanted = LAID_OUT.iter().filter(told).map(move |metric| pivot(metric));
        wanted
            .map(|pivot| pivot.table(plan, grid, rows))
            .filter(|layout| layout.cells.iter().flatten().any(Option::is_some))
    })
}

/// The place of the mean of a metric among the cells of a row.
fn column(plan: &Plan, metric: usize) -> usize {
    if plan.replications > 1 { 3 * metric } else { metric }
}

/// Spend by the values of the only axis.
fn bars(plan: &Plan, grid: &Grid, rows: &Rows) -> Result<Option<String>, PageError> {
    let Some(metric) = plan.metrics.iter().position(|name| name == LAID_OUT[0]) else { return Ok(None) };
    let told: Vec<(String, f64)> = rows
        .values()
        .filter_map(|row| {
            let usd = row.cells.get(column(plan, metric))?.parse().ok()?;
            Some((grid.values(row.point).join(" ").trim_matches('"').to_owned(), usd))
        })
        .take(MOST_VALUES as usize)
        .collect();
    if told.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = told.iter().map(|point| point.0.clone()).collect();
    let layers = [("total spend".to_owned(), told.iter().map(|point| point.1).collect())];
    let naming = Naming { name: "spend", title: "Spend by value", about: "total spend of each point" };
    let note = grid.axes().first().map_or(String::new(), |axis| axis.path.clone());
    Ok(Some(Bars { naming, note, names: &names, layers: &layers, title: "US dollars" }.svg()?))
}

fn points_table(plan: &Plan, grid: &Grid, rows: &Rows) -> String {
    let told = |metric: &usize| {
        let cell = column(plan, *metric);
        rows.values().any(|row| row.cells.get(cell).is_some_and(|cell| !cell.is_empty()))
    };
    let metrics: Vec<usize> = (0..plan.metrics.len()).filter(told).collect();
    let columns: Vec<String> = std::iter::once("#point".to_owned())
        .chain(grid.axes().iter().map(|axis| axis.path.clone()))
        .chain(metrics.iter().map(|metric| format!("#{}", plan.metrics[*metric])))
        .chain(["error".to_owned()])
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("Points", &columns);
    table.most = MOST_POINTS;
    for row in rows.values() {
        let mut cells = vec![Cell::number(row.point as f64, row.point.to_string())];
        for value in grid.values(row.point) {
            let text = value.trim_matches('"');
            cells.push(match text.parse::<f64>() {
                Ok(number) => Cell::number(number, text.to_owned()),
                Err(_) => Cell::text(text),
            });
        }
        for metric in &metrics {
            let value = row.cells.get(column(plan, *metric)).and_then(|cell| cell.parse::<f64>().ok());
            let shown =
                value.map_or(NOTHING.to_owned(), |value| figures::show(&plan.metrics[*metric], value));
            cells.push(Cell::number(value.unwrap_or(f64::NAN), shown));
        }
        cells.push(Cell::text(row.error.as_deref().unwrap_or_default()).class("long bad"));
        table.row(cells);
    }
    table.html("No point is finished.")
}
