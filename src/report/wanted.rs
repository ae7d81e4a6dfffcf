//! What the user wants written: `--records`, `--plots`, `--no-report`.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::plots;

/// What to write after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The tables.
    pub records: Records,
    /// How the tables are written.
    pub format: Format,
    /// Whether to write `report.html`.
    pub report: bool,
    /// The plots that become files of their own; the page always has all of its plots.
    pub plots: Plots,
    /// Whether each of these is also written as PNG.
    pub png: bool,
    /// Whether the time series are also written as `openmetrics.txt`, and in which Unix second the run then begins.
    pub openmetrics: Option<u64>,
}

impl Default for Wanted {
    /// Every table but `requests`, the page and all plots.
    fn default() -> Self {
        Self {
            records: Records::default(),
            format: Format::Csv,
            report: true,
            plots: Plots::All,
            png: false,
            openmetrics: None,
        }
    }
}

impl Wanted {
    /// `summary.json` and `scenario.toml` only, for measuring speed.
    pub fn nothing() -> Self {
        let (records, plots) = (Records(BTreeSet::new()), Plots::Only(BTreeSet::new()));
        Self { records, report: false, plots, ..Self::default() }
    }
}

/// How tables are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text, a line a row.
    #[default]
    Csv,
    /// Typed columns, compressed with Snappy.
    Parquet,
}

impl Format {
    /// What the names of its files end in.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// `timeseries.csv`.
    Timeseries,
    /// `requests.csv`.
    Requests,
    /// `waits.csv`.
    Waits,
    /// `jobs.csv`.
    Jobs,
    /// `ledger.csv`.
    Ledger,
    /// `decisions.csv`.
    Decisions,
}

impl Record {
    /// Every table with the name that the command line uses.
    pub const ALL: [(&'static str, Self); 6] = [
        ("timeseries", Self::Timeseries),
        ("requests", Self::Requests),
        ("waits", Self::Waits),
        ("jobs", Self::Jobs),
        ("ledger", Self::Ledger),
        ("decisions", Self::Decisions),
    ];

    /// Whether it has a row a request, which is written while the run goes on.
    pub(super) fn is_written_in_the_run(self) -> bool {
        matches!(self, Self::Requests | Self::Waits)
    }
}

/// Which tables are wanted; reads `all`, `none` or names separated by commas. `waits` is not part of `all`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(pub BTreeSet<Record>);

impl Records {
    /// Whether `record` is wanted.
    pub fn includes(&self, record: Record) -> bool {
        self.0.contains(&record)
    }
}

impl Default for Records {
    /// Every table but `requests` and `waits`, whose size grows with the traffic.
    fn default() -> Self {
        let tables = Record::ALL.iter().map(|(_, record)| *record);
        Self(tables.filter(|record| !record.is_written_in_the_run()).collect())
    }
}

impl FromStr for Records {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known: Vec<&str> = Record::ALL.iter().map(|(name, _)| *name).collect();
        let names = names("table", text, &known)?;
        let named = |name: &str| text.split(',').any(|part| part.trim() == name);
        let wanted = |(name, record): &&(&str, Record)| {
            names.contains(name) && (*record != Record::Waits || named(name))
        };
        Ok(Self(Record::ALL.iter().filter(wanted).map(|(_, record)| *record).collect()))
    }
}

/// Which plots become files; reads `all`, `none` or names separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plots {
    /// Every plot.
    All,
    /// These, by name.
    Only(BTreeSet<String>),
}

impl Plots {
    /// Whether the plot called `name` is wanted.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

impl FromStr for Plots {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known: Vec<&str> = plots::ALL.iter().map(|plot| plot.name).collect();
        let names = names("plot", text, &known)?;
        Ok(if names.len() == known.len() {
            Self::All
        } else {
            Self::Only(names.into_iter().map(str::to_string).collect())
        })
    }
}

/// A name that is not one of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} called `{name}`; did you mean `{nearest}`? (known: {known}, all, none)")]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    nearest: String,
    known: String,
}

fn names<'a>(kind: &'static str, text: &str, known: &[&'a str]) -> Result<BTreeSet<&'a str>, UnknownName> {
    let mut wanted = BTreeSet::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match (name, known.iter().find(|candidate| **candidate == name)) {
            ("all", _) => wanted.extend(known),
            ("none", _) => {}
            (_, Some(known)) => {
                wanted.insert(*known);
            }
            (_, None) => {
                let distance = |candidate: &&&str| strsim::damerau_levenshtein(candidate, name);
                let nearest = known.iter().min_by_key(distance).copied().unwrap_or("all");
                return Err(UnknownName {
                    kind,
                    name: name.to_string(),
                    nearest: nearest.to_string(),
                    known: known.join(", "),
                });
            }
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists() {
        assert_eq!("none".parse::<Records>(), Ok(Records(BTreeSet::new())));
        assert_eq!("jobs, requests".parse(), Ok(Records([Record::Requests, Record::Jobs].into())));
        assert_eq!("all".parse::<Records>().map(|records| records.0.len()), Ok(5));
        assert!(!Records::default().includes(Record::Requests));
        assert!("all, waits".parse::<Records>().is_ok_and(|records| records.includes(Record::Waits)));
        assert_eq!("all".parse(), Ok(Plots::All));
        assert!("rate,queue".parse::<Plots>().is_ok_and(|p| p.includes("rate") && !p.includes("spend")));
        let error = "jbos".parse::<Records>().expect_err("no such table").to_string();
        assert!(error.contains("`jobs`"), "{error}");
    }
}
