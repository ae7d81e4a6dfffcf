//! `[[deployments]]`.

use std::path::PathBuf;

use super::Surroundings;
use super::adapter::{self, RawLora};
use super::autoscaler::{self, RawAutoscaler};
use super::batching::{self, RawSwap};
use super::disaggregated::{RawDisaggregated, read as disaggregated};
use super::lifecycle::{self, RawStart, Replicas};
use super::speculative::{RawSpeculative, speculative};
use super::tiers::{self, RawTiers};
use super::weights::{self, RawWeights};
use crate::perf::{AffineStep, ParallelismPlan};
use crate::policies::router::RouterKind;
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::problem::{Place, Problem};
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Sited, Unfit};
use crate::scenario::resolve::choice::Choose;
use crate::serving::{Batching, Drain};
use crate::traffic::Start;
use crate::units::{Bytes, Duration, Ticks};

/// A deployment.
#[derive(Debug, Clone)]
pub struct RawDeployment {
    pub name: Sited<String>,
    pub model: Sited<String>,
    pub precision: Sited<String>,
    /// The format of the KV cache; 16 bits when absent.
    pub kv_precision: Sited<String>,
    pub pools: Vec<Sited<String>>,
    /// Among pools with free cards, which a replica gets.
    pub choose: Choose,
    pub parallelism: Sited<Parallelism>,
    pub batching: Batching,
    pub swap: RawSwap,
    pub routing: RouterKind,
    pub replicas: Replicas,
    /// Whether replicas may come and go during the run.
    pub changes: bool,
    pub start: Option<RawStart>,
    pub drain: Drain,
    pub autoscaler: Option<RawAutoscaler>,
    pub max_queued_requests: Option<u32>,
    pub max_context: Option<u32>,
    pub prefix_caching: bool,
    pub kv_tiers: Option<RawTiers>,
    pub block_tokens_place: Place,
    pub step_time: Option<StepTime>,
    /// A correction of the performance model for this card and engine: the file's name as given, and its path.
    pub correction: Option<(Sited<String>, PathBuf)>,
    /// What its cards reach of what the performance model expects: 0.1 to 10.
    pub efficiency: f64,
    pub weights: RawWeights,
    pub kv_blocks: Option<u64>,
    pub block_tokens: u32,
    pub memory_utilization: f64,
    pub speculative: Option<RawSpeculative>,
    pub lora: Option<RawLora>,
    /// The hosts that it shares with other deployments, and whether it stays there.
    pub host: Option<Sited<String>>,
    pub pinned: bool,
    /// Bytes of the weights, where the model is not known.
    pub weight_bytes: Option<Bytes>,
    /// Requests whose first token is predicted later than this are turned away.
    pub max_predicted_ttft: Option<Duration>,
    pub disaggregated: Option<RawDisaggregated>,
    /// KV cache of a token, where the model is not known.
    pub kv_per_token: Option<Bytes>,
    pub place: Place,
}

/// How a replica is cut over cards.
#[derive(Debug, Clone)]
pub enum Parallelism {
    /// The smallest plan that fits.
    Auto,
    /// The same on every pool.
    All(ParallelismPlan),
    /// Its own for each pool, by name.
    ByPool(Vec<(Sited<String>, ParallelismPlan)>),
}

/// How long iterations take, where the scenario says so.
#[derive(Debug, Clone)]
pub enum StepTime {
    /// Measured coefficients.
    Affine(AffineStep),
    /// A table of measured times.
    Profile {
        /// The path as written.
        file: Sited<String>,
        /// The same from where the process runs.
        path: PathBuf,
        /// Whether the table's last slopes go on where it ends.
        extend: bool,
    },
}

/// A time that may be shorter than a nanosecond.
const STEP: Kind<Ticks> = Kind {
    what: "a time such as \"8ms\" or \"0.15us\"",
    read: |value| match value {
        Value::Text(text) => match Ticks::parse(text) {
            // An iteration of an hour is no iteration; and sums of many must stay within 128 bits.
            Ok(ticks) if ticks.as_secs_f64() <= 3600.0 => Ok(ticks),
            Ok(_) => Err(Unfit::Value(format!("`{text}` is longer than an hour"))),
            Err(error) => Err(Unfit::Value(error.to_string())),
        },
        _ => Err(Unfit::Type),
    },
};

