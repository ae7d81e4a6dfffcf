//! Deployments: the plan on each pool, what fits, and how long iterations take.

use super::adapters;
use super::assumptions::Ledger;
use super::capacity;
use super::choice;
use super::disaggregated;
use super::engine::{self, Drafter};
use super::hosts::{self, Footprint};
use super::images;
use super::lifecycle::{self, Comes};
use super::links;
use super::names::{dangling, not_found, unknown};
use super::pools::{Pool, Resolved};
use super::{step_time, tiers, weights};
use crate::catalog::{Catalog, Model, ParsePrecisionError, Precision};
use crate::fleet::PoolId;
use crate::perf::constants::{Constants, Engine};
use crate::perf::{
    AutoPlan, ModelDims, ParallelismPlan, PlanError, Promise, Replica, Roofline, StepModel, UnknownFigures,
    WeightsAs, cheapest_plan, check_stages, fit, serving_loads, weight_bytes,
};
use crate::scenario::dom::Step;
use crate::scenario::problem::Problem;
use crate::scenario::raw::{Parallelism, RawDeployment, RawScenario};
use crate::scenario::reading::{Reading, Sited};
use crate::serving::{DeploymentConfig, HostMemory, ReplicaLinks, ReplicaOption, Role};
use crate::traffic::BlockHashes;
use crate::units::{Bytes, BytesPerSecond, Ticks};
use crate::world::StreamPlan;

/// A deployment with its names, resolved or not.
#[derive(Debug)]
pub struct Deployment {
    pub name: String,
    /// The model's own name, where the catalogue knows it under another.
    pub model: String,
    /// `None` after errors have been recorded.
    pub config: Option<DeploymentConfig>,
}

/// The name by which streams and deployments meet: the catalogue's, or the one written.
pub fn canonical(catalog: &Catalog, model: &str) -> String {
    catalog.model(model).map_or_else(|_| model.to_owned(), |known| known.name.clone())
}

