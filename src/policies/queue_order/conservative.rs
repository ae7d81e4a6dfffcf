//! Conservative backfilling (Mu'alem and Feitelson, IEEE TPDS 2001, section 3): every job gets a reservation
//! when it is submitted, at the earliest time at which its cards are free for its estimated time beside all
//! earlier reservations. When a job ends before its estimate, the waiting are moved forward in order of
//! submission, then number; none is moved back.
//!
//! Reservations count the cards of a pool and do not say which. Where cards lie scattered a gang may have to
//! wait beyond its reservation; on nodes of one card, and under placements that split gangs, it never does
//! while estimates are upper bounds. A job with several pools is reserved on the one where it starts first;
//! ties go to its order of preference.

use std::collections::{BTreeMap, BTreeSet};

use super::profile::Profile;
use super::{Blame, Cluster, FleetFacts, JobFacts, Order, Step, Whom};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// Cards of a pool from one time to another.
#[derive(Debug, Clone, Copy)]
struct Slot {
    pool: u16,
    from: Instant,
    to: Instant,
}

#[derive(Debug)]
pub(super) struct Conservative {
    cards: Vec<u32>,
    places: Vec<Vec<u16>>,
    profiles: Vec<Profile>,
    /// Of each job that waits or runs.
    slots: BTreeMap<u32, Slot>,
    /// The waiting by submission, and by reserved time.
    waiting: BTreeSet<(Instant, u32)>,
    planned: BTreeSet<(Instant, Instant, u32)>,
    /// Refused since cards last came free.
    refused: BTreeSet<u32>,
    /// A job has ended before its estimate: move the waiting forward.
    early: bool,
    /// Jobs that want as many cards of the same pools, by what they want; and the group of each job.
    groups: BTreeMap<(u32, u32), u32>,
    group_of: Vec<u32>,
}

impl Conservative {
    pub(super) fn new(facts: &[JobFacts], fleet: &FleetFacts) -> Self {
        let mut groups = BTreeMap::new();
        let mut group = |job: &JobFacts| {
            let next = groups.len() as u32;
            *groups.entry((job.places, job.cards)).or_insert(next)
        };
        let group_of = facts.iter().map(&mut group).collect();
        Self {
            groups,
            group_of,
            cards: fleet.cards.clone(),
            places: fleet.places.clone(),
            profiles: fleet.cards.iter().map(|cards| Profile::new(Instant::ZERO, *cards)).collect(),
            slots: BTreeMap::new(),
            waiting: BTreeSet::new(),
            planned: BTreeSet::new(),
            refused: BTreeSet::new(),
            early: false,
        }
    }

    fn plan(&mut self, now: Instant, job: u32, facts: &JobFacts, estimate: Duration) {
        let estimate = estimate.max(Duration::from_nanos(1));
        let pools = self.places[facts.places as usize].iter();
        let enough = pools.filter(|pool| self.cards[usize::from(**pool)] >= facts.cards);
        let starts = enough
            .map(|pool| (self.profiles[usize::from(*pool)].earliest(now, facts.cards, estimate), *pool));
        // Of equal times the first is the preferred pool.
        let Some((from, pool)) = starts.min_by_key(|(from, _)| *from) else { return };
        let slot = Slot { pool, from, to: from.saturating_add(estimate) };
        self.take(job, facts, slot);
        self.planned.insert((from, facts.submit, job));
    }

    fn take(&mut self, job: u32, facts: &JobFacts, slot: Slot) {
        self.profiles[usize::from(slot.pool)].add(slot.from, slot.to, -i64::from(facts.cards));
        self.slots.insert(job, slot);
    }

    /// Gives back what a job holds of its slot from `from` on.
    fn give_back(&mut self, job: u32, facts: &JobFacts, from: Instant) {
        if let Some(slot) = self.slots.remove(&job)
            && from < slot.to
        {
            self.profiles[usize::from(slot.pool)].add(slot.from.max(from), slot.to, i64::from(facts.cards));
            self.early = true;
        }
    }
}

