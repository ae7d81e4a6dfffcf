//! `openmetrics.txt`: the time series in the text format of OpenMetrics 1.0 (RFC draft
//! `draft-richih-opsawg-openmetrics-00`), so that a run can be looked at in one's own Grafana:
//! `promtool tsdb create-blocks-from openmetrics openmetrics.txt DATA`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::metrics::results::{RunResults, Series, Subject};

/// Where the beginning of the run lies unless somebody says otherwise: 2026-01-01T00:00:00Z in Unix time. A run has no
/// date of its own, and the clock of the machine has no place in its results.
pub const START: u64 = 1_767_225_600;

/// Writes every series, each value at the end of its bucket; the run begins at `start`, in Unix seconds.
///
/// # Errors
/// When the file cannot be written.
pub fn write(results: &RunResults, start: u64, file: &mut dyn Write) -> io::Result<()> {
    let mut families: BTreeMap<String, Vec<&Series>> = BTreeMap::new();
    for series in &results.timeseries.series {
        families.entry(name(series)).or_default().push(series);
    }
    let scenario = &results.summary.scenario;
    for (name, members) in families {
        writeln!(file, "# TYPE {name} gauge")?;
        let over = match members[0].metric {
            metric if metric.ends_with("_usd") => "sum",
            metric if metric.ends_with("_max") => "maximum",
            _ => "mean",
        };
        let told = members[0].metric.replace('_', " ");
        writeln!(file, "# HELP {name} {told}: {over} of each bucket of {}", results.timeseries.bucket)?;
        for series in members {
            let mut labels = format!("scenario=\"{}\",seed=\"{}\"", escape(&scenario.name), scenario.seed);
            if series.subject != Subject::Fleet {
                labels += &format!(",{}=\"{}\"", series.subject.kind(), escape(series.subject.name()));
            }
            for (bucket, value) in series.values.iter().enumerate() {
                let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                let at = results.timeseries.bucket_edges(bucket).1.as_nanos();
                let (seconds, nanos) = (start + at / 1_000_000_000, at % 1_000_000_000);
                // The times of a series must rise, also where buckets are shorter than a millisecond.
                let fraction = match nanos % 1_000_000 {
                    0 => format!("{:03}", nanos / 1_000_000),
                    _ => format!("{nanos:09}"),
                };
                writeln!(file, "{name}{{{labels}}} {value} {seconds}.{fraction}")?;
            }
        }
    }
    writeln!(file, "# EOF")
}

/// `fleetsim_stream_offered_rps`: what is measured, and of what.
fn name(series: &Series) -> String {
    match &series.subject {
        Subject::Fleet => format!("fleetsim_{}", series.metric),
        subject => format!("fleetsim_{}_{}", subject.kind(), series.metric),
    }
}

/// A label's value as the format writes it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
