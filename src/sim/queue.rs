//! The event queue: a monotone radix queue on integer time, with an explicit order among ties.
//!
//! Pending events lie in 65 buckets by the leading bit in which their time differs from the last time
//! popped. Bucket 0 holds the events of that very instant, ordered by rank. An event moves to a lower
//! bucket at most 64 times, in practice two or three, so a push and pop cost the same for a thousand
//! pending events and for a million.

use crate::units::Instant;

/// The order among events of the same instant: by class, then entity, packed into one integer. It must
/// never depend on the order in which events were scheduled.
pub trait Ranked {
    /// Lower ranks are handled first. Two pending events of one instant should not share a rank unless
    /// handling them in either order gives the same result.
    fn rank(&self) -> u64;
}

/// A priority queue of events that never goes back in time.
#[derive(Debug)]
pub struct EventQueue<E> {
    buckets: Vec<Vec<(u64, E)>>,
    occupied: u64,
    /// Events of the instant `last`, in descending rank, so that the next is popped from the end.
    current: Vec<(u64, E)>,
    last: u64,
    len: usize,
}

impl<E: Ranked> EventQueue<E> {
    /// An empty queue at time zero.
    pub fn new() -> Self {
        Self {
            buckets: (0..64).map(|_| Vec::new()).collect(),
            occupied: 0,
            current: Vec::new(),
            last: 0,
            len: 0,
        }
    }

    /// How many events are pending.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when no event is pending.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Schedules `event` at `at`.
    ///
    /// # Panics
    /// When `at` lies before the time of the last event popped: time never goes back.
    pub fn push(&mut self, at: Instant, event: E) {
        let at = at.as_nanos();
        assert!(at >= self.last, "an event at {at} ns was scheduled into the past of {} ns", self.last);
        self.len += 1;
        if at == self.last {
            let rank = event.rank();
            let place = self.current.partition_point(|(other, _)| *other > rank);
            self.current.insert(place, (rank, event));
        } else {
            let bucket = 63 - (at ^ self.last).leading_zeros() as usize;
            self.buckets[bucket].push((at, event));
            self.occupied |= 1 << bucket;
        }
    }

    /// The next event by (time, rank), or `None` when nothing is pending.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        if self.current.is_empty() {
            if let Some(alone) = self.pop_alone() {
                return Some(alone);
            }
            self.refill()?;
        }
        let (_, event) = self.current.pop()?;
        self.len -= 1;
        Some((Instant::from_nanos(self.last), event))
    }

    /// The next event when it is alone in its bucket, as most are: nothing needs to be moved or ordered.
    fn pop_alone(&mut self) -> Option<(Instant, E)> {
        let lowest = self.occupied.trailing_zeros() as usize;
        let bucket = self.buckets.get_mut(lowest).filter(|bucket| bucket.len() == 1)?;
        let (at, event) = bucket.pop()?;
        self.occupied &= !(1 << lowest);
        self.last = at;
        self.len -= 1;
        Some((Instant::from_nanos(at), event))
    }

    /// Moves the events of the next instant into `current` and spreads the rest of their bucket.
    fn refill(&mut self) -> Option<()> {
        if self.occupied == 0 {
            return None;
        }
        let lowest = self.occupied.trailing_zeros() as usize;
        self.occupied &= !(1 << lowest);
        let mut bucket = std::mem::take(&mut self.buckets[lowest]);
        self.last = bucket.iter().map(|(at, _)| *at).min()?;
        for (at, event) in bucket.drain(..) {
            if at == self.last {
                self.current.push((event.rank(), event));
            } else {
                let lower = 63 - (at ^ self.last).leading_zeros() as usize;
                self.buckets[lower].push((at, event));
                self.occupied |= 1 << lower;
            }
        }
        // Hand the allocation back: the steady state allocates nothing.
        self.buckets[lowest] = bucket;
        if self.current.len() > 1 {
            self.current.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        }
        Some(())
    }
}

impl<E: Ranked> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Numbered(u64);

    impl Ranked for Numbered {
        fn rank(&self) -> u64 {
            self.0
        }
    }

    proptest! {
        /// Whatever the order of scheduling, events come out by (time, rank).
        #[test]
        fn pops_by_time_then_rank(mut events in prop::collection::vec((0u64..50, 0u64..1000), 1..200)) {
            let mut queue = EventQueue::new();
            for (at, rank) in &events {
                queue.push(Instant::from_nanos(*at), Numbered(*rank));
            }
            events.sort_unstable();
            let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(at, e)| (at.as_nanos(), e.0)).collect();
            prop_assert_eq!(popped, events);
        }

        /// The hold model against a sorted list: pop one, push one later, ties included.
        #[test]
        fn holds_like_a_sorted_list(steps in prop::collection::vec((0u64..1u64 << 40, 0u64..8), 1..300)) {
            let mut queue = EventQueue::new();
            let mut list: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (index, (delay, rank)) in steps.iter().enumerate() {
                let delay = if index % 3 == 0 { 0 } else { *delay };
                queue.push(Instant::from_nanos(now + delay), Numbered(*rank));
                list.push((now + delay, *rank));
                list.sort_unstable();
                if index % 2 == 1 {
                    let expected = list.remove(0);
                    let (at, event) = queue.pop().expect("one was just pushed");
                    prop_assert_eq!((at.as_nanos(), event.0), expected);
                    now = expected.0;
                }
            }
            prop_assert_eq!(queue.len(), list.len());
        }
    }

    #[test]
    #[should_panic(expected = "into the past")]
    fn never_goes_back() {
        let mut queue = EventQueue::new();
        queue.push(Instant::from_nanos(5), Numbered(0));
        queue.pop();
        queue.push(Instant::from_nanos(4), Numbered(0));
    }
}
