//! Request orders: which of the requests that wait at a replica is looked at first.
//!
//! A rule gives each request a key when it is queued; the smallest goes first, then the one that arrived
//! first. [`vtc`] alone weighs tenants against each other while the requests run.

mod vtc;

pub use vtc::{TenantWeights, TokenCounters};

use super::{Policy, Reason};
use crate::units::Instant;

/// The orders that a scenario can name under `batching.order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestOrder {
    /// First come, first served (vLLM's `--scheduling-policy fcfs`).
    #[default]
    Fcfs,
    /// The smallest `priority` first, then in order of arrival (vLLM's `--scheduling-policy priority`); when
    /// KV blocks run out, the request that would be last in this order gives way.
    Priority,
    /// The shortest prompt first.
    ShortestPrompt,
    /// The shortest output first. An oracle: no engine knows the length of an output.
    ShortestOutput,
    /// The earliest deadline first: arrival and the stream's `deadline`, or the limit of its `slo` on TTFT.
    Edf,
    /// Virtual token counters: the tenant that was served least, by its weight ([`vtc`]).
    Vtc,
}

/// What an order may look at: one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestFacts {
    /// When it arrived.
    pub arrival: Instant,
    /// Tokens of its prompt.
    pub prompt: u32,
    /// Tokens of its output, which only an oracle knows.
    pub output: u32,
    /// Its stream's priority; smaller is more urgent, as in vLLM.
    pub priority: i32,
    /// When it should be answered; [`Instant::MAX`] when nobody said.
    pub deadline: Instant,
}

impl RequestOrder {
    /// All orders, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 6] = [
        ("fcfs", Self::Fcfs),
        ("priority", Self::Priority),
        ("shortest-prompt", Self::ShortestPrompt),
        ("shortest-output", Self::ShortestOutput),
        ("edf", Self::Edf),
        ("vtc", Self::Vtc),
    ];
}

impl Policy for RequestOrder {
    type Observation<'a> = RequestFacts;
    /// The request's key: the smallest goes first.
    type Decision = u64;

    fn decide(&mut self, _now: Instant, facts: &RequestFacts) -> (u64, Reason) {
        match self {
            Self::Fcfs | Self::Vtc => (0, Reason("in order of arrival")),
            Self::Priority => {
                ((i64::from(facts.priority) - i64::from(i32::MIN)) as u64, Reason("the most urgent first"))
            }
            Self::ShortestPrompt => (u64::from(facts.prompt), Reason("the shortest prompt first")),
            Self::ShortestOutput => (u64::from(facts.output), Reason("the shortest output first")),
            Self::Edf => (facts.deadline.as_nanos(), Reason("the earliest deadline first")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;

    fn facts(at: u64, prompt: u32, output: u32, priority: i32, deadline: u64) -> RequestFacts {
        let second = |at| Instant::ZERO + Duration::from_secs(at);
        RequestFacts { arrival: second(at), prompt, output, priority, deadline: second(deadline) }
    }

    /// Four requests, of which each rule takes another first.
    #[test]
    fn each_rule_decides_its_own_way() {
        let waiting = [
            facts(0, 90, 90, 5, 900),
            facts(1, 80, 80, -7, 800),
            facts(2, 10, 70, 5, 700),
            facts(3, 70, 10, 5, 600),
            facts(4, 60, 60, 5, 50),
        ];
        let first = |mut order: RequestOrder| {
            let key = |at: &usize| (order.decide(Instant::ZERO, &waiting[*at]).0, waiting[*at].arrival);
            (0..waiting.len()).min_by_key(key)
        };
        let orders = [
            RequestOrder::Fcfs,
            RequestOrder::Priority,
            RequestOrder::ShortestPrompt,
            RequestOrder::ShortestOutput,
            RequestOrder::Edf,
        ];
        assert_eq!(orders.map(first), [0, 1, 2, 3, 4].map(Some));
    }

    #[test]
    fn names_are_their_own() {
        let names: std::collections::BTreeSet<_> = RequestOrder::ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), RequestOrder::ALL.len());
    }
}
