//! What a deployment does to its weights, and the choice of a plan: promises that it should keep, and the words
//! about what was rejected.

use super::deployments::{canonical, precision};
use crate::catalog::{Catalog, Model};
use crate::perf::{
    AutoPlan, ExpectedLoad, ModelDims, PlanError, Promise, Replica, UnknownFigures, WeightsAs, nearest_plan,
};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawScenario, RawStream};
use crate::scenario::reading::{Reading, Sited};
use crate::traffic::{Length, LengthDist, Lengths, LogNormal, Source, Think};
use crate::units::Rate;

/// How weights are kept and used. `None` after an error has been recorded.
pub fn weights_as(raw: &RawDeployment, reading: &mut Reading) -> Option<WeightsAs> {
    let compute = match &raw.weights.compute {
        None => None,
        Some(text) => Some(precision(text, reading)?),
    };
    Some(WeightsAs { compute, sparse: raw.weights.sparse.is_some(), streamed: raw.weights.streamed })
}

/// The model as the deployment serves it: distilled, then pruned.
///
/// # Errors
/// The figures that the catalogue lacks.
pub fn dims(model: &Model, raw: &RawDeployment) -> Result<ModelDims, UnknownFigures> {
    let mut dims = ModelDims::try_from(model)?;
    if raw.weights.distilled < 1.0 {
        dims = dims.distilled(raw.weights.distilled);
    }
    if raw.weights.pruned > 0.0 {
        dims = dims.pruned(raw.weights.pruned);
    }
    Ok(dims)
}

/// What to add to a plan in words.
pub fn label(raw: &RawDeployment) -> String {
    let weights = &raw.weights;
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let parts = [
        weights.sparse.map(|_| "2:4 sparse".to_owned()),
        (weights.pruned > 0.0).then(|| format!("{} pruned", percent(weights.pruned))),
        (weights.distilled < 1.0).then(|| format!("{} of the layers", percent(weights.distilled))),
        weights.compute.as_ref().map(|format| format!("computing in {}", **format)),
        (weights.streamed > 0.0).then(|| format!("{} of weights streamed", percent(weights.streamed))),
    ];
    parts.into_iter().flatten().map(|part| format!(", {part}")).collect()
}

/// What the streams that ask for a deployment's model are promised: of each limit the tightest, with the longest
/// typical prompt of those streams; and what of them comes to one replica, where that is known: all deployments that
/// serve a stream share it by their replicas, of those that scale the most that there may be.
pub fn promise(raw: &RawDeployment, scenario: &RawScenario, catalog: &Catalog) -> Promise {
    let serves = |deployment: &RawDeployment, stream: &RawStream| match stream.deployments.is_empty() {
        true => canonical(catalog, &stream.model) == canonical(catalog, &deployment.model),
        false => stream.deployments.iter().any(|name| name.value == deployment.name.value),
    };
    let mut promise = Promise::NONE;
    let (mut arrivals, mut users, mut answers) = (0.0, 0.0, Some(0.0));
    for stream in scenario.streams.iter().filter(|stream| serves(raw, stream)) {
        let tighter = |known: Option<_>, given: Option<_>| known.into_iter().chain(given).min();
        promise.tpot = tighter(promise.tpot, stream.slo.tpot);
        if let Some(prompt) = lengths(&stream.traffic.source).and_then(|lengths| typical(lengths.0)) {
            promise.ttft = tighter(promise.ttft, stream.slo.ttft);
            promise.prompt_tokens = promise.prompt_tokens.max(prompt);
        }
        let serving = scenario.deployments.iter().filter(|deployment| serves(deployment, stream));
        let replicas = f64::from(serving.map(most_replicas).sum::<u32>().max(1));
        let rate = match &stream.traffic.source {
            Source::Open(open) => open.rate.as_per_second() / replicas,
            Source::Closed(closed) if closed.think == Think::None => {
                users += f64::from(closed.users) / replicas;
                0.0
            }
            // Who thinks, and what a trace holds, is for the simulation to say.
            _ => {
                answers = None;
                0.0
            }
        };
        arrivals += rate;
        let answer = lengths(&stream.traffic.source).and_then(|lengths| typical(lengths.1));
        answers = answers.zip(answer).map(|(longest, answer)| f64::max(longest, f64::from(answer)));
    }
    let whole = raw.disaggregated.is_none() && raw.host.is_none() && raw.speculative.is_none();
    promise.load = answers.filter(|tokens| whole && *tokens > 0.0).map(|tokens| ExpectedLoad {
        arrivals: Rate::per_second(arrivals),
        users,
        output_tokens: tokens as u32,
        max_batch_requests: raw.batching.max_batch_requests,
    });
    promise
}

