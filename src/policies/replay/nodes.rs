//! A JSON line as the observation of a node autoscaler, and its actions as JSON.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::instant;
use crate::policies::node_autoscale::observation::{HOST_PORT, POD_PLACES};
use crate::policies::node_autoscale::{
    Action, InstanceType, Node, NodeDecision, NodeObservation, Offering, Operator, Pod, Requirement,
    Resources, Taint, Toleration,
};
use crate::policies::spec::quantity;
use crate::units::Instant;

type Fields = Map<String, Value>;

/// How much longer than its grace period a pod may take to go before it counts no more
/// (`PodLongTerminatingExtraThreshold`); a pod that goes since nobody knows when counts no more either.
const LONG_TERMINATING_S: f64 = 30.0;

/// The items of a list of objects under a name.
fn objects<'a>(fields: &'a Fields, name: &str) -> Result<Vec<&'a Fields>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_object().ok_or_else(|| format!("{name}: an object is needed, not {item}")))
            .collect(),
        Some(other) => Err(format!("{name} has to be a list, not {other}")),
    }
}

fn text(fields: &Fields, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| fields.get(*name).and_then(Value::as_str)).map(str::to_owned)
}

fn truth(fields: &Fields, name: &str) -> Result<Option<bool>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(other) => Err(format!("{name} has to be true or false, not {other}")),
    }
}

fn real(fields: &Fields, name: &str) -> Result<Option<f64>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| format!("{name} has to be a number, not {value}"))
        }
    }
}

fn time(fields: &Fields, name: &str) -> Result<Option<Instant>, String> {
    real(fields, name)?.map(instant).transpose()
}

fn resources(fields: &Fields, names: &[&str]) -> Result<Resources, String> {
    let Some(value) = names.iter().find_map(|name| fields.get(*name)) else { return Ok(Resources::new()) };
    let Some(map) = value.as_object() else { return Err(format!("{} has to be an object", names[0])) };
    map.iter()
        .map(|(name, value)| {
            let amount = value.as_f64().or_else(|| value.as_str().and_then(quantity));
            Ok((name.clone(), amount.ok_or_else(|| format!("{}.{name}: {value} is no quantity", names[0]))?))
        })
        .collect()
}

fn strings(fields: &Fields, names: &[&str]) -> BTreeMap<String, String> {
    let map = names.iter().find_map(|name| fields.get(*name)).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
}

/// Reads a line.
pub(super) fn observation(now: Instant, fields: &Fields) -> Result<NodeObservation, String> {
    // Time zero of a recording is a Monday's midnight.
    let mut observation = NodeObservation { clock: now.since(super::EPOCH), ..NodeObservation::default() };
    observation.failed_delete = time(fields, "failed_delete_s")?.or(time(fields, "last_scale_down_fail_s")?);
    for (i, node) in objects(fields, "nodes")?.into_iter().enumerate() {
        observation.nodes.push(node_of(node, i).map_err(|error| format!("nodes[{i}]: {error}"))?);
    }
    for (i, pod) in objects(fields, "pods")?.into_iter().enumerate() {
        observation.pods.push(pod_of(now, pod, i).map_err(|error| format!("pods[{i}]: {error}"))?);
    }
    for kind in objects(fields, "instance_types")? {
        let name = text(kind, &["name"]).ok_or("instance_types: one has no name")?;
        let mut offerings = Vec::new();
        for offering in objects(kind, "offerings")? {
            offerings.push(Offering {
                capacity_type: text(offering, &["capacity_type"]).unwrap_or_else(|| "on-demand".to_owned()),
                zone: text(offering, &["zone"]).unwrap_or_default(),
                price: real(offering, "price")?
                    .ok_or_else(|| format!("instance type {name}: an offering has no price"))?,
                available: truth(offering, "available")?.unwrap_or(true),
            });
        }
        if let (true, Some(price)) = (offerings.is_empty(), real(kind, "price")?) {
            let (capacity_type, zone) = ("on-demand".to_owned(), String::new());
            offerings.push(Offering { capacity_type, zone, price, available: true });
        }
        let allocatable = resources(kind, &["allocatable", "resources", "capacity"])?;
        let labels = strings(kind, &["labels"]);
        observation.instance_types.push(InstanceType { name, allocatable, labels, offerings });
    }
    let groups = fields.get("node_groups").or_else(|| fields.get("targets")).and_then(Value::as_object);
    for (group, value) in groups.into_iter().flatten() {
        let size = value.as_u64().or_else(|| value.get("target").and_then(Value::as_u64));
        let size = size.ok_or_else(|| format!("node_groups.{group}: a target size is needed"))?;
        observation.targets.insert(group.clone(), size as u32);
    }
    Ok(observation)
}

/// What a pod takes of a node: its requests, a place, and its ports.
fn pod_requests(fields: &Fields) -> Result<Resources, String> {
    let mut requests = resources(fields, &["requests"])?;
    requests.entry(POD_PLACES.to_owned()).or_insert(1.0);
    match fields.get("host_ports") {
        None | Some(Value::Null) => {}
        Some(Value::Array(ports)) => {
            requests.extend(ports.iter().map(|port| (format!("{HOST_PORT}{port}"), 1.0)));
        }
        Some(other) => return Err(format!("host_ports has to be a list, not {other}")),
    }
    Ok(requests)
}

