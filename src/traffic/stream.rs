//! A running stream.

use super::{Arrival, StreamConfig, TrafficError};
use crate::sim::Seed;
use crate::units::{Duration, Instant, Rate};

/// A running stream: hands out its arrivals in order of time.
#[derive(Debug)]
pub struct Stream {
    x: (),
}

impl Stream {
    /// Starts the stream. `window` is the length of the run: no arrival is at its end or later.
    ///
    /// # Errors
    /// All [`StreamConfig::problems`] at once; a file that cannot be read or whose content is wrong.
    pub fn new(config: &StreamConfig, seed: Seed, window: Duration) -> Result<Self, TrafficError> {
        let problems = config.problems();
        let _ = (seed, window);
        if problems.is_empty() {
            Ok(Self { x: () })
        } else {
            Err(TrafficError::Config { stream: config.name.clone(), problems })
        }
    }

    /// The next arrival, not before the one before; `None` when there is none left in the window. In a closed
    /// loop these are the users' first requests only.
    ///
    /// # Errors
    /// When a trace cannot be read on or its next row is wrong.
    pub fn next_arrival(&mut self) -> Result<Option<Arrival>, TrafficError> {
        let () = self.x;
        Ok(None)
    }

    /// Tells a closed loop that `session`'s request ended at `now`, well or badly, and gives that user's next
    /// request, at `now` or later; `None` when that would be after the window, or when this is no closed loop.
    pub fn completed(&mut self, now: Instant, session: u64) -> Option<Arrival> {
        let _ = (now, session);
        None
    }

    /// True when the stream wants to hear of completions.
    pub fn is_closed_loop(&self) -> bool {
        false
    }

    /// The mean rate offered at `at`, shapes included; `None` for closed loops and traces, which have none
    /// before they are run.
    pub fn rate_at(&self, at: Instant) -> Option<Rate> {
        let _ = at;
        None
    }
}
