//! Replays a trace: window, repetition, shifted copies, speed-up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{TraceConfig, TraceReader, TraceRow};
use crate::sim::RandomStream;
use crate::traffic::{Arrival, BlockHashes, TrafficError};
use crate::units::{Duration, Instant};

/// A trace being replayed. Every copy reads the file by itself, from front to back.
#[derive(Debug)]
pub(in crate::traffic) struct Replay {
    config: TraceConfig,
    /// Only needed to repeat or to shift.
    period: Option<Duration>,
    copies: Vec<Copy>,
    /// The time of the next arrival of each copy that has one.
    next: BinaryHeap<Reverse<(u64, u32)>>,
    end: Instant,
}

#[derive(Debug)]
struct Copy {
    index: u32,
    /// `None` when it has ended.
    reader: Option<TraceReader>,
    /// Added to trace time: the shift, a period more each time the file begins again. A shifted copy begins
    /// one period early, with the rows that its shift moves across the period's end.
    offset_ns: i128,
    pending: Option<Arrival>,
}

impl Replay {
    /// # Errors
    /// When the file cannot be read or its content is wrong. A trace that is repeated or superposed is read
    /// through once, so that all its errors show here; otherwise only its header is.
    pub(in crate::traffic) fn new(
        config: &TraceConfig,
        mut shifts: RandomStream,
        end: Instant,
    ) -> Result<Self, TrafficError> {
        let period = if config.copies > 1 || config.repeat { Some(period(config)?) } else { None };
        let mut replay =
            Self { config: config.clone(), period, copies: Vec::new(), next: BinaryHeap::new(), end };
        for index in 0..config.copies {
            let offset_ns = match period {
                Some(period) if index > 0 => {
                    i128::from(shifts.below(period.as_nanos())) - i128::from(period.as_nanos())
                }
                _ => 0,
            };
            let mut copy = Copy { index, reader: Some(replay.open()?), offset_ns, pending: None };
            if let Some(at) = replay.read_on(&mut copy)? {
                replay.next.push(Reverse((at.as_nanos(), index)));
            }
            replay.copies.push(copy);
        }
        if replay.next.is_empty() && period.is_none() {
            return Err(replay.nothing()?);
        }
        Ok(replay)
    }

    /// The next arrival of any copy.
    pub(in crate::traffic) fn next(&mut self) -> Result<Option<Arrival>, TrafficError> {
        let Some(Reverse((_, index))) = self.next.pop() else { return Ok(None) };
        // Taken out for the while, since reading on needs the configuration too.
        let idle = Copy { index, reader: None, offset_ns: 0, pending: None };
        let mut copy = std::mem::replace(&mut self.copies[index as usize], idle);
        let arrival = copy.pending.take();
        if let Some(at) = self.read_on(&mut copy)? {
            self.next.push(Reverse((at.as_nanos(), index)));
        }
        self.copies[index as usize] = copy;
        Ok(arrival)
    }

    /// Why a trace that is replayed once has no arrival in the run.
    fn nothing(&self) -> Result<TrafficError, TrafficError> {
        let mut reader = self.open()?;
        let Some(row) = next_in_window(&self.config, &mut reader)? else {
            return Ok(nothing_in_window(&self.config, &reader));
        };
        let what = format!("the first arrival, at {} of the window, is not before the run's end", row.at);
        Ok(reader.content(None, what, "set `from` to where the replay should begin, or lengthen the run"))
    }

    fn open(&self) -> Result<TraceReader, TrafficError> {
        TraceReader::open(&self.config.file, self.config.format, self.config.stream.as_deref())
    }

