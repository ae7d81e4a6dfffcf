//! What one metric asks for (`replica_calculator.go`). Values are integers of a thousandth, as there.

use std::collections::BTreeMap;

use super::super::observation::Phase;
use super::super::{CannotScale, Measure, Observation, Pod, PodMetric, ceil_replicas};
use super::{HpaConfig, Metric, Source, Target};
use crate::units::Instant;

/// Replicas that a metric asks for, and its name as events show it.
pub(super) fn replicas(
    config: &HpaConfig,
    metric: &Metric,
    now: Instant,
    observation: &Observation,
) -> Result<(u32, String), CannotScale> {
    let name = metric.source.name();
    let (replicas, kind) = match &metric.source {
        Source::Resource(_) => {
            (on_pods(config, metric, now, observation).map_err(|e| wrap("resource", name, &e))?, "resource")
        }
        Source::Container { container, .. } => {
            let replicas =
                on_pods(config, metric, now, observation).map_err(|e| wrap("container", container, &e))?;
            (replicas, "container resource")
        }
        Source::Pods(_) => {
            let replicas = on_pods(config, metric, now, observation).map_err(|e| {
                CannotScale(format!("failed to get pods metric value: unable to get metric {name}: {e}"))
            })?;
            (replicas, "pods metric")
        }
        Source::Object(_) => (on_whole(config, metric, observation, "object")?, "object metric"),
        Source::External(_) => (on_whole(config, metric, observation, "external")?, "external metric"),
    };
    Ok((replicas, format!("{kind} {name}")))
}

fn wrap(kind: &str, name: &str, error: &CannotScale) -> CannotScale {
    CannotScale(format!("failed to get {name} {kind} metric value: {error}"))
}

/// A value in thousandths; what is finer is rounded up, as a quantity's `MilliValue` does.
fn milli(value: f64) -> i64 {
    let scaled = value * 1000.0;
    let nearest = scaled.round();
    (if (scaled - nearest).abs() < 1e-6 { nearest } else { scaled.ceil() }) as i64
}

/// Inside [1 − down, 1 + up]: no change.
fn tolerated(config: &HpaConfig, ratio: f64) -> bool {
    let own = |rules: Option<&super::Rules>| {
        rules.and_then(|rules| rules.tolerance).unwrap_or(config.flags.tolerance)
    };
    let behavior = config.behavior.as_ref();
    let (up, down) = (own(behavior.map(|b| &b.up)), own(behavior.map(|b| &b.down)));
    1.0 - down <= ratio && ratio <= 1.0 + up
}

/// Object and external metrics.
fn on_whole(
    config: &HpaConfig,
    metric: &Metric,
    observation: &Observation,
    kind: &str,
) -> Result<u32, CannotScale> {
    let name = metric.source.name();
    let total = observation.metric(name).and_then(Measure::total).ok_or_else(|| {
        CannotScale(format!("failed to get {name} {kind} metric value: unable to get {kind} metric {name}"))
    })?;
    let usage = milli(total) as f64;
    match metric.target {
        Target::Value(target) => {
            let ratio = usage / target as f64;
            if observation.replicas == 0 {
                return Ok(ceil_replicas(ratio));
            }
            if tolerated(config, ratio) {
                return Ok(observation.replicas);
            }
            if observation.pods.as_ref().is_some_and(Vec::is_empty) {
                return Err(CannotScale::new(
                    "unable to calculate ready pods: no pods returned by selector while calculating \
                     replica count",
                ));
            }
            Ok(ceil_replicas(ratio * f64::from(observation.ready_replicas())))
        }
        Target::AverageValue(target) => {
            let replicas = observation.status_replicas.unwrap_or(observation.replicas);
            let ratio = usage / (target as f64 * f64::from(replicas));
            Ok(if tolerated(config, ratio) { replicas } else { ceil_replicas(usage / target as f64) })
        }
        Target::Utilization(_) => Err(CannotScale(format!(
            "invalid {kind} metric source: neither a value target nor an average value target was set"
        ))),
    }
}

