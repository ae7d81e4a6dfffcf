//! Waiting jobs by what they ask for: finds the first in order of submission that is short enough.

use std::collections::BTreeMap;

use super::JobFacts;
use crate::units::Duration;

/// Jobs that want the same on the same pools.
#[derive(Debug)]
pub(super) struct Class {
    /// Which list of pools.
    pub(super) places: u32,
    /// How many cards.
    pub(super) cards: u32,
    /// Its jobs in order of submission, by their place in that order over all classes.
    ranks: Vec<u32>,
    /// The least estimate of the waiting below each node of a binary tree over `ranks`.
    tree: Vec<u64>,
    /// Places in `ranks` under the tree's leaves.
    leaves: usize,
}

/// All jobs, ranked by submission and split into classes.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) all: Vec<Class>,
    /// Job by rank.
    pub(super) by_rank: Vec<u32>,
    /// Of each job: rank, class, place in the class.
    of: Vec<(u32, u32, u32)>,
}

const NOBODY: u64 = u64::MAX;

impl Classes {
    pub(super) fn new(facts: &[JobFacts]) -> Self {
        let mut by_rank: Vec<u32> = (0..facts.len() as u32).collect();
        by_rank.sort_by_key(|job| (facts[*job as usize].submit, *job));
        let mut of = vec![(0, 0, 0); facts.len()];
        let mut numbers: BTreeMap<(u32, u32, u32), u32> = BTreeMap::new();
        let mut all: Vec<Class> = Vec::new();
        for (rank, job) in (0u32..).zip(&by_rank) {
            let JobFacts { places, cards, needs, .. } = facts[*job as usize];
            let class = *numbers.entry((places, cards, needs)).or_insert_with(|| {
                all.push(Class { places, cards, ranks: Vec::new(), tree: Vec::new(), leaves: 0 });
                all.len() as u32 - 1
            });
            let ranks = &mut all[class as usize].ranks;
            of[*job as usize] = (rank, class, ranks.len() as u32);
            ranks.push(rank);
        }
        for class in &mut all {
            class.leaves = class.ranks.len().next_power_of_two();
            class.tree = vec![NOBODY; 2 * class.leaves];
        }
        Self { all, by_rank, of }
    }

    pub(super) fn rank(&self, job: u32) -> u32 {
        self.of[job as usize].0
    }

    pub(super) fn class(&self, job: u32) -> usize {
        self.of[job as usize].1 as usize
    }

    /// A job waits, with this estimate, or no longer does.
    pub(super) fn set(&mut self, job: u32, estimate: Option<Duration>) {
        let (_, class, place) = self.of[job as usize];
        let class = &mut self.all[class as usize];
        let mut at = class.leaves + place as usize;
        // The longest estimate there is must still be told from nobody.
        class.tree[at] = estimate.map_or(NOBODY, |estimate| estimate.as_nanos().min(NOBODY - 1));
        while at > 1 {
            at /= 2;
            class.tree[at] = class.tree[2 * at].min(class.tree[2 * at + 1]);
        }
    }
}

impl Class {
    /// The rank of the first waiting job whose estimate is at most `longest`.
    pub(super) fn first(&self, longest: Duration) -> Option<u32> {
        let longest = longest.as_nanos().min(NOBODY - 1);
        if self.tree[1] > longest {
            return None;
        }
        let mut at = 1;
        while at < self.leaves {
            at = if self.tree[2 * at] <= longest { 2 * at } else { 2 * at + 1 };
        }
        self.ranks.get(at - self.leaves).copied()
    }
}
