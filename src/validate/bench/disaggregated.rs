//! Prompts on some cards and decoding on others: two stages in tandem with a closed loop around them.
//!
//! Each prefill worker takes whole prompts first come first served, as many at once as its token limit allows;
//! the KV cache then crosses the network, and a decoding worker takes the request in at its next iteration.
//! Iterations last what the replica's step model says, piecewise in closed form between two changes of a batch.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::run::{Answer, Prediction, SetUp, Unfit, mean};
use super::{Case, Load, Prefill};
use crate::perf::constants::Constants;
use crate::perf::{BatchShape, ParallelismPlan, Segment, StepModel};
use crate::traffic::{Length, LengthDist};
use crate::units::{Duration, Ticks};

/// Requests for each user: fewer where there are many, as nothing new happens in later rounds.
const ROUNDS: [(u32, u32); 3] = [(256, 8), (2048, 4), (u32::MAX, 2)];

/// Runs a case whose prompts are processed elsewhere.
pub(super) fn simulate(case: &Case, prefill: Prefill, constants: &Constants) -> Result<Prediction, Unfit> {
    let Load::Closed(users) = case.load else {
        let detail = "prompts on other cards are simulated with so many users only".to_owned();
        return Err(Unfit { reason: "the row's load is none that can be run", detail });
    };
    let decode = SetUp::of(case, constants)?;
    let plan = prefill.plan.unwrap_or_else(|| whole(prefill.cards, &case.model, prefill.cards > 8));
    let of_prompts = Case { cards: plan.cards(), plan: Some(plan), draft: None, ..case.clone() };
    let prompts = SetUp::of(&of_prompts, constants)?;
    // A worker of more cards than the plan uses is several.
    let workers = prefill.workers.saturating_mul((prefill.cards / plan.cards()).max(1)).clamp(1, 4096);
    let kv_per_token = decode.kv_bytes_per_token();
    let network = case.node.scale_out.map_or(f64::INFINITY, |all| all.as_f64() / f64::from(case.node.cards));
    let rounds = ROUNDS.iter().find(|(most, _)| users <= *most).map_or(2, |(_, rounds)| *rounds);
    let mut tandem = Tandem {
        case,
        step: &prompts.step,
        ranks: plan.dp,
        prompt_limit: u64::from(prompts.batching.max_batch_tokens),
        hand_over: (constants.hand_over_us * 1e-6, kv_per_token / network),
        stretch: case.draft.map_or(1.0, |draft| draft.tokens_per_iteration()),
        prefill: (0..workers).map(|_| Vec::new()).collect(),
        waiting: VecDeque::new(),
        decode: (0..decode.replicas.max(1)).map(|_| Decoder::new(&decode)).collect(),
        requests: Vec::new(),
        events: BinaryHeap::new(),
        wanted: (users * rounds) as usize,
        finished: 0,
    };
    for _ in 0..users {
        tandem.ask(0);
    }
    tandem.run();
    Ok(tandem.prediction().late(case, constants))
}

/// How a model is cut over so many cards when nobody says: by tensor parallelism within eight cards, over more
/// by ranks that keep requests of their own and share the experts.
pub(in crate::validate) fn whole(cards: u32, model: &crate::perf::ModelDims, ranks: bool) -> ParallelismPlan {
    let common = |mut a: u32, mut b: u32| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a.max(1)
    };
    match model.experts {
        Some(experts) if ranks => {
            ParallelismPlan { tp: 1, pp: 1, dp: cards, ep: common(cards, experts.per_layer) }
        }
        _ => {
            let tp = (0..4).map(|exponent| 1 << exponent).filter(|tp| *tp <= cards);
            let tp = tp.filter(|tp| model.heads().is_multiple_of(*tp)).max().unwrap_or(1);
            let ep = model.experts.map_or(1, |experts| common(tp, experts.per_layer));
            ParallelismPlan { ep, ..ParallelismPlan::tensor(tp) }
        }
    }
}

