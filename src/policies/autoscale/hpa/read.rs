//! A `HorizontalPodAutoscaler` manifest, checked as the API server checks it
//! (`pkg/apis/autoscaling/validation`), and the controller's flags.

use super::{Behavior, Flags, HpaConfig, Metric, Rules, Select, Source, Step, StepKind, Target};
use crate::policies::spec::{Fields, Node, Problems};
use crate::units::Duration;

/// What Kubernetes says of a field that it does not know.
const STRICT: &str = "Kubernetes: strict decoding error: unknown field";

/// Reads a manifest; what is wrong goes to `problems`.
pub fn read(document: &Node, flags: Option<&Node>, problems: &Problems) -> Option<HpaConfig> {
    let mut top = Fields::new(document, problems);
    let version = top.text("apiVersion").unwrap_or_default();
    if version != "autoscaling/v2" {
        let said = "Kubernetes: no matches for kind \"HorizontalPodAutoscaler\" in version";
        let help = match version.as_str() {
            "autoscaling/v2beta1" | "autoscaling/v2beta2" => {
                "removed in v1.25/v1.26; rewrite it as autoscaling/v2"
            }
            "autoscaling/v1" => "still served, but only autoscaling/v2 is read here; convert it with kubectl",
            _ => "only autoscaling/v2 is read",
        };
        top.problem("apiVersion", format!("{said} {version:?}; {help}"));
        return None;
    }
    top.ignore(&["kind", "metadata", "status"]);
    let flags = flags.map_or_else(Flags::default, |node| read_flags(node, problems));
    let spec = top.map("spec");
    if spec.is_none() {
        top.problem("spec", "Required value");
    }
    top.finish(STRICT);
    read_spec(spec?, flags)
}

/// The controller's flags, under their own names without the dashes in front.
pub(crate) fn read_flags(node: &Node, problems: &Problems) -> Flags {
    let mut top = Fields::new(node, problems);
    top.ignore(&["policy", "apiVersion", "kind"]);
    let mut flags = Flags::default();
    if let Some(mut fields) = top.map("flags") {
        let sync = fields.duration("horizontal-pod-autoscaler-sync-period");
        flags.sync_period = sync.unwrap_or(flags.sync_period);
        if let Some(tolerance) = fields.number("horizontal-pod-autoscaler-tolerance") {
            flags.tolerance = tolerance;
        }
        let window = fields.duration("horizontal-pod-autoscaler-downscale-stabilization");
        flags.downscale_stabilization = window.unwrap_or(flags.downscale_stabilization);
        let cpu = fields.duration("horizontal-pod-autoscaler-cpu-initialization-period");
        flags.cpu_initialization = cpu.unwrap_or(flags.cpu_initialization);
        let delay = fields.duration("horizontal-pod-autoscaler-initial-readiness-delay");
        flags.initial_readiness = delay.unwrap_or(flags.initial_readiness);
        if let Some(gates) = fields.text("feature-gates") {
            for gate in gates.split(',') {
                match gate.trim() {
                    "HPAScaleToZero=true" => flags.scale_to_zero = true,
                    "HPAScaleToZero=false" | "HPAConfigurableTolerance=true" => {}
                    other => fields.problem("feature-gates", format!("unrecognized feature gate: {other}")),
                }
            }
        }
        if flags.sync_period.is_zero() {
            fields.problem("horizontal-pod-autoscaler-sync-period", "the period has to be greater than zero");
        }
        let window = flags.downscale_stabilization;
        if !window.is_zero() && window < flags.sync_period {
            fields.problem(
                "horizontal-pod-autoscaler-downscale-stabilization",
                format!(
                    "the window is shorter than the tick of {}: it would hold one sample",
                    flags.sync_period
                ),
            );
        }
        fields.finish("kube-controller-manager: unknown flag");
    }
    top.finish(STRICT);
    flags
}

