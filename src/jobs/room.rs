//! The jobs room: jobs are submitted, wait for their gang of cards, run, may be stopped, and finish.

use std::sync::Arc;

use super::list::JobList;
use crate::fleet::{PendingReason, PoolId};
use crate::policies::queue_order::{Cluster, FleetFacts, Order, QueueOrder, Step};
use crate::sim::Ctx;
use crate::units::{Duration, Flop, Instant};

/// An event of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A job is submitted.
    Submit {
        /// The job.
        job: u32,
    },
    /// A job has done its work, unless it was stopped in the meantime.
    Finish {
        /// The job.
        job: u32,
        /// Which of its runs this is about.
        run: u32,
    },
    /// Everything of this instant has happened: who starts now?
    Decide,
}

/// What the world is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The number of waiting or running jobs changed.
    Load,
}

/// The cards that jobs run on, as the world provides them.
pub trait Cards: Cluster {
    /// Gives a job its cards; says on which of its pools. `beside` leaves alone what [`Cluster::reserve`]
    /// holds.
    ///
    /// # Errors
    /// Why there are none now.
    fn start(&mut self, now: Instant, job: u32, beside: bool) -> Result<usize, PendingReason>;

    /// Takes a job's cards back.
    fn stop(&mut self, now: Instant, job: u32);
}

/// A job as it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobState {
    /// When it was submitted, once it was.
    pub submitted: Option<Instant>,
    /// When it first started.
    pub started: Option<Instant>,
    /// When it finished.
    pub finished: Option<Instant>,
    /// Since when it runs, when it does.
    pub running: Option<Instant>,
    /// The option that it last ran on.
    pub option: u16,
    /// How often it was stopped.
    pub preemptions: u32,
    /// Time for which it held its cards before its present run.
    pub ran: Duration,
    /// How long its last run took, once it has finished.
    last_run: Duration,
    /// What is left to do when it does not run, in time on its first pool.
    left: Duration,
    /// Why it had to wait when its turn had come; nothing when it had not.
    pub wait_reason: Option<PendingReason>,
}

/// The jobs room.
#[derive(Debug)]
pub struct Jobs {
    list: Arc<JobList>,
    states: Vec<JobState>,
    order: Box<dyn Order>,
    /// Jobs by submission, and how many of them have been scheduled.
    by_submission: Vec<u32>,
    scheduled: usize,
    decides_at: Option<Instant>,
    waiting: u64,
    running: u64,
    /// FLOP done in runs that were stopped.
    flop_of_stopped: Vec<(PoolId, Flop)>,
}

type Context<'a> = Ctx<'a, Event, Effect>;

impl Jobs {
    /// The room before the first event.
    pub fn new(list: Arc<JobList>, order: &QueueOrder, fleet: &FleetFacts) -> Self {
        let mut by_submission: Vec<u32> = (0..list.len() as u32).collect();
        by_submission.sort_by_key(|job| (list.facts(*job).submit, *job));
        Self {
            states: vec![JobState::default(); list.len()],
            order: order.start(list.all_facts(), fleet),
            by_submission,
            scheduled: 0,
            decides_at: None,
            waiting: 0,
            running: 0,
            flop_of_stopped: Vec::new(),
            list,
        }
    }

    /// Schedules the first submission; each schedules the next.
    pub fn begin(&mut self, ctx: &mut Context<'_>) {
        self.schedule_next(ctx);
    }

    fn schedule_next(&mut self, ctx: &mut Context<'_>) {
        if let Some(job) = self.by_submission.get(self.scheduled).copied() {
            self.scheduled += 1;
            ctx.at(self.list.facts(job).submit, Event::Submit { job });
        }
    }

    /// Cards came free that were not a job's: whoever waits may try again.
    pub fn cards_came_free(&mut self, ctx: &mut Context<'_>) {
        self.order.freed(ctx.now);
        self.decide_at(ctx, ctx.now);
    }

    fn decide_at(&mut self, ctx: &mut Context<'_>, at: Instant) {
        if self.decides_at.is_none_or(|planned| at < planned) {
            self.decides_at = Some(at);
            ctx.at(at, Event::Decide);
        }
    }

    /// Handles one of this room's events.
    pub fn handle(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, event: Event) {
        match event {
            Event::Submit { job } => {
                let facts = self.list.facts(job);
                let state = &mut self.states[job as usize];
                state.submitted = Some(ctx.now);
                state.left = self.list.duration(job, 0);
                self.waiting += 1;
                self.order.submitted(ctx.now, job, facts);
                self.schedule_next(ctx);
                self.decide_at(ctx, ctx.now);
            }
            Event::Finish { job, run } => {
                let state = &mut self.states[job as usize];
                let Some(since) = state.running.filter(|_| state.preemptions == run) else { return };
                state.ran += ctx.now.since(since);
                state.last_run = ctx.now.since(since);
                state.running = None;
                state.finished = Some(ctx.now);
                self.running -= 1;
                cards.stop(ctx.now, job);
                self.order.finished(ctx.now, job, self.list.facts(job));
                self.decide_at(ctx, ctx.now);
            }
            Event::Decide => {
                if self.decides_at.is_some_and(|at| at <= ctx.now) {
                    self.decides_at = None;
                    self.decide(ctx, cards);
                }
            }
        }
        ctx.tell(Effect::Load);
    }

