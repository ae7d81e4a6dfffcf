//! Disruption: expiry, empty nodes, several nodes into one, one node into a cheaper one.

use std::collections::BTreeMap;

use super::super::observation::{Node, Pod};
use super::super::{Action, NodeDecision};
use super::provision::{pack, purchase, varied};
use super::seen::Seen;
use super::{Budget, BudgetNodes, Karpenter, NodePool, POLL, Proposal, VALIDATION};
use crate::units::{Duration, Instant};

/// Cheaper types that a spot node's spot replacement needs.
const SPOT_TYPES: usize = 15;
/// The most nodes that are consolidated together.
const MOST: usize = 100;

/// A pod's eviction cost: 1 + deletion cost / 2²⁷ + priority / 2²⁵, within ±10.
fn eviction_cost(pod: &Pod) -> f64 {
    (1.0 + pod.deletion_cost / 134_217_728.0 + pod.priority / 33_554_432.0).clamp(-10.0, 10.0)
}

/// A node that may be disrupted.
#[derive(Debug, Clone)]
struct Candidate<'a> {
    node: &'a Node,
    pool: &'a NodePool,
    pods: Vec<&'a Pod>,
    price: f64,
    /// What it would save over what it would disturb: upstream's order, the largest first.
    ratio: f64,
}

impl Budget {
    /// Whether a scheduled budget holds at a time of the week: it has begun within its duration.
    fn is_active(&self, clock: Duration) -> bool {
        let Some((schedule, duration)) = &self.window else { return true };
        // The week before the first one counts: the clock goes round.
        let week = Duration::HOUR * 168;
        let from = if clock < *duration { clock + week } else { clock } - *duration;
        let now = if clock < *duration { clock + week } else { clock };
        schedule.next(from).is_some_and(|begun| begun <= now)
    }
}

impl Karpenter {
    fn pool(&self, node: &Node) -> Option<&NodePool> {
        self.config.pools.iter().find(|pool| pool.name == node.group)
    }

    /// Deletes nodes that are too old, whatever the budgets say.
    pub(super) fn expire(&self, now: Instant, observation: &Seen<'_>, decision: &mut NodeDecision) -> bool {
        let old = observation.nodes.iter().filter(|node| {
            let expire = self.pool(node).and_then(|pool| pool.expire);
            !node.deleting && expire.is_some_and(|age| now.since(node.created) >= age)
        });
        let before = decision.actions.len();
        decision.actions.extend(old.map(|node| delete(&[node], observation, "expired")));
        decision.actions.len() > before
    }

    /// How many more nodes of a pool may be disrupted for a reason.
    fn allowed(&self, pool: &NodePool, observation: &Seen<'_>, reason: &str) -> usize {
        let own = observation.nodes.iter().filter(|node| node.group == pool.name);
        let (total, gone) = own
            .fold((0, 0), |(total, gone), node| (total + 1, gone + u32::from(node.deleting || !node.ready)));
        let holds = |reasons: &[String]| reasons.is_empty() || reasons.iter().any(|other| other == reason);
        let budgets = pool
            .budgets
            .iter()
            .filter(|budget| holds(&budget.reasons) && budget.is_active(observation.clock));
        let least = budgets.map(|budget| match budget.nodes {
            BudgetNodes::Count(count) => count,
            // Rounded up, so that a small pool can move at all.
            BudgetNodes::Percent(percent) => (total * percent).div_ceil(100),
        });
        least.min().unwrap_or(u32::MAX).saturating_sub(gone) as usize
    }

