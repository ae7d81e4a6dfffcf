//! From a case to a world, and from the world's requests to the benchmark's figures.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Case, Load, Logged, disaggregated};
use crate::perf::constants::{Constants, Engine, KV_BLOCK_TOKENS};
use crate::perf::{
    BatchShape, Fit, ParallelismPlan, PlanError, Replica, Roofline, StepModel, auto_plan, fit, weight_bytes,
};
use crate::serving::Batching;
use crate::traffic::{
    ArrivalProcess, ClosedConfig, Length, LengthDist, Lengths, LogNormal, OpenConfig, Source, Start, Think,
    TraceConfig,
};
use crate::units::{Duration, Rate};
use crate::world::{self, RequestRow, RunOptions};

/// Requests of a closed loop for each that is in flight, as `benchmark_serving` is run by InferenceX.
const ROUNDS: u32 = 10;

/// Requests of an open run at most and at least, and the time it should cover at least: MLPerf's ten minutes.
const OPEN_REQUESTS: (f64, f64) = (500.0, 20_000.0);
const OPEN_SECONDS: f64 = 600.0;

/// Requests at least of a run offline that is so long that its ends don't count, on each replica.
const LONG_REQUESTS: u32 = 4000;

/// How often a window that proved too short is doubled.
const DOUBLINGS: u32 = 6;

/// One request that was answered, times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::validate) struct Answer {
    pub(in crate::validate) ttft: f64,
    pub(in crate::validate) e2e: f64,
    pub(in crate::validate) output: u32,
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::validate) struct Prediction {
    pub(in crate::validate) answers: Vec<Answer>,
    /// The time over which throughput is taken: from the first arrival to the last answer, or a part of it in
    /// which the engine was busy all along. What follows was done in it, by all replicas.
    pub(in crate::validate) seconds: f64,
    pub(in crate::validate) requests: f64,
    pub(in crate::validate) prompt_tokens: f64,
    pub(in crate::validate) output_tokens: f64,
}

/// Why a case can't be run.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::validate) struct Unfit {
    /// In general.
    pub(in crate::validate) reason: &'static str,
    /// In this case.
    pub(in crate::validate) detail: String,
}

impl From<PlanError> for Unfit {
    fn from(error: PlanError) -> Self {
        let reason = match &error {
            PlanError::DoesNotFit(_) => "the model holds that it does not fit",
            _ => "the plan is one that the model refuses",
        };
        Self { reason, detail: error.to_string() }
    }
}

/// Runs a case.
pub(in crate::validate) fn simulate(case: &Case, constants: &Constants) -> Result<Prediction, Unfit> {
    if let Some(prefill) = case.prefill {
        return disaggregated::simulate(case, prefill, constants);
    }
    let mut set_up = SetUp::of(case, constants)?;
    // Replicas that share a fixed load evenly are alike: one of them tells of all.
    let (one, alike) = match case.load {
        Load::Closed(all) | Load::Offline(all) | Load::Static(all) => {
            let each = all.div_ceil(set_up.replicas).max(1);
            set_up.replicas = 1;
            let load = match case.load {
                Load::Closed(_) => Load::Closed(each),
                Load::Static(_) => Load::Static(each),
                _ => Load::Offline(each),
            };
            (Case { load, ..case.clone() }, f64::from(all) / f64::from(each))
        }
        Load::Poisson(_) | Load::Even(_) => (case.clone(), 1.0),
    };
    let (wanted, mut window) = set_up.extent(&one);
    let repeated = if case.habits.repeated_prompts { Repeating::of(&one, wanted)? } else { None };
    for _ in 0..DOUBLINGS {
        let source =
            repeated.as_ref().map_or_else(|| SetUp::source(&one, window, constants), Repeating::source);
        let left = set_up.run(&one, source, window)?;
        if let Some(prediction) = wanted.of(left, &one) {
            return Ok(prediction.times(alike).late(&one, constants));
        }
        window *= 2.0;
    }
    Err(Unfit { reason: "the run does not end", detail: format!("after {window:.0} s of simulated time") })
}

/// A logged run, repeated.
pub(in crate::validate) struct Repeated {
    pub(in crate::validate) prediction: Prediction,
    /// Blocks that the memory rule would have given; the run has the logged number.
    pub(in crate::validate) kv_blocks: u64,
}