/// One request; times in nanoseconds.
struct Asked {
    prompt: u32,
    /// Iterations that its output takes.
    iterations: u64,
    output: u32,
    at: u64,
    first: u64,
    end: Option<u64>,
}

/// What happens, in this order at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Prefilled(usize),
    Arrives(usize),
    Boundary(usize, u64),
}

struct Tandem<'a> {
    case: &'a Case,
    step: &'a StepModel,
    ranks: u32,
    prompt_limit: u64,
    /// Seconds for each request, and for each token.
    hand_over: (f64, f64),
    /// Tokens of an iteration.
    stretch: f64,
    /// What each worker is at.
    prefill: Vec<Vec<usize>>,
    waiting: VecDeque<usize>,
    decode: Vec<Decoder<'a>>,
    requests: Vec<Asked>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    wanted: usize,
    finished: usize,
}

/// A decoding worker.
struct Decoder<'a> {
    set_up: &'a SetUp,
    limit: usize,
    waiting: VecDeque<usize>,
    /// By the iteration in which they end.
    running: BinaryHeap<Reverse<(u64, usize)>>,
    /// Iterations done before the piece at hand, and tokens in the cache then.
    done: u64,
    context: u64,
    held: u64,
    piece: Option<(u64, Segment)>,
    /// Iterations after which the piece is looked at, and the event's number.
    planned: u64,
    generation: u64,
}

