//! Observations from a Prometheus range query: what `/api/v1/query_range` returned, as JSON lines for a replay.
//!
//! Each time stamp of the export is a tick, counted from the first. Series become the deployment's metrics under
//! their `__name__`; those with a `pod` label become metrics of that pod. Names of kube-state-metrics that tell
//! replicas become `replicas`, `status_replicas` and `ready` instead. `NaN` is a metric that is missing at that
//! tick (Prometheus HTTP API, "range vectors": a value is `[seconds, "number"]`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::number;

/// Series that tell how many replicas there are: kube-state-metrics' name, and the observation's field.
const REPLICAS: [(&str, &str); 9] = [
    ("kube_deployment_spec_replicas", "replicas"),
    ("kube_deployment_status_replicas", "status_replicas"),
    ("kube_deployment_status_replicas_ready", "ready"),
    ("kube_deployment_status_replicas_available", "ready"),
    ("kube_statefulset_replicas", "replicas"),
    ("kube_statefulset_status_replicas_ready", "ready"),
    ("kube_horizontalpodautoscaler_status_current_replicas", "status_replicas"),
    ("kube_horizontalpodautoscaler_spec_target_replicas", "replicas"),
    ("kube_horizontalpodautoscaler_status_desired_replicas", "replicas"),
];

/// What is known of a tick.
#[derive(Debug, Default)]
struct Tick {
    counts: BTreeMap<&'static str, f64>,
    metrics: BTreeMap<String, Vec<f64>>,
    pods: BTreeMap<String, BTreeMap<String, f64>>,
    missing: Vec<String>,
}

/// Reads exports, each the body of one answer or only its `data`; the observations, a line each.
///
/// # Errors
/// What is wrong, with the file and the series.
pub fn observations(exports: &[(String, String)]) -> Result<String, String> {
    // By time in milliseconds, the finest that Prometheus keeps.
    let mut ticks: BTreeMap<i64, Tick> = BTreeMap::new();
    for (file, text) in exports {
        let body: Value = serde_json::from_str(text)
            .map_err(|error| format!("{file}:{}: this is no JSON: {error}", error.line()))?;
        if body.get("status").and_then(Value::as_str) == Some("error") {
            let said = body.get("error").and_then(Value::as_str).unwrap_or("no reason");
            return Err(format!("{file}: Prometheus answered with an error: {said}"));
        }
        let data = body.get("data").unwrap_or(&body);
        let kind = data.get("resultType").and_then(Value::as_str);
        if kind != Some("matrix") {
            let found = kind.unwrap_or("nothing");
            return Err(format!(
                "{file}: resultType is {found}, not matrix: export a range query (/api/v1/query_range)"
            ));
        }
        let result = data.get("result").and_then(Value::as_array);
        let result = result.ok_or_else(|| format!("{file}: data.result has to be a list of series"))?;
        for (place, series) in result.iter().enumerate() {
            read_series(series, &mut ticks)
                .map_err(|error| format!("{file}: data.result[{place}]: {error}"))?;
        }
    }
    let Some(first) = ticks.keys().next().copied() else {
        return Err("the exports hold no samples: widen the query's range".to_owned());
    };
    let mut lines = String::new();
    for (at, tick) in ticks {
        lines.push_str(&line(at - first, tick).to_string());
        lines.push('\n');
    }
    Ok(lines)
}

