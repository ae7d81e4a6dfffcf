//! What each job waits for, from its submission to its first start: a split that adds up to the wait exactly.
//!
//! Most jobs of a queue wait for the same thing at a time. So a group of them shares a clock which runs for one
//! cause after the other, and a job takes the difference between two readings, by arithmetic modulo 2^64: a change
//! of the cause costs the same however many wait. Whoever's turn has come has a cause of its own.

use std::ops::Index;

use crate::fleet::PendingReason;
use crate::policies::queue_order::Blame;
use crate::units::{Duration, Instant};

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitCause {
    /// Fewer cards are free than it wants.
    Cards,
    /// Enough are free, but not where or as they must lie.
    Fragmented,
    /// Enough are free, but not the CPUs or memory beside them.
    Host,
    /// Its queue may use no more cards.
    Quota,
    /// Cards are free that are reserved for jobs before it.
    Backfill,
    /// Cards are free that the calendar holds for others.
    Calendar,
    /// Cards are given out at the next round.
    Round,
    /// Others go before it.
    Priority,
    /// Jobs that must end before it.
    Dependency,
}

/// How many causes there are.
const COUNT: usize = 9;

impl WaitCause {
    /// All, in the order in which tables tell them.
    pub const ALL: [Self; COUNT] = [
        Self::Cards,
        Self::Fragmented,
        Self::Host,
        Self::Quota,
        Self::Backfill,
        Self::Calendar,
        Self::Round,
        Self::Priority,
        Self::Dependency,
    ];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cards => "not enough cards",
            Self::Fragmented => "fragmented",
            Self::Host => "host",
            Self::Quota => "quota",
            Self::Backfill => "backfill reservation",
            Self::Calendar => "calendar reservation",
            Self::Round => "round",
            Self::Priority => "priority",
            Self::Dependency => "dependency",
        }
    }
}

impl From<PendingReason> for WaitCause {
    fn from(reason: PendingReason) -> Self {
        match reason {
            PendingReason::TooFewFree { .. } => Self::Cards,
            PendingReason::Fragmented { .. } | PendingReason::Share { .. } => Self::Fragmented,
            PendingReason::Host { .. } => Self::Host,
            PendingReason::Reserved => Self::Backfill,
            PendingReason::Held { .. } => Self::Calendar,
        }
    }
}

/// A wait by its causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitTimes([u64; COUNT]);

impl WaitTimes {
    /// All causes with their times, those of no time too.
    pub fn iter(&self) -> impl Iterator<Item = (WaitCause, Duration)> {
        WaitCause::ALL.into_iter().zip(self.0.map(Duration::from_nanos))
    }

    /// The whole wait.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.0.iter().sum())
    }

    fn change(&mut self, by: &Self, change: fn(u64, u64) -> u64) {
        for (own, other) in self.0.iter_mut().zip(by.0) {
            *own = change(*own, other);
        }
    }
}

impl Index<WaitCause> for WaitTimes {
    type Output = u64;

    /// Nanoseconds of one cause.
    fn index(&self, cause: WaitCause) -> &u64 {
        &self.0[cause as usize]
    }
}

/// A clock that runs for one cause at a time.
#[derive(Debug, Clone, Copy)]
struct Clock {
    cause: WaitCause,
    /// What the group's last refusal was for.
    refused: WaitCause,
    since: Instant,
    read: WaitTimes,
}

impl Clock {
    fn settle(&mut self, now: Instant) {
        let place = self.cause as usize;
        self.read.0[place] = self.read.0[place].wrapping_add(now.since(self.since).as_nanos());
        self.since = now;
    }
}

/// By which clock a job's time goes.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// It does not wait for its first start.
    None,
    Own(WaitCause, Instant),
    Group(u32),
}

/// The waits of all jobs.
#[derive(Debug)]
pub(super) struct Waits {
    times: Vec<WaitTimes>,
    sources: Vec<Source>,
    groups: Vec<Clock>,
    /// The job whose turn it was last, where one job has the turn at a time.
    turn: Option<u32>,
}

impl Waits {
    pub(super) fn new(jobs: usize) -> Self {
        let (times, sources) = (vec![WaitTimes::default(); jobs], vec![Source::None; jobs]);
        Self { times, sources, groups: Vec::new(), turn: None }
    }

    /// A job waits for its first start from now on: for a cause of its own, or as its group does.
    pub(super) fn begin(&mut self, now: Instant, job: u32, cause: WaitCause) {
        self.sources[job as usize] = Source::Own(cause, now);
    }

    /// It waits no more.
    pub(super) fn end(&mut self, now: Instant, job: u32) {
        self.move_to(now, job, Source::None);
    }

    fn move_to(&mut self, now: Instant, job: u32, to: Source) {
        let (times, source) = (&mut self.times[job as usize], &mut self.sources[job as usize]);
        match *source {
            Source::None => return,
            Source::Own(cause, since) => times.0[cause as usize] += now.since(since).as_nanos(),
            Source::Group(group) => {
                let clock = &mut self.groups[group as usize];
                clock.settle(now);
                times.change(&clock.read, u64::wrapping_add);
            }
        }
        if let Source::Group(group) = to {
            let clock = &mut self.groups[group as usize];
            clock.settle(now);
            times.change(&clock.read, u64::wrapping_sub);
        }
        *source = to;
    }

