//! The results of one run. Field names and their units are the file format of `summary.json`; the
//! report, the plots and the exporters read these types and nothing else of the run.

mod basis;
mod engine;
mod jobs;
mod links;
pub mod metric;
mod sent;
mod serving;
mod time;

pub use basis::{Assumption, DefaultTaken};
pub use engine::{
    AdapterSummary, ApiSummary, EngineSummary, ImageSummary, ResponseCacheSummary, SpeculationSummary,
    SwapSummary, TenantSummary,
};
pub use jobs::{
    GanttRow, JobClass, JobGroup, JobRow, JobWaits, JobsSummary, MOST_GANTT_ROWS, MOST_GROUPS, WaitShare,
};
pub use links::LinkSummary;

use serde::Serialize;

pub use sent::LinkTraffic;
pub use serving::{HandoverSummary, PrefixCacheSummary, TierSummary};
pub use time::{StreamTime, TimeByCause, WaitByCause};

use super::RequestStats;
use crate::units::{Duration, Instant, Usd};

/// The version of `summary.json`; grows when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// `summary.json`: the same scenario and seed give the same bytes. Values that do not exist (a percentile
/// of no requests, a mean wait of a queue that grows) are null, never zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was run.
    pub scenario: ScenarioInfo,
    /// Requests by how they ended.
    pub requests: RequestCounts,
    /// Latency of requests that arrived after the warm-up and completed.
    pub latency: LatencySummary,
    /// Where the time of the same requests went, on average; absent where there are none, or no steady state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_by_cause_s: Option<TimeByCause>,
    /// Why they waited before the first iteration that worked on them; absent as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_by_cause_s: Option<WaitByCause>,
    /// How many requests met their limits.
    pub slo: SloSummary,
    /// Tokens processed by completed requests.
    pub tokens: TokenCounts,
    /// Training and batch jobs.
    pub jobs: JobsSummary,
    /// Utilization over the window, all pools together.
    pub utilization: UtilizationSummary,
    /// What is billed.
    pub spend: SpendSummary,
    /// Energy drawn and carbon emitted.
    pub energy: EnergySummary,
    /// Whether the queues settle.
    pub stability: StabilitySummary,
    /// One item a stream, in the scenario's order.
    pub streams: Vec<StreamSummary>,
    /// One item a tenant, in the scenario's order; absent where it names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantSummary>,
    /// One item a hosted API, in the scenario's order; absent where it names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<ApiSummary>,
    /// One item a deployment, in the scenario's order.
    pub deployments: Vec<DeploymentSummary>,
    /// One item a pool, in the scenario's order.
    pub pools: Vec<PoolSummary>,
    /// What went over which links, the fullest first; absent where no plan sends anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkTraffic>,
    /// What several replications say together; only where there were more than one. Everything above is
    /// replication 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replications: Option<ReplicationsSummary>,
}

/// Several replications of one scenario: the same but for the seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicationsSummary {
    /// How many; at least 2.
    pub n: u64,
    /// The main metrics over the replications.
    pub metrics: Vec<ReplicatedMetric>,
    /// Latency of the requests of all replications together.
    pub pooled_latency: LatencySummary,
}

/// One metric over replications.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicatedMetric {
    /// Its path in `summary.json`: `latency.ttft_s.p99`.
    pub name: String,
    /// The mean over the replications; null unless every replication has a value, because a mean over those
    /// that happen to have one (whose queue happened to settle) would flatter.
    pub mean: Option<f64>,
    /// The 95 % confidence interval of the mean, by Student's t; null where the mean is.
    pub ci95: Option<[f64; 2]>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenarioInfo {
    /// The scenario's name.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// Simulated time.
    pub duration_s: f64,
    /// Time left out of latency statistics.
    pub warmup_s: f64,
}

/// Requests by how they ended; `arrived` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RequestCounts {
    /// Arrived within the window.
    pub arrived: u64,
    /// Got all their tokens.
    pub completed: u64,
    /// Turned away: a queue was full or the request could never fit.
    pub rejected: u64,
    /// Gave up waiting.
    pub timed_out: u64,
    /// Lost to a failure.
    pub failed: u64,
    /// Still queued or running at the end.
    pub in_flight: u64,
}

/// Mean and quantiles of one quantity in seconds; null when nothing was observed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Quantiles {
    /// Arithmetic mean, exact.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest, exact.
    pub max: Option<f64>,
}

