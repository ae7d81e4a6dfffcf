//! How many nodes to commit to: a level under the demand of a horizon of months to years.
//!
//! The window of the scenario stands for every month of the horizon, with demand and prices of that month. A node
//! that is needed for a share of the time is worth a commitment when paying for all hours of the horizon at the
//! committed price costs less than paying for the needed hours at the on-demand prices of their months. Demands are
//! nested (the second node is needed no longer than the first), so the nodes worth it are the first so many: the
//! newsvendor's level.

use serde::Serialize;

use super::facts::HOURS_PER_MONTH;

/// What the coming months bring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Horizon {
    /// How many months; at least 1.
    pub months: u32,
    /// Growth of demand in a year: 0.3 is 30 % more.
    pub growth_per_year: f64,
    /// Decline of on-demand prices in a year: 0.1 is 10 % less. What is committed to keeps its price.
    pub price_decline_per_year: f64,
    /// Growth of what a node can do in a year, by better engines: 0.2 serves 20 % more.
    pub efficiency_per_year: f64,
}

impl Horizon {
    /// Demand in units of what a node can do, `month` months from now, as a multiple of today's.
    pub fn demand(&self, month: f64) -> f64 {
        libm::pow((1.0 + self.growth_per_year) / (1.0 + self.efficiency_per_year), month / 12.0)
    }

    /// What is paid by the hour, `month` months from now, as a multiple of today's price.
    pub fn price(&self, month: f64) -> f64 {
        libm::pow(1.0 - self.price_decline_per_year, month / 12.0)
    }
}

/// A way to commit: to whom, for how much, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The pool.
    pub pool: &'a str,
    /// `reserved-1y`, `reserved-3y`, `owned`.
    pub purchase: &'a str,
    /// The price of a node, in US dollars an hour.
    pub usd_h: f64,
    /// Months after which it is decided anew, at the prices of then; `None` where it holds for the horizon.
    pub term: Option<u32>,
}

/// One way to commit, and how far to go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// The pool.
    pub pool: String,
    /// The commitment: `reserved-1y`, `reserved-3y`, `owned`.
    pub purchase: String,
    /// The price of a node on demand, in US dollars an hour.
    pub on_demand_usd_h: f64,
    /// The committed price of a node, in US dollars an hour.
    pub committed_usd_h: f64,
    /// A node that is needed for a larger share of the first month than this is worth a commitment, prices alone.
    pub break_even_share: f64,
    /// Nodes to commit to now.
    pub commit_nodes: u64,
    /// Nodes to commit to in each term of the horizon, at the price of its beginning.
    pub commit_nodes_by_term: Vec<u64>,
    /// Nodes needed at the highest point of the first month, and of the last.
    pub peak_nodes: [u64; 2],
    /// What the horizon costs with that level and the rest on demand, in US dollars.
    pub spend_usd: f64,
    /// What it costs all on demand.
    pub all_on_demand_usd: f64,
    /// What it costs with every node of the highest point of each term committed.
    pub all_committed_usd: f64,
    /// Months.
    pub months: u32,
}

