//! A scenario, resolved: everything that a run needs, every name an index, every default filled in.

use std::sync::Arc;

use crate::billing::Tariff;
use crate::fleet::PoolConfig;
use crate::jobs::{JobConfig, JobList};
use crate::metrics::results::Assumption;
use crate::policies::placement::PlacementKind;
use crate::policies::queue_order::QueueOrder;
use crate::serving::{DeploymentConfig, RequestTerms, ResponseCache, TenantLimits};
use crate::sim::Seed;
use crate::units::{Duration, FlopPerSecond};

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
    /// What is provisioned.
    pub pools: Vec<PoolPlan>,
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
    /// What its requests bring with them: priority, tenant, deadline.
    pub terms: RequestTerms,
    /// A cache of responses in front of its deployments.
    pub cache: Option<ResponseCache>,
}

/// A pool with its price and its peak.
#[derive(Debug, Clone)]
pub struct PoolPlan {
    /// The nodes.
    pub fleet: PoolConfig,
    /// How they are paid for.
    pub tariff: Tariff,
    /// Peak of one card at the precision that MFU is told against (dense bf16); `None` when unknown.
    pub peak: Option<FlopPerSecond>,
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
