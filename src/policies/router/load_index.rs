//! An index over replicas by load: the least loaded, and the n-th present, in logarithmic time.

/// A tournament tree over places 0, 1, 2, ...: each place has a load or is absent. Finding the least
/// loaded and the n-th present take O(log n); so do changes.
#[derive(Debug, Clone, Default)]
pub struct LoadIndex {
    /// A complete binary tree in an array: node `i` has children `2i` and `2i+1`; leaves start at `width`.
    /// Each node holds the least load below it (`u64::MAX` for absent) and how many are present.
    nodes: Vec<(u64, u32)>,
    width: usize,
}

const ABSENT: u64 = u64::MAX;

impl LoadIndex {
    /// An empty index.
    pub fn new() -> Self {
        Self { nodes: vec![(ABSENT, 0); 2], width: 1 }
    }

    /// Sets the load of `place`, or takes it out with `None`.
    pub fn set(&mut self, place: usize, load: Option<u64>) {
        while place >= self.width {
            self.widen();
        }
        let mut node = self.width + place;
        self.nodes[node] = load.map_or((ABSENT, 0), |load| (load.min(ABSENT - 1), 1));
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            self.nodes[node] = (left.0.min(right.0), left.1 + right.1);
        }
    }

    /// The load of `place`, or `None` when it is absent.
    pub fn load(&self, place: usize) -> Option<u64> {
        let (load, present) = *self.nodes.get(self.width + place)?;
        (present == 1).then_some(load)
    }

    /// How many places are present.
    pub fn present(&self) -> usize {
        self.nodes[1].1 as usize
    }

    /// The least loaded place; of several, the lowest.
    pub fn least(&self) -> Option<usize> {
        let least = self.nodes[1].0;
        if least == ABSENT {
            return None;
        }
        let mut node = 1;
        while node < self.width {
            node = if self.nodes[2 * node].0 == least { 2 * node } else { 2 * node + 1 };
        }
        Some(node - self.width)
    }

    /// The `n`-th place that is present, from 0.
    pub fn nth_present(&self, n: usize) -> Option<usize> {
        let mut left_to_skip = u32::try_from(n).ok()?;
        if left_to_skip >= self.nodes[1].1 {
            return None;
        }
        let mut node = 1;
        while node < self.width {
            let left = self.nodes[2 * node].1;
            if left_to_skip < left {
                node *= 2;
            } else {
                left_to_skip -= left;
                node = 2 * node + 1;
            }
        }
        Some(node - self.width)
    }

    fn widen(&mut self) {
        let leaves: Vec<(u64, u32)> = self.nodes[self.width..].to_vec();
        self.width *= 2;
        self.nodes = vec![(ABSENT, 0); 2 * self.width];
        self.nodes[self.width..self.width + leaves.len()].copy_from_slice(&leaves);
        for node in (1..self.width).rev() {
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            self.nodes[node] = (left.0.min(right.0), left.1 + right.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The tree answers as a scan over a plain list does.
        #[test]
        fn answers_like_a_scan(changes in prop::collection::vec((0usize..40, prop::option::of(0u64..9)), 1..200)) {
            let mut index = LoadIndex::new();
            let mut plain: Vec<Option<u64>> = vec![None; 40];
            for (place, load) in changes {
                index.set(place, load);
                plain[place] = load;
                let present: Vec<usize> = (0..40).filter(|place| plain[*place].is_some()).collect();
                let least = present.iter().copied().min_by_key(|place| (plain[*place], *place));
                prop_assert_eq!(index.least(), least);
                prop_assert_eq!(index.present(), present.len());
                for (n, place) in present.iter().enumerate() {
                    prop_assert_eq!(index.nth_present(n), Some(*place));
                }
                prop_assert_eq!(index.nth_present(present.len()), None);
                prop_assert_eq!(index.load(place), load);
            }
        }
    }
}
