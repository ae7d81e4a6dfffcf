//! Who asks for what, and when: arrival processes, shapes of the rate, lengths, closed loops, real traces.
//!
//! A [`StreamConfig`] describes one stream of traffic; [`StreamConfig::problems`] says everything that is
//! wrong with it; [`Stream::new`] starts it. A running [`Stream`] is pulled: [`Stream::next_arrival`] gives
//! the next request, in order of time, and `None` after the end of the window. A closed loop additionally
//! hands back the user's next request when one is [`Stream::completed`].
//!
//! Invariants:
//! * The times of a stream's arrivals never decrease, and all lie in [0, window).
//! * A request's lengths are drawn when it arrives, from a named random stream of their own, so that a
//!   change of policy meets the same requests. Streams used: `arrivals/NAME`, `lengths/NAME`,
//!   `clients/NAME`, `states/NAME`, `shifts/NAME`, and for a closed loop `think/NAME/USER` and
//!   `lengths/NAME/USER`.
//! * Memory does not grow with the number of requests. (It grows with the number of clients, users and
//!   superposed copies, and with the rows of a file from which lengths are resampled.)
//! * This room knows nothing of models, replicas or prices.

mod clients;
mod clock;
mod closed;
pub mod describe;
mod error;
mod lengths;
mod mmpp;
mod prefixes;
mod process;
mod renewal;
mod samplers;
mod shape;
mod stream;
mod trace;

use std::sync::Arc;

pub use closed::{ClosedConfig, Think};
pub use error::{Problem, TrafficError};
pub use lengths::{JointLengths, Length, LengthDist, Lengths, LogNormal};
pub use prefixes::{PrefixedConfig, Sessions, SharedPart, SharedPrompt, Tools};
pub use process::{ArrivalProcess, ClientShares, ClientSpread, ClientsConfig, Cv, MmppState, RenewalFamily};
pub use shape::{Shape, Start, Weekday, time_of_day};
pub use stream::Stream;
pub use trace::{TraceConfig, TraceFormat, TraceReader, TraceRow};

use crate::units::{Instant, Rate};

/// One stream of traffic: its name and where its requests come from.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// The stream's name; the random streams are named after it.
    pub name: String,
    /// Where the requests come from.
    pub source: Source,
}

/// Where a stream's requests come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Requests arrive whatever happens to earlier ones.
    Open(OpenConfig),
    /// Users who wait for the answer before they ask again.
    Closed(ClosedConfig),
    /// A recorded trace is replayed.
    Trace(TraceConfig),
    /// Any of these, with prompts that begin alike.
    Prefixed(PrefixedConfig),
}

/// Open traffic: an arrival process whose rate follows a product of shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenConfig {
    /// The mean rate before spikes, growth and piecewise factors. Positive.
    pub rate: Rate,
    /// How irregular the arrivals are.
    pub arrivals: ArrivalProcess,
    /// Factors that multiply the rate over time; none means a constant rate.
    pub shape: Vec<Shape>,
    /// Which day and time of day the run begins at, for the diurnal and weekly shapes.
    pub start: Start,
    /// How long prompts and outputs are.
    pub lengths: Lengths,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrives.
    pub at: Instant,
    /// Tokens in its prompt, at least 1.
    pub prompt_tokens: u32,
    /// Tokens that it will generate, at least 1.
    pub output_tokens: u32,
    /// The user or conversation that it belongs to, where the source knows: a closed loop's user number, a
    /// trace's session.
    pub session: Option<u64>,
    /// The hashes of its prompt's blocks, where they are known.
    pub blocks: Option<BlockHashes>,
    /// Prompt tokens up to the end of each of these blocks, rising; `None` when all are of one size.
    pub ends: Option<Arc<[u32]>>,
    /// The hash of its answer, where a later prompt may contain it behind this one's prompt.
    pub answer: Option<u64>,
    /// Its answer calls a tool, after which the session comes back: how many of its blocks, from the first, are not the
    /// session's own.
    pub pause: Option<u32>,
}

impl Arrival {
    /// A request of which nothing else is known.
    pub fn plain(at: Instant, prompt_tokens: u32, output_tokens: u32) -> Self {
        let (session, blocks, ends, answer, pause) = (None, None, None, None, None);
        Self { at, prompt_tokens, output_tokens, session, blocks, ends, answer, pause }
    }
}

/// The hashes of a prompt's blocks, in order: equal hashes at the start of two prompts mean a shared prefix.
/// Mooncake's blocks are of [`BlockHashes::MOONCAKE_BLOCK_TOKENS`] tokens, the last one of each prompt
/// possibly shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHashes(pub Arc<[u64]>);

impl BlockHashes {
    /// Tokens in a block of Mooncake's traces (kvcache-ai/Mooncake, README of the traces).
    pub const MOONCAKE_BLOCK_TOKENS: u32 = 512;
}

impl StreamConfig {
    /// Everything that is wrong with this stream's parameters, each with the key it is at; empty when it can
    /// run. Files are not opened: what is wrong inside them shows in [`Stream::new`].
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match &self.source {
            Source::Open(open) => {
                let rate = open.rate.as_per_second();
                // One request in a hundred years to one a nanosecond.
                if !(rate.is_finite() && (3e-10..=1e9).contains(&rate)) {
                    problems.push(Problem::new(
                        "rate",
                        format!("the rate is {rate}/s"),
                        "give a positive rate up to 1e9/s",
                    ));
                }
                open.arrivals.check(&mut problems);
                shape::check(&open.shape, open.start, &mut problems);
                open.lengths.check(&mut problems);
            }
            Source::Closed(closed) => closed.check(&mut problems),
            Source::Trace(trace) => trace.check(&mut problems),
            Source::Prefixed(prefixed) => prefixed.check(&self.name, &mut problems),
        }
        problems
    }
}
