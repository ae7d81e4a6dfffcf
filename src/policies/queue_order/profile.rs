//! Free cards over future time, as far as estimates and reservations tell.

use std::collections::BTreeMap;

use crate::units::{Duration, Instant};

/// A step function: free cards from each time on. Always has a step at or before every time asked for.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    free: BTreeMap<Instant, i64>,
}

impl Profile {
    pub(super) fn new(now: Instant, free: u32) -> Self {
        Self { free: BTreeMap::from([(now, i64::from(free))]) }
    }

    /// So many cards more (or fewer) from `from` to `to`.
    pub(super) fn add(&mut self, from: Instant, to: Instant, cards: i64) {
        for at in [from, to] {
            let before = self.free.range(..=at).next_back().map_or(0, |(_, free)| *free);
            self.free.entry(at).or_insert(before);
        }
        for (_, free) in self.free.range_mut(from..to) {
            *free += cards;
        }
    }

    /// The first time from `now` on at which `cards` cards are free for so long.
    pub(super) fn earliest(&self, now: Instant, cards: u32, duration: Duration) -> Instant {
        let cards = i64::from(cards);
        let first = self.free.range(..=now).next_back().map_or(now, |(at, _)| *at);
        let mut start: Option<Instant> = None;
        let mut last = now;
        for (at, free) in self.free.range(first..) {
            let at = (*at).max(now);
            last = at;
            if let Some(start) = start
                && at >= start.saturating_add(duration)
            {
                return start;
            }
            if *free >= cards {
                start.get_or_insert(at);
            } else {
                start = None;
            }
        }
        start.unwrap_or(last)
    }

    /// Forgets the time before `now`.
    pub(super) fn trim(&mut self, now: Instant) {
        if let Some(free) = self.free.range(..=now).next_back().map(|(_, free)| *free) {
            self.free = self.free.split_off(&now);
            self.free.insert(now, free);
        }
    }
}
