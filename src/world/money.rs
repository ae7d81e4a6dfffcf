//! The world's money: what is billed when, and what the nodes of a pool came to.

use super::config::WorldConfig;
use super::events::Event;
use super::run::World;
use crate::billing::{EnergyMeter, Ledger, PER_KWH};
use crate::fleet::{PoolId, Stage, Tally};
use crate::metrics::results::{EnergySummary, SupplySummary};
use crate::units::Instant;

/// Opens an account of electricity for each pool that pays for it.
pub(super) fn open_energy(config: &WorldConfig, ledger: &mut Ledger) -> Vec<Option<usize>> {
    let mut open = |(owner, plan): (usize, &super::PoolPlan)| {
        let power = plan.power?;
        Some(ledger.open_energy(EnergyMeter::new(power.idle_mw, power.more_mw, power.price?), owner))
    };
    config.pools.iter().enumerate().map(&mut open).collect()
}

impl World<'_> {
    /// Schedules the changes of prices.
    pub(super) fn begin_prices(&mut self) {
        for (pool, plan) in (0u16..).zip(&self.config.pools) {
            for (place, (at, _)) in (0u32..).zip(&plan.price_path) {
                self.queue.push(*at, Event::Price { pool, place });
            }
        }
    }

    pub(super) fn change_price(&mut self, now: Instant, pool: usize, place: usize) {
        let metered = self.metered(now, pool);
        let price = self.config.pools[pool].price_path[place].1;
        self.ledger.set_price(now, pool, metered, price);
    }

    /// Bills what a pool used since it was billed last.
    pub(super) fn bill(&mut self, now: Instant, pool: usize) {
        let metered = self.metered(now, pool);
        self.ledger.bill(now, pool, metered);
        if let Some(account) = self.energy_accounts[pool] {
            self.ledger.bill(now, account, metered);
        }
    }

    /// Bills the rest of the window and gives every node back.
    pub(super) fn settle_pools(&mut self) {
        let (end, window) = (self.end, self.config.duration);
        self.bill_apis(end);
        self.bill_egress(end);
        for (pool, plan) in self.config.pools.iter().enumerate() {
            let id = PoolId(pool as u16);
            let metered = self.metered(end, pool);
            if !self.nodes.changes(id) {
                self.ledger.close(end, pool, metered, plan.fleet.nodes, window);
            }
            for used in self.nodes.paid_since(id, end) {
                self.ledger.close(end, pool, metered, 1, used);
            }
            self.bill(end, pool);
            // A block is paid for its whole length; of other commitments, the least that was promised.
            let block = plan.block.map_or(0, |length| u128::from(length.as_nanos()));
            self.ledger.commit(end, pool, block * u128::from(plan.fleet.nodes), window);
            let warm = plan.fleet.supply.as_ref().and_then(|supply| supply.provisioning.warm.as_ref());
            if let Some(warm) = warm {
                let nanos = u128::from(warm.nodes) * u128::from(window.as_nanos());
                self.ledger.stand_by(end, pool, nanos, warm.price);
            }
        }
    }

    /// What the cards of some pools drew; nothing where one of them does not say what it draws.
    pub(super) fn energy_of(&mut self, pools: std::ops::Range<usize>) -> EnergySummary {
        let nothing = (!pools.is_empty()).then_some(0.0);
        let (mut kwh, mut kg) = (nothing, nothing);
        for pool in pools {
            let metered = self.metered(self.end, pool);
            let power = self.config.pools[pool].power;
            let drawn = power.map(|power| {
                let drawn = u128::from(power.idle_mw) * metered.provisioned
                    + u128::from(power.more_mw) * metered.busy;
                drawn as f64 / PER_KWH as f64
            });
            let grams = power.and_then(|power| power.grams_per_kwh);
            kwh = kwh.zip(drawn).map(|(sum, more)| sum + more);
            kg = kg.zip(drawn.zip(grams)).map(|(sum, (drawn, grams))| sum + drawn * grams / 1e3);
        }
        EnergySummary { kwh, kg_co2e: kg }
    }

    /// What became of a pool's nodes; nothing for a pool whose nodes stay.
    pub(super) fn supply_summary(&mut self, pool: usize) -> Option<SupplySummary> {
        let tally = self.nodes.tally(PoolId(pool as u16), self.end)?;
        let hours = |nanos: u128| nanos as f64 / 3.6e12;
        let stage = |stage: Stage| hours(tally.in_stage(stage));
        let Tally { ordered, refused, ready, preempted, broken, given_back, dry_nanos, .. } = tally;
        let paid = hours(tally.paid_nanos());
        Some(SupplySummary {
            ordered,
            refused,
            ready,
            preempted,
            broken,
            given_back,
            waiting_node_hours: stage(Stage::Quota) + stage(Stage::Stock),
            starting_node_hours: stage(Stage::Boot) + stage(Stage::Pull),
            ready_node_hours: stage(Stage::Ready),
            draining_node_hours: stage(Stage::Draining),
            down_node_hours: stage(Stage::Down),
            preemptions_per_node_hour: (paid > 0.0).then(|| preempted as f64 / paid),
            share_without_stock: dry_nanos.map(|dry| dry as f64 / self.config.duration.as_nanos() as f64),
        })
    }
}