    /// A waiting job has a cause of its own from now on.
    pub(super) fn set(&mut self, now: Instant, job: u32, cause: WaitCause) {
        if !matches!(self.sources[job as usize], Source::Own(own, _) if own == cause) {
            self.move_to(now, job, Source::Own(cause, now));
        }
    }

    /// A waiting job goes by its group's clock from now on.
    pub(super) fn join(&mut self, now: Instant, job: u32, group: u32) {
        if self.groups.len() <= group as usize {
            let (cause, read) = (WaitCause::Priority, WaitTimes::default());
            self.groups.resize(group as usize + 1, Clock { cause, refused: cause, since: now, read });
        }
        self.move_to(now, job, Source::Group(group));
    }

    /// A job whose turn had come was refused. Where one job has the turn at a time, who had it before has been
    /// overtaken; where a group is refused together, its clock hears of it.
    pub(super) fn refused(&mut self, now: Instant, job: u32, cause: WaitCause, one_turn: bool) {
        if let Source::Group(group) = self.sources[job as usize] {
            self.groups[group as usize].refused = cause;
            return;
        }
        self.set(now, job, cause);
        if one_turn && let Some(before) = self.turn.replace(job).filter(|before| *before != job) {
            self.set(now, before, WaitCause::Priority);
        }
    }

    /// The queue order says what a group waits for.
    pub(super) fn blame_group(&mut self, now: Instant, group: u32, blame: Blame) {
        let Some(clock) = self.groups.get_mut(group as usize) else { return };
        let cause = cause_of(blame, clock.refused);
        if clock.cause != cause {
            clock.settle(now);
            clock.cause = cause;
        }
    }

    /// The queue order says what a job waits for.
    pub(super) fn blame_job(&mut self, now: Instant, job: u32, blame: Blame) {
        let refused = match self.sources[job as usize] {
            Source::None => return,
            Source::Own(own, _) => own,
            Source::Group(group) => self.groups[group as usize].refused,
        };
        self.set(now, job, cause_of(blame, refused));
    }

    /// The wait of a job so far.
    pub(super) fn of(&self, now: Instant, job: u32) -> WaitTimes {
        let mut times = self.times[job as usize];
        match self.sources[job as usize] {
            Source::None => {}
            Source::Own(cause, since) => times.0[cause as usize] += now.since(since).as_nanos(),
            Source::Group(group) => {
                let mut clock = self.groups[group as usize];
                clock.settle(now);
                times.change(&clock.read, u64::wrapping_add);
            }
        }
        times
    }
}

fn cause_of(blame: Blame, refused: WaitCause) -> WaitCause {
    match blame {
        Blame::TooFew => WaitCause::Cards,
        Blame::AsRefused => refused,
        Blame::Backfill => WaitCause::Backfill,
        Blame::Quota => WaitCause::Quota,
        Blame::Round => WaitCause::Round,
        Blame::Others => WaitCause::Priority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn seconds(times: WaitTimes, cause: WaitCause) -> u64 {
        times[cause] / 1_000_000_000
    }

    /// Two jobs of a group whose clock runs for cards from 3 to 10 and for a reservation from then on.
    #[test]
    fn groups_share_a_clock() {
        let mut waits = Waits::new(3);
        for (job, from) in [(0, 0), (1, 5)] {
            waits.begin(at(from), job, WaitCause::Priority);
            waits.join(at(from), job, 0);
            if job == 0 {
                waits.blame_group(at(3), 0, Blame::TooFew);
            }
        }
        waits.blame_group(at(10), 0, Blame::Backfill);
        waits.end(at(12), 0);
        let (first, second) = (waits.of(at(20), 0), waits.of(at(20), 1));
        assert_eq!(
            [WaitCause::Priority, WaitCause::Cards, WaitCause::Backfill].map(|c| seconds(first, c)),
            [3, 7, 2]
        );
        assert_eq!([WaitCause::Cards, WaitCause::Backfill].map(|cause| seconds(second, cause)), [5, 10]);
        assert_eq!((first.total(), second.total()), (Duration::from_secs(12), Duration::from_secs(15)));
        assert_eq!(waits.of(at(20), 2).total(), Duration::ZERO);
    }

    /// Who had the turn is overtaken by who is refused after it.
    #[test]
    fn the_turn_passes_on() {
        let mut waits = Waits::new(2);
        waits.begin(at(0), 0, WaitCause::Priority);
        waits.refused(at(1), 0, WaitCause::Cards, true);
        waits.begin(at(4), 1, WaitCause::Priority);
        waits.refused(at(4), 1, WaitCause::Fragmented, true);
        let (first, second) = (waits.of(at(6), 0), waits.of(at(6), 1));
        assert_eq!([WaitCause::Priority, WaitCause::Cards].map(|cause| seconds(first, cause)), [3, 3]);
        assert_eq!(seconds(second, WaitCause::Fragmented), 2);
        // Where several have a turn at a time, nobody is overtaken.
        waits.refused(at(6), 0, WaitCause::Cards, false);
        assert_eq!(seconds(waits.of(at(9), 1), WaitCause::Fragmented), 5);
    }
}
