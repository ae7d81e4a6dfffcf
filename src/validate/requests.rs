//! Logs of single requests: `RUN.jsonl` with what was run in `RUN.meta.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::bench::{Case, Engine, Habits, Load, Logged, quantities, replay};
use super::names;
use super::report::{Compared, Row, Skip};
use super::table::ValidateError;
use crate::catalog::{Catalog, Precision};
use crate::perf::ParallelismPlan;
use crate::perf::constants::Constants;
use crate::traffic::Length;

/// One line of the log.
#[derive(Debug, Deserialize)]
struct Line {
    arrival_s: f64,
    input_tokens: u32,
    output_tokens: u32,
    ttft_s: f64,
    e2e_s: f64,
}

#[derive(Debug, Deserialize)]
struct Meta {
    model: String,
    #[serde(default)]
    vllm_version: String,
    engine_kwargs: Kwargs,
    kv_cache: KvCache,
    hardware: Hardware,
}

#[derive(Debug, Deserialize)]
struct Kwargs {
    #[serde(default = "one")]
    tensor_parallel_size: u32,
    max_num_seqs: u32,
    max_num_batched_tokens: u32,
    #[serde(default)]
    dtype: String,
}

#[derive(Debug, Deserialize)]
struct KvCache {
    num_gpu_blocks: u64,
    block_size: u32,
}

#[derive(Debug, Deserialize)]
struct Hardware {
    device_name: String,
}

const fn one() -> u32 {
    1
}

/// Replays the log's arrivals and compares means and distributions. Every figure is a row of its own; the
/// number of KV blocks is compared as well, and the run uses the measured one.
pub(super) fn rows(path: &Path, constants: &Constants) -> Result<Vec<Row>, ValidateError> {
    let unreadable = |file: &Path, why: String| ValidateError::Unreadable { path: file.to_owned(), why };
    let meta_path = path.with_extension("meta.json");
    let text = fs::read_to_string(&meta_path).map_err(|error| unreadable(&meta_path, error.to_string()))?;
    let meta: Meta =
        serde_json::from_str(&text).map_err(|error| unreadable(&meta_path, error.to_string()))?;
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error.to_string()))?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line)
            .map_err(|error| unreadable(path, format!("line {}: {error}", number + 1)))?;
        let sound = [line.arrival_s, line.ttft_s, line.e2e_s].iter().all(|time| *time >= 0.0 && *time < 1e9)
            && line.input_tokens > 0
            && line.output_tokens > 0
            && line.e2e_s >= line.ttft_s;
        if !sound {
            return Err(unreadable(path, format!("line {}: times or tokens are impossible", number + 1)));
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(unreadable(path, "there is no request in it".to_owned()));
    }
    lines.sort_by(|a, b| a.arrival_s.total_cmp(&b.arrival_s));
    let catalog = Catalog::embedded();
    Ok(compare(&catalog, path, &meta, &lines, constants).unwrap_or_else(|skip| vec![Err(skip)]))
}

fn compare(
    catalog: &Catalog,
    path: &Path,
    meta: &Meta,
    lines: &[Line],
    constants: &Constants,
) -> Result<Vec<Row>, Skip> {
    let kwargs = &meta.engine_kwargs;
    let model = names::model(catalog, &meta.model)?;
    let device = meta.hardware.device_name.trim_start_matches("NVIDIA ").trim_start_matches("GeForce ");
    let node = names::node(catalog, device, kwargs.tensor_parallel_size)?;
    let weights = Precision::parse(&kwargs.dtype.replace("bfloat", "bf").replace("float", "fp"))
        .unwrap_or(Precision::Bf16);
    let case = Case {
        model: model.figures,
        node: node.figures,
        cards: kwargs.tensor_parallel_size,
        plan: Some(ParallelismPlan::tensor(kwargs.tensor_parallel_size)),
        weights,
        kv: Precision::Bf16,
        prompt: Length::constant(1),
        output: Length::constant(1),
        load: Load::Offline(1),
        engine: Engine::named("vllm"),
        habits: Habits::default(),
        prefill: None,
        draft: None,
    };
    let logged = Logged {
        max_batch_requests: kwargs.max_num_seqs,
        max_batch_tokens: kwargs.max_num_batched_tokens,
        kv_blocks: meta.kv_cache.num_gpu_blocks,
        block_tokens: meta.kv_cache.block_size,
        requests: lines.iter().map(|line| (line.arrival_s, line.input_tokens, line.output_tokens)).collect(),
    };
    let failed = |why: String| Skip { reason: "the run can't be repeated".to_owned(), example: why };
    let run = replay(&case, &logged, constants).map_err(|unfit| failed(unfit.detail))?;
    let measured: Vec<(f64, f64, u32)> =
        lines.iter().map(|line| (line.ttft_s, line.e2e_s, line.output_tokens)).collect();
    let predicted: Vec<(f64, f64, u32)> =
        run.prediction.answers.iter().map(|answer| (answer.ttft, answer.e2e, answer.output)).collect();
    let (measured, mut predicted) = (quantities(&measured), quantities(&predicted));
    predicted.insert("kv_blocks".to_owned(), run.kv_blocks as f64);
    let measured: BTreeMap<String, f64> =
        measured.into_iter().chain([("kv_blocks".to_owned(), meta.kv_cache.num_gpu_blocks as f64)]).collect();
    let source = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok(measured
        .into_iter()
        .map(|(metric, measured)| {
            Ok(Compared {
                line: 0,
                source: format!("{source} (vLLM {})", meta.vllm_version),
                origin: source.clone(),
                accelerator: node.name.clone(),
                model: model.name.clone(),
                predicted: predicted.get(&metric).copied().unwrap_or(0.0),
                metric: format!("request_log_{metric}"),
                measured,
            })
        })
        .collect())
}
