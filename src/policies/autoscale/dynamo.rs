//! NVIDIA Dynamo's planner: throughput mode, load mode and its easy targets.
//!
//! Source: `dynamo/planner` of ai-dynamo 1.6.1 (`core/throughput_scaling.py`, `core/load_scaling.py`,
//! `core/budget.py`, `core/load/predictors.py`, `core/perf_model`). Rules and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | ceil(predicted rps / engine rps) for each kind, each interval | `throughput`, `interval` |
//! | a first token that is late even alone raises prefill | `throughput` |
//! | at most eight engines a step, a minimum, a band of cards whose ceiling is hard | `clamps`, `budget::tests` |
//! | predictors constant and Kalman; arima approximate | `predict::tests` |
//! | load: up when all engines are late, down when those that stay would not be, five observations first | `load` |
//! | load: prefill by its queue alone, decode by its KV; aggregated engines by both | `load`, `aggregated` |
//! | the throughput result is the load mode's floor | `both_modes` |
//! | easy targets: any engine up, all down | `easy` |
//! | nothing while a change is under way or engines do not report | `holds` |
//!
//! What an engine manages at the observed lengths comes from a profile; an observation gives it as
//! `prefill_engine_rps` and `decode_engine_rps` (`engine_rps` when aggregated). Upstream's default target
//! since 1.1 is `throughput`; here it is `sla`, because the others ignore the promised latencies.
//! Not built, and refused by name: the prophet predictor, power budgets.

mod budget;
mod estimate;
mod load;
mod predict;
mod read;

#[cfg(test)]
mod tests;

pub use predict::Predictor;
pub use read::read;

use super::{CannotScale, Decision, Observation, Scale, ceil_replicas};
use crate::policies::{Policy, Reason};
use crate::units::{Duration, Instant};
use budget::{Band, Pair};
use estimate::{Kind, Model};
use predict::Series;

/// How prompts and decoding are spread over engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Engines of two kinds.
    Disagg,
    /// Only the engines that read prompts are scaled.
    Prefill,
    /// Only the engines that decode are scaled.
    Decode,
    /// Engines that do both.
    Agg,
}

/// What the planner aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Latencies.
    Sla,
    /// Full engines: fixed thresholds.
    Throughput,
    /// Empty queues: fixed thresholds.
    Latency,
}

/// The planner's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamoConfig {
    /// `mode` (disagg).
    pub mode: Mode,
    /// `optimization_target`.
    pub aim: Aim,
    /// `enable_throughput_scaling` (true).
    pub throughput: bool,
    /// `enable_load_scaling` (false).
    pub load: bool,
    /// `throughput_adjustment_interval` (180 s).
    pub interval: Duration,
    /// `load_adjustment_interval` (5 s).
    pub load_interval: Duration,
    /// `min_endpoint` (1).
    pub min: u32,
    /// `min_gpu_budget`; none by default.
    pub least_gpus: Option<u32>,
    /// `max_gpu_budget` (8); none when negative.
    pub most_gpus: Option<u32>,
    /// `prefill_engine_num_gpu` (1).
    pub prefill_gpus: u32,
    /// `decode_engine_num_gpu` (1).
    pub decode_gpus: u32,
    /// `ttft` in milliseconds (500).
    pub ttft_ms: f64,
    /// `itl` in milliseconds (50).
    pub itl_ms: f64,
    /// `load_scaling_down_sensitivity` as a share (0.8).
    pub sensitivity: f64,
    /// `load_min_observations` (5).
    pub least_observations: usize,
    /// `max_num_fpm_samples` (64).
    pub most_observations: usize,
    /// `load_predictor` (arima).
    pub predictor: Predictor,
    /// `load_predictor_log1p` (false).
    pub log1p: bool,
    /// What engines can do; an observation may say otherwise.
    pub engine: Engine,
}

/// What an engine can do, as it reports to the planner.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Engine {
    /// `context_length`: tokens of the longest request.
    pub context: Option<f64>,
    /// `max_num_batched_tokens`: prompt tokens in one iteration.
    pub batch: Option<f64>,
    /// `max_kv_tokens`: tokens that its KV cache holds.
    pub kv: Option<f64>,
}

