//! The ledger: what is billed, record by record.
//!
//! Each record is rounded once, as the difference of two rounded running totals: so the records of an account
//! add up to its price times its billed quantity, rounded once for each price that it had. The amount of an
//! interval is split over its causes by largest remainder, in proportion to card-time.

use super::account::{Account, Book, EnergyMeter, Metered, NodeMeter};
use super::tariff::{PER_KWH, Tariff};
use crate::units::{Bytes, Duration, Instant, Usd, UsdPerHour};

/// What money was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Cards that computed.
    Busy,
    /// Cards that waited for work: leased and not computing, or on demand and not leased.
    Idle,
    /// Committed cards that nobody leased, and what a commitment costs beyond what was there.
    CommittedUnused,
    /// Time billed beyond the time used: granularity and minimum.
    BillingRemainder,
    /// Nodes that booted, and cards whose holder loaded its weights.
    Starting,
    /// Cards that did not compute any more, on nodes or under holders on their way out.
    Draining,
    /// Cards that computed what was lost again: taken over from [`Cause::Busy`].
    LostWork,
    /// Paid in advance for a term, where spend is told as it is paid.
    Upfront,
    /// Electricity.
    Energy,
    /// Tokens of a hosted API.
    HostedTokens,
    /// Bytes that left the cloud.
    Egress,
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
    /// How much, in the account's own unit: card-nanoseconds, milliwatt-nanoseconds, tokens or bytes. Negative where
    /// a record takes back what is told under another cause.
    pub quantity: i128,
    /// What it cost.
    pub amount: Usd,
}

/// All accounts and all records.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Vec<Account>,
    records: Vec<Record>,
}

