//! Which zone the next spot node is asked of.
//!
//! Source: SkyServe's `DynamicFallbackSpotPlacer` (`sky/serve/spot_placer.py` of SkyPilot 0.14.1), the placement
//! of SpotHedge (Mao et al., EuroSys 2025, section 3). Rules and the tests that hold them:
//!
//! | rule | test |
//! |---|---|
//! | active zones that hold nothing first, then the cheapest active one | `spreads_then_cheapest` |
//! | a zone that took a node back, or had none to give, is active no more | `leaves_a_preempted_zone` |
//! | with fewer than two active zones all become active again | `never_fewer_than_two` |

/// Which zones have lately kept what they gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpotHedge {
    active: Vec<bool>,
}

impl SpotHedge {
    /// With all of so many zones active.
    pub fn new(zones: usize) -> Self {
        Self { active: vec![true; zones] }
    }

    /// The zone to ask next, given how many nodes each holds and what one costs there; of equals the first.
    /// `None` without zones.
    pub fn next(&self, held: &[u32], price: &[f64]) -> Option<usize> {
        let cheapest = |wanted: &dyn Fn(usize) -> bool| {
            let open = (0..self.active.len()).filter(|zone| self.active[*zone] && wanted(*zone));
            let cost = |zone: usize| price.get(zone).copied().unwrap_or(0.0);
            open.min_by(|a, b| cost(*a).total_cmp(&cost(*b)))
        };
        let empty = |zone: usize| held.get(zone).is_none_or(|count| *count == 0);
        cheapest(&empty).or_else(|| cheapest(&|_| true))
    }

    /// A zone gave a node that became ready.
    pub fn ready(&mut self, zone: usize) {
        self.active[zone] = true;
    }

    /// A zone took a node back, or had none to give.
    pub fn preempted(&mut self, zone: usize) {
        self.active[zone] = false;
        if self.active.iter().filter(|active| **active).count() < 2 {
            self.active.fill(true);
        }
    }

    /// Whether a zone is active.
    pub fn is_active(&self, zone: usize) -> bool {
        self.active[zone]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_then_cheapest() {
        let hedge = SpotHedge::new(3);
        let price = [3.0, 1.0, 2.0];
        assert_eq!(hedge.next(&[0, 0, 0], &price), Some(1));
        assert_eq!(hedge.next(&[0, 1, 0], &price), Some(2));
        assert_eq!(hedge.next(&[1, 1, 1], &price), Some(1));
        assert_eq!(SpotHedge::new(0).next(&[], &[]), None);
    }

    #[test]
    fn leaves_a_preempted_zone() {
        let mut hedge = SpotHedge::new(3);
        hedge.preempted(1);
        assert_eq!(hedge.next(&[1, 0, 1], &[3.0, 1.0, 2.0]), Some(2));
        hedge.ready(1);
        assert_eq!(hedge.next(&[1, 0, 1], &[3.0, 1.0, 2.0]), Some(1));
    }

    #[test]
    fn never_fewer_than_two() {
        let mut hedge = SpotHedge::new(3);
        hedge.preempted(0);
        hedge.preempted(1);
        assert!((0..3).all(|zone| hedge.is_active(zone)));
    }
}