/// Latency in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct LatencySummary {
    /// Arrival to first token.
    pub ttft_s: Quantiles,
    /// Mean time per output token after the first, per request; of requests with at least two tokens.
    pub tpot_s: Quantiles,
    /// Arrival to last token.
    pub e2e_s: Quantiles,
    /// Arrival to the first iteration that works on the request.
    pub queue_wait_s: Quantiles,
}

/// Requests that met all their limits together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct SloSummary {
    /// `met` ÷ requests with limits that arrived after the warm-up; null when no stream has a limit.
    /// Rejected, timed out, failed and past their limit at the end are misses; requests still within
    /// their limits at the end are not counted.
    pub attainment: Option<f64>,
    /// Requests that met all their limits.
    pub met: u64,
    /// Requests per second that met all their limits.
    pub goodput_rps: Option<f64>,
}

/// The limits of one stream in seconds; null where the scenario sets none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct SloLimits {
    /// Arrival to first token.
    pub ttft_s: Option<f64>,
    /// Mean time per output token after the first.
    pub tpot_s: Option<f64>,
    /// Arrival to last token.
    pub e2e_s: Option<f64>,
}

/// Tokens of completed requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TokenCounts {
    /// Prompt tokens.
    pub prompt: u64,
    /// Output tokens.
    pub output: u64,
}

/// Utilization, never without its kind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct UtilizationSummary {
    /// Card-time leased ÷ card-time provisioned.
    pub allocated: Option<f64>,
    /// Card-time computing ÷ card-time provisioned.
    pub busy: Option<f64>,
    /// FLOP done ÷ peak FLOP of the card-time provisioned; null where a peak or FLOP are unknown.
    pub mfu: Option<f64>,
}

/// What is billed, in US dollars; the causes add up to the total exactly (to the micro-dollar).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct SpendSummary {
    /// The total.
    pub total_usd: f64,
    /// By cause, largest first; causes without spend are left out.
    #[serde(serialize_with = "as_map")]
    pub by_cause: Vec<(String, f64)>,
    /// By who is paid; these four stand only in the summary of the whole run, and only where they name more than one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_known_map")]
    pub by_provider: Option<Vec<(String, f64)>>,
    /// By the model that the cards were held for; `jobs`, and `unallocated` for what nobody held.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_known_map")]
    pub by_model: Option<Vec<(String, f64)>>,
    /// By the stream that was served: a deployment's spend by the tokens of the requests completed there.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_known_map")]
    pub by_stream: Option<Vec<(String, f64)>>,
    /// By the tenant of the stream, where the scenario has tenants.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_known_map")]
    pub by_tier: Option<Vec<(String, f64)>>,
    /// The total, of a pool its own, ÷ million output tokens of the requests completed there; null without any.
    pub usd_per_1m_output_tokens: Option<f64>,
    /// The total ÷ images made; absent where none were, and of pools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_image: Option<f64>,
}

/// Energy drawn by cards and carbon emitted; null where no figure is known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct EnergySummary {
    /// Kilowatt-hours.
    pub kwh: Option<f64>,
    /// Kilograms of CO2 equivalent.
    pub kg_co2e: Option<f64>,
}

/// Whether the queues settle over the window.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct StabilitySummary {
    /// False where demand exceeded capacity over the window.
    pub stable: bool,
    /// What was seen, in a sentence.
    pub why: String,
    /// Requests by which the queue grows per hour, where demand exceeded capacity; null where stable.
    pub growth_per_hour: Option<f64>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamSummary {
    /// Its name.
    pub name: String,
    /// The model it asks for.
    pub model: String,
    /// Requests by how they ended.
    pub requests: RequestCounts,
    /// Latency.
    pub latency: LatencySummary,
    /// Where the time of the same requests went, on average; absent where there are none, or no steady state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_by_cause_s: Option<TimeByCause>,
    /// Why they waited before the first iteration that worked on them; absent as before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_by_cause_s: Option<WaitByCause>,
    /// Limits met.
    pub slo: SloSummary,
    /// The limits that the scenario sets.
    pub slo_limits: SloLimits,
    /// The attainment that the scenario asks for.
    pub slo_target: Option<f64>,
    /// Tokens.
    pub tokens: TokenCounts,
    /// Whether its queue settles.
    pub stability: StabilitySummary,
    /// What its cache of responses did; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_cache: Option<ResponseCacheSummary>,
}

