//! The Kubernetes Cluster Autoscaler.
//!
//! Source: kubernetes/autoscaler 01ea19e `cluster-autoscaler/` (`config/flags`, `core/scaleup`,
//! `core/scaledown`, `estimator/binpacking_estimator.go`, `expander/`). Each observation is one scan (10 s).
//! Rules and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | pods that fit on what there is (or is coming) buy nothing | `what_is_coming_counts` |
//! | bin-packing estimate, largest first, limits | `estimates` |
//! | expanders | `expanders` |
//! | unneeded by utilisation and place for the pods, longer than a time | `unneeded` |
//! | cooldowns, minimum size, blocking pods | `what_keeps_a_node` |
//! | give-up after the provision time, halt when too many are unready | `unhealthy` |
//! | backoff of a group doubles, ends with a success and is forgotten after a time | `backs_off` |
//! | nothing is deleted for a while after a deletion failed | `after_a_failed_deletion` |
//! | `balance-similar-node-groups` | `balances` |
//! | taints, node affinity, places for pods, host ports | `places` |
//!
//! Approximate: the price expander takes the lowest price per scheduled pod (upstream also weighs the
//! node's preferred size). Not built, and refused by name: the grpc expander; inter-pod affinity and topology
//! spread (left out of observations).

mod down;
mod read;
mod up;

#[cfg(test)]
mod tests;

pub use read::read;

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::{Action, NodeDecision, NodeObservation, Resources, Taint};
use crate::policies::{Policy, Reason};
use crate::sim::{RandomStream, Seed};
use crate::units::{Duration, Instant};

/// Flags, under their own names with underscores, and the node groups.
#[derive(Debug, Clone)]
pub struct CaConfig {
    /// The node groups.
    pub groups: Vec<Group>,
    /// `expander` (least-waste), several in a row break ties.
    pub expanders: Vec<Expander>,
    /// Groups by priority, for the priority expander: the higher first.
    pub priorities: Vec<(i64, Vec<Regex>)>,
    /// `balance-similar-node-groups` (false).
    pub balance: bool,
    /// `scan-interval` (10 s).
    pub scan_interval: Duration,
    /// `max-nodes-total` (0: none).
    pub max_nodes_total: u32,
    /// `max-nodes-per-scaleup` (1000).
    pub max_nodes_per_scaleup: u32,
    /// `new-pod-scale-up-delay` (0 s).
    pub new_pod_delay: Duration,
    /// `max-node-provision-time` (15 min).
    pub provision_time: Duration,
    /// `initial-node-group-backoff-duration` (5 min).
    pub backoff: Duration,
    /// `max-node-group-backoff-duration` (30 min).
    pub max_backoff: Duration,
    /// `scale-down-enabled` (true).
    pub scale_down: bool,
    /// `scale-down-delay-after-add` (10 min).
    pub after_add: Duration,
    /// `scale-down-delay-after-delete` (0: the scan interval).
    pub after_delete: Duration,
    /// `scale-down-delay-after-failure` (3 min).
    pub after_failure: Duration,
    /// `node-group-backoff-reset-timeout` (3 h): a group that last failed so long ago begins with the first backoff.
    pub backoff_reset: Duration,
    /// `scale-down-unneeded-time` (10 min).
    pub unneeded: Duration,
    /// `scale-down-unready-time` (20 min).
    pub unready: Duration,
    /// `scale-down-unready-enabled` (true).
    pub scale_down_unready: bool,
    /// `scale-down-utilization-threshold` (0.5).
    pub threshold: f64,
    /// `scale-down-gpu-utilization-threshold` (0.5).
    pub gpu_threshold: f64,
    /// `unremovable-node-recheck-timeout` (5 min).
    pub recheck: Duration,
    /// `max-empty-bulk-delete` and `max-scale-down-parallelism` (10).
    pub max_empty: usize,
    /// `max-drain-parallelism` (1).
    pub max_drain: usize,
    /// `ignore-daemonsets-utilization` (false).
    pub ignore_daemons: bool,
    /// `ignore-mirror-pods-utilization` (false).
    pub ignore_mirrors: bool,
    /// `skip-nodes-with-system-pods` (true).
    pub skip_system: bool,
    /// `skip-nodes-with-local-storage` (true).
    pub skip_local: bool,
    /// `max-total-unready-percentage` (45).
    pub max_unready_percent: f64,
    /// `ok-total-unready-count` (3).
    pub ok_unready: u32,
}

/// How to choose between node groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expander {
    /// The least share of cpu and memory left over.
    LeastWaste,
    /// The most pods served.
    MostPods,
    /// The fewest nodes.
    LeastNodes,
    /// The lowest price.
    Price,
    /// The user's order.
    Priority,
    /// Any.
    Random,
}

