//! From what was recorded to the summary.

use super::config::PoolPlan;
use super::engine_summary::engine;
use super::error::RunError;
use super::run::World;
use crate::billing::Cause;
use crate::fleet::PoolId;
use crate::metrics::results::{
    DeploymentSummary, HandoverSummary, JobsSummary, PoolSummary, PrefixCacheSummary, RunResults,
    SCHEMA_VERSION, ScenarioInfo, SloLimits, SpendSummary, StabilitySummary, StreamSummary, Summary,
    TierSummary, UtilizationSummary,
};
use crate::metrics::{JobSpan, RequestStats, Sketch, fairness, judge};
use crate::serving::{DeploymentTotals, HandoverTotals, KvTiers, Role};
use crate::units::{Duration, Flop, Instant, Usd};

const NANOS_PER_HOUR: f64 = 3.6e12;

impl World<'_> {
    /// Closes the run and draws up its results.
    pub(super) fn results(mut self) -> Result<RunResults, RunError> {
        let end = self.end;
        self.settle_pools();
        let totals = self.serving.finish(end);
        self.recorder.settle(end, self.inventory.leases());
        self.record_left_over()?;
        for (stream, arrived) in (0u16..).zip(self.recorder.arrived.clone()) {
            let deployment = self.config.streams[usize::from(stream)].deployments[0] as u32;
            self.recorder.cells.entry((stream, deployment)).or_default().counts.arrived = arrived;
        }
        let all = self.stats(|_, _| true);
        self.check_books(&all.counts, &totals)?;
        let summary = self.summary(&all, &totals);
        Ok(RunResults {
            summary,
            timeseries: self.timeseries(),
            distributions: self.distributions(),
            time: self.stream_times(),
            ledger: self.ledger_rows(),
            jobs: self.job_rows(),
            job_waits: self.job_waits(),
            gantt: std::mem::take(&mut self.recorder.gantt),
            decisions: std::mem::take(&mut self.decisions),
            assumptions: self.config.assumptions.clone(),
            defaults: self.config.defaults.clone(),
            cards: self.recorder.take_cards(end),
            requests: all,
        })
    }

    fn record_left_over(&mut self) -> Result<(), RunError> {
        let end = self.end;
        let mut left: Vec<_> = self.serving.in_flight(end).collect();
        left.extend(self.hosted_in_flight(end));
        for departure in left {
            let row = self.recorder.left_over(end, &departure);
            if let Some(rows) = &mut self.rows {
                rows(&row).map_err(|why| RunError::Recorder { at: end, why })?;
            }
        }
        Ok(())
    }

    /// The statistics of the requests of those streams and deployments, merged.
    pub(super) fn stats(&self, wanted: impl Fn(u16, u32) -> bool) -> RequestStats {
        let mut merged = RequestStats::default();
        for ((stream, deployment), cell) in &self.recorder.cells {
            if wanted(*stream, *deployment) {
                merged.merge(cell);
            }
        }
        merged
    }

    fn summary(&mut self, all: &RequestStats, totals: &[DeploymentTotals]) -> Summary {
        let config = self.config;
        let stability = self.stability();
        let judged = config.duration.saturating_sub(config.warmup);
        let streams: Vec<StreamSummary> =
            (0..config.streams.len()).map(|stream| self.stream_summary(stream, &stability, judged)).collect();
        let deployments = (0..config.deployments.len())
            .map(|d| self.deployment_summary(d, &totals[d], &stability))
            .collect();
        let flop = self.flop_by_pool();
        let tokens = self.output_tokens_by_pool();
        let output = all.tokens.output;
        let pools: Vec<PoolSummary> =
            (0..config.pools.len()).map(|pool| self.pool_summary(pool, flop[pool], tokens[pool])).collect();
        let time = all.time_by_cause().filter(|_| stability.iter().all(|judged| judged.stable));
        let unstable = stability.iter().zip(&config.deployments).find(|(judged, _)| !judged.stable);
        let images: u64 = totals.iter().map(|totals| totals.images).sum();
        // Behind the pools stand the hosted APIs.
        let mut spend = self.spend_of(0..config.pools.len() + config.apis.len(), output);
        self.split_spend(&mut spend);
        spend.usd_per_image = (images > 0).then(|| spend.total_usd / images as f64);
        Summary {
            schema_version: SCHEMA_VERSION,
            scenario: ScenarioInfo {
                name: config.name.clone(),
                seed: config.seed.0,
                duration_s: config.duration.as_secs_f64(),
                warmup_s: config.warmup.as_secs_f64(),
            },
            requests: all.counts,
            latency: all.latency(unstable.is_none()),
            time_by_cause_s: time.map(|time| time.0),
            wait_by_cause_s: time.map(|time| time.1),
            slo: all.slo(judged),
            tokens: all.tokens,
            jobs: self.jobs_summary(),
            utilization: self.utilization_of(0..config.pools.len(), &flop),
            spend,
            energy: self.energy_of(0..config.pools.len()),
            stability: match unstable {
                None => StabilitySummary {
                    stable: true,
                    why: "every queue settles".to_owned(),
                    growth_per_hour: None,
                },
                Some((judged, plan)) => StabilitySummary {
                    stable: false,
                    why: format!("deployment `{}`: {}", plan.name, judged.why),
                    growth_per_hour: judged.growth_per_hour,
                },
            },
            streams,
            tenants: self.tenants(&stability),
            apis: self.api_summaries(),
            deployments,
            pools,
            links: self.link_traffic(),
            replications: None,
        }
    }

    fn stream_summary(
        &self,
        stream: usize,
        stability: &[StabilitySummary],
        judged: Duration,
    ) -> StreamSummary {
        let plan = &self.config.streams[stream];
        let stats = self.stats(|of, _| usize::from(of) == stream);
        let parts = plan.deployments.iter().flat_map(|d| self.parts(*d));
        let first_unstable = parts.map(|d| &stability[d]).find(|judged| !judged.stable);
        let time = stats.time_by_cause().filter(|_| first_unstable.is_none());
        StreamSummary {
            name: plan.traffic.name.clone(),
            model: plan.model.clone(),
            requests: stats.counts,
            latency: stats.latency(first_unstable.is_none()),
            time_by_cause_s: time.map(|time| time.0),
            wait_by_cause_s: time.map(|time| time.1),
            slo: stats.slo(judged),
            slo_limits: SloLimits {
                ttft_s: plan.slo.ttft.map(Duration::as_secs_f64),
                tpot_s: plan.slo.tpot.map(Duration::as_secs_f64),
                e2e_s: plan.slo.e2e.map(Duration::as_secs_f64),
            },
            slo_target: plan.slo.attainment,
            tokens: stats.tokens,
            stability: first_unstable.unwrap_or(&stability[plan.deployments[0]]).clone(),
            response_cache: self.response_cache(stream),
        }
    }

    fn deployment_summary(
        &self,
        deployment: usize,
        totals: &DeploymentTotals,
        stability: &[StabilitySummary],
    ) -> DeploymentSummary {
        let plan = &self.config.deployments[deployment];
        let mut stats = self.stats(|_, of| of as usize == deployment);
        let counts = &mut stats.counts;
        // Arrivals are counted by stream; here, by where they ended.
        counts.arrived =
            counts.completed + counts.rejected + counts.timed_out + counts.failed + counts.in_flight;
        DeploymentSummary {
            name: plan.name.clone(),
            model: plan.model.clone(),
            plan: plan.options.iter().map(|option| option.label.clone()).collect(),
            replicas: plan.replicas,
            requests: stats.counts,
            latency: stats.latency(stability[deployment].stable),
            tokens: stats.tokens,
            iterations: totals.iterations,
            batch_changes: totals.batch_changes,
            preemptions: totals.preemptions,
            too_long: totals.too_long,
            mean_batch: (totals.iterations > 0).then(|| totals.batched as f64 / totals.iterations as f64),
            prefix_cache: (totals.prefix.asked > 0).then(|| PrefixCacheSummary {
                asked_blocks: totals.prefix.asked,
                found_blocks: totals.prefix.found,
                hit_rate: totals.prefix.found as f64 / totals.prefix.asked as f64,
                saved_prompt_tokens: totals.prefix.tokens,
                tiers: plan.options.iter().any(has_tiers).then(|| TierSummary {
                    host_blocks: totals.prefix.host,
                    remote_blocks: totals.prefix.remote,
                    load_s: totals.prefix.load.as_secs_f64(),
                }),
            }),
            handover: matches!(plan.role, Role::Decode(_)).then(|| handover(&totals.handed)),
            engine: engine(totals, self.list_price(plan)),
        }
    }

    /// What the cards of a replica cost an hour, on the first of its pools.
    fn list_price(&self, plan: &crate::serving::DeploymentConfig) -> f64 {
        let price = |option: &crate::serving::ReplicaOption| {
            let pool = &self.config.pools[option.pool.index()];
            pool.tariff.price.as_f64() * f64::from(option.cards) / f64::from(pool.fleet.cards_per_node)
        };
        plan.options.first().map_or(0.0, price)
    }

    /// A deployment and its prefill replicas.
    fn parts(&self, deployment: usize) -> impl Iterator<Item = usize> + use<> {
        let prefill = match self.config.deployments[deployment].role {
            Role::Decode(handover) => Some(handover.prefill),
            Role::Whole | Role::Prefill { .. } => None,
        };
        [deployment].into_iter().chain(prefill)
    }

    fn pool_summary(&mut self, pool: usize, flop: Flop, output: u64) -> PoolSummary {
        let plan = &self.config.pools[pool];
        let mut by_pool = vec![Flop::ZERO; self.config.pools.len()];
        by_pool[pool] = flop;
        let metered = self.metered(self.end, pool);
        let cards = self.inventory.usage(PoolId(pool as u16)).provisioned;
        PoolSummary {
            name: plan.fleet.name.clone(),
            provider: plan.fleet.provider.clone(),
            offer: plan.fleet.offer.clone(),
            purchase: plan.tariff.purchase.to_string(),
            accelerator: plan.fleet.accelerator.clone(),
            nodes: cards / plan.fleet.cards_per_node,
            cards,
            card_hours: metered.provisioned as f64 / NANOS_PER_HOUR,
            utilization: self.utilization_of(pool..pool + 1, &by_pool),
            spend: self.spend_of(pool..pool + 1, output),
            energy: self.energy_of(pool..pool + 1),
            supply: self.supply_summary(pool),
            links: self.link_summaries(pool),
        }
    }

    fn utilization_of(&mut self, pools: std::ops::Range<usize>, flop: &[Flop]) -> UtilizationSummary {
        let (mut provisioned, mut leased, mut busy) = (0u128, 0u128, 0u128);
        let (mut done, mut peak) = (0.0, Some(0.0));
        for pool in pools {
            let metered = self.metered(self.end, pool);
            provisioned += metered.provisioned;
            leased += metered.leased;
            busy += metered.busy;
            done += flop[pool].as_f64();
            let card_seconds = metered.provisioned as f64 / 1e9;
            let more = self.config.pools[pool].peak.map(|peak| peak.as_f64() * card_seconds);
            peak = peak.zip(more).map(|(sum, more)| sum + more);
        }
        let share = |part: u128| (provisioned > 0).then(|| part as f64 / provisioned as f64);
        UtilizationSummary {
            allocated: share(leased),
            busy: share(busy),
            // Measured step times carry no FLOP, so there is nothing to tell.
            mfu: peak.filter(|peak| *peak > 0.0 && done > 0.0).map(|peak| done / peak),
        }
    }

    fn spend_of(&self, pools: std::ops::Range<usize>, output: u64) -> SpendSummary {
        let total: Usd = pools.clone().map(|pool| self.ledger.charged(pool)).sum();
        let spent = |cause: Cause| pools.clone().map(|pool| self.ledger.spent_on(pool, cause)).sum::<Usd>();
        let mut by_cause: Vec<(Cause, Usd)> = Cause::ALL.map(|cause| (cause, spent(cause))).to_vec();
        by_cause.retain(|(_, amount)| *amount != Usd::ZERO);
        by_cause.sort_by_key(|(cause, amount)| (std::cmp::Reverse(*amount), *cause));
        SpendSummary {
            total_usd: total.as_f64(),
            by_cause: by_cause.iter().map(|(cause, usd)| (cause.name().to_owned(), usd.as_f64())).collect(),
            usd_per_1m_output_tokens: (output > 0).then(|| total.as_f64() / (output as f64 / 1e6)),
            ..SpendSummary::default()
        }
    }

    /// Output tokens of the requests that were completed on each pool.
    fn output_tokens_by_pool(&self) -> Vec<u64> {
        let mut tokens = vec![0; self.config.pools.len()];
        for (deployment, option, _, made) in self.serving.replica_work() {
            tokens[self.config.deployments[deployment].options[option].pool.index()] += made;
        }
        tokens
    }

    /// FLOP done on each pool, by replicas and jobs.
    fn flop_by_pool(&self) -> Vec<Flop> {
        let mut flop = vec![Flop::ZERO; self.config.pools.len()];
        for (deployment, option, done, _) in self.serving.replica_work() {
            flop[self.config.deployments[deployment].options[option].pool.index()] += done;
        }
        for (pool, done) in self.jobs.flop(self.end) {
            flop[pool.index()] += done;
        }
        flop
    }

    fn stability(&self) -> Vec<StabilitySummary> {
        let hours = self.config.duration.as_hours_f64() / 2.0;
        let one = |(deployment, over_time): (usize, &crate::metrics::DeploymentOverTime)| {
            let streams = self.config.streams.iter().zip(&self.recorder.streams);
            let home = match self.config.deployments[deployment].role {
                Role::Prefill { decode } => decode,
                Role::Whole | Role::Decode(_) => deployment,
            };
            let mine = streams.filter(|(plan, _)| plan.deployments.contains(&home));
            let arrived = mine.map(|(_, over_time)| over_time.arrived_second_half(self.end)).sum();
            judge(&over_time.queue(self.end), arrived, hours)
        };
        self.recorder.deployments.iter().enumerate().map(one).collect()
    }

    fn jobs_summary(&mut self) -> JobsSummary {
        let mut summary = JobsSummary {
            classes: self.job_classes(),
            yields: self.yields,
            rows_left_out: self.config.job_rules.rows_left_out,
            ..JobsSummary::default()
        };
        let list = self.jobs.list();
        let mut spans = Vec::with_capacity(list.len());
        let (mut wait, mut jct) = (Sketch::new(), Sketch::new());
        let (mut first, mut last): (Option<Instant>, Option<Instant>) = (None, None);
        for (job, state) in (0u32..).zip(self.jobs.states()) {
            let Some(submitted) = state.submitted else { continue };
            summary.submitted += 1;
            first = Some(first.map_or(submitted, |first| first.min(submitted)));
            match (state.running, state.finished) {
                (_, Some(finished)) if state.cut => {
                    summary.failed += 1;
                    last = last.max(Some(finished));
                }
                (_, Some(finished)) => {
                    summary.completed += 1;
                    jct.record(finished.since(submitted));
                    last = last.max(Some(finished));
                }
                (Some(_), None) => summary.running += 1,
                (None, None) => summary.queued += 1,
            }
            if let Some(started) = state.started {
                wait.record(started.since(submitted));
            }
            let (cards, option) = (list.facts(job).cards, usize::from(state.option));
            spans.push(JobSpan {
                submit: submitted,
                end: state.finished.filter(|_| !state.cut),
                alone: list.duration(job, option),
                cards,
            });
            summary.preemptions += u64::from(state.preemptions);
            summary.losses += u64::from(state.losses);
            summary.lost_card_hours += f64::from(cards) * state.lost.as_hours_f64();
        }
        let cards = |plan: &PoolPlan| u64::from(plan.fleet.nodes) * u64::from(plan.fleet.cards_per_node);
        let fair = fairness(&spans, self.config.pools.iter().map(cards).sum(), self.end);
        (summary.slowdown, summary.rho, summary.jain) = (fair.slowdown, fair.rho, fair.jain);
        let (work, time) = self.jobs.work_and_time(self.end);
        summary.goodput = (time > 0.0).then(|| work / time);
        (summary.by_size, summary.by_queue, summary.by_user) = self.job_groups();
        if summary.submitted > 1 {
            summary.waits = self.wait_shares();
        }
        summary.wait_s = wait.quantiles();
        summary.jct_s = jct.quantiles();
        summary.makespan_s = first.zip(last).map(|(first, last)| last.since(first).as_secs_f64());
        summary
    }
}

fn has_tiers(option: &crate::serving::ReplicaOption) -> bool {
    option.links.is_some_and(|links| links.tiers != KvTiers::default())
}

fn handover(totals: &HandoverTotals) -> HandoverSummary {
    HandoverSummary {
        handed_over: totals.sent,
        local: totals.local,
        bytes_sent: totals.bytes_sent as f64,
        bytes_received: totals.bytes_received as f64,
        bytes_lost: (totals.lost > 0).then_some(totals.bytes_lost as f64),
        mean_s: (totals.received > 0).then(|| totals.time as f64 / totals.received as f64 / 1e9),
    }
}
