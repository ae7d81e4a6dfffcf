//! What a run leaves: the summary, the time series and the tables, as data.
//!
//! Recorders watch and never steer. Memory does not grow with the number of requests: latencies go into
//! sketches with a stated error, quantities over time into a fixed number of buckets.

mod cards;
mod fairness;
mod goals;
mod over_time;
mod requests;
pub mod results;
mod scrape;
mod sketch;
mod stability;
mod steps;
mod time_spent;

pub use cards::{CardRecorder, MAX_CARDS_PER_POOL};
pub use fairness::{Fairness, JobSpan, fairness};
pub use goals::{Goals, MetricGoal, Objective, Survive};
pub use over_time::{DeploymentOverTime, ReplicaCounts, StreamOverTime};
pub use requests::{Ending, Limits, RequestEnd, RequestStats, tpot};
pub use scrape::{Pipeline, PodSample, Sample, Signal};
pub use sketch::{QUANTILE_ERROR, Sketch};
pub use stability::judge;
pub use steps::{Steps, bucket_width};
pub use time_spent::TimeSpent;
