//! A generator fitted to a trace: jobs that are like those of the trace, as many as are wanted.
//!
//! What is kept is how often jobs have each number of cards, the durations of each such class (as a hundred
//! quantiles, between which durations lie evenly on a logarithmic scale), how often users overestimate and
//! by how much, and how many jobs come in each hour of the day; within an hour they come at random. What is
//! lost is everything else: bursts within hours, days of the week, who submits what after what.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::JobTrace;
use crate::sim::Seed;

/// Quantiles that are kept of each class.
const QUANTILES: usize = 100;

/// Shortest duration that has a logarithm.
const SHORTEST_S: f64 = 1e-3;

/// Jobs of one size.
#[derive(Debug, Clone)]
struct Class {
    cards: u32,
    jobs: u64,
    /// Logarithms of durations, ascending.
    durations: Vec<f64>,
    /// Estimates ÷ durations, ascending.
    padding: Vec<f64>,
}

/// What a trace was like.
#[derive(Debug, Clone)]
pub struct Fitted {
    classes: Vec<Class>,
    /// Jobs a second in each hour of the day.
    rates: [f64; 24],
    jobs: u64,
}

fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    (0..=QUANTILES).map(|place| values[place * last / QUANTILES]).collect()
}

fn between(quantiles: &[f64], share: f64) -> f64 {
    let at = share * QUANTILES as f64;
    let place = (at as usize).min(QUANTILES - 1);
    quantiles[place] + (quantiles[place + 1] - quantiles[place]) * (at - place as f64)
}

impl Fitted {
    /// Looks at a trace. `None` when all its jobs come at once: then nothing is known of when they come.
    pub fn to(trace: &JobTrace) -> Option<Self> {
        let jobs = &trace.jobs;
        let facts = jobs.all_facts();
        let submits = || facts.iter().map(|facts| facts.submit.as_secs_f64());
        let (first, last) = (submits().fold(f64::INFINITY, f64::min), submits().fold(0.0, f64::max));
        if last <= first {
            return None;
        }
        let mut by_size: BTreeMap<u32, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
        let mut counts = [0u64; 24];
        for facts in facts {
            let seconds = facts.duration.as_secs_f64().max(SHORTEST_S);
            let class = by_size.entry(facts.cards).or_default();
            class.0.push(libm::log(seconds));
            class.1.push(facts.estimate.as_secs_f64().max(SHORTEST_S) / seconds);
            counts[((facts.submit.as_secs_f64() - first) / 3600.0) as usize % 24] += 1;
        }
        // How long each hour of the day was seen.
        let span = last - first;
        let seen = |hour: usize| {
            let (days, rest) = ((span / 86_400.0).floor(), span % 86_400.0);
            days * 3600.0 + (rest - hour as f64 * 3600.0).clamp(0.0, 3600.0)
        };
        let mut rates = [0.0; 24];
        for (hour, rate) in rates.iter_mut().enumerate() {
            let seen = seen(hour);
            *rate = if seen > 0.0 { counts[hour] as f64 / seen } else { 0.0 };
        }
        // Hours that were never seen are like the mean of the others.
        let (known, sum) = (0..24)
            .filter(|hour| seen(*hour) > 0.0)
            .fold((0, 0.0), |(known, sum), hour| (known + 1, sum + rates[hour]));
        (0..24)
            .filter(|hour| seen(*hour) <= 0.0)
            .for_each(|hour| rates[hour] = sum / f64::from(known.max(1)));
        let class = |(cards, (durations, padding)): (u32, (Vec<f64>, Vec<f64>))| Class {
            cards,
            jobs: durations.len() as u64,
            durations: quantiles(durations),
            padding: quantiles(padding),
        };
        let classes = by_size.into_iter().map(class).collect();
        Some(Self { classes, rates, jobs: facts.len() as u64 })
    }

    /// So many jobs like those of the trace, as a generic trace.
    pub fn generate(&self, count: u64, seed: Seed) -> String {
        let mut draws = seed.stream("jobs/fitted");
        let mut text = "id,submit_s,duration_s,accelerators,estimate_s\n".to_owned();
        let most = self.rates.iter().copied().fold(0.0, f64::max);
        let mut now = 0.0;
        for job in 0..count {
            // Arrivals at the highest rate, thinned to that of the hour (Lewis and Shedler, 1979).
            loop {
                now += draws.exponential() / most;
                let rate = self.rates[(now / 3600.0) as usize % 24];
                if draws.uniform() * most < rate {
                    break;
                }
            }
            let mut place = draws.below(self.jobs);
            let class = self.classes.iter().find(|class| {
                let here = place < class.jobs;
                place = place.saturating_sub(class.jobs);
                here
            });
            let Some(class) = class else { continue };
            let seconds = libm::exp(between(&class.durations, draws.uniform()));
            let estimate = seconds * between(&class.padding, draws.uniform());
            // Writing into a text cannot fail.
            let _ = writeln!(text, "{job},{now:.3},{seconds:.3},{},{estimate:.3}", class.cards);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::PoolId;
    use crate::jobs::{JobList, JobTerms};
    use crate::units::{Duration, Instant};

    /// Two days with jobs of one card and ten seconds in the first hour, and of four cards and 100 to 1000
    /// s in the thirteenth, three times as many: what is made of it has these sizes, durations and hours.
    #[test]
    fn sizes_durations_and_hours_are_kept() {
        let mut jobs = JobList::default();
        let mut push = |at: u64, cards, seconds| {
            let submit = Instant::ZERO + Duration::from_secs(at);
            let what = (cards, Duration::from_secs(seconds));
            jobs.push(("", "", ""), submit, what, &[PoolId(0)], JobTerms::default());
        };
        for day in 0..2 {
            (0..50).for_each(|job| push(day * 86_400 + job * 72, 1, 10));
            (0..150).for_each(|job| push(day * 86_400 + 43_200 + job * 24, 4, 100 + 6 * job));
        }
        push(2 * 86_400, 1, 10);
        let trace = JobTrace { jobs, left_out: 0, examples: Vec::new() };
        let fitted = Fitted::to(&trace).expect("jobs come over time");
        let text = fitted.generate(4000, Seed(3));
        assert_eq!(text, fitted.generate(4000, Seed(3)));
        let (mut early, mut large, mut last) = (0, 0, 0.0);
        for line in text.lines().skip(1) {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().expect("a number")).collect();
            let [_, at, seconds, cards, estimate] = fields[..] else { panic!("five fields") };
            let hour = (at / 3600.0) as u64 % 24;
            assert!(hour == 0 || hour == 12, "{at}");
            assert!((seconds - estimate).abs() < 0.01 * seconds && at >= last);
            last = at;
            early += u32::from(hour == 0);
            if cards == 4.0 {
                large += 1;
                assert!((99.0..1000.0).contains(&seconds));
            } else {
                assert!((seconds - 10.0).abs() < 0.01);
            }
        }
        // 1000 and 3000 are expected, with standard deviations of 27.
        assert!((880..1120).contains(&early) && (2880..3120).contains(&large), "{early} {large}");
        // A day has 200 jobs: twenty days.
        assert!((18.0..22.0).contains(&(last / 86_400.0)), "{last}");
    }
}
