//! What a room is handed when an event is its own.

use crate::units::{Duration, Instant};

/// The context of one event: the time, the way to schedule this room's further events, and the way to tell
/// the world what happened.
///
/// `E` is the room's own event type and `F` its own effect type. A room never sees another room's types:
/// the world turns `E` into its own events and routes each `F` to the rooms that it concerns. Both buffers
/// belong to the world and are reused, so that the steady state allocates nothing.
#[derive(Debug)]
pub struct Ctx<'a, E, F> {
    /// The time of the event being handled.
    pub now: Instant,
    schedule: &'a mut Vec<(Instant, E)>,
    effects: &'a mut Vec<F>,
}

impl<'a, E, F> Ctx<'a, E, F> {
    /// A context at `now` that writes into the world's buffers.
    pub fn new(now: Instant, schedule: &'a mut Vec<(Instant, E)>, effects: &'a mut Vec<F>) -> Self {
        Self { now, schedule, effects }
    }

    /// Schedules `event` at `at`; a time that has passed means now.
    pub fn at(&mut self, at: Instant, event: E) {
        self.schedule.push((at.max(self.now), event));
    }

    /// Schedules `event` after `delay`.
    pub fn after(&mut self, delay: Duration, event: E) {
        self.schedule.push((self.now.saturating_add(delay), event));
    }

    /// Tells the world that something happened; it is routed after the handler returns.
    pub fn tell(&mut self, effect: F) {
        self.effects.push(effect);
    }
}