/// One deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentSummary {
    /// Its name.
    pub name: String,
    /// The model it serves.
    pub model: String,
    /// How each replica is split and where it may run, in words: `fp8, TP=8 on aws-h100 (8 cards)`.
    pub plan: Vec<String>,
    /// Replicas at the end.
    pub replicas: u32,
    /// Requests by how they ended.
    pub requests: RequestCounts,
    /// Latency.
    pub latency: LatencySummary,
    /// Tokens.
    pub tokens: TokenCounts,
    /// Iterations run.
    pub iterations: u64,
    /// Times that the composition of a batch changed.
    pub batch_changes: u64,
    /// Requests taken off a full KV cache and started again later.
    pub preemptions: u64,
    /// Of the rejected requests, those that are longer than the context or than a replica's KV cache.
    pub too_long: u64,
    /// Mean number of requests in a replica's batch while it computes.
    pub mean_batch: Option<f64>,
    /// What its prefix caches did; null where no prompt had hashes.
    pub prefix_cache: Option<PrefixCacheSummary>,
    /// KV caches handed over from prefill to decode replicas; absent where it has only one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handover: Option<HandoverSummary>,
    /// What only some engines do.
    #[serde(flatten)]
    pub engine: EngineSummary,
}

/// One pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PoolSummary {
    /// Its name.
    pub name: String,
    /// Who sells it.
    pub provider: String,
    /// What is bought: `aws/p5.48xlarge`.
    pub offer: String,
    /// How it is bought: `on-demand`, `reserved-3y`, ...
    pub purchase: String,
    /// The accelerator.
    pub accelerator: String,
    /// Nodes at the end.
    pub nodes: u32,
    /// Cards at the end.
    pub cards: u32,
    /// Card-hours provisioned over the window.
    pub card_hours: f64,
    /// Utilization.
    pub utilization: UtilizationSummary,
    /// What it cost.
    pub spend: SpendSummary,
    /// Energy.
    pub energy: EnergySummary,
    /// What became of its nodes; left out where they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply: Option<SupplySummary>,
    /// The busiest links between its switches; left out where gangs do not wait for each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSummary>,
}

/// What became of the nodes of a pool that come and go.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct SupplySummary {
    /// Orders.
    pub ordered: u64,
    /// Orders that came to nothing.
    pub refused: u64,
    /// Nodes that became ready.
    pub ready: u64,
    /// Nodes that the provider took back.
    pub preempted: u64,
    /// Nodes that broke.
    pub broken: u64,
    /// Nodes that were given back.
    pub given_back: u64,
    /// Node-hours between an order and the provider's start of the machine; not billed.
    pub waiting_node_hours: f64,
    /// Node-hours of booting and pulling images.
    pub starting_node_hours: f64,
    /// Node-hours ready.
    pub ready_node_hours: f64,
    /// Node-hours on the way out.
    pub draining_node_hours: f64,
    /// Node-hours broken or in maintenance, and paid all the same.
    pub down_node_hours: f64,
    /// `preempted` ÷ node-hours paid; null where none were.
    pub preemptions_per_node_hour: Option<f64>,
    /// The share of the run in which no zone had a node to give; null where the stock is without end.
    pub share_without_stock: Option<f64>,
}

/// What a series or distribution is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "name")]
pub enum Subject {
    /// Everything together.
    Fleet,
    /// A stream, by name.
    Stream(String),
    /// A deployment, by name.
    Deployment(String),
    /// A pool, by name.
    Pool(String),
    /// A cause of spend, by name.
    Cause(String),
}

/// A quantity over time, one value a bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What it is about.
    pub subject: Subject,
    /// What is measured; see [`crate::metrics::results::metric`].
    pub metric: &'static str,
    /// The value in each bucket; null where nothing was observed.
    pub values: Vec<Option<f64>>,
}

/// The time series of a run: all have the same buckets, bucket `i` covers `[i·bucket, (i+1)·bucket)`; the
/// last may be cut by the end of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSeries {
    /// The width of a bucket.
    pub bucket: Duration,
    /// The end of the run.
    pub end: Instant,
    /// Every series has as many values as there are buckets.
    pub series: Vec<Series>,
}

impl TimeSeries {
    /// The values of one metric of one subject.
    pub fn values(&self, subject: &Subject, metric: &str) -> Option<&[Option<f64>]> {
        self.series
            .iter()
            .find(|series| series.subject == *subject && series.metric == metric)
            .map(|series| series.values.as_slice())
    }

