//! Scaling down: which nodes are unneeded, since when, and which may go now.

use std::collections::BTreeMap;

use super::super::observation::{Node, Pod, fits, take};
use super::super::{Action, NodeDecision, NodeObservation, Resources};
use super::ClusterAutoscaler;
use crate::units::Instant;

/// Resources that make a node a GPU node.
const GPUS: [&str; 3] = ["nvidia.com/gpu", "amd.com/gpu", "gpu"];

impl ClusterAutoscaler {
    /// Keeps the book of unneeded nodes and deletes what has been unneeded for long enough.
    pub(super) fn scale_down(
        &mut self,
        now: Instant,
        observation: &NodeObservation,
        decision: &mut NodeDecision,
    ) {
        let movable = self.unneeded_now(now, observation, decision);
        self.unneeded.retain(|name, _| movable.contains_key(name));
        for name in movable.keys() {
            // A node that turns unready keeps its time; only its threshold changes.
            self.unneeded.entry(name.clone()).or_insert(now);
        }
        if self.last_up.is_some_and(|last| last + self.config.after_add > now) {
            decision.limits.push("scale-down-delay-after-add".to_owned());
            return;
        }
        if self.last_delete.is_some_and(|last| last + self.config.after_delete > now) {
            decision.limits.push("scale-down-delay-after-delete".to_owned());
            return;
        }
        let failed = observation.failed_delete.is_some_and(|last| last + self.config.after_failure > now);
        if failed {
            decision.limits.push("scale-down-delay-after-failure".to_owned());
            return;
        }
        self.delete(now, observation, &movable, decision);
    }

    /// Nodes with little to do whose pods all fit elsewhere, with those pods.
    fn unneeded_now(
        &mut self,
        now: Instant,
        observation: &NodeObservation,
        decision: &mut NodeDecision,
    ) -> BTreeMap<String, Vec<String>> {
        let mut free: BTreeMap<&str, Resources> = observation
            .nodes
            .iter()
            .filter(|node| node.ready && !node.deleting)
            .map(|node| (node.name.as_str(), observation.free(node)))
            .collect();
        let mut movable = BTreeMap::new();
        // Empty nodes come first, as upstream looks at them before those to drain.
        let mut order: Vec<&Node> = observation.nodes.iter().collect();
        order.sort_by_key(|node| observation.on(&node.name).any(|pod| !pod.daemon && !pod.mirror));
        for node in order {
            let known = self.config.groups.iter().any(|group| group.name == node.group);
            if node.deleting || node.keep || !known {
                continue;
            }
            if self.unremovable.get(&node.name).is_some_and(|until| now < *until) {
                continue;
            }
            let (used, threshold) = self.utilization(observation, node);
            if node.ready && used > threshold {
                continue;
            }
            let moving: Vec<&Pod> =
                observation.on(&node.name).filter(|p| !p.daemon && !p.mirror && !p.deleting).collect();
            if let Some(pod) = moving.iter().find(|pod| self.blocks(pod)) {
                decision.limits.push(format!("{}: pod {} may not be moved", node.name, pod.name));
                self.unremovable.insert(node.name.clone(), now + self.config.recheck);
                continue;
            }
            let mut after = free.clone();
            after.remove(node.name.as_str());
            let places = moving.iter().all(|pod| {
                let place = observation
                    .nodes
                    .iter()
                    .filter(|other| pod.suits(&other.labels, &other.taints))
                    .find_map(|other| {
                        after
                            .get(other.name.as_str())
                            .filter(|room| fits(&pod.requests, room))
                            .map(|_| &other.name)
                    });
                let Some(room) = place.and_then(|name| after.get_mut(name.as_str())) else { return false };
                take(&pod.requests, room);
                true
            });
            if !places {
                decision.limits.push(format!("{}: no place for its pods", node.name));
                self.unremovable.insert(node.name.clone(), now + self.config.recheck);
                continue;
            }
            // The next candidates count on what is left.
            free = after;
            movable.insert(node.name.clone(), moving.iter().map(|pod| pod.name.clone()).collect());
        }
        movable
    }

