//! Closed loops: users who wait for the answer, think, and ask again.

use super::Arrival;
use super::error::{Problem, TrafficError};
use super::lengths::{LengthSampler, Lengths, LogNormal};
use super::samplers::{exponential, normal};
use crate::sim::{RandomStream, Seed};
use crate::units::{Duration, Instant};

/// A fixed number of users, each with at most one request at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedConfig {
    /// How many users; with [`Think::None`] this is the concurrency. 1 to ten million.
    pub users: u32,
    /// How long a user thinks between an answer and the next request.
    pub think: Think,
    /// The users' first requests are spread evenly over this time from the run's beginning (user k of n at
    /// k/n of it), each after a think time of its own; zero starts all at once.
    pub ramp: Duration,
    /// How long prompts and outputs are.
    pub lengths: Lengths,
}

/// How long a user thinks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Think {
    /// Not at all: fixed concurrency.
    None,
    /// Always the same time.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Log-normal.
    LogNormal {
        /// The mean.
        mean: Duration,
        /// Standard deviation over mean, 0 to 100.
        cv: f64,
    },
}

impl ClosedConfig {
    pub(super) fn check(&self, problems: &mut Vec<Problem>) {
        if !(1..=10_000_000).contains(&self.users) {
            problems.push(Problem::new(
                "arrivals.users",
                format!("there are {} users", self.users),
                "give 1 to 10000000",
            ));
        }
        self.think.check("arrivals.think", problems);
        self.lengths.check(problems);
    }
}

/// A running closed loop. Each user has random streams of its own, so that its k-th request is the same
/// whatever order the answers come in.
#[derive(Debug)]
pub(super) struct ClosedLoop {
    think: Think,
    lengths: LengthSampler,
    users: Vec<User>,
    /// First requests in order of time, the last one first.
    first: Vec<(Instant, u32)>,
    end: Instant,
}

#[derive(Debug)]
struct User {
    think: RandomStream,
    lengths: RandomStream,
}

impl ClosedLoop {
    pub(super) fn new(
        config: &ClosedConfig,
        seed: Seed,
        name: &str,
        end: Instant,
    ) -> Result<Self, TrafficError> {
        let mut users: Vec<User> = (0..config.users)
            .map(|user| User {
                think: seed.stream(&format!("think/{name}/{user}")),
                lengths: seed.stream(&format!("lengths/{name}/{user}")),
            })
            .collect();
        let ramp = u128::from(config.ramp.as_nanos());
        let mut first: Vec<(Instant, u32)> = (0..config.users)
            .zip(&mut users)
            .map(|(index, user)| {
                let enters = (ramp * u128::from(index) / u128::from(config.users)) as u64;
                let think = config.think.sample(&mut user.think);
                (Instant::from_nanos(enters).saturating_add(think), index)
            })
            .collect();
        first.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self { think: config.think, lengths: LengthSampler::new(&config.lengths)?, users, first, end })
    }

    pub(super) fn first_request(&mut self) -> Option<Arrival> {
        let (at, user) = self.first.pop()?;
        self.request(at, u64::from(user))
    }

    pub(super) fn next_request(&mut self, now: Instant, user: u64) -> Option<Arrival> {
        let think = self.think.sample(&mut self.users.get_mut(user as usize)?.think);
        self.request(now.saturating_add(think), user)
    }

    fn request(&mut self, at: Instant, user: u64) -> Option<Arrival> {
        if at >= self.end {
            return None;
        }
        let random = &mut self.users.get_mut(user as usize)?.lengths;
        let (prompt_tokens, output_tokens) = self.lengths.sample(random);
        Some(Arrival { session: Some(user), ..Arrival::plain(at, prompt_tokens, output_tokens) })
    }
}

impl Think {
    pub(super) fn check(self, key: &str, problems: &mut Vec<Problem>) {
        if let Self::LogNormal { cv, .. } = self
            && !(0.0..=100.0).contains(&cv)
        {
            let what = format!("the coefficient of variation is {cv}");
            problems.push(Problem::new(format!("{key}.cv"), what, "give 0 to 100"));
        }
        if let Self::Constant(mean) | Self::Exponential(mean) | Self::LogNormal { mean, .. } = self
            && mean.is_zero()
        {
            let help = "leave `think` out for users who do not think";
            problems.push(Problem::new(key, "the think time is zero", help));
        }
    }

    pub(super) fn sample(self, random: &mut RandomStream) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Constant(time) => time,
            Self::Exponential(mean) => Duration::from_secs_f64(mean.as_secs_f64() * exponential(random)),
            Self::LogNormal { mean, cv } => {
                let (mu, sigma) = LogNormal::MeanCv { mean: mean.as_secs_f64(), cv }.mu_sigma();
                Duration::from_secs_f64(libm::exp(mu + sigma * normal(random)))
            }
        }
    }
}
