//! The least time of a replica that requests take, whatever the batches: linear bounds under the step model.
//!
//! An iteration that decodes n requests, processes m prompt tokens and attends to C tokens of context lasts
//! D(n, m, C). For weights d, p, κ with n·d + m·p + C·κ ≤ D(n, m, C) for every batch that the limits allow, a
//! replica needs at least Σ (decoded tokens·d + prompt tokens·p + context attended to·κ) for its requests, in
//! whatever order and company they are served (weak duality of the linear programme that covers all tokens by
//! iterations at the least time). Several weights are kept: one suits decoding, another long prompts, and one
//! the KV cache, whose size limits C.

use crate::perf::{BatchShape, StepModel};
use crate::policies::request_order::RequestOrder;
use crate::serving::{Batching, DeploymentConfig, ReplicaOption, Scheduler};

/// Ticks in a nanosecond.
const TICKS: f64 = (1u64 << crate::units::Ticks::SHIFT) as f64;

/// A linear bound, in nanoseconds of a replica.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// For each token decoded after a request's first.
    pub decoded: f64,
    /// For each prompt token.
    pub prompt: f64,
    /// For each token of context that a decoded token attends to.
    pub context: f64,
}

/// What one replica can do at most, and what a request takes on it at least.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    step: StepModel,
    batching: Batching,
    kv_tokens: u64,
    max_context: u64,
    caches_prefixes: bool,
    /// The least time of a prompt token, in nanoseconds.
    prompt_alone: f64,
    /// The least time of an iteration with a prompt.
    iteration_least: f64,
    weights: Vec<Weights>,
}

impl Server {
    /// A replica of a deployment on one of its options; [`Server::weighed`] tells what it takes.
    pub fn new(deployment: &DeploymentConfig, option: &ReplicaOption) -> Self {
        Self {
            step: option.step.clone(),
            batching: deployment.batching,
            kv_tokens: option.kv_blocks * u64::from(option.block_tokens),
            max_context: u64::from(deployment.max_context.unwrap_or(u32::MAX)),
            caches_prefixes: deployment.prefix_tokens.is_some(),
            prompt_alone: 0.0,
            iteration_least: 0.0,
            weights: Vec::new(),
        }
    }

    /// The same server, whatever it is called: equal servers serve equally.
    pub fn is_like(&self, other: &Self) -> bool {
        self.step == other.step
            && self.batching == other.batching
            && (self.kv_tokens, self.max_context, self.caches_prefixes)
                == (other.kv_tokens, other.max_context, other.caches_prefixes)
    }

    /// Weights that hold for every batch within the limits, always in the same order.
    pub fn weights(&self) -> &[Weights] {
        &self.weights
    }

    /// Most requests in a batch.
    pub fn batch(&self) -> u64 {
        u64::from(self.batching.max_batch_requests)
    }

    /// Prompt tokens that may be in one iteration beyond its limit: schedulers that do not cut prompts take whole
    /// ones, as many as the cache holds.
    fn most_prompt(&self) -> u32 {
        match self.batching.scheduler {
            Scheduler::VllmV1 | Scheduler::Sarathi => 0,
            Scheduler::PrefillFirst | Scheduler::Static => u32::try_from(self.kv_tokens).unwrap_or(u32::MAX),
        }
    }

    /// Whether requests are served in order of arrival, so that no more have begun at any time than a batch holds.
    pub fn in_order(&self) -> bool {
        self.batching.order == RequestOrder::Fcfs
    }

    /// Nanoseconds of the iteration with so many decoding requests, prompt tokens and tokens of context.
    fn iteration(&self, decoding: u32, prompt: u32, context: u64) -> f64 {
        let batch = BatchShape {
            decode_requests: decoding,
            decode_context: context,
            prefill_requests: u32::from(prompt > 0),
            prefill_tokens: prompt,
            ..BatchShape::default()
        };
        self.step.segment(&batch).first.0 as f64 / TICKS
    }

    /// With its weights, which takes a moment.
    #[must_use]
    pub fn weighed(mut self) -> Self {
        let (most_requests, most_tokens) = (self.batching.max_batch_requests, self.batching.max_batch_tokens);
        let decoding = corners(most_requests);
        let most_tokens = most_tokens.max(self.most_prompt());
        let prompts: Vec<(u32, u32)> = std::iter::once((0, 0)).chain(corners(most_tokens)).collect();
        // What a token of context adds at least: times are convex in the context, so that the first token
        // adds the least; compute only ever adds to it.
        let context = (self.iteration(1, 0, 1) - self.iteration(1, 0, 0)).max(0.0);
        // Between two corners a time is at least that of the lower one, and a weight counts at most that of the
        // upper one.
        let mut cells = Vec::new();
        for (low, high) in std::iter::once((0, 0)).chain(decoding.iter().copied()) {
            for (from, to) in &prompts {
                if low.saturating_add(*from) <= most_tokens && low + from > 0 {
                    cells.push((f64::from(high), f64::from(*to), self.iteration(low, *from, 0)));
                }
            }
        }
        let ratio = |cells: &mut dyn Iterator<Item = f64>| cells.fold(f64::INFINITY, f64::min);
        let prompt_alone = ratio(&mut cells.iter().filter(|cell| cell.1 > 0.0).map(|cell| cell.2 / cell.1));
        let mut all: Vec<Weights> = [0.0, 0.25, 0.5, 0.7, 0.85, 1.0]
            .into_iter()
            .map(|share| {
                let prompt = share * prompt_alone;
                let left = |cell: &&(f64, f64, f64)| cell.0 > 0.0;
                let decoded =
                    ratio(&mut cells.iter().filter(left).map(|cell| (cell.2 - cell.1 * prompt) / cell.0));
                Weights { decoded: decoded.max(0.0), prompt, context }
            })
            .collect();
        // No more context than the cache holds is attended to in an iteration, which takes its least time.
        if self.kv_tokens > 0 {
            let least = self.iteration(1, 0, 0);
            let context = context + least / self.kv_tokens as f64;
            all.push(Weights { decoded: 0.0, prompt: 0.0, context });
        }
        self.prompt_alone = prompt_alone;
        self.iteration_least = self.iteration(0, 1, 0);
        self.weights = all;
        self
    }