    /// How much of a node is requested, and the threshold: cards alone on GPU nodes, else the larger of cpu
    /// and memory. Skipped DaemonSets and mirror pods leave both sides of the fraction.
    fn utilization(&self, observation: &NodeObservation, node: &Node) -> (f64, f64) {
        let share = |name: &str| {
            let mut has = node.allocatable.get(name).copied().unwrap_or(0.0);
            let mut used = 0.0;
            for pod in observation.on(&node.name).filter(|pod| !pod.terminated) {
                let wanted = pod.requests.get(name).copied().unwrap_or(0.0);
                let skipped =
                    pod.daemon && self.config.ignore_daemons || pod.mirror && self.config.ignore_mirrors;
                if skipped {
                    has -= wanted;
                } else {
                    used += wanted;
                }
            }
            if has > 0.0 { used / has } else { 0.0 }
        };
        let cards = GPUS.iter().find(|name| node.allocatable.get(**name).is_some_and(|count| *count > 0.0));
        match cards {
            Some(name) => (share(name), self.config.gpu_threshold),
            None => (share("cpu").max(share("memory")), self.config.threshold),
        }
    }

    /// Whether a pod keeps its node (`utils/drain`).
    fn blocks(&self, pod: &Pod) -> bool {
        match pod.safe_to_evict {
            Some(true) => pod.keep,
            Some(false) => true,
            None => {
                pod.keep
                    || !pod.controlled
                    || (pod.system && self.config.skip_system)
                    || (pod.local_storage && self.config.skip_local)
            }
        }
    }

    fn delete(
        &mut self,
        now: Instant,
        observation: &NodeObservation,
        movable: &BTreeMap<String, Vec<String>>,
        decision: &mut NodeDecision,
    ) {
        let mut sizes: BTreeMap<&str, u32> = BTreeMap::new();
        for group in &self.config.groups {
            sizes.insert(&group.name, self.size(observation, &group.name));
        }
        let (mut empty, mut drained) = (Vec::new(), Vec::new());
        for node in &observation.nodes {
            let (Some(since), Some(pods)) = (self.unneeded.get(&node.name), movable.get(&node.name)) else {
                continue;
            };
            let needed = if node.ready { self.config.unneeded } else { self.config.unready };
            // Strictly longer.
            if now.since(*since) <= needed || (!node.ready && !self.config.scale_down_unready) {
                continue;
            }
            let Some(group) = self.config.groups.iter().find(|group| group.name == node.group) else {
                continue;
            };
            let Some(size) = sizes.get_mut(node.group.as_str()) else { continue };
            if *size <= group.min {
                decision.limits.push(format!("{}: min size of {} reached", node.name, group.name));
                continue;
            }
            if pods.is_empty() {
                if empty.len() < self.config.max_empty {
                    empty.push(node.name.clone());
                    *size -= 1;
                }
            } else if drained.len() < self.config.max_drain {
                drained.push((node.name.clone(), pods.clone()));
                *size -= 1;
            }
        }
        let room = self.config.max_empty.saturating_sub(empty.len());
        drained.truncate(room);
        if empty.is_empty() && drained.is_empty() {
            return;
        }
        self.last_delete = Some(now);
        for name in empty.iter().chain(drained.iter().map(|(name, _)| name)) {
            self.unneeded.remove(name);
            let group = observation.nodes.iter().find(|node| node.name == *name).map(|node| &node.group);
            if let Some((size, _)) = group.and_then(|group| self.asked.get_mut(group)) {
                *size = size.saturating_sub(1);
            }
        }
        if !empty.is_empty() {
            decision.actions.push(Action::Delete {
                nodes: empty,
                why: "empty and unneeded",
                pods: Vec::new(),
            });
        }
        for (name, pods) in drained {
            let why = "underutilised and its pods fit elsewhere";
            decision.actions.push(Action::Delete { nodes: vec![name], why, pods });
        }
    }
}