/// What a pod's metric is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    Ready,
    Unready,
    Missing,
    Ignored,
}

/// What a source measures on a pod.
fn measured<'a>(source: &Source, pod: &'a Pod) -> Option<&'a PodMetric> {
    match source {
        Source::Container { resource, container } => match pod.containers.get(container) {
            Some(container) => container.metrics.get(resource),
            None => pod.metrics.get(&format!("{container}/{resource}")),
        },
        source => pod.metrics.get(source.name()),
    }
}

/// What a source's resource is requested at, in thousandths.
fn requested(source: &Source, pod: &Pod) -> Result<i64, CannotScale> {
    let missing = |container: &str| {
        let resource = source.name();
        CannotScale(format!("missing request for {resource} in container {container} of Pod {}", pod.name))
    };
    match source {
        Source::Container { resource, container } => match pod.containers.get(container) {
            Some(found) => found.requests.get(resource),
            None => pod.requests.get(&format!("{container}/{resource}")),
        }
        .map(|value| milli(*value))
        .ok_or_else(|| missing(container)),
        _ if !pod.containers.is_empty() => {
            let each = pod.containers.iter().map(|(name, container)| {
                container.requests.get(source.name()).map(|v| milli(*v)).ok_or_else(|| missing(name))
            });
            each.sum()
        }
        _ => pod.requests.get(source.name()).map(|value| milli(*value)).ok_or_else(|| missing(&pod.name)),
    }
}

fn group(
    config: &HpaConfig,
    source: &Source,
    now: Instant,
    pods: &[Pod],
    missing: &dyn Fn(&str) -> bool,
) -> Vec<Worth> {
    let cpu =
        matches!(source, Source::Resource(name) | Source::Container { resource: name, .. } if name == "cpu");
    let worth = |pod: &Pod| {
        if pod.deleting || pod.phase == Phase::Failed {
            Worth::Ignored
        } else if pod.phase == Phase::Pending {
            Worth::Unready
        } else {
            match measured(source, pod).filter(|_| !missing(&pod.name)) {
                None => Worth::Missing,
                Some(metric) if cpu && unready(config, now, pod, metric) => Worth::Unready,
                Some(_) => Worth::Ready,
            }
        }
    };
    pods.iter().map(worth).collect()
}

/// Whether a pod's cpu cannot be trusted yet.
fn unready(config: &HpaConfig, now: Instant, pod: &Pod, metric: &PodMetric) -> bool {
    let (Some(ready), Some(start)) = (pod.ready, pod.start) else { return true };
    let changed = pod.ready_changed.unwrap_or(start);
    if start + config.flags.cpu_initialization > now {
        // Young: its sample counts when it is ready and was so during the sample's whole window.
        !ready || metric.at < changed + metric.window
    } else {
        // Old: it counts unless it never was ready.
        !ready && start + config.flags.initial_readiness > changed
    }
}

/// Usage over target, and for utilization targets only known requests count.
fn ratio(
    metrics: &BTreeMap<usize, i64>,
    requests: &BTreeMap<usize, i64>,
    target: Target,
) -> Result<f64, CannotScale> {
    let used: i64 = metrics.values().sum();
    match target {
        Target::Utilization(target) => {
            let requested: i64 = metrics.keys().filter_map(|pod| requests.get(pod)).sum();
            if requested == 0 {
                return Err(CannotScale::new("no metrics returned matched known pods"));
            }
            // An integer percent, truncated, before it meets the target.
            Ok((used * 100 / requested) as f64 / f64::from(target))
        }
        Target::AverageValue(target) | Target::Value(target) => {
            Ok((used / metrics.len().max(1) as i64) as f64 / target as f64)
        }
    }
}

