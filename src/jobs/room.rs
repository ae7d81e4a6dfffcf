//! The jobs room: jobs are submitted, wait for their gang of cards, run, may be stopped, and finish.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::list::JobList;
use super::progress::Pace;
use super::rules::JobRules;
use super::waits::{WaitCause, WaitTimes, Waits};
use crate::fleet::{PendingReason, PoolId};
use crate::policies::queue_order::{Cluster, FleetFacts, Order, QueueOrder, Step, Whom};
use crate::sim::Ctx;
use crate::units::{Duration, Flop, Instant};
use calendar::Calendar;
use slowed::Slowed;

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
    /// A job that was stopped has saved its state.
    Saved {
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

/// Which cards would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Any on the first of the job's pools that has them.
    Any,
    /// The same, but for what [`Cluster::reserve`] holds.
    Beside,
    /// Those of one of its pools, by its place in their order of preference.
    On(u16),
    /// Those that an entry of the calendar holds, by its place.
    Held(u16),
}

/// The cards that jobs run on, as the world provides them.
pub trait Cards: Cluster {
    /// Gives a job its cards; says on which of its pools.
    ///
    /// # Errors
    /// Why there are none now.
    fn start(&mut self, now: Instant, job: u32, ask: Ask) -> Result<usize, PendingReason>;

    /// A job that was just started should end then, by what the queue order knows.
    fn expect(&mut self, job: u32, end: Instant);

    /// Takes a job's cards back.
    fn stop(&mut self, now: Instant, job: u32);
}

/// Why a job waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Its turn had come, and the cards were not there, or not as they must lie.
    Cards(PendingReason),
    /// A rule of the queue order, in words.
    Rule(&'static str),
    /// Jobs that must end before it.
    Jobs,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cards(reason) => reason.fmt(f),
            Self::Rule(rule) => f.write_str(rule),
            Self::Jobs => f.write_str("dependency: jobs that it follows have not ended"),
        }
    }
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
    /// How often it lost its cards.
    pub losses: u32,
    /// How many of its runs have ended.
    runs: u32,
    /// True when it was ended at its time limit.
    pub cut: bool,
    /// Time for which it held its cards before its present run.
    pub ran: Duration,
    /// Work, in time on the cards that it had, that was lost with them.
    pub lost: Duration,
    /// Work that it has done and not lost, in time on the cards that did it.
    pub worked: Duration,
    /// Work of its last run, in time on those cards, once it has ended.
    last_work: Duration,
    /// What is left to do when it does not run, in time on its first pool.
    left: Duration,
    /// Since when it saves its state, when it was told to stop.
    saving: Option<Instant>,
    /// True when it waits for other jobs to end.
    held: bool,
    /// Why it had to wait when its turn had come; nothing when it had not.
    pub wait_reason: Option<WaitReason>,
}

/// The jobs room.
#[derive(Debug)]
pub struct Jobs {
    list: Arc<JobList>,
    states: Vec<JobState>,
    order: Box<dyn Order>,
    /// Whether the order says when jobs should end.
    keeps_ends: bool,
    /// Jobs by submission, and how many of them have been scheduled.
    by_submission: Vec<u32>,
    scheduled: usize,
    /// Of jobs that must wait for others, how many of those have not ended; and who waits for a job.
    before: BTreeMap<u32, usize>,
    behind: BTreeMap<u32, Vec<u32>>,
    /// Submitted since the last decision.
    fresh: Vec<u32>,
    decides_at: Option<Instant>,
    waiting: u64,
    running: u64,
    /// Running jobs that were slowed on the links that they share, or were until now.
    slowed: BTreeMap<u32, Slowed>,
    /// FLOP done in runs that were stopped.
    /// What runs that were stopped did: job, option and share of its duration; of jobs whose FLOP are known.
    done_of_stopped: Vec<(u32, usize, f64)>,
    waits: Waits,
    calendar: Calendar,
}

type Context<'a> = Ctx<'a, Event, Effect>;

