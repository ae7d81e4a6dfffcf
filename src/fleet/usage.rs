//! Card-time by state, as exact integrals.

use crate::units::Instant;

/// Card-nanoseconds spent in each state since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CardTime {
    /// Cards provisioned.
    pub provisioned: u128,
    /// Cards leased, computing or not.
    pub leased: u128,
    /// Cards computing.
    pub busy: u128,
}

/// How many cards of a pool are in each state, and the integrals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolUsage {
    /// Cards provisioned now.
    pub provisioned: u32,
    /// Cards leased now.
    pub leased: u32,
    /// Cards computing now.
    pub busy: u32,
    time: CardTime,
    since: Instant,
}

impl PoolUsage {
    /// Cards provisioned at the beginning of the run, all free.
    pub fn new(provisioned: u32) -> Self {
        Self { provisioned, ..Self::default() }
    }

    /// Brings the integrals up to `now`.
    pub fn settle(&mut self, now: Instant) -> CardTime {
        let nanos = u128::from(now.since(self.since).as_nanos());
        self.time.provisioned += u128::from(self.provisioned) * nanos;
        self.time.leased += u128::from(self.leased) * nanos;
        self.time.busy += u128::from(self.busy) * nanos;
        self.since = now;
        self.time
    }
}

impl CardTime {
    /// True when busy ≤ leased ≤ provisioned, as it must be.
    pub fn is_ordered(&self) -> bool {
        self.busy <= self.leased && self.leased <= self.provisioned
    }
}
