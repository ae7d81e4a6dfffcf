//! Where the time of requests goes, in exact sums.

use super::results::{TimeByCause, WaitByCause};
use crate::units::Duration;

/// What the time of one request went to: each nanosecond from arrival to last token has one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeSpent {
    /// By cause, in the order of [`TimeByCause`]; adds up to E2E.
    pub in_all: [Duration; 7],
    /// By cause, in the order of [`WaitByCause`]; adds up to the queue wait.
    pub at_first: [Duration; 3],
}

/// The same of many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TimeSums {
    in_all: [u128; 7],
    at_first: [u128; 3],
    requests: u64,
}

impl TimeSpent {
    /// Whether the causes add up to these two times, to the nanosecond.
    pub fn adds_up_to(&self, queue_wait: Duration, e2e: Duration) -> bool {
        let sum = |parts: &[Duration]| parts.iter().map(|part| u128::from(part.as_nanos())).sum::<u128>();
        sum(&self.in_all) == u128::from(e2e.as_nanos())
            && sum(&self.at_first) == u128::from(queue_wait.as_nanos())
    }
}

impl TimeSums {
    /// Adds a request.
    pub(super) fn record(&mut self, spent: &TimeSpent) {
        let add = |sums: &mut [u128], parts: &[Duration]| {
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += u128::from(part.as_nanos()));
        };
        add(&mut self.in_all, &spent.in_all);
        add(&mut self.at_first, &spent.at_first);
        self.requests += 1;
    }

    /// Adds all that `other` has.
    pub(super) fn merge(&mut self, other: &Self) {
        self.in_all.iter_mut().zip(other.in_all).for_each(|(sum, more)| *sum += more);
        self.at_first.iter_mut().zip(other.at_first).for_each(|(sum, more)| *sum += more);
        self.requests += other.requests;
    }

    /// Mean seconds a request; none where there was no request.
    pub(super) fn means(&self) -> Option<(TimeByCause, WaitByCause)> {
        let count = (self.requests > 0).then_some(self.requests as f64)?;
        let mean = |nanos: u128| nanos as f64 / count / 1e9;
        let [starting, slot, kv, prefill, decode, transfer, cache] = self.in_all.map(mean);
        let all = TimeByCause {
            starting_s: starting,
            batch_slot_s: slot,
            kv_memory_s: kv,
            prefill_s: prefill,
            decode_s: decode,
            transfer_s: transfer,
            response_cache_s: cache,
        };
        let [starting_s, batch_slot_s, kv_memory_s] = self.at_first.map(mean);
        Some((all, WaitByCause { starting_s, batch_slot_s, kv_memory_s }))
    }
}
