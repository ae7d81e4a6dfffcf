//! Rows of `silicon_agg_disagg.csv` (aiconfigurator).

use super::bench::{Case, Engine, Habits, Load, Prefill, Reading};
use super::inference::{GATHERING, one_prompt_at_a_time, polled};
use super::names;
use super::report::Skip;
use super::table::Fields;
use crate::catalog::{Catalog, Precision};
use crate::perf::ParallelismPlan;
use crate::traffic::{Length, LengthDist};

/// Reads one row: aggregated serving of a closed loop.
pub(super) fn read(catalog: &Catalog, row: Fields<'_>) -> Result<Reading, Skip> {
    let about = |reason: &str, example: String| Err(Skip { reason: reason.to_owned(), example });
    let place = || format!("line {}: {} on {}", row.line(), row.text("model_path"), row.text("system"));
    let split = row.text("mode") != "agg";
    let model = names::model(catalog, row.text("model_path"))?;
    let users = concurrency(row.text("silicon_data_source"));
    let pools = if split { pools(row, users) } else { plan(row, "").map(|plan| (plan, 1, None)) };
    let Some((plan, workers, prefill)) = pools else {
        return about("the row does not say how the model is cut", place());
    };
    let system = row.text("system");
    let node = names::node(catalog, system.strip_suffix("_sxm").unwrap_or(system), plan.cards())?;
    let users = users.or_else(|| {
        // Each rank of attention has this batch.
        let batch = row.count(if split { "decode_batch_size" } else { "batch_size" });
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
        line: row.line(),
        case: Case {
            model: model.figures,
            node: node.figures,
            cards: plan.cards().saturating_mul(workers),
            plan: Some(plan),
            weights,
            kv: if weights.bits() < 16 { Precision::Fp8 } else { Precision::Bf16 },
            prompt: length(prompt),
            output: length(output),
            load: Load::Closed(users),
            engine: Engine::named(row.text("backend")),
            habits: Habits {
                limits: (drawn && !split && row.text("backend") == "trtllm")
                    .then(|| one_prompt_at_a_time(users, Some(plan), prompt)),
                polled_iterations: polled(row.text("backend"), &node.name, users),
                gathering_iterations: if drawn && row.text("backend") == "trtllm" { GATHERING } else { 0 },
                ..Habits::default()
            },
            prefill,
            draft: None,
        },
        source: format!(
            "aiconfigurator {}{}",
            row.text("backend"),
            if split { " disaggregated" } else { "" }
        ),
        // Its rows of 2026 are InferenceX's.
        origin: if drawn { "InferenceX" } else { "aiconfigurator" }.to_owned(),
        accelerator: node.name,
        model: model.name,
        measured,
    })
}

/// The plan and number of decoding workers, and those that prefill. Where the row has no numbers of workers, its
/// `decode_tp_size` is all cards of a pool and `decode_moe_ep_size` the cards of a worker; whether attention is
/// cut or repeated is not told, and ranks are taken where a card has more than sixteen requests.
fn pools(row: Fields<'_>, users: Option<u32>) -> Option<(ParallelismPlan, u32, Option<Prefill>)> {
    if let (Some(workers), Some(decode)) = (row.count("decode_num_workers"), plan(row, "decode_")) {
        let prefill = plan(row, "prefill_")?;
        let of_prompts = row.count("prefill_num_workers").unwrap_or(1);
        return Some((
            decode,
            workers,
            Some(Prefill { workers: of_prompts, plan: Some(prefill), cards: prefill.cards() }),
        ));
    }
    let pool = |name: &str| {
        let count = |column: &str| row.count(&format!("{name}{column}"));
        let (cards, each) = (count("tp_size")?, count("moe_ep_size").unwrap_or(1));
        match each {
            1 if cards == 4 || cards == 8 => Some((cards, 1, 1)),
            1 => None,
            _ => Some((each, cards / each, each)),
        }
    };
    let (decode, workers, ep) = pool("decode_")?;
    let (prompts, of_prompts, prompt_ep) = pool("prefill_")?;
    let crowded = users? > 16 * decode * workers.max(1);
    let cut = |cards: u32, ep: u32, ranks: bool| match ranks && ep > 1 {
        true => ParallelismPlan { tp: 1, pp: 1, dp: cards, ep },
        false => ParallelismPlan { ep, ..ParallelismPlan::tensor(cards) },
    };
    let prefill =
        Prefill { workers: of_prompts.max(1), plan: Some(cut(prompts, prompt_ep, crowded)), cards: prompts };
    Some((cut(decode, ep, crowded), workers.max(1), Some(prefill)))
}

/// The row's plan. Its tables multiply degrees: 8 cards with tp = 8 and ep = 8 have `tp_size` 64, and 4 cards
/// with four ranks `moe_ep_size` 16.
fn plan(row: Fields<'_>, pool: &str) -> Option<ParallelismPlan> {
    let count = |name: &str| row.count(&format!("{pool}{name}"));
    let tp = count("tp_size")?;
    let pp = count("pp_size").unwrap_or(1);
    let dp = count("attention_dp_size").unwrap_or(1);
    let (moe_tp, moe_ep) = (count("moe_tp_size").unwrap_or(1), count("moe_ep_size").unwrap_or(1));
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
