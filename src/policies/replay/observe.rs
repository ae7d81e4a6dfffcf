//! A JSON line as the observation of a replica autoscaler.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{EPOCH, instant};
use crate::policies::autoscale::observation::{Container, Phase};
use crate::policies::autoscale::{History, Measure, Observation, Pod, PodMetric};
use crate::policies::spec::quantity;
use crate::units::{Duration, Instant};

/// The window of a pod's metric where none is given: what the Kubernetes client assumes, one minute.
const WINDOW: Duration = Duration::from_secs(60);

type Fields = Map<String, Value>;

/// Reads a line; `before` is what the law wanted last, taken when the line has no `replicas`.
pub(super) fn observation(
    now: Instant,
    mut fields: Fields,
    before: Option<u32>,
) -> Result<Observation, String> {
    let mut observation = Observation { epoch: EPOCH, ..Observation::default() };
    fields.remove("t_s");
    let pods = match fields.remove("pods") {
        None | Some(Value::Null) => None,
        Some(Value::Array(pods)) => {
            let pods = pods
                .into_iter()
                .enumerate()
                .map(|(i, pod)| pod_of(now, pod, i).map_err(|error| format!("pods[{i}]: {error}")));
            Some(pods.collect::<Result<Vec<_>, _>>()?)
        }
        Some(_) => return Err("pods has to be a list".to_owned()),
    };
    let count = |fields: &mut Fields, name: &str| -> Result<Option<u32>, String> {
        let Some(value) = fields.remove(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let whole = value.as_u64().and_then(|n| u32::try_from(n).ok());
        whole.map(Some).ok_or_else(|| format!("{name} has to be a whole number, not {value}"))
    };
    let living = pods.as_ref().map(|pods| pods.iter().filter(|pod| !pod.deleting).count() as u32);
    observation.status_replicas = count(&mut fields, "status_replicas")?;
    observation.ready = count(&mut fields, "ready")?;
    observation.replicas = count(&mut fields, "replicas")?
        .or(before)
        .or(living)
        .or(observation.ready)
        .ok_or("replicas is missing, and nothing before says how many there are")?;
    observation.pods = pods;
    for (name, value) in object(fields.remove("metrics"), "metrics")? {
        let measure = measure(&value).ok_or_else(|| format!("metrics.{name}: no value in {value}"))?;
        observation.metrics.insert(name, measure);
    }
    observation.missing = names(fields.remove("missing"))?;
    if let Some(history) = fields.get("history").filter(|history| !history.is_null()) {
        observation.history = read_history(history).map_err(|error| format!("history: {error}"))?;
    }
    observation.extra = fields;
    Ok(observation)
}

fn object(value: Option<Value>, name: &str) -> Result<Fields, String> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(other) => Err(format!("{name} has to be an object, not {other}")),
    }
}

fn names(value: Option<Value>) -> Result<BTreeSet<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(BTreeSet::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(name) => Ok(name.clone()),
                Value::Object(fields) => fields
                    .get("name")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
                    .ok_or_else(|| "missing: an item has no name".to_owned()),
                other => Err(format!("missing: a name is needed, not {other}")),
            })
            .collect(),
        Some(other) => Err(format!("missing has to be a list of names, not {other}")),
    }
}

/// A number, or a quantity in quotes.
fn amount(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => quantity(text),
        _ => None,
    }
}

fn measure(value: &Value) -> Option<Measure> {
    let mut measure = Measure::default();
    match value {
        Value::Null => {}
        Value::Array(items) => {
            measure.values = items
                .iter()
                .map(|item| amount(item).or_else(|| item.get("value").and_then(amount)))
                .collect::<Option<_>>()?;
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("value", value) => measure.values.push(amount(value)?),
                    ("values", Value::Array(items)) => {
                        measure.values = items.iter().map(amount).collect::<Option<_>>()?;
                    }
                    ("active", Value::Bool(active)) => measure.active = Some(*active),
                    (name, value) => {
                        if let Some(part) = amount(value) {
                            measure.parts.insert(name.to_owned(), part);
                        }
                    }
                }
            }
        }
        value => measure.values.push(amount(value)?),
    }
    Some(measure)
}

fn time(fields: &Fields, name: &str) -> Result<Option<Instant>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().ok_or_else(|| format!("{name} has to be a number, not {value}"))?;
            instant(seconds).map(Some)
        }
    }
}

