//! Speculative decoding: a draft proposes tokens, the model checks them in one iteration and keeps those up to
//! the first that it would not have made itself.
//!
//! With `k` tokens proposed and each kept with probability `a` as long as those before it were, an iteration
//! makes 1 + a + … + aᵏ = (1 − aᵏ⁺¹) / (1 − a) tokens on average (Leviathan, Kalman, Matias, "Fast Inference
//! from Transformers via Speculative Decoding", ICML 2023, arXiv 2211.17192, equation 1). How many are kept is
//! drawn for each request and iteration from a stream of the request's own, so each iteration changes the
//! batch: a replica that speculates is looked at at every boundary, on both paths.

use super::batch::Batch;
use super::replica::Replica;
use super::request::{Phase, Request, Requests, Slot};
use crate::perf::{BatchShape, StepModel};
use crate::sim::{RandomStream, Seed};
use crate::units::{Flop, Ticks};

/// How a deployment speculates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speculation {
    /// Tokens proposed for each request in each iteration; at least 1.
    pub tokens: u32,
    /// The mean over requests of the probability that a token is kept when those before it were; 0 to 1.
    pub acceptance: f64,
    /// Each request's own probability lies evenly within this of the mean, cut at 0 and 1.
    pub spread: f64,
}

/// What proposing costs on a replica.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// How long a pass of the draft over the batch takes.
    pub step: StepModel,
    /// Passes for all the tokens of an iteration: one for each token where the draft is itself
    /// autoregressive, one in all where heads propose side by side.
    pub passes: u32,
}

/// What a deployment proposed and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpeculationTotals {
    /// Tokens proposed.
    pub proposed: u64,
    /// Tokens kept; of a request's last iteration, as many as it still wanted.
    pub kept: u64,
    /// Iterations of requests that decoded.
    pub rounds: u64,
}

/// The draws of one request.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    stream: RandomStream,
    acceptance: f64,
}

impl Draws {
    /// Of the request with this number, whatever else happens in the run.
    pub(crate) fn new(speculation: Speculation, seed: Seed, deployment: &str, id: u64) -> Self {
        let mut stream = seed.stream(&format!("acceptance/{deployment}/{id}"));
        let away = speculation.spread * (2.0 * stream.uniform() - 1.0);
        Self { stream, acceptance: (speculation.acceptance + away).clamp(0.0, 1.0) }
    }

    /// How many of `most` proposed tokens are kept.
    fn kept(&mut self, most: u32) -> u32 {
        let drawn = self.stream.uniform();
        let (mut kept, mut chance) = (0, self.acceptance);
        while kept < most && drawn < chance {
            kept += 1;
            chance *= self.acceptance;
        }
        kept
    }
}

impl Replica {
    /// Tokens that a decoding request has in an iteration.
    pub(super) fn tokens_each(&self) -> u32 {
        1 + self.speculation.map_or(0, |speculation| speculation.tokens)
    }

    /// Tokens that a request with so many may get in its next iteration, at most: no more than it still wants.
    pub(super) fn most_of_next(&self, request: &Request, generated: u32) -> u64 {
        u64::from(self.tokens_each().min((request.stop - generated).max(1)))
    }

    /// An iteration ended in which tokens were proposed: those that were kept are there.
    pub(super) fn keep_proposed(&mut self, requests: &mut Requests) {
        let Some(speculation) = self.speculation else { return };
        let decoded = self.decoded();
        let took_part = |slot: &Slot| {
            let request = &requests[*slot];
            request.phase == Phase::Decode && request.joined_at < decoded
        };
        let slots: Vec<Slot> = self.batch.newest_first(requests).filter(took_part).collect();
        for slot in slots {
            let request = &mut requests[slot];
            let wanted = request.stop - request.generated_by(decoded);
            let Some(draws) = &mut request.draws else { continue };
            let kept = draws.kept(speculation.tokens).min(wanted);
            self.totals.speculation.proposed += u64::from(speculation.tokens);
            self.totals.speculation.kept += u64::from(kept);
            self.totals.speculation.rounds += 1;
            self.totals.tokens += u64::from(kept);
            if kept > 0 {
                self.waiting.made(requests[slot].tenant, u64::from(kept));
                self.batch.skip_ahead(slot, decoded, kept, requests);
            }
        }
    }

