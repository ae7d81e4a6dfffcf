//! Lengths from files.

use std::path::Path;

use super::MAX_TOKENS;
use crate::traffic::TrafficError;
use crate::traffic::trace::{Lines, TraceFormat, TraceReader, tokens};

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
const TOO_MANY: &str = "resample from a part of the file";

/// Pairs of prompt and output tokens from a trace.
pub(super) fn pairs(file: &Path, format: Option<TraceFormat>) -> Result<Vec<(u32, u32)>, TrafficError> {
    let mut reader = TraceReader::open(file, format, None)?;
    let mut pairs = Vec::new();
    while let Some(row) = reader.next_row()? {
        if pairs.len() == ROWS_MAX {
            return Err(reader.content(None, too_many(), TOO_MANY));
        }
        pairs.push((row.prompt_tokens, row.output_tokens));
    }
    Ok(pairs)
}

fn too_many() -> String {
    format!("there are more than {ROWS_MAX} rows, which would fill the memory")
}

/// Reads raw values or a quantile table: see [`super::LengthDist::Empirical`].
pub(super) fn empirical(file: &Path, column: Option<&str>) -> Result<Empirical, TrafficError> {
    let mut lines = Lines::open(file)?;
    if !lines.next()? {
        return Err(lines.wrong(None, "the file is empty".to_owned(), "give a length a row"));
    }
    lines.split()?;
    let header = lines.fields();
    let place = |name: &str| header.iter().position(|column| column == name);
    if let (Some(quantile), Some(value), None) = (place("quantile"), place("tokens"), column) {
        return quantiles(lines, quantile, value);
    }
    let known = header.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    let value = match column {
        Some(name) => place(name).ok_or_else(|| {
            lines.wrong(None, format!("there is no column `{name}`"), &format!("take one of: {known}"))
        })?,
        None if header.len() == 1 => 0,
        None => {
            let what = format!("the file has {} columns ({known})", header.len());
            return Err(lines.wrong(None, what, "say with `column` which of them has the lengths"));
        }
    };
    let mut values = Vec::new();
    // A single column may begin with a value instead of a name.
    let mut is_value = column.is_none() && header[0].parse::<f64>().is_ok();
    loop {
        if is_value {
            if values.len() == ROWS_MAX {
                return Err(lines.wrong(None, too_many(), TOO_MANY));
            }
            values.push(
                tokens(lines.field(value), 1).map_err(|wrong| lines.wrong(column, wrong.what, wrong.help))?,
            );
        }
        if !lines.next()? {
            break;
        }
        check_columns(&mut lines, header.len())?;
        is_value = true;
    }
    if values.is_empty() {
        return Err(lines.wrong(
            None,
            "there are no rows after the header".to_owned(),
            "give a length a row",
        ));
    }
    Ok(Empirical::Values(values))
}

fn check_columns(lines: &mut Lines, count: usize) -> Result<(), TrafficError> {
    let found = lines.split()?;
    if found == count {
        return Ok(());
    }
    let what = format!("the row has {found} columns, the first one {count}");
    Err(lines.wrong(None, what, "the file may be cut off here: complete or remove the row"))
}

fn quantiles(mut lines: Lines, quantile: usize, value: usize) -> Result<Empirical, TrafficError> {
    let count = lines.fields().len();
    let mut table: Vec<(f64, f64)> = Vec::new();
    while lines.next()? {
        check_columns(&mut lines, count)?;
        let number = |column: usize, name: &str, highest: f64| {
            let text = lines.field(column);
            let number: Option<f64> = text.parse().ok();
            number.filter(|number| (0.0..=highest).contains(number)).ok_or_else(|| {
                let what = format!("`{text}` is not a number from 0 to {highest}");
                lines.wrong(Some(name), what, "write quantiles as 0.99, lengths in tokens")
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
            return Err(lines.wrong(None, what, "put the quantiles in order; their lengths cannot fall"));
        }
        table.push(entry);
    }
    if table.len() < 2 {
        let what = format!("the quantile table has only {} row", table.len());
        return Err(lines.wrong(None, what, "give two quantiles or more"));
    }
    Ok(Empirical::Quantiles(table))
}
