//! Where a request's time goes: each of its nanoseconds from arrival to last token has one cause.
//!
//! Why somebody waits is known of a replica (or of a deployment that holds requests), not of each request: a
//! [`WaitClock`] there runs for one cause at a time, and a request takes the difference between two readings. So a
//! change of cause costs the same however many wait.

use crate::units::{Duration, Instant};

/// What a request's time went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeCause {
    /// No replica was ready, or the batch was full while more replicas were on the way.
    Starting,
    /// The batch was full, its token budget used up, or its iteration not over yet.
    BatchSlot,
    /// The KV blocks that it needed were not free.
    KvMemory,
    /// Its prompt was processed, or what a preemption had lost was processed again.
    Prefill,
    /// Its tokens were made.
    Decode,
    /// Its KV cache was on the way from one replica to another.
    Transfer,
    /// A cache of responses answered it.
    ResponseCache,
}

impl TimeCause {
    /// Every cause, in their order.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::BatchSlot,
        Self::KvMemory,
        Self::Prefill,
        Self::Decode,
        Self::Transfer,
        Self::ResponseCache,
    ];
    /// How many of them are waits; these come first.
    pub const WAITS: usize = 3;
}

/// What the time of a request went to so far, by [`TimeCause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeSpent {
    /// From arrival on; adds up to E2E when the last token is there.
    pub in_all: [Duration; TimeCause::ALL.len()],
    /// From arrival to the first iteration that worked on it; adds up to the queue wait.
    pub at_first: [Duration; TimeCause::WAITS],
}

type Waits = [u64; TimeCause::WAITS];

/// How long those who wait have waited for each cause, in nanoseconds since the beginning.
#[derive(Debug, Clone)]
pub(crate) struct WaitClock {
    /// What stands in the way now; nothing where only the iteration has to end.
    blocked: Option<TimeCause>,
    /// Whether replicas are on the way.
    expecting: bool,
    since: Instant,
    spent: Waits,
}

impl WaitClock {
    pub(crate) fn new(now: Instant, expecting: bool) -> Self {
        Self { blocked: None, expecting, since: now, spent: [0; TimeCause::WAITS] }
    }

    fn cause(&self) -> TimeCause {
        match self.blocked {
            Some(_) if self.expecting => TimeCause::Starting,
            blocked => blocked.unwrap_or(TimeCause::BatchSlot),
        }
    }

    /// Brings it up to `now`.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.spent[self.cause() as usize] += now.since(self.since).as_nanos();
        self.since = now;
    }

    /// Up to when it is settled.
    pub(crate) fn now(&self) -> Instant {
        self.since
    }

    /// From now on, up to which it must have been settled, so much stands in the way.
    pub(crate) fn block(&mut self, blocked: Option<TimeCause>) {
        self.blocked = blocked;
    }

    /// From `now` on replicas are on the way, or none are.
    pub(crate) fn expect(&mut self, now: Instant, expecting: bool) {
        self.settle(now);
        self.expecting = expecting;
    }
}

/// The account of one request's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    spent: TimeSpent,
    now_in: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// It waits; what its clock stood at when that began.
    Waits(Waits),
    /// Its time has one cause, since then.
    Has(TimeCause, Instant),
    /// No time passes.
    Nothing,
}

impl Account {
    /// Of a request that arrives.
    pub(crate) fn new() -> Self {
        Self { spent: TimeSpent::default(), now_in: Stage::Nothing }
    }

    /// It begins to wait by `clock`.
    pub(crate) fn wait(&mut self, now: Instant, clock: &mut WaitClock) {
        clock.settle(now);
        self.wait_settled(clock);
    }

    /// The same where the clock stands at this very instant.
    pub(crate) fn wait_settled(&mut self, clock: &WaitClock) {
        self.close(clock.since);
        self.now_in = Stage::Waits(clock.spent);
    }

    /// It waits no more, if it did.
    pub(crate) fn end_wait(&mut self, clock: &WaitClock) {
        let Stage::Waits(begun) = self.now_in else { return };
        for (sum, (now, then)) in self.spent.in_all.iter_mut().zip(clock.spent.iter().zip(begun)) {
            *sum += Duration::from_nanos(now - then);
        }
        self.now_in = Stage::Nothing;
    }

    /// An iteration works on it for the first time.
    pub(crate) fn first_scheduled(&mut self) {
        self.spent.at_first.copy_from_slice(&self.spent.in_all[..TimeCause::WAITS]);
    }

    /// From `now` on its time goes to `cause`; what it went to before ends.
    pub(crate) fn begin(&mut self, now: Instant, cause: TimeCause) {
        self.close(now);
        self.now_in = Stage::Has(cause, now);
    }

    /// What its time goes to ends now.
    pub(crate) fn close(&mut self, now: Instant) {
        if let Stage::Has(cause, since) = self.now_in {
            self.spent.in_all[cause as usize] += now.since(since);
            self.now_in = Stage::Nothing;
        }
    }

    /// One of the outputs of this request has ended: its time is that of the last, its first wait that of the one
    /// which was worked on first.
    pub(crate) fn follow(&mut self, member: &Self, is_first: bool) {
        let at_first = if is_first { member.spent.at_first } else { self.spent.at_first };
        self.spent = TimeSpent { at_first, ..member.spent };
    }

    pub(crate) fn spent(&self) -> TimeSpent {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn every_nanosecond_has_a_cause() {
        let mut clock = WaitClock::new(at(0), false);
        let mut account = Account::new();
        account.wait(at(10), &mut clock);
        clock.settle(at(15));
        clock.block(Some(TimeCause::KvMemory));
        clock.expect(at(18), true);
        clock.expect(at(20), false);
        clock.settle(at(26));
        account.end_wait(&clock);
        account.first_scheduled();
        account.begin(at(26), TimeCause::Prefill);
        account.begin(at(30), TimeCause::Decode);
        account.close(at(41));
        let nanos = account.spent().in_all.map(Duration::as_nanos);
        assert_eq!(nanos, [2, 5, 3 + 6, 4, 11, 0, 0]);
        assert_eq!(nanos.iter().sum::<u64>(), 41 - 10);
        assert_eq!(account.spent().at_first.map(Duration::as_nanos), [2, 5, 9]);
    }
}
