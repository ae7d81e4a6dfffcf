//! Knative's files: the `config-autoscaler` ConfigMap and a revision's annotations, checked as
//! `pkg/autoscaler/config` and `pkg/apis/autoscaling/annotation_validation.go` check them.

use super::{KpaConfig, TICK};
use crate::policies::spec::{Fields, Node, Problems, go_duration};
use crate::units::Duration;

const WEBHOOK: &str = "Knative: the admission webhook or the config parser denies it";
const DOMAIN: &str = "autoscaling.knative.dev/";

/// What the files say before the target is worked out.
struct Draft<'a> {
    problems: &'a Problems,
    config: KpaConfig,
    fraction: f64,
    concurrency: f64,
    rps: f64,
    container: f64,
    annotated: Option<f64>,
    utilization: Option<f64>,
    total: Option<f64>,
    line: usize,
}

/// Reads a ConfigMap, a Service, Configuration, Revision or PodAutoscaler, or settings of a decider.
pub fn read(documents: &[Node], problems: &Problems) -> Option<KpaConfig> {
    let mut draft = Draft {
        problems,
        config: KpaConfig::default(),
        fraction: 0.7,
        concurrency: 100.0,
        rps: 200.0,
        container: 0.0,
        annotated: None,
        utilization: None,
        total: None,
        line: 1,
    };
    for document in documents {
        if document.text_at(&["kind"]) == Some("ConfigMap") {
            draft.config_map(document);
        }
    }
    for document in documents {
        match document.text_at(&["kind"]) {
            Some("ConfigMap") => {}
            Some(_) => draft.revision(document),
            None => draft.decider(document),
        }
    }
    draft.resolve()
}

