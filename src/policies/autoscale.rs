//! Replica autoscalers: how many replicas a deployment should have.
//!
//! Each law is as its own project runs it, with its defaults, its order of clamps and its words; a rule's
//! source is named where it is coded. All see the same [`Observation`] and answer with a [`Scale`].

pub mod cron;
pub mod dynamo;
pub mod forecast;
pub mod hpa;
pub mod keda;
pub mod kpa;
pub mod llumnix;
pub mod observation;
pub mod predictive;
pub mod ray;
pub mod reactive;
pub mod scheduled;
pub mod skyserve;
pub mod wva;

pub use observation::{History, Measure, Observation, Pod, PodMetric};

/// What a replica autoscaler answers: replicas, or why it cannot say.
pub type Decision = Result<Scale, CannotScale>;

/// How many replicas there should be, and how that came about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scale {
    /// Replicas wanted after every clamp.
    pub desired: u32,
    /// Replicas that the metrics ask for, before stabilisation, rate limits and bounds.
    pub raw: i64,
    /// What held the wish back or moved it, in the order in which it was applied.
    pub limits: Vec<String>,
    /// Figures of this law beside the replicas (excess burst capacity, say), by name.
    pub figures: Vec<(&'static str, f64)>,
    /// Answers of this law beside the replicas (a choice of variant, say), by name.
    pub notes: Vec<(&'static str, String)>,
    /// Replicas of each part, where the law tells parts apart (WVA's variants), by name.
    pub targets: Vec<(String, u32)>,
}

impl Scale {
    /// A wish that nothing has touched yet.
    pub fn wish(raw: u32) -> Self {
        Self { desired: raw, raw: i64::from(raw), ..Self::default() }
    }

    /// Moves the wish to `to` and says what did it; nothing happens when it is there already.
    pub fn limit(&mut self, to: u32, rule: impl Into<String>) {
        if self.desired != to {
            self.desired = to;
            self.limits.push(rule.into());
        }
    }
}

/// Why a law cannot decide, in the words of its own project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotScale(pub String);

impl CannotScale {
    /// With these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

/// A float's ceiling as a number of replicas; out of range saturates, NaN is zero.
pub(crate) fn ceil_replicas(value: f64) -> u32 {
    value.ceil().min(f64::from(i32::MAX)) as u32
}
