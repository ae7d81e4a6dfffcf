//! Renewal processes: independent intervals of one distribution.

use super::samplers::Interval;
use crate::sim::RandomStream;

/// A renewal process with rate 1 in operational time, stationary from the beginning.
#[derive(Debug)]
pub(super) struct Renewal {
    interval: Interval,
    random: RandomStream,
    begun: bool,
}

impl Renewal {
    pub(super) fn new(interval: Interval, random: RandomStream) -> Self {
        Self { interval, random, begun: false }
    }

    /// Operational time to the next arrival.
    pub(super) fn step(&mut self) -> f64 {
        if self.begun {
            self.interval.sample(&mut self.random)
        } else {
            self.begun = true;
            self.interval.first(&mut self.random)
        }
    }
}
