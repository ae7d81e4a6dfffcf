//! `decisions.csv`: one row a decision of a policy.

use std::io::{self, Write};

use super::{instant_s, number};
use crate::metrics::results::DecisionRow;

/// The columns; `desired` is what the rule asked for, `final` what was done after limits.
pub const COLUMNS: [&str; 9] =
    ["time_s", "policy", "target", "current", "desired", "final", "rule", "limits", "reason"];

/// Writes the table.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(decisions: &[DecisionRow], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for row in decisions {
        csv.write_record([
            &instant_s(row.time),
            &row.policy,
            &row.target,
            &number(row.current),
            &number(row.desired),
            &number(row.done),
            &row.rule,
            &row.limits,
            &row.reason,
        ])?;
    }
    csv.flush()
}
