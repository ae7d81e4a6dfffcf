//! The ledger: what is billed, record by record.
//!
//! Each record is rounded once, as the difference of two rounded running totals: so the records of a pool
//! add up to its price times its billed time, rounded once. The amount of an interval is split over its
//! causes by largest remainder, in proportion to card-time.

use super::tariff::Tariff;
use crate::units::{Duration, Instant, Usd};

/// What money was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Cards that computed.
    Busy,
    /// Cards that waited for work: leased and not computing, or on demand and not leased.
    Idle,
    /// Committed cards that nobody leased.
    CommittedUnused,
    /// Time billed beyond the time used: granularity and minimum.
    BillingRemainder,
}

impl Cause {
    /// All causes, in the order in which a tie is broken.
    pub const ALL: [Self; 4] = [Self::Busy, Self::Idle, Self::CommittedUnused, Self::BillingRemainder];

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::CommittedUnused => "committed-unused",
            Self::BillingRemainder => "billing-remainder",
        }
    }
}

/// One line of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The end of the interval that is billed.
    pub time: Instant,
    /// The account.
    pub account: usize,
    /// What it was spent on.
    pub cause: Cause,
    /// Card-nanoseconds.
    pub card_nanos: u128,
    /// What it cost.
    pub amount: Usd,
}

/// Card-time of an account since the run began, by what the cards did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metered {
    /// Card-nanoseconds provisioned.
    pub provisioned: u128,
    /// Card-nanoseconds leased.
    pub leased: u128,
    /// Card-nanoseconds computing.
    pub busy: u128,
}

/// The account of a pool.
#[derive(Debug)]
struct Account {
    tariff: Tariff,
    cards_per_node: u32,
    metered: Metered,
    /// Node-nanoseconds billed beyond those used.
    remainder_nanos: u128,
    charged: Usd,
}