/// The most engines of a kind that come or go in one step.
const STEP: i64 = 8;

/// The planner with what it remembers.
#[derive(Debug, Clone)]
pub struct Dynamo {
    config: DynamoConfig,
    last_throughput: Option<Instant>,
    last_load: Option<Instant>,
    /// Prefill and decode engines wanted last.
    wanted: Option<Pair>,
    /// What the throughput mode wants at least.
    floor: Pair,
    requests: Series,
    prefill: Model,
    decode: Model,
}

impl Dynamo {
    /// A planner that has just started.
    pub fn new(config: DynamoConfig) -> Self {
        let model = |kind| Model::new(kind, config.most_observations, config.least_observations);
        let kind = if config.mode == Mode::Agg { Kind::Both } else { Kind::Decode };
        Self {
            requests: Series::new(config.predictor, config.log1p),
            prefill: model(Kind::Prefill),
            decode: model(kind),
            last_throughput: None,
            last_load: None,
            wanted: None,
            floor: (1, 1),
            config,
        }
    }

    /// Engines that are ready: as observed, or as wanted last.
    fn current(&self, observation: &Observation) -> Pair {
        let config = &self.config;
        let count = |name: &str| observation.number(name).map(|count| count as i64);
        let min = i64::from(config.min);
        let wanted = self.wanted.unwrap_or((min, min));
        // One kind alone is what the observation counts, unless it says otherwise.
        let alone = (observation.replicas > 0).then_some(i64::from(observation.ready_replicas()));
        match config.mode {
            Mode::Disagg => (count("prefill").unwrap_or(wanted.0), count("decode").unwrap_or(wanted.1)),
            Mode::Prefill => (count("prefill").or(alone).unwrap_or(wanted.0), 0),
            Mode::Decode | Mode::Agg => (0, count("decode").or(alone).unwrap_or(wanted.1)),
        }
    }

    fn band(&self) -> Band {
        let cards = |count: Option<u32>| count.map_or(-1, i64::from);
        let config = &self.config;
        Band { least: cards(config.least_gpus), most: cards(config.most_gpus), min: i64::from(config.min) }
    }

    /// A wish within the steps, the minimum and the band; each clamp that moved it is noted.
    fn clamp(&self, now: Pair, raw: Pair, stepped: bool, scale: &mut Scale) -> Pair {
        let config = &self.config;
        let min = i64::from(config.min);
        let mut note = |before: Pair, after: Pair, rule: &str| {
            if before != after {
                scale.limits.push(rule.to_owned());
            }
            after
        };
        let mut to = raw;
        if stepped {
            let step = |to: i64, now: i64| to.clamp((now - STEP).max(0), now + STEP);
            to = note(to, (step(to.0, now.0), step(to.1, now.1)), "8 engines a step");
        }
        let cards = (i64::from(config.prefill_gpus), i64::from(config.decode_gpus));
        match config.mode {
            Mode::Disagg => {
                to = note(to, (to.0.max(min), to.1.max(min)), "min_endpoint");
                let (fitted, rule) = self.band().guard_pair(now, to, cards);
                note(to, fitted, rule.unwrap_or("max_gpu_budget"))
            }
            Mode::Prefill => {
                to = note(to, (to.0.max(min), 0), "min_endpoint");
                let (fitted, rule) = self.band().guard_one(now.0, to.0, cards.0);
                note(to, (fitted, 0), rule.unwrap_or("max_gpu_budget"))
            }
            Mode::Decode | Mode::Agg => {
                to = note(to, (0, to.1.max(min)), "min_endpoint");
                let (fitted, rule) = self.band().guard_one(now.1, to.1, cards.1);
                note(to, (0, fitted), rule.unwrap_or("max_gpu_budget"))
            }
        }
    }

