//! The Gittins index after Tiresias (Gu et al., NSDI 2019, section 4.2, discretized 2D-Gittins): attained
//! service is cards times time, in levels as under `las`, but the levels are ordered by the index of a job
//! that has attained what it takes to enter them. The index is the largest ratio, over all further service,
//! of the probability that the job ends within it to the service that it is expected to take of it, from the
//! distribution of service of all jobs of the run. So a job that will likely end soon goes before one of
//! which nothing is known, whatever it has had; where the chance to end only falls with service, the order is
//! that of `las`. Without thresholds the levels end at the tenths of the distribution.
//!
//! Ties (levels of the same index) by submission, then number; stopping and promotion as under `las`.

use super::JobFacts;
use super::las::{Las, LasConfig};
use crate::units::Duration;

pub(super) fn order(config: &LasConfig, facts: &[JobFacts]) -> Las {
    let mut services: Vec<u64> = facts
        .iter()
        .map(|facts| facts.duration.as_nanos().saturating_mul(u64::from(facts.cards)))
        .filter(|service| *service > 0)
        .collect();
    services.sort_unstable();
    let mut config = config.clone();
    if config.thresholds.is_empty() && !services.is_empty() {
        let tenth = |number: usize| Duration::from_nanos(services[services.len() * number / 10]);
        config.thresholds = (1..10).map(tenth).collect();
        config.thresholds.dedup();
    }
    let entries = std::iter::once(0).chain(config.thresholds.iter().map(|threshold| threshold.as_nanos()));
    let indices: Vec<f64> = entries.map(|attained| index(&services, attained)).collect();
    let above = |index: &f64| indices.iter().filter(|other| *other > index).count() as u32;
    let ranks = indices.iter().map(above).collect();
    Las::ranked(config, ranks)
}

/// The index of a job that has attained so much, among these services (ascending); 0 when none is larger.
fn index(services: &[u64], attained: u64) -> f64 {
    let left = &services[services.partition_point(|service| *service <= attained)..];
    let (mut best, mut sum) = (0.0f64, 0.0);
    for (place, service) in left.iter().enumerate() {
        let further = (service - attained) as f64;
        sum += further;
        let expected = sum + (left.len() - 1 - place) as f64 * further;
        best = best.max((place + 1) as f64 / expected);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policies::queue_order::QueueOrder;
    use crate::policies::queue_order::testing::{Job, schedule};

    /// Services 1, 1, 10: at the beginning two of three end within 1, which costs 1 each: 2/3. Whoever has had 1
    /// ends within 9 for sure: 1/9.
    #[test]
    fn the_index_by_hand() {
        assert!((index(&[1, 1, 10], 0) - 2.0 / 3.0).abs() < 1e-12);
        assert!((index(&[1, 1, 10], 1) - 1.0 / 9.0).abs() < 1e-12);
        // All alike: the nearer to the end, the higher.
        assert!(index(&[10, 10], 9) > index(&[10, 10], 0));
        assert_eq!(index(&[10, 10], 10), 0.0);
    }

    /// All jobs take ten seconds: a job that has had five will end first, so it is not stopped; least attained
    /// service stops it for the newcomer.
    #[test]
    fn who_will_end_soon_goes_on() {
        let jobs = [Job::new(0, 1, 10), Job::new(5, 1, 10)];
        let config = LasConfig { thresholds: vec![Duration::from_secs(5)], starvation: None };
        let gittins = schedule(&QueueOrder::Gittins(config.clone()), 1, &jobs);
        assert_eq!((gittins.ends, gittins.stops), (vec![10, 20], 0));
        let las = schedule(&QueueOrder::Las(config), 1, &jobs);
        assert_eq!((las.ends, las.stops), (vec![20, 15], 1));
    }

    /// Many short jobs and one long: who has outlived the short ones gives way to the new, as under `las`.
    #[test]
    fn who_has_outlived_most_gives_way() {
        let jobs = [Job::new(0, 1, 30), Job::new(6, 1, 2), Job::new(7, 1, 2), Job::new(20, 1, 2)];
        let config = LasConfig { thresholds: vec![Duration::from_secs(3)], starvation: None };
        let gittins = schedule(&QueueOrder::Gittins(config.clone()), 1, &jobs);
        assert_eq!((gittins.ends.clone(), gittins.stops), (vec![36, 8, 10, 22], 2));
        assert_eq!(schedule(&QueueOrder::Las(config), 1, &jobs), gittins);
    }
}
