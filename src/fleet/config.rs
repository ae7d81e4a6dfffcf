//! What a pool is made of.

use std::fmt;

use super::supply::Supply;
use crate::topology::FabricShape;

/// A pool, by its place in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u16);

/// Like nodes from one offer.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// Its name in the scenario.
    pub name: String,
    /// Who sells it.
    pub provider: String,
    /// What is bought: `aws/p5.48xlarge`.
    pub offer: String,
    /// The accelerator on its nodes.
    pub accelerator: String,
    /// Nodes that are there at the first instant.
    pub nodes: u32,
    /// Cards on each node.
    pub cards_per_node: u32,
    /// Where nodes come from and how they are lost; none when the same nodes are there throughout.
    pub supply: Option<Supply>,
    /// What a node has beside its cards.
    pub host: Host,
    /// The network between its nodes, where gangs may wait for each other on it.
    pub fabric: Option<FabricShape>,
}

/// What a node has beside its cards, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Host {
    /// Thousandths of CPUs.
    pub cpu_milli: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u32>,
    /// Nodes that hang off one switch, in order of their numbers; all of the pool when absent.
    pub nodes_per_switch: Option<u32>,
}

impl PoolConfig {
    /// The most nodes that it can have at a time; they are numbered below this.
    pub fn slots(&self) -> u32 {
        self.nodes.max(self.supply.as_ref().map_or(0, |supply| supply.max))
    }
}

impl PoolId {
    /// As an index into the scenario's pools.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}", self.0)
    }
}
