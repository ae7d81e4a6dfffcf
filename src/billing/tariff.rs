//! How a node is paid for.

use std::fmt;

use crate::units::{Duration, Usd, UsdPerHour};

/// The purchase option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purchase {
    /// Paid while it runs.
    OnDemand,
    /// Committed for one year; paid whether used or not.
    Reserved1y,
    /// Committed for three years; paid whether used or not.
    Reserved3y,
    /// Committed for a term of the user's own; paid whether used or not.
    Reserved,
    /// A capacity block or calendar reservation: paid for its whole length, whether used or not.
    Block,
    /// Spare capacity that the provider may take back; paid while it runs.
    Spot,
    /// Bought: its price, less what it is worth in the end, spread over its life.
    Owned,
}

/// What a node costs and how its time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// How it is bought.
    pub purchase: Purchase,
    /// Price of a node.
    pub price: UsdPerHour,
    /// Billed time is rounded up to a multiple of this; zero means exactly as used. On-demand and spot only.
    pub granularity: Duration,
    /// Billed time is at least this. On-demand and spot only.
    pub minimum: Duration,
    /// What was promised beyond paying for the time, where it was.
    pub commitment: Option<Commitment>,
}

/// The terms of a commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// How long it holds; longer than zero.
    pub term: Duration,
    /// The part of the whole term's price that is paid at its beginning, in millionths.
    pub upfront_ppm: u32,
    /// The least that is spent over the term.
    pub minimum_spend: Usd,
    /// What is paid upfront is told as it is paid, at the beginning of the run, and not spread over the term.
    pub as_paid: bool,
}

/// A price of electricity, exact to the micro-dollar per kilowatt-hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UsdPerKwh(pub i64);

/// Milliwatt-nanoseconds in a kilowatt-hour: 10⁶ mW × 3.6·10¹² ns.
pub const PER_KWH: u128 = 3_600_000_000_000_000_000;

impl UsdPerKwh {
    /// From dollars, rounded to the micro-dollar.
    pub fn from_f64(dollars: f64) -> Self {
        Self((dollars * 1e6).round() as i64)
    }

    /// In dollars, for output.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// What so many milliwatt-nanoseconds cost, rounded once, half up, to the micro-dollar.
    pub fn cost_of(self, drawn: u128) -> Usd {
        let per = PER_KWH as i128;
        let exact = i128::from(self.0) * (drawn / PER_KWH) as i128;
        let rest = i128::from(self.0) * (drawn % PER_KWH) as i128;
        Usd::from_micros((exact + (rest + per / 2).div_euclid(per)) as i64)
    }
}

impl Purchase {
    /// All options, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 7] = [
        ("on-demand", Self::OnDemand),
        ("reserved-1y", Self::Reserved1y),
        ("reserved-3y", Self::Reserved3y),
        ("reserved", Self::Reserved),
        ("capacity-block", Self::Block),
        ("spot", Self::Spot),
        ("owned", Self::Owned),
    ];

    /// True when it is paid whether used or not.
    pub fn is_committed(self) -> bool {
        !matches!(self, Self::OnDemand | Self::Spot)
    }
}

impl fmt::Display for Purchase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, option)| option == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl Tariff {
    /// On demand, billed as used.
    pub const fn as_used(price: UsdPerHour) -> Self {
        let (granularity, minimum) = (Duration::ZERO, Duration::ZERO);
        Self { purchase: Purchase::OnDemand, price, granularity, minimum, commitment: None }
    }

    /// The time billed for a node used for `used`: on demand and spot, at least the minimum, rounded up to the
    /// granularity; committed, the time itself.
    pub fn billed(&self, used: Duration) -> Duration {
        if self.purchase.is_committed() { used } else { used.max(self.minimum).round_up_to(self.granularity) }
    }

    /// What an hour of a node costs beside what was paid upfront and told then.
    pub fn hourly(&self) -> UsdPerHour {
        match self.commitment {
            Some(terms) if terms.as_paid => self.price.less_ppm(terms.upfront_ppm),
            _ => self.price,
        }
    }

    /// What is paid upfront for `nodes` nodes and told as it is paid.
    pub fn upfront(&self, terms: &Commitment, nodes: u32) -> Usd {
        if !terms.as_paid {
            return Usd::ZERO;
        }
        let hourly = self.price.as_nanos() - self.price.less_ppm(terms.upfront_ppm).as_nanos();
        let nanos = u128::from(terms.term.as_nanos()) * u128::from(nodes);
        UsdPerHour::from_nanos(hourly).cost_of_nanos(nanos)
    }
}

impl Commitment {
    /// The share of the least spend over the term that falls on `window`.
    pub fn least_in(&self, window: Duration) -> Usd {
        let part = i128::from(self.minimum_spend.as_micros()) * i128::from(window.as_nanos());
        let term = i128::from(self.term.as_nanos().max(1));
        Usd::from_micros(((part + term / 2) / term) as i64)
    }
}
