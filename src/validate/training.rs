//! Rows of `training_measured.csv`.

use super::names;
use super::report::{Compared, Row, Skip, origin};
use super::table::{Fields, Table};
use crate::catalog::{Catalog, Precision};
use crate::perf::constants::Constants;
use crate::perf::{PlanError, TrainingJob, TrainingLayout, TrainingState, training_throughput};

/// Compares every row.
pub(super) fn rows(table: &Table, constants: &Constants) -> Vec<Row> {
    let catalog = Catalog::embedded();
    table.rows().map(|row| compare(&catalog, row, constants)).collect()
}

fn compare(catalog: &Catalog, row: Fields<'_>, constants: &Constants) -> Row {
    let place = || format!("line {}: {} on {}", row.line(), row.text("model"), row.text("accelerator"));
    let about = |reason: &str| Err(Skip { reason: reason.to_owned(), example: place() });
    let metric = row.text("metric");
    if metric == "time_to_train_min" {
        return about("how many steps it takes to the target is not in the row");
    }
    let (Some(cards), Some(sequence), Some(batch)) =
        (row.count("num_gpus"), row.count("seq_len"), row.count("global_batch"))
    else {
        return about("the row lacks cards, sequence or batch");
    };
    // Variants such as "Qwen3_235B_a22B (tokendrop)" have the same shape.
    let name = row.text("model");
    let plain = name.split(" (").next().unwrap_or(name);
    let model = names::model(catalog, name).or_else(|_| names::model(catalog, plain))?;
    let node = names::node(catalog, row.text("accelerator"), cards)?;
    let Some(precision) = precision(row.text("precision")) else {
        return about("the row does not say in which format it trains");
    };
    let adapters_only = row.text("task").contains("LoRA");
    let or_one = |column: &str| row.count(column).unwrap_or(1);
    let (tp, cp) = match row.count("tp") {
        Some(tp) => (tp, or_one("cp")),
        None => untold(row, cards, batch, node.figures.cards),
    };
    let sharded = match row.text("fsdp") {
        "FULL_SHARD" => true,
        text => text.parse::<u32>().is_ok_and(|ranks| ranks > 0),
    };
    let layout = TrainingLayout {
        pp: or_one("pp"),
        interleave: or_one("vpp"),
        cp,
        ep: or_one("ep"),
        micro_batch: row.count("micro_batch"),
    };
    let job = TrainingJob {
        tp: Some(tp),
        sequence,
        batch_tokens: Some(u64::from(batch) * u64::from(sequence)),
        precision,
        // Megatron's gradients are in 32 bits.
        state: TrainingState::Sixteen,
        sharded: Some(sharded),
        recompute: match row.text("activation_recompute") {
            "full" => Some(true),
            "none" => Some(false),
            _ => None,
        },
        layout,
        adapters_only,
        constants,
        ..TrainingJob::new(&model.figures, &node.figures, cards)
    };
    // What ran did fit: where the memory rule is too strict, it fits with the state cut further.
    let step = training_throughput(&job)
        .or_else(|error| match error {
            PlanError::DoesNotFit(_) => training_throughput(&TrainingJob {
                sharded: None,
                recompute: None,
                layout: TrainingLayout { micro_batch: Some(1), ..layout },
                ..job
            }),
            other => Err(other),
        })
        .map_err(|error| {
            let reason = match error {
                PlanError::DoesNotFit(_) => "the model holds that it does not fit",
                _ => "the plan is one that the model refuses",
            };
            Skip { reason: reason.to_owned(), example: format!("{}: {error}", place()) }
        })?;
    let tokens = step.tokens_per_second.as_per_second();
    let each = tokens / f64::from(cards);
    // llm-foundry counts every pair of tokens in attention, this model and Megatron the causal half.
    let mut flop = step.flop_per_token.0 as f64;
    if row.text("source").contains("llm-foundry") {
        flop += 6.0 * f64::from(model.figures.layers) * f64::from(model.figures.hidden) * f64::from(sequence);
    }
    let per_step = f64::from(batch) * f64::from(sequence);
    let predicted = match metric {
        "tokens_per_s_per_gpu" => each,
        "model_tflops_per_gpu" => each * flop / 1e12,
        "mfu_pct" => step.mfu * 100.0 * flop / step.flop_per_token.0 as f64,
        "step_s" => per_step / tokens,
        "samples_per_s" => tokens / f64::from(sequence),
        _ => return about("the metric is none that the model gives"),
    };
    let Some(measured) = row.number("value").filter(|value| *value > 0.0) else {
        return about("the row has no value");
    };
    Ok(Compared {
        line: row.line(),
        source: row.text("source").to_owned(),
        origin: origin(row.text("source")),
        accelerator: node.name,
        model: model.name,
        metric: metric.to_owned(),
        measured,
        predicted,
    })
}

/// Tensor and context parallelism where the row does not tell: MLPerf's notes have the steps of gradient
/// accumulation, and what batch and accumulation leave of the cards shares one sequence.
fn untold(row: Fields<'_>, cards: u32, batch: u32, per_node: u32) -> (u32, u32) {
    let accumulated = row
        .text("notes")
        .split("grad_accum=")
        .nth(1)
        .and_then(|rest| rest.split(';').next()?.trim().parse::<u32>().ok())
        .unwrap_or(1);
    let ranks = (batch / (accumulated.max(1) * row.count("micro_batch").unwrap_or(1))).clamp(1, cards);
    let shared = (cards / ranks).max(1);
    let tp = shared.min(per_node).min(8);
    (tp, (shared / tp).max(1))
}

/// The format of matrix products: `amp_bf16`, `FP8-CS`, `MXFP8`, `NVFP4`, `fp8 (TransformerEngine)`.
fn precision(text: &str) -> Option<Precision> {
    let text = text.to_lowercase();
    let known = [
        ("fp4", Precision::Fp4),
        ("fp8", Precision::Fp8),
        ("bf16", Precision::Bf16),
        ("fp16", Precision::Fp16),
    ];
    known.into_iter().find(|(name, _)| text.contains(name)).map(|(_, precision)| precision)
}
