//! Time series made narrow enough to draw, without losing spikes.

use crate::metrics::results::{Subject, TimeSeries};

/// One or more neighbouring buckets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    /// The beginning in seconds.
    pub(super) from: f64,
    /// The end in seconds.
    pub(super) to: f64,
    /// The mean of the buckets; none where nothing was observed.
    pub(super) mean: Option<f64>,
    /// The largest.
    pub(super) high: Option<f64>,
    /// The sum.
    pub(super) sum: f64,
}

/// At most `most` columns of equal width in buckets.
pub(super) fn columns(timeseries: &TimeSeries, values: &[Option<f64>], most: usize) -> Vec<Column> {
    let group = values.len().div_ceil(most.max(1)).max(1);
    values
        .chunks(group)
        .enumerate()
        .map(|(index, chunk)| {
            let first = index * group;
            let last = first + chunk.len() - 1;
            let mut column = Column {
                from: timeseries.bucket_edges(first).0.as_secs_f64(),
                to: timeseries.bucket_edges(last).1.as_secs_f64(),
                mean: None,
                high: None,
                sum: 0.0,
            };
            let mut weight = 0.0;
            for (offset, value) in chunk.iter().enumerate() {
                let Some(value) = value.filter(|value| value.is_finite()) else { continue };
                let (from, to) = timeseries.bucket_edges(first + offset);
                // A bucket cut to nothing by the end of the run still counts a little.
                let width = to.since(from).as_secs_f64().max(1e-9);
                column.mean = Some((column.mean.unwrap_or(0.0) * weight + value * width) / (weight + width));
                weight += width;
                column.high = Some(column.high.map_or(value, |high| high.max(value)));
                column.sum += value;
            }
            column
        })
        .collect()
}

/// The bucket-wise sum of one metric over several subjects; none where no subject has a value, and no series
/// at all where no subject has the metric.
pub(super) fn total<'a>(
    timeseries: &TimeSeries,
    subjects: impl IntoIterator<Item = &'a Subject>,
    metric: &str,
) -> Option<Vec<Option<f64>>> {
    let mut total: Option<Vec<Option<f64>>> = None;
    for subject in subjects {
        let Some(values) = timeseries.values(subject, metric) else { continue };
        let total = total.get_or_insert_with(|| vec![None; values.len()]);
        for (sum, value) in total.iter_mut().zip(values) {
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
    }
    total
}

/// The largest value of a series; zero when there is none.
pub(super) fn peak(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// The largest value of any bucket in the columns; zero when there is none.
pub(super) fn highest(columns: &[Column]) -> f64 {
    columns.iter().filter_map(|column| column.high).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Duration, Instant};

    #[test]
    fn spikes_stay() {
        let timeseries = TimeSeries {
            bucket: Duration::from_secs(10),
            end: Instant::from_secs_f64(45.0),
            series: Vec::new(),
        };
        let values = [Some(1.0), Some(9.0), None, None, Some(4.0)];
        let columns = columns(&timeseries, &values, 3);
        assert_eq!(columns.len(), 3);
        assert_eq!((columns[0].mean, columns[0].high, columns[0].sum), (Some(5.0), Some(9.0), 10.0));
        assert_eq!((columns[1].from, columns[1].to, columns[1].mean), (20.0, 40.0, None));
        assert_eq!((columns[2].from, columns[2].to, columns[2].mean), (40.0, 45.0, Some(4.0)));
    }
}
