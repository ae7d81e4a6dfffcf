//! The names of the metrics in [`Series`]; each name ends in its unit where it has one.

/// Stream: requests per second that the arrival process asks for, on average (the shape itself).
pub const EXPECTED_RPS: &str = "expected_rps";
/// Stream: requests per second that arrived.
pub const OFFERED_RPS: &str = "offered_rps";
/// Stream: requests per second that completed.
pub const COMPLETED_RPS: &str = "completed_rps";
/// Stream: requests per second turned away.
pub const REJECTED_RPS: &str = "rejected_rps";
/// Stream: requests per second that gave up.
pub const TIMED_OUT_RPS: &str = "timed_out_rps";
/// Stream: by completion time, seconds.
pub const TTFT_P50_S: &str = "ttft_p50_s";
/// Stream: by completion time, seconds.
pub const TTFT_P99_S: &str = "ttft_p99_s";
/// Stream: by completion time, seconds.
pub const TPOT_P50_S: &str = "tpot_p50_s";
/// Stream: by completion time, seconds.
pub const TPOT_P99_S: &str = "tpot_p99_s";
/// Stream: by completion time, seconds.
pub const E2E_P50_S: &str = "e2e_p50_s";
/// Stream: by completion time, seconds.
pub const E2E_P99_S: &str = "e2e_p99_s";
/// Stream: where the time of the requests that completed in the bucket went, mean seconds a request, in the order of
/// [`super::TimeByCause::parts`]; a cause that never was is left out.
pub const TIME_BY_CAUSE_S: [&str; 7] = [
    "time_starting_s",
    "time_batch_slot_s",
    "time_kv_memory_s",
    "time_prefill_s",
    "time_decode_s",
    "time_transfer_s",
    "time_response_cache_s",
];
/// Deployment: requests waiting (time-weighted mean of the bucket).
pub const QUEUED_REQUESTS: &str = "queued_requests";
/// Deployment: most requests waiting at once in the bucket.
pub const QUEUED_REQUESTS_MAX: &str = "queued_requests_max";
/// Deployment: requests in batches (time-weighted mean).
pub const RUNNING_REQUESTS: &str = "running_requests";
/// Deployment: replicas that can take requests (time-weighted mean).
pub const READY_REPLICAS: &str = "ready_replicas";
/// Deployment: replicas wanted (time-weighted mean); this and the next four where replicas come and go.
pub const DESIRED_REPLICAS: &str = "desired_replicas";
/// Deployment: replicas waiting for cards (time-weighted mean).
pub const PENDING_REPLICAS: &str = "pending_replicas";
/// Deployment: replicas with cards that are not ready yet (time-weighted mean).
pub const STARTING_REPLICAS: &str = "starting_replicas";
/// Deployment: replicas that take no more requests (time-weighted mean).
pub const DRAINING_REPLICAS: &str = "draining_replicas";
/// Deployment: replicas that hold cards, which somebody pays for (time-weighted mean).
pub const BILLED_REPLICAS: &str = "billed_replicas";
/// Deployment: the metric that a predictive autoscaler forecasts, as it saw it (mean of its ticks).
pub const OBSERVED_DEMAND: &str = "observed_demand";
/// Deployment: what it had forecast for this bucket (mean of the forecasts made for it).
pub const FORECAST_DEMAND: &str = "forecast_demand";
/// Pool: cards provisioned (time-weighted mean).
pub const PROVISIONED_CARDS: &str = "provisioned_cards";
/// Pool: cards leased (time-weighted mean).
pub const ALLOCATED_CARDS: &str = "allocated_cards";
/// Pool: cards computing (time-weighted mean).
pub const BUSY_CARDS: &str = "busy_cards";
/// Pool or cause: US dollars billed in the bucket.
pub const SPEND_USD: &str = "spend_usd";
/// Fleet: jobs waiting (time-weighted mean).
pub const QUEUED_JOBS: &str = "queued_jobs";
/// Pool: free cards that the jobs of the run could not use where they lie, in the mean over all jobs (at
/// the first change in the bucket; as before where nothing changes). Where jobs come from a trace.
pub const FRAGMENTED_CARDS: &str = "fragmented_cards";
/// Fleet: jobs running (time-weighted mean).
pub const RUNNING_JOBS: &str = "running_jobs";
