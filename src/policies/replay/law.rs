//! The laws that can be replayed, and how the file that a user has is told to be one of them.

use serde_json::{Map, Value};

use super::{number, observe};
use crate::policies::autoscale::hpa::{self, Hpa};
use crate::policies::autoscale::kpa::{self, Kpa};
use crate::policies::autoscale::{Decision, Observation};
use crate::policies::spec::{Node, Problem, Problems, SpecError, parse_toml, parse_yaml};
use crate::policies::{Policy, Reason};
use crate::units::Instant;

/// A policy ready to decide.
#[derive(Debug)]
pub enum Law {
    /// Kubernetes Horizontal Pod Autoscaler.
    Hpa(Box<Hpa>),
    /// Knative Pod Autoscaler.
    Kpa(Box<Kpa>),
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
        not_built: "the grace period's wait for the activator",
    },
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
        let near = names
            .iter()
            .map(|name| (strsim::jaro_winkler(word, name), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(String::new(), |(_, name)| format!("; did you mean {name:?}?"));
        let line = first.get("policy").or_else(|| first.get("kind")).map_or(1, |node| node.line);
        let known = names.join(", ");
        problems.add(line, "policy", format!("no policy is called {word:?}{near}; there are {known}"));
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
            answer.insert("reason".to_owned(), reason.into());
        }
    }
    Ok(())
}