/// All accounts and all records.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Vec<Account>,
    records: Vec<Record>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an account for like nodes; returns its number, from 0.
    pub fn open(&mut self, tariff: Tariff, cards_per_node: u32) -> usize {
        self.accounts.push(Account {
            tariff,
            cards_per_node,
            metered: Metered::default(),
            remainder_nanos: 0,
            charged: Usd::ZERO,
        });
        self.accounts.len() - 1
    }

    /// Bills what was metered since the last call; `metered` is the total since the run began.
    pub fn bill(&mut self, now: Instant, account: usize, metered: Metered) {
        self.record(now, account, metered, 0);
    }

    /// Bills what was metered, and the remainder of `nodes` nodes that were given back after `used` each:
    /// an on-demand node is billed for a whole multiple of the granularity and at least the minimum.
    pub fn close(&mut self, now: Instant, account: usize, metered: Metered, nodes: u32, used: Duration) {
        let tariff = &self.accounts[account].tariff;
        let remainder = tariff.billed(used).saturating_sub(used);
        self.record(now, account, metered, u128::from(remainder.as_nanos()) * u128::from(nodes));
    }

    fn record(&mut self, now: Instant, number: usize, metered: Metered, remainder_nanos: u128) {
        let account = &mut self.accounts[number];
        let cards = u128::from(account.cards_per_node);
        let before = std::mem::replace(&mut account.metered, metered);
        account.remainder_nanos += remainder_nanos;
        let busy = metered.busy - before.busy;
        let leased = metered.leased - before.leased;
        let free = metered.provisioned - before.provisioned - leased;
        let (idle, unused) = if account.tariff.purchase.is_committed() {
            (leased - busy, free)
        } else {
            (leased - busy + free, 0)
        };
        let weights = [busy, idle, unused, remainder_nanos * cards];
        let node_nanos = metered.provisioned / cards + account.remainder_nanos;
        let total = account.tariff.price.cost_of_nanos(node_nanos);
        let due = total - account.charged;
        account.charged = total;
        for ((cause, card_nanos), amount) in Cause::ALL.into_iter().zip(weights).zip(due.apportion(&weights))
        {
            if card_nanos > 0 || amount != Usd::ZERO {
                self.records.push(Record { time: now, account: number, cause, card_nanos, amount });
            }
        }
    }

    /// All records, in order of time.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What an account was charged in all.
    pub fn charged(&self, account: usize) -> Usd {
        self.accounts[account].charged
    }

    /// What an account spent on one cause.
    pub fn spent_on(&self, account: usize, cause: Cause) -> Usd {
        let of = |record: &&Record| record.account == account && record.cause == cause;
        self.records.iter().filter(of).map(|record| record.amount).sum()
    }

    /// True when the records of every account add up to what it was charged, which is its price times its
    /// billed time, rounded once.
    pub fn is_balanced(&self) -> bool {
        self.accounts.iter().enumerate().all(|(number, account)| {
            let recorded: Usd =
                self.records.iter().filter(|record| record.account == number).map(|r| r.amount).sum();
            let node_nanos = account.metered.provisioned / u128::from(account.cards_per_node);
            let due = account.tariff.price.cost_of_nanos(node_nanos + account.remainder_nanos);
            recorded == account.charged && recorded == due
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::Purchase;
    use crate::units::UsdPerHour;
    use proptest::prelude::*;

    fn tariff(purchase: Purchase, dollars: f64, granularity: u64, minimum: u64) -> Tariff {
        Tariff {
            purchase,
            price: UsdPerHour::from_f64(dollars),
            granularity: Duration::from_secs(granularity),
            minimum: Duration::from_secs(minimum),
        }
    }

    const SECOND: u128 = 1_000_000_000;

    /// Two nodes of 8 cards for 90.5 s: 8 of 16 cards leased, 4 of them busy throughout.
    fn metered(seconds: f64) -> Metered {
        let nanos = (seconds * 1e9) as u128;
        Metered { provisioned: 16 * nanos, leased: 8 * nanos, busy: 4 * nanos }
    }

    fn closed(tariff: Tariff, seconds: f64) -> Ledger {
        let mut ledger = Ledger::new();
        let account = ledger.open(tariff, 8);
        let end = Instant::from_secs_f64(seconds);
        ledger.close(end, account, metered(seconds), 2, end.since(Instant::ZERO));
        assert!(ledger.is_balanced());
        ledger
    }

    fn micros(ledger: &Ledger) -> [i64; 4] {
        Cause::ALL.map(|cause| ledger.spent_on(0, cause).as_micros())
    }

    #[test]
    fn on_demand_to_the_second() {
        // 2 nodes × 90.5 s, billed as 91 s, at 36 $/h = 1 cent a second: $1.82, of which 1 cent is remainder.
        let ledger = closed(tariff(Purchase::OnDemand, 36.0, 1, 60), 90.5);
        assert_eq!(ledger.charged(0), Usd::from_micros(1_820_000));
        assert_eq!(micros(&ledger), [452_500, 1_357_500, 0, 10_000]);
    }

    #[test]
    fn on_demand_minimum() {
        // 2 nodes × 20 s, billed as 60 s: $1.20, of which 2 × 40 s are remainder.
        let ledger = closed(tariff(Purchase::OnDemand, 36.0, 1, 60), 20.0);
        assert_eq!(ledger.charged(0), Usd::from_micros(1_200_000));
        assert_eq!(micros(&ledger), [100_000, 300_000, 0, 800_000]);
    }

    #[test]
    fn on_demand_by_the_hour() {
        // 2 nodes × 90.5 s, billed as an hour each: $72.
        let ledger = closed(tariff(Purchase::OnDemand, 36.0, 3600, 0), 90.5);
        assert_eq!(ledger.charged(0), Usd::from_micros(72_000_000));
        assert_eq!(micros(&ledger)[3], 2 * (36_000_000 - 905_000));
    }

    #[test]
    fn on_demand_exactly_as_used() {
        let ledger = closed(tariff(Purchase::OnDemand, 36.0, 0, 0), 90.5);
        assert_eq!(ledger.charged(0), Usd::from_micros(1_810_000));
    }

    #[test]
    fn committed_pays_for_the_window_and_says_what_nobody_leased() {
        // Neither granularity nor minimum: 2 × 90.5 s at 1 cent a second; half of the cards were free.
        let ledger = closed(tariff(Purchase::Reserved3y, 36.0, 3600, 3600), 90.5);
        assert_eq!(ledger.charged(0), Usd::from_micros(1_810_000));
        assert_eq!(micros(&ledger), [452_500, 452_500, 905_000, 0]);
    }

    proptest! {
        /// However often an account is billed, its records add up to the micro-dollar.
        #[test]
        fn records_add_up(
            dollars in 0.0f64..1000.0,
            steps in prop::collection::vec((1u64..10_000_000_000_000, 0u32..=16, 0u32..=16), 1..50),
        ) {
            let mut ledger = Ledger::new();
            let account = ledger.open(tariff(Purchase::OnDemand, dollars, 60, 600), 8);
            let (mut total, mut now) = (Metered::default(), 0);
            for (nanos, leased, busy) in steps {
                now += nanos;
                total.provisioned += 16 * u128::from(nanos);
                total.leased += u128::from(leased) * u128::from(nanos);
                total.busy += u128::from(busy.min(leased)) * u128::from(nanos);
                ledger.bill(Instant::from_nanos(now), account, total);
            }
            ledger.close(Instant::from_nanos(now), account, total, 2, Duration::from_nanos(now));
            prop_assert!(ledger.is_balanced());
            let billed = u128::from(Duration::from_nanos(now).round_up_to(Duration::from_secs(60)).as_nanos());
            let billed = billed.max(600 * SECOND);
            prop_assert_eq!(ledger.charged(0), UsdPerHour::from_f64(dollars).cost_of_nanos(2 * billed));
        }
    }
}
