//! The world's recorder: hears what happens and keeps what the results need.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::RequestRow;
use super::config::WorldConfig;
use crate::fleet::{Holder, Lease, LeaseId, PoolId};
use crate::jobs::JobList;
use crate::metrics::{
    CardRecorder, DeploymentOverTime, Ending, Limits, ReplicaCounts, RequestEnd, RequestStats, Steps,
    StreamOverTime, TimeSpent, bucket_width,
};
use crate::serving::{Departure, Outcome, TimeCause};
use crate::units::{Duration, Instant};

/// What is recorded while a scenario runs.
pub(super) struct Recorder {
    pub(super) warm: Instant,
    pub(super) bucket: Duration,
    pub(super) limits: Vec<Limits>,
    /// By stream and deployment; a pair that never met has nothing.
    pub(super) cells: BTreeMap<(u16, u32), RequestStats>,
    pub(super) streams: Vec<StreamOverTime>,
    pub(super) arrived: Vec<u64>,
    pub(super) deployments: Vec<DeploymentOverTime>,
    /// Requests in the system, for Little's identity.
    in_system: Steps,
    count: u64,
    sojourns: u128,
    /// Completed requests whose causes of time do not add up to it: there must be none.
    pub(super) unexplained: u64,
    pub(super) busy_cards: Vec<Steps>,
    pub(super) leased_cards: Vec<Steps>,
    pub(super) provisioned_cards: Vec<Steps>,
    pub(super) jobs_queued: Steps,
    pub(super) jobs_running: Steps,
    /// The pool and nodes of each job that was placed.
    pub(super) job_places: Vec<Option<(PoolId, Box<[u32]>)>>,
    cards: CardRecorder,
    busy_since: BTreeMap<LeaseId, Instant>,
    deployment_names: Vec<String>,
    stream_names: Vec<String>,
    jobs: Arc<JobList>,
}

impl Recorder {
    pub(super) fn new(config: &WorldConfig, jobs: Arc<JobList>) -> Self {
        let bucket = bucket_width(config.duration);
        let pools = || config.pools.iter().map(|pool| &pool.fleet);
        let limits =
            |plan: &super::StreamPlan| Limits { ttft: plan.slo.ttft, tpot: plan.slo.tpot, e2e: plan.slo.e2e };
        Self {
            warm: Instant::ZERO + config.warmup,
            bucket,
            limits: config.streams.iter().map(limits).collect(),
            cells: BTreeMap::new(),
            streams: config.streams.iter().map(|_| StreamOverTime::new(bucket)).collect(),
            arrived: vec![0; config.streams.len()],
            deployments: config.deployments.iter().map(|_| DeploymentOverTime::new(bucket)).collect(),
            in_system: Steps::new(bucket),
            count: 0,
            sojourns: 0,
            unexplained: 0,
            busy_cards: pools().map(|_| Steps::new(bucket)).collect(),
            leased_cards: pools().map(|_| Steps::new(bucket)).collect(),
            provisioned_cards: pools().map(|_| Steps::new(bucket)).collect(),
            jobs_queued: Steps::new(bucket),
            jobs_running: Steps::new(bucket),
            job_places: vec![None; jobs.len()],
            cards: CardRecorder::new(
                bucket,
                pools().map(|pool| (pool.name.as_str(), pool.slots(), pool.cards_per_node)),
            ),
            busy_since: BTreeMap::new(),
            deployment_names: config.deployments.iter().map(|plan| plan.name.clone()).collect(),
            stream_names: config.streams.iter().map(|plan| plan.traffic.name.clone()).collect(),
            jobs,
        }
    }

    pub(super) fn arrived(&mut self, now: Instant, stream: u16) {
        self.arrived[usize::from(stream)] += 1;
        self.streams[usize::from(stream)].arrived(now);
        self.count += 1;
        self.in_system.set(now, self.count);
    }

