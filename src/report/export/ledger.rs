//! `ledger.csv`: one row a billing record; the amounts add up to the total spend exactly.

use std::io::{self, Write};

use super::{instant_s, number};
use crate::metrics::results::LedgerRow;

/// The columns; `amount_usd` has six decimals and is exact.
pub const COLUMNS: [&str; 9] =
    ["time_s", "pool", "provider", "purchase", "cause", "quantity", "unit", "price_usd", "amount_usd"];

/// Writes the table.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(ledger: &[LedgerRow], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for row in ledger {
        csv.write_record([
            &instant_s(row.time),
            &row.pool,
            &row.provider,
            &row.purchase,
            row.cause,
            &number(row.quantity),
            row.unit,
            &number(row.price_usd),
            &row.amount.to_string(),
        ])?;
    }
    csv.flush()
}
