//! Developers' interactive jobs: a headcount of users who open sessions in their working hours.

use super::config::{JobExtra, JobTerms};
use super::list::JobList;
use crate::fleet::{Delay, PoolId};
use crate::policies::placement::Needs;
use crate::sim::Seed;
use crate::units::{Duration, Instant};

const DAY: Duration = Duration::from_secs(86_400);

/// Developers of one kind. Each opens sessions as a Poisson process within the working hours, whether earlier ones
/// still wait or not; a session holds its cards for a drawn time. All of them are of the queue of the kind's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Developers {
    /// The kind's name; users are called `NAME-1` and so on.
    pub name: String,
    /// How many there are.
    pub headcount: u32,
    /// Sessions that each opens on a working day, in the mean.
    pub sessions_per_day: f64,
    /// How long a session holds its cards; at least a second.
    pub session: Delay,
    /// When they work, from midnight; the first before the second.
    pub hours: (Duration, Duration),
    /// Whether Saturdays and Sundays are working days.
    pub weekends: bool,
    /// The day of the week at the run's beginning, from 0 for Monday, and the time of day.
    pub begins: (u32, Duration),
    /// Cards of a session.
    pub cards: u32,
    /// What it needs beside whole cards.
    pub needs: Needs,
    /// Where it may run, in order of preference.
    pub pools: Vec<PoolId>,
    /// What is said of each session.
    pub terms: JobTerms,
    /// What most jobs have not.
    pub extra: JobExtra,
}

impl Developers {
    /// Adds their sessions within a run, user by user; what is drawn for one user does not depend on how many
    /// others there are.
    pub fn add_to(&self, list: &mut JobList, seed: Seed, duration: Duration) {
        let (first_day, time) = self.begins;
        for user in 1..=self.headcount {
            let name = format!("{}-{user}", self.name);
            let mut draws = seed.stream(&format!("developers/{name}"));
            list.know(&name, &self.name);
            let length = self.hours.1 - self.hours.0;
            let mut session = 0;
            for day in 0..=(duration + time).as_nanos() / DAY.as_nanos() {
                if !self.weekends && (u64::from(first_day) + day) % 7 >= 5 {
                    continue;
                }
                let mut at = 0.0;
                loop {
                    at += draws.exponential() / self.sessions_per_day * length.as_secs_f64();
                    if at >= length.as_secs_f64() {
                        break;
                    }
                    let lasts = self.session.sample(&mut draws).max(Duration::from_secs(1));
                    // Before the beginning of the run, or behind its end, nothing is seen of it.
                    let since_midnight = DAY * day + self.hours.0 + Duration::from_secs_f64(at);
                    let submit = since_midnight.saturating_sub(time);
                    if since_midnight < time || submit >= duration {
                        continue;
                    }
                    session += 1;
                    let job = list.push(
                        (&format!("{name}/{session}"), &name, &self.name),
                        Instant::ZERO + submit,
                        (self.cards, lasts),
                        &self.pools,
                        self.terms,
                    );
                    list.set_needs(job, self.needs);
                    list.set_extra(job, self.extra.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn developers(headcount: u32) -> Developers {
        Developers {
            name: "dev".to_owned(),
            headcount,
            sessions_per_day: 4.0,
            session: Delay::Exponential { mean: Duration::from_secs(1800) },
            hours: (Duration::HOUR * 9, Duration::HOUR * 18),
            weekends: false,
            begins: (4, Duration::HOUR * 12),
            cards: 1,
            needs: Needs::default(),
            pools: vec![PoolId(0)],
            terms: JobTerms::default(),
            extra: JobExtra::default(),
        }
    }

    /// From Friday noon on for a week: four sessions a day each, on Friday afternoon two thirds of them, none at the
    /// weekend or at night; half an hour each.
    #[test]
    fn sessions_are_opened_in_working_hours() {
        let mut list = JobList::default();
        developers(500).add_to(&mut list, Seed(3), Duration::HOUR * 24 * 7);
        let expected = 500.0 * 4.0 * (6.0 / 9.0 + 4.0 + 3.0 / 9.0);
        assert!((list.len() as f64 - expected).abs() < 4.0 * expected.sqrt(), "{} of {expected}", list.len());
        let mut held = 0.0;
        for job in 0..list.len() as u32 {
            let hour = list.facts(job).submit.as_secs_f64() / 3600.0 + 12.0;
            let (day, of_day) = ((hour / 24.0) as u32, hour % 24.0);
            assert!((9.0..18.0).contains(&of_day) && ![1, 2].contains(&day), "day {day}, {of_day}");
            held += list.duration(job, 0).as_secs_f64() / list.len() as f64;
        }
        assert!((held - 1800.0).abs() < 100.0, "{held}");
    }

    /// One more user changes nothing for the others.
    #[test]
    fn users_do_not_depend_on_each_other() {
        let sessions = |headcount| {
            let mut list = JobList::default();
            developers(headcount).add_to(&mut list, Seed(3), Duration::HOUR * 48);
            (0..list.len() as u32)
                .filter(|job| list.user(*job) != "dev-3")
                .map(|job| (list.name(job).to_owned(), list.facts(job).submit))
                .collect::<Vec<_>>()
        };
        assert_eq!(sessions(3), sessions(2));
        assert!(!sessions(2).is_empty());
    }
}
