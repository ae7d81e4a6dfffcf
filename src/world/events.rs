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
    /// A replica has started.
    ReplicaUp {
        seat: u32,
    },
    /// A replica's time to drain is over.
    DrainEnd {
        seat: u32,
    },
    /// The share of its links that a lease over several nodes gets has changed.
    Links {
        lease: u32,
    },
    /// A client asks again.
    Retry {
        number: u64,
    },
    /// A hosted API has answered.
    Hosted {
        number: u64,
    },
    /// A deployment's metrics are scraped.
    Scrape {
        scaler: u16,
    },
    /// An autoscaler decides.
    Scale {
        scaler: u16,
    },
    /// Nodes come and go.
    Fleet(fleet::Event),
    /// An entry of the jobs' calendar begins or ends.
    Calendar,
    /// Jobs give way to replicas whose claims are pending.
    Yield,
    /// The time within which a job was to give way is over.
    YieldEnd {
        job: u32,
    },
    /// What is pending is bought.
    Buy,
    /// The node autoscaler looks.
    ScaleNodes,
    /// A pool's price changes to the one at this place of its path.
    Price {
        pool: u16,
        place: u32,
    },
    /// The hour is billed.
    Bill,
}

impl Ranked for Event {
    /// Jobs that finish first (they give their cards back before a node goes and before anybody is submitted),
    /// then nodes, then other jobs (all that happens to jobs is known before any starts), then replicas that come
    /// and go, then arrivals, then time-outs, then replicas' boundaries (so that who arrives at the instant of a
    /// boundary joins there), then autoscalers and buying, which see what the instant leaves, and billing last.
    /// Within a class, by entity.
    fn rank(&self) -> u64 {
        let (class, entity) = match *self {
            Self::Jobs(jobs::Event::Finish { job, .. } | jobs::Event::Saved { job, .. }) => {
                (0, u64::from(job))
            }
            Self::Fleet(event) => (5, event.order()),
            Self::Jobs(jobs::Event::Submit { job }) => (8, u64::from(job)),
            Self::Jobs(jobs::Event::Decide) => (8, 1 << 32),
            Self::ReplicaUp { seat } => (10, u64::from(seat)),
            Self::DrainEnd { seat } => (11, u64::from(seat)),
            Self::Links { lease } => (11, 1 << 32 | u64::from(lease)),
            Self::Serving(serving::Event::Pull { deployment }) => (12, u64::from(deployment)),
            Self::Serving(serving::Event::Host { host }) => (13, u64::from(host)),
            Self::Serving(serving::Event::Loaded { replica }) => (13, 1 << 32 | u64::from(replica)),
            Self::Serving(serving::Event::Weights { .. }) => (35, 1),
            Self::Arrive { stream, user } => {
                (20, u64::from(stream) << 33 | user.map_or(0, |user| 1 + u64::from(user)))
            }
            Self::Retry { number } => (21, number),
            Self::Hosted { number } => (31, number),
            Self::Serving(serving::Event::TimeOut { stream }) => (30, u64::from(stream)),
            Self::Serving(serving::Event::Answer { id, .. }) => (30, 1 << 32 | u64::from(id)),
            Self::Serving(serving::Event::Flow { .. }) => (35, 0),
            Self::Serving(serving::Event::Boundary { replica, .. }) => (40, u64::from(replica)),
            Self::Calendar => (6, 0),
            Self::YieldEnd { job } => (7, u64::from(job)),
            Self::Yield => (53, 0),
            Self::Price { pool, .. } => (4, u64::from(pool)),
            Self::ScaleNodes => (54, 0),
            Self::Scrape { scaler } => (45, u64::from(scaler)),
            Self::Scale { scaler } => (50, u64::from(scaler)),
            Self::Buy => (55, 0),
            Self::Bill => (60, 0),
        };
        class << 56 | entity
    }
}