/// Resolves every deployment, in the scenario's order.
pub fn resolve(
    scenario: &RawScenario,
    catalog: &Catalog,
    pools: &[Pool],
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Vec<Deployment> {
    let one = |index, raw: &RawDeployment, reading: &mut Reading, ledger: &mut Ledger| Deployment {
        name: raw.name.value.clone(),
        model: canonical(catalog, &raw.model),
        config: deployment(index, raw, (scenario, catalog), pools, reading, ledger),
    };
    let mut found: Vec<Deployment> = Vec::new();
    for (index, raw) in scenario.deployments.iter().enumerate() {
        // The replicas that decode stand where the deployment does, and answer to its name.
        let raw = hosts::counted(disaggregated::decode(raw), scenario);
        found.push(one(index, &raw, reading, ledger));
    }
    for (index, raw) in scenario.deployments.iter().enumerate() {
        if let Some(raw) = disaggregated::prefill(raw) {
            let prefill = one(index, &raw, reading, ledger);
            found.push(prefill);
            disaggregated::tie(&mut found, index, &scenario.deployments[index], pools, reading);
        }
    }
    found
}

/// Reads the name of a format.
pub fn precision(text: &Sited<String>, reading: &mut Reading) -> Option<Precision> {
    Precision::parse(text).map_err(|error| reading.problem(bad_precision(text, &error))).ok()
}

fn bad_precision(text: &Sited<String>, error: &ParsePrecisionError) -> Problem {
    let problem = Problem::error(text.place, format!("there is no precision `{}`", **text));
    let problem = match error.nearest.first() {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    };
    problem.help("a precision is one of fp32, tf32, fp16, bf16, fp8, int8, fp4, int4")
}

fn deployment(
    index: usize,
    raw: &RawDeployment,
    (scenario, catalog): (&RawScenario, &Catalog),
    pools: &[Pool],
    reading: &mut Reading,
    ledger: &mut Ledger,
) -> Option<DeploymentConfig> {
    let weights = precision(&raw.precision, reading);
    let kv = precision(&raw.kv_precision, reading);
    let pools = find_pools(&raw.name, &raw.pools, pools, reading);
    plans_name_pools(raw, reading);
    // With a stated step time and cache nothing about the model matters, so that it may be any.
    let stated = raw.step_time.is_some() && raw.kv_blocks.is_some();
    let model = match catalog.model(&raw.model) {
        Ok(model) => Some(model),
        Err(_) if stated => None,
        Err(_) if reading.is_broken("models", &raw.model) => return None,
        Err(missing) => {
            reading.problem(not_found(raw.model.place, &missing));
            return None;
        }
    };
    if let Some(model) = model.filter(|model| model.makes_images()) {
        return images::deployment(raw, model, weights?, (scenario, catalog), &pools?, reading, ledger);
    }
    let weights_as = weights::weights_as(raw, reading)?;
    let dims = match model.map(|model| weights::dims(model, raw)) {
        Some(Ok(dims)) => Some(dims),
        None => None,
        Some(Err(_)) if stated => None,
        Some(Err(missing)) => {
            reading.problem(unknown(raw.model.place, &missing));
            return None;
        }
    };
    let (weights, kv, pools) = (weights?, kv?, pools?);
    let measured = step_time::measured(raw, &pools, reading)?;
    let corrected = step_time::corrected(raw, &pools, reading)?;
    let drafter = engine::drafter(raw, dims.as_ref(), catalog, reading)?;
    let known = dims.as_ref();
    adapters::check(raw, scenario, catalog, known, reading)?;
    tiers::check(raw, known.is_some(), reading)?;
    let choice = Choice {
        raw,
        scenario,
        catalog,
        dims: known.filter(|_| !stated),
        known,
        drafter,
        weights,
        kv,
        weights_as,
        measured,
        corrected,
        promise: weights::promise(raw, scenario, catalog),
    };
    let mut options = Vec::new();
    let mut misfits = Vec::new();
    for (id, name, pool) in &pools {
        match choice.option(*id, name, pool) {
            Ok(option) => options.push((*name, option)),
            Err(Misfit::Unknown(missing)) => {
                reading.problem(unknown(name.place, &missing));
                return None;
            }
            Err(Misfit::Plan(why)) => misfits.push((*name, why)),
        }
    }
    if options.is_empty() {
        let message = format!("deployment `{}` can run {} on none of its pools", *raw.name, *raw.model);
        let place = match raw.parallelism.value {
            Parallelism::Auto => raw.model.place,
            _ => raw.parallelism.place,
        };
        let mut problem = Problem::error(place, message);
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
    capacity::enough_cards(
        raw,
        &pools,
        options.iter().map(|(name, planned)| (*name, &planned.option)),
        reading,
    )?;
    let most = raw.batching.max_batch_requests;
    let rank = |planned: &Planned| choice::rank(raw.choose, &planned.option, most, &pools);
    options.sort_by(|(_, a), (_, b)| rank(a).total_cmp(&rank(b)));
    fill_plan(index, raw, &options, reading);
    for (name, planned) in &options {
        if let Some(auto) = &planned.auto {
            weights::note_choice(raw, name, auto, reading);
        }
    }
    let of_options: Vec<&ReplicaOption> = options.iter().map(|(_, planned)| &planned.option).collect();
    step_time::covers(raw, &of_options, context(dims.as_ref()), reading)?;
    step_time::note(raw, &options[0].1.option.step, ledger);
    note(raw, model, dims.as_ref(), &pools, weights, catalog, ledger);
    let elastic = pools.iter().any(|(_, _, pool)| pool.plan.fleet.supply.is_some());
    let comes = match (elastic, raw.changes) {
        (true, _) => Comes::WithNodes,
        (false, true) => Comes::Later,
        (false, false) => Comes::AtFirst,
    };
    let bytes = dims.as_ref().map(|dims| weight_bytes(dims, weights));
    let lifecycle = lifecycle::resolve(raw, comes, bytes, catalog, reading, ledger)?;
    let context = context(dims.as_ref());
    if let (Some(asked), Some(context)) = (raw.max_context, context)
        && asked > context
    {
        let message =
            format!("max_context of deployment `{}` is {asked}, but the model takes {context}", *raw.name);
        reading.problem(Problem::warning(raw.place, message));
    }
    let footprint = options[0].1.memory;
    let options: Vec<ReplicaOption> = options.into_iter().map(|(_, planned)| planned.option).collect();
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
        max_context: raw.max_context.or(context),
        prefix_tokens: prefix_tokens(raw, reading),
        speculation: raw.speculative.as_ref().map(|raw| raw.speculation),
        max_predicted_ttft: raw.max_predicted_ttft,
        shared,
        adapter_slots: raw.lora.as_ref().map_or(0, |lora| *lora.slots),
        role: Role::Whole,
        tenants: engine::tenants(raw, scenario),
    })
}

