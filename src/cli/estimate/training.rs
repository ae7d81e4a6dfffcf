//! `fleetsim estimate training`.

use super::{CardArgs, ModelArgs, chosen, optional, plain};
use crate::catalog::Catalog;
use crate::cli::Failure;
use crate::estimate::choice::{TRAINING_FLOP, UTILIZATION};
use crate::estimate::{Training, Unit, Worksheet};

/// What a training run takes: FLOP, card-hours, days, dollars, energy, and the loss it reaches.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Training tokens.
    #[arg(long, value_name = "N")]
    tokens: Option<String>,
    /// FLOP for each parameter and token: a number, or decoder-only (6), full-recomputation (8),
    /// encoder-decoder (3).
    #[arg(long, value_name = "RULE")]
    architecture: Option<String>,
    /// FLOP of the run, instead of the rule's.
    #[arg(long, value_name = "N")]
    flop: Option<String>,
    #[command(flatten)]
    card: CardArgs,
    /// Cards that train together.
    #[arg(long, value_name = "N")]
    cards: Option<String>,
    /// Share of the time that makes progress: failures and restarts take the rest.
    #[arg(long, value_name = "SHARE")]
    goodput: Option<String>,
    /// A utilization to compare with: a number, or a name as for --utilization.
    #[arg(long, value_name = "SHARE")]
    against_utilization: Option<String>,
    /// Card-hours of the run, where they are known.
    #[arg(long, value_name = "N")]
    card_hours: Option<String>,
    /// What the run cost: tells what an hour of a card must have cost.
    #[arg(long, value_name = "USD")]
    total_usd: Option<String>,
    /// What another run cost, to compare with.
    #[arg(long, value_name = "USD")]
    against_usd: Option<String>,
    /// Draw of a card in W; the catalogue's TDP when the accelerator is named.
    #[arg(long, value_name = "W")]
    watts: Option<String>,
    /// What the building adds to the draw.
    #[arg(long, value_name = "N")]
    pue: Option<String>,
}

impl Args {
    pub(super) fn worksheet(&self) -> Result<Worksheet, Failure> {
        let catalog = Catalog::embedded();
        let (_, active) = self.model.parameters(&catalog)?;
        let card = self.card.card(&catalog)?;
        let watts = optional("watts", self.watts.as_deref(), Unit::Watts)?.or(card.watts);
        let pue = plain("pue", self.pue.as_deref(), Unit::Number, 1.0, "the cards alone, the default")?;
        let against = self.against_utilization.as_deref();
        let training = Training {
            parameters: active,
            tokens: plain("tokens", self.tokens.as_deref(), Unit::Tokens, 300e9, "GPT-3, Sunyan 2023")?,
            flop_per_parameter: chosen(
                "architecture",
                self.architecture.as_deref(),
                TRAINING_FLOP,
                Unit::Flop,
            )?,
            flop: optional("flop", self.flop.as_deref(), Unit::Flop)?,
            peak: card.peak,
            utilization: card.utilization,
            against_utilization: against
                .map(|text| chosen("against-utilization", Some(text), UTILIZATION, Unit::Share))
                .transpose()?,
            cards: plain("cards", self.cards.as_deref(), Unit::Cards, 1.0, "one, the default")?,
            goodput: plain("goodput", self.goodput.as_deref(), Unit::Share, 1.0, "all of it, the default")?,
            card_hour: card.hour,
            total: optional("total-usd", self.total_usd.as_deref(), Unit::Usd)?,
            card_hours: optional("card-hours", self.card_hours.as_deref(), Unit::CardHours)?,
            against_total: optional("against-usd", self.against_usd.as_deref(), Unit::Usd)?,
            power: watts.map(|watts| (watts, pue)),
        };
        Ok(training.worksheet()?)
    }
}
