//! Fragmentation gradient descent (Weng et al., "Beware of Fragmentation", USENIX ATC 2023, sections 3 and
//! 4): the claim goes where it makes least new fragments. A fragment of a node, for a claim of the typical
//! workload, is what is free on its cards and cannot be used by that claim: all of it when the claim does
//! not fit, otherwise what lies on cards with too little; the node's fragments are the mean over the
//! workload. A claim that shares a card goes to that card of the node which is best by the same measure.
//!
//! As in the authors' artifact, a score is the whole number of hundredths of the logistic function of the
//! decrease, in cards; ties by pool, then by number of the node, then by card. The typical workload are the
//! kinds of claims that cover 95 % of all jobs, the most frequent first, jobs without cards included (for
//! them all that is free on cards is a fragment); of equally frequent ones those that ask for more come
//! first.

use std::collections::BTreeMap;

use super::node_free::{NodeFree, WHOLE, Want};

/// A share of all jobs that the typical workload covers, in percent.
const COVERED: u64 = 95;

/// The typical workload: kinds of claims with their shares, which add up to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Workload {
    kinds: Vec<(Want, f64)>,
}

impl Workload {
    /// The workload of these claims. One that is larger than a node counts as one of whole nodes.
    pub fn of(claims: impl IntoIterator<Item = Want>) -> Self {
        let mut counts: BTreeMap<(u32, u16, u32), u64> = BTreeMap::new();
        let mut total = 0;
        for claim in claims {
            let milli = if claim.cards == 0 { 0 } else { claim.card_milli };
            *counts.entry((claim.cpu_milli, milli, claim.cards)).or_default() += 1;
            total += 1;
        }
        let mut kinds: Vec<_> = counts.into_iter().map(|(kind, count)| (count, kind)).collect();
        kinds.sort_unstable_by(|a, b| b.cmp(a));
        let mut covered = 0;
        let kept = kinds.iter().take_while(|(count, _)| {
            let more = covered * 100 < total * COVERED;
            covered += count;
            more
        });
        let kept: Vec<_> = kept.copied().collect();
        let all: u64 = kept.iter().map(|(count, _)| count).sum();
        let want = |(cpu_milli, card_milli, cards)| Want { cards, card_milli, cpu_milli, memory_mib: 0 };
        Self {
            kinds: kept.into_iter().map(|(count, kind)| (want(kind), count as f64 / all as f64)).collect(),
        }
    }

    /// Thousandths of cards that are free on a node and of no use, in the mean over the workload.
    pub fn fragments(&self, node: &NodeFree) -> f64 {
        let total = node.total_milli();
        if total == 0 {
            return 0.0;
        }
        let whole = node.whole_cards();
        let unusable = |want: &Want| {
            let fits = match want.cards {
                0 => false,
                cards if want.card_milli == WHOLE => whole >= cards as usize,
                cards => {
                    let place = node.milli.len().checked_sub(cards as usize);
                    place.is_some_and(|place| node.milli[place] >= want.card_milli)
                }
            };
            if !fits || node.cpu_milli < want.cpu_milli {
                return total;
            }
            if want.card_milli == WHOLE {
                return total - whole as u32 * u32::from(WHOLE);
            }
            let small = node.milli.iter().take_while(|milli| **milli < want.card_milli);
            small.map(|milli| u32::from(*milli)).sum()
        };
        self.kinds.iter().map(|(want, share)| share * f64::from(unusable(want))).sum()
    }

    /// The score of a node that has so many fragments now, and how much is free on the card that a claim
    /// sharing one gets there. The claim fits.
    pub fn score(&self, node: &NodeFree, fragments: f64, want: &Want) -> (i64, u16) {
        let of = |places: std::ops::Range<usize>| {
            let after = self.fragments(&node.without(want, places));
            let decrease = (fragments - after) / f64::from(WHOLE);
            (100.0 / (1.0 + libm::exp(-decrease))) as i64
        };
        let tightest = node.tightest(want);
        if want.cards != 1 || !want.is_part() {
            return (of(tightest), 0);
        }
        let mut best = (i64::MIN, 0);
        let mut last = None;
        for place in tightest.start..node.milli.len() {
            // Cards with as much free are alike.
            if last.replace(node.milli[place]) == Some(node.milli[place]) {
                continue;
            }
            let score = of(place..place + 1);
            if score > best.0 {
                best = (score, node.milli[place]);
            }
        }
        best
    }
}
