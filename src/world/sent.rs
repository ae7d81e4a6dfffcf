//! What went over links: the loads of the plans, times the work that was done.

use std::collections::BTreeMap;

use super::run::World;
use crate::metrics::results::LinkTraffic;
use crate::perf::LinkKind;
use crate::units::Duration;

/// Jobs whose links are told, those with the fullest: a row each for thousands would tell nothing.
const MOST_JOBS: usize = 20;

impl World<'_> {
    /// The links of each deployment and training job whose plan sends anything, the fullest first.
    pub(super) fn link_traffic(&self) -> Vec<LinkTraffic> {
        let mut all = self.links_of_deployments();
        let mut jobs = self.links_of_jobs();
        jobs.sort_by(by_fullness);
        let mut names: Vec<String> = Vec::new();
        jobs.retain(|link| {
            if !names.contains(&link.holder) && names.len() < MOST_JOBS {
                names.push(link.holder.clone());
            }
            names.contains(&link.holder)
        });
        all.extend(jobs);
        all.sort_by(by_fullness);
        all
    }

    fn links_of_deployments(&self) -> Vec<LinkTraffic> {
        let mut sums: BTreeMap<(usize, usize, usize), LinkTraffic> = BTreeMap::new();
        for (deployment, option, tokens, iterations, time) in self.serving.link_work() {
            let plan = &self.config.deployments[deployment];
            let chosen = &plan.options[option];
            for (place, load) in chosen.loads.iter().enumerate() {
                let bytes = load.of_replica(tokens, iterations).0 as f64;
                let sum = sums.entry((deployment, option, place)).or_insert_with(|| LinkTraffic {
                    holder: plan.name.clone(),
                    pool: self.config.pools[chosen.pool.index()].fleet.name.clone(),
                    kind: kind(load.kind),
                    name: load.name.to_owned(),
                    links: 0,
                    capacity_bytes_per_s: load.capacity.as_f64(),
                    bytes: 0.0,
                    computing_bytes_per_s: None,
                    computing_share: None,
                    share: 0.0,
                });
                sum.links += u64::from(load.links);
                sum.bytes += bytes * f64::from(load.links);
                fill(sum, bytes, time, self.config.duration);
            }
        }
        sums.into_values().filter(|sum| sum.bytes > 0.0).collect()
    }

    fn links_of_jobs(&self) -> Vec<LinkTraffic> {
        let list = self.jobs.list();
        let mut sums: BTreeMap<(u32, usize, usize), LinkTraffic> = BTreeMap::new();
        for (job, option, share) in self.jobs.work_done(self.end) {
            let Some(chosen) = list.option(job, option).filter(|chosen| !chosen.loads.is_empty()) else {
                continue;
            };
            for (place, load) in chosen.loads.iter().enumerate() {
                let bytes = load.bytes.0 as f64 * chosen.steps * share;
                let sum = sums.entry((job, option, place)).or_insert_with(|| LinkTraffic {
                    holder: list.name(job).to_owned(),
                    pool: self.config.pools[chosen.pool.index()].fleet.name.clone(),
                    kind: kind(load.kind),
                    name: load.name.to_owned(),
                    links: u64::from(load.links),
                    capacity_bytes_per_s: load.capacity.as_f64(),
                    bytes: 0.0,
                    computing_bytes_per_s: None,
                    computing_share: None,
                    share: 0.0,
                });
                sum.bytes += bytes * f64::from(load.links);
                let so_far = sum.bytes / f64::from(load.links);
                let time = Duration::from_secs_f64(chosen.duration.as_secs_f64() * share);
                // In all its runs a job sends as fast; over the window it is what all of them sent.
                fill(sum, bytes, time, self.config.duration);
                sum.share = so_far / self.config.duration.as_secs_f64() / sum.capacity_bytes_per_s;
            }
        }
        sums.into_values().filter(|sum| sum.bytes > 0.0).collect()
    }
}

/// How full one link is: of those of a holder, the fullest.
fn fill(sum: &mut LinkTraffic, bytes: f64, computing: Duration, window: Duration) {
    let capacity = sum.capacity_bytes_per_s;
    let seconds = computing.as_secs_f64();
    if seconds > 0.0 {
        let rate = (bytes / seconds).max(sum.computing_bytes_per_s.unwrap_or(0.0));
        sum.computing_bytes_per_s = Some(rate);
        sum.computing_share = Some(rate / capacity);
    }
    sum.share = sum.share.max(bytes / window.as_secs_f64() / capacity);
}

fn by_fullness(a: &LinkTraffic, b: &LinkTraffic) -> std::cmp::Ordering {
    let share = |link: &LinkTraffic| link.computing_share.unwrap_or(0.0);
    share(b).total_cmp(&share(a)).then_with(|| (&a.holder, a.kind).cmp(&(&b.holder, b.kind)))
}

fn kind(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Cards => "card to card",
        LinkKind::Network => "node to node",
        LinkKind::Host => "card to host",
    }
}
