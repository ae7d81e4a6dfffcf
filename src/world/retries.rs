//! Clients that ask again: a request that was turned away, gave up or was lost comes again after a back-off, as a
//! request of its own. So overload feeds itself.

use std::collections::BTreeMap;

use super::config::RetryPlan;
use super::events::Event;
use super::run::World;
use crate::serving::{Departure, NewRequest, Outcome};
use crate::sim::RandomStream;
use crate::units::{Duration, Instant};

/// Requests that will come again.
#[derive(Debug)]
pub(super) struct Retries {
    pending: BTreeMap<u64, Pending>,
    next: u64,
    /// One for each stream.
    draws: Vec<RandomStream>,
}

#[derive(Debug)]
struct Pending {
    stream: u16,
    prompt: u32,
    output: u32,
    session: Option<u64>,
    attempt: u16,
}

impl Retries {
    pub(super) fn new(config: &super::WorldConfig) -> Self {
        let draws =
            config.streams.iter().map(|plan| config.seed.stream(&format!("retries/{}", plan.traffic.name)));
        Self { pending: BTreeMap::new(), next: 0, draws: draws.collect() }
    }
}

impl RetryPlan {
    /// How long a client waits before its `attempt`-th retry, from 1: back-off × factor^(attempt − 1), up to the most,
    /// of which a share is drawn uniformly (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).
    fn wait(&self, attempt: u16, draws: &mut RandomStream) -> Duration {
        let growth = (1..attempt).fold(1.0f64, |growth, _| (growth * self.factor).min(1e9));
        let wait = (self.backoff.as_secs_f64() * growth).min(self.most.as_secs_f64());
        Duration::from_secs_f64(wait * (1.0 - self.jitter * draws.uniform()))
    }
}

impl World<'_> {
    /// A request has left: its client may ask again.
    pub(super) fn retry_later(&mut self, now: Instant, departure: &Departure) {
        let Some(plan) = &self.config.streams[usize::from(departure.stream)].retries else { return };
        let lost = matches!(departure.outcome, Outcome::Rejected | Outcome::TimedOut | Outcome::Failed);
        if !lost || departure.attempt >= plan.attempts {
            return;
        }
        let attempt = departure.attempt + 1;
        let wait = plan.wait(attempt, &mut self.retries.draws[usize::from(departure.stream)]);
        let number = self.retries.next;
        self.retries.next += 1;
        let Departure { stream, prompt, output, session, .. } = *departure;
        self.retries.pending.insert(number, Pending { stream, prompt, output, session, attempt });
        self.queue.push(now + wait.max(Duration::from_nanos(1)), Event::Retry { number });
    }

    /// A client asks again.
    pub(super) fn ask_again(&mut self, now: Instant, number: u64) {
        let Some(Pending { stream, prompt, output, session, attempt }) = self.retries.pending.remove(&number)
        else {
            return;
        };
        // What was in its prompt is not kept for it: it finds nothing in a prefix cache.
        let (id, hashes, ends, answer) = (self.arrived, None, None, None);
        let pause = None;
        let request =
            NewRequest { id, stream, prompt, output, session, attempt, hashes, ends, answer, pause };
        self.enter(now, request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    #[test]
    fn waits_grow_up_to_the_most() {
        let second = Duration::from_secs;
        let plan = RetryPlan { attempts: 9, backoff: second(1), factor: 2.0, most: second(10), jitter: 0.0 };
        let mut draws = Seed(1).stream("retries");
        let waits: Vec<f64> = (1..=6).map(|attempt| plan.wait(attempt, &mut draws).as_secs_f64()).collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]);
        let plan = RetryPlan { jitter: 0.5, ..plan };
        let waits: Vec<f64> = (0..200).map(|_| plan.wait(2, &mut draws).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (1.0..=2.0).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait < 1.2) && waits.iter().any(|wait| *wait > 1.8));
    }
}
