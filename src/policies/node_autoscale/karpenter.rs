//! Karpenter.
//!
//! Source: kubernetes-sigs/karpenter 2266468 `pkg/controllers/provisioning` and `disruption`. Rules and the
//! tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | a batch of waiting pods: 1 s idle, 10 s at most | `batches` |
//! | first-fit decreasing; cheapest compatible offering; requirements, weights, limits | `provisions` |
//! | consolidation: empty, several into at most one, one into a cheaper one | `consolidates` |
//! | spot rules: on-demand to spot, spot to spot behind its gate with 15 cheaper types | `spot` |
//! | budgets rounded up, expiry, keep marks, validation after 15 s | `disruption_rules` |
//! | budgets with a schedule and a duration; several, the least | `scheduled_budgets` |
//! | taints, tolerations, node affinity, `minValues` | `constraints` |
//! | pods go onto nodes that were bought and have not registered | `on_what_is_coming` |
//! | Balanced: savings over disruption, as shares of the pool, at least 1/k | `balanced` |
//! | drift: empty ones at once, then one replaced, without validation | `drift` |
//!
//! Not built, and refused by name: static pools (`replicas`), preferred affinities and topology spread (left out
//! of observations), node repair.

mod disrupt;
mod provision;
mod read;
mod seen;

#[cfg(test)]
mod tests;

pub use read::read;
use seen::Seen;

use std::collections::BTreeMap;

use super::{Action, Node, NodeDecision, NodeObservation, Requirement, Resources, Taint};
use crate::policies::autoscale::cron::Cron;
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// The node pools, by weight, and the settings of the controller.
#[derive(Debug, Clone, PartialEq)]
pub struct KarpenterConfig {
    /// `NodePool`s, heaviest first, then by name.
    pub pools: Vec<NodePool>,
    /// `BATCH_IDLE_DURATION` (1 s).
    pub batch_idle: Duration,
    /// `BATCH_MAX_DURATION` (10 s).
    pub batch_max: Duration,
    /// The feature gate `SpotToSpotConsolidation` (off).
    pub spot_to_spot: bool,
}

/// A `NodePool`.
#[derive(Debug, Clone, PartialEq)]
pub struct NodePool {
    /// Its name.
    pub name: String,
    /// `spec.weight` (0).
    pub weight: i64,
    /// `spec.template.spec.requirements`, and the template's labels.
    pub requirements: Vec<Requirement>,
    /// Labels of new nodes.
    pub labels: BTreeMap<String, String>,
    /// `spec.limits`.
    pub limits: Resources,
    /// `expireAfter` (720 h); none for `Never`.
    pub expire: Option<Duration>,
    /// `spec.template.spec.taints`: what pods have to tolerate.
    pub taints: Vec<Taint>,
    /// `consolidationPolicy`: nodes that are not empty too (`WhenEmptyOrUnderutilized`, `Balanced`).
    pub underutilized: bool,
    /// `consolidationThreshold` (2) under `Balanced`: a move's share of the pool's disruption may be this many times
    /// its share of the pool's cost.
    pub balanced: Option<f64>,
    /// `consolidateAfter` (0 s); none for `Never`.
    pub consolidate_after: Option<Duration>,
    /// `budgets` (10 %).
    pub budgets: Vec<Budget>,
}

/// How many nodes of a pool may be disrupted at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// A count, or a share of the pool's nodes, rounded up.
    pub nodes: BudgetNodes,
    /// The reasons that it holds for; empty for all.
    pub reasons: Vec<String>,
    /// When it begins to hold, and for how long; always without.
    pub window: Option<(Cron, Duration)>,
}

/// A budget's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetNodes {
    /// Nodes.
    Count(u32),
    /// Percent of the pool's nodes.
    Percent(u32),
}

/// Labels with a meaning of their own.
const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
const ZONE: &str = "topology.kubernetes.io/zone";
const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
const POOL: &str = "karpenter.sh/nodepool";

