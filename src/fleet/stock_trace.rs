//! Traces of how many nodes a zone had to give, in the forms in which they were published.
//!
//! * SkyPilot's (skypilot-org/spot-traces; also MaoZiming/spothedge_ae): JSON, `metadata.gap_seconds` and
//!   `data` with the number of available instances at each tick.
//! * SpotServe's (Hsword/SpotServe, `elastic-switch/trace/trace_seg`): a JSON list a line, a time in
//!   milliseconds, `"add"`, `"remove"` or `"DONE"`, and the nodes' names.
//! * CSV with the columns `time_s,nodes`.

use serde_json::Value;

use crate::units::{Duration, Instant};

/// A trace: so many nodes from each time on, and when it ends; never where the form writes no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockTrace {
    /// Levels in order of time, the first at the beginning; neighbours differ.
    pub levels: Vec<(Instant, u32)>,
    /// When it ends; later than the last level.
    pub end: Instant,
}

impl StockTrace {
    /// Reads any of the forms.
    ///
    /// # Errors
    /// What is wrong, with the line where there is one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (levels, end) = match text.trim_start().chars().next() {
            Some('{') => sky(text)?,
            Some('[') => spot_serve(text)?,
            Some(_) => table(text)?,
            None => return Err("it is empty".to_owned()),
        };
        let mut kept: Vec<(Instant, u32)> = Vec::new();
        for (at, count) in levels {
            match kept.last_mut() {
                Some((before, last)) if *before == at => *last = count,
                Some((_, last)) if *last == count => {}
                None if at > Instant::ZERO => kept.extend([(Instant::ZERO, 0), (at, count)]),
                _ => kept.push((at, count)),
            }
        }
        if kept.last().is_none_or(|(at, _)| *at >= end) {
            return Err("it has no duration".to_owned());
        }
        Ok(Self { levels: kept, end })
    }

    /// The levels over a run of `duration`, each node standing for `copies`; from the beginning again where
    /// the trace ends and `repeat` is asked for.
    pub fn over(&self, duration: Duration, copies: u32, repeat: bool) -> Vec<(Instant, u32)> {
        let whole = self.end.since(Instant::ZERO);
        let rounds = if repeat { duration.as_nanos() / whole.as_nanos() } else { 0 };
        let mut levels: Vec<(Instant, u32)> = Vec::new();
        for round in 0..=rounds {
            let shifted = self.levels.iter().map(|(at, count)| (*at + whole * round, count * copies));
            for (at, count) in shifted.filter(|(at, _)| at.since(Instant::ZERO) < duration) {
                if levels.last().is_none_or(|(_, last)| *last != count) {
                    levels.push((at, count));
                }
            }
        }
        levels
    }
}

type Levels = (Vec<(Instant, u32)>, Instant);

fn count(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|count| u32::try_from(count).ok()).filter(|count| *count <= 1_000_000)
}

fn sky(text: &str) -> Result<Levels, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let gap = value.pointer("/metadata/gap_seconds").and_then(Value::as_f64);
    let gap = gap.filter(|gap| (0.001..=1e7).contains(gap));
    let gap = Duration::from_secs_f64(gap.ok_or("`metadata.gap_seconds` has to be a number above zero")?);
    let data = value.get("data").and_then(Value::as_array).ok_or("`data` has to be a list")?;
    let level = |(tick, value): (u64, &Value)| {
        let count =
            count(value).ok_or_else(|| format!("`data[{tick}]` is {value}, not a number of nodes"))?;
        Ok((Instant::ZERO + gap * tick, count))
    };
    let levels = (0u64..).zip(data).map(level).collect::<Result<Vec<_>, String>>()?;
    Ok((levels, Instant::ZERO + gap * data.len() as u64))
}

