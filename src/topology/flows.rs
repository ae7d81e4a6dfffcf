//! Bulk transfers over shared links: max-min fair rates, and when each transfer is through.
//!
//! Rates are those of progressive filling (Bertsekas and Gallager, Data Networks, 1992, section 6.5.2): the link that
//! gives its transfers the least is filled first, its transfers are fixed at that, and so on with what is left. They
//! hold until a transfer begins or ends. Everything is done in the order in which transfers began, so that the same
//! transfers give the same times.

use crate::units::{BytesPerSecond, Duration, Instant};

/// A link, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(u32);

/// A transfer under way.
#[derive(Debug, Clone)]
struct Flow<T> {
    what: T,
    /// At most two links: out of one place and into another.
    links: Vec<LinkId>,
    left: f64,
    rate: f64,
    through_at: Instant,
}

/// The links and the transfers on them. `T` is what a transfer is of.
#[derive(Debug)]
pub struct Flows<T> {
    capacities: Vec<f64>,
    flows: Vec<Flow<T>>,
    updated: Instant,
    /// Scratch for the rates: what each link has left, and how many transfers wait for a share of it.
    left: Vec<f64>,
    waiting: Vec<u32>,
}

impl<T> Default for Flows<T> {
    fn default() -> Self {
        let (left, waiting) = (Vec::new(), Vec::new());
        Self { capacities: Vec::new(), flows: Vec::new(), updated: Instant::ZERO, left, waiting }
    }
}

impl<T> Flows<T> {
    /// Adds a link that carries so much in its direction; infinite takes no time.
    pub fn add_link(&mut self, capacity: BytesPerSecond) -> LinkId {
        self.capacities.push(capacity.as_f64());
        self.left.push(0.0);
        self.waiting.push(0);
        LinkId(self.capacities.len() as u32 - 1)
    }

    /// Begins a transfer of so many bytes over these links, each named once.
    pub fn begin(&mut self, now: Instant, what: T, bytes: u64, links: Vec<LinkId>) {
        self.progress(now);
        let flow = Flow { what, links, left: bytes as f64, rate: 0.0, through_at: now };
        self.flows.push(flow);
        self.share(now);
    }

    /// The transfers that are through by `now`, in the order of their beginning.
    pub fn through(&mut self, now: Instant) -> Vec<T> {
        if self.flows.iter().all(|flow| flow.through_at > now) {
            return Vec::new();
        }
        self.progress(now);
        let (done, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flows).into_iter().partition(|flow| flow.through_at <= now);
        self.flows = rest;
        self.share(now);
        done.into_iter().map(|flow| flow.what).collect()
    }

    /// Breaks off the transfers that `ends` names, in the order of their beginning.
    pub fn break_off(&mut self, now: Instant, ends: impl Fn(&T) -> bool) -> Vec<T> {
        if !self.flows.iter().any(|flow| ends(&flow.what)) {
            return Vec::new();
        }
        self.progress(now);
        let (broken, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.flows).into_iter().partition(|flow| ends(&flow.what));
        self.flows = rest;
        self.share(now);
        broken.into_iter().map(|flow| flow.what).collect()
    }

    /// When the next transfer is through, if none begins before.
    pub fn next(&self) -> Option<Instant> {
        self.flows.iter().map(|flow| flow.through_at).min()
    }

    /// What is being transferred, in the order of beginning.
    pub fn under_way(&self) -> impl Iterator<Item = &T> {
        self.flows.iter().map(|flow| &flow.what)
    }

    /// Moves every transfer on to `now` at the rates that held until then.
    fn progress(&mut self, now: Instant) {
        let seconds = now.since(self.updated).as_secs_f64();
        self.updated = now;
        if seconds > 0.0 {
            for flow in &mut self.flows {
                flow.left = (flow.left - flow.rate * seconds).max(0.0);
            }
        }
    }