impl Draft<'_> {
    fn bad(&self, line: usize, field: &str, said: impl Into<String>) {
        self.problems.add(line, field, said);
    }

    fn config_map(&mut self, document: &Node) {
        let mut top = Fields::new(document, self.problems);
        top.ignore(&["kind", "metadata", "apiVersion"]);
        if document.text_at(&["apiVersion"]) != Some("v1") {
            top.problem("apiVersion", "Kubernetes: no matches for kind \"ConfigMap\": its version is \"v1\"");
        }
        if let Some(mut data) = top.map("data") {
            self.line = data.line();
            data.ignore(&["pod-autoscaler-class", "_example", "allow-zero-initial-scale", "initial-scale"]);
            data.ignore(&["max-scale-limit"]);
            let mut percent = |name, low: f64, what: &str| {
                let value = data.number(name)?;
                if value < low {
                    data.problem(name, format!("{name} = {value}, {what}"));
                }
                Some(value)
            };
            let fraction = percent(
                "container-concurrency-target-percentage",
                f64::MIN_POSITIVE,
                "is outside of valid range of (0, 100]",
            );
            let up = percent("max-scale-up-rate", 1.0 + f64::EPSILON, "must be greater than 1.0");
            let down = percent("max-scale-down-rate", 1.0 + f64::EPSILON, "must be greater than 1.0");
            let concurrency =
                percent("container-concurrency-target-default", 0.01, "can't be less than 0.01");
            let rps = percent("requests-per-second-target-default", 0.01, "must be at least 0.01");
            let panic = percent("panic-threshold-percentage", 0.0, "must be positive");
            let activator = percent("activator-capacity", 1.0, "must be at least 1");
            if let Some(fraction) = fraction {
                // Fractions are taken too, for old files' sake.
                self.fraction = if fraction > 1.0 { fraction / 100.0 } else { fraction };
                if self.fraction > 1.0 {
                    let name = "container-concurrency-target-percentage";
                    data.problem(name, format!("{name} = {fraction} is outside of valid range of (0, 100]"));
                }
            }
            self.concurrency = concurrency.unwrap_or(self.concurrency);
            self.rps = rps.unwrap_or(self.rps);
            let config = &mut self.config;
            config.activator_capacity = activator.unwrap_or(config.activator_capacity);
            config.max_up = up.unwrap_or(config.max_up);
            config.max_down = down.unwrap_or(config.max_down);
            config.panic_threshold = panic.map_or(config.panic_threshold, |percent| percent / 100.0);
            if let Some(percent) = data.number("panic-window-percentage") {
                config.panic_window = percent / 100.0;
            }
            if let Some(burst) = data.number("target-burst-capacity") {
                if burst < 0.0 && burst != -1.0 {
                    let said = "must be either non-negative or -1 (for unlimited)";
                    data.problem(
                        "target-burst-capacity",
                        format!("target-burst-capacity {said}, was: {burst}"),
                    );
                }
                config.burst_capacity = burst;
            }
            config.stable_window = data.duration("stable-window").unwrap_or(config.stable_window);
            config.scale_down_delay = data.duration("scale-down-delay").unwrap_or(config.scale_down_delay);
            let retention = data.duration("scale-to-zero-pod-retention-period");
            config.retention = retention.unwrap_or(config.retention);
            if let Some(grace) = data.duration("scale-to-zero-grace-period") {
                config.grace = grace;
                if grace < Duration::from_secs(6) {
                    let said = format!("scale-to-zero-grace-period must be at least 6s, was: {grace}");
                    data.problem("scale-to-zero-grace-period", said);
                }
            }
            config.scale_to_zero = data.truth("enable-scale-to-zero").unwrap_or(config.scale_to_zero);
            for (name, slot) in [("min-scale", &mut config.min), ("max-scale", &mut config.max)] {
                if let Some(count) = data.number(name) {
                    if count < 0.0 {
                        data.problem(name, format!("{name} = {count}, must be at least 0"));
                    }
                    *slot = count as u32;
                }
            }
            data.finish("Knative ignores keys that it does not know; this is refused here");
        }
        top.finish("Kubernetes: strict decoding error: unknown field");
    }

    fn revision(&mut self, document: &Node) {
        let version = document.text_at(&["apiVersion"]).unwrap_or_default();
        let known = ["serving.knative.dev/v1", "autoscaling.internal.knative.dev/v1alpha1"];
        if !known.contains(&version) {
            let kind = document.text_at(&["kind"]).unwrap_or_default();
            let said = format!("Kubernetes: no matches for kind {kind:?} in version {version:?}");
            self.bad(document.get("apiVersion").map_or(1, |node| node.line), "apiVersion", said);
            return;
        }
        let template = document.get("spec").and_then(|spec| spec.get("template"));
        for (path, owner) in [("metadata", Some(document)), ("spec.template.metadata", template)] {
            let Some(annotations) = owner.and_then(|o| o.get("metadata")).and_then(|m| m.get("annotations"))
            else {
                continue;
            };
            let crate::policies::spec::Tree::Map(entries) = &annotations.tree else { continue };
            for (name, line, node) in entries {
                if let Some(key) = name.strip_prefix(DOMAIN) {
                    self.annotation(key, *line, node.text().unwrap_or_default(), path);
                }
            }
        }
        let spec = template.and_then(|t| t.get("spec")).or_else(|| document.get("spec"));
        if let Some(node) = spec.and_then(|spec| spec.get("containerConcurrency")) {
            match node.text().and_then(|text| text.parse::<f64>().ok()) {
                Some(value) if (0.0..=1000.0).contains(&value) => self.container = value,
                _ => self.bad(node.line, "containerConcurrency", "expected 0 <= value <= 1000 (Knative)"),
            }
        }
    }

    fn annotation(&mut self, key: &str, line: usize, text: &str, path: &str) {
        let field = format!("{path}.annotations.{DOMAIN}{key}");
        let number = || text.parse::<f64>().ok().filter(|value| value.is_finite());
        let invalid = |this: &Self| {
            this.bad(line, &field, format!("invalid value: {text} ({WEBHOOK})"));
        };
        let in_range = |this: &Self, low: f64, high: f64| {
            let value = number().filter(|value| (low..=high).contains(value));
            if value.is_none() {
                let said = format!("expected {low} <= {text} <= {high} ({WEBHOOK})");
                this.bad(line, &field, said);
            }
            value
        };
        let scale = |this: &Self| {
            let value = text.parse::<u32>().ok();
            if value.is_none() {
                invalid(this);
            }
            value
        };
        let time = |this: &Self, low: u64| {
            let value = go_duration(text);
            let fits = |d: &Duration| *d >= Duration::from_secs(low) && *d <= Duration::HOUR;
            if !value.as_ref().is_some_and(fits) {
                this.bad(line, &field, format!("expected {low}s <= {text} <= 1h0m0s ({WEBHOOK})"));
            }
            value
        };
        match key {
            "class" if text == "kpa.autoscaling.knative.dev" => {}
            "class" => {
                let said = format!("class {text:?} is not read here; for the HPA class give the HPA itself");
                self.bad(line, &field, said);
            }
            "metric" => match text {
                "concurrency" => self.config.metric = "concurrency",
                "rps" => self.config.metric = "rps",
                _ => invalid(self),
            },
            "target" => match number() {
                Some(value) if value >= 0.01 => self.annotated = Some(value),
                _ => self.bad(line, &field, format!("target {text} should be at least 0.01 ({WEBHOOK})")),
            },
            "target-utilization-percentage" | "targetUtilizationPercentage" => {
                self.utilization = in_range(self, 1.0, 100.0).map(|percent| percent / 100.0);
            }
            "min-scale" | "minScale" => self.config.min = scale(self).unwrap_or(0),
            "max-scale" | "maxScale" => self.config.max = scale(self).unwrap_or(0),
            "initial-scale" | "initialScale" => {
                scale(self);
            }
            "activation-scale" => match scale(self) {
                Some(count) if count >= 1 => self.config.activation_scale = count,
                _ => self.bad(line, &field, "activation-scale must be greater than or equal to 1"),
            },
            "target-burst-capacity" | "targetBurstCapacity" => match number() {
                Some(value) if value >= 0.0 || value == -1.0 => self.config.burst_capacity = value,
                _ => invalid(self),
            },
            "window" => self.config.stable_window = time(self, 6).unwrap_or(self.config.stable_window),
            "panic-window-percentage" | "panicWindowPercentage" => {
                self.config.panic_window = in_range(self, 1.0, 100.0).unwrap_or(10.0) / 100.0;
            }
            "panic-threshold-percentage" | "panicThresholdPercentage" => {
                self.config.panic_threshold = in_range(self, 110.0, 1000.0).unwrap_or(200.0) / 100.0;
            }
            "scale-down-delay" | "scaleDownDelay" => {
                self.config.scale_down_delay = time(self, 0).unwrap_or_default();
            }
            "scale-to-zero-pod-retention-period" | "scaleToZeroPodRetentionPeriod" => {
                self.config.retention = time(self, 0).unwrap_or_default();
            }
            _ => self.bad(line, &field, format!("invalid key name {DOMAIN}{key:?} ({WEBHOOK})")),
        }
    }

    /// `policy: kpa` with the fields of upstream's `DeciderSpec`.
    fn decider(&mut self, document: &Node) {
        let mut top = Fields::new(document, self.problems);
        top.ignore(&["policy"]);
        let config = &mut self.config;
        let metrics = [("concurrency", "concurrency"), ("rps", "rps")];
        config.metric = top.choice("ScalingMetric", &metrics).unwrap_or(config.metric);
        if let Some(target) = top.number("TargetValue") {
            if target < 0.01 {
                top.problem("TargetValue", format!("target {target} should be at least 0.01"));
            }
            self.annotated = Some(target);
            self.utilization = Some(1.0);
        }
        self.total = top.number("TotalValue");
        config.burst_capacity = top.number("TargetBurstCapacity").unwrap_or(config.burst_capacity);
        config.panic_threshold = top.number("PanicThreshold").unwrap_or(config.panic_threshold);
        config.max_up = top.number("MaxScaleUpRate").unwrap_or(config.max_up);
        config.max_down = top.number("MaxScaleDownRate").unwrap_or(config.max_down);
        config.stable_window = top.duration("StableWindow").unwrap_or(config.stable_window);
        config.scale_down_delay = top.duration("ScaleDownDelay").unwrap_or_default();
        config.reachable = top.truth("Reachable").unwrap_or(true);
        if let Some(count) = top.int("ActivationScale") {
            config.activation_scale = u32::try_from(count).unwrap_or(1);
        }
        config.activator_capacity = top.number("ActivatorCapacity").unwrap_or(config.activator_capacity);
        top.ignore(&["InitialScale"]);
        top.finish("Knative's DeciderSpec has no such field");
    }

    fn resolve(self) -> Option<KpaConfig> {
        let mut config = self.config.clone();
        let window = config.stable_window;
        if window < Duration::from_secs(6) || window > Duration::HOUR {
            let said = format!("stable-window = {window}, must be in [6s; 1h0m0s] range");
            self.bad(self.line, "stable-window", said);
        } else if !window.as_nanos().is_multiple_of(1_000_000_000) {
            let said = format!("stable-window = {window}, must be specified with at most second precision");
            self.bad(self.line, "stable-window", said);
        }
        let least = 1.0 / window.as_secs_f64();
        if !(least..=1.0).contains(&config.panic_window) {
            let (percent, low) = (config.panic_window * 100.0, least * 100.0);
            let said = format!("panic-window-percentage = {percent}, must be in [{low}; 100] range");
            self.bad(self.line, "panic-window-percentage", said);
        }
        let delay = config.scale_down_delay;
        if !delay.is_zero() && delay < TICK {
            let said = format!("scale-down-delay {delay} is shorter than the tick of {TICK}");
            self.bad(self.line, "scale-down-delay", said);
        }
        if config.max > 0 && config.min > config.max {
            let said = format!("max-scale={} is less than min-scale={} ({WEBHOOK})", config.max, config.min);
            self.bad(self.line, "min-scale", said);
        }
        let (mut total, mut fraction) = if config.metric == "rps" {
            (self.rps, 0.7)
        } else {
            (if self.container > 0.0 { self.container } else { self.concurrency }, self.fraction)
        };
        if let Some(annotated) = self.annotated {
            let capped = config.metric == "concurrency" && self.container > 0.0;
            total = if capped { annotated.min(self.container) } else { annotated };
        }
        fraction = self.utilization.unwrap_or(fraction);
        config.target = (total * fraction).max(0.01);
        config.total = self.total.unwrap_or(total);
        self.problems.is_empty().then_some(config)
    }
}