fn read_spec(mut spec: Fields<'_>, flags: Flags) -> Option<HpaConfig> {
    match spec.map("scaleTargetRef") {
        None => spec.problem("scaleTargetRef", "Required value"),
        Some(mut target) => {
            target.ignore(&["apiVersion"]);
            for name in ["kind", "name"] {
                if target.text(name).is_none() {
                    target.problem(name, "Required value");
                }
            }
            target.finish(STRICT);
        }
    }
    let lowest = i64::from(!flags.scale_to_zero);
    let min = spec.int("minReplicas").unwrap_or(1);
    if min < lowest {
        let zero = if min == 0 { "; the feature gate HPAScaleToZero is off" } else { "" };
        let said = format!("Invalid value: {min}: must be greater than or equal to {lowest}{zero}");
        spec.problem("minReplicas", said);
    }
    let max = spec.int("maxReplicas");
    match max {
        None => spec.problem("maxReplicas", "Required value"),
        Some(max) if max < 1 => {
            spec.problem("maxReplicas", format!("Invalid value: {max}: must be greater than 0"));
        }
        Some(max) if max < min => spec.problem(
            "maxReplicas",
            format!("Invalid value: {max}: must be greater than or equal to `minReplicas` ({min})"),
        ),
        Some(_) => {}
    }
    let metrics: Vec<Metric> = match spec.maps("metrics") {
        Some(metrics) if !metrics.is_empty() => metrics.into_iter().filter_map(read_metric).collect(),
        _ => vec![Metric { source: Source::Resource("cpu".to_owned()), target: Target::Utilization(80) }],
    };
    if min == 0 && lowest == 0 && !metrics.iter().any(|metric| metric.source.is_whole()) {
        spec.problem(
            "metrics",
            "Forbidden: must specify at least one Object or External metric to support scaling to zero replicas",
        );
    }
    let behavior = spec.map("behavior").map(|fields| read_behavior(fields, &flags));
    spec.finish(STRICT);
    Some(HpaConfig {
        min: u32::try_from(min).ok()?,
        max: u32::try_from(max?).ok()?,
        metrics,
        behavior,
        flags,
    })
}

fn read_metric(mut fields: Fields<'_>) -> Option<Metric> {
    let kinds = [
        ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
        ("Pods", "pods"),
        ("Object", "object"),
        ("External", "external"),
    ];
    let Some(kind) = fields.text("type") else {
        fields.problem("type", "Required value: must specify a metric source type");
        return None;
    };
    let Some((_, field)) = kinds.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<_> = kinds.iter().map(|(name, _)| format!("{name:?}")).collect();
        let said = format!("Unsupported value: {kind:?}: supported values: {}", names.join(", "));
        fields.problem("type", said);
        return None;
    };
    let source = fields.map(field);
    if source.is_none() {
        fields.problem(field, "Required value: must populate information for the given metric source");
    }
    for (_, other) in kinds.iter().filter(|(_, other)| other != field) {
        if fields.node(other).is_some() {
            fields.problem(other, "Forbidden: must populate the given metric source only");
        }
    }
    fields.finish(STRICT);
    let mut source = source?;
    let made = match kind.as_str() {
        "Resource" => Source::Resource(required(&mut source, "name")?),
        "ContainerResource" => Source::Container {
            resource: required(&mut source, "name")?,
            container: required(&mut source, "container")?,
        },
        _ => {
            if kind == "Object" && source.map("describedObject").is_none() {
                source.problem("describedObject", "Required value");
            }
            let Some(mut metric) = source.map("metric") else {
                source.problem("metric", "Required value");
                return None;
            };
            metric.ignore(&["selector"]);
            let name = required(&mut metric, "name");
            metric.finish(STRICT);
            match kind.as_str() {
                "Pods" => Source::Pods(name?),
                "Object" => Source::Object(name?),
                _ => Source::External(name?),
            }
        }
    };
    let Some(target) = source.map("target") else {
        source.problem("target", "Required value: must specify a metric target");
        return None;
    };
    source.finish(STRICT);
    read_target(target, &made).map(|target| Metric { source: made, target })
}

fn required(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let text = fields.text(name).filter(|text| !text.is_empty());
    if text.is_none() {
        fields.problem(name, "Required value: must specify a name");
    }
    text
}

