//! A user's own benchmark (`vllm bench serve --save-result`), and the correction that follows from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::bench::{Case, Engine, Habits, Load, simulate};
use super::names;
use super::table::ValidateError;
use crate::catalog::{Catalog, Precision};
use crate::perf::constants::{Constant, Constants};
use crate::perf::{Correction, ParallelismPlan};
use crate::traffic::Length;

/// What a user says of the machine that a benchmark ran on.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The card, by a name of the catalogue.
    pub accelerator: String,
    /// The model; what the result says when absent.
    pub model: Option<String>,
    /// Tensor parallelism.
    pub tp: u32,
    /// The format of the weights.
    pub weights: Precision,
}

/// One figure of a benchmark; times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The file.
    pub run: PathBuf,
    /// What was measured.
    pub metric: &'static str,
    /// What came out there.
    pub measured: f64,
    /// What the published constants give.
    pub published: f64,
    /// What the corrected ones give.
    pub corrected: f64,
}

/// The fields of a result that are needed, as `vllm bench serve` names them (vllm/benchmarks/serve.py).
#[derive(Debug, Deserialize)]
struct Run {
    #[serde(default)]
    model_id: String,
    #[serde(default)]
    request_rate: Option<serde_json::Value>,
    #[serde(default)]
    max_concurrency: Option<u32>,
    completed: u32,
    total_input_tokens: f64,
    total_output_tokens: f64,
    output_throughput: f64,
    mean_ttft_ms: f64,
    mean_tpot_ms: f64,
}

const METRICS: [&str; 3] = ["ttft_mean", "tpot_mean", "output_tok_s_total"];

/// The constants that a user's runs set: how long kernels take, an iteration's overhead, and a prompt's.
const CORRECTED: [&str; 3] = ["kernels", "iteration_us", "prompt_us"];

