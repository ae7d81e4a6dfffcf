//! Policies: pure deciders, one a file.
//!
//! A policy sees an observation, never the world, and returns a decision, never performs it. So the same
//! code runs in a simulation, in a replay of recorded observations and in a unit test.

pub mod autoscale;
pub mod node_autoscale;
pub mod placement;
pub mod queue_order;
pub mod replay;
pub mod request_order;
pub mod router;
pub mod spec;
pub mod spot_placement;

use crate::units::Instant;

/// A policy of one kind: what it observes and what it decides.
pub trait Policy {
    /// What it may look at.
    type Observation<'a>;
    /// What it answers.
    type Decision;

    /// Decides at `now`, and says why.
    fn decide(&mut self, now: Instant, observation: &Self::Observation<'_>) -> (Self::Decision, Reason);
}

/// Why a policy decided as it did: the name of the rule that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason(pub &'static str);
