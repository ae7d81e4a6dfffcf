//! `NodePool` manifests of `karpenter.sh/v1`, and the controller's settings (`policy: karpenter`).

use std::collections::BTreeMap;

use super::{Budget, BudgetNodes, KarpenterConfig, NodePool};
use crate::policies::autoscale::cron::Cron;
use crate::policies::node_autoscale::{Operator, Requirement, Resources, Taint};
use crate::policies::spec::{Fields, Node, Problems, Tree, go_duration, quantity};
use crate::units::Duration;

const STRICT: &str = "Kubernetes: strict decoding error: unknown field";

/// Reads all node pools of a file; what is wrong goes to `problems`.
pub fn read(documents: &[Node], problems: &Problems) -> Option<KarpenterConfig> {
    let mut config = KarpenterConfig {
        pools: Vec::new(),
        batch_idle: Duration::from_secs(1),
        batch_max: Duration::from_secs(10),
        spot_to_spot: false,
    };
    for document in documents {
        if document.text_at(&["policy"]) == Some("karpenter") {
            read_settings(document, &mut config, problems);
        } else if let Some(settings) = document.get("settings") {
            read_values(settings, &mut config, problems);
        } else if document.text_at(&["kind"]) == Some("NodePool") {
            config.pools.extend(read_pool(document, problems));
        } else if !document.text_at(&["kind"]).is_some_and(|kind| kind.ends_with("NodeClass")) {
            // What a node is made of stands in the observation; a provider's class has no bearing.
            let kind = document.text_at(&["kind"]).unwrap_or_default();
            problems.add(document.line, "kind", format!("{kind:?} is not read here: NodePool is"));
        }
    }
    config.pools.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
    Some(config)
}

fn read_settings(document: &Node, config: &mut KarpenterConfig, problems: &Problems) {
    let mut top = Fields::new(document, problems);
    top.ignore(&["policy"]);
    if let Some(mut flags) = top.map("flags") {
        config.batch_idle = flags.duration("batch-idle-duration").unwrap_or(config.batch_idle);
        config.batch_max = flags.duration("batch-max-duration").unwrap_or(config.batch_max);
        for gate in flags.text("feature-gates").unwrap_or_default().split(',') {
            match gate.trim() {
                "" | "SpotToSpotConsolidation=false" => {}
                "SpotToSpotConsolidation=true" => config.spot_to_spot = true,
                other => flags.problem("feature-gates", format!("{other:?} is not built")),
            }
        }
        flags.finish("karpenter: flag provided but not defined");
    }
    top.finish("not part of Karpenter's settings");
}

/// The `settings` of the Helm chart's values.
fn read_values(settings: &Node, config: &mut KarpenterConfig, problems: &Problems) {
    let mut fields = Fields::at(settings, "settings".to_owned(), problems);
    config.batch_idle = fields.duration("batchIdleDuration").unwrap_or(config.batch_idle);
    config.batch_max = fields.duration("batchMaxDuration").unwrap_or(config.batch_max);
    if let Some(mut gates) = fields.map("featureGates") {
        config.spot_to_spot = gates.truth("spotToSpotConsolidation").unwrap_or(false);
        gates.ignore(&["nodeRepair", "nodeOverlay", "reservedCapacity", "staticCapacity"]);
        gates.finish("karpenter: unknown feature gate");
    }
    // Names, addresses and queues of the provider.
    fields.ignore(&["clusterName", "clusterEndpoint", "clusterCABundle", "interruptionQueue", "isolatedVPC"]);
    fields.ignore(&["vmMemoryOverheadPercent", "reservedENIs", "eksControlPlane"]);
    fields.finish("not part of the chart's settings that are read here");
}