    /// Does what the order says until it has nothing more to say.
    fn decide(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards) {
        loop {
            match self.order.next(ctx.now, self.list.all_facts(), cards).0 {
                Step::Wait => break,
                Step::Start(job) => self.start(ctx, cards, job, false),
                Step::StartBeside(job) => self.start(ctx, cards, job, true),
                Step::Stop(jobs) => jobs.into_iter().for_each(|job| self.stop(ctx.now, cards, job)),
            }
        }
        if let Some(at) = self.order.wake() {
            self.decide_at(ctx, at.max(ctx.now.saturating_add(Duration::from_nanos(1))));
        }
    }

    fn start(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32, beside: bool) {
        let state = &mut self.states[job as usize];
        match cards.start(ctx.now, job, beside) {
            Err(reason) => {
                state.wait_reason.get_or_insert(reason);
                self.order.refused(ctx.now, job);
            }
            Ok(option) => {
                let (first, here) = (self.list.duration(job, 0), self.list.duration(job, option));
                let end = ctx.now.saturating_add(scaled(state.left, first, here));
                state.started.get_or_insert(ctx.now);
                state.running = Some(ctx.now);
                state.option = option as u16;
                self.waiting -= 1;
                self.running += 1;
                ctx.at(end, Event::Finish { job, run: state.preemptions });
                self.order.started(ctx.now, job, self.list.facts(job), end);
            }
        }
    }

    fn stop(&mut self, now: Instant, cards: &mut dyn Cards, job: u32) {
        let state = &mut self.states[job as usize];
        let Some(since) = state.running.take() else { return };
        let option = usize::from(state.option);
        let (first, here) = (self.list.duration(job, 0), self.list.duration(job, option));
        let ran = now.since(since);
        state.ran += ran;
        state.left = state.left.saturating_sub(scaled(ran, here, first));
        state.preemptions += 1;
        let share = ran.as_secs_f64() / here.as_secs_f64().max(f64::MIN_POSITIVE);
        let flop = Flop((self.list.flop(job, option).as_f64() * share.min(1.0)) as u128);
        if flop != Flop::ZERO {
            self.flop_of_stopped.push((self.list.pools(job)[option], flop));
        }
        self.running -= 1;
        self.waiting += 1;
        let left = state.left;
        cards.stop(now, job);
        self.order.stopped(now, job, self.list.facts(job), left);
    }

    /// A job loses its cards: it waits again.
    pub fn evict(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32) {
        self.stop(ctx.now, cards, job);
        self.decide_at(ctx, ctx.now);
        ctx.tell(Effect::Load);
    }

    /// Jobs that wait, in order of submission.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        let waits = |job: &&u32| {
            let state = &self.states[**job as usize];
            state.submitted.is_some() && state.running.is_none() && state.finished.is_none()
        };
        self.by_submission[..self.scheduled].iter().filter(waits).copied()
    }

    /// All jobs.
    pub fn list(&self) -> &JobList {
        &self.list
    }

    /// A job's state.
    pub fn state(&self, job: u32) -> &JobState {
        &self.states[job as usize]
    }

    /// All states, by number.
    pub fn states(&self) -> &[JobState] {
        &self.states
    }

    /// Waiting and running jobs.
    pub fn load(&self) -> (u64, u64) {
        (self.waiting, self.running)
    }

    /// FLOP done by `end`, with the pools on which.
    pub fn flop(&self, end: Instant) -> impl Iterator<Item = (PoolId, Flop)> {
        let last_run = move |(job, state): (u32, &JobState)| {
            // Runs that were stopped were counted then.
            let ran = match (state.running, state.finished) {
                (Some(since), _) => end.since(since),
                (None, Some(_)) => state.last_run,
                (None, None) => return None,
            };
            let option = usize::from(state.option);
            let whole = self.list.duration(job, option).as_secs_f64().max(f64::MIN_POSITIVE);
            let share = (ran.as_secs_f64() / whole).min(1.0);
            let flop = Flop((self.list.flop(job, option).as_f64() * share) as u128);
            Some((self.list.pools(job)[option], flop))
        };
        (0u32..).zip(&self.states).filter_map(last_run).chain(self.flop_of_stopped.iter().copied())
    }
}

/// Time on one pool as time on another, rounded up; the same when both take the same.
fn scaled(time: Duration, from: Duration, to: Duration) -> Duration {
    if from == to || from.is_zero() {
        return time;
    }
    let scaled =
        (u128::from(time.as_nanos()) * u128::from(to.as_nanos())).div_ceil(u128::from(from.as_nanos()));
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
}
