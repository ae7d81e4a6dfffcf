//! A node autoscaler at work: what it sees is made of the inventory, what it decides becomes orders and nodes
//! given back.
//!
//! A pod is a replica, a claim that waits, or a part of a job's gang on one node. It requests its cards (as
//! `nvidia.com/gpu`), and one core and one GiB with each: so laws that weigh cores and memory weigh cards. That
//! it may run on some pools and not on others stands in a label of their nodes, which it selects. Jobs are
//! marked as not to be moved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::events::Event;
use super::run::World;
use crate::fleet::{Holder, PoolId, Stage};
use crate::jobs::JobList;
use crate::metrics::results::DecisionRow;
use crate::policies::node_autoscale::{
    Action, InstanceType, Node, NodeDecision, NodeObservation, Offering, Pod, Resources,
};
use crate::policies::replay::Law;
use crate::policies::{Policy as _, Reason};
use crate::serving::DeploymentConfig;
use crate::units::{Duration, Instant};

/// How long what is on a node may stay when a node autoscaler gives the node back: Cluster Autoscaler's
/// `max-graceful-termination-sec` (600 s).
const GRACE: Duration = Duration::from_secs(600);
/// Between two looks of Karpenter while something is going on: its batch is closed after a second without
/// another pod.
const KARPENTER_TICK: Duration = Duration::from_secs(1);
/// Between two looks of Karpenter at what could be disrupted (`pollingPeriod`).
const KARPENTER_POLL: Duration = Duration::from_secs(10);

/// A node autoscaler with what the world remembers for it.
#[derive(Debug)]
pub(super) struct NodeScaler {
    law: Law,
    name: String,
    /// When it looks next.
    next: Option<Instant>,
    /// Something has changed since it looked last.
    changed: bool,
    /// Nodes that go once others are ready: those waited for, and those that go.
    held: Vec<(Vec<String>, Vec<String>, &'static str)>,
    /// The `NodePool` of nodes that were bought for one, by name.
    groups: BTreeMap<String, String>,
}

impl NodeScaler {
    pub(super) fn new(plan: &super::NodeScalerPlan) -> Self {
        Self {
            law: plan.law.clone(),
            name: plan.name.clone(),
            next: None,
            changed: false,
            held: Vec::new(),
            groups: BTreeMap::new(),
        }
    }

    /// An order came to nothing.
    pub(super) fn refused(&mut self) {
        if let Law::Karpenter(law) = &mut self.law {
            law.forget_bought();
        }
    }

    /// The grid of its looks.
    fn interval(&self) -> Duration {
        match &self.law {
            Law::ClusterAutoscaler(law) => law.scan_interval(),
            _ => KARPENTER_TICK,
        }
    }

    /// Whether time alone may change what it decides.
    fn is_settled(&self, now: Instant) -> bool {
        match &self.law {
            Law::ClusterAutoscaler(law) => law.is_settled(now),
            Law::Karpenter(law) => law.is_settled(),
            _ => true,
        }
    }
}

/// The label of nodes on which holders with these pools may be.
fn label(pools: impl Iterator<Item = PoolId>) -> String {
    let pools: BTreeSet<u16> = pools.map(|pool| pool.0).collect();
    let pools: Vec<String> = pools.iter().map(u16::to_string).collect();
    format!("fleetsim/pools-{}", pools.join("-"))
}

/// What so many cards are to a law that weighs resources.
pub fn card_resources(count: u32) -> Resources {
    let count = f64::from(count);
    let each = [("nvidia.com/gpu", count), ("cpu", count), ("memory", count * 1_073_741_824.0)];
    each.into_iter().map(|(name, amount)| (name.to_owned(), amount)).collect()
}

/// The labels of each pool's nodes: one for each set of pools that somebody may use.
pub fn node_labels(
    pools: usize,
    deployments: &[DeploymentConfig],
    jobs: &JobList,
) -> Vec<BTreeMap<String, String>> {
    let mut labels = vec![BTreeMap::new(); pools];
    let of_deployments =
        deployments.iter().map(|plan| plan.options.iter().map(|option| option.pool).collect::<Vec<_>>());
    for set in of_deployments.chain(jobs.places().iter().cloned()) {
        let name = label(set.iter().copied());
        for pool in set {
            labels[pool.index()].insert(name.clone(), "true".to_owned());
        }
    }
    labels
}

fn node_name(pool: &str, node: u32, run: u32) -> String {
    format!("{pool}/{node}.{run}")
}

impl World<'_> {
    /// Something that a node autoscaler may see has changed: it looks at its next turn.
    pub(super) fn node_scaler_sees(&mut self, now: Instant) {
        let Some(scaler) = &mut self.node_scaler else { return };
        scaler.changed = true;
        let step = scaler.interval();
        let turn = Instant::ZERO + now.since(Instant::ZERO).round_up_to(step);
        self.look_at(turn);
    }

