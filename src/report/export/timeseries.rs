//! `timeseries.csv`: one row a bucket and value, in order of time. A value that was not observed has no row.

use std::io::{self, Write};

use super::{instant_s, number};
use crate::metrics::results::TimeSeries;

/// The columns: `time_s` is the beginning of the bucket, `subject_kind` is `fleet`, `stream`, `deployment`,
/// `pool` or `cause`, `subject` its name.
pub const COLUMNS: [&str; 5] = ["time_s", "subject_kind", "subject", "metric", "value"];

/// Writes the table.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(timeseries: &TimeSeries, out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    let buckets = timeseries.series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    for bucket in 0..buckets {
        let time = instant_s(timeseries.bucket_edges(bucket).0);
        for series in &timeseries.series {
            let Some(value) = series.values.get(bucket).copied().flatten().filter(|v| v.is_finite()) else {
                continue;
            };
            let (kind, name) = (series.subject.kind(), series.subject.name());
            csv.write_record([&time, kind, name, series.metric, &number(value)])?;
        }
    }
    csv.flush()
}
