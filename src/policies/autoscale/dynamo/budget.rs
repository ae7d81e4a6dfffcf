//! The planner's GPU budget (`dynamo/planner/core/budget.py`): a band of cards in which prefill and decode
//! engines have to fit. The ceiling is hard; only the floor is relaxed, by the cards of the larger engine.

/// The band, and what an engine of each kind takes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// Fewest cards; below zero none.
    pub least: i64,
    /// Most cards; below zero unlimited.
    pub most: i64,
    /// Fewest engines of each kind.
    pub min: i64,
}

/// Prefill and decode engines, or what one of each costs in cards.
pub(super) type Pair = (i64, i64);

impl Band {
    fn tolerance(self, cards: Pair) -> i64 {
        if self.least >= 0 && self.most >= 0 { cards.0.max(cards.1) } else { 0 }
    }

    fn holds(self, total: i64, tolerance: i64) -> bool {
        (self.most < 0 || total <= self.most) && (self.least < 0 || total >= self.least - tolerance)
    }

    /// Both kinds shrunk (or grown) in proportion until they fit; (0, 0) when even the least does not.
    pub(super) fn clamp_pair(self, wanted: Pair, cards: Pair) -> Pair {
        let total = wanted.0 * cards.0 + wanted.1 * cards.1;
        if self.holds(total, self.tolerance(cards)) {
            return wanted;
        }
        if self.most >= 0 && total > self.most {
            if self.most < self.min * (cards.0 + cards.1) {
                return (0, 0);
            }
            let furthest = (self.most - self.min * cards.1) / cards.0;
            let prefill = self.min.max(furthest.min(wanted.0 * self.most / total));
            return (prefill, self.min.max((self.most - prefill * cards.0) / cards.1));
        }
        let prefill = if total <= 0 {
            (self.least as f64 / 2.0 / cards.0 as f64).ceil() as i64
        } else {
            (wanted.0 * self.least + total - 1) / total
        };
        let prefill = self.min.max(prefill);
        let rest = (self.least - prefill * cards.0).max(0);
        let grown = (prefill, self.min.max((rest + cards.1 - 1) / cards.1));
        if self.most >= 0 && grown.0 * cards.0 + grown.1 * cards.1 > self.most { wanted } else { grown }
    }

    /// One kind of engine, clamped.
    pub(super) fn clamp_one(self, wanted: i64, cards: i64) -> i64 {
        let total = wanted * cards;
        let tolerance = if self.least >= 0 && self.most >= 0 { cards } else { 0 };
        if self.holds(total, tolerance) {
            return wanted;
        }
        let ceiling = || if self.most < self.min * cards { 0 } else { self.min.max(self.most / cards) };
        if self.most >= 0 && total > self.most {
            return ceiling();
        }
        let grown = self.min.max((self.least + cards - 1) / cards);
        if self.most >= 0 && grown * cards > self.most { ceiling() } else { grown }
    }

    /// The nearest pair between now and the wish that fits; opposing moves go both or not at all.
    fn fit(self, now: Pair, wanted: Pair, cards: Pair) -> Pair {
        let tolerance = self.tolerance(cards);
        let total = |pair: Pair| pair.0 * cards.0 + pair.1 * cards.1;
        let opposing = (wanted.0 - now.0) * (wanted.1 - now.1) < 0;
        let asked = ((wanted.0 - now.0).abs(), (wanted.1 - now.1).abs());
        let mut best: Option<([i64; 5], Pair)> = None;
        for prefill in now.0.min(wanted.0).max(self.min)..=now.0.max(wanted.0) {
            for decode in now.1.min(wanted.1).max(self.min)..=now.1.max(wanted.1) {
                let moved = ((prefill - now.0).abs(), (decode - now.1).abs());
                let half = opposing && ((moved.0 == 0) != (moved.1 == 0));
                if half || !self.holds(total((prefill, decode)), tolerance) {
                    continue;
                }
                let distance = (wanted.0 - prefill).abs() + (wanted.1 - decode).abs();
                let skew = (moved.0 * asked.1 - moved.1 * asked.0).abs();
                let score = [distance, skew, -(moved.0 + moved.1), prefill, decode];
                if best.as_ref().is_none_or(|(least, _)| score < *least) {
                    best = Some((score, (prefill, decode)));
                }
            }
        }
        best.map_or(now, |(_, pair)| pair)
    }

