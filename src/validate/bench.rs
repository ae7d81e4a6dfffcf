//! A benchmark of a serving engine, run through the simulator.

mod disaggregated;
mod engine;
mod knee;
mod run;
mod world;

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
    /// Iterations at most for which prompts wait until each rank of attention has one: TensorRT-LLM's
    /// `attention_dp_config.timeout_iters`.
    pub(super) gathering_iterations: u32,
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
    pub(super) origin: String,
    pub(super) accelerator: String,
    pub(super) model: String,
    /// Name of the metric and its value, times in seconds.
    pub(super) measured: Vec<(String, f64)>,
}

/// A table's rows, read, and the different cases among them: rows of the same case share a run.
#[derive(Debug)]
pub(super) struct Readings {
    rows: Vec<Result<Reading, Skip>>,
    /// Of each row its place in `cases`.
    places: Vec<usize>,
    cases: Vec<Case>,
}

impl Readings {
    pub(super) fn of(table: &Table, read: fn(&Catalog, Fields<'_>) -> Result<Reading, Skip>) -> Self {
        let catalog = Catalog::embedded();
        let mut rows: Vec<_> = table.rows().map(|fields| read(&catalog, fields)).collect();
        knee::mark(&mut rows);
        let (mut known, mut cases) = (BTreeMap::new(), Vec::new());
        let place = |row: &Result<Reading, Skip>| {
            let Ok(row) = row else { return usize::MAX };
            *known.entry(format!("{:?}", row.case)).or_insert_with(|| {
                cases.push(row.case.clone());
                cases.len() - 1
            })
        };
        let places = rows.iter().map(place).collect();
        Self { rows, places, cases }
    }

    /// At most so many different runs of each origin, accelerator, model and engine, whole or split, spread over
    /// them, with all that was measured in each.
    pub(super) fn thinned(mut self, most: usize) -> Self {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (row, place) in self.rows.iter().zip(&self.places) {
            let Ok(row) = row else { continue };
            let case = &row.case;
            let split = case.prefill.is_some();
            let key = format!("{} {} {} {:?} {split}", row.origin, row.accelerator, row.model, case.engine);
            let cases = groups.entry(key).or_default();
            if !cases.contains(place) {
                cases.push(*place);
            }
        }
        let mut kept = vec![false; self.cases.len()];
        for places in groups.values() {
            let step = places.len().div_ceil(most.max(1)).max(1);
            places.iter().skip(step / 2).step_by(step).for_each(|place| kept[*place] = true);
        }
        let keep: Vec<bool> =
            self.places.iter().map(|place| kept.get(*place).copied().unwrap_or(false)).collect();
        let mut wanted = keep.iter().copied();
        self.rows.retain(|_| wanted.next().unwrap_or(false));
        let mut wanted = keep.iter().copied();
        self.places.retain(|_| wanted.next().unwrap_or(false));
        self
    }

    /// Runs and compares every row that is wanted, with as many results for each as it has metrics; the others are
    /// errors.
    pub(super) fn compare(
        &self,
        constants: &Constants,
        kept: &(dyn Fn(&Compared) -> bool + Sync),
    ) -> Vec<Vec<Row>> {
        let wanted: Vec<bool> =
            self.rows.iter().map(|row| row.as_ref().map_or(true, |row| row.wanted(kept))).collect();
        let mut asked = vec![false; self.cases.len()];
        for (place, wanted) in self.places.iter().zip(&wanted) {
            if let Some(asked) = asked.get_mut(*place) {
                *asked |= wanted;
            }
        }
        let runs: Vec<Option<Result<Prediction, Unfit>>> = self
            .cases
            .par_iter()
            .zip(asked)
            .map(|(case, asked)| asked.then(|| simulate(case, constants)))
            .collect();
        let rows = self.rows.iter().zip(&self.places).zip(wanted);
        rows.map(|((row, place), wanted)| match (row, runs.get(*place)) {
            (Ok(reading), Some(Some(run))) if wanted => compare(reading, run),
            (Ok(reading), _) => vec![Err(Skip::unwanted()); reading.measured.len()],
            (Err(skip), _) => vec![Err(skip.clone())],
        })
        .collect()
    }
}

impl Reading {
    /// Whether its rows are wanted; what came out and what was measured do not matter for that.
    fn wanted(&self, kept: &(dyn Fn(&Compared) -> bool + Sync)) -> bool {
        kept(&Compared {
            line: self.line,
            source: self.source.clone(),
            origin: self.origin.clone(),
            accelerator: self.accelerator.clone(),
            model: self.model.clone(),
            metric: String::new(),
            measured: 0.0,
            predicted: 0.0,
        })
    }
}

fn compare(reading: &Reading, run: &Result<Prediction, Unfit>) -> Vec<Row> {
    let example = format!("{} on {} × {}", reading.model, reading.case.cards, reading.accelerator);
    let prediction = match run {
        Ok(prediction) => prediction,
        Err(unfit) => {
            let example = format!("{example}: {}", unfit.detail);
            let skip = Skip { reason: unfit.reason.to_owned(), example };
            return vec![Err(skip); reading.measured.len()];
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
            origin: reading.origin.clone(),
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
