//! The world's events: every room's, and the order among those of one instant.

use crate::sim::Ranked;
use crate::{fleet, jobs, serving};

/// An event, of whichever room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A request of a stream arrives: the stream's next, or in a closed loop the next of one user.
    Arrive {
        stream: u16,
        user: Option<u32>,
    },
    Jobs(jobs::Event),
    Serving(serving::Event),
    /// Nodes come and go.
    Fleet(fleet::Event),
    /// What is pending is bought.
    Buy,
    /// The hour is billed.
    Bill,
}

impl Ranked for Event {
    /// Jobs that finish first (they give their cards back before a node goes and before anybody is submitted),
    /// then nodes, then other jobs (all that happens to jobs is known before any starts), then arrivals, then
    /// time-outs, then replicas (so that who arrives at the instant of a boundary joins there), then buying,
    /// which sees what the instant leaves pending, and billing last. Within a class, by entity.
    fn rank(&self) -> u64 {
        let (class, entity) = match *self {
            Self::Jobs(jobs::Event::Finish { job, .. }) => (0, u64::from(job)),
            Self::Fleet(event) => (5, event.order()),
            Self::Jobs(jobs::Event::Submit { job }) => (8, u64::from(job)),
            Self::Jobs(jobs::Event::Decide) => (8, 1 << 32),
            Self::Arrive { stream, user } => {
                (20, u64::from(stream) << 33 | user.map_or(0, |user| 1 + u64::from(user)))
            }
            Self::Serving(serving::Event::TimeOut { stream }) => (30, u64::from(stream)),
            Self::Serving(serving::Event::Answer { id, .. }) => (30, 1 << 32 | u64::from(id)),
            Self::Serving(serving::Event::Boundary { replica, .. }) => (40, u64::from(replica)),
            Self::Buy => (55, 0),
            Self::Bill => (60, 0),
        };
        class << 56 | entity
    }
}
