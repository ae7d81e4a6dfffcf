//! Providers: how they bill, what leaving traffic costs, how long a spot notice is.

use crate::units::{Bytes, Duration, Usd, UsdPerGb};

use super::figure::{EntryName, Figure, FigureRow, Shown, Unknown};
use super::origin::{BadEntry, Sources, entry_fields};

/// One step of an egress price list.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressTier {
    /// The price holds up to this monthly volume in 10¹² bytes; left out for the last tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_tb: Option<f64>,
    /// The price in USD per 10⁹ bytes within the tier.
    pub usd_per_gb: f64,
}

/// A monthly price list for traffic that leaves the provider: each tier prices the volume within it.
#[derive(Debug, Clone, PartialEq)]
pub struct EgressPrices {
    tiers: Vec<(u64, UsdPerGb)>,
}

/// A provider of nodes or of tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Provider {
    /// Its name as offers use it, for example `aws`.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Its name in full.
    pub title: String,
    /// A remark for the reader.
    pub note: String,
    /// Use is billed in whole multiples of this.
    pub billing_granularity: Option<Figure<Duration>>,
    /// The least that one start of a node is billed.
    pub billing_minimum: Option<Figure<Duration>>,
    /// From the notice that a spot node is taken back to its end.
    pub spot_notice: Option<Figure<Duration>>,
    /// What traffic to the internet costs.
    pub egress: Option<Figure<EgressPrices>>,
}

entry_fields! {
    /// A provider as data files and scenarios write it.
    ProviderFields ("provider") {
        words {
            /// Its name in full.
            title: String,
            /// A remark for the reader.
            note: String,
        }
        figures {
            /// Use is billed in whole multiples of this, for example `1s`.
            billing_granularity: String,
            /// The least that one start of a node is billed, for example `60s`.
            billing_minimum: String,
            /// From the notice that a spot node is taken back to its end, for example `120s`.
            spot_notice: String,
            /// What traffic to the internet costs, by monthly volume.
            egress: Vec<EgressTier>,
        }
    }
}

impl EgressPrices {
    /// What moving `moved` costs when `before` has already been moved this month.
    pub fn cost_of(&self, before: Bytes, moved: Bytes) -> Usd {
        let (mut from, to) = (before.0, before.0.saturating_add(moved.0));
        let mut sum = Usd::ZERO;
        for (limit, price) in &self.tiers {
            let end = to.min(*limit);
            if end > from {
                sum += price.cost_of(Bytes(end - from));
                from = end;
            }
        }
        sum
    }

    /// One price, whatever the volume: US dollars a gigabyte.
    pub fn flat(usd_per_gb: f64) -> Self {
        Self { tiers: vec![(u64::MAX, UsdPerGb::from_f64(usd_per_gb))] }
    }

    fn from_tiers(tiers: &[EgressTier]) -> Result<Self, String> {
        let mut list: Vec<(u64, UsdPerGb)> = Vec::with_capacity(tiers.len());
        for (index, tier) in tiers.iter().enumerate() {
            let last = index + 1 == tiers.len();
            let limit = match tier.up_to_tb {
                None if last => u64::MAX,
                Some(terabytes) if !last && terabytes > 0.0 && terabytes < 1e6 => {
                    Bytes::from_gb(terabytes * 1000.0).0
                }
                _ => return Err("needs `up_to_tb` in every tier but the last".to_owned()),
            };
            if list.last().is_some_and(|(previous, _)| *previous >= limit) {
                return Err("must have tiers in rising order of `up_to_tb`".to_owned());
            }
            if !(0.0..=1e3).contains(&tier.usd_per_gb) {
                return Err(format!("has the price {}; it must be from 0 to 1000 USD/GB", tier.usd_per_gb));
            }
            list.push((limit, UsdPerGb::from_f64(tier.usd_per_gb)));
        }
        if list.is_empty() { Err("has no tier".to_owned()) } else { Ok(Self { tiers: list }) }
    }
}

impl Shown for EgressPrices {
    const UNIT: &'static str = "USD/GB";
    fn shown(&self) -> String {
        let tiers = self.tiers.iter().map(|(limit, price)| match limit {
            &u64::MAX => format!("{}", price.as_f64()),
            limit => format!("{} to {} TB", price.as_f64(), *limit as f64 / 1e12),
        });
        tiers.collect::<Vec<_>>().join(", ")
    }
}

