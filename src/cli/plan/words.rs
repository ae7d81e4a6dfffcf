//! A plan on the terminal.

use std::cmp::Ordering;

use super::super::figures;
use crate::plan::break_even::BreakEven;
use crate::plan::grid::Grid;
use crate::plan::horizon::Course;
use crate::plan::outcome::{Outcome, Row};
use crate::report::format::{NOTHING, count, money, percent, plural, seconds, shorten, si};

/// More candidates than this are left to the file.
const MOST_ROWS: usize = 12;

/// Fewer preemptions than this tell little.
const FEW_PREEMPTIONS: f64 = 5.0;

/// All that is told of a plan.
pub fn in_words(outcome: &Outcome, grid: &Grid) -> String {
    let mut text = format!("{}\n\n", outcome.verdict);
    if let Some(best) = &outcome.best {
        for held in &best.promises {
            let sign = if held.at_least { "at least" } else { "at most" };
            let value = held.value.map_or(NOTHING.to_owned(), |value| figures::show(&held.name, value));
            text += &format!("  {}: {value}, {sign} {}\n", held.name, figures::show(&held.name, held.limit));
        }
        for (cause, usd) in &best.spend_by_cause_usd_month {
            text += &format!("  {cause}: {} a month\n", money(*usd));
        }
        text.push('\n');
    }
    text += &months(outcome);
    text += &table(&outcome.candidates, grid);
    if outcome.candidates.len() > MOST_ROWS {
        text += &format!("and {} more\n", count((outcome.candidates.len() - MOST_ROWS) as u64));
    }
    text += &format!(
        "{}, {} pruned by bounds, {} ({} each at most)\nlower bound {}, gap {}\n",
        plural(outcome.points, "candidate"),
        count(outcome.pruned),
        plural(outcome.simulations, "simulation"),
        plural(outcome.replications, "replication"),
        outcome.lower_bound_usd_month.map_or(NOTHING.to_owned(), |usd| format!("{} a month", money(usd))),
        outcome.gap.map_or(NOTHING.to_owned(), percent),
    );
    text
}

fn table(rows: &[Row], grid: &Grid) -> String {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let lasts: Vec<String> = grid.axes().iter().map(|axis| last(&axis.path)).collect();
    let mut header = vec!["".to_owned()];
    for (axis, last) in grid.axes().iter().zip(&lasts) {
        let unique = lasts.iter().filter(|other| *other == last).count() == 1;
        header.push(shorten(if unique { last } else { &axis.path }, 30));
    }
    header.extend(["spend a month", "TTFT p99", "SLO met", "why not"].map(str::to_owned));
    // The best, the dearest of those that are too small, then the cheapest of the others.
    let cheaper = |row: &&Row| matches!(row.status, "infeasible" | "pruned");
    let mut losers: Vec<&Row> = rows.iter().filter(cheaper).collect();
    losers.sort_by(|a, b| b.spend_usd_month.partial_cmp(&a.spend_usd_month).unwrap_or(Ordering::Equal));
    losers.truncate(MOST_ROWS / 2);
    let best = rows.iter().filter(|row| row.status == "best");
    let others = rows.iter().filter(|row| row.status != "best" && !cheaper(row));
    let shown = best.chain(losers).chain(others).take(MOST_ROWS).map(|row| {
        let mut cells = vec![row.status.to_owned()];
        cells.extend(grid.values(row.point).iter().map(|value| shorten(value.trim_matches('"'), 24)));
        cells.push(row.spend_usd_month.map_or(NOTHING.to_owned(), money));
        cells.push(row.ttft_p99_s.map_or(NOTHING.to_owned(), seconds));
        cells.push(row.attainment.map_or(NOTHING.to_owned(), percent));
        cells.push(row.excuse.as_ref().map_or(String::new(), |excuse| {
            let of = |name: &str| {
                name.strip_prefix("streams.")?.strip_suffix(".slo.attainment").map(str::to_owned)
            };
            match (excuse.constraint.as_str(), excuse.by) {
                ("spend", Some(0.0)) => "costs the same".to_owned(),
                (name, Some(by)) if of(name).is_some() => {
                    let stream = of(name).unwrap_or_default();
                    format!("SLO of {} by {}", shorten(&stream, 16), figures::show(name, by))
                }
                ("spend" | "budget_usd_month", Some(by)) => format!("{} more", money(by)),
                ("scenario", _) => shorten(&excuse.why, 40),
                (name, Some(by)) => format!("{} by {}", shorten(name, 30), figures::show(name, by)),
                (name, None) => format!("{}: {}", shorten(name, 24), shorten(&excuse.why, 30)),
            }
        }));
        cells
    });
    figures::table(&header, shown.collect(), 1)
}

