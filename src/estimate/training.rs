//! What it takes to train a model once.

use super::{Known, OutOfRange, Range, Unit, Worksheet};

const SECONDS_PER_HOUR: f64 = 3600.0;
pub(super) const HOURS_PER_YEAR: f64 = 8760.0;

/// Loss of a language model of `parameters` trained on `tokens`, in nats a token: its irreducible part, the
/// part of the model's size, and the part of the data's.
///
/// Hoffmann et al. 2022 (Chinchilla), section 3.3, approach 3: 1.69 + 406.4/N^0.34 + 410.7/D^0.28.
fn loss(parameters: f64, tokens: f64) -> (f64, f64, f64) {
    (1.69, 406.4 / libm::pow(parameters, 0.34), 410.7 / libm::pow(tokens, 0.28))
}

/// The inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Parameters of the model that a token meets.
    pub parameters: Known,
    /// Training tokens.
    pub tokens: Known,
    /// FLOP for each parameter and token.
    pub flop_per_parameter: Known,
    /// FLOP of the run, instead of the product of the above.
    pub flop: Option<Known>,
    /// Peak FLOP/s of a card.
    pub peak: Known,
    /// Share of the peak that is reached.
    pub utilization: Known,
    /// Share of that which two runs are compared at.
    pub against_utilization: Option<Known>,
    /// Cards that train together.
    pub cards: Known,
    /// Share of the time that makes progress (failures, restarts and idling take the rest).
    pub goodput: Known,
    /// Price of a card's hour.
    pub card_hour: Known,
    /// What the run cost, to find what an hour of a card must have cost.
    pub total: Option<Known>,
    /// Card-hours of the run, where they are known.
    pub card_hours: Option<Known>,
    /// What another run cost, to compare with.
    pub against_total: Option<Known>,
    /// Draw of a card under load, with what the building adds to it (PUE).
    pub power: Option<(Known, Known)>,
}

impl Training {
    /// Calculates.
    ///
    /// # Errors
    /// When an input makes no sense.
    pub fn worksheet(&self) -> Result<Worksheet, OutOfRange> {
        let mut sheet = Worksheet::new("One training run");
        let parameters = sheet.input("parameters", &self.parameters, Range::Positive)?;
        let tokens = sheet.input("tokens", &self.tokens, Range::Positive)?;
        let factor = sheet.input("flop_per_parameter_token", &self.flop_per_parameter, Range::Positive)?;
        let given = match &self.flop {
            Some(flop) => Some(sheet.input("flop_given", flop, Range::Positive)?),
            None => None,
        };
        let peak = sheet.input("peak_flop_s", &self.peak, Range::Positive)?;
        let utilization = sheet.input("utilization", &self.utilization, Range::Share)?;
        let goodput = sheet.input("goodput", &self.goodput, Range::Share)?;
        let cards = sheet.input("cards", &self.cards, Range::AtLeastOne)?;
        let price = sheet.input("usd_per_card_hour", &self.card_hour, Range::NotNegative)?;

        let formula = "FLOP a parameter and token · parameters · tokens";
        let flop = match given {
            Some(flop) => sheet.result("flop", Unit::Flop, "as given", flop),
            None => sheet.result("flop", Unit::Flop, formula, factor * parameters * tokens),
        };
        sheet.result("tokens_per_parameter", Unit::Number, "tokens ÷ parameters", tokens / parameters);
        let hours = match &self.card_hours {
            Some(known) => {
                let hours = sheet.input("card_hours_given", known, Range::Positive)?;
                let formula = "FLOP ÷ (card-hours · 3,600 · peak)";
                let share = flop / (hours * SECONDS_PER_HOUR * peak);
                sheet.result("achieved_utilization", Unit::Share, formula, share);
                sheet.result("card_hours", Unit::CardHours, "as given", hours)
            }
            None => {
                let hours = flop / (peak * utilization * goodput) / SECONDS_PER_HOUR;
                let formula = "FLOP ÷ (peak · utilization · goodput) ÷ 3,600";
                sheet.result("card_hours", Unit::CardHours, formula, hours)
            }
        };
        sheet.result("card_seconds", Unit::Seconds, "3,600 · card-hours", hours * SECONDS_PER_HOUR);
        sheet.result("years_on_one_card", Unit::Years, "card-hours ÷ 8,760", hours / HOURS_PER_YEAR);
        sheet.result("days", Unit::Days, "card-hours ÷ cards ÷ 24", hours / cards / 24.0);
        let usd = sheet.result("usd", Unit::Usd, "card-hours · price", hours * price);
        if let Some(known) = &self.against_utilization {
            let other = sheet.input("against_utilization", known, Range::Share)?;
            let formula = "utilization ÷ the other: so many times fewer card-hours";
            sheet.result("utilization_gain", Unit::Number, formula, utilization / other);
        }
        let mut total = usd;
        if let Some(known) = &self.total {
            total = sheet.input("total_usd", known, Range::Positive)?;
            sheet.result(
                "implied_usd_per_card_hour",
                Unit::UsdPerCardHour,
                "total ÷ card-hours",
                total / hours,
            );
        }
        if let Some(known) = &self.against_total {
            let other = sheet.input("against_usd", known, Range::Positive)?;
            sheet.result("share_of_the_other", Unit::Share, "this run's cost ÷ the other's", total / other);
        }
        if let Some((watts, pue)) = &self.power {
            let watts = sheet.input("watts", watts, Range::Positive)?;
            let pue = sheet.input("pue", pue, Range::AtLeastOne)?;
            let formula = "card-hours · watts · PUE ÷ 1,000";
            sheet.result("energy", Unit::KilowattHours, formula, hours * watts * pue / 1000.0);
        }
        let (floor, of_size, of_data) = loss(parameters, tokens);
        let source = "Hoffmann et al. 2022, section 3.3";
        sheet.result("loss_of_size", Unit::Nats, &format!("406.4 ÷ parameters^0.34 ({source})"), of_size);
        sheet.result("loss_of_data", Unit::Nats, &format!("410.7 ÷ tokens^0.28 ({source})"), of_data);
        let formula = "1.69 + both: the loss after training";
        sheet.result("loss", Unit::Nats, formula, floor + of_size + of_data);
        sheet.note(
            "Attention, pipeline bubbles and the traffic of gradients are in the utilization here; a job of a \
             scenario has them by the plan.",
        );
        Ok(sheet)
    }
}
