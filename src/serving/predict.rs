//! Admission by predicted TTFT: what can be told of a request's first token when it arrives.
//!
//! Before it lie the rest of the iteration that runs, iterations enough for the prompts that wait and its own
//! (each as long as a full one would be with the requests that decode now), and, where more wait than have
//! places in the batch, as many departures as that takes, at the mean stay of requests so far over the places.
//! The lengths of outputs are not looked at. It is a prediction and may be wrong either way.

use super::replica::Replica;
use super::request::Requests;
use crate::perf::BatchShape;
use crate::units::{Duration, Instant, Ticks};

impl Replica {
    /// When the first token of a request with such a prompt would be there, from `now` on.
    pub(crate) fn predicted_ttft(&mut self, now: Instant, prompt: u32, requests: &Requests) -> Duration {
        self.catch_up(now);
        let shape = self.batch.shape;
        let half_way = self.half_way(requests).map_or(0, |slot| {
            let request = &requests[slot];
            let rest = request.prefill_length() - request.prefilled;
            u64::from(rest.saturating_sub(shape.prefill_tokens))
        });
        let tokens = self.waiting_tokens + half_way + u64::from(prompt);
        let room = self.batching.max_batch_tokens.saturating_sub(shape.decode_requests).max(1);
        let chunk = room.min(u32::try_from(tokens).unwrap_or(u32::MAX));
        let wide = u64::from(chunk);
        let full = self.step.segment(&BatchShape {
            prefill_requests: 1,
            prefill_tokens: chunk,
            prefill_pairs: wide * (wide + 1) / 2,
            prefill_context: wide,
            draft_tokens: 0,
            ..shape
        });
        let iterations = u128::from(tokens.div_ceil(u64::from(room)));
        let prompts =
            Ticks(full.first.0 * iterations * u128::from(self.sharers)).ceil_instant().since(Instant::ZERO);
        let places = u64::from(self.batching.max_batch_requests);
        let before = u64::from(self.running()) + u64::from(self.queued());
        let departures = (before + 1).saturating_sub(places);
        let seats = match self.totals.stays {
            (0, _) => Duration::ZERO,
            (count, nanos) => {
                let wait = nanos / u128::from(count) * u128::from(departures) / u128::from(places);
                Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
            }
        };
        let known = self.rest_of_iteration(now).as_nanos().saturating_add(prompts.as_nanos());
        Duration::from_nanos(known.saturating_add(seats.as_nanos()))
    }
}
