//! The network of a pool: which gangs lie on it, and what each gets of its links.
//!
//! Shares change only when a lease over several nodes begins or ends. A gang counts as sending all that its cards can
//! for as long as it holds them.

use std::collections::BTreeMap;

use super::claim::{Holder, Lease, LeaseId};
use super::config::PoolId;
use super::inventory::Inventory;
use crate::topology::{Fabric, FabricShape, Gang, Load, Pattern, Switch};
use crate::units::{BytesPerSecond, Instant};

/// Links that a pool tells of.
const MOST_LINKS: usize = 8;

/// The network of a pool.
#[derive(Debug)]
pub(super) struct Network {
    fabric: Fabric,
    gangs: BTreeMap<LeaseId, Member>,
    /// Gangs whose share has changed since somebody asked.
    changed: Vec<LeaseId>,
    use_of: BTreeMap<(Switch, Switch), LinkClock>,
}

/// A gang on the network.
#[derive(Debug)]
struct Member {
    load: Load,
    /// Of what its cards could send, what it gets.
    share: f64,
}

/// What is asked of a link over time, as a share of what it carries.
#[derive(Debug)]
struct LinkClock {
    carries: BytesPerSecond,
    asked: f64,
    since: Instant,
    /// ∫ min(asked, 1) dt and the time for which more is asked than it carries, in seconds.
    used: f64,
    crowded: f64,
    most: f64,
}

/// A link between switches, and what was asked of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkUse {
    /// Its ends, in words: `leaf 0 to spine`.
    pub link: String,
    /// What it carries.
    pub carries: BytesPerSecond,
    /// Of what it carries, what gangs that hold their cards could send over it, at most 1, in the mean over time.
    pub mean: f64,
    /// The most that was asked of it at once, over what it carries; above 1 gangs wait for each other.
    pub most: f64,
    /// The share of the time for which more was asked than it carries.
    pub crowded: f64,
}

impl LinkClock {
    fn settle(&mut self, now: Instant) {
        let seconds = now.since(self.since).as_secs_f64();
        self.used += self.asked.min(1.0) * seconds;
        self.crowded += if self.asked > 1.0 + 1e-9 { seconds } else { 0.0 };
        self.since = now;
    }
}

impl Network {
    /// `None` for a shape that cannot be built, which the scenario's checks have refused.
    pub(super) fn new(shape: &FabricShape) -> Option<Self> {
        let fabric = shape.build().ok()?;
        Some(Self { fabric, gangs: BTreeMap::new(), changed: Vec::new(), use_of: BTreeMap::new() })
    }

    /// A lease begins; one of a single node does not use the network.
    pub(super) fn join(&mut self, now: Instant, id: LeaseId, lease: &Lease, pattern: Pattern) {
        let Some(load) = self.load(&lease.nodes, pattern) else { return };
        self.gangs.insert(id, Member { load, share: 1.0 });
        self.share(now);
    }

    /// A lease ends.
    pub(super) fn leave(&mut self, now: Instant, id: LeaseId) {
        if self.gangs.remove(&id).is_some() {
            self.changed.retain(|other| *other != id);
            self.share(now);
        }
    }

    fn share(&mut self, now: Instant) {
        let loads: Vec<&Load> = self.gangs.values().map(|member| &member.load).collect();
        let shares = self.fabric.share_out(&loads);
        let asked = self.fabric.asked(&loads);
        for ((id, member), share) in self.gangs.iter_mut().zip(shares) {
            if member.share != share.of_own {
                member.share = share.of_own;
                if !self.changed.contains(id) {
                    self.changed.push(*id);
                }
            }
        }
        for clock in self.use_of.values_mut() {
            clock.settle(now);
            clock.asked = 0.0;
        }
        for (from, to, carries, asked) in asked {
            let new = || LinkClock { carries, asked: 0.0, since: now, used: 0.0, crowded: 0.0, most: 0.0 };
            let clock = self.use_of.entry((from, to)).or_insert_with(new);
            clock.asked = asked;
            clock.most = clock.most.max(asked);
        }
    }

