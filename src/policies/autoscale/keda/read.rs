//! `ScaledObject` and `ScaledJob` manifests, checked as KEDA's webhook checks them.

use super::job::Combine;
use super::{
    COMPOSED, Fallback, FallbackBehavior, Formula, JobConfig, KedaConfig, Modifiers, Paused, Strategy,
    Trigger,
};
use crate::policies::autoscale::hpa::{self, Flags, HpaConfig, Metric, Source, Target};
use crate::policies::spec::{Fields, Node, Problems, Tree};
use crate::units::Duration;

const STRICT: &str = "Kubernetes: strict decoding error: unknown field";

/// Metadata keys that hold a trigger's target, over KEDA's scalers.
const TARGETS: [&str; 14] = [
    "threshold",
    "targetValue",
    "queueLength",
    "targetQueueLength",
    "lagThreshold",
    "value",
    "listLength",
    "messageCount",
    "targetMetricValue",
    "queryValue",
    "desiredMetricValue",
    "targetQueryValue",
    "subscriptionSize",
    "mode.value",
];

/// The top of a manifest: its `spec`.
fn spec<'a>(document: &'a Node, kind: &str, problems: &Problems) -> Option<(Fields<'a>, Paused)> {
    let mut paused = Paused::default();
    let mut top = Fields::new(document, problems);
    let version = top.text("apiVersion").unwrap_or_default();
    if version != "keda.sh/v1alpha1" {
        let said = format!(
            "Kubernetes: no matches for kind {kind:?} in version {version:?}; KEDA serves keda.sh/v1alpha1"
        );
        top.problem("apiVersion", said);
    }
    if let Some(Tree::Map(annotations)) =
        document.get("metadata").and_then(|m| m.get("annotations")).map(|node| &node.tree)
    {
        for (name, line, node) in annotations {
            let Some(key) = name.strip_prefix("autoscaling.keda.sh/").filter(|key| key.starts_with("paused"))
            else {
                continue;
            };
            let text = node.text().unwrap_or_default();
            let truth = || text.parse::<bool>().ok();
            let read = match key {
                "paused-replicas" => text.parse().map(|count| paused.replicas = Some(count)).ok(),
                "paused" => truth().map(|is| paused.all = is),
                "paused-scale-in" => truth().map(|is| paused.scale_in = is),
                "paused-scale-out" => truth().map(|is| paused.scale_out = is),
                _ => None,
            };
            if read.is_none() {
                problems.add(*line, name.clone(), format!("{text:?} is not what this annotation takes"));
            }
        }
    }
    top.ignore(&["kind", "metadata", "status"]);
    let spec = top.map("spec");
    if spec.is_none() {
        top.problem("spec", "Required value");
    }
    top.finish(STRICT);
    spec.map(|spec| (spec, paused))
}

fn bounds(spec: &mut Fields<'_>) -> (u32, u32) {
    let mut count = |name, default: i64| {
        let value = spec.int(name).unwrap_or(default);
        if value < 0 {
            spec.problem(name, format!("{name} has to be zero or more, not {value}"));
        }
        u32::try_from(value).unwrap_or(0)
    };
    let (min, max) = (count("minReplicaCount", 0), count("maxReplicaCount", 100));
    if min > max {
        spec.problem(
            "minReplicaCount",
            format!("MinReplicaCount={min} must be less than MaxReplicaCount={max}"),
        );
    } else if max == 0 {
        spec.problem("maxReplicaCount", "maxReplicaCount has to be greater than 0");
    }
    (min, max)
}

/// The triggers, and the HPA's metric for each.
fn triggers(spec: &mut Fields<'_>) -> Vec<(Trigger, Metric)> {
    let list = spec.maps("triggers").unwrap_or_default();
    if list.is_empty() {
        spec.problem("triggers", "no triggers defined in the ScaledObject/ScaledJob");
    }
    list.into_iter().enumerate().filter_map(|(i, fields)| trigger(i, fields)).collect()
}

