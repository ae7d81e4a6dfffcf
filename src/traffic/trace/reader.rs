//! Reads a trace row by row, in whatever format, and checks it on the way.

use std::io::{BufRead, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::fields::{self, Wrong};
use super::{TraceFormat, open};
use crate::traffic::{BlockHashes, TrafficError};
use crate::units::Duration;

/// One request of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRow {
    /// When it arrived, in trace time: since the first row, or as `arrival_s` says.
    pub at: Duration,
    /// Tokens in its prompt.
    pub prompt_tokens: u32,
    /// Tokens that it generated.
    pub output_tokens: u32,
    /// The session it belongs to, where the trace says.
    pub session: Option<u64>,
    /// The hashes of its prompt's blocks, where the trace has them.
    pub blocks: Option<BlockHashes>,
}

/// Reads a trace from front to back in constant memory.
pub struct TraceReader {
    file: PathBuf,
    format: TraceFormat,
    rows: Rows,
    /// Only this stream's rows.
    stream: Option<String>,
    first_ns: Option<i64>,
    last_ns: i64,
    /// Rows read, those left out included.
    rows_read: u64,
    rows_given: u64,
    failed: u64,
}

enum Rows {
    Csv { reader: csv::Reader<Box<dyn BufRead + Send>>, record: csv::StringRecord, columns: Columns },
    JsonLines { reader: Box<dyn BufRead + Send>, text: Vec<u8>, line: u64 },
}

/// Where the columns are.
#[derive(Debug, Clone, Copy, Default)]
struct Columns {
    time: usize,
    prompt: usize,
    output: usize,
    stream: Option<usize>,
    session: Option<usize>,
    count: usize,
}

/// The names of a format's columns: time, prompt, output.
const fn column_names(format: TraceFormat) -> [&'static str; 3] {
    match format {
        TraceFormat::AzureLlm2023 => ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
        TraceFormat::BurstGpt => ["Timestamp", "Request tokens", "Response tokens"],
        TraceFormat::Mooncake => ["timestamp", "input_length", "output_length"],
        TraceFormat::Csv => ["arrival_s", "prompt_tokens", "output_tokens"],
    }
}

/// A row as it stands in the file.
struct RawRow {
    time_ns: i64,
    prompt_tokens: u32,
    output_tokens: u32,
    session: Option<u64>,
    blocks: Option<BlockHashes>,
}

/// A line of a Mooncake trace.
#[derive(Deserialize)]
struct MooncakeLine {
    timestamp: serde_json::Number,
    input_length: i64,
    output_length: i64,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

impl std::fmt::Debug for TraceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceReader").field("file", &self.file).field("rows_read", &self.rows_read).finish()
    }
}

impl TraceReader {
    /// Opens `file` and reads its header. Without `format` the header says which it is. With `stream`, only
    /// the rows are given whose column `stream` says so.
    ///
    /// # Errors
    /// When the file cannot be opened, is empty, or its header is not that of the format.
    pub fn open(
        file: &Path,
        format: Option<TraceFormat>,
        stream: Option<&str>,
    ) -> Result<Self, TrafficError> {
        let mut reader = open(file)?;
        let content = |what: String, help: String| TrafficError::Content {
            file: file.to_owned(),
            line: 1,
            column: None,
            what,
            help,
        };
        let first = first_byte(&mut reader).map_err(|source| read_error(file, 1, source))?;
        let Some(first) = first else {
            return Err(content(
                "the file is empty".to_owned(),
                "give a file with a request a row".to_owned(),
            ));
        };
        let (format, rows) = if first == b'{' {
            if let Some(other) = format.filter(|format| *format != TraceFormat::Mooncake) {
                return Err(content(
                    format!("the file has JSON lines, which {other} has not"),
                    format!("give the format {}", TraceFormat::Mooncake),
                ));
            }
            (TraceFormat::Mooncake, Rows::JsonLines { reader, text: Vec::new(), line: 0 })
        } else {
            if format == Some(TraceFormat::Mooncake) {
                return Err(content(
                    "the line is no JSON object, which every line of a Mooncake trace is".to_owned(),
                    "give the right format, or none so that it is told from the header".to_owned(),
                ));
            }
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .trim(csv::Trim::All)
                .from_reader(reader);
            let mut record = csv::StringRecord::new();
            reader.read_record(&mut record).map_err(|error| csv_error(file, &error, 1))?;
            let (format, columns) = header(&record, format).map_err(|(what, help)| content(what, help))?;
            (format, Rows::Csv { reader, record, columns })
        };
        if stream.is_some() && !matches!(&rows, Rows::Csv { columns: Columns { stream: Some(_), .. }, .. }) {
            return Err(content(
                "there is no column `stream` to choose rows by".to_owned(),
                "leave the stream's name out to take all rows".to_owned(),
            ));
        }
        Ok(Self {
            file: file.to_owned(),
            format,
            rows,
            stream: stream.map(str::to_owned),
            first_ns: None,
            last_ns: i64::MIN,
            rows_read: 0,
            rows_given: 0,
            failed: 0,
        })
    }

