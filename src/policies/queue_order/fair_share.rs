//! Fair share with decay: the user whose weighted card-time of late is least goes first. Card-time halves in
//! weight every half-life, as in Slurm's multifactor plugin (priority/multifactor, PriorityDecayHalfLife).
//! A user's own jobs go by submission, then number; ties between users by that of their first jobs. When the
//! first job of that user does not fit, all wait.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cluster, JobFacts, Order, Step};
use crate::policies::Reason;
use crate::units::{Duration, Instant};

/// The settings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FairShareConfig {
    /// Time after which card-time counts half; it never fades when absent.
    pub half_life: Option<Duration>,
    /// Shares by the number of the user; 1 for the others.
    pub weights: BTreeMap<u32, f64>,
}

#[derive(Debug, Default)]
struct User {
    waiting: BTreeSet<(Instant, u32)>,
    /// Decayed card-seconds up to `at`.
    used: f64,
    at: Instant,
    cards: u64,
}

#[derive(Debug)]
pub(super) struct FairShare {
    config: FairShareConfig,
    users: BTreeMap<u32, User>,
    /// Users of whom something waits.
    asking: BTreeSet<u32>,
    blocked: Option<u32>,
}

const LN_2: f64 = std::f64::consts::LN_2;

impl User {
    /// Card-seconds as they count at `now`: what there was fades, and each second since adds what has faded
    /// of it by now.
    fn used_at(&self, now: Instant, half_life: Option<Duration>) -> f64 {
        let seconds = now.since(self.at).as_secs_f64();
        match half_life {
            None => self.used + self.cards as f64 * seconds,
            Some(half_life) => {
                let half_life = half_life.as_secs_f64();
                let fade = libm::exp2(-seconds / half_life);
                self.used * fade + self.cards as f64 * (1.0 - fade) * half_life / LN_2
            }
        }
    }
}

impl FairShare {
    pub(super) fn new(config: FairShareConfig) -> Self {
        Self { config, users: BTreeMap::new(), asking: BTreeSet::new(), blocked: None }
    }

    fn user(&mut self, now: Instant, user: u32) -> &mut User {
        let state = self.users.entry(user).or_default();
        state.used = state.used_at(now, self.config.half_life);
        state.at = now;
        state
    }
}

impl Order for FairShare {
    fn submitted(&mut self, now: Instant, job: u32, facts: &JobFacts) {
        self.user(now, facts.user).waiting.insert((facts.submit, job));
        self.asking.insert(facts.user);
    }

    fn started(&mut self, now: Instant, job: u32, facts: &JobFacts, _end: Instant) {
        let user = self.user(now, facts.user);
        user.waiting.remove(&(facts.submit, job));
        user.cards += u64::from(facts.cards);
        if user.waiting.is_empty() {
            self.asking.remove(&facts.user);
        }
    }

    fn stopped(&mut self, now: Instant, job: u32, facts: &JobFacts, _left: Duration) {
        self.finished(now, job, facts);
        self.submitted(now, job, facts);
    }

    fn finished(&mut self, now: Instant, _job: u32, facts: &JobFacts) {
        self.user(now, facts.user).cards -= u64::from(facts.cards);
        self.freed(now);
    }

    fn freed(&mut self, _now: Instant) {
        self.blocked = None;
    }

    fn refused(&mut self, _now: Instant, job: u32) {
        self.blocked = Some(job);
    }

    fn next(&mut self, now: Instant, _facts: &[JobFacts], _cluster: &mut dyn Cluster) -> (Step, Reason) {
        let claims = self.asking.iter().filter_map(|number| {
            let user = self.users.get(number)?;
            let weight = self.config.weights.get(number).copied().unwrap_or(1.0);
            let (submit, job) = *user.waiting.first()?;
            Some((user.used_at(now, self.config.half_life) / weight, submit, job))
        });
        let least = claims.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        match least {
            None => (Step::Wait, Reason("nothing waits")),
            Some((_, _, job)) if self.blocked == Some(job) => (Step::Wait, Reason("the first does not fit")),
            Some((_, _, job)) => (Step::Start(job), Reason("its user has used least")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    fn jobs() -> Vec<Job> {
        let of = |submit, duration, user| Job { user, ..Job::new(submit, 1, duration) };
        vec![of(0, 10, 1), of(1, 4, 1), of(2, 4, 1), of(3, 4, 2), of(4, 4, 2)]
    }

    /// User 2 has used nothing when the card comes free, then 4 against 10, then 8 against 10.
    #[test]
    fn who_used_least_is_first() {
        let fair = QueueOrder::FairShare(FairShareConfig::default());
        assert_eq!(schedule(&fair, 1, &jobs()).starts, [0, 18, 22, 10, 14]);
        assert_eq!(schedule(&QueueOrder::Fifo, 1, &jobs()).starts, [0, 10, 14, 18, 22]);
    }

    /// With a share of 4, user 1's ten count as 2.5: less than user 2's four.
    #[test]
    fn shares_weigh() {
        let config = FairShareConfig { weights: BTreeMap::from([(1, 4.0)]), ..FairShareConfig::default() };
        assert_eq!(schedule(&QueueOrder::FairShare(config), 1, &jobs()).starts, [0, 14, 18, 10, 22]);
    }

    /// With a half-life of one second user 1's ten seconds are forgotten at 14, and user 2 has just used four.
    #[test]
    fn use_fades() {
        let config =
            FairShareConfig { half_life: Some(Duration::from_secs(1)), ..FairShareConfig::default() };
        assert_eq!(schedule(&QueueOrder::FairShare(config), 1, &jobs()).starts, [0, 14, 22, 10, 18]);
    }

    /// A card for ever is worth half-life / ln 2 card-seconds; for one half-life, half of that.
    #[test]
    fn the_closed_form_of_decay() {
        let user = User { cards: 1, ..User::default() };
        let half_life = Some(Duration::from_secs(100));
        let used = |seconds| user.used_at(Instant::ZERO + Duration::from_secs(seconds), half_life);
        assert!((used(100) - 50.0 / LN_2).abs() < 1e-9);
        assert!((used(100_000) - 100.0 / LN_2).abs() < 1e-9);
    }
}
