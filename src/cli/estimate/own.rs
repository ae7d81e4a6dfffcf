//! `fleetsim estimate own`.

use super::{choices, chosen, optional, plain};
use crate::cli::Failure;
use crate::estimate::{Known, Own, Unit, Worksheet};

/// Own hardware against rented hardware: cost of an hour, energy, and the utilization where owning pays.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Cards.
    #[arg(long, value_name = "N")]
    cards: Option<String>,
    /// Price of a card with its part of the node, in US dollars.
    #[arg(long, value_name = "USD")]
    price_usd: String,
    /// Years until it is written off.
    #[arg(long, value_name = "YEARS")]
    life: Option<String>,
    /// Share of the price that it sells for then.
    #[arg(long, value_name = "SHARE")]
    salvage: Option<String>,
    /// Draw of a card in W.
    #[arg(long, value_name = "W")]
    watts: Option<String>,
    /// Draw in W of what it is compared with.
    #[arg(long, value_name = "W")]
    against_watts: Option<String>,
    /// What the building adds to the draw.
    #[arg(long, value_name = "N")]
    pue: Option<String>,
    /// Price of a kWh.
    #[arg(long, value_name = "USD")]
    usd_per_kwh: Option<String>,
    /// Staff and space of a year, for all cards.
    #[arg(long, value_name = "USD")]
    upkeep: Option<String>,
    /// Share of the hours in which the cards are used.
    #[arg(long, value_name = "SHARE")]
    utilization: Option<String>,
    /// Price of an hour of a rented card: a number, or aws-p4-reserved-1y, a100-2023-04, tpu-v4-implied.
    #[arg(long, value_name = "USD")]
    cloud_usd_per_card_hour: Option<String>,
    /// What is spent on rented cards in a year.
    #[arg(long, value_name = "USD")]
    annual_usd: Option<String>,
    /// Throughput a dollar of a generation of cards against the one before.
    #[arg(long, value_name = "N")]
    generation_gain: Option<String>,
    /// Gain of throughput a dollar in a year.
    #[arg(long, value_name = "SHARE")]
    yearly_gain: Option<String>,
}

impl Args {
    pub(super) fn worksheet(&self) -> Result<Worksheet, Failure> {
        let by_usd = (
            plain("generation-gain", self.generation_gain.as_deref(), Unit::Number, 1.5, "Sunyan 2023")?,
            plain("yearly-gain", self.yearly_gain.as_deref(), Unit::Share, 0.22, "Sunyan 2023")?,
        );
        let by_watt =
            (Known::new(1.8, Unit::Number, "Sunyan 2023"), Known::new(0.34, Unit::Share, "Sunyan 2023"));
        let whole = "all of it, the default";
        let own = Own {
            cards: plain("cards", self.cards.as_deref(), Unit::Cards, 1.0, "one, the default")?,
            price: plain("price-usd", Some(&self.price_usd), Unit::Usd, 0.0, "")?,
            life: plain("life", self.life.as_deref(), Unit::Years, 3.0, "a16z 2023")?,
            salvage: plain("salvage", self.salvage.as_deref(), Unit::Share, 0.0, "none, the default")?,
            watts: plain("watts", self.watts.as_deref(), Unit::Watts, 300.0, "A100, a16z 2023")?,
            against_watts: optional("against-watts", self.against_watts.as_deref(), Unit::Watts)?,
            pue: plain("pue", self.pue.as_deref(), Unit::Number, 1.0, "the cards alone, the default")?,
            usd_per_kwh: plain(
                "usd-per-kwh",
                self.usd_per_kwh.as_deref(),
                Unit::UsdPerKwh,
                0.1,
                "a16z 2023",
            )?,
            upkeep: plain("upkeep", self.upkeep.as_deref(), Unit::UsdPerYear, 0.0, "none, the default")?,
            utilization: plain("utilization", self.utilization.as_deref(), Unit::Share, 1.0, whole)?,
            cloud_hour: chosen(
                "cloud-usd-per-card-hour",
                self.cloud_usd_per_card_hour.as_deref(),
                choices::HOUR,
                Unit::UsdPerCardHour,
            )?,
            annual_spend: optional("annual-usd", self.annual_usd.as_deref(), Unit::UsdPerYear)?,
            generations: [by_usd, by_watt],
        };
        Ok(own.worksheet()?)
    }
}
