//! The metrics that replications, comparisons and sweeps tell about: paths into `summary.json`, named in one
//! place.

use serde_json::Value;

use crate::billing::Cause;
use crate::metrics::results::Summary;
use crate::world::WorldConfig;

/// The metrics told where nobody asks for others.
pub const MAIN: [&str; 27] = [
    "spend.total_usd",
    "spend.usd_per_1m_output_tokens",
    "slo.attainment",
    "slo.goodput_rps",
    "latency.ttft_s.mean",
    "latency.ttft_s.p50",
    "latency.ttft_s.p99",
    "latency.tpot_s.p50",
    "latency.tpot_s.p99",
    "latency.e2e_s.p50",
    "latency.e2e_s.p99",
    "latency.queue_wait_s.mean",
    "latency.queue_wait_s.p99",
    "requests.arrived",
    "requests.completed",
    "requests.rejected",
    "requests.timed_out",
    "requests.in_flight",
    "tokens.output",
    "utilization.allocated",
    "utilization.busy",
    "utilization.mfu",
    "jobs.completed",
    "jobs.wait_s.mean",
    "jobs.jct_s.mean",
    "jobs.makespan_s",
    "stability.stable",
];

const QUANTILES: [&str; 6] = ["mean", "p50", "p90", "p95", "p99", "max"];
const LATENCIES: [&str; 4] = ["ttft_s", "tpot_s", "e2e_s", "queue_wait_s"];
const REQUESTS: [&str; 6] = ["arrived", "completed", "rejected", "timed_out", "failed", "in_flight"];
const SLO: [&str; 3] = ["attainment", "met", "goodput_rps"];
const UTILIZATION: [&str; 3] = ["allocated", "busy", "mfu"];
const JOBS: [&str; 5] = ["submitted", "completed", "failed", "running", "queued"];
const DEPLOYMENT: [&str; 5] = ["replicas", "iterations", "batch_changes", "preemptions", "mean_batch"];

/// What a metric counts, for showing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// US dollars.
    Usd,
    /// Seconds.
    Seconds,
    /// A share of 1.
    Share,
    /// Whatever is counted.
    Number,
}

/// A metric that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric `{name}`{}", hint(near))]
pub struct UnknownMetric {
    /// As it was asked for.
    pub name: String,
    /// The nearest that there are.
    pub near: Vec<String>,
}

