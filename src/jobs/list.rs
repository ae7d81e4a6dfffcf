//! All jobs of a run, in compact records: a million of them have to fit.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{JobConfig, JobExtra, JobOption, JobTerms};
use super::rules::JobRules;
use crate::fleet::{PoolId, Shape};
use crate::policies::placement::{Needs, Workload};
use crate::policies::queue_order::JobFacts;
use crate::sim::Seed;
use crate::topology::Pattern;
use crate::units::{Duration, Flop, Instant};

/// Jobs by number. Names, users and queues are texts kept once, or end to end.
#[derive(Debug, Clone, Default)]
pub struct JobList {
    facts: Vec<JobFacts>,
    names: String,
    /// Where each name ends.
    name_ends: Vec<usize>,
    users: Texts,
    queues: Texts,
    /// Lists of pools, by [`JobFacts::places`].
    places: Vec<Vec<PoolId>>,
    place_numbers: BTreeMap<Vec<PoolId>, u32>,
    /// What is known of each option beside its pool; a job that is not here takes its duration everywhere.
    options: BTreeMap<u32, Vec<JobOption>>,
    extras: BTreeMap<u32, JobExtra>,
    /// What jobs need beside whole cards, by [`JobFacts::needs`] less one.
    needs: Vec<Needs>,
    need_numbers: BTreeMap<Needs, u32>,
}

/// Texts by number, each kept once.
#[derive(Debug, Clone, Default)]
struct Texts {
    texts: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

impl JobList {
    /// The jobs that a scenario lists.
    pub fn of(configs: &[JobConfig]) -> Self {
        let mut list = Self::default();
        for config in configs {
            list.push_config(config);
        }
        list
    }

    /// Adds a job that knows how long it takes on each of its pools, and says its number.
    pub fn push_config(&mut self, config: &JobConfig) -> u32 {
        let pools: Vec<PoolId> = config.options.iter().map(|option| option.pool).collect();
        let duration = config.options.first().map_or(Duration::ZERO, |option| option.duration);
        let job = self.push(
            (&config.name, &config.user, &config.queue),
            config.submit,
            (config.cards, duration),
            &pools,
            config.terms,
        );
        self.options.insert(job, config.options.clone());
        self.set_extra(job, config.extra.clone());
        self.set_needs(job, config.needs);
        job
    }

    /// The jobs that a scenario lists, and those of its trace behind them.
    pub fn joined(configs: &[JobConfig], trace: Option<&Arc<Self>>) -> Arc<Self> {
        match trace {
            Some(trace) if configs.is_empty() => Arc::clone(trace),
            trace => {
                let mut list = Self::of(configs);
                if let Some(trace) = trace {
                    list.extend(trace);
                }
                Arc::new(list)
            }
        }
    }

    /// The same, and behind them the sessions of developers within a run of this seed and duration.
    pub fn of_run(
        configs: &[JobConfig],
        trace: Option<&Arc<Self>>,
        rules: &JobRules,
        seed: Seed,
        duration: Duration,
    ) -> Arc<Self> {
        let mut list = Self::joined(configs, trace);
        for developers in &rules.developers {
            developers.add_to(Arc::make_mut(&mut list), seed, duration);
        }
        list
    }

    /// Gives a user and a queue their numbers, whether they will have jobs or not.
    pub fn know(&mut self, user: &str, queue: &str) {
        self.users.number(user);
        self.queues.number(queue);
    }

    /// Adds a job of a trace, which takes the same time on every pool, and says its number.
    pub fn push(
        &mut self,
        (name, user, queue): (&str, &str, &str),
        submit: Instant,
        (cards, duration): (u32, Duration),
        pools: &[PoolId],
        terms: JobTerms,
    ) -> u32 {
        let places = match self.place_numbers.get(pools) {
            Some(number) => *number,
            None => {
                let number = self.places.len() as u32;
                self.places.push(pools.to_vec());
                self.place_numbers.insert(pools.to_vec(), number);
                number
            }
        };
        self.names.push_str(name);
        self.name_ends.push(self.names.len());
        self.facts.push(JobFacts {
            submit,
            duration,
            estimate: terms.estimate.unwrap_or(duration),
            deadline: terms.deadline.unwrap_or(Instant::MAX),
            cards,
            needs: 0,
            places,
            user: self.users.number(user),
            queue: self.queues.number(queue),
            priority: terms.priority,
        });
        self.facts.len() as u32 - 1
    }