impl Provider {
    fn entry(&self) -> EntryName<'_> {
        EntryName { kind: "provider", name: &self.name }
    }

    /// Use is billed in whole multiples of this.
    ///
    /// # Errors
    /// When it is not known.
    pub fn billing_granularity(&self) -> Result<Duration, Unknown> {
        self.entry().need("billing_granularity", self.billing_granularity.as_ref())
    }

    /// The least that one start of a node is billed.
    ///
    /// # Errors
    /// When it is not known.
    pub fn billing_minimum(&self) -> Result<Duration, Unknown> {
        self.entry().need("billing_minimum", self.billing_minimum.as_ref())
    }

    /// From the notice that a spot node is taken back to its end.
    ///
    /// # Errors
    /// When it is not known.
    pub fn spot_notice(&self) -> Result<Duration, Unknown> {
        self.entry().need("spot_notice", self.spot_notice.as_ref())
    }

    /// What traffic to the internet costs.
    ///
    /// # Errors
    /// When it is not known.
    pub fn egress(&self) -> Result<EgressPrices, Unknown> {
        self.entry().need("egress", self.egress.as_ref())
    }

    /// Every figure, known or not, in a fixed order.
    pub fn figures(&self) -> Vec<FigureRow> {
        let entry = self.entry();
        vec![
            entry.row("billing_granularity", self.billing_granularity.as_ref()),
            entry.row("billing_minimum", self.billing_minimum.as_ref()),
            entry.row("spot_notice", self.spot_notice.as_ref()),
            entry.row("egress", self.egress.as_ref()),
        ]
    }

    /// Lays fields over this entry.
    ///
    /// # Errors
    /// When a value is impossible or a provenance key names no figure.
    pub(super) fn apply(&mut self, fields: &ProviderFields, known: &Sources) -> Result<(), BadEntry> {
        let origin = fields.origin(known)?;
        self.name.clone_from(&fields.name);
        self.aliases.extend(fields.aliases.iter().cloned());
        for (slot, word) in [(&mut self.title, &fields.title), (&mut self.note, &fields.note)] {
            if let Some(word) = word {
                slot.clone_from(word);
            }
        }
        for (slot, key, text) in [
            (&mut self.billing_granularity, "billing_granularity", &fields.billing_granularity),
            (&mut self.billing_minimum, "billing_minimum", &fields.billing_minimum),
            (&mut self.spot_notice, "spot_notice", &fields.spot_notice),
        ] {
            if let Some(text) = text {
                let time = Duration::parse(text).map_err(|error| origin.bad(key, error.to_string()))?;
                origin.set(slot, key, Some(time));
            }
        }
        if let Some(tiers) = &fields.egress {
            let prices = EgressPrices::from_tiers(tiers).map_err(|why| origin.bad("egress", why))?;
            origin.set(&mut self.egress, "egress", Some(prices));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(up_to_tb: Option<f64>, usd_per_gb: f64) -> EgressTier {
        EgressTier { up_to_tb, usd_per_gb }
    }

    #[test]
    fn egress_is_priced_tier_by_tier() {
        let prices = EgressPrices::from_tiers(&[tier(Some(10.0), 0.09), tier(None, 0.085)]);
        let prices = prices.expect("two tiers in order");
        // 9 TB moved before: 1 TB at 0.09, then 2 TB at 0.085.
        let cost = prices.cost_of(Bytes::from_gb(9_000.0), Bytes::from_gb(3_000.0));
        assert_eq!(cost, Usd::from_micros(90_000_000 + 170_000_000));
    }

    #[test]
    fn impossible_tiers_are_refused() {
        for tiers in [
            vec![],
            vec![tier(None, 0.1), tier(None, 0.2)],
            vec![tier(Some(10.0), 0.1), tier(Some(5.0), 0.1), tier(None, 0.1)],
            vec![tier(None, -0.1)],
            vec![tier(None, f64::NAN)],
        ] {
            assert!(EgressPrices::from_tiers(&tiers).is_err(), "{tiers:?}");
        }
    }
}
