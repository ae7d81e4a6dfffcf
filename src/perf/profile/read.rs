//! Reading a profile's table.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::{Axis, Curve, Profile};
use crate::units::Ticks;

/// The columns, all of which must be there, in any order.
const COLUMNS: [&str; 5] = ["kind", "decode_requests", "prefill_tokens", "context_tokens", "iteration_s"];

/// Most of any count, so that sums of their products stay within 128 bits.
const MOST: u64 = 100_000_000;

/// Most seconds of an iteration.
const LONGEST_S: f64 = 3600.0;

/// Least seconds of an iteration, so that rounding to ticks never matters.
const SHORTEST_S: f64 = 1e-6;

/// Most lines that are named one by one.
const EXAMPLES: usize = 5;

/// Why a profile can't be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The file can't be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What is in it is wrong, line by line.
    #[error("{}: {}", file.display(), problems.join("; "))]
    Content {
        /// The file.
        file: PathBuf,
        /// Each with its line.
        problems: Vec<String>,
    },
}

/// What a row measures: how many decoding requests, prompt tokens and tokens of context.
type Point = (u64, u64, u64);

impl Profile {
    /// Reads a CSV file with the columns `kind, decode_requests, prefill_tokens, context_tokens, iteration_s`.
    ///
    /// A row is one measured iteration. `kind` is `decode` (so many requests get a token each, with so many
    /// tokens of context each on average), `prefill` (so many prompt tokens are processed, with so many tokens
    /// in the cache ahead of them) or `mixed` (both at once; the context is the decoding requests'). Counts
    /// that a kind has no use for are empty or 0. `iteration_s` is in seconds. Decode and prefill rows must be
    /// there, mixed ones may. Empty lines and lines that begin with # are left out.
    ///
    /// # Errors
    /// A file that can't be read, and every line that is wrong.
    pub fn read(file: &Path) -> Result<Self, ProfileError> {
        let bytes =
            std::fs::read(file).map_err(|source| ProfileError::Read { file: file.to_owned(), source })?;
        Self::parse(&bytes).map_err(|problems| ProfileError::Content { file: file.to_owned(), problems })
    }

    /// Reads the table from its text; on failure every problem in words.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Vec<String>> {
        let text = std::str::from_utf8(text).map_err(|_| vec!["this is not text in UTF-8".to_owned()])?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = (1u64..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|(number, line)| (number, fields(line)));
        let (at, header) = lines.next().ok_or_else(|| vec!["the file is empty".to_owned()])?;
        let places = columns(at, &header)?;
        let mut problems = Vec::new();
        let mut kinds = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for (line, fields) in lines {
            let row = if fields.len() == header.len() {
                row(&fields, &places)
            } else {
                Err(format!("it has {} fields and the header {}", fields.len(), header.len()))
            };
            match row {
                Ok((kind, point, ticks)) => {
                    if let Some((other, _)) = kinds[kind].insert(point, (line, ticks)) {
                        problems.push(format!("line {line}: it measures the same as line {other}"));
                    }
                }
                Err(why) => problems.push(format!("line {line}: {why}")),
            }
        }
        let [decode, prefill, mixed] = kinds;
        if problems.is_empty() {
            for (kind, rows) in [("decode", &decode), ("prefill", &prefill)] {
                if rows.is_empty() {
                    problems.push(format!("it has no row of kind {kind}"));
                }
            }
        }
        if problems.is_empty() {
            let by_requests = by_first(mixed.iter().map(|(point, (_, ticks))| (*point, *ticks)));
            return Ok(Self {
                decode: curves(
                    decode.iter().map(|((requests, _, context), (_, t))| (*requests, *context, *t)),
                ),
                prefill: curves(prefill.iter().map(|((_, tokens, context), (_, t))| (*tokens, *context, *t))),
                mixed: Axis(by_requests.into_iter().map(|(x, rows)| (x, curves(rows.into_iter()))).collect()),
            });
        }
        let more = problems.len().saturating_sub(EXAMPLES);
        problems.truncate(EXAMPLES);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(problems)
    }
}

/// The fields of a line; they are words and numbers, so that no comma is ever quoted.
fn fields(line: &str) -> Vec<&str> {
    line.split(',').map(|field| field.trim().trim_matches('"')).collect()
}