impl Tandem<'_> {
    fn ask(&mut self, now: u64) {
        if self.requests.len() >= self.wanted {
            return;
        }
        let id = self.requests.len();
        // Evenly spread in both lengths: the fractional parts of multiples of two irrational numbers.
        let even = |factor: f64| (id as f64 * factor).fract();
        let prompt = draw(&self.case.prompt, even(0.754_877_666_246_693));
        let output = draw(&self.case.output, even(0.569_840_290_998_053));
        let iterations = (f64::from(output.saturating_sub(1)) / self.stretch).round().max(1.0) as u64;
        self.requests.push(Asked { prompt, iterations, output, at: now, first: 0, end: None });
        self.waiting.push_back(id);
        self.start_prefill(now);
    }

    fn start_prefill(&mut self, now: u64) {
        while let Some(worker) = self.prefill.iter().position(Vec::is_empty) {
            let (mut tokens, mut pairs) = (0u64, 0u64);
            while let Some(&id) = self.waiting.front() {
                let prompt = u64::from(self.requests[id].prompt);
                if tokens > 0 && tokens + prompt > self.prompt_limit {
                    break;
                }
                self.waiting.pop_front();
                tokens += prompt;
                pairs += prompt * (prompt + 1) / 2;
                self.prefill[worker].push(id);
            }
            let requests = self.prefill[worker].len() as u64;
            if requests == 0 {
                return;
            }
            // Ranks without a prompt wait for those that have one.
            let ranks = u64::from(self.ranks.max(1));
            let full = requests.div_ceil(ranks) * ranks;
            let shape = BatchShape {
                prefill_requests: full as u32,
                prefill_tokens: u32::try_from(tokens * full / requests).unwrap_or(u32::MAX),
                prefill_pairs: pairs * full / requests,
                prefill_context: tokens * full / requests,
                ..BatchShape::default()
            };
            let end = now + nanoseconds(self.step.segment(&shape).first);
            self.events.push(Reverse((end, Event::Prefilled(worker))));
        }
    }

    fn run(&mut self) {
        while let Some(Reverse((now, event))) = self.events.pop() {
            match event {
                Event::Prefilled(worker) => {
                    for id in std::mem::take(&mut self.prefill[worker]) {
                        let (fixed, per_token) = self.hand_over;
                        let seconds = fixed + per_token * f64::from(self.requests[id].prompt);
                        let first = now + Duration::from_secs_f64(seconds).as_nanos();
                        self.requests[id].first = first;
                        self.events.push(Reverse((first, Event::Arrives(id))));
                    }
                    self.start_prefill(now);
                }
                Event::Arrives(id) => {
                    let least = (0..self.decode.len()).min_by_key(|worker| self.decode[*worker].load());
                    let worker = least.unwrap_or(0);
                    self.decode[worker].waiting.push_back(id);
                    self.look(worker, now);
                }
                Event::Boundary(worker, generation) => {
                    if self.decode[worker].generation == generation {
                        self.advance(worker, now);
                    }
                }
            }
            if self.finished >= self.wanted {
                return;
            }
        }
    }

    /// A request has come: the worker looks at it after the iteration at hand.
    fn look(&mut self, worker: usize, now: u64) {
        let decoder = &mut self.decode[worker];
        let Some((start, segment)) = decoder.piece else {
            self.advance(worker, now);
            return;
        };
        let n = segment.iterations_by(ticks(now - start)) + 1;
        if n < decoder.planned {
            decoder.planned = n;
            decoder.generation += 1;
            let end = start + nanoseconds(segment.elapsed(n));
            self.events.push(Reverse((end, Event::Boundary(worker, decoder.generation))));
        }
    }

    fn advance(&mut self, worker: usize, now: u64) {
        let decoder = &mut self.decode[worker];
        if decoder.piece.take().is_some() {
            decoder.done += decoder.planned;
            decoder.context += decoder.planned * decoder.running.len() as u64;
        }
        let mut ended = 0;
        while let Some(Reverse((end, id))) = decoder.running.peek().copied() {
            if end > decoder.done {
                break;
            }
            decoder.running.pop();
            let request = &mut self.requests[id];
            request.end = Some(now);
            decoder.context = decoder.context.saturating_sub(u64::from(request.prompt) + request.iterations);
            decoder.held -= u64::from(request.prompt) + request.iterations;
            ended += 1;
        }
        while let Some(&id) = decoder.waiting.front() {
            let request = &self.requests[id];
            let needed = u64::from(request.prompt) + request.iterations;
            let room = decoder.set_up.fit.kv_tokens();
            if decoder.running.len() >= decoder.limit
                || (decoder.held + needed > room && !decoder.running.is_empty())
            {
                break;
            }
            decoder.waiting.pop_front();
            decoder.running.push(Reverse((decoder.done + request.iterations, id)));
            decoder.context += u64::from(request.prompt);
            decoder.held += needed;
        }
        if let Some(Reverse((end, _))) = decoder.running.peek() {
            let running = decoder.running.len() as u64;
            let window = self.case.model.window.map_or(u64::MAX, |window| u64::from(window.tokens));
            let growing = decoder.context < window.saturating_mul(running);
            let shape = BatchShape {
                decode_requests: running as u32,
                decode_context: decoder.context,
                window_context: decoder.context.min(window.saturating_mul(running)),
                window_growing: if growing { running as u32 } else { 0 },
                ..BatchShape::default()
            };
            let segment = decoder.set_up.step.segment(&shape);
            decoder.planned = (end - decoder.done).min(segment.max_iterations);
            decoder.piece = Some((now, segment));
            decoder.generation += 1;
            let at = now + nanoseconds(segment.elapsed(decoder.planned));
            self.events.push(Reverse((at, Event::Boundary(worker, decoder.generation))));
        }
        self.finished += ended;
        for _ in 0..ended {
            self.ask(now);
        }
    }

    fn prediction(self) -> Prediction {
        let seconds = |nanoseconds: u64| nanoseconds as f64 * 1e-9;
        let done = self.requests.iter().filter_map(|request| Some((request, request.end?)));
        let mut prediction = Prediction::default();
        for (request, end) in done {
            let (ttft, e2e) = (seconds(request.first - request.at), seconds(end - request.at));
            prediction.answers.push(Answer { ttft, e2e, output: request.output });
            prediction.seconds = prediction.seconds.max(seconds(end));
            prediction.requests += 1.0;
            prediction.prompt_tokens += f64::from(request.prompt);
            prediction.output_tokens += f64::from(request.output);
        }
        prediction
    }
}

