//! `autoscaler` of a deployment.

use super::lifecycle::{COUNT_OR_NONE, Replicas};
use crate::policies::autoscale::cron::Cron;
use crate::policies::autoscale::scheduled::{Scheduled, Window};
use crate::policies::replay::Law;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::traffic::Start;
use crate::units::Duration;

/// An autoscaler, as far as it needs nothing else of the scenario.
#[derive(Debug, Clone)]
pub struct RawAutoscaler {
    /// Its name in the table of decisions.
    pub name: String,
    pub law: Law,
    /// How often it decides.
    pub interval: Duration,
}

/// The policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Scheduled,
}

/// Reads `autoscaler`.
pub fn read(t: &mut TableReader<'_>, replicas: Replicas, start: Start) -> Option<RawAutoscaler> {
    t.table("autoscaler", "What chooses the number of replicas.", |t| {
        t.tagged("policy", &[("scheduled", Policy::Scheduled)], "Its law.", |t, policy| match policy {
            Policy::Scheduled => scheduled(t, replicas, start),
        })
    })
}

fn scheduled(t: &mut TableReader<'_>, replicas: Replicas, start: Start) -> Option<RawAutoscaler> {
    let doc = "Windows of the clock; of several that are open the largest holds, otherwise the least of `replicas`.";
    let windows = t.tables("schedule", "window", doc, |t| {
        let opens = cron(t, "start", "When it opens, as cron writes it: minute, hour, *, *, day of week.");
        let closes = cron(t, "end", "When it closes.");
        let replicas = t.required("replicas", &COUNT_OR_NONE, "Replicas while it is open.");
        let clock = Duration::from_nanos(start.since_monday());
        Some(Window { start: opens?, end: closes?, replicas: *replicas?, clock })
    });
    let interval =
        t.or("interval", &kinds::POSITIVE_TIME, "\"30s\"", "How often it looks at the clock (KEDA: 30 s).");
    if windows.is_empty() && !t.is_describing() {
        let problem = Problem::error(t.place, format!("{} has no window", t.noun()));
        let help =
            "add one, as in schedule = [{ start = \"0 8 * * *\", end = \"0 20 * * *\", replicas = 8 }]";
        t.problem(problem.help(help));
    }
    let least = replicas.range.map_or(replicas.initial, |(min, _)| min);
    let law = Law::Scheduled(Box::new(Scheduled { least, windows, steps: None }));
    Some(RawAutoscaler { name: "scheduled".to_owned(), law, interval: *interval? })
}

fn cron(t: &mut TableReader<'_>, key: &'static str, doc: &'static str) -> Option<Cron> {
    let text = t.required(key, &kinds::TEXT, doc)?;
    match Cron::parse(&text) {
        Ok(cron) => Some(cron),
        Err(why) => {
            let message = format!("`{key}` of {}: {why}", t.noun());
            let help = "as in \"0 8 * * 1-5\": at 8:00 from Monday to Friday";
            t.problem(Problem::error(text.place, message).help(help));
            None
        }
    }
}