    /// Shares the links anew.
    fn share(&mut self, now: Instant) {
        for flow in &self.flows {
            for link in &flow.links {
                self.left[link.0 as usize] = self.capacities[link.0 as usize];
                self.waiting[link.0 as usize] = 0;
            }
        }
        for flow in &mut self.flows {
            flow.rate = f64::NAN;
            for link in &flow.links {
                self.waiting[link.0 as usize] += 1;
            }
        }
        let mut unshared = self.flows.len();
        while unshared > 0 {
            let waiting = self.flows.iter().filter(|flow| flow.rate.is_nan()).flat_map(|flow| &flow.links);
            let share = |link: LinkId| self.left[link.0 as usize] / f64::from(self.waiting[link.0 as usize]);
            let tightest = waiting.copied().min_by(|a, b| share(*a).total_cmp(&share(*b)).then(a.cmp(b)));
            let rate = tightest.map_or(f64::INFINITY, |link| share(link).max(0.0));
            for flow in &mut self.flows {
                let here = tightest.is_none_or(|tightest| flow.links.contains(&tightest));
                if !flow.rate.is_nan() || !here {
                    continue;
                }
                flow.rate = rate;
                unshared -= 1;
                for link in &flow.links {
                    let left = &mut self.left[link.0 as usize];
                    if left.is_finite() {
                        *left = (*left - rate).max(0.0);
                    }
                    self.waiting[link.0 as usize] -= 1;
                }
            }
        }
        for flow in &mut self.flows {
            let nanos = (flow.left / flow.rate * 1e9).ceil();
            let nanos = if flow.left > 0.0 && nanos.is_finite() { nanos as u64 } else { 0 };
            flow.through_at = now.saturating_add(Duration::from_nanos(nanos));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(seconds)
    }

    fn gb_s(flows: &mut Flows<u32>, gb_s: f64) -> LinkId {
        flows.add_link(BytesPerSecond::from_gb_s(gb_s))
    }

    /// Two into one of 10 GB/s, one of them out of a link of 2 GB/s: 2 and 8 GB/s.
    #[test]
    fn what_one_cannot_use_the_other_gets() {
        let mut flows = Flows::default();
        let (slow, fast, into) = (gb_s(&mut flows, 2.0), gb_s(&mut flows, 20.0), gb_s(&mut flows, 10.0));
        flows.begin(at(0.0), 1, 4_000_000_000, vec![slow, into]);
        flows.begin(at(0.0), 2, 4_000_000_000, vec![fast, into]);
        assert_eq!(flows.next(), Some(at(0.5)));
        assert_eq!(flows.through(at(0.5)), [2]);
        assert_eq!(flows.next(), Some(at(2.0)));
        assert_eq!(flows.through(at(1.0)), [0u32; 0]);
        assert_eq!(flows.through(at(2.0)), [1]);
        assert_eq!(flows.next(), None);
    }

    /// An infinite link takes no time, and leaves the others theirs.
    #[test]
    fn infinite_links() {
        let mut flows = Flows::default();
        let endless = flows.add_link(BytesPerSecond(f64::INFINITY));
        let one = gb_s(&mut flows, 1.0);
        flows.begin(at(1.0), 1, 1 << 40, vec![endless]);
        flows.begin(at(1.0), 2, 1_000_000_000, vec![endless, one]);
        assert_eq!(flows.through(at(1.0)), [1]);
        assert_eq!(flows.next(), Some(at(2.0)));
    }

    proptest! {
        /// Links are never overfilled, and every transfer is held back by a full link on which nobody is faster:
        /// the definition of max-min fairness.
        #[test]
        fn rates_are_max_min_fair(
            capacities in prop::collection::vec(1u32..100, 4..8),
            pairs in prop::collection::vec((0usize..4, 0usize..4), 1..12),
        ) {
            let mut flows = Flows::default();
            let links: Vec<LinkId> = capacities.iter().map(|c| gb_s(&mut flows, f64::from(*c))).collect();
            for (number, (from, to)) in (0u32..).zip(&pairs) {
                let mut used = vec![links[*from]];
                if from != to {
                    used.push(links[*to]);
                }
                flows.begin(at(0.0), number, 1 << 30, used);
            }
            let load = |link: LinkId| -> f64 {
                flows.flows.iter().filter(|flow| flow.links.contains(&link)).map(|flow| flow.rate).sum()
            };
            let full = |link: LinkId| load(link) > flows.capacities[link.0 as usize] * (1.0 - 1e-9);
            for link in &links {
                prop_assert!(load(*link) <= flows.capacities[link.0 as usize] * (1.0 + 1e-9));
            }
            for flow in &flows.flows {
                let held = flow.links.iter().any(|link| {
                    let fastest = flows.flows.iter().filter(|other| other.links.contains(link));
                    full(*link) && fastest.map(|other| other.rate).fold(0.0, f64::max) <= flow.rate * (1.0 + 1e-9)
                });
                prop_assert!(held, "{flow:?}");
            }
        }
    }
}