    /// The format, as given or as the header told it.
    pub fn format(&self) -> TraceFormat {
        self.format
    }

    /// Rows left out so far because the request had failed (BurstGPT: no response tokens).
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// The line last read, counted from 1.
    pub fn line(&self) -> u64 {
        match &self.rows {
            Rows::Csv { record, .. } => record.position().map_or(1, csv::Position::line),
            Rows::JsonLines { line, .. } => *line,
        }
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// When the file cannot be read on, ends in the middle of a row, has a value that cannot be, is not in
    /// order of time, or had no row at all.
    pub fn next_row(&mut self) -> Result<Option<TraceRow>, TrafficError> {
        loop {
            if !self.read_line()? {
                self.check_end()?;
                return Ok(None);
            }
            self.rows_read += 1;
            if !self.is_wanted() {
                continue;
            }
            let row = self.parse().map_err(|(column, wrong)| self.content(column, wrong.what, wrong.help))?;
            let [time_column, ..] = column_names(self.format);
            if row.time_ns < self.last_ns {
                let back = (self.last_ns - row.time_ns) as f64 / 1e9;
                return Err(self.content(
                    Some(time_column),
                    format!("the row is {back} s earlier than the one before"),
                    "sort the file by time",
                ));
            }
            self.last_ns = row.time_ns;
            let origin = match self.format {
                TraceFormat::Csv => 0,
                _ => *self.first_ns.get_or_insert(row.time_ns),
            };
            if row.output_tokens == 0 {
                self.failed += 1;
                continue;
            }
            self.rows_given += 1;
            return Ok(Some(TraceRow {
                at: Duration::from_nanos((row.time_ns - origin) as u64),
                prompt_tokens: row.prompt_tokens,
                output_tokens: row.output_tokens,
                session: row.session,
                blocks: row.blocks,
            }));
        }
    }

    /// Reads the next line that is not blank; false at the end.
    fn read_line(&mut self) -> Result<bool, TrafficError> {
        match &mut self.rows {
            Rows::Csv { reader, record, .. } => {
                let line = reader.position().line();
                reader.read_record(record).map_err(|error| csv_error(&self.file, &error, line))
            }
            Rows::JsonLines { reader, text, line } => loop {
                text.clear();
                *line += 1;
                let read =
                    reader.read_until(b'\n', text).map_err(|error| read_error(&self.file, *line, error))?;
                if read == 0 {
                    return Ok(false);
                }
                if !text.trim_ascii().is_empty() {
                    return Ok(true);
                }
            },
        }
    }

    /// Whether the row just read is of the stream asked for.
    fn is_wanted(&self) -> bool {
        match (&self.stream, &self.rows) {
            (Some(wanted), Rows::Csv { record, columns, .. }) => {
                columns.stream.and_then(|column| record.get(column)) == Some(wanted)
            }
            _ => true,
        }
    }

    fn parse(&self) -> Result<RawRow, (Option<&'static str>, Wrong)> {
        let [time, prompt, output] = column_names(self.format);
        let at = |column: &'static str| move |wrong: Wrong| (Some(column), wrong);
        match &self.rows {
            Rows::Csv { record, columns, .. } => {
                if record.len() != columns.count {
                    let what = format!("the row has {} columns, the header {}", record.len(), columns.count);
                    return Err((
                        None,
                        Wrong { what, help: "the file may be cut off here: complete or remove the row" },
                    ));
                }
                let time_ns = match self.format {
                    TraceFormat::AzureLlm2023 => fields::date_time(&record[columns.time]),
                    _ => fields::seconds(&record[columns.time]),
                };
                // BurstGPT keeps failed requests with no response, and with whatever prompt was counted.
                let least = u32::from(self.format != TraceFormat::BurstGpt);
                let output_tokens = fields::tokens(&record[columns.output], least).map_err(at(output))?;
                Ok(RawRow {
                    time_ns: time_ns.map_err(at(time))?,
                    prompt_tokens: fields::tokens(&record[columns.prompt], output_tokens.min(1))
                        .map_err(at(prompt))?,
                    output_tokens,
                    session: columns.session.and_then(|column| fields::session(&record[column])),
                    blocks: None,
                })
            }
            Rows::JsonLines { text, .. } => {
                let line: MooncakeLine = serde_json::from_slice(text).map_err(|error| {
                    let help = if error.is_eof() {
                        "the line ends too early, the file may be cut off here: complete or remove it"
                    } else {
                        "a line has timestamp, input_length, output_length and hash_ids"
                    };
                    (None, Wrong { what: format!("the line is not a Mooncake request: {error}"), help })
                })?;
                Ok(RawRow {
                    time_ns: fields::milliseconds(&line.timestamp).map_err(at(time))?,
                    prompt_tokens: fields::tokens_in_range(line.input_length, 1).map_err(at(prompt))?,
                    output_tokens: fields::tokens_in_range(line.output_length, 1).map_err(at(output))?,
                    session: None,
                    blocks: (!line.hash_ids.is_empty()).then(|| BlockHashes(Arc::from(line.hash_ids))),
                })
            }
        }
    }

    /// At the end: that there was something.
    fn check_end(&self) -> Result<(), TrafficError> {
        if self.rows_given > 0 {
            return Ok(());
        }
        let (what, help) = match &self.stream {
            _ if self.rows_read == 0 => {
                ("there are no rows after the header".to_owned(), "give a file with a request a row")
            }
            Some(stream) => {
                (format!("no row is of stream `{stream}`"), "check the names in the column `stream`")
            }
            None => (
                format!("all {} requests failed: none has response tokens", self.failed),
                "give a file with requests that were answered",
            ),
        };
        Err(self.content(None, what, help))
    }

    /// An error at the line last read.
    pub(super) fn content(&self, column: Option<&str>, what: String, help: &str) -> TrafficError {
        TrafficError::Content {
            file: self.file.clone(),
            line: self.line().max(1),
            column: column.map(str::to_owned),
            what,
            help: help.to_owned(),
        }
    }
}

/// The first byte that is no white space and no byte order mark, which are skipped.
fn first_byte(reader: &mut Box<dyn BufRead + Send>) -> std::io::Result<Option<u8>> {
    if reader.fill_buf()?.starts_with(&[0xef, 0xbb, 0xbf]) {
        reader.consume(3);
    }
    let first = reader.fill_buf()?.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    Ok(first)
}

fn read_error(file: &Path, line: u64, source: std::io::Error) -> TrafficError {
    let help = match source.kind() {
        ErrorKind::UnexpectedEof => "the compressed file is cut off: get it again",
        ErrorKind::InvalidInput | ErrorKind::InvalidData => "the compressed file is damaged: get it again",
        _ => "check the disk",
    };
    TrafficError::Read { file: file.to_owned(), line, source, help }
}

pub(in crate::traffic) fn csv_error(file: &Path, error: &csv::Error, line: u64) -> TrafficError {
    let line = error.position().map_or(line, csv::Position::line).max(1);
    match error.kind() {
        csv::ErrorKind::Io(source) => {
            read_error(file, line, std::io::Error::new(source.kind(), source.to_string()))
        }
        _ => TrafficError::Content {
            file: file.to_owned(),
            line,
            column: None,
            what: "the line is not text in UTF-8".to_owned(),
            help: "this may be another kind of file; give CSV or JSON lines".to_owned(),
        },
    }
}

/// The format and its columns by the header; otherwise what is wrong and what to do.
fn header(
    record: &csv::StringRecord,
    format: Option<TraceFormat>,
) -> Result<(TraceFormat, Columns), (String, String)> {
    let place = |name: &str| record.iter().position(|column| column == name);
    let shown = || record.iter().take(8).collect::<Vec<_>>().join(",");
    let by_header = [TraceFormat::AzureLlm2023, TraceFormat::BurstGpt, TraceFormat::Csv]
        .into_iter()
        .map(|format| (column_names(format).iter().filter(|name| place(name).is_some()).count(), format))
        .filter(|(found, _)| *found > 0)
        .max_by_key(|(found, format)| (*found, std::cmp::Reverse(*format)))
        .map(|(_, format)| format);
    let Some(format) = format.or(by_header) else {
        let nearest = nearest_column(record, &TraceFormat::ALL.map(column_names).concat());
        return Err((
            format!("the header `{}` is that of no known format{nearest}", shown()),
            "give a CSV with the columns arrival_s,prompt_tokens,output_tokens, or one of azure-llm-2023 \
             (TIMESTAMP,ContextTokens,GeneratedTokens), burstgpt (Timestamp,Request tokens,Response tokens), \
             mooncake (JSON lines)"
                .to_owned(),
        ));
    };
    let [time, prompt, output] = column_names(format);
    let find = |name: &'static str| {
        place(name).ok_or_else(|| {
            let others = TraceFormat::ALL
                .into_iter()
                .filter(|other| {
                    *other != format && column_names(*other).iter().all(|name| place(name).is_some())
                })
                .map(|other| format!(", or give the format {other}, which the header fits"))
                .collect::<String>();
            (
                format!("the header `{}` has no column `{name}`{}", shown(), nearest_column(record, &[name])),
                format!("{format} has the columns {time},{prompt},{output}: add or rename it{others}"),
            )
        })
    };
    let columns = Columns {
        time: find(time)?,
        prompt: find(prompt)?,
        output: find(output)?,
        stream: if format == TraceFormat::Csv { place("stream") } else { None },
        session: match format {
            TraceFormat::Csv => place("session"),
            TraceFormat::BurstGpt => place("Session ID"),
            _ => None,
        },
        count: record.len(),
    };
    Ok((format, columns))
}

/// `; is X meant to be Y?` for the column whose name is nearest to one of `names`.
fn nearest_column(record: &csv::StringRecord, names: &[&str]) -> String {
    record
        .iter()
        .flat_map(|column| names.iter().map(move |name| (column, *name)))
        .map(|(column, name)| {
            (strsim::jaro_winkler(&column.to_lowercase(), &name.to_lowercase()), column, name)
        })
        .filter(|(likeness, ..)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, column, name)| format!("; is `{column}` meant to be `{name}`?"))
        .unwrap_or_default()
}