fn read_target(mut target: Fields<'_>, source: &Source) -> Option<Target> {
    let kind = target.text("type");
    let utilization = target.int("averageUtilization");
    let average = target.quantity("averageValue");
    let value = target.quantity("value");
    for (name, found) in [("averageValue", average), ("value", value)] {
        if let Some(found) = found.filter(|found| *found * 1000.0 < 1.0) {
            target.problem(name, format!("Invalid value: \"{found}\": must be positive"));
        }
    }
    if let Some(percent) = utilization.filter(|percent| *percent < 1) {
        target.problem("averageUtilization", format!("Invalid value: {percent}: must be greater than 0"));
    }
    let thousandths = |value: f64| (value * 1000.0).ceil() as i64;
    let average_target = average.map(|value| Target::AverageValue(thousandths(value)));
    let missing = |said: &str| target.problem("type", format!("Required value: {said}"));
    let made = match (kind.as_deref(), source) {
        (None, _) => {
            missing("must specify a metric target type");
            None
        }
        (Some(other), _) if !["Utilization", "Value", "AverageValue"].contains(&other) => {
            let said =
                format!("Invalid value: {other:?}: must be either Utilization, Value, or AverageValue");
            target.problem("type", said);
            None
        }
        (Some(_), Source::Resource(_) | Source::Container { .. }) => {
            if utilization.is_some() && average.is_some() {
                let said = "Forbidden: may not set both a target raw value and a target utilization";
                target.problem("averageValue", said);
            }
            let made = average_target
                .or_else(|| utilization.and_then(|u| u32::try_from(u).ok()).map(Target::Utilization));
            if made.is_none() && utilization.is_none() {
                missing("must set either a target raw value or a target utilization");
            }
            made
        }
        (Some(_), Source::Pods(_)) => {
            if average.is_none() {
                missing("must specify a positive target averageValue");
            }
            average_target
        }
        (Some(kind), Source::Object(_) | Source::External(_)) => {
            if value.is_some() && average.is_some() {
                let said = "Forbidden: may not set both a target value for metric and a per-pod target";
                target.problem("value", said);
            }
            let made = if kind == "Value" { value.map(|v| Target::Value(thousandths(v))) } else { None };
            let made = made.or(if kind == "AverageValue" { average_target } else { None });
            if made.is_none() {
                missing("must set either a target value for metric or a per-pod target, of this type");
            }
            made
        }
    };
    target.finish(STRICT);
    made
}

pub(crate) fn read_behavior(mut fields: Fields<'_>, flags: &Flags) -> Behavior {
    let defaults = Behavior::default();
    let down = Rules { window: flags.downscale_stabilization, ..defaults.down };
    let behavior = Behavior {
        up: read_rules(&mut fields, "scaleUp", defaults.up, flags),
        down: read_rules(&mut fields, "scaleDown", down, flags),
    };
    fields.finish(STRICT);
    behavior
}

fn read_rules(behavior: &mut Fields<'_>, name: &'static str, defaults: Rules, flags: &Flags) -> Rules {
    let mut rules = defaults;
    let Some(mut fields) = behavior.map(name) else { return rules };
    if let Some(seconds) = fields.int("stabilizationWindowSeconds") {
        let said = match seconds {
            ..0 => Some("must be greater than or equal to zero".to_owned()),
            3601.. => Some("must be less than or equal to 3600".to_owned()),
            _ if seconds > 0 && Duration::from_secs(seconds as u64) < flags.sync_period => Some(format!(
                "the window is shorter than the tick of {}: it would never hold a recommendation \
                 (0 switches it off)",
                flags.sync_period
            )),
            _ => None,
        };
        match said {
            Some(said) => {
                fields.problem("stabilizationWindowSeconds", format!("Invalid value: {seconds}: {said}"));
            }
            None => rules.window = Duration::from_secs(seconds as u64),
        }
    }
    let choices = [("Max", Select::Max), ("Min", Select::Min), ("Disabled", Select::Disabled)];
    rules.select = fields.choice("selectPolicy", &choices).unwrap_or(rules.select);
    if let Some(tolerance) = fields.quantity("tolerance") {
        if tolerance < 0.0 {
            let said = format!("Invalid value: \"{tolerance}\": must be greater than or equal to 0");
            fields.problem("tolerance", said);
        }
        rules.tolerance = Some(tolerance);
    }
    if let Some(steps) = fields.maps("policies") {
        if steps.is_empty() {
            fields.problem("policies", "Required value: must specify at least one Policy");
        }
        rules.steps = steps.into_iter().filter_map(read_step).collect();
    }
    fields.finish(STRICT);
    rules
}

fn read_step(mut fields: Fields<'_>) -> Option<Step> {
    let kinds = [("Pods", StepKind::Pods), ("Percent", StepKind::Percent)];
    let kind = fields.choice("type", &kinds);
    if fields.node("type").is_none() {
        fields.problem("type", "Required value: must specify a policy type");
    }
    let value = fields.int("value").unwrap_or(0);
    if value < 1 {
        fields.problem("value", format!("Invalid value: {value}: must be greater than zero"));
    }
    let period = fields.int("periodSeconds").unwrap_or(0);
    if period < 1 {
        fields.problem("periodSeconds", format!("Invalid value: {period}: must be greater than zero"));
    } else if period > 1800 {
        fields
            .problem("periodSeconds", format!("Invalid value: {period}: must be less than or equal to 1800"));
    }
    fields.finish(STRICT);
    Some(Step {
        kind: kind?,
        value: u32::try_from(value).ok()?,
        period: Duration::from_secs(u64::try_from(period).ok()?),
    })
}