/// Repeats a logged run: its arrivals and lengths, its engine's limits and its number of KV blocks.
pub(in crate::validate) fn replay(
    case: &Case,
    logged: &Logged,
    constants: &Constants,
) -> Result<Repeated, Unfit> {
    let failed = |why: String| Unfit { reason: "the run can't be repeated", detail: why };
    let mut set_up = SetUp::of(case, constants)?;
    let found = {
        let replica = Replica {
            kv: case.kv,
            plan: set_up.plan,
            max_batch_tokens: logged.max_batch_tokens,
            ..Replica::new(&case.model, &case.node, case.weights)
        };
        fit(&replica)?.kv_blocks * KV_BLOCK_TOKENS / u64::from(logged.block_tokens.max(1))
    };
    set_up.fit.kv_blocks = logged.kv_blocks * u64::from(logged.block_tokens) / KV_BLOCK_TOKENS;
    set_up.batching = Batching {
        max_batch_requests: logged.max_batch_requests.max(1),
        max_batch_tokens: logged.max_batch_tokens.max(logged.max_batch_requests),
        ..Batching::default()
    };
    let rows: String = logged
        .requests
        .iter()
        .map(|(arrival, prompt, output)| format!("{arrival},{prompt},{output}\n"))
        .collect();
    // The traffic room reads traces from files, so that it need not hold them.
    let file = std::env::temp_dir().join(format!("fleetsim-validate-{}.csv", std::process::id()));
    std::fs::write(&file, format!("arrival_s,prompt_tokens,output_tokens\n{rows}"))
        .map_err(|error| failed(format!("{}: {error}", file.display())))?;
    let last = logged.requests.last().map_or(0.0, |(arrival, ..)| *arrival);
    let wanted = Wanted(logged.requests.len() as u32);
    let mut window = last + 600.0;
    let mut result = Err(failed(format!("it does not end within {window:.0} s")));
    for _ in 0..DOUBLINGS {
        match set_up.run(case, Source::Trace(TraceConfig::new(&file)), window) {
            Ok(left) => {
                if let Some(prediction) = wanted.of(left, case) {
                    let prediction = prediction.late(case, constants);
                    result = Ok(Repeated { prediction, kv_blocks: found });
                    break;
                }
            }
            Err(unfit) => {
                result = Err(unfit);
                break;
            }
        }
        window *= 2.0;
    }
    // Left behind it does no harm.
    let _ = std::fs::remove_file(&file);
    result
}

/// A trace in which all prompts begin alike, in a file for as long as it is needed: the traffic room reads
/// traces from files.
struct Repeating(PathBuf);

/// Tells such files of one process apart.
static FILES: AtomicU64 = AtomicU64::new(0);

impl Repeating {
    /// `None` for loads that are no stream of arrivals.
    fn of(case: &Case, wanted: Wanted) -> Result<Option<Self>, Unfit> {
        let (Load::Even(rate) | Load::Poisson(rate)) = case.load else { return Ok(None) };
        let (prompt, output) = (mean(&case.prompt) as u64, mean(&case.output) as u64);
        let blocks = prompt.div_ceil(KV_BLOCK_TOKENS).max(1);
        let hashes: Vec<String> = (0..blocks).map(|block| block.to_string()).collect();
        let hashes = hashes.join(",");
        let lines: String = (0..wanted.0)
            .map(|index| {
                format!(
                    "{{\"timestamp\":{:.3},\"input_length\":{prompt},\"output_length\":{output},\"hash_ids\":[{hashes}]}}\n",
                    f64::from(index) / rate * 1e3
                )
            })
            .collect();
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = format!("fleetsim-validate-{}-{number}.jsonl", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, lines).map_err(|error| Unfit {
            reason: "the run can't be repeated",
            detail: format!("{}: {error}", file.display()),
        })?;
        Ok(Some(Self(file)))
    }

