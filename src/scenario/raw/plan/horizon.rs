//! `[plan.horizon]`: the months to come, over which commitments, spot, owned nodes and hosted APIs are weighed.

use super::vary::as_toml;
use crate::scenario::dom::Value;
use crate::scenario::kinds;
use crate::scenario::raw::market;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Unfit};
use crate::units::Duration;

/// What the coming months bring, and what is weighed over them.
#[derive(Debug, Clone, PartialEq)]
pub struct HorizonTerms {
    /// How many months; at least 1.
    pub months: u32,
    /// Growth of demand in a year, as a share.
    pub growth_per_year: f64,
    /// Decline of on-demand prices in a year, as a share below 1.
    pub price_decline_per_year: f64,
    /// Growth of what a node can do in a year, as a share.
    pub efficiency_per_year: f64,
    /// Windows that stand for the horizon; at least 1.
    pub windows: u32,
    /// Whether the whole horizon is simulated too, second by second.
    pub full_run: bool,
    /// How spot nodes are taken back, as a TOML table; `None` where spot is not weighed.
    pub spot: Option<String>,
    /// What an owned node costs; `None` where owning is not weighed.
    pub owned: Option<OwnedTerms>,
    /// What owned nodes draw, as a TOML table.
    pub power: Option<String>,
    /// The hosted API that own replicas are weighed against; that of the streams, or the only one, when absent.
    pub api: Option<String>,
}

/// What an owned node costs.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedTerms {
    /// The terms as a TOML table.
    pub text: String,
    /// Its price, in US dollars.
    pub price: f64,
    /// How long it is used.
    pub life: Duration,
    /// Staff and space, in US dollars a month.
    pub upkeep_usd_month: f64,
}

/// Reads the table.
pub fn read(t: &mut TableReader<'_>) -> Option<HorizonTerms> {
    let months = t.or("months", &MONTHS, "12", "How many, from 1 to 120.");
    let doc = "Growth of demand in a year: 0.3 is 30 % more.";
    let growth = t.or("growth_per_year", &TREND, "0.0", doc);
    let doc = "Decline of on-demand prices in a year: 0.1 is 10 % less.";
    let decline = t.or("price_decline_per_year", &DECLINE, "0.0", doc);
    let doc = "Growth of what a node can do in a year, by better engines.";
    let efficiency = t.or("efficiency_per_year", &TREND, "0.0", doc);
    let doc = "Windows that are simulated in place of the months: the scenario's own window with the demand and the \
               prices of the middle of as many equal parts of the horizon.";
    let windows = t.or("windows", &WINDOWS, "4", doc);
    let doc =
        "Simulate the whole horizon as well, second by second, and tell how far the windows are from it.";
    let full_run = t.or("full_run", &kinds::BOOL, "false", doc);
    let doc = "Weigh spot: how its nodes are taken back, as under `spot` of a pool.";
    let spot = t.table("spot", doc, |t| market::spot(t).map(|_| ()));
    let doc = "Weigh owning: what a node costs, as under `owned` of a pool.";
    let owned = t.table("owned", doc, market::owned);
    let doc = "What owned nodes draw and what electricity costs, as under `power` of a pool.";
    let power = t.table("power", doc, |t| market::power(t).map(|_| ()));
    let doc = "The hosted API of [[apis]] that own replicas are weighed against; the one that the streams overflow \
               to, or the only one, when absent.";
    let api = t.optional("api", &kinds::REFERENCE, doc).map(|name| name.value);
    let text = |read: Option<()>, key: &str| read.and_then(|()| t.node(key)).map(as_toml);
    Some(HorizonTerms {
        months: *months?,
        growth_per_year: *growth?,
        price_decline_per_year: *decline?,
        efficiency_per_year: *efficiency?,
        windows: *windows?,
        full_run: *full_run?,
        spot: text(spot, "spot"),
        owned: owned.zip(t.node("owned")).map(|(owned, node)| OwnedTerms {
            text: as_toml(node),
            price: owned.price,
            life: owned.life,
            upkeep_usd_month: owned.staff / 12.0 + owned.space,
        }),
        power: text(power, "power"),
        api,
    })
}

const MONTHS: Kind<u32> = Kind {
    what: "a whole number of months",
    read: |value| match (kinds::COUNT.read)(value)? {
        months @ 1..=120 => Ok(months),
        months => Err(Unfit::Value(format!("it is {months}; at most 120 months can be looked ahead"))),
    },
};

const WINDOWS: Kind<u32> = Kind {
    what: "a whole number of windows",
    read: |value| match (kinds::COUNT.read)(value)? {
        windows @ 1..=120 => Ok(windows),
        windows => Err(Unfit::Value(format!("it is {windows}; at most 120 windows stand for a horizon"))),
    },
};

const TREND: Kind<f64> = Kind { what: "a share a year", read: |value| within(value, 20.0) };

/// Prices cannot fall by more than they are.
const DECLINE: Kind<f64> = Kind { what: "a share a year below 1", read: |value| within(value, 0.95) };

fn within(value: &Value, most: f64) -> Result<f64, Unfit> {
    let share = kinds::number(value)?;
    if (-0.95..=most).contains(&share) {
        return Ok(share);
    }
    Err(Unfit::Value(format!("it is {share}; it must be from -0.95 to {most}")))
}
