//! Why a run failed.

use thiserror::Error;

use crate::traffic::TrafficError;
use crate::units::Instant;

/// Why a run failed.
#[derive(Debug, Error)]
pub enum RunError {
    /// A stream cannot run: bad input.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The replicas of a deployment do not all find room: bad input.
    #[error(
        "deployment `{deployment}`: only {placed} of its {wanted} replicas find room on its pools \
         (a replica {reason}); give its pools more nodes, or the deployment fewer replicas or another pool"
    )]
    NoRoom {
        /// The deployment.
        deployment: String,
        /// Replicas that have found room.
        placed: u32,
        /// Replicas that the scenario asks for.
        wanted: u32,
        /// Why the next one has not.
        reason: String,
    },
    /// A job can never get its gang of cards: bad input.
    #[error("job `{job}` wants {cards} cards, but no pool that it may use has so many; its pools: {pools}")]
    JobTooLarge {
        /// The job.
        job: String,
        /// Cards wanted.
        cards: u32,
        /// Its pools with their cards.
        pools: String,
    },
    /// The books do not balance: an error in the program, never a result.
    #[error("the books do not balance at {at}: {what}; this is an error in the program, please report it")]
    Books {
        /// The simulated time.
        at: Instant,
        /// Which law is broken, with both sides.
        what: String,
    },
    /// Events follow each other without time passing: an error in the program, never a result.
    #[error(
        "simulated time stands still at {at}; this is an error in the program, please report it with the scenario"
    )]
    Standstill {
        /// The simulated time.
        at: Instant,
    },
    /// The table of requests could not be written on.
    #[error("the run was stopped at {at}: {why}")]
    Recorder {
        /// The simulated time.
        at: Instant,
        /// What the recorder said.
        why: String,
    },
}

impl RunError {
    /// True when the user can put it right in the scenario (exit status 2).
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::Traffic(_) | Self::NoRoom { .. } | Self::JobTooLarge { .. })
    }
}
