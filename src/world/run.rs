//! The run itself: pops the events, hands each to its room, routes what the rooms tell.

use std::sync::Arc;

use super::arrivals::Source;
use super::config::WorldConfig;
use super::egress::Egress;
use super::error::RunError;
use super::events::Event;
use super::hosted::Hosted;
use super::job_cards::{JobCards, calendar, fleet_facts};
use super::node_scaler::NodeScaler;
use super::recorder::Recorder;
use super::replicas::Replicas;
use super::retries::Retries;
use super::scale::Scaler;
use super::yields::Yielding;
use super::{RequestSink, RunOptions};
use crate::billing::{Ledger, Metered};
use crate::fleet::{Inventory, LeaseId, Nodes, PoolId, Reservation};
use crate::jobs::{self, Hold, JobList, Jobs};
use crate::metrics::results::DecisionRow;
use crate::policies::placement::Workload;
use crate::serving::{self, NewRequest, Serving, StreamRoute};
use crate::sim::{Ctx, EventQueue};
use crate::units::{Duration, Instant, UsdPerHour};

/// How often a progress observer is told where the run is, in events.
const EVENTS_PER_TICK: u64 = 1 << 16;

/// So many ticks without a nanosecond between their first event and their last: nothing real happens so
/// often at one instant, so the rooms only wake each other.
const TICKS_AT_A_STANDSTILL: u32 = 64;

/// A user of a closed loop who is turned away asks again no sooner than this, whatever the think time: an
/// assumption, as clients back off.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The state of a run.
pub(super) struct World<'a> {
    pub(super) config: &'a WorldConfig,
    pub(super) end: Instant,
    pub(super) queue: EventQueue<Event>,
    pub(super) sources: Vec<Source>,
    pub(super) serving: Serving,
    pub(super) jobs: Jobs,
    pub(super) nodes: Nodes,
    pub(super) inventory: Inventory,
    pub(super) ledger: Ledger,
    /// The account of each pool's electricity, where it is billed.
    pub(super) energy_accounts: Vec<Option<usize>>,
    pub(super) recorder: Recorder,
    pub(super) replicas: Replicas,
    pub(super) scalers: Vec<Scaler>,
    pub(super) decisions: Vec<DecisionRow>,
    pub(super) node_scaler: Option<NodeScaler>,
    pub(super) retries: Retries,
    pub(super) hosted: Hosted,
    pub(super) egress: Egress,
    /// Whether nodes of any pool come and go.
    pub(super) elastic: bool,
    /// The instant at which what is pending is bought next.
    pub(super) buys_at: Option<Instant>,
    /// When idle nodes are looked at next.
    pub(super) looks_at: Option<Instant>,
    /// The lease of each job that runs.
    pub(super) job_leases: Vec<Option<LeaseId>>,
    pub(super) job_list: Arc<JobList>,
    /// Whether any job gives way to serving, those that are about to, how many were told, and when that is
    /// looked at next.
    pub(super) some_yield: bool,
    pub(super) yielding: Yielding,
    pub(super) yields: u64,
    pub(super) yields_at: Option<Instant>,
    /// What the calendar holds for some jobs, and when.
    pub(super) calendar: Vec<(Hold, Reservation)>,
    /// Card-nanoseconds of jobs' leases that have ended.
    pub(super) job_card_nanos: u128,
    /// What an hour of one card of each pool costs at the beginning.
    pub(super) card_prices: Vec<UsdPerHour>,
    /// What is typical of the jobs, where fragmentation is told over time.
    workload: Option<Workload>,
    /// What is held for the first job of the queue.
    pub(super) held: Option<Reservation>,
    pub(super) arrived: u64,
    billing_interval: Duration,
    pub(super) rows: Option<RequestSink<'a>>,
    rows_failed: Option<String>,
    pub(super) buffers: Buffers,
}

/// What the rooms write into; reused, so that the steady state allocates nothing.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) serving: Vec<(Instant, serving::Event)>,
    pub(super) served: Vec<serving::Effect>,
    pub(super) jobs: Vec<(Instant, jobs::Event)>,
    pub(super) worked: Vec<jobs::Effect>,
}

