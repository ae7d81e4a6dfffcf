//! Virtual token counters: fair shares among tenants (Sheng et al., "Fairness in Serving Large Language
//! Models", OSDI 2024, arXiv 2401.00588, algorithm 2, and section 4.3 on weights).
//!
//! Each tenant has a counter of what it was served: a prompt token counts 1 when its request is admitted, an
//! output token 2 when it is made, both divided by the tenant's weight. The tenant with the smallest counter
//! among those that wait goes first (of several, the one named first in the scenario); within a tenant, the
//! order of arrival. A tenant that comes back after it had nothing waiting is lifted to the smallest counter
//! of those that wait, or else to that of the tenant that was last to leave the queue, so that nobody saves
//! up service while idle.

/// What a prompt token and an output token count (section 5.1 of the paper).
const PROMPT: u64 = 1;
const OUTPUT: u64 = 2;

/// Counters are in this part of a token, so that dividing by a weight loses nothing that matters.
const SCALE: f64 = (1u64 << 20) as f64;

/// The weights of the tenants.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TenantWeights(Vec<u64>);

impl TenantWeights {
    /// From weights above 0, by tenant. They are kept as what one token costs, to a millionth.
    pub fn new(weights: &[f64]) -> Self {
        Self(weights.iter().map(|weight| ((SCALE / weight).round() as u64).max(1)).collect())
    }

    /// How many tenants there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no tenant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The counters of one replica.
#[derive(Debug, Clone)]
pub struct TokenCounters {
    cost: Vec<u64>,
    served: Vec<u128>,
    /// Requests that wait, by tenant.
    waiting: Vec<u32>,
    last_to_leave: usize,
}

impl TokenCounters {
    /// Counters at zero.
    pub fn new(weights: &TenantWeights) -> Self {
        let cost = if weights.is_empty() { vec![SCALE as u64] } else { weights.0.clone() };
        Self { served: vec![0; cost.len()], waiting: vec![0; cost.len()], cost, last_to_leave: 0 }
    }

    /// A request of a tenant begins to wait.
    pub fn arrives(&mut self, tenant: usize) {
        if self.waiting[tenant] == 0 {
            let others = (0..self.served.len()).filter(|other| self.waiting[*other] > 0);
            let least = others.map(|other| self.served[other]).min();
            let floor = least.unwrap_or(self.served[self.last_to_leave]);
            self.served[tenant] = self.served[tenant].max(floor);
        }
        self.waiting[tenant] += 1;
    }

    /// A request of a tenant waits no more: it was admitted, or its client has gone.
    pub fn leaves(&mut self, tenant: usize) {
        self.waiting[tenant] -= 1;
        if self.waiting[tenant] == 0 {
            self.last_to_leave = tenant;
        }
    }

    /// Tokens of a prompt that was admitted.
    pub fn prompt(&mut self, tenant: usize, tokens: u64) {
        self.served[tenant] += u128::from(self.cost[tenant]) * u128::from(tokens * PROMPT);
    }

    /// Tokens of output that were made.
    pub fn output(&mut self, tenant: usize, tokens: u64) {
        self.served[tenant] += u128::from(self.cost[tenant]) * u128::from(tokens * OUTPUT);
    }

    /// The tenant whose turn it is among those that wait.
    pub fn next(&self) -> Option<usize> {
        let waiting = (0..self.served.len()).filter(|tenant| self.waiting[*tenant] > 0);
        waiting.min_by_key(|tenant| (self.served[*tenant], *tenant))
    }

    /// How many tenants wait.
    pub fn tenants_waiting(&self) -> usize {
        self.waiting.iter().filter(|waiting| **waiting > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// While all wait without end, what each is served over its weight stays within one request of the
        /// others, whatever the weights and the lengths (theorem 4.4 of the paper).
        #[test]
        fn shares_follow_weights(
            weights in prop::collection::vec(0.1f64..10.0, 2..6),
            lengths in prop::collection::vec((1u64..500, 1u64..500), 1..40),
        ) {
            let mut counters = TokenCounters::new(&TenantWeights::new(&weights));
            (0..weights.len()).for_each(|tenant| counters.arrives(tenant));
            let mut served = vec![0.0; weights.len()];
            let longest = lengths.iter().map(|(prompt, output)| prompt + 2 * output).max().unwrap_or(0) as f64;
            for (prompt, output) in lengths.iter().cycle().take(2_000) {
                let tenant = counters.next().expect("everybody waits");
                counters.arrives(tenant);
                counters.leaves(tenant);
                counters.prompt(tenant, *prompt);
                counters.output(tenant, *output);
                served[tenant] += (prompt + 2 * output) as f64 / weights[tenant];
            }
            let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
            let spread = |fold: fn(f64, f64) -> f64, from| served.iter().copied().fold(from, fold);
            let gap = spread(f64::max, 0.0) - spread(f64::min, f64::INFINITY);
            prop_assert!(gap <= longest / least * 1.01, "{served:?} with weights {weights:?}");
        }
    }

    /// Who was idle does not come back with a claim on the past.
    #[test]
    fn idle_tenants_do_not_save_up() {
        let mut counters = TokenCounters::new(&TenantWeights::new(&[1.0, 1.0]));
        counters.arrives(0);
        counters.prompt(0, 1000);
        counters.arrives(1);
        assert_eq!(counters.next(), Some(0), "lifted to the other's counter, so the first named goes first");
        counters.prompt(0, 1);
        assert_eq!(counters.next(), Some(1));
        assert_eq!(counters.tenants_waiting(), 2);
        counters.leaves(0);
        counters.leaves(1);
        assert_eq!(counters.next(), None);
        // Back to an empty queue: level with the tenant that was last to leave it.
        counters.prompt(1, 5000);
        counters.arrives(0);
        counters.arrives(1);
        assert_eq!(counters.next(), Some(0));
    }
}
