//! What is written and shown after a run: tables, plots, the page and the summary on the terminal. Its only
//! input is [`RunResults`]; nothing here changes a figure, and the same results give the same bytes.

pub mod export;
pub mod format;
pub mod html;
pub mod plots;
mod png;
mod save;
mod terminal;
mod verdict;
mod wanted;

use std::io;
use std::path::{Path, PathBuf};

use crate::metrics::results::RunResults;

pub use export::requests::{RequestRow, RequestsCsv};
pub use export::waits::WaitsCsv;
pub use terminal::terminal_summary;
pub use wanted::{Format, Plots, Record, Records, UnknownName, Wanted};

use save::Saver;

/// The files that were written, in order.
pub type Written = Vec<PathBuf>;

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder cannot be created or written into.
    #[error(
        "cannot write into the folder {}: {cause}\n  nothing was written; name another folder with --out",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}\n  {}", path.display(), kept_in_words(kept))]
    Write {
        /// The file.
        path: PathBuf,
        /// The files that were written before it, complete and readable.
        kept: Vec<PathBuf>,
        /// What the system said.
        cause: io::Error,
    },
    /// A table that is written in the run, `requests.csv` or `waits.csv`, cannot be continued.
    #[error(
        "cannot write {}: {cause}\n  it failed at row {rows}; earlier rows are readable, the last may be cut; \
         free space, name another folder with --out, or leave the table out in --records",
        path.display()
    )]
    Requests {
        /// The file.
        path: PathBuf,
        /// The row that failed, counted from 1.
        rows: u64,
        /// What the system said.
        cause: io::Error,
    },
}

impl ReportError {
    pub(crate) fn write(path: &Path, kept: &[PathBuf], cause: io::Error) -> Self {
        Self::Write { path: path.to_path_buf(), kept: kept.to_vec(), cause }
    }

    pub(crate) fn folder(path: &Path, cause: io::Error) -> Self {
        Self::Folder { path: path.to_path_buf(), cause }
    }
}

fn kept_in_words(kept: &[PathBuf]) -> String {
    if kept.is_empty() {
        return "it is the first of the files, none after it was written; free space or name another folder with \
                --out"
            .to_string();
    }
    let names: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
    format!("complete and readable: {}; free space or name another folder with --out", names.join(", "))
}

/// Creates the folder `out` where it is missing and tries whether files can be written into it, so that one
/// that cannot be written is known before a run.
///
/// # Errors
/// [`ReportError::Folder`].
pub fn prepare_folder(out: &Path) -> Result<(), ReportError> {
    Saver::new(out)?.probe()
}

/// Removes the files of an earlier run; of this one's, its tables of requests are already there.
fn discard_earlier(saver: &Saver, wanted: &Wanted) {
    for (name, record) in Record::ALL {
        let here = record.is_written_in_the_run() && wanted.records.includes(record);
        for format in [Format::Csv, Format::Parquet] {
            if !(here && format == wanted.format) {
                saver.discard(&format!("{name}.{}", format.extension()));
            }
        }
    }
    for plot in &plots::ALL {
        ["svg", "png"].iter().for_each(|kind| saver.discard(&format!("plots/{}.{kind}", plot.name)));
    }
    let files = [
        "summary.json",
        "scenario.toml",
        "report.html",
        "openmetrics.txt",
        "job_waits.csv",
        "job_waits.parquet",
    ];
    files.iter().for_each(|name| saver.discard(name));
}

/// Writes one file into the folder `out`, which is created where it is missing. It appears under its name only
/// when it is complete.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_file(out: &Path, name: &str, contents: &str) -> Result<PathBuf, ReportError> {
    Saver::new(out)?.save(name, |file| file.write_all(contents.as_bytes()))?;
    Ok(out.join(name))
}

/// Writes what is wanted of a run into the folder `out`, which is created where it is missing.
///
/// `summary.json` comes first, then `scenario.toml` (`resolved_scenario_toml` as it is), the page, the plots
/// and the tables, the smallest first: what a disk that fills up leaves is the most telling. A file appears
/// under its name only when it is complete. `requests.csv` is not written here: see [`RequestsCsv`]. What an
/// earlier run left under the names of this one's files is taken away first, so that no table speaks of
/// another run than the summary beside it.
///
/// # Errors
/// At the first file that cannot be written; the error names it and the files that are complete.
pub fn write_all(
    results: &RunResults,
    resolved_scenario_toml: &str,
    out: &Path,
    wanted: &Wanted,
) -> Result<Written, ReportError> {
    let mut saver = Saver::new(out)?;
    discard_earlier(&saver, wanted);
    saver.save("summary.json", |file| export::summary::write(&results.summary, file))?;
    saver.save("scenario.toml", |file| file.write_all(resolved_scenario_toml.as_bytes()))?;
    if wanted.report {
        let page = html::page(results).map_err(io::Error::other);
        saver.save("report.html", |file| file.write_all(page?.as_bytes()))?;
    }
    for plot in plots::ALL.iter().filter(|plot| wanted.plots.includes(plot.name)) {
        let svg = plot.svg(results).map_err(io::Error::other);
        let png = wanted.png.then(|| match &svg {
            Ok(svg) => png::draw(svg).map_err(io::Error::other),
            Err(error) => Err(io::Error::other(error.to_string())),
        });
        saver.save(&format!("plots/{}.svg", plot.name), |file| file.write_all(svg?.as_bytes()))?;
        if let Some(png) = png {
            saver.save(&format!("plots/{}.png", plot.name), |file| file.write_all(&png?))?;
        }
    }
    let records = &wanted.records;
    if records.includes(Record::Jobs) {
        let (jobs, waits) = (&results.jobs, &results.job_waits);
        saver.save("jobs.csv", |file| export::jobs::write(jobs, waits, file))?;
        if records.includes(Record::Waits) {
            saver.save("job_waits.csv", |file| export::jobs::write_waits(jobs, waits, file))?;
        }
    }
    if records.includes(Record::Decisions) {
        saver.save("decisions.csv", |file| export::decisions::write(&results.decisions, file))?;
    }
    if records.includes(Record::Ledger) {
        saver.save("ledger.csv", |file| export::ledger::write(&results.ledger, file))?;
    }
    if records.includes(Record::Timeseries) {
        saver.save("timeseries.csv", |file| export::timeseries::write(&results.timeseries, file))?;
    }
    if wanted.format == Format::Parquet {
        for path in saver.written.iter_mut().filter(|path| path.extension().is_some_and(|kind| kind == "csv"))
        {
            *path = export::parquet::replace(path)?;
        }
    }
    if let Some(start) = wanted.openmetrics {
        saver.save("openmetrics.txt", |file| export::openmetrics::write(results, start, file))?;
    }
    Ok(saver.written)
}