impl<'a> World<'a> {
    pub(super) fn new(config: &'a WorldConfig, options: RunOptions<'a>) -> Result<Self, RunError> {
        let end = Instant::ZERO + config.duration;
        let source = |plan| Source::new(plan, config.seed, config.duration);
        let sources = config.streams.iter().map(source).collect::<Result<Vec<_>, _>>()?;
        let route = |plan: &super::StreamPlan| StreamRoute {
            name: plan.traffic.name.clone(),
            deployments: plan.deployments.clone(),
            timeout: plan.timeout,
            terms: plan.terms,
            cache: plan.cache.clone(),
        };
        let routes = config.streams.iter().map(route).collect();
        let tenants: Vec<_> = config.tenants.iter().map(|tenant| tenant.limits).collect();
        let mut ledger = Ledger::new();
        for (owner, pool) in config.pools.iter().enumerate() {
            ledger.open(pool.tariff, pool.fleet.cards_per_node, owner, pool.fleet.slots());
        }
        let energy_accounts = super::money::open_energy(config, &mut ledger);
        let hosted = Hosted::new(config, &mut ledger);
        let egress = Egress::new(config, &mut ledger);
        let job_list = JobList::of_run(
            &config.jobs,
            config.job_trace.as_ref(),
            &config.job_rules,
            config.seed,
            config.duration,
        );
        let fleet = fleet_facts(&config.pools, &job_list, config.seed);
        let mut serving =
            Serving::new(config.deployments.clone(), routes, &tenants, config.seed, options.plain);
        serving.share_hosts(config.hosts.clone());
        let nodes = Nodes::new(config.pools.iter().map(|pool| &pool.fleet), config.seed);
        let inventory = Inventory::new(config.pools.iter().map(|pool| &pool.fleet), config.placement);
        let jobs = Jobs::new(Arc::clone(&job_list), &config.queue_order, &config.job_rules, &fleet);
        let patterns = super::links::patterns(config, &job_list);
        let mut inventory = inventory.seeded(config.seed).talking(patterns);
        if job_list.has_needs() || config.placement.scores() {
            inventory = inventory.sharing(job_list.workload());
        }
        let workload = config.job_trace.is_some().then(|| job_list.workload());
        if jobs.keeps_ends() {
            inventory.keep_ends();
        }
        let some_yield = job_list.extras().any(|(_, extra)| extra.yields_within.is_some());
        Ok(Self {
            config,
            end,
            queue: EventQueue::new(),
            sources,
            serving,
            jobs,
            nodes,
            inventory,
            ledger,
            energy_accounts,
            recorder: Recorder::new(config, Arc::clone(&job_list)),
            scalers: config.scalers.iter().map(Scaler::new).collect(),
            retries: Retries::new(config),
            hosted,
            egress,
            decisions: Vec::new(),
            node_scaler: config.node_scaler.as_ref().map(NodeScaler::new),
            replicas: Replicas::new(config),
            elastic: config.pools.iter().any(|pool| pool.fleet.supply.is_some()),
            buys_at: None,
            looks_at: None,
            job_leases: vec![None; job_list.len()],
            some_yield,
            yielding: Yielding::new(),
            yields: 0,
            yields_at: None,
            job_list,
            calendar: calendar(&config.job_rules.calendar, &config.pools),
            job_card_nanos: 0,
            card_prices: fleet.prices.clone(),
            workload,
            held: None,
            arrived: 0,
            billing_interval: billing_interval(config.duration),
            rows: options.requests,
            rows_failed: None,
            buffers: Buffers::default(),
        })
    }

