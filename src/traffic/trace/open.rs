//! Opens a file, plain or gzip, for reading from front to back.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::traffic::TrafficError;

const BUFFER_BYTES: usize = 32 * 1024;

/// Opens `file`; gzip is told by its first two bytes (RFC 1952, section 2.3.1), whatever the name.
///
/// # Errors
/// When the file cannot be opened, is a directory, or its first bytes cannot be read.
pub(super) fn open(file: &Path) -> Result<Box<dyn BufRead + Send>, TrafficError> {
    let failed = |source| TrafficError::Open { file: file.to_owned(), source };
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, File::open(file).map_err(failed)?);
    if reader.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader))))
    } else {
        Ok(Box::new(reader))
    }
}
