//! Replicas by the clock: so many within certain windows, a least number otherwise.
//!
//! The rule is that of KEDA's cron scaler (kedacore/keda 8b4f083 `pkg/scalers/cron_scaler.go`): between a window's
//! start and its end `desiredReplicas`, otherwise nothing; of several windows the largest.
//!
//! | rule | test |
//! |---|---|
//! | the window's number from its start until just before its end | `windows` |
//! | the largest of several; the least number when none is open | `windows` |
//! | steps repeat with their period | `steps` |

use super::cron::Cron;
use super::{Decision, Observation, Scale};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};

/// When there should be how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// Replicas while nothing else is said.
    pub least: u32,
    /// Windows; the largest that is open holds.
    pub windows: Vec<Window>,
    /// Steps by time since the beginning.
    pub steps: Option<Steps>,
}

/// A window of the clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// When it opens.
    pub start: Cron,
    /// When it closes.
    pub end: Cron,
    /// Replicas while it is open.
    pub replicas: u32,
    /// What the clock shows at instant zero, since Monday 00:00.
    pub clock: Duration,
}

/// Replicas from certain times on, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// After how long they repeat; longer than zero.
    pub period: Duration,
    /// From when on how many, by time within the period; before the first, what the last says.
    pub changes: Vec<(Duration, u32)>,
}

impl Steps {
    fn at(&self, now: Instant) -> u32 {
        let within = Duration::from_nanos(now.as_nanos() % self.period.as_nanos().max(1));
        let past = self.changes.iter().rev().find(|(from, _)| *from <= within);
        past.or(self.changes.last()).map_or(0, |(_, replicas)| *replicas)
    }
}

impl Window {
    /// Open when the next end comes before the next start, as KEDA's cron scaler tells it.
    fn is_open(&self, now: Instant) -> bool {
        let clock = self.clock + now.since(Instant::ZERO);
        match (self.start.next(clock), self.end.next(clock)) {
            (Some(start), Some(end)) => end < start,
            _ => false,
        }
    }
}

impl Policy for Scheduled {
    type Observation<'a> = Observation;
    type Decision = Decision;

    fn decide(&mut self, now: Instant, _: &Observation) -> (Decision, Reason) {
        let steps = self.steps.as_ref().map(|steps| steps.at(now));
        let open = self.windows.iter().filter(|window| window.is_open(now));
        let wanted = open.map(|window| window.replicas).chain(steps).max();
        let mut scale = Scale::wish(wanted.unwrap_or(self.least));
        let bounded = scale.desired.max(self.least);
        scale.limit(bounded, "the least number of replicas");
        let reason = if wanted.is_some() { "the schedule" } else { "no window is open" };
        (Ok(scale), Reason(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: f64) -> Instant {
        Instant::from_secs_f64(hours * 3600.0)
    }

    fn wanted(law: &mut Scheduled, hours: f64) -> u32 {
        law.decide(at(hours), &Observation::of(1)).0.unwrap().desired
    }

    #[test]
    fn windows() {
        let window = |start: &str, end: &str, replicas| Window {
            start: Cron::parse(start).unwrap(),
            end: Cron::parse(end).unwrap(),
            replicas,
            clock: Duration::ZERO,
        };
        let windows =
            vec![window("0 8 * * 1-5", "0 20 * * 1-5", 10), window("0 12 * * *", "30 13 * * *", 15)];
        let mut law = Scheduled { least: 2, windows, steps: None };
        for (hours, replicas) in
            [(7.99, 2), (8.0, 10), (11.9, 10), (12.0, 15), (13.49, 15), (13.5, 10), (20.0, 2)]
        {
            assert_eq!(wanted(&mut law, hours), replicas, "at {hours}");
        }
        // Saturday: only the second.
        assert_eq!(wanted(&mut law, 5.0 * 24.0 + 9.0), 2);
        assert_eq!(wanted(&mut law, 5.0 * 24.0 + 12.5), 15);
        // A run that begins on Monday at 7:00.
        law.windows[0].clock = Duration::HOUR * 7;
        assert_eq!(wanted(&mut law, 1.0), 10);
    }

    #[test]
    fn steps() {
        let changes = vec![(Duration::HOUR, 3), (Duration::HOUR * 2, 1)];
        let steps = Some(Steps { period: Duration::HOUR * 4, changes });
        let mut law = Scheduled { least: 0, windows: Vec::new(), steps };
        let seen: Vec<u32> =
            [0.0, 1.0, 1.9, 2.0, 3.9, 4.5, 5.0].map(|hours| wanted(&mut law, hours)).to_vec();
        assert_eq!(seen, [1, 3, 3, 1, 1, 1, 3]);
    }
}
