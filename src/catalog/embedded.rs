//! The data files, embedded and read.

use serde::Deserialize;
use thiserror::Error;

use super::accelerator::AcceleratorFields;
use super::friction::FrictionFields;
use super::hosted::HostedFields;
use super::model::ModelFields;
use super::offer::OfferFields;
use super::origin::Sources;
use super::provider::ProviderFields;
use super::{AddError, Catalog};

const SOURCES: &str = include_str!("data/sources.toml");
const ACCELERATORS: [&str; 4] = [
    include_str!("data/accelerators/nvidia.toml"),
    include_str!("data/accelerators/nvidia-workstation.toml"),
    include_str!("data/accelerators/others.toml"),
    include_str!("data/accelerators/named-only.toml"),
];
const PROVIDERS: &str = include_str!("data/providers.toml");
const HOSTED: &str = include_str!("data/hosted.toml");
const FRICTIONS: &str = include_str!("data/frictions.toml");
const OFFERS: &str = include_str!("data/offers.csv");
const MODELS: [&str; 7] = [
    include_str!("data/models/llama.toml"),
    include_str!("data/models/mistral.toml"),
    include_str!("data/models/qwen.toml"),
    include_str!("data/models/others.toml"),
    include_str!("data/models/mpt.toml"),
    include_str!("data/models/historic.toml"),
    include_str!("data/models/images.toml"),
];

/// Why the data files do not load.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    #[error("offers.csv: {0}")]
    Csv(#[from] csv::Error),
    #[error("{0}")]
    Entry(#[from] AddError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accelerators {
    accelerator: Vec<AcceleratorFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Models {
    model: Vec<ModelFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Providers {
    provider: Vec<ProviderFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hosted {
    hosted: Vec<HostedFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frictions {
    friction: Vec<FrictionFields>,
}

/// One line of offers.csv: each price has a source of its own, and falls back to the line's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferLine {
    offer: String,
    accelerator: String,
    cards: u32,
    vcpus: Option<u32>,
    memory_gib: Option<f64>,
    network_gbit_s: Option<f64>,
    region: String,
    billing_minimum: Option<String>,
    on_demand: Option<f64>,
    spot: Option<f64>,
    reserved_1y: Option<f64>,
    reserved_3y: Option<f64>,
    source: String,
    spot_source: Option<String>,
    reserved_source: Option<String>,
    network_source: Option<String>,
    billing_source: Option<String>,
    note: Option<String>,
    doubt: Option<String>,
    spot_doubt: Option<String>,
}

impl From<OfferLine> for OfferFields {
    fn from(line: OfferLine) -> Self {
        let mut fields = OfferFields {
            name: line.offer,
            region: Some(line.region),
            accelerator: Some(line.accelerator),
            note: line.note,
            accelerators_per_node: Some(line.cards),
            vcpus: line.vcpus,
            host_memory_gib: line.memory_gib,
            network_gbit_s: line.network_gbit_s,
            billing_minimum: line.billing_minimum,
            on_demand_usd_h: line.on_demand,
            spot_usd_h: line.spot,
            reserved_1y_usd_h: line.reserved_1y,
            reserved_3y_usd_h: line.reserved_3y,
            source: Some(line.source),
            ..Self::default()
        };
        let exceptions = [
            ("spot_usd_h", line.spot_source),
            ("reserved_1y_usd_h", line.reserved_source.clone()),
            ("reserved_3y_usd_h", line.reserved_source),
            ("network_gbit_s", line.network_source),
            ("billing_minimum", line.billing_source),
        ];
        for (key, source) in exceptions {
            if let Some(source) = source {
                fields.sources.insert(key.to_owned(), source);
            }
        }
        // A doubt about the line is a doubt about its prices, not about the node's size.
        for key in ["on_demand_usd_h", "spot_usd_h", "reserved_1y_usd_h", "reserved_3y_usd_h"] {
            let own = if key == "spot_usd_h" { &line.spot_doubt } else { &None };
            if let Some(doubt) = own.as_ref().or(line.doubt.as_ref()) {
                fields.doubts.insert(key.to_owned(), doubt.clone());
            }
        }
        fields
    }
}

/// Reads the embedded files.
///
/// # Errors
/// When a file is not well-formed, an entry is impossible, or one refers to nothing.
pub(super) fn load() -> Result<Catalog, LoadError> {
    let sources: Sources = toml::from_str(SOURCES)?;
    let mut catalog = Catalog::empty(sources);
    for file in ACCELERATORS {
        for fields in toml::from_str::<Accelerators>(file)?.accelerator {
            catalog.add_accelerator(&fields)?;
        }
    }
    for file in MODELS {
        for fields in toml::from_str::<Models>(file)?.model {
            catalog.add_model(&fields)?;
        }
    }
    for fields in toml::from_str::<Providers>(PROVIDERS)?.provider {
        catalog.add_provider(&fields)?;
    }
    for line in csv::Reader::from_reader(OFFERS.as_bytes()).deserialize() {
        catalog.add_offer(&OfferFields::from(line.map(|line: OfferLine| line)?))?;
    }
    for fields in toml::from_str::<Hosted>(HOSTED)?.hosted {
        catalog.add_hosted(&fields)?;
    }
    for fields in toml::from_str::<Frictions>(FRICTIONS)?.friction {
        catalog.add_friction(&fields)?;
    }
    Ok(catalog)
}