    /// KV blocks that the proposed tokens of the next iteration may need beyond one token each: as in vLLM
    /// they are there before it begins (`num_lookahead_tokens`).
    pub(super) fn lookahead(&self, requests: &Requests) -> u64 {
        if self.speculation.is_none() {
            return 0;
        }
        let (decoded, kv) = (self.decoded(), &self.batch.kv);
        let more = |slot: Slot| {
            let request = &requests[slot];
            if request.phase != Phase::Decode {
                return 0;
            }
            let cached = request.cached_tokens(decoded);
            let most = self.most_of_next(request, request.generated_by(decoded));
            kv.blocks(cached + most) - kv.blocks(cached + 1)
        };
        self.batch.newest_first(requests).map(more).sum()
    }

    /// What proposing adds to an iteration with this shape. Prompts pass through the draft too, once.
    pub(super) fn draft_cost(&self, shape: &BatchShape) -> (Ticks, Flop) {
        let Some(draft) = &self.draft else { return (Ticks::ZERO, Flop::ZERO) };
        let first = draft.step.segment(shape);
        let more = match shape.decode_requests {
            0 => 0,
            _ => u128::from(draft.passes.saturating_sub(1)),
        };
        let next = draft.step.segment(&shape.decode_only());
        let time = first.first.0 + more * next.first.0;
        (Ticks(time), Flop(first.flop_first.0 + more * next.flop_first.0))
    }
}

impl Batch {
    /// A decoding request has `kept` tokens more than one an iteration made.
    fn skip_ahead(&mut self, slot: Slot, boundary: u64, kept: u32, requests: &mut Requests) {
        let cached = requests[slot].cached_tokens(boundary);
        let after = cached + u64::from(kept);
        self.leave_decoding(slot, boundary, requests);
        self.kv.take(self.kv.blocks(after) - self.kv.blocks(cached));
        let request = &mut requests[slot];
        request.generated = request.generated_by(boundary) + kept;
        request.prefilled = after as u32;
        self.join_decoding(slot, boundary, requests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 + a + … + aᵏ tokens an iteration.
    #[test]
    fn kept_tokens_follow_the_formula() {
        for (acceptance, tokens) in [(0.5, 3), (0.8, 5), (0.95, 2), (0.0, 4), (1.0, 4)] {
            let speculation = Speculation { tokens, acceptance, spread: 0.0 };
            let rounds = 400_000;
            let sum: u32 = (0..rounds).map(|id| Draws::new(speculation, Seed(1), "d", id).kept(tokens)).sum();
            let exact: f64 = (1..=tokens).map(|power| libm::pow(acceptance, f64::from(power))).sum();
            let mean = f64::from(sum) / rounds as f64;
            // Twenty times the draws of a run; four standard deviations of at most 2.5 tokens.
            assert!((mean - exact).abs() < 0.016, "a = {acceptance}, k = {tokens}: {mean}, exactly {exact}");
        }
    }

    /// Requests differ by their own acceptance where it is spread, and the mean is kept.
    #[test]
    fn acceptance_is_drawn_for_each_request() {
        let speculation = Speculation { tokens: 4, acceptance: 0.6, spread: 0.2 };
        let own: Vec<f64> =
            (0..5_000).map(|id| Draws::new(speculation, Seed(3), "d", id).acceptance).collect();
        assert!(own.iter().all(|own| (0.4..=0.8).contains(own)));
        assert!(own.iter().any(|own| *own < 0.45) && own.iter().any(|own| *own > 0.75));
        let mean = own.iter().sum::<f64>() / own.len() as f64;
        assert!((mean - 0.6).abs() < 0.01, "{mean}");
    }
}
