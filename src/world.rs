//! The world ties the rooms: it owns the state, pops the events and hands each to its room.
//!
//! A room never calls its sibling: it tells effects, and the world routes them. Every run checks its own
//! books before it gives a result: see [`RunError::Books`].

mod arrivals;
mod books;
mod config;
mod egress;
mod engine_summary;
mod error;
mod events;
mod fleet;
mod hosted;
mod job_cards;
mod job_groups;
mod links;
mod money;
mod node_scaler;
mod recorder;
mod replicas;
mod retries;
mod run;
mod scale;
mod sent;
mod spend;
mod summary;
mod tables;
mod yields;

pub use config::{
    ApiPlan, Feed, NodeScalerPlan, PoolPlan, PowerPlan, RetryPlan, ScalerPlan, Slo, StreamPlan, TenantPlan,
    WorldConfig,
};
pub use error::RunError;
pub use node_scaler::{card_resources, node_labels};

use crate::metrics::TimeSpent;
use crate::metrics::results::RunResults;
use crate::serving::{Departure, Outcome};
use crate::units::Instant;

/// Is handed the rows of the table of requests; says why it cannot take one.
pub type RequestSink<'a> = &'a mut dyn FnMut(&RequestRow<'_>) -> Result<(), String>;

/// How to run, beyond what is run.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// Every iteration is an event of its own: slow, obviously right, and the same result to the byte.
    pub plain: bool,
    /// Is handed a row for each request when it leaves, and for those still there at the end.
    pub requests: Option<RequestSink<'a>>,
    /// Is told from time to time how far the run is.
    pub progress: Option<&'a dyn Fn(Instant)>,
}

/// A request for the table of requests.
#[derive(Debug, Clone, Copy)]
pub struct RequestRow<'a> {
    departure: Departure,
    end: Option<Instant>,
    /// The stream's name.
    pub stream: &'a str,
    /// The deployment's name.
    pub deployment: &'a str,
}

impl RequestRow<'_> {
    /// All that is known of the request.
    pub fn departure(&self) -> &Departure {
        &self.departure
    }

    /// When it left; `None` when it was still there at the end of the run.
    pub fn end(&self) -> Option<Instant> {
        self.end
    }

    /// What its time went to; of a completed request the causes add up to its E2E and to its queue wait.
    pub fn time_spent(&self) -> TimeSpent {
        recorder::time_spent(&self.departure)
    }

    /// How it ended, as files name it.
    pub fn outcome(&self) -> &'static str {
        match self.departure.outcome {
            Outcome::Completed => "completed",
            Outcome::Rejected => "rejected",
            Outcome::TimedOut => "timed_out",
            Outcome::Failed => "failed",
            Outcome::InFlight => "in_flight",
        }
    }
}

/// Runs a scenario from its first instant to its last.
///
/// # Errors
/// When a stream cannot run, replicas or jobs find no room, the table of requests cannot be written on, or
/// the books do not balance.
pub fn run<'a>(config: &'a WorldConfig, options: RunOptions<'a>) -> Result<RunResults, RunError> {
    let progress = options.progress;
    let mut world = run::World::new(config, options)?;
    world.run(progress)?;
    world.results()
}