    /// Looks at `at`, unless it looks before.
    fn look_at(&mut self, at: Instant) {
        let Some(scaler) = &mut self.node_scaler else { return };
        if scaler.next.is_none_or(|next| at < next) {
            scaler.next = Some(at);
            self.queue.push(at, Event::ScaleNodes);
        }
    }

    /// The node autoscaler looks, decides, and is done what it says.
    pub(super) fn scale_nodes(&mut self, now: Instant) {
        let Some(mut scaler) = self.node_scaler.take() else { return };
        if scaler.next != Some(now) {
            self.node_scaler = Some(scaler);
            return;
        }
        scaler.next = None;
        let changed = std::mem::take(&mut scaler.changed);
        if changed && self.may_rest(now, &scaler) {
            self.node_scaler = Some(scaler);
            self.look_at(now + KARPENTER_POLL);
            return;
        }
        let observation = self.observe_nodes(now, &scaler);
        let (decision, Reason(reason)) = match &mut scaler.law {
            Law::ClusterAutoscaler(law) => law.decide(now, &observation),
            Law::Karpenter(law) => law.decide(now, &observation),
            _ => (NodeDecision::default(), Reason("no node autoscaler")),
        };
        let acted = !decision.actions.is_empty() || !decision.limits.is_empty();
        self.act(now, &mut scaler, decision, reason);
        self.release_held(now, &mut scaler);
        let karpenter = matches!(scaler.law, Law::Karpenter(_));
        let settled = scaler.is_settled(now);
        let next = if karpenter && settled && !acted {
            // It polls for what could be disrupted as long as something has changed, and again when a node
            // has been quiet for long enough or is too old.
            let ripe = self.next_ripe(now, &scaler, &observation);
            if changed { Some(now + KARPENTER_POLL) } else { ripe }
        } else if changed || acted || !settled || !scaler.held.is_empty() {
            Some(now + scaler.interval())
        } else {
            None
        };
        self.node_scaler = Some(scaler);
        if let Some(next) = next {
            self.look_at(next);
        }
    }

    /// Whether a look now could do nothing, so that nobody has to describe all nodes and pods for it.
    fn may_rest(&self, now: Instant, scaler: &NodeScaler) -> bool {
        let Law::Karpenter(law) = &scaler.law else { return false };
        let waits = self.inventory.pending().next().is_some() || self.jobs.waiting().next().is_some();
        if waits || !scaler.held.is_empty() {
            return false;
        }
        let pools = (0..self.config.pools.len() as u16).map(PoolId);
        let oldest = pools.flat_map(|pool| self.nodes.of(pool)).map(|view| view.ordered).min();
        law.rests(now, oldest)
    }

    /// When a node will have been quiet for as long as its `NodePool` wants, or will be too old.
    fn next_ripe(&self, now: Instant, scaler: &NodeScaler, seen: &NodeObservation) -> Option<Instant> {
        let Law::Karpenter(law) = &scaler.law else { return None };
        let times = seen.nodes.iter().flat_map(|node| law.ripe_at(node));
        times
            .filter(|at| *at > now)
            .min()
            .map(|at| Instant::ZERO + at.since(Instant::ZERO).round_up_to(KARPENTER_TICK))
    }

