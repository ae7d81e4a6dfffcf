//! A benchmark of a serving engine, run through the simulator.

mod disaggregated;
mod engine;
mod run;

use std::collections::BTreeMap;

use rayon::prelude::*;

pub(super) use crate::perf::constants::Engine;
pub(super) use disaggregated::whole;
pub(super) use run::{Answer, Prediction, Unfit, mean, replay, simulate};

use super::inference;
use super::report::{Compared, Row, Skip, quantile};
use super::table::{Fields, Table};
use crate::catalog::{Catalog, Precision};
use crate::perf::constants::Constants;
use crate::perf::{ModelDims, NodeSpec, ParallelismPlan};
use crate::traffic::Length;

/// What was run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) model: ModelDims,
    pub(super) node: NodeSpec,
    /// Cards in all.
    pub(super) cards: u32,
    /// `None` takes the plan that `parallelism = "auto"` would, as often as it fits the cards.
    pub(super) plan: Option<ParallelismPlan>,
    pub(super) weights: Precision,
    pub(super) kv: Precision,
    pub(super) prompt: Length,
    pub(super) output: Length,
    pub(super) load: Load,
    pub(super) engine: Engine,
    pub(super) habits: Habits,
    /// Cards that only prefill, where decoding is done elsewhere: on `cards` cards under `plan`.
    pub(super) prefill: Option<Prefill>,
    /// Tokens proposed in each iteration, where the engine guesses ahead.
    pub(super) draft: Option<Draft>,
}

/// What else is known of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Habits {
    /// The engine's `max_num_seqs` and `max_num_batched_tokens`, where the table gives them.
    pub(super) limits: Option<(u32, u32)>,
    /// Whether prompts come again and again, so that the engine's prefix cache has them.
    pub(super) repeated_prompts: bool,
    /// Whether throughput was taken over so long a run that its beginning and its end do not count.
    pub(super) long: bool,
    /// Iterations between two looks for new requests: SGLang's `scheduler_recv_interval`.
    pub(super) polled_iterations: u32,
}

/// Replicas that only process prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prefill {
    pub(super) workers: u32,
    /// `None` cuts the model over all cards of a worker.
    pub(super) plan: Option<ParallelismPlan>,
    pub(super) cards: u32,
}

/// Guessing ahead with heads of the model's own (multi-token prediction).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draft {
    /// Tokens proposed.
    pub(super) tokens: u32,
    /// The chance that one is right, given that those before it were.
    pub(super) acceptance: f64,
}

impl Case {
    /// Cards that prefill and that decode.
    fn all_cards(&self) -> u32 {
        self.cards + self.prefill.map_or(0, |prefill| prefill.workers * prefill.cards)
    }
}

impl Draft {
    /// Tokens that an iteration gives on average: guesses count up to the first that is wrong (Leviathan,
    /// Kalman, Matias, "Fast inference from transformers via speculative decoding", arXiv 2211.17192,
    /// equation 1).
    pub(super) fn tokens_per_iteration(self) -> f64 {
        (0..self.tokens)
            .fold((1.0, 1.0), |(sum, chance), _| (sum + chance * self.acceptance, chance * self.acceptance))
            .0
    }
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
    pub(super) line: u64,
    pub(super) case: Case,
    pub(super) source: String,
    pub(super) accelerator: String,
    pub(super) model: String,
    /// Name of the metric and its value, times in seconds.
    pub(super) measured: Vec<(String, f64)>,
}

/// A table's rows, read.
#[derive(Debug)]
pub(super) struct Readings(Vec<Result<Reading, Skip>>);

impl Readings {
    pub(super) fn of(table: &Table, read: fn(&Catalog, Fields<'_>) -> Result<Reading, Skip>) -> Self {
        let catalog = Catalog::embedded();
        Self(table.rows().map(|fields| read(&catalog, fields)).collect())
    }

    /// At most so many rows of each group, spread over it.
    pub(super) fn thinned(mut self, most: usize) -> Self {
        let mut groups: BTreeMap<[String; 4], Vec<usize>> = BTreeMap::new();
        for (index, reading) in self.0.iter().enumerate() {
            let Ok(reading) = reading else { continue };
            let metric = reading.measured.first().map_or_else(String::new, |(metric, _)| metric.clone());
            let key = [&reading.source, &reading.accelerator, &reading.model, &metric].map(String::clone);
            groups.entry(key).or_default().push(index);
        }
        let mut kept: Vec<usize> = groups
            .values()
            .flat_map(|rows| {
                let step = rows.len().div_ceil(most.max(1)).max(1);
                rows.iter().skip(step / 2).step_by(step).copied()
            })
            .collect();
        kept.sort_unstable();
        let mut kept = kept.into_iter().peekable();
        let mut index = 0;
        self.0.retain(|_| {
            let keep = kept.next_if_eq(&index).is_some();
            index += 1;
            keep
        });
        self
    }

    /// Runs and compares every row. Rows of the same case share a run. A row with several metrics counts as
    /// one row when it is skipped.
    pub(super) fn compare(&self, constants: &Constants) -> Vec<Row> {
        let mut cases: BTreeMap<String, &Case> = BTreeMap::new();
        for reading in self.0.iter().flatten() {
            cases.insert(format!("{:?}", reading.case), &reading.case);
        }
        let cases: Vec<(String, &Case)> = cases.into_iter().collect();
        let runs: BTreeMap<String, Result<Prediction, Unfit>> =
            cases.into_par_iter().map(|(key, case)| (key, simulate(case, constants))).collect();
        self.0
            .iter()
            .flat_map(|reading| match reading {
                Err(skip) => vec![Err(skip.clone())],
                Ok(reading) => compare(reading, &runs[&format!("{:?}", reading.case)]),
            })
            .collect()
    }
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
        let predicted = prediction.metric(metric, reading.case.all_cards()).ok_or_else(|| Skip {
            reason: format!("the metric `{metric}` is none that a run gives"),
            example: example.clone(),
        })?;
        Ok(Compared {
            line: reading.line,
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
            "req_s" => Some(self.requests / self.seconds),
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