/// "auto".
const AUTO: Kind<Parallelism> = Kind {
    what: "\"auto\"",
    read: |value| match value {
        Value::Text(text) if text == "auto" => Ok(Parallelism::Auto),
        Value::Text(text) => Err(Unfit::Value(format!("`{text}` is no plan; give \"auto\" or {{ tp = 8 }}"))),
        _ => Err(Unfit::Type),
    },
};

/// A share of memory above zero.
const UTILIZATION: Kind<f64> = Kind {
    what: "a share above 0, at most 1",
    read: |value| match (kinds::SHARE.read)(value)? {
        0.0 => Err(Unfit::Value("with no memory nothing fits; the usual value is 0.9".to_owned())),
        share => Ok(share),
    },
};

/// What cards reach of what the performance model expects; draws of an uncertain one must fit in too.
const EFFICIENCY: Kind<f64> = Kind {
    what: "a number from 0.1 to 10, 1 being what the performance model expects",
    read: |value| match (kinds::POSITIVE.read)(value)? {
        share if (0.1..=10.0).contains(&share) => Ok(share),
        share => Err(Unfit::Value(format!("it is {share}; it must be from 0.1 to 10"))),
    },
};

/// What prompt tokens weigh.
const OVERLAP_WEIGHT: Kind<f64> = Kind {
    what: "a number from 0 to 1000",
    read: |value| match (kinds::NOT_NEGATIVE.read)(value)? {
        weight if weight > 1000.0 => {
            Err(Unfit::Value(format!("{weight} is more than 1000; Dynamo's default is 1")))
        }
        weight => Ok(weight),
    },
};

