//! Step functions over time: exact integrals, in all and bucket by bucket.

use crate::units::{Duration, Instant};

/// The width of the buckets into which a run of `duration` is cut: the roundest that gives at most 400.
pub fn bucket_width(duration: Duration) -> Duration {
    const ROUND_SECONDS: [u64; 18] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400, 604_800, 4 * 604_800];
    let fits = |width: &Duration| duration.as_nanos().div_ceil(width.as_nanos()) <= 400;
    let mut short = [1, 10, 100].map(|ms| Duration::from_nanos(ms * 1_000_000)).into_iter();
    short
        .find(fits)
        .or_else(|| ROUND_SECONDS.into_iter().map(Duration::from_secs).find(fits))
        .unwrap_or(Duration::from_nanos(duration.as_nanos().div_ceil(400)))
}

/// A value that changes in steps, with its integral over time in value-nanoseconds.
#[derive(Debug, Clone)]
pub struct Steps {
    value: u64,
    since: Instant,
    width: u64,
    integral: u128,
    buckets: Vec<u128>,
    highest: Vec<u64>,
}

impl Steps {
    /// Zero from the beginning of the run; buckets of `width`.
    pub fn new(width: Duration) -> Self {
        let width = width.as_nanos();
        Self { value: 0, since: Instant::ZERO, width, integral: 0, buckets: Vec::new(), highest: Vec::new() }
    }

    /// The value is `value` from `now` on.
    pub fn set(&mut self, now: Instant, value: u64) {
        if value == self.value {
            return;
        }
        self.settle(now);
        self.value = value;
        let bucket = (now.as_nanos() / self.width) as usize;
        self.reach(bucket);
        self.highest[bucket] = self.highest[bucket].max(value);
    }

    /// Brings the integrals up to `now`.
    pub fn settle(&mut self, now: Instant) {
        let (mut from, to) = (self.since.as_nanos(), now.as_nanos());
        self.since = now;
        self.integral += u128::from(self.value) * u128::from(to.saturating_sub(from));
        while from < to {
            let bucket = from / self.width;
            let until = ((bucket + 1) * self.width).min(to);
            let bucket = bucket as usize;
            self.reach(bucket);
            self.buckets[bucket] += u128::from(self.value) * u128::from(until - from);
            self.highest[bucket] = self.highest[bucket].max(self.value);
            from = until;
        }
    }

    fn reach(&mut self, bucket: usize) {
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
            self.highest.resize(bucket + 1, 0);
        }
    }

    /// The integral so far, in value-nanoseconds.
    pub fn integral(&self) -> u128 {
        self.integral
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The time-weighted mean of each bucket up to `end`.
    pub fn means(&self, end: Instant) -> Vec<Option<f64>> {
        self.by_bucket(end, |bucket, length| self.buckets.get(bucket).copied().unwrap_or(0) as f64 / length)
    }

    /// The highest value of each bucket up to `end`.
    pub fn highest(&self, end: Instant) -> Vec<Option<f64>> {
        self.by_bucket(end, |bucket, _| self.highest.get(bucket).copied().unwrap_or(0) as f64)
    }

    fn by_bucket(&self, end: Instant, value: impl Fn(usize, f64) -> f64) -> Vec<Option<f64>> {
        let count = end.as_nanos().div_ceil(self.width);
        let length = |bucket: u64| ((bucket + 1) * self.width).min(end.as_nanos()) - bucket * self.width;
        (0..count).map(|bucket| Some(value(bucket as usize, length(bucket) as f64))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrates_over_buckets() {
        let mut steps = Steps::new(Duration::from_nanos(10));
        steps.set(Instant::from_nanos(5), 2);
        steps.set(Instant::from_nanos(25), 1);
        steps.settle(Instant::from_nanos(28));
        assert_eq!(steps.integral(), 2 * 20 + 3);
        let end = Instant::from_nanos(28);
        assert_eq!(steps.means(end), [Some(1.0), Some(2.0), Some(13.0 / 8.0)]);
        assert_eq!(steps.highest(end), [Some(2.0), Some(2.0), Some(2.0)]);
    }

    #[test]
    fn widths_are_round() {
        assert_eq!(bucket_width(Duration::from_secs(86_400)), Duration::from_secs(300));
        assert_eq!(bucket_width(Duration::from_secs(60)), Duration::from_secs(1));
        assert_eq!(bucket_width(Duration::from_nanos(5)), Duration::from_nanos(1_000_000));
        let years = Duration::from_secs(3 * 31_536_000);
        assert!(years.as_nanos().div_ceil(bucket_width(years).as_nanos()) <= 400);
    }
}
