//! Worlds made by code, for tests of the simulation itself.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod engine;
pub mod jobs;

use fleetsim::billing::Tariff;
use fleetsim::fleet::{Host, PoolConfig, PoolId};
use fleetsim::perf::{AffineStep, StepModel};
use fleetsim::policies::router::RouterKind;
use fleetsim::serving::{Batching, DeploymentConfig, ReplicaOption, Role};
use fleetsim::sim::Seed;
use fleetsim::traffic::{
    ArrivalProcess, Length, LengthDist, Lengths, OpenConfig, Source, Start, StreamConfig,
};
use fleetsim::units::{Duration, Rate, Ticks, UsdPerHour};
use fleetsim::world::{PoolPlan, Slo, StreamPlan, WorldConfig};

/// A pool of nodes with one card each, at 1 $/h, billed as used.
pub fn pool(nodes: u32) -> PoolPlan {
    PoolPlan {
        fleet: PoolConfig {
            name: "pool".to_owned(),
            provider: "nobody".to_owned(),
            offer: "nobody/card".to_owned(),
            accelerator: "card".to_owned(),
            nodes,
            cards_per_node: 1,
            fabric: None,
            supply: None,
            host: Host::default(),
        },
        tariff: Tariff::as_used(UsdPerHour::from_f64(1.0)),
        price_path: Vec::new(),
        block: None,
        power: None,
        egress: None,
        peak: None,
    }
}

/// A step time that depends on nothing but the number of requests in the batch.
pub fn step(base_s: f64, per_request_s: f64) -> StepModel {
    StepModel::Affine(AffineStep {
        base: Ticks::from_secs_f64(base_s),
        per_request: Ticks::from_secs_f64(per_request_s),
        ..AffineStep::default()
    })
}

/// Replicas of one card with a cache that never fills.
pub fn deployment(replicas: u32, servers: u32, step: StepModel, router: RouterKind) -> DeploymentConfig {
    DeploymentConfig {
        name: "deployment".to_owned(),
        model: "model".to_owned(),
        options: vec![ReplicaOption {
            pool: PoolId(0),
            cards: 1,
            step,
            on_links: None,
            kv_blocks: 1 << 50,
            block_tokens: 16,
            window: None,
            links: None,
            host: None,
            adapters: Vec::new(),
            draft: None,
            label: "one card".to_owned(),
            loads: Vec::new(),
        }],
        batching: Batching { max_batch_requests: servers, max_batch_tokens: servers, ..Batching::default() },
        max_queued_requests: None,
        router,
        replicas,
        lifecycle: Default::default(),
        max_context: None,
        prefix_tokens: None,
        adapter_slots: 0,
        shared: None,
        role: Role::Whole,
        tenants: Default::default(),
        speculation: None,
        max_predicted_ttft: None,
    }
}

/// Prompts of one token; outputs as given.
pub fn outputs(dist: LengthDist) -> Lengths {
    Lengths::Independent { prompt: Length::constant(1), output: Length::new(dist) }
}

/// One stream of open traffic.
pub fn stream(rate: f64, arrivals: ArrivalProcess, lengths: Lengths) -> StreamPlan {
    StreamPlan {
        traffic: StreamConfig {
            name: "stream".to_owned(),
            source: Source::Open(OpenConfig {
                rate: Rate::per_second(rate),
                arrivals,
                shape: Vec::new(),
                start: Start::default(),
                lengths,
            }),
        },
        model: "model".to_owned(),
        deployments: vec![0],
        slo: Slo::default(),
        timeout: None,
        retries: None,
        spill_over: None,
        overflow: None,
        terms: Default::default(),
        cache: None,
    }
}

/// A world of one stream, one deployment and one pool.
pub fn world(stream: StreamPlan, deployment: DeploymentConfig, seconds: f64, warmup: f64) -> WorldConfig {
    WorldConfig {
        name: "test".to_owned(),
        seed: Seed(1),
        duration: Duration::from_secs_f64(seconds),
        warmup: Duration::from_secs_f64(warmup),
        streams: vec![stream],
        tenants: Vec::new(),
        apis: Vec::new(),
        pools: vec![pool(deployment.replicas)],
        node_scaler: None,
        deployments: vec![deployment],
        hosts: Vec::new(),
        scalers: Vec::new(),
        jobs: Vec::new(),
        job_trace: None,
        job_rules: Default::default(),
        queue_order: Default::default(),
        placement: Default::default(),
        assumptions: Vec::new(),
        defaults: Vec::new(),
    }
}
