//! What a trace of jobs is like and what is wrong with it: rows that are out of order, missing or absurd;
//! what it asks of a cluster, and whether that can ever be served; which jobs would be admitted, and why
//! not the others.

use std::collections::BTreeMap;
use std::path::Path;

use super::columns::{Row, rows};
use super::{JobTraceError, JobTraceFormat, TracePool, admitted, makes_sense, open};

/// A reason why rows cannot be used, with how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In words, of the first of them.
    pub why: String,
    /// The line of the first.
    pub line: u64,
    /// How many.
    pub rows: u64,
}

/// What is asked of one type of accelerator.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Demand {
    /// Jobs.
    pub jobs: u64,
    /// Card-seconds of work.
    pub card_seconds: f64,
    /// The most cards wanted at once, if every job ran as soon as it was submitted.
    pub peak_cards: f64,
    /// Changes of what is wanted: (seconds, cards).
    changes: Vec<(f64, f64)>,
}

/// A trace against a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Against {
    /// Cards of the cluster.
    pub cards: u64,
    /// Cards by type of accelerator, as its pools say.
    pub by_type: BTreeMap<String, u64>,
    /// Jobs that would be admitted.
    pub admitted: u64,
    /// Why the others would not.
    pub refused: Vec<Refusal>,
    /// Work submitted ÷ what all cards can do from the first submission to the last; above 1 the queue only
    /// grows. Nothing when all are submitted at once.
    pub load: Option<f64>,
    /// Seconds from the last submission until all work is done at the earliest, were every card always busy.
    pub drains_after_s: f64,
    /// The most work that waits, in card-seconds, were every card always busy while there is any.
    pub backlog_card_s: f64,
}

/// What a trace of jobs is like.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDescription {
    /// Its format.
    pub format: JobTraceFormat,
    /// Rows.
    pub rows: u64,
    /// Jobs that can be used.
    pub jobs: u64,
    /// Why other rows cannot.
    pub unusable: Vec<Refusal>,
    /// Rows submitted before the row above them, and the line of the first.
    pub out_of_order: (u64, u64),
    /// Rows with the name of another, and the line of the first.
    pub repeated: (u64, u64),
    /// Rows that last no time at all, and the line of the first.
    pub instant: (u64, u64),
    /// Rows whose user says less than they take, and the line of the first.
    pub underestimated: (u64, u64),
    /// From the first submission to the last, in seconds.
    pub span_s: f64,
    /// Jobs by number of cards; parts of a card are under 0 cards' worth: their number of cards is 1.
    pub sizes: BTreeMap<u32, u64>,
    /// Jobs that share their card.
    pub parts: u64,
    /// Durations in seconds, ascending.
    pub durations_s: Vec<f64>,
    /// Jobs submitted in each hour of the day, from the first submission on.
    pub by_hour: [u64; 24],
    /// By type of accelerator; under the empty name what may run anywhere.
    pub demand: BTreeMap<String, Demand>,
    /// Users and queues.
    pub users: usize,
    /// Queues.
    pub queues: usize,
    /// Against a cluster, where one was given.
    pub against: Option<Against>,
}

/// Reasons told apart by their words without the figures in them.
#[derive(Default)]
struct Refusals(BTreeMap<String, Refusal>);

impl Refusals {
    fn add(&mut self, line: u64, why: String) {
        let kind: String = why.chars().filter(|c| !c.is_ascii_digit() && *c != '.' && *c != '-').collect();
        let found = self.0.entry(kind).or_insert(Refusal { why, line, rows: 0 });
        found.rows += 1;
    }

    fn finish(self) -> Vec<Refusal> {
        let mut all: Vec<Refusal> = self.0.into_values().collect();
        all.sort_by_key(|refusal| (std::cmp::Reverse(refusal.rows), refusal.line));
        all
    }
}

fn count(counter: &mut (u64, u64), line: u64) {
    if counter.0 == 0 {
        counter.1 = line;
    }
    counter.0 += 1;
}