    fn load(&self, nodes: &[(u32, u128)], pattern: Pattern) -> Option<Load> {
        if nodes.len() < 2 {
            return None;
        }
        // The fullest of its nodes says what it can send; those of the same leaf stand beside each other in a ring.
        let cards = nodes.iter().map(|(_, mask)| *mask).max_by_key(|mask| mask.count_ones())?;
        let mut nodes: Vec<u32> = nodes.iter().map(|(node, _)| *node).collect();
        nodes.sort_unstable();
        self.fabric.load(&Gang { nodes, cards, pattern }).ok()
    }

    /// What a lease gets of what its cards could send, from 0 to 1.
    pub(super) fn share_of(&self, id: LeaseId) -> f64 {
        self.gangs.get(&id).map_or(1.0, |member| member.share)
    }

    /// What a gang on these nodes would get beside those that are there.
    pub(super) fn score(&self, nodes: &[(u32, u128)]) -> f64 {
        let Some(own) = self.load(nodes, Pattern::Ring) else { return 1.0 };
        let others = self.gangs.values().map(|member| &member.load);
        let all: Vec<&Load> = std::iter::once(&own).chain(others).collect();
        self.fabric.share_out(&all)[0].of_own
    }

    /// Takes the leases whose share has changed.
    pub(super) fn take_changed(&mut self) -> Vec<LeaseId> {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What was asked of its links by `end`, the busiest first.
    pub(super) fn uses(&mut self, end: Instant) -> Vec<LinkUse> {
        let window = end.since(Instant::ZERO).as_secs_f64().max(1e-9);
        let of = |((from, to), clock): (&(Switch, Switch), &mut LinkClock)| {
            clock.settle(end);
            LinkUse {
                link: format!("{from} to {to}"),
                carries: clock.carries,
                mean: clock.used / window,
                most: clock.most,
                crowded: clock.crowded / window,
            }
        };
        let mut uses: Vec<LinkUse> = self.use_of.iter_mut().map(of).collect();
        // Stable: links of equal use stay in the order of their names.
        uses.sort_by(|a, b| b.mean.total_cmp(&a.mean).then(b.most.total_cmp(&a.most)));
        uses.truncate(MOST_LINKS);
        uses
    }
}

impl Inventory {
    /// The same, with holders whose nodes exchange experts' tokens.
    #[must_use]
    pub fn talking(mut self, patterns: Patterns) -> Self {
        self.patterns = patterns;
        self
    }

    /// What a lease gets of what its cards could send to other nodes, from 0 to 1: less than 1 where others use the
    /// same links of its pool's fabric.
    pub fn network_share(&self, id: LeaseId) -> f64 {
        let network = self.lease(id).and_then(|lease| self.pools[lease.pool.index()].network.as_ref());
        network.map_or(1.0, |network| network.share_of(id))
    }

    /// Whether [`Inventory::take_changed_shares`] has something to tell.
    pub fn shares_changed(&self) -> bool {
        self.pools.iter().any(|pool| pool.network.as_ref().is_some_and(|network| network.has_changed()))
    }

    /// Takes the leases whose [`Inventory::network_share`] has changed since the last time.
    pub fn take_changed_shares(&mut self) -> Vec<LeaseId> {
        let networks = self.pools.iter_mut().filter_map(|pool| pool.network.as_mut());
        networks.flat_map(|network| network.take_changed()).collect()
    }

    /// What was asked of the links between a pool's switches by `end`, the busiest first; nothing where gangs do not
    /// wait for each other.
    pub fn link_uses(&mut self, pool: PoolId, end: Instant) -> Vec<LinkUse> {
        self.pools[pool.index()].network.as_mut().map_or_else(Vec::new, |network| network.uses(end))
    }
}

/// How holders' nodes talk to each other: who exchanges experts' tokens sends to all alike.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    /// Deployments whose replicas do.
    pub deployments: std::collections::BTreeSet<u32>,
    /// Jobs that do.
    pub jobs: std::collections::BTreeSet<u32>,
}

impl Patterns {
    pub(super) fn of(&self, holder: Holder) -> Pattern {
        let exchanges = match holder {
            Holder::Replica(deployment, _) => self.deployments.contains(&deployment),
            Holder::Job(job) => self.jobs.contains(&job),
        };
        if exchanges { Pattern::AllToAll } else { Pattern::Ring }
    }
}
