//! The scheduler and the trace of jobs: names of users and queues become numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assumptions::Ledger;
use super::deployments::find_pools;
use super::pools::Pool;
use crate::jobs::{JobList, JobTrace, JobTraceConfig, TracePool};
use crate::metrics::results::Assumption;
use crate::policies::queue_order::{
    DrfConfig, Durations, FairShareConfig, LasConfig, QueueOrder, Quota, QuotaConfig, RoundsConfig,
};
use crate::scenario::problem::{Problem, nearest};
use crate::scenario::raw::{RawDurations, RawOrder, RawScenario};
use crate::scenario::reading::{Reading, Sited};

/// Reads the trace of jobs. `None` when there is none, or after errors have been recorded.
pub fn job_trace(
    scenario: &RawScenario,
    pools: &[Pool],
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<(Arc<JobList>, u64)> {
    let raw = scenario.job_trace.as_ref()?;
    let every: Vec<Sited<String>> = scenario.pools.iter().map(|pool| pool.name.clone()).collect();
    let names = if raw.pools.is_empty() { &every } else { &raw.pools };
    if names.is_empty() && !reading.broken.iter().any(|(list, _)| *list == "pools") {
        let problem = Problem::error(raw.file.place, "the jobs of the trace have no pool to run on");
        reading.problem(problem.help("add a [[pools]]"));
    }
    let found = find_pools("job_trace", names, pools, reading)?;
    let config = JobTraceConfig {
        file: raw.path.clone(),
        format: raw.format,
        queues: raw.queues.clone(),
        throughputs: raw.throughputs.clone(),
        pools: found.iter().map(|(id, _, pool)| TracePool::from_config(*id, &pool.plan.fleet)).collect(),
        skip_bad_rows: raw.skip_bad_rows,
    };
    // A file that is not there has been reported.
    if !raw.path.is_file() {
        return None;
    }
    match JobTrace::read(&config) {
        Ok(trace) => {
            if trace.left_out > 0 {
                ledger.note(Assumption {
                    about: format!("job trace {}", raw.file.value),
                    figure: "rows left out".to_owned(),
                    value: trace.left_out.to_string(),
                    source: "bad_rows = \"skip\" in the scenario".to_owned(),
                    date: String::new(),
                    doubt: trace.examples.join("; "),
                });
            }
            let cards = config.pools.iter().map(|pool| u64::from(pool.cards)).sum();
            if let Some(message) = overload(&trace.jobs, cards) {
                let help = "`fleetsim trace describe` tells what is asked for; more nodes or fewer jobs let the queue drain";
                reading.problem(Problem::warning(raw.file.place, message).help(help));
            }
            Some((Arc::new(trace.jobs), trace.left_out))
        }
        Err(error) => {
            let problem = Problem::error(raw.file.place, error.to_string());
            let help = "put the rows right, or leave them out with bad_rows = \"skip\" in [job_trace]";
            let is_rows = matches!(error, crate::jobs::JobTraceError::Rows { .. });
            reading.problem(if is_rows { problem.help(help) } else { problem });
            None
        }
    }
}

/// Says that jobs ask for more than all cards can do while jobs come.
fn overload(jobs: &JobList, cards: u64) -> Option<String> {
    let work = |job: u32| jobs.card_share(job) * jobs.facts(job).duration.as_secs_f64();
    let all = 0..jobs.len() as u32;
    let submits = || all.clone().map(|job| jobs.facts(job).submit);
    let span = submits().max()?.since(submits().min()?).as_secs_f64();
    let work: f64 = all.clone().map(work).sum();
    let load = work / (cards as f64 * span);
    // In the first hour nothing is steady yet.
    (span >= 3600.0 && load > 1.0).then(|| {
        let left = (work / cards as f64 - span) / 3600.0;
        format!(
            "the jobs of the trace ask for {load:.2} times the {cards} cards of their pools while they come: the queue \
             grows until the last is submitted, and {left:.0} hours of work for all cards are left then"
        )
    })
}

/// The queue order, for these jobs. Names that no job has are reported.
pub fn queue_order(scenario: &RawScenario, jobs: &JobList, reading: &mut Reading) -> QueueOrder {
    let mut shares = |shares: &[(Sited<String>, f64)]| -> BTreeMap<u32, f64> {
        let mut weights = BTreeMap::new();
        for (user, weight) in shares {
            match jobs.user_number(user) {
                Some(number) => drop(weights.insert(number, *weight)),
                None => {
                    let message = format!("`shares` of `scheduler`: no job is of the user `{}`", user.value);
                    let users = (0..jobs.len() as u32).map(|job| jobs.user(job));
                    let problem = Problem::error(user.place, message);
                    reading.problem(match nearest(user, users) {
                        Some(near) => problem.label(format!("did you mean `{near}`?")),
                        None => problem.help("take the share out, or give jobs a `user`"),
                    });
                }
            }
        }
        weights
    };
    let (raw_order, quantum) = match &scenario.scheduler.order {
        RawOrder::Turns(order, quantum) => (order.as_ref(), Some(*quantum)),
        order => (order, None),
    };
    let order = match raw_order {
        RawOrder::Fifo => QueueOrder::Fifo,
        RawOrder::Priority => QueueOrder::Priority,
        RawOrder::Sjf(raw) => QueueOrder::Sjf(durations(*raw)),
        RawOrder::Srtf(raw) => QueueOrder::Srtf(durations(*raw)),
        RawOrder::Edf => QueueOrder::Edf,
        RawOrder::Easy => QueueOrder::Easy,
        RawOrder::Conservative => QueueOrder::Conservative,
        RawOrder::Las { thresholds, starvation } => {
            QueueOrder::Las(LasConfig { thresholds: thresholds.clone(), starvation: *starvation })
        }
        RawOrder::FairShare { half_life, shares: raw } => {
            QueueOrder::FairShare(FairShareConfig { half_life: *half_life, weights: shares(raw) })
        }
        RawOrder::Drf { shares: raw } => QueueOrder::Drf(DrfConfig { weights: shares(raw) }),
        RawOrder::Quota(raw) => QueueOrder::Quota(quotas(raw, jobs, reading)),
        RawOrder::Gittins { thresholds, starvation } => {
            QueueOrder::Gittins(LasConfig { thresholds: thresholds.clone(), starvation: *starvation })
        }
        RawOrder::Rounds { objective, round, reallocate, shares: raw } => QueueOrder::Rounds(RoundsConfig {
            objective: *objective,
            round: *round,
            reallocate: *reallocate,
            weights: shares(raw),
        }),
        // Turns within turns are not read.
        RawOrder::Turns(..) => QueueOrder::Fifo,
    };
    match quantum {
        Some(quantum) => QueueOrder::Turns(Box::new(order), quantum),
        None => order,
    }
}

fn durations(raw: RawDurations) -> Durations {
    match raw {
        RawDurations::True => Durations::True,
        RawDurations::Estimates => Durations::Estimates,
        RawDurations::Noisy(sigma) => Durations::Noisy { sigma },
        RawDurations::Predicted => Durations::Predicted,
    }
}

/// Every job must be able to run under its queue's quota and what it may borrow.
fn quotas(raw: &[(Sited<String>, u64, Option<u64>)], jobs: &JobList, reading: &mut Reading) -> QuotaConfig {
    let mut config = QuotaConfig::default();
    for (queue, cards, borrow) in raw {
        // A queue without jobs lends its quota; it needs a number that no job has.
        let spare = u32::MAX - config.quotas.len() as u32;
        let number = jobs.queue_number(queue).unwrap_or(spare);
        if config.quotas.insert(number, Quota { cards: *cards, borrow: *borrow }).is_some() {
            let message = format!("there are two quotas for the queue `{}`", queue.value);
            reading.problem(Problem::error(queue.place, message).help("take one out"));
        }
    }
    let total: u64 = config.quotas.values().map(|quota| quota.cards).sum();
    let Some(place) = raw.first().map(|(queue, ..)| queue.place) else { return config };
    for job in 0..jobs.len() as u32 {
        let facts = jobs.facts(job);
        let quota = config.quotas.get(&facts.queue);
        let most =
            quota.map_or(0, |quota| quota.borrow.map_or(total, |borrow| (quota.cards + borrow).min(total)));
        if u64::from(facts.cards) > most {
            let message = format!(
                "job `{}` wants {} cards, and its queue `{}` may use {most} at most",
                jobs.name(job),
                facts.cards,
                jobs.queue(job)
            );
            let problem = Problem::error(place, message);
            reading.problem(problem.help("give the queue a [[scheduler.quotas]] that is large enough"));
            // Others would say the same.
            break;
        }
    }
    config
}
