//! The plots of a plan.

use super::super::Failure;
use crate::plan::facts::HOURS_PER_MONTH;
use crate::plan::grid::{Axis, Grid};
use crate::plan::horizon::{Course, Window};
use crate::plan::outcome::{Outcome, Row};
use crate::report::format::{money, percent};
use crate::report::plots::PlotError;
use crate::report::plots::charts::{Bars, Dot, Frontier, HeatMap, Lines, Naming, Tornado};

/// Candidates whose spend is drawn.
const MOST_BARS: usize = 14;

/// Capacity over time, in cards: what was asked for, ready and billed.
pub struct Capacity {
    /// The end, in seconds.
    pub end: f64,
    /// By line: its name, and (seconds, cards).
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Draws everything: names and SVG documents.
///
/// # Errors
/// When a plot cannot be drawn, which would be a defect.
pub fn draw(
    outcome: &Outcome,
    grid: &Grid,
    capacity: Option<&Capacity>,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut files: Vec<(&'static str, Result<String, PlotError>)> =
        vec![("frontier", frontier(outcome)), ("spend_by_candidate", bars(outcome, grid))];
    if let Some((down, right)) = two_axes(grid) {
        files.push(("map_spend", map(outcome, grid, down, right, true)));
        files.push(("map_slo", map(outcome, grid, down, right, false)));
    }
    if let Some(uncertainty) = &outcome.uncertainty {
        let inputs: Vec<(String, f64, f64)> = uncertainty
            .tornado
            .iter()
            .map(|swing| (swing.input.clone(), swing.low_usd_month, swing.high_usd_month))
            .collect();
        files.push((
            "tornado",
            Tornado {
                naming: Naming {
                    name: "tornado",
                    title: "Which input decides",
                    about: "spend of the right fleet with one uncertain input at a time at its ends",
                },
                note: "the cheapest fleet that keeps its promises, one input at its 5th or 95th percentile, \
                       the others in their middle"
                    .to_owned(),
                inputs: &inputs,
                middle: uncertainty.middle_usd_month,
            }
            .svg(),
        ));
        let names: Vec<String> = uncertainty
            .candidates
            .iter()
            .map(|judged| {
                let kept = percent(judged.slo_met_probability);
                format!("{} ({kept} kept)", named(grid, judged.point))
            })
            .collect();
        let worlds = uncertainty.draws as f64;
        let mean = uncertainty.candidates.iter().map(|judged| judged.regret / worlds).collect();
        files.push((
            "regret",
            Bars {
                naming: Naming {
                    name: "regret",
                    title: "Regret of each finalist",
                    about: "mean regret over the draws of the uncertain inputs, by candidate",
                },
                note: "mean over draws of (difference to the right spend × cost)^exponent; less is better"
                    .to_owned(),
                names: &names,
                layers: &[("regret".to_owned(), mean)],
                title: "regret",
            }
            .svg(),
        ));
    }
    if let Some(capacity) = capacity {
        files.push((
            "capacity",
            Lines {
                naming: Naming {
                    name: "capacity",
                    title: "Capacity of the best candidate",
                    about: "cards demanded, ready and billed over time",
                },
                note: "demanded: the least that the requests of each interval take, whatever the batches"
                    .to_owned(),
                title: "cards",
                end: capacity.end,
                lines: &capacity.lines,
            }
            .svg(),
        ));
    }
    if let Some(course) = &outcome.horizon {
        files.push(("horizon", horizon(course)));
    }
    let drawn = |(name, svg): (_, Result<String, PlotError>)| {
        svg.map(|svg| (name, svg)).map_err(|error| Failure::Failed(format!("error: {error}")))
    };
    files.into_iter().map(drawn).collect()
}

/// The values of a candidate in a few letters.
pub fn short(values: &[String]) -> String {
    let plain: Vec<&str> = values.iter().map(|value| value.trim_matches('"')).collect();
    plain.join(" · ")
}

/// What a month costs over the horizon: today's best, the cheapest that keeps its promises then, and a hosted API.
fn horizon(course: &Course) -> Result<String, PlotError> {
    let seconds = |month: f64| month * HOURS_PER_MONTH * 3600.0;
    let line = |name: &str, of: &dyn Fn(&Window) -> Option<f64>| {
        let points = course.windows.iter().filter_map(|window| {
            // Each is drawn over the part that it stands for.
            let begin = window.month - 0.5 * window.weight * f64::from(course.months);
            Some((seconds(begin), of(window)?))
        });
        (name.to_owned(), points.collect::<Vec<_>>())
    };
    let lines: Vec<(String, Vec<(f64, f64)>)> = [
        line("today's best, kept as it is", &|window| Some(window.spend_usd_month)),
        line("the cheapest that keeps its promises then", &|window| {
            Some(window.cheapest.as_ref()?.spend_usd_month)
        }),
        line("hosted API", &|window| window.hosted_usd_month),
    ]
    .into_iter()
    .filter(|(_, points)| !points.is_empty())
    .collect();
    Lines {
        naming: Naming {
            name: "horizon",
            title: "The months to come",
            about: "spend a month over the horizon, by representative windows",
        },
        note: "representative windows with the demand and the prices of their month".to_owned(),
        title: "US dollars a month",
        end: seconds(f64::from(course.months)),
        lines: &lines,
    }
    .svg()
}

/// The same, each value with the end of its path.
fn named(grid: &Grid, point: u64) -> String {
    let values = grid.values(point);
    let one = |(axis, value): (&Axis, &String)| {
        let end = axis.path.rsplit('.').next().unwrap_or(&axis.path);
        format!("{end} {}", value.trim_matches('"'))
    };
    grid.axes().iter().zip(&values).map(one).collect::<Vec<_>>().join(" · ")
}

fn frontier(outcome: &Outcome) -> Result<String, PlotError> {
    let best = outcome.best.as_ref().map(|best| best.point);
    let dots = |of: fn(&Row) -> Option<f64>, name: &str| -> Vec<Dot> {
        let simulated = outcome.candidates.iter().filter(|row| row.replications > 0);
        let mut dots: Vec<Dot> = simulated
            .filter_map(|row| {
                let on = outcome.frontier.iter().find(|point| point.point == row.point);
                Some(Dot {
                    spend: row.spend_usd_month?,
                    value: of(row)?,
                    feasible: matches!(row.status, "best" | "feasible")
                        || on.is_some_and(|point| point.feasible),
                    on_frontier: on.is_some_and(|point| point.against.contains(&name)),
                    best: best == Some(row.point),
                })
            })
            .collect();
        dots.sort_by(|a, b| a.spend.total_cmp(&b.spend));
        dots
    };
    let panels = [
        ("TTFT, 99th percentile".to_owned(), false, dots(|row| row.ttft_p99_s, "latency")),
        (
            "requests that miss a limit".to_owned(),
            true,
            dots(|row| row.attainment.map(|share| 1.0 - share), "risk"),
        ),
    ];
    let naming = Naming {
        name: "frontier",
        title: "Spend against latency and risk",
        about: "each simulated candidate by spend and 99th percentile of TTFT, and by spend and share of misses",
    };
    Frontier { naming, note: "candidates that were simulated".to_owned(), panels: &panels }.svg()
}

fn bars(outcome: &Outcome, grid: &Grid) -> Result<String, PlotError> {
    let rows: Vec<&Row> = outcome
        .candidates
        .iter()
        .filter(|row| row.spend_by_cause_usd_month.is_some())
        .take(MOST_BARS)
        .collect();
    let mut causes: Vec<String> = Vec::new();
    for cause in
        rows.iter().flat_map(|row| row.spend_by_cause_usd_month.iter().flatten().map(|(name, _)| name))
    {
        if !causes.contains(cause) {
            causes.push(cause.clone());
        }
    }
    let of = |row: &&Row, cause: &String| {
        row.spend_by_cause_usd_month.as_ref().and_then(|causes| causes.get(cause)).copied().unwrap_or(0.0)
    };
    let layers: Vec<(String, Vec<f64>)> =
        causes.iter().map(|cause| (cause.clone(), rows.iter().map(|row| of(row, cause)).collect())).collect();
    let names: Vec<String> =
        rows.iter().map(|row| format!("{}: {}", row.status, named(grid, row.point))).collect();
    let naming = Naming {
        name: "spend_by_candidate",
        title: "What each candidate spends on",
        about: "spend a month of the candidates that were simulated, by cause",
    };
    Bars {
        naming,
        note: "candidates that were simulated, the best first".to_owned(),
        names: &names,
        layers: &layers,
        title: "US dollars a month",
    }
    .svg()
}

/// The two longest axes that can be drawn.
fn two_axes(grid: &Grid) -> Option<(usize, usize)> {
    let mut axes: Vec<usize> =
        (0..grid.axes().len()).filter(|axis| (2..=40).contains(&grid.axes()[*axis].len())).collect();
    axes.sort_by_key(|axis| (std::cmp::Reverse(grid.axes()[*axis].len()), *axis));
    // The longer one goes down.
    Some((*axes.first()?, *axes.get(1)?))
}

fn map(outcome: &Outcome, grid: &Grid, down: usize, right: usize, spend: bool) -> Result<String, PlotError> {
    let values = |axis: usize| -> Vec<String> {
        let axis = &grid.axes()[axis];
        (0..axis.len()).map(|index| axis.value(index).trim_matches('"').to_owned()).collect()
    };
    let (rows, columns) = (values(down), values(right));
    let mut cells = vec![vec![None; columns.len()]; rows.len()];
    let mut marked = Vec::new();
    for row in &outcome.candidates {
        let places = grid.places(row.point);
        let (y, x) = (places[down] as usize, places[right] as usize);
        let cell: &mut Option<f64> = &mut cells[y][x];
        let value = if spend { row.spend_usd_month } else { row.attainment.or(row.attainment_at_most) };
        if let Some(value) = value {
            let better = |old: f64| if spend { value < old } else { value > old };
            if cell.is_none_or(better) {
                *cell = Some(value);
            }
        }
        if row.status == "best" {
            marked.push((y, x));
        }
    }
    let (naming, note) = match spend {
        true => (
            Naming {
                name: "map_spend",
                title: "Spend over two axes",
                about: "least spend a month by two axes",
            },
            "the least that a month costs with these values; the best is outlined",
        ),
        false => (
            Naming { name: "map_slo", title: "SLO over two axes", about: "best SLO attainment by two axes" },
            "most requests within their limits, simulated or bounded; the best is outlined",
        ),
    };
    HeatMap {
        naming,
        note: note.to_owned(),
        columns: (&grid.axes()[right].path, &columns),
        rows: (&grid.axes()[down].path, &rows),
        cells: &cells,
        shown: &|value| if spend { money(value) } else { percent(value) },
        marked: &marked,
    }
    .svg()
}