fn read_pool(document: &Node, problems: &Problems) -> Option<NodePool> {
    let mut top = Fields::new(document, problems);
    let version = top.text("apiVersion").unwrap_or_default();
    if version != "karpenter.sh/v1" {
        let said = format!(
            "Kubernetes: no matches for kind \"NodePool\" in version {version:?}; karpenter.sh/v1 is read"
        );
        top.problem("apiVersion", said);
    }
    top.ignore(&["kind", "status"]);
    let name = top.map("metadata").and_then(|mut metadata| metadata.text("name"));
    if name.is_none() {
        top.problem("metadata", "metadata.name: Required value");
    }
    let Some(mut spec) = top.map("spec") else {
        top.problem("spec", "Required value");
        return None;
    };
    top.finish(STRICT);
    let weight = spec.int("weight").unwrap_or(0);
    if !(0..=100).contains(&weight) {
        spec.problem("weight", format!("Invalid value: {weight}: should be in 1..100"));
    }
    if spec.node("replicas").is_some() {
        spec.problem("replicas", "static node pools are not built");
    }
    let mut pool = NodePool {
        name: name.unwrap_or_default(),
        weight,
        requirements: Vec::new(),
        labels: BTreeMap::new(),
        limits: read_limits(&mut spec, problems),
        expire: Some(Duration::HOUR * 720),
        taints: Vec::new(),
        underutilized: true,
        balanced: None,
        consolidate_after: Some(Duration::ZERO),
        budgets: vec![Budget { nodes: BudgetNodes::Percent(10), reasons: Vec::new(), window: None }],
    };
    match spec.map("template") {
        Some(template) => read_template(template, &mut pool),
        None => spec.problem("template", "Required value"),
    }
    if let Some(disruption) = spec.map("disruption") {
        read_disruption(disruption, &mut pool);
    }
    spec.finish(STRICT);
    Some(pool)
}

fn read_limits(spec: &mut Fields<'_>, problems: &Problems) -> Resources {
    let mut limits = Resources::new();
    if let Some(Tree::Map(entries)) = spec.node("limits").map(|node| &node.tree) {
        for (name, line, node) in entries {
            match node.text().and_then(quantity) {
                Some(value) => drop(limits.insert(name.clone(), value)),
                None => problems.add(*line, "spec.limits", format!("{name}: a quantity is needed")),
            }
        }
    }
    limits
}

fn never_or(fields: &mut Fields<'_>, name: &'static str, default: Option<Duration>) -> Option<Duration> {
    let Some(text) = fields.text(name) else { return default };
    if text == "Never" {
        return None;
    }
    let read = go_duration(&text);
    if read.is_none() {
        let said = format!("Invalid value: {text:?}: in body should match '^(([0-9]+(s|m|h))+|Never)$'");
        fields.problem(name, said);
    }
    read.or(default)
}

fn read_template(mut template: Fields<'_>, pool: &mut NodePool) {
    if let Some(mut metadata) = template.map("metadata") {
        metadata.ignore(&["annotations"]);
        if let Some(Tree::Map(entries)) = metadata.node("labels").map(|node| &node.tree) {
            for (name, _, node) in entries {
                pool.labels.insert(name.clone(), node.text().unwrap_or_default().to_owned());
            }
        }
        metadata.finish(STRICT);
    }
    let Some(mut spec) = template.map("spec") else {
        template.problem("spec", "Required value");
        return;
    };
    template.finish(STRICT);
    spec.ignore(&["nodeClassRef", "terminationGracePeriod"]);
    // Startup taints are gone before a node counts as initialized.
    spec.ignore(&["startupTaints"]);
    for fields in spec.maps("taints").unwrap_or_default() {
        pool.taints.extend(read_taint(fields));
    }
    pool.expire = never_or(&mut spec, "expireAfter", pool.expire);
    for mut fields in spec.maps("requirements").unwrap_or_default() {
        let min_values = fields.int("minValues");
        if let Some(least) = min_values.filter(|least| !(1..=50).contains(least)) {
            let said = format!("Invalid value: {least}: minValues in body should be in 1..50");
            fields.problem("minValues", said);
        }
        let key = fields.text("key");
        if key.is_none() {
            fields.problem("key", "Required value");
        }
        let operator = fields.choice("operator", &Operator::ALL);
        let values = fields.list("values").unwrap_or_default();
        let values: Vec<String> =
            values.iter().filter_map(|(_, node)| node.text()).map(str::to_owned).collect();
        match operator {
            Some(Operator::In) if values.is_empty() => {
                fields.problem("values", "requirements with operator 'In' must have a value defined");
            }
            Some(Operator::Gt | Operator::Lt) if values.len() != 1 || values[0].parse::<u64>().is_err() => {
                fields.problem(
                    "values",
                    "requirements operator 'Gt' or 'Lt' must have a single positive integer value",
                );
            }
            _ => {}
        }
        fields.finish(STRICT);
        if let (Some(key), Some(operator)) = (key, operator) {
            let few = min_values.filter(|least| operator == Operator::In && values.len() < *least as usize);
            if let Some(least) = few {
                let said =
                    format!("requirements with 'minValues' must have at least that many 'values': {least}");
                spec.problem("requirements", said);
            }
            let min_values = min_values.and_then(|least| u32::try_from(least).ok());
            pool.requirements.push(Requirement { key, operator, values, min_values });
        }
    }
    spec.finish(STRICT);
}