/// The level for nodes needed over a window (equal intervals), with the price on demand in US dollars an hour.
pub fn level(way: Way<'_>, needed: &[f64], horizon: &Horizon, on_demand: f64) -> Level {
    // Whole nodes; a rounding error is no node.
    let nodes = |value: f64, at: u32| ((value * horizon.demand(f64::from(at)) - 1e-9).ceil()).max(0.0) as u64;
    let peak = |at: u32| needed.iter().map(|value| nodes(*value, at)).max().unwrap_or(0);
    let hours = HOURS_PER_MONTH / needed.len().max(1) as f64;
    let mut told = Level {
        pool: way.pool.to_owned(),
        purchase: way.purchase.to_owned(),
        on_demand_usd_h: on_demand,
        committed_usd_h: way.usd_h,
        break_even_share: if on_demand > 0.0 { way.usd_h / on_demand } else { f64::INFINITY },
        commit_nodes: 0,
        commit_nodes_by_term: Vec::new(),
        peak_nodes: [peak(0), peak(horizon.months.saturating_sub(1))],
        spend_usd: 0.0,
        all_on_demand_usd: 0.0,
        all_committed_usd: 0.0,
        months: horizon.months,
    };
    let term = way.term.unwrap_or(horizon.months).max(1);
    for begin in (0..horizon.months).step_by(term as usize) {
        let months = || begin..horizon.months.min(begin + term);
        let most = months().map(peak).max().unwrap_or(0);
        // What the k-th node costs on demand over the term.
        let rented = |node: u64| -> f64 {
            let in_month = |at: u32| needed.iter().filter(|value| nodes(**value, at) >= node).count() as f64;
            months().map(|at| in_month(at) * hours * on_demand * horizon.price(f64::from(at))).sum()
        };
        let owed = way.usd_h * horizon.price(f64::from(begin)) * HOURS_PER_MONTH * months().len() as f64;
        let costs: Vec<f64> = (1..=most).map(rented).collect();
        let commit = costs.iter().take_while(|cost| **cost > owed).count();
        told.commit_nodes_by_term.push(commit as u64);
        told.spend_usd += commit as f64 * owed + costs[commit..].iter().sum::<f64>();
        told.all_on_demand_usd += costs.iter().sum::<f64>();
        told.all_committed_usd += most as f64 * owed;
    }
    told.commit_nodes = told.commit_nodes_by_term.first().copied().unwrap_or(0);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Horizon =
        Horizon { months: 12, growth_per_year: 0.0, price_decline_per_year: 0.0, efficiency_per_year: 0.0 };
    const YEARLY: Way<'_> = Way { pool: "p", purchase: "reserved-1y", usd_h: 6.0, term: Some(12) };

    /// By hand: a day with 4 nodes for a quarter, 2 for a quarter and 1 for a half of the time.
    #[test]
    fn the_newsvendors_level() {
        let needed = [4.0, 2.0, 1.0, 1.0];
        let level = |usd_h| level(Way { usd_h, ..YEARLY }, &needed, &STILL, 10.0);
        let year = 8760.0;
        // Needed: the first always, the second for half, the third and fourth for a quarter of the time.
        let told = level(6.0);
        assert_eq!((told.commit_nodes, told.peak_nodes), (1, [4, 4]));
        assert!((told.spend_usd - year * (6.0 + 5.0 + 2.5 + 2.5)).abs() < 1e-6, "{told:?}");
        assert!((told.all_on_demand_usd - year * 20.0).abs() < 1e-6);
        assert!((told.all_committed_usd - year * 24.0).abs() < 1e-6);
        assert_eq!([level(4.0), level(2.0), level(11.0)].map(|told| told.commit_nodes), [2, 4, 0]);
        // No other level costs less.
        for committed in [2.0, 3.0, 4.9, 5.1, 9.0] {
            let told = level(committed);
            let rented = [1.0, 0.5, 0.25, 0.25].map(|share| share * 10.0 * year);
            let of = |n: usize| committed * year * n as f64 + rented[n..].iter().sum::<f64>();
            let best = (0..=4).map(of).fold(f64::INFINITY, f64::min);
            assert!((told.spend_usd - best).abs() < 1e-6, "{committed}: {told:?}");
        }
    }

    #[test]
    fn what_the_months_bring() {
        let needed = [2.0, 1.0];
        let way = Way { purchase: "reserved-3y", usd_h: 6.0, term: Some(36), ..YEARLY };
        let of = |horizon: Horizon| level(way, &needed, &horizon, 10.0);
        let still = of(Horizon { months: 36, ..STILL });
        let grown = of(Horizon { months: 36, growth_per_year: 1.0, ..STILL });
        assert!(grown.commit_nodes > still.commit_nodes && grown.peak_nodes[1] > grown.peak_nodes[0]);
        // Prices that halve each year make a commitment for three a bad one.
        let cheaper = of(Horizon { months: 36, price_decline_per_year: 0.5, ..STILL });
        assert_eq!((still.commit_nodes, cheaper.commit_nodes), (1, 0));
        // Efficiency works against growth.
        let even = Horizon { months: 36, growth_per_year: 0.5, efficiency_per_year: 0.5, ..STILL };
        assert!((of(even).spend_usd - still.spend_usd).abs() < 1e-6);
    }

    /// By hand: one node needed always, prices that halve each year. A year's commitment at 8 of 10 dollars is paid
    /// 8, then 4 an hour; what runs on demand costs the sum of its months.
    #[test]
    fn a_renewed_commitment_follows_the_prices() {
        let horizon = Horizon { months: 24, price_decline_per_year: 0.5, ..STILL };
        let months = |range: std::ops::Range<i32>| -> f64 {
            range.map(|month| 730.0 * 10.0 * libm::pow(0.5, f64::from(month) / 12.0)).sum()
        };
        // On demand the first year costs 65,033 dollars, the second half of it; committed at 7: 61,320 and 30,660.
        let told = level(Way { usd_h: 7.0, ..YEARLY }, &[1.0], &horizon, 10.0);
        assert_eq!(told.commit_nodes_by_term, [1, 1]);
        assert!((told.spend_usd - 8760.0 * (7.0 + 3.5)).abs() < 1e-6, "{told:?}");
        assert!((told.all_on_demand_usd - months(0..24)).abs() < 1e-6);
        let told = level(Way { usd_h: 8.0, ..YEARLY }, &[1.0], &horizon, 10.0);
        assert_eq!(told.commit_nodes_by_term, [0, 0], "{}", months(0..12));
        // For three years at 7 it never pays: 24 months cost 122,640 against 97,549 on demand.
        let long = level(Way { usd_h: 7.0, term: Some(36), ..YEARLY }, &[1.0], &horizon, 10.0);
        assert_eq!((long.commit_nodes, long.commit_nodes_by_term.len()), (0, 1));
    }

    /// Growth is met by the next term: nodes are committed to when they are needed for long enough.
    #[test]
    fn each_term_has_its_level() {
        let horizon = Horizon { months: 36, growth_per_year: 1.0, ..STILL };
        let told = level(YEARLY, &[1.0], &horizon, 10.0);
        // Of the second node (needed from month 1 on) 11 of 12 months, of the third from month 13 on, and so on.
        assert_eq!(told.commit_nodes_by_term, [2, 3, 6]);
        assert_eq!(told.peak_nodes, [1, 8]);
    }
}