/// Where each column stands.
fn columns(line: u64, header: &[&str]) -> Result<[usize; 5], Vec<String>> {
    let mut problems = Vec::new();
    for name in header.iter().copied().filter(|name| !COLUMNS.contains(name)) {
        let near = COLUMNS
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .filter(|(distance, _)| *distance <= 3)
            .min();
        let near = near.map(|(_, known)| format!(" (did you mean {known}?)")).unwrap_or_default();
        problems.push(format!("line {line}: there is no column {name:?}{near}"));
    }
    let places = COLUMNS.map(|name| header.iter().position(|column| *column == name));
    for (name, place) in COLUMNS.iter().zip(places) {
        if place.is_none() {
            problems.push(format!("line {line}: the column {name} is missing"));
        }
    }
    if problems.is_empty() {
        return Ok(places.map(|place| place.unwrap_or_default()));
    }
    problems.push(format!("the columns are {}", COLUMNS.join(", ")));
    Err(problems)
}

/// A row: the number of its kind, what it measures, and ticks.
fn row(record: &[&str], places: &[usize; 5]) -> Result<(usize, Point, i128), String> {
    let field = |column: usize| record.get(places[column]).copied().unwrap_or_default();
    let kind = match field(0) {
        "decode" => 0,
        "prefill" => 1,
        "mixed" => 2,
        other => return Err(format!("kind is {other:?}; it is decode, prefill or mixed")),
    };
    let count = |column: usize| match field(column) {
        "" => Ok(0),
        text => match text.parse::<u64>() {
            Ok(number) if number <= MOST => Ok(number),
            _ => Err(format!("{} is {text:?}; it is a whole number up to {MOST}", COLUMNS[column])),
        },
    };
    let point = (count(1)?, count(2)?, count(3)?);
    let needs = |column: usize, number: u64, wanted: bool| match (number > 0, wanted) {
        (true, true) | (false, false) => Ok(()),
        (false, _) => Err(format!("{} must be above 0 in a row of kind {}", COLUMNS[column], field(0))),
        (true, _) => Err(format!("{} must be 0 or empty in a row of kind {}", COLUMNS[column], field(0))),
    };
    needs(1, point.0, kind != 1)?;
    needs(2, point.1, kind != 0)?;
    match field(4).parse::<f64>() {
        Ok(seconds) if (SHORTEST_S..=LONGEST_S).contains(&seconds) => {
            Ok((kind, point, Ticks::from_secs_f64(seconds).0 as i128))
        }
        _ => {
            Err(format!("iteration_s is {:?}; it is in seconds, from {SHORTEST_S} to {LONGEST_S}", field(4)))
        }
    }
}

fn by_first<T>(rows: impl Iterator<Item = ((u64, u64, u64), T)>) -> BTreeMap<u64, Vec<(u64, u64, T)>> {
    let mut grouped: BTreeMap<u64, Vec<(u64, u64, T)>> = BTreeMap::new();
    for ((first, second, third), value) in rows {
        grouped.entry(first).or_default().push((second, third, value));
    }
    grouped
}

fn curves(rows: impl Iterator<Item = (u64, u64, i128)>) -> Axis<Curve> {
    let mut grouped: BTreeMap<u64, Vec<(u64, i128)>> = BTreeMap::new();
    for (x, context, ticks) in rows {
        grouped.entry(x).or_default().push((context, ticks));
    }
    Axis(grouped.into_iter().map(|(x, points)| (x, Curve(points))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_lines() {
        let header = "kind,decode_requests,prefill_tokens,context_tokens,iteration_s\n";
        let tables = [
            "kind,decode_request,prefill_tokens,context_tokens\n".to_owned(),
            format!(
                "{header}# a comment\ndecode,0,0,5,0.1\nprefil,1,0,5,0.1\nprefill,1,5,5,0.1\nmixed,1,,5,0.1\n\
                 decode,1,0,5,-0.1\ndecode,1,0,x,0.1\ndecode,1,0\n"
            ),
            format!("{header}decode,1,0,5,0.1\ndecode,1,,5,0.2\n"),
            format!("{header}decode,1,0,5,0.1\n"),
            header.to_owned(),
        ];
        let texts = tables.map(|table| Profile::parse(table.as_bytes()).expect_err("refused").join("\n"));
        insta::assert_snapshot!(texts.join("\n--\n"));
    }
}
