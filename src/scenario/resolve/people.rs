//! Developers, and what the calendar of the jobs holds for whom.

use std::sync::Arc;

use super::deployments::find_pools;
use super::jobs::host_fits;
use super::pools::Pool;
use crate::jobs::{Developers, Hold, JobExtra, JobList, JobTerms};
use crate::policies::queue_order::QueueOrder;
use crate::scenario::problem::{Problem, nearest};
use crate::scenario::raw::{RawDevelopers, RawScenario};
use crate::scenario::reading::{Reading, Sited};

/// The kinds of developers; those with problems, which are reported, are left out.
pub fn developers(scenario: &RawScenario, pools: &[Pool], reading: &mut Reading) -> Vec<Developers> {
    let kinds = scenario.developers.iter();
    kinds.filter_map(|raw| of_kind(raw, scenario, pools, reading)).collect()
}

fn of_kind(
    raw: &RawDevelopers,
    scenario: &RawScenario,
    pools: &[Pool],
    reading: &mut Reading,
) -> Option<Developers> {
    let every: Vec<Sited<String>> = scenario.pools.iter().map(|pool| pool.name.clone()).collect();
    let names = if raw.pools.is_empty() { &every } else { &raw.pools };
    if names.is_empty() {
        if !reading.broken.iter().any(|(list, _)| *list == "pools") {
            let message = format!("the developers `{}` have no pool to work on", *raw.name);
            reading.problem(Problem::error(raw.place, message).help("add a [[pools]]"));
        }
        return None;
    }
    let cards = *raw.accelerators;
    let (mut fitting, mut reasons) = (Vec::new(), Vec::new());
    for (id, name, pool) in find_pools(&raw.name, names, pools, reading)? {
        let fleet = &pool.plan.fleet;
        let most = u64::from(fleet.slots()) * u64::from(fleet.cards_per_node);
        let fits = match u64::from(cards) > most {
            true => Err(format!("it has {most} cards in all")),
            false => host_fits(raw.needs, cards, fleet),
        };
        match fits {
            Ok(()) => fitting.push(id),
            Err(why) => reasons.push(format!("on `{}`: {why}", name.value)),
        }
    }
    if fitting.is_empty() {
        let message = format!("a session of `{}` fits on none of its pools with {cards} cards", *raw.name);
        let problem = Problem::error(raw.accelerators.place, message);
        reading.problem(reasons.into_iter().fold(problem, Problem::help));
        return None;
    }
    Some(Developers {
        name: raw.name.value.clone(),
        headcount: raw.headcount,
        sessions_per_day: raw.sessions_per_day,
        session: raw.session,
        hours: raw.hours,
        weekends: raw.weekends,
        begins: (scenario.start.day as u32, scenario.start.time),
        cards,
        needs: raw.needs,
        pools: fitting,
        terms: JobTerms { priority: raw.priority, estimate: raw.estimate, ..JobTerms::default() },
        extra: JobExtra { yields_within: raw.yields_within, ..JobExtra::default() },
    })
}

/// The calendar. Pools, users and queues that are not there are reported.
pub fn calendar(
    scenario: &RawScenario,
    jobs: &Arc<JobList>,
    order: &QueueOrder,
    reading: &mut Reading,
) -> Vec<Hold> {
    let mut holds = Vec::new();
    for raw in &scenario.scheduler.reservations {
        if matches!(order, QueueOrder::Rounds(_)) {
            let message =
                format!("reservation `{}`: orders in rounds give all cards out anew each time", *raw.name);
            let help = "take the reservation out, or choose another `policy`";
            reading.problem(Problem::error(raw.name.place, message).help(help));
        }
        let names = || scenario.pools.iter().map(|pool| pool.name.value.as_str());
        let Some(pool) = names().position(|name| name == raw.pool.value) else {
            let problem = Problem::error(raw.pool.place, format!("there is no pool `{}`", raw.pool.value));
            reading.problem(match nearest(&raw.pool, names()) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.help("name one of [[pools]]"),
            });
            continue;
        };
        let most = scenario.pools[pool].nodes.most();
        if *raw.nodes > most {
            let message =
                format!("reservation `{}` is of {} nodes; the pool has {most}", *raw.name, *raw.nodes);
            reading.problem(Problem::error(raw.nodes.place, message).help("lower `nodes`"));
        }
        let mut known = |what: &str, names: &[Sited<String>], find: &dyn Fn(&str) -> bool, all: Vec<&str>| {
            for name in names.iter().filter(|name| !find(&name.value)) {
                let message =
                    format!("reservation `{}`: no job is of the {what} `{}`", *raw.name, name.value);
                let problem = Problem::error(name.place, message);
                reading.problem(match nearest(name, all.iter().copied()) {
                    Some(near) => problem.label(format!("did you mean `{near}`?")),
                    None => problem.help(format!("give jobs this `{what}`, or take it out")),
                });
            }
        };
        let all = || 0..jobs.len() as u32;
        let users = all().map(|job| jobs.user(job)).collect();
        known("user", &raw.users, &|name| jobs.user_number(name).is_some(), users);
        let queues = all().map(|job| jobs.queue(job)).collect();
        known("queue", &raw.queues, &|name| jobs.queue_number(name).is_some(), queues);
        let values = |names: &[Sited<String>]| names.iter().map(|name| name.value.clone()).collect();
        holds.push(Hold {
            name: raw.name.value.clone(),
            pool: crate::fleet::PoolId(pool as u16),
            nodes: *raw.nodes,
            from: raw.from,
            to: raw.to,
            users: values(&raw.users),
            queues: values(&raw.queues),
        });
    }
    holds
}
