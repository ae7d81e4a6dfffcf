//! The prefix cache of a replica: which hashed blocks of prompts are in the KV cache, in use or evictable.
//!
//! As vLLM v1 does it (`vllm/v1/core/kv_cache_manager.py`): a block that nobody uses stays until its room is
//! needed, and then the one that has been unused longest goes first; of one request's blocks, the deepest.
//! Here the unit is the trace's hash, which covers several KV blocks and is evicted as a whole.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// An entry's place.
type Place = u32;

const NOWHERE: Place = Place::MAX;

/// A hash's blocks.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    blocks: u64,
    users: u32,
    /// It goes after all that are not retained.
    retained: bool,
    /// Neighbours in the order of eviction, when nobody uses it.
    older: Place,
    newer: Place,
}

/// Entries by hash, and those that nobody uses in the order in which they go.
#[derive(Debug, Default)]
pub(crate) struct PrefixCache {
    places: HashMap<u64, Place, BuildHasherDefault<Mixer>>,
    entries: Vec<Entry>,
    free: Vec<Place>,
    /// Of those that are not retained, and of those that are.
    oldest: [Option<Place>; 2],
    newest: [Option<Place>; 2],
    evictable: u64,
}

/// The hashes of traces are small numbers in sequence: one multiplication spreads them. The map is only ever
/// looked up, never iterated, so its order reaches no result.
#[derive(Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

impl PrefixCache {
    /// How many of `hashes`, from the first, are here.
    pub(crate) fn matching(&self, hashes: &[u64]) -> usize {
        hashes.iter().take_while(|hash| self.places.contains_key(hash)).count()
    }

    /// Blocks of a hash that is here and that nobody uses; 0 for any other.
    pub(crate) fn unused_blocks(&self, hash: u64) -> u64 {
        let entry = self.places.get(&hash).map(|place| &self.entries[*place as usize]);
        entry.filter(|entry| entry.users == 0).map_or(0, |entry| entry.blocks)
    }

    /// One more uses an entry that is here. Returns the blocks that were evictable until now.
    pub(crate) fn reuse(&mut self, hash: u64) -> u64 {
        let Some(place) = self.places.get(&hash).copied() else { return 0 };
        self.entries[place as usize].users += 1;
        if self.entries[place as usize].users > 1 {
            return 0;
        }
        self.unlink(place);
        let entry = &mut self.entries[place as usize];
        entry.retained = false;
        self.evictable -= entry.blocks;
        entry.blocks
    }

    /// An entry that nobody uses goes after all others until it is used again.
    pub(crate) fn retain(&mut self, hash: u64) {
        let Some(place) = self.places.get(&hash).copied() else { return };
        if self.entries[place as usize].users == 0 {
            self.unlink(place);
            self.entries[place as usize].retained = true;
            self.link(place);
        }
    }

    /// Takes an entry out that nobody uses; its blocks.
    pub(crate) fn take_out(&mut self, hash: u64) -> Option<u64> {
        let place = self.places.get(&hash).copied()?;
        if self.entries[place as usize].users > 0 {
            return None;
        }
        self.unlink(place);
        self.forget(place);
        Some(self.entries[place as usize].blocks)
    }

    /// An entry that is in no order any more is here no more.
    fn forget(&mut self, place: Place) {
        let entry = self.entries[place as usize];
        self.evictable -= entry.blocks;
        self.places.remove(&entry.hash);
        self.free.push(place);
    }

    /// Enters a hash whose blocks were just taken by its first user. False when it is here already.
    pub(crate) fn enter(&mut self, hash: u64, blocks: u64) -> bool {
        if self.places.contains_key(&hash) {
            return false;
        }
        let entry = Entry { hash, blocks, users: 1, retained: false, older: NOWHERE, newer: NOWHERE };
        let place = if let Some(place) = self.free.pop() {
            self.entries[place as usize] = entry;
            place
        } else {
            self.entries.push(entry);
            self.entries.len() as Place - 1
        };
        self.places.insert(hash, place);
        true
    }

    /// One uses an entry no more. Returns the blocks that are evictable from now on.
    pub(crate) fn release(&mut self, hash: u64) -> u64 {
        let Some(place) = self.places.get(&hash).copied() else { return 0 };
        let entry = &mut self.entries[place as usize];
        entry.users -= 1;
        if entry.users > 0 {
            return 0;
        }
        let blocks = entry.blocks;
        self.link(place);
        self.evictable += blocks;
        blocks
    }

    /// Puts an entry at the end of its order of eviction.
    fn link(&mut self, place: Place) {
        let order = usize::from(self.entries[place as usize].retained);
        let last = self.newest[order];
        let entry = &mut self.entries[place as usize];
        (entry.older, entry.newer) = (last.unwrap_or(NOWHERE), NOWHERE);
        match last {
            Some(last) => self.entries[last as usize].newer = place,
            None => self.oldest[order] = Some(place),
        }
        self.newest[order] = Some(place);
    }