    /// Adds all jobs of a trace behind these.
    pub fn extend(&mut self, other: &Self) {
        for job in 0..other.facts.len() as u32 {
            let facts = other.facts(job);
            let terms = JobTerms {
                priority: facts.priority,
                estimate: Some(facts.estimate),
                deadline: (facts.deadline != Instant::MAX).then_some(facts.deadline),
            };
            let texts = (other.name(job), other.user(job), other.queue(job));
            let number =
                self.push(texts, facts.submit, (facts.cards, facts.duration), other.pools(job), terms);
            self.set_needs(number, other.needs(job));
            if let Some(options) = other.options.get(&job) {
                self.options.insert(number, options.clone());
            }
            if let Some(extra) = other.extras.get(&job) {
                let mut extra = extra.clone();
                extra.after.iter_mut().for_each(|before| *before += number - job);
                self.set_extra(number, extra);
            }
        }
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// What queue orders know of a job.
    pub fn facts(&self, job: u32) -> &JobFacts {
        &self.facts[job as usize]
    }

    /// What queue orders know of all jobs.
    pub fn all_facts(&self) -> &[JobFacts] {
        &self.facts
    }

    /// A job's name.
    pub fn name(&self, job: u32) -> &str {
        let job = job as usize;
        let from = if job == 0 { 0 } else { self.name_ends[job - 1] };
        &self.names[from..self.name_ends[job]]
    }

    /// Who submitted a job; empty when nobody says.
    pub fn user(&self, job: u32) -> &str {
        &self.users.texts[self.facts(job).user as usize]
    }

    /// A job's queue; empty when nobody says.
    pub fn queue(&self, job: u32) -> &str {
        &self.queues.texts[self.facts(job).queue as usize]
    }

    /// The user of a number.
    pub fn user_name(&self, user: u32) -> &str {
        &self.users.texts[user as usize]
    }

    /// The queue of a number.
    pub fn queue_name(&self, queue: u32) -> &str {
        &self.queues.texts[queue as usize]
    }

    /// The number of a user, if it has jobs.
    pub fn user_number(&self, user: &str) -> Option<u32> {
        self.users.numbers.get(user).copied()
    }

    /// The number of a queue, if it has jobs.
    pub fn queue_number(&self, queue: &str) -> Option<u32> {
        self.queues.numbers.get(queue).copied()
    }

    /// Where a job may run, in order of preference.
    pub fn pools(&self, job: u32) -> &[PoolId] {
        &self.places[self.facts(job).places as usize]
    }

    /// All lists of pools, by [`JobFacts::places`].
    pub fn places(&self) -> &[Vec<PoolId>] {
        &self.places
    }

    /// How long a job takes on one of its pools.
    pub fn duration(&self, job: u32, option: usize) -> Duration {
        let of = self.options.get(&job).and_then(|options| options.get(option));
        of.map_or(self.facts(job).duration, |option| option.duration)
    }

    /// How long the whole job takes on one of its pools with a share of its nodes' network; nothing where that makes no
    /// difference, as for jobs of stated duration.
    pub fn duration_on_links(&self, job: u32, option: usize, share: f64) -> Option<Duration> {
        let of = self.options.get(&job)?.get(option)?;
        let on_links = of.on_links.as_ref()?;
        if share < 1.0 { on_links.at(share) } else { Some(of.duration) }
    }

    /// Jobs whose nodes exchange experts' tokens.
    pub fn exchanging(&self) -> impl Iterator<Item = u32> {
        let exchanges = |options: &[JobOption]| {
            let patterns = options.iter().filter_map(|option| option.on_links.as_ref());
            patterns.into_iter().any(|on_links| on_links.pattern == Pattern::AllToAll)
        };
        self.options.iter().filter(move |(_, options)| exchanges(options)).map(|(job, _)| *job)
    }

    /// The pool of one of a job's options.
    pub fn pool_of(&self, job: u32, option: usize) -> PoolId {
        self.pools(job)[option]
    }

    /// Says how long a job takes on each of its pools, and what is known of that.
    pub fn set_options(&mut self, job: u32, options: Vec<JobOption>) {
        self.options.insert(job, options);
    }

    /// Says what a job needs beside whole cards.
    pub fn set_needs(&mut self, job: u32, needs: Needs) {
        if needs.is_plain() {
            return;
        }
        let next = self.needs.len() as u32 + 1;
        let number = *self.need_numbers.entry(needs).or_insert(next);
        if number == next {
            self.needs.push(needs);
        }
        self.facts[job as usize].needs = number;
    }

    /// What a job needs beside whole cards.
    pub fn needs(&self, job: u32) -> Needs {
        let number = self.facts(job).needs as usize;
        number.checked_sub(1).map_or(Needs::default(), |place| self.needs[place])
    }

    /// True when some job needs more than whole cards.
    pub fn has_needs(&self) -> bool {
        !self.needs.is_empty()
    }

    /// What a job claims.
    pub fn shape(&self, job: u32) -> Shape {
        let (cards, needs) = (self.facts(job).cards, self.needs(job));
        if needs.is_plain() { Shape::Gang { cards } } else { Shape::Part { cards, needs } }
    }

    /// How many cards a job holds, parts of cards as such.
    pub fn card_share(&self, job: u32) -> f64 {
        let part = match self.needs(job).card_milli {
            0 => 1.0,
            milli => f64::from(milli) / 1e3,
        };
        f64::from(self.facts(job).cards) * part
    }

    /// What all jobs ask of a node, for placements that go by what is typical.
    pub fn workload(&self) -> Workload {
        Workload::of((0..self.len() as u32).map(|job| {
            let cards = self.facts(job).cards;
            self.needs(job).on_node(cards, cards)
        }))
    }

    /// Says what a job has that most have not.
    pub fn set_extra(&mut self, job: u32, extra: JobExtra) {
        if extra != JobExtra::default() {
            self.extras.insert(job, extra);
        }
    }

    /// What a job has that most have not, if anything.
    pub fn extra(&self, job: u32) -> Option<&JobExtra> {
        self.extras.get(&job)
    }

    /// All jobs that have something that most have not.
    pub fn extras(&self) -> impl Iterator<Item = (u32, &JobExtra)> {
        self.extras.iter().map(|(job, extra)| (*job, extra))
    }

    /// Jobs that wait for each other in a circle, in order of their numbers; the first circle that there is.
    pub fn cycle(&self) -> Option<Vec<u32>> {
        let mut graph = petgraph::graphmap::DiGraphMap::<u32, ()>::new();
        for (job, extra) in &self.extras {
            for before in &extra.after {
                graph.add_edge(*before, *job, ());
            }
        }
        let mut circles: Vec<Vec<u32>> = petgraph::algo::tarjan_scc(&graph)
            .into_iter()
            .filter(|part| part.len() > 1 || graph.contains_edge(part[0], part[0]))
            .collect();
        circles.iter_mut().for_each(|circle| circle.sort_unstable());
        circles.into_iter().min()
    }

    /// How long jobs take on each of their pools, of those that know it.
    pub fn own_durations(&self) -> BTreeMap<u32, Vec<Duration>> {
        let durations = |options: &Vec<JobOption>| options.iter().map(|option| option.duration).collect();
        self.options.iter().map(|(job, options)| (*job, durations(options))).collect()
    }

    /// What is known of a job on one of its pools; nothing of a job from a trace.
    pub fn option(&self, job: u32, option: usize) -> Option<&JobOption> {
        let option = option % self.pools(job).len().max(1);
        self.options.get(&job).and_then(|options| options.get(option))
    }

    /// FLOP that a job does in its time on one of its pools; none is known of a job from a trace.
    pub fn flop(&self, job: u32, option: usize) -> Flop {
        self.option(job, option).map_or(Flop::ZERO, |option| option.flop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_give_back_what_was_put_in() {
        let mut list = JobList::default();
        let second = Duration::from_secs(1);
        let a = [PoolId(0)];
        let b = [PoolId(1), PoolId(0)];
        list.push(("one", "ann", ""), Instant::ZERO, (1, second), &a, JobTerms::default());
        list.push(
            ("", "ben", "q"),
            Instant::ZERO,
            (2, second),
            &b,
            JobTerms { priority: 3, ..JobTerms::default() },
        );
        list.push(("three", "ann", "q"), Instant::ZERO, (2, second), &a, JobTerms::default());
        let mut twice = list.clone();
        twice.extend(&list);
        for (job, name) in [(0, "one"), (1, ""), (2, "three"), (3, "one"), (5, "three")] {
            assert_eq!(twice.name(job), name);
        }
        assert_eq!((twice.user(5), twice.queue(4), twice.pools(4)), ("ann", "q", &b[..]));
        assert_eq!((twice.facts(4).priority, twice.facts(0).estimate), (3, second));
        assert_eq!((twice.facts(2).places, twice.facts(3).places, twice.places().len()), (0, 0, 2));
    }
}
