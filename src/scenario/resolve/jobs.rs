//! Jobs: how long they take on each pool.

use super::assumptions::Ledger;
use super::deployments::{Found, find_pools, model_line, precision};
use super::names::{not_found, unknown};
use super::pools::Pool;
use crate::catalog::{Catalog, Precision};
use crate::fleet::{PoolConfig, PoolId};
use crate::jobs::{JobConfig, JobOption};
use crate::perf::{
    LinkLoad, ModelDims, NodeSpec, OnLinks, TrainingJob, TrainingLayout, TrainingStep, UnknownFigures,
    check_stages, nearest_training_plan, training_loads, training_throughput,
};
use crate::policies::placement::Needs;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawJob, RawScenario, RawTraining, Recomputation, Work};
use crate::scenario::reading::{Reading, Sited};
use crate::topology::Pattern;
use crate::units::{Duration, Flop};

/// Longest that a job may take: beyond, the clock would run over.
const LONGEST_SECONDS: f64 = 100.0 * 31_536_000.0;

/// Resolves every job, in the scenario's order.
pub fn resolve(
    scenario: &RawScenario,
    catalog: &Catalog,
    pools: &[Pool],
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Vec<Option<JobConfig>> {
    scenario.jobs.iter().map(|raw| job(raw, scenario, catalog, pools, reading, ledger)).collect()
}

fn job(
    raw: &RawJob,
    scenario: &RawScenario,
    catalog: &Catalog,
    pools: &[Pool],
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<JobConfig> {
    let mut every: Vec<Sited<String>> = Vec::new();
    for pool in &scenario.pools {
        // A name that comes twice has been reported.
        if !every.iter().any(|other| other.value == pool.name.value) {
            every.push(pool.name.clone());
        }
    }
    let names = if raw.pools.is_empty() { &every } else { &raw.pools };
    if names.is_empty() {
        if reading.broken.iter().any(|(list, _)| *list == "pools") {
            return None;
        }
        let message = format!("job `{}` has no pool to run on", *raw.name);
        reading.problem(Problem::error(raw.place, message).help("add a [[pools]]"));
        return None;
    }
    let found = find_pools(&raw.name, names, pools, reading);
    let training = match &raw.work {
        Work::Stated(_) => None,
        Work::Training { model, precision: format, .. } => {
            let format = precision(format, reading);
            let dims = match catalog.model(model) {
                Err(_) if reading.is_broken("models", model) => return None,
                Err(missing) => Err(not_found(model.place, &missing)),
                Ok(known) => ModelDims::try_from(known)
                    .inspect(|dims| model_line(known, dims, ledger))
                    .map_err(|missing| unknown(model.place, &missing)),
            };
            let dims = dims.map_err(|problem| reading.problem(problem)).ok()?;
            Some((dims, format?))
        }
    };
    let mut options = Vec::new();
    let mut reasons = Vec::new();
    let found = found?;
    for (id, name, pool) in &found {
        let fleet = &pool.plan.fleet;
        let cards = u64::from(fleet.slots()) * u64::from(fleet.cards_per_node);
        let option = if u64::from(*raw.accelerators) > cards {
            Err(Misfit::Why(format!("it has {cards} cards in all")))
        } else if let Err(why) = host_fits(raw.needs, *raw.accelerators, fleet) {
            Err(Misfit::Why(why))
        } else {
            option(raw, *id, (*id, name, pool), training.as_ref())
        };
        match option {
            Ok(option) => options.push(option),
            Err(Misfit::Unknown(missing)) => {
                reading.problem(unknown(name.place, &missing));
                return None;
            }
            Err(Misfit::Why(why)) => reasons.push(format!("on `{}`: {why}", name.value)),
        }
    }
    if options.is_empty() {
        let message =
            format!("job `{}` fits on none of its pools with {} cards", *raw.name, *raw.accelerators);
        let problem = Problem::error(raw.accelerators.place, message);
        reading.problem(reasons.into_iter().fold(problem, Problem::help));
        return None;
    }
    if training.is_some() {
        ledger.training_model();
    }
    Some(JobConfig {
        name: raw.name.value.clone(),
        user: raw.user.clone(),
        queue: raw.queue.clone(),
        submit: raw.submit,
        cards: *raw.accelerators,
        options,
        terms: raw.terms,
        extra: raw.extra.clone(),
        needs: raw.needs,
    })
}

/// Whether a node has what falls to it of the job's needs beside cards.
pub fn host_fits(needs: Needs, cards: u32, fleet: &PoolConfig) -> Result<(), String> {
    let want = needs.on_node(cards.min(fleet.cards_per_node), cards);
    let cpus = ("CPUs", "cpus", want.cpu_milli, fleet.host.cpu_milli, 1000.0);
    let memory = ("GiB of memory", "memory", want.memory_mib, fleet.host.memory_mib, 1024.0);
    for (what, key, wanted, has, unit) in [cpus, memory] {
        match has {
            _ if wanted == 0 => {}
            None => {
                return Err(format!("how many {what} its nodes have is not known: give the pool `{key}`"));
            }
            Some(has) if has < wanted => {
                let (wanted, has) = (f64::from(wanted) / unit, f64::from(has) / unit);
                return Err(format!("it needs {wanted} {what} on a node, which has {has}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

enum Misfit {
    Unknown(UnknownFigures),
    Why(String),
}

/// Takes the scenario's plan over; says what is wrong with it beside what the performance model checks.
fn planned(job: &mut TrainingJob<'_>, plan: &RawTraining, cards: u32) -> Result<(), String> {
    job.tp = plan.tp;
    job.layout = TrainingLayout {
        pp: plan.pp,
        interleave: plan.interleave,
        cp: plan.cp,
        ep: plan.ep,
        micro_batch: plan.micro_batch,
    };
    job.zero = plan.zero;
    job.state = plan.state;
    job.recompute = plan.recomputation.map(|again| again == Recomputation::Full);
    job.scores_kept = plan.recomputation == Some(Recomputation::None);
    job.memory_utilization = plan.memory_utilization.unwrap_or(job.memory_utilization);
    check_stages(job.model, plan.pp, plan.interleave).map_err(|error| error.to_string())?;
    if plan.interleave > 1 && plan.pp == 1 {
        return Err("interleave = 1 is all that one stage can do; take it out or raise pp".to_owned());
    }
    let (Some(dp), tp) = (plan.dp, plan.tp.unwrap_or(1)) else { return Ok(()) };
    let cut = u64::from(tp) * u64::from(plan.pp) * u64::from(plan.cp);
    if plan.tp.is_none() {
        return Err(
            "dp is given and tp is not; give both, or leave dp to what is left of the cards".to_owned()
        );
    }
    if cut * u64::from(dp) != u64::from(cards) {
        return Err(format!(
            "tp·pp·cp·dp is {}, and the job has {cards} cards; the nearest plan that works: dp = {}",
            cut * u64::from(dp),
            (u64::from(cards) / cut).max(1)
        ));
    }
    Ok(())
}

fn option(
    raw: &RawJob,
    id: PoolId,
    (_, _, pool): Found<'_>,
    training: Option<&(ModelDims, Precision)>,
) -> Result<JobOption, Misfit> {
    let (tokens, batch_tokens, sequence, plan) = match &raw.work {
        Work::Stated(duration) => {
            let label = format!("{duration}, as stated");
            return Ok(JobOption {
                pool: id,
                duration: *duration,
                flop: Flop::ZERO,
                label,
                loads: Vec::new(),
                steps: 0.0,
                on_links: None,
            });
        }
        Work::Training { tokens, batch_tokens, sequence, plan, .. } => {
            (**tokens, *batch_tokens, *sequence, plan)
        }
    };
    let Some((dims, format)) = training else {
        return Err(Misfit::Why("its model is not known".to_owned()));
    };
    let node = pool.node.as_ref().map_err(|missing| Misfit::Unknown(missing.clone()))?;
    let cards = *raw.accelerators;
    let work = TrainingWork {
        model: dims.clone(),
        precision: *format,
        cards,
        tokens,
        batch_tokens,
        sequence,
        plan: **plan,
    };
    let (step, duration, loads) = work.on(node).map_err(Misfit::Why)?;
    let label = format!(
        "{} with {format} on {}: {}, {:.0} tokens/s, MFU {:.0} %",
        dims.name,
        pool.plan.fleet.name,
        degrees(&step, cards),
        step.tokens_per_second.as_per_second(),
        step.mfu * 100.0
    );
    let over_nodes = cards > node.cards && pool.plan.fleet.fabric.is_some();
    let on_links = over_nodes.then(|| {
        let exchanges = plan.ep > node.cards;
        let pattern = if exchanges { Pattern::AllToAll } else { Pattern::Ring };
        let node = node.clone();
        OnLinks::new(pattern, move |share| Some(work.on(&node.with_network(share)).ok()?.1))
    });
    let flop = Flop(step.flop_per_token.0 * u128::from(tokens));
    let steps = tokens as f64 / step.batch_tokens as f64;
    Ok(JobOption { pool: id, duration, flop, label, loads, steps, on_links })
}

/// `TP=8 PP=2 DP=4`: the cut in the words of deployments, each degree that is more than 1 and always that of tensors.
fn degrees(step: &TrainingStep, cards: u32) -> String {
    let stage = step.plan.tp.saturating_mul(step.plan.pp).saturating_mul(step.ranks).max(1);
    let degrees = [("PP", step.plan.pp), ("CP", (cards / stage).max(1)), ("DP", step.ranks)];
    let further = degrees.iter().filter(|(_, degree)| *degree > 1);
    let further: String = further.map(|(name, degree)| format!(" {name}={degree}")).collect();
    format!("TP={}{further}", step.plan.tp)
}

/// What a training job does, wherever it does it.
struct TrainingWork {
    model: ModelDims,
    precision: Precision,
    cards: u32,
    tokens: u64,
    batch_tokens: Option<u64>,
    sequence: Option<u32>,
    plan: RawTraining,
}

impl TrainingWork {
    /// A step, how long all of it takes, and what a step sends over links, on such nodes.
    fn on(&self, node: &NodeSpec) -> Result<(TrainingStep, Duration, Vec<LinkLoad>), String> {
        let mut job = TrainingJob::new(&self.model, node, self.cards);
        job.precision = self.precision;
        job.batch_tokens = self.batch_tokens.or(job.batch_tokens);
        job.sequence = self.sequence.unwrap_or(job.sequence);
        let planned = planned(&mut job, &self.plan, self.cards);
        let step = planned.and_then(|()| training_throughput(&job).map_err(|error| error.to_string()));
        let step = step.map_err(|why| {
            let nearest =
                nearest_training_plan(&job).filter(|_| !why.contains("the nearest plan that works"));
            let nearest =
                nearest.map(|(tp, pp)| format!("; the nearest plan that works: tp = {tp}, pp = {pp}"));
            format!("{why}{}", nearest.unwrap_or_default())
        })?;
        let seconds = self.tokens as f64 / step.tokens_per_second.as_per_second();
        if !(seconds.is_finite() && seconds <= LONGEST_SECONDS) {
            return Err("it would take more than 100 years".to_owned());
        }
        // A job of any tokens lasts; a duration of nothing would end before it began.
        let loads = training_loads(&job, &step);
        Ok((step, Duration::from_secs_f64(seconds).max(Duration::from_nanos(1)), loads))
    }
}
