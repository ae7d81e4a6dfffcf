//! Jobs for whom the calendar holds nodes: they start on these in order of submission, whoever is first otherwise.

use std::collections::BTreeSet;

use super::{Ask, Cards, Context, Jobs};
use crate::jobs::list::JobList;
use crate::jobs::rules::Hold;
use crate::units::Instant;

/// The calendar, with who waits for each of its entries.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    holds: Vec<Hold>,
    waiting: Vec<BTreeSet<(Instant, u32)>>,
}

impl Calendar {
    pub(super) fn new(holds: &[Hold]) -> Self {
        Self { holds: holds.to_vec(), waiting: vec![BTreeSet::new(); holds.len()] }
    }

    /// A job waits, or waits no more.
    pub(super) fn waits(&mut self, list: &JobList, job: u32, waits: bool) {
        for (hold, waiting) in self.holds.iter().zip(&mut self.waiting) {
            let place = (list.facts(job).submit, job);
            if !waits {
                waiting.remove(&place);
            } else if hold.is_for(list.user(job), list.queue(job)) {
                waiting.insert(place);
            }
        }
    }

    /// Those who may start now on what is held for them, with the entry.
    fn candidates(&self, now: Instant) -> Vec<(usize, u32)> {
        let active = |(_, hold): &(usize, &Hold)| hold.from <= now && now < hold.to;
        let entries = self.holds.iter().enumerate().filter(active);
        entries.flat_map(|(entry, _)| self.waiting[entry].iter().map(move |(_, job)| (entry, *job))).collect()
    }
}

impl Jobs {
    /// Starts those for whom nodes are held, as far as they fit there.
    pub(super) fn start_held(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards) {
        for (entry, job) in self.calendar.candidates(ctx.now) {
            if self.states[job as usize].running.is_none() {
                self.start(ctx, cards, job, Ask::Held(entry as u16));
            }
        }
    }
}