/// Whether a file is such a result.
pub fn is_own_run(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Fits the correction on these runs, all of one machine.
///
/// # Errors
/// A file that is no result, a name that the catalogue does not have, a run that the model can't repeat.
pub fn correct(paths: &[PathBuf], machine: &Machine) -> Result<(Correction, Vec<Figure>), ValidateError> {
    let unreadable = |path: &Path, why: String| ValidateError::Unreadable { path: path.to_owned(), why };
    let catalog = Catalog::embedded();
    let mut cases = Vec::new();
    let mut card = String::new();
    for path in paths {
        let text = fs::read_to_string(path).map_err(|error| unreadable(path, error.to_string()))?;
        let run: Run = serde_json::from_str(&text).map_err(|error| {
            unreadable(path, format!("no result of `vllm bench serve --save-result`: {error}"))
        })?;
        let (name, case) = case(&catalog, &run, machine).map_err(|why| unreadable(path, why))?;
        card = name;
        let measured = [run.mean_ttft_ms / 1e3, run.mean_tpot_ms / 1e3, run.output_throughput];
        if measured.iter().any(|value| !(value.is_finite() && *value > 0.0)) {
            return Err(unreadable(path, "times and throughput must be above 0".to_owned()));
        }
        cases.push((path, case, measured));
    }
    let predict = |constants: &Constants| -> Result<Vec<[f64; 3]>, ValidateError> {
        let one = |(path, case, _): &(&PathBuf, Case, [f64; 3])| {
            let run = simulate(case, constants).map_err(|unfit| unreadable(path, unfit.detail))?;
            let of = |metric| run.metric(metric, case.cards).unwrap_or(f64::NAN);
            Ok(METRICS.map(of))
        };
        cases.iter().map(one).collect()
    };
    let error = |constants: &Constants| -> Result<f64, ValidateError> {
        let predicted = predict(constants)?;
        let all = predicted.iter().zip(&cases).flat_map(|(found, (_, _, measured))| {
            found.iter().zip(measured).map(|(found, measured)| (found / measured - 1.0).abs())
        });
        Ok(all.sum::<f64>() / (METRICS.len() * cases.len().max(1)) as f64)
    };
    let best = pattern(Constants::PUBLISHED, &CORRECTED, 10, error)?;
    let (before, after) = (predict(&Constants::PUBLISHED)?, predict(&best)?);
    let figures = cases.iter().zip(before.iter().zip(&after)).flat_map(|((path, _, measured), found)| {
        METRICS.iter().enumerate().map(move |(index, metric)| Figure {
            run: (*path).clone(),
            metric,
            measured: measured[index],
            published: found.0[index],
            corrected: found.1[index],
        })
    });
    let constants: BTreeMap<String, f64> =
        CORRECTED.iter().filter_map(|name| Some(((*name).to_owned(), best.get(name)?))).collect();
    let source = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let correction = Correction { card, engine: "vllm".to_owned(), source, constants };
    Ok((correction, figures.collect()))
}

/// The first step of a pattern search, as a share of a constant's range.
const FIRST_STEP: f64 = 0.12;

/// A pattern search: each constant in turn is moved up, then down, by its step; what lowers the error is kept and its
/// step grows, else it shrinks.
fn pattern(
    start: Constants,
    moved: &[&str],
    rounds: u32,
    mut error: impl FnMut(&Constants) -> Result<f64, ValidateError>,
) -> Result<Constants, ValidateError> {
    let moved: Vec<&Constant> =
        moved.iter().filter_map(|name| Constants::ALL.iter().find(|known| known.name == *name)).collect();
    let mut steps = vec![FIRST_STEP; moved.len()];
    let (mut best, mut least) = (start, error(&start)?);
    for _ in 0..rounds {
        for (known, step) in moved.iter().zip(&mut steps) {
            let now = best.get(known.name).unwrap_or(known.value);
            let size = *step * (known.high - known.low);
            let mut found = false;
            for tried in [now + size, now - size] {
                let value = tried.clamp(known.low, known.high);
                if value == now {
                    continue;
                }
                let mut constants = best;
                constants.set(known.name, value);
                let error = error(&constants)?;
                if error < least {
                    (best, least, found) = (constants, error, true);
                    break;
                }
            }
            *step *= if found { 1.3 } else { 0.4 };
        }
    }
    Ok(best)
}

/// The case that a result describes: its mean lengths, and its rate, its concurrency, or all at once.
fn case(catalog: &Catalog, run: &Run, machine: &Machine) -> Result<(String, Case), String> {
    let name = machine.model.as_deref().unwrap_or(&run.model_id);
    let model = names::model(catalog, name).map_err(|skip| format!("{}: {}", skip.reason, skip.example))?;
    let node = names::node(catalog, &machine.accelerator, machine.tp)
        .map_err(|skip| format!("{}: {}", skip.reason, skip.example))?;
    if run.completed == 0 {
        return Err("no request was completed".to_owned());
    }
    let rate = run.request_rate.as_ref().and_then(|rate| match rate {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    });
    let load = match (rate.filter(|rate| rate.is_finite() && *rate > 0.0), run.max_concurrency) {
        (Some(rate), _) => Load::Poisson(rate),
        (None, Some(users)) if users < run.completed => Load::Closed(users),
        _ => Load::Offline(run.completed),
    };
    let each = |tokens: f64| Length::constant((tokens / f64::from(run.completed)).round().max(1.0) as u32);
    let kv = if machine.weights.bits() < 16 { Precision::Fp8 } else { Precision::Bf16 };
    let case = Case {
        model: model.figures,
        node: node.figures,
        cards: machine.tp,
        plan: Some(ParallelismPlan::tensor(machine.tp)),
        weights: machine.weights,
        kv,
        prompt: each(run.total_input_tokens),
        output: each(run.total_output_tokens),
        load,
        engine: Engine::Vllm,
        habits: Habits::default(),
        prefill: None,
        draft: None,
    };
    Ok((node.name, case))
}
