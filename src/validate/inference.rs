//! Rows of `inference_measured.csv`.

use super::bench::{Case, Draft, Engine, Habits, Load, Prefill, Reading, whole};
use super::names;
use super::report::{Skip, origin};
use super::table::Fields;
use crate::catalog::{Catalog, Precision};
use crate::perf::{CardSpec, ParallelismPlan};
use crate::traffic::{Length, LengthDist, LogNormal};

/// A data set of MLPerf Inference: mean prompt, longest prompt and longest output in tokens, where a row says only
/// `dataset` (mlcommons/inference, language/*/README.md, recalled: OpenOrca 294, CNN-DailyMail 778 for Llama 3.1
/// 8B, LongBench and others 9,428 for Llama 3.1 405B, the mixture of three sets 145 tokens of output and about as
/// long a prompt as OpenOrca, DeepSeek-R1's mixture of reasoning sets about 800).
struct DataSet {
    model: &'static str,
    prompt: u32,
    longest_prompt: u32,
    longest_output: u32,
}

const DATA_SETS: [DataSet; 5] = [
    DataSet { model: "llama-2-70b", prompt: 294, longest_prompt: 1024, longest_output: 1024 },
    DataSet { model: "llama-3.1-8b", prompt: 778, longest_prompt: 2540, longest_output: 128 },
    DataSet { model: "llama-3.1-405b", prompt: 9428, longest_prompt: 20_000, longest_output: 2000 },
    DataSet { model: "mixtral-8x7b", prompt: 300, longest_prompt: 1024, longest_output: 1024 },
    DataSet { model: "deepseek-r1", prompt: 800, longest_prompt: 3140, longest_output: 20_000 },
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
    let source = row.text("source");
    let engine = match Engine::named(&format!("{source} {} {notes}", row.text("version_date"))) {
        // Submissions to MLPerf on NVIDIA's cards run TensorRT-LLM, but for Red Hat's.
        Engine::Other if source.starts_with("mlcommons") && !source.contains("RedHat") => {
            if node.name.starts_with("MI") { Engine::Vllm } else { Engine::TensorRtLlm }
        }
        engine => engine,
    };
    if notes.contains("disagg=True") && notes.contains("pw=0") {
        return about("the row does not say how its cards are divided between prompts and decoding", place());
    }
    let split = split(notes);
    let (cards, plan, prefill) = match split {
        Some((prefill, decode_cards)) => {
            // A plan that is larger than a decoding worker's cards means all of them.
            let workers = of_note(notes, "dw").filter(|workers| *workers > 0).unwrap_or(1);
            let each = (decode_cards / workers).max(1);
            let given = plan.filter(|plan| plan.cards() > 1 && plan.cards() <= each);
            (decode_cards, Some(given.unwrap_or_else(|| whole(each, &model.figures, true))), Some(prefill))
        }
        None => (cards, plan, None),
    };
    let long = row.text("isl") == "dataset";
    let told = of_note(notes, "max_num_seqs").zip(of_note(notes, "max_num_batched_tokens"));
    let of_inference_x = engine == Engine::TensorRtLlm && notes.contains("framework=trt") && split.is_none();
    let habits = Habits {
        limits: told.or_else(|| match (of_inference_x, load, row.count("isl")) {
            (true, Load::Closed(users), Some(longest)) => Some(one_prompt_at_a_time(users, plan, longest)),
            _ => None,
        }),
        repeated_prompts: notes.contains("prefix caching likely on"),
        long,
        polled_iterations: match load {
            Load::Closed(users) => polled(notes, &node.name, users),
            _ => 0,
        },
        gathering_iterations: if engine == Engine::TensorRtLlm { GATHERING } else { 0 },
    };
    let scale = if row.text("unit") == "ms" { 1e-3 } else { 1.0 };
    // MLPerf's servers are driven at the highest rate that still meets the limit: there latencies say how
    // near the capacity is, and not how long requests take. They are reported apart.
    let driven = notes.contains("scenario=Server") || notes.contains("scenario=Interactive");
    let latency = ["ttft", "tpot", "e2e"].iter().any(|name| metric.starts_with(name));
    let metric = if driven && latency { format!("{metric}{PAST_KNEE}") } else { metric.to_owned() };
    Ok(Reading {
        line: row.line(),
        case: Case {
            model: model.figures,
            node: node.figures,
            cards,
            plan,
            weights,
            kv,
            prompt,
            output,
            load,
            engine,
            habits,
            prefill,
            draft: speculates(notes).then_some(DRAFT),
        },
        source: row.text("source").to_owned(),
        origin: origin(row.text("source")),
        accelerator: node.name,
        model: model.name,
        measured: vec![(metric, value * scale)],
    })
}