impl Jobs {
    /// The room before the first event.
    pub fn new(list: Arc<JobList>, order: &QueueOrder, rules: &JobRules, fleet: &FleetFacts) -> Self {
        let mut by_submission: Vec<u32> = (0..list.len() as u32).collect();
        by_submission.sort_by_key(|job| (list.facts(*job).submit, *job));
        let (mut before, mut behind) = (BTreeMap::new(), BTreeMap::<u32, Vec<u32>>::new());
        for (job, extra) in list.extras().filter(|(_, extra)| !extra.after.is_empty()) {
            before.insert(job, extra.after.len());
            for other in &extra.after {
                behind.entry(*other).or_default().push(job);
            }
        }
        let order = order.start(list.all_facts(), fleet);
        Self {
            waits: Waits::new(list.len()),
            calendar: Calendar::new(&rules.calendar),
            before,
            behind,
            fresh: Vec::new(),
            states: vec![JobState::default(); list.len()],
            keeps_ends: order.keeps_ends(),
            order,
            by_submission,
            scheduled: 0,
            decides_at: None,
            waiting: 0,
            running: 0,
            done_of_stopped: Vec::new(),
            slowed: BTreeMap::new(),
            list,
        }
    }

    /// Whether the queue order says when running jobs end, and takes the last to end to give way first.
    pub fn keeps_ends(&self) -> bool {
        self.keeps_ends
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
                let state = &mut self.states[job as usize];
                state.submitted = Some(ctx.now);
                state.left = self.list.duration(job, 0);
                self.waiting += 1;
                self.schedule_next(ctx);
                if self.before.get(&job).is_some_and(|count| *count > 0) {
                    let state = &mut self.states[job as usize];
                    state.held = true;
                    state.wait_reason = Some(WaitReason::Jobs);
                    self.waits.begin(ctx.now, job, WaitCause::Dependency);
                } else {
                    self.waits.begin(ctx.now, job, WaitCause::Priority);
                    self.enqueue(ctx.now, job);
                    self.fresh.push(job);
                    self.decide_at(ctx, ctx.now);
                }
            }
            Event::Finish { job, run } => {
                let state = &self.states[job as usize];
                // One that was slowed since this was foreseen ends later.
                let foreseen = self.slowed.get(&job).is_none_or(|slowed| slowed.ends == ctx.now);
                if state.runs == run && state.saving.is_none() && foreseen {
                    self.finish(ctx, cards, job);
                }
            }
            Event::Saved { job, run } => {
                let state = &self.states[job as usize];
                if let Some(saving) = state.saving.filter(|_| state.runs == run) {
                    let work = self.work_until(job, saving);
                    self.give_up_cards(ctx.now, cards, job, work, work);
                    self.decide_at(ctx, ctx.now);
                }
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

    /// A job that was submitted, or has waited for others to end, comes to the queue.
    fn enqueue(&mut self, now: Instant, job: u32) {
        let facts = self.list.facts(job);
        self.order.submitted(now, job, facts);
        self.calendar.waits(&self.list, job, true);
        match self.order.group(job, facts) {
            Some(group) => self.waits.join(now, job, group),
            None => self.waits.set(now, job, WaitCause::Priority),
        }
    }

    /// Does what the order says until it has nothing more to say.
    fn decide(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards) {
        self.start_held(ctx, cards);
        loop {
            match self.order.next(ctx.now, self.list.all_facts(), cards).0 {
                Step::Wait => break,
                Step::Start(job) => self.start(ctx, cards, job, Ask::Any),
                Step::StartBeside(job) => self.start(ctx, cards, job, Ask::Beside),
                Step::StartOn(job, option) => self.start(ctx, cards, job, Ask::On(option)),
                Step::Stop(jobs) => jobs.into_iter().for_each(|job| self.stop(ctx, cards, job)),
            }
        }
        for job in std::mem::take(&mut self.fresh) {
            let state = &mut self.states[job as usize];
            if state.started.is_none() && state.wait_reason.is_none() {
                let why = self.order.why(job, self.list.facts(job), cards);
                state.wait_reason = why.map(WaitReason::Rule);
            }
        }
        let waits = &mut self.waits;
        self.order.blame(self.list.all_facts(), cards, &mut |whom, blame| match whom {
            Whom::Job(job) => waits.blame_job(ctx.now, job, blame),
            Whom::Group(group) => waits.blame_group(ctx.now, group, blame),
        });
        if let Some(at) = self.order.wake() {
            self.decide_at(ctx, at.max(ctx.now.saturating_add(Duration::from_nanos(1))));
        }
    }

    fn start(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32, ask: Ask) {
        let state = &mut self.states[job as usize];
        match cards.start(ctx.now, job, ask) {
            // Its turn is still to come.
            Err(_) if matches!(ask, Ask::Held(_)) => {}
            Err(reason) => {
                state.wait_reason.get_or_insert(WaitReason::Cards(reason));
                self.waits.refused(ctx.now, job, reason.into(), self.order.has_one_turn());
                self.order.refused(ctx.now, job);
            }
            Ok(option) => {
                state.started.get_or_insert(ctx.now);
                state.running = Some(ctx.now);
                state.option = option as u16;
                self.waits.end(ctx.now, job);
                self.calendar.waits(&self.list, job, false);
                self.waiting -= 1;
                self.running += 1;
                let (first, here) = (self.list.duration(job, 0), self.list.duration(job, option));
                let needed = self.pace(job).time_for(scaled(self.states[job as usize].left, first, here));
                let state = &self.states[job as usize];
                let limit = self.list.extra(job).and_then(|extra| extra.limit);
                let allowed = limit.map_or(needed, |limit| limit.saturating_sub(state.ran));
                let end = ctx.now.saturating_add(needed.min(allowed));
                ctx.at(end, Event::Finish { job, run: state.runs });
                self.order.started(ctx.now, job, self.list.facts(job), end);
                if self.keeps_ends {
                    cards.expect(job, self.order.end(job));
                }
            }
        }
    }

    /// How the present run of a job goes.
    fn pace(&self, job: u32) -> Pace {
        let checkpoint = self.list.extra(job).and_then(|extra| extra.checkpoint.as_ref());
        Pace::new(checkpoint, self.states[job as usize].runs > 0)
    }

    /// Work that a running job has done in its present run by then, in time on its cards.
    fn work_until(&self, job: u32, until: Instant) -> Duration {
        self.pace(job).work_by(self.run_for(job, until))
    }

    fn finish(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32) {
        let Some(since) = self.states[job as usize].running else { return };
        let work = self.work_until(job, ctx.now);
        let option = usize::from(self.states[job as usize].option);
        let (first, here) = (self.list.duration(job, 0), self.list.duration(job, option));
        let state = &mut self.states[job as usize];
        state.cut = work < scaled(state.left, first, here);
        state.ran += ctx.now.since(since);
        state.last_work = work;
        state.worked += work;
        state.running = None;
        state.finished = Some(ctx.now);
        self.running -= 1;
        self.slowed.remove(&job);
        cards.stop(ctx.now, job);
        self.order.finished(ctx.now, job, self.list.facts(job));
        for next in self.behind.remove(&job).unwrap_or_default() {
            let Some(count) = self.before.get_mut(&next) else { continue };
            *count -= 1;
            if *count == 0 && std::mem::take(&mut self.states[next as usize].held) {
                self.enqueue(ctx.now, next);
            }
        }
        self.decide_at(ctx, ctx.now);
    }

    /// Stops a running job: it saves its state, where that takes time, and gives its cards up.
    fn stop(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32) {
        let state = &self.states[job as usize];
        if state.running.is_none() || state.saving.is_some() {
            return;
        }
        let write =
            self.list.extra(job).and_then(|extra| extra.checkpoint).map(|checkpoint| checkpoint.write);
        let write = write.filter(|write| !write.is_zero());
        self.states[job as usize].preemptions += 1;
        match write {
            Some(write) => {
                let state = &mut self.states[job as usize];
                state.saving = Some(ctx.now);
                ctx.after(write, Event::Saved { job, run: state.runs });
            }
            None => {
                let work = self.work_until(job, ctx.now);
                self.give_up_cards(ctx.now, cards, job, work, work);
            }
        }
    }

    /// A running job must leave its cards by a deadline: it saves its state if there is time enough, and
    /// otherwise goes on until it loses them.
    pub fn leave(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32, deadline: Instant) {
        let write =
            self.list.extra(job).and_then(|extra| extra.checkpoint).map(|checkpoint| checkpoint.write);
        if write.is_none_or(|write| ctx.now.saturating_add(write) <= deadline) {
            self.stop(ctx, cards, job);
            self.decide_at(ctx, ctx.now);
            ctx.tell(Effect::Load);
        }
    }

    /// A running job loses its cards: with their node, or because they are taken back. It waits again, with
    /// what its last checkpoint holds.
    pub fn lose_lease(&mut self, ctx: &mut Context<'_>, cards: &mut dyn Cards, job: u32) {
        if self.states[job as usize].running.is_none() {
            return;
        }
        let done = self.work_until(job, self.states[job as usize].saving.unwrap_or(ctx.now));
        let saved = self.pace(job).saved_by(self.run_for(job, ctx.now));
        if self.list.extra(job).is_none_or(|extra| extra.checkpoint.is_none()) {
            // Nothing was ever saved, of earlier runs neither.
            let whole = self.list.duration(job, 0);
            let state = &mut self.states[job as usize];
            state.left = whole;
            state.lost += std::mem::take(&mut state.worked);
        }
        self.states[job as usize].losses += 1;
        self.give_up_cards(ctx.now, cards, job, done, saved);
        self.decide_at(ctx, ctx.now);
        ctx.tell(Effect::Load);
    }

    /// A running job waits again: of what it has done in this run so much is kept.
    fn give_up_cards(
        &mut self,
        now: Instant,
        cards: &mut dyn Cards,
        job: u32,
        done: Duration,
        kept: Duration,
    ) {
        let state = &mut self.states[job as usize];
        let Some(since) = state.running.take() else { return };
        let option = usize::from(state.option);
        let (first, here) = (self.list.duration(job, 0), self.list.duration(job, option));
        state.saving = None;
        state.runs += 1;
        state.ran += now.since(since);
        state.lost += done.saturating_sub(kept);
        state.worked += kept;
        state.left = state.left.saturating_sub(scaled(kept, here, first));
        let share = done.as_secs_f64() / here.as_secs_f64().max(f64::MIN_POSITIVE);
        if share > 0.0 && self.list.flop(job, option) != Flop::ZERO {
            self.done_of_stopped.push((job, option, share.min(1.0)));
        }
        self.slowed.remove(&job);
        self.running -= 1;
        self.waiting += 1;
        let left = state.left;
        cards.stop(now, job);
        self.order.stopped(now, job, self.list.facts(job), left);
        self.calendar.waits(&self.list, job, true);
    }

    /// Jobs that wait, in order of submission.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        let waits = |job: &&u32| {
            let state = &self.states[**job as usize];
            let there = state.submitted.is_some() && !state.held;
            there && state.running.is_none() && state.finished.is_none()
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

    /// What a job has waited for until its first start, or until now.
    pub fn waits(&self, now: Instant, job: u32) -> WaitTimes {
        self.waits.of(now, job)
    }

    /// All states, by number.
    pub fn states(&self) -> &[JobState] {
        &self.states
    }

    /// Waiting and running jobs.
    pub fn load(&self) -> (u64, u64) {
        (self.waiting, self.running)
    }

    /// Work done by `end` and not lost, and time for which cards were held, in card-seconds of all jobs.
    pub fn work_and_time(&self, end: Instant) -> (f64, f64) {
        let (mut work, mut time) = (0.0, 0.0);
        for (job, state) in (0u32..).zip(&self.states) {
            let cards = f64::from(self.list.facts(job).cards);
            let (mut worked, mut ran) = (state.worked, state.ran);
            if let Some(since) = state.running {
                worked += self.work_until(job, state.saving.unwrap_or(end));
                ran += end.since(since);
            }
            work += cards * worked.as_secs_f64();
            time += cards * ran.as_secs_f64();
        }
        (work, time)
    }

    /// FLOP done by `end`, with the pools on which.
    pub fn flop(&self, end: Instant) -> impl Iterator<Item = (PoolId, Flop)> {
        self.work_done(end).map(|(job, option, share)| {
            let flop = Flop((self.list.flop(job, option).as_f64() * share) as u128);
            (self.list.pool_of(job, option), flop)
        })
    }

    /// What the runs of jobs did by `end`: job, option, and the share of its duration there. Runs that were stopped
    /// are those of jobs whose FLOP are known.
    pub fn work_done(&self, end: Instant) -> impl Iterator<Item = (u32, usize, f64)> {
        let last_run = move |(job, state): (u32, &JobState)| {
            // Runs that were stopped were counted then.
            let ran = match (state.running, state.finished) {
                (Some(_), _) => self.work_until(job, state.saving.unwrap_or(end)),
                (None, Some(_)) => state.last_work,
                (None, None) => return None,
            };
            let option = usize::from(state.option);
            let whole = self.list.duration(job, option).as_secs_f64().max(f64::MIN_POSITIVE);
            Some((job, option, (ran.as_secs_f64() / whole).min(1.0)))
        };
        (0u32..).zip(&self.states).filter_map(last_run).chain(self.done_of_stopped.iter().copied())
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

mod calendar;
mod slowed;
#[cfg(test)]
mod tests;