impl<'a> Decoder<'a> {
    fn new(set_up: &'a SetUp) -> Self {
        Self {
            set_up,
            limit: set_up.batching.max_batch_requests as usize,
            waiting: VecDeque::new(),
            running: BinaryHeap::new(),
            done: 0,
            context: 0,
            held: 0,
            piece: None,
            planned: 0,
            generation: 0,
        }
    }

    fn load(&self) -> usize {
        self.running.len() + self.waiting.len()
    }
}

/// The length at a share of a distribution; of those with a tail, its mean.
fn draw(length: &Length, share: f64) -> u32 {
    match &length.dist {
        LengthDist::Constant(tokens) => *tokens,
        LengthDist::Uniform { low, high } => low + (share * f64::from(high - low + 1)) as u32,
        _ => mean(length) as u32,
    }
    .max(1)
}

fn nanoseconds(ticks: Ticks) -> u64 {
    u64::try_from((ticks.0 >> Ticks::SHIFT) + 1).unwrap_or(u64::MAX / 4)
}

fn ticks(nanoseconds: u64) -> Ticks {
    Ticks(u128::from(nanoseconds) << Ticks::SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Precision};
    use crate::perf::constants::Engine;
    use crate::validate::bench::Habits;
    use crate::validate::names;

    fn case(users: u32, output: u32) -> Case {
        let catalog = Catalog::embedded();
        Case {
            model: names::model(&catalog, "llama-3.1-8b").expect("known").figures,
            node: names::node(&catalog, "H100", 8).expect("known").figures,
            cards: 1,
            plan: Some(ParallelismPlan::tensor(1)),
            weights: Precision::Bf16,
            kv: Precision::Bf16,
            prompt: Length::constant(2000),
            output: Length::constant(output),
            load: Load::Closed(users),
            engine: Engine::Vllm,
            habits: Habits::default(),
            prefill: Some(Prefill { workers: 1, plan: None, cards: 1 }),
            draft: None,
        }
    }

    /// Two stages in tandem: a lone user waits for both, many are as fast as the slower stage lets them be.
    #[test]
    fn the_slower_stage_decides() {
        let k = Constants::PUBLISHED;
        let prefill = Prefill { workers: 1, plan: None, cards: 1 };
        let alone = simulate(&case(1, 2), prefill, &k).expect("runs");
        let set_up = SetUp::of(&case(1, 2), &k).expect("fits");
        let prompt = BatchShape {
            prefill_requests: 1,
            prefill_tokens: 2000,
            prefill_pairs: 2000 * 2001 / 2,
            prefill_context: 2000,
            ..BatchShape::default()
        };
        let seconds = |shape: &BatchShape| set_up.step.segment(shape).first.as_secs_f64();
        let decode = BatchShape { decode_requests: 1, decode_context: 2000, ..BatchShape::default() };
        let found = alone.answers[0];
        let late = k.front_us * 1e-6 + k.late_iterations * seconds(&decode);
        assert!((found.e2e - found.ttft - seconds(&decode)).abs() < 1e-6, "{found:?}");
        let wanted = seconds(&prompt) + k.hand_over_us * 1e-6 + late;
        assert!(found.ttft > wanted && found.ttft < wanted + 0.01, "{found:?} against {wanted}");
        // Short answers: the prompts' card is busy all the time.
        let many = simulate(&case(64, 2), prefill, &k).expect("runs");
        assert_eq!(many.answers.len(), 64 * 8);
        let each = many.seconds / many.requests;
        let four = BatchShape {
            prefill_requests: 4,
            prefill_tokens: 8000,
            prefill_pairs: 4 * prompt.prefill_pairs,
            prefill_context: 8000,
            ..prompt
        };
        assert!((each / (seconds(&four) / 4.0) - 1.0).abs() < 0.1, "{each}");
    }
}
