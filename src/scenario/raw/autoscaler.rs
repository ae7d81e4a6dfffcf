//! `autoscaler` of a deployment: a policy with its settings, or the file that its own project reads; and how its
//! metrics come to it.

mod feeds;
mod policies;

use std::path::PathBuf;

use super::Surroundings;
use super::lifecycle::Replicas;
use crate::policies::replay::Law;
use crate::policies::spec::SpecError;
use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;
use crate::traffic::Start;
use crate::units::Duration;
use crate::world::Feed;
use feeds::{Timing, feeds};

/// An autoscaler, as far as it needs nothing else of the scenario.
#[derive(Debug, Clone)]
pub struct RawAutoscaler {
    /// Its name in the table of decisions.
    pub name: String,
    pub law: Law,
    /// How often it decides.
    pub interval: Duration,
    /// How often while no replica is wanted.
    pub interval_at_zero: Option<Duration>,
    /// How often its metrics are scraped.
    pub scrape: Duration,
    /// How long after a scrape it sees them.
    pub lag: Duration,
    pub feeds: Vec<Feed>,
}

/// The keys that name a file, what is in it, and the policy's name.
const FILES: [(&str, &str, &str); 6] = [
    ("hpa", "A HorizontalPodAutoscaler, autoscaling/v2.", "hpa"),
    ("keda", "A KEDA ScaledObject.", "keda"),
    ("knative", "Knative's ConfigMap config-autoscaler, a Service with annotations, or both.", "knative"),
    ("ray", "A Ray Serve config or an autoscaling_config.", "ray-serve"),
    ("skyserve", "A SkyServe service with its replica_policy.", "skyserve"),
    ("wva", "The saturation settings of llm-d's variant autoscaler (policy: wva).", "wva"),
];

/// Reads `autoscaler`.
pub fn read(
    t: &mut TableReader<'_>,
    around: Surroundings<'_>,
    replicas: Replicas,
    start: Start,
) -> Option<RawAutoscaler> {
    let doc = "What chooses the number of replicas: a policy by name, or a file as its own project reads it.";
    t.table("autoscaler", doc, |t| {
        let mut files: Vec<(&str, Sited<String>, &'static str)> = Vec::new();
        for (key, doc, name) in FILES {
            if let Some(path) = t.optional(key, &kinds::PATH, doc) {
                files.push((key, path, name));
            }
        }
        if t.is_describing() {
            policies::read(t, replicas, start);
            Timing::read(t, "hpa");
            return None;
        }
        let named = FILES.iter().any(|(key, ..)| t.has(key));
        let (name, law) = if named {
            if files.len() > 1 || t.has("policy") {
                let message = format!("{} names more than one policy", t.noun());
                t.problem(Problem::error(t.place, message).help("keep one of them"));
            }
            let (key, path, name) = files.into_iter().next()?;
            t.absolute(key, &around.path(&path));
            (name, from_file(t, around, &path, name)?)
        } else {
            policies::read(t, replicas, start)?
        };
        let timing = Timing::read(t, name)?;
        let feeds = feeds(t, &law, &timing)?;
        Some(RawAutoscaler {
            name: name.to_owned(),
            law,
            interval: timing.interval,
            interval_at_zero: (name == "skyserve").then(|| Duration::from_secs(5).min(timing.interval)),
            scrape: timing.scrape,
            lag: timing.lag,
            feeds,
        })
    })
}

/// The law of a file in its project's own form.
fn from_file(
    t: &mut TableReader<'_>,
    around: Surroundings<'_>,
    path: &Sited<String>,
    name: &'static str,
) -> Option<Law> {
    let file: PathBuf = around.path(path);
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let problem = Problem::error(path.place, format!("{shown} cannot be read: {error}"));
            t.problem(problem.help("a path is relative to the scenario's folder"));
            return None;
        }
    };
    match Law::read(&shown, &text) {
        Ok(law) if kind_of(&law) == name => Some(law),
        Ok(law) => {
            let message = format!("{shown} is the file of {}, not of {name}", kind_of(&law));
            t.problem(Problem::error(path.place, message));
            None
        }
        Err(SpecError { problems, .. }) => {
            for problem in problems {
                let field =
                    if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
                let message = format!("{shown}:{}: {field}{}", problem.line, problem.message);
                t.problem(Problem::error(path.place, message));
            }
            None
        }
    }
}

/// The name of a law's policy in scenarios.
fn kind_of(law: &Law) -> &'static str {
    match law {
        Law::Hpa(_) => "hpa",
        Law::Kpa(_) => "knative",
        Law::Keda(_) => "keda",
        Law::KedaJob(_) => "a ScaledJob",
        Law::Ray(_) => "ray-serve",
        Law::Sky(_) => "skyserve",
        Law::Wva(_) => "wva",
        Law::Dynamo(_) => "Dynamo's planner",
        Law::Llumnix(_) => "Llumnix",
        Law::Scheduled(_) => "scheduled",
        Law::Reactive(_) => "queue-length",
        Law::Predictive(_) => "predictive",
        Law::ClusterAutoscaler(_) => "cluster-autoscaler",
        Law::Karpenter(_) => "karpenter",
    }
}
