//! How fairly jobs were treated: bounded slow-down, finish-time fairness and Jain's index.

use super::results::Quantiles;
use super::sketch::Sketch;
use crate::units::{Duration, Instant};

/// A job as it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobSpan {
    /// When it was submitted.
    pub submit: Instant,
    /// When it was done; `None` when it was not.
    pub end: Option<Instant>,
    /// How long it would take on its cards if nobody else were there.
    pub alone: Duration,
    /// Cards wanted.
    pub cards: u32,
}

/// What it adds up to, over the jobs that are done.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fairness {
    /// Bounded slow-down: submission to end over the time alone, that counted as at least 10 s; at least 1
    /// (Feitelson et al., JSSPP 1997, section 4.2).
    pub slowdown: Quantiles,
    /// Finish-time fairness: submission to end over what it would be with the share of the fleet's cards that
    /// is each job's when all that are there get the same (Mahajan et al., Themis, NSDI 2020, section 3.1).
    /// At most 1 is fair.
    pub rho: Quantiles,
    /// Jain's index of finish-time fairness over jobs: 1 when all are treated alike, 1/n when one gets all.
    pub jain: Option<f64>,
}

/// The bound of the slow-down.
const SHORTEST_S: f64 = 10.0;

/// Judges jobs that shared so many cards until `now`.
pub fn fairness(jobs: &[JobSpan], fleet_cards: u64, now: Instant) -> Fairness {
    // Jobs that are there, integrated over time, by the times at which their number changes.
    let mut changes: Vec<(Instant, i32)> = Vec::with_capacity(2 * jobs.len());
    for job in jobs {
        changes.push((job.submit, 1));
        changes.push((job.end.unwrap_or(now), -1));
    }
    changes.sort_unstable();
    let (mut count, mut integral, mut last) = (0i64, 0u128, Instant::ZERO);
    let mut integrals: Vec<(Instant, u128)> = Vec::with_capacity(changes.len());
    for (at, change) in changes {
        integral += u128::from(count.unsigned_abs()) * u128::from(at.since(last).as_nanos());
        last = at;
        count += i64::from(change);
        integrals.push((at, integral));
    }
    let until = |at: Instant| {
        let place = integrals.partition_point(|(other, _)| *other < at);
        integrals.get(place).map_or(0, |(_, integral)| *integral)
    };
    let (mut slowdown, mut rho) = (Sketch::new(), Sketch::new());
    let (mut sum, mut squares, mut done) = (0.0, 0.0, 0.0);
    for job in jobs {
        let Some(end) = job.end else { continue };
        let (took, alone) = (end.since(job.submit).as_secs_f64(), job.alone.as_secs_f64());
        slowdown.record(Duration::from_secs_f64((took / alone.max(SHORTEST_S)).clamp(1.0, 1e9)));
        let span = end.since(job.submit).as_nanos();
        let there = if span == 0 { 1.0 } else { (until(end) - until(job.submit)) as f64 / span as f64 };
        let share = (there * f64::from(job.cards) / fleet_cards.max(1) as f64).max(1.0);
        let ratio = if alone > 0.0 { (took / (alone * share)).min(1e9) } else { 1.0 };
        rho.record(Duration::from_secs_f64(ratio));
        sum += ratio;
        squares += ratio * ratio;
        done += 1.0;
    }
    let jain = (done > 0.0 && squares > 0.0).then(|| sum * sum / (done * squares));
    Fairness { slowdown: slowdown.quantiles(), rho: rho.quantiles(), jain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(submit: u64, end: Option<u64>, alone: u64, cards: u32) -> JobSpan {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        JobSpan { submit: at(submit), end: end.map(at), alone: Duration::from_secs(alone), cards }
    }

    /// One card, two jobs of 20 s that are there from the beginning, one after the other: the first takes 20
    /// of the 40 that half a card would take it, the second 40 of the 20 · 2 while both, · 1 while alone:
    /// on average 1.5 jobs were there, so 30.
    #[test]
    fn one_after_the_other() {
        let fair = fairness(&[job(0, Some(20), 20, 1), job(0, Some(40), 20, 1)], 1, Instant::ZERO);
        let close = |found: Option<f64>, expected: f64| {
            assert!((found.expect("there are jobs") - expected).abs() < 2e-3 * expected, "{found:?}");
        };
        close(fair.slowdown.mean, 1.5);
        close(fair.slowdown.max, 2.0);
        close(fair.rho.max, 4.0 / 3.0);
        close(fair.rho.mean, (0.5 + 4.0 / 3.0) / 2.0);
        let (a, b): (f64, f64) = (0.5, 4.0 / 3.0);
        close(fair.jain, (a + b) * (a + b) / (2.0 * (a * a + b * b)));
    }

    /// Short jobs count as 10 s, and a slow-down is never below 1; what is not done is left out, but was there.
    #[test]
    fn bounds() {
        let now = Instant::ZERO + Duration::from_secs(100);
        let fair = fairness(&[job(0, Some(1), 1, 1), job(0, Some(30), 2, 1), job(0, None, 500, 1)], 8, now);
        assert!((fair.slowdown.max.expect("done") - 3.0).abs() < 0.01);
        assert!((fair.slowdown.p50.expect("done") - 1.0).abs() < 0.01);
        assert_eq!(fairness(&[], 8, now), Fairness::default());
    }
}
