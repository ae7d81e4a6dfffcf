//! Errors by group and over all groups.

use std::collections::BTreeMap;

use serde::Serialize;

/// A row: compared, or why not.
pub(super) type Row = Result<Compared, Skip>;

/// A row that was predicted. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The line in its table; 0 where a row is not one line.
    pub line: u64,
    /// Who measured.
    pub source: String,
    /// Which sources are one: they are left out of a fit together.
    #[serde(skip)]
    pub origin: String,
    /// On what, as the catalogue calls it.
    pub accelerator: String,
    /// Which model, as the catalogue calls it.
    pub model: String,
    /// What was measured.
    pub metric: String,
    /// What came out there.
    pub measured: f64,
    /// What comes out here.
    pub predicted: f64,
}

/// A row that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skip {
    pub(super) reason: String,
    pub(super) example: String,
}

impl Skip {
    /// In place of a row that is not asked for.
    pub(super) fn unwanted() -> Self {
        Self { reason: "not asked for".to_owned(), example: String::new() }
    }
}

/// What `validate` finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Errors by source, accelerator, model and metric, in that order.
    pub groups: Vec<Group>,
    /// Errors by metric over all groups.
    pub overall: Vec<Overall>,
    /// Rows that were not predicted, most frequent reason first.
    pub skipped: Vec<Skipped>,
}

/// Rows of one source, accelerator, model and metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Who measured.
    pub source: String,
    /// On what, as the catalogue calls it.
    pub accelerator: String,
    /// Which model, as the catalogue calls it.
    pub model: String,
    /// What was measured.
    pub metric: String,
    /// How many rows.
    pub rows: usize,
    /// Median of |predicted ÷ measured − 1|.
    pub median_ape: f64,
    /// Its 90th percentile.
    pub p90_ape: f64,
    /// Median of predicted ÷ measured − 1.
    pub median_signed: f64,
}

/// All groups of one metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// What was measured.
    pub metric: String,
    /// How many groups.
    pub groups: usize,
    /// How many rows.
    pub rows: usize,
    /// The median of the groups' medians.
    pub median_ape: f64,
    /// The 90th percentile of the groups' medians.
    pub p90_ape: f64,
}

/// Rows that were not predicted for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Why.
    pub reason: String,
    /// How many rows.
    pub rows: usize,
    /// Up to three of them.
    pub examples: Vec<String>,
}

/// The origin of a source: without its edition and run, and the dumps of InferenceX by its own name.
pub(super) fn origin(source: &str) -> String {
    if source.contains("InferenceX") || source.starts_with("same repo") {
        return "InferenceX".to_owned();
    }
    let end = source.find(['@', ' ']).unwrap_or(source.len());
    source[..end].to_owned()
}

impl Report {
    /// Errors of rows that were predicted.
    pub fn compared(rows: &[Compared]) -> Self {
        Self::of(&rows.iter().cloned().map(Ok).collect::<Vec<Row>>())
    }

    pub(super) fn of(rows: &[Row]) -> Self {
        let mut groups: BTreeMap<[String; 4], Vec<f64>> = BTreeMap::new();
        let mut skipped: BTreeMap<String, Skipped> = BTreeMap::new();
        for row in rows {
            match row {
                Ok(row) => {
                    let key = [&row.source, &row.accelerator, &row.model, &row.metric].map(String::clone);
                    groups.entry(key).or_default().push(row.predicted / row.measured - 1.0);
                }
                Err(Skip { reason, example }) => {
                    let entry = skipped.entry(reason.clone());
                    let entry = entry.or_insert_with(|| Skipped {
                        reason: reason.clone(),
                        rows: 0,
                        examples: Vec::new(),
                    });
                    entry.rows += 1;
                    if entry.examples.len() < 3 && !entry.examples.contains(example) {
                        entry.examples.push(example.clone());
                    }
                }
            }
        }
        let groups: Vec<Group> = groups.into_iter().map(|(key, errors)| group(key, errors)).collect();
        let mut metrics: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
        for group in &groups {
            metrics.entry(&group.metric).or_default().push(group);
        }
        let overall = metrics
            .into_iter()
            .map(|(metric, groups)| {
                let mut medians: Vec<f64> = groups.iter().map(|group| group.median_ape).collect();
                Overall {
                    metric: metric.to_owned(),
                    groups: groups.len(),
                    rows: groups.iter().map(|group| group.rows).sum(),
                    median_ape: quantile(&mut medians, 0.5),
                    p90_ape: quantile(&mut medians, 0.9),
                }
            })
            .collect();
        let mut skipped: Vec<Skipped> = skipped.into_values().collect();
        skipped.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.reason.cmp(&b.reason)));
        Self { groups, overall, skipped }
    }
}

fn group([source, accelerator, model, metric]: [String; 4], mut signed: Vec<f64>) -> Group {
    let mut absolute: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
    Group {
        source,
        accelerator,
        model,
        metric,
        rows: signed.len(),
        median_ape: quantile(&mut absolute, 0.5),
        p90_ape: quantile(&mut absolute, 0.9),
        median_signed: quantile(&mut signed, 0.5),
    }
}

/// The quantile with linear interpolation between the two nearest values; 0 of nothing.
pub(super) fn quantile(values: &mut [f64], level: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return 0.0 };
    let place = level * last as f64;
    let below = place as usize;
    let above = (below + 1).min(last);
    values[below] + (values[above] - values[below]) * (place - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(source: &str, predicted: f64) -> Row {
        let text = str::to_owned;
        Ok(Compared {
            line: 1,
            source: text(source),
            origin: text(source),
            accelerator: text("card"),
            model: text("model"),
            metric: text("ttft_mean"),
            measured: 10.0,
            predicted,
        })
    }

    /// A large table counts once: two groups with medians of 10 and 50 % give 30 %.
    #[test]
    fn large_tables_do_not_decide() {
        let mut rows = vec![row("small", 15.0)];
        rows.extend((0..99).map(|_| row("large", 9.0)));
        let skip = Skip { reason: "no such model".to_owned(), example: "x".to_owned() };
        rows.extend([Err(skip.clone()), Err(skip)]);
        let report = Report::of(&rows);
        assert_eq!((report.groups.len(), report.groups[0].rows), (2, 99));
        assert!((report.groups[0].median_signed + 0.1).abs() < 1e-12);
        assert!((report.overall[0].median_ape - 0.3).abs() < 1e-12);
        assert_eq!((report.overall[0].groups, report.overall[0].rows), (2, 100));
        assert_eq!(
            report.skipped,
            [Skipped { reason: "no such model".to_owned(), rows: 2, examples: vec!["x".to_owned()] }]
        );
    }

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0, 4.0], 0.5), 2.5);
        assert_eq!(quantile(&mut [7.0], 0.9), 7.0);
        assert_eq!(quantile(&mut [], 0.9), 0.0);
    }
}