    /// Nodes that may go, those that save most for what they disturb first.
    fn candidates<'a>(&'a self, now: Instant, observation: &'a Seen<'a>) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for node in &observation.nodes {
            let Some(pool) = self.pool(node) else { continue };
            let Some(after) = pool.consolidate_after else { continue };
            let quiet = now.since(node.last_pod_event.unwrap_or(node.created)) >= after;
            if node.deleting || node.keep || !node.ready || !quiet {
                continue;
            }
            let pods: Vec<&Pod> = observation.movable(&node.name).collect();
            if pods.iter().any(|pod| pod.keep) || (!pods.is_empty() && !pool.underutilized) {
                continue;
            }
            let Some(price) = price_of(node, observation) else { continue };
            let disturbed: f64 = 1.0 + pods.iter().map(|pod| eviction_cost(pod).max(0.0)).sum::<f64>();
            candidates.push(Candidate { node, pool, pods, price, ratio: price / disturbed });
        }
        candidates.sort_by(|a, b| b.ratio.total_cmp(&a.ratio).then_with(|| a.node.name.cmp(&b.node.name)));
        candidates
    }

    /// Proposes a disruption, or does the one that has waited long enough and still holds.
    pub(super) fn disrupt(
        &mut self,
        now: Instant,
        observation: &Seen<'_>,
        decision: &mut NodeDecision,
    ) -> Option<&'static str> {
        if let Some(proposal) = &self.proposal {
            if now.since(proposal.since) < VALIDATION {
                return Some("a consolidation waits for its validation");
            }
            let found = self.find(now, observation, &mut Vec::new());
            let still = found.as_ref().is_some_and(|(actions, _)| *actions == proposal.actions);
            let proposal = self.proposal.take();
            self.last_poll = Some(now);
            if still {
                let proposal = proposal?;
                decision.actions = proposal.actions;
                return Some(proposal.reason);
            }
            decision.limits.push("validation: what was found 15 s ago no longer holds".to_owned());
            return Some("the consolidation was given up");
        }
        if self.last_poll.is_some_and(|last| now.since(last) < POLL) {
            return None;
        }
        self.last_poll = Some(now);
        // Empty nodes go first; drift is not looked at again.
        let found = self.find(now, observation, &mut decision.limits);
        let empty = found.as_ref().is_some_and(|(_, reason)| *reason == "empty");
        if !empty && let Some(actions) = self.drift(observation, &mut decision.limits) {
            decision.actions = actions;
            return Some("drifted");
        }
        let (actions, reason) = found?;
        self.proposal = Some(Proposal { since: now, actions, reason });
        Some("a consolidation is proposed")
    }

    /// The first disruption that there is: empty nodes, several nodes, one node.
    fn find(
        &self,
        now: Instant,
        observation: &Seen<'_>,
        limits: &mut Vec<String>,
    ) -> Option<(Vec<Action>, &'static str)> {
        let candidates = self.candidates(now, observation);
        let mut within = |reason: &str, wanted: &dyn Fn(&Candidate<'_>) -> bool| {
            let mut left: BTreeMap<&str, usize> = BTreeMap::new();
            let mut taken = Vec::new();
            for candidate in candidates.iter().filter(|candidate| wanted(candidate)) {
                let room = left
                    .entry(&candidate.pool.name)
                    .or_insert_with(|| self.allowed(candidate.pool, observation, reason));
                if *room == 0 {
                    limits.push(format!(
                        "{}: disruption budget of {}",
                        candidate.node.name, candidate.pool.name
                    ));
                    continue;
                }
                *room -= 1;
                taken.push(candidate.clone());
            }
            taken
        };
        let empty = within("Empty", &|candidate| candidate.pods.is_empty());
        if !empty.is_empty() {
            let nodes: Vec<&Node> = empty.iter().map(|candidate| candidate.node).collect();
            return Some((vec![delete(&nodes, observation, "empty")], "empty"));
        }
        let full = within("Underutilized", &|candidate| !candidate.pods.is_empty());
        self.several(&full[..full.len().min(MOST)], observation).or_else(|| {
            full.iter().find_map(|candidate| {
                self.consolidate(std::slice::from_ref(candidate), observation).map(|a| (a, "underutilized"))
            })
        })
    }

    /// Nodes that have drifted: the empty ones together, or else the first whose pods have places, with nodes for
    /// those that need new ones.
    fn drift(&self, observation: &Seen<'_>, limits: &mut Vec<String>) -> Option<Vec<Action>> {
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut empty, mut replaced) = (Vec::new(), None);
        for node in observation.nodes.iter().filter(|node| node.drifted && !node.deleting && !node.keep) {
            let Some(pool) = self.pool(node) else { continue };
            let pods: Vec<&Pod> = observation.movable(&node.name).collect();
            if pods.iter().any(|pod| pod.keep) {
                continue;
            }
            let room = left.entry(&pool.name).or_insert_with(|| self.allowed(pool, observation, "Drifted"));
            if *room == 0 {
                limits.push(format!("{}: disruption budget of {}", node.name, pool.name));
                continue;
            }
            if pods.is_empty() {
                *room -= 1;
                empty.push(node);
            } else if replaced.is_none() {
                let packing = pack(&self.config.pools, observation, &mut [], pods, &[&node.name]);
                if packing.unplaced.is_empty() {
                    let bought = packing.claims.iter().map(|claim| purchase(claim, observation));
                    let mut actions = bought.collect::<Option<Vec<_>>>()?;
                    actions.push(delete(&[node], observation, "drifted"));
                    replaced = Some(actions);
                }
            }
        }
        if empty.is_empty() { replaced } else { Some(vec![delete(&empty, observation, "drifted")]) }
    }

    /// Whether each `Balanced` pool gains enough for what it is disturbed (`ScoreMove`): its share of the savings
    /// over the pool's cost, over its share of the pool's disruption, is at least 1/k. A pool whose policy is
    /// another agrees to everything.
    fn is_worth(&self, candidates: &[Candidate<'_>], savings: f64, observation: &Seen<'_>) -> bool {
        let disturbed = |pods: &mut dyn Iterator<Item = &Pod>| -> f64 {
            1.0 + pods.map(|pod| eviction_cost(pod).max(0.0)).sum::<f64>()
        };
        let all: f64 = candidates.iter().map(|candidate| candidate.price).sum();
        self.config.pools.iter().all(|pool| {
            let own = || candidates.iter().filter(|candidate| candidate.pool.name == pool.name);
            let Some(k) = pool.balanced.filter(|_| own().next().is_some()) else { return true };
            let (mut cost, mut disruption) = (0.0, 0.0);
            for node in observation.nodes.iter().filter(|node| node.group == pool.name) {
                if let Some(price) = price_of(node, observation).filter(|price| *price > 0.0) {
                    cost += price;
                    let mut pods = observation.movable(&node.name);
                    disruption += disturbed(&mut pods);
                }
            }
            let part = own().map(|candidate| candidate.price).sum::<f64>() / all;
            let saved = savings * part;
            let moved: f64 = own().map(|candidate| disturbed(&mut candidate.pods.iter().copied())).sum();
            saved > 0.0 && cost > 0.0 && saved / cost / (moved / disruption) >= 1.0 / k
        })
    }

    /// The longest run of candidates that comes down to at most one node, by binary search.
    fn several(
        &self,
        candidates: &[Candidate<'_>],
        observation: &Seen<'_>,
    ) -> Option<(Vec<Action>, &'static str)> {
        let mut best = None;
        let (mut low, mut high) = (1, candidates.len().checked_sub(1)?);
        while low <= high {
            let middle = (low + high) / 2;
            match self.consolidate(&candidates[..=middle], observation) {
                Some(actions) => {
                    best = Some((actions, "underutilized, several at once"));
                    low = middle + 1;
                }
                None => high = middle - 1,
            }
        }
        best
    }

    /// What the candidates' pods come to without them: nothing new, or one cheaper node.
    fn consolidate(&self, candidates: &[Candidate<'_>], observation: &Seen<'_>) -> Option<Vec<Action>> {
        let names: Vec<&str> = candidates.iter().map(|candidate| candidate.node.name.as_str()).collect();
        let nodes: Vec<&Node> = candidates.iter().map(|candidate| candidate.node).collect();
        let pods: Vec<&Pod> =
            candidates.iter().flat_map(|candidate| candidate.pods.iter().copied()).collect();
        let mut packing = pack(&self.config.pools, observation, &mut self.coming.clone(), pods, &names);
        if !packing.unplaced.is_empty() || packing.claims.len() > 1 {
            return None;
        }
        let deletion = delete(&nodes, observation, "underutilized");
        let price: f64 = candidates.iter().map(|candidate| candidate.price).sum();
        let Some(claim) = packing.claims.first_mut() else {
            return self.is_worth(candidates, price, observation).then(|| vec![deletion]);
        };
        let kind = |offer: &super::provision::Offer| {
            observation.instance_types[offer.kind].offerings[offer.offering].capacity_type.as_str()
        };
        let all_spot = candidates.iter().all(|candidate| candidate.node.capacity_type == "spot");
        let can_spot = claim.offers.iter().any(|offer| kind(offer) == "spot");
        let can_demand = claim.offers.iter().any(|offer| kind(offer) == "on-demand");
        if can_spot && (all_spot || can_demand) {
            if all_spot && !self.config.spot_to_spot {
                return None;
            }
            // From on demand to either: spot it has to be, or it might come out dearer.
            claim.offers.retain(|offer| kind(offer) == "spot");
        }
        claim.offers.retain(|offer| offer.price < price);
        if all_spot && can_spot && candidates.len() == 1 {
            let mut kinds: Vec<usize> = claim.offers.iter().map(|offer| offer.kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            if kinds.len() < SPOT_TYPES {
                return None;
            }
        }
        // Several nodes into one of their own type would be deleting all but one: the type has to be cheaper
        // than the cheapest of that type among them (`filterOutSameType`).
        if candidates.len() > 1 {
            let own = |name: &str| {
                let same = candidates.iter().filter(|candidate| candidate.node.instance_type == name);
                same.map(|candidate| candidate.price).reduce(f64::min)
            };
            let kinds = &observation.instance_types;
            let least = claim.offers.iter().filter_map(|offer| own(&kinds[offer.kind].name)).reduce(f64::min);
            if let Some(least) = least {
                claim.offers.retain(|offer| offer.price < least);
            }
        }
        // What is left must still be as varied as the pool asks.
        if !varied(claim.pool, &observation.instance_types, &claim.offers) {
            return None;
        }
        let paid = claim.offers.first()?.price;
        if !self.is_worth(candidates, price - paid, observation) {
            return None;
        }
        Some(vec![purchase(claim, observation)?, deletion])
    }
}

/// What a node costs: as observed, or as its offering says.
fn price_of(node: &Node, observation: &Seen<'_>) -> Option<f64> {
    node.price.or_else(|| {
        let kind = observation.instance_types.iter().find(|kind| kind.name == node.instance_type)?;
        let same = kind.offerings.iter().filter(|offering| {
            offering.capacity_type == node.capacity_type
                && (node.zone.is_empty() || offering.zone == node.zone)
        });
        same.map(|offering| offering.price).reduce(f64::min)
    })
}

fn delete(nodes: &[&Node], observation: &Seen<'_>, why: &'static str) -> Action {
    let moving = |node: &&Node| {
        let pods = observation.movable(&node.name);
        pods.map(|pod| pod.name.clone()).collect::<Vec<_>>()
    };
    Action::Delete {
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        why,
        pods: nodes.iter().flat_map(moving).collect(),
    }
}