impl Cause {
    /// All causes, in the order in which a tie is broken.
    pub const ALL: [Self; 11] = [
        Self::Busy,
        Self::Idle,
        Self::CommittedUnused,
        Self::BillingRemainder,
        Self::Starting,
        Self::Draining,
        Self::LostWork,
        Self::Upfront,
        Self::Energy,
        Self::HostedTokens,
        Self::Egress,
    ];

    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::CommittedUnused => "committed-unused",
            Self::BillingRemainder => "billing-remainder",
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::LostWork => "lost-work",
            Self::Upfront => "upfront",
            Self::Energy => "energy",
            Self::HostedTokens => "hosted-tokens",
            Self::Egress => "egress",
        }
    }
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens an account for like nodes, `owner`'s; returns its number, from 0. What is paid upfront and told
    /// as it is paid is billed at once for `nodes` nodes.
    pub fn open(&mut self, tariff: Tariff, cards_per_node: u32, owner: usize, nodes: u32) -> usize {
        let upfront = tariff.commitment.map_or(Usd::ZERO, |commitment| tariff.upfront(&commitment, nodes));
        let account = self.add(owner, Book::Nodes(NodeMeter::new(tariff, cards_per_node)));
        if upfront != Usd::ZERO {
            self.extra(Instant::ZERO, account, Cause::Upfront, 0, upfront);
        }
        account
    }

    /// Opens an account for electricity, `owner`'s.
    pub fn open_energy(&mut self, meter: EnergyMeter, owner: usize) -> usize {
        self.add(owner, Book::Energy(meter))
    }

    fn add(&mut self, owner: usize, book: Book) -> usize {
        self.accounts.push(Account { owner, book, charged: Usd::ZERO, extra: Usd::ZERO });
        self.accounts.len() - 1
    }

    /// Bills what was metered since the last call; `metered` is the total since the run began.
    pub fn bill(&mut self, now: Instant, account: usize, metered: Metered) {
        self.settle(now, account, metered, 0);
    }

    /// Bills what was metered, and the remainder of `nodes` nodes that were given back after `used` each:
    /// an on-demand or spot node is billed for a whole multiple of the granularity and at least the minimum.
    pub fn close(&mut self, now: Instant, account: usize, metered: Metered, nodes: u32, used: Duration) {
        let Book::Nodes(meter) = &self.accounts[account].book else { return };
        let remainder = meter.tariff.billed(used).saturating_sub(used);
        self.settle(now, account, metered, u128::from(remainder.as_nanos()) * u128::from(nodes));
    }

    /// Bills what was metered, then charges another price from now on.
    pub fn set_price(&mut self, now: Instant, account: usize, metered: Metered, price: UsdPerHour) {
        self.bill(now, account, metered);
        if let Book::Nodes(meter) = &mut self.accounts[account].book {
            meter.set_price(price);
        }
    }

    /// Opens an account for the tokens of a hosted API, `owner`'s.
    pub fn open_tokens(&mut self, owner: usize) -> usize {
        self.add(owner, Book::Tokens)
    }

    /// Tokens of a hosted API were used, which cost so much.
    pub fn tokens(&mut self, now: Instant, account: usize, tokens: u64, cost: Usd) {
        self.extra(now, account, Cause::HostedTokens, i128::from(tokens), cost);
    }

    /// Opens an account for what leaves the cloud, `owner`'s.
    pub fn open_egress(&mut self, owner: usize) -> usize {
        self.add(owner, Book::Egress)
    }

    /// Bytes left the cloud, which costs so much.
    pub fn egress(&mut self, now: Instant, account: usize, bytes: Bytes, cost: Usd) {
        self.extra(now, account, Cause::Egress, i128::from(bytes.0), cost);
    }

    /// At the end: what the account's commitment costs beyond what was billed. `committed` are the node-
    /// nanoseconds that are paid whether the nodes were there or not, `window` the time that was simulated.
    pub fn commit(&mut self, now: Instant, account: usize, committed: u128, window: Duration) {
        let Book::Nodes(meter) = &mut self.accounts[account].book else { return };
        let missing = committed.saturating_sub(meter.nanos);
        let due = meter.extend(missing);
        let least = meter.tariff.commitment.map_or(Usd::ZERO, |terms| terms.least_in(window));
        let quantity = missing * u128::from(meter.cards_per_node);
        self.charge(now, account, Cause::CommittedUnused, quantity as i128, due);
        let short = least - self.accounts[account].charged;
        if short > Usd::ZERO {
            self.extra(now, account, Cause::CommittedUnused, 0, short);
        }
    }

    /// Machines stood by, stopped, for so many node-nanoseconds.
    pub fn stand_by(&mut self, now: Instant, account: usize, node_nanos: u128, price: UsdPerHour) {
        self.extra(now, account, Cause::Idle, 0, price.cost_of_nanos(node_nanos));
    }

    /// The account's unit, and how many of a record's quantity make one.
    pub fn unit(&self, account: usize) -> (&'static str, f64) {
        match &self.accounts[account].book {
            Book::Nodes(meter) => ("node-hours", 3.6e12 * f64::from(meter.cards_per_node)),
            Book::Energy(_) => ("kWh", PER_KWH as f64),
            Book::Tokens => ("tokens", 1.0),
            Book::Egress => ("GB", 1e9),
        }
    }

    /// The price of a unit of the account now, US dollars; none where units have several.
    pub fn unit_price(&self, account: usize) -> Option<f64> {
        match &self.accounts[account].book {
            Book::Nodes(meter) => Some(meter.tariff.price.as_f64()),
            Book::Energy(meter) => Some(meter.price.as_f64()),
            Book::Tokens | Book::Egress => None,
        }
    }

    /// So many card-nanoseconds of computing, billed before, were lost: their share of what the account spent
    /// on computing is told as lost work instead.
    pub fn lose(&mut self, now: Instant, account: usize, card_nanos: u128) {
        let Book::Nodes(meter) = &mut self.accounts[account].book else { return };
        let left = meter.metered.busy - meter.lost;
        let lost = card_nanos.min(left);
        if lost == 0 {
            return;
        }
        meter.lost += lost;
        let spent = self.records.iter().filter(|record| record.account == account);
        let spent: Usd = spent.filter(|record| record.cause == Cause::Busy).map(|record| record.amount).sum();
        let amount = spent.apportion(&[lost, left - lost])[0];
        self.charge(now, account, Cause::Busy, -(lost as i128), -amount);
        self.charge(now, account, Cause::LostWork, lost as i128, amount);
    }

    fn settle(&mut self, now: Instant, account: usize, metered: Metered, remainder_nanos: u128) {
        match &mut self.accounts[account].book {
            Book::Nodes(meter) => {
                let (due, weights) = meter.advance(metered, remainder_nanos);
                let amounts = due.apportion(&weights.map(|(_, card_nanos)| card_nanos));
                for ((cause, card_nanos), amount) in weights.into_iter().zip(amounts) {
                    self.charge(now, account, cause, card_nanos as i128, amount);
                }
            }
            Book::Energy(meter) => {
                let (drawn, due) = meter.advance(metered);
                self.charge(now, account, Cause::Energy, drawn as i128, due);
            }
            Book::Tokens | Book::Egress => {}
        }
    }

    /// Charges what the book's running total accounts for.
    fn charge(&mut self, time: Instant, account: usize, cause: Cause, quantity: i128, amount: Usd) {
        if quantity != 0 || amount != Usd::ZERO {
            self.accounts[account].charged += amount;
            self.records.push(Record { time, account, cause, quantity, amount });
        }
    }

    /// Charges what stands beside the book's running total.
    fn extra(&mut self, now: Instant, account: usize, cause: Cause, quantity: i128, amount: Usd) {
        self.accounts[account].extra += amount;
        self.charge(now, account, cause, quantity, amount);
    }

    /// All records, in order of time.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whose an account is.
    pub fn owner(&self, account: usize) -> usize {
        self.accounts[account].owner
    }

    /// What an owner was charged in all.
    pub fn charged(&self, owner: usize) -> Usd {
        self.accounts.iter().filter(|account| account.owner == owner).map(|account| account.charged).sum()
    }

    /// What an owner spent on one cause.
    pub fn spent_on(&self, owner: usize, cause: Cause) -> Usd {
        let of = |record: &&Record| self.owner(record.account) == owner && record.cause == cause;
        self.records.iter().filter(of).map(|record| record.amount).sum()
    }

    /// True when the records of every account add up to what it was charged, which is its price times its
    /// billed quantity, rounded once for each price, and what was charged beside that.
    pub fn is_balanced(&self) -> bool {
        let mut recorded = vec![Usd::ZERO; self.accounts.len()];
        for record in &self.records {
            recorded[record.account] += record.amount;
        }
        self.accounts.iter().zip(recorded).all(|(account, recorded)| {
            let due = match &account.book {
                Book::Nodes(meter) => meter.due(),
                Book::Energy(meter) => meter.due(),
                Book::Tokens | Book::Egress => Usd::ZERO,
            };
            recorded == account.charged && recorded == due + account.extra
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::billing::{Commitment, Purchase, UsdPerKwh};
    use crate::units::UsdPerHour;
    use proptest::prelude::*;

    fn tariff(purchase: Purchase, dollars: f64, granularity: u64, minimum: u64) -> Tariff {
        Tariff {
            purchase,
            price: UsdPerHour::from_f64(dollars),
            granularity: Duration::from_secs(granularity),
            minimum: Duration::from_secs(minimum),
            commitment: None,
        }
    }

    const SECOND: u128 = 1_000_000_000;

    /// Two nodes of 8 cards for 90.5 s: 8 of 16 cards leased, 4 of them busy throughout.
    fn metered(seconds: f64) -> Metered {
        let nanos = (seconds * 1e9) as u128;
        Metered {
            provisioned: 16 * nanos,
            leased: 8 * nanos,
            busy: 4 * nanos,
            free: 8 * nanos,
            ..Metered::default()
        }
    }

    fn closed(tariff: Tariff, seconds: f64) -> Ledger {
        let mut ledger = Ledger::new();
        let account = ledger.open(tariff, 8, 0, 2);
        let end = Instant::from_secs_f64(seconds);
        ledger.close(end, account, metered(seconds), 2, end.since(Instant::ZERO));
        assert!(ledger.is_balanced());
        ledger
    }

    /// Busy, idle, committed but unused, billing remainder.
    fn micros(ledger: &Ledger) -> [i64; 4] {
        let all = Cause::ALL.map(|cause| ledger.spent_on(0, cause).as_micros());
        [all[0], all[1], all[2], all[3]]
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

    #[test]
    fn spot_by_its_price_path() {
        // Two nodes: 30 min at 12 $/h, then 30 min at 18 $/h: 2 × (6 + 9) = $30.
        let mut ledger = Ledger::new();
        let account = ledger.open(tariff(Purchase::Spot, 12.0, 1, 60), 8, 0, 2);
        let (half, hour) = (Instant::from_secs_f64(1800.0), Instant::from_secs_f64(3600.0));
        ledger.set_price(half, account, metered(1800.0), UsdPerHour::from_f64(18.0));
        ledger.close(hour, account, metered(3600.0), 2, Duration::HOUR);
        assert!(ledger.is_balanced());
        assert_eq!(ledger.charged(0), Usd::from_micros(30_000_000));
    }

    fn terms(upfront_ppm: u32, minimum_spend: i64, as_paid: bool) -> Commitment {
        Commitment {
            term: Duration::HOUR * 8760,
            upfront_ppm,
            minimum_spend: Usd::from_micros(minimum_spend),
            as_paid,
        }
    }

    fn committed(terms: Commitment) -> Ledger {
        let mut ledger = Ledger::new();
        let tariff = Tariff { commitment: Some(terms), ..tariff(Purchase::Reserved, 10.0, 0, 0) };
        let account = ledger.open(tariff, 8, 0, 2);
        let end = Instant::from_secs_f64(3600.0);
        ledger.close(end, account, metered(3600.0), 2, Duration::HOUR);
        ledger.commit(end, account, 2 * 3600 * SECOND, Duration::HOUR);
        assert!(ledger.is_balanced());
        ledger
    }

    #[test]
    fn upfront_and_partial() {
        // Two nodes at 10 $/h for an hour of a year's term: $20, whatever part of it was paid upfront.
        assert_eq!(committed(terms(0, 0, false)).charged(0), Usd::from_micros(20_000_000));
        assert_eq!(committed(terms(500_000, 0, false)).charged(0), Usd::from_micros(20_000_000));
        // Told as it is paid: half of 2 × 8,760 h × 10 $/h at once, and 2 × 5 $ for the hour.
        let ledger = committed(terms(500_000, 0, true));
        assert_eq!(ledger.spent_on(0, Cause::Upfront), Usd::from_micros(87_600_000_000));
        assert_eq!(ledger.charged(0), Usd::from_micros(87_610_000_000));
        // All upfront: nothing by the hour.
        assert_eq!(committed(terms(1_000_000, 0, true)).charged(0), Usd::from_micros(175_200_000_000));
    }

    #[test]
    fn least_spend() {
        // $262,800 a year are $30 an hour; $20 were used.
        let ledger = committed(terms(0, 262_800_000_000, false));
        assert_eq!(ledger.charged(0), Usd::from_micros(30_000_000));
        // Half of the cards were free: $10 of the $20, and the $10 that were missing.
        assert_eq!(ledger.spent_on(0, Cause::CommittedUnused), Usd::from_micros(20_000_000));
        assert_eq!(committed(terms(0, 100_000_000_000, false)).charged(0), Usd::from_micros(20_000_000));
    }

    #[test]
    fn a_block_is_paid_for_its_whole_length() {
        // A block of 2 nodes for 24 h at 10 $/h is $480, also when only the first hour was simulated.
        let mut ledger = Ledger::new();
        let account = ledger.open(tariff(Purchase::Block, 10.0, 0, 0), 8, 0, 2);
        let end = Instant::from_secs_f64(3600.0);
        ledger.close(end, account, metered(3600.0), 2, Duration::HOUR);
        ledger.commit(end, account, 2 * 24 * 3600 * SECOND, Duration::HOUR);
        assert!(ledger.is_balanced());
        assert_eq!(ledger.charged(0), Usd::from_micros(480_000_000));
    }

    #[test]
    fn lost_work_is_taken_from_computing() {
        // 4 of 16 cards computed for an hour: a quarter of $20. A quarter of that was lost.
        let mut ledger = committed(terms(0, 0, false));
        ledger.lose(Instant::from_secs_f64(3600.0), 0, 3600 * SECOND);
        assert!(ledger.is_balanced());
        assert_eq!(ledger.spent_on(0, Cause::LostWork), Usd::from_micros(1_250_000));
        assert_eq!(ledger.spent_on(0, Cause::Busy), Usd::from_micros(3_750_000));
        // No more can be lost than was computed.
        ledger.lose(Instant::from_secs_f64(3600.0), 0, u128::MAX);
        assert_eq!(ledger.spent_on(0, Cause::Busy), Usd::ZERO);
        assert!(ledger.is_balanced());
    }

    #[test]
    fn starting_and_draining_are_their_own_causes() {
        let mut ledger = Ledger::new();
        let account = ledger.open(tariff(Purchase::OnDemand, 36.0, 0, 0), 8, 0, 1);
        let reading = Metered {
            provisioned: 800 * SECOND,
            leased: 500 * SECOND,
            busy: 200 * SECOND,
            starting: 160 * SECOND,
            draining: 80 * SECOND,
            free: 100 * SECOND,
        };
        ledger.bill(Instant::from_secs_f64(100.0), account, reading);
        // A cent a node-second, so 1,250 micro-dollars a card-second.
        let of = |cause| ledger.spent_on(0, cause).as_micros();
        assert_eq!([of(Cause::Starting), of(Cause::Draining)], [200_000, 100_000]);
        assert_eq!([of(Cause::Busy), of(Cause::Idle)], [250_000, 450_000]);
    }

    #[test]
    fn energy_by_the_kilowatt_hour() {
        // 16 cards at 100 W, 4 of them at 600 W more, for 90 min, at 0.2 $/kWh: 6 kWh.
        let mut ledger = Ledger::new();
        let account = ledger.open_energy(EnergyMeter::new(100_000, 600_000, UsdPerKwh::from_f64(0.2)), 3);
        ledger.bill(Instant::from_secs_f64(5400.0), account, metered(5400.0));
        assert_eq!(ledger.charged(3), Usd::from_micros(1_200_000));
        assert_eq!(ledger.records()[0].quantity, 6 * crate::billing::PER_KWH as i128);
        assert!(ledger.is_balanced());
    }

    proptest! {
        /// However often an account is billed, its records add up to the micro-dollar.
        #[test]
        fn records_add_up(
            dollars in 0.0f64..1000.0,
            steps in prop::collection::vec((1u64..10_000_000_000_000, 0u32..=16, 0u32..=16), 1..50),
        ) {
            let mut ledger = Ledger::new();
            let account = ledger.open(tariff(Purchase::OnDemand, dollars, 60, 600), 8, 0, 2);
            let (mut total, mut now) = (Metered::default(), 0);
            for (nanos, leased, busy) in steps {
                now += nanos;
                total.provisioned += 16 * u128::from(nanos);
                total.leased += u128::from(leased) * u128::from(nanos);
                total.busy += u128::from(busy.min(leased)) * u128::from(nanos);
                total.free += u128::from(16 - leased) * u128::from(nanos);
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
