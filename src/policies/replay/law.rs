//! The laws that can be replayed, and how the file that a user has is told to be one of them.

use serde_json::{Map, Value};

use super::{nodes, number, observe};
use crate::policies::autoscale::dynamo::{self, Dynamo};
use crate::policies::autoscale::hpa::{self, Hpa};
use crate::policies::autoscale::keda::{self, Keda, KedaJob};
use crate::policies::autoscale::kpa::{self, Kpa};
use crate::policies::autoscale::llumnix::{self, Llumnix};
use crate::policies::autoscale::predictive::Predictive;
use crate::policies::autoscale::ray::{self, Ray};
use crate::policies::autoscale::reactive::Reactive;
use crate::policies::autoscale::scheduled::Scheduled;
use crate::policies::autoscale::skyserve::{self, Sky};
use crate::policies::autoscale::wva::{self, Wva};
use crate::policies::autoscale::{Decision, Observation};
use crate::policies::node_autoscale::cluster_autoscaler::{self, ClusterAutoscaler};
use crate::policies::node_autoscale::karpenter::{self, Karpenter};
use crate::policies::spec::{Node, Problem, Problems, SpecError, parse_toml, parse_yaml};
use crate::policies::{Policy, Reason};
use crate::units::Instant;

/// A policy ready to decide.
#[derive(Debug, Clone)]
pub enum Law {
    /// Kubernetes Horizontal Pod Autoscaler.
    Hpa(Box<Hpa>),
    /// Knative Pod Autoscaler.
    Kpa(Box<Kpa>),
    /// KEDA on a ScaledObject.
    Keda(Box<Keda>),
    /// KEDA on a ScaledJob.
    KedaJob(Box<KedaJob>),
    /// Ray Serve.
    Ray(Box<Ray>),
    /// SkyServe.
    Sky(Box<Sky>),
    /// llm-d's workload variant autoscaler.
    Wva(Box<Wva>),
    /// NVIDIA Dynamo's planner.
    Dynamo(Box<Dynamo>),
    /// Llumnix.
    Llumnix(Box<Llumnix>),
    /// Replicas by the clock.
    Scheduled(Box<Scheduled>),
    /// Replicas by queue length or latencies.
    Reactive(Box<Reactive>),
    /// Replicas by a forecast.
    Predictive(Box<Predictive>),
    /// Kubernetes Cluster Autoscaler.
    ClusterAutoscaler(Box<ClusterAutoscaler>),
    /// Karpenter.
    Karpenter(Box<Karpenter>),
}

/// What `policy list` says of a law.
#[derive(Debug, Clone, Copy)]
pub struct LawInfo {
    /// The name that `policy: NAME` takes.
    pub name: &'static str,
    /// What it decides.
    pub decides: &'static str,
    /// The file that it reads.
    pub file: &'static str,
    /// Its rule in a line.
    pub rule: &'static str,
    /// What it was checked against.
    pub source: &'static str,
    /// What is not built, or empty.
    pub not_built: &'static str,
}

