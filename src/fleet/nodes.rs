//! The nodes of the pools: ordered, started, ready, taken away, gone.
//!
//! Invariants: a slot is in exactly one [`Stage`]; a node is paid for from its boot to its end, which the
//! effects [`Effect::Starting`] and [`Effect::Gone`] tell once each; pools without a [`Supply`] have no slots
//! here and never change.

mod loss;
mod order;
mod state;

pub use state::{NodeView, Tally};

use std::fmt;

use state::PoolNodes;

use super::config::{PoolConfig, PoolId};
use crate::sim::{Ctx, Seed};
use crate::units::{Duration, Instant};

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// There is none.
    Absent,
    /// Ordered; the provider has not consented yet.
    Quota,
    /// The provider would, but has none to give.
    Stock,
    /// Paid for, and booting.
    Boot,
    /// Pulling the container's image.
    Pull,
    /// Ready: its cards can be claimed.
    Ready,
    /// On its way out.
    Draining,
    /// Broken or in maintenance, and coming back.
    Down,
}

/// An event of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A node's stage ends; stale if its run has moved on.
    Stage {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
        /// Which of the slot's nodes this is about.
        run: u32,
    },
    /// The provider takes a node back.
    Preempt {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
        /// Which of the slot's nodes this is about.
        run: u32,
    },
    /// A node breaks.
    Break {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
        /// Which of the slot's nodes this is about.
        run: u32,
    },
    /// All nodes of a switch or rack break.
    BreakGroup {
        /// The pool.
        pool: PoolId,
        /// The group, by place.
        group: u32,
    },
    /// A node breaks as was recorded.
    Outage {
        /// The pool.
        pool: PoolId,
        /// The place in the record.
        place: u32,
    },
    /// A node's last moment has come.
    Deadline {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
        /// Which of the slot's nodes this is about.
        run: u32,
    },
    /// The stock of a zone changes.
    Stock {
        /// The pool.
        pool: PoolId,
        /// The zone, by place.
        zone: u16,
    },
    /// The provider takes all nodes of a zone back.
    Shock {
        /// The pool.
        pool: PoolId,
        /// The zone, by place.
        zone: u16,
    },
    /// It is a node's turn to be maintained.
    Maintain {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
    },
    /// A pool that was refused may be tried again, or its block begins or ends.
    Retry {
        /// The pool.
        pool: PoolId,
    },
    /// A stopped machine is ready to be started.
    Warm {
        /// The pool.
        pool: PoolId,
    },
}

/// Why a node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was given back.
    GivenBack,
    /// The provider took it back.
    Preempted,
    /// It broke.
    Broken,
    /// It is maintained.
    Maintenance,
    /// It never became ready.
    NeverCame,
    /// Its reservation has ended.
    BlockEnded,
}

/// What the world is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A node is paid for from now on, and starts.
    Starting {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
    },
    /// A node is ready.
    Ready {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
    },
    /// A node will go: what is on it must leave by the deadline. [`Nodes::vacated`] says that it has.
    Revoked {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
        /// The last moment.
        deadline: Instant,
        /// Why.
        why: Why,
    },
    /// A node is gone, with what is still on it.
    Gone {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
        /// How long it was paid for.
        used: Duration,
        /// Why.
        why: Why,
    },
    /// A node is down, with what is still on it; it is paid for all the same, and comes back.
    Down {
        /// The pool.
        pool: PoolId,
        /// Its node.
        node: u32,
    },
    /// An order came to nothing.
    Refused {
        /// The pool.
        pool: PoolId,
        /// How long it had waited.
        waited: Duration,
    },
    /// A pool may be ordered from again.
    Open {
        /// The pool.
        pool: PoolId,
    },
}

pub(super) type Context<'a> = Ctx<'a, Event, Effect>;

/// The nodes of all pools.
#[derive(Debug)]
pub struct Nodes {
    pools: Vec<Option<PoolNodes>>,
}