    /// What traffic needs by the profile: engines of each kind.
    fn throughput(&mut self, observation: &Observation) -> Result<Pair, CannotScale> {
        let read = |name: &str| {
            let value = observation.value(&[name]);
            value.ok_or_else(|| CannotScale(format!("no {name} reported")))
        };
        let config = &self.config;
        let seconds = observation.number("duration_s").unwrap_or(config.interval.as_secs_f64());
        let requests = match observation.value(&["num_req", "requests"]) {
            Some(requests) => requests,
            None => read("rps")? * seconds,
        };
        let rate = |name: &str| {
            let rate = read(name)?;
            if rate > 0.0 { Ok(rate) } else { Err(CannotScale::new("an engine's rate is zero")) }
        };
        let rates = match config.mode {
            Mode::Disagg => (rate("prefill_engine_rps")?, rate("decode_engine_rps")?),
            Mode::Prefill => (rate("prefill_engine_rps")?, 1.0),
            Mode::Decode => (1.0, rate("decode_engine_rps")?),
            Mode::Agg => (1.0, rate("engine_rps")?),
        };
        self.requests.add(requests);
        let rps = (self.requests.next() / seconds).max(0.0);
        let engines = |rate: f64| i64::from(ceil_replicas(rps / rate));
        // A prompt that takes longer than promised even alone is spread over more engines.
        let late = observation.value(&["prefill_ttft_ms"]).unwrap_or(0.0);
        let late = if late > config.ttft_ms { (late / config.ttft_ms).ceil() as i64 } else { 1 };
        Ok(match config.mode {
            Mode::Disagg => (engines(rates.0).max(late), engines(rates.1)),
            Mode::Prefill => (engines(rates.0).max(late), 0),
            Mode::Decode | Mode::Agg => (0, engines(rates.1)),
        })
    }

    /// Due now, given when it was done last; the first time at once.
    fn due(last: Option<Instant>, now: Instant, interval: Duration) -> bool {
        last.is_none_or(|last| now.since(last) >= interval)
    }
}

fn answer(mut scale: Scale, (prefill, decode): Pair) -> Scale {
    scale.desired = u32::try_from(prefill + decode).unwrap_or(0);
    scale.figures.push(("prefill", prefill as f64));
    scale.figures.push(("decode", decode as f64));
    scale
}

impl Policy for Dynamo {
    type Observation<'a> = Observation;
    /// `desired` is the number of engines of both kinds; the figures tell them apart.
    type Decision = Decision;

    fn decide(&mut self, now: Instant, observation: &Observation) -> (Decision, Reason) {
        let current = self.current(observation);
        let throughput = self.config.throughput && Self::due(self.last_throughput, now, self.config.interval);
        let load = self.config.load && Self::due(self.last_load, now, self.config.load_interval);
        if !throughput && !load {
            let scale = Scale { raw: current.0 + current.1, ..Scale::default() };
            return (Ok(answer(scale, current)), Reason("not its adjustment interval yet"));
        }
        let min = i64::from(self.config.min);
        let mut scale = Scale { raw: current.0 + current.1, ..Scale::default() };
        let mut reason = Reason("no change");
        let mut to = current;
        if throughput {
            let raw = match self.throughput(observation) {
                Ok(raw) => raw,
                Err(error) => return (Err(error), Reason("no profile, or no traffic")),
            };
            self.last_throughput = Some(now);
            scale.raw = raw.0 + raw.1;
            reason = Reason("predicted request rate over the engines' rates");
            if self.config.load {
                self.floor = (raw.0.max(min), raw.1.max(min));
                reason = Reason("the throughput result is the floor");
            } else {
                to = self.clamp(current, raw, true, &mut scale);
            }
        }
        if load {
            self.last_load = Some(now);
            let (wish, why) = self.by_load(observation, current);
            reason = why;
            if let Some(wish) = wish {
                let mut raised = wish;
                if self.config.throughput {
                    raised = (wish.0.max(self.floor.0), wish.1.max(self.floor.1));
                    match self.config.mode {
                        Mode::Disagg => {}
                        Mode::Prefill => raised.1 = 0,
                        Mode::Decode | Mode::Agg => raised.0 = 0,
                    }
                }
                if raised != wish {
                    scale.limits.push("throughput floor".to_owned());
                }
                scale.raw = wish.0 + wish.1;
                to = self.clamp(current, raised, false, &mut scale);
            }
        }
        self.wanted = Some(to);
        (Ok(answer(scale, to)), reason)
    }
}
