//! Routers: which replica a request goes to.

mod load_index;

pub use load_index::LoadIndex;

use super::{Policy, Reason};
use crate::sim::RandomStream;
use crate::units::Instant;

/// The routers that a scenario can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterKind {
    /// Each replica in turn.
    RoundRobin,
    /// Any replica, each as likely.
    Random,
    /// Two different replicas at random; the one with fewer outstanding requests (Mitzenmacher 2001).
    PowerOfTwo,
    /// The replica with the fewest outstanding requests.
    LeastOutstandingRequests,
    /// The replica with the fewest outstanding tokens: prompt and output tokens of its outstanding requests.
    LeastOutstandingTokens,
}

/// What a router may look at: the replicas that can take requests, and their load.
#[derive(Debug)]
pub struct RouterView<'a> {
    /// Outstanding requests of each replica; replicas that take no requests are absent.
    pub requests: &'a LoadIndex,
    /// Outstanding tokens of each replica; kept only for a router that [`Router::counts_tokens`].
    pub tokens: &'a LoadIndex,
}

/// A router with its state.
#[derive(Debug)]
pub struct Router {
    kind: RouterKind,
    next: usize,
    random: RandomStream,
}

impl RouterKind {
    /// All routers, with the names that scenarios use.
    pub const ALL: [(&'static str, Self); 5] = [
        ("round-robin", Self::RoundRobin),
        ("random", Self::Random),
        ("power-of-two", Self::PowerOfTwo),
        ("least-outstanding-requests", Self::LeastOutstandingRequests),
        ("least-outstanding-tokens", Self::LeastOutstandingTokens),
    ];
}

impl Router {
    /// A router that draws from `random` where its rule is random.
    pub fn new(kind: RouterKind, random: RandomStream) -> Self {
        Self { kind, next: 0, random }
    }

    /// Whether it looks at outstanding tokens; if not, nobody needs to count them.
    pub fn counts_tokens(&self) -> bool {
        self.kind == RouterKind::LeastOutstandingTokens
    }
}

impl Policy for Router {
    type Observation<'a> = RouterView<'a>;
    /// The replica's place in the index, or `None` when no replica takes requests.
    type Decision = Option<usize>;

    /// Ties go to the replica with the lowest place.
    fn decide(&mut self, _now: Instant, view: &RouterView<'_>) -> (Option<usize>, Reason) {
        let present = view.requests.present();
        if present == 0 {
            return (None, Reason("no replica takes requests"));
        }
        match self.kind {
            RouterKind::RoundRobin => {
                let place = view.requests.nth_present(self.next % present);
                self.next = (self.next + 1) % present;
                (place, Reason("next in turn"))
            }
            RouterKind::Random => {
                let nth = self.random.below(present as u64) as usize;
                (view.requests.nth_present(nth), Reason("drawn at random"))
            }
            RouterKind::PowerOfTwo => {
                let first = self.random.below(present as u64) as usize;
                if present == 1 {
                    return (view.requests.nth_present(first), Reason("only one replica"));
                }
                let mut second = self.random.below(present as u64 - 1) as usize;
                second += usize::from(second >= first);
                let a = view.requests.nth_present(first.min(second));
                let b = view.requests.nth_present(first.max(second));
                let load = |place: Option<usize>| place.and_then(|place| view.requests.load(place));
                (if load(b) < load(a) { b } else { a }, Reason("less loaded of two drawn"))
            }
            RouterKind::LeastOutstandingRequests => {
                (view.requests.least(), Reason("fewest outstanding requests"))
            }
            RouterKind::LeastOutstandingTokens => (view.tokens.least(), Reason("fewest outstanding tokens")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Seed;

    fn index(loads: &[Option<u64>]) -> LoadIndex {
        let mut index = LoadIndex::new();
        for (place, load) in loads.iter().enumerate() {
            index.set(place, *load);
        }
        index
    }

    fn picks(kind: RouterKind, requests: &[Option<u64>], tokens: &[Option<u64>], times: usize) -> Vec<usize> {
        let (requests, tokens) = (index(requests), index(tokens));
        let mut router = Router::new(kind, Seed(1).stream("router"));
        let view = RouterView { requests: &requests, tokens: &tokens };
        (0..times).filter_map(|_| router.decide(Instant::ZERO, &view).0).collect()
    }

    #[test]
    fn each_rule_decides_its_own_way() {
        let requests = [Some(3), None, Some(1), Some(2)];
        let tokens = [Some(10), None, Some(30), Some(20)];
        assert_eq!(picks(RouterKind::RoundRobin, &requests, &tokens, 4), [0, 2, 3, 0]);
        assert_eq!(picks(RouterKind::LeastOutstandingRequests, &requests, &tokens, 2), [2, 2]);
        assert_eq!(picks(RouterKind::LeastOutstandingTokens, &requests, &tokens, 2), [0, 0]);
        let random = picks(RouterKind::Random, &requests, &tokens, 300);
        assert!([0, 2, 3].iter().all(|place| random.iter().filter(|p| *p == place).count() > 60));
        let two = picks(RouterKind::PowerOfTwo, &requests, &tokens, 300);
        assert!(two.iter().all(|place| *place != 0), "the most loaded never wins against another");
        assert!(two.iter().filter(|place| **place == 2).count() > two.len() / 2);
        assert!(picks(RouterKind::Random, &[None, None], &[None, None], 3).is_empty());
        assert_eq!(picks(RouterKind::PowerOfTwo, &[None, Some(9)], &[None, Some(9)], 1), [1]);
    }
}