fn trigger(i: usize, mut fields: Fields<'_>) -> Option<(Trigger, Metric)> {
    let Some(kind) = fields.text("type") else {
        fields.problem("type", "Required value");
        return None;
    };
    let name = fields.text("name");
    fields.ignore(&["authenticationRef", "useCachedMetrics"]);
    let types = [("AverageValue", "AverageValue"), ("Value", "Value"), ("Utilization", "Utilization")];
    let declared = fields.choice("metricType", &types);
    let resource = kind == "cpu" || kind == "memory";
    if declared == Some("Utilization") && !resource {
        fields.problem("metricType", "error getting metric type: Utilization metric type is only supported for CPU and Memory triggers");
    }
    let Some(node) = fields.node("metadata") else {
        fields.problem("metadata", "Required value");
        return None;
    };
    // Addresses, queries and secrets: what is not read here has no bearing on the decision.
    let number = |key: &str| node.text_at(&[key]).and_then(|text| text.parse::<f64>().ok());
    let found = TARGETS.iter().find(|key| node.get(key).is_some());
    let target = if kind == "cron" { Some(1.0) } else { found.and_then(|key| number(key)) };
    let target = match target {
        Some(target) if target > 0.0 && target.is_finite() => target,
        Some(target) => {
            let key = found.copied().unwrap_or("threshold");
            fields.problem(
                "metadata",
                format!("{key} of the {kind} trigger has to be greater than 0, not {target}"),
            );
            return None;
        }
        None => {
            let said = format!("the {kind} trigger gives no target; one of {} is read", TARGETS.join(", "));
            fields.problem("metadata", said);
            return None;
        }
    };
    let mut activation = 0.0;
    if let Tree::Map(entries) = &node.tree {
        for (key, line, value) in entries.iter().filter(|(key, ..)| key.starts_with("activation")) {
            match value.text().and_then(|text| text.parse().ok()) {
                Some(value) => activation = value,
                None => fields.problem("metadata", format!("{key} at line {line} has to be a number")),
            }
        }
    }
    let own = node.text_at(&["metricName"]).map(str::to_owned);
    let name = if resource { kind.clone() } else { name.or(own).unwrap_or_else(|| format!("s{i}-{kind}")) };
    let thousandths = (target * 1000.0).ceil() as i64;
    let utilization =
        declared == Some("Utilization") || (resource && node.text_at(&["type"]) == Some("Utilization"));
    let goal = match () {
        () if utilization => Target::Utilization(target as u32),
        () if declared == Some("Value") => Target::Value(thousandths),
        () => Target::AverageValue(thousandths),
    };
    let source = if resource { Source::Resource(name.clone()) } else { Source::External(name.clone()) };
    fields.finish(STRICT);
    let average = matches!(goal, Target::AverageValue(_)) && !resource;
    Some((Trigger { name, target, activation, average, resource }, Metric { source, target: goal }))
}

/// Reads a ScaledObject.
pub fn read(document: &Node, flags: Option<&Node>, problems: &Problems) -> Option<KedaConfig> {
    let (mut spec, paused) = spec(document, "ScaledObject", problems)?;
    match spec.map("scaleTargetRef") {
        None => spec.problem("scaleTargetRef", "Required value"),
        Some(mut target) => {
            target.ignore(&["apiVersion", "kind", "envSourceContainerName"]);
            if target.text("name").is_none() {
                target.problem("name", "Required value");
            }
            target.finish(STRICT);
        }
    }
    if let Some(interval) = spec.int("pollingInterval").filter(|seconds| *seconds < 1) {
        spec.problem("pollingInterval", format!("pollingInterval has to be at least 1 s, not {interval}"));
    }
    let cooldown = spec.seconds("cooldownPeriod").unwrap_or(Duration::from_secs(300));
    let initial_cooldown = spec.seconds("initialCooldownPeriod").unwrap_or_default();
    let (min, max) = bounds(&mut spec);
    let idle = spec.int("idleReplicaCount").map(|count| u32::try_from(count).unwrap_or(0));
    if let Some(idle) = idle.filter(|idle| *idle >= min) {
        spec.problem(
            "idleReplicaCount",
            format!("IdleReplicaCount={idle} must be less than MinReplicaCount={min}"),
        );
    }
    let fallback = spec.map("fallback").map(read_fallback);
    let (mut behavior, mut modifiers) = (None, None);
    if let Some(mut advanced) = spec.map("advanced") {
        advanced.ignore(&["restoreToOriginalReplicaCount"]);
        modifiers = advanced.map("scalingModifiers").and_then(read_modifiers);
        if let Some(mut own) = advanced.map("horizontalPodAutoscalerConfig") {
            own.ignore(&["name"]);
            behavior = own.map("behavior").map(|fields| hpa::read_behavior(fields, &Flags::default()));
            own.finish(STRICT);
        }
        advanced.finish(STRICT);
    }
    let (triggers, mut metrics): (Vec<Trigger>, Vec<_>) = triggers(&mut spec).into_iter().unzip();
    let modifiers = modifiers.map(|(modifiers, target)| {
        for name in modifiers.formula.names() {
            if !triggers.iter().any(|trigger| trigger.name == name) {
                spec.problem("advanced", format!("scalingModifiers: no trigger is called {name:?}"));
            }
        }
        // The composed metric instead of what it is made of; cpu and memory stay.
        metrics.retain(|metric: &Metric| !metric.source.is_whole());
        metrics.push(Metric { source: Source::External(COMPOSED.to_owned()), target });
        modifiers
    });
    if min == 0 && !triggers.is_empty() && triggers.iter().all(|trigger| trigger.resource) {
        spec.problem(
            "triggers",
            "scaledobject has only cpu/memory triggers AND minReplica is 0 (scale to zero doesn't work in this case)",
        );
    }
    spec.finish(STRICT);
    let flags = flags.map_or_else(Flags::default, |node| hpa::read_flags(node, problems));
    let hpa = HpaConfig { min: min.max(1), max, metrics, behavior, flags };
    Some(KedaConfig {
        cooldown,
        initial_cooldown,
        idle,
        min,
        max,
        fallback,
        triggers,
        modifiers,
        paused,
        hpa,
    })
}

