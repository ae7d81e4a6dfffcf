//! Scaling up: pods that wait, the estimate of nodes for them, and the choice of a group.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::super::observation::{Pod, fits, take};
use super::super::{Action, NodeDecision, NodeObservation, Resources, Taint};
use super::{ClusterAutoscaler, Expander, Group};
use crate::units::Instant;

/// What one group could do.
#[derive(Debug, Clone)]
struct Choice<'a> {
    group: &'a Group,
    count: u32,
    pods: Vec<&'a Pod>,
}

impl ClusterAutoscaler {
    /// Adds a scale-up if pods wait and a group helps; true when pods wait.
    pub(super) fn scale_up(
        &mut self,
        now: Instant,
        observation: &NodeObservation,
        decision: &mut NodeDecision,
    ) -> bool {
        let waiting = self.waiting(now, observation, decision);
        if waiting.is_empty() {
            return false;
        }
        let total: u32 = self.config.groups.iter().map(|group| self.size(observation, &group.name)).sum();
        let mut choices = Vec::new();
        for group in &self.config.groups {
            if self.backoff.get(&group.name).is_some_and(|(until, _)| now < *until) {
                decision.limits.push(format!("{}: backoff after a failed scale-up", group.name));
                continue;
            }
            if observation.refused.contains(&group.name) {
                decision.limits.push(format!("{}: backoff, the provider has none", group.name));
                continue;
            }
            let size = self.size(observation, &group.name);
            if size >= group.max {
                decision.limits.push(format!("{}: max size reached", group.name));
                continue;
            }
            let mut room = (group.max - size).min(self.config.max_nodes_per_scaleup);
            if self.config.max_nodes_total > 0 {
                room = room.min(self.config.max_nodes_total.saturating_sub(total));
            }
            let (count, pods) = estimate(group, &waiting, room);
            if count > 0 {
                choices.push(Choice { group, count, pods });
            }
        }
        let Some(best) = choose(&self.config.expanders, &self.config.priorities, choices, &mut self.random)
        else {
            return true;
        };
        let pods: Vec<String> = best.pods.iter().map(|pod| pod.name.clone()).collect();
        let shares = if self.config.balance {
            self.balanced(now, observation, &best)
        } else {
            vec![(best.group.name.clone(), best.count)]
        };
        self.last_up = Some(now);
        for (group, count) in shares {
            let size = self.size(observation, &group) + count;
            self.asked.insert(group.clone(), (size, now));
            decision.actions.push(Action::ScaleUp { group, count, pods: pods.clone() });
        }
        true
    }

    /// The nodes of a choice spread over the groups like its own that could take the pods too: one by one to the
    /// smallest (`processors/nodegroupset/balancing_processor.go`).
    fn balanced(&self, now: Instant, observation: &NodeObservation, best: &Choice<'_>) -> Vec<(String, u32)> {
        let open = |group: &&Group| {
            let held = self.backoff.get(&group.name).is_some_and(|(until, _)| now < *until);
            let like = group.name == best.group.name || similar(group, best.group);
            like && !held && !observation.refused.contains(&group.name)
        };
        let takes = |group: &&Group| {
            best.pods
                .iter()
                .all(|pod| pod.suits(&group.labels, &group.taints) && fits(&pod.requests, &group.resources))
        };
        let groups: Vec<&Group> = self.config.groups.iter().filter(open).filter(takes).collect();
        let mut sizes: Vec<(u32, u32, u32)> = groups
            .iter()
            .map(|group| {
                let size = self.size(observation, &group.name);
                (size, size, group.max)
            })
            .collect();
        for _ in 0..best.count {
            let smallest =
                sizes.iter_mut().filter(|(size, _, most)| size < most).min_by_key(|(size, ..)| *size);
            if let Some((size, ..)) = smallest {
                *size += 1;
            }
        }
        let grown =
            groups.iter().zip(sizes).map(|(group, (size, before, _))| (group.name.clone(), size - before));
        grown.filter(|(_, count)| *count > 0).collect()
    }

    /// Pods that wait and fit neither on a node that is there nor on one that is coming.
    fn waiting<'a>(
        &self,
        now: Instant,
        observation: &'a NodeObservation,
        decision: &mut NodeDecision,
    ) -> Vec<&'a Pod> {
        let ready = observation.nodes.iter().filter(|node| node.ready && !node.deleting);
        let mut rooms: Vec<(Resources, _, &[Taint])> =
            ready.map(|node| (observation.free(node), &*node.labels, &node.taints[..])).collect();
        for group in &self.config.groups {
            let here = Self::registered(observation, &group.name);
            let coming = self.size(observation, &group.name) - here;
            rooms.extend((0..coming).map(|_| (group.resources.clone(), &group.labels, &group.taints[..])));
        }
        let mut waiting = Vec::new();
        let pending =
            observation.pods.iter().filter(|pod| pod.node.is_none() && !pod.deleting && !pod.daemon);
        for pod in pending {
            if now.since(pod.created) < self.config.new_pod_delay {
                decision.limits.push(format!("{}: new-pod-scale-up-delay", pod.name));
                continue;
            }
            let room = rooms
                .iter_mut()
                .find(|(free, labels, taints)| pod.suits(labels, taints) && fits(&pod.requests, free));
            match room {
                Some((free, ..)) => take(&pod.requests, free),
                None => waiting.push(pod),
            }
        }
        waiting
    }
}

