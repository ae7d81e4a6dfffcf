//! Hardware of one's own against rented hardware.

use super::training::HOURS_PER_YEAR;
use super::{Known, OutOfRange, Range, Unit, Worksheet};

/// The inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    /// Cards.
    pub cards: Known,
    /// Price of a card with its part of the node.
    pub price: Known,
    /// Years until it is written off.
    pub life: Known,
    /// Share of the price that it sells for then.
    pub salvage: Known,
    /// Draw of a card.
    pub watts: Known,
    /// Draw of what it is compared with; only the difference is counted as extra energy.
    pub against_watts: Option<Known>,
    /// What the building adds to the draw.
    pub pue: Known,
    /// Price of energy.
    pub usd_per_kwh: Known,
    /// Staff and space of a year, for all cards.
    pub upkeep: Known,
    /// Share of the hours in which the cards are used.
    pub utilization: Known,
    /// Price of an hour of a rented card.
    pub cloud_hour: Known,
    /// What is spent on rented cards in a year, to see how many that is.
    pub annual_spend: Option<Known>,
    /// Gain of a generation, and of a year: by throughput a dollar, and by throughput a watt.
    pub generations: [(Known, Known); 2],
}

impl Own {
    /// Calculates.
    ///
    /// # Errors
    /// When an input makes no sense.
    pub fn worksheet(&self) -> Result<Worksheet, OutOfRange> {
        let mut sheet = Worksheet::new("Own hardware against rented hardware");
        let cards = sheet.input("cards", &self.cards, Range::Positive)?;
        let price = sheet.input("usd_per_card", &self.price, Range::NotNegative)?;
        let life = sheet.input("life_years", &self.life, Range::Positive)?;
        let salvage = sheet.input("salvage", &self.salvage, Range::Part)?;
        let watts = sheet.input("watts", &self.watts, Range::NotNegative)?;
        let pue = sheet.input("pue", &self.pue, Range::AtLeastOne)?;
        let tariff = sheet.input("usd_per_kwh", &self.usd_per_kwh, Range::NotNegative)?;
        let upkeep = sheet.input("upkeep_usd_per_year", &self.upkeep, Range::NotNegative)?;
        let used = sheet.input("utilization", &self.utilization, Range::Share)?;
        let cloud = sheet.input("cloud_usd_per_card_hour", &self.cloud_hour, Range::Positive)?;

        let energy = |watts: f64| cards * watts * pue * HOURS_PER_YEAR / 1000.0;
        let formula = "cards · watts · PUE · 8,760 h ÷ 1,000, under load all year";
        let kwh = sheet.result("energy_per_year", Unit::KilowattHours, formula, energy(watts));
        let power =
            sheet.result("energy_usd_per_year", Unit::UsdPerYear, "energy · price of energy", kwh * tariff);
        if let Some(known) = &self.against_watts {
            let other = sheet.input("against_watts", known, Range::NotNegative)?;
            let formula = "the same of the difference in watts";
            let more =
                sheet.result("extra_energy_per_year", Unit::KilowattHours, formula, energy(watts - other));
            let formula = "extra energy · price of energy · life";
            sheet.result("extra_energy_usd_over_life", Unit::Usd, formula, more * tariff * life);
        }
        let formula = "cards · price · (1 − salvage) ÷ life";
        let capital = cards * price * (1.0 - salvage) / life;
        sheet.result("capital_usd_per_year", Unit::UsdPerYear, formula, capital);
        let formula = "capital + energy + staff and space";
        let year = sheet.result("owned_usd_per_year", Unit::UsdPerYear, formula, capital + power + upkeep);
        sheet.result("owned_usd_per_month", Unit::UsdPerMonth, "a twelfth", year / 12.0);
        let hours = cards * HOURS_PER_YEAR;
        let formula = "a year's cost ÷ (cards · 8,760 h)";
        let hour = sheet.result("owned_usd_per_card_hour", Unit::UsdPerCardHour, formula, year / hours);
        let formula = "÷ utilization";
        sheet.result("owned_usd_per_used_card_hour", Unit::UsdPerCardHour, formula, hour / used);
        let formula = "used hours · price of a rented one";
        sheet.result("cloud_usd_per_year", Unit::UsdPerYear, formula, hours * used * cloud);
        let formula = "owned hour ÷ rented hour: owning pays above this utilization; above 1 it never does";
        sheet.result("break_even_utilization", Unit::Share, formula, hour / cloud);
        if let Some(known) = &self.annual_spend {
            let spend = sheet.input("annual_usd", known, Range::Positive)?;
            let formula = "a year's spend ÷ (8,760 h · price of a rented hour)";
            sheet.result("rented_cards_all_year", Unit::Cards, formula, spend / (HOURS_PER_YEAR * cloud));
        }
        let names = [
            ("generation_gain_per_usd", "yearly_gain_per_usd", "years_per_generation_by_usd"),
            ("generation_gain_per_watt", "yearly_gain_per_watt", "years_per_generation_by_watt"),
        ];
        for ((gain, year), (gain_name, year_name, result)) in self.generations.iter().zip(names) {
            let gain = sheet.input(gain_name, gain, Range::AtLeastOne)?;
            let year = sheet.input(year_name, year, Range::Positive)?;
            let formula = "ln(gain of a generation) ÷ ln(1 + gain of a year)";
            sheet.result(result, Unit::Years, formula, libm::log(gain) / libm::log(1.0 + year));
        }
        sheet.note(
            "Delivery, financing, spare parts and what the cards do while nobody uses them are left out.",
        );
        Ok(sheet)
    }
}
