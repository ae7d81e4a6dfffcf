//! From what the file says to what a run needs: names looked up, figures taken from the catalogue, models
//! fitted on the cards of their pools.

mod adapters;
mod apis;
mod assumptions;
mod capacity;
mod catalog;
pub(in crate::scenario) mod choice;
mod deployments;
mod disaggregated;
mod engine;
mod hosts;
mod images;
mod job_order;
mod jobs;
mod lifecycle;
mod links;
mod names;
mod node_autoscaler;
mod people;
mod pools;
mod scheduler;
mod step_time;
mod streams;
mod supply;
mod tiers;
mod weights;

use std::borrow::Cow;

use super::problem::Severity;
use super::raw::{RawAutoscaler, RawDeployment, RawScenario, duplicates};
use super::reading::Reading;
use crate::fleet::PoolConfig;
use crate::jobs::{JobConfig, JobList, JobRules};
use crate::serving::DeploymentConfig;
use crate::sim::Seed;
use crate::world::{PoolPlan, ScalerPlan, WorldConfig};
use assumptions::Ledger;

/// Resolves a scenario. `None` after errors have been recorded in `reading`.
pub fn resolve(scenario: RawScenario, reading: &mut Reading) -> Option<WorldConfig> {
    duplicates(reading, "streams", scenario.streams.iter().map(|stream| &stream.name));
    duplicates(reading, "tenants", scenario.tenants.iter().map(|tenant| &tenant.name));
    duplicates(reading, "APIs", scenario.apis.iter().map(|api| &api.name));
    duplicates(reading, "adapters", scenario.adapters.iter().map(|adapter| &adapter.name));
    duplicates(reading, "pools", scenario.pools.iter().map(|pool| &pool.name));
    duplicates(reading, "hosts", scenario.hosts.iter().map(|host| &host.name));
    duplicates(reading, "deployments", scenario.deployments.iter().map(|deployment| &deployment.name));
    duplicates(reading, "jobs", scenario.jobs.iter().map(|job| &job.name));
    let mut ledger = Ledger::default();
    let catalog = catalog::build(&scenario, reading);
    let mut pools = pools::resolve(&scenario, &catalog, reading, &mut ledger);
    let deployments = deployments::resolve(&scenario, &catalog, &pools, reading, &mut ledger);
    let hosts = hosts::resolve(&scenario, &deployments, &pools, &catalog, reading, &mut ledger);
    // Behind the scenario's deployments stand those of prefill replicas, which no stream names.
    let named = &deployments[..scenario.deployments.len()];
    let streams = streams::resolve(&scenario, &catalog, named, reading);
    tiers::swapped(&scenario, &streams, named, reading);
    images::meet(&scenario, &streams, named, &catalog, reading);
    images::egress(&scenario, &streams, named, &mut pools, &catalog, reading, &mut ledger);
    let apis = apis::resolve(&scenario, &catalog, reading);
    let jobs = jobs::resolve(&scenario, &catalog, &pools, reading, &mut ledger);
    let job_trace = scheduler::job_trace(&scenario, &pools, reading, &mut ledger);
    let developers = people::developers(&scenario, &pools, reading);
    deployments::warn_unused(&scenario, &streams, reading);
    if reading.problems.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    let hosts = hosts?;
    let pools: Vec<PoolPlan> =
        pools.into_iter().map(|pool| pool.resolved.map(|resolved| resolved.plan)).collect::<Option<_>>()?;
    let deployments: Vec<DeploymentConfig> =
        deployments.into_iter().map(|deployment| deployment.config).collect::<Option<_>>()?;
    let jobs: Vec<JobConfig> = jobs.into_iter().collect::<Option<_>>()?;
    let expanded = job_order::expand(&scenario, &jobs, reading);
    let (job_trace, rows_left_out) = job_trace.unzip();
    let mut job_rules =
        JobRules { developers, rows_left_out: rows_left_out.unwrap_or(0), ..JobRules::default() };
    let (seed, duration) = (Seed(scenario.seed), scenario.duration);
    let all_jobs = JobList::of_run(&expanded, job_trace.as_ref(), &job_rules, seed, duration);
    let queue_order = scheduler::queue_order(&scenario, &all_jobs, reading);
    job_rules.calendar = people::calendar(&scenario, &all_jobs, &queue_order, reading);
    if reading.problems.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    let node_scaler = node_autoscaler::resolve(&scenario, &pools, &deployments, &all_jobs, reading);
    let scalers = scalers(&scenario);
    let fleet: Vec<&PoolConfig> = pools.iter().map(|pool| &pool.fleet).collect();
    capacity::check(&scenario, &fleet, (&deployments, &hosts), &jobs, reading);
    Some(WorldConfig {
        name: scenario.name,
        seed: Seed(scenario.seed),
        duration: scenario.duration,
        warmup: scenario.warmup,
        streams: streams.into_iter().collect::<Option<_>>()?,
        tenants: engine::tenant_plans(&scenario.tenants),
        apis: apis.into_iter().collect::<Option<_>>()?,
        pools,
        node_scaler,
        deployments,
        hosts,
        scalers,
        jobs: expanded,
        job_trace,
        job_rules,
        queue_order,
        placement: scenario.scheduler.placement,
        assumptions: ledger.into_assumptions(),
        defaults: Vec::new(),
    })
}

/// The autoscalers, by their deployments; prefill replicas stand behind all others.
fn scalers(scenario: &RawScenario) -> Vec<ScalerPlan> {
    let decode = scenario.deployments.iter().map(disaggregated::decode);
    let prefill = scenario.deployments.iter().filter_map(disaggregated::prefill).map(Cow::Owned);
    let of = |(deployment, raw): (usize, Cow<'_, RawDeployment>)| {
        let RawAutoscaler { name, law, interval, interval_at_zero, scrape, lag, feeds } =
            raw.autoscaler.clone()?;
        let bounds = raw.replicas.range;
        Some(ScalerPlan { deployment, name, law, interval, interval_at_zero, scrape, lag, bounds, feeds })
    };
    decode.chain(prefill).enumerate().filter_map(of).collect()
}
