//! Serving: deployments and their replicas, routing, batching, KV cache.

mod config;

pub use config::{Batching, DeploymentConfig, ReplicaOption};