/// The longest context that the model takes.
fn context(dims: Option<&ModelDims>) -> Option<u32> {
    dims.map(|dims| u32::try_from(dims.max_context).unwrap_or(u32::MAX))
}

/// Tokens of one hash of a prompt, when prefixes are kept. The only traces with hashes are Mooncake's.
fn prefix_tokens(raw: &RawDeployment, reading: &mut Reading) -> Option<u32> {
    let tokens = BlockHashes::MOONCAKE_BLOCK_TOKENS;
    if raw.prefix_caching && !tokens.is_multiple_of(raw.block_tokens) {
        let message = format!(
            "KV blocks of {} tokens do not divide the {tokens} tokens that one hash of a prompt covers",
            raw.block_tokens
        );
        let help = "take a block_tokens that divides it, or set prefix_caching = false";
        reading.problem(Problem::error(raw.block_tokens_place, message).help(help));
    }
    raw.prefix_caching.then_some(tokens)
}

/// A pool that a deployment or job names: its index, the name where it was written, and what it is.
pub type Found<'a> = (PoolId, &'a Sited<String>, &'a Resolved);

/// Looks pools up by name. `None` when one leads nowhere or comes twice, which is reported, or could not be
/// resolved, which has been.
pub fn find_pools<'a>(
    holder: &str,
    names: &'a [Sited<String>],
    pools: &'a [Pool],
    reading: &mut Reading,
) -> Option<Vec<Found<'a>>> {
    let mut found: Option<Vec<Found<'a>>> = Some(Vec::new());
    for (at, name) in names.iter().enumerate() {
        let index = pools.iter().position(|pool| pool.name == name.value);
        let twice = names[..at].iter().any(|other| other.value == name.value);
        let resolved = index.and_then(|index| pools[index].resolved.as_ref());
        if twice {
            let message = format!("`{holder}` names the pool `{}` twice", name.value);
            reading.problem(Problem::error(name.place, message).help("take one out"));
        } else if index.is_none() && !reading.is_broken("pools", name) {
            let names = pools.iter().map(|pool| pool.name.as_str());
            reading.problem(dangling(name.place, "pool", name, names));
        }
        found = match (found, index, resolved) {
            (Some(mut found), Some(index), Some(resolved)) if !twice => {
                found.push((PoolId(u16::try_from(index).unwrap_or(u16::MAX)), name, resolved));
                Some(found)
            }
            _ => None,
        };
    }
    if names.is_empty() { None } else { found }
}

/// Plans by pool must be for the deployment's pools.
fn plans_name_pools(raw: &RawDeployment, reading: &mut Reading) {
    let Parallelism::ByPool(plans) = &raw.parallelism.value else { return };
    let names = || raw.pools.iter().map(|pool| pool.value.as_str());
    for (name, _) in plans {
        if !names().any(|pool| pool == name.value) {
            let message = format!("`{}` is not a pool of deployment `{}`", name.value, *raw.name);
            let list = crate::scenario::problem::quoted(names());
            reading.problem(Problem::error(name.place, message).help(format!("its pools are {list}")));
        }
    }
}

/// What the choice of a plan depends on besides the pool.
struct Choice<'a> {
    raw: &'a RawDeployment,
    scenario: &'a RawScenario,
    catalog: &'a Catalog,
    /// `None` when memory and iteration times are stated.
    dims: Option<&'a ModelDims>,
    /// What is known all the same.
    known: Option<&'a ModelDims>,
    drafter: Drafter,
    weights: Precision,
    kv: Precision,
    weights_as: WeightsAs,
    /// What the streams that ask for its model are promised.
    promise: Promise,
    /// Iteration times that are stated.
    measured: Option<StepModel>,
    /// The performance model's constants, and the engine that they are of.
    corrected: (Constants, Engine),
}

