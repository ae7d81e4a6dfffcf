//! Allocated and busy cards as a share of the cards provisioned, per pool.

use super::axis::Axis;
use super::canvas::Canvas;
use super::columns::{Column, columns};
use super::figure::{Mark, Plan, legend, panel_height, stack};
use super::panel::{MEAN, Pen};
use super::queue::nothing;
use super::style::{BLUE, SKY};
use super::{COLUMNS, few, resolution};
use crate::metrics::results::{PoolSummary, RunResults, Subject, TimeSeries, metric};
use crate::report::format::{or_nothing, percent};

/// Up to this many pools have roomy panels.
const ROOMY: usize = 6;
const MOST_POOLS: usize = 40;

pub(super) fn draw(results: &RunResults, canvas: &mut Canvas<'_>) {
    let timeseries = &results.timeseries;
    let all: Vec<&PoolSummary> = results.summary.pools.iter().collect();
    let size = |pool: &&PoolSummary| pool.card_hours;
    let (pools, note) = few(all, MOST_POOLS, size, "pools", "with the most card-hours");
    let roomy = pools.len() <= ROOMY;
    let rows = if roomy { "" } else { "; each row from 0% to 100% of the cards provisioned" };
    canvas.note(&[&resolution(timeseries), rows, &note].concat());
    legend(
        canvas,
        &[(Mark::Area(0.4), SKY, "allocated (leased)"), (Mark::Area(1.0), BLUE, "busy (computing)")],
    );
    if pools.is_empty() {
        stack(canvas, timeseries, vec![nothing("no pools")]);
        return;
    }
    let height = if roomy { panel_height(pools.len()) } else { 24.0 };
    let most_columns = if roomy { COLUMNS } else { COLUMNS / 4 };
    let plans = pools.iter().map(|pool| panel_of(timeseries, pool, height, most_columns)).collect();
    stack(canvas, timeseries, plans);
}

fn panel_of<'a>(timeseries: &TimeSeries, pool: &PoolSummary, height: f64, most_columns: usize) -> Plan<'a> {
    let subject = Subject::Pool(pool.name.clone());
    let provisioned = timeseries.values(&subject, metric::PROVISIONED_CARDS);
    let share = |metric| -> Vec<Column> {
        let (Some(cards), Some(provisioned)) = (timeseries.values(&subject, metric), provisioned) else {
            return Vec::new();
        };
        let shares: Vec<Option<f64>> = cards
            .iter()
            .zip(provisioned)
            .map(|pair| match pair {
                (Some(cards), Some(provisioned)) if *provisioned > 0.0 => Some(cards / provisioned),
                _ => None,
            })
            .collect();
        columns(timeseries, &shares, most_columns)
    };
    let (allocated, busy) = (share(metric::ALLOCATED_CARDS), share(metric::BUSY_CARDS));
    let nothing = allocated.iter().chain(&busy).all(|column| column.mean.is_none());
    let percents: &[u32] = if height > 60.0 { &[0, 25, 50, 75, 100] } else { &[] };
    let title = format!(
        "% of cards provisioned; over the run {} allocated, {} busy",
        or_nothing(pool.utilization.allocated, percent),
        or_nothing(pool.utilization.busy, percent),
    );
    Plan {
        name: pool.name.clone(),
        y: Axis::share_of_all(percents, &title),
        height,
        draw: Box::new(move |panel, canvas| {
            if nothing {
                panel.say(canvas, "no cards were provisioned");
            }
            canvas.series("allocated", |canvas| {
                panel.area(canvas, &allocated, MEAN, Pen::area(SKY, 0.4).steps());
            });
            canvas.series("busy", |canvas| {
                panel.area(canvas, &busy, MEAN, Pen::area(BLUE, 1.0).steps());
            });
        }),
    }
}