    /// What the node autoscaler sees.
    fn observe_nodes(&self, now: Instant, scaler: &NodeScaler) -> NodeObservation {
        let karpenter = matches!(scaler.law, Law::Karpenter(_));
        let mut seen = NodeObservation { clock: now.since(Instant::ZERO), ..NodeObservation::default() };
        let leaving: BTreeSet<&String> = scaler.held.iter().flat_map(|(_, nodes, _)| nodes).collect();
        let labels = node_labels(self.config.pools.len(), &self.config.deployments, self.jobs.list());
        let labels: Vec<_> = labels.into_iter().map(Arc::new).collect();
        for (pool, plan) in (0u16..).map(PoolId).zip(&self.config.pools) {
            let Some(supply) = &plan.fleet.supply else { continue };
            let fleet = &plan.fleet;
            let instance = fleet.offer.split_once('/').map_or(fleet.offer.as_str(), |(_, name)| name);
            let price = self.ledger.unit_price(pool.index()).unwrap_or_default();
            let capacity_type = match plan.tariff.purchase {
                crate::billing::Purchase::Spot => "spot",
                purchase if purchase.is_committed() => "reserved",
                _ => "on-demand",
            };
            let mut staying = 0;
            let cards = Arc::new(card_resources(fleet.cards_per_node));
            for view in self.nodes.of(pool) {
                let ready = view.stage == Stage::Ready;
                let deleting = view.stage == Stage::Draining;
                staying += u32::from(!deleting);
                // Cluster Autoscaler counts what has not registered by the group's target.
                if !ready && !deleting && !karpenter {
                    continue;
                }
                let name = node_name(&fleet.name, view.node, view.run);
                let first = match &scaler.law {
                    Law::Karpenter(law) => law.first_pool().to_owned(),
                    _ => fleet.name.clone(),
                };
                seen.nodes.push(Node {
                    group: scaler.groups.get(&name).cloned().unwrap_or(first),
                    instance_type: instance.to_owned(),
                    capacity_type: capacity_type.to_owned(),
                    zone: view.zone.to_owned(),
                    price: Some(price),
                    allocatable: Arc::clone(&cards),
                    labels: Arc::clone(&labels[pool.index()]),
                    created: view.ordered,
                    last_pod_event: ready.then(|| self.inventory.touched(pool, view.node)),
                    ready,
                    deleting: deleting || leaving.contains(&name),
                    keep: false,
                    name,
                    ..Node::default()
                });
            }
            seen.targets.insert(fleet.name.clone(), staying);
            let room = self.nodes.room(pool, now);
            if room == 0 {
                seen.refused.insert(fleet.name.clone());
            }
            let zone = supply.zones.first().map_or(String::new(), |zone| zone.name.clone());
            seen.instance_types.push(InstanceType {
                name: instance.to_owned(),
                allocatable: card_resources(fleet.cards_per_node),
                labels: BTreeMap::clone(&labels[pool.index()]),
                offerings: vec![Offering {
                    capacity_type: capacity_type.to_owned(),
                    zone,
                    price,
                    available: room > 0,
                }],
            });
        }
        seen.pods = self.node_pods();
        seen
    }

    /// Pods that run, and pods that wait.
    fn node_pods(&self) -> Vec<Pod> {
        let list = self.jobs.list();
        let name = |holder: Holder| match holder {
            Holder::Replica(deployment, number) => {
                format!("{}/{number}", self.config.deployments[deployment as usize].name)
            }
            Holder::Job(job) => list.name(job).to_owned(),
        };
        // What many pods have alike is made once and shared.
        let mut of_deployments: BTreeMap<u32, Arc<BTreeMap<String, String>>> = BTreeMap::new();
        let mut of_cards: BTreeMap<u32, Arc<Resources>> = BTreeMap::new();
        let make_selector = |holder: Holder| {
            let pools: Vec<PoolId> = match holder {
                Holder::Replica(deployment, _) => {
                    self.config.deployments[deployment as usize].options.iter().map(|o| o.pool).collect()
                }
                Holder::Job(job) => list.pools(job).to_vec(),
            };
            Arc::new(BTreeMap::from([(label(pools.into_iter()), "true".to_owned())]))
        };
        let mut selector = |holder: Holder| match holder.deployment() {
            Some(deployment) => {
                let made = of_deployments.entry(deployment);
                Arc::clone(made.or_insert_with(|| make_selector(holder)))
            }
            None => make_selector(holder),
        };
        let mut requests =
            |count: u32| Arc::clone(of_cards.entry(count).or_insert_with(|| Arc::new(card_resources(count))));
        let mut pod =
            |holder: Holder, name: String, node: Option<String>, count: u32, created: Instant| Pod {
                name,
                node,
                requests: requests(count),
                selector: selector(holder),
                created,
                controlled: true,
                keep: matches!(holder, Holder::Job(_)),
                ..Pod::default()
            };
        let mut pods = Vec::new();
        let mut names: BTreeMap<(PoolId, u32), String> = BTreeMap::new();
        for pool in (0..self.config.pools.len() as u16).map(PoolId) {
            let fleet = &self.config.pools[pool.index()].fleet.name;
            let named =
                |view: crate::fleet::NodeView<'_>| ((pool, view.node), node_name(fleet, view.node, view.run));
            names.extend(self.nodes.of(pool).map(named));
        }
        for (_, lease) in self.inventory.leases() {
            for (part, (node, mask)) in lease.nodes.iter().enumerate() {
                let Some(node) = names.get(&(lease.pool, *node)) else { continue };
                let mut name = name(lease.holder);
                if lease.nodes.len() > 1 {
                    name = format!("{name}/{part}");
                }
                let mut running = pod(lease.holder, name, Some(node.clone()), mask.count_ones(), lease.since);
                running.deleting = lease.phase == crate::fleet::LeasePhase::Draining;
                pods.push(running);
            }
        }
        for waiting in self.inventory.pending() {
            let holder = waiting.claim.holder;
            let count = waiting.claim.options.iter().map(|(_, shape)| shape.cards()).max().unwrap_or(0);
            pods.push(pod(holder, name(holder), None, count, waiting.since));
        }
        for job in self.jobs.waiting() {
            let per_node = |pool: &PoolId| self.config.pools[pool.index()].fleet.cards_per_node;
            let per_node = list.pools(job).iter().map(per_node).min().unwrap_or(1).max(1);
            let wanted = list.facts(job).cards;
            let since = self.jobs.state(job).submitted.unwrap_or(Instant::ZERO);
            for part in 0..wanted.div_ceil(per_node) {
                let count = per_node.min(wanted - part * per_node);
                let name = if wanted > per_node {
                    format!("{}/{part}", list.name(job))
                } else {
                    list.name(job).to_owned()
                };
                pods.push(pod(Holder::Job(job), name, None, count, since));
            }
        }
        pods
    }