    /// The beginning and the end of bucket `index`; the last is cut by the end of the run.
    pub fn bucket_edges(&self, index: usize) -> (Instant, Instant) {
        let edge = |index: usize| {
            let nanos = u128::from(self.bucket.as_nanos()) * index as u128;
            Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(self.end)
        };
        (edge(index), edge(index + 1))
    }
}

impl Subject {
    /// `fleet`, `stream`, `deployment`, `pool` or `cause`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Stream(_) => "stream",
            Self::Deployment(_) => "deployment",
            Self::Pool(_) => "pool",
            Self::Cause(_) => "cause",
        }
    }

    /// Its name; empty for the fleet.
    pub fn name(&self) -> &str {
        match self {
            Self::Fleet => "",
            Self::Stream(name) | Self::Deployment(name) | Self::Pool(name) | Self::Cause(name) => name,
        }
    }
}

/// The distribution of one latency of one stream, as points of its cumulative distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// The stream.
    pub subject: Subject,
    /// `ttft_s`, `tpot_s`, `e2e_s` or `queue_wait_s`.
    pub metric: &'static str,
    /// How many were observed.
    pub count: u64,
    /// (seconds, share of observations not above it), both increasing; empty when nothing was observed.
    pub cumulative: Vec<(f64, f64)>,
}

/// Who holds one card over time, for the card-by-time strip.
#[derive(Debug, Clone, PartialEq)]
pub struct CardStrip {
    /// `POOL/node0/card3`.
    pub card: String,
    /// The pool.
    pub pool: String,
    /// Leases in order of time: (from, to, name of the holder such as `chat-70b` or a job's name).
    pub leases: Vec<(Instant, Instant, String)>,
    /// Share of each bucket in which the card computed.
    pub busy: Vec<f64>,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The end of the interval that is billed.
    pub time: Instant,
    /// The pool.
    pub pool: String,
    /// Who is paid.
    pub provider: String,
    /// How it was bought.
    pub purchase: String,
    /// What the money was spent on: `busy`, `idle`, `committed-unused`, `billing-remainder`, ...
    pub cause: &'static str,
    /// How much.
    pub quantity: f64,
    /// Of what: `node-hours`.
    pub unit: &'static str,
    /// Price of one unit in US dollars.
    pub price_usd: f64,
    /// What it cost.
    pub amount: Usd,
}

/// One decision of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRow {
    /// When.
    pub time: Instant,
    /// Which policy.
    pub policy: String,
    /// About what.
    pub target: String,
    /// Before.
    pub current: f64,
    /// What the rule asked for.
    pub desired: f64,
    /// What was done, after limits.
    pub done: f64,
    /// The rule that fired.
    pub rule: String,
    /// Limits that changed it.
    pub limits: String,
    /// In words.
    pub reason: String,
}

/// Everything that a run leaves, except the per-request table, which is written while it runs.
#[derive(Debug, Clone)]
pub struct RunResults {
    /// The summary.
    pub summary: Summary,
    /// Quantities over time.
    pub timeseries: TimeSeries,
    /// Latency distributions, a stream and metric each.
    pub distributions: Vec<Distribution>,
    /// Where the time of completed requests went, a stream each; those without any are left out.
    pub time: Vec<StreamTime>,
    /// Who held each card.
    pub cards: Vec<CardStrip>,
    /// The ledger.
    pub ledger: Vec<LedgerRow>,
    /// The jobs.
    pub jobs: Vec<JobRow>,
    /// What each of them waited for.
    pub job_waits: JobWaits,
    /// When jobs held which cards.
    pub gantt: Vec<GanttRow>,
    /// The decisions.
    pub decisions: Vec<DecisionRow>,
    /// What the results rest on.
    pub assumptions: Vec<Assumption>,
    /// The defaults that were taken, in the order of the file.
    pub defaults: Vec<DefaultTaken>,
    /// All requests, in a form that can be merged with those of other runs.
    pub requests: RequestStats,
}

fn as_known_map<S: serde::Serializer>(
    pairs: &Option<Vec<(String, f64)>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    as_map(pairs.as_deref().unwrap_or_default(), serializer)
}

fn as_map<S: serde::Serializer>(pairs: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(cause, usd)| (cause, usd)))
}
