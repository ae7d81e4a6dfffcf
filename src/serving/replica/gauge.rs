//! What a replica shows to whoever scrapes it, at any instant: as if every iteration were looked at.

use super::Replica;
use crate::units::{Instant, Ticks};

impl Replica {
    /// Iterations that are complete by `now` and not accounted for yet. Boundaries of `now` itself count: scrapes
    /// come after them.
    fn ahead(&self, now: Instant) -> u64 {
        let Some((segment, done)) = self.segment else { return 0 };
        let Some(since) = Ticks::from_instant(now).0.checked_sub(self.clock.0) else { return 0 };
        let complete = segment.iterations_by(Ticks(segment.elapsed(done).0 + since)) - done;
        complete.min(self.target - self.boundary)
    }

    /// Of these, those in which the decoding requests made a token each.
    fn ahead_decoding(&self, now: Instant) -> u64 {
        if self.decoding_waits { 0 } else { self.ahead(now) }
    }

    /// The share of the KV cache in use.
    pub(crate) fn kv_use(&self, now: Instant) -> f64 {
        self.batch.kv.share_used(self.decoded(), self.ahead_decoding(now))
    }

    /// Output tokens made so far, those of requests that were lost included.
    pub(crate) fn tokens_made(&self, now: Instant) -> u64 {
        let decoding = if self.batch.shape.pixels > 0 { 0 } else { self.batch.shape.decode_requests };
        self.totals.tokens + u64::from(decoding) * self.ahead_decoding(now)
    }
}
