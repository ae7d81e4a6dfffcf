//! Who held each card, and when it computed: the card-by-time strip.

use super::results::CardStrip;
use crate::units::{Duration, Instant};

/// Cards shown of one pool; a strip of more rows cannot be read.
pub const MAX_CARDS_PER_POOL: usize = 64;

/// A card in the strip.
#[derive(Debug)]
struct Card {
    name: String,
    pool: String,
    leases: Vec<(Instant, Instant, String)>,
    busy: Vec<u64>,
}

/// Records leases and computing of the cards shown.
#[derive(Debug)]
pub struct CardRecorder {
    width: u64,
    cards: Vec<Card>,
    /// Where each pool's cards begin, how many are shown, and how many a node has.
    pools: Vec<(usize, usize, u32)>,
}

impl CardRecorder {
    /// A recorder for pools of (name, nodes, cards per node).
    pub fn new<'a>(width: Duration, pools: impl IntoIterator<Item = (&'a str, u32, u32)>) -> Self {
        let mut recorder = Self { width: width.as_nanos(), cards: Vec::new(), pools: Vec::new() };
        for (pool, nodes, cards_per_node) in pools {
            let first = recorder.cards.len();
            let shown = (nodes as usize * cards_per_node as usize).min(MAX_CARDS_PER_POOL);
            recorder.pools.push((first, shown, cards_per_node));
            for card in 0..shown as u32 {
                let (node, card) = (card / cards_per_node, card % cards_per_node);
                recorder.cards.push(Card {
                    name: format!("{pool}/node{node}/card{card}"),
                    pool: pool.to_owned(),
                    leases: Vec::new(),
                    busy: Vec::new(),
                });
            }
        }
        recorder
    }

    /// The cards of a lease computed from `from` to `to`.
    pub fn busy(&mut self, pool: usize, nodes: &[(u32, u128)], from: Instant, to: Instant) {
        let width = self.width;
        for place in self.shown(pool, nodes) {
            let busy = &mut self.cards[place].busy;
            let (mut from, to) = (from.as_nanos(), to.as_nanos());
            while from < to {
                let bucket = (from / width) as usize;
                let until = ((from / width + 1) * width).min(to);
                if busy.len() <= bucket {
                    busy.resize(bucket + 1, 0);
                }
                busy[bucket] += until - from;
                from = until;
            }
        }
    }

    /// The cards of a lease were held from `from` to `to`.
    pub fn held(&mut self, pool: usize, nodes: &[(u32, u128)], from: Instant, to: Instant, holder: &str) {
        for place in self.shown(pool, nodes) {
            self.cards[place].leases.push((from, to, holder.to_owned()));
        }
    }

    /// The places of those cards that are shown.
    fn shown(&self, pool: usize, nodes: &[(u32, u128)]) -> Vec<usize> {
        let (first, shown, cards_per_node) = self.pools[pool];
        let mut places = Vec::new();
        for (node, mask) in nodes {
            let base = *node as usize * cards_per_node as usize;
            if base >= shown {
                continue;
            }
            let cards = (0..cards_per_node as usize).filter(|card| mask & (1 << card) != 0);
            places
                .extend(cards.map(|card| base + card).filter(|card| *card < shown).map(|card| first + card));
        }
        places
    }

    /// The strips, up to `end`.
    pub fn finish(mut self, end: Instant) -> Vec<CardStrip> {
        let buckets = end.as_nanos().div_ceil(self.width);
        for card in &mut self.cards {
            card.leases.sort();
        }
        let share = |nanos: u64, bucket: u64| {
            let length = ((bucket + 1) * self.width).min(end.as_nanos()) - bucket * self.width;
            nanos as f64 / length as f64
        };
        self.cards
            .into_iter()
            .map(|card| CardStrip {
                busy: (0..buckets)
                    .map(|bucket| share(card.busy.get(bucket as usize).copied().unwrap_or(0), bucket))
                    .collect(),
                card: card.name,
                pool: card.pool,
                leases: card.leases,
            })
            .collect()
    }
}
