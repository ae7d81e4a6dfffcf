//! Whether a plan keeps a promise: for a request alone, and in the batch that the expected load makes.

use super::super::constants::KV_BLOCK_TOKENS;
use super::super::memory::Fit;
use super::super::plan::{PlanError, Replica};
use super::super::roofline::Roofline;
use super::super::step::BatchShape;
use super::{ExpectedLoad, Promise};
use crate::units::Duration;

/// Rounds in which batch and time of an iteration are brought together, and how near is near enough.
const ROUNDS: u32 = 200;
const NEAR: f64 = 1e-4;

/// What of a promise is not kept, in words; nothing when all is.
#[derive(Clone)]
pub(super) struct Kept {
    /// By a request alone on the replica.
    pub(super) alone: Option<String>,
    /// By one in the batch that the expected load makes.
    pub(super) loaded: Option<String>,
}

impl Kept {
    pub(super) fn of(replica: &Replica<'_>, fit: &Fit, promise: &Promise) -> Result<Self, PlanError> {
        if promise.ttft.is_none() && promise.tpot.is_none() {
            return Ok(Self { alone: None, loaded: None });
        }
        let steps = Steps { roofline: Roofline::new(replica)?, replica, prompt: promise.prompt_tokens };
        let (first, next) =
            (steps.prompt(0.0), steps.seconds(&steps.batch(1.0, f64::from(promise.prompt_tokens))));
        let alone = over(promise, "of a request alone", first, next);
        let loaded = promise.load.and_then(|load| match steps.settled(fit, &load) {
            Ok((batch, iteration)) => {
                // It waits for the iteration that runs, and its chunks share iterations with who decodes.
                let first = 0.5 * iteration + steps.prompt(batch);
                over(promise, &format!("in the expected batch of {batch:.1}"), first, iteration)
            }
            Err(why) => Some(why),
        });
        Ok(Self { alone, loaded })
    }
}

fn over(promise: &Promise, whose: &str, first: f64, next: f64) -> Option<String> {
    let over = |what: &str, found: f64, limit: Option<Duration>| {
        limit
            .filter(|limit| found > limit.as_secs_f64())
            .map(|limit| format!("{what} {whose} is {:.1} ms, over its {limit}", found * 1e3))
    };
    over("TTFT", first, promise.ttft).or_else(|| over("TPOT", next, promise.tpot))
}

/// Iterations of one replica.
struct Steps<'a> {
    roofline: Roofline,
    replica: &'a Replica<'a>,
    prompt: u32,
}

impl Steps<'_> {
    fn seconds(&self, batch: &BatchShape) -> f64 {
        self.roofline.segment(batch).first.as_secs_f64()
    }

    /// So many requests that decode with so much context each.
    fn batch(&self, decoding: f64, context: f64) -> BatchShape {
        let (decoding, context) = (decoding.max(1.0), context.max(KV_BLOCK_TOKENS as f64));
        let window =
            self.replica.model.window.map_or(context, |window| context.min(f64::from(window.tokens)));
        BatchShape {
            decode_requests: decoding.round() as u32,
            decode_context: (decoding * context) as u64,
            window_context: (decoding * window) as u64,
            ..BatchShape::default()
        }
    }

    /// Tokens of a prompt in an iteration in which so many others decode.
    fn chunk(&self, decoding: f64) -> u64 {
        u64::from(self.replica.max_batch_tokens.max(1)).saturating_sub(decoding as u64).max(1)
    }

    /// How long a prompt takes from its first chunk to its last, while so many others decode.
    fn prompt(&self, decoding: f64) -> f64 {
        let chunk = self.chunk(decoding);
        let (mut before, mut took) = (0u64, 0.0);
        let context = f64::from(self.prompt);
        while before < u64::from(self.prompt) {
            let tokens = chunk.min(u64::from(self.prompt) - before);
            let others = if decoding >= 1.0 { self.batch(decoding, context) } else { BatchShape::default() };
            took += self.seconds(&BatchShape {
                prefill_requests: 1,
                prefill_tokens: tokens as u32,
                prefill_pairs: tokens * before + tokens * (tokens + 1) / 2,
                prefill_context: before + tokens,
                ..others
            });
            before += tokens;
        }
        took
    }

    /// The batch that the load settles at, and how long its iterations last in the mean: as many requests are under way
    /// as come while one is answered (Little's law), and each iteration takes the prompts that come while it lasts.
    fn settled(&self, fit: &Fit, load: &ExpectedLoad) -> Result<(f64, f64), String> {
        let (prompt, output) = (f64::from(self.prompt), f64::from(load.output_tokens.max(1)));
        let context = prompt + output / 2.0;
        let room =
            (fit.kv_tokens() as f64 / (prompt + output)).min(f64::from(load.max_batch_requests)).max(1.0);
        let rate = load.arrivals.as_per_second();
        let (mut batch, mut iteration) = (0.0f64, self.seconds(&self.batch(1.0, context)));
        for _ in 0..ROUNDS {
            // Each user's next request comes when the last is answered.
            let comes = rate + load.users / (output * iteration);
            let wanted = rate * output * iteration + load.users;
            let decoding = wanted.min(room);
            let alone = self.seconds(&self.batch(decoding, context));
            let chunks = (prompt / self.chunk(decoding) as f64).ceil();
            // What a prompt adds to the iterations that it is part of.
            let adds = (self.prompt(decoding) - chunks * alone).max(0.0);
            let next = alone + comes.min(decoding / (output * iteration)) * iteration * adds;
            if (next - iteration).abs() <= NEAR * iteration
                && (wanted - batch).abs() <= NEAR * wanted.max(1.0)
            {
                break;
            }
            (batch, iteration) = (wanted, 0.5 * (iteration + next));
        }
        let served = room / (output * iteration);
        if batch > room && rate > served {
            return Err(format!("{rate:.1} requests/s come to it, and it serves {served:.1}"));
        }
        Ok((batch.min(room), iteration))
    }
}
