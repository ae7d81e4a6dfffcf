//! Claims and leases: what holders ask of the inventory and what they get.

use std::fmt;

use super::config::PoolId;
use crate::policies::placement::Needs;
use crate::units::Instant;

/// Who wants or holds cards. The inventory only tells holders apart; what they are it does not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A replica of a deployment: (deployment, its how-manieth).
    Replica(u32, u32),
    /// A job.
    Job(u32),
}

impl Holder {
    /// The deployment whose replica it is; `None` for a job.
    pub const fn deployment(self) -> Option<u32> {
        match self {
            Self::Replica(deployment, _) => Some(deployment),
            Self::Job(_) => None,
        }
    }
}

/// How the cards of a claim must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All on one node; of more cards than a node has, whole nodes of one pool, and one more for the rest.
    OneNode {
        /// How many.
        cards: u32,
    },
    /// In one pool, on as few nodes as can be: whole nodes, and one more for the rest.
    Gang {
        /// How many.
        cards: u32,
    },
    /// The same, of cards that may be shared, with CPUs and memory of the host beside them; all on one node
    /// where one has so many cards.
    Part {
        /// How many; none for work of the host alone.
        cards: u32,
        /// What of each card, and of the host.
        needs: Needs,
    },
}

/// Cards wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who wants them.
    pub holder: Holder,
    /// Where they may be, in order of preference, and how they must lie there.
    pub options: Vec<(PoolId, Shape)>,
    /// Higher is served first among pending claims; ties by order of claiming.
    pub priority: i32,
    /// Whether the lease may be revoked for a claim of higher priority.
    pub preemptible: bool,
}

/// A pending claim, in order of claiming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimId(pub u64);

/// A lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseId(pub u32);

/// Cards held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds them.
    pub holder: Holder,
    /// Where.
    pub pool: PoolId,
    /// Which of the claim's options this is.
    pub option: usize,
    /// The cards: for each node its number and a bit for each card.
    pub nodes: Vec<(u32, u128)>,
    /// What of each of these cards, and of the hosts beside them.
    pub needs: Needs,
    /// Since when.
    pub since: Instant,
    /// Whether they compute now.
    pub busy: bool,
    /// Whether their holder loads its weights, works, or is on its way out.
    pub phase: LeasePhase,
}

/// What the holder of a lease is at, for the causes of spend; cards that compute count as busy whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeasePhase {
    /// It loads its weights and warms up.
    Starting,
    /// It works, or waits for work.
    #[default]
    Working,
    /// It takes no more work and will give its cards back.
    Draining,
}

/// A claim that waits for cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// Its number.
    pub id: ClaimId,
    /// Who wants what.
    pub claim: &'a Claim,
    /// Since when.
    pub since: Instant,
}

/// A claim that was pending and has been granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who got cards.
    pub holder: Holder,
    /// The lease.
    pub lease: LeaseId,
}

/// What a claim got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimResult {
    /// The cards, at once.
    Lease(LeaseId),
    /// Nothing yet; the claim stays until it is granted or withdrawn.
    Pending(ClaimId, PendingReason),
}

/// Why a claim is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingReason {
    /// Fewer cards are free than are wanted.
    TooFewFree {
        /// Free cards in the best pool.
        free: u32,
        /// Cards wanted.
        wanted: u32,
    },
    /// Enough cards are free, but they do not lie as they must.
    Fragmented {
        /// Free cards in the best pool.
        free: u32,
        /// Most free cards on one node of it.
        on_one_node: u32,
        /// Cards wanted.
        wanted: u32,
    },
    /// Enough cards are free together, but not the CPUs or memory beside them.
    Host {
        /// Free cards in the best pool.
        free: u32,
        /// Cards wanted.
        wanted: u32,
        /// What of the host.
        needs: Needs,
    },
    /// Enough are free, but they are reserved for the first of the queue.
    Reserved,
    /// Enough are free, but the calendar holds them for others.
    Held {
        /// Until when, the last of those that are in the way.
        until: Instant,
    },
    /// No card has so much free.
    Share {
        /// Thousandths of a card wanted.
        card_milli: u16,
    },
}

impl Lease {
    /// How many cards.
    pub fn cards(&self) -> u32 {
        self.nodes.iter().map(|(_, mask)| mask.count_ones()).sum()
    }

    /// True when its cards may have other holders beside.
    pub fn is_part(&self) -> bool {
        self.needs.card_milli != 0
    }

    /// Card-nanoseconds from the lease's beginning to `now`.
    pub fn card_nanos(&self, now: Instant) -> u128 {
        u128::from(self.cards()) * u128::from(now.since(self.since).as_nanos())
    }
}

impl Shape {
    /// Whole nodes, and cards on one more.
    pub(super) fn whole_and_rest(self, cards_per_node: u32) -> (u32, u32) {
        match self {
            Self::OneNode { cards } if cards <= cards_per_node => (0, cards),
            Self::OneNode { cards } | Self::Gang { cards } => {
                (cards / cards_per_node, cards % cards_per_node)
            }
            Self::Part { cards, .. } if cards <= cards_per_node => (0, cards),
            Self::Part { cards, .. } => (cards / cards_per_node, cards % cards_per_node),
        }
    }

    /// What it asks for beside whole cards.
    pub fn needs(self) -> Needs {
        match self {
            Self::OneNode { .. } | Self::Gang { .. } => Needs::default(),
            Self::Part { needs, .. } => needs,
        }
    }

    /// How many cards.
    pub fn cards(self) -> u32 {
        match self {
            Self::OneNode { cards } | Self::Gang { cards } | Self::Part { cards, .. } => cards,
        }
    }
}

impl fmt::Display for PendingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewFree { free, wanted: 1 } => write!(f, "wants a card, {free} are free"),
            Self::TooFewFree { free, wanted } => write!(f, "wants {wanted} cards, {free} are free"),
            Self::Fragmented { free, on_one_node, wanted } => {
                write!(f, "wants {wanted} cards together; {free} are free, at most {on_one_node} on one node")
            }
            Self::Host { free, wanted, needs } => {
                let (cpus, gib) = (f64::from(needs.cpu_milli) / 1e3, f64::from(needs.memory_mib) / 1024.0);
                let cards = if *wanted == 1 { "card" } else { "cards" };
                write!(
                    f,
                    "wants {wanted} {cards} with {cpus} CPUs and {gib:.0} GiB; {free} cards are free, but no node has \
                     so much beside them"
                )
            }
            Self::Reserved => f.write_str("backfill reservation: it would delay the first of the queue"),
            Self::Held { until } => {
                write!(
                    f,
                    "calendar reservation: the free cards are held for others until {}",
                    until.as_secs_f64()
                )
            }
            Self::Share { card_milli } => {
                write!(f, "wants {} of a card; none has so much free", f64::from(*card_milli) / 1e3)
            }
        }
    }
}
