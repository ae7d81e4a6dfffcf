//! `node_autoscaler`.

use std::path::PathBuf;

use super::Surroundings;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::Sited;

/// Who buys and gives back nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePolicy {
    /// What is pending is bought.
    Pending,
    /// Kubernetes Cluster Autoscaler.
    ClusterAutoscaler,
    /// Karpenter.
    Karpenter,
}

/// A node autoscaler, and its own file where there is one.
#[derive(Debug)]
pub struct RawNodeAutoscaler {
    pub policy: NodePolicy,
    pub file: Option<Sited<PathBuf>>,
    pub place: Place,
}

const POLICIES: [(&str, NodePolicy); 3] = [
    ("pending", NodePolicy::Pending),
    ("cluster-autoscaler", NodePolicy::ClusterAutoscaler),
    ("karpenter", NodePolicy::Karpenter),
];

/// Reads it.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<RawNodeAutoscaler> {
    let doc = "Who buys and gives back nodes; what is pending is bought when absent.";
    t.table("node_autoscaler", doc, |t| {
        let doc = "Cluster Autoscaler's settings, as `policy replay` reads them; short for policy and file.";
        let cluster = t.optional("cluster_autoscaler", &kinds::PATH, doc);
        let doc = "Karpenter's NodePool manifests; short for policy and file.";
        let karpenter = t.optional("karpenter", &kinds::PATH, doc);
        let doc = "Its own file; the pools of the scenario and the policy's defaults when absent.";
        let file = t.optional("file", &kinds::PATH, doc);
        let short = cluster
            .map(|file| (NodePolicy::ClusterAutoscaler, "cluster_autoscaler", file))
            .or(karpenter.map(|file| (NodePolicy::Karpenter, "karpenter", file)));
        let (policy, file) = match short {
            Some((_, key, path)) if t.has("policy") || file.is_some() => {
                let message = format!("{} has `{key}` beside `policy` or `file`", t.noun());
                t.problem(Problem::error(path.place, message).help("keep one form"));
                return None;
            }
            Some((policy, key, path)) => {
                t.declare("policy", "a policy's name", None, "Which one.");
                (policy, Some((key, path)))
            }
            None => {
                let policy = t.choice("policy", &POLICIES, &[], None, "Which one.");
                (*policy?, file.map(|file| ("file", file)))
            }
        };
        let file = file.map(|(key, written)| {
            let path = around.path(&written);
            t.file_exists(&written, &path, &[]);
            t.absolute(key, &path);
            Sited { value: path, place: written.place }
        });
        if let (NodePolicy::Pending, Some(file)) = (policy, &file) {
            let problem = Problem::error(file.place, "`pending` has no file of its own".to_owned());
            t.problem(problem.help("take `file` out"));
        }
        Some(RawNodeAutoscaler { policy, file, place: t.place })
    })
}
