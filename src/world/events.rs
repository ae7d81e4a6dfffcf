//! The world's events: every room's, and the order among those of one instant.

use crate::sim::Ranked;
use crate::{jobs, serving};

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
    /// The hour is billed.
    Bill,
}

impl Ranked for Event {
    /// Jobs first (a job that finishes gives its cards back before anybody is submitted, and all that happens
    /// to jobs is known before any starts), then arrivals, then time-outs, then replicas (so that who arrives
    /// at the instant of a boundary joins there), and billing last. Within a class, by entity.
    fn rank(&self) -> u64 {
        let (class, entity) = match *self {
            Self::Jobs(jobs::Event::Finish { job, .. }) => (0, u64::from(job)),
            Self::Jobs(jobs::Event::Submit { job }) => (1, u64::from(job)),
            Self::Jobs(jobs::Event::Decide) => (1, 1 << 32),
            Self::Arrive { stream, user } => {
                (2, u64::from(stream) << 33 | user.map_or(0, |user| 1 + u64::from(user)))
            }
            Self::Serving(serving::Event::TimeOut { stream }) => (3, u64::from(stream)),
            Self::Serving(serving::Event::Answer { slot }) => (3, 1 << 32 | u64::from(slot)),
            Self::Serving(serving::Event::Boundary { replica, .. }) => (4, u64::from(replica)),
            Self::Bill => (5, 0),
        };
        class << 56 | entity
    }
}
