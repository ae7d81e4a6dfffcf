//! The books: laws that every run must obey, checked before a result is given.

use super::error::RunError;
use super::run::World;
use crate::fleet::{Holder, PoolId};
use crate::metrics::results::RequestCounts;
use crate::serving::{DeploymentTotals, HandoverTotals};
use crate::units::Duration;

impl World<'_> {
    /// Checks every law.
    ///
    /// # Errors
    /// [`RunError::Books`] for the first that is broken.
    pub(super) fn check_books(
        &mut self,
        counts: &RequestCounts,
        totals: &[DeploymentTotals],
    ) -> Result<(), RunError> {
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
        check(self.recorder.unexplained == 0, &|| {
            format!("the time of {} requests is not the sum of its causes", self.recorder.unexplained)
        })?;
        check(self.inventory.is_balanced(), &|| "a card is in no state or in two".to_owned())?;
        check(self.replicas.is_balanced(), &|| {
            "replicas do not add up to those of their stages, or one holds no cards".to_owned()
        })?;
        for pool in 0..self.config.pools.len() {
            let metered = self.metered(at, pool);
            let id = PoolId(pool as u16);
            let per_node = u128::from(self.config.pools[pool].fleet.cards_per_node);
            let node_nanos = match self.nodes.tally(id, at) {
                Some(tally) => tally.paid_nanos(),
                None => {
                    u128::from(self.config.pools[pool].fleet.nodes)
                        * u128::from(self.config.duration.as_nanos())
                }
            };
            let ordered = self.inventory.usage(id).settle(at).is_ordered();
            check(ordered && metered.provisioned == per_node * node_nanos, &|| {
                format!("pool {}: {metered:?} in {node_nanos} node-ns", self.config.pools[pool].fleet.name)
            })?;
            let recorded = self.recorder.busy_cards[pool].integral();
            check(recorded == metered.busy, &|| {
                format!(
                    "pool {}: busy card-ns are {} and {recorded}",
                    self.config.pools[pool].fleet.name, metered.busy
                )
            })?;
        }
        let (submitted, accounted) = self.jobs_accounted();
        check(submitted == accounted, &|| {
            format!("{submitted} jobs were submitted, {accounted} have finished, run or wait")
        })?;
        let (leased, ran) = (self.job_card_time(at), self.job_card_time_by_state(at));
        check(leased == ran, &|| format!("jobs held cards for {leased} card-ns, and ran for {ran}"))?;
        for (job, state) in (0u32..).zip(self.jobs.states()) {
            let Some(submitted) = state.submitted else { continue };
            let (waited, explained) =
                (state.started.unwrap_or(at).since(submitted), self.jobs.waits(at, job).total());
            check(waited == explained, &|| {
                format!(
                    "job {} waited {waited}, and its causes add up to {explained}",
                    self.job_list.name(job)
                )
            })?;
        }
        for (plan, totals) in self.config.deployments.iter().zip(totals) {
            let HandoverTotals { bytes_sent, bytes_received, bytes_moving, bytes_lost, .. } = totals.handed;
            check(bytes_sent == bytes_received + bytes_moving + bytes_lost, &|| {
                format!(
                    "deployment {}: {bytes_sent} bytes of KV cache were handed over, {bytes_received} have arrived, \
                     {bytes_moving} are on their way and {bytes_lost} were lost with a replica",
                    plan.name
                )
            })?;
        }
        if let Some(what) = self.serving.audit() {
            return Err(RunError::Books { at, what });
        }
        check(self.ledger.is_balanced(), &|| "the ledger's records do not add up to the spend".to_owned())
    }

    /// Jobs submitted, and jobs that have finished, run or wait.
    fn jobs_accounted(&self) -> (u64, u64) {
        let states = self.jobs.states().iter();
        let (waiting, running) = self.jobs.load();
        let (mut submitted, mut finished) = (0, 0);
        for state in states {
            submitted += u64::from(state.submitted.is_some());
            finished += u64::from(state.finished.is_some());
        }
        (submitted, finished + waiting + running)
    }

    /// Card-nanoseconds of jobs' leases, those that have ended and those that have not.
    fn job_card_time(&self, at: crate::units::Instant) -> u128 {
        let mut total = self.job_card_nanos;
        for (_, lease) in self.inventory.leases().filter(|(_, lease)| matches!(lease.holder, Holder::Job(_)))
        {
            total += lease.card_nanos(at);
        }
        total
    }

    /// Card-nanoseconds for which jobs ran, by their own clocks.
    fn job_card_time_by_state(&self, at: crate::units::Instant) -> u128 {
        let list = self.jobs.list();
        let of = |(job, state): (u32, &crate::jobs::JobState)| {
            let now = state.running.map_or(Duration::ZERO, |since| at.since(since));
            u128::from(list.facts(job).cards) * u128::from((state.ran + now).as_nanos())
        };
        (0u32..).zip(self.jobs.states()).map(of).sum()
    }
}
