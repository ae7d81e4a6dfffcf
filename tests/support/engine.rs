//! Random engines: schedulers, orders, preemption, tenants.

use fleetsim::catalog::EgressPrices;
use fleetsim::perf::{AffineStep, StepModel};
use fleetsim::policies::request_order::{RequestOrder, TenantWeights};
use fleetsim::serving::{
    CacheHits, Draft, HostMemory, ImageTerms, KvTiers, PausedKv, Preemption, RateLimit, ReplicaLinks,
    RequestKind, RequestTerms, ResponseCache, Scheduler, Speculation, TenantLimits, Tier,
};
use fleetsim::units::{Bytes, BytesPerSecond, Duration, Ticks};
use fleetsim::world::{TenantPlan, WorldConfig};
use proptest::prelude::*;

/// What differs from the default engine.
#[derive(Debug, Clone)]
pub struct EngineDice {
    scheduler: usize,
    order: usize,
    /// Blocks of host memory, and microseconds to copy one.
    host: Option<(u64, u64)>,
    max_wait_ms: u64,
    /// The share of a second stream of another tenant and priority.
    rival: bool,
    preemptible: bool,
    weight: f64,
    deadline_ms: u64,
    /// Proposed tokens, acceptance, microseconds of a pass.
    draft: Option<(u32, f64, u64)>,
    front: Front,
}

/// What stands in front of the queue.
#[derive(Debug, Clone)]
struct Front {
    max_ttft_ms: Option<u64>,
    /// Hits drawn, or questions and their popularity; milliseconds that an answer takes.
    cache: Option<(bool, u64)>,
    /// The rival wants vectors.
    embeds: bool,
    /// Outputs that a request of the first stream wants.
    samples: u16,
    /// Slots for adapters, and milliseconds that one takes to come; each stream wants its own.
    adapters: Option<(u32, u64)>,
    limit: Option<(f64, u64)>,
    /// Everybody asks for images, of so many steps at least.
    images: Option<u32>,
    /// Blocks of host memory and of storage below the KV cache, none where 0, and microseconds that one takes to come.
    tiers: Option<(u64, u64, u64)>,
}

pub fn engine_dice() -> impl Strategy<Value = Option<EngineDice>> {
    let host = prop::option::of((0u64..40, prop_oneof![Just(0u64), 1u64..3_000]));
    let rules = (0..Scheduler::ALL.len(), 0..RequestOrder::ALL.len(), host, 0u64..2_000);
    let rivals = (any::<bool>(), any::<bool>(), 0.2f64..5.0, 0u64..3_000);
    let draft = prop::option::weighted(0.3, (1u32..6, 0.0f64..1.0, prop_oneof![Just(0u64), 1u64..5_000]));
    let max_ttft = prop::option::weighted(0.2, 10u64..5_000);
    let cache = prop::option::weighted(0.2, (any::<bool>(), prop_oneof![Just(0u64), 0u64..500]));
    let limit = prop::option::weighted(0.2, (1.0f64..500.0, 1u64..300));
    let samples = prop_oneof![4 => Just(1u16), 1 => 2u16..5];
    let adapters = prop::option::weighted(0.3, (1u32..3, prop_oneof![Just(0u64), 1u64..60]));
    let images = prop::option::weighted(0.15, 1u32..12);
    let below = (0u64..60, 0u64..60, prop_oneof![Just(0u64), 1u64..3_000]);
    let below = (images, prop::option::weighted(0.4, below));
    let front = (max_ttft, cache, any::<bool>(), limit, samples, adapters, below).prop_map(
        |(max_ttft_ms, cache, embeds, limit, samples, adapters, (images, tiers))| Front {
            max_ttft_ms,
            cache,
            embeds,
            limit,
            samples,
            adapters,
            images,
            tiers,
        },
    );
    let some = (rules, rivals, draft, front).prop_map(
        |((scheduler, order, host, max_wait_ms), (rival, preemptible, weight, deadline_ms), draft, front)| {
            EngineDice {
                scheduler,
                order,
                host,
                max_wait_ms,
                rival,
                preemptible,
                weight,
                deadline_ms,
                draft,
                front,
            }
        },
    );
    prop::option::weighted(0.7, some)
}

