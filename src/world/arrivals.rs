//! The streams as the world sees them: the next arrival of each, and of each user of a closed loop.

use super::config::StreamPlan;
use super::events::Event;
use crate::sim::Seed;
use crate::traffic::{Arrival, Stream, TrafficError};
use crate::units::{Duration, Instant, Rate};

/// A running stream with the arrivals that are scheduled.
#[derive(Debug)]
pub(super) struct Source {
    stream: Stream,
    /// The stream's own next arrival.
    next: Option<Arrival>,
    /// In a closed loop, the next arrival of each user who has asked before.
    of_user: Vec<Option<Arrival>>,
}

impl Source {
    pub(super) fn new(plan: &StreamPlan, seed: Seed, window: Duration) -> Result<Self, TrafficError> {
        let mut stream = Stream::new(&plan.traffic, seed, window)?;
        let next = stream.next_arrival()?;
        Ok(Self { stream, next, of_user: Vec::new() })
    }

    /// When the stream's own next arrival is.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.next.as_ref().map(|arrival| arrival.at)
    }

    /// Takes the arrival that is due, and pulls the stream's next one in its place.
    pub(super) fn take(&mut self, user: Option<u32>) -> Result<Option<Arrival>, TrafficError> {
        match user {
            None => {
                let due = self.next.take();
                self.next = self.stream.next_arrival()?;
                Ok(due)
            }
            Some(user) => Ok(self.of_user.get_mut(user as usize).and_then(Option::take)),
        }
    }

    /// Tells a closed loop or a session that a request ended; gives the event of the next one.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        stream: u16,
        session: Option<u64>,
        completed: bool,
    ) -> Option<(Instant, Event)> {
        if !completed && let Some(session) = session {
            self.stream.given_up(session);
        }
        if !self.stream.is_closed_loop() {
            return None;
        }
        let arrival = self.stream.completed(now, session?)?;
        // A session's place is in the lower half of its number; a user's number is its place.
        let user = session? as u32;
        let place = user as usize;
        if self.of_user.len() <= place {
            self.of_user.resize(place + 1, None);
        }
        let at = arrival.at;
        self.of_user[place] = Some(arrival);
        Some((at, Event::Arrive { stream, user: Some(user) }))
    }

    /// The mean rate that the stream offers at `at`, if it has one.
    pub(super) fn rate_at(&self, at: Instant) -> Option<Rate> {
        self.stream.rate_at(at)
    }
}
