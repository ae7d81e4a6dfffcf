//! Provisioning: waiting pods gathered into a batch, packed, and bought for.

use std::collections::{BTreeMap, BTreeSet};

use super::super::observation::{InstanceType, Node, Pod, fits, take};
use super::super::{Action, NodeDecision, NodeObservation, Resources};
use super::seen::Seen;
use super::{CAPACITY_TYPE, Coming, INSTANCE_TYPE, Karpenter, NodePool, POOL, ZONE};
use crate::units::{Duration, Instant};

/// An offering of an instance type: its place in the lists, and its price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Offer {
    pub(super) kind: usize,
    pub(super) offering: usize,
    pub(super) price: f64,
}

/// A node that would be bought.
#[derive(Debug, Clone)]
pub(super) struct Claim<'a> {
    pub(super) pool: &'a NodePool,
    pub(super) pods: Vec<&'a Pod>,
    requests: Resources,
    /// What the pool's limits left when it was opened.
    room: Resources,
    /// What can still be bought for it, cheapest first.
    pub(super) offers: Vec<Offer>,
}

/// The result of packing pods onto nodes and new claims.
#[derive(Debug, Clone, Default)]
pub(super) struct Packing<'a> {
    pub(super) claims: Vec<Claim<'a>>,
    pub(super) unplaced: Vec<&'a Pod>,
}

/// The labels that a node from an offering would have.
fn labels<'a>(pool: &'a NodePool, kind: &'a InstanceType, offering: usize) -> BTreeMap<&'a str, &'a str> {
    let own = kind.labels.iter().chain(&pool.labels);
    let mut labels: BTreeMap<&str, &str> = own.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    labels.insert(INSTANCE_TYPE, &kind.name);
    labels.insert(CAPACITY_TYPE, &kind.offerings[offering].capacity_type);
    labels.insert(ZONE, &kind.offerings[offering].zone);
    labels.insert(POOL, &pool.name);
    labels
}

/// Whether what is left has as many values of each label as the pool's `minValues` ask for.
pub(super) fn varied(pool: &NodePool, kinds: &[InstanceType], offers: &[Offer]) -> bool {
    pool.requirements.iter().all(|requirement| {
        let Some(least) = requirement.min_values else { return true };
        let key = requirement.key.as_str();
        let values: BTreeSet<String> = offers
            .iter()
            .filter_map(|offer| {
                labels(pool, &kinds[offer.kind], offer.offering).get(key).map(|v| (*v).to_owned())
            })
            .collect();
        values.len() >= least as usize
    })
}

/// The offerings of a pool that pods and all their requests together allow, cheapest first.
fn offers(pool: &NodePool, kinds: &[InstanceType], pods: &[&Pod], requests: &Resources) -> Vec<Offer> {
    let mut offers = Vec::new();
    if pods.iter().any(|pod| !pod.tolerates(&pool.taints)) {
        return offers;
    }
    for (k, kind) in kinds.iter().enumerate().filter(|(_, kind)| fits(requests, &kind.allocatable)) {
        for (o, offering) in kind.offerings.iter().enumerate().filter(|(_, offering)| offering.available) {
            let labels = labels(pool, kind, o);
            let label = |key: &str| labels.get(key).copied();
            let required =
                pool.requirements.iter().all(|requirement| requirement.allows(label(&requirement.key)));
            let selected = pods.iter().all(|pod| pod.wants(label));
            if required && selected {
                offers.push(Offer { kind: k, offering: o, price: offering.price });
            }
        }
    }
    if !varied(pool, kinds, &offers) {
        offers.clear();
    }
    offers.sort_by(|a, b| a.price.total_cmp(&b.price));
    offers
}

/// Whether a type stays within what a pool's limits leave.
fn within(kind: &InstanceType, limits: &Resources) -> bool {
    limits.iter().all(|(name, limit)| kind.allocatable.get(name).copied().unwrap_or(0.0) <= *limit)
}

