//! The links inside a node as a graph: cards, switches, CPUs and NICs, and what a collective gets from them.
//!
//! Between nodes there is a [`Fabric`]: from where gangs lie follows what each gets of the links that they share. Bulk
//! transfers share links max-min fair while they last ([`Flows`]).
//!
//! Each physical link is two directed edges, because both directions carry traffic at full speed at once.
//! The numbers (bandwidths, latencies) come from the caller; nothing here knows of models or prices.

mod bisection;
mod build;
mod fabric;
mod flows;
mod graph;
mod ring;

pub use build::{HostShape, Interconnect, NodeShape};
pub use fabric::{Fabric, FabricShape, Gang, Load, Pattern, Share, Switch, Wiring};
pub use flows::{Flows, LinkId};
pub use graph::{Link, NodeTopology, Path, TopologyError, Vertex};
pub use ring::{Ring, Rings, ring_all_reduce};
