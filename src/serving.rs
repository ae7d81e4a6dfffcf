//! Serving: deployments and their replicas, routing, batching, KV cache.
//!
//! Invariants: a request is in one phase and in one replica's queue or batch; the batch's sums are those of
//! its requests; the blocks in use are those of its requests; nothing here knows of prices, pools' nodes or
//! other rooms.

mod affinity;
mod batch;
mod config;
mod deployment;
mod gauges;
mod handover;
mod kv;
mod lifecycle;
mod prefix;
mod replica;
mod request;
mod room;
mod schedule;
mod waiting;

pub use config::{
    Batching, DeploymentConfig, Drain, Handover, HostMemory, Leftover, Lifecycle, Preemption, ReplicaLinks,
    ReplicaOption, RequestTerms, Role, Scheduler, StartUp, StreamRoute,
};
pub use gauges::{DeploymentGauge, Latencies, ReplicaGauge};
pub use handover::HandoverTotals;
pub use replica::PrefixTotals;
pub use room::{Departure, DeploymentTotals, Effect, Event, NewRequest, Outcome, Serving};
