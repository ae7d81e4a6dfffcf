//! EASY backfilling (Lifka, JSSPP 1995; Mu'alem and Feitelson, IEEE TPDS 2001, section 3): jobs start in order
//! of submission; when the first does not fit, it gets a reservation at the earliest time at which it would,
//! as far as users' estimates tell, and a later job may start if it is estimated to end by then, or if it fits
//! beside what the first will need. Candidates are tried in order of submission, then number. The reservation
//! is made anew whenever cards come free, so it only ever moves to earlier times while estimates are upper
//! bounds. A job past its estimate is taken to end at once.
//!
//! What is reserved are cards of certain nodes, so that the promise holds where gangs must lie together: under
//! first fit the nodes that it would choose then (as batsched reserves), otherwise those that keep least from
//! others, which on nodes of one card is the textbook's count of extra nodes.

use std::collections::BTreeSet;

use super::classes::Classes;
use super::{Blame, Cluster, FleetFacts, JobFacts, Order, Shadow, Step, Whom};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Easy {
    classes: Classes,
    places: Vec<Vec<u16>>,
    /// Ranks of the waiting.
    waiting: BTreeSet<u32>,
    /// Running jobs by estimated end.
    running: BTreeSet<(Instant, u32)>,
    /// Estimated end of each job that runs.
    ends: Vec<Instant>,
    blocked: bool,
    shadow: Option<Shadow>,
    /// Classes of which a job was refused since cards last came free: of any, and of those to be placed
    /// beside the reservation.
    dead: Vec<bool>,
    dead_beside: Vec<bool>,
    /// Whether the last step was to be placed beside the reservation.
    beside: bool,
}

impl Easy {
    pub(super) fn new(facts: &[JobFacts], fleet: &FleetFacts) -> Self {
        let classes = Classes::new(facts);
        let count = classes.all.len();
        Self {
            classes,
            places: fleet.places.clone(),
            waiting: BTreeSet::new(),
            running: BTreeSet::new(),
            ends: vec![Instant::ZERO; facts.len()],
            blocked: false,
            shadow: None,
            dead: vec![false; count],
            dead_beside: vec![false; count],
            beside: false,
        }
    }

    /// The first waiting job that may overtake, and whether it has to leave the reservation alone.
    fn candidate(&self, now: Instant, shadow: Shadow, cluster: &dyn Cluster) -> Option<(u32, bool)> {
        let until = shadow.at.since(now);
        let mut best: Option<(u32, bool)> = None;
        for (number, class) in self.classes.all.iter().enumerate() {
            let pools = &self.places[class.places as usize];
            let fits = |pool: &u16| cluster.free(*pool) >= class.cards;
            if self.dead[number] || !pools.iter().any(fits) {
                continue;
            }
            let contends = pools.contains(&shadow.pool);
            let short = class.first(if contends { until } else { Duration::MAX }).map(|rank| (rank, false));
            let long = (contends && !self.dead_beside[number])
                .then(|| class.first(Duration::MAX))
                .flatten()
                .map(|rank| (rank, true));
            // The same rank sorts as short before long.
            best = [best, short, long].into_iter().flatten().min();
        }
        best
    }
}