    /// Puts the copy's next arrival into `pending` and returns its time; `None` when the copy has ended.
    fn read_on(&self, copy: &mut Copy) -> Result<Option<Instant>, TrafficError> {
        while let Some(reader) = &mut copy.reader {
            let Some(row) = next_in_window(&self.config, reader)? else {
                // The first copy runs to its end and the others to theirs: a circle once round.
                let again = self.period.filter(|_| self.config.repeat || copy.offset_ns < 0);
                copy.reader = match again {
                    Some(period) => {
                        copy.offset_ns += i128::from(period.as_nanos());
                        Some(self.open()?)
                    }
                    None => None,
                };
                continue;
            };
            let time_ns = i128::from(row.at.as_nanos()) + copy.offset_ns;
            if time_ns < 0 {
                continue;
            }
            let time_ns = u64::try_from(time_ns).unwrap_or(u64::MAX);
            let round = self.period.map_or(0, |period| time_ns / period.as_nanos());
            if round > 0 && !self.config.repeat {
                copy.reader = None;
                break;
            }
            let at = self.real_time(time_ns);
            if at >= self.end {
                copy.reader = None;
                break;
            }
            copy.pending = Some(arrival(row, at, u64::from(copy.index), round));
            return Ok(Some(at));
        }
        Ok(None)
    }

    /// Trace time divided by the speed-up; exact when there is none.
    fn real_time(&self, time_ns: u64) -> Instant {
        if self.config.speed_up == 1.0 {
            Instant::from_nanos(time_ns)
        } else {
            Instant::from_nanos((time_ns as f64 / self.config.speed_up).round() as u64)
        }
    }
}

/// The next row inside `from`..`to`, its time counted from `from`.
fn next_in_window(config: &TraceConfig, reader: &mut TraceReader) -> Result<Option<TraceRow>, TrafficError> {
    while let Some(mut row) = reader.next_row()? {
        if config.to.is_some_and(|to| row.at >= to) {
            return Ok(None);
        }
        if row.at >= config.from {
            row.at = row.at - config.from;
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn nothing_in_window(config: &TraceConfig, reader: &TraceReader) -> TrafficError {
    let until = config.to.map(|to| format!(" to {to}")).unwrap_or_default();
    let what = format!("no row lies in the window from {}{until}", config.from);
    reader.content(None, what, "set `from` and `to` within the trace; `trace describe` says how long it is")
}

/// Reads the whole window and gives its period, as [`TraceConfig`] defines it.
fn period(config: &TraceConfig) -> Result<Duration, TrafficError> {
    let mut reader = TraceReader::open(&config.file, config.format, config.stream.as_deref())?;
    let mut first = None;
    let mut last = Duration::ZERO;
    let mut rows = 0u64;
    while let Some(row) = next_in_window(config, &mut reader)? {
        first.get_or_insert(row.at);
        last = row.at;
        rows += 1;
        if let Some(period) = config.period
            && last >= period
        {
            return Err(reader.content(
                None,
                format!("the arrival at {last} of the window is not within its period of {period}"),
                "lengthen `period` or end the window earlier with `to`",
            ));
        }
    }
    let Some(first) = first else {
        return Err(nothing_in_window(config, &reader));
    };
    if let Some(stated) = config.period.or(config.to.map(|to| to - config.from)) {
        return Ok(stated);
    }
    let span = last - first;
    if span.is_zero() {
        return Err(reader.content(
            None,
            "all rows have the same time, so the trace has no period by itself".to_owned(),
            "state its `period`",
        ));
    }
    Ok(last + span / (rows - 1))
}

/// Copies and rounds stand for other users than those who were recorded: what is shared within one round of
/// one copy stays shared, nothing is shared between them.
fn arrival(row: TraceRow, at: Instant, copy: u64, round: u64) -> Arrival {
    let own = |id: u64| if copy == 0 && round == 0 { id } else { mixed(id, copy, round) };
    Arrival {
        session: row.session.map(own),
        blocks: row.blocks.map(|BlockHashes(ids)| BlockHashes(ids.iter().map(|id| own(*id)).collect())),
        ..Arrival::plain(at, row.prompt_tokens, row.output_tokens)
    }
}

/// A 64-bit mix of the three (the finisher of SplitMix64), one to one in `id`.
fn mixed(id: u64, copy: u64, round: u64) -> u64 {
    let mut hash = id ^ (copy << 40 | round).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