    /// Blocks that nobody uses.
    pub(crate) fn evictable(&self) -> u64 {
        self.evictable
    }

    /// Uses of entries, added up: 0 when nobody is left.
    pub(crate) fn uses(&self) -> u64 {
        self.places.values().map(|place| u64::from(self.entries[*place as usize].users)).sum()
    }

    /// Evicts what has been unused longest until at most `room` blocks are evictable; tells what goes.
    pub(crate) fn shrink(&mut self, room: u64, mut gone: impl FnMut(u64, u64)) {
        while self.evictable > room {
            let Some(place) = self.oldest[0].or(self.oldest[1]) else { return };
            self.unlink(place);
            let entry = self.entries[place as usize];
            self.forget(place);
            gone(entry.hash, entry.blocks);
        }
    }

    /// Takes an entry out of the order of eviction.
    fn unlink(&mut self, place: Place) {
        let Entry { older, newer, retained, .. } = self.entries[place as usize];
        let order = usize::from(retained);
        let some = |place: Place| (place != NOWHERE).then_some(place);
        match some(older) {
            Some(older) => self.entries[older as usize].newer = newer,
            None => self.oldest[order] = some(newer),
        }
        match some(newer) {
            Some(newer) => self.entries[newer as usize].older = older,
            None => self.newest[order] = some(older),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::Seed;
    use proptest::prelude::*;

    proptest! {
        /// The cache is what a plain list in order of last use is.
        #[test]
        fn evicts_like_a_list(steps in prop::collection::vec((0u64..12, any::<bool>()), 1..200), room in 0u64..10) {
            let mut cache = PrefixCache::default();
            let mut unused: Vec<u64> = Vec::new();
            let mut users: BTreeMap<u64, u32> = BTreeMap::new();
            for (hash, begin) in steps {
                let count = users.entry(hash).or_default();
                if begin {
                    let here = *count > 0 || unused.contains(&hash);
                    prop_assert_eq!(cache.matching(&[hash]) == 1, here);
                    if here {
                        cache.reuse(hash);
                    } else {
                        prop_assert!(cache.enter(hash, 1));
                    }
                    *count += 1;
                    unused.retain(|other| *other != hash);
                } else if *count > 0 {
                    *count -= 1;
                    cache.release(hash);
                    if *count == 0 {
                        unused.push(hash);
                    }
                }
                cache.shrink(room, |_, _| {});
                let excess = unused.len().saturating_sub(room as usize);
                unused.drain(..excess);
                prop_assert_eq!(cache.evictable, unused.len() as u64);
            }
        }
    }

    /// Che's approximation (Che, Tung, Wang 2002) for the independent reference model under LRU: the hit rate
    /// of item i is 1 − exp(−qᵢ·t), where t solves Σ(1 − exp(−qᵢ·t)) = capacity. Zipf(0.8) over 2,000 items.
    #[test]
    fn hit_rate_is_che_s() {
        const ITEMS: u64 = 2000;
        const CAPACITY: u64 = 200;
        let weights: Vec<f64> = (1..=ITEMS).map(|rank| libm::pow(rank as f64, -0.8)).collect();
        let total: f64 = weights.iter().sum();
        let share: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let held = |t: f64| share.iter().map(|q| 1.0 - libm::exp(-q * t)).sum::<f64>();
        let (mut low, mut high) = (0.0, 1e7);
        for _ in 0..200 {
            let middle = (low + high) / 2.0;
            if held(middle) < CAPACITY as f64 { low = middle } else { high = middle }
        }
        let che: f64 = share.iter().map(|q| q * (1.0 - libm::exp(-q * low))).sum();
        let mut cumulative = share;
        for rank in 1..cumulative.len() {
            cumulative[rank] += cumulative[rank - 1];
        }
        let mut random = Seed(1).stream("che");
        let mut cache = PrefixCache::default();
        let (mut hits, mut asked) = (0u32, 0u32);
        for draw in 0..1_050_000 {
            let u = random.uniform();
            let hash = cumulative.partition_point(|share| *share < u) as u64;
            let hit = cache.matching(&[hash]) == 1;
            if hit {
                cache.reuse(hash);
            } else {
                cache.enter(hash, 1);
            }
            cache.release(hash);
            cache.shrink(CAPACITY, |_, _| {});
            if draw >= 50_000 {
                asked += 1;
                hits += u32::from(hit);
            }
        }
        let simulated = f64::from(hits) / f64::from(asked);
        assert!((simulated / che - 1.0).abs() < 0.01, "Che {che}, simulated {simulated}");
    }
}
