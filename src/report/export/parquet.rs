//! Tables as Parquet: the cells of a CSV file of this program, typed by column.
//!
//! The CSV file is written first, a row at a time while the run goes on, and then becomes the Parquet file in row
//! groups, so that neither memory nor the exporters know of two formats. Empty cells are nulls.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::report::ReportError;

/// Rows held at once.
const GROUP_ROWS: usize = 1 << 16;

/// Decimal places of an amount of money, and its digits.
const MONEY: (i32, i32) = (6, 18);

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// UTF-8.
    Text,
    /// INT64.
    Integer,
    /// DOUBLE.
    Number,
    /// DECIMAL(18, 6): US dollars, exact to the micro-dollar.
    Money,
}

/// Columns of this program's tables whose cells may look like something else than they are.
const KNOWN: [(Kind, &[&str]); 3] = [
    (Kind::Money, &["amount_usd"]),
    (Kind::Number, &["quantity", "price_usd", "value", "current", "desired", "final"]),
    (
        Kind::Text,
        &["user", "queue", "nodes", "limits", "reason", "rule", "unit", "stream", "deployment", "pool"],
    ),
];

/// A column of a row group: values, and for each row whether it has one.
struct Column {
    kind: Kind,
    values: Values,
    present: Vec<i16>,
}

enum Values {
    Texts(Vec<ByteArray>),
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
}

/// Puts the table `csv` into a Parquet file beside it, under the same name, and removes it.
///
/// # Errors
/// When the table cannot be read or the file cannot be written; the table is then still there.
pub fn replace(csv: &Path) -> Result<PathBuf, ReportError> {
    let path = csv.with_extension("parquet");
    let part = csv.with_extension("parquet.part");
    let done =
        convert(csv, &part).and_then(|()| fs::rename(&part, &path)).and_then(|()| fs::remove_file(csv));
    match done {
        Ok(()) => Ok(path),
        Err(cause) => {
            // The half-written file helps nobody; the error that matters is the first one.
            let _ = fs::remove_file(&part);
            Err(ReportError::write(&path, &[csv.to_path_buf()], cause))
        }
    }
}

fn convert(csv: &Path, parquet: &Path) -> io::Result<()> {
    let mut reader = csv::Reader::from_path(csv)?;
    let names: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let kinds = kinds(&names, &mut reader)?;
    let schema = schema(&names, &kinds).map_err(other)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("fleetsim".to_owned())
        .build();
    let mut writer =
        SerializedFileWriter::new(File::create(parquet)?, schema, Arc::new(properties)).map_err(other)?;
    let mut reader = csv::Reader::from_path(csv)?;
    let mut record = csv::StringRecord::new();
    let mut columns: Vec<Column> = kinds.iter().map(|kind| Column::new(*kind)).collect();
    loop {
        let more = reader.read_record(&mut record)?;
        let rows = columns.first().map_or(0, |column| column.present.len());
        if rows > 0 && (!more || rows == GROUP_ROWS) {
            let mut group = writer.next_row_group().map_err(other)?;
            for column in &mut columns {
                column.write(&mut group).map_err(other)?;
            }
            group.close().map_err(other)?;
        }
        if !more {
            break;
        }
        for (column, cell) in columns.iter_mut().zip(&record) {
            column.push(cell)?;
        }
    }
    writer.close().map_err(other)?;
    Ok(())
}

/// What each column holds: as it is known for this name, or else what all of its cells can be read as.
fn kinds(names: &[String], reader: &mut csv::Reader<File>) -> io::Result<Vec<Kind>> {
    let known = |name: &str| {
        let listed = KNOWN.iter().find(|(_, names)| names.contains(&name)).map(|(kind, _)| *kind);
        listed.or(name.ends_with("_s").then_some(Kind::Number))
    };
    // An unknown column is as narrow as its cells allow; one without any is text.
    let mut narrowest: Vec<Option<Kind>> = vec![None; names.len()];
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        for (kind, cell) in narrowest.iter_mut().zip(&record).filter(|(_, cell)| !cell.is_empty()) {
            *kind = Some(match kind {
                None | Some(Kind::Integer) if cell.parse::<i64>().is_ok() => Kind::Integer,
                None | Some(Kind::Integer | Kind::Number) if cell.parse::<f64>().is_ok() => Kind::Number,
                _ => Kind::Text,
            });
        }
    }
    let kind = |(name, found): (&String, &Option<Kind>)| known(name).or(*found).unwrap_or(Kind::Text);
    Ok(names.iter().zip(&narrowest).map(kind).collect())
}