/// What multi-token prediction proposes and gets in InferenceX's runs of DeepSeek-R1: three tokens on most, of which
/// the first is right in 0.8 to 0.9 of all cases (DeepSeek-V3, arXiv 2412.19437, section 5.4.3: 85 to 90 % for
/// the second token) and random prompts make it less. An assumption.
const DRAFT: Draft = Draft { tokens: 3, acceptance: 0.7 };

/// Requests and tokens of an iteration as InferenceX's scripts set them for TensorRT-LLM: a token for each user and one
/// prompt beside them (`MAX_NUM_TOKENS=$(( (CONC+ISL+64+63)/64*64 ))`, benchmarks/dsr1_*_trt.sh; recalled), on each
/// rank of attention.
pub(super) fn one_prompt_at_a_time(users: u32, plan: Option<ParallelismPlan>, longest: u32) -> (u32, u32) {
    let each = users.div_ceil(plan.map_or(1, |plan| plan.dp)).max(1);
    (each, each.saturating_add(longest).saturating_add(127) / 64 * 64)
}

/// How long TensorRT-LLM waits under attention data parallelism until each rank has a prompt, as InferenceX's scripts
/// set it (`attention_dp_config: enable_balance: true, timeout_iters: 60`; recalled).
pub(super) const GATHERING: u32 = 60;

/// How often InferenceX's scripts let SGLang look for new requests on Blackwell: every tenth iteration, with 16 users
/// and more every thirtieth (`scheduler_recv_interval`, benchmarks/dsr1_*_b200_*.sh; recalled).
pub(super) fn polled(text: &str, card: &str, users: u32) -> u32 {
    let blackwell = ["B200", "B300", "GB200", "GB300"].iter().any(|known| card.starts_with(known));
    match (text.contains("sglang") && blackwell, users) {
        (false, _) | (true, 0..=1) => 0,
        (true, 2..=15) => 10,
        (true, _) => 30,
    }
}

fn speculates(notes: &str) -> bool {
    notes.contains("spec=") && !notes.contains("spec=none")
}

/// The number behind `name=`.
fn of_note(notes: &str, name: &str) -> Option<u32> {
    let (_, rest) = notes.split_once(&format!("{name}="))?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok()
}

/// Cards that prefill, and how many decode.
fn split(notes: &str) -> Option<(Prefill, u32)> {
    if !notes.contains("disagg=True") {
        return None;
    }
    let (prefill, decode) = (of_note(notes, "prefill_gpu")?, of_note(notes, "decode_gpu")?);
    let workers = of_note(notes, "pw").filter(|workers| *workers > 0).unwrap_or(1);
    let cards = (prefill / workers).max(1);
    Some((Prefill { workers, plan: None, cards }, decode.max(1)))
}

/// Lengths of prompt and output.
fn lengths(row: Fields<'_>, model: &str) -> Option<(Length, Length)> {
    let spread = |mean: f64, longest: u32| {
        let dist = LengthDist::LogNormal(LogNormal::MeanCv { mean, cv: DATA_SET_CV });
        Length { max: longest.max(mean as u32 + 1), ..Length::new(dist) }
    };
    if row.text("isl") == "dataset" {
        let set = DATA_SETS.iter().find(|set| set.model == model)?;
        let prompt = spread(f64::from(set.prompt), set.longest_prompt);
        return Some((prompt, spread(row.number("osl")?, set.longest_output)));
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