impl Order for Conservative {
    fn submitted(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.waiting.insert((facts.submit, job));
        self.plan(now, job, facts, facts.estimate);
    }

    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        self.waiting.remove(&(facts.submit, job));
        let early = self.early;
        if let Some(slot) = self.slots.get(&job).copied() {
            self.planned.remove(&(slot.from, facts.submit, job));
            if slot.from != now {
                // It starts later than it was to: what it was promised does not hold.
                self.give_back(job, facts, Instant::ZERO);
                let to = now.saturating_add(facts.estimate);
                self.take(job, facts, Slot { pool: slot.pool, from: now, to });
            }
        }
        self.early = early;
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, left: Duration) {
        self.give_back(job, facts, now);
        self.waiting.insert((facts.submit, job));
        self.plan(now, job, facts, left);
        self.freed(now);
    }

    fn finished(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.give_back(job, facts, now);
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.refused.clear();
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        self.refused.insert(job);
    }

    fn why(&self, _job: u32, _facts: &JobFacts, _cluster: &dyn Cluster) -> Option<&'static str> {
        Some("backfill reservation: its cards are reserved from a later time on")
    }

    fn group(&self, job: u32, _facts: &JobFacts) -> Option<u32> {
        self.group_of.get(job as usize).copied()
    }

    fn has_one_turn(&self) -> bool {
        false
    }

    fn blame(&mut self, _facts: &[JobFacts], cluster: &dyn Cluster, tell: &mut dyn FnMut(Whom, Blame)) {
        for ((places, cards), group) in &self.groups {
            let pools = &self.places[*places as usize];
            let enough = pools.iter().any(|pool| cluster.free(*pool) >= *cards);
            let blame = if enough { Blame::Backfill } else { Blame::TooFew };
            tell(Whom::Group(*group), blame);
        }
        // Their time has come, and their cards do not lie as they must.
        self.refused.iter().for_each(|job| tell(Whom::Job(*job), Blame::AsRefused));
    }

    fn next(&mut self, now: Instant, facts: &[JobFacts], _cluster: &mut dyn Cluster) -> (Step, Reason) {
        if self.early {
            self.early = false;
            for profile in &mut self.profiles {
                profile.trim(now);
            }
            let waiting: Vec<u32> = self.waiting.iter().map(|(_, job)| *job).collect();
            for job in waiting {
                let of = &facts[job as usize];
                let Some(slot) = self.slots.get(&job).copied() else { continue };
                self.planned.remove(&(slot.from, of.submit, job));
                self.give_back(job, of, now);
                self.plan(now, job, of, of.estimate);
            }
            self.early = false;
        }
        let due = self.planned.iter().take_while(|(from, ..)| *from <= now);
        match due.map(|(_, _, job)| *job).find(|job| !self.refused.contains(job)) {
            Some(job) => (Step::Start(job), Reason("its reservation has come")),
            None => (Step::Wait, Reason("no reservation has come")),
        }
    }

    /// When the next reservation comes: a job that overruns its estimate gives no event of its own then.
    fn wake(&self) -> Option<Instant> {
        self.planned.iter().find(|(_, _, job)| !self.refused.contains(job)).map(|(from, ..)| *from)
    }
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    /// Under EASY the fourth job (1 card, long) starts at once, beside the first's reservation, and puts off the
    /// third, which has none; conservative backfilling promised the third its time and keeps it.
    #[test]
    fn everybody_has_a_reservation() {
        let jobs = [Job::new(0, 2, 10), Job::new(1, 3, 10), Job::new(2, 4, 10), Job::new(3, 1, 30)];
        assert_eq!(schedule(&QueueOrder::Conservative, 4, &jobs).starts, [0, 10, 20, 30]);
        assert_eq!(schedule(&QueueOrder::Easy, 4, &jobs).starts, [0, 10, 33, 3]);
    }

    /// The first ends at 10, not at 50: all move forward, in order of submission.
    #[test]
    fn the_waiting_move_forward() {
        let mut jobs = [Job::new(0, 2, 10), Job::new(1, 2, 10), Job::new(2, 1, 10), Job::new(3, 1, 10)];
        jobs[0].estimate = 50;
        assert_eq!(schedule(&QueueOrder::Conservative, 2, &jobs).starts, [0, 10, 20, 20]);
    }

    /// A short job fills a hole before a reservation.
    #[test]
    fn holes_are_filled() {
        let jobs = [Job::new(0, 1, 10), Job::new(1, 2, 10), Job::new(2, 1, 8), Job::new(3, 1, 1)];
        assert_eq!(schedule(&QueueOrder::Conservative, 2, &jobs).starts, [0, 10, 2, 20]);
    }
}