/// All laws, in the order of the list.
pub const LAWS: &[LawInfo] = &[
    LawInfo {
        name: "hpa",
        decides: "replicas",
        file: "HorizontalPodAutoscaler autoscaling/v2",
        rule: "largest of ceil(pods * usage/target) over the metrics, outside the tolerance; stabilisation \
               windows, rate policies, bounds",
        source: "kubernetes v1.33 pkg/controller/podautoscaler",
        not_built: "",
    },
    LawInfo {
        name: "kpa",
        decides: "replicas",
        file: "ConfigMap config-autoscaler and autoscaling.knative.dev annotations, or DeciderSpec",
        rule: "ceil(average/target) over a stable and a panic window, rate clamps, panic never falls",
        source: "knative/serving 98e5ef9 pkg/autoscaler",
        not_built: "",
    },
    LawInfo {
        name: "keda",
        decides: "replicas",
        file: "ScaledObject keda.sh/v1alpha1",
        rule: "0 to 1 when a trigger is active, to 0 after the cooldown, an HPA in between, fallback replicas",
        source: "kedacore/keda 8b4f083 pkg/scaling/executor, pkg/fallback",
        not_built: "functions of expr-lang beyond the common ones",
    },
    LawInfo {
        name: "keda-job",
        decides: "jobs to start",
        file: "ScaledJob keda.sh/v1alpha1",
        rule: "jobs wanted less running or pending ones: default, accurate, eager, custom",
        source: "kedacore/keda 8b4f083 pkg/scaling/executor/scale_jobs.go",
        not_built: "rollout and history limits",
    },
    LawInfo {
        name: "ray-serve",
        decides: "replicas",
        file: "autoscaling_config, alone or in a Serve config",
        rule: "running * ongoing/(target * running), factors, bounds, and a wish that has to hold for a delay",
        source: "ray 2.60 serve/autoscaling_policy.py",
        not_built: "custom policies, aggregation functions other than mean",
    },
    LawInfo {
        name: "skyserve",
        decides: "replicas",
        file: "service.replica_policy of SkyPilot",
        rule: "ceil(qps/target) after agreeing decisions; spot with an on-demand base and dynamic fallback",
        source: "skypilot 0.14.1 sky/serve/autoscalers.py",
        not_built: "targets per accelerator",
    },
    LawInfo {
        name: "wva",
        decides: "replicas",
        file: "policy: wva with the saturation ConfigMap's keys",
        rule: "one replica more on the cheapest variant when spare KV or queue is low, one less on the dearest",
        source: "llm-d workload-variant-autoscaler b08b1c7 internal/saturation",
        not_built: "model-based mode, scale to and from zero",
    },
    LawInfo {
        name: "dynamo",
        decides: "prefill and decode engines",
        file: "policy: dynamo with the planner's settings",
        rule: "throughput: ceil(predicted rps / engine rps), 8 a step; load: up when all engines are late, down when \
               the others would not be; easy targets; a band of GPUs",
        source: "ai-dynamo 1.6.1 planner (the arima predictor: approximate)",
        not_built: "predictor prophet, power budgets",
    },
    LawInfo {
        name: "llumnix",
        decides: "replicas",
        file: "policy: llumnix with Llumnix's options",
        rule: "mean of negated remaining steps above -10 adds one, below -60 with one less removes one",
        source: "AlibabaPAI/llumnix 24220fb global_scheduler (the load with one less: approximate)",
        not_built: "migration, other load metrics",
    },
    LawInfo {
        name: "cluster-autoscaler",
        decides: "nodes",
        file: "policy: cluster-autoscaler with its flags and node groups",
        rule: "first-fit decreasing estimate per group and an expander; nodes unneeded for longer than a time go",
        source: "kubernetes/autoscaler 01ea19e cluster-autoscaler (price expander: approximate)",
        not_built: "grpc expander, inter-pod affinity, topology spread",
    },
    LawInfo {
        name: "karpenter",
        decides: "nodes",
        file: "NodePool karpenter.sh/v1",
        rule: "batched pods packed onto the cheapest offerings; empty, several or single nodes consolidated \
               within budgets; expiry",
        source: "kubernetes-sigs/karpenter 2266468 pkg/controllers",
        not_built: "static pools, preferred affinities, topology spread, node repair",
    },
];

/// Laws that people run and that are not built: refused by name.
const NOT_BUILT: [(&str, &str); 5] = [
    ("DynamoGraphDeployment", "this form of NVIDIA Dynamo's planner (give `policy: dynamo`)"),
    ("vpa", "the Vertical Pod Autoscaler"),
    ("VerticalPodAutoscaler", "the Vertical Pod Autoscaler"),
    ("sageserve", "SageServe"),
    ("infaas", "INFaaS"),
];

