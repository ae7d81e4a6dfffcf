//! Training and batch jobs: when each ran, how long classes of them waited, and why.

use std::collections::BTreeMap;

use super::plot;
use super::sheet::{Cell, PageError, Section, Table, figures, heading, paragraph};
use crate::metrics::Sketch;
use crate::metrics::results::{JobRow, RunResults};
use crate::report::format::{NOTHING, count, hours, money, percent, plural, seconds, shorten, span};

/// Longer tables of jobs are left to `jobs.csv`.
const MOST_JOBS: usize = 60;

pub(super) fn section(results: &RunResults) -> Result<Section, PageError> {
    let section = |html| Ok(Section { id: "jobs", title: "Jobs", html });
    let jobs = &results.jobs;
    if jobs.is_empty() {
        return section(paragraph("The scenario has no jobs."));
    }
    let summary = &results.summary.jobs;
    let mut html = paragraph(&format!(
        "{} submitted: {} completed, {} failed, {} running and {} waiting at the end. {}{}",
        plural(summary.submitted, "job"),
        count(summary.completed),
        count(summary.failed),
        count(summary.running),
        count(summary.queued),
        summary
            .goodput
            .map_or(String::new(), |share| format!("Goodput: {} of the card-time held. ", percent(share))),
        match summary.lost_card_hours > 0.0 {
            true => format!("{} card-hours of work were lost.", hours(summary.lost_card_hours)),
            false => String::new(),
        },
    ));
    html += &figures(&[(plot(results, "jobs")?, false)]);
    html += &format!(
        "<div class=\"tables\"><div>{}</div><div>{}</div></div>\n",
        waits_by_class(results),
        reasons(results)
    );
    html += &classes(results);
    html += &heading("Each job");
    let mut table = Table::new(
        "Jobs",
        &[
            "job",
            "state",
            "#cards",
            "pool",
            "#submitted at",
            "#wait",
            "#submit to finish",
            "#preemptions",
            "why it waited",
        ],
    );
    table.most = MOST_JOBS;
    jobs.iter().for_each(|job| table.row(row(job)));
    html += &table.html("");
    section(html)
}

/// From submit to start, or to the end of the run.
fn wait(job: &JobRow, results: &RunResults) -> crate::units::Duration {
    job.start.unwrap_or(results.timeseries.end).max(job.submit).since(job.submit)
}

/// `1 card`, `2–8 cards`, ...: sizes by powers of eight, as clusters are spoken of.
fn size_class(cards: u32) -> (u32, &'static str) {
    match cards {
        0..=1 => (0, "1 card"),
        2..=7 => (1, "2 to 7 cards"),
        8 => (2, "8 cards"),
        9..=63 => (3, "9 to 63 cards"),
        64..=511 => (4, "64 to 511 cards"),
        _ => (5, "512 cards and more"),
    }
}

fn waits_by_class(results: &RunResults) -> String {
    let mut classes: BTreeMap<(u8, u32, &str), (u64, u64, Sketch)> = BTreeMap::new();
    let mut add = |class, job: &JobRow| {
        let entry = classes.entry(class).or_insert_with(|| (0, 0, Sketch::new()));
        entry.0 += 1;
        entry.1 += u64::from(job.start.is_none());
        entry.2.record(wait(job, results));
    };
    for job in &results.jobs {
        let (order, name) = size_class(job.accelerators);
        add((0, order, name), job);
        if !job.queue.is_empty() {
            add((1, 0, job.queue.as_str()), job);
        }
        if !job.user.is_empty() {
            add((2, 0, job.user.as_str()), job);
        }
    }
    let mut table =
        Table::new("Wait by class", &["class", "#jobs", "#never started", "#wait, mean", "#p50", "#p99"]);
    table.most = 40;
    for ((kind, _, name), (jobs, waiting, waits)) in &classes {
        let kind = ["", "queue ", "user "][usize::from(*kind)];
        let waits = waits.quantiles();
        table.row(vec![
            Cell::text(format!("{kind}{}", shorten(name, 40))),
            Cell::number(*jobs as f64, count(*jobs)),
            Cell::number(*waiting as f64, count(*waiting)),
            Cell::maybe(waits.mean, seconds),
            Cell::maybe(waits.p50, seconds),
            Cell::maybe(waits.p99, seconds),
        ]);
    }
    heading("Wait by class") + &table.html("") + &paragraph("Jobs that never started wait until the end.")
}

fn reasons(results: &RunResults) -> String {
    let mut sums: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    let mut all = 0.0;
    for (number, job) in results.jobs.iter().enumerate() {
        all += wait(job, results).as_secs_f64();
        for (cause, time) in results.job_waits.of(number) {
            let sum = sums.entry(cause).or_default();
            sum.0 += 1;
            sum.1 += time.as_secs_f64();
        }
    }
    let mut sums: Vec<(&str, (u64, f64))> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.1.total_cmp(&a.1.1).then(a.0.cmp(b.0)));
    let mut table =
        Table::new("Why jobs waited", &["for what", "#jobs", "#waited in all", "#of all waiting"]);
    for (why, (jobs, waited)) in sums {
        table.row(vec![
            Cell::text(why),
            Cell::number(jobs as f64, count(jobs)),
            Cell::number(waited, seconds(waited)),
            Cell::number(waited / all, percent(waited / all)),
        ]);
    }
    let split = "The wait of each job is split over what it waited for at each time; the parts add up to it.";
    heading("What they waited for") + &table.html("No job waited.") + &paragraph(split)
}

/// Classes of users, where the scenario counts people.
fn classes(results: &RunResults) -> String {
    let classes = &results.summary.jobs.classes;
    if classes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(
        "Classes of users",
        &["class", "#users", "#jobs", "#wait, mean", "#p50", "#p99", "#card-hours", "#one more user costs"],
    );
    for class in classes {
        table.row(vec![
            Cell::text(shorten(&class.name, 40)),
            Cell::number(class.users as f64, count(class.users)),
            Cell::number(class.submitted as f64, count(class.submitted)),
            Cell::maybe(class.wait_s.mean, seconds),
            Cell::maybe(class.wait_s.p50, seconds),
            Cell::maybe(class.wait_s.p99, seconds),
            Cell::number(class.card_hours, hours(class.card_hours)),
            Cell::number(class.usd_per_user, money(class.usd_per_user)),
        ]);
    }
    let how = format!(
        "One more user costs the card-hours that one of the class held within {}, at what each pool costs for a \
         card-hour leased: the fleet then grows so that as large a share of it is leased as now. What one more does to \
         waits without more cards, `fleetsim compare` tells on the same draws, with one more in `headcount`.",
        span(results.summary.scenario.duration_s)
    );
    heading("Classes of users") + &table.html("") + &paragraph(&how)
}

fn row(job: &JobRow) -> Vec<Cell> {
    let from_submit = |end: Option<crate::units::Instant>| {
        Cell::maybe(end.map(|end| end.max(job.submit).since(job.submit).as_secs_f64()), seconds)
    };
    let submit = job.submit.as_secs_f64();
    vec![
        Cell::text(&job.id),
        Cell::text(job.state),
        Cell::number(f64::from(job.accelerators), count(u64::from(job.accelerators))),
        Cell::text(job.pool.clone().unwrap_or_else(|| NOTHING.to_string())),
        Cell::number(submit, span(submit)),
        from_submit(job.start),
        from_submit(job.end),
        Cell::number(f64::from(job.preemptions), count(u64::from(job.preemptions))),
        Cell::text(&job.wait_reason).class("long"),
    ]
}
