//! From what was recorded to the time series and tables.

use super::run::World;
use crate::billing::{Cause, Record};
use crate::jobs::JobState;
use crate::metrics::results::{
    Distribution, JobRow, LedgerRow, Series, StreamTime, Subject, TimeSeries, metric,
};
use crate::units::{Instant, Usd};

impl World<'_> {
    pub(super) fn timeseries(&mut self) -> TimeSeries {
        let (bucket, end) = (self.recorder.bucket, self.end);
        let mut series = Vec::new();
        let streams = std::mem::take(&mut self.recorder.streams);
        for ((plan, over_time), source) in self.config.streams.iter().zip(streams).zip(&self.sources) {
            let name = &plan.traffic.name;
            let middle = |place: u64| Instant::ZERO + bucket * place + bucket / 2;
            let expected: Vec<Option<f64>> = (0..end.as_nanos().div_ceil(bucket.as_nanos()))
                .map(|place| Some(source.rate_at(middle(place).min(end))?.as_per_second()))
                .collect();
            if expected.iter().any(Option::is_some) {
                let subject = Subject::Stream(name.clone());
                series.push(Series { subject, metric: metric::EXPECTED_RPS, values: expected });
            }
            series.extend(over_time.finish(name, end));
        }
        for (plan, over_time) in self.config.deployments.iter().zip(&self.recorder.deployments) {
            series.extend(over_time.finish(&plan.name, end));
        }
        for (plan, scaler) in self.config.scalers.iter().zip(&self.scalers) {
            let name = &self.config.deployments[plan.deployment].name;
            let buckets = end.as_nanos().div_ceil(bucket.as_nanos()) as usize;
            for (metric, sums) in [
                (metric::OBSERVED_DEMAND, &scaler.demand.observed),
                (metric::FORECAST_DEMAND, &scaler.demand.forecast),
            ] {
                let mean =
                    |place| sums.get(place).filter(|(_, n)| *n > 0).map(|(sum, n)| sum / f64::from(*n));
                if !sums.is_empty() {
                    let subject = Subject::Deployment(name.clone());
                    series.push(Series { subject, metric, values: (0..buckets).map(mean).collect() });
                }
            }
        }
        for (pool, plan) in self.config.pools.iter().enumerate() {
            let leased = self.recorder.leased_cards[pool].means(end);
            let mut add = |metric, values| {
                series.push(Series { subject: Subject::Pool(plan.fleet.name.clone()), metric, values });
            };
            add(metric::PROVISIONED_CARDS, self.recorder.provisioned_cards[pool].means(end));
            add(metric::ALLOCATED_CARDS, leased);
            add(metric::BUSY_CARDS, self.recorder.busy_cards[pool].means(end));
            add(metric::SPEND_USD, self.spend_over_time(|record| self.ledger.owner(record.account) == pool));
        }
        for cause in Cause::ALL {
            let values = self.spend_over_time(|record| record.cause == cause);
            if values.iter().flatten().any(|usd| *usd != 0.0) {
                let subject = Subject::Cause(cause.name().to_owned());
                series.push(Series { subject, metric: metric::SPEND_USD, values });
            }
        }
        if !self.jobs.list().is_empty() {
            let mut add = |metric, values| series.push(Series { subject: Subject::Fleet, metric, values });
            add(metric::QUEUED_JOBS, self.recorder.jobs_queued.means(end));
            add(metric::RUNNING_JOBS, self.recorder.jobs_running.means(end));
        }
        TimeSeries { bucket, end, series }
    }

    /// Dollars billed in each bucket: a record is spread evenly over the interval that it bills.
    fn spend_over_time(&self, wanted: impl Fn(&Record) -> bool) -> Vec<Option<f64>> {
        let (bucket, end) = (self.recorder.bucket.as_nanos(), self.end.as_nanos());
        let mut values = vec![0.0; end.div_ceil(bucket) as usize];
        let mut from = 0;
        for records in self.ledger.records().chunk_by(|a, b| a.time == b.time) {
            let time = records[0].time.as_nanos();
            let wanted = records.iter().filter(|record| wanted(record));
            let usd = wanted.map(|record| record.amount).sum::<Usd>().as_f64();
            let length = (time - from).max(1) as f64;
            let mut here = from;
            while here < time {
                let until = ((here / bucket + 1) * bucket).min(time);
                values[(here / bucket) as usize] += usd * (until - here) as f64 / length;
                here = until;
            }
            from = time;
        }
        values.into_iter().map(Some).collect()
    }

    pub(super) fn distributions(&self) -> Vec<Distribution> {
        let mut all = Vec::new();
        for (stream, plan) in (0u16..).zip(&self.config.streams) {
            let stats = self.stats(|of, _| of == stream);
            for (metric, sketch) in stats.sketches() {
                all.push(Distribution {
                    subject: Subject::Stream(plan.traffic.name.clone()),
                    metric,
                    count: sketch.count(),
                    cumulative: sketch.cumulative(),
                });
            }
        }
        all
    }

    /// Where the time of each stream's completed requests went.
    pub(super) fn stream_times(&self) -> Vec<StreamTime> {
        let of = |(stream, plan): (u16, &super::StreamPlan)| {
            let (time, _) = self.stats(|of, _| of == stream).time_by_cause()?;
            Some(StreamTime { stream: plan.traffic.name.clone(), time })
        };
        (0u16..).zip(&self.config.streams).filter_map(of).collect()
    }

    pub(super) fn ledger_rows(&self) -> Vec<LedgerRow> {
        let row = |record: &Record| {
            let plan = &self.config.pools[self.ledger.owner(record.account)];
            let (unit, per_unit) = self.ledger.unit(record.account);
            LedgerRow {
                time: record.time,
                pool: plan.fleet.name.clone(),
                provider: plan.fleet.provider.clone(),
                purchase: plan.tariff.purchase.to_string(),
                cause: record.cause.name(),
                quantity: record.quantity as f64 / per_unit,
                unit,
                price_usd: self.ledger.unit_price(record.account).unwrap_or_default(),
                amount: record.amount,
            }
        };
        self.ledger.records().iter().map(row).collect()
    }

    pub(super) fn job_rows(&self) -> Vec<JobRow> {
        let list = self.jobs.list();
        let row = |(job, state): (u32, &JobState)| {
            let place = self.recorder.job_places[job as usize].as_ref();
            JobRow {
                id: list.name(job).to_owned(),
                user: list.user(job).to_owned(),
                queue: list.queue(job).to_owned(),
                submit: list.facts(job).submit,
                start: state.started,
                end: state.finished,
                accelerators: list.facts(job).cards,
                pool: place.map(|(pool, _)| self.config.pools[pool.index()].fleet.name.clone()),
                nodes: place.map(|(_, nodes)| nodes.to_vec()).unwrap_or_default(),
                state: match (state.submitted, state.running, state.finished) {
                    (_, _, Some(_)) if state.cut => "failed",
                    (_, _, Some(_)) => "completed",
                    (_, Some(_), None) => "running",
                    (Some(_), None, None) => "queued",
                    (None, None, None) => "not submitted",
                },
                preemptions: state.preemptions,
                wait_reason: wait_reason(state, self.end),
            }
        };
        (0u32..).zip(self.jobs.states()).map(row).collect()
    }
}

/// Why a job waited: for cards, once its turn had come; before that, for the jobs before it.
fn wait_reason(state: &JobState, end: Instant) -> String {
    let waited = state.submitted.is_some_and(|submitted| state.started.unwrap_or(end) > submitted);
    match state.wait_reason {
        Some(reason) => reason.to_string(),
        None if waited => "other jobs are before it".to_owned(),
        None => String::new(),
    }
}
