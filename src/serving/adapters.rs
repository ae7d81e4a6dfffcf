//! LoRA adapters: small weights beside a base model's, a slot of the replica for each that its batch uses.
//!
//! As in vLLM (`vllm/lora/model_manager.py`, `LRUCacheLoRAModelManager`): there are `max_loras` slots; an adapter that
//! is in one can be used by any number of requests; one that is not takes the place of the one that has been unused
//! longest, and is copied there before the next iteration begins. A request whose adapter finds no slot waits, here at
//! the head of its queue. What the adapters' own products cost is not counted.

use std::sync::Arc;

use crate::units::Ticks;

/// What a deployment's adapters did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdapterTotals {
    /// Times that an adapter was copied into a slot.
    pub loads: u64,
    /// How long that held up iterations.
    pub time: Ticks,
}

/// The slots of a replica.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    most: usize,
    /// How long each adapter takes to load, by number.
    loads: Vec<Ticks>,
    held: Vec<Held>,
    uses: u64,
    pub(crate) totals: AdapterTotals,
}

/// An adapter in a slot.
#[derive(Debug, Clone, Copy)]
struct Held {
    adapter: u16,
    users: u32,
    last_use: u64,
}

impl Slots {
    pub(crate) fn new(most: u32, loads: &[Ticks]) -> Self {
        let totals = AdapterTotals::default();
        Self { most: most as usize, loads: loads.to_vec(), held: Vec::new(), uses: 0, totals }
    }

    /// Whether a request with this adapter can join the batch.
    pub(crate) fn has_room(&self, adapter: Option<u16>) -> bool {
        adapter.is_none_or(|adapter| {
            self.held.len() < self.most
                || self.held.iter().any(|held| held.adapter == adapter || held.users == 0)
        })
    }

    /// A request joins. How long its adapter takes to come, if it is not there.
    pub(crate) fn take(&mut self, adapter: Option<u16>) -> Ticks {
        let Some(adapter) = adapter else { return Ticks::ZERO };
        self.uses += 1;
        if let Some(held) = self.held.iter_mut().find(|held| held.adapter == adapter) {
            held.users += 1;
            held.last_use = self.uses;
            return Ticks::ZERO;
        }
        let unused = self.held.iter().enumerate().filter(|(_, held)| held.users == 0);
        let oldest = unused.min_by_key(|(_, held)| held.last_use).map(|(place, _)| place);
        if self.held.len() >= self.most
            && let Some(place) = oldest
        {
            self.held.swap_remove(place);
        }
        self.held.push(Held { adapter, users: 1, last_use: self.uses });
        let load = self.loads.get(usize::from(adapter)).copied().unwrap_or(Ticks::ZERO);
        self.totals.loads += 1;
        self.totals.time += load;
        load
    }

    /// A request leaves; its adapter stays until its slot is needed.
    pub(crate) fn release(&mut self, adapter: Option<u16>) {
        if let Some(held) = self.held.iter_mut().find(|held| Some(held.adapter) == adapter) {
            held.users -= 1;
        }
    }
}

/// The hash of a block under an adapter: what one adapter wrote another cannot read.
pub(crate) fn salted(hash: u64, adapter: u16) -> u64 {
    hash ^ (u64::from(adapter) + 1) << 46
}

/// The hashes of a prompt's blocks as the caches know them.
pub(crate) fn under(hashes: Arc<[u64]>, adapter: Option<u16>) -> Arc<[u64]> {
    match adapter {
        Some(adapter) => hashes.iter().map(|hash| salted(*hash, adapter)).collect(),
        None => hashes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_unused_longest_goes() {
        let loads = [Ticks(10), Ticks(20), Ticks(30)];
        let mut slots = Slots::new(2, &loads);
        assert_eq!([slots.take(Some(0)), slots.take(Some(1)), slots.take(Some(0))].map(|t| t.0), [10, 20, 0]);
        assert!(slots.has_room(Some(1)) && slots.has_room(None) && !slots.has_room(Some(2)));
        slots.release(Some(0));
        assert!(!slots.has_room(Some(2)), "another request still uses it");
        slots.release(Some(1));
        assert!(slots.has_room(Some(2)));
        assert_eq!(slots.take(Some(2)).0, 30, "in the place of 1");
        slots.release(Some(0));
        assert_eq!(slots.take(Some(1)).0, 20, "in the place of 0");
        assert_eq!((slots.totals.loads, slots.totals.time), (4, Ticks(80)));
    }
}
