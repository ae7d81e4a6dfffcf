//! What an account meters, and what that comes to.

use super::ledger::Cause;
use super::tariff::{Tariff, UsdPerKwh};
use crate::units::{Usd, UsdPerHour};

/// Card-time of an account since the run began, by what the cards did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metered {
    /// Card-nanoseconds provisioned: paid for.
    pub provisioned: u128,
    /// Card-nanoseconds leased.
    pub leased: u128,
    /// Card-nanoseconds computing.
    pub busy: u128,
    /// Card-nanoseconds of nodes that started, and of holders that loaded their weights.
    pub starting: u128,
    /// Card-nanoseconds of cards that did not compute, on nodes or under holders on their way out.
    pub draining: u128,
    /// Card-nanoseconds of cards that nobody leased, on nodes that were ready or down.
    pub free: u128,
}

/// An account.
#[derive(Debug)]
pub(super) struct Account {
    /// Whose it is; what owners are, the ledger does not care.
    pub(super) owner: usize,
    pub(super) book: Book,
    pub(super) charged: Usd,
    /// What was charged beside the book's running total.
    pub(super) extra: Usd,
}

/// What is metered.
#[derive(Debug)]
pub(super) enum Book {
    Nodes(NodeMeter),
    Energy(EnergyMeter),
    Tokens,
    Egress,
}

/// Node-time at a price an hour.
#[derive(Debug)]
pub(super) struct NodeMeter {
    pub(super) tariff: Tariff,
    pub(super) cards_per_node: u32,
    pub(super) metered: Metered,
    /// Card-nanoseconds of computing that were lost.
    pub(super) lost: u128,
    /// Node-nanoseconds billed in all.
    pub(super) nanos: u128,
    /// What was due under earlier prices.
    settled: Usd,
    /// Node-nanoseconds billed at the present price.
    at_price: u128,
}

/// Electricity drawn by the nodes of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnergyMeter {
    /// Milliwatts of a card that is provisioned, its share of the node and the building's overhead included.
    pub idle_mw: u64,
    /// Milliwatts more while it computes.
    pub more_mw: u64,
    /// What it costs.
    pub price: UsdPerKwh,
    drawn: u128,
}

impl NodeMeter {
    pub(super) fn new(tariff: Tariff, cards_per_node: u32) -> Self {
        Self {
            tariff,
            cards_per_node,
            metered: Metered::default(),
            lost: 0,
            nanos: 0,
            settled: Usd::ZERO,
            at_price: 0,
        }
    }

    /// Takes the meter's reading, and node-nanoseconds that are billed beyond it: what is due for the time
    /// since the last reading, and the card-nanoseconds of each cause.
    pub(super) fn advance(&mut self, metered: Metered, remainder: u128) -> (Usd, [(Cause, u128); 6]) {
        let before = std::mem::replace(&mut self.metered, metered);
        let busy = metered.busy - before.busy;
        let starting = metered.starting - before.starting;
        let draining = metered.draining - before.draining;
        let free = metered.free - before.free;
        let provisioned = metered.provisioned - before.provisioned;
        let leased = provisioned - free - busy - starting - draining;
        let (idle, unused) =
            if self.tariff.purchase.is_committed() { (leased, free) } else { (leased + free, 0) };
        let cards = u128::from(self.cards_per_node);
        let due = self.extend(provisioned / cards + remainder);
        let weights = [
            (Cause::Busy, busy),
            (Cause::Idle, idle),
            (Cause::CommittedUnused, unused),
            (Cause::BillingRemainder, remainder * cards),
            (Cause::Starting, starting),
            (Cause::Draining, draining),
        ];
        (due, weights)
    }

    /// Bills more node-nanoseconds; what is due for them.
    pub(super) fn extend(&mut self, nanos: u128) -> Usd {
        let before = self.due();
        self.nanos += nanos;
        self.at_price += nanos;
        self.due() - before
    }

    /// What all that was billed comes to, rounded once for each price.
    pub(super) fn due(&self) -> Usd {
        self.settled + self.tariff.hourly().cost_of_nanos(self.at_price)
    }

    pub(super) fn set_price(&mut self, price: UsdPerHour) {
        self.settled = self.due();
        self.at_price = 0;
        self.tariff.price = price;
    }
}

impl EnergyMeter {
    /// A meter of the cards of a pool.
    pub fn new(idle_mw: u64, more_mw: u64, price: UsdPerKwh) -> Self {
        Self { idle_mw, more_mw, price, drawn: 0 }
    }

    /// Milliwatt-nanoseconds that a reading comes to.
    pub fn drawn_by(&self, metered: &Metered) -> u128 {
        u128::from(self.idle_mw) * metered.provisioned + u128::from(self.more_mw) * metered.busy
    }

    /// Takes the meter's reading: what was drawn since the last one, and what is due for it.
    pub(super) fn advance(&mut self, metered: Metered) -> (u128, Usd) {
        let drawn = self.drawn_by(&metered);
        let before = std::mem::replace(&mut self.drawn, drawn);
        (drawn - before, self.due() - self.price.cost_of(before))
    }

    pub(super) fn due(&self) -> Usd {
        self.price.cost_of(self.drawn)
    }
}
