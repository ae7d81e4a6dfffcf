//! Lengths from files.

use std::path::Path;

use super::MAX_TOKENS;
use crate::traffic::TrafficError;
use crate::traffic::trace::{TraceFormat, TraceReader, csv_error, open, tokens};

/// What an empirical file has.
#[derive(Debug)]
pub(super) enum Empirical {
    /// Values to resample.
    Values(Vec<u32>),
    /// (quantile, tokens), both rising.
    Quantiles(Vec<(f64, f64)>),
}

/// Most values or pairs that are kept in memory to be resampled.
const ROWS_MAX: usize = 20_000_000;

/// Pairs of prompt and output tokens from a trace.
pub(super) fn pairs(file: &Path, format: Option<TraceFormat>) -> Result<Vec<(u32, u32)>, TrafficError> {
    let mut reader = TraceReader::open(file, format, None)?;
    let mut pairs = Vec::new();
    while let Some(row) = reader.next_row()? {
        check_room(file, pairs.len(), reader.line())?;
        pairs.push((row.prompt_tokens, row.output_tokens));
    }
    Ok(pairs)
}

fn check_room(file: &Path, rows: usize, line: u64) -> Result<(), TrafficError> {
    if rows < ROWS_MAX {
        return Ok(());
    }
    let what = format!("there are more than {ROWS_MAX} rows, which would fill the memory");
    Err(content(file, line, None, what, "resample from a part of the file"))
}

fn content(file: &Path, line: u64, column: Option<&str>, what: String, help: &str) -> TrafficError {
    let (file, column) = (file.to_owned(), column.map(str::to_owned));
    TrafficError::Content { file, line: line.max(1), column, what, help: help.to_owned() }
}

/// Reads raw values or a quantile table: see [`super::LengthDist::Empirical`].
pub(super) fn empirical(file: &Path, column: Option<&str>) -> Result<Empirical, TrafficError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(open(file)?);
    let mut record = csv::StringRecord::new();
    let mut line = 1;
    if !reader.read_record(&mut record).map_err(|error| csv_error(file, &error, 1))? {
        return Err(content(file, 1, None, "the file is empty".to_owned(), "give a length a row"));
    }
    let header = record.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    if let (Some(quantile), Some(value), None) = (place("quantile"), place("tokens"), column) {
        return quantiles(file, reader, quantile, value);
    }
    let (value, name) = match column {
        Some(name) => match place(name) {
            Some(value) => (value, Some(name)),
            None => {
                let known = header.iter().take(12).collect::<Vec<_>>().join(", ");
                let what = format!("there is no column `{name}`");
                return Err(content(file, 1, None, what, &format!("take one of: {known}")));
            }
        },
        None if header.len() == 1 => (0, None),
        None => {
            let known = header.iter().take(12).collect::<Vec<_>>().join(", ");
            let what = format!("the file has {} columns ({known})", header.len());
            return Err(content(file, 1, None, what, "say with `column` which of them has the lengths"));
        }
    };
    let mut values = Vec::new();
    // A single column may begin with a value instead of a name.
    if name.is_none() && record[0].parse::<f64>().is_ok() {
        values.push(tokens(&record[0], 1).map_err(|wrong| content(file, 1, None, wrong.what, wrong.help))?);
    }
    while reader.read_record(&mut record).map_err(|error| csv_error(file, &error, line))? {
        line = record.position().map_or(line + 1, csv::Position::line);
        check_room(file, values.len(), line)?;
        let field = field(file, &record, value, header.len(), line)?;
        values.push(tokens(field, 1).map_err(|wrong| content(file, line, name, wrong.what, wrong.help))?);
    }
    if values.is_empty() {
        return Err(content(
            file,
            1,
            None,
            "there are no rows after the header".to_owned(),
            "give a length a row",
        ));
    }
    Ok(Empirical::Values(values))
}

fn field<'a>(
    file: &Path,
    record: &'a csv::StringRecord,
    column: usize,
    count: usize,
    line: u64,
) -> Result<&'a str, TrafficError> {
    if record.len() == count {
        return Ok(&record[column]);
    }
    let what = format!("the row has {} columns, the first one {count}", record.len());
    Err(content(file, line, None, what, "the file may be cut off here: complete or remove the row"))
}

fn quantiles(
    file: &Path,
    mut reader: csv::Reader<impl std::io::Read>,
    quantile: usize,
    value: usize,
) -> Result<Empirical, TrafficError> {
    let mut table: Vec<(f64, f64)> = Vec::new();
    let mut record = csv::StringRecord::new();
    let mut line = 1;
    while reader.read_record(&mut record).map_err(|error| csv_error(file, &error, line))? {
        line = record.position().map_or(line + 1, csv::Position::line);
        let number = |column: usize, name: &str, highest: f64| {
            let text = record.get(column).unwrap_or_default();
            let number: Option<f64> = text.parse().ok();
            number.filter(|number| (0.0..=highest).contains(number)).ok_or_else(|| {
                let what = format!("`{text}` is not a number from 0 to {highest}");
                content(file, line, Some(name), what, "write quantiles as 0.99, lengths in tokens")
            })
        };
        let entry = (number(quantile, "quantile", 1.0)?, number(value, "tokens", f64::from(MAX_TOKENS))?);
        if let Some(last) = table.last()
            && (entry.0 <= last.0 || entry.1 < last.1)
        {
            let what = format!(
                "quantile {} with {} tokens does not rise from {} with {}",
                entry.0, entry.1, last.0, last.1
            );
            return Err(content(
                file,
                line,
                None,
                what,
                "put the quantiles in order; their lengths cannot fall",
            ));
        }
        table.push(entry);
    }
    if table.len() < 2 {
        let what = format!("the quantile table has {} rows", table.len());
        return Err(content(file, line, None, what, "give two quantiles or more"));
    }
    Ok(Empirical::Quantiles(table))
}
