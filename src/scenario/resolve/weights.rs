//! What a deployment does to its weights, and the choice of a plan: promises that it should keep, and the words
//! about what was rejected.

use super::deployments::{canonical, precision};
use crate::catalog::{Catalog, Model};
use crate::perf::{AutoPlan, ModelDims, Promise, UnknownFigures, WeightsAs};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, RawScenario};
use crate::scenario::reading::{Reading, Sited};
use crate::traffic::{Length, LengthDist, Lengths, LogNormal, Source};

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
/// typical prompt of those streams.
pub fn promise(raw: &RawDeployment, scenario: &RawScenario, catalog: &Catalog) -> Promise {
    let model = canonical(catalog, &raw.model);
    let asks = |stream: &&crate::scenario::raw::RawStream| {
        let named = stream.deployments.iter().any(|name| name.value == raw.name.value);
        if stream.deployments.is_empty() { canonical(catalog, &stream.model) == model } else { named }
    };
    let mut promise = Promise::NONE;
    for stream in scenario.streams.iter().filter(asks) {
        let tighter = |known: Option<_>, given: Option<_>| known.into_iter().chain(given).min();
        promise.tpot = tighter(promise.tpot, stream.slo.tpot);
        if let Some(prompt) = typical_prompt(&stream.traffic.source) {
            promise.ttft = tighter(promise.ttft, stream.slo.ttft);
            promise.prompt_tokens = promise.prompt_tokens.max(prompt);
        }
    }
    promise
}

/// The median or mean prompt of a stream, where its distribution says.
fn typical_prompt(source: &Source) -> Option<u32> {
    let lengths = match source {
        Source::Open(open) => &open.lengths,
        Source::Closed(closed) => &closed.lengths,
        _ => return None,
    };
    let Lengths::Independent { prompt: Length { dist, .. }, .. } = lengths else { return None };
    let tokens = match dist {
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