impl JobDescription {
    /// Reads a trace and describes it, against a cluster of these pools unless there are none.
    ///
    /// # Errors
    /// When the file cannot be read, or its header is not that of the format.
    pub fn read(
        file: &Path,
        format: JobTraceFormat,
        throughputs: Option<&Path>,
        pools: &[TracePool],
    ) -> Result<Self, JobTraceError> {
        let reader = open(file).map_err(|source| JobTraceError::Read { file: file.to_owned(), source })?;
        let mut found = Self {
            format,
            rows: 0,
            jobs: 0,
            unusable: Vec::new(),
            out_of_order: (0, 0),
            repeated: (0, 0),
            instant: (0, 0),
            underestimated: (0, 0),
            span_s: 0.0,
            sizes: BTreeMap::new(),
            parts: 0,
            durations_s: Vec::new(),
            by_hour: [0; 24],
            demand: BTreeMap::new(),
            users: 0,
            queues: 0,
            against: None,
        };
        let (mut unusable, mut refused) = (Refusals::default(), Refusals::default());
        let (mut users, mut queues, mut names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut last = f64::NEG_INFINITY;
        let mut submitted: Vec<(f64, f64)> = Vec::new();
        let mut admitted_jobs = 0;
        rows(reader, file, format, throughputs, &mut |line, row| {
            found.rows += 1;
            let row = match row.and_then(|row| makes_sense(&row, format).map(|()| row)) {
                Ok(row) => row,
                Err(why) => return unusable.add(line, why),
            };
            found.jobs += 1;
            if row.submit_s < last {
                count(&mut found.out_of_order, line);
            }
            last = row.submit_s;
            if !row.id.is_empty() && names.insert(row.id.clone(), ()).is_some() {
                count(&mut found.repeated, line);
            }
            users.insert(row.user.clone(), ());
            queues.insert(row.queue.clone(), ());
            let work = found.take(line, &row);
            match admitted(&row, pools) {
                _ if pools.is_empty() => submitted.push((row.submit_s, work)),
                Ok(_) => {
                    admitted_jobs += 1;
                    submitted.push((row.submit_s, work));
                }
                Err(why) => refused.add(line, why),
            }
        })?;
        found.unusable = unusable.finish();
        found.users = users.keys().filter(|name| !name.is_empty()).count();
        found.queues = queues.keys().filter(|name| !name.is_empty()).count();
        found.durations_s.sort_by(f64::total_cmp);
        for demand in found.demand.values_mut() {
            demand.changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            let (mut now, mut most) = (0.0, 0.0f64);
            for (_, cards) in std::mem::take(&mut demand.changes) {
                now += cards;
                most = most.max(now);
            }
            demand.peak_cards = most;
        }
        submitted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ends = submitted.first().zip(submitted.last());
        let (first, last) = ends.map_or((0.0, 0.0), |(first, last)| (first.0, last.0));
        found.span_s = last - first;
        for (at, _) in &submitted {
            found.by_hour[((at - first) / 3600.0) as usize % 24] += 1;
        }
        if !pools.is_empty() {
            found.against = Some(against(pools, &submitted, admitted_jobs, refused.finish()));
        }
        Ok(found)
    }

    /// Counts a row that makes sense; its work in card-seconds.
    fn take(&mut self, line: u64, row: &Row) -> f64 {
        if row.duration_s == 0.0 {
            count(&mut self.instant, line);
        }
        if row.estimate_s.is_some_and(|estimate| estimate < row.duration_s) {
            count(&mut self.underestimated, line);
        }
        *self.sizes.entry(row.cards).or_default() += 1;
        self.parts += u64::from(row.card_milli > 0);
        self.durations_s.push(row.duration_s);
        let part = if row.card_milli == 0 { 1.0 } else { f64::from(row.card_milli) / 1e3 };
        let cards = f64::from(row.cards) * part;
        let demand = self.demand.entry(row.accelerator_type.clone()).or_default();
        demand.jobs += 1;
        demand.card_seconds += cards * row.duration_s;
        demand.changes.push((row.submit_s, cards));
        demand.changes.push((row.submit_s + row.duration_s, -cards));
        cards * row.duration_s
    }

    /// A duration that so large a share of jobs does not exceed.
    pub fn duration_quantile(&self, share: f64) -> f64 {
        let place = (share * self.durations_s.len() as f64).ceil() as usize;
        self.durations_s.get(place.max(1) - 1).copied().unwrap_or(0.0)
    }
}

/// Work that comes in lumps to cards that are always busy while there is any.
fn against(pools: &[TracePool], submitted: &[(f64, f64)], admitted: u64, refused: Vec<Refusal>) -> Against {
    let cards: u64 = pools.iter().map(|pool| u64::from(pool.cards)).sum();
    let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
    for pool in pools {
        *by_type.entry(pool.accelerator.clone()).or_default() += u64::from(pool.cards);
    }
    let (mut backlog, mut most, mut total) = (0.0, 0.0f64, 0.0);
    let mut last = submitted.first().map_or(0.0, |(at, _)| *at);
    let first = last;
    for (at, work) in submitted {
        backlog = f64::max(backlog - cards as f64 * (at - last), 0.0) + work;
        most = most.max(backlog);
        total += work;
        last = *at;
    }
    let capacity = cards as f64 * (last - first);
    Against {
        cards,
        by_type,
        admitted,
        refused,
        load: (capacity > 0.0).then(|| total / capacity),
        drains_after_s: backlog / (cards as f64).max(1.0),
        backlog_card_s: most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::PoolId;
    use std::io::Write as _;

    /// Two cards, ten seconds: 60 card-seconds are asked for. At 0 come 40, at 10 are 20 left and 20 more
    /// come, which two cards need 20 s for.
    #[test]
    fn what_can_never_drain_is_said() {
        let text = "id,submit_s,duration_s,accelerators,estimate_s\na,0,20,2,\nb,10,10,1,5\nc,5,1,9,\na,10,10,1,\nx,,1,1,\ny,,1,1,\n";
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("it can be written");
        let pools = [TracePool::of_cards(PoolId(0), 2)];
        let found =
            JobDescription::read(file.path(), JobTraceFormat::Csv, None, &pools).expect("it can be read");
        assert_eq!((found.rows, found.jobs), (6, 4));
        let missing = Refusal { why: "`submit_s` is missing".to_owned(), line: 6, rows: 2 };
        assert_eq!(found.unusable, [missing]);
        assert_eq!((found.out_of_order, found.repeated, found.underestimated), ((1, 4), (1, 5), (1, 3)));
        let against = found.against.expect("there is a cluster");
        assert_eq!((against.admitted, against.load), (3, Some(3.0)));
        assert_eq!((against.drains_after_s, against.backlog_card_s), (20.0, 40.0));
        let refused =
            Refusal { why: "it wants 9 cards, and its largest pool has 2".to_owned(), line: 4, rows: 1 };
        assert_eq!(against.refused, [refused]);
        let demand = &found.demand[""];
        assert_eq!((demand.jobs, demand.card_seconds, demand.peak_cards), (4, 69.0, 11.0));
    }
}
