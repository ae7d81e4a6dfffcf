//! What a replica autoscaler may look at.

use std::collections::{BTreeMap, BTreeSet};

use crate::units::{Duration, Instant};

/// The state of one deployment at a tick, as its autoscaler sees it: metrics as scraped, lag included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// Replicas asked for at present (Kubernetes: `spec.replicas` of the scale).
    pub replicas: u32,
    /// Replicas that exist (Kubernetes: `status.replicas`), where that differs.
    pub status_replicas: Option<u32>,
    /// Replicas that are ready; counted from the pods when not given.
    pub ready: Option<u32>,
    /// The pods; none when only totals are known.
    pub pods: Option<Vec<Pod>>,
    /// Metrics of the deployment as a whole, by name.
    pub metrics: BTreeMap<String, Measure>,
    /// Metrics that could not be read, and pods without metrics, by name.
    pub missing: BTreeSet<String>,
    /// What happened before the first tick.
    pub history: History,
    /// The instant from which `*_s` figures in `extra` count.
    pub epoch: Instant,
    /// What only one law looks at, by name.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its readiness; `None` before the first report.
    pub ready: Option<bool>,
    /// When it started; `None` when it has not.
    pub start: Option<Instant>,
    /// When its readiness changed last.
    pub ready_changed: Option<Instant>,
    /// Asked to go.
    pub deleting: bool,
    /// Requested resources, in cores or bytes.
    pub requests: BTreeMap<String, f64>,
    /// What was measured on it, in the metric's own unit.
    pub metrics: BTreeMap<String, PodMetric>,
    /// The same for each container, where a law needs it.
    pub containers: BTreeMap<String, Container>,
    /// What it belongs to, where a law tells pods apart: a variant, or `spot` and `on-demand`.
    pub kind: Option<String>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Container {
    /// Requested resources, in cores or bytes.
    pub requests: BTreeMap<String, f64>,
    /// What was measured on it.
    pub metrics: BTreeMap<String, PodMetric>,
}

/// The phase of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not on a node yet, or pulling its images.
    Pending,
    /// On a node.
    #[default]
    Running,
    /// Done.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Not reported.
    Unknown,
}

impl Phase {
    /// The words of Kubernetes.
    pub const ALL: [(&'static str, Self); 5] = [
        ("Pending", Self::Pending),
        ("Running", Self::Running),
        ("Succeeded", Self::Succeeded),
        ("Failed", Self::Failed),
        ("Unknown", Self::Unknown),
    ];
}

/// A metric of one pod.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PodMetric {
    /// In the metric's own unit.
    pub value: f64,
    /// When its window ended.
    pub at: Instant,
    /// Over how long it was taken.
    pub window: Duration,
}

/// A metric of the deployment: one value, several series, or named parts such as a stable and a panic window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measure {
    /// The values of its series; most have one.
    pub values: Vec<f64>,
    /// Named parts.
    pub parts: BTreeMap<String, f64>,
    /// Whether the trigger that reads it is active, where that is recorded.
    pub active: Option<bool>,
}

impl Measure {
    /// One value.
    pub fn one(value: f64) -> Self {
        Self { values: vec![value], ..Self::default() }
    }

    /// The sum of its series; `None` when there is none.
    pub fn total(&self) -> Option<f64> {
        (!self.values.is_empty()).then(|| self.values.iter().sum())
    }

    /// A named part, or the total.
    pub fn part(&self, name: &str) -> Option<f64> {
        self.parts.get(name).copied().or_else(|| self.total())
    }
}

/// What happened before the first tick.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// What was recommended, when.
    pub recommendations: Vec<(Instant, u32)>,
    /// The recommendations are known, if only that there were none.
    pub known: bool,
    /// By how much the replicas were changed, when.
    pub events: Vec<(Instant, i64)>,
}

impl Observation {
    /// `replicas` ready replicas and no metrics.
    pub fn of(replicas: u32) -> Self {
        Self { replicas, ..Self::default() }
    }

    /// The same with a metric.
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.metrics.insert(name.to_owned(), Measure::one(value));
        self
    }

    /// Replicas that are ready: as given, or running and ready pods, or all.
    pub fn ready_replicas(&self) -> u32 {
        self.ready.unwrap_or_else(|| match &self.pods {
            Some(pods) => pods.iter().filter(|pod| pod.serves()).count() as u32,
            None => self.replicas,
        })
    }

    /// A metric that could be read.
    pub fn metric(&self, name: &str) -> Option<&Measure> {
        if self.missing.contains(name) { None } else { self.metrics.get(name) }
    }

    /// The value of a metric, or of the first of several names for it.
    pub fn value(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| self.metric(name).and_then(Measure::total))
    }

    /// The load that a law with one metric weighs: by one of its names as a metric or a number, the sum of
    /// what the pods report under one of them, or the only metric that there is.
    pub fn load(&self, names: &[&str]) -> Option<f64> {
        let number = |name: &&str| self.number(name);
        let of_pods = |name: &&str| {
            let values = self.pods.iter().flatten().filter_map(|pod| pod.metrics.get(*name));
            values.map(|metric| metric.value).reduce(|a, b| a + b)
        };
        let only = || match self.metrics.len() {
            1 => self.metrics.keys().next().and_then(|name| self.metric(name)).and_then(Measure::total),
            _ => None,
        };
        let found = self.value(names).or_else(|| names.iter().find_map(number));
        found.or_else(|| names.iter().find_map(of_pods)).or_else(only)
    }

    /// A number that only one law looks at.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.extra.get(name)?.as_f64()
    }

    /// The instant so many seconds from the epoch; before it too.
    pub fn instant(&self, seconds: f64) -> Instant {
        let nanos = (seconds * 1e9).round() as i64;
        Instant::from_nanos(self.epoch.as_nanos().saturating_add_signed(nanos))
    }

    /// A yes or no that only one law looks at.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.extra.get(name)?.as_bool()
    }
}

impl Pod {
    /// Running and ready.
    pub fn serves(&self) -> bool {
        self.phase == Phase::Running && self.ready == Some(true)
    }
}
