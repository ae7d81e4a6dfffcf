//! A scenario, resolved: everything that a run needs, every name an index, every default filled in.

use std::sync::Arc;

use crate::billing::{Tariff, UsdPerKwh};
use crate::fleet::PoolConfig;
use crate::jobs::{JobConfig, JobList};
use crate::metrics::results::Assumption;
use crate::policies::placement::PlacementKind;
use crate::policies::queue_order::QueueOrder;
use crate::policies::replay::Law;
use crate::serving::DeploymentConfig;
use crate::sim::Seed;
use crate::units::{Duration, FlopPerSecond, Instant, UsdPerHour};

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
    /// What is provisioned.
    pub pools: Vec<PoolPlan>,
    /// Who buys and gives back nodes; where nobody is named, what is pending is bought.
    pub node_scaler: Option<NodeScalerPlan>,
    /// What is served.
    pub deployments: Vec<DeploymentConfig>,
    /// What trains beside it.
    pub jobs: Vec<JobConfig>,
    /// The jobs of a trace, behind these.
    pub job_trace: Option<Arc<JobList>>,
    /// Which waiting job is next.
    pub queue_order: QueueOrder,
    /// Which node of a pool a claim gets.
    pub placement: PlacementKind,
    /// What the results rest on.
    pub assumptions: Vec<Assumption>,
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