fn taints(fields: &Fields) -> Result<Vec<Taint>, String> {
    let word = |fields: &Fields, name: &str| text(fields, &[name]).unwrap_or_default();
    let read = |taint: &Fields| Taint {
        key: word(taint, "key"),
        value: word(taint, "value"),
        effect: word(taint, "effect"),
    };
    Ok(objects(fields, "taints")?.into_iter().map(read).collect())
}

fn tolerations(fields: &Fields) -> Result<Vec<Toleration>, String> {
    let word = |fields: &Fields, name: &str| text(fields, &[name]).unwrap_or_default();
    let read = |toleration: &Fields| Toleration {
        key: word(toleration, "key"),
        exists: word(toleration, "operator") == "Exists",
        value: word(toleration, "value"),
        effect: word(toleration, "effect"),
    };
    Ok(objects(fields, "tolerations")?.into_iter().map(read).collect())
}

/// `requirements`, or `node_affinity`: {key, operator, values}.
fn requirements(fields: &Fields) -> Result<Vec<Requirement>, String> {
    let name = if fields.contains_key("requirements") { "requirements" } else { "node_affinity" };
    let read = |item: &Fields| {
        let word = text(item, &["operator"]).unwrap_or_else(|| "In".to_owned());
        let operator = Operator::ALL.iter().find(|(known, _)| *known == word);
        let (_, operator) = operator.ok_or_else(|| format!("{name}: no operator is called {word:?}"))?;
        let values = item.get("values").and_then(Value::as_array).into_iter().flatten();
        let values = values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let key = text(item, &["key"]).ok_or_else(|| format!("{name}: an item has no key"))?;
        Ok(Requirement { key, operator: *operator, values: values.collect(), min_values: None })
    };
    objects(fields, name)?.into_iter().map(read).collect()
}

fn node_of(fields: &Fields, i: usize) -> Result<Node, String> {
    Ok(Node {
        name: text(fields, &["name"]).unwrap_or_else(|| format!("node-{i}")),
        group: text(fields, &["group", "node_group", "nodepool", "pool"]).unwrap_or_default(),
        instance_type: text(fields, &["instance_type"]).unwrap_or_default(),
        capacity_type: text(fields, &["capacity_type"]).unwrap_or_else(|| "on-demand".to_owned()),
        zone: text(fields, &["zone"]).unwrap_or_default(),
        price: real(fields, "price")?,
        allocatable: resources(fields, &["allocatable", "resources", "capacity"])?.into(),
        labels: strings(fields, &["labels"]).into(),
        taints: taints(fields)?,
        created: time(fields, "created_s")?.unwrap_or(super::EPOCH),
        last_pod_event: time(fields, "last_pod_event_s")?,
        ready: truth(fields, "ready")?.unwrap_or(true),
        deleting: truth(fields, "deleting")?.unwrap_or(false),
        keep: truth(fields, "do_not_disrupt")?.or(truth(fields, "scale_down_disabled")?).unwrap_or(false),
        drifted: truth(fields, "drifted")?.unwrap_or(false),
    })
}

fn pod_of(now: Instant, fields: &Fields, i: usize) -> Result<Pod, String> {
    let grace = real(fields, "grace_s")?.unwrap_or(30.0) + LONG_TERMINATING_S;
    let going = time(fields, "deleting_since_s")?;
    let terminated = going.is_none_or(|since| now.since(since).as_secs_f64() > grace);
    let flag = |name| truth(fields, name).map(|found| found.unwrap_or(false));
    Ok(Pod {
        name: text(fields, &["name"]).unwrap_or_else(|| format!("pod-{i}")),
        node: text(fields, &["node"]),
        requests: pod_requests(fields)?.into(),
        selector: strings(fields, &["node_selector", "selector"]).into(),
        requirements: requirements(fields)?,
        tolerations: tolerations(fields)?,
        created: time(fields, "created_s")?.or(time(fields, "start_s")?).unwrap_or(super::EPOCH),
        daemon: flag("daemonset")? || flag("daemon")?,
        mirror: flag("mirror")?,
        terminated: flag("deleting")? && terminated,
        controlled: truth(fields, "controlled")?.unwrap_or(true),
        local_storage: flag("local_storage")?,
        system: flag("system")?,
        safe_to_evict: truth(fields, "safe_to_evict")?,
        keep: flag("do_not_disrupt")?,
        priority: real(fields, "priority")?.unwrap_or(0.0),
        deletion_cost: real(fields, "deletion_cost")?.unwrap_or(0.0),
        deleting: flag("deleting")?,
    })
}

/// Writes the answer's fields.
pub(super) fn write(decision: NodeDecision, reason: &str, answer: &mut Fields) {
    let actions: Vec<Value> = decision.actions.iter().map(action).collect();
    answer.insert("actions".to_owned(), actions.into());
    answer.insert("limits".to_owned(), decision.limits.into());
    answer.insert("reason".to_owned(), reason.into());
}

fn action(action: &Action) -> Value {
    match action {
        Action::ScaleUp { group, count, pods } => {
            json!({"action": "scale-up", "group": group, "count": count, "pods": pods})
        }
        Action::GiveUp { group, count } => json!({"action": "give-up", "group": group, "count": count}),
        Action::Create { pool, instance_type, capacity_type, zone, price, pods } => json!({
            "action": "create", "pool": pool, "instance_type": instance_type, "capacity_type": capacity_type,
            "zone": zone, "price": price, "pods": pods,
        }),
        Action::Delete { nodes, why, pods } => {
            json!({"action": "delete", "nodes": nodes, "why": why, "pods": pods})
        }
    }
}
