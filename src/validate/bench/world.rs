//! The world that a case is run in: one pool, one deployment, one stream, nothing that costs.

use super::Case;
use super::run::SetUp;
use crate::billing::{Purchase, Tariff};
use crate::fleet::{Host, PoolConfig, PoolId};
use crate::perf::constants::KV_BLOCK_TOKENS;
use crate::policies::router::RouterKind;
use crate::serving::{DeploymentConfig, ReplicaOption, Role};
use crate::sim::Seed;
use crate::traffic::{Source, StreamConfig};
use crate::units::{Duration, UsdPerHour};
use crate::world::{PoolPlan, Slo, StreamPlan, WorldConfig};

impl SetUp {
    pub(super) fn world(&self, case: &Case, source: Source, window: f64) -> WorldConfig {
        let name = "bench".to_owned();
        let per_node = (case.node.cards / self.plan.cards()).max(1);
        let option = ReplicaOption {
            adapters: Vec::new(),
            pool: PoolId(0),
            cards: self.plan.cards(),
            step: self.step.clone(),
            on_links: None,
            kv_blocks: self.fit.kv_blocks,
            block_tokens: KV_BLOCK_TOKENS as u32,
            window: case.model.window.map(|window| window.tokens),
            links: None,
            host: None,
            draft: None,
            loads: Vec::new(),
            label: self.plan.to_string(),
        };
        WorldConfig {
            name: name.clone(),
            seed: Seed(1),
            duration: Duration::from_secs_f64(window.max(1e-3)),
            warmup: Duration::ZERO,
            streams: vec![StreamPlan {
                traffic: StreamConfig { name: name.clone(), source },
                model: case.model.name.clone(),
                deployments: vec![0],
                slo: Slo::default(),
                timeout: None,
                retries: None,
                spill_over: None,
                overflow: None,
                terms: Default::default(),
                cache: None,
            }],
            tenants: Vec::new(),
            apis: Vec::new(),
            pools: vec![PoolPlan {
                fleet: PoolConfig {
                    name: name.clone(),
                    provider: name.clone(),
                    offer: case.node.name.clone(),
                    accelerator: case.node.card.name.clone(),
                    nodes: self.replicas.div_ceil(per_node),
                    cards_per_node: case.node.cards.max(self.plan.cards()),
                    fabric: None,
                    supply: None,
                    host: Host::default(),
                },
                tariff: Tariff {
                    purchase: Purchase::OnDemand,
                    price: UsdPerHour::from_f64(0.0),
                    granularity: Duration::ZERO,
                    minimum: Duration::ZERO,
                    commitment: None,
                },
                price_path: Vec::new(),
                block: None,
                power: None,
                egress: None,
                peak: None,
            }],
            node_scaler: None,
            deployments: vec![DeploymentConfig {
                adapter_slots: 0,
                shared: None,
                lifecycle: Default::default(),
                name,
                model: case.model.name.clone(),
                options: vec![option],
                batching: self.batching,
                max_queued_requests: None,
                router: RouterKind::LeastOutstandingRequests,
                replicas: self.replicas,
                max_context: None,
                prefix_tokens: case.habits.repeated_prompts.then_some(KV_BLOCK_TOKENS as u32),
                role: Role::Whole,
                tenants: Default::default(),
                speculation: None,
                max_predicted_ttft: None,
            }],
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
}
