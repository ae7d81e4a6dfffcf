//! Closed loops: users who wait for the answer, think, and ask again.

use super::error::Problem;
use super::lengths::Lengths;
use crate::units::Duration;

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
        if let Think::LogNormal { cv, .. } = self.think
            && !(0.0..=100.0).contains(&cv)
        {
            problems.push(Problem::new(
                "arrivals.think.cv",
                format!("the coefficient of variation is {cv}"),
                "give 0 to 100",
            ));
        }
        if let Think::Constant(mean) | Think::Exponential(mean) | Think::LogNormal { mean, .. } = self.think
            && mean.is_zero()
        {
            problems.push(Problem::new(
                "arrivals.think",
                "the think time is zero",
                "leave `think` out for users who do not think",
            ));
        }
        self.lengths.check(problems);
    }
}