    /// Does what was decided, and writes it into the table of decisions.
    fn act(&mut self, now: Instant, scaler: &mut NodeScaler, decision: NodeDecision, reason: &'static str) {
        let limits = decision.limits.join("; ");
        let mut bought: Vec<String> = Vec::new();
        let mut refused = false;
        for action in decision.actions {
            match action {
                Action::ScaleUp { group, count, pods } => {
                    let reason = format!("{reason}: {}", pods.join(", "));
                    self.order_nodes(now, scaler, &group, count, &limits, reason);
                }
                Action::GiveUp { group, count } => self.cancel_orders(now, scaler, &group, count),
                Action::Create { pool, instance_type, capacity_type, pods, .. } => {
                    let reason = format!("{reason}: {}", pods.join(", "));
                    let found = self.pool_of(now, &instance_type, &capacity_type);
                    let before: BTreeSet<String> =
                        found.iter().flat_map(|name| self.names_of(name)).collect();
                    let Some(name) = found else {
                        refused = true;
                        continue;
                    };
                    self.order_nodes(now, scaler, &name, 1, &limits, reason);
                    let new: Vec<String> =
                        self.names_of(&name).into_iter().filter(|node| !before.contains(node)).collect();
                    refused |= new.is_empty();
                    scaler.groups.extend(new.iter().map(|node| (node.clone(), pool.clone())));
                    bought.extend(new);
                }
                Action::Delete { nodes, why, .. } => {
                    scaler.held.push((std::mem::take(&mut bought), nodes, why));
                }
            }
        }
        if refused && let Law::Karpenter(law) = &mut scaler.law {
            law.forget_bought();
        }
    }

    /// The pool that sells this instance type in this way, and has one to give.
    fn pool_of(&self, now: Instant, instance_type: &str, capacity_type: &str) -> Option<String> {
        let sells = |(pool, plan): &(usize, &super::PoolPlan)| {
            let kind = match plan.tariff.purchase {
                crate::billing::Purchase::Spot => "spot",
                purchase if purchase.is_committed() => "reserved",
                _ => "on-demand",
            };
            let instance =
                plan.fleet.offer.split_once('/').map_or(plan.fleet.offer.as_str(), |(_, name)| name);
            instance == instance_type
                && kind == capacity_type
                && self.nodes.room(PoolId(*pool as u16), now) > 0
        };
        self.config.pools.iter().enumerate().find(sells).map(|(_, plan)| plan.fleet.name.clone())
    }

    fn pool_named(&self, name: &str) -> Option<PoolId> {
        let place = self.config.pools.iter().position(|plan| plan.fleet.name == name)?;
        Some(PoolId(place as u16))
    }

    /// The names of a pool's nodes.
    fn names_of(&self, pool: &str) -> Vec<String> {
        let Some(id) = self.pool_named(pool) else { return Vec::new() };
        self.nodes.of(id).map(|view| node_name(pool, view.node, view.run)).collect()
    }