/// Reads one deployment.
pub fn read(t: &mut TableReader<'_>, around: Surroundings<'_>, clock: Start) -> Option<RawDeployment> {
    let name = t.required("name", &kinds::NAME, "Its name.");
    let model = t.required("model", &kinds::REFERENCE, "The model that it serves; streams find it by this.");
    let doc = "The format of the weights: bf16, fp16, fp8, int8, int4, fp4, ...";
    let precision = t.or("precision", &kinds::TEXT, "\"bf16\"", doc);
    let kv_precision = t.or("kv_precision", &kinds::TEXT, "\"bf16\"", "The format of the KV cache.");
    let doc = "The pools on which its replicas may run, in order of preference.";
    let disaggregated = disaggregated(t, around, clock);
    let pools = t.list("pools", &kinds::REFERENCE, disaggregated.is_none(), doc);
    let doc = "Which of several pools with free cards a replica gets: the first named, the one whose cards cost the \
               least, the one on which a full batch makes the most tokens a second, or the one on which a token \
               costs the least.";
    // Absent, it stays out of the resolved file, which then says what it always said.
    let choose = if t.is_describing() || t.has("choose") {
        t.choice("choose", &Choose::ALL, &[], Some("first-fit"), doc)
    } else {
        t.declare("choose", "one of four", None, doc);
        None
    };
    let parallelism = parallelism(t);
    let doc =
        "Bytes of KV cache of a token over all cards, for hand-over and tiers; the model's when absent.";
    let kv_per_token = t.optional("kv_bytes_per_token", &kinds::BYTES, doc);
    let batching = t.table_or_default("batching", "What goes into a replica's iterations.", batching::read);
    let routing = t.choice(
        "routing",
        &RouterKind::ALL,
        &["weighted"],
        Some("least-outstanding-requests"),
        "Which replica a request goes to.",
    );
    let doc =
        "Of the prefix-affinity router: what a prompt token to process weighs against an outstanding one.";
    let overlap_weight = t.optional("overlap_weight", &OVERLAP_WEIGHT, doc);
    let routing = routing.map(|routing| match (*routing, overlap_weight) {
        (RouterKind::PrefixAffinity { .. }, Some(weight)) => {
            RouterKind::PrefixAffinity { overlap_weight: (*weight * 1000.0).round() as u32 }
        }
        (kind, None) => kind,
        (kind, Some(weight)) => {
            let message = format!("{}: only the prefix-affinity router has an `overlap_weight`", t.noun());
            t.problem(
                Problem::error(weight.place, message)
                    .help("take it out, or set routing = \"prefix-affinity\""),
            );
            kind
        }
    });
    let replicas = lifecycle::replicas(t);
    let start = lifecycle::start(t);
    let drain = lifecycle::drain(t);
    let autoscaler = autoscaler::read(t, around, replicas, clock);
    let queue = t.table("queue", "The queue of each replica; without bound when absent.", |t| {
        let doc = "Most requests that may wait at one replica; further ones are rejected.";
        let max_requests = t.required("max_requests", &kinds::COUNT, doc);
        Some(*max_requests?)
    });
    let doc = "Longest prompt and output together; longer requests are rejected. The model's when absent.";
    let max_context = t.optional("max_context", &kinds::TOKENS, doc);
    let doc = "Measured times of iterations, instead of the performance model: coefficients, or a table.";
    let step_time = t.table("step_time", doc, |t| step_time(t, around));
    let doc = "A file that `fleetsim calibrate` wrote: constants of the performance model for this card and engine.";
    let correction = t.optional("correction", &kinds::PATH, doc).and_then(|file| {
        let path = around.path(&file);
        t.absolute("correction", &path);
        t.file_exists(&file, &path, &[]);
        path.is_file().then_some((file, path))
    });
    let doc = "What the cards reach, as a share of what the performance model expects; it may be uncertain.";
    let efficiency = t.or("efficiency", &EFFICIENCY, "1", doc);
    if let Some(share) = &efficiency
        && step_time.is_some()
        && share.value != 1.0
    {
        let message = format!("{} states its times, which `efficiency` cannot change", t.noun());
        t.problem(Problem::error(share.place, message).help("leave out `efficiency` or `step_time`"));
    }
    let weights = weights::read(t);
    let doc = "KV blocks of a replica, instead of what memory leaves.";
    let kv_blocks = t.optional("kv_blocks", &kinds::LARGE_COUNT, doc);
    let block_tokens = t.or("block_tokens", &kinds::COUNT, "16", "Tokens in a KV block.");
    let doc = "Keep the KV blocks of prompts for later prompts that begin alike, where a trace tells by its hashes.";
    let prefix_caching = t.or("prefix_caching", &kinds::BOOL, "true", doc);
    let kv_tiers = tiers::tiers(t);
    let doc = "The share of a card's memory that the engine may take.";
    let memory_utilization = t.or("memory_utilization", &UTILIZATION, "0.9", doc);
    let doc = "A draft proposes tokens, and the model checks them in one iteration.";
    let speculative = t.table("speculative", doc, speculative);
    let doc = "Which requests are let into the queue; all when absent.";
    let admission = t.table("admission", doc, |t| {
        let doc = "Requests whose first token is predicted later than this after their arrival are rejected.";
        Some(*t.required("max_predicted_ttft", &kinds::POSITIVE_TIME, doc)?)
    });
    let lora = adapter::lora(t);
    let doc = "Shares these [[hosts]] with the other deployments that name them, each with a model of its own: as many \
               of them are on a host's cards as their weights and `kv_blocks` leave room for, without `kv_blocks` one.";
    let host = t.optional("host", &kinds::REFERENCE, doc);
    let doc = "The model stays on every host.";
    let pinned = t.optional("pinned", &kinds::BOOL, doc);
    let doc = "Bytes of the weights over all cards; the model's when absent.";
    let weight_bytes = t.optional("weight_bytes", &kinds::BYTES, doc);
    let mut clash = |key: &str, why: &str, help: &str| {
        if t.has(key) {
            let message = format!("{} has `{key}`, {why}", t.noun());
            t.problem(Problem::error(t.place_of(key), message).help(help));
        }
    };
    if host.is_some() {
        clash(
            "replicas",
            "but as many as there are hosts",
            "say how many under [[hosts]], and take it out here",
        );
        clash(
            "routing",
            "but requests go to the hosts that have its model",
            "take it out; [[hosts]] has `placement`",
        );
    } else {
        clash("pinned", "but shares no hosts", "add host = \"...\", or take it out");
    }
    // What is wrong has been reported; stand-ins let the rest be checked all the same.
    let format = |given: Option<Sited<String>>| {
        given.unwrap_or_else(|| Sited { value: "bf16".to_owned(), place: t.place })
    };
    let (batching, swap) = batching.unwrap_or_default();
    let automatic = Sited { value: Parallelism::Auto, place: t.place };
    Some(RawDeployment {
        name: name?,
        model: model?,
        precision: format(precision),
        kv_precision: format(kv_precision),
        pools: pools?,
        choose: choose.map_or(Choose::FirstFit, |choose| *choose),
        parallelism: parallelism.unwrap_or(automatic),
        batching,
        swap,
        routing: routing.unwrap_or(RouterKind::LeastOutstandingRequests),
        replicas,
        changes: t.has("autoscaler"),
        start,
        drain,
        autoscaler,
        max_queued_requests: queue,
        max_context: max_context.map(|tokens| *tokens),
        step_time,
        correction,
        efficiency: efficiency.map_or(1.0, |share| *share),
        weights: weights.unwrap_or_default(),
        kv_blocks: kv_blocks.map(|blocks| *blocks),
        prefix_caching: prefix_caching.as_ref().is_none_or(|keep| keep.value),
        kv_tiers,
        block_tokens_place: block_tokens.as_ref().map_or(t.place, |tokens| tokens.place),
        block_tokens: block_tokens.map_or(16, |tokens| *tokens),
        memory_utilization: memory_utilization.map_or(0.9, |share| *share),
        speculative,
        lora,
        host,
        pinned: pinned.is_some_and(|pinned| *pinned),
        weight_bytes: weight_bytes.map(|bytes| *bytes),
        max_predicted_ttft: admission,
        disaggregated,
        kv_per_token: kv_per_token.map(|bytes| *bytes),
        place: t.place,
    })
}

