//! How long a job is expected to take, for the orders that go by it.

use std::collections::BTreeMap;

use super::JobFacts;
use crate::sim::{RandomStream, Seed};
use crate::units::Duration;

/// What `sjf` and `srtf` know of durations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Durations {
    /// The truth.
    #[default]
    True,
    /// What users say.
    Estimates,
    /// The truth times a lognormal factor with median 1, drawn once for each job in order of submission.
    Noisy {
        /// The standard deviation of the factor's logarithm; at least 0.
        sigma: f64,
    },
    /// The mean of the last two jobs of the same user that have ended, the user's estimate before there are
    /// any (Tsafrir, Etsion and Feitelson, IEEE TPDS 2007, section 3).
    Predicted,
}

#[derive(Debug)]
pub(super) struct Expect {
    durations: Durations,
    draws: RandomStream,
    /// The last two durations of each user, the latest first.
    last: BTreeMap<u32, (Duration, Option<Duration>)>,
}

impl Expect {
    pub(super) fn new(durations: Durations, seed: Seed) -> Self {
        Self { durations, draws: seed.stream("scheduler/durations"), last: BTreeMap::new() }
    }

    /// True when what is expected is what will be.
    pub(super) fn is_true(&self) -> bool {
        self.durations == Durations::True
    }

    /// How long a job that was just submitted should take; each job is asked about once.
    pub(super) fn of(&mut self, facts: &JobFacts) -> Duration {
        match self.durations {
            Durations::True => facts.duration,
            Durations::Estimates => facts.estimate,
            Durations::Noisy { sigma } => {
                let factor = libm::exp(sigma * self.draws.normal());
                Duration::from_secs_f64((facts.duration.as_secs_f64() * factor).min(1e10))
            }
            Durations::Predicted => match self.last.get(&facts.user) {
                None => facts.estimate,
                Some((last, None)) => *last,
                Some((last, Some(before))) => *last / 2 + *before / 2,
            },
        }
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, facts: &JobFacts) {
        if self.durations == Durations::Predicted {
            let before = self.last.get(&facts.user).map(|(last, _)| *last);
            self.last.insert(facts.user, (facts.duration, before));
        }
    }
}
