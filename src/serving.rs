//! Serving: deployments and their replicas, routing, batching, KV cache.
//!
//! Invariants: a request is in one phase and in one replica's queue or batch; the batch's sums are those of
//! its requests; the blocks in use are those of its requests; nothing here knows of prices, pools' nodes or
//! other rooms.

mod account;
mod adapters;
mod affinity;
mod batch;
mod config;
mod deployment;
mod front;
mod gauges;
mod group;
mod handover;
mod hosts;
mod kv;
mod leave;
mod lifecycle;
mod predict;
mod prefix;
mod replica;
mod request;
mod room;
mod schedule;
mod speculate;
mod tiers;
mod totals;
mod waiting;

pub use account::{TimeCause, TimeSpent};
pub use adapters::AdapterTotals;
pub use config::{
    Batching, DeploymentConfig, Drain, Handover, HostConfig, HostMemory, ImageTerms, Leftover, Lifecycle,
    PausedKv, Preemption, ReplicaLinks, ReplicaOption, RequestKind, RequestTerms, Role, Scheduler,
    SharedCards, StartDraws, StartUp, StreamRoute, WeightSource,
};
pub(crate) use front::Gate;
pub use front::{CacheHits, CacheTotals, RateLimit, ResponseCache, TenantLimits};
pub use gauges::{DeploymentGauge, Latencies, ReplicaGauge};
pub use handover::HandoverTotals;
pub use hosts::SwapTotals;
pub use replica::PrefixTotals;
pub use room::{Departure, Effect, Event, NewRequest, Outcome, Serving};
pub use speculate::{Draft, Speculation, SpeculationTotals};
pub use tiers::{KvTiers, Tier};
pub use totals::DeploymentTotals;