pub(super) fn parallelism(t: &mut TableReader<'_>) -> Option<Sited<Parallelism>> {
    let place = t.place_of("parallelism");
    let doc = "How a replica is cut over cards: \"auto\" (when absent), { tp = 8 }, or \
               { pools = { base = { tp = 8 }, ... } }.";
    let absent = !t.has("parallelism");
    let read = t.short_or_table(
        "parallelism",
        &AUTO,
        doc,
        |auto| auto,
        |t| {
            let split = split(t, false);
            let pools = t.table("pools", "A plan for each pool, by its name.", |t| {
                let mut plans = Vec::new();
                for (key, place) in t.other_keys() {
                    let plan = t.other(&key, "The plan on this pool.", split_of)?;
                    plans.push((Sited { value: key, place }, plan));
                }
                Some(plans)
            });
            match (split, pools) {
                (Some(_), Some(_)) => {
                    let message = format!("{} gives plans both for all pools and for each", t.noun());
                    t.problem(Problem::error(t.place, message).help("keep either `tp` and `pp`, or `pools`"));
                    None
                }
                (Some(split), None) => Some(Parallelism::All(split)),
                (None, Some(plans)) => Some(Parallelism::ByPool(plans)),
                (None, None) => {
                    if !t.is_describing() && !t.has("tp") && !t.has("pools") {
                        t.missing("tp", "cards that share each layer, as in { tp = 8 }", "");
                    }
                    None
                }
            }
        },
    );
    let value = if absent && !t.is_describing() { Some(Parallelism::Auto) } else { read };
    value.map(|value| Sited { value, place })
}

fn split_of(t: &mut TableReader<'_>) -> Option<ParallelismPlan> {
    split(t, true)
}

