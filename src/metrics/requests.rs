//! What is recorded of requests: counts, latencies, limits met, by stream and deployment and over time.

use super::results::{LatencySummary, RequestCounts, SloSummary, TimeByCause, TokenCounts, WaitByCause};
use super::sketch::Sketch;
use super::time_spent::{TimeSpent, TimeSums};
use crate::units::{Duration, Instant};

/// Limits that a request should meet together; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Arrival to first token.
    pub ttft: Option<Duration>,
    /// Mean time per output token after the first.
    pub tpot: Option<Duration>,
    /// Arrival to last token.
    pub e2e: Option<Duration>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All its tokens, with the times: queue wait, arrival to first token, arrival to last token.
    Completed {
        /// Arrival to the first iteration that worked on it.
        queue_wait: Duration,
        /// Arrival to first token.
        ttft: Duration,
        /// Arrival to last token.
        e2e: Duration,
    },
    /// Turned away.
    Rejected,
    /// Its client gave up.
    TimedOut,
    /// It was lost.
    Failed,
    /// Still there at the end of the run, with what is known of it.
    InFlight {
        /// Arrival to first token, if that is there.
        ttft: Option<Duration>,
        /// Arrival to the end of the run.
        age: Duration,
    },
}

/// A request whose end is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEnd {
    /// When it arrived.
    pub arrival: Instant,
    /// Prompt tokens.
    pub prompt: u32,
    /// Output tokens of each of its outputs.
    pub output: u32,
    /// Outputs.
    pub samples: u16,
    /// Whether all its tokens came at once, from a cache of responses: it has no time per token then.
    pub at_once: bool,
    /// What became of it.
    pub ending: Ending,
    /// What its time went to; read of a completed one.
    pub spent: TimeSpent,
}

/// Counts and latencies of a group of requests.
#[derive(Debug, Clone, Default)]
pub struct RequestStats {
    /// By ending. `arrived` is counted apart, at arrival.
    pub counts: RequestCounts,
    /// Tokens of completed requests.
    pub tokens: TokenCounts,
    ttft: Sketch,
    tpot: Sketch,
    e2e: Sketch,
    queue_wait: Sketch,
    time: TimeSums,
    slo_judged: u64,
    slo_met: u64,
}

impl Limits {
    /// True when there is any limit.
    pub fn any(&self) -> bool {
        self.ttft.is_some() || self.tpot.is_some() || self.e2e.is_some()
    }

    /// Whether a request meets its limits; `None` while that is open.
    fn judge(&self, end: &RequestEnd) -> Option<bool> {
        let within = |limit: Option<Duration>, value: Duration| limit.is_none_or(|limit| value <= limit);
        let decoded = if end.at_once { 0 } else { u64::from(end.output.saturating_sub(1)) };
        match end.ending {
            Ending::Completed { ttft, e2e, .. } => Some(
                within(self.ttft, ttft)
                    && within(self.e2e, e2e)
                    && (decoded == 0
                        || self.tpot.is_none_or(|limit| {
                            u128::from((e2e - ttft).as_nanos())
                                <= u128::from(limit.as_nanos()) * u128::from(decoded)
                        })),
            ),
            Ending::Rejected | Ending::TimedOut | Ending::Failed => Some(false),
            Ending::InFlight { ttft, age } => {
                let late = !within(self.ttft, ttft.unwrap_or(age)) || !within(self.e2e, age);
                late.then_some(false)
            }
        }
    }
}

/// Mean time per output token after the first; `None` for a single token.
pub fn tpot(ttft: Duration, e2e: Duration, output: u32) -> Option<Duration> {
    (output > 1).then(|| (e2e - ttft) / u64::from(output - 1))
}

impl RequestStats {
    /// Records a request. Latencies and limits count only for requests that arrived at `warm` or later.
    pub fn record(&mut self, end: &RequestEnd, limits: &Limits, warm: Instant) {
        match end.ending {
            Ending::Completed { .. } => {
                self.counts.completed += 1;
                self.tokens.prompt += u64::from(end.prompt);
                self.tokens.output += u64::from(end.output) * u64::from(end.samples);
            }
            Ending::Rejected => self.counts.rejected += 1,
            Ending::TimedOut => self.counts.timed_out += 1,
            Ending::Failed => self.counts.failed += 1,
            Ending::InFlight { .. } => self.counts.in_flight += 1,
        }
        if end.arrival < warm {
            return;
        }
        if let Ending::Completed { queue_wait, ttft, e2e } = end.ending {
            self.queue_wait.record(queue_wait);
            self.time.record(&end.spent);
            self.ttft.record(ttft);
            self.e2e.record(e2e);
            if let Some(tpot) = tpot(ttft, e2e, end.output).filter(|_| !end.at_once) {
                self.tpot.record(tpot);
            }
        }
        if limits.any()
            && let Some(met) = limits.judge(end)
        {
            self.slo_judged += 1;
            self.slo_met += u64::from(met);
        }
    }

    /// Adds all that `other` has.
    pub fn merge(&mut self, other: &Self) {
        let (counts, more) = (&mut self.counts, &other.counts);
        counts.arrived += more.arrived;
        counts.completed += more.completed;
        counts.rejected += more.rejected;
        counts.timed_out += more.timed_out;
        counts.failed += more.failed;
        counts.in_flight += more.in_flight;
        self.tokens.prompt += other.tokens.prompt;
        self.tokens.output += other.tokens.output;
        for (sketch, more) in [
            (&mut self.ttft, &other.ttft),
            (&mut self.tpot, &other.tpot),
            (&mut self.e2e, &other.e2e),
            (&mut self.queue_wait, &other.queue_wait),
        ] {
            sketch.merge(more);
        }
        self.time.merge(&other.time);
        self.slo_judged += other.slo_judged;
        self.slo_met += other.slo_met;
    }

    /// The latency part of the summary. Where the queue grows without end, waits have no steady state and
    /// none is told.
    pub fn latency(&self, stable: bool) -> LatencySummary {
        let steady = |sketch: &Sketch| if stable { sketch.quantiles() } else { Default::default() };
        LatencySummary {
            ttft_s: steady(&self.ttft),
            tpot_s: self.tpot.quantiles(),
            e2e_s: steady(&self.e2e),
            queue_wait_s: steady(&self.queue_wait),
        }
    }

    /// What the time of the requests whose latency is told went to, a request on average: in all (which adds up
    /// to the mean of E2E), and before the first iteration worked on it (the mean of the queue wait). Where the queue
    /// grows without end it depends on how long the run is.
    pub fn time_by_cause(&self) -> Option<(TimeByCause, WaitByCause)> {
        self.time.means()
    }

    /// The part of the summary about limits; `window` is the time that was judged.
    pub fn slo(&self, window: Duration) -> SloSummary {
        let judged = self.slo_judged > 0;
        SloSummary {
            attainment: judged.then(|| self.slo_met as f64 / self.slo_judged as f64),
            met: self.slo_met,
            goodput_rps: judged.then(|| self.slo_met as f64 / window.as_secs_f64()),
        }
    }

    /// The sketches by the names of their metrics.
    pub fn sketches(&self) -> [(&'static str, &Sketch); 4] {
        [
            ("ttft_s", &self.ttft),
            ("tpot_s", &self.tpot),
            ("e2e_s", &self.e2e),
            ("queue_wait_s", &self.queue_wait),
        ]
    }
}
