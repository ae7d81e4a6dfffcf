//! Rows of `inference_measured.csv`.

use super::bench::{Case, Engine, Load, Reading};
use super::names;
use super::report::Skip;
use super::table::Fields;
use crate::catalog::{Catalog, Precision};
use crate::perf::{CardSpec, ParallelismPlan};
use crate::traffic::{Length, LengthDist, LogNormal};

/// Mean prompts of the data sets of MLPerf Inference, in tokens, where a row says only `dataset`
/// (mlcommons/inference, language/*/README.md, recalled: OpenOrca 294, CNN-DailyMail 778 for Llama 3.1 8B,
/// LongBench and others 9,428 for Llama 3.1 405B, the mixture of three sets 145 tokens of output and about as
/// long a prompt as OpenOrca, DeepSeek-R1's mixture of reasoning sets about 800).
const DATA_SETS: [(&str, u32); 5] = [
    ("llama-2-70b", 294),
    ("llama-3.1-8b", 778),
    ("llama-3.1-405b", 9428),
    ("mixtral-8x7b", 300),
    ("deepseek-r1", 800),
];

/// Marks latencies of systems that were driven to their capacity.
pub(super) const PAST_KNEE: &str = "_past_knee";

/// Spread of the lengths of real questions and answers: between OpenOrca's and ShareGPT's. An assumption.
const DATA_SET_CV: f64 = 0.8;

/// Reads one row.
pub(super) fn read(catalog: &Catalog, row: Fields<'_>) -> Result<Reading, Skip> {
    let notes = row.text("notes");
    let about = |reason: &str, example: String| Err(Skip { reason: reason.to_owned(), example });
    let place = || format!("line {}: {} on {}", row.line(), row.text("model"), row.text("accelerator"));
    if notes.contains("disagg=True") {
        return about("prefill and decoding on different cards are not built", place());
    }
    if notes.contains("spec=") && !notes.contains("spec=none") {
        return about("speculative decoding is not built", place());
    }
    let cards = row.count("num_gpus").unwrap_or(1);
    let model = names::model(catalog, row.text("model"))?;
    let node = names::node(catalog, row.text("accelerator"), cards)?;
    if model.name == "gpt-j-6b" && row.text("isl") == "dataset" {
        return about("MLPerf's GPT-J searches with four beams, which is not built", place());
    }
    let (prompt, output) = match lengths(row, &model.name) {
        Some(lengths) => lengths,
        None => return about("the row does not say how long prompts and outputs are", place()),
    };
    let (weights, kv) = precisions(row, &node.figures.card);
    let Some(load) = load(row, &prompt, &output) else {
        let found = format!("{} of {}", row.text("load_type"), row.text("load_value"));
        return about("the row's load is none that can be run", format!("{}: {found}", place()));
    };
    let (Some(value), metric) = (row.number("value").filter(|value| *value > 0.0), row.text("metric")) else {
        return about("the row has no value", place());
    };
    // MLPerf and others don't say how the model was cut.
    let plan = row.count("tp").map(|tp| {
        let pp = row.count("pp").unwrap_or(1);
        let ep = row.count("ep").unwrap_or(1);
        match row.text("dp") {
            "attention-DP" => ParallelismPlan { tp: 1, pp, dp: tp, ep: ep.max(1) },
            _ if notes.contains("attention-DP") => {
                ParallelismPlan { tp, pp, dp: row.count("dp").unwrap_or(1), ep }
            }
            _ => ParallelismPlan { tp, pp, dp: 1, ep },
        }
    });
    let engine = Engine::named(&format!("{} {} {notes}", row.text("source"), row.text("version_date")));
    let scale = if row.text("unit") == "ms" { 1e-3 } else { 1.0 };
    // MLPerf's servers are driven at the highest rate that still meets the limit: there latencies say how
    // near the capacity is, and not how long requests take. They are reported apart.
    let driven = notes.contains("scenario=Server") || notes.contains("scenario=Interactive");
    let latency = ["ttft", "tpot", "e2e"].iter().any(|name| metric.starts_with(name));
    let metric = if driven && latency { format!("{metric}{PAST_KNEE}") } else { metric.to_owned() };
    Ok(Reading {
        case: Case {
            model: model.figures,
            node: node.figures,
            cards,
            plan,
            split: None,
            weights,
            kv,
            prompt,
            output,
            load,
            engine,
        },
        source: row.text("source").to_owned(),
        accelerator: node.name,
        model: model.name,
        measured: vec![(metric, value * scale)],
    })
}

/// Lengths of prompt and output.
fn lengths(row: Fields<'_>, model: &str) -> Option<(Length, Length)> {
    let spread = |mean: f64| {
        let dist = LengthDist::LogNormal(LogNormal::MeanCv { mean, cv: DATA_SET_CV });
        Length { max: (mean * 8.0) as u32 + 1, ..Length::new(dist) }
    };
    if row.text("isl") == "dataset" {
        let (_, prompt) = DATA_SETS.iter().find(|(known, _)| *known == model)?;
        return Some((spread(f64::from(*prompt)), spread(row.number("osl")?)));
    }
    let exact = |tokens: f64| {
        let rounded = tokens.round().max(1.0) as u32;
        Length::constant(rounded)
    };
    let (prompt, output) = (row.number("isl")?, row.number("osl")?);
    if row.text("notes").contains("random-range 0.8") {
        let range = |tokens: f64| {
            Length::new(LengthDist::Uniform { low: ((tokens * 0.8) as u32).max(1), high: tokens as u32 })
        };
        return Some((range(prompt), range(output)));
    }
    Some((exact(prompt), exact(output)))
}

fn load(row: Fields<'_>, prompt: &Length, output: &Length) -> Option<Load> {
    let value = row.number("load_value");
    match row.text("load_type") {
        "closed_concurrency" => row.count("load_value").filter(|users| *users <= 100_000).map(Load::Closed),
        "open_poisson_rps" => value.filter(|rate| *rate > 0.0).map(Load::Poisson),
        "open_constant_rps" => value.filter(|rate| *rate > 0.0).map(Load::Even),
        "static_batch" => row.count("load_value").filter(|batch| *batch <= 10_000).map(Load::Static),
        // About six million tokens, which gives the numbers of requests of TensorRT-LLM's tables (30,000 of
        // 256 tokens, 3,000 of 2,000 or 2,200, 1,500 of 4,096; docs/source/performance/perf-overview.md).
        "offline_max" => {
            let tokens = super::bench::mean(prompt) + super::bench::mean(output);
            Some(Load::Offline((6e6 / tokens).clamp(1000.0, 30_000.0) as u32))
        }
        _ => None,
    }
}

/// Formats of weights and KV cache. MLPerf's tables don't say: submissions take the narrowest format that
/// meets the accuracy target, which is fp4 where a card has it and else fp8 or int8. An assumption.
fn precisions(row: Fields<'_>, card: &CardSpec) -> (Precision, Precision) {
    let given = |name: &str| Precision::parse(row.text(name)).ok();
    let weights = given("weights_precision").unwrap_or_else(|| {
        let narrow = [Precision::Fp4, Precision::Fp8, Precision::Int8];
        let native = narrow.into_iter().find(|precision| card.peaks.contains_key(precision));
        native.unwrap_or(Precision::Bf16)
    });
    let kv =
        given("kv_precision").unwrap_or(if weights.bits() < 16 { Precision::Fp8 } else { Precision::Bf16 });
    (weights, kv)
}
