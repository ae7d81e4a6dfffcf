//! `fleetsim catalog`: what is built in.

use clap::ValueEnum;

use super::Failure;
use crate::catalog::{Catalog, NotFound};

mod sheet;
mod tables;
mod topology;

use sheet::Sheet;

/// List or show what is built in: accelerators, models, offers, providers, hosted models, frictions.
///
/// Without a NAME, a table of all entries; with one, each of its figures with source, date and doubt.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list.
    #[arg(value_enum)]
    kind: Kind,
    /// The entry to show, by its name or an alias.
    name: Option<String>,
    /// Print JSON: every entry with all of its figures.
    #[arg(long)]
    json: bool,
    /// Only the offers of this accelerator.
    #[arg(long, value_name = "NAME")]
    accelerator: Option<String>,
    /// Only the offers or hosted models of this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Draw the links of an offer's node; with --json, as a graph.
    #[arg(long, requires = "name")]
    topology: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Cards: peaks, memory, links, power.
    Accelerators,
    /// Shapes of models.
    Models,
    /// Instances with their prices.
    Offers,
    /// Billing rules, egress prices, spot notices.
    Providers,
    /// Models paid by the token.
    Hosted,
    /// Reported delays, rates and discounts.
    Frictions,
}

pub fn run(args: Args) -> Result<(), Failure> {
    if let (true, Some(name)) = (args.topology, &args.name) {
        if args.kind != Kind::Offers {
            let why = "error: --topology draws the node of an offer: fleetsim catalog offers NAME --topology";
            return Err(Failure::BadInput(why.to_owned()));
        }
        let drawing = topology::Drawing::of(&Catalog::embedded(), name)?;
        return super::print(&if args.json { tables::json(&drawing.json()) } else { drawing.text() });
    }
    let text = shown(&Catalog::embedded(), &args).map_err(|error| Failure::BadInput(error.to_string()))?;
    super::print(&text)
}

fn shown(catalog: &Catalog, args: &Args) -> Result<String, NotFound> {
    if let Some(name) = &args.name {
        let sheet = one(catalog, args.kind, name)?;
        return Ok(if args.json { tables::json(&sheet.to_json()) } else { tables::entry(&sheet) });
    }
    let mut sheets = all(catalog, args.kind);
    if let Some(name) = &args.accelerator {
        let wanted = &catalog.accelerator(name)?.name;
        sheets.retain(|sheet| {
            let own = sheet.word("accelerator").and_then(|name| catalog.accelerator(name).ok());
            own.is_some_and(|card| card.name == *wanted)
        });
    }
    if let Some(name) = &args.provider {
        let wanted = &catalog.provider(name)?.name;
        sheets.retain(|sheet| sheet.word("provider") == Some(wanted.as_str()));
    }
    Ok(if args.json {
        tables::json(&serde_json::Value::Array(sheets.iter().map(Sheet::to_json).collect()))
    } else {
        tables::list(&sheets, columns(args.kind))
    })
}

fn one(catalog: &Catalog, kind: Kind, name: &str) -> Result<Sheet, NotFound> {
    Ok(match kind {
        Kind::Accelerators => Sheet::accelerator(catalog.accelerator(name)?),
        Kind::Models => Sheet::model(catalog.model(name)?),
        Kind::Offers => Sheet::offer(catalog.offer(name)?),
        Kind::Providers => Sheet::provider(catalog.provider(name)?),
        Kind::Hosted => Sheet::hosted(catalog.hosted_model(name)?),
        Kind::Frictions => Sheet::friction(catalog.friction(name)?),
    })
}

fn all(catalog: &Catalog, kind: Kind) -> Vec<Sheet> {
    match kind {
        Kind::Accelerators => catalog.accelerators().map(Sheet::accelerator).collect(),
        Kind::Models => catalog.models().map(Sheet::model).collect(),
        Kind::Offers => catalog.offers().map(Sheet::offer).collect(),
        Kind::Providers => catalog.providers().map(Sheet::provider).collect(),
        Kind::Hosted => catalog.hosted_models().map(Sheet::hosted).collect(),
        Kind::Frictions => catalog.frictions().map(Sheet::friction).collect(),
    }
}

/// The columns of a list: a heading, and the word or figure beneath it.
const fn columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Accelerators => &[
            ("year", "year"),
            ("fp16", "fp16_tflops"),
            ("bf16", "bf16_tflops"),
            ("fp8", "fp8_tflops"),
            ("int8", "int8_tops"),
            ("GB", "memory_gb"),
            ("GB/s", "memory_gb_s"),
            ("link", "link"),
            ("link GB/s", "link_gb_s"),
            ("cards", "cards_per_server"),
            ("W", "tdp_w"),
        ],
        Kind::Models => &[
            ("params", "parameters"),
            ("active", "active_parameters"),
            ("layers", "layers"),
            ("hidden", "hidden"),
            ("heads", "heads"),
            ("KV", "kv_heads"),
            ("FFN", "ffn"),
            ("experts", "experts"),
            ("vocab", "vocabulary"),
            ("context", "context"),
        ],
        Kind::Offers => &[
            ("accelerator", "accelerator"),
            ("cards", "accelerators_per_node"),
            ("vCPU", "vcpus"),
            ("GiB", "host_memory_gib"),
            ("on demand", "on_demand_usd_h"),
            ("spot", "spot_usd_h"),
            ("3 years", "reserved_3y_usd_h"),
            ("region", "region"),
        ],
        Kind::Providers => &[
            ("title", "title"),
            ("billed by", "billing_granularity"),
            ("minimum", "billing_minimum"),
            ("spot notice", "spot_notice"),
            ("egress USD/GB", "egress"),
        ],
        Kind::Hosted => &[
            ("input", "input_usd_per_1m"),
            ("cached", "cached_input_usd_per_1m"),
            ("output", "output_usd_per_1m"),
            ("model", "model"),
        ],
        Kind::Frictions => &[("what", "applies_to"), ("reported", "reported")],
    }
}
