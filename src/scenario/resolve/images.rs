//! Deployments of models that make images, and what leaves the cloud for them.

use super::assumptions::Ledger;
use super::deployments::{Deployment, Found, canonical};
use super::hosts::{self, Footprint};
use super::lifecycle::{self, Comes};
use super::names::unknown;
use super::pools::Pool;
use super::{capacity, choice, step_time};
use crate::catalog::{Catalog, EgressPrices, Model, Precision};
use crate::metrics::results::Assumption;
use crate::perf::{ImageDims, ImageStep, ParallelismPlan, StepModel, constants};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{Parallelism, RawDeployment, RawScenario};
use crate::scenario::reading::Reading;
use crate::serving::{DeploymentConfig, ReplicaOption, RequestKind, Role, Scheduler};
use crate::units::Bytes;
use crate::world::StreamPlan;

/// Blocks, of so many tokens, that no batch can use up, whose requests count a token a step: nothing is cached.
const NO_LIMIT: (u64, u32) = (1 << 26, 16);

/// Resolves a deployment of a model that makes images. `None` after errors have been recorded.
pub fn deployment(
    raw: &RawDeployment,
    model: &Model,
    weights: Precision,
    (scenario, catalog): (&RawScenario, &Catalog),
    pools: &[Found<'_>],
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<DeploymentConfig> {
    belongs(raw, reading)?;
    let measured = step_time::measured(raw, pools, reading)?;
    let dims = match (ImageDims::try_from(model), &measured) {
        (Ok(dims), _) => Some(dims),
        (Err(_), Some(_)) => None,
        (Err(missing), None) => {
            reading.problem(unknown(raw.model.place, &missing));
            return None;
        }
    };
    let (mut options, mut misfits) = (Vec::new(), Vec::new());
    for (id, name, pool) in pools {
        let step = match (&measured, &dims) {
            (Some(step), _) => Ok(step.clone()),
            (None, Some(dims)) => {
                let node = match &pool.node {
                    Ok(node) => node,
                    Err(missing) => {
                        reading.problem(unknown(name.place, missing));
                        return None;
                    }
                };
                ImageStep::new(dims, node, weights, raw.memory_utilization)
                    .map(|step| StepModel::Image(Box::new(step)))
            }
            (None, None) => return None,
        };
        match step {
            Ok(step) => options.push((
                *name,
                ReplicaOption {
                    pool: *id,
                    cards: 1,
                    step,
                    kv_blocks: NO_LIMIT.0,
                    block_tokens: NO_LIMIT.1,
                    window: None,
                    adapters: Vec::new(),
                    draft: None,
                    links: None,
                    loads: Vec::new(),
                    on_links: None,
                    host: None,
                    label: format!(
                        "{weights} on {} (1 {} card){}",
                        pool.plan.fleet.name,
                        pool.plan.fleet.accelerator,
                        step_time::label(raw)
                    ),
                },
            )),
            Err(why) => misfits.push((*name, why)),
        }
    }
    if options.is_empty() {
        let message = format!("deployment `{}` can run {} on none of its pools", *raw.name, *raw.model);
        let mut problem = Problem::error(raw.model.place, message);
        for (name, why) in misfits {
            problem = problem.help(format!("on `{}`: {why}", name.value));
        }
        reading.problem(problem);
        return None;
    }
    for (name, why) in misfits {
        let message = format!("deployment `{}` cannot use the pool `{}`: {why}", *raw.name, name.value);
        reading.problem(Problem::warning(name.place, message));
    }
    capacity::enough_cards(raw, pools, options.iter().map(|(name, option)| (*name, option)), reading)?;
    let most = raw.batching.max_batch_requests;
    options.sort_by(|(_, a), (_, b)| {
        choice::rank(raw.choose, a, most, pools).total_cmp(&choice::rank(raw.choose, b, most, pools))
    });
    let options: Vec<ReplicaOption> = options.into_iter().map(|(_, option)| option).collect();
    note(model, measured.is_some(), ledger);
    let elastic = pools.iter().any(|(_, _, pool)| pool.plan.fleet.supply.is_some());
    let comes = match (elastic, raw.changes) {
        (true, _) => Comes::WithNodes,
        (false, true) => Comes::Later,
        (false, false) => Comes::AtFirst,
    };
    let bytes = raw.weight_bytes.or_else(|| dims.as_ref().map(|dims| dims.weight_bytes(weights)));
    let lifecycle = lifecycle::resolve(raw, comes, bytes, catalog, reading, ledger)?;
    let footprint = Footprint { weights: bytes, kv: Some(Bytes(0)), capacity: None };
    let shared = hosts::shared(raw, scenario, &options, footprint, reading)?;
    Some(DeploymentConfig {
        name: raw.name.value.clone(),
        model: canonical(catalog, &raw.model),
        options,
        batching: raw.batching,
        max_queued_requests: raw.max_queued_requests,
        router: raw.routing,
        replicas: raw.replicas.initial,
        lifecycle,
        max_context: None,
        prefix_tokens: None,
        speculation: None,
        max_predicted_ttft: None,
        shared,
        adapter_slots: 0,
        role: Role::Whole,
        tenants: super::engine::tenants(raw, scenario),
    })
}

/// What has no meaning for images is refused.
fn belongs(raw: &RawDeployment, reading: &mut Reading) -> Option<()> {
    let mut wrong = |what: &str, help: &str| {
        let message = format!("deployment `{}` serves {}, which makes images: {what}", *raw.name, *raw.model);
        reading.problem(Problem::error(raw.place, message).help(help));
    };
    let before = [
        (
            raw.disaggregated.is_some(),
            "it has no prefill and decode to tell apart",
            "take out `disaggregated`",
        ),
        (raw.speculative.is_some(), "there are no tokens to propose", "take out `speculative`"),
        (raw.lora.is_some(), "adapters are not simulated for it", "take out `lora`"),
        (raw.max_predicted_ttft.is_some(), "it has no first token", "take out `admission`; bound `queue`"),
        (raw.kv_blocks.is_some(), "it has no KV cache", "take out `kv_blocks`"),
    ];
    let mut sound = true;
    for (there, what, help) in before {
        if there {
            wrong(what, help);
            sound = false;
        }
    }
    if raw.batching.scheduler != Scheduler::Static {
        let help = "set batching = { scheduler = \"static\", max_batch_requests = 4, max_wait = \"100ms\" }, for example";
        wrong("a batch of images begins and ends as a whole", help);
        sound = false;
    }
    let plans: Vec<&ParallelismPlan> = match &raw.parallelism.value {
        Parallelism::Auto => Vec::new(),
        Parallelism::All(plan) => vec![plan],
        Parallelism::ByPool(plans) => plans.iter().map(|(_, plan)| plan).collect(),
    };
    if plans.iter().any(|plan| plan.cards() != 1) {
        wrong("a replica has one card", "take out `parallelism`, and raise `replicas`");
        sound = false;
    }
    sound.then_some(())
}

fn note(model: &Model, stated: bool, ledger: &mut Ledger) {
    if stated {
        return;
    }
    let used = ["step_tflop", "step_attention_tflop", "decode_tflop", "parameters"];
    let rows = model.figures().into_iter();
    rows.filter(|row| used.contains(&row.figure)).for_each(|row| ledger.row(row));
    let constants = [
        ("share of peak in steps of images", constants::IMAGE_COMPUTE.to_string()),
        ("overhead of a step of images", constants::IMAGE_STEP_OVERHEAD.to_string()),
    ];
    for (figure, value) in constants {
        ledger.note(Assumption {
            about: "performance model".to_owned(),
            figure: figure.to_owned(),
            value,
            source: "src/perf/constants.rs".to_owned(),
            date: String::new(),
            doubt: "set on two measured times on an A100; within 5 % of one on an H100".to_owned(),
        });
    }
    ledger.note(Assumption {
        about: "performance model".to_owned(),
        figure: "memory of a batch of images".to_owned(),
        value: "not counted beside the weights".to_owned(),
        source: "assumed".to_owned(),
        date: String::new(),
        doubt: "max_batch_requests is taken to fit".to_owned(),
    });
}

/// Streams that ask for images go where images are made, and others elsewhere.
pub fn meet(
    scenario: &RawScenario,
    streams: &[Option<StreamPlan>],
    deployments: &[Deployment],
    catalog: &Catalog,
    reading: &mut Reading,
) {
    for (raw, plan) in scenario.streams.iter().zip(streams) {
        let Some(plan) = plan else { continue };
        let images = matches!(plan.terms.kind, RequestKind::Image(_));
        for deployment in plan.deployments.iter().map(|index| &deployments[*index]) {
            let known = catalog.model(&deployment.model).ok();
            let makes = known.is_some_and(Model::makes_images);
            let message = match (images, makes) {
                (true, false) if known.is_some() => {
                    format!("stream `{}` asks for images, and {} makes none", *raw.name, deployment.model)
                }
                (false, true) => {
                    format!("stream `{}` asks for tokens, and {} makes images", *raw.name, deployment.model)
                }
                _ => continue,
            };
            let help = match makes {
                true => {
                    "set kind = \"image\" and image = { steps = 30, width = 1024, height = 1024, bytes = \"1.5 MB\" }"
                }
                false => "name a model such as \"stable-diffusion-xl\", or take out kind = \"image\"",
            };
            reading.problem(Problem::error(raw.model.place, message).help(help));
            break;
        }
    }
}

/// Gives the pools from which images leave the prices of their traffic.
pub fn egress(
    scenario: &RawScenario,
    streams: &[Option<StreamPlan>],
    deployments: &[Deployment],
    pools: &mut [Pool],
    catalog: &Catalog,
    reading: &mut Reading,
    ledger: &mut Ledger,
) {
    let images = |plan: &&StreamPlan| match plan.terms.kind {
        RequestKind::Image(image) => image.bytes.0 > 0,
        RequestKind::Generate | RequestKind::Embed => false,
    };
    let asked = streams.iter().flatten().filter(images);
    let serving = asked.flat_map(|plan| &plan.deployments).filter_map(|at| deployments[*at].config.as_ref());
    let mut from: Vec<usize> =
        serving.flat_map(|config| &config.options).map(|option| option.pool.index()).collect();
    from.sort_unstable();
    from.dedup();
    for (index, (raw, pool)) in scenario.pools.iter().zip(pools).enumerate() {
        let Some(resolved) = pool.resolved.as_mut() else { continue };
        if !from.contains(&index) {
            if let Some(price) = &raw.egress_price {
                let message =
                    format!("no images leave pool `{}`: its `egress_price` has no effect", *raw.name);
                reading.problem(Problem::warning(price.place, message));
            }
            continue;
        }
        let known = catalog.provider(&resolved.plan.fleet.provider).ok();
        resolved.plan.egress = match (&raw.egress_price, known.and_then(|known| known.egress.as_ref())) {
            (Some(price), _) => Some(EgressPrices::flat(**price)),
            (None, Some(figure)) => {
                let rows = known.into_iter().flat_map(|known| known.figures());
                rows.filter(|row| row.figure == "egress").for_each(|row| ledger.row(row));
                Some(figure.value.clone())
            }
            (None, None) => {
                let message = format!(
                    "images leave pool `{}`, and nobody knows what {} takes for that",
                    *raw.name, resolved.plan.fleet.provider
                );
                let help = "supply it in US dollars a GB: egress_price = 0.09 in the pool, for example";
                reading.problem(Problem::error(raw.offer.place, message).help(help));
                None
            }
        };
    }
}
