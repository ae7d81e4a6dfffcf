//! `summary.json`: the same scenario and seed give the same bytes.

use std::io::{self, Write};

use crate::metrics::results::Summary;

/// Writes the summary as indented JSON with a line end. Values that are not finite become null.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, summary)?;
    out.write_all(b"\n")
}