    /// Orders nodes for a pool; how many orders were taken.
    fn order_nodes(
        &mut self,
        now: Instant,
        scaler: &NodeScaler,
        name: &str,
        count: u32,
        limits: &str,
        reason: String,
    ) -> u32 {
        let Some(pool) = self.pool_named(name) else { return 0 };
        let before = self.staying(pool);
        let mut taken = 0;
        for _ in 0..count {
            taken += u32::from(self.with_nodes(now, |nodes, ctx| nodes.order(ctx, pool)));
        }
        let wanted = (before, before + count, before + taken);
        self.log_scaling(now, &scaler.name, name, wanted, "scale-up", limits, reason);
        taken
    }

    fn cancel_orders(&mut self, now: Instant, scaler: &NodeScaler, name: &str, count: u32) {
        let Some(pool) = self.pool_named(name) else { return };
        let before = self.staying(pool);
        let waits = |stage: Stage| matches!(stage, Stage::Quota | Stage::Stock);
        let orders: Vec<u32> =
            self.nodes.of(pool).filter(|view| waits(view.stage)).map(|view| view.node).collect();
        for node in orders.into_iter().rev().take(count as usize) {
            self.with_nodes(now, |nodes, ctx| nodes.give_back(ctx, pool, node, Duration::ZERO));
        }
        let wanted = (before, before.saturating_sub(count), self.staying(pool));
        self.log_scaling(
            now,
            &scaler.name,
            name,
            wanted,
            "give-up",
            "",
            "nodes did not come in time".to_owned(),
        );
    }

    /// Gives back the nodes that waited for others, once those are ready; keeps them where those never came.
    fn release_held(&mut self, now: Instant, scaler: &mut NodeScaler) {
        let mut held = std::mem::take(&mut scaler.held);
        held.retain(|(awaited, nodes, why)| {
            let stages: Vec<Option<Stage>> =
                awaited.iter().map(|name| self.find_node(name)).map(|f| f.map(|f| f.2)).collect();
            if stages.iter().any(|stage| matches!(stage, None | Some(Stage::Draining))) {
                return false;
            }
            if stages.iter().any(|stage| *stage != Some(Stage::Ready)) {
                return true;
            }
            for name in nodes {
                let Some((pool, node, _)) = self.find_node(name) else { continue };
                let before = self.staying(pool);
                let back = self.with_nodes(now, |nodes, ctx| nodes.give_back(ctx, pool, node, GRACE));
                let after = self.staying(pool);
                let limits = if back { "" } else { "the pool's minimum, or it goes already" };
                let target = self.config.pools[pool.index()].fleet.name.clone();
                let wanted = (before, before.saturating_sub(1), after);
                self.log_scaling(
                    now,
                    &scaler.name,
                    &target,
                    wanted,
                    "scale-down",
                    limits,
                    format!("{name}: {why}"),
                );
                scaler.groups.remove(name);
            }
            false
        });
        scaler.held = held;
    }

    /// Where a node of this name stands; nothing when it is gone.
    fn find_node(&self, name: &str) -> Option<(PoolId, u32, Stage)> {
        let (pool, rest) = name.rsplit_once('/')?;
        let (node, run) = rest.split_once('.')?;
        let id = self.pool_named(pool)?;
        let (node, run) = (node.parse::<u32>().ok()?, run.parse::<u32>().ok()?);
        let view = self.nodes.of(id).find(|view| view.node == node && view.run == run)?;
        Some((id, node, view.stage))
    }

    /// Nodes of a pool that are there or coming, and stay.
    fn staying(&self, pool: PoolId) -> u32 {
        self.nodes.of(pool).filter(|view| view.stage != Stage::Draining).count() as u32
    }

    #[expect(clippy::too_many_arguments, reason = "a row of the table")]
    fn log_scaling(
        &mut self,
        time: Instant,
        policy: &str,
        target: &str,
        (current, desired, done): (u32, u32, u32),
        rule: &str,
        limits: &str,
        reason: String,
    ) {
        self.decisions.push(DecisionRow {
            time,
            policy: policy.to_owned(),
            target: target.to_owned(),
            current: f64::from(current),
            desired: f64::from(desired),
            done: f64::from(done),
            rule: rule.to_owned(),
            limits: limits.to_owned(),
            reason,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_depend_on_the_order_of_preference() {
        let ids = |pools: &[u16]| label(pools.iter().map(|pool| PoolId(*pool)));
        assert_eq!(ids(&[2, 0]), ids(&[0, 2]));
        assert_eq!(ids(&[2, 0]), "fleetsim/pools-0-2");
    }
}
