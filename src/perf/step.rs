//! The step model of a replica: from what is in the batch to how long iterations last.

use std::sync::Arc;

use super::image::ImageStep;
use super::profile::Profile;
use super::roofline::Roofline;
use super::segment::Segment;
use crate::units::{Flop, TickChange, Ticks};

/// What one iteration has to process, summed over the requests in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchShape {
    /// Requests that decode: one token each.
    pub decode_requests: u32,
    /// Tokens in the KV cache that the decoding requests attend to, in the first iteration.
    pub decode_context: u64,
    /// Of `decode_context`, what a sliding-window layer attends to: each request's context cut at the window.
    pub window_context: u64,
    /// Decoding requests whose context is still shorter than the window (grows by one an iteration).
    pub window_growing: u32,
    /// Requests that process a chunk of their prompt in this iteration.
    pub prefill_requests: u32,
    /// Prompt tokens processed, over all chunks.
    pub prefill_tokens: u32,
    /// Tokens beyond one each that decoding requests have in this iteration: proposed by a draft, and checked.
    pub draft_tokens: u32,
    /// Pairs of (new token, token it attends to) over all chunks: Σ c·before + c(c+1)/2.
    pub prefill_pairs: u64,
    /// Tokens in the KV cache that the chunks attend to, their own included: Σ before + c.
    pub prefill_context: u64,
    /// Pixels of each image that is being made; 0 where tokens are.
    pub pixels: u64,
}

impl BatchShape {
    /// The same prompts with nobody decoding beside them.
    pub const fn prefill_only(&self) -> Self {
        Self {
            decode_requests: 0,
            decode_context: 0,
            window_context: 0,
            window_growing: 0,
            draft_tokens: 0,
            ..*self
        }
    }

    /// The same decoding requests, a token each, without prompts beside them.
    pub const fn decode_only(&self) -> Self {
        Self {
            prefill_requests: 0,
            prefill_tokens: 0,
            prefill_pairs: 0,
            prefill_context: 0,
            draft_tokens: 0,
            ..*self
        }
    }
}

/// A step time that is affine in what is in the batch, for engines whose coefficients were measured.
///
/// An iteration lasts `base + per_request·(decoding + prefilling requests) + per_prefill_token·(prompt
/// tokens, and tokens of a draft that are checked) + per_context_token·(tokens in the KV cache attended to
/// while decoding)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AffineStep {
    /// Time that every iteration takes.
    pub base: Ticks,
    /// Time for each request in the batch.
    pub per_request: Ticks,
    /// Time for each prompt token processed.
    pub per_prefill_token: Ticks,
    /// Time for each token of context that decoding attends to.
    pub per_context_token: Ticks,
}

/// How long the iterations of one replica last.
#[expect(clippy::large_enum_variant, reason = "one a replica, and read in its hottest loop")]
#[derive(Debug, Clone, PartialEq)]
pub enum StepModel {
    /// Measured coefficients.
    Affine(AffineStep),
    /// Coefficients that follow from the model, the card and the plan.
    Roofline(Roofline),
    /// A table of measured times.
    Profile(Arc<Profile>),
    /// What the steps of a model that makes images take.
    Image(Box<ImageStep>),
}

impl StepModel {
    /// The segment that begins with this batch. Without prefill it holds for as long as the batch does;
    /// with prefill it holds for one iteration.
    pub fn segment(&self, batch: &BatchShape) -> Segment {
        match self {
            Self::Affine(step) => step.segment(batch),
            Self::Roofline(roofline) => roofline.segment(batch),
            Self::Profile(profile) => profile.segment(batch),
            Self::Image(step) => step.segment(batch),
        }
    }
}

impl AffineStep {
    fn segment(&self, batch: &BatchShape) -> Segment {
        let requests = u128::from(batch.decode_requests) + u128::from(batch.prefill_requests);
        let first = self.base.0
            + self.per_request.0 * requests
            + self.per_prefill_token.0 * (u128::from(batch.prefill_tokens) + u128::from(batch.draft_tokens))
            + self.per_context_token.0 * u128::from(batch.decode_context);
        Segment {
            first: Ticks(first.max(1)),
            slope: TickChange((self.per_context_token.0 * u128::from(batch.decode_requests)) as i128),
            flop_first: Flop::ZERO,
            flop_slope: Flop::ZERO,
            max_iterations: if batch.prefill_requests > 0 || batch.draft_tokens > 0 { 1 } else { u64::MAX },
        }
    }
}
