//! LoRA adapters: which deployments serve them, how large they are and how long they take to come.

use super::deployments::{Deployment, canonical};
use super::names::dangling;
use super::pools::Resolved;
use crate::catalog::Catalog;
use crate::perf::{Attention, ModelDims};
use crate::scenario::problem::Problem;
use crate::scenario::raw::{RawAdapter, RawDeployment, RawLora, RawScenario, RawStream};
use crate::scenario::reading::Reading;
use crate::units::{Bytes, Ticks};

/// The adapters of a deployment's model, with their numbers.
fn of_base<'a>(
    raw: &'a RawDeployment,
    scenario: &'a RawScenario,
    catalog: &'a Catalog,
) -> impl Iterator<Item = (usize, &'a RawAdapter)> {
    let model = canonical(catalog, &raw.model);
    let all = scenario.adapters.iter().enumerate();
    all.filter(move |(_, adapter)| canonical(catalog, &adapter.base) == model)
}

/// Bytes of matrices of so high a rank beside the projections of attention, two bytes a number: an adapter of a matrix
/// of m x n has r(m + n) numbers, and those of attention are the ones adapted (Hu et al., "LoRA", ICLR 2022, arXiv
/// 2106.09685, sections 4.1 and 4.2). `None` for latent attention.
fn bytes(dims: &ModelDims, rank: u32) -> Option<Bytes> {
    let Attention::Grouped { heads, kv_heads, head_size } = dims.attention else { return None };
    let (hidden, head) = (u64::from(dims.hidden), u64::from(head_size));
    let (queries, keys) = (u64::from(heads) * head, u64::from(kv_heads) * head);
    let numbers = 2 * (hidden + queries) + 2 * (hidden + keys);
    Some(Bytes(2 * u64::from(dims.layers) * u64::from(rank) * numbers))
}

/// Whether the adapters of a deployment can be served. `None` after errors have been recorded.
pub fn check(
    raw: &RawDeployment,
    scenario: &RawScenario,
    catalog: &Catalog,
    dims: Option<&ModelDims>,
    reading: &mut Reading,
) -> Option<()> {
    let Some(lora) = &raw.lora else { return Some(()) };
    let mut sound = Some(());
    let mut any = false;
    for (_, adapter) in of_base(raw, scenario, catalog) {
        any = true;
        if *adapter.rank > *lora.max_rank {
            let message = format!(
                "adapter `{}` has rank {}, and deployment `{}` has room for {}",
                *adapter.name, *adapter.rank, *raw.name, *lora.max_rank
            );
            let help = format!("raise lora.max_rank of the deployment to {}", *adapter.rank);
            reading.problem(Problem::error(adapter.rank.place, message).help(help));
            sound = None;
        }
        if adapter.size.is_none() && dims.and_then(|dims| bytes(dims, *adapter.rank)).is_none() {
            let message =
                format!("nobody knows how large adapter `{}` of `{}` is", *adapter.name, *raw.model);
            let help = "supply it: size = \"80 MB\" in the adapter, for example";
            reading.problem(Problem::error(adapter.name.place, message).label("needed for this").help(help));
            sound = None;
        }
    }
    if !any {
        let message =
            format!("deployment `{}` serves adapters, and there is none of `{}`", *raw.name, *raw.model);
        let bases = scenario.adapters.iter().map(|adapter| adapter.base.value.as_str());
        let help = match scenario.adapters.is_empty() {
            true => "add one: [[adapters]] with name, base and rank; or take `lora` out".to_owned(),
            false => format!("the adapters are of {}", crate::scenario::problem::quoted(bases)),
        };
        reading.problem(Problem::error(lora.slots.place, message).help(help));
        sound = None;
    }
    sound
}

/// How long each adapter of the scenario takes to come to a replica of so many cards, by number; those of other models
/// never come.
pub fn loads(
    raw: &RawDeployment,
    scenario: &RawScenario,
    catalog: &Catalog,
    dims: Option<&ModelDims>,
    cards: u32,
    pool: &Resolved,
) -> Result<Vec<Ticks>, String> {
    let Some(lora) = &raw.lora else { return Ok(Vec::new()) };
    let mut loads = vec![Ticks::ZERO; scenario.adapters.len()];
    for (number, adapter) in of_base(raw, scenario, catalog) {
        loads[number] = match lora.load_time {
            Some(time) => Ticks::from_duration(time),
            None => {
                let card = pool.node.as_ref().ok().map(|node| node.card.pcie);
                let bandwidth = lora.bandwidth.or(card).ok_or(
                    "how fast a card takes adapters in is not known; give lora.bandwidth, as in bandwidth = \"25 GB/s\"",
                )?;
                let size = adapter.size.or_else(|| dims.and_then(|dims| bytes(dims, *adapter.rank)));
                let bytes = size.map_or(0.0, |size| size.0 as f64);
                Ticks::from_secs_f64(bytes / f64::from(cards) / bandwidth.as_f64())
            }
        };
    }
    Ok(loads)
}

/// Tokens of KV cache for which there is no room beside the slots: each as large as an adapter of the highest rank that
/// there may be, or as the largest one.
pub fn tokens(
    raw: &RawDeployment,
    scenario: &RawScenario,
    catalog: &Catalog,
    dims: &ModelDims,
    kv_bytes_per_token: u64,
) -> u64 {
    let Some(RawLora { slots, max_rank, .. }) = &raw.lora else { return 0 };
    let largest = of_base(raw, scenario, catalog).filter_map(|(_, adapter)| adapter.size);
    let slot = largest.chain(bytes(dims, **max_rank)).map(|bytes| bytes.0).max().unwrap_or(0);
    (u64::from(**slots) * slot).div_ceil(kv_bytes_per_token.max(1))
}

/// The number of a stream's adapter, which must be one of its model and be served. `None` after errors have been
/// recorded; `Some(None)` for the model as it is.
pub fn of_stream(
    raw: &RawStream,
    serving: &[usize],
    scenario: &RawScenario,
    deployments: &[Deployment],
    catalog: &Catalog,
    reading: &mut Reading,
) -> Option<Option<u16>> {
    let Some(name) = &raw.adapter else { return Some(None) };
    let Some(number) = scenario.adapters.iter().position(|adapter| adapter.name.value == name.value) else {
        if !reading.is_broken("adapters", name) {
            let names = scenario.adapters.iter().map(|adapter| adapter.name.as_str());
            reading.problem(dangling(name.place, "adapter", name, names));
        }
        return None;
    };
    let adapter = &scenario.adapters[number];
    let (base, model) = (canonical(catalog, &adapter.base), canonical(catalog, &raw.model));
    if base != model {
        let message =
            format!("adapter `{}` is one of `{base}`, and stream `{}` asks for `{model}`", **name, *raw.name);
        let help =
            "an adapter goes with its own base model only: change the stream's `model`, or the adapter";
        reading.problem(Problem::error(name.place, message).help(help));
        return None;
    }
    if let Some(without) = serving.iter().find(|index| scenario.deployments[**index].lora.is_none()) {
        let message = format!(
            "stream `{}` wants the adapter `{}`, and deployment `{}` serves none",
            *raw.name, **name, deployments[*without].name
        );
        let help = "add lora = { slots = 4 } to the deployment, or name other deployments in the stream";
        reading.problem(Problem::error(name.place, message).help(help));
        return None;
    }
    Some(Some(number as u16))
}
