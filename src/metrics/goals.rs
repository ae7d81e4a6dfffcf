//! What a fleet has to keep, as a plan asks for it: data, judged where plans are.

/// What must hold of a fleet for it to be a candidate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Goals {
    /// The share of requests that must meet their limits, of streams for which nothing else is said: 0 to 1.
    pub attainment: Option<f64>,
    /// The same for single streams, by name; goes before `attainment` and before the stream's own promise.
    pub attainment_of: Vec<(String, f64)>,
    /// The most that may be rejected, as a share of what arrives: 0 to 1.
    pub rejection: Option<f64>,
    /// Every job that has a deadline ends by then.
    pub job_deadlines: bool,
    /// The most that a month may cost, in US dollars.
    pub budget_usd_month: Option<f64>,
    /// The most power that the cards may be designed to draw together, in kilowatts.
    pub power_kw: Option<f64>,
    /// The providers that may be bought from; all when empty.
    pub providers: Vec<String>,
    /// The regions that may be bought in; all when empty.
    pub regions: Vec<String>,
    /// What may be lost with the promises still kept.
    pub survive: Option<Survive>,
    /// Limits of single metrics.
    pub metrics: Vec<MetricGoal>,
}

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survive {
    /// Any one node, for the whole window.
    Node,
    /// One zone, for the whole window: of every pool of one provider the nodes in it, where pools are spread
    /// evenly over so many zones.
    Zone {
        /// How many zones; at least 2.
        zones: u32,
    },
}

/// Limits of one metric; at least one of them is given.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricGoal {
    /// Its path in `summary.json`.
    pub name: String,
    /// It is not above this.
    pub at_most: Option<f64>,
    /// It is not below this.
    pub at_least: Option<f64>,
}

/// What is made as small as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// US dollars.
    #[default]
    Spend,
    /// Cards, and among equal numbers of them US dollars.
    Cards,
}

impl Objective {
    /// All, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 2] = [("spend", Self::Spend), ("cards", Self::Cards)];
}
