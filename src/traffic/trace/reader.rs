//! Reads a trace row by row, in whatever format, and checks it on the way.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::TraceFormat;
use super::fields::{self, Wrong};
use super::header::{self, Columns, column_names};
use super::lines::Lines;
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
    lines: Lines,
    format: TraceFormat,
    /// `None` for JSON lines.
    columns: Option<Columns>,
    /// JSON lines have no header: the first line has been read already.
    line_is_read: bool,
    /// Only this stream's rows.
    stream: Option<String>,
    first_ns: Option<i64>,
    last_ns: i64,
    /// Rows read, those left out included.
    rows_read: u64,
    rows_given: u64,
    failed: u64,
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
#[serde(expecting = "an object")]
struct MooncakeLine {
    timestamp: serde_json::Number,
    input_length: i64,
    output_length: i64,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

impl std::fmt::Debug for TraceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TraceReader").field("line", &self.line()).finish_non_exhaustive()
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
        let mut lines = Lines::open(file)?;
        if !lines.next()? {
            return Err(lines.wrong(
                None,
                "the file is empty".to_owned(),
                "give a file with a request a row",
            ));
        }
        let is_json = lines.text().starts_with('{');
        let (format, columns) = match format {
            Some(other) if is_json && other != TraceFormat::Mooncake => {
                let what = format!("the file has JSON lines, which {other} has not");
                return Err(lines.wrong(None, what, "give the format mooncake"));
            }
            Some(TraceFormat::Mooncake) if !is_json => {
                let what = "the line is no JSON object, which every line of a Mooncake trace is".to_owned();
                let help = "give the right format, or none so that it is told from the header";
                return Err(lines.wrong(None, what, help));
            }
            _ if is_json => (TraceFormat::Mooncake, None),
            _ => {
                lines.split()?;
                let (format, columns) = header::read(&lines.fields(), format)
                    .map_err(|wrong| lines.wrong(None, wrong.what, &wrong.help))?;
                (format, Some(columns))
            }
        };
        if stream.is_some() && columns.is_none_or(|columns| columns.stream.is_none()) {
            let what = "there is no column `stream` to choose rows by".to_owned();
            return Err(lines.wrong(None, what, "leave the stream's name out to take all rows"));
        }
        Ok(Self {
            lines,
            format,
            columns,
            line_is_read: is_json,
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
        self.lines.number()
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// When the file cannot be read on, ends in the middle of a row, has a value that cannot be, is not in
    /// order of time, or had no row at all.
    pub fn next_row(&mut self) -> Result<Option<TraceRow>, TrafficError> {
        loop {
            if !std::mem::take(&mut self.line_is_read) && !self.lines.next()? {
                self.check_end()?;
                return Ok(None);
            }
            self.rows_read += 1;
            let Some(row) = self.parse()? else { continue };
            if row.time_ns < self.last_ns {
                let back = (self.last_ns - row.time_ns) as f64 / 1e9;
                let what = format!("the row is {back} s earlier than the one before");
                let [time, ..] = column_names(self.format);
                return Err(self.lines.wrong(Some(time), what, "sort the file by time"));
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

    /// The line's row; `None` when it is of another stream.
    fn parse(&mut self) -> Result<Option<RawRow>, TrafficError> {
        let Some(columns) = self.columns else { return self.parse_mooncake().map(Some) };
        let count = self.lines.split()?;
        if count != columns.count {
            let what = format!("the row has {count} columns, the header {}", columns.count);
            let help = "the file may be cut off here: complete or remove the row";
            return Err(self.lines.wrong(None, what, help));
        }
        let lines = &self.lines;
        if let (Some(wanted), Some(column)) = (&self.stream, columns.stream)
            && lines.field(column) != wanted
        {
            return Ok(None);
        }
        let [time, prompt, output] = column_names(self.format);
        let at = |column: &'static str| move |wrong: Wrong| lines.wrong(Some(column), wrong.what, wrong.help);
        let time_ns = match self.format {
            TraceFormat::AzureLlm2023 => fields::date_time(lines.field(columns.time)),
            _ => fields::seconds(lines.field(columns.time)),
        };
        // BurstGPT keeps failed requests with no response, and with whatever prompt was counted.
        let least = u32::from(self.format != TraceFormat::BurstGpt);
        let output_tokens = fields::tokens(lines.field(columns.output), least).map_err(at(output))?;
        let least = output_tokens.min(1);
        Ok(Some(RawRow {
            time_ns: time_ns.map_err(at(time))?,
            prompt_tokens: fields::tokens(lines.field(columns.prompt), least).map_err(at(prompt))?,
            output_tokens,
            session: columns.session.and_then(|column| fields::session(lines.field(column))),
            blocks: None,
        }))
    }

    fn parse_mooncake(&self) -> Result<RawRow, TrafficError> {
        let lines = &self.lines;
        let line: MooncakeLine = serde_json::from_str(lines.text()).map_err(|error| {
            let help = if error.is_eof() {
                "the line ends too early, the file may be cut off here: complete or remove it"
            } else {
                "a line has timestamp, input_length, output_length and hash_ids"
            };
            // The parser sees one line at a time: its own line number would mislead.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            let place = error.column();
            lines.wrong(None, format!("this is no Mooncake request: {what} at character {place}"), help)
        })?;
        let [time, prompt, output] = column_names(self.format);
        let at = |column: &'static str| move |wrong: Wrong| lines.wrong(Some(column), wrong.what, wrong.help);
        Ok(RawRow {
            time_ns: fields::milliseconds(&line.timestamp).map_err(at(time))?,
            prompt_tokens: fields::tokens_in_range(line.input_length, 1).map_err(at(prompt))?,
            output_tokens: fields::tokens_in_range(line.output_length, 1).map_err(at(output))?,
            session: None,
            blocks: (!line.hash_ids.is_empty()).then(|| BlockHashes(Arc::from(line.hash_ids))),
        })
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
                format!("no request was answered: failed requests {}, others none", self.failed),
                "give a file with requests that were answered",
            ),
        };
        Err(self.lines.wrong(None, what, help))
    }

    /// An error at the line last read.
    pub(in crate::traffic) fn content(&self, column: Option<&str>, what: String, help: &str) -> TrafficError {
        self.lines.wrong(column, what, help)
    }
}
