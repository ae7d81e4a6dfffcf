//! Jobs by what they have in common, and what they waited for.

use std::collections::BTreeMap;

use super::run::World;
use crate::jobs::JobState;
use crate::metrics::Sketch;
use crate::metrics::results::{JobGroup, MOST_GROUPS, WaitShare};
use crate::units::{Duration, Instant};

/// The bound of the slow-down, as in `metrics::fairness`.
const SHORTEST_S: f64 = 10.0;

/// What is counted of a group.
#[derive(Default)]
struct Group {
    submitted: u64,
    completed: u64,
    wait: Option<Sketch>,
    jct: Option<Sketch>,
    slowdown: Option<Sketch>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Group {
    fn add(&mut self, state: &JobState, alone: Duration) {
        let Some(submitted) = state.submitted else { return };
        self.submitted += 1;
        self.first = Some(self.first.map_or(submitted, |first| first.min(submitted)));
        if let Some(started) = state.started {
            self.wait.get_or_insert_with(Sketch::new).record(started.since(submitted));
        }
        let Some(finished) = state.finished else { return };
        self.last = self.last.max(Some(finished));
        if state.cut {
            return;
        }
        self.completed += 1;
        let took = finished.since(submitted);
        self.jct.get_or_insert_with(Sketch::new).record(took);
        let ratio = took.as_secs_f64() / alone.as_secs_f64().max(SHORTEST_S);
        let ratio = Duration::from_secs_f64(ratio.clamp(1.0, 1e9));
        self.slowdown.get_or_insert_with(Sketch::new).record(ratio);
    }

    fn finish(self, name: String) -> JobGroup {
        let quantiles = |sketch: Option<Sketch>| sketch.map(|sketch| sketch.quantiles()).unwrap_or_default();
        JobGroup {
            name,
            submitted: self.submitted,
            completed: self.completed,
            wait_s: quantiles(self.wait),
            jct_s: quantiles(self.jct),
            slowdown: quantiles(self.slowdown),
            makespan_s: self.first.zip(self.last).map(|(first, last)| last.since(first).as_secs_f64()),
        }
    }
}

impl World<'_> {
    /// Jobs by number of cards, by queue and by user.
    pub(super) fn job_groups(&self) -> (Vec<JobGroup>, Vec<JobGroup>, Vec<JobGroup>) {
        let list = self.jobs.list();
        let mut sizes = self.groups(|job| list.facts(job).cards);
        sizes.sort_by_key(|(cards, _)| *cards);
        let named = |groups: Vec<(u32, Group)>, name: &dyn Fn(u32) -> String| {
            groups.into_iter().map(|(key, group)| group.finish(name(key))).collect::<Vec<_>>()
        };
        let queues = self.groups(|job| list.facts(job).queue);
        let users = self.groups(|job| list.facts(job).user);
        (
            named(sizes, &|cards| cards.to_string()),
            named(queues, &|queue| list.queue_name(queue).to_owned()),
            named(users, &|user| list.user_name(user).to_owned()),
        )
    }

    /// The groups with most jobs; none when there are not two.
    fn groups(&self, key: impl Fn(u32) -> u32) -> Vec<(u32, Group)> {
        let list = self.jobs.list();
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        (0..list.len() as u32).for_each(|job| *counts.entry(key(job)).or_default() += 1);
        if counts.len() < 2 {
            return Vec::new();
        }
        let mut most: Vec<(u64, u32)> = counts.into_iter().map(|(key, count)| (count, key)).collect();
        most.sort_by_key(|(count, key)| (std::cmp::Reverse(*count), *key));
        most.truncate(MOST_GROUPS);
        let places: BTreeMap<u32, usize> =
            most.iter().enumerate().map(|(place, (_, key))| (*key, place)).collect();
        let mut groups: Vec<(u32, Group)> = most.iter().map(|(_, key)| (*key, Group::default())).collect();
        for (job, state) in (0u32..).zip(self.jobs.states()) {
            if let Some(place) = places.get(&key(job)) {
                groups[*place].1.add(state, list.duration(job, usize::from(state.option)));
            }
        }
        groups
    }

    /// What jobs waited for.
    pub(super) fn wait_shares(&self) -> Vec<WaitShare> {
        let mut shares: BTreeMap<&'static str, (u64, u128)> = BTreeMap::new();
        for state in self.jobs.states() {
            let Some(submitted) = state.submitted else { continue };
            let waited = state.started.unwrap_or(self.end).since(submitted);
            if waited.is_zero() {
                continue;
            }
            let cause = state.wait_reason.map_or("priority", |reason| reason.cause());
            let share = shares.entry(cause).or_default();
            share.0 += 1;
            share.1 += u128::from(waited.as_nanos());
        }
        let share = |(cause, (jobs, nanos)): (&str, (u64, u128))| WaitShare {
            cause: cause.to_owned(),
            jobs,
            wait_hours: nanos as f64 / 3.6e12,
        };
        let mut shares: Vec<WaitShare> = shares.into_iter().map(share).collect();
        shares.sort_by(|a, b| b.wait_hours.total_cmp(&a.wait_hours).then_with(|| a.cause.cmp(&b.cause)));
        shares
    }
}
