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

/// One way to commit, and how far to go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Level {
    /// The pool.
    pub pool: String,
    /// The commitment: `reserved-1y`, `reserved-3y`.
    pub purchase: String,
    /// The price of a node on demand, in US dollars an hour.
    pub on_demand_usd_h: f64,
    /// The committed price of a node, in US dollars an hour.
    pub committed_usd_h: f64,
    /// A node that is needed for a larger share of the first month than this is worth a commitment, prices alone.
    pub break_even_share: f64,
    /// Nodes to commit to.
    pub commit_nodes: u64,
    /// Nodes needed at the highest point of the first month, and of the last.
    pub peak_nodes: [u64; 2],
    /// What the horizon costs with that level and the rest on demand, in US dollars.
    pub spend_usd: f64,
    /// What it costs all on demand.
    pub all_on_demand_usd: f64,
    /// What it costs with every node of the highest point committed.
    pub all_committed_usd: f64,
    /// Months.
    pub months: u32,
}

/// The level for nodes needed over a window (equal intervals), at these prices in US dollars an hour.
pub fn level(
    (pool, purchase): (&str, &str),
    needed: &[f64],
    horizon: &Horizon,
    on_demand: f64,
    committed: f64,
) -> Level {
    let month = |month: u32| f64::from(month) / 12.0;
    let demand =
        |at: u32| libm::pow((1.0 + horizon.growth_per_year) / (1.0 + horizon.efficiency_per_year), month(at));
    let price = |at: u32| on_demand * libm::pow(1.0 - horizon.price_decline_per_year, month(at));
    // Whole nodes; a rounding error is no node.
    let nodes = |value: f64, at: u32| ((value * demand(at) - 1e-9).ceil()).max(0.0) as u64;
    let peak = |at: u32| needed.iter().map(|value| nodes(*value, at)).max().unwrap_or(0);
    let most = (0..horizon.months).map(peak).max().unwrap_or(0);
    let hours = HOURS_PER_MONTH / needed.len().max(1) as f64;
    // What the k-th node costs on demand over the horizon.
    let rented = |node: u64| -> f64 {
        let in_month = |at: u32| needed.iter().filter(|value| nodes(**value, at) >= node).count() as f64;
        (0..horizon.months).map(|at| in_month(at) * hours * price(at)).sum()
    };
    let owed = committed * HOURS_PER_MONTH * f64::from(horizon.months);
    let costs: Vec<f64> = (1..=most).map(rented).collect();
    let commit = costs.iter().take_while(|cost| **cost > owed).count();
    Level {
        pool: pool.to_owned(),
        purchase: purchase.to_owned(),
        on_demand_usd_h: on_demand,
        committed_usd_h: committed,
        break_even_share: if on_demand > 0.0 { committed / on_demand } else { f64::INFINITY },
        commit_nodes: commit as u64,
        peak_nodes: [peak(0), peak(horizon.months.saturating_sub(1))],
        spend_usd: commit as f64 * owed + costs[commit..].iter().sum::<f64>(),
        all_on_demand_usd: costs.iter().sum(),
        all_committed_usd: most as f64 * owed,
        months: horizon.months,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Horizon =
        Horizon { months: 12, growth_per_year: 0.0, price_decline_per_year: 0.0, efficiency_per_year: 0.0 };

    /// By hand: a day with 4 nodes for a quarter, 2 for a quarter and 1 for a half of the time.
    #[test]
    fn the_newsvendors_level() {
        let needed = [4.0, 2.0, 1.0, 1.0];
        let level = |committed| level(("p", "reserved-1y"), &needed, &STILL, 10.0, committed);
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
        let of = |horizon: Horizon| level(("p", "reserved-3y"), &needed, &horizon, 10.0, 6.0);
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
}