fn hint(near: &[String]) -> String {
    match near {
        [] => "; metrics are paths into summary.json, such as latency.ttft_s.p99".to_owned(),
        near => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// Every metric of a scenario.
pub fn offered(config: &WorldConfig) -> Vec<String> {
    let mut all = Vec::new();
    requests(&mut all, "");
    slo(&mut all, "");
    all.extend(["jobs.makespan_s".to_owned(), "stability.growth_per_hour".to_owned()]);
    all.extend(JOBS.map(|name| format!("jobs.{name}")));
    for name in ["wait_s", "jct_s"] {
        all.extend(QUANTILES.map(|quantile| format!("jobs.{name}.{quantile}")));
    }
    pool(&mut all, "");
    for stream in &config.streams {
        let prefix = format!("streams.{}.", stream.traffic.name);
        requests(&mut all, &prefix);
        slo(&mut all, &prefix);
    }
    for deployment in &config.deployments {
        let prefix = format!("deployments.{}.", deployment.name);
        requests(&mut all, &prefix);
        all.extend(DEPLOYMENT.map(|name| format!("{prefix}{name}")));
    }
    for plan in &config.pools {
        let prefix = format!("pools.{}.", plan.fleet.name);
        pool(&mut all, &prefix);
        all.extend(["nodes", "cards", "card_hours"].map(|name| format!("{prefix}{name}")));
    }
    all
}

fn requests(all: &mut Vec<String>, prefix: &str) {
    all.extend(REQUESTS.map(|name| format!("{prefix}requests.{name}")));
    for latency in LATENCIES {
        all.extend(QUANTILES.map(|quantile| format!("{prefix}latency.{latency}.{quantile}")));
    }
    all.extend(["prompt", "output"].map(|name| format!("{prefix}tokens.{name}")));
}

fn slo(all: &mut Vec<String>, prefix: &str) {
    all.extend(SLO.map(|name| format!("{prefix}slo.{name}")));
    all.push(format!("{prefix}stability.stable"));
}

fn pool(all: &mut Vec<String>, prefix: &str) {
    all.extend(UTILIZATION.map(|name| format!("{prefix}utilization.{name}")));
    all.extend(["total_usd", "usd_per_1m_output_tokens"].map(|name| format!("{prefix}spend.{name}")));
    all.extend(Cause::ALL.map(|cause| format!("{prefix}spend.by_cause.{}", cause.name())));
    all.extend(["kwh", "kg_co2e"].map(|name| format!("{prefix}energy.{name}")));
}

/// The metrics asked for; [`MAIN`] where none are.
///
/// # Errors
/// At the first that none of the scenarios has.
pub fn wanted(asked: &[String], configs: &[&WorldConfig]) -> Result<Vec<String>, UnknownMetric> {
    if asked.is_empty() {
        return Ok(MAIN.map(str::to_owned).to_vec());
    }
    let known: Vec<String> = configs.iter().flat_map(|config| offered(config)).collect();
    let mut names: Vec<String> = Vec::new();
    for name in asked.iter().map(|name| name.trim()) {
        if !known.iter().any(|known| known == name) {
            return Err(UnknownMetric { name: name.to_owned(), near: nearest(name, &known) });
        }
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The names nearest to `name`, at most three: those that contain it, else those spelt most alike.
fn nearest(name: &str, known: &[String]) -> Vec<String> {
    let mut near: Vec<(usize, &String)> = known
        .iter()
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| distance * 3 <= other.len() || (name.len() > 2 && other.contains(name)))
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name.clone()).collect()
}

/// The values of the metrics `names`; `None` where a summary has none.
pub fn read(summary: &Summary, names: &[String]) -> Vec<Option<f64>> {
    // Through JSON, so that the names are those of the file and a new field needs no line here. Numbers pass
    // unchanged.
    let tree = serde_json::to_value(summary).unwrap_or(Value::Null);
    names.iter().map(|name| value_at(&tree, name)).collect()
}

fn value_at(tree: &Value, path: &str) -> Option<f64> {
    let mut node = tree;
    let mut rest = path;
    loop {
        node = match node {
            Value::Number(number) if rest.is_empty() => return number.as_f64(),
            Value::Bool(truth) if rest.is_empty() => return Some(f64::from(u8::from(*truth))),
            Value::Object(entries) => {
                let (key, after) = rest.split_once('.').unwrap_or((rest, ""));
                rest = after;
                if key == "by_cause" && !after.is_empty() {
                    // A cause on which nothing was spent is left out of the file.
                    return Some(entries.get(key)?.get(after).and_then(Value::as_f64).unwrap_or(0.0));
                }
                entries.get(key)?
            }
            Value::Array(items) => {
                // Names may hold dots: the longest that fits.
                let name = |item: &'_ Value| item.get("name").and_then(Value::as_str).map(str::len);
                let fits = |item: &&Value| {
                    let name = item.get("name").and_then(Value::as_str);
                    name.and_then(|name| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('.'))
                };
                let item = items.iter().filter(fits).max_by_key(|item| name(item))?;
                rest = rest.get(name(item)? + 1..)?;
                item
            }
            _ => return None,
        };
    }
}

/// What a metric counts.
pub fn unit(name: &str) -> Unit {
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.ends_with("_usd") || last.starts_with("usd_") || name.contains(".by_cause.") {
        Unit::Usd
    } else if name.contains("utilization.") || last == "attainment" || last == "stable" {
        Unit::Share
    } else if name.contains("_s.") || last.ends_with("_s") {
        Unit::Seconds
    } else {
        Unit::Number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_values() {
        let tree = json!({
            "spend": {"total_usd": 1.5, "by_cause": {"busy": 1.0}},
            "latency": {"ttft_s": {"p99": null}},
            "stability": {"stable": true},
            "streams": [{"name": "a", "x": 1}, {"name": "a.b", "x": 2}],
        });
        let at = |path| value_at(&tree, path);
        assert_eq!(at("spend.total_usd"), Some(1.5));
        assert_eq!(at("spend.by_cause.busy"), Some(1.0));
        assert_eq!(at("spend.by_cause.idle"), Some(0.0));
        assert_eq!(at("latency.ttft_s.p99"), None);
        assert_eq!(at("stability.stable"), Some(1.0));
        assert_eq!((at("streams.a.x"), at("streams.a.b.x")), (Some(1.0), Some(2.0)));
        assert_eq!((at("streams.c.x"), at("nothing"), at("spend"), at("")), (None, None, None, None));
    }

    #[test]
    fn units_by_name() {
        assert_eq!(unit("spend.total_usd"), Unit::Usd);
        assert_eq!(unit("spend.usd_per_1m_output_tokens"), Unit::Usd);
        assert_eq!(unit("streams.chat.latency.ttft_s.p99"), Unit::Seconds);
        assert_eq!(unit("jobs.makespan_s"), Unit::Seconds);
        assert_eq!(unit("slo.attainment"), Unit::Share);
        assert_eq!(unit("slo.goodput_rps"), Unit::Number);
        assert_eq!(unit("requests.arrived"), Unit::Number);
    }
}