fn schema(names: &[String], kinds: &[Kind]) -> Result<TypePtr, ParquetError> {
    let field = |(name, kind): (&String, &Kind)| {
        let physical = match kind {
            Kind::Text => Physical::BYTE_ARRAY,
            Kind::Integer | Kind::Money => Physical::INT64,
            Kind::Number => Physical::DOUBLE,
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        let (scale, digits) = MONEY;
        let field = match kind {
            Kind::Text => field.with_logical_type(Some(LogicalType::String)),
            Kind::Money => field
                .with_logical_type(Some(LogicalType::decimal(scale, digits)))
                .with_scale(scale)
                .with_precision(digits),
            Kind::Integer | Kind::Number => field,
        };
        field.build().map(Arc::new)
    };
    let fields = names.iter().zip(kinds).map(field).collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("table").with_fields(fields).build().map(Arc::new)
}

impl Column {
    fn new(kind: Kind) -> Self {
        let values = match kind {
            Kind::Text => Values::Texts(Vec::new()),
            Kind::Integer | Kind::Money => Values::Integers(Vec::new()),
            Kind::Number => Values::Numbers(Vec::new()),
        };
        Self { kind, values, present: Vec::new() }
    }

    fn push(&mut self, cell: &str) -> io::Result<()> {
        self.present.push(i16::from(!cell.is_empty()));
        if cell.is_empty() {
            return Ok(());
        }
        let unread = || io::Error::new(io::ErrorKind::InvalidData, format!("`{cell}` is no {:?}", self.kind));
        match &mut self.values {
            Values::Texts(texts) => texts.push(cell.into()),
            Values::Integers(integers) if self.kind == Kind::Money => {
                integers.push(micros(cell).ok_or_else(unread)?);
            }
            Values::Integers(integers) => integers.push(cell.parse().map_err(|_| unread())?),
            Values::Numbers(numbers) => numbers.push(cell.parse().map_err(|_| unread())?),
        }
        Ok(())
    }

    /// Writes what is held, and holds nothing any more.
    fn write(&mut self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<(), ParquetError> {
        let present = std::mem::take(&mut self.present);
        match &mut self.values {
            Values::Texts(texts) => put::<ByteArrayType>(group, &std::mem::take(texts), &present),
            Values::Integers(integers) => put::<Int64Type>(group, &std::mem::take(integers), &present),
            Values::Numbers(numbers) => put::<DoubleType>(group, &std::mem::take(numbers), &present),
        }
    }
}

fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    present: &[i16],
) -> Result<(), ParquetError> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, Some(present), None)?;
        column.close()?;
    }
    Ok(())
}

/// An amount with at most six decimals, in micro-dollars.
fn micros(amount: &str) -> Option<i64> {
    let (sign, digits) = amount.strip_prefix('-').map_or((1, amount), |digits| (-1, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = format!("{part:0<6}");
    let micros = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(part.parse::<i64>().ok()?)?;
    (part.len() == 6).then_some(sign * micros)
}

fn other(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => *cause,
            Err(cause) => io::Error::other(cause),
        },
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;

    /// Writes a table and reads its rows back.
    fn there_and_back(table: &str) -> Vec<Vec<(String, Field)>> {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let csv = folder.path().join("ledger.csv");
        fs::write(&csv, table).expect("written");
        let path = replace(&csv).expect("replaced");
        assert!(!csv.exists() && path.ends_with("ledger.parquet"));
        let reader = SerializedFileReader::new(File::open(path).expect("opened")).expect("a Parquet file");
        let rows = reader.get_row_iter(None).expect("rows");
        rows.map(|row| row.expect("a row").into_columns()).collect()
    }

    #[test]
    fn cells_keep_their_values_and_get_types() {
        let rows = there_and_back(
            "id,time_s,user,amount_usd,note\n\
             1,0.5,007,-1.25,x\n\
             2,,\"a, \"\"b\"\"\",123456789.000001,\n",
        );
        let cells = |row: usize| rows[row].iter().map(|(_, field)| field.to_string()).collect::<Vec<_>>();
        assert_eq!(cells(0), ["1", "0.5", "\"007\"", "-1.250000", "\"x\""]);
        assert_eq!(cells(1), ["2", "null", "\"a, \"b\"\"", "123456789.000001", "null"]);
        assert!(matches!(rows[0][0].1, Field::Long(1)) && matches!(rows[0][3].1, Field::Decimal(_)));
    }

    #[test]
    fn many_rows_and_none() {
        let many = GROUP_ROWS + 10;
        let table: String = (0..many).map(|row| format!("{row}\n")).collect();
        assert_eq!(there_and_back(&format!("id\n{table}")).len(), many);
        assert!(there_and_back("id,time_s\n").is_empty());
    }

    #[test]
    fn what_cannot_be_written_leaves_the_table() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let csv = folder.path().join("t.csv");
        fs::write(&csv, "amount_usd\nmuch\n").expect("written");
        let error = replace(&csv).expect_err("no amount");
        assert!(csv.exists() && error.to_string().contains("`much`"), "{error}");
    }
}
