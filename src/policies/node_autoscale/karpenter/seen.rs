//! An observation with what every look needs of it worked out once: the pods of each node, and what is free there.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::super::observation::take;
use super::super::{Node, NodeObservation, Pod, Resources, Taint};
use super::{CAPACITY_TYPE, INSTANCE_TYPE, POOL, ZONE};

/// A node with room.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pub(super) name: &'a str,
    pub(super) free: Resources,
    /// Its labels, those that Karpenter sets included.
    pub(super) labels: BTreeMap<&'a str, &'a str>,
    pub(super) taints: &'a [Taint],
}

/// The observation of one look.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    all: &'a NodeObservation,
    on: BTreeMap<&'a str, Vec<&'a Pod>>,
    rooms: Vec<Room<'a>>,
}

impl Deref for Seen<'_> {
    type Target = NodeObservation;

    fn deref(&self) -> &NodeObservation {
        self.all
    }
}

impl<'a> Seen<'a> {
    pub(super) fn new(all: &'a NodeObservation) -> Self {
        let mut on: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in &all.pods {
            if let Some(node) = &pod.node {
                on.entry(node).or_default().push(pod);
            }
        }
        let staying = all.nodes.iter().filter(|node| !node.deleting);
        let rooms = staying.map(|node| room(node, on.get(node.name.as_str()))).collect();
        Self { all, on, rooms }
    }

    /// All of it.
    pub(super) const fn all(&self) -> &'a NodeObservation {
        self.all
    }

    /// The pods on a node that have to be put elsewhere when it goes.
    pub(super) fn movable(&self, node: &str) -> impl Iterator<Item = &'a Pod> + '_ {
        let pods = self.on.get(node).into_iter().flatten().copied();
        pods.filter(|pod| !pod.daemon && !pod.deleting)
    }

    /// The nodes that stay, with what is free on each.
    pub(super) fn rooms(&self) -> &[Room<'a>] {
        &self.rooms
    }
}

fn room<'a>(node: &'a Node, pods: Option<&Vec<&Pod>>) -> Room<'a> {
    let mut free = Resources::clone(&node.allocatable);
    pods.into_iter().flatten().for_each(|pod| take(&pod.requests, &mut free));
    let own = node.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut labels: BTreeMap<&str, &str> = own.collect();
    for (key, value) in [
        (INSTANCE_TYPE, &node.instance_type),
        (CAPACITY_TYPE, &node.capacity_type),
        (ZONE, &node.zone),
        (POOL, &node.group),
    ] {
        labels.entry(key).or_insert(value);
    }
    Room { name: &node.name, free, labels, taints: &node.taints }
}
