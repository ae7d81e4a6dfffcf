//! Routers: which replica a request goes to.

mod load_index;

pub use load_index::LoadIndex;

use std::cmp::Reverse;

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
    /// The replica that its session always goes to, by rendezvous hashing, so that a replica that comes or goes
    /// moves only its own sessions (Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998); a request without a session
    /// goes where the fewest are outstanding.
    SessionAffinity,
    /// The replica at which work is least: what the request's prompt would have to be processed there, weighted,
    /// and what is outstanding, both in tokens. That is the rule of Dynamo's KV router (`lib/kv-router`: cost =
    /// overlap weight × prefill blocks + active blocks); llm-d's prefix scorer and SGLang's router weigh the same
    /// two. What is cached where is what was sent there, as in the latter two.
    PrefixAffinity {
        /// Thousandths of the weight of prompt tokens to process against outstanding ones.
        overlap_weight: u32,
    },
}

/// What a router may look at: the replicas that can take requests, and their load.
#[derive(Debug)]
pub struct RouterView<'a> {
    /// Outstanding requests of each replica; replicas that take no requests are absent.
    pub requests: &'a LoadIndex,
    /// Outstanding tokens of each replica; kept only for a router that [`Router::counts_tokens`].
    pub tokens: &'a LoadIndex,
    /// The session of the request to be routed.
    pub session: Option<u64>,
    /// Its prompt tokens.
    pub prompt: u32,
    /// Of these, those whose blocks were sent to each place before; filled only for a router that
    /// [`Router::knows_prefixes`].
    pub overlaps: &'a [u32],
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
    pub const ALL: [(&'static str, Self); 7] = [
        ("round-robin", Self::RoundRobin),
        ("random", Self::Random),
        ("power-of-two", Self::PowerOfTwo),
        ("least-outstanding-requests", Self::LeastOutstandingRequests),
        ("least-outstanding-tokens", Self::LeastOutstandingTokens),
        ("session-affinity", Self::SessionAffinity),
        ("prefix-affinity", Self::PrefixAffinity { overlap_weight: 1000 }),
    ];
}

impl Router {
    /// A router that draws from `random` where its rule is random.
    pub fn new(kind: RouterKind, random: RandomStream) -> Self {
        Self { kind, next: 0, random }
    }

    /// Whether it looks at outstanding tokens; if not, nobody needs to count them.
    pub fn counts_tokens(&self) -> bool {
        matches!(self.kind, RouterKind::LeastOutstandingTokens | RouterKind::PrefixAffinity { .. })
    }

    /// Whether it looks at what was sent where; if not, nobody needs to remember.
    pub fn knows_prefixes(&self) -> bool {
        matches!(self.kind, RouterKind::PrefixAffinity { .. })
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
            RouterKind::SessionAffinity => match view.session {
                None => (view.requests.least(), Reason("no session: fewest outstanding requests")),
                Some(session) => {
                    let places = (0..present).filter_map(|nth| view.requests.nth_present(nth));
                    let place = places.max_by_key(|place| (rank(session, *place), Reverse(*place)));
                    (place, Reason("its session's replica"))
                }
            },
            RouterKind::PrefixAffinity { overlap_weight } => {
                let cost = |place: &usize| {
                    let overlap = view.overlaps.get(*place).copied().unwrap_or(0);
                    let process = u64::from(view.prompt.saturating_sub(overlap)) * u64::from(overlap_weight);
                    let outstanding = view.tokens.load(*place).unwrap_or(0);
                    process.saturating_add(outstanding.saturating_mul(1000))
                };
                let places = (0..present).filter_map(|nth| view.requests.nth_present(nth));
                (
                    places.min_by_key(|place| (cost(place), *place)),
                    Reason("least to process, and least outstanding"),
                )
            }
        }
    }
}

/// The rank of a place for a session: a mix of both (the finisher of SplitMix64).
fn rank(session: u64, place: usize) -> u64 {
    let mut hash = session ^ (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
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
        let view = RouterView {
            requests: &requests,
            tokens: &tokens,
            session: Some(7),
            prompt: 100,
            overlaps: &[0, 0, 90, 60],
        };
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
        // Of 100 prompt tokens 100, 10 and 40 are to process at 0, 2 and 3, behind 10, 30 and 20 outstanding ones.
        let affine = |overlap_weight| RouterKind::PrefixAffinity { overlap_weight };
        assert_eq!(picks(affine(1000), &requests, &tokens, 1), [2]);
        assert_eq!(
            picks(affine(100), &requests, &tokens, 1),
            [0],
            "load decides where prefixes weigh little"
        );
        let before = picks(RouterKind::SessionAffinity, &requests, &tokens, 3);
        assert!(before.iter().all(|place| *place == before[0]));
        let without = |gone: usize| (0..4).map(|p| (p != gone).then_some(0)).collect::<Vec<_>>();
        let kept = (0..4).filter(|gone| {
            let left = picks(RouterKind::SessionAffinity, &without(*gone), &tokens, 1);
            left == picks(RouterKind::SessionAffinity, &[Some(0); 4], &tokens, 1)
        });
        assert_eq!(kept.count(), 3, "only the replica that goes moves its session");
        assert!(picks(RouterKind::Random, &[None, None], &[None, None], 3).is_empty());
        assert_eq!(picks(RouterKind::PowerOfTwo, &[None, Some(9)], &[None, Some(9)], 1), [1]);
    }
}
