//! Card-time by state, as exact integrals.

use crate::units::Instant;

/// Card-nanoseconds spent in each state since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardTime {
    /// Cards paid for: on nodes that start, are ready, drain, or are down and paid all the same.
    pub provisioned: u128,
    /// Cards leased, computing or not.
    pub leased: u128,
    /// Cards computing.
    pub busy: u128,
    /// Cards on nodes that start, and cards whose holder loads its weights.
    pub starting: u128,
    /// Cards that do not compute, on nodes or under holders that are on their way out.
    pub draining: u128,
    /// Cards that nobody leases, on nodes that are ready or down.
    pub free: u128,
}

/// How many cards of a pool are in each state, and the integrals. A card that is provisioned is either busy,
/// starting, draining or free, or else leased and idle: what remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolUsage {
    /// Cards paid for now.
    pub provisioned: u32,
    /// Cards leased now.
    pub leased: u32,
    /// Cards computing now.
    pub busy: u32,
    /// Cards on nodes that start, or whose holder loads its weights, now.
    pub starting: u32,
    /// Cards that do not compute, on nodes or under holders that are on their way out, now.
    pub draining: u32,
    /// Cards that can be claimed now.
    pub free: u32,
    /// Cards on nodes that are down and paid for now.
    pub down: u32,
    time: CardTime,
    since: Instant,
}

impl PoolUsage {
    /// Cards provisioned at the beginning of the run, all free.
    pub fn new(provisioned: u32) -> Self {
        Self { provisioned, free: provisioned, ..Self::default() }
    }

    /// Brings the integrals up to `now`.
    pub fn settle(&mut self, now: Instant) -> CardTime {
        let nanos = u128::from(now.since(self.since).as_nanos());
        self.time.provisioned += u128::from(self.provisioned) * nanos;
        self.time.leased += u128::from(self.leased) * nanos;
        self.time.busy += u128::from(self.busy) * nanos;
        self.time.starting += u128::from(self.starting) * nanos;
        self.time.draining += u128::from(self.draining) * nanos;
        self.time.free += u128::from(self.free + self.down) * nanos;
        self.since = now;
        self.time
    }
}

impl CardTime {
    /// True when the states are parts of what is provisioned, as they must be: busy ≤ leased ≤ provisioned,
    /// and busy, starting, draining and free together leave something or nothing for idle.
    pub fn is_ordered(&self) -> bool {
        self.busy <= self.leased
            && self.leased <= self.provisioned
            && self.busy + self.starting + self.draining + self.free <= self.provisioned
    }

    /// Cards leased that neither compute nor start nor drain.
    pub fn idle(&self) -> u128 {
        self.provisioned - self.busy - self.starting - self.draining - self.free
    }
}
