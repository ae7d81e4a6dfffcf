//! A scenario, resolved: everything that a run needs, every name an index, every default filled in.

use std::sync::Arc;

use crate::billing::{Tariff, UsdPerKwh};
use crate::catalog::EgressPrices;
use crate::fleet::{Delay, PoolConfig};
use crate::jobs::{JobConfig, JobList, JobRules};
use crate::metrics::Signal;
use crate::metrics::results::{Assumption, DefaultTaken};
use crate::policies::placement::PlacementKind;
use crate::policies::queue_order::QueueOrder;
use crate::policies::replay::Law;
use crate::serving::{DeploymentConfig, HostConfig, RequestTerms, ResponseCache, TenantLimits};
use crate::sim::Seed;
use crate::units::{Duration, FlopPerSecond, Instant, UsdPerHour, UsdPerMillionTokens};

/// Everything that a run needs.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// The scenario's name.
    pub name: String,
    /// The seed.
    pub seed: Seed,
    /// Simulated time; longer than zero.
    pub duration: Duration,
    /// Left out of latency statistics, never out of spend; shorter than `duration`.
    pub warmup: Duration,
    /// Who asks for what.
    pub streams: Vec<StreamPlan>,
    /// Whose requests they are; streams without a tenant are those of one more, behind these.
    pub tenants: Vec<TenantPlan>,
    /// Hosted APIs to which streams overflow.
    pub apis: Vec<ApiPlan>,
    /// What is provisioned.
    pub pools: Vec<PoolPlan>,
    /// Who buys and gives back nodes; where nobody is named, what is pending is bought.
    pub node_scaler: Option<NodeScalerPlan>,
    /// What is served.
    pub deployments: Vec<DeploymentConfig>,
    /// Cards that several of them share.
    pub hosts: Vec<HostConfig>,
    /// Who decides how many replicas there are, where that is not fixed; at most one for a deployment.
    pub scalers: Vec<ScalerPlan>,
    /// What trains beside it.
    pub jobs: Vec<JobConfig>,
    /// The jobs of a trace, behind these.
    pub job_trace: Option<Arc<JobList>>,
    /// What holds for all of them.
    pub job_rules: JobRules,
    /// Which waiting job is next.
    pub queue_order: QueueOrder,
    /// Which node of a pool a claim gets.
    pub placement: PlacementKind,
    /// What the results rest on.
    pub assumptions: Vec<Assumption>,
    /// The defaults that were taken.
    pub defaults: Vec<DefaultTaken>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantPlan {
    /// Its name.
    pub name: String,
    /// Its share against the others'.
    pub weight: f64,
    /// What it may send.
    pub limits: TenantLimits,
}

/// A hosted API, paid by the token.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiPlan {
    /// Its name.
    pub name: String,
    /// Who runs it.
    pub provider: String,
    /// What it lets through.
    pub limits: TenantLimits,
    /// Requests that it answers at a time.
    pub concurrency: Option<u32>,
    /// The way there and back, before the first token.
    pub latency: Duration,
    /// Its time to the first token.
    pub ttft: Delay,
    /// Its time per further token, drawn for each request.
    pub tpot: Delay,
    /// Price of prompt tokens.
    pub input: UsdPerMillionTokens,
    /// Price of output tokens.
    pub output: UsdPerMillionTokens,
}

/// A stream with where it goes and what it is promised.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// The traffic.
    pub traffic: crate::traffic::StreamConfig,
    /// The model it asks for.
    pub model: String,
    /// The deployments that serve it, as indices; at least one.
    pub deployments: Vec<usize>,
    /// What it is promised.
    pub slo: Slo,
    /// A request that is not complete so long after its arrival gives up.
    pub timeout: Option<Duration>,
    /// Whether clients ask again.
    pub retries: Option<RetryPlan>,
    /// Its deployments are tried in order: the next is taken when the least loaded replica of one has so many
    /// requests. Without it the least loaded of all is taken.
    pub spill_over: Option<u32>,
    /// The API, as an index, that gets requests for which no deployment has room.
    pub overflow: Option<usize>,
    /// What its requests bring with them: priority, tenant, deadline.
    pub terms: RequestTerms,
    /// A cache of responses in front of its deployments.
    pub cache: Option<ResponseCache>,
}