    /// The least time from the first iteration on a request to its first token, on a replica with any company.
    ///
    /// Every iteration takes at least its part of the prompt at the least time of a prompt token, and each of
    /// the iterations that the prompt needs at least takes some time.
    pub fn first_token(&self, prompt: u32, hashed: bool) -> f64 {
        let least = self.iteration_least;
        if hashed && self.caches_prefixes {
            return least;
        }
        let iterations = prompt.div_ceil(self.batching.max_batch_tokens.max(self.most_prompt()));
        (f64::from(prompt) * self.prompt_alone).max(f64::from(iterations) * least)
    }

    /// The least mean time of a decoded token after so long a prompt.
    pub fn decoded_token(&self, prompt: u32) -> f64 {
        self.iteration(1, 0, u64::from(prompt) + 1)
    }

    /// Whether it is turned away for its length.
    pub fn refuses(&self, prompt: u32, output: u32) -> bool {
        let tokens = u64::from(prompt) + u64::from(output);
        // A request's last token is not kept.
        tokens > self.max_context || tokens - 1 > self.kv_tokens
    }

    /// What a request takes at least under some weights.
    pub fn work(&self, weights: Weights, prompt: u32, output: u32, hashed: bool) -> f64 {
        let (prompt, decoded) = (f64::from(prompt), f64::from(output.saturating_sub(1)));
        let attended = decoded * prompt + decoded * (decoded + 1.0) / 2.0;
        let processed = if hashed && self.caches_prefixes { 0.0 } else { prompt };
        weights.decoded * decoded + weights.prompt * processed + weights.context * attended
    }
}

/// Stretches of whole numbers from 1 to `most`: single ones first, then ever longer.
fn corners(most: u32) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    let mut low = 1;
    while low <= most {
        let high = (low + low / 40).min(most);
        all.push((low, high));
        low = match high.checked_add(1) {
            Some(next) => next,
            None => break,
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::AffineStep;
    use crate::units::Ticks;

    fn server(base: f64, per_request: f64, per_prompt: f64, per_context: f64) -> Server {
        Server {
            step: StepModel::Affine(AffineStep {
                base: Ticks::from_secs_f64(base),
                per_request: Ticks::from_secs_f64(per_request),
                per_prefill_token: Ticks::from_secs_f64(per_prompt),
                per_context_token: Ticks::from_secs_f64(per_context),
            }),
            batching: Batching { max_batch_requests: 8, max_batch_tokens: 512, ..Batching::default() },
            kv_tokens: 64_000,
            max_context: 8192,
            caches_prefixes: false,
            prompt_alone: 0.0,
            iteration_least: 0.0,
            weights: Vec::new(),
        }
        .weighed()
    }

    /// No batch is faster than any of the weights says.
    #[test]
    fn weights_are_bounds() {
        let server = server(0.02, 0.001, 1e-5, 1e-7);
        for weights in server.weights() {
            for n in 0..=8u32 {
                for m in (0..=512 - n).step_by(37) {
                    for context in [u64::from(n), 100 * u64::from(n), 8000 * u64::from(n)] {
                        if n + m == 0 || context > server.kv_tokens {
                            continue;
                        }
                        let bound = f64::from(n) * weights.decoded
                            + f64::from(m) * weights.prompt
                            + context as f64 * weights.context;
                        let time = server.iteration(n, m, context);
                        assert!(bound <= time * (1.0 + 1e-9), "{n} {m} {context}: {bound} > {time}");
                    }
                }
            }
        }
    }

    /// Decoding a full batch is known exactly: (20 ms + 8 × 1 ms) ÷ 8 a token.
    #[test]
    fn decoding_is_bounded_by_full_batches() {
        let server = server(0.02, 0.001, 0.0, 0.0);
        let best = server.weights().iter().map(|weights| weights.decoded).fold(0.0, f64::max);
        assert!((best / 3.5e6 - 1.0).abs() < 0.01, "{best}");
    }
}