/// What the months to come are weighed with.
fn months(outcome: &Outcome) -> String {
    let mut text = String::new();
    for level in &outcome.commitment {
        let by_term: Vec<String> = level.commit_nodes_by_term.iter().map(u64::to_string).collect();
        let later =
            if by_term.len() > 1 { format!(" (by term {})", by_term.join(", ")) } else { String::new() };
        text += &format!(
            "Over {} months, pool `{}`: commit to {} of {} nodes as {}{later}:\n  {} instead of {} all on demand, {} \
             all committed\n",
            level.months,
            level.pool,
            level.commit_nodes,
            level.peak_nodes[0].max(level.peak_nodes[1]),
            level.purchase,
            money(level.spend_usd),
            money(level.all_on_demand_usd),
            money(level.all_committed_usd),
        );
    }
    for level in &outcome.spot {
        let why = match (&level.breaks, level.by) {
            (Some(name), Some(by)) => format!("; one more breaks {name} by {}", figures::show(name, by)),
            _ => String::new(),
        };
        let few = level.preemptions_expected.filter(|n| *n < FEW_PREEMPTIONS && level.spot_nodes > 0);
        let few = few.map_or(String::new(), |n| {
            format!("\n  only {} preemptions were to be expected in the window: simulate a longer one", si(n))
        });
        text += &format!(
            "Pool `{}`: {} of {} nodes may be spot, {} a month instead of {}{why}{few}\n",
            level.pool,
            level.spot_nodes,
            level.of_nodes,
            money(level.spend_usd_month),
            money(level.without_usd_month),
        );
    }
    for point in &outcome.break_even {
        text += &format!("{}\n", break_even(point));
    }
    if let Some(course) = &outcome.horizon {
        text += &course_in_words(course);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// A break-even point in a line.
pub fn break_even(point: &BreakEven) -> String {
    let (at, now) = (break_even_value(point, point.at), break_even_value(point, point.now));
    let pays = match point.pays {
        Some(true) => "pays",
        Some(false) => "does not pay",
        None => "may pay",
    };
    let text = match (point.of.as_str(), point.measure) {
        ("owned", "months until it is paid back") => match point.at {
            Some(_) => format!("is paid back after {at} months of {now}"),
            None => format!("is not paid back in its {now} months, at the prices to come"),
        },
        ("spot", _) => format!("{pays} below {at} preemptions an hour of a node; it has {now}"),
        ("own-replicas", _) => format!("{pays}: it does above {at} requests a month; there are {now}"),
        _ => format!("{pays} at today's prices: it does above {at} of the time; nodes are needed for {now}"),
    };
    format!("{} against {} (`{}`) {text}", point.of, point.against, point.subject)
}

/// A value in the measure of a break-even point.
pub fn break_even_value(point: &BreakEven, value: Option<f64>) -> String {
    match value {
        None => "no value".to_owned(),
        Some(value) if point.measure.starts_with("share") => percent(value),
        Some(value) if point.measure.starts_with("months") => format!("{value:.1}"),
        Some(value) => si(value),
    }
}

fn course_in_words(course: &Course) -> String {
    let header = ["month", "demand", "spend a month", "TTFT p99", "SLO met", "kept", "cheapest then", "API"];
    let maybe = |value: Option<f64>, show: fn(f64) -> String| value.map_or(NOTHING.to_owned(), show);
    let rows = course.windows.iter().map(|window| {
        vec![
            format!("{:.1}", window.month),
            format!("{:.2}", window.demand),
            money(window.spend_usd_month),
            maybe(window.ttft_p99_s, seconds),
            maybe(window.attainment, percent),
            if window.kept { "yes" } else { "no" }.to_owned(),
            maybe(window.cheapest.as_ref().map(|cheapest| cheapest.spend_usd_month), money),
            maybe(window.hosted_usd_month, money),
        ]
    });
    let mut text = format!(
        "\n{} months by {}:\n{}",
        course.months,
        plural(course.windows.len() as u64, "representative window"),
        figures::table(&header.map(str::to_owned), rows.collect(), 0)
    );
    text += &format!("As it is, the best costs {} over the horizon", money(course.spend_usd));
    if let Some(share) = course.attainment {
        text += &format!(" and {} of the requests meet their limits", percent(share));
    }
    text += match course.lasts_months {
        Some(months) => format!("; it keeps its promises for {months:.1} months.\n"),
        None => "; it keeps its promises to the end.\n".to_owned(),
    }
    .as_str();
    text + &full_run(course)
}

/// How far the windows are from the whole horizon.
pub fn full_run(course: &Course) -> String {
    match (&course.full_run, &course.no_full_run) {
        (Some(full), _) => {
            let met = full.attainment_error.map_or(String::new(), |error| {
                format!(", attainment by {}", figures::show_difference("slo.attainment", error))
            });
            format!(
                "Second by second ({} requests) it costs {}: the windows are off by {:+.2} % of it{met}.\n",
                count(full.requests),
                money(full.spend_usd),
                100.0 * full.spend_error
            )
        }
        (None, Some(why)) => format!("There is no full run of the horizon: {why}.\n"),
        (None, None) => {
            "horizon.full_run = true in [plan] simulates every second of it and tells the error.\n".to_owned()
        }
    }
}
