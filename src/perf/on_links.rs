//! What changes with the share of the network that a place in a fabric leaves.

use std::fmt;
use std::sync::Arc;

use crate::topology::Pattern;

type AtShare<T> = dyn Fn(f64) -> Option<T> + Send + Sync;

/// How long something over several nodes takes, as a function of the share of its own network cards' bandwidth that
/// it gets; and how its nodes talk to each other.
#[derive(Clone)]
pub struct OnLinks<T> {
    /// How its nodes talk to each other.
    pub pattern: Pattern,
    at: Arc<AtShare<T>>,
}

impl<T> OnLinks<T> {
    /// `at` answers for shares from 0, not included, to 1; `None` where it cannot run so, which leaves it as it is.
    pub fn new(pattern: Pattern, at: impl Fn(f64) -> Option<T> + Send + Sync + 'static) -> Self {
        Self { pattern, at: Arc::new(at) }
    }

    /// With this share of the bandwidth, above 0, at most 1.
    pub fn at(&self, share: f64) -> Option<T> {
        (self.at)(share)
    }
}

impl<T> fmt::Debug for OnLinks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnLinks").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl<T> PartialEq for OnLinks<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.at, &other.at)
    }
}
