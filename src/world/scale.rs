//! Autoscalers at work: what is scraped for each, what it sees at its ticks, what it decides, and what is done.

use std::collections::BTreeMap;

use super::config::{Feed, ScalerPlan};
use super::events::Event;
use super::replicas::Stage;
use super::run::World;
use crate::metrics::results::DecisionRow;
use crate::metrics::{Pipeline, PodSample, Sample};
use crate::policies::Reason;
use crate::policies::autoscale::observation::Phase;
use crate::policies::autoscale::{Decision, Measure, Observation, Pod, PodMetric};
use crate::policies::replay::Law;
use crate::units::{Duration, Instant};

/// An autoscaler with its state.
pub(super) struct Scaler {
    law: Law,
    pipeline: Pipeline,
    /// The pods of the last observation, each with its seat, so that those that stay need not be made again.
    pods: Vec<(u32, Pod)>,
    /// What a feed says of each replica.
    values: Vec<(u32, f64)>,
    /// The last row in the table of decisions, to leave out what only repeats it.
    last: Option<DecisionRow>,
    pub(super) demand: Demand,
}

/// A metric that a law forecasts: what came and what was said before, by bucket of the time series.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) observed: Vec<(f64, u32)>,
    pub(super) forecast: Vec<(f64, u32)>,
}

impl Scaler {
    pub(super) fn new(plan: &ScalerPlan) -> Self {
        let windows =
            plan.feeds.iter().flat_map(|feed| feed.parts.iter().map(|(_, w)| *w).chain([feed.window]));
        let longest = windows.max().unwrap_or_default();
        Self {
            law: plan.law.clone().simulated(),
            pipeline: Pipeline::new(longest + plan.lag + plan.scrape),
            pods: Vec::new(),
            values: Vec::new(),
            last: None,
            demand: Demand::default(),
        }
    }
}