/// Resource, container and pods metrics.
fn on_pods(
    config: &HpaConfig,
    metric: &Metric,
    now: Instant,
    observation: &Observation,
) -> Result<u32, CannotScale> {
    let source = &metric.source;
    let name = source.name();
    let Some(pods) = &observation.pods else { return on_average(config, metric, observation) };
    let silent = !pods.is_empty() && pods.iter().all(|pod| measured(source, pod).is_none());
    if silent || observation.missing.contains(name) {
        return Err(CannotScale(match source {
            Source::Pods(_) => "no metrics returned from custom metrics API".to_owned(),
            _ => format!(
                "unable to get metrics for resource {name}: no metrics returned from resource metrics API"
            ),
        }));
    }
    if pods.is_empty() {
        return Err(CannotScale::new("no pods returned by selector while calculating replica count"));
    }
    let groups = &group(config, source, now, pods, &|pod| observation.missing.contains(pod));
    let places = |worth| (0..pods.len()).filter(move |place| groups[*place] == worth);
    let mut metrics: BTreeMap<usize, i64> = places(Worth::Ready)
        .filter_map(|i| measured(source, &pods[i]).map(|metric| (i, milli(metric.value))))
        .collect();
    if metrics.is_empty() {
        let none = "did not receive metrics for targeted pods (pods might be unready)";
        return Err(CannotScale::new(none));
    }
    let mut requests = BTreeMap::new();
    if matches!(metric.target, Target::Utilization(_)) {
        for (i, pod) in pods.iter().enumerate() {
            requests.insert(i, requested(source, pod)?);
        }
    }
    let before = ratio(&metrics, &requests, metric.target)?;
    let up_with_unready = before > 1.0 && places(Worth::Unready).next().is_some();
    let ready = metrics.len() as f64;
    let current = observation.replicas;
    if !up_with_unready && places(Worth::Missing).next().is_none() {
        let wanted = ceil_replicas(before * ready);
        return Ok(if tolerated(config, before) { current } else { wanted });
    }
    // At a ratio of exactly 1 a utilization is left as it is, while a plain value is filled with nothing
    // (`GetResourceReplicas` and `calcPlainMetricReplicas` differ there).
    let fills_up = before > 1.0 || !matches!(metric.target, Target::Utilization(_));
    for pod in places(Worth::Missing) {
        if before < 1.0 {
            let fill = match metric.target {
                Target::Utilization(target) => {
                    requests.get(&pod).copied().unwrap_or(0) * i64::from(target.max(100)) / 100
                }
                Target::AverageValue(target) | Target::Value(target) => target,
            };
            metrics.insert(pod, fill);
        } else if fills_up {
            metrics.insert(pod, 0);
        }
    }
    if up_with_unready {
        metrics.extend(places(Worth::Unready).map(|pod| (pod, 0)));
    }
    let after = ratio(&metrics, &requests, metric.target)?;
    let turned = (before < 1.0 && after > 1.0) || (before > 1.0 && after < 1.0);
    if tolerated(config, after) || turned {
        return Ok(current);
    }
    let wanted = ceil_replicas(after * metrics.len() as f64);
    let turned = (after < 1.0 && wanted > current) || (after > 1.0 && wanted < current);
    Ok(if turned { current } else { wanted })
}

/// When no pods are listed: the metric is the mean (or the utilization in percent) of the ready ones.
fn on_average(config: &HpaConfig, metric: &Metric, observation: &Observation) -> Result<u32, CannotScale> {
    let name = metric.source.name();
    let value = observation
        .metric(name)
        .and_then(Measure::total)
        .ok_or_else(|| CannotScale(format!("unable to get metrics for {name}: no metrics returned")))?;
    let ratio = match metric.target {
        Target::Utilization(target) => value.trunc() / f64::from(target),
        Target::AverageValue(target) | Target::Value(target) => milli(value) as f64 / target as f64,
    };
    if tolerated(config, ratio) {
        return Ok(observation.replicas);
    }
    Ok(ceil_replicas(ratio * f64::from(observation.ready_replicas())))
}
