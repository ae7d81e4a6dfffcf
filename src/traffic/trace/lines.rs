//! Reads a file line by line and splits lines into fields, always knowing which line it is at.

use std::io::{BufRead, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::open;
use crate::traffic::TrafficError;

/// The longest line that is read: a Mooncake request of ten million tokens has 20,000 hashes.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The lines of a file, plain or gzip, that are not blank.
pub(in crate::traffic) struct Lines {
    file: PathBuf,
    reader: Box<dyn BufRead + Send>,
    text: String,
    bytes: Vec<u8>,
    number: u64,
    fields: Vec<Range<usize>>,
}

impl Lines {
    /// # Errors
    /// When the file cannot be opened.
    pub(in crate::traffic) fn open(file: &Path) -> Result<Self, TrafficError> {
        Ok(Self {
            file: file.to_owned(),
            reader: open(file)?,
            text: String::new(),
            bytes: Vec::new(),
            number: 0,
            fields: Vec::new(),
        })
    }

    /// Reads the next line that is not blank; false at the end, where the line stays the last one.
    ///
    /// # Errors
    /// When the file cannot be read on or the line is not text.
    pub(in crate::traffic) fn next(&mut self) -> Result<bool, TrafficError> {
        loop {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            let limit = LINE_BYTES_MAX as u64;
            let read = std::io::Read::take(&mut self.reader, limit).read_until(b'\n', &mut bytes);
            let read = read.map_err(|source| self.read_error(source))?;
            if read == 0 {
                self.bytes = bytes;
                return Ok(false);
            }
            self.number += 1;
            if read == LINE_BYTES_MAX {
                let what = format!("the line is longer than {LINE_BYTES_MAX} bytes");
                return Err(self.wrong(
                    None,
                    what,
                    "this may be another kind of file; give CSV or JSON lines",
                ));
            }
            // The line's buffer changes hands, so that checking it for UTF-8 copies nothing.
            let text = String::from_utf8(bytes).map_err(|_| {
                let help = "this may be another kind of file; give CSV or JSON lines";
                self.wrong(None, "the line is not text in UTF-8".to_owned(), help)
            })?;
            self.bytes = std::mem::replace(&mut self.text, text).into_bytes();
            if self.number == 1 && self.text.starts_with('\u{feff}') {
                self.text.remove(0);
            }
            if !self.text.trim().is_empty() {
                return Ok(true);
            }
        }
    }

    /// The line's number, counted from 1; 0 before the first.
    pub(in crate::traffic) fn number(&self) -> u64 {
        self.number
    }

    /// The line.
    pub(in crate::traffic) fn text(&self) -> &str {
        self.text.trim()
    }

    /// Splits the line at its commas, and gives the number of fields. Quoted fields are taken out of their
    /// quotes; a quoted field cannot go on in the next line.
    ///
    /// # Errors
    /// When a quote is not closed.
    pub(in crate::traffic) fn split(&mut self) -> Result<usize, TrafficError> {
        if self.text.contains('"') {
            self.unquote()?;
        } else {
            self.fields.clear();
            let mut begin = 0;
            let bytes = self.text.as_bytes();
            for (place, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b',') {
                self.fields.push(begin..place);
                begin = place + 1;
            }
            self.fields.push(begin..bytes.len());
        }
        Ok(self.fields.len())
    }

    /// Rewrites the line without its quotes (RFC 4180, section 2, rules 5 to 7).
    fn unquote(&mut self) -> Result<(), TrafficError> {
        let mut plain = String::with_capacity(self.text.len());
        self.fields.clear();
        let mut begin = 0;
        let mut quoted = false;
        let mut letters = self.text.trim_end().chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted && letters.peek() == Some(&'"') => {
                    letters.next();
                    plain.push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    self.fields.push(begin..plain.len());
                    begin = plain.len();
                }
                other => plain.push(other),
            }
        }
        self.fields.push(begin..plain.len());
        self.text = plain;
        if quoted {
            let what = "a quote is not closed at the end of the line".to_owned();
            return Err(self.wrong(None, what, "close it, or remove line breaks from inside quotes"));
        }
        Ok(())
    }

    /// A field of the split line; empty when there is none.
    pub(in crate::traffic) fn field(&self, column: usize) -> &str {
        self.fields.get(column).map_or("", |range| self.text[range.clone()].trim())
    }

    /// All fields of the split line.
    pub(in crate::traffic) fn fields(&self) -> Vec<String> {
        (0..self.fields.len()).map(|column| self.field(column).to_owned()).collect()
    }

    /// An error at the line last read.
    pub(in crate::traffic) fn wrong(&self, column: Option<&str>, what: String, help: &str) -> TrafficError {
        TrafficError::Content {
            file: self.file.clone(),
            line: self.number.max(1),
            column: column.map(str::to_owned),
            what,
            help: help.to_owned(),
        }
    }

    fn read_error(&self, source: std::io::Error) -> TrafficError {
        let help = match source.kind() {
            ErrorKind::UnexpectedEof => "the compressed file is cut off: get it again",
            ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                "the compressed file is damaged: get it again"
            }
            _ => "check the disk",
        };
        TrafficError::Read { file: self.file.clone(), line: self.number + 1, source, help }
    }
}
