//! Iteration times that a deployment states: measured coefficients, or a table of measured times.

use std::sync::Arc;

use super::assumptions::Ledger;
use super::deployments::Found;
use crate::metrics::results::Assumption;
use crate::perf::constants::{Constants, Engine};
use crate::perf::{Correction, Profile, ProfileLimits, StepModel};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawDeployment, StepTime};
use crate::scenario::reading::Reading;
use crate::serving::ReplicaOption;

/// The step model that a deployment states: nothing when it leaves that to the formula. `None` after an error
/// has been recorded.
#[expect(clippy::option_option, reason = "an error recorded, or nothing stated")]
pub fn measured(
    raw: &RawDeployment,
    pools: &[Found<'_>],
    reading: &mut Reading,
) -> Option<Option<StepModel>> {
    let (file, path) = match &raw.step_time {
        None => return Some(None),
        Some(StepTime::Affine(step)) => return Some(Some(StepModel::Affine(*step))),
        Some(StepTime::Profile { file, path, .. }) => (file, path),
    };
    let mut cards = pools.iter().map(|(_, name, pool)| (&name.value, &pool.plan.fleet.accelerator));
    if let Some((first, card)) = cards.next()
        && let Some((other, another)) = cards.find(|(_, another)| *another != card)
    {
        let message = format!(
            "the profile of deployment `{}` is of one accelerator, but its pools have two: `{first}` {card} and \
             `{other}` {another}",
            *raw.name
        );
        let help = "make a deployment of each, with a profile of its own";
        reading.problem(Problem::error(file.place, message).help(help));
        return None;
    }
    match Profile::read(path) {
        Ok(profile) => Some(Some(StepModel::Profile(Arc::new(profile)))),
        Err(error) => {
            let columns = "its columns: kind, decode_requests, prefill_tokens, context_tokens, iteration_s";
            let message = format!("the profile of deployment `{}` can't be used: {error}", *raw.name);
            reading.problem(Problem::error(file.place, message).help(columns));
            None
        }
    }
}

/// The performance model's constants, at the deployment's efficiency. `None` after an error has been recorded.
pub fn corrected(
    raw: &RawDeployment,
    pools: &[Found<'_>],
    reading: &mut Reading,
) -> Option<(Constants, Engine)> {
    let (mut constants, engine) = named(raw, pools, reading)?;
    constants.kernels /= raw.efficiency;
    Some((constants, engine))
}

/// The published constants, or those of the correction that a deployment names. `None` after an error has been
/// recorded.
fn named(raw: &RawDeployment, pools: &[Found<'_>], reading: &mut Reading) -> Option<(Constants, Engine)> {
    let Some((file, path)) = &raw.correction else { return Some((Constants::PUBLISHED, Engine::Other)) };
    let mut refused = |why: String, help: &str| {
        let message = format!("the correction of deployment `{}` can't be used: {why}", *raw.name);
        reading.problem(Problem::error(file.place, message).help(help.to_owned()));
    };
    let correction = match Correction::read(path) {
        Ok(correction) => correction,
        Err(error) => {
            refused(error.to_string(), "`fleetsim calibrate --data RUN.json --out FILE` writes such a file");
            return None;
        }
    };
    for (_, name, pool) in pools {
        let card = &pool.plan.fleet.accelerator;
        if *card != correction.card {
            let why = format!("it is of {}, and pool `{}` has {card}", correction.card, name.value);
            refused(why, "leave it out, or make a deployment of its own for that pool");
            return None;
        }
    }
    match correction.constants() {
        Ok(constants) => Some((constants, correction.engine())),
        Err(why) => {
            refused(why, "take the line out");
            None
        }
    }
}

/// Whether a profile reaches what the deployment may ask of it. `None` after an error has been recorded.
pub fn covers(
    raw: &RawDeployment,
    options: &[&ReplicaOption],
    context: Option<u32>,
    reading: &mut Reading,
) -> Option<()> {
    let Some(StepTime::Profile { file, extend: false, .. }) = &raw.step_time else { return Some(()) };
    for option in options {
        let StepModel::Profile(profile) = &option.step else { continue };
        let kv_tokens = option.kv_blocks.saturating_mul(u64::from(option.block_tokens));
        let limits = ProfileLimits {
            batch_requests: u64::from(raw.batching.max_batch_requests),
            batch_tokens: u64::from(raw.batching.max_batch_tokens),
            context: raw.max_context.or(context).map_or(kv_tokens, u64::from),
            kv_tokens,
        };
        let beyond = profile.beyond(&limits);
        if beyond.is_empty() {
            continue;
        }
        let message = format!("the profile of deployment `{}` ends below what it may be asked", *raw.name);
        let mut problem = Problem::error(file.place, message);
        let more = beyond.len().saturating_sub(3);
        for line in beyond.into_iter().take(3) {
            problem = problem.help(line);
        }
        if more > 0 {
            problem = problem.help(format!("and {more} more"));
        }
        reading.problem(problem.help(
            "measure further; or lower batching.max_batch_requests, batching.max_batch_tokens or max_context; \
             or let the last slopes go on with beyond = \"extend\" in step_time",
        ));
        return None;
    }
    Some(())
}

/// Notes what iteration times rest on where a deployment states them as a table.
pub fn note(raw: &RawDeployment, step: &StepModel, ledger: &mut Ledger) {
    let (Some(StepTime::Profile { file, extend, .. }), StepModel::Profile(profile)) = (&raw.step_time, step)
    else {
        return;
    };
    ledger.note(Assumption {
        about: format!("deployment {}", *raw.name),
        figure: "iteration times".to_owned(),
        value: format!("measured, {} points", profile.points()),
        source: file.value.clone(),
        date: String::new(),
        doubt: if *extend { "beyond its points the last slopes go on" } else { "" }.to_owned(),
    });
}

/// What to add to a plan in words.
pub const fn label(raw: &RawDeployment) -> &'static str {
    match raw.step_time {
        None => "",
        Some(StepTime::Affine(_)) => ", measured step time",
        Some(StepTime::Profile { .. }) => ", measured profile",
    }
}
