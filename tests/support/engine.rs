//! Random engines: schedulers, orders, preemption, tenants.

use fleetsim::policies::request_order::{RequestOrder, TenantWeights};
use fleetsim::serving::{HostMemory, Preemption, RequestTerms, Scheduler};
use fleetsim::units::{Duration, Ticks};
use fleetsim::world::WorldConfig;
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
}

pub fn engine_dice() -> impl Strategy<Value = Option<EngineDice>> {
    let host = prop::option::of((0u64..40, prop_oneof![Just(0u64), 1u64..3_000]));
    let rules = (0..Scheduler::ALL.len(), 0..RequestOrder::ALL.len(), host, 0u64..2_000);
    let rivals = (any::<bool>(), any::<bool>(), 0.2f64..5.0, 0u64..3_000);
    let some = (rules, rivals).prop_map(
        |((scheduler, order, host, max_wait_ms), (rival, preemptible, weight, deadline_ms))| EngineDice {
            scheduler,
            order,
            host,
            max_wait_ms,
            rival,
            preemptible,
            weight,
            deadline_ms,
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
        served.tenants = TenantWeights::new(&[1.0, self.weight]);
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
            };
        }
    }

    /// Which scheduler and order it has.
    pub fn rules(&self) -> (usize, usize) {
        (self.scheduler, self.order)
    }
}
