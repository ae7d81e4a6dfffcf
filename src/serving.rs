//! Serving: deployments and their replicas, routing, batching, KV cache.
//!
//! Invariants: a request is in one phase and in one replica's queue or batch; the batch's sums are those of
//! its requests; the blocks in use are those of its requests; nothing here knows of prices, pools' nodes or
//! other rooms.

mod batch;
mod config;
mod deployment;
mod kv;
mod prefix;
mod replica;
mod request;
mod room;
mod schedule;
mod waiting;

pub use config::{
    Batching, DeploymentConfig, HostMemory, Preemption, ReplicaOption, RequestTerms, Scheduler, StreamRoute,
};
pub use replica::PrefixTotals;
pub use room::{Departure, DeploymentTotals, Effect, Event, NewRequest, Outcome, Serving};