    /// A wish for both kinds within the band, without turning a direction round; and what held it.
    pub(super) fn guard_pair(self, now: Pair, wanted: Pair, cards: Pair) -> (Pair, Option<&'static str>) {
        const HOLD: Option<&str> = Some("gpu_budget_guard_hold");
        let tolerance = if self.most >= 0 { cards.0.max(cards.1) } else { 0 };
        let total = |pair: Pair| pair.0 * cards.0 + pair.1 * cards.1;
        if !self.holds(total(now), tolerance) {
            return (self.clamp_pair(now, cards), Some("gpu_budget_reconcile"));
        }
        let down = wanted.0 < now.0 || wanted.1 < now.1;
        let up = wanted.0 > now.0 || wanted.1 > now.1;
        let opposing = (wanted.0 - now.0) * (wanted.1 - now.1) < 0;
        let at_floor = total(now) <= self.least;
        let at_ceiling = self.most >= 0 && total(now) >= self.most;
        if at_floor && down && !up || at_ceiling && up && !opposing {
            return (now, HOLD);
        }
        if opposing && (at_floor || at_ceiling) {
            let fitted = self.fit(now, wanted, cards);
            return (fitted, if fitted == now { HOLD } else { None });
        }
        let clamped = self.clamp_pair(wanted, cards);
        let between = |now: i64, wanted: i64, to: i64| (now.min(wanted)..=now.max(wanted)).contains(&to);
        let kept = between(now.0, wanted.0, clamped.0) && between(now.1, wanted.1, clamped.1);
        if !kept || !self.holds(total(clamped), tolerance) {
            return (now, HOLD);
        }
        (clamped, (clamped != wanted).then_some("max_gpu_budget"))
    }

    /// The same for one kind.
    pub(super) fn guard_one(self, now: i64, wanted: i64, cards: i64) -> (i64, Option<&'static str>) {
        const HOLD: Option<&str> = Some("gpu_budget_guard_hold");
        let tolerance = if self.least >= 0 && self.most >= 0 { cards } else { 0 };
        let total = now * cards;
        if !self.holds(total, tolerance) {
            return (self.clamp_one(now, cards), Some("gpu_budget_reconcile"));
        }
        let at_floor = self.least >= 0 && total <= self.least && wanted < now;
        if at_floor || self.most >= 0 && total >= self.most && wanted > now {
            return (now, HOLD);
        }
        let to = self.clamp_one(wanted, cards);
        if !(now.min(wanted)..=now.max(wanted)).contains(&to) {
            return (now, HOLD);
        }
        (to, (to != wanted).then_some("max_gpu_budget"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn band(least: i64, most: i64) -> Band {
        Band { least, most, min: 1 }
    }

    #[test]
    fn shrinks_in_proportion() {
        // 12 cards on 6: a half of 4 prefill engines, decode has the rest.
        assert_eq!(band(-1, 6).clamp_pair((4, 8), (1, 1)), (2, 4));
        // Engines of two and four cards on 16: 40 wanted, 0.4 of 4 is one; 14 left are three.
        assert_eq!(band(-1, 16).clamp_pair((4, 8), (2, 4)), (1, 3));
        // Not even one of each fits.
        assert_eq!(band(-1, 5).clamp_pair((4, 8), (2, 4)), (0, 0));
        assert_eq!(band(-1, 7).clamp_one(9, 2), 3);
        // Grown to the floor: 5 of cards of two relaxes by two; below 3 it grows, and the ceiling holds.
        assert_eq!([band(5, 5).clamp_one(2, 2), band(5, 5).clamp_one(1, 2)], [2, 2]);
        assert_eq!(band(8, -1).clamp_pair((1, 1), (1, 1)), (4, 4));
    }

    #[test]
    fn keeps_directions() {
        // At the ceiling nobody gives up an engine for another's wish to grow.
        assert_eq!(band(-1, 8).guard_pair((4, 4), (4, 6), (1, 1)), ((4, 4), Some("gpu_budget_guard_hold")));
        // An explicit swap does.
        assert_eq!(band(-1, 8).guard_pair((4, 4), (3, 5), (1, 1)), ((3, 5), None));
        // With engines of 1 and 2 cards a swap of one for one does not fit at the ceiling: both stay.
        assert_eq!(band(-1, 12).guard_pair((4, 4), (3, 5), (1, 2)), ((4, 4), Some("gpu_budget_guard_hold")));
        // Two or more for one do: what is nearest to the wish.
        assert_eq!(band(-1, 12).guard_pair((4, 4), (1, 6), (1, 2)), ((1, 5), None));
        // At the floor nothing goes.
        assert_eq!(band(8, 16).guard_pair((4, 4), (3, 4), (1, 1)), ((4, 4), Some("gpu_budget_guard_hold")));
        // Outside the band: brought back from what is, whatever was wished.
        assert_eq!(band(-1, 8).guard_pair((6, 6), (7, 7), (1, 1)), ((4, 4), Some("gpu_budget_reconcile")));
        assert_eq!(band(-1, 8).guard_one(4, 9, 2), (4, Some("gpu_budget_guard_hold")));
        assert_eq!(band(-1, 8).guard_one(3, 9, 2), (4, Some("max_gpu_budget")));
    }
}