/// A disruption that waits for its validation.
#[derive(Debug, Clone, PartialEq)]
struct Proposal {
    since: Instant,
    actions: Vec<Action>,
    reason: &'static str,
}

/// Karpenter with what it remembers.
#[derive(Debug, Clone)]
pub struct Karpenter {
    config: KarpenterConfig,
    /// The batch: since when, last change, pods.
    batch: Option<(Instant, Instant, Vec<String>)>,
    /// Pods for which a node has been bought, and when.
    bought: BTreeMap<String, Instant>,
    /// Nodes that have been bought: what they will have left, their labels, and the pods that they are for.
    coming: Vec<Coming>,
    last_poll: Option<Instant>,
    proposal: Option<Proposal>,
}

/// A node that was bought and has not registered.
#[derive(Debug, Clone)]
struct Coming {
    pool: String,
    free: Resources,
    labels: BTreeMap<String, String>,
    pods: Vec<String>,
}

/// How long a consolidation waits before it is looked at again and done (`consolidationTTL`).
const VALIDATION: Duration = Duration::from_secs(15);
/// Between two looks at what could be disrupted (`pollingPeriod`).
const POLL: Duration = Duration::from_secs(10);

impl Karpenter {
    /// Karpenter that has just started.
    pub const fn new(config: KarpenterConfig) -> Self {
        Self {
            config,
            batch: None,
            bought: BTreeMap::new(),
            coming: Vec::new(),
            last_poll: None,
            proposal: None,
        }
    }

    /// The first node pool's name: that of nodes that nobody bought for another.
    pub fn first_pool(&self) -> &str {
        self.config.pools.first().map_or("", |pool| &pool.name)
    }

    /// A purchase came to nothing: the pods that wait are looked at anew (upstream deletes the `NodeClaim`).
    pub fn forget_bought(&mut self) {
        self.bought.clear();
        self.coming.clear();
    }

    /// True while time alone changes nothing of what it decides, but for [`Karpenter::ripe_at`].
    pub fn is_settled(&self) -> bool {
        self.batch.is_none() && self.proposal.is_none() && self.bought.is_empty()
    }

    /// True when a look now could do nothing, as long as no pod waits: nothing is under way, it is too early to poll
    /// for what could be disrupted, and no node is as old as `oldest` allows.
    pub fn rests(&self, now: Instant, oldest: Option<Instant>) -> bool {
        let expires = self.config.pools.iter().filter_map(|pool| pool.expire).min();
        let old = oldest.zip(expires).is_some_and(|(created, age)| now.since(created) >= age);
        self.is_settled() && !old && self.last_poll.is_some_and(|last| now.since(last) < POLL)
    }

    /// When a node will have been quiet for as long as its pool wants, and when it will be too old.
    pub fn ripe_at(&self, node: &Node) -> impl Iterator<Item = Instant> {
        let pool = self.config.pools.iter().find(|pool| pool.name == node.group);
        let quiet = pool.and_then(|pool| pool.consolidate_after);
        let quiet = quiet.map(|after| node.last_pod_event.unwrap_or(node.created).saturating_add(after));
        let old = pool.and_then(|pool| pool.expire).map(|age| node.created.saturating_add(age));
        quiet.into_iter().chain(old)
    }
}

impl Policy for Karpenter {
    type Observation<'a> = NodeObservation;
    type Decision = NodeDecision;

    fn decide(&mut self, now: Instant, observation: &NodeObservation) -> (NodeDecision, Reason) {
        let observation = &Seen::new(observation);
        let mut decision = NodeDecision::default();
        let batch = self.provision(now, observation, &mut decision);
        let expired = self.expire(now, observation, &mut decision);
        if !decision.actions.is_empty() {
            self.proposal = None;
            return (decision, Reason(if expired { "expired" } else { "pods wait" }));
        }
        if let Some(reason) = self.disrupt(now, observation, &mut decision) {
            return (decision, Reason(reason));
        }
        (decision, Reason(batch.unwrap_or("nothing to do")))
    }
}
