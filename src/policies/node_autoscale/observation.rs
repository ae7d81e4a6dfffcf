//! What a node autoscaler may look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Requirement, Taint, Toleration};
use crate::units::{Duration, Instant};

/// Amounts of resources (cores, bytes, cards) by name.
pub type Resources = BTreeMap<String, f64>;

/// Nodes, pods and what can be bought.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeObservation {
    /// Nodes that have registered.
    pub nodes: Vec<Node>,
    /// Pods, placed or waiting.
    pub pods: Vec<Pod>,
    /// Target sizes of node groups, where they differ from the registered nodes.
    pub targets: BTreeMap<String, u32>,
    /// Node groups that cannot get larger now: the provider has none, or refused a short while ago.
    pub refused: BTreeSet<String>,
    /// Instance types on offer (Karpenter).
    pub instance_types: Vec<InstanceType>,
    /// When the deletion of a node failed last (Cluster Autoscaler).
    pub failed_delete: Option<Instant>,
    /// The time of the week, since some Monday 00:00, for what keeps to a calendar.
    pub clock: Duration,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its node group or node pool.
    pub group: String,
    /// Its instance type.
    pub instance_type: String,
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: String,
    /// Where it is.
    pub zone: String,
    /// Dollars per hour, where known.
    pub price: Option<f64>,
    /// What pods can have.
    pub allocatable: Arc<Resources>,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// What keeps pods off it.
    pub taints: Vec<Taint>,
    /// When it was created.
    pub created: Instant,
    /// When a pod came or went last.
    pub last_pod_event: Option<Instant>,
    /// Ready.
    pub ready: bool,
    /// On its way out.
    pub deleting: bool,
    /// Marked as not to be taken away.
    pub keep: bool,
    /// No longer what its node pool asks for (Karpenter's drift).
    pub drifted: bool,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Where it runs; none while it waits.
    pub node: Option<String>,
    /// What it requests.
    pub requests: Arc<Resources>,
    /// Labels that its node must have (`nodeSelector`).
    pub selector: Arc<BTreeMap<String, String>>,
    /// The same with operators (required node affinity).
    pub requirements: Vec<Requirement>,
    /// Taints that it bears.
    pub tolerations: Vec<Toleration>,
    /// When it was created.
    pub created: Instant,
    /// Of a DaemonSet: it neither moves nor counts as work.
    pub daemon: bool,
    /// A mirror of a static pod: it neither moves nor blocks.
    pub mirror: bool,
    /// Has been going for longer than its grace period: it counts no more (`drain.IsPodLongTerminating`).
    pub terminated: bool,
    /// Has a controller that makes a new one.
    pub controlled: bool,
    /// Keeps data on its node.
    pub local_storage: bool,
    /// In `kube-system` without a disruption budget.
    pub system: bool,
    /// The annotation `safe-to-evict`.
    pub safe_to_evict: Option<bool>,
    /// Not to be disrupted (`karpenter.sh/do-not-disrupt`, or a budget that allows none).
    pub keep: bool,
    /// Its priority.
    pub priority: f64,
    /// The annotation `controller.kubernetes.io/pod-deletion-cost`.
    pub deletion_cost: f64,
    /// On its way out.
    pub deleting: bool,
}

/// An instance type on offer.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceType {
    /// Its name.
    pub name: String,
    /// What pods can have on it.
    pub allocatable: Resources,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How it can be bought.
    pub offerings: Vec<Offering>,
}

/// One way to buy an instance type.
#[derive(Debug, Clone, PartialEq)]
pub struct Offering {
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: String,
    /// Where.
    pub zone: String,
    /// Dollars per hour.
    pub price: f64,
    /// Whether there is any.
    pub available: bool,
}

/// The resource that is a place for a pod: nodes that do not name it have any number.
pub const POD_PLACES: &str = "pods";
/// What the resources that are ports of a node begin with: each node has one of each.
pub const HOST_PORT: &str = "host-port/";

/// What a node has of a resource that it does not name: places without end, one of each port, nothing else.
fn unnamed(name: &str) -> f64 {
    match name {
        POD_PLACES => f64::INFINITY,
        _ if name.starts_with(HOST_PORT) => 1.0,
        _ => 0.0,
    }
}

/// Whether requests fit into what is free.
pub(super) fn fits(requests: &Resources, free: &Resources) -> bool {
    // Sums of decimal fractions: a pod that fits exactly must not fail by a rounding error.
    requests.iter().all(|(name, wanted)| {
        *wanted <= free.get(name).copied().unwrap_or_else(|| unnamed(name)) * (1.0 + 1e-9) + 1e-9
            || *wanted == 0.0
    })
}

/// Takes requests out of what is free.
pub(super) fn take(requests: &Resources, free: &mut Resources) {
    for (name, wanted) in requests {
        *free.entry(name.clone()).or_insert_with(|| unnamed(name)) -= wanted;
    }
}

impl NodeObservation {
    /// The pods on a node.
    pub fn on(&self, node: &str) -> impl Iterator<Item = &Pod> {
        let name = node.to_owned();
        self.pods.iter().filter(move |pod| pod.node.as_deref() == Some(name.as_str()))
    }

    /// What is free on a node.
    pub fn free(&self, node: &Node) -> Resources {
        let mut free = Resources::clone(&node.allocatable);
        for pod in self.on(&node.name) {
            take(&pod.requests, &mut free);
        }
        free
    }
}