impl World<'_> {
    /// Autoscalers begin with the run: each is scraped for and decides at the first instant.
    pub(super) fn begin_scalers(&mut self) {
        for (scaler, plan) in (0u16..).zip(&self.config.scalers) {
            if !plan.feeds.is_empty() {
                self.queue.push(Instant::ZERO, Event::Scrape { scaler });
            }
            if plan.feeds.iter().any(|feed| feed.signal.is_latency()) {
                self.serving.watch_latencies(plan.deployment);
            }
            self.queue.push(Instant::ZERO, Event::Scale { scaler });
        }
    }

    /// The metrics of a deployment are scraped.
    pub(super) fn scrape(&mut self, now: Instant, number: u16) {
        let plan = &self.config.scalers[usize::from(number)];
        self.queue.push(now + plan.scrape, Event::Scrape { scaler: number });
        let own = self.serving.deployment_gauge(plan.deployment);
        let latencies = self.serving.take_latencies(plan.deployment);
        let mut sample = Sample {
            at: now,
            queued: own.held,
            arrived: own.arrived,
            tokens: own.tokens_of_gone,
            busy: own.busy_of_gone,
            ttft: latencies.ttft,
            tpot: latencies.tpot,
            ..Sample::default()
        };
        let looks_at_pods = plan.feeds.iter().any(|feed| feed.per_pod);
        for gauge in self.serving.replica_gauges(plan.deployment, now) {
            sample.running += u64::from(gauge.running);
            sample.queued += u64::from(gauge.queued);
            sample.tokens += gauge.tokens;
            sample.busy += u128::from(gauge.busy.as_nanos());
            if gauge.ready {
                sample.ready += 1;
                sample.kv_use += gauge.kv_use;
            }
            if looks_at_pods {
                sample.pods.push(PodSample {
                    replica: gauge.replica,
                    running: gauge.running,
                    queued: gauge.queued,
                    kv_use: gauge.kv_use,
                    sent: gauge.sent,
                    tokens: gauge.tokens,
                    busy: gauge.busy,
                });
            }
        }
        sample.pods.sort_unstable_by_key(|pod| pod.replica);
        self.scalers[usize::from(number)].pipeline.push(sample);
    }

    /// An autoscaler's tick.
    pub(super) fn decide_scale(&mut self, now: Instant, number: u16) {
        let config = self.config;
        let plan = &config.scalers[usize::from(number)];
        let observation = self.observe(now, number);
        let current = observation.replicas;
        let interval = match plan.interval_at_zero {
            Some(interval) if current == 0 => interval,
            _ => plan.interval,
        };
        self.queue.push(now + interval, Event::Scale { scaler: number });
        let decided = self.scalers[usize::from(number)].law.replicas(now, &observation);
        if let Some(pods) = observation.pods {
            for (kept, pod) in self.scalers[usize::from(number)].pods.iter_mut().zip(pods) {
                kept.1 = pod;
            }
        }
        let Some((mut decision, reason)) = decided else { return };
        if let (Ok(scale), Some((least, most))) = (&mut decision, plan.bounds) {
            scale.limit(scale.desired.clamp(least, most), "replicas of the scenario");
        }
        self.note_demand(now, number, &decision);
        self.note_decision(now, number, current, &decision, reason);
        if let Ok(scale) = decision
            && scale.desired != current
        {
            self.scale(now, plan.deployment, scale.desired);
        }
    }

    /// What an autoscaler sees: counts of replicas as they are, metrics as they were scraped, a lag ago.
    fn observe(&mut self, now: Instant, number: u16) -> Observation {
        let plan = &self.config.scalers[usize::from(number)];
        let group = &self.replicas.groups[plan.deployment];
        let mut observation = Observation {
            replicas: group.desired,
            status_replicas: Some(group.live.len() as u32),
            ready: Some(group.counts.ready as u32),
            ..Observation::default()
        };
        let seen = Instant::ZERO.saturating_add(now.since(Instant::ZERO).saturating_sub(plan.lag));
        let visible = now.since(Instant::ZERO) >= plan.lag;
        let scaler = &mut self.scalers[usize::from(number)];
        for feed in plan.feeds.iter().filter(|feed| !feed.per_pod) {
            match measured(feed, &scaler.pipeline, seen).filter(|_| visible) {
                Some(measure) => {
                    observation.metrics.insert(feed.name.clone(), measure);
                }
                None => {
                    observation.missing.insert(feed.name.clone());
                }
            }
        }
        if plan.feeds.iter().any(|feed| feed.per_pod) {
            observation.pods = Some(self.pods(number, seen, visible));
        }
        observation
    }

    /// The pods that an autoscaler sees, each with the metrics of its replica.
    fn pods(&mut self, number: u16, seen: Instant, visible: bool) -> Vec<Pod> {
        let plan = &self.config.scalers[usize::from(number)];
        let scaler = &mut self.scalers[usize::from(number)];
        let live = &self.replicas.groups[plan.deployment].live;
        scaler.pods.truncate(live.len());
        for (place, seat) in live.iter().enumerate() {
            match scaler.pods.get_mut(place) {
                Some((kept, _)) if kept == seat => {}
                Some(other) => *other = (*seat, Pod { name: format!("replica-{seat}"), ..Pod::default() }),
                None => scaler.pods.push((*seat, Pod { name: format!("replica-{seat}"), ..Pod::default() })),
            }
            let (state, pod) = (&self.replicas.seats[*seat as usize], &mut scaler.pods[place].1);
            (pod.phase, pod.ready, pod.start) = match state.stage {
                Stage::Pending(_) => (Phase::Pending, None, None),
                Stage::Starting => (Phase::Running, Some(false), Some(state.since)),
                _ => (Phase::Running, Some(true), Some(state.created)),
            };
            pod.ready_changed = Some(state.since);
        }
        for feed in plan.feeds.iter().filter(|feed| feed.per_pod) {
            let mut values = std::mem::take(&mut scaler.values);
            values.clear();
            if visible {
                scaler.pipeline.pods(feed.signal, seen, feed.window, &mut values);
            }
            for (seat, pod) in &mut scaler.pods {
                let replica = self.replicas.seats[*seat as usize].replica;
                let value = replica.and_then(|replica| {
                    let place = values.binary_search_by_key(&replica, |(replica, _)| *replica).ok()?;
                    Some(values[place].1 * feed.scale)
                });
                set(&mut pod.metrics, &feed.name, value, seen, feed.window);
            }
            scaler.values = values;
        }
        scaler.pods.iter_mut().map(|(_, pod)| std::mem::take(pod)).collect()
    }

    fn note_demand(&mut self, now: Instant, number: u16, decision: &Decision) {
        let plan = &self.config.scalers[usize::from(number)];
        let Law::Predictive(law) = &self.scalers[usize::from(number)].law else { return };
        let ahead = plan.interval * law.horizon() as u64;
        let bucket = self.recorder.bucket.as_nanos();
        let Ok(scale) = decision else { return };
        for (name, value) in &scale.figures {
            let demand = &mut self.scalers[usize::from(number)].demand;
            match *name {
                "observed" => add(&mut demand.observed, now.as_nanos() / bucket, *value),
                "forecast" => add(&mut demand.forecast, (now + ahead).as_nanos() / bucket, *value),
                _ => {}
            }
        }
    }

    /// Writes a decision down, unless nothing is done and it says the same as the one before.
    fn note_decision(
        &mut self,
        now: Instant,
        number: u16,
        current: u32,
        decision: &Decision,
        Reason(rule): Reason,
    ) {
        let plan = &self.config.scalers[usize::from(number)];
        let (desired, done, limits, mut reason) = match decision {
            Ok(scale) => (scale.raw as f64, scale.desired, scale.limits.join("; "), rule.to_owned()),
            Err(error) => (f64::from(current), current, String::new(), error.to_string()),
        };
        if done != current {
            reason.push_str(&self.cost_of(plan.deployment, i64::from(done) - i64::from(current)));
        }
        let row = DecisionRow {
            time: now,
            policy: plan.name.clone(),
            target: self.config.deployments[plan.deployment].name.clone(),
            current: f64::from(current),
            desired,
            done: f64::from(done),
            rule: if decision.is_ok() { rule.to_owned() } else { "error".to_owned() },
            limits,
            reason,
        };
        let last = &mut self.scalers[usize::from(number)].last;
        let repeats =
            last.as_ref().is_some_and(|last| DecisionRow { time: last.time, ..row.clone() } == *last);
        if done != current || !repeats {
            self.decisions.push(row.clone());
        }
        *last = Some(row);
    }

    /// What a change of the replicas costs an hour, at the list price of the deployment's first pool.
    fn cost_of(&self, deployment: usize, change: i64) -> String {
        let Some(option) = self.config.deployments[deployment].options.first() else { return String::new() };
        let pool = &self.config.pools[option.pool.index()];
        let share = f64::from(option.cards) / f64::from(pool.fleet.cards_per_node);
        let usd = pool.tariff.price.as_f64() * share * change.unsigned_abs() as f64;
        let (sign, word) = if change > 0 { ('+', "more") } else { ('-', "less") };
        format!(" ({sign}{}: {usd:.2} USD an hour {word} of cards)", change.unsigned_abs())
    }
}

