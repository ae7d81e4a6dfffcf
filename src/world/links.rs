//! Links that gangs share: who lies on a link with others goes on as fast as its share of it allows.
//!
//! Shares change when a lease over several nodes begins or ends (`fleet::Inventory::network_share`). Jobs are slowed at
//! once; a replica at its next iteration, a nanosecond later, so that a boundary of this very instant does not meet it
//! on one path and miss it on the other.

use super::config::WorldConfig;
use super::events::Event;
use super::run::World;
use crate::fleet::{Holder, LeaseId, LinkUse, Patterns, PoolId};
use crate::jobs::JobList;
use crate::metrics::results::LinkSummary;
use crate::sim::Ctx;
use crate::topology::Pattern;
use crate::units::{Duration, Instant};

/// Who exchanges experts' tokens.
pub(super) fn patterns(config: &WorldConfig, jobs: &JobList) -> Patterns {
    let mut patterns = Patterns::default();
    for (deployment, plan) in (0u32..).zip(&config.deployments) {
        let mut options = plan.options.iter().filter_map(|option| option.on_links.as_ref());
        if options.any(|on_links| on_links.pattern == Pattern::AllToAll) {
            patterns.deployments.insert(deployment);
        }
    }
    patterns.jobs = jobs.exchanging().collect();
    patterns
}

impl World<'_> {
    /// Tells those whose share of their links has changed.
    pub(super) fn share_links(&mut self, now: Instant) {
        if !self.inventory.shares_changed() {
            return;
        }
        for id in self.inventory.take_changed_shares() {
            let Some(lease) = self.inventory.lease(id) else { continue };
            let (holder, option) = (lease.holder, lease.option);
            match holder {
                Holder::Job(job) => self.slow_job(now, job, id),
                Holder::Replica(deployment, _) => {
                    let options = &self.config.deployments[deployment as usize].options;
                    if options.get(option).is_some_and(|option| option.on_links.is_some()) {
                        let soon = now.saturating_add(Duration::from_nanos(1));
                        self.queue.push(soon, Event::Links { lease: id.0 });
                    }
                }
            }
        }
    }

    fn slow_job(&mut self, now: Instant, job: u32, lease: LeaseId) {
        let share = self.inventory.network_share(lease);
        let option = usize::from(self.jobs.state(job).option);
        let Some(takes) = self.job_list.duration_on_links(job, option, share) else { return };
        let mut ctx = Ctx::new(now, &mut self.buffers.jobs, &mut self.buffers.worked);
        self.jobs.slow(&mut ctx, job, takes);
        self.route_jobs(now);
    }

    /// The busiest links between a pool's switches.
    pub(super) fn link_summaries(&mut self, pool: usize) -> Vec<LinkSummary> {
        let uses = self.inventory.link_uses(PoolId(pool as u16), self.end);
        let summary = |of: LinkUse| LinkSummary {
            link: of.link,
            carries_gb_s: of.carries.as_f64() / 1e9,
            allocated: of.mean,
            most: of.most,
            crowded: of.crowded,
        };
        uses.into_iter().map(summary).collect()
    }

    /// The share of a lease's links has changed a nanosecond ago.
    pub(super) fn slow_replicas(&mut self, now: Instant, lease: LeaseId) {
        let share = self.inventory.network_share(lease);
        for replica in self.replicas.on_lease(lease) {
            let (deployment, option) = self.serving.placement(replica);
            let option = &self.config.deployments[deployment].options[option];
            let step = match &option.on_links {
                Some(on_links) if share < 1.0 => on_links.at(share),
                _ => Some(option.step.clone()),
            };
            if let Some(step) = step {
                let mut ctx = Ctx::new(now, &mut self.buffers.serving, &mut self.buffers.served);
                self.serving.set_step(&mut ctx, replica, step);
            }
        }
        self.route_serving(now);
    }
}