/// Packs pods, the largest by cpu and then memory first: onto nodes, onto claims (the emptiest first), onto
/// a new claim of the heaviest pool that has room in its limits.
pub(super) fn pack<'a>(
    pools: &'a [NodePool],
    observation: &'a Seen<'a>,
    coming: &mut [Coming],
    mut pods: Vec<&'a Pod>,
    without: &[&str],
) -> Packing<'a> {
    let amount = |pod: &Pod, name: &str| pod.requests.get(name).copied().unwrap_or(0.0);
    pods.sort_by(|a, b| {
        let by = |name| amount(b, name).total_cmp(&amount(a, name));
        by("cpu").then(by("memory")).then(a.created.cmp(&b.created)).then_with(|| a.name.cmp(&b.name))
    });
    let stays = |node: &&Node| !node.deleting && !without.contains(&node.name.as_str());
    // What is free where something was put; elsewhere it is as observed.
    let mut taken: BTreeMap<usize, Resources> = BTreeMap::new();
    let rooms = observation.rooms();
    let open: Vec<usize> = (0..rooms.len()).filter(|place| !without.contains(&rooms[*place].name)).collect();
    let mut left: BTreeMap<&str, Resources> = BTreeMap::new();
    for pool in pools {
        let mut limits = pool.limits.clone();
        for node in observation.all().nodes.iter().filter(|node| node.group == pool.name && stays(node)) {
            for (name, limit) in &mut limits {
                *limit -= node.allocatable.get(name).copied().unwrap_or(0.0);
            }
        }
        left.insert(&pool.name, limits);
    }
    let kinds = &observation.all().instance_types;
    let mut packing = Packing::default();
    for pod in pods {
        let room = open.iter().copied().find(|place| {
            let room = &rooms[*place];
            fits(&pod.requests, taken.get(place).unwrap_or(&room.free))
                && pod.tolerates(room.taints)
                && pod.wants(|key| room.labels.get(key).copied())
        });
        if let Some(place) = room {
            take(&pod.requests, taken.entry(place).or_insert_with(|| rooms[place].free.clone()));
            continue;
        }
        let room = coming.iter_mut().find(|node| {
            let pool = pools.iter().find(|pool| pool.name == node.pool);
            let taints = pool.map_or(&[][..], |pool| &pool.taints);
            pod.suits(&node.labels, taints) && fits(&pod.requests, &node.free)
        });
        if let Some(node) = room {
            take(&pod.requests, &mut node.free);
            node.pods.push(pod.name.clone());
            continue;
        }
        packing.claims.sort_by_key(|claim| claim.pods.len());
        let joined = packing.claims.iter_mut().any(|claim| {
            let mut requests = claim.requests.clone();
            for (name, wanted) in pod.requests.iter() {
                *requests.entry(name.clone()).or_insert(0.0) += wanted;
            }
            let mut together = claim.pods.clone();
            together.push(pod);
            let mut remaining = offers(claim.pool, kinds, &together, &requests);
            remaining.retain(|offer| within(&kinds[offer.kind], &claim.room));
            let fits = !remaining.is_empty();
            if fits {
                claim.pods.push(pod);
                claim.requests = requests;
                claim.offers = remaining;
            }
            fits
        });
        if joined {
            continue;
        }
        let claim = pools.iter().find_map(|pool| {
            let limits = left.get(pool.name.as_str())?;
            let mut offers = offers(pool, kinds, &[pod], &pod.requests);
            // A pool's limits leave out types that would exceed them.
            offers.retain(|offer| within(&kinds[offer.kind], limits));
            let requests = Resources::clone(&pod.requests);
            let room = limits.clone();
            (!offers.is_empty()).then(|| Claim { pool, pods: vec![pod], requests, room, offers })
        });
        match claim {
            Some(claim) => {
                if let (Some(limits), Some(offer)) =
                    (left.get_mut(claim.pool.name.as_str()), claim.offers.first())
                {
                    for (name, limit) in limits {
                        *limit -= kinds[offer.kind].allocatable.get(name).copied().unwrap_or(0.0);
                    }
                }
                packing.claims.push(claim);
            }
            None => packing.unplaced.push(pod),
        }
    }
    packing
}

