//! Where the nodes of a pool come from, and how they are lost again.

use std::sync::Arc;

use super::failures::Failures;
use crate::sim::Delay;
use crate::units::{Duration, Instant, UsdPerHour};

/// Where the nodes of a pool come from. A pool without one has its nodes from the first instant to the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Supply {
    /// Nodes that are kept, and ordered anew when they are lost.
    pub min: u32,
    /// The most nodes at a time; at least `min`.
    pub max: u32,
    /// The stages between an order and a ready node.
    pub provisioning: Provisioning,
    /// The provider's zones, in order of preference; at least one.
    pub zones: Vec<Zone>,
    /// Which of them is asked.
    pub zone_choice: ZoneChoice,
    /// How the provider takes nodes back.
    pub spot: Option<Spot>,
    /// How nodes break.
    pub failures: Option<Failures>,
    /// When nodes are taken out for a while.
    pub maintenance: Option<Maintenance>,
    /// Paid whether there or not, so that a node that is down is still paid.
    pub committed: bool,
    /// The nodes are there only from the one time to the other: a capacity block or calendar reservation.
    pub block: Option<(Instant, Instant)>,
    /// A node with nothing on it is given back after so long, where no node autoscaler decides.
    pub idle_after: Duration,
}

/// The stages between an order and a ready node.
#[derive(Debug, Clone, PartialEq)]
pub struct Provisioning {
    /// From the order to the provider's consent.
    pub quota: Delay,
    /// From the provider's start of the machine, when billing begins, to its operating system.
    pub boot: Delay,
    /// From there to the container's image being there.
    pub image_pull: Delay,
    /// The share of starts that come to nothing, after their boot time.
    pub failure: f64,
    /// An order that the provider has not begun to fulfil for so long is given up.
    pub give_up: Duration,
    /// After an order that came to nothing, the pool is not tried again for so long.
    pub retry_after: Duration,
    /// Machines that are booted and stopped, so that they start faster.
    pub warm: Option<Warm>,
}

/// Machines kept stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Warm {
    /// How many; one that is used is replaced after its boot and image pull.
    pub nodes: u32,
    /// How long one takes to be ready; its image is there.
    pub boot: Delay,
    /// What one costs while it is stopped.
    pub price: UsdPerHour,
}

/// Which zone the next node is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZoneChoice {
    /// The first that has one to give.
    #[default]
    Listed,
    /// As SpotHedge does: spread, and away from zones that took nodes back.
    SpotHedge,
}

impl ZoneChoice {
    /// The names in a scenario.
    pub const ALL: [(&'static str, Self); 2] = [("listed", Self::Listed), ("spot-hedge", Self::SpotHedge)];
}

/// A zone of the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its name; empty for the only one.
    pub name: String,
    /// What the provider has to give there.
    pub stock: Stock,
}

/// What the provider has to give.
#[derive(Debug, Clone, PartialEq)]
pub enum Stock {
    /// Whatever is asked for.
    Unlimited,
    /// So many nodes at a time.
    Fixed(u32),
    /// Everything or nothing, in turns; it begins with everything.
    InTurns {
        /// How long there is some.
        up: Delay,
        /// How long there is none.
        down: Delay,
    },
    /// So many nodes from each time on, in order of time; the first at the beginning.
    Levels(Arc<[(Instant, u32)]>),
}

/// How the provider takes spot nodes back; where its stock falls below what is held, it takes the excess back
/// too, with the same notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Spot {
    /// How long a node is left alone; none for nodes that only the stock takes back.
    pub life: Option<Delay>,
    /// From the notice to the end.
    pub notice: Duration,
    /// The share of preemptions that come to all nodes of a zone at once, 0 to 1. The rate of a single node
    /// stays what `life` says: a common shock, after Marshall and Olkin (JASA 62, 1967). Only where `life` is
    /// exponential.
    pub together: f64,
    /// When the stock falls below what is held, the excess is taken back.
    pub follows_stock: bool,
}

/// Nodes are taken out one after the other, each for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// When the first node is taken out.
    pub first: Duration,
    /// The round begins again after so long.
    pub every: Duration,
    /// How long each node is out.
    pub length: Duration,
    /// How long before a node takes no new work.
    pub notice: Duration,
}

impl Default for Provisioning {
    fn default() -> Self {
        Self {
            quota: Delay::NONE,
            boot: Delay::NONE,
            image_pull: Delay::NONE,
            failure: 0.0,
            give_up: Duration::from_secs(900),
            retry_after: Duration::from_secs(300),
            warm: None,
        }
    }
}

impl Supply {
    /// Between `min` and `max` nodes, at once and from a stock without end.
    pub fn new(min: u32, max: u32) -> Self {
        Self {
            min,
            max,
            provisioning: Provisioning::default(),
            zones: vec![Zone { name: String::new(), stock: Stock::Unlimited }],
            zone_choice: ZoneChoice::Listed,
            spot: None,
            failures: None,
            maintenance: None,
            committed: false,
            block: None,
            idle_after: Duration::from_secs(600),
        }
    }
}
