//! How a run of a job goes on: restore, then work, with a checkpoint after every so much of it.

use super::config::Checkpoint;
use crate::units::Duration;

/// The pace of one run on the cards that it has. All times are on those cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Before any work.
    restore: Duration,
    /// Work between two checkpoints, and the time that each takes.
    every: Option<(Duration, Duration)>,
}

impl Pace {
    /// `resumed` says whether there is something to restore.
    pub(super) fn new(checkpoint: Option<&Checkpoint>, resumed: bool) -> Self {
        let restore = checkpoint.filter(|_| resumed).map_or(Duration::ZERO, |checkpoint| checkpoint.restore);
        let every = checkpoint.and_then(|checkpoint| Some((checkpoint.every?, checkpoint.write)));
        Self { restore, every: every.filter(|(every, _)| !every.is_zero()) }
    }

    /// How long so much work takes; there is no checkpoint behind the last of it.
    pub(super) fn time_for(self, work: Duration) -> Duration {
        let checkpoints = match self.every {
            Some((every, write)) if !work.is_zero() => {
                let count = (work.as_nanos() - 1) / every.as_nanos();
                Duration::from_nanos(write.as_nanos().saturating_mul(count))
            }
            _ => Duration::ZERO,
        };
        Duration::from_nanos(
            self.restore.as_nanos().saturating_add(work.as_nanos()).saturating_add(checkpoints.as_nanos()),
        )
    }

    /// Work done after so long.
    pub(super) fn work_by(self, time: Duration) -> Duration {
        let time = time.saturating_sub(self.restore);
        match self.every {
            None => time,
            Some((every, write)) => {
                let cycle = every.as_nanos().saturating_add(write.as_nanos());
                let (cycles, rest) = (time.as_nanos() / cycle, time.as_nanos() % cycle);
                Duration::from_nanos(cycles * every.as_nanos() + rest.min(every.as_nanos()))
            }
        }
    }

    /// Work of this run that the last whole checkpoint holds after so long.
    pub(super) fn saved_by(self, time: Duration) -> Duration {
        let time = time.saturating_sub(self.restore);
        self.every.map_or(Duration::ZERO, |(every, write)| {
            let cycle = every.as_nanos().saturating_add(write.as_nanos());
            Duration::from_nanos(time.as_nanos() / cycle * every.as_nanos())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Restore 5, checkpoints of 2 after every 10: 25 of work take 5 + 10 + 2 + 10 + 2 + 5.
    #[test]
    fn by_hand() {
        let s = Duration::from_secs;
        let checkpoint = Checkpoint { write: s(2), restore: s(5), every: Some(s(10)) };
        let pace = Pace::new(Some(&checkpoint), true);
        assert_eq!(pace.time_for(s(25)), s(34));
        // No checkpoint when all is done.
        assert_eq!(pace.time_for(s(20)), s(27));
        let at = [0, 5, 8, 15, 16, 17, 20, 27, 29, 34].map(|time| {
            (pace.work_by(s(time)).as_secs_f64() as u64, pace.saved_by(s(time)).as_secs_f64() as u64)
        });
        assert_eq!(
            at,
            [(0, 0), (0, 0), (3, 0), (10, 0), (10, 0), (10, 10), (13, 10), (20, 10), (20, 20), (25, 20)]
        );
        let first = Pace::new(Some(&checkpoint), false);
        assert_eq!(first.time_for(s(25)), s(29));
        let plain = Pace::new(None, true);
        assert_eq!((plain.time_for(s(25)), plain.work_by(s(7)), plain.saved_by(s(7))), (s(25), s(7), s(0)));
    }
}