impl Nodes {
    /// Before the first event.
    pub fn new<'a>(pools: impl IntoIterator<Item = &'a PoolConfig>, seed: Seed) -> Self {
        Self { pools: pools.into_iter().map(|pool| PoolNodes::new(pool, seed)).collect() }
    }

    /// The nodes that are there at the beginning, and what is known to come. Nodes for which the provider has
    /// no stock at the beginning are ordered instead.
    pub fn begin(&mut self, ctx: &mut Context<'_>) {
        for (id, pool) in self.each() {
            pool.begin(ctx, id);
        }
    }

    /// Orders a node for a pool. False when it has as many as it may, or was refused a short while ago.
    pub fn order(&mut self, ctx: &mut Context<'_>, pool: PoolId) -> bool {
        let Some(nodes) = self.pools[pool.index()].as_mut() else { return false };
        nodes.may_order(ctx.now) && nodes.order(ctx, pool)
    }

    /// Gives a node back: at once if it is not ready yet, else once nothing is on it, after `grace` at the
    /// latest. False when the pool would fall below its minimum, or the node is on its way out.
    pub fn give_back(&mut self, ctx: &mut Context<'_>, pool: PoolId, node: u32, grace: Duration) -> bool {
        let Some(nodes) = self.pools[pool.index()].as_mut() else { return false };
        nodes.give_back(ctx, pool, node, grace)
    }

    /// Nothing is on a draining node any more: it goes now.
    pub fn vacated(&mut self, ctx: &mut Context<'_>, pool: PoolId, node: u32) {
        if let Some(nodes) = self.pools[pool.index()].as_mut() {
            nodes.vacated(ctx, pool, node);
        }
    }

    /// Handles one of this room's events.
    pub fn handle(&mut self, ctx: &mut Context<'_>, event: Event) {
        let id = event.pool();
        let Some(pool) = self.pools[id.index()].as_mut() else { return };
        match event {
            Event::Stage { node, run, .. } => pool.stage_ends(ctx, id, node, run),
            Event::Preempt { node, run, .. } => pool.preempted(ctx, id, node, run),
            Event::Break { node, run, .. } => pool.broken(ctx, id, node, run),
            Event::BreakGroup { group, .. } => pool.group_broken(ctx, id, group),
            Event::Outage { place, .. } => pool.outage(ctx, id, place),
            Event::Deadline { node, run, .. } => pool.deadline(ctx, id, node, run),
            Event::Stock { zone, .. } => pool.stock_changes(ctx, id, zone),
            Event::Shock { zone, .. } => pool.shocked(ctx, id, zone),
            Event::Maintain { node, .. } => pool.maintained(ctx, id, node),
            Event::Retry { .. } => pool.retry(ctx, id),
            Event::Warm { .. } => pool.warmed(),
        }
    }

    /// Nodes of a pool that are not absent, by number; none of a pool that never changes.
    pub fn of(&self, pool: PoolId) -> impl Iterator<Item = NodeView<'_>> {
        self.pools[pool.index()].iter().flat_map(PoolNodes::views)
    }

    /// Nodes of a pool that are ordered and not ready.
    pub fn coming(&self, pool: PoolId) -> u32 {
        self.pools[pool.index()].as_ref().map_or(0, PoolNodes::coming)
    }

    /// How many more nodes of a pool can be ordered now; none while it is refused.
    pub fn room(&self, pool: PoolId, now: Instant) -> u32 {
        let nodes = self.pools[pool.index()].as_ref().filter(|nodes| nodes.may_order(now));
        nodes.map_or(0, PoolNodes::room)
    }

    /// Whether the nodes of a pool come and go.
    pub fn changes(&self, pool: PoolId) -> bool {
        self.pools[pool.index()].is_some()
    }

    /// What happened to a pool's nodes, up to `now`; none of a pool that never changes.
    pub fn tally(&mut self, pool: PoolId, now: Instant) -> Option<Tally> {
        self.pools[pool.index()].as_mut().map(|nodes| nodes.tally(now))
    }

    /// How long each node that is paid for at the end has been paid for.
    pub fn paid_since(&self, pool: PoolId, end: Instant) -> Vec<Duration> {
        self.pools[pool.index()].as_ref().map_or(Vec::new(), |nodes| nodes.paid_for(end))
    }

    fn each(&mut self) -> impl Iterator<Item = (PoolId, &mut PoolNodes)> {
        let pools = (0u16..).zip(&mut self.pools);
        pools.filter_map(|(number, pool)| Some((PoolId(number), pool.as_mut()?)))
    }
}

impl Event {
    /// The pool that it is about.
    pub fn pool(&self) -> PoolId {
        match *self {
            Self::Stage { pool, .. }
            | Self::Preempt { pool, .. }
            | Self::Break { pool, .. }
            | Self::BreakGroup { pool, .. }
            | Self::Outage { pool, .. }
            | Self::Deadline { pool, .. }
            | Self::Stock { pool, .. }
            | Self::Shock { pool, .. }
            | Self::Maintain { pool, .. }
            | Self::Retry { pool }
            | Self::Warm { pool } => pool,
        }
    }

    /// Its place among this room's events of one instant: stock before nodes, ends before beginnings.
    pub fn order(&self) -> u64 {
        let (class, node) = match *self {
            Self::Stock { zone, .. } => (0, u32::from(zone)),
            Self::Deadline { node, .. } => (1, node),
            Self::Shock { zone, .. } => (2, u32::from(zone)),
            Self::Preempt { node, .. } => (3, node),
            Self::Break { node, .. } => (4, node),
            Self::BreakGroup { group, .. } => (9, group),
            Self::Outage { place, .. } => (10, place),
            Self::Maintain { node, .. } => (5, node),
            Self::Warm { .. } => (6, 0),
            Self::Stage { node, .. } => (7, node),
            Self::Retry { .. } => (8, 0),
        };
        class << 48 | u64::from(self.pool().0) << 32 | u64::from(node)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GivenBack => "given back",
            Self::Preempted => "preempted",
            Self::Broken => "broken",
            Self::Maintenance => "maintenance",
            Self::NeverCame => "never came",
            Self::BlockEnded => "reservation ended",
        })
    }
}