    /// Runs to the end of the window. Events at the end itself belong to the time after.
    pub(super) fn run(&mut self, progress: Option<&dyn Fn(Instant)>) -> Result<(), RunError> {
        self.begin()?;
        let mut handled = 0u64;
        let mut still = (Instant::ZERO, 0);
        while let Some((now, event)) = self.queue.pop() {
            if now >= self.end {
                break;
            }
            self.handle(now, event)?;
            self.share_links(now);
            handled += 1;
            if handled.is_multiple_of(EVENTS_PER_TICK) {
                still = if still.0 == now { (now, still.1 + 1) } else { (now, 0) };
                if still.1 > TICKS_AT_A_STANDSTILL {
                    return Err(RunError::Standstill { at: now });
                }
                if let Some(progress) = progress {
                    progress(now);
                }
            }
            if let Some(why) = self.rows_failed.take() {
                return Err(RunError::Recorder { at: now, why });
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), RunError> {
        self.begin_nodes();
        self.begin_prices();
        for (stream, plan) in self.config.streams.iter().enumerate() {
            self.serving.spill_over(stream, plan.spill_over);
        }
        self.begin_scalers();
        self.place_replicas()?;
        self.share_links(Instant::ZERO);
        self.check_jobs_fit()?;
        let mut ctx = Ctx::new(Instant::ZERO, &mut self.buffers.jobs, &mut self.buffers.worked);
        self.jobs.begin(&mut ctx);
        self.route_jobs(Instant::ZERO);
        for (stream, source) in (0u16..).zip(&self.sources) {
            if let Some(at) = source.next_at() {
                self.queue.push(at, Event::Arrive { stream, user: None });
            }
        }
        for (hold, _) in &self.calendar {
            for at in [hold.from, hold.to].into_iter().filter(|at| *at > Instant::ZERO && *at < self.end) {
                self.queue.push(at, Event::Calendar);
            }
        }
        self.queue.push(Instant::ZERO + self.billing_interval, Event::Bill);
        self.buy_soon(Instant::ZERO);
        Ok(())
    }

    fn check_jobs_fit(&self) -> Result<(), RunError> {
        let cards = |pool: PoolId| {
            let pool = &self.config.pools[pool.index()].fleet;
            pool.slots() * pool.cards_per_node
        };
        for job in 0..self.job_list.len() as u32 {
            let (wanted, pools) = (self.job_list.facts(job).cards, self.job_list.pools(job));
            if !pools.iter().any(|pool| cards(*pool) >= wanted) {
                let name = |pool: PoolId| {
                    format!("{} ({} cards)", self.config.pools[pool.index()].fleet.name, cards(pool))
                };
                let pools: Vec<String> = pools.iter().map(|pool| name(*pool)).collect();
                let (job, cards, pools) = (self.job_list.name(job).to_owned(), wanted, pools.join(", "));
                return Err(RunError::JobTooLarge { job, cards, pools });
            }
        }
        Ok(())
    }

    fn handle(&mut self, now: Instant, event: Event) -> Result<(), RunError> {
        match event {
            Event::Arrive { stream, user } => self.arrive(now, stream, user)?,
            Event::Serving(event) => {
                let mut ctx = Ctx::new(now, &mut self.buffers.serving, &mut self.buffers.served);
                self.serving.handle(&mut ctx, event);
                self.route_serving(now);
            }
            Event::Jobs(event) => {
                let mut ctx = Ctx::new(now, &mut self.buffers.jobs, &mut self.buffers.worked);
                let mut grants = Vec::new();
                let mut cards = JobCards {
                    grants: &mut grants,
                    inventory: &mut self.inventory,
                    recorder: &mut self.recorder,
                    list: &self.job_list,
                    leases: &mut self.job_leases,
                    calendar: &self.calendar,
                    held: &mut self.held,
                    prices: &self.card_prices,
                    card_nanos: &mut self.job_card_nanos,
                };
                self.jobs.handle(&mut ctx, &mut cards, event);
                self.route_jobs(now);
                self.after_jobs(now, grants);
            }
            Event::Retry { number } => self.ask_again(now, number),
            Event::Hosted { number } => self.answered(now, number),
            Event::ReplicaUp { seat } => self.replica_up(now, seat),
            Event::DrainEnd { seat } => self.drain_end(now, seat),
            Event::Links { lease } => self.slow_replicas(now, LeaseId(lease)),
            Event::Scrape { scaler } => self.scrape(now, scaler),
            Event::Scale { scaler } => self.decide_scale(now, scaler),
            Event::Fleet(event) => self.with_nodes(now, |nodes, ctx| nodes.handle(ctx, event)),
            Event::ScaleNodes => self.scale_nodes(now),
            Event::Buy => self.buy(now),
            Event::Yield => self.yield_cards(now),
            Event::YieldEnd { job } => self.yield_end(now, job),
            Event::Calendar => self.cards_came_free(now),
            Event::Price { pool, place } => self.change_price(now, usize::from(pool), place as usize),
            Event::Bill => {
                for pool in 0..self.config.pools.len() {
                    self.bill(now, pool);
                }
                self.bill_apis(now);
                self.bill_egress(now);
                self.queue.push(now + self.billing_interval, Event::Bill);
            }
        }
        Ok(())
    }

    fn arrive(&mut self, now: Instant, stream: u16, user: Option<u32>) -> Result<(), RunError> {
        let source = &mut self.sources[usize::from(stream)];
        let Some(arrival) = source.take(user)? else { return Ok(()) };
        if user.is_none()
            && let Some(at) = source.next_at()
        {
            self.queue.push(at, Event::Arrive { stream, user });
        }
        let request = NewRequest {
            id: self.arrived,
            stream,
            prompt: arrival.prompt_tokens,
            output: arrival.output_tokens,
            session: arrival.session,
            attempt: 0,
            hashes: arrival.blocks.map(|blocks| blocks.0),
            ends: arrival.ends,
            answer: arrival.answer,
            pause: arrival.pause,
        };
        self.enter(now, request);
        Ok(())
    }

    /// Schedules what serving asked for and routes what it told.
    pub(super) fn route_serving(&mut self, now: Instant) {
        for (at, event) in self.buffers.serving.drain(..) {
            self.queue.push(at, Event::Serving(event));
        }
        let mut served = std::mem::take(&mut self.buffers.served);
        let mut gone = Vec::new();
        for effect in served.drain(..) {
            match effect {
                serving::Effect::Gone { replica } => gone.push(replica),
                serving::Effect::Departed(departure) => {
                    let rejected = departure.outcome == serving::Outcome::Rejected;
                    if !rejected || !self.overflow(now, &departure) {
                        self.departed(now, &departure);
                    }
                }
                serving::Effect::Busy { replica, busy } => {
                    let Some(lease) = self.replicas.lease_of(replica) else { continue };
                    self.recorder.busy(now, lease, self.inventory.lease(lease), busy);
                    self.inventory.set_busy(now, lease, busy);
                }
                serving::Effect::Load { deployment } => {
                    let (queued, running) = self.serving.load(deployment);
                    self.recorder.load(now, deployment, queued, running);
                }
            }
        }
        self.buffers.served = served;
        for replica in gone {
            self.replica_gone(now, replica);
        }
    }

    /// A request has left for good: it is recorded, and whoever waits for it is told.
    pub(super) fn departed(&mut self, now: Instant, departure: &serving::Departure) {
        let row = self.recorder.departed(now, departure);
        if let Some(rows) = &mut self.rows
            && let Err(why) = rows(&row)
        {
            self.rows_failed.get_or_insert(why);
        }
        self.retry_later(now, departure);
        let completed = departure.outcome == serving::Outcome::Completed;
        let source = &mut self.sources[usize::from(departure.stream)];
        if let Some((at, event)) = source.ended(now, departure.stream, departure.session, completed) {
            let rejected = departure.outcome == serving::Outcome::Rejected;
            let earliest = if rejected { now + RETRY_AFTER } else { now };
            self.queue.push(at.max(earliest), event);
        }
    }

    /// Schedules what jobs asked for and routes what they told.
    pub(super) fn route_jobs(&mut self, now: Instant) {
        for (at, event) in self.buffers.jobs.drain(..) {
            self.queue.push(at, Event::Jobs(event));
        }
        for effect in self.buffers.worked.drain(..) {
            match effect {
                jobs::Effect::Load => {
                    let (queued, running) = self.jobs.load();
                    self.recorder.jobs(now, queued, running);
                    if let Some(workload) = &self.workload {
                        self.recorder.fragmented(now, |pool| self.inventory.fragmented(pool, workload));
                    }
                }
            }
        }
    }

    pub(super) fn record_leased(&mut self, now: Instant, lease: LeaseId) {
        if let Some(pool) = self.inventory.lease(lease).map(|lease| lease.pool) {
            self.recorder.leased(now, pool.index(), u64::from(self.inventory.usage(pool).leased));
        }
    }

    /// What a pool's cards did since the run began.
    pub(super) fn metered(&mut self, now: Instant, pool: usize) -> Metered {
        let time = self.inventory.usage(PoolId(pool as u16)).settle(now);
        Metered {
            provisioned: time.provisioned,
            leased: time.leased,
            busy: time.busy,
            starting: time.starting,
            draining: time.draining,
            free: time.free,
        }
    }
}

/// An hour; for long runs a day or a week, so that the ledger stays readable.
fn billing_interval(duration: Duration) -> Duration {
    let hours = duration.as_nanos() / Duration::HOUR.as_nanos();
    match hours {
        0..1_500 => Duration::HOUR,
        1_500..20_000 => Duration::HOUR * 24,
        _ => Duration::HOUR * 24 * 7,
    }
}