/// `scalingModifiers`, and the HPA's target for the composed metric.
fn read_modifiers(mut fields: Fields<'_>) -> Option<(Modifiers, Target)> {
    let kind = fields.text("metricType");
    let target = fields.number("target");
    match target {
        None => fields.problem("target", "formula is given but target is empty"),
        Some(target) if target <= 0.0 => {
            fields.problem("target", format!("target has to be greater than 0, not {target}"));
        }
        Some(_) => {}
    }
    let activation = fields.number("activationTarget").unwrap_or(0.0);
    let text = fields.text("formula").unwrap_or_default();
    let formula = Formula::parse(&text);
    if let Err(error) = &formula {
        fields.problem("formula", format!("error compiling formula: {error}"));
    }
    let thousandths = (target.unwrap_or(1.0) * 1000.0).ceil() as i64;
    let target = match kind.as_deref() {
        None | Some("AverageValue") => Target::AverageValue(thousandths),
        Some("Value") => Target::Value(thousandths),
        Some(other) => {
            fields.problem("metricType", format!("invalid metric type {other:?} for scalingModifiers"));
            Target::AverageValue(thousandths)
        }
    };
    fields.finish(STRICT);
    Some((Modifiers { formula: formula.ok()?, activation }, target))
}

fn read_fallback(mut fields: Fields<'_>) -> Fallback {
    let mut count = |name| match fields.int(name) {
        Some(value @ 0..) => value as u32,
        Some(value) => {
            fields.problem(name, format!("{name} has to be a positive integer, not {value}"));
            0
        }
        None => {
            fields.problem(name, "Required value");
            0
        }
    };
    let (threshold, replicas) = (count("failureThreshold"), count("replicas"));
    let behaviors = [
        ("static", FallbackBehavior::Static),
        ("currentReplicas", FallbackBehavior::Current),
        ("currentReplicasIfHigher", FallbackBehavior::CurrentIfHigher),
        ("currentReplicasIfLower", FallbackBehavior::CurrentIfLower),
    ];
    let behavior = fields.choice("behavior", &behaviors).unwrap_or_default();
    fields.finish(STRICT);
    Fallback { threshold, replicas, behavior }
}

/// Reads a ScaledJob.
pub fn read_job(document: &Node, problems: &Problems) -> Option<JobConfig> {
    let (mut spec, paused) = spec(document, "ScaledJob", problems)?;
    spec.ignore(&["jobTargetRef", "pollingInterval", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
    spec.ignore(&["envSourceContainerName", "rollout", "rolloutStrategy"]);
    let (min, max) = bounds(&mut spec);
    let (mut strategy, mut combine) = (Strategy::Default, Combine::Max);
    if let Some(mut fields) = spec.map("scalingStrategy") {
        fields.ignore(&["pendingPodConditions"]);
        let kinds = [("default", 0), ("custom", 1), ("accurate", 2), ("eager", 3)];
        let deduction = fields.int("customScalingQueueLengthDeduction");
        // Not a number: KEDA falls back to the default strategy.
        let share =
            fields.text("customScalingRunningJobPercentage").and_then(|text| text.parse::<f64>().ok());
        strategy = match (fields.choice("strategy", &kinds), share) {
            (Some(1), Some(share)) => Strategy::Custom { deduction: deduction.unwrap_or(0), share },
            (Some(2), _) => Strategy::Accurate,
            (Some(3), _) => Strategy::Eager,
            _ => Strategy::Default,
        };
        let ways =
            [("max", Combine::Max), ("min", Combine::Min), ("avg", Combine::Avg), ("sum", Combine::Sum)];
        combine = fields.choice("multipleScalersCalculation", &ways).unwrap_or_default();
        fields.finish(STRICT);
    }
    let triggers = triggers(&mut spec).into_iter().map(|(trigger, _)| trigger).collect();
    spec.finish(STRICT);
    Some(JobConfig { min: min.into(), max: max.into(), strategy, combine, triggers, paused: paused.all })
}
