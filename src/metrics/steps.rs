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
    /// Integral and highest value of each bucket so far; the last one holds `since` and ends at `bucket_end`.
    buckets: Vec<(u128, u64)>,
    bucket_end: u64,
}

impl Steps {
    /// Zero from the beginning of the run; buckets of `width`.
    pub fn new(width: Duration) -> Self {
        let width = width.as_nanos();
        let (value, since, integral) = (0, Instant::ZERO, 0);
        Self { value, since, width, integral, buckets: vec![(0, 0)], bucket_end: width }
    }

    /// The value is `value` from `now` on.
    pub fn set(&mut self, now: Instant, value: u64) {
        if value == self.value {
            return;
        }
        self.settle(now);
        self.value = value;
        if now.as_nanos() == self.bucket_end {
            self.next_bucket();
        }
        if let Some((_, highest)) = self.buckets.last_mut() {
            *highest = value.max(*highest);
        }
    }

    /// Brings the integrals up to `now`.
    pub fn settle(&mut self, now: Instant) {
        let (mut from, to) = (self.since.as_nanos(), now.as_nanos());
        self.since = now;
        self.integral += u128::from(self.value) * u128::from(to.saturating_sub(from));
        while from < to {
            if from == self.bucket_end {
                self.next_bucket();
            }
            let until = self.bucket_end.min(to);
            if let Some((integral, highest)) = self.buckets.last_mut() {
                *integral += u128::from(self.value) * u128::from(until - from);
                *highest = self.value.max(*highest);
            }
            from = until;
        }
    }

    fn next_bucket(&mut self) {
        self.buckets.push((0, 0));
        self.bucket_end += self.width;
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
        self.by_bucket(end, |bucket, length| self.bucket(bucket).0 as f64 / length)
    }

    /// The highest value of each bucket up to `end`.
    pub fn highest(&self, end: Instant) -> Vec<Option<f64>> {
        self.by_bucket(end, |bucket, _| self.bucket(bucket).1 as f64)
    }

    fn bucket(&self, bucket: usize) -> (u128, u64) {
        self.buckets.get(bucket).copied().unwrap_or_default()
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
