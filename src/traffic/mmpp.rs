//! A Poisson process whose rate jumps between states.

use super::clock::Clock;
use super::process::MmppState;
use super::samplers::exponential;
use crate::sim::RandomStream;
use crate::units::{Duration, Instant};

/// A Markov-modulated Poisson process. Its states change in real time, so the clock is stopped at each
/// change and what is left of the exponential interval is drawn afresh, which it does not remember.
#[derive(Debug)]
pub(super) struct Mmpp {
    /// Relative rates with mean 1.
    states: Vec<MmppState>,
    current: usize,
    until: Instant,
    arrivals: RandomStream,
    changes: RandomStream,
}

impl Mmpp {
    /// Starts in a state drawn from the stationary distribution. From each state every other follows with
    /// the same probability, so all are visited equally often and the share of time is the sojourn's.
    pub(super) fn new(states: &[MmppState], arrivals: RandomStream, mut changes: RandomStream) -> Self {
        let total: f64 = states.iter().map(|state| state.sojourn.as_secs_f64()).sum();
        let mean = states.iter().map(|state| state.rate * state.sojourn.as_secs_f64()).sum::<f64>() / total;
        let states: Vec<MmppState> = states
            .iter()
            .map(|state| MmppState { rate: state.rate / mean, sojourn: state.sojourn })
            .collect();
        let mut point = changes.uniform() * total;
        let mut current = 0;
        while current + 1 < states.len() && point >= states[current].sojourn.as_secs_f64() {
            point -= states[current].sojourn.as_secs_f64();
            current += 1;
        }
        let mut mmpp = Self { states, current, until: Instant::ZERO, arrivals, changes };
        mmpp.stay();
        mmpp
    }

    /// Draws how long the current state lasts.
    fn stay(&mut self) {
        let sojourn = self.states[self.current].sojourn.as_secs_f64() * exponential(&mut self.changes);
        self.until = self.until.saturating_add(Duration::from_secs_f64(sojourn).max(Duration::from_nanos(1)));
    }

    /// The next arrival before `end`.
    pub(super) fn next(&mut self, clock: &mut Clock, end: Instant) -> Option<Instant> {
        loop {
            let rate = self.states[self.current].rate;
            let step = if rate > 0.0 { exponential(&mut self.arrivals) / rate } else { f64::INFINITY };
            if let Some(at) = clock.advance(step, self.until.min(end)) {
                return Some(at);
            }
            if self.until >= end {
                return None;
            }
            let other = self.changes.below(self.states.len() as u64 - 1) as usize;
            self.current = if other >= self.current { other + 1 } else { other };
            self.stay();
        }
    }
}