fn read_taint(mut fields: Fields<'_>) -> Option<Taint> {
    let effects = [("NoSchedule", ()), ("PreferNoSchedule", ()), ("NoExecute", ())];
    let key = fields.text("key");
    if key.is_none() {
        fields.problem("key", "Required value");
    }
    let value = fields.text("value").unwrap_or_default();
    let effect = fields.text("effect").unwrap_or_default();
    if fields.node("effect").is_none() {
        fields.problem("effect", "Required value");
    } else {
        fields.choice("effect", &effects);
    }
    fields.finish(STRICT);
    Some(Taint { key: key?, value, effect })
}

fn read_disruption(mut fields: Fields<'_>, pool: &mut NodePool) {
    let policies = [
        ("WhenEmptyOrUnderutilized", (true, false)),
        ("WhenEmpty", (false, false)),
        ("Balanced", (true, true)),
    ];
    let (underutilized, balanced) = fields.choice("consolidationPolicy", &policies).unwrap_or((true, false));
    pool.underutilized = underutilized;
    let threshold = fields.int("consolidationThreshold");
    if let Some(threshold) = threshold {
        if threshold < 1 {
            let said = format!("Invalid value: {threshold}: should be greater than or equal to 1");
            fields.problem("consolidationThreshold", said);
        } else if !balanced {
            fields.problem("consolidationThreshold", "consolidationThreshold is read with 'Balanced' only");
        }
    }
    pool.balanced = balanced.then(|| threshold.unwrap_or(2).max(1) as f64);
    pool.consolidate_after = never_or(&mut fields, "consolidateAfter", pool.consolidate_after);
    if let Some(budgets) = fields.maps("budgets") {
        pool.budgets = budgets.into_iter().filter_map(read_budget).collect();
    }
    fields.finish(STRICT);
}

fn read_budget(mut fields: Fields<'_>) -> Option<Budget> {
    let schedule = fields.text("schedule");
    let duration = fields.duration("duration");
    let window = match (schedule, duration) {
        (None, None) => None,
        (Some(schedule), Some(duration)) => match Cron::parse(&schedule) {
            Ok(cron) => Some((cron, duration)),
            Err(error) => {
                fields.problem("schedule", format!("invalid schedule {schedule:?}: {error}"));
                None
            }
        },
        _ => {
            fields.problem("nodes", "'schedule' must be set with 'duration'");
            None
        }
    };
    let text = fields.text("nodes").unwrap_or_else(|| "10%".to_owned());
    let percent =
        text.strip_suffix('%').map(|text| text.parse::<u32>().ok().filter(|percent| *percent <= 100));
    let nodes = match percent {
        Some(percent) => percent.map(BudgetNodes::Percent),
        None => text.parse().ok().map(BudgetNodes::Count),
    };
    if nodes.is_none() {
        let said = format!("Invalid value: {text:?}: in body should match '^((100|[0-9]{{1,2}})%|[0-9]+)$'");
        fields.problem("nodes", said);
    }
    let mut reasons = Vec::new();
    for (_, node) in fields.list("reasons").unwrap_or_default() {
        match node.text() {
            Some(reason @ ("Empty" | "Underutilized" | "Drifted")) => reasons.push(reason.to_owned()),
            other => {
                let said = format!(
                    "Unsupported value: {other:?}: supported values: \"Underutilized\", \"Empty\", \"Drifted\""
                );
                fields.problem("reasons", said);
            }
        }
    }
    fields.finish(STRICT);
    Some(Budget { nodes: nodes?, reasons, window })
}
