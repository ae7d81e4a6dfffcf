//! What one run says about each promise.

use serde_json::Value;

use super::metrics;
use crate::metrics::Goals;
use crate::metrics::results::{RunResults, StreamSummary};
use crate::units::Instant;
use crate::world::WorldConfig;

/// One promise, by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise {
    /// A path in `summary.json`, or `rejection`, `job_deadlines`.
    pub name: String,
    /// The limit.
    pub limit: f64,
    /// True when values must be at least the limit.
    pub at_least: bool,
    /// The best that a value can be, where there is such a thing.
    pub best: Option<f64>,
}

impl Promise {
    /// Whether a mean keeps it.
    pub fn is_kept(&self, mean: f64) -> bool {
        if self.at_least { mean >= self.limit } else { mean <= self.limit }
    }

    /// By how much a value breaks it: above zero when it does.
    pub fn broken_by(&self, value: f64) -> f64 {
        if self.at_least { self.limit - value } else { value - self.limit }
    }
}

/// A scenario without promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPromise(String);

/// The promises of a scenario in the order of its streams.
///
/// # Errors
/// When a name leads nowhere, or nothing at all is promised.
pub fn promises(config: &WorldConfig, goals: &Goals) -> Result<Vec<Promise>, NoPromise> {
    let mut all = Vec::new();
    for (name, _) in &goals.attainment_of {
        if !config.streams.iter().any(|stream| stream.traffic.name == *name) {
            let names: Vec<&str> = config.streams.iter().map(|s| s.traffic.name.as_str()).collect();
            return Err(NoPromise(format!(
                "`require` of `plan` names a stream `{name}`, but the streams are {}",
                names.join(", ")
            )));
        }
    }
    for stream in &config.streams {
        let name = &stream.traffic.name;
        let own = goals.attainment_of.iter().find(|(of, _)| of == name).map(|(_, share)| *share);
        let slo = &stream.slo;
        let limited = slo.ttft.is_some() || slo.tpot.is_some() || slo.e2e.is_some();
        match own.or(goals.attainment).or(slo.attainment) {
            Some(limit) if limited => all.push(Promise {
                name: format!("streams.{name}.slo.attainment"),
                limit,
                at_least: true,
                best: Some(1.0),
            }),
            Some(_) => {
                return Err(NoPromise(format!(
                    "stream `{name}` has no limits that requests could meet\n  give it some, as in slo = {{ ttft = \
                     \"1s\", tpot = \"60ms\", attainment = 0.99 }}"
                )));
            }
            None if limited => {
                return Err(NoPromise(format!(
                    "stream `{name}` does not say which share of requests must meet its limits\n  give `attainment` \
                     in its `slo`, or in [plan] require = {{ attainment = 0.99 }}"
                )));
            }
            None => {}
        }
    }
    if let Some(limit) = goals.rejection {
        all.push(Promise { name: "rejection".to_owned(), limit, at_least: false, best: Some(0.0) });
    }
    if goals.job_deadlines {
        all.push(Promise { name: "job_deadlines".to_owned(), limit: 1.0, at_least: true, best: Some(1.0) });
    }
    for goal in &goals.metrics {
        let one = |limit, at_least| Promise { name: goal.name.clone(), limit, at_least, best: None };
        all.extend(goal.at_most.map(|limit| one(limit, false)));
        all.extend(goal.at_least.map(|limit| one(limit, true)));
    }
    if all.is_empty() {
        return Err(NoPromise(
            "nothing has to hold, so that the cheapest fleet is none at all\n  give streams an slo = { ttft = \"1s\", \
             attainment = 0.99 }, or [plan] require = { job_deadlines = true }"
                .to_owned(),
        ));
    }
    Ok(all)
}

/// The value of each promise in one run. A metric that the run does not have breaks its limit: it is worse than
/// any value.
pub fn values(config: &WorldConfig, promises: &[Promise], results: &RunResults) -> Vec<f64> {
    let needs_tree = |promise: &Promise| promise.best.is_none();
    let names: Vec<String> =
        promises.iter().filter(|promise| needs_tree(promise)).map(|promise| promise.name.clone()).collect();
    let read = if names.is_empty() { Vec::new() } else { metrics::read(&results.summary, &names) };
    let mut read = read.into_iter();
    promises
        .iter()
        .map(|promise| match promise.name.as_str() {
            "rejection" => {
                let counts = &results.summary.requests;
                if counts.arrived == 0 { 0.0 } else { counts.rejected as f64 / counts.arrived as f64 }
            }
            "job_deadlines" => deadlines_kept(config, results),
            _ if promise.best.is_none() => {
                let worst = if promise.at_least { f64::NEG_INFINITY } else { f64::INFINITY };
                read.next().flatten().unwrap_or(worst)
            }
            name => {
                let of = |stream: &&StreamSummary| name == format!("streams.{}.slo.attainment", stream.name);
                results.summary.streams.iter().find(of).map_or(0.0, kept)
            }
        })
        .collect()
}

/// The share of a stream's requests that met their limits. Without any that was judged: all of none, or none of
/// some.
fn kept(stream: &StreamSummary) -> f64 {
    let nothing = if stream.requests.arrived == 0 { 1.0 } else { 0.0 };
    stream.slo.attainment.unwrap_or(nothing)
}

/// The share of jobs with a deadline in the window that ended by then.
fn deadlines_kept(config: &WorldConfig, results: &RunResults) -> f64 {
    let end = Instant::ZERO + config.duration;
    let due: Vec<(&str, Instant)> = config
        .jobs
        .iter()
        .filter_map(|job| job.terms.deadline.map(|deadline| (job.name.as_str(), deadline)))
        .filter(|(_, deadline)| *deadline <= end)
        .collect();
    let in_time = |(name, deadline): &&(&str, Instant)| {
        let row = results.jobs.iter().find(|row| row.id == *name);
        row.and_then(|row| row.end).is_some_and(|end| end <= *deadline)
    };
    if due.is_empty() { 1.0 } else { due.iter().filter(in_time).count() as f64 / due.len() as f64 }
}

/// A value of the scenario's text as JSON: numbers and truth values as such, everything else as text.
pub fn as_json(text: &str) -> Value {
    let parsed: Option<toml::Value> =
        toml::from_str::<toml::Table>(&format!("value = {text}")).ok().and_then(|mut t| t.remove("value"));
    parsed.and_then(|value| serde_json::to_value(value).ok()).unwrap_or_else(|| Value::from(text))
}
