//! A pivot table of a sweep: one metric by the values of two axes, averaged over all others.

use super::grid::{Axis, Grid};
use super::replicate::{cell, csv_text};
use super::sweep::{Plan, Rows};

/// What is laid out how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// The axis that goes down, by its place in the grid.
    pub rows: usize,
    /// The axis that goes to the right.
    pub columns: usize,
    /// The metric.
    pub metric: String,
}

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it is made of.
    pub pivot: Pivot,
    /// The paths of the axes, down and to the right.
    pub paths: [String; 2],
    /// The values of the axis that goes down.
    pub rows: Vec<String>,
    /// The values of the axis that goes to the right.
    pub columns: Vec<String>,
    /// The means, by row and column; `None` where no point has a value.
    pub cells: Vec<Vec<Option<f64>>>,
}

/// A pivot that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PivotError {
    /// Not of the form.
    #[error(
        "`{0}` is not ROWS,COLUMNS or ROWS,COLUMNS,METRIC; for example --pivot nodes,replicas,slo.attainment"
    )]
    Form(String),
    /// An axis that the grid does not have.
    #[error("the grid has no axis `{name}`; its axes are {axes}")]
    Axis {
        /// As it was asked for.
        name: String,
        /// Those that there are.
        axes: String,
    },
    /// One axis both ways.
    #[error("`{0}` cannot go both down and to the right")]
    Twice(String),
    /// A metric that the table does not have.
    #[error("the sweep has no metric `{name}`; it has {metrics}")]
    Metric {
        /// As it was asked for.
        name: String,
        /// Those that there are.
        metrics: String,
    },
}

/// The metric told where none is asked for.
const METRIC: &str = "spend.total_usd";
/// Longer axes than this make no table.
const LONGEST: u64 = 200;

impl Pivot {
    /// From `ROWS,COLUMNS[,METRIC]`; axes by their path or by its end.
    ///
    /// # Errors
    /// When it is of another form, or a name leads nowhere.
    pub fn parse(text: &str, grid: &Grid, metrics: &[String]) -> Result<Self, PivotError> {
        let parts: Vec<&str> = super::grid::split_outside(text, ',').map(str::trim).collect();
        let (rows, columns, metric) = match parts.as_slice() {
            [rows, columns] => (*rows, *columns, METRIC),
            [rows, columns, metric] => (*rows, *columns, *metric),
            _ => return Err(PivotError::Form(text.to_owned())),
        };
        let place = |name: &str| {
            let whole = grid.axes().iter().position(|axis| axis.path == name);
            let ends = |axis: &Axis| axis.path.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            whole.or_else(|| grid.axes().iter().position(ends)).filter(|_| !name.is_empty()).ok_or_else(
                || {
                    let axes: Vec<&str> = grid.axes().iter().map(|axis| axis.path.as_str()).collect();
                    PivotError::Axis { name: name.to_owned(), axes: axes.join(", ") }
                },
            )
        };
        let (rows, columns) = (place(rows)?, place(columns)?);
        if rows == columns {
            return Err(PivotError::Twice(grid.axes()[rows].path.clone()));
        }
        if !metrics.iter().any(|name| name == metric) {
            return Err(PivotError::Metric { name: metric.to_owned(), metrics: metrics.join(", ") });
        }
        if [rows, columns].iter().any(|axis| grid.axes()[*axis].len() > LONGEST) {
            return Err(PivotError::Form(format!(
                "{text}: an axis has more than {LONGEST} values, so that it"
            )));
        }
        Ok(Self { rows, columns, metric: metric.to_owned() })
    }

    /// The table of a sweep's rows.
    pub fn table(&self, plan: &Plan, grid: &Grid, rows: &Rows) -> Table {
        let values = |axis: usize| -> Vec<String> {
            let axis = &grid.axes()[axis];
            (0..axis.len()).map(|index| axis.value(index)).collect()
        };
        let (downs, rights) = (values(self.rows), values(self.columns));
        let mut sums = vec![vec![(0.0, 0u64); rights.len()]; downs.len()];
        let width = if plan.replications > 1 { 3 } else { 1 };
        let metric = plan.metrics.iter().position(|name| *name == self.metric).unwrap_or(0);
        for row in rows.values() {
            let Some(value) = row.cells.get(metric * width).and_then(|cell| cell.parse::<f64>().ok()) else {
                continue;
            };
            let places = grid.places(row.point);
            let sum = &mut sums[places[self.rows] as usize][places[self.columns] as usize];
            *sum = (sum.0 + value, sum.1 + 1);
        }
        let mean = |sum: &(f64, u64)| (sum.1 > 0).then(|| sum.0 / sum.1 as f64);
        Table {
            pivot: self.clone(),
            paths: [self.rows, self.columns].map(|axis| grid.axes()[axis].path.clone()),
            rows: downs,
            columns: rights,
            cells: sums.iter().map(|row| row.iter().map(mean).collect()).collect(),
        }
    }
}

impl Table {
    /// As CSV: a line a row, the values of the axis that goes to the right in the first line.
    pub fn csv(&self) -> String {
        let corner = format!("{} \\ {}", self.paths[0], self.paths[1]);
        let header = std::iter::once(corner).chain(self.columns.iter().cloned()).collect();
        let rows = self.rows.iter().zip(&self.cells).map(|(name, cells)| {
            std::iter::once(name.clone()).chain(cells.iter().map(|value| cell(*value))).collect()
        });
        csv_text(header, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sweep::Row;

    #[test]
    fn means_over_the_other_axes() {
        let arguments = ["a.x=1,2", "b.y=5..7", "c.z=0,1"].map(str::to_owned);
        let grid = Grid::parse(&arguments).expect("a grid");
        let plan = Plan {
            name: String::new(),
            scenario: String::new(),
            version: String::new(),
            grid: arguments.to_vec(),
            replications: 1,
            metrics: vec!["m".to_owned(), METRIC.to_owned()],
        };
        let rows: Rows = (0..grid.points())
            .filter(|point| *point != 3)
            .map(|point| {
                let cells = vec!["7".to_owned(), if point < 2 { String::new() } else { point.to_string() }];
                (point, Row { point, cells, error: None })
            })
            .collect();
        let pivot = Pivot::parse("x, b.y", &grid, &plan.metrics).expect("a pivot");
        let table = pivot.table(&plan, &grid, &rows);
        assert_eq!(table.cells[0], [None, Some(2.0), Some(4.5)]);
        assert_eq!(table.cells[1], [Some(6.5), Some(8.5), Some(10.5)]);
        assert_eq!(table.csv().lines().nth(2), Some("2,6.5,8.5,10.5"));
        let refused = |text: &str| Pivot::parse(text, &grid, &plan.metrics).expect_err("none").to_string();
        assert!(refused("x").contains("ROWS,COLUMNS"));
        assert!(refused("x,q").contains("no axis `q`; its axes are a.x, b.y, c.z"));
        assert!(refused("x,a.x").contains("both"));
        assert!(refused("x,y,nothing").contains("no metric `nothing`"));
    }
}