    /// A request left; its row for the table of requests.
    pub(super) fn departed(&mut self, now: Instant, departure: &Departure) -> RequestRow<'_> {
        self.count -= 1;
        self.in_system.set(now, self.count);
        self.sojourns += u128::from(now.since(departure.arrival).as_nanos());
        let arrival = departure.arrival;
        let ending = match departure.outcome {
            Outcome::Completed => Ending::Completed {
                queue_wait: departure.first_scheduled.unwrap_or(now).since(arrival),
                ttft: departure.first_token.unwrap_or(now).since(arrival),
                e2e: now.since(arrival),
            },
            Outcome::Rejected => Ending::Rejected,
            Outcome::TimedOut => Ending::TimedOut,
            Outcome::Failed => Ending::Failed,
            Outcome::InFlight => Ending::InFlight { ttft: None, age: now.since(arrival) },
        };
        let spent = time_spent(departure);
        if let Ending::Completed { queue_wait, e2e, .. } = ending {
            self.unexplained += u64::from(!spent.adds_up_to(queue_wait, e2e));
        }
        let end = RequestEnd {
            arrival,
            prompt: departure.prompt,
            output: departure.output,
            samples: departure.samples,
            at_once: departure.from_cache,
            ending,
            spent,
        };
        self.streams[usize::from(departure.stream)].ended(now, &end);
        self.ended(departure, &end);
        self.row(departure, Some(now))
    }

    /// A request was still there at the end of the run.
    pub(super) fn left_over(&mut self, end: Instant, departure: &Departure) -> RequestRow<'_> {
        self.sojourns += u128::from(end.since(departure.arrival).as_nanos());
        let arrival = departure.arrival;
        let ttft = departure.first_token.map(|at| at.since(arrival));
        let ending = Ending::InFlight { ttft, age: end.since(arrival) };
        let ended = RequestEnd {
            arrival,
            prompt: departure.prompt,
            output: departure.output,
            samples: departure.samples,
            at_once: departure.from_cache,
            ending,
            spent: TimeSpent::default(),
        };
        self.ended(departure, &ended);
        self.row(departure, None)
    }

    fn ended(&mut self, departure: &Departure, end: &RequestEnd) {
        let limits = self.limits[usize::from(departure.stream)];
        let cell = self.cells.entry((departure.stream, departure.deployment)).or_default();
        cell.record(end, &limits, self.warm);
    }

    fn row(&self, departure: &Departure, end: Option<Instant>) -> RequestRow<'_> {
        RequestRow {
            departure: *departure,
            end,
            stream: &self.stream_names[usize::from(departure.stream)],
            deployment: &self.deployment_names[departure.deployment as usize],
        }
    }

    pub(super) fn load(&mut self, now: Instant, deployment: u32, queued: u64, running: u64) {
        self.deployments[deployment as usize].load(now, queued, running);
    }

    pub(super) fn replicas(&mut self, now: Instant, deployment: usize, desired: u32, counts: &ReplicaCounts) {
        self.deployments[deployment].replicas(now, u64::from(desired), counts);
    }

    pub(super) fn jobs(&mut self, now: Instant, queued: u64, running: u64) {
        self.jobs_queued.set(now, queued);
        self.jobs_running.set(now, running);
    }

    /// A lease begins or ceases to compute.
    pub(super) fn busy(&mut self, now: Instant, id: LeaseId, lease: Option<&Lease>, busy: bool) {
        let Some(lease) = lease else { return };
        let cards: u64 = lease.nodes.iter().map(|(_, mask)| u64::from(mask.count_ones())).sum();
        let steps = &mut self.busy_cards[lease.pool.index()];
        if busy {
            steps.set(now, steps.value() + cards);
            self.busy_since.insert(id, now);
        } else {
            steps.set(now, steps.value() - cards);
            if let Some(since) = self.busy_since.remove(&id) {
                self.cards.busy(lease.pool.index(), &lease.nodes, since, now);
            }
        }
    }

    pub(super) fn job_placed(&mut self, job: u32, lease: Option<&Lease>) {
        let place = |lease: &Lease| (lease.pool, lease.nodes.iter().map(|(node, _)| *node).collect());
        self.job_places[job as usize] = lease.map(place);
    }

    /// A lease is given back.
    pub(super) fn released(&mut self, now: Instant, lease: Option<&Lease>) {
        let Some(lease) = lease else { return };
        let name = match lease.holder {
            Holder::Replica(deployment, _) => self.deployment_names[deployment as usize].as_str(),
            Holder::Job(job) => self.jobs.name(job),
        };
        self.cards.held(lease.pool.index(), &lease.nodes, lease.since, now, name);
    }

    /// So many cards of a pool are leased from now on.
    pub(super) fn leased(&mut self, now: Instant, pool: usize, cards: u64) {
        self.leased_cards[pool].set(now, cards);
    }

    /// So many cards of a pool are paid for from now on.
    pub(super) fn provisioned(&mut self, now: Instant, pool: usize, cards: u64) {
        self.provisioned_cards[pool].set(now, cards);
    }

    /// Brings everything up to the end of the run.
    pub(super) fn settle<'a>(&mut self, end: Instant, leases: impl Iterator<Item = (LeaseId, &'a Lease)>) {
        for (id, lease) in leases {
            if lease.busy {
                self.busy(end, id, Some(lease), false);
            }
            self.released(end, Some(lease));
        }
        let steps =
            self.busy_cards.iter_mut().chain(&mut self.leased_cards).chain(&mut self.provisioned_cards);
        for steps in steps.chain([&mut self.jobs_queued, &mut self.jobs_running, &mut self.in_system]) {
            steps.settle(end);
        }
        for deployment in &mut self.deployments {
            deployment.settle(end);
        }
    }

    /// Little's identity, both sides in request-nanoseconds: ∫N dt and the sum of all sojourns, cut at the
    /// end of the window.
    pub(super) fn little(&self) -> (u128, u128) {
        (self.in_system.integral(), self.sojourns)
    }

    pub(super) fn take_cards(&mut self, end: Instant) -> Vec<crate::metrics::results::CardStrip> {
        let empty = CardRecorder::new(self.bucket, []);
        std::mem::replace(&mut self.cards, empty).finish(end)
    }
}

/// What the time of a request went to, as the metrics name it.
pub(super) fn time_spent(departure: &Departure) -> TimeSpent {
    let spent = |cause: TimeCause| departure.spent.in_all[cause as usize];
    use TimeCause::{BatchSlot, Decode, KvMemory, Prefill, ResponseCache, Starting, Transfer};
    let in_all = [Starting, BatchSlot, KvMemory, Prefill, Decode, Transfer, ResponseCache].map(spent);
    let at_first = [Starting, BatchSlot, KvMemory].map(|cause| departure.spent.at_first[cause as usize]);
    TimeSpent { in_all, at_first }
}
