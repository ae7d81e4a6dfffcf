//! Rows of `silicon_agg_disagg.csv` (aiconfigurator): replicas that do both prompts and outputs, or each its own.

use super::bench::{Case, Engine, Load, Reading, Split};
use super::names;
use super::report::Skip;
use super::table::Fields;
use crate::catalog::{Catalog, Precision};
use crate::perf::ParallelismPlan;
use crate::traffic::{Length, LengthDist};

/// Reads one row: a closed loop.
pub(super) fn read(catalog: &Catalog, row: Fields<'_>) -> Result<Reading, Skip> {
    let about = |reason: &str, example: String| Err(Skip { reason: reason.to_owned(), example });
    let place = || format!("line {}: {} on {}", row.line(), row.text("model_path"), row.text("system"));
    let (kind, split) = match row.text("mode") {
        "agg" => ("", None),
        _ => match split(row) {
            Some(split) => ("decode_", Some(split)),
            None => return about("the row does not say how many replicas prefill and decode", place()),
        },
    };
    let Some(plan) = plan(row, kind) else {
        return about("the row does not say how the model is cut", place());
    };
    let model = names::model(catalog, row.text("model_path"))?;
    let system = row.text("system");
    let most = plan.cards().max(split.map_or(0, |split| split.plan.cards()));
    let workers = split.and_then(|_| row.count("decode_num_workers")).unwrap_or(1);
    let node = names::node(catalog, system.strip_suffix("_sxm").unwrap_or(system), most)?;
    let users = concurrency(row.text("silicon_data_source")).or_else(|| {
        // Each rank of attention has this batch.
        let batch = row.count(&format!("{kind}batch_size"));
        batch.map(|batch| batch.saturating_mul(plan.dp).saturating_mul(workers))
    });
    let (Some(users), Some(prompt), Some(output)) = (users, row.count("isl"), row.count("osl")) else {
        return about("the row does not say its load", place());
    };
    let weights = match row.text("gemm_quant_mode") {
        "nvfp4" => Precision::Fp4,
        "" => Precision::Bf16,
        _ => Precision::Fp8,
    };
    // InferenceX, from which the rows of 2026 come, draws lengths between 0.8 and 1 of the nominal ones.
    let drawn = !row.text("silicon_data_source").contains("source_file=data/");
    let length = |tokens: u32| match drawn {
        true => Length::new(LengthDist::Uniform { low: (tokens * 4 / 5).max(1), high: tokens }),
        false => Length::constant(tokens),
    };
    let times = [("ttft_mean", "silicon_ttft_ms"), ("tpot_mean", "silicon_tpot_ms")];
    let measured: Vec<(String, f64)> = times
        .iter()
        .filter_map(|(metric, column)| {
            Some(((*metric).to_owned(), row.number(column).filter(|ms| *ms > 0.0)? / 1e3))
        })
        .collect();
    if measured.is_empty() {
        return about("the row has no value", place());
    }
    Ok(Reading {
        case: Case {
            model: model.figures,
            node: node.figures,
            cards: plan.cards() * workers,
            plan: Some(plan),
            split,
            weights,
            kv: if weights.bits() < 16 { Precision::Fp8 } else { Precision::Bf16 },
            prompt: length(prompt),
            output: length(output),
            load: Load::Closed(users),
            engine: Engine::named(row.text("backend")),
        },
        source: match split {
            None => format!("aiconfigurator {}", row.text("backend")),
            Some(_) => format!("aiconfigurator {} disaggregated", row.text("backend")),
        },
        accelerator: node.name,
        model: model.name,
        measured,
    })
}

/// The replicas that process prompts, where the row says how many those and the others are.
fn split(row: Fields<'_>) -> Option<Split> {
    row.count("decode_num_workers")?;
    let (plan, workers) = (plan(row, "prefill_")?, row.count("prefill_num_workers")?);
    Some(Split { plan, workers, batch: row.count("prefill_batch_size") })
}

/// The row's plan: of replicas of that kind. Its tables multiply degrees: 8 cards with tp = 8 and ep = 8 have `tp_size` 64, and 4 cards
/// with four ranks `moe_ep_size` 16.
fn plan(row: Fields<'_>, kind: &str) -> Option<ParallelismPlan> {
    let degree = |name: &str| row.count(&format!("{kind}{name}"));
    let tp = degree("tp_size")?;
    let pp = degree("pp_size").unwrap_or(1);
    let dp = degree("attention_dp_size").unwrap_or(1);
    let (moe_tp, moe_ep) = (degree("moe_tp_size").unwrap_or(1), degree("moe_ep_size").unwrap_or(1));
    let whole = |tp: u32, dp: u32, ep: u32| Some(ParallelismPlan { tp, pp, dp, ep });
    if moe_tp > 1 && moe_tp == moe_ep && tp == moe_tp * moe_ep {
        return whole(moe_tp, 1, moe_ep);
    }
    if moe_tp > 1 && moe_tp == moe_ep && dp == moe_tp * moe_ep {
        return whole(1, moe_tp, moe_ep);
    }
    if dp > 1 && tp == dp && moe_ep == tp * dp {
        return whole(1, dp, dp);
    }
    whole(tp, dp, moe_ep)
}

/// The clients at the same time, where the row's origin says so.
fn concurrency(origin: &str) -> Option<u32> {
    let (_, rest) = origin.split_once("silicon_concurrency=")?;
    rest.split(';').next()?.trim().parse().ok().filter(|users| *users > 0)
}