/// How clients ask again whose request was turned away, gave up or was lost; each time a request of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPlan {
    /// How often at most.
    pub attempts: u16,
    /// The wait before the first.
    pub backoff: Duration,
    /// By how much each wait is longer than the one before.
    pub factor: f64,
    /// The longest wait.
    pub most: Duration,
    /// The share of a wait that is drawn, 0 to 1.
    pub jitter: f64,
}

/// A replica autoscaler at work on a deployment.
#[derive(Debug, Clone)]
pub struct ScalerPlan {
    /// The deployment, as an index.
    pub deployment: usize,
    /// Its name in the table of decisions.
    pub name: String,
    /// Its law.
    pub law: Law,
    /// How often it decides; longer than zero.
    pub interval: Duration,
    /// How often while no replica is wanted, where that differs.
    pub interval_at_zero: Option<Duration>,
    /// How often metrics are scraped for it; longer than zero.
    pub scrape: Duration,
    /// How long after a scrape it sees the metrics.
    pub lag: Duration,
    /// Fewest and most replicas, whatever it wishes for.
    pub bounds: Option<(u32, u32)>,
    /// What it reads.
    pub feeds: Vec<Feed>,
}

impl ScalerPlan {
    /// A law that reads no metrics.
    pub fn blind(deployment: usize, name: &str, law: Law, interval: Duration) -> Self {
        let name = name.to_owned();
        let (scrape, lag, interval_at_zero, bounds) = (interval, Duration::ZERO, None, None);
        Self { deployment, name, law, interval, interval_at_zero, scrape, lag, bounds, feeds: Vec::new() }
    }
}

/// A metric that a law reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The law's name for it.
    pub name: String,
    /// What it measures.
    pub signal: Signal,
    /// Over how long; zero takes the last scrape.
    pub window: Duration,
    /// What a law's unit is worth, in the signal's own: 100 for percent.
    pub scale: f64,
    /// Of each replica rather than of all.
    pub per_pod: bool,
    /// Named parts with windows of their own, instead of one value.
    pub parts: Vec<(&'static str, Duration)>,
}

/// A pool with its price and its peak.
#[derive(Debug, Clone)]
pub struct PoolPlan {
    /// The nodes.
    pub fleet: PoolConfig,
    /// How they are paid for.
    pub tariff: Tariff,
    /// Prices from a time on, in order of time; none where the tariff's holds throughout.
    pub price_path: Vec<(Instant, UsdPerHour)>,
    /// How long the capacity block lasts that the nodes are paid for.
    pub block: Option<Duration>,
    /// What the nodes draw, where it is known.
    pub power: Option<PowerPlan>,
    /// What traffic out of the cloud costs; `None` where that is not known, or nothing leaves.
    pub egress: Option<EgressPrices>,
    /// Peak of one card at the precision that MFU is told against (dense bf16); `None` when unknown.
    pub peak: Option<FlopPerSecond>,
}

/// A node autoscaler.
#[derive(Debug, Clone)]
pub struct NodeScalerPlan {
    /// Its name in the table of decisions.
    pub name: String,
    /// Its law: Cluster Autoscaler or Karpenter.
    pub law: Law,
}

/// What the cards of a pool draw, the node's and the building's share included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerPlan {
    /// Milliwatts of a card that is there.
    pub idle_mw: u64,
    /// Milliwatts more while it computes.
    pub more_mw: u64,
    /// What electricity costs, where it is billed.
    pub price: Option<UsdPerKwh>,
    /// Grams of CO2 equivalent a kilowatt-hour, where they are known.
    pub grams_per_kwh: Option<f64>,
}

/// Limits that a request should meet together, and for which share of requests.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slo {
    /// Arrival to first token.
    pub ttft: Option<Duration>,
    /// Mean time per output token after the first.
    pub tpot: Option<Duration>,
    /// Arrival to last token.
    pub e2e: Option<Duration>,
    /// The share of requests promised to meet them, 0 to 1.
    pub attainment: Option<f64>,
}
