//! Hosted models, paid by the token.

use crate::units::{Usd, UsdPerMillionTokens};

use super::figure::{EntryName, Figure, FigureRow, Unknown};
use super::origin::{BadEntry, Sources, entry_fields};

/// A model behind a provider's API, paid by the token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostedModel {
    /// `provider/model`, for example `openai/gpt-5.4`.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// The provider's name.
    pub provider: String,
    /// The catalogue's name of the model behind it; empty when it is not an entry.
    pub model: String,
    /// A remark for the reader.
    pub note: String,
    /// Price of prompt tokens.
    pub input: Option<Figure<UsdPerMillionTokens>>,
    /// Price of prompt tokens that the provider still has in its cache.
    pub cached_input: Option<Figure<UsdPerMillionTokens>>,
    /// Price of output tokens.
    pub output: Option<Figure<UsdPerMillionTokens>>,
}

entry_fields! {
    /// A hosted model as data files and scenarios write it; prices in USD per million tokens.
    HostedFields ("hosted") {
        words {
            /// The provider's name; the part of the name before `/` when left out.
            provider: String,
            /// The catalogue's name of the model behind it.
            model: String,
            /// A remark for the reader.
            note: String,
        }
        figures {
            /// Price of prompt tokens.
            input_usd_per_1m: f64,
            /// Price of prompt tokens in the provider's cache.
            cached_input_usd_per_1m: f64,
            /// Price of output tokens.
            output_usd_per_1m: f64,
        }
    }
}

impl HostedModel {
    fn entry(&self) -> EntryName<'_> {
        EntryName { kind: "hosted", name: &self.name }
    }

    /// What a request costs: prompt tokens, of which `cached` are in the provider's cache, and output tokens.
    /// Cached tokens cost the full price where no other is known.
    ///
    /// # Errors
    /// When a price is not known.
    pub fn cost_of(&self, prompt: u64, cached: u64, output: u64) -> Result<Usd, Unknown> {
        let entry = self.entry();
        let input = entry.need("input_usd_per_1m", self.input.as_ref())?;
        let cached_price = self.cached_input.as_ref().map_or(input, |figure| figure.value);
        let out = entry.need("output_usd_per_1m", self.output.as_ref())?;
        let cached = cached.min(prompt);
        Ok(input.cost_of(prompt - cached) + cached_price.cost_of(cached) + out.cost_of(output))
    }

    /// Every figure, known or not, in a fixed order.
    pub fn figures(&self) -> Vec<FigureRow> {
        let entry = self.entry();
        vec![
            entry.row("input_usd_per_1m", self.input.as_ref()),
            entry.row("cached_input_usd_per_1m", self.cached_input.as_ref()),
            entry.row("output_usd_per_1m", self.output.as_ref()),
        ]
    }

    /// Lays fields over this entry.
    ///
    /// # Errors
    /// When a value is impossible or a provenance key names no figure.
    pub(super) fn apply(&mut self, fields: &HostedFields, known: &Sources) -> Result<(), BadEntry> {
        let origin = fields.origin(known)?;
        self.name.clone_from(&fields.name);
        self.aliases.extend(fields.aliases.iter().cloned());
        let words = [
            (&mut self.provider, &fields.provider),
            (&mut self.model, &fields.model),
            (&mut self.note, &fields.note),
        ];
        for (slot, word) in words {
            if let Some(word) = word {
                slot.clone_from(word);
            }
        }
        if self.provider.is_empty() {
            let provider = self.name.split_once('/').map(|(provider, _)| provider.to_owned());
            self.provider = provider.ok_or_else(|| {
                origin.bad("provider", "is missing; name the entry `provider/model` or set it".to_owned())
            })?;
        }
        let per_1m = UsdPerMillionTokens::from_f64;
        origin.price(&mut self.input, "input_usd_per_1m", fields.input_usd_per_1m, per_1m)?;
        origin.price(
            &mut self.cached_input,
            "cached_input_usd_per_1m",
            fields.cached_input_usd_per_1m,
            per_1m,
        )?;
        origin.price(&mut self.output, "output_usd_per_1m", fields.output_usd_per_1m, per_1m)
    }
}
