//! Dominant resource fairness (Ghodsi et al., NSDI 2011, algorithm 1): the user whose dominant share is least
//! goes first. The resources are the cards of each accelerator type; a user's dominant share is the largest of
//! its shares of them, divided by its weight. A user's own jobs go by submission, then number; ties between
//! users by that of their first jobs. A user whose first job does not fit is passed over until cards come free.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, FleetFacts, JobFacts, Order, Step};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// The settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DrfConfig {
    /// Weights by the number of the user; 1 for the others.
    pub weights: BTreeMap<u32, f64>,
}

#[derive(Debug, Default)]
struct User {
    waiting: BTreeSet<(Instant, u32)>,
    /// Cards held of each type.
    held: Vec<u64>,
    refused: bool,
    /// Where it stands in the index.
    place: Option<(u64, Instant, u32, u32)>,
}

#[derive(Debug)]
pub(super) struct Drf {
    config: DrfConfig,
    /// Cards of each type in the fleet.
    totals: Vec<u64>,
    /// The type of the first pool of each list of pools.
    types: Vec<usize>,
    users: BTreeMap<u32, User>,
    /// Users of whom something waits that was not refused: dominant share (its bits, which order as it does),
    /// their first job's submission and number, and the user.
    ready: BTreeSet<(u64, Instant, u32, u32)>,
    /// Users who were refused since cards last came free.
    refused: Vec<u32>,
    last: u32,
}

impl Drf {
    pub(super) fn new(config: DrfConfig, fleet: &FleetFacts) -> Self {
        let mut totals = vec![0; fleet.types.iter().max().map_or(0, |most| *most as usize + 1)];
        for (cards, kind) in fleet.cards.iter().zip(&fleet.types) {
            totals[*kind as usize] += u64::from(*cards);
        }
        let first =
            |pools: &Vec<u16>| pools.first().map_or(0, |pool| fleet.types[usize::from(*pool)] as usize);
        let types = fleet.places.iter().map(first).collect();
        Self {
            config,
            totals,
            types,
            users: BTreeMap::new(),
            ready: BTreeSet::new(),
            refused: Vec::new(),
            last: 0,
        }
    }

    /// Changes a user, and brings its place in the index up to date.
    fn change(&mut self, number: u32, change: impl FnOnce(&mut User)) {
        let kinds = self.totals.len();
        let user = self.users.entry(number).or_default();
        if let Some(place) = user.place.take() {
            self.ready.remove(&place);
        }
        user.held.resize(kinds, 0);
        change(user);
        let user = &self.users[&number];
        if let Some((submit, job)) = user.waiting.first().copied().filter(|_| !user.refused) {
            // Shares are not negative, and so order as their bits do.
            let place = (self.dominant_share(number, user).to_bits(), submit, job, number);
            self.ready.insert(place);
            if let Some(user) = self.users.get_mut(&number) {
                user.place = Some(place);
            }
        }
    }

    fn kind(&self, facts: &JobFacts) -> usize {
        self.types[facts.places as usize]
    }

    fn dominant_share(&self, number: u32, user: &User) -> f64 {
        let weight = self.config.weights.get(&number).copied().unwrap_or(1.0);
        let shares = user.held.iter().zip(&self.totals);
        shares.map(|(held, total)| *held as f64 / *total as f64).fold(0.0, f64::max) / weight
    }
}

impl Order for Drf {
    fn submitted(&mut self, _now: Instant, job: u32, facts: &JobFacts) {
        self.change(facts.user, |user| {
            user.waiting.insert((facts.submit, job));
        });
    }

    fn started(&mut self, _now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        let kind = self.kind(facts);
        self.change(facts.user, |user| {
            user.waiting.remove(&(facts.submit, job));
            user.held[kind] += u64::from(facts.cards);
        });
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        self.finished(now, job, facts);
        self.submitted(now, job, facts);
    }

    fn finished(&mut self, now: Instant, _job: u32, facts: &JobFacts) {
        let kind = self.kind(facts);
        self.change(facts.user, |user| user.held[kind] -= u64::from(facts.cards));
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        for user in std::mem::take(&mut self.refused) {
            self.change(user, |user| user.refused = false);
        }
    }

    fn refused(&mut self, _now: Instant, _job: u32) {
        self.refused.push(self.last);
        self.change(self.last, |user| user.refused = true);
    }

    fn has_one_turn(&self) -> bool {
        false
    }

    fn next(&mut self, _now: Instant, _facts: &[JobFacts], _cluster: &mut dyn Cluster) -> (Step, Reason) {
        match self.ready.first() {
            None => (Step::Wait, Reason("nobody fits")),
            Some((_, _, job, user)) => {
                self.last = *user;
                (Step::Start(*job), Reason("least dominant share"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::queue_order::testing::{Job, schedule, schedule_on};
    use crate::policies::queue_order::{FairShareConfig, QueueOrder};

    /// One user's jobs are many, another's few: card after card goes to who holds the smaller share.
    #[test]
    fn cards_go_to_the_smallest_share() {
        let of = |submit, user| Job { user, ..Job::new(submit, 1, 100) };
        let jobs = [of(0, 1), of(0, 1), of(0, 1), of(0, 1), of(0, 2), of(0, 2)];
        let starts = schedule(&QueueOrder::Drf(DrfConfig::default()), 4, &jobs).starts;
        assert_eq!(starts, [0, 0, 100, 100, 0, 0]);
        assert_eq!(schedule(&QueueOrder::Fifo, 4, &jobs).starts, [0, 0, 0, 0, 100, 100]);
    }

    /// What was used before does not count, only what is held: unlike fair share, the user of the past ten
    /// seconds, who holds nothing, goes by submission.
    #[test]
    fn only_what_is_held_counts() {
        let of = |submit, user| Job { user, ..Job::new(submit, 1, 10) };
        let jobs = [of(0, 1), of(1, 1), of(2, 2)];
        assert_eq!(schedule(&QueueOrder::Drf(DrfConfig::default()), 1, &jobs).starts, [0, 10, 20]);
        let fair = QueueOrder::FairShare(FairShareConfig::default());
        assert_eq!(schedule(&fair, 1, &jobs).starts, [0, 20, 10]);
    }

    /// Two types, 4 and 12 cards: a card of the scarce one is a share of 1/4, three of the other 1/4 too.
    #[test]
    fn the_dominant_share_decides() {
        let of = |pool, user| Job { user, pool, ..Job::new(0, 1, 100) };
        let mut jobs: Vec<Job> = (0..4).map(|_| of(0, 1)).collect();
        jobs.extend((0..12).map(|_| of(1, 1)));
        jobs.extend((0..12).map(|_| of(1, 2)));
        let starts = schedule_on(&QueueOrder::Drf(DrfConfig::default()), &[4, 12], &jobs).starts;
        let now = |range: std::ops::Range<usize>| starts[range].iter().filter(|start| **start == 0).count();
        // User 1 takes the scarce cards first, in order of submission: its share is then 1, and all twelve
        // cards of the other type go to user 2.
        assert_eq!((now(0..4), now(4..16), now(16..28)), (4, 0, 12));
    }
}