/// Labels that nodes of similar groups may differ in (`processors/nodegroupset/compare_nodegroups.go`).
const OWN_LABELS: [&str; 7] = [
    "kubernetes.io/hostname",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "beta.kubernetes.io/fluentd-ds-ready",
    "kops.k8s.io/instancegroup",
];

/// Whether new nodes of two groups are alike: the same labels but for places, memory within 1.5 %, all else
/// the same.
fn similar(one: &Group, other: &Group) -> bool {
    let labels = |group: &Group| -> BTreeMap<String, String> {
        let all = group.labels.iter().filter(|(key, _)| !OWN_LABELS.contains(&key.as_str()));
        all.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let close = |name: &String, amount: f64, second: f64| {
        let tolerated = if name == "memory" { 0.015 * amount.max(second) } else { 0.0 };
        (amount - second).abs() <= tolerated
    };
    let same_names = one.resources.len() == other.resources.len();
    let alike = one
        .resources
        .iter()
        .all(|(name, amount)| other.resources.get(name).is_some_and(|second| close(name, *amount, *second)));
    same_names && alike && labels(one) == labels(other) && one.taints == other.taints
}

/// A pod's size on a node of a group: its cpu and memory shares added.
fn score(pod: &Pod, group: &Group) -> f64 {
    let share = |name: &str| {
        let has = group.resources.get(name).copied().unwrap_or(0.0);
        if has > 0.0 { pod.requests.get(name).copied().unwrap_or(0.0) / has } else { 0.0 }
    };
    share("cpu") + share("memory")
}

/// First-fit decreasing onto new nodes of a group, at most `room`; the nodes used and the pods placed.
fn estimate<'a>(group: &Group, waiting: &[&'a Pod], room: u32) -> (u32, Vec<&'a Pod>) {
    let mut pods: Vec<&Pod> = waiting
        .iter()
        .copied()
        .filter(|pod| pod.suits(&group.labels, &group.taints) && fits(&pod.requests, &group.resources))
        .collect();
    pods.sort_by(|a, b| score(b, group).total_cmp(&score(a, group)));
    let mut nodes: Vec<Resources> = Vec::new();
    let mut placed = Vec::new();
    for pod in pods {
        if let Some(free) = nodes.iter_mut().find(|free| fits(&pod.requests, free)) {
            take(&pod.requests, free);
        } else if (nodes.len() as u32) < room {
            let mut free = group.resources.clone();
            take(&pod.requests, &mut free);
            nodes.push(free);
        } else {
            continue;
        }
        placed.push(pod);
    }
    (nodes.len() as u32, placed)
}

/// The share of cpu and memory that a choice would leave over, added (`expander/waste`).
fn waste(choice: &Choice<'_>) -> f64 {
    let left = |name: &str| {
        let has = choice.group.resources.get(name).copied().unwrap_or(0.0) * f64::from(choice.count);
        let used: f64 = choice.pods.iter().filter_map(|pod| pod.requests.get(name)).sum();
        if has > 0.0 { (has - used) / has } else { 0.0 }
    };
    left("cpu") + left("memory")
}

/// The best choice by the expanders in turn; what is still equal is drawn.
fn choose<'a>(
    expanders: &[Expander],
    priorities: &[(i64, Vec<Regex>)],
    mut choices: Vec<Choice<'a>>,
    random: &mut crate::sim::RandomStream,
) -> Option<Choice<'a>> {
    for expander in expanders {
        let cost = |choice: &Choice<'_>| -> f64 {
            match expander {
                Expander::LeastWaste => waste(choice),
                Expander::MostPods => -(choice.pods.len() as f64),
                Expander::LeastNodes => f64::from(choice.count),
                Expander::Price => {
                    let price = choice.group.price.unwrap_or(f64::INFINITY);
                    price * f64::from(choice.count) / choice.pods.len() as f64
                }
                Expander::Priority => {
                    let of = |(_, patterns): &&(i64, Vec<Regex>)| {
                        patterns.iter().any(|pattern| pattern.is_match(&choice.group.name))
                    };
                    let found = priorities.iter().filter(of).map(|(priority, _)| *priority).max();
                    found.map_or(f64::INFINITY, |priority| -(priority as f64))
                }
                Expander::Random => 0.0,
            }
        };
        let best = choices.iter().map(cost).fold(f64::INFINITY, f64::min);
        choices.retain(|choice| cost(choice) == best);
    }
    if choices.is_empty() {
        return None;
    }
    let drawn = if choices.len() == 1 { 0 } else { random.below(choices.len() as u64) as usize };
    Some(choices.swap_remove(drawn))
}