struct Planned {
    plan: ParallelismPlan,
    option: ReplicaOption,
    /// How the plan was chosen, where it was.
    auto: Option<AutoPlan>,
    memory: Footprint,
}

enum Misfit {
    Unknown(UnknownFigures),
    Plan(String),
}

impl From<PlanError> for Misfit {
    fn from(error: PlanError) -> Self {
        Self::Plan(error.to_string())
    }
}

impl Choice<'_> {
    fn option(&self, id: PoolId, name: &Sited<String>, pool: &Resolved) -> Result<Planned, Misfit> {
        let wanted = match &self.raw.parallelism.value {
            Parallelism::Auto => None,
            Parallelism::All(split) => Some(*split),
            Parallelism::ByPool(plans) => {
                let plan = plans.iter().find(|(pool, _)| pool.value == name.value);
                let (_, split) = plan.ok_or_else(|| {
                    Misfit::Plan(format!("no plan is given for it; add {} = {{ tp = ... }}", name.value))
                })?;
                Some(*split)
            }
        };
        let per_node = pool.plan.fleet.cards_per_node;
        let Some(dims) = self.dims else { return self.stated(id, wanted, per_node, pool) };
        let node = pool.node.as_ref().map_err(|missing| Misfit::Unknown(missing.clone()))?;
        let mut replica = Replica {
            kv: self.kv,
            plan: wanted.unwrap_or(ParallelismPlan::tensor(1)),
            memory_utilization: self.raw.memory_utilization,
            max_batch_tokens: self.raw.batching.max_batch_tokens,
            constants: &self.corrected.0,
            engine: self.corrected.1,
            weights_as: self.weights_as,
            ..Replica::new(dims, node, self.weights)
        };
        let mut auto = None;
        let filled = match wanted {
            Some(plan) => {
                let checked = check_stages(dims, plan.pp, 1).and_then(|()| fit(&replica));
                checked.map_err(|error| Misfit::Plan(weights::with_nearest(&error, &replica)))?
            }
            None => {
                let nodes = pool.plan.fleet.slots();
                let cards_each = nodes * per_node / weights::replicas_on(name, self.scenario);
                let promise = Promise { nodes, cards_each, ..self.promise };
                let chosen = auto.insert(cheapest_plan(&replica, &promise)?);
                replica.plan = chosen.plan;
                chosen.fit
            }
        };
        let for_adapters = adapters::tokens(
            self.raw,
            self.scenario,
            self.catalog,
            dims,
            filled.kv_bytes_per_token.0 * u64::from(replica.plan.cards()),
        );
        let kv_tokens = self.drafter.kv_tokens(&replica, &filled).saturating_sub(for_adapters);
        let kv_blocks = self.raw.kv_blocks.unwrap_or(kv_tokens / u64::from(self.raw.block_tokens));
        if kv_blocks == 0 {
            let tokens = self.raw.block_tokens;
            return Err(Misfit::Plan(format!(
                "the KV cache holds {kv_tokens} tokens, less than one block of {tokens}"
            )));
        }
        let step = match &self.measured {
            Some(step) => step.clone(),
            None => StepModel::Roofline(Roofline::new(&replica)?),
        };
        let option = ReplicaOption {
            pool: id,
            cards: replica.plan.cards(),
            step,
            on_links: links::on_links(&replica, pool).filter(|_| self.measured.is_none()),
            kv_blocks,
            block_tokens: self.raw.block_tokens,
            window: dims.window.map(|window| window.tokens),
            adapters: self.adapters(replica.plan.cards(), pool)?,
            draft: self.drafter.draft(self.raw, Some(&replica)).map_err(Misfit::Plan)?,
            links: self.links(replica.plan.cards(), pool)?,
            host: self.host(replica.plan, pool)?,
            label: self.label(replica.plan, pool),
            loads: serving_loads(&replica),
        };
        let cards = u64::from(replica.plan.cards());
        let over = |card: Bytes| Bytes(card.0.saturating_mul(cards));
        let capacity = filled.budget.0.saturating_sub(filled.reserve_per_card.0);
        let memory = Footprint {
            weights: Some(over(filled.weights_per_card)),
            kv: Some(over(Bytes(self.kv_tokens(kv_blocks).saturating_mul(filled.kv_bytes_per_token.0)))),
            capacity: Some(over(Bytes(capacity))),
        };
        Ok(Planned { plan: replica.plan, option, auto, memory })
    }

    /// Iterations and cache as stated; a plan only says how many cards a replica holds.
    fn stated(
        &self,
        id: PoolId,
        wanted: Option<ParallelismPlan>,
        per_node: u32,
        pool: &Resolved,
    ) -> Result<Planned, Misfit> {
        let plan = wanted.unwrap_or(ParallelismPlan::tensor(1));
        let cards = plan.cards();
        if cards > per_node && !cards.is_multiple_of(per_node) {
            let card = &pool.plan.fleet.accelerator;
            return Err(Misfit::Plan(format!(
                "{plan} needs {cards} cards; of nodes of {per_node} {card} a replica takes one, or several whole ones"
            )));
        }
        let (Some(step), Some(kv_blocks)) = (self.measured.clone(), self.raw.kv_blocks) else {
            return Err(Misfit::Plan("neither the model nor its step time is known".to_owned()));
        };
        let option = ReplicaOption {
            pool: id,
            cards: plan.cards(),
            step,
            on_links: None,
            kv_blocks,
            block_tokens: self.raw.block_tokens,
            window: None,
            adapters: self.adapters(plan.cards(), pool)?,
            draft: self.drafter.draft(self.raw, None).map_err(Misfit::Plan)?,
            links: self.links(plan.cards(), pool)?,
            host: self.host(plan, pool)?,
            label: self.label(plan, pool),
            loads: Vec::new(),
        };
        let kv =
            option.links.map(|links| Bytes(self.kv_tokens(kv_blocks).saturating_mul(links.kv_per_token.0)));
        let weights = self.raw.weight_bytes.or_else(|| Some(weight_bytes(self.known?, self.weights)));
        let memory = Footprint { weights, kv, capacity: None };
        Ok(Planned { plan, option, auto: None, memory })
    }

    /// Tokens of so many blocks.
    fn kv_tokens(&self, blocks: u64) -> u64 {
        blocks.saturating_mul(u64::from(self.raw.block_tokens))
    }

    /// What bulk transfers need to know, where it is known.
    fn links(&self, cards: u32, pool: &Resolved) -> Result<Option<ReplicaLinks>, Misfit> {
        let of_model = |dims: &ModelDims| {
            // What heads are copied to several cards is sent once.
            self.kv.bytes_of(dims.kv_values_per_layer(1) * u64::from(dims.layers))
        };
        let Some(kv_per_token) = self.raw.kv_per_token.or_else(|| self.known.map(of_model)) else {
            return Ok(None);
        };
        // A network that nobody knows carries nothing; who needs it asks for it.
        let (scale_up, scale_out) = match &pool.node {
            Ok(node) => (node.card.card_link.unwrap_or(node.card.pcie), node.scale_out),
            Err(_) => (BytesPerSecond(0.0), None),
        };
        let scale_up = BytesPerSecond(scale_up.as_f64() * f64::from(cards));
        let card = pool.node.as_ref().ok().map(|node| &node.card);
        let tiers = tiers::tiers(self.raw, kv_per_token, cards, card).map_err(Misfit::Plan)?;
        Ok(Some(ReplicaLinks { kv_per_token, scale_up, scale_out: scale_out.unwrap_or_default(), tiers }))
    }

    fn adapters(&self, cards: u32, pool: &Resolved) -> Result<Vec<Ticks>, Misfit> {
        adapters::loads(self.raw, self.scenario, self.catalog, self.known, cards, pool).map_err(Misfit::Plan)
    }

    fn host(&self, plan: ParallelismPlan, pool: &Resolved) -> Result<Option<HostMemory>, Misfit> {
        engine::host_memory(self.raw, self.known, self.kv, plan, pool).map_err(Misfit::Plan)
    }

    fn label(&self, plan: ParallelismPlan, pool: &Resolved) -> String {
        let degrees = [("PP", plan.pp), ("DP", plan.dp), ("EP", plan.ep)];
        let further = degrees.iter().filter(|(_, degree)| *degree > 1);
        let stages: String = further.map(|(name, degree)| format!(" {name}={degree}")).collect();
        let cards = plan.cards();
        let plural = if cards == 1 { "" } else { "s" };
        let fleet = &pool.plan.fleet;
        let stated = weights::label(self.raw) + step_time::label(self.raw);
        format!(
            "{}, TP={}{stages} on {} ({cards} {card}{plural}){stated}",
            self.weights,
            plan.tp,
            fleet.name,
            card = format_args!("{} card", fleet.accelerator),
        )
    }
}