/// The purchase that a claim comes to: its cheapest offering.
pub(super) fn purchase(claim: &Claim<'_>, observation: &NodeObservation) -> Option<Action> {
    let offer = claim.offers.first()?;
    let kind = &observation.instance_types[offer.kind];
    let offering = &kind.offerings[offer.offering];
    Some(Action::Create {
        pool: claim.pool.name.clone(),
        instance_type: kind.name.clone(),
        capacity_type: offering.capacity_type.clone(),
        zone: offering.zone.clone(),
        price: offering.price,
        pods: claim.pods.iter().map(|pod| pod.name.clone()).collect(),
    })
}

impl Claim<'_> {
    /// The node that its cheapest offering will be.
    fn node(&self, observation: &NodeObservation) -> Option<Coming> {
        let offer = self.offers.first()?;
        let kind = &observation.instance_types[offer.kind];
        let mut free = kind.allocatable.clone();
        self.pods.iter().for_each(|pod| take(&pod.requests, &mut free));
        let labels = labels(self.pool, kind, offer.offering);
        let owned = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let pods = self.pods.iter().map(|pod| pod.name.clone()).collect();
        Some(Coming { pool: self.pool.name.clone(), free, labels: owned, pods })
    }
}

impl Karpenter {
    /// Gathers waiting pods; buys when the batch is closed. Says what it waits for.
    pub(super) fn provision(
        &mut self,
        now: Instant,
        observation: &Seen<'_>,
        decision: &mut NodeDecision,
    ) -> Option<&'static str> {
        let waiting: Vec<&Pod> = observation
            .all()
            .pods
            .iter()
            .filter(|pod| pod.node.is_none() && !pod.daemon && !pod.deleting)
            .collect();
        // A node that has not registered after 15 min is given up (`registrationTTL`), and bought anew.
        let coming = |since: &Instant| now.since(*since) < Duration::from_secs(900);
        self.bought.retain(|name, since| coming(since) && waiting.iter().any(|pod| pod.name == *name));
        // What a bought node has left is known until its pods are on it.
        self.coming.retain(|node| node.pods.iter().any(|pod| self.bought.contains_key(pod)));
        let names: Vec<String> = waiting.iter().map(|pod| pod.name.clone()).collect();
        if names.iter().all(|name| self.bought.contains_key(name)) {
            self.batch = None;
            return None;
        }
        let (since, changed) = match &self.batch {
            Some((since, changed, known)) if *known == names => (*since, *changed),
            Some((since, ..)) => (*since, now),
            None => (now, now),
        };
        let idle = now.since(changed) >= self.config.batch_idle;
        if !idle && now.since(since) < self.config.batch_max {
            self.batch = Some((since, changed, names));
            return Some("batching: pods still arrive");
        }
        self.batch = None;
        let new: Vec<&Pod> = waiting.into_iter().filter(|pod| !self.bought.contains_key(&pod.name)).collect();
        let known: Vec<usize> = self.coming.iter().map(|node| node.pods.len()).collect();
        let packing = pack(&self.config.pools, observation, &mut self.coming, new, &[]);
        for (node, known) in self.coming.iter().zip(known) {
            self.bought.extend(node.pods[known..].iter().map(|name| (name.clone(), now)));
        }
        for claim in &packing.claims {
            decision.actions.extend(purchase(claim, observation));
            self.bought.extend(claim.pods.iter().map(|pod| (pod.name.clone(), now)));
            self.coming.extend(claim.node(observation));
        }
        for pod in &packing.unplaced {
            decision.limits.push(format!("{}: no node pool and instance type is compatible", pod.name));
        }
        None
    }
}