fn amounts(fields: &Fields, name: &str) -> Result<BTreeMap<String, f64>, String> {
    object(fields.get(name).cloned(), name)?
        .into_iter()
        .map(|(key, value)| {
            let read = amount(&value).ok_or_else(|| format!("{name}.{key}: {value} is no quantity"))?;
            Ok((key, read))
        })
        .collect()
}

fn pod_metrics(now: Instant, fields: &Fields) -> Result<BTreeMap<String, PodMetric>, String> {
    let mut metrics = BTreeMap::new();
    for (name, value) in object(fields.get("metrics").cloned(), "metrics")? {
        let metric = match &value {
            Value::Null => continue,
            Value::Object(parts) => {
                let Some(measured) = parts.get("value").filter(|value| !value.is_null()) else { continue };
                let measured = amount(measured).ok_or_else(|| format!("metrics.{name}: no value"))?;
                let window = parts.get("window_s").and_then(Value::as_f64).map(Duration::from_secs_f64);
                let at = time(parts, "at_s")?.unwrap_or(now);
                PodMetric { value: measured, at, window: window.unwrap_or(WINDOW) }
            }
            value => {
                let measured =
                    amount(value).ok_or_else(|| format!("metrics.{name}: {value} is no number"))?;
                PodMetric { value: measured, at: now, window: WINDOW }
            }
        };
        metrics.insert(name, metric);
    }
    Ok(metrics)
}

fn pod_of(now: Instant, value: Value, i: usize) -> Result<Pod, String> {
    let Value::Object(fields) = value else { return Err("a pod has to be an object".to_owned()) };
    let truth = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(other) => Err(format!("{name} has to be true or false, not {other}")),
    };
    let phase = match fields.get("phase") {
        None | Some(Value::Null) => Phase::Running,
        Some(value) => {
            let word = value.as_str().unwrap_or_default();
            let found = Phase::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
            found.map(|(_, phase)| *phase).ok_or_else(|| {
                format!("phase {value} is none of Pending, Running, Succeeded, Failed, Unknown")
            })?
        }
    };
    // What is left out is as in a pod that has run and been ready for long; null says that it is not so.
    let null = |name: &str| fields.get(name) == Some(&Value::Null);
    let ready = if null("ready") { None } else { truth("ready")?.or(Some(phase == Phase::Running)) };
    let start = if null("start_s") { None } else { time(&fields, "start_s")?.or(Some(Instant::ZERO)) };
    let changed = time(&fields, "ready_since_s")?.or(time(&fields, "ready_changed_s")?);
    let mut containers = BTreeMap::new();
    let listed = match fields.get("containers") {
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                (item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(), item.clone())
            })
            .collect(),
        other => object(other.cloned(), "containers")?.into_iter().collect::<Vec<_>>(),
    };
    for (name, container) in listed {
        let fields = object(Some(container), "container")?;
        let made = Container { requests: amounts(&fields, "requests")?, metrics: pod_metrics(now, &fields)? };
        containers.insert(name, made);
    }
    let word = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let spot = truth("spot")?.map(|spot| if spot { "spot" } else { "on-demand" }.to_owned());
    Ok(Pod {
        kind: word("variant").or_else(|| word("capacity_type")).or(spot),
        name: fields.get("name").and_then(Value::as_str).map_or_else(|| format!("pod-{i}"), str::to_owned),
        phase,
        ready,
        start,
        ready_changed: changed.or(start),
        deleting: truth("deleting")?.unwrap_or(false),
        requests: amounts(&fields, "requests")?,
        metrics: pod_metrics(now, &fields)?,
        containers,
    })
}

fn read_history(value: &Value) -> Result<History, String> {
    let items = |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let at = |item: &Value| -> Result<Instant, String> {
        instant(item.get("t_s").and_then(Value::as_f64).ok_or("an item has no t_s")?)
    };
    let known = value.get("recommendations").is_some_and(Value::is_array);
    let mut history = History { known, ..History::default() };
    for item in items("recommendations") {
        let replicas =
            item.get("replicas").and_then(Value::as_u64).ok_or("a recommendation has no replicas")?;
        history.recommendations.push((at(&item)?, replicas as u32));
    }
    for item in items("events") {
        let change = item.get("change").and_then(Value::as_i64).ok_or("an event has no change")?;
        history.events.push((at(&item)?, change));
    }
    Ok(history)
}