impl Law {
    /// Reads a specification.
    ///
    /// # Errors
    /// All that is wrong with it, with lines.
    pub fn read(file: &str, text: &str) -> Result<Self, SpecError> {
        let fail = |problem: Problem| SpecError { file: file.to_owned(), problems: vec![problem] };
        let toml = file.ends_with(".toml");
        let documents =
            if toml { parse_toml(text).map(|node| vec![node]) } else { parse_yaml(text) }.map_err(fail)?;
        let problems = Problems::default();
        let law = Self::of(&documents, &problems);
        match law {
            Some(law) if problems.is_empty() => Ok(law),
            _ => {
                let mut problems = problems.into_sorted();
                if problems.is_empty() {
                    problems.push(Problem::new(1, "", "this specification cannot be used"));
                }
                Err(SpecError { file: file.to_owned(), problems })
            }
        }
    }

    fn of(documents: &[Node], problems: &Problems) -> Option<Self> {
        let Some(first) = documents.first() else {
            problems.add(1, "", "the file is empty: a policy is needed, see `fleetsim policy list`");
            return None;
        };
        let named = |name: &str| documents.iter().find(|node| node.text_at(&["policy"]) == Some(name));
        let kind = |kind: &str| documents.iter().find(|node| node.text_at(&["kind"]) == Some(kind));
        if let Some(document) = kind("HorizontalPodAutoscaler") {
            let config = hpa::read(document, named("kube-controller-manager"), problems)?;
            return Some(Self::Hpa(Box::new(Hpa::new(config))));
        }
        if let Some(document) = kind("ScaledObject") {
            let config = keda::read(document, named("kube-controller-manager"), problems)?;
            return Some(Self::Keda(Box::new(Keda::new(config))));
        }
        if let Some(document) = kind("ScaledJob") {
            return Some(Self::KedaJob(Box::new(KedaJob::new(keda::read_job(document, problems)?))));
        }
        if let Some(document) = named("cluster-autoscaler") {
            let config = cluster_autoscaler::read(document, problems)?;
            return Some(Self::ClusterAutoscaler(Box::new(ClusterAutoscaler::new(config))));
        }
        if kind("NodePool").is_some() {
            let config = karpenter::read(documents, problems)?;
            return Some(Self::Karpenter(Box::new(Karpenter::new(config))));
        }
        if let Some(document) = named("wva") {
            return Some(Self::Wva(Box::new(Wva::new(wva::read(document, problems)?))));
        }
        if let Some(document) = named("dynamo") {
            return Some(Self::Dynamo(Box::new(Dynamo::new(dynamo::read(document, problems)?))));
        }
        if let Some(document) = named("llumnix") {
            return Some(Self::Llumnix(Box::new(Llumnix::new(llumnix::read(document, problems)?))));
        }
        if let Some(config) = skyserve::read(first, problems) {
            return Some(Self::Sky(Box::new(Sky::new(config))));
        }
        if let Some(config) = ray::read(first, problems) {
            return Some(Self::Ray(Box::new(Ray::new(config))));
        }
        let knative = ["ConfigMap", "Service", "Configuration", "Revision", "PodAutoscaler"];
        let priorities = first.get("policy").is_some() && named("kpa").is_none();
        if named("kpa").is_some() || (!priorities && knative.iter().any(|name| kind(name).is_some())) {
            return Some(Self::Kpa(Box::new(Kpa::new(kpa::read(documents, problems)?))));
        }
        Self::unknown(first, problems);
        None
    }

