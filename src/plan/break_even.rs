//! Where one way to pay begins to cost less than another: closed forms over the prices of a plan.
//!
//! What is not simulated here is told as a bound between two ways, with what it is now, so that whoever reads it sees
//! how far the decision is from turning. How much spot a fleet bears is simulated ([`super::spot`]), and so is what
//! it does over a horizon ([`super::horizon`]).

use serde::Serialize;

use super::commitment::Horizon;
use super::facts::HOURS_PER_MONTH;

/// Where two ways to pay cost the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BreakEven {
    /// What is weighed: `reserved-1y`, `reserved-3y`, `owned`, `spot` or `own-replicas`.
    pub of: String,
    /// Against what: `on-demand` or `hosted-api`.
    pub against: &'static str,
    /// The pool, or the API.
    pub subject: String,
    /// What the break-even point is measured in.
    pub measure: &'static str,
    /// The point; null where it never comes.
    pub at: Option<f64>,
    /// What it is today; null where nobody knows.
    pub now: Option<f64>,
    /// Whether it pays today; null where `now` is.
    pub pays: Option<bool>,
    /// In words.
    pub why: String,
}

/// A price in US dollars an hour of a node, for words.
fn hourly(usd: f64) -> String {
    format!("{usd:.2} USD/h")
}

/// A commitment against nodes on demand: it is paid for all hours, so it pays for a node that is needed for more than
/// the ratio of the prices. `used` is the mean share of the time for which the nodes of the pool are needed.
pub fn committed(pool: &str, purchase: &str, on_demand: f64, committed: f64, used: f64) -> BreakEven {
    let at = (on_demand > 0.0 && committed <= on_demand).then(|| committed / on_demand);
    BreakEven {
        of: purchase.to_owned(),
        against: "on-demand",
        subject: pool.to_owned(),
        measure: "share of the time that a node is needed",
        at,
        now: Some(used),
        pays: Some(at.is_some_and(|at| used > at)),
        why: format!("{} for all hours against {} for those needed", hourly(committed), hourly(on_demand)),
    }
}

/// What a node costs whom it belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Owning {
    /// Its price, in US dollars.
    pub price: f64,
    /// Staff, space and electricity, in US dollars a month.
    pub upkeep_usd_month: f64,
    /// Months that it lasts.
    pub life_months: u32,
}

/// An owned node against nodes on demand, by the months after which it is paid back: what on-demand hours would have
/// cost by then is what it cost with its upkeep. `used` is the share of the time that it is needed. Resale is left
/// out.
pub fn payback(pool: &str, owning: &Owning, on_demand: f64, used: f64, horizon: &Horizon) -> BreakEven {
    let (mut rented, mut paid) = (0.0, owning.price);
    let mut at = None;
    for month in 0..owning.life_months {
        let rent = on_demand * used * HOURS_PER_MONTH * horizon.price(f64::from(month));
        let before = paid - rented;
        rented += rent;
        paid += owning.upkeep_usd_month;
        if rented >= paid {
            // Within the month, linearly.
            let gain = rent - owning.upkeep_usd_month;
            at = Some(f64::from(month) + before / gain);
            break;
        }
    }
    let life = f64::from(owning.life_months);
    BreakEven {
        of: "owned".to_owned(),
        against: "on-demand",
        subject: pool.to_owned(),
        measure: "months until it is paid back",
        at,
        now: Some(life),
        pays: Some(at.is_some()),
        why: format!(
            "{:.0} USD a node and {:.0} USD a month for {life} months of life, against {} for {:.1} % of the time{}",
            owning.price,
            owning.upkeep_usd_month,
            hourly(on_demand),
            100.0 * used,
            if at.is_none() { ": it is never paid back" } else { "" }
        ),
    }
}

/// Spot against on demand, by the preemptions an hour of a node. After each, the next node is paid for `recovery`
/// hours before it serves: a useful hour of spot costs its price × (1 + rate × recovery).
pub fn spot(pool: &str, on_demand: f64, spot: f64, rate: Option<f64>, recovery: f64) -> BreakEven {
    let at = match () {
        () if spot >= on_demand => Some(0.0),
        () if spot > 0.0 && recovery > 0.0 => Some((on_demand / spot - 1.0) / recovery),
        // Whatever costs nothing, or no time, pays at any rate.
        () => None,
    };
    let effective = rate.map(|rate| spot * (1.0 + rate * recovery));
    BreakEven {
        of: "spot".to_owned(),
        against: "on-demand",
        subject: pool.to_owned(),
        measure: "preemptions an hour of a node",
        at,
        now: rate,
        pays: effective.map(|effective| effective < on_demand),
        why: format!(
            "{} and {:.0} s paid after each preemption before it serves again, against {}{}",
            hourly(spot),
            3600.0 * recovery,
            hourly(on_demand),
            effective.map_or(String::new(), |usd| format!("; a useful hour costs {usd:.2} USD"))
        ),
    }
}

