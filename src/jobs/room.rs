//! The jobs room: jobs are submitted, wait for their gang of cards, run and finish.

use std::collections::VecDeque;

use super::config::JobConfig;
use crate::policies::Policy as _;
use crate::policies::queue_order::QueueOrder;
use crate::sim::Ctx;
use crate::units::Instant;

/// An event of this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A job is submitted.
    Submit {
        /// The job.
        job: u32,
    },
    /// A job has done its work.
    Finish {
        /// The job.
        job: u32,
    },
}

/// What the world is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A job wants its cards; the world answers with [`Jobs::started`] or [`Jobs::must_wait`].
    Claim {
        /// The job.
        job: u32,
    },
    /// A job has finished: its cards can go back.
    Release {
        /// The job.
        job: u32,
    },
    /// The number of waiting or running jobs changed.
    Load,
}

/// A job as it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobState {
    /// When it was submitted, once it was.
    pub submitted: Option<Instant>,
    /// When it started.
    pub started: Option<Instant>,
    /// When it finished.
    pub finished: Option<Instant>,
    /// The option that it runs on.
    pub option: usize,
    /// Why it had to wait: for the job before it, then, once it is next, for cards. Empty when it had not.
    pub wait_reason: String,
}

/// The jobs room.
#[derive(Debug)]
pub struct Jobs {
    configs: Vec<JobConfig>,
    states: Vec<JobState>,
    order: QueueOrder,
    queue: VecDeque<u32>,
    /// The job that is next: it has claimed its cards and waits for them.
    next: Option<u32>,
    running: u64,
}

type Context<'a> = Ctx<'a, Event, Effect>;

impl Jobs {
    /// The room before the first event.
    pub fn new(configs: Vec<JobConfig>, order: QueueOrder) -> Self {
        let states = vec![JobState::default(); configs.len()];
        Self { configs, states, order, queue: VecDeque::new(), next: None, running: 0 }
    }

    /// Schedules the submission of every job.
    pub fn begin(&self, ctx: &mut Context<'_>) {
        for (job, config) in (0u32..).zip(&self.configs) {
            ctx.at(config.submit, Event::Submit { job });
        }
    }

    /// Handles one of this room's events.
    pub fn handle(&mut self, ctx: &mut Context<'_>, event: Event) {
        match event {
            Event::Submit { job } => {
                self.states[job as usize].submitted = Some(ctx.now);
                self.queue.push_back(job);
                if let Some(next) = self.next {
                    let reason = format!("job {} is before it", self.configs[next as usize].name);
                    self.must_wait(job, reason);
                }
                self.claim_for_next(ctx);
            }
            Event::Finish { job } => {
                self.states[job as usize].finished = Some(ctx.now);
                self.running -= 1;
                ctx.tell(Effect::Release { job });
            }
        }
        ctx.tell(Effect::Load);
    }

    /// A job has its cards, on the `option`-th of its options: it starts.
    pub fn started(&mut self, ctx: &mut Context<'_>, job: u32, option: usize) {
        self.queue.retain(|waiting| *waiting != job);
        self.next = None;
        let state = &mut self.states[job as usize];
        state.started = Some(ctx.now);
        state.option = option;
        self.running += 1;
        ctx.after(self.configs[job as usize].options[option].duration, Event::Finish { job });
        self.claim_for_next(ctx);
        ctx.tell(Effect::Load);
    }

    /// A job has to wait for its cards.
    pub fn must_wait(&mut self, job: u32, reason: String) {
        self.states[job as usize].wait_reason = reason;
    }

    fn claim_for_next(&mut self, ctx: &mut Context<'_>) {
        if self.next.is_some() {
            return;
        }
        if let (Some(place), _) = self.order.decide(ctx.now, &&self.queue) {
            self.next = Some(self.queue[place]);
            ctx.tell(Effect::Claim { job: self.queue[place] });
        }
    }

    /// A job's configuration.
    pub fn config(&self, job: u32) -> &JobConfig {
        &self.configs[job as usize]
    }

    /// All jobs with their states, in the scenario's order.
    pub fn all(&self) -> impl Iterator<Item = (&JobConfig, &JobState)> {
        self.configs.iter().zip(&self.states)
    }

    /// Waiting and running jobs.
    pub fn load(&self) -> (u64, u64) {
        (self.queue.len() as u64, self.running)
    }
}