fn read_series(series: &Value, ticks: &mut BTreeMap<i64, Tick>) -> Result<(), String> {
    let labels = series.get("metric").and_then(Value::as_object).ok_or("it has no `metric`")?;
    let label = |name: &str| labels.get(name).and_then(Value::as_str);
    let name = label("__name__").or_else(|| label("name")).ok_or(
        "it has no __name__: label the query's result, as in label_replace(QUERY, \"__name__\", \"rps\", \"\", \"\")",
    )?;
    let values = series.get("values").and_then(Value::as_array).ok_or("it has no `values`")?;
    for (place, sample) in values.iter().enumerate() {
        let wrong = || format!("values[{place}] is {sample}, not [seconds, \"number\"]");
        let seconds = sample.get(0).and_then(Value::as_f64).ok_or_else(wrong)?;
        let text = sample.get(1).and_then(Value::as_str).ok_or_else(wrong)?;
        let value = match text {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse::<f64>().map_err(|_| wrong())?,
        };
        let tick = ticks.entry((seconds * 1000.0).round() as i64).or_default();
        if !value.is_finite() {
            tick.missing.push(name.to_owned());
        } else if let Some((_, field)) = REPLICAS.iter().find(|(known, _)| *known == name) {
            *tick.counts.entry(field).or_insert(0.0) += value;
        } else if let Some(pod) = label("pod") {
            tick.pods.entry(pod.to_owned()).or_default().insert(name.to_owned(), value);
        } else {
            tick.metrics.entry(name.to_owned()).or_default().push(value);
        }
    }
    Ok(())
}

fn line(milliseconds: i64, tick: Tick) -> Value {
    let mut line = Map::new();
    line.insert("t_s".to_owned(), number(milliseconds as f64 / 1000.0));
    for (field, value) in tick.counts {
        line.insert(field.to_owned(), number(value.round()));
    }
    if !tick.pods.is_empty() {
        let pod = |(name, metrics): (String, BTreeMap<String, f64>)| {
            let metrics: Map<String, Value> =
                metrics.into_iter().map(|(name, value)| (name, number(value))).collect();
            json!({ "name": name, "metrics": metrics })
        };
        line.insert("pods".to_owned(), tick.pods.into_iter().map(pod).collect());
    }
    let metric = |(name, values): (String, Vec<f64>)| {
        let value = match values.as_slice() {
            [one] => number(*one),
            several => several.iter().map(|value| number(*value)).collect(),
        };
        (name, value)
    };
    let metrics: Map<String, Value> = tick.metrics.into_iter().map(metric).collect();
    if !metrics.is_empty() {
        line.insert("metrics".to_owned(), metrics.into());
    }
    if !tick.missing.is_empty() {
        line.insert("missing".to_owned(), tick.missing.into());
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(text: &str) -> (String, String) {
        ("export.json".to_owned(), text.to_owned())
    }

    #[test]
    fn series_become_observations() {
        let one = r#"{"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {"__name__": "kube_deployment_spec_replicas"}, "values": [[1700000000, "3"], [1700000015, "4"]]},
            {"metric": {"__name__": "qps", "zone": "a"}, "values": [[1700000000, "10.5"], [1700000015, "NaN"]]},
            {"metric": {"__name__": "qps", "zone": "b"}, "values": [[1700000000, "2"]]},
            {"metric": {"__name__": "vllm:num_requests_running", "pod": "chat-0"}, "values": [[1700000015, "7"]]}]}}"#;
        let text = observations(&[export(one)]).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let wanted = [
            json!({"t_s": 0, "replicas": 3, "metrics": {"qps": [10.5, 2]}}),
            json!({"t_s": 15, "replicas": 4, "missing": ["qps"],
                   "pods": [{"name": "chat-0", "metrics": {"vllm:num_requests_running": 7}}]}),
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn what_is_refused() {
        for (text, part) in [
            ("{", "no JSON"),
            (r#"{"status": "error", "error": "bad_data"}"#, "bad_data"),
            (r#"{"data": {"resultType": "vector", "result": []}}"#, "not matrix"),
            (r#"{"data": {"resultType": "matrix", "result": []}}"#, "no samples"),
            (
                r#"{"data": {"resultType": "matrix", "result": [{"metric": {}, "values": []}]}}"#,
                "no __name__",
            ),
            (
                r#"{"data": {"resultType": "matrix", "result": [{"metric": {"__name__": "x"}, "values": [[1, 2]]}]}}"#,
                "values[0]",
            ),
        ] {
            let error = observations(&[export(text)]).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
