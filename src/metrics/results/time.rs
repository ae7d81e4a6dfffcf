//! Where the time of requests went.

use serde::Serialize;

/// Where the time of a request went on average, from arrival to last token, in seconds. The causes add up to the mean
/// of E2E: of one request they do so to the nanosecond, which every run checks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct TimeByCause {
    /// No replica was ready, or its batch had no room while more replicas were on the way.
    pub starting_s: f64,
    /// The batch was full, its token budget used up, or its iteration not over yet.
    pub batch_slot_s: f64,
    /// The KV blocks that it needed were not free.
    pub kv_memory_s: f64,
    /// Its prompt was processed, or what a preemption had lost was processed again.
    pub prefill_s: f64,
    /// Its output tokens were made.
    pub decode_s: f64,
    /// Its KV cache was on the way from a prefill to a decode replica.
    pub transfer_s: f64,
    /// A cache of responses answered it.
    pub response_cache_s: f64,
}

impl TimeByCause {
    /// The causes in words, in the order in which they happen, with their seconds.
    pub fn parts(&self) -> [(&'static str, f64); 7] {
        [
            ("capacity that was starting", self.starting_s),
            ("a batch slot", self.batch_slot_s),
            ("KV memory", self.kv_memory_s),
            ("prefill", self.prefill_s),
            ("decode", self.decode_s),
            ("transfer", self.transfer_s),
            ("response cache", self.response_cache_s),
        ]
    }
}

/// Why a request waited for the first iteration that worked on it, on average, in seconds. The causes add up to the
/// mean of the queue wait. See [`TimeByCause`] for what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct WaitByCause {
    /// For capacity that was starting.
    pub starting_s: f64,
    /// For a slot of the batch.
    pub batch_slot_s: f64,
    /// For KV memory.
    pub kv_memory_s: f64,
}

/// Where the time of the requests of one stream went, whether or not its queue settles.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamTime {
    /// The stream.
    pub stream: String,
    /// From arrival to last token.
    pub time: TimeByCause,
}
