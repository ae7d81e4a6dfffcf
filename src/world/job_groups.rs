//! Jobs by what they have in common, and what they waited for.

use std::collections::{BTreeMap, BTreeSet};

use super::run::World;
use crate::jobs::{JobState, WaitCause};
use crate::metrics::Sketch;
use crate::metrics::results::{JobClass, JobGroup, JobWaits, MOST_GROUPS, WaitShare};
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

    /// Classes of jobs, one a queue, with what one more user of each would cost; none where nobody counts users.
    pub(super) fn job_classes(&mut self) -> Vec<JobClass> {
        if self.config.job_rules.developers.is_empty() {
            return Vec::new();
        }
        let rates: Vec<f64> = (0..self.config.pools.len())
            .map(|pool| {
                let leased = self.metered(self.end, pool).leased as f64 / 3.6e12;
                if leased > 0.0 { self.ledger.charged(pool).as_f64() / leased } else { 0.0 }
            })
            .collect();
        let list = self.jobs.list();
        let mut classes: BTreeMap<u32, (BTreeSet<u32>, Group, f64, f64)> = BTreeMap::new();
        for (job, state) in (0u32..).zip(self.jobs.states()) {
            let (users, group, hours, usd) = classes.entry(list.facts(job).queue).or_default();
            users.insert(list.facts(job).user);
            let option = usize::from(state.option);
            group.add(state, list.duration(job, option));
            let now = state.running.map_or(Duration::ZERO, |since| self.end.since(since));
            let held = list.card_share(job) * (state.ran + now).as_hours_f64();
            *hours += held;
            *usd += held * rates[list.pool_of(job, option).index()];
        }
        let class = |(queue, (users, group, card_hours, usd)): (u32, (BTreeSet<u32>, Group, f64, f64))| {
            let name = list.queue_name(queue);
            let kind = self.config.job_rules.developers.iter().find(|kind| kind.name == name);
            let users = kind.map_or(users.len() as u64, |kind| u64::from(kind.headcount));
            let group = group.finish(if name.is_empty() { "other jobs".to_owned() } else { name.to_owned() });
            JobClass {
                name: group.name,
                users,
                submitted: group.submitted,
                wait_s: group.wait_s,
                card_hours,
                usd_per_user: usd / users.max(1) as f64,
            }
        };
        classes.into_iter().map(class).collect()
    }

    /// What jobs waited for, each split over its causes.
    pub(super) fn wait_shares(&self) -> Vec<WaitShare> {
        let mut shares = WaitCause::ALL.map(|cause| (cause, 0u64, 0u128));
        for job in 0..self.jobs.list().len() as u32 {
            for ((_, time), (_, jobs, nanos)) in self.jobs.waits(self.end, job).iter().zip(&mut shares) {
                *jobs += u64::from(!time.is_zero());
                *nanos += u128::from(time.as_nanos());
            }
        }
        let some = shares.into_iter().filter(|(_, jobs, _)| *jobs > 0);
        let share = |(cause, jobs, nanos): (WaitCause, u64, u128)| WaitShare {
            cause: cause.name().to_owned(),
            jobs,
            wait_hours: nanos as f64 / 3.6e12,
        };
        let mut shares: Vec<WaitShare> = some.map(share).collect();
        shares.sort_by(|a, b| b.wait_hours.total_cmp(&a.wait_hours).then_with(|| a.cause.cmp(&b.cause)));
        shares
    }

    /// What each job waited for.
    pub(super) fn job_waits(&self) -> JobWaits {
        let all = || (0..self.jobs.list().len() as u32).map(|job| self.jobs.waits(self.end, job));
        let mut seen = [false; WaitCause::ALL.len()];
        all().for_each(|times| {
            times.iter().zip(&mut seen).for_each(|((_, time), seen)| *seen |= !time.is_zero())
        });
        let occurs: Vec<WaitCause> =
            WaitCause::ALL.into_iter().zip(seen).filter(|(_, seen)| *seen).map(|(cause, _)| cause).collect();
        JobWaits {
            nanos: all().flat_map(|times| occurs.iter().map(move |cause| times[*cause])).collect(),
            causes: occurs.iter().map(|cause| cause.name()).collect(),
        }
    }
}
