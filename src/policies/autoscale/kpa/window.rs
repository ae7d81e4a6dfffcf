//! A window average in buckets (`pkg/autoscaler/aggregation/bucketing.go`).

use crate::units::{Duration, Instant};

/// Samples of a window, added up in buckets of the scrape interval.
#[derive(Debug, Clone)]
pub struct Window {
    granularity: u64,
    count: u64,
    first: Option<u64>,
    last: u64,
    buckets: Vec<(u64, f64)>,
}

impl Window {
    /// An empty window.
    pub fn new(window: Duration, granularity: Duration) -> Self {
        let granularity = granularity.as_nanos().max(1);
        let count = window.as_nanos().div_ceil(granularity).max(1);
        Self { granularity, count, first: None, last: 0, buckets: Vec::new() }
    }

    /// Adds a sample; after a whole window without any, the window begins anew.
    pub fn record(&mut self, at: Instant, value: f64) {
        let bucket = at.as_nanos() / self.granularity;
        if self.first.is_none() || bucket >= self.last + self.count {
            self.first = Some(bucket);
            self.buckets.clear();
        }
        self.last = self.last.max(bucket);
        let oldest = (self.last + 1).saturating_sub(self.count);
        self.buckets.retain(|(at, _)| *at >= oldest);
        match self.buckets.iter_mut().find(|(at, _)| *at == bucket) {
            Some((_, total)) => *total += value,
            None => self.buckets.push((bucket, value)),
        }
    }

    /// Nothing was written for a whole window.
    pub fn is_empty(&self, now: Instant) -> bool {
        self.first.is_none() || now.as_nanos() / self.granularity >= self.last + self.count
    }

    /// The mean over the window or, if that is shorter, over the time since the first write until the last;
    /// rounded to six digits as there.
    pub fn average(&self, now: Instant) -> f64 {
        let Some(first) = self.first.filter(|_| !self.is_empty(now)) else { return 0.0 };
        let now = (now.as_nanos() / self.granularity).max(self.last);
        let oldest = (now + 1).saturating_sub(self.count);
        let total: f64 = self.buckets.iter().filter(|(at, _)| *at >= oldest).map(|(_, value)| value).sum();
        let written = (self.last - first + 1).min(self.count - (now - self.last));
        (total / written as f64 * 1e6).round() / 1e6
    }
}