/// Own replicas against a hosted API, by the requests a month: the fleet costs the same whatever is asked of it, the
/// API costs each request's tokens.
pub fn hosted(api: &str, own_usd_month: f64, usd_per_request: f64, requests_month: f64) -> BreakEven {
    let at = (usd_per_request > 0.0).then(|| own_usd_month / usd_per_request);
    let bill = usd_per_request * requests_month;
    BreakEven {
        of: "own-replicas".to_owned(),
        against: "hosted-api",
        subject: api.to_owned(),
        measure: "requests a month",
        at,
        now: Some(requests_month),
        pays: Some(bill > own_usd_month),
        why: format!(
            "the fleet costs {own_usd_month:.0} USD a month whatever is asked, the API {:.4} USD a request: {bill:.0} \
             USD a month",
            usd_per_request
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Horizon =
        Horizon { months: 36, growth_per_year: 0.0, price_decline_per_year: 0.0, efficiency_per_year: 0.0 };

    #[test]
    fn a_commitment_pays_above_the_ratio_of_the_prices() {
        let told = committed("p", "reserved-1y", 10.0, 6.0, 0.7);
        assert_eq!((told.at, told.pays), (Some(0.6), Some(true)));
        assert_eq!(committed("p", "reserved-1y", 10.0, 6.0, 0.5).pays, Some(false));
        // What costs more than on demand never pays.
        let dear = committed("p", "owned", 10.0, 11.0, 1.0);
        assert_eq!((dear.at, dear.pays), (None, Some(false)));
    }

    /// By hand: 73,000 dollars, 10 an hour for all 730 hours: ten months; with 730 dollars of upkeep a month
    /// 73,000 ÷ 6,570 = 11.11 months; used for half the time 73,000 ÷ (3,650 − 730) = 25.
    #[test]
    fn months_until_it_is_paid_back() {
        let owning = |upkeep_usd_month| Owning { price: 73_000.0, upkeep_usd_month, life_months: 48 };
        let at = |upkeep, used| payback("p", &owning(upkeep), 10.0, used, &STILL).at.expect("paid back");
        assert!((at(0.0, 1.0) - 10.0).abs() < 1e-9);
        assert!((at(730.0, 1.0) - 73_000.0 / 6_570.0).abs() < 1e-9, "{}", at(730.0, 1.0));
        assert!((at(730.0, 0.5) - 25.0).abs() < 1e-9);
        let never = payback("p", &owning(730.0), 10.0, 0.25, &STILL);
        assert_eq!((never.at, never.pays), (None, Some(false)));
        // Prices that halve every year: the rent of 24 months is 97,549 dollars, of all time 130,065 and no more.
        let falling = Horizon { price_decline_per_year: 0.5, ..STILL };
        let told = payback("p", &Owning { price: 97_548.916_75, ..owning(0.0) }, 10.0, 1.0, &falling);
        assert!(told.at.is_some_and(|month| (month - 24.0).abs() < 1e-3), "{told:?}");
        assert_eq!(payback("p", &Owning { price: 130_100.0, ..owning(0.0) }, 10.0, 1.0, &falling).at, None);
    }

    /// By hand: 4 against 10 dollars, a quarter of an hour lost each time: (10 ÷ 4 − 1) ÷ 0.25 = 6 an hour.
    #[test]
    fn spot_pays_until_it_is_taken_back_too_often() {
        let told = spot("p", 10.0, 4.0, Some(2.0), 0.25);
        assert_eq!((told.at, told.pays), (Some(6.0), Some(true)));
        assert!(told.why.contains("costs 6.00 USD"), "{}", told.why);
        assert_eq!(spot("p", 10.0, 4.0, Some(6.1), 0.25).pays, Some(false));
        assert_eq!(spot("p", 10.0, 12.0, Some(0.1), 0.25).at, Some(0.0));
        assert_eq!(spot("p", 10.0, 4.0, None, 0.25).pays, None);
    }

    /// By hand: 7,300 dollars a month, 0.002 a request: 3.65 million requests.
    #[test]
    fn own_replicas_pay_above_so_many_requests() {
        let told = hosted("api", 7300.0, 0.002, 4e6);
        assert!(told.at.is_some_and(|at| (at - 3.65e6).abs() < 1e-6) && told.pays == Some(true));
        assert_eq!(hosted("api", 7300.0, 0.002, 3e6).pays, Some(false));
        assert_eq!(hosted("free", 7300.0, 0.0, 3e6).at, None);
    }
}
