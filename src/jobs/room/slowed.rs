//! Running jobs that share links with others, and take longer meanwhile.

use super::{Context, Event, Jobs, scaled};
use crate::units::{Duration, Instant};

/// A running job whose pace has changed since it started. Its restores and checkpoints, which cross the same links,
/// take as much longer as its work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slowed {
    /// When its pace last changed, and for how long its run had gone on by then, at full pace.
    since: Instant,
    before: Duration,
    /// How long all of it takes at full pace, and at its present one.
    full: Duration,
    present: Duration,
    /// When it ends.
    pub(super) ends: Instant,
}

impl Jobs {
    /// How long the present run of a job had gone on by then, as it would at full pace.
    pub(super) fn run_for(&self, job: u32, until: Instant) -> Duration {
        match self.slowed.get(&job) {
            Some(slowed) => slowed.before + full_pace(until.since(slowed.since), slowed),
            None => until.since(self.states[job as usize].running.unwrap_or(until)),
        }
    }

    /// From now on a running job goes on as if all of it took so long.
    pub fn slow(&mut self, ctx: &mut Context<'_>, job: u32, takes: Duration) {
        let state = &self.states[job as usize];
        let (Some(running), None) = (state.running, state.saving) else { return };
        let (first, full) = (self.list.duration(job, 0), self.list.duration(job, usize::from(state.option)));
        if takes == full && !self.slowed.contains_key(&job) {
            return;
        }
        let before = self.run_for(job, ctx.now);
        let needed = self.pace(job).time_for(scaled(state.left, first, full));
        let left = scaled(needed.saturating_sub(before), full, takes);
        let limit = self.list.extra(job).and_then(|extra| extra.limit);
        let last = limit.map(|limit| running.saturating_add(limit.saturating_sub(state.ran)));
        let ends = ctx.now.saturating_add(left).min(last.unwrap_or(Instant::MAX)).max(ctx.now);
        self.slowed.insert(job, Slowed { since: ctx.now, before, full, present: takes, ends });
        ctx.at(ends, Event::Finish { job, run: state.runs });
    }
}

/// Time at the present pace as time at full pace, rounded down.
fn full_pace(time: Duration, slowed: &Slowed) -> Duration {
    let scaled = u128::from(time.as_nanos()) * u128::from(slowed.full.as_nanos());
    let present = u128::from(slowed.present.as_nanos()).max(1);
    Duration::from_nanos(u64::try_from(scaled / present).unwrap_or(u64::MAX))
}