/// A metric of the whole deployment, as a law reads it.
fn measured(feed: &Feed, pipeline: &Pipeline, seen: Instant) -> Option<Measure> {
    if feed.parts.is_empty() {
        return Some(Measure::one(pipeline.total(feed.signal, seen, feed.window)? * feed.scale));
    }
    let mut measure = Measure::default();
    for (name, window) in &feed.parts {
        let value = pipeline.total(feed.signal, seen, *window)? * feed.scale;
        measure.parts.insert((*name).to_owned(), value);
    }
    Some(measure)
}

fn set(
    metrics: &mut BTreeMap<String, PodMetric>,
    name: &str,
    value: Option<f64>,
    at: Instant,
    window: Duration,
) {
    match (metrics.get_mut(name), value) {
        (Some(metric), Some(value)) => *metric = PodMetric { value, at, window },
        (None, Some(value)) => {
            metrics.insert(name.to_owned(), PodMetric { value, at, window });
        }
        (Some(_), None) => {
            metrics.remove(name);
        }
        (None, None) => {}
    }
}

fn add(buckets: &mut Vec<(f64, u32)>, bucket: u64, value: f64) {
    let place = bucket as usize;
    if buckets.len() <= place {
        buckets.resize(place + 1, (0.0, 0));
    }
    buckets[place].0 += value;
    buckets[place].1 += 1;
}