    fn unknown(first: &Node, problems: &Problems) {
        let names: Vec<&str> = LAWS.iter().map(|law| law.name).collect();
        let word = first.text_at(&["policy"]).or_else(|| first.text_at(&["kind"]));
        let Some(word) = word else {
            let help =
                "this is no policy's file: a Kubernetes kind or `policy: NAME` is needed; NAME is one of";
            problems.add(first.line, "", format!("{help} {}", names.join(", ")));
            return;
        };
        let line = first.get("policy").or_else(|| first.get("kind")).map_or(1, |node| node.line);
        if let Some((_, what)) = NOT_BUILT.iter().find(|(name, _)| *name == word) {
            problems.add(line, "policy", format!("{what} is not built; there are {}", names.join(", ")));
            return;
        }
        let near = names
            .iter()
            .map(|name| (strsim::jaro_winkler(word, name), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(String::new(), |(_, name)| format!("; did you mean {name:?}?"));
        let known = names.join(", ");
        problems.add(line, "policy", format!("no policy is called {word:?}{near}; there are {known}"));
    }

    /// The same inside a simulation, where what stands around it in its own project is part of it.
    pub fn simulated(self) -> Self {
        match self {
            Self::Kpa(law) => Self::Kpa(Box::new(law.with_activator())),
            other => other,
        }
    }

    /// What its own project has before anything was observed, where the law says so.
    pub fn begins_with(&self) -> Option<u32> {
        match self {
            Self::Sky(law) => Some(law.config().min),
            Self::Ray(law) => Some(law.config().initial.unwrap_or(law.config().min)),
            _ => None,
        }
    }

    /// How many replicas there should be; `None` from a law about nodes.
    pub fn replicas(&mut self, now: Instant, observation: &Observation) -> Option<(Decision, Reason)> {
        Some(match self {
            Self::Hpa(law) => law.decide(now, observation),
            Self::Kpa(law) => law.decide(now, observation),
            Self::Keda(law) => law.decide(now, observation),
            Self::KedaJob(law) => law.decide(now, observation),
            Self::Ray(law) => law.decide(now, observation),
            Self::Sky(law) => law.decide(now, observation),
            Self::Wva(law) => law.decide(now, observation),
            Self::Dynamo(law) => law.decide(now, observation),
            Self::Llumnix(law) => law.decide(now, observation),
            Self::Scheduled(law) => law.decide(now, observation),
            Self::Reactive(law) => law.decide(now, observation),
            Self::Predictive(law) => law.decide(now, observation),
            Self::ClusterAutoscaler(_) | Self::Karpenter(_) => return None,
        })
    }

    /// Decides on one line and writes the answer's fields.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        fields: Map<String, Value>,
        replicas: &mut Option<u32>,
        answer: &mut Map<String, Value>,
    ) -> Result<(), String> {
        match self {
            Self::Hpa(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Kpa(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Keda(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::KedaJob(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Ray(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Sky(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Wva(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Dynamo(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Llumnix(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Reactive(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Predictive(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::Scheduled(law) => scaled(law.as_mut(), now, fields, replicas, answer),
            Self::ClusterAutoscaler(law) => {
                let (decision, Reason(reason)) = law.decide(now, &nodes::observation(now, &fields)?);
                nodes::write(decision, reason, answer);
                Ok(())
            }
            Self::Karpenter(law) => {
                let (decision, Reason(reason)) = law.decide(now, &nodes::observation(now, &fields)?);
                nodes::write(decision, reason, answer);
                Ok(())
            }
        }
    }
}

/// A replica autoscaler's answer.
fn scaled<P>(
    law: &mut P,
    now: Instant,
    fields: Map<String, Value>,
    replicas: &mut Option<u32>,
    answer: &mut Map<String, Value>,
) -> Result<(), String>
where
    P: for<'a> Policy<Observation<'a> = Observation, Decision = Decision>,
{
    let observation = observe::observation(now, fields, *replicas)?;
    let (decision, Reason(reason)) = law.decide(now, &observation);
    *replicas = Some(observation.replicas);
    match decision {
        Err(error) => {
            answer.insert("error".to_owned(), error.to_string().into());
        }
        Ok(scale) => {
            *replicas = Some(scale.desired);
            answer.insert("desired".to_owned(), scale.desired.into());
            answer.insert("raw".to_owned(), scale.raw.into());
            answer.insert("limits".to_owned(), scale.limits.into());
            for (name, value) in scale.figures {
                answer.insert(name.to_owned(), number(value));
            }
            for (name, text) in scale.notes {
                answer.insert(name.to_owned(), text.into());
            }
            if !scale.targets.is_empty() {
                let targets = scale.targets.into_iter().map(|(name, count)| (name, count.into()));
                answer.insert("targets".to_owned(), Value::Object(targets.collect()));
            }
            answer.insert("reason".to_owned(), reason.into());
        }
    }
    Ok(())
}