    fn source(&self) -> Source {
        Source::Trace(TraceConfig::new(&self.0))
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        // Left behind it does no harm.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The deployment of a case.
pub(super) struct SetUp {
    pub(super) batching: Batching,
    pub(super) step: StepModel,
    pub(super) fit: Fit,
    pub(super) plan: ParallelismPlan,
    pub(super) replicas: u32,
}

/// How many requests the benchmark sends.
#[derive(Clone, Copy)]
struct Wanted(u32);

/// A request's row, kept.
struct Left {
    id: u64,
    arrival: f64,
    prompt: u32,
    answer: Option<(Answer, f64)>,
}

impl SetUp {
    pub(super) fn of(case: &Case, constants: &Constants) -> Result<Self, Unfit> {
        let node = super::super::names::widened(&case.node, case.plan.map_or(1, ParallelismPlan::cards));
        let case = &Case { node, ..case.clone() };
        let share = |plan: ParallelismPlan| {
            let visible = case.node.card.visible_memory().0 as f64 * f64::from(plan.cards());
            weight_bytes(&case.model, case.weights).0 as f64 / visible
        };
        let (max_batch_requests, max_batch_tokens) =
            case.habits.limits.unwrap_or((case.engine.max_batch_requests(), case.engine.max_batch_tokens()));
        let scheduler = case.engine.scheduler();
        let mut batching =
            Batching { max_batch_requests, max_batch_tokens, scheduler, ..Batching::default() };
        if let Load::Static(batch) = case.load {
            let prompts = u64::from(batch) * u64::from(case.prompt.max);
            batching.max_batch_requests = batch;
            batching.max_batch_tokens = u32::try_from(prompts).unwrap_or(u32::MAX).max(batch);
        }
        let dp = case.plan.map_or(1, |plan| plan.dp);
        // Each rank schedules by itself.
        batching.max_batch_requests = batching.max_batch_requests.saturating_mul(dp);
        batching.max_batch_tokens = batching.max_batch_tokens.saturating_mul(dp);
        let mut replica = Replica {
            kv: case.kv,
            engine: case.engine,
            constants,
            max_batch_tokens: batching.max_batch_tokens.min(1 << 16),
            ..Replica::new(&case.model, &case.node, case.weights)
        };
        replica.plan = match case.plan {
            Some(plan) => plan,
            None => {
                replica.memory_utilization = case.engine.memory_utilization(0.5);
                auto_plan(&replica)?.plan
            }
        };
        replica.memory_utilization = case.engine.memory_utilization(share(replica.plan).min(1.0));
        // What ran did fit.
        let fit = fit(&replica).or_else(|_| fit(&Replica { memory_utilization: 1.0, ..replica }))?;
        let roofline = Roofline::new(&replica)?;
        let step = StepModel::Roofline(match case.draft {
            Some(draft) => roofline.guessing(draft.tokens),
            None => roofline,
        });
        let replicas = (case.cards / replica.plan.cards()).max(1);
        if case.engine == Engine::TensorRtLlm {
            // It admits what it can finish only (`GUARANTEED_NO_EVICT`, its default).
            let whole = mean(&case.prompt) + mean(&case.output);
            let room = (fit.kv_tokens() as f64 / whole).max(1.0);
            batching.max_batch_requests = f64::from(batching.max_batch_requests).min(room) as u32;
        }
        Ok(Self { batching, step, fit, plan: replica.plan, replicas })
    }

    /// Bytes of KV cache of one token on each card.
    pub(super) fn kv_bytes_per_token(&self) -> f64 {
        self.fit.kv_bytes_per_token.0 as f64
    }

    /// How many requests are wanted, and a first guess at the window in seconds. The guess only saves time:
    /// too short a window is doubled.
    fn extent(&self, case: &Case) -> (Wanted, f64) {
        let (prompt, output) = (mean(&case.prompt), mean(&case.output));
        match case.load {
            Load::Poisson(rate) | Load::Even(rate) => {
                let (least, most) = OPEN_REQUESTS;
                let wanted = (rate * OPEN_SECONDS).clamp(least, most);
                (Wanted(wanted as u32), 1.1 * wanted / rate + 3.0 * self.round(1.0, prompt, output))
            }
            Load::Closed(users) => {
                let each = f64::from(users.div_ceil(self.replicas));
                (Wanted(users * ROUNDS), 1.2 * f64::from(ROUNDS + 1) * self.round(each, prompt, output))
            }
            Load::Offline(requests) | Load::Static(requests) => {
                let requests = if case.habits.long { requests.max(LONG_REQUESTS) } else { requests };
                let each = f64::from(requests.div_ceil(self.replicas));
                let batch =
                    each.min(f64::from(self.batching.max_batch_requests)).min(self.room(prompt + output));
                (Wanted(requests), 2.4 * (each / batch + 0.5) * self.round(batch, prompt, output))
            }
        }
    }

    /// The traffic of a case in a window of so many seconds.
    fn source(case: &Case, window: f64, constants: &Constants) -> Source {
        // With guesses that come true an answer takes fewer iterations than it has tokens.
        let output = match case.draft {
            Some(draft) => shorter(&case.output, draft.tokens_per_iteration()),
            None => case.output.clone(),
        };
        let lengths = Lengths::Independent { prompt: case.prompt.clone(), output };
        let (rate, arrivals) = match case.load {
            Load::Closed(users) => {
                // What an answer's way to the client takes differs from one to the next, and the next request's
                // arrival with it: requests of equal lengths that end in one iteration do not begin in one again.
                let way = Duration::from_secs_f64(constants.front_us * 1e-6);
                let (think, ramp) = (Think::Exponential(way), Duration::ZERO);
                return Source::Closed(ClosedConfig { users, think, ramp, lengths });
            }
            Load::Offline(users) | Load::Static(users) => {
                let users = if case.habits.long { users.max(LONG_REQUESTS) } else { users };
                // Users who ask once: each thinks for half of the window, asks, and thinks beyond its end.
                let think = Think::Constant(Duration::from_secs_f64(window / 2.0));
                return Source::Closed(ClosedConfig { users, think, ramp: Duration::ZERO, lengths });
            }
            Load::Poisson(rate) => (rate, ArrivalProcess::Poisson),
            Load::Even(rate) => (rate, ArrivalProcess::Deterministic),
        };
        let (rate, shape, start) = (Rate::per_second(rate), Vec::new(), Start::default());
        Source::Open(OpenConfig { rate, arrivals, shape, start, lengths })
    }

    /// Requests of so many tokens that the cache holds.
    fn room(&self, tokens: f64) -> f64 {
        (self.fit.kv_tokens() as f64 / tokens).max(1.0)
    }

    /// About how long a batch of so many requests takes from its first prompt to its last token.
    fn round(&self, requests: f64, prompt: f64, output: f64) -> f64 {
        let waves = (requests / self.room(prompt + output)).max(1.0);
        let batch = (requests / waves).max(1.0);
        let decode = BatchShape {
            decode_requests: batch as u32,
            decode_context: (batch * (prompt + output / 2.0)) as u64,
            ..BatchShape::default()
        };
        let chunk = f64::from(self.batching.max_batch_tokens).min(batch * prompt).max(1.0);
        let prefill = BatchShape {
            prefill_requests: 1,
            prefill_tokens: chunk as u32,
            prefill_pairs: (chunk * prompt / 2.0) as u64,
            prefill_context: (chunk + prompt) as u64,
            ..BatchShape::default()
        };
        let seconds = |shape: &BatchShape| self.step.segment(shape).first.as_secs_f64();
        waves * (output * seconds(&decode) + (batch * prompt / chunk).ceil() * seconds(&prefill))
    }

    fn run(&self, case: &Case, source: Source, window: f64) -> Result<Vec<Left>, Unfit> {
        let world = self.world(case, source, window);
        let mut left: Vec<Left> = Vec::new();
        let mut keep = |row: &RequestRow<'_>| {
            let departure = row.departure();
            let arrival = departure.arrival.as_secs_f64();
            let answer = match (row.end(), departure.first_token) {
                (Some(end), Some(first)) if row.outcome() == "completed" => {
                    let end = end.as_secs_f64();
                    let ttft = first.as_secs_f64() - arrival;
                    Some((Answer { ttft, e2e: end - arrival, output: departure.output }, end))
                }
                _ => None,
            };
            left.push(Left { id: departure.id, arrival, prompt: departure.prompt, answer });
            Ok(())
        };
        let options = RunOptions { requests: Some(&mut keep), ..RunOptions::default() };
        world::run(&world, options).map_err(|error| Unfit {
            reason: "the simulation refuses the case",
            detail: error.to_string(),
        })?;
        left.sort_by_key(|request| request.id);
        Ok(left)
    }
}

impl Wanted {
    /// The benchmark's figures; `None` when some of its requests are not answered yet.
    fn of(self, mut left: Vec<Left>, case: &Case) -> Option<Prediction> {
        let wanted = self.0 as usize;
        if left.len() < wanted {
            return None;
        }
        left.truncate(wanted);
        let stretch = case.draft.map_or(1.0, |draft| draft.tokens_per_iteration());
        let first = left.iter().map(|request| request.arrival).fold(f64::INFINITY, f64::min);
        let mut done = Vec::with_capacity(wanted);
        for request in left {
            let (mut answer, end) = request.answer?;
            answer.output = (f64::from(answer.output) * stretch).round() as u32;
            done.push((request.arrival, end, request.prompt, answer));
        }
        let (from, to) = match case.habits.long.then(|| busy(&done, case.load)).flatten() {
            Some(window) => window,
            None => (first, done.iter().map(|(_, end, ..)| *end).fold(first, f64::max)),
        };
        let mut prediction = Prediction { seconds: to - from, ..Prediction::default() };
        for (_, end, prompt, answer) in done {
            if end >= from && end <= to {
                prediction.requests += 1.0;
                prediction.prompt_tokens += f64::from(prompt);
                prediction.output_tokens += f64::from(answer.output);
            }
            prediction.answers.push(answer);
        }
        (prediction.seconds > 0.0).then_some(prediction)
    }
}

/// The part of a long run in which neither its beginning nor its end shows: from a quarter to the last
/// arrival, or, where all ask at once, to the last first token. `None` when the run is too short for it.
fn busy(done: &[(f64, f64, u32, Answer)], load: Load) -> Option<(f64, f64)> {
    let last = |(arrival, _, _, answer): &(f64, f64, u32, Answer)| match load {
        Load::Poisson(_) | Load::Even(_) => *arrival,
        _ => arrival + answer.ttft,
    };
    let first = done.iter().map(|(arrival, ..)| *arrival).fold(f64::INFINITY, f64::min);
    let to = done.iter().map(last).fold(first, f64::max);
    let from = first + 0.25 * (to - first);
    let within = done.iter().filter(|(_, end, ..)| *end >= from && *end <= to).count();
    (within * 4 >= done.len()).then_some((from, to))
}

impl Prediction {
    /// What clients see of it: engines that schedule ahead hand out every answer an iteration later, those that
    /// look for new requests now and then, or wait until each rank has one, let them wait for half of that time on
    /// average, and the way to the client takes its time. SGLang's first prompts wait for kernels to be compiled:
    /// InferenceX begins without a warm-up. Throughput stays.
    pub(super) fn late(mut self, case: &Case, constants: &Constants) -> Self {
        let front = constants.front_us * 1e-6;
        let polled = f64::from(case.habits.polled_iterations);
        let (users, ranks) = match (case.load, case.plan) {
            (Load::Closed(users), Some(plan)) => (users, plan.dp),
            (Load::Closed(users), None) => (users, 1),
            _ => (0, 1),
        };
        let cold = if case.engine == Engine::SgLang { constants.sglang_cold_us * 1e-6 } else { 0.0 };
        for (index, answer) in self.answers.iter_mut().enumerate() {
            let iteration = (answer.e2e - answer.ttft) / f64::from(answer.output.max(2) - 1);
            let gathered = match case.habits.gathering_iterations {
                most if most > 0 && ranks > 1 && users > 0 => {
                    let until_each_has_one = f64::from(ranks) * f64::from(answer.output) / f64::from(users);
                    until_each_has_one.min(f64::from(most))
                }
                _ => 0.0,
            };
            let waited = (polled + gathered) * (index as f64 * 0.618_033_988_749_895).fract();
            let cold = if index < users as usize { cold } else { 0.0 };
            let late = front + cold + (constants.late_iterations + waited) * iteration;
            answer.ttft += late;
            answer.e2e += late;
        }
        self
    }

