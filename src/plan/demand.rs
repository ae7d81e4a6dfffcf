//! What arrives, without serving it: the requests of a scenario's streams under one seed.

use std::sync::{Arc, Mutex};

use crate::sim::Seed;
use crate::traffic::{Source, Stream, StreamConfig};
use crate::units::{Duration, Instant};

/// A request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// When it arrives.
    pub at: Instant,
    /// Prompt tokens; at least 1.
    pub prompt: u32,
    /// Output tokens; at least 1.
    pub output: u32,
    /// Whether its prompt may be in a cache already.
    pub hashed: bool,
}

/// More requests than this are not held to be counted.
const MOST: usize = 3_000_000;

/// The requests of one stream under one seed, in order of arrival; `None` where they depend on how they are
/// served (a closed loop), cannot be read, or are too many to be held.
pub fn arrivals(config: &StreamConfig, seed: Seed, window: Duration) -> Option<Vec<Asked>> {
    if matches!(config.source, Source::Closed(_)) {
        return None;
    }
    let mut stream = Stream::new(config, seed, window).ok()?;
    if stream.is_closed_loop() {
        return None;
    }
    let mut all = Vec::new();
    while let Some(arrival) = stream.next_arrival().ok()? {
        if all.len() == MOST {
            return None;
        }
        all.push(Asked {
            at: arrival.at,
            prompt: arrival.prompt_tokens,
            output: arrival.output_tokens,
            hashed: arrival.blocks.is_some(),
        });
    }
    Some(all)
}

type Known = (StreamConfig, Seed, Duration, Option<Arc<Vec<Asked>>>);

/// Arrivals that have been drawn, so that candidates which share streams share them.
#[derive(Debug, Default)]
pub struct Arrivals {
    known: Mutex<Vec<Known>>,
}

impl Arrivals {
    /// As [`arrivals`]; each is drawn once.
    pub fn of(&self, config: &StreamConfig, seed: Seed, window: Duration) -> Option<Arc<Vec<Asked>>> {
        // Drawn under the lock: whoever else wants the same waits for it instead of drawing it too.
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = known.iter().find(|k| k.1 == seed && k.2 == window && k.0 == *config) {
            return found.3.clone();
        }
        let drawn = arrivals(config, seed, window).map(Arc::new);
        known.push((config.clone(), seed, window, drawn.clone()));
        drawn
    }
}