fn split(t: &mut TableReader<'_>, required: bool) -> Option<ParallelismPlan> {
    const TP: &str = "Tensor parallelism: cards that share each layer.";
    let tp = if required { t.required("tp", &kinds::COUNT, TP) } else { t.optional("tp", &kinds::COUNT, TP) };
    let pp = t.optional("pp", &kinds::COUNT, "Pipeline parallelism: stages of layers; 1 when absent.");
    let doc = "Attention data parallelism, for mixtures of experts: ranks of tp cards in a stage that keep requests of \
               their own and share the experts; 1 when absent.";
    let dp = t.optional("dp", &kinds::COUNT, doc);
    let doc =
        "Expert parallelism: groups of a stage's cards among which the experts are divided; 1 when absent.";
    let ep = t.optional("ep", &kinds::COUNT, doc);
    if tp.is_none() && [&pp, &dp, &ep].iter().any(|degree| degree.is_some()) && !required && !t.has("tp") {
        t.missing("tp", "cards that share each layer, as in { tp = 8 }", "");
    }
    if tp.is_some() && pp.is_none() && !t.has("pp") {
        t.fill("pp", "1".to_owned());
    }
    let degree = |given: Option<Sited<u32>>| given.map_or(1, |degree| *degree);
    Some(ParallelismPlan { tp: *tp?, pp: degree(pp), dp: degree(dp), ep: degree(ep) })
}

pub(super) fn step_time(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<StepTime> {
    const COEFFICIENTS: [&str; 4] = ["base", "per_request", "per_prefill_token", "per_context_token"];
    if t.is_describing() {
        profile(t, around);
    } else if t.has("profile") {
        for key in COEFFICIENTS {
            t.declare(key, "a time", None, "A coefficient.");
        }
        if COEFFICIENTS.iter().any(|key| t.has(key)) {
            let message = format!("{} gives both coefficients and a table", t.noun());
            t.problem(Problem::error(t.place, message).help("keep either `profile` or the coefficients"));
        }
        return profile(t, around);
    } else {
        t.declare("profile", "the path of a file", None, "A table.");
        t.declare("beyond", "one of two", None, "What holds where it ends.");
        if t.has("beyond") {
            let message = format!("{} has `beyond` and no `profile` that could end", t.noun());
            t.problem(Problem::error(t.place_of("beyond"), message).help("take it out, or add `profile`"));
        }
    }
    coefficients(t).map(StepTime::Affine)
}

fn profile(t: &mut TableReader<'_>, around: Surroundings<'_>) -> Option<StepTime> {
    let doc = "A CSV file of measured iterations of one accelerator, model and plan, with the columns kind \
               (decode, prefill, mixed), decode_requests, prefill_tokens, context_tokens (mean of a decoding \
               request, or ahead of the prompt), iteration_s; linear in between.";
    let file = t.optional("profile", &kinds::PATH, doc);
    let doc =
        "What holds where the table ends and the deployment may ask for more: an error, or its last slopes.";
    let beyond = t.choice("beyond", &[("refuse", false), ("extend", true)], &[], Some("refuse"), doc);
    let file = file?;
    let path = around.path(&file);
    t.absolute("profile", &path);
    t.file_exists(&file, &path, &[]);
    path.is_file().then_some(())?;
    Some(StepTime::Profile { file, path, extend: *beyond? })
}

pub(super) fn coefficients(t: &mut TableReader<'_>) -> Option<AffineStep> {
    let base = t.or("base", &STEP, "\"0s\"", "Time that every iteration takes.");
    let per_request = t.or("per_request", &STEP, "\"0s\"", "Time for each request in the batch.");
    let doc = "Time for each prompt token processed.";
    let per_prefill_token = t.or("per_prefill_token", &STEP, "\"0s\"", doc);
    let doc = "Time for each token of context that decoding attends to.";
    let per_context_token = t.or("per_context_token", &STEP, "\"0s\"", doc);
    let step = AffineStep {
        base: *base?,
        per_request: *per_request?,
        per_prefill_token: *per_prefill_token?,
        per_context_token: *per_context_token?,
    };
    if step.base == Ticks::ZERO && step.per_request == Ticks::ZERO {
        let problem = Problem::error(t.place, format!("{}: an iteration would take no time", t.noun()));
        t.problem(problem.help("give `base` or `per_request`, as in base = \"8ms\""));
    }
    Some(step)
}
