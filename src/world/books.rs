//! The books: laws that every run must obey, checked before a result is given.

use super::error::RunError;
use super::run::World;
use crate::metrics::results::RequestCounts;

impl World<'_> {
    /// Checks every law.
    ///
    /// # Errors
    /// [`RunError::Books`] for the first that is broken.
    pub(super) fn check_books(&mut self, counts: &RequestCounts) -> Result<(), RunError> {
        let at = self.end;
        let check = |holds: bool, what: &dyn Fn() -> String| {
            if holds { Ok(()) } else { Err(RunError::Books { at, what: what() }) }
        };
        let ended = counts.completed + counts.rejected + counts.timed_out + counts.failed + counts.in_flight;
        check(self.arrived == ended && self.arrived == counts.arrived, &|| {
            format!("{} requests arrived, {counts:?}", self.arrived)
        })?;
        let (integral, sojourns) = self.recorder.little();
        check(integral == sojourns, &|| {
            format!("Little's law: ∫N dt is {integral} request-ns, the sojourns add up to {sojourns}")
        })?;
        check(self.inventory.is_balanced(), &|| "a card is in no state or in two".to_owned())?;
        for pool in 0..self.config.pools.len() {
            let metered = self.metered(at, pool);
            let cards = u128::from(self.config.pools[pool].fleet.nodes)
                * u128::from(self.config.pools[pool].fleet.cards_per_node);
            let window = u128::from(self.config.duration.as_nanos());
            let ordered = metered.busy <= metered.leased && metered.leased <= metered.provisioned;
            check(ordered && metered.provisioned == cards * window, &|| {
                format!("pool {}: {metered:?} of {cards} cards", self.config.pools[pool].fleet.name)
            })?;
            let recorded = self.recorder.busy_cards[pool].integral();
            check(recorded == metered.busy, &|| {
                format!(
                    "pool {}: busy card-ns are {} and {recorded}",
                    self.config.pools[pool].fleet.name, metered.busy
                )
            })?;
        }
        check(self.ledger.is_balanced(), &|| "the ledger's records do not add up to the spend".to_owned())
    }
}