impl EngineDice {
    /// Gives a world this engine.
    pub fn apply(&self, config: &mut WorldConfig) {
        let served = &mut config.deployments[0];
        served.batching.scheduler = Scheduler::ALL[self.scheduler].1;
        served.batching.order = RequestOrder::ALL[self.order].1;
        served.batching.max_wait = Duration::from_nanos(self.max_wait_ms * 1_000_000);
        if let Some((blocks, micros)) = self.host {
            served.batching.preemption = Preemption::Swap;
            let copy = Ticks::from_duration(Duration::from_nanos(micros * 1_000));
            served.options[0].host = Some(HostMemory { blocks, copy });
        }
        if let Some((host, remote, micros)) = self.front.tiers {
            let copy = Ticks::from_duration(Duration::from_nanos(micros * 1_000));
            let tier = |blocks, latency| (blocks > 0).then_some(Tier { blocks, copy, latency });
            let tiers = KvTiers { host: tier(host, Ticks::ZERO), remote: tier(remote, copy) };
            let none = BytesPerSecond(1.0);
            served.options[0].links =
                Some(ReplicaLinks { kv_per_token: Bytes(1000), scale_up: none, scale_out: none, tiers });
        }
        served.tenants = TenantWeights::new(&[1.0, self.weight]);
        if let Some((tokens, acceptance, micros)) = self.draft {
            served.speculation = Some(Speculation { tokens, acceptance, spread: 0.2 });
            let batching = &mut served.batching;
            batching.max_batch_tokens += batching.max_batch_requests * tokens;
            let pass = AffineStep {
                base: Ticks::from_duration(Duration::from_nanos(micros * 1_000)),
                ..AffineStep::default()
            };
            served.options[0].draft = Some(Draft { step: StepModel::Affine(pass), passes: tokens });
        }
        served.max_predicted_ttft = self.front.max_ttft_ms.map(|ms| Duration::from_nanos(ms * 1_000_000));
        if self.rival {
            let mut rival = config.streams[0].clone();
            rival.traffic.name = "rival".to_owned();
            config.streams.push(rival);
        }
        for (at, stream) in config.streams.iter_mut().enumerate() {
            stream.terms = RequestTerms {
                priority: -(at as i32),
                preemptible: self.preemptible && at == 0,
                tenant: (at % 2) as u16,
                deadline: Some(Duration::from_nanos(self.deadline_ms * 1_000_000 * (at as u64 + 1))),
                kind: RequestKind::Generate,
                samples: if at == 0 { self.front.samples } else { 1 },
                adapter: self.front.adapters.map(|_| at as u16),
                paused_kv: PausedKv::ALL[self.max_wait_ms as usize % PausedKv::ALL.len()].1,
            };
        }
        if let Some((slots, ms)) = self.front.adapters {
            let load = Ticks::from_duration(Duration::from_nanos(ms * 1_000_000));
            config.deployments[0].adapter_slots = slots;
            config.deployments[0].options[0].adapters = vec![load; config.streams.len()];
        }
        if self.rival && self.front.embeds {
            config.streams.last_mut().expect("the rival").terms.kind = RequestKind::Embed;
        }
        if let Some((drawn, ms)) = self.front.cache {
            let hits = match drawn {
                true => CacheHits::Share(0.4),
                false => CacheHits::Popularity {
                    questions: 50,
                    zipf: 0.8,
                    size: 10,
                    expiry: Some(Duration::from_secs(5)),
                },
            };
            let latency = Duration::from_nanos(ms * 1_000_000);
            config.streams[0].cache = Some(ResponseCache { hits, latency });
        }
        let limits = TenantLimits {
            requests: None,
            tokens: self.front.limit.map(|(per_second, burst)| RateLimit { per_second, burst }),
        };
        let tenant = |name: &str| TenantPlan { name: name.to_owned(), weight: 1.0, limits };
        config.tenants = vec![tenant("first"), tenant("second")];
    }

    /// Makes everybody ask for images, if these dice say so.
    pub fn draw_images(&self, config: &mut WorldConfig) {
        let Some(steps) = self.front.images else { return };
        for served in &mut config.deployments {
            served.batching.scheduler = Scheduler::Static;
            (served.prefix_tokens, served.speculation, served.max_predicted_ttft) = (None, None, None);
            served.options[0].draft = None;
        }
        for (at, stream) in (0u32..).zip(&mut config.streams) {
            let (pixels, bytes) = (4096 * (1 + at % 2), Bytes(1_000_000 + u64::from(at)));
            stream.terms.kind = RequestKind::Image(ImageTerms { steps: steps + at % 3, pixels, bytes });
        }
        config.pools[0].egress = Some(EgressPrices::flat(0.1));
    }

    /// Which scheduler and order it has.
    pub fn rules(&self) -> (usize, usize) {
        (self.scheduler, self.order)
    }
}