/// A node group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Least size.
    pub min: u32,
    /// Largest size.
    pub max: u32,
    /// What a new node has for pods.
    pub resources: Resources,
    /// Labels of a new node.
    pub labels: BTreeMap<String, String>,
    /// Taints of a new node.
    pub taints: Vec<Taint>,
    /// Dollars per node and hour.
    pub price: Option<f64>,
}

/// The autoscaler with what it remembers.
#[derive(Debug, Clone)]
pub struct ClusterAutoscaler {
    config: CaConfig,
    random: RandomStream,
    last_up: Option<Instant>,
    last_delete: Option<Instant>,
    /// Since when each node is unneeded.
    unneeded: BTreeMap<String, Instant>,
    /// Until when a node is not looked at again.
    unremovable: BTreeMap<String, Instant>,
    /// Nodes asked for, by group: size wanted and when.
    asked: BTreeMap<String, (u32, Instant)>,
    /// Groups that failed: until when, and for how long the last time.
    backoff: BTreeMap<String, (Instant, Duration)>,
}

impl ClusterAutoscaler {
    /// An autoscaler that has just started.
    pub fn new(config: CaConfig) -> Self {
        Self {
            config,
            random: Seed(0).stream("cluster-autoscaler/expander"),
            last_up: None,
            last_delete: None,
            unneeded: BTreeMap::new(),
            unremovable: BTreeMap::new(),
            asked: BTreeMap::new(),
            backoff: BTreeMap::new(),
        }
    }

    /// The node groups, to be told what nodes of theirs have.
    pub fn groups(&mut self) -> &mut [Group] {
        &mut self.config.groups
    }

    /// How often it looks.
    pub const fn scan_interval(&self) -> Duration {
        self.config.scan_interval
    }

    /// True while time alone changes nothing of what it decides.
    pub fn is_settled(&self, now: Instant) -> bool {
        let looked_at = self.unremovable.values().all(|until| *until <= now);
        self.unneeded.is_empty() && looked_at && self.asked.is_empty()
    }

    /// Nodes of a group that have registered and stay.
    fn registered(observation: &NodeObservation, group: &str) -> u32 {
        observation.nodes.iter().filter(|node| node.group == group && !node.deleting).count() as u32
    }

    /// The size that a group has or is on its way to.
    fn size(&self, observation: &NodeObservation, group: &str) -> u32 {
        let here = Self::registered(observation, group);
        let asked = self.asked.get(group).map_or(0, |(size, _)| *size);
        observation.targets.get(group).copied().unwrap_or(asked).max(here)
    }

    /// Forgets what came, gives up on what never came.
    fn settle(&mut self, now: Instant, observation: &NodeObservation, decision: &mut NodeDecision) {
        let config = &self.config;
        let mut done = Vec::new();
        for (group, (size, since)) in &self.asked {
            let here = Self::registered(observation, group);
            if here >= *size {
                self.backoff.remove(group);
                done.push(group.clone());
            } else if now.since(*since) > config.provision_time {
                decision.actions.push(Action::GiveUp { group: group.clone(), count: size - here });
                // One that is in backoff still fails with the same; one that failed long ago is forgiven.
                let known = self.backoff.get(group);
                let recent = known.filter(|(until, length)| now + *length < *until + config.backoff_reset);
                let before = recent.filter(|(until, _)| *until < now).map(|(_, length)| *length);
                let length = before.map_or(config.backoff, |before| (before * 2).min(config.max_backoff));
                self.backoff.insert(group.clone(), (now + length, length));
                done.push(group.clone());
            }
        }
        for group in done {
            self.asked.remove(&group);
        }
    }

    /// Too many nodes are unready to trust what is seen.
    fn unhealthy(&self, observation: &NodeObservation) -> bool {
        let unready = observation.nodes.iter().filter(|node| !node.ready).count();
        let share = unready as f64 / observation.nodes.len().max(1) as f64 * 100.0;
        unready > self.config.ok_unready as usize && share > self.config.max_unready_percent
    }
}

impl Policy for ClusterAutoscaler {
    type Observation<'a> = NodeObservation;
    type Decision = NodeDecision;

    fn decide(&mut self, now: Instant, observation: &NodeObservation) -> (NodeDecision, Reason) {
        let mut decision = NodeDecision::default();
        if self.unhealthy(observation) {
            decision.limits.push("max-total-unready-percentage".to_owned());
            return (decision, Reason("cluster is not healthy: nothing is scaled"));
        }
        self.settle(now, observation, &mut decision);
        let pending = self.scale_up(now, observation, &mut decision);
        let up = decision.actions.iter().any(|action| matches!(action, Action::ScaleUp { .. }));
        if self.config.scale_down {
            self.scale_down(now, observation, &mut decision);
        }
        let reason = match decision.actions.last() {
            Some(Action::Delete { why, .. }) => why,
            _ if up => "pods wait that a new node would take",
            _ if pending => "pods wait, but no group helps",
            Some(_) => "nodes did not come in time",
            None => "nothing to do",
        };
        (decision, Reason(reason))
    }
}
