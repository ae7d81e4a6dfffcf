//! Gavel's own traces: a job a line, parted by tabs, with its steps; how fast they go on each accelerator
//! is in a table of throughputs beside it (Narayanan et al., OSDI 2020, artifact).

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use super::JobTraceError;
use super::columns::{Row, Sink};

/// Steps a second by accelerator and kind of job, alone on its cards.
pub(super) struct Throughputs(BTreeMap<String, BTreeMap<String, f64>>);

impl Throughputs {
    /// Reads the table: accelerator → `('job type', cards)` → `null` (alone) → steps a second.
    pub(super) fn read(file: &Path) -> Result<Self, JobTraceError> {
        let wrong = |source: std::io::Error| JobTraceError::Read { file: file.to_owned(), source };
        let reader = super::open(file).map_err(wrong)?;
        let table: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
            serde_json::from_reader(reader).map_err(|error| wrong(error.into()))?;
        let alone = |kinds: BTreeMap<String, serde_json::Value>| {
            kinds.into_iter().filter_map(|(kind, rates)| Some((kind, rates.get("null")?.as_f64()?))).collect()
        };
        Ok(Self(table.into_iter().map(|(accelerator, kinds)| (accelerator, alone(kinds))).collect()))
    }

    /// Hands every job to `sink`.
    pub(super) fn rows(
        &self,
        reader: Box<dyn BufRead>,
        file: &Path,
        sink: Sink<'_>,
    ) -> Result<(), JobTraceError> {
        for (line, text) in (1u64..).zip(reader.lines()) {
            let text = text.map_err(|source| JobTraceError::Read { file: file.to_owned(), source })?;
            if !text.trim().is_empty() {
                sink(line, self.row(line, &text));
            }
        }
        Ok(())
    }

    fn row(&self, line: u64, text: &str) -> Result<Row, String> {
        let fields: Vec<&str> = text.split('\t').collect();
        let [kind, _, _, _, _, steps, cards, _, .., arrival] = fields[..] else {
            return Err(format!("it has {} fields parted by tabs, not ten", fields.len()));
        };
        let number = |name: &str, text: &str| {
            text.trim().parse::<f64>().map_err(|_| format!("{name} is `{text}`, not a number"))
        };
        let (steps, arrival) = (number("the number of steps", steps)?, number("the arrival", arrival)?);
        let cards: u32 = cards
            .trim()
            .parse()
            .map_err(|_| format!("the number of cards is `{cards}`, not a whole number"))?;
        let key = format!("('{kind}', {cards})");
        let on = |(accelerator, kinds): (&String, &BTreeMap<String, f64>)| {
            let rate = kinds.get(&key).copied().filter(|rate| *rate > 0.0)?;
            Some((accelerator.clone(), steps / rate))
        };
        let durations: Vec<(String, f64)> = self.0.iter().filter_map(on).collect();
        let first = durations.first().map(|(_, seconds)| *seconds);
        let duration_s =
            first.ok_or_else(|| format!("no throughput is known of `{kind}` on {cards} cards"))?;
        Ok(Row {
            id: (line - 1).to_string(),
            submit_s: arrival,
            duration_s,
            cards,
            queue: kind.to_owned(),
            durations,
            ..Row::default()
        })
    }
}
