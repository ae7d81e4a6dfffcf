//! What a deployment shows to whoever scrapes it.

use super::room::{Serving, Standing};
use crate::units::{Duration, Instant};

/// What a replica shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplicaGauge {
    /// Its number in the room.
    pub replica: u32,
    /// Whether it takes requests; one that drains does not.
    pub ready: bool,
    /// Requests in its batch.
    pub running: u32,
    /// Requests in its queue.
    pub queued: u32,
    /// The share of its KV cache in use.
    pub kv_use: f64,
    /// Requests sent to it so far.
    pub sent: u64,
    /// Output tokens made so far.
    pub tokens: u64,
    /// For how long it has computed so far.
    pub busy: Duration,
}

/// What a deployment counts, from the beginning of the run, replicas that are gone included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeploymentGauge {
    /// Requests that came.
    pub arrived: u64,
    /// Requests that wait for a replica.
    pub held: u64,
    /// Output tokens made by replicas that are gone.
    pub tokens_of_gone: u64,
    /// For how long replicas that are gone computed, in replica-nanoseconds.
    pub busy_of_gone: u128,
}

/// Latencies of a deployment since they were last taken.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Arrival to first token, of requests that got it.
    pub ttft: Vec<Duration>,
    /// Mean time per output token after the first, of requests that completed.
    pub tpot: Vec<Duration>,
}

impl Serving {
    /// Collects latencies of a deployment from now on; they are to be taken from time to time.
    pub fn watch_latencies(&mut self, deployment: usize) {
        self.deployments[deployment].latencies = Some(Latencies::default());
    }

    /// The latencies collected since this was last asked.
    pub fn take_latencies(&mut self, deployment: usize) -> Latencies {
        self.deployments[deployment].latencies.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The deployment's own counts.
    pub fn deployment_gauge(&self, deployment: usize) -> DeploymentGauge {
        let owner = &self.deployments[deployment];
        let here = self.living(deployment).map(|id| u64::from(self.replicas[id as usize].replica.queued()));
        DeploymentGauge { held: owner.queued - here.sum::<u64>(), ..owner.gauge }
    }

    /// What each replica of a deployment that is not gone shows, by place. To be called after the boundaries of
    /// the instant.
    pub fn replica_gauges(&self, deployment: usize, now: Instant) -> impl Iterator<Item = ReplicaGauge> + '_ {
        self.living(deployment).map(move |id| {
            let member = &self.replicas[id as usize];
            ReplicaGauge {
                replica: id,
                ready: member.standing == Standing::Ready,
                running: member.replica.running(),
                queued: member.replica.queued(),
                kv_use: member.replica.kv_use(now),
                sent: member.sent,
                tokens: member.replica.tokens_made(now),
                busy: member.busy_time(now),
            }
        })
    }

    /// Replicas of a deployment that are not gone, by place.
    fn living(&self, deployment: usize) -> impl Iterator<Item = u32> + '_ {
        let alive = |id: &u32| self.replicas[*id as usize].standing != Standing::Gone;
        self.deployments[deployment].replicas.iter().copied().filter(alive)
    }

    /// A replica is gone: what it counted is kept.
    pub(super) fn keep_counts(&mut self, now: Instant, replica: u32) {
        let member = &self.replicas[replica as usize];
        let (tokens, busy) = (member.replica.tokens_made(now), member.busy_time(now));
        let gauge = &mut self.deployments[member.deployment as usize].gauge;
        gauge.tokens_of_gone += tokens;
        gauge.busy_of_gone += u128::from(busy.as_nanos());
    }
}
