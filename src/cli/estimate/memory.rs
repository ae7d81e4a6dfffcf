//! `fleetsim estimate memory`.

use super::{ModelArgs, chosen, optional, plain, scaled};
use crate::catalog::Catalog;
use crate::cli::Failure;
use crate::estimate::choice::TRAINING_BYTES;
use crate::estimate::{Known, Memory, Unit, Worksheet};

/// How many cards a model needs for its memory alone, served at each precision and trained.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A card of the catalogue, for its memory.
    #[arg(long, value_name = "NAME", conflicts_with = "memory_gb")]
    accelerator: Option<String>,
    /// Memory of a card in GB.
    #[arg(long, value_name = "GB")]
    memory_gb: Option<String>,
    /// Share of the memory that is kept free.
    #[arg(long, value_name = "SHARE")]
    headroom: Option<String>,
    /// Bytes for each parameter while training: a number, or 20n, 18n, 16n, 12n.
    #[arg(long, value_name = "RULE")]
    training_bytes: Option<String>,
    /// Cards of a node.
    #[arg(long, value_name = "N")]
    cards_per_node: Option<String>,
    /// Bytes of KV cache for each token.
    #[arg(long, value_name = "N", requires = "cached_tokens")]
    cache_bytes_per_token: Option<String>,
    /// Tokens in the KV cache at a time.
    #[arg(long, value_name = "N", requires = "cache_bytes_per_token")]
    cached_tokens: Option<String>,
}

impl Args {
    pub(super) fn worksheet(&self) -> Result<Worksheet, Failure> {
        let catalog = Catalog::embedded();
        let (stored, _) = self.model.parameters(&catalog)?;
        let bad = |error: String| Failure::BadInput(format!("error: {error}"));
        let memory = match &self.accelerator {
            Some(name) => {
                let card = catalog.accelerator(name).map_err(|error| bad(error.to_string()))?;
                let memory = card.memory().map_err(|error| bad(error.to_string()))?;
                Known::new(memory.0 as f64, Unit::Bytes, format!("memory of {} in the catalogue", card.name))
            }
            None => {
                let h100 = "H100, Sunyan 2023";
                let known = plain("memory-gb", self.memory_gb.as_deref(), Unit::Bytes, 80.0, h100)?;
                scaled(known, 1e9, Unit::Bytes)
            }
        };
        let per_token =
            optional("cache-bytes-per-token", self.cache_bytes_per_token.as_deref(), Unit::BytesPerToken)?;
        let tokens = optional("cached-tokens", self.cached_tokens.as_deref(), Unit::Tokens)?;
        let memory = Memory {
            parameters: stored,
            memory,
            headroom: plain("headroom", self.headroom.as_deref(), Unit::Share, 0.0, "none, the default")?,
            training_bytes: chosen(
                "training-bytes",
                self.training_bytes.as_deref(),
                TRAINING_BYTES,
                Unit::BytesPerParameter,
            )?,
            cards_per_node: plain(
                "cards-per-node",
                self.cards_per_node.as_deref(),
                Unit::Cards,
                8.0,
                "a DGX or HGX server, the default",
            )?,
            cache: per_token.zip(tokens),
        };
        Ok(memory.worksheet()?)
    }
}
