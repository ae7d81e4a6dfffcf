//! What jobs wait for, split over causes by hand-computed schedules.

mod support;

use fleetsim::jobs::JobExtra;
use fleetsim::metrics::results::RunResults;
use fleetsim::policies::placement::PlacementKind;
use fleetsim::policies::queue_order::{Durations, Objective, QueueOrder, Quota, QuotaConfig, RoundsConfig};
use fleetsim::units::Duration;
use support::jobs::{Job, list, of, simulate, world};

/// Jobs on one pool of nodes with so many cards each.
fn run(nodes: (u32, u32), order: QueueOrder, jobs: &[Job], extras: &[(u32, JobExtra)]) -> RunResults {
    let mut list = list(jobs);
    for (job, extra) in extras {
        list.set_extra(*job, extra.clone());
    }
    simulate(&world(list.into(), nodes.0, nodes.1, order, PlacementKind::FirstFit))
}

/// The causes of a job's wait in seconds.
fn causes(results: &RunResults, job: usize) -> Vec<(&'static str, u64)> {
    let seconds = |time: Duration| time.as_nanos() / 1_000_000_000;
    results.job_waits.of(job).map(|(cause, time)| (cause, seconds(time))).collect()
}

/// Two cards. The second waits for cards from its submission on; the third for the second, and then for cards.
#[test]
fn the_turn_comes_and_then_the_cards() {
    let jobs = [of(0, 1, 10), of(1, 2, 5), of(2, 2, 3)];
    let results = run((2, 1), QueueOrder::Fifo, &jobs, &[]);
    assert_eq!(causes(&results, 0), []);
    assert_eq!(causes(&results, 1), [("not enough cards", 9)]);
    assert_eq!(causes(&results, 2), [("not enough cards", 5), ("priority", 8)]);
    let shares: Vec<(&str, u64, f64)> = results
        .summary
        .jobs
        .waits
        .iter()
        .map(|share| (share.cause.as_str(), share.jobs, (share.wait_hours * 3600.0).round()))
        .collect();
    assert_eq!(shares, [("not enough cards", 2, 14.0), ("priority", 1, 8.0)]);
}

/// One card: a shorter job overtakes who was first and was refused.
#[test]
fn who_is_overtaken_waits_for_others() {
    let jobs = [of(0, 1, 10), of(1, 1, 9), of(4, 1, 2)];
    let results = run((1, 1), QueueOrder::Sjf(Durations::True), &jobs, &[]);
    assert_eq!(causes(&results, 1), [("not enough cards", 3 + 2), ("priority", 6)]);
    assert_eq!(causes(&results, 2), [("not enough cards", 6)]);
}

/// Two nodes of four cards, three of each taken: two are free, but not on one node.
#[test]
fn free_cards_may_be_fragments() {
    let jobs = [of(0, 3, 10), of(0, 3, 8), of(1, 2, 5)];
    let results = run((2, 4), QueueOrder::Fifo, &jobs, &[]);
    assert_eq!(causes(&results, 2), [("fragmented", 7)]);
}

/// The reference example of EASY (ten cards; `easy.rs`): the second waits for cards; the third would fit beside the
/// first and delay the second, and when the fourth and fifth have taken what is left, there are too few cards.
#[test]
fn easy_tells_the_reservation_from_too_few_cards() {
    let jobs = [of(0, 6, 10), of(1, 8, 10), of(2, 4, 10), of(3, 2, 7), of(4, 2, 30)];
    let results = run((10, 1), QueueOrder::Easy, &jobs, &[]);
    assert_eq!(causes(&results, 1), [("not enough cards", 9)]);
    // From 2 to 3 four cards are free; from 3 on two; from 10 on none.
    assert_eq!(causes(&results, 2), [("not enough cards", 17), ("backfill reservation", 1)]);
    assert_eq!(results.jobs[2].wait_reason, "backfill reservation: it would delay the first of the queue");
    let conservative = run((10, 1), QueueOrder::Conservative, &jobs, &[]);
    assert_eq!(causes(&conservative, 2)[1], ("backfill reservation", 1));
}

/// Queue 0 has two cards and may not borrow: its third job waits for its quota, though cards are free; when a job of
/// its own ends but another queue has all cards, for cards.
#[test]
fn quotas_are_told_from_cards() {
    let mut jobs = [of(0, 1, 10), of(0, 1, 20), of(2, 1, 5), of(5, 2, 20), of(6, 1, 1)];
    (jobs[3].user, jobs[4].user) = (1, 1);
    let quota = |cards, borrow| Quota { cards, borrow };
    let quotas = [(0, quota(2, Some(0))), (1, quota(2, Some(0)))].into();
    let results = run((4, 1), QueueOrder::Quota(QuotaConfig { quotas }), &jobs, &[]);
    assert_eq!(causes(&results, 2), [("quota", 8)]);
    assert_eq!(causes(&results, 3), []);
    assert_eq!(causes(&results, 4), [("quota", 19)]);
}

/// The third follows the first, and finds the card taken when that has ended.
#[test]
fn who_follows_waits_for_that_first() {
    let jobs = [of(0, 1, 10), of(1, 1, 4), of(2, 1, 3)];
    let after = JobExtra { after: vec![0], ..JobExtra::default() };
    let results = run((1, 1), QueueOrder::Fifo, &jobs, &[(2, after)]);
    assert_eq!(causes(&results, 2), [("not enough cards", 4), ("dependency", 8)]);
}

/// In rounds of 10 a newcomer waits for the next, and then for those that have had less.
#[test]
fn rounds_are_waited_for() {
    let jobs = [of(0, 1, 60), of(5, 1, 20)];
    let (round, reallocate) = (Duration::from_secs(10), Duration::ZERO);
    let config = RoundsConfig { round, reallocate, ..RoundsConfig::new(Objective::MaxMin { aware: true }) };
    let results = run((1, 1), QueueOrder::Rounds(config), &jobs, &[]);
    let start = results.jobs[1].start.expect("it started").as_secs_f64() as u64;
    assert_eq!((start, causes(&results, 1)), (20, vec![("round", 5), ("priority", 10)]));
}
