//! A benchmark of a serving engine, run through the simulator.

mod engine;
mod run;
mod split;

use std::collections::BTreeMap;

use rayon::prelude::*;

pub(super) use engine::Engine;
pub(super) use run::{Answer, Prediction, Unfit, mean, replay, simulate};
pub(super) use split::Split;

use super::inference;
use super::report::{Compared, Row, Skip, quantile};
use super::table::{Fields, Table};
use crate::catalog::{Catalog, Precision};
use crate::perf::{ModelDims, NodeSpec, ParallelismPlan};
use crate::traffic::Length;

/// What was run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) model: ModelDims,
    pub(super) node: NodeSpec,
    /// Cards in all; where prompts have cards of their own, without those.
    pub(super) cards: u32,
    /// `None` takes the plan that `parallelism = "auto"` would, as often as it fits the cards.
    pub(super) plan: Option<ParallelismPlan>,
    /// Replicas of their own for prompts.
    pub(super) split: Option<Split>,
    pub(super) weights: Precision,
    pub(super) kv: Precision,
    pub(super) prompt: Length,
    pub(super) output: Length,
    pub(super) load: Load,
    pub(super) engine: Engine,
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Load {
    /// So many at a time, each followed by the next.
    Closed(u32),
    /// So many a second, with exponential or with even intervals.
    Poisson(f64),
    Even(f64),
    /// So many at once, served as the engine likes.
    Offline(u32),
    /// So many at once, all in one batch.
    Static(u32),
}

/// A row of a table, read: the case, and what was measured of it.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) case: Case,
    pub(super) source: String,
    pub(super) accelerator: String,
    pub(super) model: String,
    /// Name of the metric and its value, times in seconds.
    pub(super) measured: Vec<(String, f64)>,
}

/// Reads, runs and compares every row. Rows of the same case share a run. A row with several metrics counts
/// as one row when it is skipped.
pub(super) fn rows(table: &Table, read: fn(&Catalog, Fields<'_>) -> Result<Reading, Skip>) -> Vec<Row> {
    let catalog = Catalog::embedded();
    let readings: Vec<Result<Reading, Skip>> = table.rows().map(|fields| read(&catalog, fields)).collect();
    let mut cases: BTreeMap<String, &Case> = BTreeMap::new();
    for reading in readings.iter().flatten() {
        cases.insert(format!("{:?}", reading.case), &reading.case);
    }
    let cases: Vec<(String, &Case)> = cases.into_iter().collect();
    let runs: BTreeMap<String, Result<Prediction, Unfit>> =
        cases.into_par_iter().map(|(key, case)| (key, simulate(case))).collect();
    readings
        .into_iter()
        .flat_map(|reading| match reading {
            Err(skip) => vec![Err(skip)],
            Ok(reading) => {
                let run = &runs[&format!("{:?}", reading.case)];
                compare(&reading, run)
            }
        })
        .collect()
}

fn compare(reading: &Reading, run: &Result<Prediction, Unfit>) -> Vec<Row> {
    let example = format!("{} on {} × {}", reading.model, reading.case.cards, reading.accelerator);
    let prediction = match run {
        Ok(prediction) => prediction,
        Err(unfit) => {
            let example = format!("{example}: {}", unfit.detail);
            return vec![Err(Skip { reason: unfit.reason.to_owned(), example })];
        }
    };
    let rows = reading.measured.iter().map(|(metric, measured)| {
        let predicted = prediction.metric(metric, reading.case.cards).ok_or_else(|| Skip {
            reason: format!("the metric `{metric}` is none that a run gives"),
            example: example.clone(),
        })?;
        Ok(Compared {
            source: reading.source.clone(),
            accelerator: reading.accelerator.clone(),
            model: reading.model.clone(),
            metric: metric.clone(),
            measured: *measured,
            predicted,
        })
    });
    rows.collect()
}

impl Prediction {
    /// A metric by the name that the tables give it: `ttft_p50`, `output_tok_s_per_gpu`, ...; times in
    /// seconds.
    pub(super) fn metric(&self, name: &str, cards: u32) -> Option<f64> {
        let cards = f64::from(cards);
        let name = name.strip_suffix(inference::PAST_KNEE).unwrap_or(name);
        let rate = match name {
            "output_tok_s_total" => Some(self.output_tokens / self.seconds),
            "output_tok_s_per_gpu" => Some(self.output_tokens / self.seconds / cards),
            "total_tok_s_per_gpu" => Some((self.output_tokens + self.prompt_tokens) / self.seconds / cards),
            "req_s" => Some(self.answers.len() as f64 / self.seconds),
            _ => None,
        };
        if rate.is_some() {
            return rate;
        }
        let (quantity, statistic) = name.split_once('_')?;
        let of = |answer: &Answer| match quantity {
            "ttft" => Some(answer.ttft),
            "e2e" => Some(answer.e2e),
            "tpot" if answer.output > 1 => Some((answer.e2e - answer.ttft) / f64::from(answer.output - 1)),
            _ => None,
        };
        let mut values: Vec<f64> = self.answers.iter().filter_map(of).collect();
        if values.is_empty() {
            return None;
        }
        match statistic {
            "mean" | "mean_derived" => Some(values.iter().sum::<f64>() / values.len() as f64),
            _ => {
                let percent: f64 = statistic.strip_prefix('p')?.parse().ok()?;
                (0.0..=100.0).contains(&percent).then(|| quantile(&mut values, percent / 100.0))
            }
        }
    }
}

/// A run that was logged request by request, and how its engine was set.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) max_batch_requests: u32,
    pub(super) max_batch_tokens: u32,
    pub(super) kv_blocks: u64,
    pub(super) block_tokens: u32,
    /// Arrival in seconds, tokens of prompt and of output, in order of arrival.
    pub(super) requests: Vec<(f64, u32, u32)>,
}

/// Mean, median, p90 and p99 of TTFT, TPOT and E2E, and output tokens a second of requests given as TTFT and
/// E2E in seconds and output tokens.
pub(super) fn quantities(requests: &[(f64, f64, u32)]) -> BTreeMap<String, f64> {
    let times = |name: &str| -> Vec<f64> {
        let of = |&(ttft, e2e, output): &(f64, f64, u32)| match name {
            "ttft" => Some(ttft),
            "e2e" => Some(e2e),
            _ if output > 1 => Some((e2e - ttft) / f64::from(output - 1)),
            _ => None,
        };
        requests.iter().filter_map(of).collect()
    };
    let mut found = BTreeMap::new();
    for name in ["ttft", "tpot", "e2e"] {
        let mut values = times(name);
        if values.is_empty() {
            continue;
        }
        found.insert(format!("{name}_mean"), values.iter().sum::<f64>() / values.len() as f64);
        for percent in [50, 90, 99] {
            found.insert(format!("{name}_p{percent}"), quantile(&mut values, f64::from(percent) / 100.0));
        }
    }
    found
}