fn spot_serve(text: &str) -> Result<Levels, String> {
    let (mut levels, mut there, mut end) = (Vec::new(), 0u32, Instant::ZERO);
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| format!("line {number}: {what}");
        let value: Value = serde_json::from_str(line).map_err(|error| wrong(&format!("no JSON: {error}")))?;
        let ms = value.get(0).and_then(Value::as_f64).filter(|ms| (0.0..=1e13).contains(ms));
        let at = Instant::from_secs_f64(ms.ok_or_else(|| wrong("a time in milliseconds is needed"))? / 1e3);
        if at < end {
            return Err(wrong("its time is before that of the line before"));
        }
        end = at;
        let nodes = value.pointer("/2/nodes").and_then(Value::as_array).map_or(0, |nodes| nodes.len() as u32);
        match value.get(1).and_then(Value::as_str) {
            Some("add") => there += nodes,
            Some("remove") => {
                there = there.checked_sub(nodes).ok_or_else(|| wrong("more nodes go than are there"))?;
            }
            Some("DONE") => return Ok((levels, at)),
            _ => return Err(wrong("\"add\", \"remove\" or \"DONE\" is needed")),
        }
        levels.push((at, there));
    }
    // What is there in the end stays, where no end is written.
    Ok((levels, Instant::MAX))
}

fn table(text: &str) -> Result<Levels, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| error.to_string())?.clone();
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| format!("it has no column `{name}`; the columns are time_s, nodes"))
    };
    let (time, nodes) = (column("time_s")?, column("nodes")?);
    let (mut levels, mut end) = (Vec::new(), Instant::ZERO);
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |column: usize| record.get(column).unwrap_or_default();
        let seconds = cell(time).parse::<f64>().ok().filter(|seconds| (0.0..=1e10).contains(seconds));
        let at = seconds.map(Instant::from_secs_f64);
        let at = at.filter(|at| *at >= end).ok_or_else(|| {
            format!("line {line}: `{}` is no time, or before the one before it", cell(time))
        })?;
        let count = cell(nodes).parse::<u32>().ok().filter(|count| *count <= 1_000_000);
        let count = count.ok_or_else(|| format!("line {line}: `{}` is no number of nodes", cell(nodes)))?;
        end = at;
        levels.push((at, count));
    }
    // The last level stays.
    Ok((levels, Instant::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(trace: &StockTrace) -> (Vec<(f64, u32)>, f64) {
        let levels = trace.levels.iter().map(|(at, count)| (at.as_secs_f64(), *count)).collect();
        (levels, trace.end.as_secs_f64())
    }

    #[test]
    fn skypilots_form() {
        let text = r#"{"metadata": {"gap_seconds": 300}, "data": [2, 2, 0, 1]}"#;
        let trace = StockTrace::parse(text).expect("a good trace");
        assert_eq!(seconds(&trace), (vec![(0.0, 2), (600.0, 0), (900.0, 1)], 1200.0));
        let twice = trace.over(Duration::from_secs(2000), 4, true);
        let twice: Vec<_> = twice.iter().map(|(at, count)| (at.as_secs_f64(), *count)).collect();
        assert_eq!(twice, [(0.0, 8), (600.0, 0), (900.0, 4), (1200.0, 8), (1800.0, 0)]);
    }

    #[test]
    fn spot_serves_form() {
        let text = "[0, \"add\", {\"nodes\": [\"a\", \"b\", \"c\"]}]\n[60000, \"remove\", {\"nodes\": [\"a\"]}]\n\
                    [300000, \"add\", {\"nodes\": [\"d\"]}]\n[540000, \"DONE\", {\"nodes\": []}]\n";
        let trace = StockTrace::parse(text).expect("a good trace");
        assert_eq!(seconds(&trace), (vec![(0.0, 3), (60.0, 2), (300.0, 3)], 540.0));
    }

    #[test]
    fn a_plain_table() {
        let trace = StockTrace::parse("time_s,nodes\n10,3\n60,1\n90,1\n").expect("a good trace");
        assert_eq!(seconds(&trace).0, [(0.0, 0), (10.0, 3), (60.0, 1)]);
        assert_eq!(trace.end, Instant::MAX);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, what) in [
            ("", "it is empty"),
            ("{}", "gap_seconds"),
            (r#"{"metadata": {"gap_seconds": 5}, "data": [1, -1]}"#, "data[1]"),
            (r#"{"metadata": {"gap_seconds": 5}, "data": []}"#, "no duration"),
            ("[5, \"take\", {}]", "line 1"),
            ("[5, \"remove\", {\"nodes\": [\"a\"]}]", "more nodes go"),
            ("time,nodes\n1,2\n", "time_s"),
            ("time_s,nodes\n1,x\n", "line 2"),
        ] {
            let said = StockTrace::parse(text).expect_err(text);
            assert!(said.contains(what), "{text}: {said}");
        }
    }
}