/// Writes the plans that were chosen into the resolved file.
fn fill_plan(
    index: usize,
    raw: &RawDeployment,
    options: &[(&Sited<String>, Planned)],
    reading: &mut Reading,
) {
    if !matches!(raw.parallelism.value, Parallelism::Auto) || raw.disaggregated.is_some() {
        return;
    }
    // The plans that are chosen have neither ranks nor groups of experts.
    let written = |plan: ParallelismPlan| format!("{{ tp = {}, pp = {} }}", plan.tp, plan.pp);
    let mut plans = options.iter().map(|(_, planned)| planned.plan);
    let first = plans.next().map(written).unwrap_or_default();
    // A pool that no plan fits keeps the plan of the others, which does not fit it either.
    let toml = if options.iter().all(|(_, planned)| written(planned.plan) == first) {
        first
    } else {
        let by_pool = options.iter().map(|(name, planned)| {
            let key = toml_edit::Key::new(name.value.as_str());
            format!("{} = {}", key.display_repr(), written(planned.plan))
        });
        format!("{{ pools = {{ {} }} }}", by_pool.collect::<Vec<_>>().join(", "))
    };
    let steps =
        [Step::Key("deployments".to_owned()), Step::Index(index), Step::Key("parallelism".to_owned())];
    reading.filled.push((steps.into(), toml));
}