impl Order for Easy {
    fn submitted(&mut self, _now: Instant, job: u32, facts: &JobFacts) {
        self.waiting.insert(self.classes.rank(job));
        self.classes.set(job, Some(facts.estimate));
    }

    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        self.waiting.remove(&self.classes.rank(job));
        self.classes.set(job, None);
        let end = now.saturating_add(facts.estimate);
        self.running.insert((end, job));
        self.ends[job as usize] = end;
        // Beside the reservation it took some of what was left; before it, it can be what the first gets.
        self.shadow = None;
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, left: Duration) {
        self.finished(now, job, facts);
        self.waiting.insert(self.classes.rank(job));
        self.classes.set(job, Some(left));
    }

    fn finished(&mut self, now: Instant, job: u32, _facts: &JobFacts) {
        self.running.remove(&(self.ends[job as usize], job));
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.blocked = false;
        self.shadow = None;
        self.dead.fill(false);
        self.dead_beside.fill(false);
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        let class = self.classes.class(job);
        if !self.blocked {
            self.blocked = true;
            self.dead[class] = true;
        } else if self.beside {
            self.dead_beside[class] = true;
        } else {
            self.dead[class] = true;
        }
    }

    fn why(&self, _job: u32, facts: &JobFacts, cluster: &dyn Cluster) -> Option<&'static str> {
        let pools = &self.places[facts.places as usize];
        let enough = pools.iter().any(|pool| cluster.free(*pool) >= facts.cards);
        (self.blocked && enough).then_some("backfill reservation: it would delay the first of the queue")
    }

    fn group(&self, job: u32, _facts: &JobFacts) -> Option<u32> {
        Some(self.classes.class(job) as u32)
    }

    fn has_one_turn(&self) -> bool {
        false
    }

    /// Jobs of a class that fit nowhere wait for cards; of the others those that could start beside the
    /// reservation have, and the rest would delay the first.
    fn blame(&mut self, _facts: &[JobFacts], cluster: &dyn Cluster, tell: &mut dyn FnMut(Whom, Blame)) {
        for (number, class) in self.classes.all.iter().enumerate() {
            let pools = &self.places[class.places as usize];
            let enough = pools.iter().any(|pool| cluster.free(*pool) >= class.cards);
            let blame = match (enough, self.dead[number]) {
                (false, _) => Blame::TooFew,
                (true, true) => Blame::AsRefused,
                (true, false) => Blame::Backfill,
            };
            tell(Whom::Group(number as u32), blame);
        }
    }

    fn next(&mut self, now: Instant, _facts: &[JobFacts], cluster: &mut dyn Cluster) -> (Step, Reason) {
        let Some(head) = self.waiting.first().copied() else {
            return (Step::Wait, Reason("nothing waits"));
        };
        self.beside = false;
        let head = self.classes.by_rank[head as usize];
        if !self.blocked {
            return (Step::Start(head), Reason("first in the queue"));
        }
        // Who is past its estimate should have ended: what was reserved by it is stale.
        if self.shadow.is_some_and(|shadow| shadow.at <= now) {
            self.shadow = None;
        }
        let anyone = Shadow { at: Instant::MAX, pool: u16::MAX };
        if self.candidate(now, anyone, cluster).is_none() {
            return (Step::Wait, Reason("nobody fits"));
        }
        let shadow = match self.shadow {
            Some(shadow) => shadow,
            None => {
                let soon = now.saturating_add(Duration::from_nanos(1));
                let mut ends = self.running.iter().map(|(end, job)| ((*end).max(soon), *job));
                let shadow = cluster.reserve(head, &mut ends).unwrap_or(anyone);
                *self.shadow.insert(shadow)
            }
        };
        match self.candidate(now, shadow, cluster) {
            None => (Step::Wait, Reason("nobody fits without delaying the first")),
            Some((rank, false)) => {
                let job = self.classes.by_rank[rank as usize];
                (Step::Start(job), Reason("ends before the first can start"))
            }
            Some((rank, true)) => {
                self.beside = true;
                let job = self.classes.by_rank[rank as usize];
                (Step::StartBeside(job), Reason("fits beside what the first will need"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    /// Ten cards. The first runs on 6 until 10; the second wants 8, reserved at 10. The third (4 cards, 10 s)
    /// fits now but would delay it; the fourth ends by 10; the fifth fits into the two that are left over.
    #[test]
    fn the_reference_example() {
        let jobs = [
            Job::new(0, 6, 10),
            Job::new(1, 8, 10),
            Job::new(2, 4, 10),
            Job::new(3, 2, 7),
            Job::new(4, 2, 30),
        ];
        assert_eq!(schedule(&QueueOrder::Easy, 10, &jobs).starts, [0, 10, 20, 3, 4]);
        assert_eq!(schedule(&QueueOrder::Fifo, 10, &jobs).starts, [0, 10, 20, 20, 20]);
    }

    /// Estimates decide, not durations: the second job would have ended in time, but its user said 20.
    #[test]
    fn estimates_decide() {
        let mut jobs = [Job::new(0, 1, 10), Job::new(1, 2, 10), Job::new(2, 1, 5)];
        jobs[2].estimate = 20;
        assert_eq!(schedule(&QueueOrder::Easy, 2, &jobs).starts, [0, 10, 20]);
        jobs[2].estimate = 5;
        assert_eq!(schedule(&QueueOrder::Easy, 2, &jobs).starts, [0, 10, 2]);
    }

    /// The first ends long before its estimate: the reservation moves forward with it.
    #[test]
    fn reservations_move_forward() {
        let mut jobs = [Job::new(0, 2, 10), Job::new(1, 3, 10), Job::new(2, 1, 40)];
        jobs[0].estimate = 100;
        assert_eq!(schedule(&QueueOrder::Easy, 3, &jobs).starts, [0, 42, 2]);
        jobs[0].estimate = 10;
        assert_eq!(schedule(&QueueOrder::Easy, 3, &jobs).starts, [0, 10, 20]);
    }
}