    /// The same of so many replicas like this one.
    fn times(mut self, replicas: f64) -> Self {
        self.requests *= replicas;
        self.prompt_tokens *= replicas;
        self.output_tokens *= replicas;
        self
    }
}

/// Lengths over a factor.
fn shorter(length: &Length, factor: f64) -> Length {
    let over = |tokens: u32| (f64::from(tokens) / factor).round().max(1.0) as u32;
    match &length.dist {
        LengthDist::Constant(tokens) => Length::constant(over(*tokens)),
        LengthDist::Uniform { low, high } => {
            Length::new(LengthDist::Uniform { low: over(*low), high: over(*high) })
        }
        _ => Length::constant((mean(length) / factor).round().max(1.0) as u32),
    }
}

/// The mean of a distribution of the kinds that cases have.
pub(in crate::validate) fn mean(length: &Length) -> f64 {
    match &length.dist {
        LengthDist::Constant(tokens) => f64::from(*tokens),
        LengthDist::Uniform { low, high } => f64::from(low + high) / 2.0,
        LengthDist::LogNormal(LogNormal::MeanCv { mean, .. }) | LengthDist::Geometric { mean } => *mean,
        LengthDist::LogNormal(LogNormal::MedianP99 { median, .. }) => *median,
        LengthDist::Empirical { .. } => f64::from(length.max),
    }
}