fn note(
    raw: &RawDeployment,
    model: Option<&Model>,
    dims: Option<&ModelDims>,
    pools: &[Found<'_>],
    weights: Precision,
    catalog: &Catalog,
    ledger: &mut Ledger,
) {
    if let (Some(model), Some(dims)) = (model, dims) {
        model_line(model, dims, ledger);
        if raw.kv_blocks.is_none() {
            ledger.memory_utilization(&raw.name, raw.memory_utilization);
        }
    }
    if raw.step_time.is_none() {
        ledger.performance_model();
        let cards =
            pools.iter().filter_map(|(_, _, pool)| catalog.accelerator(&pool.plan.fleet.accelerator).ok());
        for card in cards {
            let node = pools.iter().find(|(_, _, pool)| pool.plan.fleet.accelerator == card.name);
            let computed = node.and_then(|(_, _, pool)| pool.node.as_ref().ok()?.card.compute(weights));
            let key = computed.map(|(precision, _)| crate::catalog::peak_key(precision));
            card.figures().into_iter().filter(|row| Some(row.figure) == key).for_each(|row| ledger.row(row));
        }
    }
}

/// A model's dimensions as one line.
pub fn model_line(model: &Model, dims: &ModelDims, ledger: &mut Ledger) {
    let Some(known) = &model.parameters else { return };
    let value = format!(
        "{:.1}e9 parameters, {} layers, hidden {}, {} heads",
        known.value as f64 / 1e9,
        dims.layers,
        dims.hidden,
        dims.heads()
    );
    ledger.figure(format!("model {}", model.name), "dimensions", value, known);
}

/// Warns of deployments that no stream asks for.
pub fn warn_unused(scenario: &RawScenario, streams: &[Option<StreamPlan>], reading: &mut Reading) {
    if streams.iter().any(Option::is_none) {
        return;
    }
    for (index, raw) in scenario.deployments.iter().enumerate() {
        let used = streams.iter().flatten().any(|stream| stream.deployments.contains(&index));
        if !used {
            let message = format!("no stream asks for deployment `{}`", *raw.name);
            reading.problem(Problem::warning(raw.name.place, message));
        }
    }
}
