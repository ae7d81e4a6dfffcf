//! `fleetsim estimate inference`.

use super::{CardArgs, ModelArgs, chosen, optional, plain, scaled};
use crate::catalog::Catalog;
use crate::cli::Failure;
use crate::estimate::choice::{API_PRICE, FORWARD_FLOP};
use crate::estimate::{Inference, Unit, Worksheet};

/// What 1,000 tokens cost on own cards, against a hosted model's price.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Prompt tokens of a request.
    #[arg(long, value_name = "N")]
    prompt_tokens: Option<String>,
    /// Output tokens of a request.
    #[arg(long, value_name = "N")]
    output_tokens: Option<String>,
    /// FLOP for each parameter and token: a number, or decoder-only (2), encoder-decoder (1).
    #[arg(long, value_name = "RULE")]
    architecture: Option<String>,
    /// FLOP of a request, instead of the rule's.
    #[arg(long, value_name = "N")]
    flop: Option<String>,
    #[command(flatten)]
    card: CardArgs,
    /// A hosted model's price of 1,000 tokens: a number, or davinci-2023-02, openai-2023-04.
    #[arg(long, value_name = "USD")]
    api_usd_per_1k: Option<String>,
    /// Bits of a weight.
    #[arg(long, value_name = "N")]
    bits: Option<String>,
    /// Memory of a card in GB.
    #[arg(long, value_name = "GB", requires = "bandwidth_gb_s")]
    memory_gb: Option<String>,
    /// Bandwidth of a card's memory in GB/s.
    #[arg(long, value_name = "GB/s", requires = "memory_gb")]
    bandwidth_gb_s: Option<String>,
}

impl Args {
    pub(super) fn worksheet(&self) -> Result<Worksheet, Failure> {
        let catalog = Catalog::embedded();
        let (stored, active) = self.model.parameters(&catalog)?;
        let card = self.card.card(&catalog)?;
        let example = "a16z 2023, 1,024 tokens in and out";
        let memory = optional("memory-gb", self.memory_gb.as_deref(), Unit::Bytes)?;
        let bandwidth = optional("bandwidth-gb-s", self.bandwidth_gb_s.as_deref(), Unit::BytesPerSecond)?;
        let given = memory.zip(bandwidth).map(|(memory, bandwidth)| {
            (scaled(memory, 1e9, Unit::Bytes), scaled(bandwidth, 1e9, Unit::BytesPerSecond))
        });
        let (prompt, output) = (self.prompt_tokens.as_deref(), self.output_tokens.as_deref());
        let inference = Inference {
            parameters: active,
            stored_parameters: stored,
            prompt_tokens: plain("prompt-tokens", prompt, Unit::Tokens, 1024.0, example)?,
            output_tokens: plain("output-tokens", output, Unit::Tokens, 1024.0, example)?,
            flop_per_parameter: chosen(
                "architecture",
                self.architecture.as_deref(),
                FORWARD_FLOP,
                Unit::Flop,
            )?,
            flop: optional("flop", self.flop.as_deref(), Unit::Flop)?,
            peak: card.peak,
            utilization: card.utilization,
            card_hour: card.hour,
            api_price: chosen(
                "api-usd-per-1k",
                self.api_usd_per_1k.as_deref(),
                API_PRICE,
                Unit::UsdPerThousandTokens,
            )?,
            bits: plain("bits", self.bits.as_deref(), Unit::Bits, 16.0, "FP16, the default")?,
            memory: given.or(card.memory),
        };
        Ok(inference.worksheet()?)
    }
}