/// What is wrong with a plan, and the nearest that works and fits.
pub fn with_nearest(error: &PlanError, replica: &Replica<'_>) -> String {
    let nearest = nearest_plan(replica).map(|plan| format!("; the nearest plan that works: {plan}"));
    format!("{error}{}", nearest.unwrap_or_default())
}

/// Replicas that there may be at a time of all deployments that may be on a pool; at least 1.
pub fn replicas_on(pool: &str, scenario: &RawScenario) -> u32 {
    let there = |deployment: &&RawDeployment| deployment.pools.iter().any(|name| name.value == pool);
    scenario.deployments.iter().filter(there).map(most_replicas).sum::<u32>().max(1)
}

/// Replicas that there may be of a deployment.
fn most_replicas(deployment: &RawDeployment) -> u32 {
    deployment.replicas.range.map_or(deployment.replicas.initial, |(_, most)| most)
}

/// Prompts and answers of a stream, where they are drawn apart from each other.
fn lengths(source: &Source) -> Option<(&Length, &Length)> {
    let lengths = match source {
        Source::Open(open) => &open.lengths,
        Source::Closed(closed) => &closed.lengths,
        _ => return None,
    };
    let Lengths::Independent { prompt, output } = lengths else { return None };
    Some((prompt, output))
}

/// The median or mean of a length, where its distribution says.
fn typical(length: &Length) -> Option<u32> {
    let tokens = match &length.dist {
        LengthDist::Constant(tokens) => f64::from(*tokens),
        LengthDist::Uniform { low, high } => (f64::from(*low) + f64::from(*high)) / 2.0,
        LengthDist::LogNormal(LogNormal::MedianP99 { median, .. }) => *median,
        LengthDist::LogNormal(LogNormal::MeanCv { mean, .. }) | LengthDist::Geometric { mean } => *mean,
        LengthDist::Empirical { .. } => return None,
    };
    Some(tokens.round() as u32)
}

/// Says how a plan was chosen, and warns when it misses a promise.
pub fn note_choice(raw: &RawDeployment, pool: &Sited<String>, auto: &AutoPlan, reading: &mut Reading) {
    let rejected: Vec<String> = auto.rejected.iter().map(|(plan, why)| format!("{plan}: {why}")).collect();
    let why = if rejected.is_empty() {
        "the fewest cards that there are".to_owned()
    } else {
        format!("the fewest cards that do; rejected: {}", rejected.join("; "))
    };
    let loaded = auto.misses_loaded.as_ref().filter(|_| auto.misses.is_none());
    let why = loaded.map_or(why.clone(), |misses| format!("{why}; but {misses}"));
    let (name, pool_name, plan) = (&raw.name.value, &pool.value, auto.plan);
    reading.choices.push(format!("deployment {name} on {pool_name}: parallelism \"auto\" is {plan} ({why})"));
    if let Some(misses) = &auto.misses {
        let message = format!(
            "deployment `{}` on `{}`: no plan keeps the SLO; {} is taken, whose {misses}",
            *raw.name, pool.value, auto.plan
        );
        reading.problem(Problem::warning(pool.place, message));
    }
}
